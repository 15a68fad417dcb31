//! Who fetches what: free ranges to new lanes, cuts to idle ones, late ranges to other hands.

use std::time::Duration;

use super::{Job, Phase, Turn};
use crate::failure::Failure;
use crate::hosts::host_of;
use crate::identity::{Condition, Identity};
use crate::lanes::{Lane, Purpose, State};
use crate::limits::Limits;
use crate::machine::{Action, Ask, LaneId, SourceId};
use crate::source::Ranges;

/// A range is late when it will take so many times as long as by who would take it over.
const LATE: f64 = 2.0;

/// ... while there is other work: then a lane must be far below its siblings before another takes its place.
const FAR_BELOW: f64 = 8.0;

/// What each lane would have to do if all were as fast is asked for in so many requests where the number of lanes is found by
/// measuring: who is slow asks for fewer of them. Else it must be cut, which costs a connection and what is under way to it.
const REQUESTS: f64 = 4.0;

/// ... as long as each brings this many times what a new connection costs.
const WORTH: f64 = 2.0;

/// How often the time is doubled that a range is given before it is handed over once more.
const PATIENCE_MAX: u32 = 8;

impl Job {
    pub(super) fn assign(&mut self, turn: &mut Turn<'_>) {
        if self.settle.awaits_prefixes() {
            return;
        }
        if let Some(failure) = self.sources[usize::from(self.lead.0)].dead.clone()
            && !self.follow_another(turn)
        {
            self.failing = Some(self.loss_of(self.lead, failure));
            return;
        }
        self.enlist_mirrors(turn.limits.overlap);
        self.follow_on(turn);
        for _ in 0..=self.may_have(turn.limits) {
            let full = self.may_have(turn.limits) <= self.lanes.len() as u32;
            if full || self.failing.is_some() || self.phase != Phase::Running {
                return;
            }
            let Some((source, slots)) = self.choose_source(turn) else { return self.rescue(turn) };
            if self.prove(source, turn) {
                continue;
            }
            if !self.sources[usize::from(source.0)].proofs.is_empty() {
                return;
            }
            if let Some(range) = self.next_range(source, slots, turn) {
                if !self.open_store(source, range, turn) {
                    return;
                }
            } else if (self.free.is_empty() || self.is_ordered()) && !self.cut(source, slots, turn) {
                return self.hand_over(source, LATE, turn);
            } else {
                return;
            }
        }
    }

    /// What becomes of lanes that have brought their range while their messages go on. One goes on where the next byte
    /// is free. Where its link seems to work once, it reads through held bytes as well, to the next that is missing:
    /// nobody else can be sent for it. While the others are neither answered nor refused, that is not known, and what
    /// they were sent for may lie between.
    fn follow_on(&mut self, turn: &mut Turn<'_>) {
        let rested = self.lanes.iter().filter_map(|(&id, lane)| match lane.state {
            State::Rested(since) => Some((id, since)),
            _ => None,
        });
        for (id, since) in rested.collect::<Vec<_>>() {
            let Some(lane) = self.lanes.get(&id) else { continue };
            let (source, end, reach) = (&self.sources[usize::from(lane.source.0)], lane.end, lane.reach);
            let next = self.free.next_from(end).filter(|&(start, _)| start < reach);
            let open = self.lanes.values().any(|l| l.source == lane.source && !l.is_serving());
            let patience = turn.limits.tick * 10 + Duration::from_secs_f64(3.0 * self.usual.setup);
            let waits = open && source.answers < 2 && turn.now < since + patience;
            let wanted =
                self.spec.lanes.is_some() || self.lanes.len() < 2 || turn.hosts.wants_all(&lane.host);
            match next {
                Some((start, stop)) if (start == end && wanted) || (!waits && source.works_once()) => {
                    let all = (start, stop.min(self.blocks.boundary(reach)));
                    // It waits for the window. What is below it was its own, or is somebody's, so that it is in nobody's way.
                    let Some((start, stop)) = self.clip(all, turn.limits) else { continue };
                    self.free.take(start, stop);
                    if let Some(lane) = self.lanes.get_mut(&id) {
                        lane.resume((start, stop), turn.now);
                    }
                    self.take(id, turn);
                }
                _ if waits => {}
                _ => self.close(id, turn),
            }
        }
    }

