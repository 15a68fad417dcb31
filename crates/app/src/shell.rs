//! The words of a shell's command line, as browsers write one to be copied: quotes, `$'...'`, and lines joined by `\`.
//!
//! It does *not* carry anything out or fill anything in. Where a shell would (variables, pipes, a second command) the text
//! means more than its words, and that is an error: nothing is dropped in silence. Time is linear in the text.

use std::iter::Peekable;
use std::str::Chars;

use thence::Secret;

/// Bytes of a line at most. Cookies of a site are some tens of KiB.
pub(crate) const MOST: usize = 1 << 20;

/// What is wrong, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// From 1.
    pub(crate) line: usize,
    /// In characters, from 1.
    pub(crate) column: usize,
    pub(crate) what: &'static str,
}

/// The words of `text`.
pub(crate) fn words(text: &str) -> Result<Vec<Secret>, Fault> {
    let mut reader = Reader { rest: text.chars().peekable(), line: 1, column: 1 };
    let mut words = Vec::new();
    loop {
        let ended = reader.skip_blanks();
        if reader.rest.peek().is_none() {
            return Ok(words);
        }
        if ended && !words.is_empty() {
            return Err(
                reader.fault("a second command begins here; give one, its lines joined by \\ at their ends")
            );
        }
        words.push(reader.word()?);
    }
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
    column: usize,
}

