//! Decisions at their edges: one byte or one word to either side, and another is right.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "planner/desk.rs"]
mod desk;

use desk::{K, held, job, page, part, whole};
use thence_plan::{
    Action, Command, DiskFault, Ending, Error, Event, Failure, Input, LaneId, Phase, Record, SourceId,
};

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
    assert!(!desk.ever(|a| matches!(a, Action::Tell(Event::Retry { .. }))), "a status is no breach");
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
    assert!((0..5).any(|_| !desk.later(500).opened().is_empty()), "nobody is sent for what {silent:?} owns");
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

#[test]
fn each_phase_of_waiting_is_told_in_words_of_its_own() {
    let phases = [Phase::Resolve, Phase::Connect, Phase::Proxy, Phase::Tls, Phase::Head, Phase::Body];
    let words: std::collections::BTreeSet<String> = phases.iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), phases.len());
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

// ---- A lane whose message goes on ----

/// A lane of eight blocks that was asked to leave the second half, of which another asks.
fn halved() -> desk::Desk {
    let mut desk = job().lanes(2).begun(part(0, 8 * K, 8 * K).tag(A));
    desk.put(Input::Narrowed { lane: LaneId(0), end: 4 * K });
    desk
}

/// The first lane is so late that another was sent for the one block that it has.
fn taken_over() -> desk::Desk {
    let mut desk = job().lanes(2).begun(part(0, 8 * K, 8 * K).tag(A));
    desk.put(Input::Narrowed { lane: LaneId(0), end: K });
    desk.head(LaneId(1), part(K, 8 * K, 8 * K).tag(A)).later(100).read(LaneId(1), 8 * K, 7 * K);
    desk.stored_whole(1..8).ended(LaneId(1), Ok(Ending::Range));
    assert!((0..10).any(|_| !desk.read(LaneId(0), 1, 1).later(500).asks().is_empty()), "nobody helps it");
    desk
}

#[test]
fn a_lane_rests_only_when_all_of_its_range_is_stored() {
    assert!(halved().stored_whole(0..3).reached(LaneId(0)).closes(LaneId(0)));
    assert!(!halved().stored_whole(0..4).reached(LaneId(0)).closes(LaneId(0)));
}

#[test]
fn a_lane_that_somebody_takes_over_from_does_not_rest() {
    let mut desk = job().lanes(3).begun(part(0, 9 * K, 9 * K).tag(A));
    desk.put(Input::Narrowed { lane: LaneId(0), end: K });
    desk.head(LaneId(1), part(K, 5 * K, 9 * K).tag(A)).head(LaneId(2), part(5 * K, 9 * K, 9 * K).tag(A));
    desk.later(100).read(LaneId(1), 5 * K, 4 * K).stored_whole(1..5).ended(LaneId(1), Ok(Ending::Range));
    desk.put(Input::Narrowed { lane: LaneId(2), end: 9 * K });
    let late = (1..9).any(|step| {
        desk.read(LaneId(0), 1, 1).read(LaneId(2), 5 * K + step * (K / 3), K / 3).later(500);
        if let Some((lane, _)) = desk.narrowed() {
            desk.put(Input::Narrowed { lane, end: 9 * K }); // It has begun all its blocks.
        }
        !desk.asks().is_empty()
    });
    assert!(late, "nobody helps it");
    assert!(desk.stored_whole(0..1).reached(LaneId(0)).closes(LaneId(0)));
}

#[test]
fn a_lane_whose_message_brings_no_more_does_not_rest() {
    let mut desk = job().lanes(2).held(held(8).tag(A)).start();
    desk.head(LaneId(0), part(0, 8 * K, 8 * K).tag(A));
    desk.head(LaneId(1), part(4 * K, 8 * K, 8 * K).tag(A)).stored_whole(4..8).reached(LaneId(1));
    assert!(desk.closes(LaneId(1)));
}

#[test]
fn a_lane_rests_for_a_second_at_least_while_others_ask() {
    let mut desk = halved();
    desk.stored_whole(0..4).reached(LaneId(0));
    assert!(!desk.later(900).closes(LaneId(0)));
}

#[test]
fn nobody_is_late_before_a_speed_is_known() {
    let mut desk = halved();
    assert!((0..20).all(|_| desk.later(500).asks().is_empty()));
}

