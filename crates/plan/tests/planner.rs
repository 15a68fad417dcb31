//! The planner by rule and case: what it asks for, believes and does.

#[path = "planner/desk.rs"]
mod desk;

use std::time::Duration;

use desk::{A, Desk, K, L0, L1, date, held, if_range, job, page, part, whole};
use thence_plan::{
    Action, Command, Condition, DiskFault, Ending, Error, Event, Failure, Input, LaneId, SourceId,
};

const B: &str = "\"b\"";
const L2: LaneId = LaneId(2);

// ---- Asking ----

#[test]
fn r3_the_first_request_is_one_get_of_everything() {
    let desk = job().lanes(8).start();
    assert_eq!(desk.asks(), [(Some((0, None)), Condition::None)]);
    assert_eq!(desk.said().len(), 1, "and nothing else");
}

#[test]
fn r3a_a_refused_range_is_asked_once_more_without() {
    for status in [400, 405, 416, 501] {
        let mut desk = job().start();
        desk.head(L0, page(status)).ended(L0, Ok(Ending::Closed));
        assert_eq!(desk.asks(), [(None, Condition::None)]);
        desk.head(L1, page(status)).ended(L1, Ok(Ending::Closed));
        assert!(matches!(desk.error(), Some(Error::Source { .. })), "{status}");
    }
}

#[test]
fn r6_later_requests_carry_the_strong_tag() {
    let desk = job().held(held(8).tag(A).blocks(0..4)).start();
    assert_eq!(desk.asks(), [(Some((4 * K, Some(8 * K))), if_range(A))]);
}

#[test]
fn r7_rng_06_a_weak_tag_is_never_sent() {
    let mut desk = job().held(held(8).tag("W/\"a\"").blocks(0..4)).start();
    desk.checked(0);
    assert_eq!(desk.asks(), [(Some((96 << 10, Some(160 << 10))), Condition::None)]);
}

#[test]
fn r8_rng_08_a_strong_date_is_sent_as_it_came() {
    let desk = job().held(held(8).modified(3600).blocks(0..4)).start();
    assert_eq!(desk.asks(), [(Some((4 * K, Some(8 * K))), if_range(&date(3600)))]);
}

#[test]
fn rng_07_a_date_of_the_same_second_is_no_validator() {
    let mut desk = job().held(held(8).modified(0).blocks(0..1)).start();
    desk.checked(0);
    assert_eq!(desk.asks()[0].1, Condition::None);
}

// ---- Lanes ----

#[test]
fn a_cut_stands_at_a_block_boundary() {
    let mut desk = job().lanes(2).begun(part(0, 8 * K + 5, 8 * K + 5).tag(A));
    assert_eq!(desk.narrowed(), Some((L0, 5 * K)), "half, rounded up");
    desk.put(Input::Narrowed { lane: L0, end: 5 * K });
    assert_eq!(desk.asks(), [(Some((5 * K, Some(8 * K + 5))), if_range(A))]);
}

#[test]
fn whoever_cannot_narrow_is_not_asked_again_at_once() {
    let mut desk = job().lanes(2).begun(part(0, 8 * K, 8 * K).tag(A));
    desk.put(Input::Narrowed { lane: L0, end: 8 * K });
    assert_eq!(desk.narrowed(), None);
    assert!(desk.asks().is_empty());
}

#[test]
fn rng_14_the_rest_of_a_short_range_is_asked_for() {
    let mut desk = job().begun(part(0, 3 * K + 10, 8 * K).tag(A));
    assert_eq!(desk.take(L0).expect("taken").end, Some(3 * K + 10));
    desk.stored_whole(0..3).stored(3, 10).ended(L0, Ok(Ending::Message));
    assert_eq!(desk.asks(), [(Some((3 * K + 10, Some(8 * K))), if_range(A))]);
}

#[test]
fn the_block_a_short_answer_ends_in_has_one_writer() {
    let desk = job().lanes(2).begun(part(0, 3 * K + 10, 8 * K).tag(A));
    assert_eq!(desk.take(L0).expect("taken").end, Some(3 * K + 10));
    assert_eq!(desk.asks(), [(Some((4 * K, Some(8 * K))), if_range(A))]);
}

#[test]
fn a_poll_that_comes_late_sleeps_through_nothing() {
    let mut desk = job().start();
    desk.ended(L0, Err(Failure::Truncated));
    let due = desk.idle().expect("a retry is due");
    desk.late(Duration::from_secs(60));
    assert_eq!(desk.idle(), Some(due));
}

// ---- Is it the same file? ----

