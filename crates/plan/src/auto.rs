//! How many lanes a host gets where nobody said: as many as pay (`-x auto`).
//!
//! One lane first. While the total is steady another is tried; lanes that bring more are kept and three times as
//! many are tried next, lanes that bring nothing are not replaced when their range ends. Everything is judged by
//! what came from the host in short windows of time; what one lane does says nothing. Only a file of a few MiB over a
//! long way, which would be over before anything is known, gets several lanes from the beginning; and where the first lane
//! over such a way loses packets, many are tried at once. It knows no ranges, and opens and closes nothing: it says how
//! many are wanted.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::event::Why;
use crate::limits::Limits;

/// Who brings this many times as much in two round trips as in the two before starts slowly: four times as much if all went
/// evenly. Where a queue has filled that holds as much as the way itself, it is not twice as much.
const STARTS: f64 = 2.5;

/// Over a way with a longer round trip than this lost packets are taken for those of a full queue: the ways of the earth are
/// shorter, and in a queue that others keep full each lane more is one that waits.
const ROUND_TRIP: Duration = Duration::from_millis(250);

/// Reports that are kept of how the first lane starts: some five seconds of them.
const REPORTS: usize = 256;

/// Windows that are kept: a judgement rests on two, a fall on all.
const WINDOWS: usize = 4;

/// A total that grows by more than this from one window to the next grows by itself (slow start doubles it in each
/// round trip), and says nothing of lanes.
const BY_ITSELF: f64 = 1.25;

/// Lanes that bring this share of what as many of the present ones do take nothing from them: the next step need not
/// wait for a steady total. Where every fourth is a slow one they bring a quarter less, and what they have not told yet is
/// missing.
const FREE: f64 = 0.6;

/// The same of the second lane in one window; in two, it is as others. On a full line it makes the first one lose packets,
/// and what waited for those comes at once: that looks like half as much again.
const SECOND: f64 = 0.7;

/// Lanes that bring less than this share of the total bring nothing: so much it moves by itself.
const NOISE: f64 = 0.15;

/// A total below this share of what the same lanes once brought has fallen.
const FALLEN: f64 = 0.75;

/// A full line brings the same in each window. Where windows lie further apart than this, over their mean, packets are
/// lost, and what one lane more brings cannot be told.
const UNSTEADY: f64 = 0.25;

/// After lanes that paid this many times as many are tried: 1, 2, 8, 32, and then as many as there may be.
const STEP: u32 = 4;

/// Lanes that are tried at once where the first one has lost packets. Half as many leave a line empty that a thousandth of
/// the packets is lost on; twice as many are no sooner there, and what is under way to each is lost when it is cut.
const LOSSY: u32 = 32;

/// Windows that new lanes are given before they are found to bring nothing (a lane that starts slowly doubles in each),
/// and at most, while the total still grows.
const PATIENCE: (u32, u32) = (5, 15);

/// The first rest after a step that did not pay, in ticks; doubled each time. A lane that starts beside another on a full
/// line makes both lose packets, which costs the line more than a round trip.
const REST: u32 = 40;

/// Longest rest, in ticks.
const REST_MAX: u32 = 600;

/// From a request to its head over a new connection: two round trips, or three. Over a way this long a lane takes a second
/// to find out what it can bring, and one lost packet halves that for many seconds: a file of a few MiB is over before it
/// is known how many lanes pay. A longer time than the second is that of a full queue, in which others wait as well.
const LONG_WAY: Range<Duration> = Duration::from_millis(80)..Duration::from_millis(800);

/// What is over as soon as this does not ask over a long way whether another lane would pay: if the line is full, the
/// question itself costs it seconds there.
const FAR: Duration = Duration::from_secs(5);

/// Lanes that begin at once over a long way, beside the first: each brings an eighth of the file while it still starts
/// slowly, and together they ask no more of the line than one lane that had as long to grow.
const AT_ONCE: u32 = 8;

/// What is known of a host at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) at: Instant,
    /// Lanes that read a body.
    pub(crate) serving: u32,
    /// Those, and the ones that are on their way.
    pub(crate) open: u32,
    /// Lanes it allows, as far as is known.
    pub(crate) limit: u32,
    /// A rate limit of ours keeps some of them waiting.
    pub(crate) held: bool,
    /// Bytes that are yet to come.
    pub(crate) left: f64,
}

/// A decision, and what it rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Decision {
    pub(crate) wanted: u32,
    pub(crate) why: Why,
    /// Lanes, and bytes a second, before.
    pub(crate) before: (u32, f64),
    /// ... and with the lanes that were tried.
    pub(crate) after: (u32, f64),
}

