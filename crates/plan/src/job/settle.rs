//! Bytes on their way to being trusted: stored, synced, checked, finished.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Job, Phase, Turn};
use crate::blocks::{Blocks, Trust};
use crate::event::{Error, Event};
use crate::failure::{DiskFault, Failure};
use crate::lanes::Purpose;
use crate::limits::Limits;
use crate::machine::{Action, Held, LaneId, SourceId};
use crate::name::Name;
use crate::record::{Hash, Record};

/// Checks under way at a time: enough to keep the reading thread busy, few enough to yield to lanes.
const CHECKS: u32 = 4;

impl Job {
    /// The rests of open blocks whose prefix is being read back.
    pub(super) fn withheld(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.settle.withheld().map(|block| {
            let start = self.blocks.start_of(block);
            let (upto, len) = (self.blocks.block(block).upto, self.blocks.len_of(block));
            (start + u64::from(upto), start + u64::from(len))
        })
    }

    /// Tells once that bytes will come.
    pub(super) fn start(&mut self, turn: &mut Turn<'_>) {
        if self.claimed.is_some() || std::mem::replace(&mut self.started, true) {
            return;
        }
        let name = self.name.as_ref().map(|n| n.as_str().to_owned()).unwrap_or_default();
        turn.tell(Event::Started { name, total: self.total(), held: self.held() });
    }

    /// Takes over what an earlier run left.
    pub(super) fn replay(&mut self, held: Held, limits: &Limits) {
        if !held.block_size.is_power_of_two() || !Blocks::fit(held.block_size, held.identity.total) {
            return self.begin_anew(); // No journal of ours.
        }
        self.name = Name::chosen(&held.name).ok().or(self.name.take());
        self.unproven = held.unproven;
        if held.unproven && self.spec.strict && !self.spec.digest {
            self.failing = Some(Error::Unproven);
        }
        self.blocks = Blocks::replayed(held.block_size, held.identity.total, &held.blocks);
        let synced: BTreeSet<u32> = held.blocks.iter().filter(|b| b.synced).map(|b| b.index).collect();
        for (start, end) in self.blocks.gaps() {
            let index = self.blocks.index_of(start);
            if self.blocks.block(index).upto > 0 && !self.blocks.is_whole(index) {
                self.settle.withheld.insert(index);
                self.free.give(self.blocks.boundary(start).min(end), end);
            } else {
                self.free.give(start, end);
            }
        }
        let rank = |b: &u32| (!self.settle.withheld.contains(b), synced.contains(b), *b);
        let mut order: Vec<u32> = self.blocks.held_blocks().map(|(i, _)| i).collect();
        order.sort_by_key(rank);
        self.settle.queue = order.into();
        match held.claimed {
            // Whose bytes they are is not known: no validator of any source is theirs.
            Some(_) => self.origin = SourceId(u16::MAX),
            None => self.attribute(&held),
        }
        self.claimed = held.claimed;
        self.identity = Some(held.identity);
        if self.held() == 0 && self.origin != self.lead {
            return self.begin_anew(); // Nothing that could be compared.
        }
        if self.total() == Some(0) && !held.whole {
            return self.begin_anew(); // No block stands for an empty file: only its server does.
        }
        self.require_proof(limits.overlap);
        self.phase = Phase::Running;
        if held.whole {
            self.settle.queue.clear();
            self.take_as_whole();
        }
    }

    /// Only publishing is left, also where the length was never told (R37).
    fn take_as_whole(&mut self) {
        let end = self.blocks.held_until(0);
        if let Some(identity) = &mut self.identity
            && identity.total.is_none()
        {
            identity.total = Some(end);
            // What a journal says lies beyond a gap is no part of the whole.
            let apart: Vec<u32> = self
                .blocks
                .held_blocks()
                .map(|(i, _)| i)
                .filter(|&i| self.blocks.start_of(i) >= end)
                .collect();
            for block in apart {
                self.blocks.forget(block);
            }
            self.blocks.set_total(end);
            self.free.cut(end);
            self.settle.withheld.clear();
            self.length_unknown = true;
        }
    }

    /// Validators are worth something only against the source they came from (R53). Where that is not among
    /// the URLs, what is held is compared like a mirror's.
    fn attribute(&mut self, held: &Held) {
        let path = |url: &str| url.split(['?', '#']).next().map(str::to_owned);
        let exact = self.sources.iter().position(|s| s.url == held.url);
        // A signed URL is given anew with another query; it is the same resource.
        let alike = || self.sources.iter().position(|s| path(&s.url) == path(&held.url));
        if let Some(index) = exact.or_else(alike) {
            self.lead = SourceId(index as u16);
            self.origin = self.lead;
            let source = &mut self.sources[index];
            source.identity = Some(held.identity.clone());
            if source.renewed.is_none() {
                source.renewed.clone_from(&held.renewed);
                source.noted = true;
            }
        } else {
            self.origin = SourceId(u16::MAX);
        }
    }