#[test]
fn what_an_heir_that_was_refused_gets_is_asked_for_again() {
    let mut desk = taken_over();
    desk.head(LaneId(2), page(500)).ended(LaneId(0), Err(Failure::Truncated));
    desk.ended(LaneId(2), Ok(Ending::Closed)).later(10_000);
    assert_eq!(desk.asks()[0].0, Some((0, Some(K))));
}

// ---- Sources ----

const MIRROR: &str = "https://mirror.test/file";

#[test]
fn a_source_that_is_named_later_is_compared_and_asked() {
    let mut desk = job().lanes(2).begun(part(0, 8 * K, 8 * K).tag(A));
    desk.put(Input::Narrowed { lane: LaneId(0), end: 8 * K }).stored_whole(0..4);
    desk.put(Input::Command(Command::Source(MIRROR.into())));
    assert_eq!(desk.urls(), [MIRROR]);
}

#[test]
fn a_source_that_is_lost_before_its_first_byte_leaves_all_to_the_next() {
    let mut desk = job().mirror(MIRROR).start();
    desk.head(LaneId(0), whole(8 * K).tag(A));
    desk.ended(LaneId(0), Err(Failure::Coding("unknown".into()))).placed();
    assert_eq!((desk.error(), desk.urls()), (None, vec![MIRROR]));
}

/// A job of three sources whose first bytes came from the first.
fn mirrored() -> desk::Desk {
    let mut desk = job().lanes(2).mirror(MIRROR).mirror("https://third.test/file").start();
    desk.head(LaneId(0), part(0, 8 * K, 8 * K).tag(A)).placed();
    desk
}

#[test]
fn of_the_mirrors_one_that_lives_takes_the_place_of_the_first() {
    let mut desk = mirrored();
    desk.stored_whole(0..1);
    let [proof] = desk.opened()[..] else { panic!("{:?}", desk.said()) };
    assert_eq!(desk.sources(), [SourceId(1)]);
    desk.head(proof, page(404)).ended(proof, Ok(Ending::Closed));
    desk.ended(LaneId(0), Err(Failure::Coding("unknown".into())));
    let asks =
        |a: &Action| matches!(a, Action::Open { source: SourceId(2), ask, .. } if ask.range.unwrap().0 == K);
    for _proof in 0..4 {
        let (lane, asked) = (desk.last_lane().unwrap(), desk.last_ask().unwrap().0.unwrap());
        desk.head(lane, part(asked.0, asked.1.unwrap(), 8 * K).tag("\"m\""));
        desk.put(Input::Compared { lane, same: true }).ended(lane, Ok(Ending::Range));
    }
    assert_eq!(desk.error(), None);
    assert!(desk.ever(asks), "{:?}", desk.said());
}

// ---- Changes ----

#[test]
fn a_file_that_changes_again_and_again_is_given_up() {
    let mut desk = job().begun(whole(8 * K).tag(A));
    let mut lane = LaneId(0);
    for generation in 0..20 {
        desk.stored(0, K as u32).ended(lane, Err(Failure::Truncated)).later(60_000);
        let next = desk.opened().first().copied();
        desk.synced();
        let Some(next) = next else { break };
        lane = next;
        desk.head(lane, whole((9 + generation) * K).tag(&format!("\"{generation}\"")));
        desk.placed();
    }
    assert!(matches!(desk.error(), Some(Error::Changed { .. })), "{:?}", desk.error());
}

#[test]
fn a_stream_that_changed_before_its_first_byte_begins_again() {
    let changed = |taken: u64| {
        let mut desk = job().stream().begun(whole(8 * K).tag(A));
        if taken > 0 {
            desk.landed(LaneId(0), taken).taken(taken);
        }
        desk.ended(LaneId(0), Err(Failure::Truncated)).later(1_000);
        let lane = desk.opened()[0];
        desk.head(lane, whole(9 * K).tag("\"b\"")).ended(lane, Ok(Ending::Closed));
        desk.error().cloned()
    };
    assert_eq!(changed(0), None);
    assert!(matches!(changed(1), Some(Error::Changed { .. })), "{:?}", changed(1));
}

