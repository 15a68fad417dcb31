//! Validators: how they are read from a head, sent back and compared (R6-R9a, R19-R21).

use thence_plan::{Condition, EntityTag, Head, HttpVersion, Identity, Same, WantedDigest};

// ---- Vocabulary ----

/// An hour before `DATE`.
const HOUR_BEFORE: &str = "Sun, 06 Nov 1994 07:49:37 GMT";
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn head(fields: &[(&str, &[u8])]) -> Head {
    let fields = fields.iter().map(|(n, v)| (n.to_string(), v.to_vec())).collect();
    Head { status: 200, version: HttpVersion::Http11, fields, received: 784_111_777 }
}

/// An identity of 1,000 bytes with this ETag and Last-Modified; `""` is none.
fn told(etag: &str, modified: &str) -> Identity {
    let fields =
        [("etag", etag.as_bytes()), ("last-modified", modified.as_bytes()), ("date", DATE.as_bytes())];
    Identity::from_head(&head(&fields), Some(1_000))
}

fn tag(etag: &str) -> Identity {
    told(etag, "")
}

fn date(modified: &str) -> Identity {
    told("", modified)
}

fn parse(value: &[u8]) -> Option<String> {
    EntityTag::parse(value).map(|etag| etag.tag)
}

// ---- Reading ----

#[test]
fn a_tag_is_kept_byte_for_byte() {
    let strong = EntityTag { weak: false, tag: "\"a\"".into() };
    assert_eq!(EntityTag::parse(b"\"a\""), Some(strong));
    let weak = EntityTag { weak: true, tag: "\"a\"".into() };
    assert_eq!(EntityTag::parse(b"W/\"a\""), Some(weak));
}

#[test]
fn rng_38_commas_backslashes_and_utf_8_are_part_of_a_tag() {
    for value in [&b"\"a,b\""[..], b"\"a\\b\"", "\"\u{fc}\"".as_bytes(), b"\"\"", b"\"!#~\""] {
        assert_eq!(parse(value).map(String::into_bytes).as_deref(), Some(value));
    }
}

#[test]
fn rng_38_what_is_malformed_is_no_validator() {
    for value in [&b""[..], b"a", b"\"a", b"a\"", b"\"", b"w/\"a\"", b"W/a", b"W/", b"\"a\"b\"", b"\"a b\""] {
        assert_eq!(parse(value), None, "{}", String::from_utf8_lossy(value));
    }
    for value in [&b"\"a\x7f\""[..], b"\"a\0\"", b"\"a\n\"", b"\"\xff\"", b"\"a\", \"b\"", b"W/ \"a\""] {
        assert_eq!(parse(value), None, "{}", String::from_utf8_lossy(value));
    }
}

#[test]
fn rng_38_a_tag_over_a_kibibyte_is_no_validator() {
    let of = |len: usize| format!("\"{}\"", "x".repeat(len - 2));
    assert!(parse(of(1_024).as_bytes()).is_some());
    assert_eq!(parse(of(1_025).as_bytes()), None);
    assert_eq!(parse(of(4_096).as_bytes()), None);
}

#[test]
fn a_validator_sent_twice_is_none() {
    let identity = Identity::from_head(&head(&[("etag", b"\"a\""), ("etag", b"\"b\"")]), None);
    assert_eq!(identity.etag, None);
}

#[test]
fn rng_08_last_modified_is_kept_as_received() {
    let obsolete = "Sunday, 06-Nov-94 07:49:37 GMT";
    assert_eq!(date(obsolete).condition(), Condition::IfRange(obsolete.into()));
    assert_eq!(date(obsolete).modified_at(), Some(784_108_177));
}

#[test]
fn a_last_modified_that_is_no_date_is_no_validator() {
    assert_eq!(date("yesterday").modified, None);
}

// ---- Asking ----

#[test]
fn r6_a_strong_tag_goes_into_if_range() {
    assert_eq!(told("\"a\"", HOUR_BEFORE).condition(), Condition::IfRange("\"a\"".into()));
}

#[test]
fn r7_rng_06_a_weak_tag_never_does() {
    assert_eq!(tag("W/\"a\"").condition(), Condition::None);
}

