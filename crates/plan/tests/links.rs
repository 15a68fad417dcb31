//! Links that were made for a time: where they led is asked again, then somebody for another, and only then is it over.

#[path = "planner/desk.rs"]
mod desk;

use std::cell::Cell;

use desk::{A, Desk, K, L0, L1, held, if_range, job, page, part};
use thence_plan::{Action, Ending, Error, Event, Failure, Input, LaneId, Record, SourceId};

const URL: &str = "https://host.test/file";
const NEW: &str = "https://host.test/file?t=2";
const B: &str = "\"b\"";

fn renewed(url: Result<&str, &str>) -> Input {
    Input::Renewed { source: SourceId(0), url: url.map(str::to_owned).map_err(str::to_owned) }
}

/// Asked for another URL so many times by now.
fn pleas(desk: &Desk) -> usize {
    let count = Cell::new(0);
    desk.ever(|action| {
        count.set(count.get() + usize::from(matches!(action, Action::Renew { .. })));
        false
    });
    count.get()
}

fn has_expired(desk: &Desk) -> bool {
    matches!(desk.error(), Some(Error::Expired { url, .. }) if url == URL)
}

/// Half of eight blocks is held, and the link is refused.
fn refused(setup: desk::Setup, status: u16) -> Desk {
    let mut desk = setup.held(held(8).tag(A).blocks(0..4)).start();
    desk.checked_all().head(L0, page(status)).ended(L0, Ok(Ending::Closed));
    desk
}

#[test]
fn a_link_that_gave_something_has_expired_and_another_is_wrong() {
    for status in [401, 403, 404, 410] {
        assert!(has_expired(&refused(job(), status)), "{status}");
        let mut desk = job().start();
        desk.head(L0, page(status)).ended(L0, Ok(Ending::Closed));
        assert!(matches!(desk.error(), Some(Error::Source { .. })), "{status}");
    }
    assert!(matches!(refused(job(), 451).error(), Some(Error::Source { .. })));
    let mut desk = job().begun(part(0, 8 * K, 8 * K).tag(A));
    desk.stored_whole(0..1).ended(L0, Err(Failure::Truncated)).later(1_000);
    desk.head(L1, page(410)).ended(L1, Ok(Ending::Closed)).synced();
    assert!(has_expired(&desk), "what was given in this run counts as well");
}

#[test]
fn r14_somebody_is_asked_for_another_and_what_is_missing_is_asked_there() {
    let mut desk = refused(job().renews(), 403);
    assert!(desk.ever(|a| *a == Action::Renew { source: SourceId(0), url: URL.into() }));
    assert!(desk.asks().is_empty() && desk.error().is_none());
    assert!(desk.later(600_000).asks().is_empty(), "it may take its time");
    desk.put(renewed(Ok(NEW)));
    assert_eq!((desk.urls(), desk.asks()), (vec![NEW], vec![(Some((4 * K, Some(8 * K))), if_range(A))]));
    assert!(!desk.ever(|action| matches!(action, Action::Note(Record::Renewed(_)))), "nothing of it yet");
    desk.head(L1, part(4 * K, 8 * K, 8 * K).tag(A));
    assert!(desk.said().contains(&Action::Note(Record::Renewed(NEW.into()))));
    assert!(desk.take(L1).is_some());
}

#[test]
fn somebody_who_knows_no_other_ends_it() {
    let mut desk = refused(job().renews(), 403);
    desk.put(renewed(Err("asked in vain")));
    let told =
        |a: &Action| matches!(a, Action::Tell(Event::NotRenewed { why, .. }) if why == "asked in vain");
    assert!(desk.ever(told) && has_expired(&desk));
}

#[test]
fn new_links_that_give_nothing_are_asked_for_three_times() {
    let mut desk = refused(job().renews(), 403);
    for round in 1..=3 {
        assert_eq!((pleas(&desk), desk.error()), (round, None));
        // The new one is refused, and so is the original once more.
        desk.put(renewed(Ok(NEW)));
        for url in [NEW, URL] {
            assert_eq!(desk.urls(), [url]);
            let lane = desk.last_lane().unwrap();
            desk.head(lane, page(403)).ended(lane, Ok(Ending::Closed));
        }
    }
    assert!(has_expired(&desk));
}

#[test]
fn a_byte_of_a_new_link_is_worth_three_more() {
    let mut desk = refused(job().renews(), 403);
    for round in 1..=8 {
        assert_eq!((pleas(&desk), desk.error()), (round, None));
        desk.put(renewed(Ok(NEW)));
        let (lane, from) = (desk.last_lane().unwrap(), desk.last_ask().unwrap().0.unwrap().0);
        desk.head(lane, part(from, 8 * K, 8 * K).tag(A));
        desk.stored((from / K) as u32, (from % K) as u32 + 9)
            .ended(lane, Err(Failure::Truncated))
            .later(60_000);
        for _url in [NEW, URL] {
            let lane = desk.last_lane().unwrap();
            desk.head(lane, page(403)).ended(lane, Ok(Ending::Closed));
        }
    }
}

#[test]
fn a_link_that_still_reads_has_not_expired() {
    let mut desk = job().lanes(2).renews().begun(part(0, 8 * K, 8 * K).tag(A));
    desk.put(Input::Narrowed { lane: L0, end: 4 * K });
    desk.head(L1, page(403)).ended(L1, Ok(Ending::Closed));
    assert_eq!((pleas(&desk), desk.error()), (0, None));
}

