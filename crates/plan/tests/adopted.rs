//! What other programs left: nothing of it counts before all that must be compared was found equal.

#[path = "planner/desk.rs"]
mod desk;

use desk::{A, Before, Desk, K, L0, L1, held, if_range, job, page, part, whole};
use thence_plan::{Action, Condition, Ending, Event, Failure, Input, LaneId, Record};

const L2: LaneId = LaneId(2);

/// Four of eight blocks are claimed, in two runs; the beginning of one and the end of the other are to be compared.
fn claim() -> Before {
    held(8).blocks(0..3).also(5).claimed(&[(0, 4096), (6 * K - 4096, 6 * K)])
}

/// Everything was read back, and the first stretch was equal.
fn half_proven(setup: desk::Setup) -> Desk {
    let mut desk = setup.start();
    desk.checked_all();
    desk.head(L0, part(0, 4096, 8 * K).tag(A));
    desk.put(Input::Compared { lane: L0, same: true }).ended(L0, Ok(Ending::Range));
    desk
}

fn records(desk: &Desk) -> Vec<&Record> {
    let notes = desk.said().iter();
    notes.filter_map(|said| if let Action::Note(record) = said { Some(record) } else { None }).collect()
}

fn told(desk: &Desk, is: impl Fn(&Event) -> bool) -> bool {
    desk.ever(|action| matches!(action, Action::Tell(event) if is(event)))
}

fn rejected(desk: &Desk) -> bool {
    told(desk, |event| matches!(event, Event::NotAdopted { .. }))
}

#[test]
fn r21_every_stretch_is_compared_before_anything_counts() {
    let mut desk = half_proven(job().lanes(8).held(claim()));
    assert_eq!(desk.asks(), [(Some((6 * K - 4096, Some(6 * K))), if_range(A))], "and nothing else is asked");
    assert!(records(&desk).is_empty() && !told(&desk, |event| matches!(event, Event::Started { .. })));
    desk.head(L1, part(6 * K - 4096, 6 * K, 8 * K).tag(A));
    let take = desk.take(L1).unwrap();
    assert!(take.compare && take.end == Some(take.at), "it compares, and stores nothing");
    desk.put(Input::Compared { lane: L1, same: true });
    let said = records(&desk);
    assert!(matches!(said[0], Record::Learnt(identity) if identity.strong_tag() == Some(A)), "{said:?}");
    assert!(matches!(said[1..3], [Record::Unproven, Record::Replaces(Some(_))]), "{said:?}");
    assert_eq!(said[3..].iter().filter(|r| matches!(r, Record::Block { .. })).count(), 4);
    assert!(told(&desk, |event| *event == Event::Adopted { file: "file".into(), bytes: 4 * K }));
    desk.ended(L1, Ok(Ending::Range));
    let missing = [(3 * K, 5 * K), (6 * K, 8 * K)].map(|(at, end)| (Some((at, Some(end))), if_range(A)));
    assert_eq!(desk.asks(), missing, "what is missing, as in any run");
    assert!(desk.completion().is_some_and(|done| done.unproven));
}

#[test]
fn r21_one_difference_rejects_all_of_it() {
    let mut desk = half_proven(job().held(claim()));
    desk.head(L1, part(6 * K - 4096, 6 * K, 8 * K).tag(A));
    desk.put(Input::Compared { lane: L1, same: false }).ended(L1, Ok(Ending::Closed));
    assert!(rejected(&desk) && !desk.ever(|a| matches!(a, Action::Note(Record::Block { .. }))));
    assert_eq!(desk.last_ask(), Some((Some((0, None)), Condition::None)));
    assert_eq!(desk.says_held(), 0, "should it end now, nothing is kept");
    desk.head(L2, part(0, 8 * K, 8 * K).tag(A));
    let discards = |a: &Action| matches!(a, Action::Place(place) if place.discard && !place.retire);
    assert!(desk.ever(discards), "{:?}", desk.said());
    assert!(!desk.told_changed(), "the remote file is no other one");
}

#[test]
fn r19_another_length_rejects_it_before_anything_is_compared() {
    let mut desk = job().held(claim()).start();
    desk.checked_all().head(L0, part(0, 4096, 8 * K + 1).tag(A));
    assert!(rejected(&desk) && desk.take(L0).is_none());
    // A prefix tells no length, but cannot be longer than the file.
    let mut desk = job().held(held(8).unknown().blocks(0..8).claimed(&[(0, 4096)])).start();
    desk.checked_all().head(L0, part(0, 4096, 8 * K - 1).tag(A));
    assert!(rejected(&desk) && desk.take(L0).is_none());
}