    /// The stretches that are compared before bytes of an earlier run are joined (R9a, R21): the middle of
    /// the first, a middle and the last held block.
    pub(super) fn stretches(&self, len: u64) -> Vec<(u64, u64)> {
        if let Some(claimed) = self.claimed_stretches() {
            return claimed;
        }
        let held: Vec<(u64, u64)> =
            self.blocks.held_blocks().map(|(i, b)| (self.blocks.start_of(i), u64::from(b.upto))).collect();
        let mut picked: Vec<(u64, u64)> = [0, held.len() / 2, held.len().saturating_sub(1)]
            .iter()
            .filter_map(|&i| held.get(i))
            .map(|&(start, upto)| (start + upto.saturating_sub(len) / 2, upto.min(len)))
            .map(|(start, len)| (start, start + len))
            .collect();
        picked.dedup();
        picked
    }

    pub(super) fn on_stored(&mut self, block: u32, upto: u32, hash: Hash, turn: &mut Turn<'_>) {
        let before = self.blocks.block(block).upto;
        let start = self.blocks.start_of(block);
        let (from, end) = (start + u64::from(before), start + u64::from(upto));
        // Only whoever owns the bytes may report them, and only from where it stood: what a failed sync or
        // check took back meanwhile is free again, and counts when it is fetched again.
        let owner = self.lanes.values_mut().find(|l| l.stores(from) && end <= l.end && !self.spec.stream);
        let Some(lane) = owner.filter(|_| self.blocks.stored(block, upto, hash)) else { return };
        lane.stored = end;
        self.blocks.came_from(block, lane.source, before);
        self.settle.unsynced += u64::from(upto - before);
        self.settle.dirty.insert(block);
        self.settle.since.get_or_insert(turn.now);
        if !Blocks::fit(self.blocks.size() as u32, Some(end)) || self.outgrows(end, turn) {
            self.failing.get_or_insert(Error::TooLarge { size: end });
        }
        self.note_block(block, turn);
    }

    /// A length that was told is judged with the head that tells it. A body that tells none must be stopped on the way, or
    /// one without an end fills the disk (R67).
    pub(super) fn outgrows(&self, size: u64, turn: &Turn<'_>) -> bool {
        self.total().is_none() && turn.limits.max_size.is_some_and(|max| size > max)
    }

    pub(super) fn note_block(&mut self, block: u32, turn: &mut Turn<'_>) {
        let (len, hash) = (self.blocks.block(block).upto, self.blocks.block(block).hash());
        let record = if self.blocks.is_whole(block) {
            Record::Block { index: block, len, hash }
        } else {
            Record::Prefix { index: block, len, hash }
        };
        self.note(record, turn);
    }

    pub(super) fn sync_if_due(&mut self, turn: &mut Turn<'_>) {
        let due = self.settle.due(turn.limits).is_some_and(|at| at <= turn.now);
        if due || self.settle.unsynced >= turn.limits.sync_bytes {
            self.sync(turn);
        }
    }

    fn sync(&mut self, turn: &mut Turn<'_>) {
        if self.settle.syncing.is_some() || self.settle.dirty.is_empty() {
            return;
        }
        self.settle.syncing = Some(std::mem::take(&mut self.settle.dirty));
        self.settle.unsynced = 0;
        self.settle.since = None;
        self.settle.said = Some(turn.now);
        turn.say(Action::Sync);
    }

    pub(super) fn on_synced(&mut self, result: Result<(), Failure>, turn: &mut Turn<'_>) {
        let Some(covered) = self.settle.syncing.take() else { return };
        self.settle.took = self.settle.said.take().map_or(Duration::ZERO, |said| turn.now - said);
        match result {
            Ok(()) => {
                for block in covered.difference(&self.settle.dirty) {
                    self.blocks.trust(*block, Trust::Synced);
                }
            }
            // A failed sync is final for what it covered: the kernel may have dropped the pages and
            // report success the next time.
            Err(failure) => {
                for block in covered {
                    self.distrust(block, "its sync failed", turn);
                }
                self.fail_on_disk(failure);
            }
        }
    }