/// What came over the first lane, and when.
#[derive(Clone, Debug, Default)]
struct Start(VecDeque<(Instant, u64)>);

impl Start {
    fn got(&mut self, bytes: u64, now: Instant) {
        if self.0.len() == REPORTS {
            self.0.pop_front();
        }
        self.0.push_back((now, bytes));
    }

    /// Who starts slowly brings in two round trips four times what came in the two before; on a full line every one brings
    /// the same. What is missing has kept all that follows it from coming, so that the last to come was before it.
    fn grew(&self, round_trip: Duration) -> bool {
        self.came(0..2, round_trip) > STARTS * self.came(2..4, round_trip)
    }

    /// Less came than in as long a time before, all of which is after the first bytes. Windows are no measure of it: a lone
    /// lane's may hold one burst of a way, or two.
    fn fell(&self, time: Duration) -> bool {
        let (Some(&(first, _)), Some(&(last, _))) = (self.0.front(), self.0.back()) else { return false };
        last - first > time * 2 && self.came(0..1, time) < FALLEN * self.came(1..2, time)
    }

    /// What came in so many times as long, counted back from the last of it.
    fn came(&self, times: Range<u32>, long: Duration) -> f64 {
        let Some(&(last, _)) = self.0.back() else { return 0.0 };
        let ages = long * times.start..long * times.end;
        let within = self.0.iter().filter(|&&(at, _)| ages.contains(&(last - at)));
        within.map(|&(_, bytes)| bytes as f64).sum()
    }
}

/// More lanes than before, to be judged.
#[derive(Clone, Copy, Debug)]
struct Trial {
    from: u32,
    base: f64,
    /// Windows since it began, and since the last of its lanes began to read.
    age: u32,
    settled: u32,
    /// Most that read at once.
    reached: u32,
}

/// The controller of one host.
#[derive(Clone, Debug)]
pub(crate) struct Auto {
    wanted: u32,
    /// Bytes since the window began.
    bytes: u64,
    began: Option<Instant>,
    /// When the last of them was told; `None` before the first.
    told: Option<Instant>,
    /// Totals of the last windows in bytes a second, the latest first.
    rates: [f64; WINDOWS],
    /// Windows since the last decision.
    age: u32,
    trial: Option<Trial>,
    /// Lanes that were found useless, and what came while they were there.
    given_up: Option<(u32, f64)>,
    rest: u32,
    again: Option<Instant>,
    /// What the lanes that were kept brought.
    best: f64,
    /// The time from the first request to its head, over a new connection, and the shortest.
    setup: Option<(Duration, Duration)>,
    /// Packets were lost while the first lanes started: what others brought while they started, fewer will not bring later.
    lossy: bool,
    start: Start,
    /// Several lanes begin at once, so many of them yet; until the total grows no more.
    opening: Option<u32>,
}

impl Default for Auto {
    fn default() -> Auto {
        Auto {
            wanted: 1,
            bytes: 0,
            began: None,
            told: None,
            rates: [0.0; WINDOWS],
            age: 0,
            trial: None,
            given_up: None,
            rest: REST,
            again: None,
            best: 0.0,
            setup: None,
            lossy: false,
            start: Start::default(),
            opening: None,
        }
    }
}

impl Auto {
    /// Lanes wanted now, over all downloads.
    pub(crate) fn wanted(&self) -> u32 {
        self.wanted
    }

    /// Several lanes are known to bring more than one.
    pub(crate) fn pays(&self) -> bool {
        self.lossy || self.trial.map_or(self.wanted, |trial| trial.from) > 1
    }

    /// Body bytes came. The first are no measure: a server that limits its rate gives some at once.
    pub(crate) fn got(&mut self, bytes: u64, now: Instant) {
        if self.told.is_some() {
            self.bytes = self.bytes.saturating_add(bytes);
        } else {
            self.began = self.began.map(|_| now);
        }
        self.told = Some(now);
        if self.is_untried() {
            self.start.got(bytes, now);
        }
    }

    /// Nothing was tried yet, over a long way: it is worth knowing whether packets are lost.
    pub(crate) fn is_starting(&self) -> bool {
        self.is_untried() && self.is_far()
    }

    /// Nothing was tried yet.
    fn is_untried(&self) -> bool {
        self.wanted == 1 && self.trial.is_none() && self.again.is_none()
    }

