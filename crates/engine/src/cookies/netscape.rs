//! The text that curl, wget, yt-dlp and browsers' extensions write: a cookie a line, seven fields between tabs.
//!
//! `HOST  TRUE if also for hosts below it  PATH  TRUE if for https only  SECONDS SINCE 1970, or 0  NAME  VALUE`. A line that
//! begins with `#HttpOnly_` is a cookie all the same; any other `#` begins a comment.

use super::jar::{Cookie, host};
use crate::secret::{ExposeSecret, Secret};

/// What every reader looks for.
const HEAD: &str = "\
# Netscape HTTP Cookie File
# https://curl.se/docs/http-cookies.html
# Written by thence. Who has these lines has the logins in them.

";

const HTTP_ONLY: &str = "#HttpOnly_";

/// Where a text is wrong, from 1 on, in lines and characters. What stands there may be a credential and is not repeated.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) what: &'static str,
}

/// Reads a text, and hands out each cookie with its line. In one pass.
pub(super) fn read(text: &[u8], mut take: impl FnMut(usize, Cookie)) -> Result<(), Wrong> {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    for (line, bytes) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let at = |(column, what)| Wrong { line, column, what };
        if let Some(cookie) = one(bytes).map_err(at)? {
            take(line, cookie);
        }
    }
    Ok(())
}

/// One line; `None` for what is no cookie.
fn one(bytes: &[u8]) -> Result<Option<Cookie>, (usize, &'static str)> {
    let line = std::str::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        (before.chars().count() + 1, "is not UTF-8")
    })?;
    let http_only = line.starts_with(HTTP_ONLY);
    let cookie = line.strip_prefix(HTTP_ONLY).unwrap_or(line);
    if line.trim().is_empty() || (line.starts_with('#') && !http_only) {
        return Ok(None);
    }
    if let Some(column) = line.chars().position(|c| c.is_control() && c != '\t') {
        return Err((column + 1, "is a control character"));
    }
    let fields: Vec<&str> = cookie.split('\t').take(8).collect();
    let ([domain, below, path, secure, expires, name], value) = match fields[..] {
        [a, b, c, d, e, f, value] => ([a, b, c, d, e, f], value),
        // Whoever trims the ends of lines takes the tab of an empty value along.
        [a, b, c, d, e, f] => ([a, b, c, d, e, f], ""),
        [] | [_] => return Err((1, "has no tab in it: a cookie is a line of seven fields between tabs")),
        [.., last] if fields.len() == 8 => return Err((column(line, last), "is an eighth field")),
        _ => return Err((line.chars().count() + 1, "is the end of the line, before the seventh field")),
    };
    let named = host(domain).ok_or((column(line, domain), "names no host"))?;
    let flag = |text: &str, what| match text {
        _ if text.eq_ignore_ascii_case("TRUE") => Ok(true),
        _ if text.eq_ignore_ascii_case("FALSE") => Ok(false),
        _ => Err((column(line, text), what)),
    };
    let below = flag(below, "is neither TRUE nor FALSE (whether hosts below this one get it)")?;
    if !path.is_empty() && !path.starts_with('/') {
        return Err((column(line, path), "is no path: it does not begin with a slash"));
    }
    let secure = flag(secure, "is neither TRUE nor FALSE (whether it is for https only)")?;
    let expires = seconds(expires).ok_or((column(line, expires), "is no number of seconds since 1970"))?;
    Ok(Some(Cookie {
        name: name.to_owned(),
        value: Secret::from(value),
        host: named.name,
        below,
        path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
        secure,
        http_only,
        expires,
    }))
}

/// Where `part` of a line begins, in characters from 1 on.
fn column(line: &str, part: &str) -> usize {
    let before = (part.as_ptr() as usize).saturating_sub(line.as_ptr() as usize);
    line.get(..before).map_or(1, |before| before.chars().count() + 1)
}

/// When it ends; `Some(None)` for a cookie of a session: 0, nothing, or a time before there was time. Some write fractions.
fn seconds(text: &str) -> Option<Option<u64>> {
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let (fraction, minus) = (&text[whole.len()..], whole.len() > digits.len());
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(digits) || !is_number(fraction.trim_start_matches('.')) || (digits.is_empty() && minus) {
        return None;
    }
    // More than fits never comes.
    let number = if digits.is_empty() { 0 } else { digits.parse().unwrap_or(u64::MAX) };
    Some((number > 0 && !minus).then_some(number))
}

/// The text of these cookies.
pub(super) fn write<'a>(cookies: impl IntoIterator<Item = &'a Cookie>) -> Secret {
    let mut text = HEAD.to_owned();
    let flag = |is: bool| if is { "TRUE" } else { "FALSE" };
    for cookie in cookies {
        text.push_str(if cookie.http_only { HTTP_ONLY } else { "" });
        text.push_str(if cookie.below { "." } else { "" });
        let expires = cookie.expires.unwrap_or(0).to_string();
        let (below, secure) = (flag(cookie.below), flag(cookie.secure));
        let value = cookie.value.expose_secret();
        let fields = [&*cookie.host, below, &*cookie.path, secure, &*expires, &*cookie.name, value];
        for (field, after) in fields.iter().zip(["\t", "\t", "\t", "\t", "\t", "\t", "\n"]) {
            text.push_str(field);
            text.push_str(after);
        }
    }
    Secret::from(text)
}
