//! What each host (scheme, name, port) allows, shared by all downloads of a run (R33, R34).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::auto::{Auto, Decision, Now};
use crate::limits::Limits;
use crate::redirect::origin_of;

/// After this many stall times without a refusal a host is allowed one lane more.
const RECOVERY: u32 = 1;

/// Who is refused so few ticks after a lane ended may have been refused because of it.
const LINGERS: u32 = 2;

/// The host a URL leads to, as a key of the table. What is no http URL shares one entry: no lane to it ever opens.
pub(crate) fn host_of(url: &str) -> String {
    origin_of(url).unwrap_or_default()
}

/// A lane that is gone, as its host sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// It had not begun to read.
    Unserved,
    /// Its message was over.
    Over,
    /// Its message went on.
    Midway,
}

/// One host.
#[derive(Clone, Debug)]
struct Host {
    open: u32,
    /// Those that read a body.
    serving: u32,
    limit: u32,
    /// Until when the host asked to be left alone, and with which status.
    hold: Option<(Instant, u16)>,
    /// When the limit was last lowered or raised.
    moved: Option<Instant>,
    /// When a lane that was served last ended, and how.
    ended: Option<(Instant, Gone)>,
    /// The limit was found by a refusal; whoever serves more allows more.
    guessed: bool,
    /// How many lanes pay.
    auto: Auto,
}

impl Default for Host {
    fn default() -> Self {
        Host {
            open: 0,
            serving: 0,
            limit: u32::MAX,
            hold: None,
            moved: None,
            ended: None,
            guessed: false,
            auto: Auto::default(),
        }
    }
}

impl Host {
    /// What its controller is told of it.
    fn at(&self, at: Instant, (held, left): (bool, f64)) -> Now {
        Now { at, serving: self.serving, open: self.open, limit: self.limit, held, left }
    }

    /// Until when the place of the last lane that ended stays empty, at a host that is known to count: it may not have seen
    /// that end yet. Whose message was over has ended there as well, a moment before or after.
    fn rests_until(&self, limits: &Limits) -> Option<Instant> {
        let (at, gone) = self.ended.filter(|_| self.guessed)?;
        Some(at + if gone == Gone::Over { limits.report } else { limits.tick })
    }
}

/// All hosts of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts(BTreeMap<String, Host>);

impl Hosts {
    /// Counts a lane in. Every `opened` is paired with one `closed`.
    pub(crate) fn opened(&mut self, host: &str) {
        let host = self.0.entry(host.to_owned()).or_default();
        host.open += 1;
        host.auto.opened();
    }

    /// A lane is gone.
    pub(crate) fn closed(&mut self, host: &str, gone: Gone, now: Instant) {
        if let Some(host) = self.0.get_mut(host) {
            host.open = host.open.saturating_sub(1);
            if gone != Gone::Unserved {
                host.serving = host.serving.saturating_sub(1);
                host.auto.serves(host.serving, now);
                host.ended = Some((now, gone));
            }
        }
    }

    /// A lane begins to read.
    pub(crate) fn serves(&mut self, host: &str, now: Instant) {
        let host = self.0.entry(host.to_owned()).or_default();
        host.serving += 1;
        host.auto.serves(host.serving, now);
        if host.guessed {
            host.limit = host.limit.max(host.serving);
        }
    }

    /// A lane begins to bring a file of a few MiB, alone: over a long way others begin at once.
    pub(crate) fn begin_at_once(&mut self, host: &str) -> Option<Decision> {
        self.0.get_mut(host).filter(|host| host.open == 1)?.auto.begin_at_once()
    }

    /// A head came from it this long after it was asked for.
    pub(crate) fn answered(&mut self, host: &str, setup: Duration) {
        self.0.entry(host.to_owned()).or_default().auto.answered(setup);
    }

    /// Body bytes came from it.
    pub(crate) fn got(&mut self, host: &str, bytes: u64, now: Instant) {
        if let Some(host) = self.0.get_mut(host) {
            host.auto.got(bytes, now);
        }
    }

