//! A stream over many lanes: nothing beyond its window, the lowest bytes first, and the frontier never waits for nobody.

#[path = "planner/desk.rs"]
mod desk;

use desk::{A, Desk, K, L0, job, part, whole};
use thence_plan::{Action, Ending, Error, Event, Failure, LaneId};

/// Sixteen blocks over four lanes with a window of eight: pieces of one block.
fn stream() -> Desk {
    begun(4, 8)
}

/// Over so many lanes, with a window of so many blocks.
fn begun(lanes: u32, window: u64) -> Desk {
    let mut desk = job().stream().lanes(lanes).window(window * K).start();
    desk.head(L0, part(0, 16 * K, 16 * K).tag(A));
    desk
}

/// Starts of what was asked for, in blocks.
fn asked(desk: &Desk) -> Vec<u64> {
    desk.asks().iter().map(|(range, _)| range.map_or(0, |range| range.0) / K).collect()
}

/// Answers a lane and lets it bring its block.
fn bring(desk: &mut Desk, lane: LaneId, block: u64) {
    let (start, end) = (block * K, (block + 1) * K);
    desk.head(lane, part(start, end, 16 * K).tag(A)).later(100);
    desk.read(lane, end, K).landed(lane, end).ended(lane, Ok(Ending::Range));
}

#[test]
fn lanes_take_the_lowest_pieces_and_the_first_keeps_one() {
    let mut desk = stream();
    assert_eq!((asked(&desk), desk.opened()), (vec![1, 2, 3], vec![LaneId(1), LaneId(2), LaneId(3)]));
    assert!(desk.ever(|a| matches!(a, Action::Take(L0, take) if take.end == Some(K))));
    bring(&mut desk, LaneId(2), 2);
    assert_eq!(asked(&desk), [4], "the next one, whoever is behind");
}

#[test]
fn nothing_beyond_the_window_is_asked_for_before_the_consumer_takes_some() {
    let mut desk = stream();
    for block in 1..8 {
        bring(&mut desk, LaneId(block as u32), block);
    }
    assert!(desk.opened().is_empty(), "{:?}", desk.said());
    desk.read(L0, K, K).landed(L0, K);
    assert!(desk.opened().is_empty(), "it has landed, and is not taken");
    assert!(desk.taken(K - 1).opened().is_empty(), "a piece does not fit yet");
    assert_eq!(asked(desk.taken(K)), [8]);
}

#[test]
fn the_first_lane_goes_on_where_nobody_else_was_sent_for_what_follows() {
    let mut desk = begun(1, 4);
    let ends = |desk: &Desk| desk.take(L0).map(|take| take.end.unwrap() / K);
    desk.landed(L0, 2 * K).reached(L0);
    assert_eq!(ends(&desk), Some(4));
    desk.landed(L0, 4 * K).reached(L0);
    assert_eq!(
        (ends(&desk), desk.closes(L0)),
        (None, false),
        "it waits for the consumer, and keeps its connection"
    );
    assert_eq!(ends(desk.taken(2 * K)), Some(6));
}

#[test]
fn a_dropped_lane_goes_on_from_where_it_stopped_within_the_window() {
    let mut desk = stream();
    desk.head(LaneId(1), part(K, 2 * K, 16 * K).tag(A)).landed(LaneId(1), K + 9);
    desk.ended(LaneId(1), Err(Failure::Truncated)).later(1_000);
    assert_eq!(desk.last_ask().unwrap().0, Some((K + 9, Some(2 * K))));
}

#[test]
fn the_slow_lane_at_the_frontier_is_handed_over_and_no_other() {
    let mut desk = stream();
    for block in 1..8 {
        bring(&mut desk, LaneId(block as u32), block);
    }
    assert!((0..20).any(|_| !desk.read(L0, 10, 1).later(500).asks().is_empty()));
    let heir = desk.last_lane().unwrap();
    assert_eq!(desk.last_ask().unwrap().0, Some((0, Some(K))));
    desk.head(heir, part(0, K, 16 * K).tag(A));
    assert!(desk.closes(L0));
    desk.landed(L0, 10).ended(L0, Ok(Ending::Closed));
    assert_eq!(desk.take(heir).map(|take| take.at), Some(10));
}

#[test]
fn nobody_is_hurried_while_the_consumer_has_enough() {
    let mut desk = stream();
    for block in 1..8 {
        bring(&mut desk, LaneId(block as u32), block);
    }
    desk.landed(L0, 10);
    for _ in 0..20 {
        desk.read(L0, 20, 1).later(500);
    }
    assert_eq!(desk.last_lane(), Some(LaneId(7)));
}

#[test]
fn it_is_finished_when_the_consumer_has_taken_all_of_it() {
    let mut desk = job().stream().begun(whole(2 * K).tag(A));
    desk.landed(L0, 2 * K).ended(L0, Ok(Ending::Message));
    assert_eq!(desk.finish(), None);
    assert_eq!(desk.taken(2 * K).finish(), Some(2 * K));
}

#[test]
fn what_landed_ahead_is_forgotten_with_its_version_if_nothing_was_given_on() {
    let changed = |given: u64| {
        let mut desk = stream();
        bring(&mut desk, LaneId(1), 1);
        desk.landed(L0, given);
        for lane in 2..12 {
            desk.head(LaneId(lane), whole(9 * K).tag("\"b\""))
                .ended(LaneId(lane), Ok(Ending::Closed))
                .later(100);
        }
        desk.ended(L0, Ok(Ending::Closed));
        (desk.ever(|a| *a == Action::Forget { from: 0 }), matches!(desk.error(), Some(Error::Changed { .. })))
    };
    assert_eq!(changed(0), (true, false));
    assert_eq!(changed(1), (false, true));
}

/// The lane that is closed for the change brings the first bytes on its way out: they were given on.
#[test]
fn first_bytes_that_land_after_the_change_end_it_too() {
    let mut desk = stream();
    for lane in 1..12 {
        desk.head(LaneId(lane), whole(9 * K).tag("\"b\"")).ended(LaneId(lane), Ok(Ending::Closed)).later(100);
    }
    assert!(desk.ever(|a| matches!(a, Action::Tell(Event::Changed { .. }))) && desk.error().is_none());
    desk.landed(L0, 9).ended(L0, Ok(Ending::Closed));
    for lane in 1..20 {
        desk.head(LaneId(lane), whole(9 * K).tag("\"b\""));
    }
    assert!(matches!(desk.error(), Some(Error::Changed { .. })), "{:?}", desk.error());
}

#[test]
fn where_answers_come_under_several_tags_one_lane_asks_for_all_that_is_missing() {
    let mut desk = stream();
    desk.head(LaneId(1), part(K, 2 * K, 16 * K).tag("\"b\"")).ended(LaneId(1), Ok(Ending::Closed));
    for lane in [2, 3] {
        bring(&mut desk, LaneId(lane), u64::from(lane));
    }
    desk.landed(L0, K).ended(L0, Ok(Ending::Range));
    assert_eq!(desk.asks().iter().map(|ask| ask.0).collect::<Vec<_>>(), [Some((K, Some(2 * K)))]);
}
