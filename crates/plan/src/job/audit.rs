//! The books: every byte of the file is exactly one of held, owned, withheld and free. For tests.

use std::collections::BTreeMap;

use super::{Job, Phase};
use crate::lanes::Purpose;

impl Job {
    /// Whether the invariant of `blocks.rs` holds, and lanes lie inside the file. Between two generations
    /// nothing is owned, and what is held is on its way out.
    pub(crate) fn audit(&self) -> Result<(), String> {
        if !matches!(self.phase, Phase::Running | Phase::Finishing) {
            return Ok(());
        }
        let mut at = 0;
        for (start, end, what) in self.claims() {
            if start != at {
                let fault = if start > at { "is nobody's" } else { "is claimed twice" };
                return Err(format!(
                    "{}..{} {fault}, at {what} {start}..{end}",
                    at.min(start),
                    at.max(start)
                ));
            }
            at = end;
        }
        let total = self.total().unwrap_or(u64::MAX);
        if at == total { Ok(()) } else { Err(format!("claims end at {at}, the file at {total}")) }
    }

    /// Who claims what, in order of offsets.
    fn claims(&self) -> Vec<(u64, u64, &'static str)> {
        let mut claims: Vec<(u64, u64, &'static str)> = Vec::new();
        if self.spec.stream {
            claims.push((0, self.streamed, "streamed"));
            claims.extend(self.landed.iter().map(|(start, end)| (start, end, "landed")));
        }
        for (block, held) in self.blocks.held_blocks() {
            let start = self.blocks.start_of(block);
            claims.push((start, start + u64::from(held.upto), "held"));
        }
        for (start, end) in self.withheld() {
            claims.push((start, end, "withheld"));
        }
        claims.extend(self.free.iter().map(|(start, end)| (start, end, "free")));
        for lane in self.lanes.values() {
            if lane.purpose == Purpose::Store && lane.victim.is_none() {
                claims.push((lane.stored, lane.end, "owned"));
            }
        }
        claims.retain(|c| c.0 < c.1);
        claims.sort_unstable();
        claims
    }

    /// Lanes by host, to be compared with the table of hosts.
    pub(crate) fn count_lanes(&self, hosts: &mut BTreeMap<String, u32>) {
        for lane in self.lanes.values() {
            *hosts.entry(lane.host.clone()).or_default() += 1;
        }
    }
}