    /// Reads recorded blocks back: open prefixes at once, the others few at a time.
    pub(super) fn check(&mut self, turn: &mut Turn<'_>) {
        while self.settle.awaits_prefixes() || (self.settle.out.len() as u32) < CHECKS {
            let Some(&block) = self.settle.queue.front() else { return };
            if self.settle.awaits_prefixes() && !self.settle.withheld.contains(&block) {
                return;
            }
            self.settle.queue.pop_front();
            let state = self.blocks.block(block);
            if state.trust != Trust::Recorded || state.upto == 0 || self.settle.out.contains(&block) {
                continue;
            }
            self.settle.out.insert(block);
            turn.say(Action::Check { block, len: state.upto, hash: state.hash() });
        }
    }

    pub(super) fn on_checked(&mut self, block: u32, same: bool, turn: &mut Turn<'_>) {
        if !self.settle.out.remove(&block) {
            return;
        }
        let withheld = self.settle.withheld.remove(&block);
        if self.blocks.block(block).trust != Trust::Recorded {
            return;
        }
        let (start, upto) = (self.blocks.start_of(block), self.blocks.block(block).upto);
        let end = start + u64::from(self.blocks.len_of(block));
        if !same {
            turn.tell(Event::Damaged { bytes: u64::from(upto) });
            self.distrust(block, "its bytes do not hash to what was recorded", turn);
            if withheld {
                self.free.give(start + u64::from(upto), end);
            }
            return;
        }
        self.blocks.trust(block, Trust::Checked);
        if withheld {
            self.free.give(start + u64::from(upto), end);
        }
    }

    /// A block that is needed for a comparison is read back before the others.
    pub(super) fn hurry(&mut self, block: u32) {
        if !self.settle.out.contains(&block) {
            self.settle.queue.push_front(block);
        }
    }

    /// Forgets what a block holds: its bytes are free again.
    pub(super) fn distrust(&mut self, block: u32, why: &str, turn: &mut Turn<'_>) {
        let start = self.blocks.start_of(block);
        let upto = self.forget(block, why, turn);
        self.free.give(start, start + u64::from(upto));
    }

    /// Forgets what a block holds, and says so in the journal. Whose its bytes are now is the caller's to say;
    /// returns how many they were.
    pub(super) fn forget(&mut self, block: u32, why: &str, turn: &mut Turn<'_>) -> u32 {
        let upto = self.blocks.forget(block);
        self.settle.dirty.remove(&block);
        if upto > 0 {
            self.note(Record::Invalid { first: block, count: 1, why: why.to_owned() }, turn);
            self.choose_stretches_anew(turn.limits.overlap);
        }
        self.adopted.1.remove(&block);
        upto
    }

    /// Something held was lost: what was to be compared must still be there.
    fn choose_stretches_anew(&mut self, len: u64) {
        let stretches = self.stretches(len);
        for source in self.sources.iter_mut().filter(|s| !s.proofs.is_empty()) {
            source.proofs = stretches.clone();
        }
    }

    /// Forgets every byte from `from` on: one stream will bring them again.
    pub(super) fn drop_from(&mut self, from: u64, turn: &mut Turn<'_>) {
        let beyond: Vec<u32> =
            self.blocks.held_blocks().map(|(i, _)| i).filter(|&i| self.blocks.start_of(i) >= from).collect();
        for block in beyond {
            self.blocks.forget(block);
            // Where a strong validator ties the stream to them the records stay true, and are worth a kill: what
            // they tell of is synced with the rest.
            if !self.is_strong() {
                self.settle.dirty.remove(&block);
                let why = "one answer brings everything again".to_owned();
                self.note(Record::Invalid { first: block, count: 1, why }, turn);
            }
        }
        self.forget_landed(from, turn);
        self.free.clear();
        self.choose_stretches_anew(turn.limits.overlap);
    }

    pub(super) fn on_compared(&mut self, id: LaneId, same: bool, turn: &mut Turn<'_>) {
        let Some(lane) = self.lanes.get(&id) else { return };
        let (source, purpose, start, from) = (lane.source, lane.purpose, lane.start, lane.answer_from);
        let total = lane.total;
        if !same {
            return self.on_difference(id, source, turn);
        }
        if purpose == Purpose::Prove {
            let compared = lane.end.saturating_sub(start);
            self.source(source).proofs.retain(|&(s, _)| s != start);
            if self.source(source).proofs.is_empty() {
                self.source(source).proven = true;
                self.believe(turn);
                // A mirror's word counts when something of it is joined.
                if source == self.lead && !self.is_strong() {
                    self.overlap = true;
                    self.mark_unproven(compared, turn);
                }
            }
        } else if from > 0 && !self.is_strong() {
            // From byte 0 on everything held was compared with one response: that joins nothing.
            self.mark_unproven(start.saturating_sub(from), turn);
        }
        if purpose == Purpose::Store {
            self.believe(turn);
        }
        if let (None, Some(total)) = (self.total(), total) {
            self.learn_total(total, turn);
        }
    }

