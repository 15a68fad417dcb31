//! Decisions at their edges: one byte or one word to either side, and another is right.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "planner/desk.rs"]
mod desk;

use desk::{K, held, job, page, part, whole};
use thence_plan::{Action, Command, DiskFault, Ending, Error, Event, Failure, Input, LaneId};

const A: &str = "\"a\"";

fn retries(desk: &desk::Desk, wanted: &Failure) -> bool {
    desk.ever(|a| matches!(a, Action::Tell(Event::Retry { failure, .. }) if failure == wanted))
}

#[test]
fn r67_a_file_of_the_largest_size_is_begun_and_no_larger_one() {
    let error = |len| {
        let mut desk = job().largest(4 * K).start();
        desk.head(LaneId(0), whole(len).tag(A)).ended(LaneId(0), Ok(Ending::Closed)).error().cloned()
    };
    assert_eq!(error(4 * K), None);
    assert_eq!(error(4 * K + 1), Some(Error::TooLarge { size: 4 * K + 1 }));
}

#[test]
fn a_stream_that_nothing_could_go_on_with_must_come_in_one_answer() {
    let mut desk = job().stream().start();
    desk.head(LaneId(0), part(0, K, 2 * K));
    assert!(desk.closes(LaneId(0)));
    desk.ended(LaneId(0), Ok(Ending::Closed));
    assert_eq!(desk.last_ask().unwrap().0, None, "all of it is asked for");
    // A tag could tie the rest to it; and what is whole needs none.
    for answer in [part(0, K, 2 * K).tag(A), part(0, 2 * K, 2 * K), whole(2 * K)] {
        let mut desk = job().stream().start();
        desk.head(LaneId(0), answer);
        assert!(!desk.closes(LaneId(0)));
    }
}

#[test]
fn a_stream_that_broke_before_its_first_byte_begins_again() {
    let mut desk = job().stream().begun(whole(2 * K));
    desk.ended(LaneId(0), Err(Failure::Truncated)).later(1_000);
    let [lane] = desk.opened()[..] else { panic!("{:?}", desk.said()) };
    desk.head(lane, whole(2 * K));
    assert_eq!(desk.error(), None);
    assert_eq!(desk.take(lane).map(|take| take.at), Some(0));
}

#[test]
fn r3a_who_has_answered_a_range_is_not_asked_without_one() {
    let mut desk = job().lanes(2).begun(part(0, 64 * K, 64 * K).tag(A));
    let (lane, end) = desk.narrowed().unwrap();
    desk.put(Input::Narrowed { lane, end });
    let [second] = desk.opened()[..] else { panic!("{:?}", desk.said()) };
    desk.head(second, page(501));
    desk.later(60_000);
    let unranged = |a: &Action| matches!(a, Action::Open { ask, .. } if ask.range.is_none());
    assert!(!desk.ever(unranged));
}

#[test]
fn r19_a_length_below_what_is_held_is_another_files() {
    let answered = |total: u64| {
        let mut desk = job().held(held(8).unknown().tag(A).blocks(0..3)).start();
        desk.checked_all();
        desk.head(LaneId(0), whole(total).tag(A)).told_changed()
    };
    assert!(answered(3 * K - 1) && answered(K));
    assert!(!answered(3 * K) && !answered(4 * K));
}

#[test]
fn r37_a_message_that_ends_where_what_is_held_ends_is_the_whole_file() {
    let mut desk = job().held(held(8).unknown().tag(A).blocks(0..3)).start();
    desk.checked_all();
    // It dislikes the condition, and then the range.
    desk.head(LaneId(0), whole(0).tag(A).without("content-length")).ended(LaneId(0), Ok(Ending::Closed));
    desk.head(LaneId(1), whole(0).tag(A).without("content-length"));
    desk.read(LaneId(1), 3 * K, 3 * K).ended(LaneId(1), Ok(Ending::Message));
    assert!(!desk.told_changed());
    assert_eq!(desk.finish(), Some(3 * K));
}

#[test]
fn r35_a_message_that_ends_below_its_length_is_asked_for_again() {
    let mut desk = job().begun(whole(4 * K).tag(A));
    desk.read(LaneId(0), K, K).stored(0, K as u32);
    desk.ended(LaneId(0), Ok(Ending::Message));
    assert!(retries(&desk, &Failure::Truncated));
    // At its length it is whole, and nobody asks.
    let mut desk = job().begun(whole(K).tag(A));
    desk.read(LaneId(0), K, K).stored(0, K as u32);
    desk.ended(LaneId(0), Ok(Ending::Message));
    assert!(!retries(&desk, &Failure::Truncated));
}

#[test]
fn r29_an_empty_file_is_not_believed_of_a_416() {
    let mut desk = job().start();
    desk.head(LaneId(0), page(416).field("content-range", "bytes */0"));
    desk.ended(LaneId(0), Ok(Ending::Closed));
    assert_eq!(desk.finish(), None);
    assert_eq!(desk.last_ask().unwrap().0, None, "it is asked for without a range");
}