#[test]
fn r8_a_date_only_where_there_is_no_tag_at_all() {
    assert_eq!(date(HOUR_BEFORE).condition(), Condition::IfRange(HOUR_BEFORE.into()));
    assert_eq!(told("W/\"a\"", HOUR_BEFORE).condition(), Condition::None);
}

#[test]
fn r9_rng_07_a_date_is_strong_from_a_minute_on() {
    assert_eq!(date(DATE).condition(), Condition::None);
    assert!(!date("Sun, 06 Nov 1994 08:48:38 GMT").has_strong_date());
    assert!(date("Sun, 06 Nov 1994 08:48:37 GMT").has_strong_date());
}

#[test]
fn r9_without_date_or_from_the_future_nothing_is_strong() {
    let undated = Identity::from_head(&head(&[("last-modified", HOUR_BEFORE.as_bytes())]), None);
    assert!(!undated.has_strong_date());
    assert!(!date("Sun, 06 Nov 1994 09:49:37 GMT").has_strong_date());
}

#[test]
fn r9a_a_tag_is_young_below_two_seconds() {
    assert!(told("\"a\"", DATE).is_young());
    assert!(told("\"a\"", "Sun, 06 Nov 1994 08:49:36 GMT").is_young());
    assert!(!told("\"a\"", "Sun, 06 Nov 1994 08:49:35 GMT").is_young());
    assert!(!tag("\"a\"").is_young());
}

#[test]
fn a_tag_outside_ascii_is_compared_and_not_sent() {
    let held = tag("\"\u{fc}\"");
    assert_eq!((held.condition(), held.compare(&held)), (Condition::None, Same::Proven));
}

// ---- Comparing ----

#[test]
fn r20_equal_strong_tags_prove() {
    assert_eq!(tag("\"a\"").compare(&tag("\"a\"")), Same::Proven);
    assert_eq!(told("\"a\"", HOUR_BEFORE).compare(&told("\"a\"", DATE)), Same::Proven);
}

#[test]
fn r20_another_strong_tag_is_told_apart_from_a_change() {
    assert_eq!(tag("\"a\"").compare(&tag("\"b\"")), Same::OtherTag);
    assert_eq!(told("\"a\"", HOUR_BEFORE).compare(&told("\"b\"", HOUR_BEFORE)), Same::OtherTag);
}

#[test]
fn rng_38_tags_are_compared_byte_for_byte() {
    assert_eq!(tag("\"abc\"").compare(&tag("\"ABC\"")), Same::OtherTag);
}

#[test]
fn r19_another_total_is_a_change_whatever_the_tag() {
    let longer = Identity { total: Some(1_001), ..tag("\"a\"") };
    assert_eq!(tag("\"a\"").compare(&longer), Same::Different);
    let untold = Identity { total: None, ..tag("\"a\"") };
    assert_eq!(tag("\"a\"").compare(&untold), Same::Proven);
}

#[test]
fn r20_a_strong_tag_that_did_not_come_back_is_not_made_up_for_by_a_date() {
    assert_eq!(told("\"a\"", HOUR_BEFORE).compare(&date(HOUR_BEFORE)), Same::Unproven);
    assert_eq!(told("\"a\"", HOUR_BEFORE).compare(&told("W/\"a\"", HOUR_BEFORE)), Same::Unproven);
}

#[test]
fn r20_an_equal_strong_date_proves_where_tags_are_weak_or_absent() {
    assert_eq!(date(HOUR_BEFORE).compare(&date(HOUR_BEFORE)), Same::Proven);
    assert_eq!(told("W/\"a\"", HOUR_BEFORE).compare(&told("W/\"a\"", HOUR_BEFORE)), Same::Proven);
    assert_eq!(told("W/\"a\"", HOUR_BEFORE).compare(&date(HOUR_BEFORE)), Same::Proven);
}