#[test]
fn rng_01_another_strong_tag_starts_over() {
    let mut desk = job().held(held(8).tag(A).blocks(0..4)).start();
    for lane in 0..4 {
        desk.head(LaneId(lane), whole(8 * K).tag(B)).ended(LaneId(lane), Ok(Ending::Closed));
        assert!(!desk.told_changed(), "a cluster's other node?");
    }
    desk.head(LaneId(4), whole(8 * K).tag(B));
    assert!(desk.told_changed());
    desk.synced().checked_all().placed();
    assert_eq!(desk.take(LaneId(4)).map(|t| (t.from, t.at)), Some((0, 0)), "into a new pair");
}

#[test]
fn rng_02_a_206_under_another_tag_is_not_joined() {
    let mut desk = job().held(held(8).tag(A).blocks(0..4)).start();
    desk.head(L0, part(4 * K, 8 * K, 8 * K).tag(B));
    assert!(desk.closes(L0) && desk.take(L0).is_none());
}

#[test]
fn rng_04_a_flip_under_running_lanes_ends_them_all() {
    let mut desk = job().lanes(2).begun(part(0, 8 * K, 8 * K).tag(A));
    desk.put(Input::Narrowed { lane: L0, end: 4 * K });
    desk.head(L1, part(4 * K, 8 * K, 9 * K).tag(B));
    assert!(desk.told_changed() && desk.closes(L0) && desk.closes(L1));
    desk.ended(L0, Ok(Ending::Closed)).ended(L1, Ok(Ending::Closed));
    assert_eq!(desk.asks(), [(Some((0, None)), Condition::None)]);
}

#[test]
fn a_version_that_comes_back_is_gone_on_with() {
    let mut desk = job().lanes(1).held(held(8).tag(B).blocks(0..4)).start();
    desk.checked_all();
    for lane in 0..5 {
        desk.head(LaneId(lane), whole(8 * K).tag(A));
        desk.ended(LaneId(lane), Ok(Ending::Closed));
    }
    assert!(desk.ever(|a| matches!(a, Action::Place(placement) if placement.retire)));
    desk.put(Input::Returned(Box::new(held(8).tag(A).blocks(0..6).take()))).checked_all();
    assert_eq!(desk.last_ask(), Some((Some((6 * K, Some(8 * K))), if_range(A))), "only what is missing");
}

#[test]
fn a_tag_that_comes_back_is_no_change() {
    let mut desk = job().held(held(8).tag(A).blocks(0..4)).start();
    for lane in 0..20 {
        let tag = if lane % 4 == 3 { A } else { B };
        desk.head(LaneId(lane), part(4 * K, 4 * K + 1, 8 * K).tag(tag));
        desk.ended(LaneId(lane), Ok(Ending::Closed));
    }
    assert!(!desk.ever(|a| matches!(a, Action::Tell(Event::Changed { .. }))));
}

#[test]
fn rng_10_a_200_under_the_same_tag_is_read_from_byte_0() {
    let mut desk = job().held(held(8).tag(A).blocks(0..4)).start();
    desk.checked_all();
    desk.head(L0, whole(8 * K).tag(A)).ended(L0, Ok(Ending::Closed));
    assert_eq!(desk.asks(), [(Some((4 * K, Some(8 * K))), Condition::None)]);
    desk.head(L1, whole(8 * K).tag(A));
    assert_eq!(desk.take(L1).map(|t| (t.from, t.at)), Some((0, 4 * K)), "never at the offset");
}

#[test]
fn rng_11_who_dislikes_if_range_gets_a_plain_range() {
    let mut desk = job().lanes(4).held(held(8).tag(A).blocks(0..4)).start();
    let lanes = desk.opened();
    desk.head(lanes[0], whole(8 * K).tag(A)).ended(lanes[0], Ok(Ending::Closed));
    assert_eq!(desk.asks(), [(Some((4 * K, Some(8 * K))), Condition::None)]);
    let lane = desk.opened()[0];
    desk.head(lane, part(4 * K, 8 * K, 8 * K).tag(A));
    assert!(desk.take(lane).is_some());
}

#[test]
fn rng_12_bytes_below_what_was_asked_are_compared() {
    let mut desk = job().held(held(8).tag(A).blocks(0..4)).start();
    desk.checked_all();
    desk.head(L0, part(4 * K - 4096, 8 * K, 8 * K).tag(A));
    let take = desk.take(L0).expect("taken");
    assert_eq!((take.from, take.at, take.compare), (4 * K - 4096, 4 * K, true));
}

