//! A token bucket for bytes: one rate shared by any number of lanes (NET-12).
//!
//! It keeps neither a list of who waits nor a clock. Callers ask when their socket has bytes, so that what is
//! granted is used at once, and come back when they are told.

use std::time::{Duration, Instant};

/// The bucket holds the bytes of this long: what a second can exceed the rate by is 40 ms, 4 %; and a caller may
/// come this late before bytes are lost.
const DEPTH: Duration = Duration::from_millis(40);

/// A grant is at most the bytes of this long, so that turns are short: 16 lanes get one in 160 ms each.
const TURN: Duration = Duration::from_millis(10);

/// Turns that are promised at most. It bounds how long anybody waits (160 ms) when callers ask and do not come back.
const PROMISED: u32 = 16;

const NANOS: u128 = 1_000_000_000;

/// The answer to a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// This many bytes may be read now; at least 1, at most what was wanted.
    Now(u64),
    /// Come back at this moment. It is the caller's turn: another moment for each of those that wait.
    At(Instant),
}

/// A token bucket. Within any second it grants the rate, and at most 4 % more.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Bytes a second, at least 1.
    rate: u64,
    /// What is in the bucket, in bytes x 10^9, so that no fraction of a byte is lost.
    level: u128,
    /// When `level` was right; `None` before the first question.
    filled: Option<Instant>,
    /// The last moment that was promised to somebody.
    promised: Option<Instant>,
}

impl Bucket {
    /// A bucket for `rate` bytes a second; 0 counts as 1. Without a limit there is no bucket.
    pub fn new(rate: u64) -> Bucket {
        let rate = rate.max(1);
        Bucket { rate, level: scaled(rate, TURN), filled: None, promised: None }
    }

    /// Changes the rate from `now` on; what is in the bucket stays, up to its new depth.
    pub fn set_rate(&mut self, now: Instant, rate: u64) {
        self.fill(now);
        self.rate = rate.max(1);
        self.level = self.level.min(self.depth());
        self.promised = None;
    }

    /// Grants up to `want` bytes, or names the moment to ask again. A `want` of 0 counts as 1.
    pub fn take(&mut self, now: Instant, want: u64) -> Grant {
        self.fill(now);
        let grain = want.clamp(1, self.turn());
        let due = u128::from(grain) * NANOS;
        match due.checked_sub(self.level) {
            None | Some(0) => {
                self.level -= due;
                Grant::Now(grain)
            }
            Some(missing) => Grant::At(self.promise(now, missing, due)),
        }
    }

    /// Takes back what was granted and not used: the socket had less.
    pub fn give_back(&mut self, bytes: u64) {
        self.level = (self.level + u128::from(bytes) * NANOS).min(self.depth());
    }

    fn fill(&mut self, now: Instant) {
        let since = self.filled.map_or(Duration::ZERO, |then| now.saturating_duration_since(then));
        self.level = self.level.saturating_add(scaled(self.rate, since)).min(self.depth());
        self.filled = self.filled.max(Some(now));
    }

    /// The moment the missing bytes are there, behind everybody who was promised one before.
    fn promise(&mut self, now: Instant, missing: u128, due: u128) -> Instant {
        let alone = now + self.time_of(missing);
        let in_line = self.promised.map_or(alone, |last| last + self.time_of(due));
        let latest = now + TURN.max(self.time_of(due)) * PROMISED;
        let at = alone.max(in_line).min(latest);
        self.promised = Some(at);
        at
    }

    /// How long the rate takes for this many bytes x 10^9, rounded up to the nanosecond.
    fn time_of(&self, scaled: u128) -> Duration {
        // At most a turn's bytes or one byte: a second at the lowest rate.
        Duration::from_nanos(u64::try_from(scaled.div_ceil(u128::from(self.rate))).unwrap_or(u64::MAX))
    }

    /// Bytes of one turn.
    fn turn(&self) -> u64 {
        u64::try_from(scaled(self.rate, TURN) / NANOS).unwrap_or(u64::MAX).max(1)
    }

    fn depth(&self) -> u128 {
        scaled(self.rate, DEPTH).max(NANOS)
    }
}

/// Bytes x 10^9 that `rate` brings in this time.
fn scaled(rate: u64, time: Duration) -> u128 {
    u128::from(rate).saturating_mul(time.as_nanos())
}