#[test]
fn r19_what_nothing_can_be_joined_to_begins_anew() {
    let mut desk = job().held(held(8).tag(A).blocks(0..4)).start();
    for lane in 0..10 {
        desk.head(LaneId(lane), part(4 * K, 8 * K, 8 * K).star()).ended(LaneId(lane), Ok(Ending::Closed));
        desk.later(60_000);
    }
    let changed = |a: &Action| matches!(a, Action::Tell(Event::Changed { .. }));
    assert!(desk.ever(changed) && desk.error().is_none(), "{:?}", desk.error());
}

#[test]
fn r37_a_message_of_no_told_length_that_ends_early_is_a_shorter_file() {
    let mut desk = job().held(held(8).tag(A).blocks(0..3)).start();
    desk.checked_all();
    desk.head(LaneId(0), whole(0).tag(A).without("content-length")).ended(LaneId(0), Ok(Ending::Closed));
    desk.head(LaneId(1), whole(0).tag(A).without("content-length"));
    desk.read(LaneId(1), 5 * K, 5 * K).stored_whole(3..5).ended(LaneId(1), Ok(Ending::Message));
    assert!(desk.told_changed());
}

#[test]
fn a_coded_body_that_broke_before_its_first_byte_is_no_change() {
    let broken = |stored: u32| {
        let mut desk = job().begun(whole(8 * K).tag(A).field("content-encoding", "gzip"));
        if stored > 0 {
            desk.stored(0, stored);
        }
        desk.ended(LaneId(0), Err(Failure::Truncated)).told_changed()
    };
    assert!(!broken(0) && broken(1));
}

#[test]
fn r29_a_416_is_no_end_of_a_part_that_holds_nothing_good() {
    let mut desk = job().held(held(8).unknown().tag(A).blocks(0..1)).start();
    desk.put(Input::Checked { block: 0, same: false });
    let lane = LaneId(desk.opened().last().map_or(0, |lane| lane.0));
    desk.head(lane, page(416).field("content-range", "bytes */0")).ended(lane, Ok(Ending::Closed));
    assert_eq!(desk.finish(), None);
    assert_eq!(desk.last_ask().unwrap().0, None, "it is asked for without a range");
}

#[test]
fn a_journal_of_blocks_that_none_of_ours_has_is_not_believed() {
    let asked = |size: u32, total: u64| {
        let mut held = held(4).tag(A).blocks(0..1).take();
        (held.block_size, held.identity.total) = (size, Some(total));
        let mut desk = job().held_as(held).start();
        desk.checked_all();
        desk.asked_from(0)
    };
    assert_eq!(asked(K as u32, 4 * K), K);
    assert_eq!(asked(K as u32 - 1, 4 * K), 0, "no power of two");
    assert_eq!(asked(K as u32, u64::MAX), 0, "too many blocks");
}

// ---- Limits and syncs ----

#[test]
fn r67_a_body_of_no_told_length_is_stopped_where_it_outgrows_the_limit() {
    let grown = |blocks: u32, more: u32| {
        let mut desk = job().largest(4 * (1 << 20)).begun(whole(0).without("content-length").tag(A));
        for block in 0..blocks {
            desk.stored(block, 1 << 20);
        }
        if more > 0 {
            desk.stored(blocks, more);
        }
        desk.ended(LaneId(0), Ok(Ending::Closed)).synced().error().cloned()
    };
    assert_eq!((grown(3, 0), grown(4, 0)), (None, None));
    assert_eq!(grown(4, 1), Some(Error::TooLarge { size: 4 * (1 << 20) + 1 }));
}

#[test]
fn one_sync_is_under_way_at_most_and_none_without_need() {
    let syncs = |desk: &desk::Desk| desk.said().iter().filter(|a| matches!(a, Action::Sync)).count();
    let mut desk = job().begun(whole(8 * K).tag(A));
    assert_eq!(syncs(desk.later(60_000)), 0);
    desk.stored(0, K as u32);
    assert_eq!(syncs(desk.later(60_000)), 1);
    desk.stored(1, K as u32);
    assert_eq!(syncs(desk.later(60_000)), 0);
    assert_eq!(syncs(desk.synced()), 1, "what came meanwhile is due");
}