#[test]
fn rng_13_a_range_above_what_was_asked_is_refused() {
    let mut desk = job().held(held(8).tag(A).blocks(0..4)).start();
    desk.head(L0, part(4 * K + 1, 8 * K, 8 * K).tag(A));
    assert!(desk.closes(L0) && desk.take(L0).is_none());
    desk.ended(L0, Ok(Ending::Closed)).later(1000);
    assert_eq!(desk.asks(), [(Some((4 * K, Some(8 * K))), if_range(A))]);
}

#[test]
fn rng_16_another_complete_length_starts_over() {
    let mut desk = job().held(held(8).tag(A).blocks(0..4)).start();
    desk.head(L0, part(4 * K, 8 * K, 9 * K).tag(A));
    assert!(desk.told_changed() && desk.closes(L0));
}

#[test]
fn rng_17_a_star_is_good_where_the_strong_tag_is_equal() {
    let mut desk = job().held(held(8).tag(A).blocks(0..4)).start();
    desk.head(L0, part(4 * K, 8 * K, 8 * K).star().tag(A));
    assert!(desk.take(L0).is_some());
}

#[test]
fn rng_20_a_416_that_names_our_length_completes_an_unknown_one() {
    let mut desk = job().held(held(0).unknown().tag(A).bytes(5)).start();
    desk.checked(0);
    assert_eq!(desk.asks(), [(Some((5, None)), if_range(A))]);
    desk.head(L0, page(416).field("content-range", "bytes */5")).ended(L0, Ok(Ending::Closed));
    assert_eq!(desk.finish(), Some(5));
}

/// Found by the simulator: the file had become shorter, and the beginning of the old one was published.
#[test]
fn r37_a_whole_message_that_ends_below_what_is_held_is_another_file() {
    let mut desk = job().held(held(0).unknown().tag(A).bytes(5)).start();
    desk.checked(0).head(L0, page(416)).ended(L0, Ok(Ending::Closed));
    desk.head(L1, whole(0).without("content-length").tag(A)).read(L1, 3, 3).ended(L1, Ok(Ending::Message));
    assert!(desk.told_changed() && desk.finish().is_none());
}

/// Found by the simulator: it was called a breach, by every run.
#[test]
fn r21_a_file_that_is_shorter_than_what_is_to_be_compared_is_another() {
    let mut desk = job().held(held(0).unknown().bytes(7)).start();
    desk.checked(0);
    assert_eq!(desk.asks(), [(Some((0, Some(7))), Condition::None)]);
    desk.head(L0, part(0, 2, 2));
    assert!(desk.told_changed());
}

#[test]
fn r37_a_closed_connection_below_what_is_held_proves_no_end() {
    let mut desk = job().held(held(0).unknown().tag(A).bytes(5)).start();
    desk.checked(0).head(L0, page(416)).ended(L0, Ok(Ending::Closed));
    desk.head(L1, whole(0).without("content-length").tag(A)).read(L1, 3, 3).ended(L1, Ok(Ending::Close));
    assert!(!desk.told_changed() && desk.finish().is_none());
}

#[test]
fn r29_a_416_that_names_another_length_is_confirmed_by_a_plain_get() {
    let mut desk = job().held(held(0).unknown().tag(A).bytes(5)).start();
    desk.checked(0).head(L0, page(416).field("content-range", "bytes */9")).ended(L0, Ok(Ending::Closed));
    assert_eq!(desk.asks(), [(None, Condition::None)]);
}

#[test]
fn rng_24_a_304_completes_nothing() {
    let mut desk = job().held(held(8).tag(A).blocks(0..4)).start();
    desk.head(L0, page(304)).ended(L0, Ok(Ending::Closed));
    assert_eq!(desk.finish(), None);
    assert!(desk.later(1000).asks() == [(Some((4 * K, Some(8 * K))), if_range(A))]);
}

#[test]
fn rng_25_a_412_is_a_change() {
    let mut desk = job().held(held(8).tag(A).blocks(0..4)).start();
    desk.head(L0, page(412));
    assert!(desk.told_changed());
}

#[test]
fn rng_35_a_portal_costs_nothing_that_is_held() {
    let mut desk = job().held(held(8).tag(A).blocks(0..4)).start();
    desk.head(L0, page(200)).ended(L0, Ok(Ending::Closed)).later(1000);
    assert!(!desk.ever(|a| matches!(a, Action::Tell(Event::Changed { .. }))));
    desk.head(L1, part(4 * K, 8 * K, 8 * K).tag(A));
    assert!(desk.take(L1).is_some());
}