impl Reader<'_> {
    fn fault(&self, what: &'static str) -> Fault {
        Fault { line: self.line, column: self.column, what }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        if c == '\n' {
            (self.line, self.column) = (self.line + 1, 1);
        } else {
            self.column += 1;
        }
        Some(c)
    }

    /// True if the line ended among them.
    fn skip_blanks(&mut self) -> bool {
        let mut ended = false;
        while let Some(&c) = self.rest.peek() {
            match c {
                '\n' => ended = true,
                c if c.is_ascii_whitespace() => {}
                '\\' if self.joins() => continue,
                _ => break,
            }
            self.next();
        }
        ended
    }

    /// Takes a backslash and the end of its line, if that is what follows.
    fn joins(&mut self) -> bool {
        let mut ahead = self.rest.clone();
        ahead.next();
        let long = ahead.peek() == Some(&'\r');
        if long {
            ahead.next();
        }
        if ahead.next() != Some('\n') {
            return false;
        }
        (0..2 + usize::from(long)).for_each(|_| _ = self.next());
        true
    }

    fn word(&mut self) -> Result<Secret, Fault> {
        let (mut word, start) = (Vec::new(), (self.line, self.column));
        while let Some(&c) = self.rest.peek() {
            match c {
                c if c.is_ascii_whitespace() => break,
                '\\' if self.joins() => {}
                '\'' | '"' | '\\' | '$' => self.quoted(&mut word)?,
                '^' => self.caret(&mut word)?,
                '&' => {
                    return Err(self.fault(
                        "& stands outside of quotes, where a shell ends the command; put the URL into quotes",
                    ));
                }
                '|' | ';' | '<' | '>' | '(' | ')' | '`' => {
                    return Err(self.fault("what stands here would make a shell do more than call curl; take it out, or put it into quotes"));
                }
                c => {
                    self.next();
                    push(&mut word, c);
                }
            }
        }
        let (line, column) = start;
        match String::from_utf8(word) {
            Ok(word) if !word.contains('\0') => Ok(Secret::from(word)),
            _ => Err(Fault { line, column, what: "this word is not UTF-8, or holds a NUL" }),
        }
    }

    /// What begins with a quote, a backslash or a dollar.
    fn quoted(&mut self, word: &mut Vec<u8>) -> Result<(), Fault> {
        let open = self.fault("this quote is not closed");
        match (self.next(), self.rest.peek().copied()) {
            (Some('\''), _) => loop {
                match self.next().ok_or(open)? {
                    '\'' => return Ok(()),
                    c => push(word, c),
                }
            },
            (Some('"'), _) => self.double(word, open),
            (Some('\\'), _) => {
                let c = self.next().ok_or_else(|| self.fault("a backslash is the end of the line"))?;
                push(word, c);
                Ok(())
            }
            (Some('$'), Some('\'')) => {
                self.next();
                self.ansi(word, open)
            }
            _ => self.dollar(word),
        }
    }

    /// Behind a dollar: one that a shell would put something for is none of ours.
    fn dollar(&mut self, word: &mut Vec<u8>) -> Result<(), Fault> {
        match self.rest.peek() {
            Some(c) if c.is_ascii_alphanumeric() || "_{(\"@*#?$!-".contains(*c) => {
                Err(self.fault("a shell would put something in the place of this $; write what is meant"))
            }
            _ => {
                word.push(b'$');
                Ok(())
            }
        }
    }

    fn double(&mut self, word: &mut Vec<u8>, open: Fault) -> Result<(), Fault> {
        loop {
            match self.next().ok_or(open)? {
                '"' => return Ok(()),
                '`' => return Err(self.fault("a shell would carry out what follows `; take it out")),
                '$' if self.rest.peek() == Some(&'"') => word.push(b'$'),
                '$' => self.dollar(word)?,
                '\\' => match self.next().ok_or(open)? {
                    c @ ('$' | '`' | '"' | '\\') => push(word, c),
                    '\n' => {}
                    c => {
                        word.push(b'\\');
                        push(word, c);
                    }
                },
                c => push(word, c),
            }
        }
    }

    /// The form of Windows' `cmd`.
    fn caret(&mut self, word: &mut Vec<u8>) -> Result<(), Fault> {
        let fault = self
            .fault("this is written for Windows' cmd; have the browser copy it as cURL (bash) or (POSIX)");
        self.next();
        if matches!(self.rest.peek(), Some('"' | '\n' | '\r')) {
            return Err(fault);
        }
        word.push(b'^');
        Ok(())
    }

    /// `$'...'`, as bash reads it. Two halves of a character beyond U+FFFF, as JavaScript counts, are joined.
    fn ansi(&mut self, word: &mut Vec<u8>, open: Fault) -> Result<(), Fault> {
        loop {
            let c = match self.next().ok_or(open)? {
                '\'' => return Ok(()),
                '\\' => self.next().ok_or(open)?,
                c => {
                    push(word, c);
                    continue;
                }
            };
            match c {
                'n' => word.push(b'\n'),
                'r' => word.push(b'\r'),
                't' => word.push(b'\t'),
                'a' => word.push(7),
                'b' => word.push(8),
                'v' => word.push(11),
                'f' => word.push(12),
                'e' | 'E' => word.push(27),
                '\\' | '\'' | '"' | '?' => push(word, c),
                'x' => word.push(self.number(16, 2, 0)? as u8),
                'u' => self.unicode(word, 4)?,
                'U' => self.unicode(word, 8)?,
                // As bash does, more than a byte holds is cut off.
                '0'..='7' => word.push(self.number(8, 2, c as u32 - '0' as u32)? as u8),
                c => {
                    word.push(b'\\');
                    push(word, c);
                }
            }
        }
    }

    /// Up to `most` digits, after those that came to `value` already; none is an error if that is 0 and the base 16.
    fn number(&mut self, base: u32, most: usize, mut value: u32) -> Result<u32, Fault> {
        let mut seen = 0;
        while seen < most
            && let Some(digit) = self.rest.peek().and_then(|c| c.to_digit(base))
        {
            self.next();
            value = value.wrapping_mul(base).wrapping_add(digit);
            seen += 1;
        }
        if seen == 0 && base == 16 { Err(self.fault("a digit is wanted here")) } else { Ok(value) }
    }

    fn unicode(&mut self, word: &mut Vec<u8>, most: usize) -> Result<(), Fault> {
        let fault = self.fault("this is no character");
        let mut code = self.number(16, most, 0)?;
        if (0xd800..0xdc00).contains(&code) {
            let second = (self.next(), self.next());
            if second != (Some('\\'), Some('u')) {
                return Err(fault);
            }
            let low = self.number(16, 4, 0)?;
            code = match low {
                0xdc00..0xe000 => 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00),
                _ => return Err(fault),
            };
        }
        push(word, char::from_u32(code).ok_or(fault)?);
        Ok(())
    }
}

