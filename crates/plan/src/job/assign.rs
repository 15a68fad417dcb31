//! Who fetches what: free ranges to new lanes, cuts to idle ones, late ranges to other hands.

use super::{Job, Turn};
use crate::hosts::host_of;
use crate::identity::Condition;
use crate::lanes::{Lane, Purpose};
use crate::machine::{Action, Ask, LaneId, SourceId};
use crate::source::Ranges;

impl Job {
    /// Lanes this job may have open: one where joins need comparing or ranges do not work.
    pub(super) fn may_have(&self) -> u32 {
        let ranged = self.sources.iter().any(|s| s.dead.is_none() && s.ranges != Ranges::No);
        let one = !self.is_strong() || self.coded || self.spec.stream || self.total().is_none() || !ranged;
        // After two generations that flip, one lane at one address sees one version.
        if one || self.generations >= 3 { 1 } else { self.spec.lanes.max(1) }
    }

    pub(super) fn assign(&mut self, turn: &mut Turn<'_>) {
        if self.settle.awaits_prefixes() {
            return;
        }
        self.enlist_mirrors(turn.limits.overlap);
        for _ in 0..=self.may_have() {
            let slots = self.may_have().saturating_sub(self.lanes.len() as u32);
            if slots == 0 {
                return;
            }
            let Some(source) = self.choose_source(turn) else { return };
            if self.prove(source, turn) {
                continue;
            }
            if self.owes_proof() && source == self.lead {
                return;
            }
            if let Some(range) = self.next_range(slots) {
                self.open_store(source, range, turn);
            } else if self.free.is_empty() && !self.cut(slots, turn) {
                return self.hand_over(source, turn);
            } else {
                return;
            }
        }
    }

    /// A mirror whose bytes were not compared yet is compared as soon as something is held.
    fn enlist_mirrors(&mut self, len: u64) {
        if self.sources.len() < 2 || self.held() < len || self.spec.stream {
            return;
        }
        for index in 0..self.sources.len() {
            let source = &self.sources[index];
            if SourceId(index as u16) != self.lead
                && !source.proven
                && source.proofs.is_empty()
                && source.dead.is_none()
            {
                self.sources[index].proofs = self.stretches(len);
            }
        }
    }

    /// The usable source with the fewest lanes.
    fn choose_source(&mut self, turn: &mut Turn<'_>) -> Option<SourceId> {
        let mut usable: Vec<(usize, SourceId)> = Vec::new();
        for (index, source) in self.sources.iter().enumerate() {
            let id = SourceId(index as u16);
            let lanes = self.lanes.values().filter(|l| l.source == id).count();
            let joins = id == self.lead || source.proven || !source.proofs.is_empty();
            let stands = source.ranges != Ranges::No || self.lanes.is_empty();
            if joins && stands && source.is_ready(turn.now) {
                usable.push((lanes, id));
            }
        }
        usable.sort();
        for (_, id) in usable {
            let host = host_of(self.sources[usize::from(id.0)].asked_at());
            if turn.hosts.allows(&host, turn.now, turn.limits.stall) {
                return Some(id);
            }
            self.crowded = true;
        }
        None
    }

    /// The lead has stretches to compare before anything may be joined.
    pub(super) fn owes_proof(&self) -> bool {
        !self.sources[usize::from(self.lead.0)].proofs.is_empty()
    }