#[test]
fn r9a_what_came_under_a_young_tag_is_compared_first() {
    let mut desk = job().lanes(4).held(held(8).tag(A).age(1).blocks(0..1)).start();
    desk.checked(0);
    assert_eq!(desk.asks(), [(Some((96 << 10, Some(160 << 10))), if_range(A))]);
    desk.head(L0, part(96 << 10, 160 << 10, 8 * K).tag(A));
    let take = desk.take(L0).expect("taken");
    assert_eq!((take.at, take.end, take.compare), (160 << 10, Some(160 << 10), true));
    desk.put(Input::Compared { lane: L0, same: true }).ended(L0, Ok(Ending::Range));
    assert_eq!(desk.asks().len(), 3, "the rest at once, in three pieces");
    assert!(!desk.ever(|a| matches!(a, Action::Tell(Event::Unproven { .. }))));
}

#[test]
fn r21_an_unproven_join_is_compared_and_said() {
    let mut desk = weak_resume(job());
    assert!(desk.ever(|a| matches!(a, Action::Tell(Event::Unproven { .. }))));
    assert_eq!(desk.asks(), [(Some((K - (64 << 10), Some(8 * K))), Condition::None)]);
    let lane = desk.opened()[0];
    desk.head(lane, part(K - (64 << 10), 8 * K, 8 * K));
    assert!(desk.take(lane).is_some_and(|t| t.compare && t.at == K));
    desk.put(Input::Compared { lane, same: false });
    assert!(desk.told_changed());
}

#[test]
fn strict_refuses_an_unproven_join() {
    let desk = weak_resume(job().strict());
    assert_eq!(desk.error(), Some(&Error::Unproven));
}

/// One block is held and compared; its server sends no validator.
fn weak_resume(setup: desk::Setup) -> Desk {
    let mut desk = setup.held(held(8).blocks(0..1)).start();
    desk.checked(0).head(L0, part(96 << 10, 160 << 10, 8 * K));
    desk.put(Input::Compared { lane: L0, same: true }).ended(L0, Ok(Ending::Range));
    desk
}

#[test]
fn r5_a_coded_body_proves_no_offset() {
    let mut desk = job().begun(whole(900).field("content-encoding", "gzip").tag(A));
    desk.stored(0, 500).ended(L0, Err(Failure::Truncated)).synced().later(1000);
    assert!(desk.ever(|a| matches!(a, Action::Tell(Event::Changed { .. }))));
    assert_eq!(desk.last_ask(), Some((Some((0, None)), Condition::None)), "from the start");
}

#[test]
fn r37_strict_refuses_a_length_that_nothing_proves() {
    for (strict, lane_end) in [(true, None), (false, Some(700))] {
        let setup = if strict { job().strict() } else { job() };
        let mut desk = setup.begun(whole(0).without("content-length").tag(A));
        desk.stored(0, 700).ended(L0, Ok(Ending::Close));
        assert_eq!(desk.finish(), lane_end);
        desk.synced();
        assert_eq!(desk.error() == Some(&Error::LengthUnknown), strict);
    }
}

// ---- Hosts and failures ----

#[test]
fn rng_30_an_expired_target_leads_back_to_the_original() {
    let mut desk = job().start();
    desk.redirected(L0, "https://cdn.test/signed", part(0, 8 * K, 8 * K).tag(A)).placed();
    desk.stored(0, 9).ended(L0, Err(Failure::Truncated)).later(1000);
    assert_eq!(desk.urls(), ["https://cdn.test/signed"]);
    desk.head(L1, page(403)).ended(L1, Ok(Ending::Closed));
    assert_eq!(desk.urls(), ["https://host.test/file"]);
}

#[test]
fn r34_a_refusal_leaves_the_lanes_that_are_served() {
    let mut desk = job().lanes(8).held(held(80).tag(A).blocks(0..1)).start();
    desk.head(L0, part(desk.asked_from(0), 80 * K, 80 * K).tag(A));
    let lanes = desk.opened();
    for (i, &lane) in lanes.iter().take(6).enumerate() {
        desk.head(lane, part(desk.asked_from(i + 1), desk.asked_from(i + 1) + 10 * K, 80 * K).tag(A));
    }
    desk.head(lanes[6], page(429));
    assert!(desk.said().iter().any(|a| matches!(a, Action::Tell(Event::Narrowed { lanes: 7, .. }))));
}

