//! The file names in a `Content-Disposition` (RFC 6266, RFC 8187), read in one pass and believed in nothing:
//! whatever comes out is made safe by `name.rs`.

use percent_encoding::percent_decode;

/// The names as sent; not safe yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct FileNames {
    /// `filename*`, if it is valid.
    pub(crate) extended: Option<String>,
    /// `filename`.
    pub(crate) plain: Option<String>,
}

/// Finds `filename*` and `filename`; of several of a kind the first counts. The disposition itself does
/// not matter: `inline` names a file as well.
pub(crate) fn file_names(value: &[u8]) -> FileNames {
    let mut names = FileNames::default();
    let mut rest = skip_to_parameter(value);
    while let Some((name, text, after)) = parameter(rest) {
        if name.eq_ignore_ascii_case(b"filename*") {
            names.extended = names.extended.or_else(|| extended(&text));
        } else if name.eq_ignore_ascii_case(b"filename") {
            names.plain = names.plain.or_else(|| Some(plain(&text)));
        }
        rest = skip_to_parameter(after);
    }
    names
}

/// What follows the next semicolon; empty where there is none.
fn skip_to_parameter(value: &[u8]) -> &[u8] {
    value.iter().position(|&b| b == b';').map_or(&[], |at| &value[at + 1..])
}

/// Reads `name=value` or `name="value"`: the name, the value without quotes, and what follows it. `None` at
/// the end or where no `=` is left.
fn parameter(text: &[u8]) -> Option<(&[u8], Vec<u8>, &[u8])> {
    let name_end = text.iter().position(|b| matches!(b, b'=' | b';'))?;
    let name = text[..name_end].trim_ascii();
    let after = &text[name_end..];
    if after.starts_with(b";") {
        return Some((name, Vec::new(), after)); // a flag without value
    }
    let value = after[1..].trim_ascii_start();
    match value.strip_prefix(b"\"") {
        Some(quoted) => {
            let (text, rest) = unquote(quoted);
            Some((name, text, rest))
        }
        None => {
            let end = value.iter().position(|&b| b == b';').unwrap_or(value.len());
            Some((name, value[..end].trim_ascii().to_vec(), &value[end..]))
        }
    }
}

/// Reads up to the closing quote. A backslash escapes only a quote or a backslash: old clients send Windows
/// paths unescaped, and there it is a separator.
fn unquote(quoted: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut text = Vec::new();
    let mut at = 0;
    while let Some(&b) = quoted.get(at) {
        match (b, quoted.get(at + 1)) {
            (b'"', _) => return (text, &quoted[at + 1..]),
            (b'\\', Some(&next @ (b'"' | b'\\'))) => {
                text.push(next);
                at += 2;
            }
            _ => {
                text.push(b);
                at += 1;
            }
        }
    }
    (text, &[])
}

/// `UTF-8'language'percent-encoded` (RFC 8187 s3.2.1). `None` for another charset, a percent sign without two
/// hex digits, or bytes that are not UTF-8: `filename` is better than a guess.
fn extended(value: &[u8]) -> Option<String> {
    let mut pieces = value.splitn(3, |&b| b == b'\'');
    let (charset, _language, coded) = (pieces.next()?, pieces.next()?, pieces.next()?);
    let is_whole =
        |at: usize| coded.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    let mut percents = coded.iter().enumerate().filter(|&(_, &b)| b == b'%');
    if !charset.eq_ignore_ascii_case(b"utf-8") || !percents.all(|(at, _)| is_whole(at)) {
        return None;
    }
    percent_decode(coded).decode_utf8().ok().map(|text| text.into_owned())
}

/// `filename` is sent as UTF-8 by most and as ISO-8859-1 by the letter (RFC 6266 s4.3); a percent sign in it
/// means itself.
fn plain(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => value.iter().map(|&b| char::from(b)).collect(),
    }
}
