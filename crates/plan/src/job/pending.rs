//! What a job's disk still owes: syncs, checks, and the prefixes that must be read back first.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::limits::Limits;

/// What still stands between stored and verified.
#[derive(Debug, Default)]
pub(super) struct Settle {
    /// Blocks stored since the last `Sync` was said.
    pub(super) dirty: BTreeSet<u32>,
    /// Blocks the `Sync` under way covers.
    pub(super) syncing: Option<BTreeSet<u32>>,
    /// Bytes stored since the last `Sync` was said, and since when.
    pub(super) unsynced: u64,
    pub(super) since: Option<Instant>,
    /// When the `Sync` under way was said, and how long the one before it took.
    pub(super) said: Option<Instant>,
    pub(super) took: Duration,
    /// Recorded blocks to be read back, in this order.
    pub(super) queue: VecDeque<u32>,
    /// Open blocks whose prefix is being read back: the rest of them is free only afterwards.
    pub(super) withheld: BTreeSet<u32>,
    /// `Check`s not answered yet.
    pub(super) out: BTreeSet<u32>,
}

impl Settle {
    /// From the first byte that is stored to the sync that covers it. What a power cut takes reaches from one sync to
    /// the end of the next: the first byte may have been in hand a while, and the sync takes as long as the disk wants.
    /// A disk that takes longer than half the interval is not asked more often: it would do nothing else.
    fn interval(&self, limits: &Limits) -> Duration {
        limits.sync.saturating_sub(limits.hand_over).saturating_sub(self.took).max(limits.sync / 2)
    }

    pub(super) fn due(&self, limits: &Limits) -> Option<Instant> {
        self.since.filter(|_| self.syncing.is_none()).map(|since| since + self.interval(limits))
    }

    /// Nothing is asked of the disk and not answered.
    pub(super) fn is_quiet(&self) -> bool {
        self.syncing.is_none() && self.out.is_empty()
    }

    pub(super) fn withheld(&self) -> impl Iterator<Item = u32> + '_ {
        self.withheld.iter().copied()
    }

    pub(super) fn awaits_prefixes(&self) -> bool {
        !self.withheld.is_empty()
    }
}