#[test]
fn r33_retry_after_holds_the_host_for_every_job() {
    let mut desk = job().start();
    desk.head(L0, page(503).field("retry-after", "20"));
    let other = desk.add(job().url("https://host.test/other"));
    assert!(desk.asks().is_empty());
    desk.later(19_000);
    assert!(desk.asks().is_empty());
    desk.later(1_001);
    assert!(desk.ever(|a| matches!(a, Action::Open { url, .. } if url.ends_with("other"))), "{other:?}");
}

#[test]
fn r33_a_wait_beyond_the_limit_ends_the_source() {
    let mut desk = job().start();
    desk.head(L0, page(503).field("retry-after", "301")).ended(L0, Ok(Ending::Closed));
    assert!(matches!(desk.error(), Some(Error::Source { .. })));
}

#[test]
fn a_one_time_link_never_fails_a_download() {
    let mut desk = job().lanes(2).begun(part(0, 8 * K, 8 * K).tag(A));
    desk.put(Input::Narrowed { lane: L0, end: 4 * K });
    desk.head(L1, page(403)).ended(L1, Ok(Ending::Closed));
    for _ in 0..10 {
        desk.read(L0, 9, 9).later(500);
        assert!(desk.asks().is_empty() && desk.error().is_none());
    }
    desk.stored_whole(0..4).reached(L0);
    assert_eq!(taken(&desk, L0), Some((4 * K, 4 * K, Some(8 * K))), "its answer brings all of it");
}

/// From where a lane reads, and what it stores of it.
fn taken(desk: &desk::Desk, lane: LaneId) -> Option<(u64, u64, Option<u64>)> {
    desk.take(lane).map(|take| (take.from, take.at, take.end))
}

#[test]
fn a_one_time_link_that_is_read_before_the_others_are_refused_rests() {
    let mut desk = job().lanes(3).begun(part(0, 9 * K, 9 * K).tag(A));
    desk.put(Input::Narrowed { lane: L0, end: 3 * K }).stored_whole(0..3).reached(L0);
    assert!(!desk.closes(L0) && taken(&desk, L0).is_none(), "nobody knows yet what becomes of the others");
    desk.head(L1, page(403));
    assert!(!desk.closes(L0) && taken(&desk, L0).is_none(), "what the refused one has is not free yet");
    desk.ended(L1, Ok(Ending::Closed));
    assert_eq!(taken(&desk, L0), Some((3 * K, 3 * K, Some(6 * K))));
    desk.head(L2, page(403)).ended(L2, Ok(Ending::Closed)).stored_whole(3..6).reached(L0);
    assert_eq!(taken(&desk, L0), Some((6 * K, 6 * K, Some(9 * K))));
    assert!(desk.stored_whole(6..9).ended(L0, Ok(Ending::Range)).error().is_none());
}

#[test]
fn a_run_that_goes_on_asks_with_one_lane_first_and_a_one_time_link_jumps_over_what_is_held() {
    let mut desk = job().lanes(4).held(held(20).tag(A).blocks(0..4).blocks(8..12).blocks(14..16)).start();
    assert_eq!(desk.asks(), [(Some((4 * K, Some(20 * K))), if_range(A))], "everything, before the others");
    desk.head(L0, part(4 * K, 20 * K, 20 * K).tag(A));
    assert_eq!((taken(&desk, L0), desk.opened().len()), (Some((4 * K, 4 * K, Some(6 * K))), 3));
    for lane in desk.opened() {
        desk.head(lane, page(403)).ended(lane, Ok(Ending::Closed));
    }
    assert_eq!(taken(desk.stored_whole(4..6).reached(L0), L0), Some((6 * K, 6 * K, Some(8 * K))));
    assert_eq!(taken(desk.stored_whole(6..8).reached(L0), L0), Some((8 * K, 12 * K, Some(14 * K))));
    assert_eq!(taken(desk.stored_whole(12..14).reached(L0), L0), Some((14 * K, 16 * K, Some(20 * K))));
}

#[test]
fn a_link_that_serves_two_is_asked_again_instead_of_reading_through_held_bytes() {
    let mut desk = job().lanes(2).held(held(20).tag(A).blocks(0..4).blocks(8..12)).start();
    desk.head(L0, part(4 * K, 20 * K, 20 * K).tag(A));
    desk.head(L1, part(12 * K, 20 * K, 20 * K).tag(A))
        .stored_whole(12..16)
        .ended(L1, Err(Failure::Truncated));
    desk.later(60_000).head(L2, page(403)).ended(L2, Ok(Ending::Closed)).stored_whole(4..8).reached(L0);
    assert!(desk.closes(L0) && taken(&desk, L0).is_none());
}