#[test]
fn a_second_job_of_a_host_that_wants_to_be_left_alone_for_long_ends_at_once() {
    let ends = |wait: &str| {
        let mut desk = job().start();
        desk.head(LaneId(0), page(503).field("retry-after", wait)).ended(LaneId(0), Ok(Ending::Closed));
        desk.add(job().url("https://host.test/other"));
        desk.said().iter().any(|a| matches!(a, Action::Fail(Error::Source { .. })))
    };
    assert!(ends("301") && !ends("300"));
}

#[test]
fn what_a_job_amounts_to_is_told_until_it_is_forgotten() {
    let mut desk = job().begun(whole(K).tag(A));
    desk.read(LaneId(0), K, K).stored(0, K as u32);
    assert_eq!(desk.completion().map(|done| (done.bytes, done.wire)), Some((K, K)));
    assert!(desk.forgotten());
}

// ---- What came is not what was said ----

#[test]
fn r50_only_blocks_of_the_answer_that_was_wrong_are_forgotten() {
    let mut desk = halved();
    desk.head(LaneId(1), part(4 * K, 8 * K, 8 * K).tag(A)).stored_whole(0..4).stored_whole(4..6);
    desk.ended(LaneId(0), Err(Failure::Content));
    let invalid =
        |a: &Action| if let Action::Note(Record::Invalid { first, .. }) = a { Some(*first) } else { None };
    assert_eq!(desk.said().iter().filter_map(invalid).collect::<Vec<_>>(), [0, 1, 2, 3]);
    // Of one that brought nothing, none.
    let mut desk = job().begun(whole(8 * K).tag(A));
    desk.ended(LaneId(0), Err(Failure::Content));
    assert_eq!(desk.said().iter().filter_map(invalid).count(), 0);
}

#[test]
fn what_an_heir_that_still_asks_gets_is_asked_for_by_it_alone() {
    let mut desk = taken_over();
    desk.stored(0, 9).ended(LaneId(0), Err(Failure::Truncated));
    assert_eq!(desk.asks(), []);
    assert_eq!(desk.later(300).asks(), []);
    desk.head(LaneId(2), part(0, K, 8 * K).tag(A));
    assert_eq!(desk.take(LaneId(2)).map(|take| take.at), Some(9));
}

#[test]
fn silence_of_all_lanes_is_no_speed_to_hold_them_against() {
    let mut desk = job().lanes(3).begun(part(0, 9 * K, 9 * K).tag(A));
    desk.put(Input::Narrowed { lane: LaneId(0), end: K });
    desk.head(LaneId(1), part(K, 5 * K, 9 * K).tag(A)).head(LaneId(2), part(5 * K, 9 * K, 9 * K).tag(A));
    desk.later(100).read(LaneId(1), 5 * K, 4 * K).stored_whole(1..5).ended(LaneId(1), Ok(Ending::Range));
    desk.put(Input::Narrowed { lane: LaneId(2), end: 9 * K });
    let helped = (0..20).any(|_| {
        desk.later(500);
        while let Some((lane, _)) = desk.narrowed() {
            desk.put(Input::Narrowed { lane, end: if lane == LaneId(0) { K } else { 9 * K } });
        }
        !desk.asks().is_empty()
    });
    assert!(helped, "both are late, by what the third did");
}

#[test]
fn a_lane_that_has_no_answer_is_not_late_before_a_speed_is_known() {
    let mut desk = job().lanes(3).begun(part(0, 4 * K, 4 * K).tag(A));
    desk.put(Input::Narrowed { lane: LaneId(0), end: 2 * K });
    assert_eq!(desk.opened(), [LaneId(1)], "less than two blocks are not shared");
    for _ in 0..20 {
        desk.later(500);
        if let Some((lane, _)) = desk.narrowed() {
            desk.put(Input::Narrowed { lane, end: 2 * K });
        }
        assert_eq!(desk.asks(), []);
    }
}

#[test]
fn r35_a_lane_that_went_on_knows_how_much_its_message_told() {
    let mut desk = halved();
    desk.head(LaneId(1), page(403))
        .ended(LaneId(1), Ok(Ending::Closed))
        .stored_whole(0..4)
        .reached(LaneId(0));
    desk.stored_whole(4..6).ended(LaneId(0), Ok(Ending::Message));
    assert!(!desk.told_changed() && retries(&desk, &Failure::Truncated), "{:?}", desk.said());
}