    /// A mirror whose bytes were not compared yet is compared as soon as something is held.
    /// Comparing proves nothing, so a strict job joins no mirror.
    fn enlist_mirrors(&mut self, len: u64) {
        if self.claimed.is_some() {
            return; // No mirror is judged by bytes that nobody proved.
        }
        let least = if self.sources[usize::from(self.lead.0)].dead.is_some() { 1 } else { len };
        if self.sources.len() < 2 || self.held() < least || self.is_alone() {
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

    /// No mirror can be joined to what is held: nothing could prove it, or nothing could be compared.
    pub(super) fn is_alone(&self) -> bool {
        self.spec.stream || self.solo || (self.spec.strict && !self.spec.digest)
    }

    /// The usable source with the fewest lanes whose host has room for more, and for how many.
    fn choose_source(&mut self, turn: &mut Turn<'_>) -> Option<(SourceId, u32)> {
        self.usable(turn).into_iter().find_map(|id| {
            if !self.host_allows(id, turn) {
                return None;
            }
            let slots = self.slots(&self.sources[usize::from(id.0)].host(), turn);
            self.crowded |= slots == 0;
            (slots > 0).then_some((id, slots))
        })
    }

    /// Where the number of lanes is found by measuring, one lane more than pays may take over from another: who is far
    /// slower than its siblings keeps nobody else's place.
    fn rescue(&mut self, turn: &mut Turn<'_>) {
        if self.spec.lanes.is_some() || self.lanes.values().any(|lane| lane.victim.is_some()) {
            return;
        }
        let reading = self.lanes.values().filter(|lane| lane.is_reading()).count();
        let times = match (self.lanes.len(), reading) {
            (1, 1) if self.free.is_empty() => LATE,
            (_, 3..) => FAR_BELOW,
            _ => return,
        };
        let source = self.usable(turn).into_iter().find(|&id| self.host_allows(id, turn));
        if let Some(source) = source {
            self.hand_over(source, times, turn);
        }
    }

    /// Sources that may be asked now, those with the fewest lanes first.
    fn usable(&self, turn: &Turn<'_>) -> Vec<SourceId> {
        let mut usable: Vec<(usize, SourceId)> = Vec::new();
        let only = self.only.filter(|only| self.sources[usize::from(only.0)].dead.is_none());
        for (index, source) in self.sources.iter().enumerate() {
            let id = SourceId(index as u16);
            if only.is_some_and(|only| only != id) {
                continue;
            }
            let lanes = self.lanes.values().filter(|l| l.source == id).count();
            let proven = source.proven && source.is_strong();
            let joins = proven || (!source.proofs.is_empty() && !source.proven);
            let stands = match id == self.lead {
                true => source.ranges != Ranges::No || self.lanes.is_empty(),
                false => joins && source.may_range(),
            };
            let proving = self.lanes.values().any(|l| l.source == id && l.purpose == Purpose::Prove);
            let alone = (source.offline || source.answers == 0) && lanes > 0;
            if stands && !alone && !proving && source.is_ready(turn.now) {
                usable.push((lanes, id));
            }
        }
        usable.sort();
        usable.into_iter().map(|(_, id)| id).collect()
    }

    /// Whether the host a source leads to may be asked now. One that wants to be left alone for longer than is
    /// waited ends the source, once none of its lanes is left.
    pub(super) fn host_allows(&mut self, id: SourceId, turn: &mut Turn<'_>) -> bool {
        let source = &self.sources[usize::from(id.0)];
        let (asked, answers) = (host_of(source.asked_at()), source.host());
        let hold = [&asked, &answers].into_iter().filter_map(|host| turn.hosts.hold_of(host)).max();
        if let Some((until, status)) = hold
            && until > turn.now
        {
            let wait = until - turn.now;
            if wait > turn.limits.retry_after_max && self.lanes.values().all(|l| l.source != id) {
                self.drop_source(id, Failure::Status { status, retry_after: Some(wait) }, turn);
            }
            self.crowded = true;
            return false;
        }
        let allows = turn.hosts.allows(&answers, turn.now, turn.limits);
        self.crowded |= !allows;
        allows
    }

    /// Opens a lane that compares, if the source owes a comparison and there is a use for it.
    fn prove(&mut self, id: SourceId, turn: &mut Turn<'_>) -> bool {
        let Some(&stretch) = self.source(id).proofs.first() else { return false };
        if id == self.lead {
            if self.free.is_empty() && self.claimed.is_none() {
                return false;
            }
            if !self.source(id).may_range() {
                // A single stream from byte 0 compares everything held on its way.
                self.source(id).proofs.clear();
                self.overlap = true;
                return self.keep_first_claim(turn);
            }
        }
        if self.total() == Some(self.held()) && self.claimed.is_none() {
            return false;
        }
        if let Some(block) = self.blocks.unread(stretch.0, stretch.1) {
            self.hurry(block);
            return false;
        }
        let lane = self.open(id, stretch, Some((stretch.0, Some(stretch.1))), turn);
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.purpose = Purpose::Prove;
        }
        true
    }

    /// A piece of what is free: the lowest gap for one lane, else a fair share of the largest, or a part of one. The first
    /// lane of a run begins below everything that is missing, so that its message brings all of it.
    fn next_range(&self, id: SourceId, slots: u32, turn: &Turn<'_>) -> Option<(u64, u64)> {
        if self.is_ordered() {
            return self.clip(self.free.lowest()?, turn.limits);
        }
        if self.may_have(turn.limits) == 1 {
            return self.free.lowest();
        }
        let met = self.sources[usize::from(id.0)].answers > 0;
        let (start, end) = if met { self.free.largest()? } else { self.free.lowest()? };
        let len = (end - start) as f64;
        let shares = len / self.fair(slots);
        let host = self.sources[usize::from(id.0)].host();
        let (pieces, least) = if self.spec.lanes.is_some() || turn.hosts.is_opening(&host) {
            // What a cut gave for some of the slots is not divided among all of them.
            let own = f64::from(slots) * len / self.free.bytes().max(1) as f64;
            (own.min(shares), 2 * self.blocks.size())
        } else {
            let requests = if turn.hosts.counts(&host) { 1.0 } else { REQUESTS };
            (requests * shares, self.blocks.size().max((WORTH * self.cost()) as u64))
        };
        let pieces = pieces.min((len / least as f64).floor()).round().max(1.0);
        Some((start, self.blocks.boundary(start + (len / pieces).ceil() as u64).min(end)))
    }

    /// What each lane would have to do if all had as much to do, with `slots` more lanes, in bytes.
    fn fair(&self, slots: u32) -> f64 {
        (self.left() as f64 / f64::from(self.lanes.len() as u32 + slots)).max(1.0)
    }

    /// Bytes that are yet to be read, as far as is known.
    pub(super) fn left(&self) -> u64 {
        let owned: u64 = self.lanes.values().filter(|l| l.end != u64::MAX).map(Lane::remaining).sum();
        owned.saturating_add(self.free.bytes())
    }

    /// Opens a lane for a free range. False if something must be read back first, to be compared.
    fn open_store(&mut self, id: SourceId, (start, end): (u64, u64), turn: &mut Turn<'_>) -> bool {
        let source = &self.sources[usize::from(id.0)];
        let (unranged, whole, met) = (source.unranged, !source.may_range(), source.answers > 0);
        let overlap = self.window(id, turn.limits.overlap);
        if overlap > 0 || (whole && !self.spec.stream) {
            let compared =
                if whole { (0, self.blocks.held_until(0)) } else { (start.saturating_sub(overlap), start) };
            if let Some(block) = self.blocks.unread(compared.0, compared.1) {
                self.hurry(block);
                return false;
            }
        }
        let bound = self.longest(&source.host(), turn);
        let end = if self.may_have(turn.limits) > 1 && bound > 4 * self.blocks.size() && end != u64::MAX {
            self.blocks.boundary(start.saturating_add(bound)).min(end)
        } else {
            end
        };
        let ranged = !unranged && (end != u64::MAX || start > 0);
        // A link that works once must not give a share in the middle, and refuse the others.
        let alone = self.may_have(turn.limits) == 1;
        let goes_on = self.is_ordered() && alone;
        let asked = if (met || alone) && !goes_on { Some(end) } else { self.total() };
        let last = asked.filter(|&asked| asked != u64::MAX);
        let range = ranged.then_some((start.saturating_sub(overlap), last));
        self.free.take(start, end);
        self.open(id, (start, end), range, turn);
        true
    }

    /// How many bytes before a range are asked along, to be compared with what is held there.
    pub(super) fn window(&self, id: SourceId, overlap: u64) -> u64 {
        if !self.overlap || self.spec.stream {
            return 0;
        }
        // It must leave room for something new in an answer that gives less than was asked.
        self.sources[usize::from(id.0)].grant.map_or(overlap, |grant| overlap.min(grant / 2))
    }

    /// Says `Open`, with the validator that is held of the source.
    pub(super) fn open(
        &mut self,
        id: SourceId,
        owns: (u64, u64),
        range: Option<(u64, Option<u64>)>,
        turn: &mut Turn<'_>,
    ) -> LaneId {
        let identity = self.source(id).identity.clone();
        // Before anything is held of it, and of the source alone that told the validators (R53).
        let about = self.spec.unless.as_ref().filter(|_| self.phase == Phase::First && id == SourceId(0));
        let unless = about.map_or(Condition::None, Identity::unless);
        let source = self.source(id);
        let condition = match identity {
            Some(identity) if range.is_some() && !source.plain => identity.condition(),
            Some(_) => Condition::None,
            None => unless,
        };
        let ask = Ask { range, condition, fresh: std::mem::take(&mut source.fresh) };
        let url = source.asked_at().to_owned();
        let given_for = source.given_for.clone();
        let host = source.host();
        turn.hosts.opened(&host);
        let lane = LaneId(*turn.next_lane);
        *turn.next_lane += 1;
        self.lanes.insert(lane, Lane::new(id, host, url.clone(), ask.clone(), owns, turn.now));
        turn.say(Action::Open { lane, source: id, url, given_for, ask });
        lane
    }

    /// An idle slot takes the later part of the range that would finish last. True if a cut is under way.
    fn cut(&mut self, source: SourceId, slots: u32, turn: &mut Turn<'_>) -> bool {
        if self.lanes.values().any(|l| l.narrowing) {
            return true;
        }
        let candidate = self
            .lanes
            .iter()
            .filter(|(_, l)| l.is_reading() && l.purpose == Purpose::Store && l.end != u64::MAX)
            .filter(|(id, _)| !self.lanes.values().any(|l| l.victim == Some(**id)))
            .filter(|(_, l)| self.holds_up(l) && !l.is_held(turn.now, turn.limits))
            .filter(|(_, l)| l.asked_to_narrow.is_none_or(|at| turn.now >= at + turn.limits.tick))
            .max_by(|a, b| self.time_left(a.1).total_cmp(&self.time_left(b.1)));
        let Some((&id, lane)) = candidate else { return false };
        let host = self.sources[usize::from(source.0)].host();
        let rate = self.rate_at(source);
        let other = if rate > 0.0 { rate } else { 1.0 };
        // Of who has brought nothing yet nothing is known: to take all of it would ask the same again, and again.
        let told = self.usual.rate > 0.0 && turn.now > lane.begun + turn.limits.tick;
        let own = if told && lane.read > lane.start { lane.rate() } else { other };
        let opening = self.spec.lanes.is_none() && turn.hosts.is_opening(&host);
        // What comes beyond its end is lost, and the more the later it ends.
        let own = if opening { 0.0 } else { own };
        let left = lane.remaining() as f64;
        let worth = self.worth(1.0, turn) as f64;
        // One lane that has much more to do than the others is cut into as many pieces as there are idle slots, if each
        // is worth it.
        let fair = self.fair(slots).max(worth);
        let idle = (left / fair - 1.0).floor().clamp(1.0, f64::from(slots));
        let keep = left * own / (own + idle * other);
        let keep = match self.spec.lanes {
            None if opening => 1.0,
            // Lanes that are tried get no more than they can bring while they are judged.
            None => {
                let piece = (self.longest(&host, turn) as f64).max(worth) + self.blocks.size() as f64;
                keep.max(left - idle * piece)
            }
            Some(_) => keep,
        };
        let most = if self.is_ordered() { self.piece(turn.limits) } else { u64::MAX };
        let end = self.blocks.boundary(lane.read.max(lane.start) + (keep as u64).min(most));
        let give = lane.end.saturating_sub(end);
        if end >= lane.due || give < self.worth(idle, turn) || (own >= other && keep < worth) {
            return false;
        }
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.narrowing = true;
            turn.say(Action::Narrow { lane: id, end });
        }
        true
    }

