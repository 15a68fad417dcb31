//! HTTP dates (RFC 9110 s5.6.7): the three formats, read as seconds since 1970.

use std::time::{Duration, UNIX_EPOCH};

/// Reads `Date`, `Last-Modified` or the date form of `Retry-After`, in seconds since 1970.
/// `None` for everything else: a date that is not one is treated as not sent.
pub fn http_date(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    let moment = httpdate::parse_http_date(text).ok()?;
    moment.duration_since(UNIX_EPOCH).ok().map(|since: Duration| since.as_secs())
}

/// A moment in seconds since 1970 as an HTTP date; `None` for one after the year 9999, which has none.
pub fn as_http_date(seconds: u64) -> Option<String> {
    let moment = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).filter(|_| seconds <= LAST)?;
    Some(httpdate::fmt_http_date(moment))
}

/// The last second of the year 9999.
const LAST: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_formats_name_the_same_second() {
        for form in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(http_date(form.as_bytes()), Some(784_111_777), "{form}");
        }
    }

    #[test]
    fn a_moment_is_written_as_it_is_read() {
        assert_eq!(as_http_date(784_111_777).as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(as_http_date(LAST).and_then(|date| http_date(date.as_bytes())), Some(LAST));
        assert_eq!((as_http_date(LAST + 1), as_http_date(u64::MAX)), (None, None));
    }

    #[test]
    fn what_is_no_date_is_not_sent() {
        for form in [&b""[..], b"0", b"yesterday", b"Sun, 06 Nov 1994 08:49:37 +0100", b"\xff\xfe"] {
            assert_eq!(http_date(form), None);
        }
    }
}
