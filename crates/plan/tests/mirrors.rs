//! Several sources of one file: whoever answers first leads, none is believed before it was compared, and a digest that is
//! wrong in the end sends for what is wrong to somebody else (R53, R54).

#[path = "planner/desk.rs"]
mod desk;

use desk::{A, Desk, K, L0, L1, held, job, page, part};
use thence_plan::{Action, Ending, Error, Event, Failure, Input, LaneId, Record, SourceId};

const FIRST: &str = "https://host.test/file";
const MIRROR: &str = "https://mirror.test/file";
const THIRD: &str = "https://third.test/file";

fn wrong_digest() -> Failure {
    Failure::Digest { want: "aa".into(), got: "bb".into() }
}

fn dropped(desk: &Desk, of: &str) -> bool {
    desk.ever(|a| matches!(a, Action::Tell(Event::SourceDropped { url, .. }) if url == of))
}

fn last_url(desk: &Desk) -> Option<String> {
    let last = std::cell::RefCell::new(None);
    desk.ever(|a| {
        if let Action::Open { url, .. } = a {
            *last.borrow_mut() = Some(url.clone());
        }
        false
    });
    last.into_inner()
}

/// The lead brought all of eight blocks, and `Finish` was said.
fn finishing(setup: desk::Setup) -> Desk {
    let mut desk = setup.digest().begun(part(0, 8 * K, 8 * K).tag(A));
    desk.stored_whole(0..8).ended(L0, Ok(Ending::Range));
    // A mirror that is being compared is not needed any more.
    for lane in 1..4 {
        desk.ended(LaneId(lane), Ok(Ending::Closed));
    }
    assert!(desk.ever(|a| matches!(a, Action::Finish { .. })), "{:?}", desk.said());
    desk
}

#[test]
fn whoever_is_silent_for_a_second_does_not_hold_up_the_others() {
    let mut desk = job().lanes(3).mirror(MIRROR).mirror(THIRD).start();
    assert_eq!(desk.urls(), [FIRST]);
    assert!(desk.later(900).asks().is_empty());
    assert_eq!(desk.later(101).urls(), [MIRROR]);
    assert!(desk.later(900).asks().is_empty());
    assert_eq!(desk.later(101).urls(), [THIRD]);
    assert!(desk.later(5_000).asks().is_empty(), "each once");
    desk.head(L1, part(0, 8 * K, 8 * K).tag(A));
    assert!(desk.closes(L0) && desk.closes(LaneId(2)) && !desk.closes(L1), "the first answer leads");
}

#[test]
fn one_source_alone_is_not_asked_twice() {
    let mut desk = job().start();
    assert!(desk.later(10_000).asks().is_empty());
}

#[test]
fn r54_a_source_of_another_length_than_was_said_is_dropped() {
    let mut desk = job().mirror(MIRROR).size(8 * K).start();
    desk.head(L0, part(0, 9 * K, 9 * K).tag(A)).ended(L0, Ok(Ending::Closed));
    assert!(dropped(&desk, FIRST) && desk.error().is_none());
    assert_eq!(desk.urls(), [MIRROR]);
    desk.head(L1, part(0, 8 * K, 8 * K).tag(A));
    assert!(desk.ever(|a| matches!(a, Action::Place(_))));
    let mut alone = job().size(8 * K).start();
    alone.head(L0, part(0, 9 * K, 9 * K).tag(A)).ended(L0, Ok(Ending::Closed));
    assert!(matches!(alone.error(), Some(Error::Source { failure: Failure::Breach(_), .. })));
}

#[test]
fn mta_01_wrong_pieces_are_fetched_again_from_another_source() {
    let mut desk = finishing(job().mirror(MIRROR));
    desk.put(Input::Wrong { ranges: vec![(2 * K + 5, 2 * K + 9), (6 * K, 7 * K)], failure: wrong_digest() });
    assert!(desk.ever(|a| matches!(a, Action::Tell(Event::Damaged { bytes }) if *bytes == 2 * K)));
    let invalid = |desk: &Desk, block: u32| {
        desk.ever(|a| matches!(a, Action::Note(Record::Invalid { first, .. }) if *first == block))
    };
    assert!(invalid(&desk, 2) && invalid(&desk, 6) && !invalid(&desk, 3), "and nothing else");
    assert!(dropped(&desk, FIRST), "who gave them all is not asked again");
    // The mirror is compared first.
    for _proof in 0..4 {
        let (lane, Some((Some((first, Some(end))), _))) = (desk.last_lane().unwrap(), desk.last_ask()) else {
            break;
        };
        assert_eq!(last_url(&desk).as_deref(), Some(MIRROR));
        if (2 * K..3 * K).contains(&first) {
            desk.head(lane, part(first, end, 8 * K).tag("\"m\""));
            break;
        }
        desk.head(lane, part(first, end, 8 * K).tag("\"m\"")).put(Input::Compared { lane, same: true });
        desk.ended(lane, Ok(Ending::Range));
    }
    let asked = desk.last_ask().unwrap().0;
    assert!(asked.is_some_and(|(first, _)| first == 2 * K), "{asked:?}");
}