    /// A head came this long after it was asked for.
    pub(crate) fn answered(&mut self, setup: Duration) {
        let (first, shortest) = self.setup.unwrap_or((setup, setup));
        self.setup = Some((first, shortest.min(setup)));
    }

    /// A first lane begins to bring a file of a few MiB: over a long way others begin at once, before it is known whether
    /// they pay.
    pub(crate) fn begin_at_once(&mut self) -> Option<Decision> {
        if !self.is_starting() {
            return None;
        }
        (self.wanted, self.opening) = (1 + AT_ONCE, Some(AT_ONCE));
        let alone = (1, 0.0);
        Some(Decision { wanted: self.wanted, why: Why::Far, before: alone, after: alone })
    }

    /// Packets of a lane were lost. If it is the first, over a long way, and had not filled the line, it will be slow for
    /// long: many are tried before what comes falls.
    pub(crate) fn lost(&mut self, round_trip: Duration, now: Now, limits: &Limits) -> Option<Decision> {
        let first = self.is_starting() && now.open == 1;
        if !first || now.held || round_trip > ROUND_TRIP || !self.start.grew(round_trip) {
            return None;
        }
        self.lossy = true;
        let decision = self.try_many(1, now, limits, Why::Lost)?;
        (self.wanted, self.age) = (decision.wanted, 0);
        Some(decision)
    }

    /// Lanes that begin at once: so many yet. They are left alone while the total grows: who ends first takes nothing from
    /// the others, who would have it before a new lane had begun.
    pub(crate) fn at_once(&self) -> Option<u32> {
        self.opening
    }

    /// A lane was opened.
    pub(crate) fn opened(&mut self) {
        self.opening = self.opening.map(|yet| yet.saturating_sub(1));
    }

    /// The host refuses more than `limit`: what is tried beyond that is over.
    pub(crate) fn refused(&mut self, limit: u32, now: Instant, limits: &Limits) {
        self.wanted = self.wanted.min(limit.max(1));
        (self.trial, self.given_up, self.opening) = (None, None, None);
        self.put_off(now, limits);
    }

    /// One lane more, or less, reads now, which makes `serving`. A window that began with fewer lanes than are under
    /// trial says nothing.
    pub(crate) fn serves(&mut self, serving: u32, now: Instant) {
        if serving == 0 {
            // What was under trial cannot be judged.
            self.wanted = self.trial.take().map_or(self.wanted, |trial| trial.from.max(1));
            (self.began, self.told, self.age) = (None, None, 0);
        }
        if serving > 1 {
            // Who was to begin at once is on its way.
            self.opening = self.opening.map(|_| 0);
        }
        let more = self.trial.is_some_and(|trial| serving > trial.reached);
        if self.began.is_none() || more {
            (self.began, self.bytes) = ((serving > 0).then_some(now), 0);
        }
        if let Some(trial) = self.trial.as_mut().filter(|_| more) {
            (trial.reached, trial.settled) = (serving, 0);
        }
    }

    /// Looks at the total; a decision at most once a window.
    pub(crate) fn look(&mut self, now: Now, limits: &Limits) -> Option<Decision> {
        if self.opening == Some(0) && now.open * 4 <= AT_ONCE * 3 {
            // A quarter has ended: who has far to go is late.
            self.opening = None;
        }
        if !self.close_window(now, limits) {
            return None;
        }
        if now.held {
            self.stand_still();
            return None;
        }
        self.age += 1;
        if self.opening.is_some() {
            if self.age >= PATIENCE.0 && !self.grows(limits) {
                self.opening = None;
            }
            return None;
        }
        let decision = match self.trial.take() {
            Some(trial) => self.judge(trial, now, limits),
            None => self.regret(now).or_else(|| self.consider(now, limits)),
        }?;
        (self.wanted, self.age) = (decision.wanted, 0);
        Some(decision)
    }

    /// What comes is what a rate limit of ours lets through: it says nothing of lanes, and those there are suffice.
    fn stand_still(&mut self) {
        self.wanted = self.trial.take().map_or(self.wanted, |trial| trial.reached.max(1));
        (self.age, self.given_up, self.opening) = (0, None, None);
    }

