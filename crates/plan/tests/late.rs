//! Late lanes: when a range is asked for a second time, over which connection, and who goes on.

#[path = "planner/desk.rs"]
mod desk;

use desk::{A, Desk, K, L0, L1, if_range, job, part};
use thence_plan::{Action, Ending, Failure, Input};

#[test]
fn a_late_lane_is_closed_when_its_heir_has_a_head() {
    let mut desk = two_lanes_one_late();
    let heir = desk.opened()[0];
    assert_eq!(desk.asks(), [(Some((K, Some(2 * K))), if_range(A))]);
    assert!(!desk.closes(L0), "not before");
    desk.head(heir, part(K, 2 * K, 4 * K).tag(A));
    assert!(desk.closes(L0) && desk.take(heir).is_none(), "one writer a block");
    desk.stored(1, 100).ended(L0, Ok(Ending::Closed));
    let take = desk.take(heir).expect("the heir goes on");
    assert_eq!((take.from, take.at, take.end), (K, K + 100, Some(2 * K)));
}

#[test]
fn a_late_lane_that_comes_home_needs_no_heir() {
    let mut desk = two_lanes_one_late();
    let heir = desk.opened()[0];
    desk.stored(1, K as u32);
    assert!(desk.closes(heir), "all is held");
    desk.ended(L0, Ok(Ending::Range));
    desk.ended(heir, Ok(Ending::Closed));
    assert_eq!(desk.finish(), Some(4 * K));
}

#[test]
fn net_12_who_waits_for_a_limit_of_ours_is_not_late() {
    assert!(two_lanes_one_slow(true).asks().is_empty());
}

/// Lane 1 is done, lane 0 crawls in its second block: a third lane is asked to take over.
fn two_lanes_one_late() -> Desk {
    two_lanes_one_slow(false)
}

fn two_lanes_one_slow(limited: bool) -> Desk {
    let mut desk = job().lanes(2).begun(part(0, 4 * K, 4 * K).tag(A));
    desk.put(Input::Narrowed { lane: L0, end: 2 * K });
    desk.head(L1, part(2 * K, 4 * K, 4 * K).tag(A)).stored(0, K as u32);
    let limit = |desk: &mut Desk| {
        if limited {
            desk.limited(L0, 500);
        }
    };
    for step in 1..=4 {
        limit(&mut desk);
        desk.read(L0, K + step, 1).read(L1, 2 * K + step * K / 2, K / 2).later(500);
    }
    desk.stored(2, K as u32).stored(3, K as u32).ended(L1, Ok(Ending::Range));
    for _ in 0..20 {
        if let Some((lane, _)) = desk.narrowed() {
            desk.put(Input::Narrowed { lane, end: 2 * K });
        }
        if !desk.asks().is_empty() {
            break;
        }
        limit(&mut desk);
        desk.read(L0, K + 9, 1).later(500);
    }
    desk
}

#[test]
fn net_01_a_lane_is_late_though_its_siblings_ended_before_any_tick() {
    let mut desk = job().lanes(2).begun(part(0, 8 * K, 8 * K).tag(A));
    desk.put(Input::Narrowed { lane: L0, end: K });
    desk.head(L1, part(K, 8 * K, 8 * K).tag(A)).later(100).read(L1, 8 * K, 7 * K).stored_whole(1..8);
    desk.ended(L1, Ok(Ending::Range));
    let late = (0..10).any(|_| !desk.read(L0, 1, 1).later(500).asks().is_empty());
    assert!(late, "one byte in half a second, after 7 blocks in a tenth of one");
}

#[test]
fn frm_17_whoever_took_over_from_a_wrong_content_begins_anew() {
    let mut desk = two_lanes_one_late();
    let heir = desk.opened()[0];
    desk.ended(L0, Err(Failure::Content));
    assert!(desk.closes(heir), "it has asked from the middle of what is worth nothing");
    desk.ended(heir, Ok(Ending::Closed)).later(1000);
    assert_eq!(desk.last_ask().and_then(|ask| ask.0), Some((0, Some(2 * K))));
}

/// Whether the request that was said last wants a new connection.
fn is_fresh(desk: &Desk) -> Option<bool> {
    desk.said().iter().find_map(|a| if let Action::Open { ask, .. } = a { Some(ask.fresh) } else { None })
}

#[test]
fn an_heir_asks_over_the_connection_that_was_fast_until_now() {
    assert_eq!(is_fresh(&two_lanes_one_late()), Some(false));
}

#[test]
fn a_connection_that_died_without_a_word_is_no_heirs_for_long() {
    let mut desk = two_lanes_one_late();
    let heir = desk.opened()[0];
    assert!((0..10).any(|_| desk.read(L0, K + 9, 1).later(500).closes(heir)));
    desk.ended(heir, Ok(Ending::Closed));
    assert_eq!(is_fresh(&desk), Some(true));
    let second = desk.opened()[0];
    assert!(!(0..10).any(|_| desk.read(L0, K + 9, 1).later(500).closes(second)), "a new one gets its time");
}

#[test]
fn an_heir_that_is_late_itself_is_followed_over_a_new_connection() {
    let mut desk = two_lanes_one_late();
    let heir = desk.opened()[0];
    desk.head(heir, part(K, 2 * K, 4 * K).tag(A)).ended(L0, Ok(Ending::Closed));
    assert!((0..20).any(|n| desk.read(heir, K + 10 + n, 1).later(500).asks().len() == 1));
    assert_eq!(is_fresh(&desk), Some(true));
}
