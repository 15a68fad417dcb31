//! What may be believed of a response: one test a rule, named by it, and the case rows a head decides.

use std::time::Duration;

use thence_plan::{
    Asked, Coding, Condition, EntityTag, Failure, Head, HttpVersion, Identity, Same, Verdict, judge,
};

// ---- Vocabulary ----

const V1: (&str, &str) = ("etag", "\"v1\"");
const V2: (&str, &str) = ("etag", "\"v2\"");
const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");
const BINARY: (&str, &str) = ("content-type", "application/octet-stream");
/// The file of these tests.
const TOTAL: u64 = 8_388_608;

fn answer(status: u16, fields: &[(&str, &str)]) -> Head {
    let fields = fields.iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())).collect();
    Head { status, version: HttpVersion::Http11, fields, received: 1_700_000_000 }
}

/// A 206 with this Content-Range and a strong tag.
fn partial(range: &str) -> Head {
    answer(206, &[("content-range", range), V1])
}

fn range(first: u64, end: Option<u64>) -> Asked {
    Asked { range: Some((first, end)), condition: Condition::IfRange("\"v1\"".into()) }
}

fn from(first: u64) -> Asked {
    range(first, None)
}

fn first_get() -> Asked {
    Asked { range: Some((0, None)), condition: Condition::None }
}

fn plain_get() -> Asked {
    Asked { range: None, condition: Condition::None }
}

/// What is held of version 1.
fn v1() -> Identity {
    let etag = Some(EntityTag { weak: false, tag: "\"v1\"".into() });
    Identity {
        total: Some(TOTAL),
        etag,
        media: Some("application/octet-stream".into()),
        ..Identity::default()
    }
}

/// The same without any validator.
fn unvalidated() -> Identity {
    Identity { etag: None, ..v1() }
}

/// The rule that was broken, or `""`.
fn breach(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Refuse(Failure::Breach(breach)) => breach.rule,
        _ => "",
    }
}

/// `first..end` of a part.
fn span(verdict: &Verdict) -> Option<(u64, u64)> {
    match verdict {
        Verdict::Part { first, end, .. } => Some((*first, *end)),
        _ => None,
    }
}

fn same(verdict: &Verdict) -> Option<Same> {
    match verdict {
        Verdict::Part { same, .. } | Verdict::Whole { same, .. } => Some(*same),
        _ => None,
    }
}

/// The complete length a believed answer told.
fn total(verdict: &Verdict) -> Option<u64> {
    match verdict {
        Verdict::Part { identity, .. } | Verdict::Whole { identity, .. } => identity.total,
        _ => None,
    }
}

fn refused_range(content_range: &str) -> &'static str {
    breach(judge(&from(100), Some(&v1()), &partial(content_range)))
}

fn refused_length(fields: &[(&str, &str)]) -> &'static str {
    breach(judge(&plain_get(), None, &answer(200, fields)))
}

// ---- Reading a 206 ----

#[test]
fn a_part_is_what_its_content_range_says() {
    let verdict = judge(&from(100), Some(&v1()), &partial("bytes 100-8388607/8388608"));
    assert_eq!(span(&verdict), Some((100, TOTAL)));
    assert_eq!((same(&verdict), total(&verdict)), (Some(Same::Proven), Some(TOTAL)));
}

#[test]
fn the_first_part_is_compared_with_nothing() {
    let verdict = judge(&first_get(), None, &partial("bytes 0-8388607/8388608"));
    assert_eq!((span(&verdict), same(&verdict)), (Some((0, TOTAL)), Some(Same::Unproven)));
}

#[test]
fn rng_32_a_file_of_one_byte() {
    assert_eq!(span(&judge(&first_get(), None, &partial("bytes 0-0/1"))), Some((0, 1)));
}

