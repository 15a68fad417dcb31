//! A finished file is there: its source is asked whether it has another version (R11, R31).

#[path = "planner/desk.rs"]
mod desk;

use desk::{A, Desk, K, L0, L1, date, job, page, part, whole};
use thence_plan::{Action, Condition, Ending, EntityTag, Error, Event, Failure, Identity, SourceId};

const B: &str = "\"b\"";

/// A file of eight blocks that was changed an hour before it was fetched.
fn there(weak: bool) -> Identity {
    let etag = Some(EntityTag { weak, tag: A.to_owned() });
    Identity { total: Some(8 * K), etag, modified: Some(date(3600)), ..Identity::default() }
}

fn asking(tag: &str) -> Condition {
    Condition::IfChanged { tag: Some(tag.to_owned()), modified: Some(date(3600)) }
}

/// Nothing was read, placed or recorded; the job is over, and says why.
#[track_caller]
fn unchanged(desk: &mut Desk, status: u16) {
    assert!(
        desk.ever(|a| matches!(a, Action::Tell(Event::Unchanged { status: told, .. }) if *told == status))
    );
    let read = |a: &Action| matches!(a, Action::Take(..) | Action::Place(_) | Action::Note(_));
    assert!(!desk.ever(read), "something was read or made");
    desk.ended(L0, Ok(Ending::Closed));
    assert_eq!(desk.error(), Some(&Error::Unchanged));
}

#[test]
fn r31_a_304_to_our_condition_fetches_nothing() {
    let mut desk = job().lanes(8).unless(there(false)).start();
    assert_eq!(desk.asks(), [(Some((0, None)), asking(A))]);
    unchanged(desk.head(L0, page(304).tag(A)), 304);
    let mut desk = job().unless(there(true)).start();
    assert_eq!(desk.asks(), [(Some((0, None)), asking("W/\"a\""))], "weak ones will do");
    unchanged(desk.head(L0, page(304)), 304);
}

#[test]
fn a_server_that_knows_no_conditions_is_believed_by_its_validators() {
    let still = [whole(8 * K).tag(A), part(0, 8 * K, 8 * K).tag(A), whole(8 * K).tag("W/\"a\"")];
    for (answer, status) in still.into_iter().zip([200, 206, 200]) {
        unchanged(job().unless(there(false)).start().head(L0, answer), status);
    }
    let dated = Identity { etag: None, ..there(false) };
    let answer = whole(8 * K).field("last-modified", &date(3600));
    unchanged(job().unless(dated).start().head(L0, answer), 200);
}

#[test]
fn another_validator_or_length_is_another_version() {
    let other = [
        whole(8 * K).tag(B),
        whole(7 * K).tag(A),
        whole(8 * K),
        whole(8 * K).field("last-modified", &date(3600)),
        whole(8 * K).tag(B).field("last-modified", &date(3600)),
    ];
    for answer in other {
        let mut desk = job().unless(there(false)).start();
        desk.head(L0, answer);
        assert!(desk.ever(|a| matches!(a, Action::Place(_))), "{:?}", desk.said());
        assert_eq!(desk.error(), None);
    }
}

#[test]
fn whoever_is_asked_again_is_asked_the_same() {
    let mut desk = job().unless(there(false)).start();
    desk.head(L0, page(503)).ended(L0, Ok(Ending::Closed)).later(60_000);
    assert_eq!(desk.last_ask(), Some((Some((0, None)), asking(A))));
    let mut desk = job().unless(there(false)).start();
    desk.head(L0, page(416)).ended(L0, Ok(Ending::Closed));
    assert_eq!(desk.asks(), [(None, asking(A))]);
    desk.head(L1, page(304));
    assert!(desk.ever(|a| matches!(a, Action::Tell(Event::Unchanged { .. }))));
}

/// Its validators are those of another source (R53).
#[test]
fn r53_a_mirror_is_asked_without_a_condition() {
    let mut desk = job().mirror("https://mirror.test/file").unless(there(false)).start();
    desk.ended(L0, Err(Failure::Tls("no".into())));
    assert_eq!(desk.asks(), [(Some((0, None)), Condition::None)]);
    desk.head(L1, page(304)).ended(L1, Ok(Ending::Closed));
    assert!(!desk.ever(|a| matches!(a, Action::Tell(Event::Unchanged { .. }))));
    let open = |a: &Action| matches!(a, Action::Open { source: SourceId(1), .. });
    assert!(desk.ever(open));
}

#[test]
fn r11_what_is_begun_is_gone_on_with_under_its_own_condition() {
    let mut desk = job().unless(there(false)).start();
    desk.head(L0, part(0, 8 * K, 8 * K).tag(B)).placed().ended(L0, Err(Failure::Truncated)).later(60_000);
    assert_eq!(desk.last_ask().unwrap().1, Condition::IfRange(B.to_owned()));
}
