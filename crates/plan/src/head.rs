//! The head of a final response, and how its fields are read: strictly, once, without panics (R13).

use std::fmt;
use std::time::Duration;

use crate::date::http_date;

/// Longest wait a `Retry-After` can stand for: 100 years. Beyond it waits do not differ,
/// and a sum of a moment and this wait still cannot overflow.
const RETRY_AFTER_CEILING: u64 = 100 * 365 * 86_400;

/// Room that a field is given at first, name and value, in bytes.
const FIELD_BYTES: usize = 48;

/// HTTP version of a response. There is no HTTP/0.9: an answer without a status line has no head (R47).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
}

/// The head of a final response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Status code.
    pub status: u16,
    /// Version of the response.
    pub version: HttpVersion,
    /// Its fields.
    pub fields: Fields,
    /// Wall clock when the head arrived, seconds since 1970 (for `Retry-After` dates).
    pub received: u64,
}

/// Header fields in the order they came; names in lower case, values as received.
///
/// All of them stand in one buffer: a list has a head for each of its files.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields {
    text: Vec<u8>,
    /// Where each name and its value end.
    ends: Vec<(usize, usize)>,
}

impl Fields {
    /// One more. `name` is in lower case.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        self.text.extend_from_slice(name.as_bytes());
        let named = self.text.len();
        self.text.extend_from_slice(value);
        self.ends.push((named, self.text.len()));
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(_, end)| *end));
        starts
            .zip(&self.ends)
            .map(|(start, &(named, end))| (&self.text[start..named], &self.text[named..end]))
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> FromIterator<(N, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Fields {
        let fields = fields.into_iter();
        let some = fields.size_hint().0;
        let mut all = Fields { text: Vec::with_capacity(some * FIELD_BYTES), ends: Vec::with_capacity(some) };
        fields.for_each(|(name, value)| all.push(name.as_ref(), value.as_ref()));
        all
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy;
        f.debug_map().entries(self.iter().map(|(name, value)| (text(name), text(value)))).finish()
    }
}

impl Head {
    /// All values of the field `name` (lower case), in order, without surrounding blanks.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().filter(move |(n, _)| *n == name.as_bytes()).map(|(_, value)| trim(value))
    }

    /// The value of a field that may stand only once; `None` when it is absent or sent more than once,
    /// since then nobody can say which was meant.
    pub fn single<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        let mut values = self.values(name);
        let value = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// Elements of a comma-separated field, over all its lines, without surrounding blanks; empty ones included.
    pub(crate) fn list<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.values(name).flat_map(|value| value.split(|&b| b == b',').map(trim))
    }

    /// A field that is a date, in seconds since 1970.
    pub fn date(&self, name: &str) -> Option<u64> {
        http_date(self.single(name)?)
    }

    /// The media type without its parameters, in lower case; `None` if absent, malformed or over 127 bytes
    /// (the longest that can be registered, RFC 6838 s4.2).
    pub fn media(&self) -> Option<String> {
        let essence = trim(self.single("content-type")?.split(|&b| b == b';').next()?);
        let text = std::str::from_utf8(essence).ok().filter(|text| text.len() <= 127)?;
        let (kind, subtype) = text.split_once('/')?;
        (is_token(kind) && is_token(subtype)).then(|| text.to_ascii_lowercase())
    }

    /// `Retry-After` as a wait from the moment the head arrived (R33). A date is measured against the
    /// response's own `Date` where there is one, so that a wrong clock here cannot undercut it; one in the
    /// past is no wait. Garbage is `None`.
    pub fn retry_after(&self) -> Option<Duration> {
        let value = self.single("retry-after")?;
        let seconds = if !value.is_empty() && value.iter().all(u8::is_ascii_digit) {
            // Only overflow is left to fail: "for ever" is the one reading that undercuts nothing.
            let zeros = value.iter().take_while(|&&b| b == b'0').count();
            if zeros == value.len() { 0 } else { number(&value[zeros..]).unwrap_or(RETRY_AFTER_CEILING) }
        } else {
            let until = http_date(value)?;
            until.saturating_sub(self.date("date").unwrap_or(self.received))
        };
        Some(Duration::from_secs(seconds.min(RETRY_AFTER_CEILING)))
    }
}

/// Reads a length, position or count: digits only, no sign, no blank, no idle zero in front, no overflow (R13).
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || (text.len() > 1 && text[0] == b'0') {
        return None;
    }
    text.iter().try_fold(0u64, |sum, &b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// Without optional whitespace (space, tab) at both ends (RFC 9110 s5.6.3).
fn trim(value: &[u8]) -> &[u8] {
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let start = value.iter().position(|b| !blank(b)).unwrap_or(value.len());
    let end = value.iter().rposition(|b| !blank(b)).map_or(start, |last| last + 1);
    &value[start..end]
}

/// A token (RFC 9110 s5.6.2).
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&str, &str)]) -> Head {
        let fields = fields.iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())).collect();
        Head { status: 503, version: HttpVersion::Http11, fields, received: 1_000_000_000 }
    }

    fn wait(value: &str) -> Option<u64> {
        head(&[("retry-after", value)]).retry_after().map(|wait| wait.as_secs())
    }

    #[test]
    fn r13_numbers_are_digits_and_nothing_else() {
        assert_eq!(number(b"0"), Some(0));
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        for bad in ["", "+1", "-1", " 1", "1 ", "0x1", "1e3", "00", "01", "1_0", "18446744073709551616", "١"]
        {
            assert_eq!(number(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn a_media_type_is_two_tokens() {
        let media = |value| head(&[("content-type", value)]).media();
        assert_eq!(media("Text/HTML; charset=x").as_deref(), Some("text/html"));
        for bad in ["a b/c", "a/b c", "/c", "a/", "a", "", "a/b/c"] {
            assert_eq!(media(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn net_02_retry_after_in_seconds_and_for_ever() {
        assert_eq!((wait("120"), wait("0120"), wait("00")), (Some(120), Some(120), Some(0)));
        assert_eq!(wait("315360000"), Some(315_360_000));
        assert_eq!(wait("99999999999999999999999"), Some(RETRY_AFTER_CEILING));
    }

    #[test]
    fn net_02_retry_after_as_a_date() {
        assert_eq!(wait("Sun, 09 Sep 2001 01:46:50 GMT"), Some(10));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(0));
    }

    #[test]
    fn net_02_a_date_is_measured_by_the_servers_own_clock() {
        let ours_is_ahead =
            [("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT"), ("date", "Sun, 06 Nov 1994 08:49:37 GMT")];
        assert_eq!(head(&ours_is_ahead).retry_after(), Some(Duration::from_secs(60)));
    }

    #[test]
    fn net_02_garbage_is_no_retry_after() {
        for garbage in ["", "soon", "-5", "1.5", "5 s"] {
            assert_eq!(wait(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn a_media_type_is_read_without_parameters_and_case() {
        let media = |value| head(&[("content-type", value)]).media();
        assert_eq!(media("Text/HTML; charset=utf-8").as_deref(), Some("text/html"));
        assert_eq!(media("nonsense"), None);
        assert_eq!(media(&format!("a/{}", "b".repeat(200))), None);
    }

    #[test]
    fn a_field_sent_twice_is_no_single_field() {
        assert_eq!(head(&[("etag", "\"a\""), ("etag", "\"a\"")]).single("etag"), None);
    }
}