#[test]
fn rng_30_many_lanes_that_meet_one_expired_target_count_once() {
    let mut desk = job().lanes(12).held(held(96).tag(A).blocks(0..1)).start();
    desk.redirected(L0, "https://cdn.test/signed", part(K, 96 * K, 96 * K).tag(A));
    let lanes = desk.opened();
    assert_eq!((lanes.len(), desk.urls()), (11, vec!["https://cdn.test/signed"; 11]));
    for &lane in &lanes {
        desk.head(lane, page(403)).ended(lane, Ok(Ending::Closed));
        assert_eq!(desk.urls(), [URL], "the place of {lane:?} is taken at once");
    }
    assert!(!desk.ever(|a| matches!(a, Action::Tell(Event::Narrowed { .. } | Event::Retry { .. }))));
}

#[test]
fn rng_30_lanes_refused_side_by_side_tell_less_than_one_that_asks_alone() {
    let mut desk = job().lanes(3).renews().held(held(96).tag(A).blocks(0..1)).start();
    desk.redirected(L0, "https://cdn.test/signed", part(K, 96 * K, 96 * K).tag(A));
    let mut asking = Vec::new();
    for lane in desk.opened() {
        // What they were led to has expired, and both ask the link itself.
        desk.head(lane, page(403)).ended(lane, Ok(Ending::Closed));
        asking.extend(desk.opened());
    }
    desk.ended(L0, Err(Failure::Truncated)).later(10);
    for lane in asking {
        desk.head(lane, page(403)).ended(lane, Ok(Ending::Closed));
    }
    assert_eq!((pleas(&desk), desk.error()), (0, None));
    desk.later(1_000);
    let lane = desk.last_lane().unwrap();
    assert_eq!((desk.urls(), desk.opened()), (vec![URL], vec![lane]));
    desk.head(lane, page(403)).ended(lane, Ok(Ending::Closed));
    assert_eq!(pleas(&desk), 1, "that one tells");
}

#[test]
fn r53_a_new_link_under_another_tag_is_compared_before_a_byte_is_joined() {
    let mut desk = refused(job().renews(), 403);
    desk.put(renewed(Ok(NEW))).head(L1, part(4 * K, 8 * K, 8 * K).tag(B));
    assert!(desk.closes(L1) && desk.take(L1).is_none());
    desk.ended(L1, Ok(Ending::Closed)).checked_all();
    let mut lane = LaneId(2);
    while let Some((Some((first, Some(end))), _)) =
        desk.last_ask().filter(|ask| ask.0.unwrap().1 <= Some(4 * K))
    {
        desk.head(lane, part(first, end, 8 * K).tag(B));
        assert!(desk.take(lane).is_some_and(|take| take.compare && take.end == Some(take.at)));
        desk.put(Input::Compared { lane, same: true }).ended(lane, Ok(Ending::Range));
        lane = LaneId(lane.0 + 1);
    }
    assert!(!desk.told_changed() && desk.error().is_none());
    assert!(desk.ever(|a| matches!(a, Action::Tell(Event::Unproven { .. }))));
}

#[test]
fn the_url_that_is_given_for_an_expired_one_is_asked_first_and_that_one_after_it() {
    let mut desk = job().renewed(NEW).held(held(8).tag(A).blocks(0..4)).start();
    assert_eq!(desk.urls(), [NEW]);
    desk.checked_all().head(L0, page(404)).ended(L0, Ok(Ending::Closed));
    assert_eq!(desk.urls(), [URL]);
    desk.head(L1, page(403)).ended(L1, Ok(Ending::Closed));
    assert!(has_expired(&desk));
}

#[test]
fn what_is_held_is_not_given_up_for_another_file_at_the_url_that_was_given() {
    let begun = || job().renewed(NEW).held(held(8).tag(A).blocks(0..4)).start();
    let other = |desk: &Desk| {
        matches!(desk.error(), Some(Error::OtherFile { url, .. }) if url == NEW)
            && !desk.ever(|a| matches!(a, Action::Place(_) | Action::Note(Record::Renewed(_))))
    };
    let mut longer = begun();
    longer.checked_all().head(L0, part(4 * K, 9 * K, 9 * K).tag(A)).ended(L0, Ok(Ending::Closed));
    assert!(other(&longer) && !longer.told_changed());
    let mut unequal = begun();
    unequal.head(L0, part(4 * K, 8 * K, 8 * K).tag(B)).ended(L0, Ok(Ending::Closed)).checked_all();
    let (first, end) =
        unequal.last_ask().and_then(|ask| ask.0).map(|(first, end)| (first, end.unwrap())).unwrap();
    unequal.head(L1, part(first, end, 8 * K).tag(B)).put(Input::Compared { lane: L1, same: false });
    unequal.ended(L1, Ok(Ending::Closed));
    assert!(other(&unequal) && !unequal.told_changed());
}

#[test]
fn what_an_earlier_run_was_given_is_asked_again() {
    let desk = job().held(held(8).tag(A).blocks(0..4).renewed(NEW)).start();
    assert_eq!((desk.urls(), desk.asks()), (vec![NEW], vec![(Some((4 * K, Some(8 * K))), if_range(A))]));
    let desk =
        job().renewed("https://host.test/third").held(held(8).tag(A).blocks(0..4).renewed(NEW)).start();
    assert_eq!(desk.urls(), ["https://host.test/third"], "the latest word counts");
}
