//! A token bucket for bytes: one rate shared by any number of lanes (NET-12).
//!
//! It keeps neither a list of who waits nor a clock. Whoever asks is told how many bytes are his and from when on; they
//! are his whether he comes back or not, so nobody need ask twice, everybody has his turn in the order of asking, and
//! who must pass several buckets asks all at once and waits for the last.

use std::time::{Duration, Instant};

/// The bucket holds the bytes of this long: what a second can exceed the rate by is 40 ms, 4 %; and a caller may
/// come this late before bytes are lost.
const DEPTH: Duration = Duration::from_millis(40);

/// A grant is at most the bytes of this long, so that turns are short: 16 lanes get one in 160 ms each.
const TURN: Duration = Duration::from_millis(10);

/// Nobody is told to come back sooner: at a gigabyte a second a caller that waits finds 2 MB, and is woken 500 times a
/// second at most. It is far below [`DEPTH`], so nothing is lost by it.
const GRAIN: Duration = Duration::from_millis(2);

const NANOS: u128 = 1_000_000_000;

/// The answer to a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// So many bytes are the caller's; at least 1, at most what was wanted.
    pub bytes: u64,
    /// From then on; not before now.
    pub at: Instant,
}

/// A token bucket. Within any second it grants the rate, and at most 4 % more.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Bytes a second, at least 1.
    rate: u64,
    /// When all that was granted is brought by the rate; `None` before the first question.
    paid: Option<Instant>,
    /// What the last nanosecond of that brought too much, in bytes x 10^9, so that no fraction of a byte is lost.
    over: u128,
}

impl Bucket {
    /// A bucket for `rate` bytes a second; 0 counts as 1. Without a limit there is no bucket.
    pub fn new(rate: u64) -> Bucket {
        Bucket { rate: rate.max(1), paid: None, over: 0 }
    }

    /// Changes the rate from `now` on. What was granted for later is void: whoever waits for it asks anew.
    pub fn set_rate(&mut self, now: Instant, rate: u64) {
        self.paid = self.paid.map(|paid| paid.min(now));
        (self.rate, self.over) = (rate.max(1), 0);
    }

    /// Grants up to `want` bytes, now or for later. A `want` of 0 counts as 1.
    pub fn take(&mut self, now: Instant, want: u64) -> Grant {
        let bytes = want.clamp(1, self.turn());
        let least = |depth: Duration| now.checked_sub(depth).unwrap_or(now);
        let from = self.paid.map_or(least(TURN), |paid| paid.max(least(DEPTH)));
        let due = u128::from(bytes) * NANOS;
        let missing = due.saturating_sub(self.over);
        let nanos = missing.div_ceil(u128::from(self.rate));
        self.over = (self.over + nanos * u128::from(self.rate)).saturating_sub(due);
        // At most a turn's bytes or one byte: a second at the lowest rate.
        let paid = from + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.paid = Some(paid);
        Grant { bytes, at: if paid <= now { now } else { paid.max(now + GRAIN) } }
    }

    /// Takes back what was granted and not used: the socket had less.
    pub fn give_back(&mut self, bytes: u64) {
        let nanos = u128::from(bytes) * NANOS / u128::from(self.rate);
        let time = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        // What lies further back than the bucket is deep counts for nothing.
        self.paid = self.paid.map(|paid| paid.checked_sub(time.min(DEPTH + TURN)).unwrap_or(paid));
    }

    /// Bytes of one turn.
    fn turn(&self) -> u64 {
        u64::try_from(u128::from(self.rate) * TURN.as_nanos() / NANOS).unwrap_or(u64::MAX).max(1)
    }
}
