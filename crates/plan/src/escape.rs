//! Makes foreign text safe to print on one line of a terminal or log (LOG-05, LOG-08).

use std::fmt::Write;

/// Longest excerpt of a foreign value in a message, in bytes: enough to recognise it, too little to flood a log.
const EXCERPT: usize = 80;

/// `text` with every character that could move the cursor, end the line or reorder what is read
/// written as `\u{..}`. Linear; at most ten bytes per such character.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_deceptive(c) {
            // Writing into a String cannot fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// The first [`EXCERPT`] bytes of a field's value, safe to print.
pub(crate) fn excerpt(value: &[u8]) -> String {
    let shown = escape(&String::from_utf8_lossy(&value[..value.len().min(EXCERPT)]));
    if value.len() > EXCERPT { format!("{shown}...") } else { shown }
}

/// Controls (C0, DEL, C1), line separators, bidirectional marks and overrides, and characters of no width
/// that hide or reorder others. The joiners U+200C and U+200D are not among them: languages need them.
pub(crate) fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_05_escape_sequences_c1_bell_and_bidi_are_written_out() {
        assert_eq!(
            escape("a\u{1b}]52;\u{7}\r\u{9b}b\u{202e}c"),
            "a\\u{1b}]52;\\u{7}\\u{d}\\u{9b}b\\u{202e}c"
        );
    }

    #[test]
    fn log_08_a_newline_cannot_forge_a_second_line() {
        assert_eq!(escape("name\n out=x"), "name\\u{a} out=x");
    }

    #[test]
    fn log_07_percent_and_braces_stay_literal() {
        assert_eq!(escape("%n%s{} ünï"), "%n%s{} ünï");
    }

    #[test]
    fn an_excerpt_is_short_and_never_splits_into_a_panic() {
        assert!(excerpt("ü".repeat(500).as_bytes()).len() < 100);
        assert_eq!(excerpt(b"ok"), "ok");
        let (whole, more) = ("a".repeat(EXCERPT), "a".repeat(EXCERPT + 1));
        assert_eq!(
            (excerpt(whole.as_bytes()), excerpt(more.as_bytes())),
            (whole.clone(), format!("{whole}..."))
        );
    }
}