#[test]
fn rng_33_five_tebibytes_overflow_nothing() {
    let tail = 5 << 40;
    let mut held = v1();
    held.total = Some(tail + 1);
    let verdict =
        judge(&from(tail), Some(&held), &partial("bytes 5497558138880-5497558138880/5497558138881"));
    assert_eq!(span(&verdict), Some((tail, tail + 1)));
}

#[test]
fn r15_a_206_without_content_range() {
    assert_eq!(breach(judge(&from(100), Some(&v1()), &answer(206, &[V1]))), "R15");
}

#[test]
fn r15_rng_26_multipart_is_refused() {
    let kind = ("content-type", "Multipart/ByteRanges; boundary=x");
    assert_eq!(breach(judge(&from(100), Some(&v1()), &answer(206, &[kind, V1]))), "R15");
    let both = answer(206, &[kind, V1, ("content-range", "bytes 100-8388607/8388608")]);
    assert_eq!(breach(judge(&from(100), Some(&v1()), &both)), "R15");
}

#[test]
fn r16_another_unit() {
    for unit in ["items 100-199/8388608", "100-199/8388608", "bytes=100-199/8388608", "bytes", ""] {
        assert_eq!(refused_range(unit), "R16", "{unit:?}");
    }
}

#[test]
fn r16_units_have_no_case() {
    assert_eq!(refused_range("Bytes 100-8388607/8388608"), "");
}

#[test]
fn r17_positions_out_of_order() {
    for invalid in
        ["bytes 100-99/8388608", "bytes 100-8388608/8388608", "bytes 100-199/199", "bytes 100-100/100"]
    {
        assert_eq!(refused_range(invalid), "R17", "{invalid}");
    }
}

#[test]
fn r13_rng_19_positions_are_plain_numbers() {
    for value in ["0100-199/8388608", "+100-199/8388608", "100-199/+8388608", "100-18446744073709551616/*"] {
        assert_eq!(refused_range(&format!("bytes {value}")), "R17", "{value}");
    }
    for value in
        ["100-18446744073709551615/*", "100-/8388608", "-199/8388608", " 100-199/8388608", "*/8388608"]
    {
        assert_eq!(refused_range(&format!("bytes {value}")), "R17", "{value}");
    }
    for value in
        ["0x64-199/8388608", "100 - 199/8388608", "100-199", "100-199/", "100-199/8388608, 5", "100--5/9"]
    {
        assert_eq!(refused_range(&format!("bytes {value}")), "R17", "{value}");
    }
}

#[test]
fn rng_19_two_content_range_fields_even_if_equal() {
    let twice = ("content-range", "bytes 100-199/8388608");
    assert_eq!(breach(judge(&from(100), Some(&v1()), &answer(206, &[twice, twice, V1]))), "R17");
}

#[test]
fn r18_rng_13_a_part_from_beyond_what_was_asked_is_refused() {
    assert_eq!(refused_range("bytes 101-199/8388608"), "R18");
}

#[test]
fn r18_rng_12_a_part_from_before_what_was_asked_is_taken() {
    let verdict = judge(&from(8192), Some(&v1()), &partial("bytes 4096-8388607/8388608"));
    assert_eq!(span(&verdict), Some((4096, TOTAL)));
}

#[test]
fn r18_a_part_that_ends_before_what_was_asked_is_refused() {
    assert_eq!(refused_range("bytes 0-99/8388608"), "R18");
    assert_eq!(refused_range("bytes 0-100/8388608"), "");
}

#[test]
fn r18_rng_14_a_shorter_part_is_taken() {
    let verdict = judge(&range(100, Some(300)), Some(&v1()), &partial("bytes 100-199/8388608"));
    assert_eq!(span(&verdict), Some((100, 200)));
}

#[test]
fn r18_a_longer_part_is_cut_at_our_end() {
    let verdict = judge(&range(100, Some(300)), Some(&v1()), &partial("bytes 100-300/8388608"));
    assert_eq!(span(&verdict), Some((100, 300)));
}

#[test]
fn r19_rng_16_another_complete_length_is_a_change() {
    let verdict = judge(&from(100), Some(&v1()), &partial("bytes 100-199/8388607"));
    assert_eq!(same(&verdict), Some(Same::Different));
}

