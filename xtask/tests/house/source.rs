//! Rust sources as text: comments and literals blanked, functions found. Not a parser: it knows as much of
//! the language as the rules need.

use std::fs;
use std::path::Path;

/// One source file.
pub(crate) struct Source {
    /// From the root of the repository.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The text with every comment and literal replaced by blanks, line by line.
    pub(crate) code: String,
}

/// A function with a body.
pub(crate) struct Function {
    pub(crate) name: String,
    /// Where it starts, from 1.
    pub(crate) line: usize,
    /// Lines of it that hold code.
    pub(crate) lines: usize,
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Every source of the workspace, and of the bench's own.
pub(crate) fn sources() -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    for dir in ["crates", "xtask", "bench"] {
        walk(root, &root.join(dir), &mut found);
    }
    assert!(found.len() > 10, "the sources are not where they were");
    found
}

fn walk(root: &Path, dir: &Path, found: &mut Vec<Source>) {
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() && !path.ends_with("target") {
            walk(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            found.push(Source::new(name, &fs::read_to_string(&path).unwrap()));
        }
    }
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned(), code: blanked(text) }
    }

    /// The code without its `#[cfg(test)]` modules.
    pub(crate) fn production(&self) -> String {
        let mut code = self.code.clone();
        while let Some(start) = code.find("#[cfg(test)]") {
            let Some(end) = item_end(&code, start) else { break };
            code.replace_range(start..=end, "");
        }
        code
    }

    pub(crate) fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        for (at, _) in self.code.match_indices("fn ") {
            let own_word = !self.code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            let name: String =
                self.code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let end = item_end(&self.code, at);
            let (true, false, Some(end)) = (own_word, name.is_empty(), end) else { continue };
            if self.code[at..=end].ends_with('}') {
                let lines = self.code[at..=end].lines().filter(|line| !line.trim().is_empty()).count();
                found.push(Function { name, line: self.code[..at].matches('\n').count() + 1, lines });
            }
        }
        found
    }
}

/// Where the item that starts at `start` ends: its closing brace, or the semicolon of one without a body.
pub(crate) fn item_end(code: &str, start: usize) -> Option<usize> {
    let (mut braces, mut others) = (0, 0);
    for (at, c) in code[start..].char_indices() {
        match c {
            '(' | '[' => others += 1,
            ')' | ']' => others -= 1,
            '{' => braces += 1,
            '}' => braces -= 1,
            _ => {}
        }
        if (c == '}' && braces == 0) || (c == ';' && braces == 0 && others == 0) {
            return Some(start + at);
        }
    }
    None
}

/// Comments, strings and characters as blanks; line breaks stay.
fn blanked(text: &str) -> String {
    let mut rest = text;
    let mut code = String::with_capacity(text.len());
    while let Some(c) = rest.chars().next() {
        let literal = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => comment_len(rest),
            '"' => string_len(rest),
            'r' if !code.ends_with(|c: char| c.is_alphanumeric() && c != 'b' && c != 'c' || c == '_') => {
                raw_string_len(rest)
            }
            '\'' => character_len(rest),
            _ => 0,
        };
        if literal == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.extend(rest[..literal].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[literal..];
        }
    }
    code
}

fn comment_len(text: &str) -> usize {
    let mut depth = 0;
    for (at, _) in text.char_indices() {
        if text[at..].starts_with("/*") {
            depth += 1;
        } else if text[..at].ends_with("*/") && at > 2 {
            depth -= 1;
            if depth == 0 {
                return at;
            }
        }
    }
    text.len()
}

fn string_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// 0 for what only looks like a raw string (`r#type`, a name that begins with r).
fn raw_string_len(text: &str) -> usize {
    let hashes = text[1..].chars().take_while(|&c| c == '#').count();
    if !text[1 + hashes..].starts_with('"') {
        return 0;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let body = 2 + hashes;
    text[body..].find(&close).map_or(text.len(), |end| body + end + close.len())
}

/// 0 for a lifetime.
fn character_len(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => text[3..].find('\'').map_or(0, |end| 3 + end + 1),
        Some(_) => chars.next().filter(|&(_, c)| c == '\'').map_or(0, |(at, _)| at + 1),
        None => 0,
    }
}
