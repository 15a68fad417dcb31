//! How fast lanes are, how many there may be, and how much each is given at a time.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Job, Turn};
use crate::auto::Decision;
use crate::event::{Event, Why};
use crate::lanes::{Lane, Purpose};
use crate::limits::Limits;
use crate::machine::{Action, LaneId};
use crate::source::Ranges;

/// Ticks that a lane is tried for.
const TRIED: u32 = 7;

/// A lane that brings nothing and has more to do than this, in ticks, is sent off.
const LONG: f64 = 20.0;

/// What is over a long way brought by several lanes from the beginning: less is there as soon over one, and of more there is
/// time to find out how many pay.
const A_FEW_MIB: RangeInclusive<u64> = 4 << 20..=16 << 20;

impl Job {
    /// Lanes this job may have open: one where joins need comparing or ranges do not work.
    pub(super) fn may_have(&self, limits: &Limits) -> u32 {
        if self.is_single() { 1 } else { self.spec.lanes.unwrap_or(limits.auto_lanes).max(1) }
    }

    /// It takes one lane, whatever is allowed.
    pub(super) fn is_single(&self) -> bool {
        let ranged = self.sources.iter().any(|s| s.dead.is_none() && s.ranges != Ranges::No);
        let one = !self.is_strong() || self.coded || self.total().is_none() || !ranged;
        // After two generations that flip, one lane at one address sees one version.
        one || self.generations >= 3 || (self.spec.stream && self.fickle)
    }

    /// Lanes that may be opened now at a host.
    pub(super) fn slots(&self, host: &str, turn: &Turn<'_>) -> u32 {
        let slots = self.may_have(turn.limits).saturating_sub(self.lanes.len() as u32);
        if self.spec.lanes.is_some() {
            return slots;
        }
        // Each download has one lane at each of its hosts, whatever pays.
        let first = !self.lanes.values().any(|lane| lane.host == host);
        slots.min(turn.hosts.room(host).max(u32::from(first)))
    }

    /// The longest range a lane is given: about half a minute of the usual rate, so that most ranges end by themselves
    /// and their connection is used again. A first lane beside one gets no more than it is tried for: if it brings
    /// nothing, the other one goes on as if nothing had been.
    pub(super) fn longest(&self, host: &str, turn: &Turn<'_>) -> u64 {
        let most = turn.limits.range_time;
        let tried = self.spec.lanes.is_none() && !turn.hosts.pays(host);
        let time = if tried { most.min(turn.limits.tick * TRIED) } else { most };
        (self.usual.rate * time.as_secs_f64()) as u64
    }

    /// Speeds are measured once a tick.
    pub(super) fn measure(&mut self, turn: &mut Turn<'_>) {
        if turn.now < self.measured + turn.limits.tick {
            return;
        }
        self.measured = turn.now;
        let mut rates = Vec::new();
        for lane in self.lanes.values_mut().filter(|l| l.is_reading()) {
            lane.measure(turn.now);
            rates.push(lane.rate());
            if lane.rate() > 0.0 {
                self.sources[usize::from(lane.source.0)].brought(lane.rate());
            }
        }
        self.end_silent_heirs(turn);
        rates.sort_by(f64::total_cmp);
        if let Some(&median) = rates.get(rates.len() / 2)
            && median > 0.0
        {
            self.usual.measured(median, rates.len(), turn.now, turn.limits);
        }
        if self.spec.lanes.is_none() && self.may_have(turn.limits) > 1 {
            self.look_at_hosts(turn);
        }
    }

    /// Lets each host's controller decide, and tells what it decided.
    fn look_at_hosts(&mut self, turn: &mut Turn<'_>) {
        let mut hosts: Vec<String> = self.lanes.values().map(|lane| lane.host.clone()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        let left = self.left() as f64;
        for host in hosts {
            let held = self.lanes.values().any(|l| l.host == host && l.is_held(turn.now, turn.limits));
            let Some(decision) = turn.hosts.look(&host, (held, left), turn.now, turn.limits) else {
                continue;
            };
            if decision.why == Why::Useless && decision.before.0 == 1 {
                self.send_off(&host, decision.before.0.abs_diff(decision.after.0), turn);
            }
            turn.tell(told(host, decision));
        }
    }

    /// Packets of a lane were lost: its host may need many.
    pub(super) fn on_lost(&mut self, id: LaneId, round_trip: Duration, turn: &mut Turn<'_>) {
        let Some(lane) = self.lanes.get(&id).filter(|lane| lane.is_reading()) else { return };
        if self.spec.lanes.is_some() || self.may_have(turn.limits) == 1 {
            return;
        }
        let known = (lane.is_held(turn.now, turn.limits), self.left() as f64);
        if let Some(decision) = turn.hosts.lost(&lane.host, round_trip, known, turn.now, turn.limits) {
            turn.tell(told(lane.host.clone(), decision));
        }
    }

    /// A first lane begins to read: over a long way others begin beside it, if it has a few MiB to bring.
    pub(super) fn begin_at_once(&self, lane: &Lane, turn: &mut Turn<'_>) {
        let free = self.spec.lanes.is_none() && self.may_have(turn.limits) > 1 && !self.is_ordered();
        if free
            && lane.purpose == Purpose::Store
            && A_FEW_MIB.contains(&lane.remaining())
            && let Some(decision) = turn.hosts.begin_at_once(&lane.host)
        {
            turn.tell(told(lane.host.clone(), decision));
        }
    }

    /// The newest lanes of a host bring nothing that the one before would not: they keep the blocks they have begun, and
    /// what else they had is free. On a narrow line a range could take them minutes, at the cost of whoever shares it.
    fn send_off(&mut self, host: &str, lanes: u32, turn: &mut Turn<'_>) {
        let heirs: Vec<LaneId> = self.lanes.values().filter_map(|lane| lane.victim).collect();
        let long = LONG * turn.limits.tick.as_secs_f64();
        let of_host = self.lanes.iter_mut().rev().filter(|(_, lane)| lane.host == host);
        for (&id, lane) in of_host.take(lanes as usize) {
            let end = self.blocks.boundary(lane.read.max(lane.start) + 1);
            if lane.is_reading()
                && lane.purpose == Purpose::Store
                && !lane.narrowing
                && end < lane.due
                && !heirs.contains(&id)
                && lane.remaining() as f64 > lane.rate() * long
            {
                lane.narrowing = true;
                turn.say(Action::Narrow { lane: id, end });
            }
        }
    }
}

/// A decision, as it is told.
fn told(host: String, Decision { wanted, why, before, after }: Decision) -> Event {
    let whole = |(lanes, rate): (u32, f64)| (lanes, rate as u64);
    Event::Lanes { host, lanes: wanted, why, before: whole(before), after: whole(after) }
}