#[test]
fn r19_rng_17_no_complete_length_needs_a_strong_validator() {
    let verdict = judge(&from(100), Some(&v1()), &partial("bytes 100-199/*"));
    assert_eq!((same(&verdict), total(&verdict)), (Some(Same::Proven), None));
    let verdict = judge(&from(100), Some(&unvalidated()), &partial("bytes 100-199/*"));
    assert_eq!(breach(verdict), "R19");
}

#[test]
fn r19_a_first_answer_need_not_know_its_length() {
    assert_eq!(span(&judge(&first_get(), None, &partial("bytes 0-199/*"))), Some((0, 200)));
}

#[test]
fn r19_no_complete_length_and_another_tag_is_a_change() {
    let head = answer(206, &[("content-range", "bytes 100-199/*"), V2]);
    assert_eq!(same(&judge(&from(100), Some(&v1()), &head)), Some(Same::OtherTag));
}

#[test]
fn r20_rng_02_a_206_with_another_tag_is_seen_although_if_range_was_sent() {
    let head = answer(206, &[("content-range", "bytes 100-199/8388608"), V2]);
    assert_eq!(same(&judge(&from(100), Some(&v1()), &head)), Some(Same::OtherTag));
}

#[test]
fn r20_a_tag_that_did_not_come_back_proves_nothing() {
    let head = answer(206, &[("content-range", "bytes 100-199/8388608")]);
    assert_eq!(same(&judge(&from(100), Some(&v1()), &head)), Some(Same::Unproven));
}

#[test]
fn r21_without_any_validator_a_part_is_unproven() {
    let head = answer(206, &[("content-range", "bytes 100-199/8388608")]);
    assert_eq!(same(&judge(&from(100), Some(&unvalidated()), &head)), Some(Same::Unproven));
}

#[test]
fn r22_content_length_must_equal_the_span() {
    for (length, rule) in [("100", ""), ("99", "R22"), ("101", "R22"), ("0", "R22")] {
        let head = answer(206, &[("content-range", "bytes 100-199/8388608"), ("content-length", length), V1]);
        assert_eq!(breach(judge(&from(100), Some(&v1()), &head)), rule, "{length}");
    }
}

#[test]
fn r22_the_span_is_measured_before_it_is_cut() {
    let fields = [("content-range", "bytes 100-299/8388608"), ("content-length", "200"), V1];
    let verdict = judge(&range(100, Some(200)), Some(&v1()), &answer(206, &fields));
    assert_eq!(span(&verdict), Some((100, 200)));
}

#[test]
fn r23_a_coded_part_is_asked_for_without_range() {
    for coding in ["gzip", "br, identity", "rot13"] {
        let fields = [("content-range", "bytes 100-199/8388608"), ("content-encoding", coding), V1];
        assert_eq!(judge(&from(100), Some(&v1()), &answer(206, &fields)), Verdict::Unranged, "{coding}");
    }
}

#[test]
fn r23_identity_is_no_coding() {
    let fields = [("content-range", "bytes 100-199/8388608"), ("content-encoding", "Identity"), V1];
    assert_eq!(span(&judge(&from(100), Some(&v1()), &answer(206, &fields))), Some((100, 200)));
}

#[test]
fn r24_frm_05_a_transfer_coding_nobody_asked_for() {
    assert_eq!(refused_length(&[("transfer-encoding", "gzip, chunked")]), "R24");
}

#[test]
fn r25_a_206_to_a_request_without_range() {
    assert_eq!(breach(judge(&plain_get(), None, &partial("bytes 0-8388607/8388608"))), "R25");
}

// ---- Reading a 200 ----

#[test]
fn r26_content_range_on_a_200_means_nothing() {
    let fields = [("content-range", "bytes 100-199/200"), ("content-length", "8388608"), V1];
    let verdict = judge(&from(100), Some(&v1()), &answer(200, &fields));
    assert_eq!((total(&verdict), same(&verdict)), (Some(TOTAL), Some(Same::Proven)));
}

