//! A limit on bytes a second is kept in every second, and everybody gets a turn (NET-12).

use std::time::{Duration, Instant};

use thence_plan::Bucket;

// ---- Vocabulary: callers in virtual time ----

const SECONDS: usize = 6;

/// Some moment; only what lies between moments matters.
#[expect(clippy::disallowed_methods, reason = "an Instant can be had in no other way")]
fn start() -> Instant {
    Instant::now()
}

/// One lane: it reads what it was granted when it wakes, and asks for more.
struct Lane {
    wakes: Duration,
    granted: u64,
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
    let mut lanes: Vec<Lane> =
        (0..count).map(|_| Lane { wakes: Duration::ZERO, granted: 0, bytes: 0 }).collect();
    let mut seconds = [0; SECONDS];
    let mut chance = 1u64;
    loop {
        let lane = lanes.iter_mut().min_by_key(|lane| lane.wakes).expect("at least one lane");
        let now = lane.wakes;
        let Some(second) = seconds.get_mut(now.as_secs() as usize) else { break };
        lane.bytes += lane.granted;
        *second += lane.granted;
        let grant = bucket.take(start + now, want);
        assert!((1..=want).contains(&grant.bytes) && grant.at >= start + now);
        lane.granted = grant.bytes;
        lane.wakes = if grant.at == start + now {
            now + Duration::from_nanos(1) // behind all that are due now
        } else {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let told = (grant.at - start).as_nanos().div_ceil(1_000_000) as u64;
            Duration::from_millis(told + (chance >> 33) % (late + 1))
        };
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
        for count in [16, 64] {
            let outcome = run(rate, count, 64 << 10, 5);
            let fair = rate * SECONDS as u64 / count as u64;
            let all = outcome.lanes.iter().all(|&bytes| bytes > fair * 8 / 10);
            assert!(all, "{rate} B/s: {:?}", outcome.lanes);
        }
    }
}

#[test]
fn net_12_a_pause_is_not_made_up_for() {
    let start = start();
    let mut bucket = Bucket::new(1_000_000);
    let _ = bucket.take(start, 1);
    let later = start + Duration::from_secs(3_600);
    let grants = std::iter::from_fn(|| Some(bucket.take(later, u64::MAX)));
    let burst: u64 = grants.take_while(|grant| grant.at == later).map(|grant| grant.bytes).sum();
    assert_eq!(burst, 40_000);
}

#[test]
fn net_12_each_that_waits_is_told_another_moment() {
    let now = start();
    let mut bucket = Bucket::new(1_000_000);
    let told = [0; 4].map(|_| bucket.take(now, 10_000).at);
    assert_eq!(told, [0, 10, 20, 30].map(|ms| now + Duration::from_millis(ms)));
}

#[test]
fn what_was_not_used_can_be_given_back() {
    let now = start();
    let mut bucket = Bucket::new(1_000_000);
    assert_eq!(bucket.take(now, 10_000).at, now);
    bucket.give_back(4_000);
    assert_eq!(bucket.take(now, 4_000).at, now);
    assert!(bucket.take(now, 1).at > now);
}

#[test]
fn another_rate_counts_from_now_on_whatever_was_granted_for_later() {
    let now = start();
    let mut bucket = Bucket::new(1_000);
    (0..1_000).for_each(|_| _ = bucket.take(now, 10));
    bucket.set_rate(now, 2_000);
    let grant = bucket.take(now, u64::MAX);
    assert_eq!((grant.bytes, grant.at), (20, now + Duration::from_millis(10)));
}

#[test]
fn no_fraction_of_a_byte_is_lost() {
    let now = start();
    let mut bucket = Bucket::new(300_000_000);
    let last = (0..300_000).map(|_| bucket.take(now, 10)).last().unwrap();
    assert_eq!(last.at, now + Duration::from_millis(0), "a turn of three million bytes, at once");
    assert!(bucket.take(now, 1).at > now);
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