#[test]
fn a_host_that_lets_the_others_wait_is_not_rested_at_for_ever() {
    let mut desk = job().lanes(2).begun(part(0, 8 * K, 8 * K).tag(A));
    desk.put(Input::Narrowed { lane: L0, end: 4 * K }).stored_whole(0..4).reached(L0);
    assert!(!desk.closes(L0));
    assert!(
        (0..10).any(|_| desk.later(500).closes(L0)),
        "the other's connection may be waiting for this one's end"
    );
}

#[test]
fn r54_a_mirror_is_compared_before_it_is_joined() {
    let mut desk = job().lanes(2).mirror("https://mirror.test/file").begun(part(0, 8 * K, 8 * K).tag(A));
    desk.put(Input::Narrowed { lane: L0, end: 4 * K }).stored(0, K as u32);
    desk.head(L1, part(4 * K, 8 * K, 8 * K).tag(A)).stored(4, K as u32);
    desk.stored_whole(5..8).ended(L1, Ok(Ending::Range));
    let sources: Vec<SourceId> = desk.sources();
    assert_eq!((sources, desk.asks()[0].0), (vec![SourceId(1)], Some((96 << 10, Some(160 << 10)))));
}

#[test]
fn r54_a_mirror_with_another_length_is_left_out_alone() {
    let mut desk = mirror_asked();
    let mirror = desk.opened()[0];
    desk.head(mirror, part(96 << 10, 160 << 10, 9 * K).tag(A));
    assert!(desk.closes(mirror) && desk.take(mirror).is_none());
    assert!(!desk.told_changed() && desk.error().is_none(), "the file is as it was");
}

#[test]
fn r54_what_a_mirror_brings_to_be_compared_is_not_stored() {
    let mut desk = mirror_asked();
    let mirror = desk.opened()[0];
    desk.head(mirror, part(96 << 10, 160 << 10, 8 * K).tag(A));
    let take = desk.take(mirror).expect("it is compared");
    assert_eq!((take.compare, take.end), (true, Some(160 << 10)));
}

/// One lane is at home, and the mirror is asked for what can be compared.
fn mirror_asked() -> Desk {
    let mut desk = job().lanes(2).mirror("https://mirror.test/file").begun(part(0, 8 * K, 8 * K).tag(A));
    desk.put(Input::Narrowed { lane: L0, end: 4 * K }).stored(0, K as u32);
    desk.head(L1, part(4 * K, 8 * K, 8 * K).tag(A)).stored(4, K as u32);
    desk.stored_whole(5..8).ended(L1, Ok(Ending::Range));
    desk
}

#[test]
fn a_mirror_goes_on_for_a_lead_that_is_given_up() {
    let mut desk = job().mirror("https://mirror.test/file").begun(part(0, 8 * K, 8 * K).tag(A));
    desk.stored(0, 1000).ended(L0, Err(Failure::Tls("bad".into())));
    assert_eq!((desk.sources(), desk.asks()[0].0), (vec![SourceId(1)], Some((0, Some(1000)))));
    assert!(desk.error().is_none());
}

// ---- Without a network ----

#[test]
fn time_without_a_network_does_not_spend_the_retries() {
    let mut desk = job().lanes(4).begun(part(0, 8 * K, 8 * K).tag(A));
    desk.ended(L0, Err(no_network()));
    for lane in 1..100 {
        assert_eq!(desk.later(2_000).opened(), [LaneId(lane)], "one at a time");
        desk.ended(LaneId(lane), Err(no_network()));
    }
    let told = |a: &Action| matches!(a, Action::Tell(Event::Retry { .. }));
    assert!(desk.error().is_none() && !desk.said().iter().any(told), "and it is told once");
    let lane = desk.later(2_000).opened()[0];
    desk.head(lane, part(0, 8 * K, 8 * K).tag(A));
    assert!(desk.take(lane).is_some());
}

#[test]
fn who_never_had_a_network_is_told_so_in_the_end() {
    let mut desk = job().start();
    for lane in 0..9 {
        desk.ended(LaneId(lane), Err(no_network())).later(60_000);
    }
    assert!(matches!(desk.error(), Some(Error::Source { failure: Failure::Offline(_), .. })));
}

fn no_network() -> Failure {
    Failure::Offline("Network is unreachable".into())
}

// ---- Digests ----

/// An answer's fields with the digest of its content; a planner looks at its form only.
const DIGEST: (&str, &str) = ("content-digest", "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:");