#[test]
fn r27_rng_10_rng_11_a_200_with_our_tag_is_the_whole_of_our_version() {
    let verdict = judge(&from(100), Some(&v1()), &answer(200, &[("content-length", "8388608"), V1]));
    assert!(matches!(verdict, Verdict::Whole { same: Same::Proven, .. }));
}

#[test]
fn r27_rng_01_a_200_with_another_strong_tag_is_a_change() {
    let verdict = judge(&from(100), Some(&v1()), &answer(200, &[("content-length", "8388608"), BINARY, V2]));
    assert_eq!(same(&verdict), Some(Same::OtherTag));
}

#[test]
fn r27_a_200_of_another_length_is_a_change() {
    let verdict = judge(&from(100), Some(&unvalidated()), &answer(200, &[("content-length", "8388609")]));
    assert_eq!(same(&verdict), Some(Same::Different));
}

#[test]
fn r28_rng_35_a_small_html_page_is_a_portal() {
    let page = answer(200, &[("content-length", "300"), HTML]);
    assert_eq!(breach(judge(&from(100), Some(&v1()), &page)), "R28");
    assert_eq!(breach(judge(&from(100), Some(&unvalidated()), &page)), "R28");
}

#[test]
fn r28_a_portal_may_be_large_chunked_and_have_a_tag_of_its_own() {
    let chunked = answer(200, &[("transfer-encoding", "chunked"), HTML]);
    assert_eq!(breach(judge(&from(100), Some(&v1()), &chunked)), "R28");
    let tagged = answer(200, &[("content-length", "9000000"), HTML, V2]);
    assert_eq!(breach(judge(&from(100), Some(&v1()), &tagged)), "R28");
}

#[test]
fn r28_a_small_body_of_any_kind_without_validator_is_an_error_page() {
    let json = ("content-type", "application/json");
    for (length, rule) in [("300", "R28"), ("65536", "R28"), ("65537", "")] {
        let verdict = judge(&from(100), Some(&v1()), &answer(200, &[("content-length", length), json]));
        assert_eq!(breach(verdict), rule, "{length}");
    }
}

#[test]
fn r28_half_of_a_small_file_is_no_error_page() {
    let held = Identity { total: Some(1_000), ..v1() };
    for (length, rule) in [("499", "R28"), ("500", "")] {
        let verdict = judge(&from(100), Some(&held), &answer(200, &[("content-length", length), BINARY]));
        assert_eq!(breach(verdict), rule, "{length}");
    }
}

#[test]
fn r28_a_new_version_that_shrank_is_a_change_if_it_has_a_validator() {
    let verdict = judge(&from(100), Some(&v1()), &answer(200, &[("content-length", "300"), BINARY, V2]));
    assert_eq!(same(&verdict), Some(Same::Different));
}

#[test]
fn r28_a_page_that_is_being_fetched_may_change() {
    let held = Identity { media: Some("text/html".into()), ..v1() };
    let verdict = judge(&from(100), Some(&held), &answer(200, &[("content-length", "8388000"), HTML, V2]));
    assert_eq!(same(&verdict), Some(Same::Different));
}

#[test]
fn r28_a_matching_validator_is_no_strangers() {
    let verdict = judge(&from(100), Some(&v1()), &answer(200, &[("content-length", "8388608"), HTML, V1]));
    assert_eq!(same(&verdict), Some(Same::Proven));
    let weak = answer(200, &[("content-length", "300"), ("etag", "W/\"v1\"")]);
    assert_eq!(same(&judge(&from(100), Some(&v1()), &weak)), Some(Same::Different));
}

#[test]
fn r28_a_weakly_equal_tag_is_no_strangers_whatever_the_kind() {
    let coded = answer(200, &[("content-encoding", "gzip"), ("etag", "W/\"v1\""), HTML]);
    assert!(matches!(judge(&from(100), Some(&v1()), &coded), Verdict::Whole { same: Same::Different, .. }));
}

