//! The attribute `user.thence`: what a file says of itself where no journal stands beside it.
//!
//! A finished file carries its length, validator, digest and a hash of its source, so that asking for it
//! again fetches nothing. The URL itself is not in it: files are copied about with their attributes, and a
//! query may be a credential (P4). A part below one block carries its source alone, which tells it from a
//! stranger's `NAME.part`. All of it is a courtesy: where there are no attributes, nothing is lost but that.

use std::fmt::Write as _;
use std::fs::File;

use thence_plan::{EntityTag, Identity, WantedDigest, http_date};

use crate::sys::{self, Facts};

/// First line: the format's version.
const HEAD: &str = "thence 1";

/// Room for most of them, in bytes.
const ROOM: usize = 256;

/// What a file's attribute says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// A part that has no journal.
    Part {
        /// `source_of` its URL.
        source: String,
    },
    /// A finished file.
    File {
        /// `source_of` its URL.
        source: String,
        /// Its length in bytes when it was finished.
        bytes: u64,
        /// Its modification time then, ns since 1970: a file written to since is no longer ours to vouch for.
        mtime: i64,
        /// The validators of what was fetched: whether its source has another version can be asked with them.
        etag: Option<EntityTag>,
        /// `Last-Modified`, as it came.
        modified: Option<String>,
        /// The digest that was checked, if any.
        digest: Option<WantedDigest>,
    },
}

impl Mark {
    /// The mark of an open file, if it has one that is understood.
    pub(crate) fn of(file: &File) -> Option<Mark> {
        parse(std::str::from_utf8(&sys::mark(file)?).ok()?)
    }

    /// Marks a part that has no journal; false where the file system keeps no attributes.
    pub(crate) fn part(file: &File, url: &str) -> bool {
        sys::set_mark(file, format!("{HEAD}\npart {}\n", source_of(url)).as_bytes()).is_ok()
    }

    /// Marks a file that is about to be finished and of which these are the facts. A file system that refuses is none of
    /// the file's faults.
    pub(crate) fn file(
        file: &File,
        facts: &Facts,
        url: &str,
        identity: &Identity,
        digest: Option<&WantedDigest>,
    ) {
        let mut text = String::with_capacity(ROOM);
        // Nothing fails that is written to a String.
        _ = writeln!(text, "{HEAD}\nfile {} {} {}", source_of(url), facts.size, facts.mtime);
        if let Some(etag) = &identity.etag {
            _ = writeln!(text, "etag {}{}", if etag.weak { "W/" } else { "" }, etag.tag);
        }
        if let Some(modified) = &identity.modified {
            _ = writeln!(text, "modified {modified}");
        }
        if let Some(WantedDigest { algorithm, bytes }) = digest {
            _ = writeln!(text, "digest {algorithm} {}", hex(bytes));
        }
        _ = sys::set_mark(file, text.as_bytes());
    }

    /// Whether the file is of this URL.
    pub(crate) fn is_of(&self, url: &str) -> bool {
        let (Mark::Part { source } | Mark::File { source, .. }) = self;
        *source == source_of(url)
    }
}

/// 128 bits of BLAKE3 of a URL, in hex. Not XXH3, which could be turned round for a short URL.
fn source_of(url: &str) -> String {
    hex(&blake3::hash(url.as_bytes()).as_bytes()[..16])
}

fn parse(text: &str) -> Option<Mark> {
    let mut lines = text.lines();
    if lines.next()? != HEAD {
        return None;
    }
    let mut words = lines.next()?.split(' ');
    let (kind, source) = (words.next()?, words.next()?.to_owned());
    match kind {
        "part" => Some(Mark::Part { source }),
        "file" => {
            let (bytes, mtime) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            let said = |name: &str| lines.clone().find_map(|line| line.strip_prefix(name));
            let etag = said("etag ").and_then(|tag| EntityTag::parse(tag.as_bytes()));
            let modified = said("modified ").filter(|date| http_date(date.as_bytes()).is_some());
            let digest = said("digest ").and_then(parse_digest);
            Some(Mark::File { source, bytes, mtime, etag, modified: modified.map(str::to_owned), digest })
        }
        _ => None,
    }
}

fn parse_digest(text: &str) -> Option<WantedDigest> {
    let (algorithm, digits) = text.split_once(' ')?;
    WantedDigest::read(algorithm, digits).ok()
}

/// Two lower-case digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    let mut text = String::with_capacity(bytes.len() * 2);
    text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_written_and_holds_no_url() {
        let digest = WantedDigest { algorithm: "md5".into(), bytes: vec![0xab; 16] };
        let source = source_of("http://h/x?token=secret");
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let text = format!(
            "{HEAD}\nfile {source} 12 -5\netag W/\"a\"\nmodified {date}\ndigest md5 {}\n",
            "ab".repeat(16)
        );
        let mark = parse(&text).unwrap();
        let etag = Some(EntityTag { weak: true, tag: "\"a\"".into() });
        let (modified, digest) = (Some(date.into()), Some(digest));
        assert_eq!(mark, Mark::File { source, bytes: 12, mtime: -5, etag, modified, digest });
        assert!(mark.is_of("http://h/x?token=secret") && !mark.is_of("http://h/x"));
        assert!(!text.contains("secret"));
    }

    /// A mark may come from anybody: what it says goes into requests.
    #[test]
    fn only_validators_that_are_some_are_read() {
        for line in ["etag a", "etag \"a\"\r\nX: y", "modified yesterday", "modified ", "other x"] {
            let mark = parse(&format!("{HEAD}\nfile x 1 2\n{line}\n"));
            let Some(Mark::File { etag, modified, digest, .. }) = mark else { panic!("{line}") };
            assert!(etag.is_none_or(|etag| etag.tag == "\"a\"") && modified.is_none() && digest.is_none());
        }
    }

    #[test]
    fn nonsense_is_no_mark() {
        for text in
            ["", "thence 2\npart x", "thence 1", "thence 1\nfile x", "thence 1\nfile x 1", "thence 1\nlink x"]
        {
            assert_eq!(parse(text), None);
        }
        assert_eq!(parse_digest("md5 zz"), None);
        assert_eq!(parse_digest("md5 é1"), None);
    }
}