#[test]
fn r9_an_equal_date_that_is_not_strong_on_both_sides_proves_nothing() {
    assert_eq!(date(DATE).compare(&date(DATE)), Same::Unproven);
    let undated = Identity { age: None, ..date(HOUR_BEFORE) };
    assert_eq!(date(HOUR_BEFORE).compare(&undated), Same::Unproven);
    assert_eq!(undated.compare(&date(HOUR_BEFORE)), Same::Unproven);
}

#[test]
fn r7_weak_tags_never_prove() {
    assert_eq!(tag("W/\"a\"").compare(&tag("W/\"a\"")), Same::Unproven);
    assert_eq!(tag("\"a\"").compare(&tag("W/\"a\"")), Same::Unproven);
    assert_eq!(tag("W/\"a\"").compare(&tag("W/\"b\"")), Same::Unproven);
}

#[test]
fn r20_another_weak_tag_with_another_date_is_a_change() {
    assert_eq!(told("W/\"a\"", HOUR_BEFORE).compare(&told("W/\"b\"", DATE)), Same::Different);
    assert_eq!(told("W/\"a\"", HOUR_BEFORE).compare(&told("W/\"b\"", HOUR_BEFORE)), Same::Unproven);
    assert_eq!(told("W/\"a\"", HOUR_BEFORE).compare(&told("W/\"a\"", DATE)), Same::Unproven);
}

#[test]
fn r20_a_strong_tag_answered_by_another_weak_one_is_a_change() {
    assert_eq!(tag("\"a\"").compare(&tag("W/\"b\"")), Same::Different);
}

#[test]
fn r20_another_date_is_a_change() {
    assert_eq!(date(HOUR_BEFORE).compare(&date(DATE)), Same::Different);
    assert_eq!(told("\"a\"", HOUR_BEFORE).compare(&date(DATE)), Same::Different);
}

#[test]
fn r20_absent_fields_are_no_difference() {
    assert_eq!(date(HOUR_BEFORE).compare(&Identity::default()), Same::Unproven);
    assert_eq!(Identity::default().compare(&date(HOUR_BEFORE)), Same::Unproven);
}

#[test]
fn r20_another_media_type_is_a_change_unless_a_validator_proves() {
    let typed = |media: &str, of: Identity| Identity { media: Some(media.into()), ..of };
    let (zip, html) = (typed("application/zip", tag("")), typed("text/html", tag("")));
    assert_eq!(zip.compare(&html), Same::Different);
    assert_eq!(zip.compare(&tag("")), Same::Unproven);
    assert_eq!(typed("a/b", tag("\"a\"")).compare(&typed("c/d", tag("\"a\""))), Same::Proven);
}

#[test]
fn r50_two_digests_of_one_algorithm_decide_alone() {
    let of = |byte, algorithm: &str, identity: Identity| {
        let digest = WantedDigest { algorithm: algorithm.into(), bytes: vec![byte; 32] };
        Identity { digest: Some(digest), ..identity }
    };
    let held = of(1, "sha-256", tag("\"a\""));
    assert_eq!(held.compare(&of(1, "sha-256", tag("\"b\""))), Same::Proven);
    assert_eq!(held.compare(&of(2, "sha-256", tag("\"a\""))), Same::Different);
    assert_eq!(held.compare(&of(2, "sha-512", tag("\"a\""))), Same::Proven, "then the tags do");
    assert_eq!(held.compare(&tag("\"b\"")), Same::OtherTag);
}

/// Found by the simulator: a server told a wrong length once, later none, and always the right tag.
#[test]
fn r19_a_version_put_aside_comes_back_only_with_its_length() {
    let (held, other) = (tag("\"a\""), tag("\"b\""));
    assert!(held.comes_back_with(&tag("\"a\""), &other));
    assert!(!held.comes_back_with(&Identity { total: None, ..held.clone() }, &other));
    assert!(!held.comes_back_with(&Identity { total: Some(999), ..held.clone() }, &other));
    assert!(!held.comes_back_with(&other, &other));
}

/// Found by the simulator: one tag for all versions, which only their bytes tell apart, and two that came back in turns.
#[test]
fn r20_a_tag_that_fits_what_is_held_too_brings_nothing_back() {
    assert!(!tag("\"a\"").comes_back_with(&tag("\"a\""), &tag("\"a\"")));
}