#[test]
fn frm_17_a_lane_is_told_what_its_content_hashes_to() {
    let desk = job().begun(part(0, 8 * K, 8 * K).tag(A).field(DIGEST.0, DIGEST.1));
    let digest = desk.take(L0).expect("taken").digest.expect("told");
    assert_eq!((digest.algorithm.as_str(), digest.bytes), ("sha-256", vec![0; 32]));
}

#[test]
fn frm_17_what_a_wrong_content_brought_is_fetched_again() {
    let mut desk = job().held(held(8).tag(A).bytes(100)).start();
    desk.checked(0).head(L0, part(100, 8 * K, 8 * K).tag(A));
    desk.stored_whole(0..3).stored(3, 7).ended(L0, Err(Failure::Content));
    let invalid = |a: &&Action| matches!(a, Action::Note(thence_plan::Record::Invalid { .. }));
    assert_eq!(desk.said().iter().filter(invalid).count(), 4, "every block it wrote to");
    assert_eq!(desk.later(1000).asks(), [(Some((0, Some(8 * K))), if_range(A))]);
}

#[test]
fn frm_17_a_content_that_is_always_wrong_ends_its_source() {
    let mut desk = job().begun(part(0, 2 * K, 2 * K).tag(A));
    for lane in 0..4 {
        assert!(desk.error().is_none(), "after {lane}");
        desk.stored(0, K as u32).stored(1, K as u32).synced();
        assert!(desk.ever(|a| *a == Action::Close { lane: LaneId(lane) }), "all is held, it seems");
        desk.ended(LaneId(lane), Err(Failure::Content)).later(1_000);
        desk.head(LaneId(lane + 1), part(0, 2 * K, 2 * K).tag(A));
    }
    assert!(matches!(desk.error(), Some(Error::Source { failure: Failure::Content, .. })));
}

#[test]
fn r50_a_digest_that_a_later_answer_brings_is_remembered() {
    let mut desk = job().held(held(8).tag(A).blocks(0..4)).start();
    desk.head(L0, part(4 * K, 8 * K, 8 * K).tag(A).field("repr-digest", DIGEST.1));
    let learnt = |a: &Action| matches!(a, Action::Note(thence_plan::Record::Learnt(i)) if i.digest.is_some());
    assert!(desk.ever(learnt) && desk.take(L0).is_some());
}

// ---- Disk, pause, finish ----

#[test]
fn a_pause_closes_syncs_and_rests() {
    let mut desk = job().begun(part(0, 8 * K, 8 * K).tag(A));
    desk.put(Input::Command(Command::Pause));
    assert!(desk.closes(L0));
    desk.stored(0, 7).ended(L0, Ok(Ending::Closed));
    assert!(desk.said().contains(&Action::Sync));
    desk.put(Input::Synced(Ok(())));
    assert!(desk.said().contains(&Action::Tell(Event::Paused)));
    desk.later(100_000);
    assert!(desk.asks().is_empty());
    desk.put(Input::Command(Command::Resume));
    assert_eq!(desk.asks(), [(Some((7, Some(8 * K))), if_range(A))]);
}

#[test]
fn a_full_disk_fails_and_keeps_what_is_held() {
    let mut desk = job().begun(part(0, 8 * K, 8 * K).tag(A));
    desk.stored(0, 7).put(Input::Unwritten(Failure::Disk(DiskFault::Full, "no room".into())));
    assert!(desk.closes(L0) && desk.error().is_none(), "lanes first");
    desk.ended(L0, Ok(Ending::Closed));
    assert!(matches!(desk.error(), Some(Error::Disk((DiskFault::Full, _)))));
    assert!(!desk.ever(|a| matches!(a, Action::Note(thence_plan::Record::Invalid { .. }))));
}

/// P3: a byte that a lane held for 200 ms, and whose sync takes a second, is durable 5 s after it came.
#[test]
fn a_sync_begins_early_enough_to_end_in_time() {
    let mut desk = job().begun(part(0, 8 * K, 8 * K).tag(A));
    desk.stored(0, 7).later(4_700);
    assert!(!desk.said().contains(&Action::Sync), "not before it must");
    desk.later(200);
    assert!(desk.said().contains(&Action::Sync));
    desk.later(1_000).synced().stored(0, 9).later(3_700);
    assert!(!desk.said().contains(&Action::Sync));
    desk.later(200);
    assert!(desk.said().contains(&Action::Sync), "the last one took a second");
}