    /// Its first lane begins, over a long way.
    pub(crate) fn is_starting(&self, host: &str) -> bool {
        self.0.get(host).is_some_and(|host| host.open == 1 && host.auto.is_starting())
    }

    /// Packets of one of its lanes were lost.
    pub(crate) fn lost(
        &mut self,
        host: &str,
        round_trip: Duration,
        known: (bool, f64),
        now: Instant,
        limits: &Limits,
    ) -> Option<Decision> {
        let host = self.0.get_mut(host)?;
        host.auto.lost(round_trip, host.at(now, known), limits)
    }

    /// Whether it is time to try another number of lanes, or to judge those that were tried.
    /// `known`: whether a rate limit of ours keeps some of them waiting, and bytes that are yet to come.
    pub(crate) fn look(
        &mut self,
        host: &str,
        known: (bool, f64),
        now: Instant,
        limits: &Limits,
    ) -> Option<Decision> {
        let host = self.0.get_mut(host)?;
        host.auto.look(host.at(now, known), limits)
    }

    /// Several lanes are known to bring more than one.
    pub(crate) fn pays(&self, host: &str) -> bool {
        self.0.get(host).is_some_and(|host| host.auto.pays())
    }

    /// No more lanes are open than pay.
    pub(crate) fn wants_all(&self, host: &str) -> bool {
        self.0.get(host).is_none_or(|host| host.open <= host.auto.wanted())
    }

    /// Several lanes begin at once.
    pub(crate) fn is_opening(&self, host: &str) -> bool {
        self.0.get(host).is_some_and(|host| host.auto.at_once().is_some_and(|yet| yet > 0))
    }

    /// It was found to count: who ends there may be refused when it comes back.
    pub(crate) fn counts(&self, host: &str) -> bool {
        self.0.get(host).is_some_and(|host| host.guessed)
    }

    /// Lanes that would pay beside those that are open.
    pub(crate) fn room(&self, host: &str) -> u32 {
        let Some(host) = self.0.get(host) else { return 1 };
        let room = host.auto.wanted().saturating_sub(host.open);
        host.auto.at_once().map_or(room, |yet| room.min(yet))
    }

    /// Some lane gets its bytes from it.
    pub(crate) fn is_serving(&self, host: &str) -> bool {
        self.0.get(host).is_some_and(|h| h.serving > 0)
    }

    /// May another lane be opened now? `held_until` tells when time alone changes that.
    pub(crate) fn allows(&mut self, host: &str, now: Instant, limits: &Limits) -> bool {
        let Some(host) = self.0.get_mut(host) else { return true };
        if host.hold.is_some_and(|(until, _)| until > now) {
            return false;
        }
        host.hold = None;
        if host.moved.is_some_and(|at| now >= at + limits.stall * RECOVERY) {
            host.limit = host.limit.saturating_add(1);
            host.moved = Some(now);
        }
        let lingering = host.rests_until(limits).is_some_and(|until| now < until);
        host.open + u32::from(lingering) < host.limit
    }

    /// When a host may be asked again that asked to be left alone, or may not have seen the end of a lane.
    pub(crate) fn held_until(&self, host: &str, limits: &Limits) -> Option<Instant> {
        let host = self.0.get(host)?;
        host.hold.map(|(until, _)| until).max(host.rests_until(limits))
    }

    /// The end of a host's hold, if it asked for one, and the status that came with it.
    pub(crate) fn hold_of(&self, host: &str) -> Option<(Instant, u16)> {
        self.0.get(host).and_then(|h| h.hold)
    }