    /// True once a window is full. One is as long as two round trips or about, so that what comes in bursts, one in each,
    /// is not taken for a rate, and a lane that starts slowly brings several times as much in each as in the one before.
    /// That of a lone lane ends when the last of its bytes was told: what came since is told in the next one, of which there
    /// is none before the first.
    fn close_window(&mut self, now: Now, limits: &Limits) -> bool {
        let Some(began) = self.began else { return false };
        // Looks come a little early and late, and the last lane of a trial begins a little after one: a window that lacks a
        // quarter is not made twice as long. The first one begins with the first report.
        let most = self.round_trips().clamp(limits.tick, limits.tick * 10);
        let length = if self.rates[0] > 0.0 { most * 3 / 4 } else { most / 2 };
        if now.at.saturating_duration_since(began) < length {
            return false;
        }
        let end = self.told.filter(|&told| now.serving == 1 && told > began).unwrap_or(now.at);
        self.rates.rotate_right(1);
        self.rates[0] = self.bytes as f64 / (end - began).as_secs_f64();
        (self.began, self.bytes) = (Some(end), 0);
        true
    }

    /// The mean of the last windows.
    fn mean(&self, windows: usize) -> f64 {
        self.rates[..windows].iter().sum::<f64>() / windows as f64
    }

    /// How far the last windows lie apart, over their mean.
    fn spread(&self) -> f64 {
        let most = self.rates.iter().copied().fold(0.0, f64::max);
        let least = self.rates.iter().copied().fold(f64::MAX, f64::min);
        (most - least) / self.mean(WINDOWS).max(1.0)
    }

    /// The total grows by itself. Over a long way what comes in a window may be the burst of one round trip or of two:
    /// there it must have stopped growing twice.
    fn grows(&self, limits: &Limits) -> bool {
        let grew = |window: usize| self.rates[window] > BY_ITSELF * self.rates[window + 1];
        grew(0) || (self.round_trips() > limits.tick && grew(1))
    }

    /// Over a long way what starts doubles in each round trip until the line is full, and stays so. If it falls instead,
    /// packets were lost on the way: each lane will be slow for long, and few fill the line. Not every system tells of them.
    fn has_lost(&self) -> bool {
        self.is_starting() && self.start.fell(self.round_trips())
    }

    fn is_far(&self) -> bool {
        self.setup.is_some_and(|(first, _)| LONG_WAY.contains(&first))
    }

    /// Two round trips or about.
    fn round_trips(&self) -> Duration {
        self.setup.map_or(Duration::ZERO, |(first, shortest)| first.min(shortest * 2))
    }

    /// Fewer lanes bring less, though those that are gone seemed to bring nothing: back to them.
    fn regret(&mut self, now: Now) -> Option<Decision> {
        let (lanes, rate) = self.given_up?;
        let less = self.mean(2);
        let fewer = f64::from(now.serving) < f64::from(lanes) * (1.0 - NOISE);
        if self.age < 2 || !fewer || less >= rate * (1.0 - NOISE) {
            return None;
        }
        self.given_up = None;
        self.best = rate;
        let (before, after) = ((lanes, rate), (now.serving, less));
        Some(Decision { wanted: lanes.min(now.limit), why: Why::Missed, before, after })
    }

    /// Nothing is tried: is it time to?
    fn consider(&mut self, now: Now, limits: &Limits) -> Option<Decision> {
        if self.again.is_none() {
            // Nothing was tried yet. Each download has one lane, and what the first ones bring at best is not forgotten.
            self.wanted = self.wanted.max(now.serving);
            self.best = self.best.max(self.mean(2));
        }
        let from = now.serving;
        if self.again.is_none() && from >= self.wanted && self.has_lost() {
            self.lossy = true;
            return self.try_many(from, now, limits, Why::Fallen);
        }
        if self.age < 2 || self.grows(limits) || now.open > now.serving {
            return None;
        }
        if self.mean(2) < FALLEN * self.best && from >= self.wanted {
            self.lossy = false;
            return self.try_many(from, now, limits, Why::Fallen);
        }
        // Fewer than are wanted: there is nothing left for more. More: those that are not wanted have not ended.
        if from != self.wanted || self.again.is_some_and(|at| now.at < at) {
            return None;
        }
        if self.is_far() && now.left < self.mean(2) * FAR.as_secs_f64() {
            return None;
        }
        // A small step: whoever shares the line should not suffer for a question.
        let wanted = room(from.saturating_add(from.div_ceil(4)), from, now, limits)?;
        Some(self.try_more(wanted, from, self.mean(2), Why::Steady))
    }

    /// Less comes than did, or now more, now less: whether lanes lose packets, or have less to share, many more show.
    fn try_many(&mut self, from: u32, now: Now, limits: &Limits, why: Why) -> Option<Decision> {
        self.rest = REST; // What was learnt is of another time.
        let least = if self.lossy { LOSSY } else { 0 };
        let wanted = room(from.saturating_mul(STEP).max(least), from, now, limits)?;
        Some(self.try_more(wanted, from, self.mean(2), why))
    }

