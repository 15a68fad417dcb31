//! A limit on bytes a second is kept in every second, and everybody gets a turn (NET-12).

use std::time::{Duration, Instant};

use thence_plan::{Bucket, Grant};

// ---- Vocabulary: callers in virtual time ----

const SECONDS: usize = 6;

/// Some moment; only what lies between moments matters.
#[expect(clippy::disallowed_methods, reason = "an Instant can be had in no other way")]
fn start() -> Instant {
    Instant::now()
}

/// One lane: it asks when it wakes, reads what it is granted and asks again.
struct Lane {
    wakes: Duration,
    bytes: u64,
}

/// What a run of several lanes got: bytes in each second, and of each lane.
struct Outcome {
    seconds: [u64; SECONDS],
    lanes: Vec<u64>,
}

/// Lets `count` lanes read for six seconds through one bucket. A lane wakes at the millisecond after the one it
/// was told, and up to `late` ms later still.
fn run(rate: u64, count: usize, want: u64, late: u64) -> Outcome {
    let start = start();
    let mut bucket = Bucket::new(rate);
    let mut lanes: Vec<Lane> = (0..count).map(|_| Lane { wakes: Duration::ZERO, bytes: 0 }).collect();
    let mut seconds = [0; SECONDS];
    let mut chance = 1u64;
    loop {
        let lane = lanes.iter_mut().min_by_key(|lane| lane.wakes).expect("at least one lane");
        let now = lane.wakes;
        let Some(second) = seconds.get_mut(now.as_secs() as usize) else { break };
        match bucket.take(start + now, want) {
            Grant::Now(bytes) => {
                assert!((1..=want).contains(&bytes));
                lane.bytes += bytes;
                *second += bytes;
                lane.wakes += Duration::from_nanos(1); // behind all that are due now
            }
            Grant::At(at) => {
                chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let told = (at - start).as_nanos().div_ceil(1_000_000) as u64;
                lane.wakes = Duration::from_millis(told + (chance >> 33) % (late + 1));
            }
        }
    }
    Outcome { seconds, lanes: lanes.iter().map(|lane| lane.bytes).collect() }
}

fn is_within(bytes: u64, expected: u64, percent: u64) -> bool {
    bytes.abs_diff(expected) * 100 <= expected * percent
}

// ---- The limit ----

#[test]
fn net_12_within_five_percent_in_every_second() {
    for rate in [50_000, 1 << 20, 12_500_000, 1_000_000_000] {
        for count in [1, 2, 16, 64] {
            for late in [0, 5] {
                let outcome = run(rate, count, 256 << 10, late);
                let good = outcome.seconds[1..].iter().all(|&bytes| is_within(bytes, rate, 5));
                assert!(good, "{rate} B/s, {count} lanes, {late} ms late: {:?}", outcome.seconds);
            }
        }
    }
}

#[test]
fn net_12_small_wants_are_served_as_exactly() {
    let outcome = run(1 << 20, 16, 1_000, 3);
    assert!(outcome.seconds[1..].iter().all(|&bytes| is_within(bytes, 1 << 20, 5)), "{:?}", outcome.seconds);
}

#[test]
fn net_12_nobody_starves() {
    for rate in [50_000, 1 << 20, 1_000_000_000] {
        let outcome = run(rate, 16, 64 << 10, 5);
        let fair = rate * SECONDS as u64 / 16;
        assert!(outcome.lanes.iter().all(|&bytes| bytes > fair * 7 / 10), "{rate} B/s: {:?}", outcome.lanes);
    }
}

#[test]
fn net_12_a_pause_is_not_made_up_for() {
    let start = start();
    let mut bucket = Bucket::new(1_000_000);
    let _ = bucket.take(start, 1);
    let later = start + Duration::from_secs(3_600);
    let burst: u64 = std::iter::from_fn(|| match bucket.take(later, u64::MAX) {
        Grant::Now(bytes) => Some(bytes),
        Grant::At(_) => None,
    })
    .sum();
    assert_eq!(burst, 40_000);
}

#[test]
fn net_12_each_that_waits_is_told_another_moment() {
    let now = start();
    let mut bucket = Bucket::new(1_000_000);
    assert_eq!(bucket.take(now, 10_000), Grant::Now(10_000));
    let told: Vec<Grant> = (0..3).map(|_| bucket.take(now, 10_000)).collect();
    let turns = [10, 20, 30].map(|ms| Grant::At(now + Duration::from_millis(ms)));
    assert_eq!(told, turns);
}

#[test]
fn nobody_waits_for_those_who_never_come_back() {
    let now = start();
    let mut bucket = Bucket::new(1_000_000);
    for _ in 0..10_000 {
        if let Grant::At(at) = bucket.take(now, 10_000) {
            assert!(at <= now + Duration::from_millis(160));
        }
    }
    let later = now + Duration::from_millis(10);
    assert_eq!(bucket.take(later, 10_000), Grant::Now(10_000));
}

#[test]
fn what_was_not_used_can_be_given_back() {
    let now = start();
    let mut bucket = Bucket::new(1_000_000);
    assert_eq!(bucket.take(now, 10_000), Grant::Now(10_000));
    bucket.give_back(4_000);
    assert_eq!(bucket.take(now, 4_000), Grant::Now(4_000));
}

#[test]
fn another_rate_counts_from_now_on() {
    let now = start();
    let mut bucket = Bucket::new(1_000_000_000);
    bucket.set_rate(now, 1_000);
    assert_eq!(bucket.take(now, u64::MAX), Grant::Now(10));
}

#[test]
fn extreme_rates_and_wants_and_a_clock_that_stands_do_not_panic() {
    let now = start();
    for rate in [0, 1, 99, u64::MAX] {
        let mut bucket = Bucket::new(rate);
        for want in [0, 1, u64::MAX] {
            let _ = bucket.take(now, want);
            let _ = bucket.take(now - Duration::from_secs(1), want);
        }
        bucket.give_back(u64::MAX);
    }
}