    /// Opens a lane that compares, if the source owes a comparison and none is under way.
    fn prove(&mut self, id: SourceId, turn: &mut Turn<'_>) -> bool {
        let Some(&stretch) = self.source(id).proofs.first() else { return false };
        if self.lanes.values().any(|l| l.source == id && l.purpose == Purpose::Prove) {
            return false;
        }
        let lane = self.open(id, stretch, Some((stretch.0, Some(stretch.1))), true, turn);
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.purpose = Purpose::Prove;
        }
        true
    }

    /// A piece of what is free: the lowest gap for one lane, else a fair share of the largest.
    fn next_range(&self, slots: u32) -> Option<(u64, u64)> {
        if self.may_have() == 1 {
            return self.free.lowest();
        }
        let (start, end) = self.free.largest()?;
        let least = 2 * self.blocks.size();
        let share = (end - start) as f64 / self.free.bytes().max(1) as f64;
        let pieces = ((f64::from(slots) * share).round() as u64).clamp(1, ((end - start) / least).max(1));
        Some((start, self.blocks.boundary(start + (end - start).div_ceil(pieces)).min(end)))
    }

    fn open_store(&mut self, id: SourceId, (start, end): (u64, u64), turn: &mut Turn<'_>) {
        let overlap = if self.overlap && !self.spec.stream { turn.limits.overlap } else { 0 };
        // What follows the first range is bounded by about half a minute of the usual rate, so that most
        // ranges end by themselves and their connection is used again.
        let bound = (self.usual.rate * turn.limits.range_time.as_secs_f64()) as u64;
        let end = if self.may_have() > 1 && bound > 4 * self.blocks.size() && end != u64::MAX {
            self.blocks.boundary(start + bound).min(end)
        } else {
            end
        };
        let ranged = !self.source(id).unranged && (start > overlap || end != u64::MAX || start > 0);
        let last = (end != u64::MAX).then_some(end);
        let range = ranged.then_some((start.saturating_sub(overlap), last));
        self.free.take(start, end);
        self.open(id, (start, end), range, true, turn);
    }

    /// Says `Open`; `conditional` sends the held validator along.
    pub(super) fn open(
        &mut self,
        id: SourceId,
        owns: (u64, u64),
        range: Option<(u64, Option<u64>)>,
        conditional: bool,
        turn: &mut Turn<'_>,
    ) -> LaneId {
        let identity = self.source(id).identity.clone();
        let source = self.source(id);
        let condition = match identity {
            Some(identity) if conditional && range.is_some() && !source.plain => identity.condition(),
            _ => Condition::None,
        };
        let ask = Ask { range, condition, fresh: std::mem::take(&mut source.fresh) };
        let url = source.asked_at().to_owned();
        let host = host_of(&url);
        turn.hosts.opened(&host);
        let lane = LaneId(*turn.next_lane);
        *turn.next_lane += 1;
        self.lanes.insert(lane, Lane::new(id, host, url.clone(), ask.clone(), owns, turn.now));
        turn.say(Action::Open { lane, source: id, url, ask });
        lane
    }

    /// An idle slot takes the later part of the range that would finish last. True if a cut is under way.
    fn cut(&mut self, slots: u32, turn: &mut Turn<'_>) -> bool {
        if self.lanes.values().any(|l| l.narrowing) {
            return true;
        }
        let siblings = self.lanes.values().filter(|l| l.is_reading()).count();
        // One lane alone is cut into as many pieces as there are idle slots: nobody is fast or slow yet.
        let idle = if siblings == 1 { f64::from(slots) } else { 1.0 };
        let candidate = self
            .lanes
            .iter()
            .filter(|(_, l)| l.is_reading() && l.purpose == Purpose::Store && l.end != u64::MAX)
            .filter(|(id, _)| !self.lanes.values().any(|l| l.victim == Some(**id)))
            .max_by(|a, b| self.time_left(a.1).total_cmp(&self.time_left(b.1)));
        let Some((&id, lane)) = candidate else { return false };
        let other = if self.usual.rate > 0.0 { self.usual.rate } else { 1.0 };
        let own = if self.usual.rate > 0.0 && turn.now > lane.opened + turn.limits.tick {
            lane.rate()
        } else {
            other
        };
        let left = lane.remaining() as f64;
        let keep = left * own / (own + idle * other);
        let end = self.blocks.boundary(lane.read.max(lane.start) + keep as u64);
        let give = lane.end.saturating_sub(end);
        if give < self.worth(idle, turn) || (own >= other && keep < self.worth(1.0, turn) as f64) {
            return false;
        }
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.narrowing = true;
            turn.say(Action::Narrow { lane: id, end });
        }
        true
    }

    /// Seconds until a lane would finish; a silent lane never does.
    fn time_left(&self, lane: &Lane) -> f64 {
        let rate = if lane.rate() > 0.0 { lane.rate() } else { self.usual.rate.min(1.0) };
        lane.remaining() as f64 / rate.max(1e-3)
    }

    /// The least bytes worth a cut: `cut_worth` times what a new connection and the bytes in flight cost,
    /// at least one block a lane.
    fn worth(&self, lanes: f64, turn: &Turn<'_>) -> u64 {
        let cost = self.usual.rate * self.usual.setup + 65_536.0;
        let least = (cost * f64::from(turn.limits.cut_worth)).max(self.blocks.size() as f64);
        (least * lanes) as u64
    }

    /// A late range that is not worth a cut is asked for a second time by an idle slot; whoever is there first
    /// has it. Only against siblings, never a lane alone (R68).
    fn hand_over(&mut self, source: SourceId, turn: &mut Turn<'_>) {
        if self.usual.rate <= 0.0 || self.may_have() == 1 {
            return;
        }
        let patience = 2.0 * turn.limits.tick.as_secs_f64();
        let late = self.lanes.iter().filter(|(id, lane)| {
            let fair = lane.remaining() as f64 / self.usual.rate + self.usual.setup;
            let waited = turn.now.saturating_duration_since(lane.opened).as_secs_f64();
            lane.purpose == Purpose::Store
                && lane.end != u64::MAX
                && lane.victim.is_none()
                && !self.lanes.values().any(|l| l.victim == Some(**id))
                && match lane.is_reading() {
                    true => waited > patience && self.time_left(lane) > 3.0 * fair + patience,
                    false => lane.is_asking() && waited > 3.0 * self.usual.setup + patience,
                }
        });
        let worst = late
            .max_by(|a, b| self.time_left(a.1).total_cmp(&self.time_left(b.1)))
            .map(|(&id, l)| (id, l.clone()));
        let Some((victim, lane)) = worst else { return };
        self.source(source).fresh = true;
        let range = Some((lane.stored, Some(lane.end)));
        let heir = self.open(source, (lane.stored, lane.end), range, true, turn);
        if let Some(heir) = self.lanes.get_mut(&heir) {
            heir.victim = Some(victim);
        }
    }
}
