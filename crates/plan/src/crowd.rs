//! How many downloads of a list are under way at once.
//!
//! Each round is a few files for each that is allowed. A round that went faster than any before it allows twice as many,
//! or four times where a round has hundreds of files; one that did not goes back to the number that was best, and stays
//! there for a while before it looks again. Rounds end with files and not with a clock, so that a list of thousands a
//! second settles within milliseconds, and one of large files changes nothing: for those it is lanes that make the
//! difference, and they have a planner of their own.
//!
//! Over a long way the first rounds would be nothing but waiting. Where the first files took long and yet came together, it
//! was the way that took long and not the host, and it is begun with more.

use std::time::{Duration, Instant};

/// Allowed at first, and never fewer: one each for the lanes that a single file gets.
const FIRST: u32 = 8;

/// Allowed after the first files over a long way. More than that to one host wants to be measured.
const FAR: u32 = 32;

/// A way is long from here on, if the first file took so long.
const LONG: Duration = Duration::from_millis(80);

/// The first files came together if the last of them came this part of the first one's time after it.
const TOGETHER: u32 = 4;

/// Files of a round for each that is allowed.
const ROUND: u32 = 2;

/// A round shorter than this measures noise, and goes on.
const SHORTEST: Duration = Duration::from_millis(50);

/// How much faster is faster, at least and at most: where a round has so many files that less is no chance the former, else
/// up to the latter, below which more connections cost the host more than they bring us.
const WORTH: (f64, f64) = (0.05, 0.25);

/// How many times as many are tried next; and on a host that gives files by hundreds in a round, which few connections more
/// do not trouble.
const STEP: (u32, u32) = (2, 4);

/// Rounds at the best number before another look.
const REST: u32 = 16;

/// Decides how many.
#[derive(Clone, Debug)]
pub struct Crowd {
    allowed: u32,
    most: u32,
    fixed: bool,
    /// Of the first files: how many ended, and when the first one did and how long that took.
    first: u32,
    began: Option<(Instant, Duration)>,
    /// The round under way: since when, how many ended, and how many bytes they had.
    since: Option<Instant>,
    ended: u32,
    bytes: u64,
    /// The best round so far: how many were allowed, files and bytes a second.
    best: Option<(u32, f64, f64)>,
    rest: u32,
}

impl Crowd {
    /// `exactly` so many, or as many as pay; `most` at most.
    pub fn new(exactly: Option<u32>, most: u32) -> Crowd {
        let most = most.max(1);
        let allowed = exactly.unwrap_or(FIRST.min(most)).max(1);
        Crowd {
            allowed,
            most,
            fixed: exactly.is_some(),
            first: 0,
            began: None,
            since: None,
            ended: 0,
            bytes: 0,
            best: None,
            rest: 0,
        }
    }

    /// How many may be under way now.
    pub fn allowed(&self) -> u32 {
        self.allowed
    }

    /// One ended well, `took` so long, and had so many bytes. `full`: as many were under way as are allowed.
    pub fn ended(&mut self, now: Instant, took: Duration, bytes: u64, full: bool) {
        // A list that runs dry measures its reader, not its hosts.
        if self.fixed || !full {
            (self.since, self.first) = (None, FIRST);
            return;
        }
        if self.first < FIRST {
            self.begin(now, took);
            return;
        }
        let Some(since) = self.since else {
            (self.since, self.ended, self.bytes) = (Some(now), 0, 0);
            return;
        };
        self.ended += 1;
        self.bytes += bytes;
        let took = now.saturating_duration_since(since);
        if self.ended >= ROUND * self.allowed && took >= SHORTEST {
            let (files, bytes) =
                (f64::from(self.ended) / took.as_secs_f64(), self.bytes as f64 / took.as_secs_f64());
            // Rounds of a few files differ by chance: by their square root or about.
            self.settle(files, bytes, f64::from(self.ended).sqrt().recip());
            self.since = None;
        }
    }

    /// One of the first files.
    fn begin(&mut self, now: Instant, took: Duration) {
        let (since, took) = *self.began.get_or_insert((now, took));
        self.first += 1;
        let together = now.saturating_duration_since(since) <= took / TOGETHER;
        if self.first == FIRST && took >= LONG && together {
            self.allowed = FAR.min(self.most).max(self.allowed);
        }
    }

    /// Files that hosts refuse say that it is too many.
    pub fn refused(&mut self) {
        if !self.fixed {
            self.allowed = (self.allowed / 2).max(FIRST.min(self.most));
            self.first = FIRST;
            (self.best, self.rest, self.since) = (None, REST, None);
        }
    }