#[test]
fn r28_where_nothing_is_known_nothing_is_contradicted() {
    let verdict = judge(&from(100), Some(&Identity::default()), &answer(200, &[HTML]));
    assert_eq!(same(&verdict), Some(Same::Unproven));
}

#[test]
fn r28_a_first_answer_may_be_a_page() {
    let verdict = judge(&first_get(), None, &answer(200, &[("content-length", "300"), HTML]));
    assert_eq!(total(&verdict), Some(300));
}

#[test]
fn rng_32_a_file_of_no_bytes() {
    let verdict = judge(&plain_get(), None, &answer(200, &[("content-length", "0")]));
    assert_eq!(total(&verdict), Some(0));
}

#[test]
fn frm_08_a_chunked_or_close_delimited_200_tells_no_length() {
    for fields in [&[("transfer-encoding", "Chunked")][..], &[]] {
        let verdict = judge(&plain_get(), None, &answer(200, fields));
        assert!(matches!(verdict, Verdict::Whole { identity: Identity { total: None, .. }, .. }));
    }
}

// ---- Codings ----

fn codings(value: &str) -> Verdict {
    judge(&first_get(), None, &answer(200, &[("content-encoding", value), ("content-length", "5")]))
}

#[test]
fn r49_frm_20_codings_come_in_the_order_they_were_applied() {
    let Verdict::Whole { codings, identity, .. } = codings("GZIP, identity, br") else { panic!() };
    assert_eq!(codings, [Coding::Gzip, Coding::Brotli]);
    assert_eq!(identity.total, None, "the length is that of the coded bytes");
}

#[test]
fn r49_all_codings_that_can_be_undone() {
    let known = [("x-gzip", Coding::Gzip), ("deflate", Coding::Deflate), ("zstd", Coding::Zstd)];
    for (name, coding) in known {
        assert!(matches!(codings(name), Verdict::Whole { codings, .. } if codings == [coding]), "{name}");
    }
}

#[test]
fn r49_an_empty_list_and_identity_are_no_coding() {
    for value in ["", "identity", " , identity"] {
        assert_eq!(total(&codings(value)), Some(5), "{value:?}");
    }
}

#[test]
fn r49_unknown_codings_and_long_chains_are_refused() {
    for value in ["compress", "gzip, rot13", "gzip, gzip, gzip", "br,br,identity,br"] {
        assert!(matches!(codings(value), Verdict::Refuse(Failure::Coding(_))), "{value}");
    }
}

#[test]
fn r5_an_equal_tag_on_a_coded_body_proves_nothing() {
    let verdict = judge(&from(100), Some(&v1()), &answer(200, &[("content-encoding", "gzip"), V1]));
    assert_eq!(same(&verdict), Some(Same::Unproven));
}

// ---- Reading a 416, 412, 304 and others ----

#[test]
fn r3a_a_first_ranged_get_that_is_not_understood_is_asked_again_without_range() {
    for status in [416, 400, 405, 501] {
        assert_eq!(judge(&first_get(), None, &answer(status, &[])), Verdict::Unranged, "{status}");
    }
}

#[test]
fn r3a_only_the_first_and_only_a_ranged_one() {
    for status in [400, 405, 501] {
        let refused = Verdict::Refuse(Failure::Status { status, retry_after: None });
        assert_eq!(judge(&from(100), Some(&v1()), &answer(status, &[])), refused);
        assert_eq!(judge(&plain_get(), None, &answer(status, &[])), refused);
    }
}

#[test]
fn r3a_a_416_to_a_plain_get_is_a_refusal() {
    let refused = Verdict::Refuse(Failure::Status { status: 416, retry_after: None });
    assert_eq!(judge(&plain_get(), None, &answer(416, &[("content-range", "bytes */5")])), refused);
}