fn push(word: &mut Vec<u8>, c: char) {
    word.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use thence::ExposeSecret;

    use super::*;

    fn split(text: &str) -> Vec<String> {
        let words = words(text).unwrap_or_else(|fault| panic!("{text:?}: {fault:?}"));
        words.iter().map(|word| word.expose_secret().to_owned()).collect()
    }

    fn fault(text: &str) -> (usize, usize) {
        let fault = words(text).err().unwrap_or_else(|| panic!("{text:?} is taken"));
        (fault.line, fault.column)
    }

    #[test]
    fn quotes_and_backslashes_are_read_as_a_shell_reads_them() {
        assert_eq!(split(r#"a 'b "c' "d 'e" f\ g h"i"'j'"#), ["a", "b \"c", "d 'e", "f g", "hij"]);
        assert_eq!(split(r#""a\"b\\c\$d\`e\f" '' """#), [r#"a"b\c$d`e\f"#, "", ""]);
        assert_eq!(split("  \n \t"), [""; 0]);
        assert_eq!(split("a$ \"b$\" 'c$d' ?x=[1]*{a}~#"), ["a$", "b$", "c$d", "?x=[1]*{a}~#"]);
    }

    #[test]
    fn lines_are_joined_by_a_backslash_at_their_ends() {
        assert_eq!(split("curl 'u' \\\n  -H 'a: b' \\\r\n  -k\n\n"), ["curl", "u", "-H", "a: b", "-k"]);
        assert_eq!(split("a\\\nb \"c\\\nd\" 'e\\\nf'"), ["ab", "cd", "e\\\nf"]);
    }

    #[test]
    fn ansi_c_strings_are_read_as_bash_reads_them() {
        let text = r#"$'a\'b\\c\n\r\t\x41\u0021\101\U1f600\ud83d\ude00\e\z\"\?'"#;
        assert_eq!(split(text), ["a'b\\c\n\r\tA!A\u{1f600}\u{1f600}\u{1b}\\z\"?"]);
        assert_eq!(split(r"x$'\xc3\xa4'y $'\u00e4' $''"), ["xäy", "ä", ""]);
    }

    #[test]
    fn what_is_no_word_is_told_with_its_place() {
        assert_eq!(fault("curl 'a"), (1, 6));
        assert_eq!(fault("curl a \\\n -H \"b"), (2, 5));
        assert_eq!(fault("curl $'a\\"), (1, 6));
        assert_eq!(fault("a\\"), (1, 3));
        assert_eq!(fault(r"a $'\xff'"), (1, 3));
        for text in [
            r"$'\u0000'",
            r"$'\x00'",
            r"$'\ud83d'",
            r"$'\ud83d\u0041'",
            r"$'\udc00'",
            r"$'\x'",
            r"$'\U110000'",
        ] {
            fault(text);
        }
    }

    #[test]
    fn what_a_shell_would_do_more_is_refused_and_not_dropped() {
        assert_eq!(fault("curl u | tar x"), (1, 8));
        assert_eq!(fault("curl a\ncurl b"), (2, 1));
        assert_eq!(fault("curl http://h/?a=1&b=2"), (1, 19));
        for text in
            ["a > b", "a;", "a && b", "$(a)", "`a`", "\"$a\"", "\"`a`\"", "$a", "${a}", "a$\"b\"", "(a)"]
        {
            fault(text);
        }
        assert!(words("curl ^\"http://h/^\" ^\n -k").is_err_and(|fault| fault.what.contains("cmd")));
        assert_eq!(split("a^b"), ["a^b"]);
    }

    #[test]
    fn a_long_line_takes_no_longer_than_its_length() {
        for piece in ["'a' ", "\\\n", "$'\\u0041' ", "\"\\\\\" ", "a", "\n"] {
            let text = piece.repeat(MOST / piece.len());
            assert!(words(&text).is_ok(), "{piece:?}");
        }
    }
}
