//! Heads and their fields: the judge believes nothing that is not there.

use thence_plan::{
    Asked, Condition, EntityTag, Fields, Head, HttpVersion, Identity, Same, Verdict, http_date, judge,
};

use crate::input::Bytes;

/// Fields a judge looks at, so that a fuzzer need not find their names.
const NAMES: [&str; 14] = [
    "content-range",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "etag",
    "last-modified",
    "date",
    "retry-after",
    "content-digest",
    "repr-digest",
    "location",
    "content-disposition",
    "x",
];

/// A head and what was asked, out of any bytes.
pub(crate) fn head_of(input: &mut Bytes<'_>) -> Head {
    let status = input.pick(&[200, 206, 206, 206, 416, 412, 304, 503, 302, 100, 0, 999]);
    let version =
        input.pick(&[HttpVersion::Http11, HttpVersion::Http11, HttpVersion::Http10, HttpVersion::Http2]);
    let mut fields = Fields::default();
    for _ in 0..input.byte() % 16 {
        let name = input.pick(&NAMES);
        fields.push(name, input.short());
    }
    Head { status, version, fields, received: 1_700_000_000 }
}

fn identity_of(input: &mut Bytes<'_>) -> Identity {
    Identity {
        total: input.byte().is_multiple_of(2).then(|| input.number()),
        etag: EntityTag::parse(input.short()),
        age: Some(i64::from(input.word())),
        ..Identity::default()
    }
}

/// Judges any head.
pub(crate) fn head(data: &[u8]) {
    let mut input = Bytes(data);
    let range = input.byte().is_multiple_of(2).then(|| {
        let first = input.number();
        (first, input.byte().is_multiple_of(2).then(|| first.saturating_add(1).max(input.number())))
    });
    let held = input.byte().is_multiple_of(2).then(|| identity_of(&mut input));
    let condition = held.as_ref().map_or(Condition::None, Identity::condition);
    let head = head_of(&mut input);
    let asked = Asked { range, condition };
    match judge(&asked, held.as_ref(), &head) {
        Verdict::Part { first, end, identity, same } => {
            let (asked_first, asked_end) = range.expect("R25: a part that was not asked for");
            assert!(head.status == 206 && first <= asked_first && asked_first < end, "R18");
            assert!(asked_end.is_none_or(|asked| end <= asked), "R18: more than was asked");
            assert!(identity.total.is_none_or(|total| end <= total), "R17");
            proven(held.as_ref(), &identity, same);
        }
        Verdict::Whole { identity, same, codings } => {
            assert!(head.status == 200 && codings.len() <= 2, "R27, R49");
            assert!(codings.is_empty() || same != Same::Proven, "R5");
            proven(held.as_ref(), &identity, same);
        }
        Verdict::Unsatisfied { .. } => assert_eq!(head.status, 416),
        Verdict::Gone => assert_eq!(head.status, 412),
        Verdict::Unranged => assert!(range.is_some(), "R3a"),
        Verdict::Unchanged => panic!("R31: that was not asked"),
        Verdict::Refuse(failure) => assert!(!failure.to_string().contains(char::is_control), "LOG-05"),
    }
    let _any = (head.media(), head.retry_after(), head.date("date"));
}

/// R20, R21: nothing is proven but by an equal validator.
fn proven(held: Option<&Identity>, answer: &Identity, same: Same) {
    if same != Same::Proven {
        return;
    }
    let held = held.expect("nothing proves a first answer");
    let tag = held.strong_tag().is_some() && held.strong_tag() == answer.strong_tag();
    let date = held.modified.is_some() && held.modified == answer.modified;
    let digest = held.digest.is_some() && held.digest == answer.digest;
    assert!(tag || date || digest, "proven by nothing: {held:?} {answer:?}");
    assert!(held.total.is_none() || answer.total.is_none() || held.total == answer.total, "R19");
}

/// A part is believed only where a second reading of the field, by other means, says the same.
pub(crate) fn content_range(data: &[u8]) {
    let fields = [("content-range", data)].into_iter().collect();
    let head = Head { status: 206, version: HttpVersion::Http11, fields, received: 0 };
    let asked = Asked { range: Some((0, None)), condition: Condition::None };
    let Verdict::Part { first, end, identity, .. } = judge(&asked, None, &head) else { return };
    let text = std::str::from_utf8(data).expect("R13: digits and nothing else").trim_matches([' ', '\t']);
    let (unit, rest) = text.split_once(' ').expect("R16");
    let (span, total) = rest.split_once('/').expect("R17");
    let (a, b) = span.split_once('-').expect("R17");
    let number = |text: &str| text.trim_matches([' ', '\t']).parse::<u64>().expect("R13");
    assert!(unit.eq_ignore_ascii_case("bytes"), "R16");
    assert_eq!((first, end), (number(a), number(b) + 1));
    assert_eq!(identity.total, (total.trim_matches([' ', '\t']) != "*").then(|| number(total)));
}

/// Dates in their three forms, and waits.
pub(crate) fn dates(data: &[u8]) {
    let fields = [("retry-after", data)].into_iter().collect();
    let head = Head { status: 503, version: HttpVersion::Http11, fields, received: 1_700_000_000 };
    let century = std::time::Duration::from_secs(100 * 366 * 86_400);
    assert!(head.retry_after().is_none_or(|wait| wait <= century), "no sum with a moment may overflow");
    if let Some(seconds) = http_date(data) {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        let again = httpdate::fmt_http_date(time);
        assert_eq!(http_date(again.as_bytes()), Some(seconds), "{again}");
    }
}