#[test]
fn a_failed_sync_is_final_for_what_it_covered() {
    let mut desk = job().begun(part(0, 8 * K, 8 * K).tag(A));
    desk.stored(0, 7).later(5_000);
    assert!(desk.said().contains(&Action::Sync));
    desk.put(Input::Synced(Err(Failure::Disk(DiskFault::Io, "bad".into())))).ended(L0, Ok(Ending::Closed));
    assert!(
        desk.ever(|a| matches!(a, Action::Note(thence_plan::Record::Invalid { first: 0, count: 1, .. })))
    );
    assert!(matches!(desk.error(), Some(Error::Disk((DiskFault::Io, _)))));
}

#[test]
fn what_an_earlier_run_recorded_is_read_back_before_the_finish() {
    let mut desk = job().held(held(2).tag(A).blocks(0..2)).start();
    assert_eq!(desk.finish(), None);
    desk.checked(0);
    assert_eq!(desk.finish(), None);
    desk.checked(1);
    assert_eq!(desk.finish(), Some(2 * K));
}

#[test]
fn crh_17_a_block_that_rotted_is_fetched_again() {
    let mut desk = job().held(held(2).tag(A).blocks(0..2)).start();
    desk.put(Input::Checked { block: 1, same: false });
    assert_eq!(desk.asks(), [(Some((K, Some(2 * K))), if_range(A))]);
}

#[test]
fn an_open_block_is_read_back_before_a_lane_goes_on_with_it() {
    let mut desk = job().held(held(2).tag(A).bytes(100)).start();
    assert!(desk.asks().is_empty());
    desk.checked(0);
    assert_eq!(desk.asks(), [(Some((100, Some(2 * K))), if_range(A))]);
}

#[test]
fn a_whole_part_is_only_published() {
    let desk = job().held(held(2).tag(A).blocks(0..2).whole()).start();
    assert_eq!(desk.finish(), Some(2 * K));
    assert!(desk.asks().is_empty());
}

#[test]
fn an_empty_file_is_not_published_on_a_journals_word_alone() {
    let desk = job().held(held(0).tag(A)).start();
    assert_eq!(desk.finish(), None);
    assert_eq!(desk.asks(), [(Some((0, None)), Condition::None)]);
}

#[test]
fn verified_is_told_when_the_finish_has_synced() {
    let mut desk = job().begun(part(0, 100, 100).tag(A));
    desk.stored(0, 100).ended(L0, Ok(Ending::Range));
    assert_eq!(desk.finish(), Some(100));
    assert!(!desk.ever(|a| *a == Action::Tell(Event::Verified)));
    desk.put(Input::Finished(Ok(())));
    assert!(desk.said().contains(&Action::Tell(Event::Verified)));
}

#[test]
fn rng_32_an_empty_file_is_finished_at_once() {
    let mut desk = job().start();
    desk.head(L0, page(416)).ended(L0, Ok(Ending::Closed));
    desk.head(L1, whole(0).tag(A)).placed();
    assert!(desk.closes(L1));
    desk.ended(L1, Ok(Ending::Closed));
    assert_eq!(desk.finish(), Some(0));
}

#[test]
fn r53_held_bytes_of_another_url_are_compared_first() {
    let mut desk = job().held(held(8).tag(A).url("https://other.test/x").blocks(0..1)).start();
    desk.checked(0);
    assert_eq!(desk.asks(), [(Some((96 << 10, Some(160 << 10))), Condition::None)]);
}

#[test]
fn a_job_that_is_forgotten_leaves_no_lane_behind() {
    let mut desk = job().begun(part(0, 8 * K, 8 * K).tag(A));
    assert!(desk.forgotten() && desk.said().is_empty());
    desk.stored(0, K as u32).ended(L0, Ok(Ending::Closed));
    assert!(desk.said().is_empty(), "nothing is heard of it again");
}

#[test]
fn r29_a_416_that_tells_the_known_length_asks_for_everything() {
    let mut desk = job().held(held(8).tag(A).blocks(0..4)).start();
    desk.checked_all().head(L0, page(416).field("content-range", &format!("bytes */{}", 8 * K)));
    assert!(desk.closes(L0) && !desk.told_changed());
    desk.ended(L0, Ok(Ending::Closed));
    assert_eq!(desk.asks(), [(None, Condition::None)]);
}

#[test]
fn r29_a_416_that_tells_another_length_is_another_file() {
    let mut desk = job().held(held(8).tag(A).blocks(0..4)).start();
    desk.checked_all().head(L0, page(416).field("content-range", &format!("bytes */{}", 9 * K)));
    desk.ended(L0, Ok(Ending::Closed));
    assert_ne!(desk.last_ask(), Some((None, Condition::None)));
}