#[test]
fn a_prefix_learns_the_length_when_it_is_proven() {
    let mut desk = job().held(held(8).unknown().blocks(0..2).claimed(&[(0, 4096)])).start();
    desk.checked_all().head(L0, part(0, 4096, 8 * K).tag(A));
    desk.put(Input::Compared { lane: L0, same: true });
    let learnt = |r: &&Record| matches!(r, Record::Learnt(identity) if identity.total == Some(8 * K));
    assert!(records(&desk).iter().any(learnt), "{:?}", desk.said());
    desk.ended(L0, Ok(Ending::Range));
    assert_eq!(desk.asks(), [(Some((2 * K, Some(8 * K))), if_range(A))]);
}

#[test]
fn what_is_claimed_to_be_whole_is_compared_all_the_same() {
    let mut desk = job().held(held(2).blocks(0..2).claimed(&[(0, 4096)])).start();
    desk.checked_all();
    assert_eq!((desk.finish(), desk.last_ask()), (None, Some((Some((0, Some(4096))), Condition::None))));
    desk.head(L0, part(0, 4096, 2 * K).tag(A));
    assert!(desk.take(L0).is_some_and(|take| take.compare), "nobody ended the comparison");
    desk.put(Input::Compared { lane: L0, same: true }).ended(L0, Ok(Ending::Range));
    assert_eq!(desk.finish(), Some(2 * K));
}

#[test]
fn without_ranges_one_answer_is_compared_from_its_beginning() {
    let mut desk = job().held(claim()).start();
    desk.checked_all().head(L0, whole(8 * K));
    desk.ended(L0, Ok(Ending::Closed));
    desk.head(L1, whole(8 * K));
    if desk.take(L1).is_none() {
        // It asks once more, now for one stream.
        desk.ended(L1, Ok(Ending::Closed));
        desk.head(L2, whole(8 * K));
    }
    let lane = desk.last_lane().unwrap();
    let take = desk.take(lane).unwrap();
    assert_eq!((take.from, take.at, take.compare), (0, 3 * K, true), "the run that stands apart comes again");
    assert!(!told(&desk, |event| matches!(event, Event::Adopted { .. })));
    desk.put(Input::Compared { lane, same: true });
    assert!(told(&desk, |event| *event == Event::Adopted { file: "file".into(), bytes: 3 * K }));
}

#[test]
fn without_ranges_and_a_beginning_nothing_is_adopted() {
    let mut desk = job().held(held(8).blocks(2..4).claimed(&[(2 * K, 2 * K + 4096)])).start();
    desk.checked_all().head(L0, page(416)).ended(L0, Ok(Ending::Closed));
    assert!(rejected(&desk), "{:?}", desk.said());
    assert!(desk.last_ask().is_some());
}

#[test]
fn what_cannot_be_read_back_is_not_adopted() {
    let mut desk = job().held(held(8).blocks(0..1).claimed(&[(0, 4096)])).start();
    desk.put(Input::Checked { block: 0, same: false });
    assert!(rejected(&desk));
    assert_eq!(desk.last_ask(), Some((Some((0, None)), Condition::None)));
}

#[test]
fn a_wrong_digest_fetches_what_was_adopted_again() {
    let mut desk = job().digest().held(held(3).blocks(0..2).claimed(&[(0, 4096)])).start();
    desk.checked_all().head(L0, part(0, 4096, 3 * K).tag(A));
    desk.put(Input::Compared { lane: L0, same: true }).ended(L0, Ok(Ending::Range));
    assert!(!told(&desk, |event| matches!(event, Event::Unproven { .. })), "the digest will prove it");
    desk.head(L1, part(2 * K, 3 * K, 3 * K).tag(A)).stored(2, K as u32).ended(L1, Ok(Ending::Range));
    assert_eq!(desk.finish(), Some(3 * K));
    let wrong = || Failure::Digest { want: "1".into(), got: "2".into() };
    desk.put(Input::Finished(Err(wrong())));
    assert!(rejected(&desk) && desk.error().is_none());
    assert!(records(&desk).contains(&&Record::Replaces(None)), "the other program's file is not replaced");
    assert_eq!(desk.asks(), [(Some((0, Some(2 * K))), if_range(A))]);
    desk.head(L2, part(0, 2 * K, 3 * K).tag(A)).stored_whole(0..2).ended(L2, Ok(Ending::Range));
    assert_eq!(desk.finish(), Some(3 * K));
    desk.put(Input::Finished(Err(wrong())));
    assert!(desk.error().is_some(), "now it is the server's");
}

#[test]
fn no_mirror_is_judged_by_bytes_that_nobody_proved() {
    let mut desk = job().lanes(4).mirror("https://mirror.test/file").held(claim()).start();
    desk.checked_all();
    let mirror = |a: &Action| matches!(a, Action::Open { url, .. } if url.contains("mirror"));
    assert!(!desk.ever(mirror));
}