#[test]
fn r29_rng_20_a_416_may_tell_the_complete_length() {
    let told =
        [("bytes */8388608", Some(TOTAL)), ("bytes */*", None), ("bytes 0-4/5", None), ("items */5", None)];
    for (value, total) in told {
        let verdict = judge(&from(TOTAL), Some(&v1()), &answer(416, &[("content-range", value)]));
        assert_eq!(verdict, Verdict::Unsatisfied { total }, "{value}");
    }
    assert_eq!(judge(&from(TOTAL), Some(&v1()), &answer(416, &[])), Verdict::Unsatisfied { total: None });
}

#[test]
fn r30_rng_25_a_412_says_the_version_is_gone() {
    let asked = Asked { condition: Condition::IfRange("\"v1\"".into()), ..from(100) };
    assert_eq!(judge(&asked, Some(&v1()), &answer(412, &[])), Verdict::Gone);
}

#[test]
fn r30_a_412_nobody_caused_is_only_a_status() {
    let verdict = judge(&first_get(), None, &answer(412, &[]));
    assert_eq!(verdict, Verdict::Refuse(Failure::Status { status: 412, retry_after: None }));
}

#[test]
fn r31_rng_24_a_304_is_never_complete() {
    assert_eq!(breach(judge(&from(100), Some(&v1()), &answer(304, &[V1]))), "R31");
}

#[test]
fn r31_a_304_answers_only_what_was_asked() {
    let condition = |tag: &str| Condition::IfChanged { tag: Some(tag.to_owned()), modified: None };
    let asked = |tag| Asked { range: Some((0, None)), condition: condition(tag) };
    for tag in ["\"v1\"", "W/\"v1\""] {
        assert_eq!(judge(&asked(tag), None, &answer(304, &[("etag", "\"v1\"")])), Verdict::Unchanged);
        assert_eq!(judge(&asked(tag), None, &answer(304, &[])), Verdict::Unchanged);
    }
    assert_eq!(breach(judge(&asked("\"v1\""), None, &answer(304, &[("etag", "\"v2\"")]))), "R31");
    let refused = judge(&asked("\"v1\""), None, &answer(412, &[]));
    assert!(matches!(refused, Verdict::Refuse(Failure::Status { status: 412, .. })), "{refused:?}");
}

#[test]
fn r32_answers_that_carry_no_file() {
    for status in [100, 101, 103, 201, 202, 203, 204, 205, 207, 226, 299, 300, 301, 302, 305, 307, 399] {
        assert_eq!(breach(judge(&from(100), Some(&v1()), &answer(status, &[]))), "R32", "{status}");
    }
}

#[test]
fn r33_every_other_status_is_handed_on_with_its_wait() {
    let verdict = judge(&from(100), Some(&v1()), &answer(429, &[("retry-after", "7")]));
    let retry_after = Some(Duration::from_secs(7));
    assert_eq!(verdict, Verdict::Refuse(Failure::Status { status: 429, retry_after }));
}

#[test]
fn r33_bad_framing_does_not_hide_a_wait() {
    let fields = [("retry-after", "7"), ("content-length", "1"), ("content-length", "2")];
    let verdict = judge(&from(100), Some(&v1()), &answer(503, &fields));
    assert!(matches!(verdict, Verdict::Refuse(Failure::Status { status: 503, retry_after: Some(_) })));
}

#[test]
fn every_status_is_judged_without_panic() {
    for status in 0..=u16::MAX {
        let _ = judge(&first_get(), None, &answer(status, &[]));
        let _ = judge(&from(100), Some(&v1()), &answer(status, &[]));
    }
}

/// Pieces that a broken or hostile server could put together.
const SHARDS: [&str; 16] = [
    "bytes",
    " ",
    "0",
    "1",
    "99",
    "18446744073709551615",
    "-",
    "/",
    "*",
    ",",
    "chunked",
    "gzip",
    "\"",
    "W/",
    "\0",
    "\u{202e}",
];

