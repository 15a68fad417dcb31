//! Decisions at their edges: one byte or one word to either side, and another is right.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "planner/desk.rs"]
mod desk;

use desk::{K, held, job, page, part, whole};
use thence_plan::{Action, Ending, Error, Event, Failure, LaneId};

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
    desk.put(thence_plan::Input::Narrowed { lane, end });
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
