//! A stream: many lanes bring it, and it is given on in order. What is ahead of the frontier waits in memory, so nothing
//! is asked for that would not fit into a window of it (`Limits::window`).
//!
//! The window begins at what the consumer has taken. Ranges are short, the lowest first, so that the frontier moves
//! steadily: all lanes together have half a window under way, and the other half is how far the frontier's lane may fall
//! behind before the others wait for it. Whoever waits then takes work from that lane, or takes over from it.

use super::{Job, Turn};
use crate::event::Error;
use crate::lanes::{Lane, Purpose};
use crate::limits::Limits;
use crate::machine::{Action, LaneId};

/// The largest unit in which a stream is cut: no journal is kept of it, so that this bounds nothing else.
const GRAIN: u64 = 256 << 10;

/// What a lane reads at once, and as much again that it has not used yet.
const READ: u64 = 512 << 10;

/// Lanes whose reads are in what a process takes beside the window; the reads of more count as part of it.
const FEW: u64 = 8;

/// Bytes of a stream that may wait for those before them, while so many lanes bring it. A smaller window could not be cut.
fn window(limits: &Limits, lanes: u32) -> u64 {
    let reads = READ * u64::from(lanes).saturating_sub(FEW);
    limits.window.saturating_sub(reads).max(limits.window / 2).max(16 << 10)
}

/// Block size of a stream: four fit into the window, so that two lanes can work.
pub(super) fn grain(limits: &Limits) -> u32 {
    let most = (window(limits, 1) / 4).min(GRAIN);
    1 << most.ilog2()
}

impl Job {
    /// Several lanes may bring it, or one that can be cut.
    pub(super) fn is_ordered(&self) -> bool {
        self.spec.stream && !self.is_single()
    }

    /// Where what the consumer has, or is being given, ends. 0 for what is no stream.
    pub(super) fn edge(&self) -> u64 {
        match self.landed.lowest() {
            Some((start, end)) if start == self.streamed => end,
            _ => self.streamed,
        }
    }

    /// Bytes of one range. Where lanes are added while they pay, those there are count, and some at least.
    pub(super) fn piece(&self, limits: &Limits) -> u64 {
        let most = self.may_have(limits);
        let there = (self.lanes.len() as u32).max(FEW as u32);
        let lanes = if self.spec.lanes.is_none() { most.min(there) } else { most };
        let grain = self.blocks.size();
        (window(limits, lanes) / (2 * u64::from(lanes))).max(grain) / grain * grain
    }

    /// How much of these free bytes may be asked for now: all of them where nothing has to be in order, else a piece, if
    /// it fits into the window.
    pub(super) fn clip(&self, (start, stop): (u64, u64), limits: &Limits) -> Option<(u64, u64)> {
        if !self.is_ordered() {
            return Some((start, stop));
        }
        let piece = (start + self.piece(limits)) / self.blocks.size() * self.blocks.size();
        let end = stop.min(piece);
        let reach = self.streamed.saturating_add(window(limits, self.may_have(limits)));
        (end <= reach).then_some((start, end))
    }

    /// The first lane of a stream keeps a piece of all that its message brings; the rest is for whoever comes first, and
    /// that may be it.
    pub(super) fn share_out(&mut self, heir: Option<LaneId>, limits: &Limits) {
        let Some(lane) = heir.and_then(|id| self.lanes.get(&id)) else { return };
        let (start, stop) = (lane.start, lane.end);
        let Some((_, end)) = self.clip((start, stop), limits) else { return };
        if let Some(lane) = heir.and_then(|id| self.lanes.get_mut(&id)) {
            lane.end = end;
        }
        self.free.give(end, stop);
    }

    /// Whether it may be cut or handed over. Of a stream only the lane at the frontier may, and only while the consumer
    /// waits for it: the others do not wait for it, or the window.
    pub(super) fn holds_up(&self, lane: &Lane) -> bool {
        !self.is_ordered() || (self.edge() == self.streamed && lane.stored == self.streamed)
    }

    /// Bytes that a lane brought are in the window.
    pub(super) fn on_landed(&mut self, id: LaneId, upto: u64, turn: &Turn<'_>) {
        let Some(lane) = self.lanes.get_mut(&id).filter(|_| self.spec.stream) else { return };
        let (from, upto) = (lane.stored, upto.min(lane.end));
        if !lane.served || lane.purpose != Purpose::Store || lane.victim.is_some() || upto <= from {
            return;
        }
        lane.stored = upto;
        self.landed.give(from, upto);
        if self.outgrows(upto, turn) {
            self.failing.get_or_insert(Error::TooLarge { size: upto });
        }
    }

    /// The consumer has taken everything below `upto`.
    pub(super) fn on_taken(&mut self, upto: u64) {
        let upto = upto.min(self.edge());
        if self.spec.stream && upto > self.streamed {
            self.landed.take(self.streamed, upto);
            self.streamed = upto;
        }
    }

    /// One answer brings everything from `from` on again, or another version does: what waits counts no more.
    pub(super) fn forget_landed(&mut self, from: u64, turn: &mut Turn<'_>) {
        if self.landed.last().is_some_and(|end| end > from) {
            self.landed.cut(from);
            turn.say(Action::Forget { from });
        }
    }
}