#[test]
fn r21_a_server_that_gives_a_byte_at_a_time_is_refused_where_bytes_must_be_compared() {
    let mut desk = job().held(held(8).blocks(0..4)).start();
    desk.checked_all();
    let mut lane = 0;
    while let Some((Some((first, Some(end))), _)) =
        desk.last_ask().filter(|ask| ask.0.unwrap().1 != Some(8 * K))
    {
        desk.head(LaneId(lane), part(first, end, 8 * K))
            .put(Input::Compared { lane: LaneId(lane), same: true });
        desk.ended(LaneId(lane), Ok(Ending::Range));
        lane += 1;
    }
    let refused = |a: &Action| matches!(a, Action::Tell(Event::Retry { failure: Failure::Breach(breach), .. }) if breach.rule == "R21");
    for lane in (lane..).map(LaneId).take(2) {
        let first = desk.last_ask().unwrap().0.unwrap().0;
        desk.head(lane, part(first, first + 1, 8 * K)).ended(lane, Ok(Ending::Range)).later(1_000);
    }
    assert!(desk.ever(refused), "{:?}", desk.said());
}

#[test]
fn a_sync_under_way_is_waited_for_however_much_comes() {
    let syncs = |desk: &desk::Desk| desk.said().iter().filter(|a| matches!(a, Action::Sync)).count();
    let mut desk = job().begun(whole(900 * K).tag(A));
    let mut said = 0;
    for block in 0..900 {
        said += syncs(desk.stored(block, K as u32));
    }
    assert_eq!(said, 1);
    assert_eq!(syncs(desk.synced()), 1);
}

#[test]
fn a_proven_mirror_gives_the_rest_without_comparing_again() {
    let mut desk = job().lanes(2).mirror(MIRROR).begun(part(0, 64 * K, 64 * K).tag(A));
    desk.put(Input::Narrowed { lane: LaneId(0), end: 64 * K }).stored_whole(0..4);
    let mut lane = LaneId(1);
    for _proof in 0..4 {
        let Some((Some((first, Some(end))), _)) = desk.last_ask() else { break };
        if first >= 4 * K {
            break;
        }
        desk.head(lane, part(first, end, 64 * K).tag("\"m\"")).put(Input::Compared { lane, same: true });
        desk.ended(lane, Ok(Ending::Range));
        if let Some((lane, _)) = desk.narrowed() {
            desk.put(Input::Narrowed { lane, end: 32 * K });
        }
        lane = *desk.opened().last().unwrap_or(&lane);
    }
    desk.ended(LaneId(0), Err(Failure::Coding("unknown".into())));
    let store = |a: &Action| match a {
        Action::Open { source: SourceId(1), ask, .. } => {
            ask.range.map(|range| range.0).filter(|&first| first >= 3 * K)
        }
        _ => None,
    };
    let asked: Vec<u64> = desk.said().iter().filter_map(store).collect();
    assert_eq!((desk.error(), asked), (None, vec![4 * K, 34 * K]), "from the first missing byte on");
}

#[test]
fn r33_a_hold_ends_at_its_moment() {
    let mut desk = job().start();
    desk.head(LaneId(0), page(503).field("retry-after", "20"));
    desk.add(job().url("https://host.test/other"));
    assert_eq!(desk.later(19_999).urls(), [""; 0]);
    assert_eq!(desk.later(1).urls(), ["https://host.test/other"]);
}

#[test]
fn a_lane_of_half_the_usual_speed_is_not_late() {
    let mut desk = job().lanes(2).begun(part(0, 2 * K, 2 * K).tag(A));
    desk.put(Input::Narrowed { lane: LaneId(0), end: K });
    desk.head(LaneId(1), part(K, 2 * K, 2 * K).tag(A));
    for step in 1..=80 {
        desk.read(LaneId(0), step * K / 160, K / 160).read(LaneId(1), K + step * K / 80, K / 80).later(500);
    }
    desk.stored_whole(1..2).ended(LaneId(1), Ok(Ending::Range));
    for step in 81..=84 {
        assert_eq!(desk.asks(), []);
        desk.read(LaneId(0), step * K / 160, K / 160).later(500);
    }
}