    /// A host refused one of several lanes: it allows as many as it serves. Where it serves none, half of those that
    /// are left, at least one (R34). Where one has just ended, whose end it may not have seen yet, it allows that one as well;
    /// and who is known to count says nothing new then, for several may have ended at once.
    /// Returns the new limit if it fell.
    pub(crate) fn refused(&mut self, host: &str, now: Instant, limits: &Limits) -> Option<u32> {
        let host = self.0.entry(host.to_owned()).or_default();
        // Several refusals of one burst are one refusal: the limit falls below what is open only once.
        if host.open == 0 || host.open >= host.limit {
            return None;
        }
        let lately = host.ended.is_some_and(|(at, _)| now < at + limits.tick * LINGERS);
        if lately && host.guessed {
            return None;
        }
        // At least one, and no more than the limit was, since fewer than that are open.
        let allowed = if host.serving > 0 { host.serving + u32::from(lately) } else { host.open.div_ceil(2) };
        if allowed >= host.limit {
            return None;
        }
        host.limit = allowed;
        host.moved = Some(now);
        host.guessed = true;
        host.auto.refused(host.limit, now, limits);
        Some(host.limit)
    }

    /// A host allows this many lanes at most (one-time links allow one).
    pub(crate) fn limit(&mut self, host: &str, lanes: u32, now: Instant) {
        let host = self.0.entry(host.to_owned()).or_default();
        host.limit = host.limit.min(lanes.max(1));
        host.moved = Some(now);
        host.guessed = false;
    }

    /// The host is left alone until `until`; a hold is never shortened (R33).
    pub(crate) fn hold(&mut self, host: &str, until: Instant, status: u16) {
        let host = self.0.entry(host.to_owned()).or_default();
        host.hold = Some(host.hold.map_or((until, status), |h| h.max((until, status))));
    }