#[test]
fn no_head_makes_the_judge_panic_or_believe_an_empty_part() {
    let names = ["content-range", "content-length", "transfer-encoding", "content-encoding", "etag", "date"];
    let mut chance = 1u64;
    let mut draw = |below: usize| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (chance >> 33) as usize % below
    };
    for _ in 0..100_000 {
        let value: String = (0..draw(9)).map(|_| SHARDS[draw(16)]).collect();
        let name = names[draw(6)];
        let fields = [("content-range", "bytes 0-98/99"), (name, value.as_str())];
        let head = answer([200, 206, 416][draw(3)], &fields[usize::from(name == "content-range")..]);
        if let Some((first, end)) = span(&judge(&range(0, Some(50)), Some(&v1()), &head)) {
            assert!(first < end && end <= 50, "{head:?}");
        }
    }
}

// ---- Framing ----

#[test]
fn r13_frm_03_content_length_is_a_plain_number() {
    for bad in ["+42", "-1", "0x2a", "4 2", "", "42;", "042", "18446744073709551616", "42,", "42, x"] {
        assert_eq!(refused_length(&[("content-length", bad)]), "R13", "{bad:?}");
    }
}

#[test]
fn r13_blanks_around_a_value_are_not_part_of_it() {
    assert_eq!(refused_length(&[("content-length", " 42\t")]), "");
}

#[test]
fn r38_frm_04_transfer_encoding_and_content_length() {
    assert_eq!(refused_length(&[("transfer-encoding", "chunked"), ("content-length", "42")]), "R38");
    assert_eq!(refused_length(&[("content-length", "junk"), ("transfer-encoding", "chunked")]), "R38");
}

#[test]
fn r38_on_a_206_as_well() {
    let range = ("content-range", "bytes 100-141/8388608");
    let fields = [range, V1, ("transfer-encoding", "chunked"), ("content-length", "42")];
    assert_eq!(breach(judge(&from(100), Some(&v1()), &answer(206, &fields))), "R38");
}

#[test]
fn r39_frm_03_several_different_content_lengths() {
    assert_eq!(refused_length(&[("content-length", "42"), ("content-length", "43")]), "R39");
    assert_eq!(refused_length(&[("content-length", "42, 43")]), "R39");
}

#[test]
fn r39_equal_content_lengths_are_one() {
    let folded = answer(200, &[("content-length", "42, 42"), ("content-length", "42")]);
    assert_eq!(total(&judge(&plain_get(), None, &folded)), Some(42));
}

#[test]
fn r40_frm_05_transfer_encoding_over_http_1_0() {
    let mut head = answer(200, &[("transfer-encoding", "chunked")]);
    head.version = HttpVersion::Http10;
    assert_eq!(breach(judge(&plain_get(), None, &head)), "R40");
}

#[test]
fn r41_frm_05_chunked_must_be_last_alone_and_known() {
    for coding in ["chunked, gzip", "xchunked", "gzip", "identity", "", "chunked, chunked", "chunked;q=1"] {
        assert_eq!(refused_length(&[("transfer-encoding", coding)]), "R41", "{coding:?}");
    }
    assert_eq!(refused_length(&[("transfer-encoding", "chunked"), ("transfer-encoding", "gzip")]), "R41");
}

#[test]
fn r41_transfer_encoding_has_no_place_in_http_2() {
    let mut head = answer(200, &[("transfer-encoding", "chunked")]);
    head.version = HttpVersion::Http2;
    assert_eq!(breach(judge(&plain_get(), None, &head)), "R41");
}

#[test]
fn log_05_an_offending_value_is_shown_escaped_and_short() {
    let value = format!("bytes \u{1b}]52;c;{}", "A".repeat(10_000));
    let Verdict::Refuse(failure) = judge(&from(100), Some(&v1()), &partial(&value)) else { panic!() };
    let printed = failure.to_string();
    assert!(!printed.contains('\u{1b}') && printed.len() < 300, "{printed}");
}