#[test]
fn what_an_earlier_run_could_not_prove_is_refused_by_a_strict_one() {
    let error = |strict: bool, unproven: bool| {
        let mut held = held(8).tag(A).blocks(0..4).take();
        held.unproven = unproven;
        let setup = if strict { job().strict() } else { job() };
        let desk = setup.held_as(held).start();
        desk.error().cloned()
    };
    assert_eq!(error(true, true), Some(Error::Unproven));
    assert_eq!([error(true, false), error(false, true)], [None, None]);
}

#[test]
fn r37_a_close_is_no_end_of_its_own_where_the_length_was_told() {
    let mut desk = job().begun(whole(K).tag(A));
    desk.read(LaneId(0), K, K).stored(0, K as u32).ended(LaneId(0), Ok(Ending::Close));
    assert!(!desk.ever(|a| matches!(a, Action::Tell(Event::LengthUnknown))));
    let mut desk = job().begun(whole(K).tag(A));
    desk.read(LaneId(0), 9, 9).stored(0, 9).ended(LaneId(0), Ok(Ending::Close));
    assert!(retries(&desk, &Failure::Truncated));
}

#[test]
fn a_digest_proves_what_goes_on_with_a_stream() {
    let mut desk = job().stream().digest().begun(whole(2 * K));
    desk.landed(LaneId(0), 9).ended(LaneId(0), Err(Failure::Truncated)).later(1_000);
    let lane = desk.last_lane().unwrap();
    desk.head(lane, part(9, 2 * K, 2 * K));
    assert_eq!((desk.take(lane).map(|take| take.at), desk.error()), (Some(9), None));
}

#[test]
fn r27_a_whole_answer_is_not_read_while_another_lane_reads() {
    let mut desk = job().lanes(2).held(held(8).tag(A).blocks(0..2)).start();
    desk.checked_all();
    desk.head(LaneId(0), part(2 * K, 8 * K, 8 * K).tag(A));
    desk.head(LaneId(1), whole(8 * K).tag(A)).ended(LaneId(1), Ok(Ending::Closed));
    let plain = desk.last_lane().unwrap();
    assert!(plain != LaneId(1), "it may dislike the condition");
    desk.head(plain, whole(8 * K).tag(A));
    assert!(desk.closes(plain) && desk.take(plain).is_none());
}

#[test]
fn r33_a_host_that_wants_to_be_left_alone_for_long_may_finish_what_it_gives() {
    let mut desk = halved();
    desk.head(LaneId(1), page(503).field("retry-after", "301")).ended(LaneId(1), Ok(Ending::Closed));
    assert!(!desk.later(5_000).closes(LaneId(0)) && desk.error().is_none());
    assert!(!desk.ever(|a| *a == Action::Close { lane: LaneId(0) }));
}

#[test]
fn r33_the_host_that_led_to_a_busy_one_is_left_alone_as_well() {
    let mut desk = job().start();
    desk.redirected(LaneId(0), "https://cdn.test/x", page(503).field("retry-after", "20"));
    desk.add(job().url("https://host.test/other"));
    desk.add(job().url("https://cdn.test/other"));
    assert_eq!(desk.later(19_999).urls(), [""; 0]);
    assert_eq!(desk.later(1).urls(), ["https://host.test/other", "https://cdn.test/other"]);
}

#[test]
fn r20_a_stretch_under_another_tag_is_not_compared() {
    let mut desk = job().held(held(8).tag(A).blocks(0..4)).start();
    desk.checked_all();
    for _doubt in 0..10 {
        let (lane, (first, end)) = (desk.last_lane().unwrap(), desk.last_ask().unwrap().0.unwrap());
        if first < 4 * K {
            desk.head(lane, part(first, end.unwrap(), 8 * K).tag("\"b\""));
            assert!(desk.closes(lane) && desk.take(lane).is_none());
            return;
        }
        desk.head(lane, part(first, 8 * K, 8 * K)).ended(lane, Ok(Ending::Closed)).later(60_000);
    }
    panic!("nothing is compared: {:?}", desk.said());
}