    /// Every host counts exactly these lanes.
    pub(crate) fn audit(&self, lanes: &BTreeMap<String, u32>) -> Result<(), String> {
        for (name, host) in &self.0 {
            let there = lanes.get(name).copied().unwrap_or(0);
            if host.open != there {
                return Err(format!("{name} counts {} lanes, there are {there}", host.open));
            }
        }
        match lanes.keys().find(|name| !self.0.contains_key(*name)) {
            Some(name) => Err(format!("{name} is not in the table of hosts")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "some moment to count from")]
    fn moment() -> Instant {
        Instant::now()
    }

    /// A host that serves so many lanes, and has refused one more.
    fn counting(lanes: u32, now: Instant) -> Hosts {
        let mut hosts = Hosts::default();
        (0..=lanes).for_each(|_| hosts.opened("h"));
        (0..lanes).for_each(|_| hosts.serves("h", now));
        hosts.closed("h", Gone::Unserved, now);
        assert_eq!(hosts.refused("h", now, &Limits::default()), Some(lanes));
        hosts
    }

    #[test]
    fn a_host_serves_from_the_first_byte_of_a_lane_to_its_end() {
        let mut hosts = Hosts::default();
        hosts.opened("h");
        assert!(!hosts.is_serving("h"));
        hosts.serves("h", moment());
        assert!(hosts.is_serving("h"));
        hosts.closed("h", Gone::Midway, moment());
        assert!(!hosts.is_serving("h"));
    }

    #[test]
    fn r34_a_refusal_before_any_lane_is_served_halves_what_is_open_once_a_burst() {
        let (mut hosts, now) = (Hosts::default(), moment());
        assert_eq!(hosts.refused("h", now, &Limits::default()), None, "nothing is open");
        (0..5).for_each(|_| hosts.opened("h"));
        assert_eq!(hosts.refused("h", now, &Limits::default()), Some(3));
        assert_eq!(hosts.refused("h", now, &Limits::default()), None, "the same burst");
        assert!(!hosts.allows("h", now, &Limits::default()));
    }

    #[test]
    fn r34_a_host_that_refuses_allows_as_many_as_it_serves() {
        let (mut hosts, now) = (Hosts::default(), moment());
        (0..9).for_each(|_| hosts.opened("h"));
        (0..3).for_each(|_| hosts.serves("h", now));
        hosts.closed("h", Gone::Unserved, now);
        assert_eq!(hosts.refused("h", now, &Limits::default()), Some(3));
        hosts.serves("h", moment());
        assert!(!hosts.allows("h", now, &Limits::default()), "four are served, and eight are open");
        (0..5).for_each(|_| hosts.closed("h", Gone::Unserved, now));
        assert!(hosts.allows("h", now, &Limits::default()), "it serves a fourth: it allows four");
    }

    #[test]
    fn r34_a_lane_that_has_just_ended_may_be_why_another_is_refused() {
        let (now, limits) = (moment(), Limits::default());
        let mut hosts = counting(4, now);
        let refused_after = |hosts: &mut Hosts, wait: Duration| {
            hosts.closed("h", Gone::Midway, now);
            assert!(!hosts.allows("h", now + limits.tick / 2, &limits), "its place is not empty yet");
            let until = hosts.held_until("h", &limits).unwrap();
            assert!(until == now + limits.tick && hosts.allows("h", until, &limits));
            hosts.opened("h");
            hosts.closed("h", Gone::Unserved, now + wait);
            hosts.refused("h", now + wait, &limits)
        };
        assert_eq!(refused_after(&mut hosts, limits.tick), None, "it had not seen the end of the one before");
        hosts.opened("h");
        hosts.serves("h", now);
        assert_eq!(refused_after(&mut hosts, limits.tick * 2), Some(3), "it has seen that by now");
    }

    #[test]
    fn r34_lanes_that_end_at_once_lower_nothing_where_the_host_is_known_to_count() {
        let (now, limits) = (moment(), Limits::default());
        let mut hosts = counting(4, now);
        (0..3).for_each(|_| hosts.closed("h", Gone::Over, now));
        (0..3).for_each(|_| hosts.opened("h"));
        hosts.closed("h", Gone::Unserved, now + limits.tick);
        assert_eq!(hosts.refused("h", now + limits.tick, &limits), None);
    }

    #[test]
    fn the_place_of_a_lane_whose_message_was_over_is_free_in_a_moment() {
        let (now, limits) = (moment(), Limits::default());
        let mut hosts = counting(2, now);
        assert!(!hosts.allows("h", now, &limits));
        hosts.closed("h", Gone::Over, now);
        assert_eq!(hosts.held_until("h", &limits), Some(now + limits.report));
        assert!(!hosts.allows("h", now, &limits) && hosts.allows("h", now + limits.report, &limits));
    }

    #[test]
    fn r34_a_host_that_refuses_no_more_is_allowed_one_more_in_a_while() {
        let (mut hosts, now, limits) = (Hosts::default(), moment(), Limits::default());
        let while_ = limits.stall;
        hosts.opened("h");
        hosts.limit("h", 0, now);
        assert!(
            !hosts.allows("h", now + while_ - Duration::from_millis(1), &limits),
            "one at least, and no more"
        );
        assert!(hosts.allows("h", now + while_, &limits));
        hosts.opened("h");
        assert!(!hosts.allows("h", now + while_, &limits), "the next one takes as long again");
    }

    #[test]
    fn r33_a_hold_ends_at_its_moment_and_is_never_shortened() {
        let (mut hosts, now, limits) = (Hosts::default(), moment(), Limits::default());
        let second = Duration::from_secs(1);
        hosts.hold("h", now + 2 * second, 503);
        hosts.hold("h", now + second, 429);
        assert_eq!(hosts.hold_of("h"), Some((now + 2 * second, 503)));
        assert!(!hosts.allows("h", now + second, &limits) && hosts.allows("h", now + 2 * second, &limits));
    }

    #[test]
    fn the_audit_sees_a_lane_too_many_and_one_too_few() {
        let mut hosts = Hosts::default();
        hosts.opened("h");
        let lanes = |host: &str, count| BTreeMap::from([(host.to_owned(), count)]);
        assert_eq!(hosts.audit(&lanes("h", 1)), Ok(()));
        assert!(hosts.audit(&lanes("h", 2)).is_err() && hosts.audit(&BTreeMap::new()).is_err());
        hosts.opened("i");
        assert!(Hosts::default().audit(&lanes("i", 1)).is_err());
    }
}