#[test]
fn a_wrong_piece_of_which_several_gave_some_comes_again_from_one_that_is_then_to_blame() {
    let mut desk = job().mirror(MIRROR).digest().held(held(8).tag(A).blocks(0..4)).start();
    desk.checked_all().head(L0, part(4 * K, 8 * K, 8 * K).tag(A));
    desk.stored_whole(4..8).ended(L0, Ok(Ending::Range)).ended(L1, Ok(Ending::Closed));
    assert!(desk.ever(|a| matches!(a, Action::Finish { .. })), "{:?}", desk.said());
    desk.put(Input::Wrong { ranges: vec![(3 * K, 5 * K)], failure: wrong_digest() });
    assert!(!dropped(&desk, FIRST) && !dropped(&desk, MIRROR), "half of it was an earlier run's");
    assert_eq!((desk.urls(), desk.asks()[0].0), (vec![FIRST], Some((3 * K, Some(5 * K)))));
    let lane = desk.last_lane().unwrap();
    desk.head(lane, part(3 * K, 5 * K, 8 * K).tag(A)).stored_whole(3..5).ended(lane, Ok(Ending::Range));
    desk.put(Input::Wrong { ranges: vec![(3 * K, 5 * K)], failure: wrong_digest() });
    assert!(dropped(&desk, FIRST) && !dropped(&desk, MIRROR), "{:?}", desk.said());
    assert_eq!(last_url(&desk).as_deref(), Some(MIRROR));
}

#[test]
fn pieces_that_stay_wrong_end_it_after_a_few_rounds() {
    let mut desk = finishing(job());
    for _ in 0..10 {
        desk.put(Input::Wrong { ranges: vec![(0, K)], failure: wrong_digest() });
        if desk.error().is_some() {
            break;
        }
        let lane = desk.last_lane().unwrap();
        assert_eq!(desk.last_ask().unwrap().0, Some((0, Some(K))), "from the only source there is");
        desk.head(lane, part(0, K, 8 * K).tag(A)).stored(0, K as u32).ended(lane, Ok(Ending::Range));
    }
    assert!(matches!(desk.error(), Some(Error::Digest { .. })));
    let mut nothing = finishing(job());
    nothing.put(Input::Wrong { ranges: vec![(5, 5), (8 * K, 9 * K)], failure: wrong_digest() });
    assert!(matches!(nothing.error(), Some(Error::Digest { .. })), "nobody knows which");
}

#[test]
fn a_whole_that_is_wrong_is_fetched_from_another_source_and_the_part_is_kept_meanwhile() {
    let mut desk = finishing(job().mirror(MIRROR));
    desk.put(Input::Finished(Err(wrong_digest())));
    assert!(dropped(&desk, FIRST) && desk.error().is_none());
    assert_eq!((desk.urls(), desk.asks()[0].0), (vec![MIRROR], Some((0, None))));
    let lane = desk.last_lane().unwrap();
    desk.head(lane, part(0, 8 * K, 8 * K).tag("\"m\""));
    assert!(desk.said().iter().any(|a| matches!(a, Action::Place(placement) if placement.retire)));
    desk.placed().stored_whole(0..8).ended(lane, Ok(Ending::Range));
    assert_eq!(desk.finish(), Some(8 * K));
    desk.put(Input::Finished(Err(wrong_digest())));
    assert!(matches!(desk.error(), Some(Error::Digest { .. })), "nobody is left");
}

#[test]
fn of_a_whole_that_not_only_the_lead_gave_the_lead_gives_all_alone_first() {
    let mut desk = job().mirror(MIRROR).digest().held(held(8).tag(A).blocks(0..4)).start();
    desk.checked_all().head(L0, part(4 * K, 8 * K, 8 * K).tag(A));
    desk.stored_whole(4..8).ended(L0, Ok(Ending::Range)).ended(L1, Ok(Ending::Closed));
    assert!(desk.ever(|a| matches!(a, Action::Finish { .. })), "{:?}", desk.said());
    desk.put(Input::Finished(Err(wrong_digest())));
    assert_eq!((desk.urls(), desk.asks()[0].0), (vec![FIRST], Some((0, None))));
    assert!(!dropped(&desk, FIRST) && !dropped(&desk, MIRROR), "it may be an earlier run's fault");
}

#[test]
fn r54_a_mirror_that_a_server_names_counts_where_a_digest_will_tell() {
    let link = |desk: desk::Setup| {
        let mut desk = desk.lanes(2).start();
        let head = part(0, 8 * K, 8 * K).tag(A).field("link", &format!("<{MIRROR}>; rel=duplicate"));
        desk.head(L0, head).placed();
        desk.stored_whole(0..1);
        desk
    };
    let named =
        |desk: &Desk| desk.ever(|a| matches!(a, Action::Tell(Event::Mirror { url }) if url == MIRROR));
    let with = link(job().digest());
    assert!(named(&with));
    let given_for = |a: &Action| match a {
        Action::Open { source: SourceId(1), url, given_for, .. } => url == MIRROR && given_for == FIRST,
        _ => false,
    };
    assert!(
        with.ever(given_for),
        "what the user gave is for the first URL's origin (R58): {:?}",
        with.said()
    );
    assert!(!named(&link(job())) && !named(&link(job().digest().stream())));
}

#[test]
fn what_is_given_is_for_the_url_it_was_given_with() {
    let given =
        |desk: &Desk, of: &str| desk.ever(|a| matches!(a, Action::Open { given_for, .. } if given_for == of));
    let mut desk = job().start();
    desk.redirected(L0, "https://cdn.test/x", part(0, 8 * K, 8 * K).tag(A)).placed();
    desk.stored(0, 9).ended(L0, Err(Failure::Truncated)).later(1_000);
    assert!(
        desk.urls() == ["https://cdn.test/x"] && given(&desk, FIRST) && !given(&desk, "https://cdn.test/x")
    );
    let mut mirrored = job().mirror(MIRROR).start();
    mirrored.head(L0, page(404)).ended(L0, Ok(Ending::Closed));
    assert!(given(&mirrored, MIRROR), "a mirror that the user names is one of his");
}
