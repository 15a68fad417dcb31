//! Makes text that a server or a list chose fit for a terminal and for a log of one line an entry (LOG-05, LOG-08).

use std::borrow::Cow;
use std::path::Path;

/// True for characters that move a cursor, start a control sequence, end a line, or reorder or hide what stands
/// beside them. C1 is among them because a terminal may take U+009B for ESC [.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `text` with every unsafe character written as an escape: `\n`, `\r`, `\t`, `\x1b`, `\u{202e}`.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_unsafe(c) && c.is_ascii() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if is_unsafe(c) => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// A URL to show: masked, then made printable.
pub(crate) fn url(url: &str) -> String {
    printable(&thence::mask(url)).into_owned()
}

/// A reason that came from below, with any URL inside it masked: the second line of defence of LOG-01.
pub(crate) fn reason(text: &str) -> String {
    let quotes = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '(' | ')');
    let masked = text.split_inclusive(quotes).map(|piece| {
        let word = piece.trim_end_matches(quotes);
        if word.contains("://") { thence::mask(word) + &piece[word.len()..] } else { piece.to_owned() }
    });
    printable(&masked.collect::<String>()).into_owned()
}

/// A path as a shell takes it back. A leading dash would be read as an option, `NAME` alone as itself.
pub(crate) fn quoted(path: &Path) -> String {
    let path = path.strip_prefix(".").unwrap_or(path).display().to_string();
    let path = if path.starts_with('-') { format!("./{path}") } else { path };
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%".contains(c);
    if path.chars().all(plain) {
        return path;
    }
    printable(&format!("'{}'", path.replace('\'', "'\\''"))).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{printable, reason, url};

    #[test]
    fn log_05_escape_sequences_are_shown_not_obeyed() {
        assert_eq!(printable("a\x1b]52;c;eA==\x07b"), "a\\x1b]52;c;eA==\\x07b");
        assert_eq!(printable("\u{9b}31m"), "\\u{9b}31m");
        assert_eq!(printable("x\rgone\x7f\x08"), "x\\rgone\\x7f\\x08");
        assert_eq!(printable("exe\u{202e}txt.\u{2066}"), "exe\\u{202e}txt.\\u{2066}");
    }

    #[test]
    fn log_08_a_newline_cannot_forge_a_second_line() {
        assert_eq!(printable("a\nthence: saved"), "a\\nthence: saved");
        assert_eq!(printable("a\u{2028}b\u{85}c"), "a\\u{2028}b\\u{85}c");
    }

    #[test]
    fn log_07_text_is_literal() {
        assert_eq!(printable("%n%s{}\\ für 日本"), "%n%s{}\\ für 日本");
    }

    #[test]
    fn log_02_urls_are_masked_alone_and_inside_a_reason() {
        assert_eq!(url("https://u:SECRET@h/a?token=SECRET"), "https://h/a?token=***");
        assert_eq!(reason("to (https://u:SECRET@h/?t=SECRET) refused"), "to (https://h/?t=***) refused");
    }
}
