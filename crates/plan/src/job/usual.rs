//! What a lane of a job usually does: the measure that its lanes are held against.

use std::time::Instant;

use crate::limits::Limits;

/// Lanes that are left of many are held against what the others did for so many ticks: then they are the measure.
const MEMORY: u32 = 30;

/// What a lane of this job usually does.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usual {
    pub(super) rate: f64,
    pub(super) setup: f64,
    /// When more than one lane last had a say in the rate, and how many had.
    compared: Option<Instant>,
    among: usize,
}

impl Usual {
    /// A lane's average over its whole body counts half.
    pub(super) fn learn(&mut self, rate: f64, now: Instant) {
        self.approach(rate, 0.5);
        self.compared = Some(now);
    }

    /// The median of the lanes that read. The few that are left in the end, who may be the slowest, are held against
    /// what the others did for a while; then what they do counts a quarter at a time.
    pub(super) fn measured(&mut self, median: f64, lanes: usize, now: Instant, limits: &Limits) {
        if lanes > 1 && lanes * 2 >= self.among {
            (self.rate, self.compared, self.among) = (median, Some(now), self.among.max(lanes));
        } else if self.compared.is_none_or(|at| now >= at + limits.tick * MEMORY) {
            self.approach(median, 0.25);
            (self.compared, self.among) = ((lanes > 1).then_some(now), lanes);
        }
    }

    fn approach(&mut self, rate: f64, weight: f64) {
        self.rate = if self.rate == 0.0 { rate } else { self.rate + (rate - self.rate) * weight };
    }

    /// A lane can be found slow: others have a say in what is usual.
    pub(super) fn compares(&self) -> bool {
        self.rate > 0.0 && self.compared.is_some()
    }
}