    fn settle(&mut self, files: f64, bytes: f64, chance: f64) {
        if self.rest > 0 {
            self.rest -= 1;
            // What is held against a later look is what the host gives now.
            self.best = Some((self.allowed, files, bytes));
            return;
        }
        let worth = 1.0 + chance.clamp(WORTH.0, WORTH.1);
        let step = if chance < WORTH.0 { STEP.1 } else { STEP.0 };
        match self.best {
            Some((at, best_files, best_bytes))
                if files < best_files * worth && bytes < best_bytes * worth && at < self.allowed =>
            {
                (self.allowed, self.rest) = (at, REST);
            }
            _ => {
                self.best = Some((self.allowed, files, bytes));
                self.allowed = self.allowed.saturating_mul(step).min(self.most);
                if self.best.is_some_and(|(at, ..)| at == self.allowed) {
                    self.rest = REST;
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "some moment to begin with")]
mod tests {
    use super::*;

    /// A host that needs `took` a file and serves `side_by_side` of them at once.
    fn after(crowd: &mut Crowd, files: u32, took: Duration, side_by_side: u32) -> u32 {
        let mut now = Instant::now();
        for _ in 0..files {
            now += took / crowd.allowed().min(side_by_side);
            crowd.ended(now, took, 10_000, true);
        }
        crowd.allowed()
    }

    /// A host that is `far` away and serves whatever comes, a new connection after three round trips: how many round
    /// trips so many files take.
    fn round_trips(crowd: &mut Crowd, files: u32, far: Duration) -> u32 {
        let (mut now, mut ready, mut connecting) =
            (Instant::now(), 0, std::collections::VecDeque::from([0; 2]));
        let (mut done, mut trips) = (0, 0);
        while done < files {
            let new = crowd.allowed() - ready - connecting.iter().sum::<u32>();
            connecting.push_back(new);
            now += far;
            trips += 1;
            let connected = connecting.pop_front().unwrap_or(0);
            ready += connected;
            for n in 0..ready {
                let took = if n < connected { far * 3 } else { far };
                crowd.ended(now, took, 20_000, true);
                done += 1;
            }
        }
        trips
    }

    #[test]
    fn more_are_allowed_while_that_pays_and_no_more() {
        let took = Duration::from_millis(100);
        for (side_by_side, allowed) in [(1, 8), (16, 16), (24, 32), (1000, 64)] {
            let mut crowd = Crowd::new(None, 64);
            after(&mut crowd, 400, took, side_by_side);
            // It may be looking at twice as many just now.
            let settled =
                (0..200).map(|_| after(&mut crowd, 50, took, side_by_side)).filter(|&n| n == allowed).count();
            assert!(settled > 150, "{side_by_side}: {settled} of 200");
        }
    }

    #[test]
    fn where_a_round_has_many_files_less_is_believed_and_more_is_tried() {
        // Files a second of one round after the other.
        let after = |rates: &[u32]| {
            let (mut crowd, mut now) = (Crowd::new(None, 64), Instant::now());
            (0..=FIRST).for_each(|_| crowd.ended(now, SHORTEST, 10_000, true));
            for &rate in rates {
                for _ in 0..(f64::from(rate) * SHORTEST.as_secs_f64()) as u32 + 3 {
                    now += Duration::from_secs(1) / rate;
                    crowd.ended(now, SHORTEST, 10_000, true);
                }
            }
            crowd.allowed()
        };
        assert_eq!(after(&[30_000]), 32);
        assert_eq!(after(&[30_000, 32_400]), 64);
        assert_eq!(after(&[30_000, 30_900]), 8, "so much it moves by itself");
        assert_eq!(after(&[3_000]), 16);
        assert_eq!(after(&[3_000, 3_150]), 8);
    }

    #[test]
    fn five_hundred_files_at_a_long_round_trip_are_mostly_fetched_64_at_a_time() {
        assert_eq!(after(&mut Crowd::new(None, 64), 150, Duration::from_millis(100), 1000), 64);
    }

    #[test]
    fn over_a_long_way_no_round_trips_are_waited_for_to_find_that_out() {
        assert!(round_trips(&mut Crowd::new(None, 64), 500, Duration::from_millis(100)) <= 15);
        // A short way has time for finding out, and hosts there are often small.
        let mut near = Crowd::new(None, 64);
        round_trips(&mut near, 16, Duration::from_millis(5));
        assert_eq!(near.allowed(), 8);
    }

    #[test]
    fn a_host_that_takes_long_for_each_is_not_far() {
        // The first eight come one after the other.
        assert_eq!(after(&mut Crowd::new(None, 64), 8, Duration::from_millis(400), 1), 8);
        // One that has refused something is not begun with more, however the files come.
        let mut crowd = Crowd::new(None, 64);
        crowd.refused();
        round_trips(&mut crowd, 8, Duration::from_millis(100));
        assert_eq!(crowd.allowed(), 8);
    }

    #[test]
    fn a_number_that_was_asked_for_stays() {
        assert_eq!(after(&mut Crowd::new(Some(3), 64), 1000, Duration::from_millis(1), 1000), 3);
    }

    #[test]
    fn a_refusal_halves_it() {
        let mut crowd = Crowd::new(None, 64);
        after(&mut crowd, 400, Duration::from_millis(100), 1000);
        crowd.refused();
        assert_eq!(crowd.allowed(), 32);
        (0..9).for_each(|_| crowd.refused());
        assert_eq!(crowd.allowed(), 8);
    }

    #[test]
    fn a_list_that_runs_dry_teaches_nothing() {
        let (mut crowd, now) = (Crowd::new(None, 64), Instant::now());
        (0..1000).for_each(|i| crowd.ended(now + Duration::from_secs(i), Duration::from_secs(1), 1, false));
        assert_eq!(crowd.allowed(), 8);
    }
}