#[test]
fn r33_a_job_at_rest_is_not_woken_by_the_end_of_a_hold() {
    let mut desk = job().start();
    desk.head(LaneId(0), page(503).field("retry-after", "60")).ended(LaneId(0), Ok(Ending::Closed));
    assert!(desk.idle().is_some());
    desk.put(Input::Command(Command::Pause));
    assert_eq!(desk.idle(), None);
    desk.put(Input::Command(Command::Resume));
    assert!(desk.idle().is_some());
}

#[test]
fn r21_what_is_to_be_compared_is_read_back_first() {
    // Of five blocks the first, a middle and the last are compared at once, and so read back before.
    let mut desk = job().held(held(8).blocks(0..3).also(5).also(7)).start();
    desk.checked(2).checked(7).checked(0);
    for _proof in 0..3 {
        let (lane, asked) = (desk.opened()[0], desk.asks()[0].0.unwrap());
        desk.head(lane, part(asked.0, asked.1.unwrap(), 8 * K));
        desk.put(Input::Compared { lane, same: true }).ended(lane, Ok(Ending::Range));
    }
    let (lane, window) = (desk.opened()[0], 64 << 10);
    assert_eq!(desk.asks()[0].0, Some((3 * K - window, Some(5 * K))));
    desk.head(lane, part(3 * K - window, 5 * K, 8 * K)).put(Input::Compared { lane, same: true });
    desk.read(lane, 5 * K, 2 * K).stored_whole(3..5).ended(lane, Ok(Ending::Range));
    assert_eq!(desk.asks(), [], "block 5 may have rotted, and would be taken for another file");
    desk.checked(5);
    assert_eq!(desk.asks()[0].0, Some((6 * K - window, Some(7 * K))));
}

#[test]
fn net_01_a_lane_that_gets_no_answer_is_late_too() {
    let mut desk = job().lanes(2).begun(part(0, 8 * K, 8 * K).tag(A));
    desk.put(Input::Narrowed { lane: LaneId(0), end: 4 * K });
    let [silent] = desk.opened()[..] else { panic!("{:?}", desk.said()) };
    desk.later(100).read(LaneId(0), 4 * K, 4 * K).stored_whole(0..4).ended(LaneId(0), Ok(Ending::Range));
    assert_eq!(desk.opened(), [], "it is not late yet");
    assert!((0..10).any(|_| !desk.later(500).opened().is_empty()), "nobody is sent for what {silent:?} owns");
    assert_eq!(desk.asks()[0].0, Some((4 * K, Some(8 * K))));
}

#[test]
fn r37_what_lies_beyond_a_gap_is_no_part_of_a_whole_whose_length_is_unknown() {
    let desk = job().held(held(8).unknown().tag(A).blocks(0..2).also(5).whole()).start();
    assert_eq!(desk.finish(), Some(2 * K));
}

#[test]
fn r29_a_416_that_names_less_than_is_held_is_of_another_file() {
    let named = |total: u64| {
        let mut desk = job().held(held(8).unknown().tag(A).blocks(0..3)).start();
        desk.checked_all();
        let range = format!("bytes */{total}");
        desk.head(LaneId(0), page(416).field("content-range", &range)).told_changed()
    };
    assert!(named(3 * K - 1) && named(1));
    assert!(!named(3 * K) && !named(3 * K + 1));
}

#[test]
fn a_range_is_no_longer_than_half_a_minute_of_the_usual_rate() {
    let blocks = 1_000;
    let mut desk = job().lanes(2).begun(part(0, blocks * K, blocks * K).tag(A));
    desk.put(Input::Narrowed { lane: LaneId(0), end: 4 * K });
    let [second] = desk.opened()[..] else { panic!("{:?}", desk.said()) };
    desk.head(second, part(4 * K, blocks * K, blocks * K).tag(A));
    // Four blocks in a second: 120 in half a minute.
    desk.later(1_000).read(LaneId(0), 4 * K, 4 * K).stored_whole(0..4).ended(LaneId(0), Ok(Ending::Range));
    for step in 1..9 {
        if let Some((lane, end)) = desk.narrowed() {
            desk.put(Input::Narrowed { lane, end });
            break;
        }
        desk.read(second, (4 + step) * K, K).later(500);
    }
    let (first, last) = desk.asks()[0].0.unwrap();
    let len = (last.unwrap() - first) / K;
    assert!((100..=130).contains(&len), "{len} blocks");
}

#[test]
fn each_fault_of_a_disk_is_told_in_words_of_its_own() {
    let words: std::collections::BTreeSet<String> = FAULTS.iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), FAULTS.len());
    assert!(words.iter().all(|words| words.len() > 3));
}

const FAULTS: [DiskFault; 8] = [
    DiskFault::Full,
    DiskFault::TooLarge,
    DiskFault::Denied,
    DiskFault::Missing,
    DiskFault::Exists,
    DiskFault::InUse,
    DiskFault::Strange,
    DiskFault::Io,
];