    fn try_more(&mut self, wanted: u32, from: u32, base: f64, why: Why) -> Decision {
        self.given_up = None;
        self.trial = Some(Trial { from, base, age: 0, settled: 0, reached: from });
        let before = (from, self.best.max(base));
        self.best = base;
        Decision { wanted, why, before, after: (from, base) }
    }

    /// Have the lanes that were tried paid?
    fn judge(&mut self, mut trial: Trial, now: Now, limits: &Limits) -> Option<Decision> {
        trial.age += 1;
        trial.settled += 1;
        let Trial { from, base, reached, settled, .. } = trial;
        let gain = |rate: f64| rate / base.max(1.0) - 1.0;
        let share = f64::from(reached - from) / f64::from(from.max(1));
        let before = (from, base);
        let least = if from > 1 { FREE } else { SECOND };
        let pays =
            gain(self.rates[0]) >= least * share || (settled > 1 && gain(self.mean(2)) >= FREE * share);
        if reached > from && !self.lossy && pays {
            return Some(self.pay(trial, now, limits));
        }
        if reached == from && now.open <= from && trial.age > 1 {
            // Nothing was worth being given to another lane.
            (self.wanted, self.again) = (from.max(1), Some(now.at + limits.tick * 2));
            return None;
        }
        if settled > 1 && now.open == now.serving && self.mean(2) < FALLEN * base {
            return self.try_many(reached, now, limits, Why::Fallen);
        }
        let waits = now.open > now.serving || settled < PATIENCE.0 || self.grows(limits);
        if waits && trial.age < PATIENCE.1 {
            self.trial = Some(trial);
            return None;
        }
        self.put_off(now.at, limits);
        let rate = self.mean(WINDOWS);
        let after = (reached, rate);
        if reached > from && gain(rate) >= NOISE {
            // They share what there is: as many as bring it, and some to spare.
            self.best = rate;
            let enough = (f64::from(from.max(1)) * (1.0 + gain(rate)) * 1.5).ceil() as u32;
            let wanted = if self.lossy || self.spread() > UNSTEADY { reached } else { enough.min(reached) };
            return Some(Decision { wanted, why: Why::Shared, before, after });
        }
        if reached > from && from == 1 && self.spread() > UNSTEADY {
            return self.try_many(reached, now, limits, Why::Fallen);
        }
        self.given_up = (reached > from).then_some(after);
        Some(Decision { wanted: from.max(1), why: Why::Useless, before, after })
    }

    /// They take nothing from each other: on, before the total is steady.
    fn pay(&mut self, trial: Trial, now: Now, limits: &Limits) -> Decision {
        let Trial { from, base, reached, .. } = trial;
        let rate = self.rates[0];
        let wanted = match room(reached.saturating_mul(STEP), reached, now, limits) {
            Some(wanted) => self.try_more(wanted, reached, rate, Why::Paid).wanted,
            None => {
                self.best = rate;
                self.put_off(now.at, limits);
                reached
            }
        };
        Decision { wanted, why: Why::Paid, before: (from, base), after: (reached, rate) }
    }

    /// Nothing is tried for a while, each time for longer.
    fn put_off(&mut self, now: Instant, limits: &Limits) {
        self.again = Some(now + limits.tick * self.rest);
        self.rest = (self.rest * 2).min(REST_MAX);
    }
}

/// So many lanes if there is room for more than there are.
fn room(lanes: u32, from: u32, now: Now, limits: &Limits) -> Option<u32> {
    let lanes = lanes.min(limits.auto_lanes).min(now.limit);
    (lanes > from).then_some(lanes)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "some moment to begin with")]
mod tests {
    use super::*;

    /// As measured over 100 ms: of each burst a little is told as it comes, and the others with the next one.
    #[test]
    fn bursts_that_are_told_late_are_no_fall() {
        let (mut auto, limits, start) = (Auto::default(), Limits::default(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        auto.answered(Duration::from_millis(202));
        auto.serves(1, at(205));
        let mut reports =
            [(205, 1448), (327, 81_088), (408, 13_032), (509, 79_640), (659, 580_648)].into_iter().peekable();
        for now in (204..=704).step_by(100) {
            while let Some((told, bytes)) = reports.next_if(|&(told, _)| told <= now) {
                auto.got(bytes, at(told));
            }
            let now = Now { at: at(now), serving: 1, open: 1, limit: 64, held: false, left: 1e8 };
            assert_eq!(auto.look(now, &limits), None);
        }
    }
}