    /// What a new lane at this source would bring in bytes a second: of several sources one may be far from what is usual,
    /// which most lanes say. 0 while nobody knows.
    fn rate_at(&self, id: SourceId) -> f64 {
        let known = self.sources[usize::from(id.0)].rate.filter(|_| self.sources.len() > 1);
        known.unwrap_or(self.usual.rate)
    }

    /// Seconds until a lane would finish; a silent lane never does.
    fn time_left(&self, lane: &Lane) -> f64 {
        let rate = if lane.rate() > 0.0 { lane.rate() } else { self.usual.rate.min(1.0) };
        lane.remaining() as f64 / rate.max(1e-3)
    }

    /// The least bytes worth a cut: `cut_worth` times what a new connection and the bytes in flight cost,
    /// at least one block a lane.
    fn worth(&self, lanes: f64, turn: &Turn<'_>) -> u64 {
        let least = (self.cost() * f64::from(turn.limits.cut_worth)).max(self.blocks.size() as f64);
        (least * lanes) as u64
    }

    /// What a new connection and the bytes in flight cost, in bytes.
    fn cost(&self) -> f64 {
        self.usual.rate * self.usual.setup + 65_536.0
    }

    /// A late range that is not worth a cut is asked for a second time by an idle slot; whoever is there first
    /// has it. Only against siblings, never a lane alone (R68). `times`: see [`LATE`].
    fn hand_over(&mut self, source: SourceId, times: f64, turn: &mut Turn<'_>) {
        if !self.usual.compares() || self.may_have(turn.limits) == 1 {
            return;
        }
        let tick = turn.limits.tick.as_secs_f64();
        let (patience, rate) = (self.patience(turn.limits), self.rate_at(source));
        let late = self.lanes.iter().filter(|(id, lane)| {
            let fair = lane.remaining() as f64 / rate + self.usual.setup;
            let waited = turn.now.saturating_duration_since(lane.tried.unwrap_or(lane.opened)).as_secs_f64();
            // Who has brought nothing yet may be no slower than whoever comes next: that one is given twice as long.
            let doubled = if lane.read > lane.start { 0 } else { lane.handed.min(PATIENCE_MAX) };
            let patience = patience * f64::from(1u32 << doubled);
            lane.purpose == Purpose::Store
                && self.holds_up(lane)
                && lane.end != u64::MAX
                && lane.victim.is_none()
                && !lane.is_held(turn.now, turn.limits)
                && !self.lanes.values().any(|l| l.victim == Some(**id))
                && match lane.is_reading() {
                    true => waited > patience && self.time_left(lane) > times * fair + 2.0 * tick,
                    false => lane.is_asking() && waited > times * self.usual.setup + patience,
                }
        });
        let worst = late
            .max_by(|a, b| self.time_left(a.1).total_cmp(&self.time_left(b.1)))
            .map(|(&id, l)| (id, l.clone()));
        let Some((victim, lane)) = worst else { return };
        // The connection that was used last was fast until just now. Where that did not help, a new one is tried.
        self.source(source).fresh = lane.handed > 0;
        let range = Some((lane.stored, Some(lane.end)));
        let heir = self.open(source, (lane.stored, lane.end), range, turn);
        let handed = lane.handed + 1;
        if let Some(heir) = self.lanes.get_mut(&heir) {
            (heir.victim, heir.handed) = (Some(victim), handed);
        }
        if let Some(lane) = self.lanes.get_mut(&victim) {
            (lane.handed, lane.tried) = (handed, Some(turn.now));
        }
    }

    /// A used connection may have died without a word: an heir that gets no answer over it makes room for another.
    pub(super) fn end_silent_heirs(&mut self, turn: &mut Turn<'_>) {
        let patience = self.patience(turn.limits) + LATE * self.usual.setup;
        let silent = self.lanes.iter().filter(|(_, lane)| {
            let waited = turn.now.saturating_duration_since(lane.opened).as_secs_f64();
            lane.victim.is_some() && lane.is_asking() && !lane.ask.fresh && waited > patience
        });
        for id in silent.map(|(&id, _)| id).collect::<Vec<_>>() {
            self.close(id, turn);
        }
    }

    /// Seconds that a lane is given before it is found late.
    fn patience(&self, limits: &Limits) -> f64 {
        3.0 * limits.tick.as_secs_f64() + 3.0 * self.usual.setup
    }
}