    pub(super) fn mark_unproven(&mut self, compared: u64, turn: &mut Turn<'_>) {
        if self.spec.digest {
            return;
        }
        if self.spec.strict {
            self.failing.get_or_insert(Error::Unproven);
        } else if !self.unproven {
            self.note(Record::Unproven, turn);
            turn.tell(Event::Unproven { compared });
        }
        self.unproven = true;
    }

    /// The end of a body of unknown length was reached.
    pub(super) fn learn_total(&mut self, total: u64, turn: &mut Turn<'_>) {
        if total < self.last_held() || self.lanes.values().any(|l| l.stored > total) {
            return self.change(None, "it is shorter than what is held", turn);
        }
        let Some(identity) = &mut self.identity else { return };
        identity.total = Some(total);
        let identity = identity.clone();
        if let Some(own) = &mut self.source(self.lead).identity {
            own.total = Some(total);
        }
        self.blocks.set_total(total);
        self.free.cut(total);
        for lane in self.lanes.values_mut() {
            lane.end = lane.end.min(total);
        }
        // What nothing proves is not recorded: a later run must not take it for the server's word (R37).
        if !self.length_unknown {
            self.note(Record::Learnt(identity), turn);
        }
        let last = self.blocks.index_of(total);
        if !self.spec.stream && self.blocks.block(last).upto > 0 {
            self.note_block(last, turn);
        }
    }

    /// Everything is held: check what is left, then finish.
    pub(super) fn settle(&mut self, turn: &mut Turn<'_>) {
        let Some(total) = self.total().filter(|_| self.claimed.is_none()) else { return };
        if self.held() != total || !self.free.is_empty() || self.settle.awaits_prefixes() {
            return;
        }
        if !self.lanes.is_empty() {
            return self.close_all_but(None, turn);
        }
        if self.spec.stream && self.streamed != total {
            return; // The consumer has not taken all of it.
        }
        if self.spec.size.is_some_and(|size| size != total) {
            let url = self.sources[usize::from(self.lead.0)].url.clone();
            let failure = Failure::breach("R54", "it has another length than was said of it");
            self.failing.get_or_insert(Error::Source { url, failure });
            return;
        }
        // What this run stored needs no sync of its own now: the finish sequence syncs the whole part first.
        // Stretches that were to be compared matter no more: nothing was joined to them.
        if self.settle.is_quiet() && self.settle.queue.is_empty() {
            self.phase = Phase::Finishing;
            turn.say(Action::Finish { total });
        }
    }

    /// Ends all lanes and syncs, because the job is paused or failing; then says so.
    pub(super) fn rest(&mut self, turn: &mut Turn<'_>) {
        if matches!(self.phase, Phase::Finishing | Phase::Over) {
            return; // The finish sequence is not interrupted; it answers.
        }
        if self.rested {
            return self.give_up_if_failing(turn);
        }
        self.close_all_but(None, turn);
        let placing = matches!(self.phase, Phase::Placing { said: true, .. });
        if !self.lanes.is_empty() || placing || !self.settle.is_quiet() {
            return;
        }
        if !self.settle.dirty.is_empty() && !matches!(self.failing, Some(Error::Disk(_))) {
            return self.sync(turn);
        }
        self.rested = true;
        if self.failing.is_none() {
            turn.tell(Event::Paused);
        }
        self.give_up_if_failing(turn);
    }

    fn give_up_if_failing(&mut self, turn: &mut Turn<'_>) {
        if self.phase != Phase::Over
            && let Some(error) = self.failing.take()
        {
            self.phase = Phase::Over;
            turn.say(Action::Fail(error));
        }
    }

    pub(super) fn on_finished(&mut self, result: Result<(), Failure>, turn: &mut Turn<'_>) {
        if self.phase != Phase::Finishing {
            return;
        }
        if let Err(failure @ Failure::Digest { .. }) = &result
            && (self.adopted_again(turn) || self.try_another(failure, turn))
        {
            return;
        }
        self.phase = Phase::Over;
        match result {
            Ok(()) => turn.tell(Event::Verified),
            Err(Failure::Digest { want, got }) => turn.say(Action::Fail(Error::Digest { want, got })),
            Err(Failure::Signature(why)) => turn.say(Action::Fail(Error::Signature(why))),
            Err(failure) => turn.say(Action::Fail(disk_error(failure))),
        }
    }

    pub(super) fn fail_on_disk(&mut self, failure: Failure) {
        self.failing.get_or_insert(disk_error(failure));
    }
}

fn disk_error(failure: Failure) -> Error {
    match failure {
        Failure::Disk(fault, why) => Error::Disk((fault, why)),
        other => Error::Disk((DiskFault::Io, other.to_string())),
    }
}
