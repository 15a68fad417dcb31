//! Names that cannot leave their directory (R56, R57, P5).
//!
//! A name from a server, URL, list or journal is *made* safe; a name the user typed is only checked, since
//! it may be what they like as long as it is one segment.

use std::fmt;

use percent_encoding::percent_decode;
use url::Url;

use crate::disposition;
use crate::escape::is_deceptive;

/// Longest name in bytes: 255 less `.old.thence` and a little room.
const NAME_BYTES: usize = 240;

/// Longest extension that is one, in bytes with its dot. Longer ones are part of the stem.
const EXTENSION_BYTES: usize = 12;

/// Endings of our own files; a foreign name that has one gets `_` appended (R56).
const OWN_ENDINGS: [&str; 3] = [".part", ".thence", ".thence.new"];

/// Endings that stand for a compression, so that the ending before them belongs to the extension.
const COMPRESSIONS: [&str; 9] = ["gz", "bz2", "xz", "zst", "lz", "lz4", "lzma", "br", "z"];

/// The name of a file that has none.
const NAMELESS: &str = "index";

/// What to do when the final name is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exists {
    /// Take `NAME.1` (before the extension).
    #[default]
    Rename,
    /// Fail, and keep the part.
    Error,
    /// Leave the file alone and fetch nothing.
    Skip,
    /// Replace it, when the new one is whole.
    Overwrite,
}

/// One safe path segment, never empty, `.` or `..`, without separator or NUL, at most 240 bytes. One that is
/// not the user's own choice also has no control or bidirectional character, no colon, no leading dot, dash or
/// blank, no trailing dot or blank, and is no DOS device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name(String);

/// Why a name that the user typed cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadName {
    /// It is empty.
    Empty,
    /// It is `.` or `..`.
    Dots,
    /// It holds a path separator: a directory is chosen apart from the name.
    Separator,
    /// It holds a NUL.
    Nul,
    /// It is over 240 bytes.
    TooLong,
}

/// Chooses a name from `Content-Disposition` of the final response and the URL asked for (R56):
/// `filename*`, else `filename`, else the URL's last segment, else `index`.
pub fn choose_name(disposition: Option<&[u8]>, url: &str) -> Name {
    disposition
        .and_then(Name::from_disposition)
        .or_else(|| Url::parse(url).ok().as_ref().and_then(Name::last_segment))
        .unwrap_or_else(|| Name(NAMELESS.into()))
}

impl Name {
    /// Takes a name the user typed as it is, or says why it cannot be.
    pub fn chosen(text: &str) -> Result<Name, BadName> {
        match text {
            "" => Err(BadName::Empty),
            "." | ".." => Err(BadName::Dots),
            _ if text.contains('\0') => Err(BadName::Nul),
            _ if text.contains(std::path::is_separator) => Err(BadName::Separator),
            _ if text.len() > NAME_BYTES => Err(BadName::TooLong),
            _ => Ok(Name(text.to_owned())),
        }
    }

    /// Makes a name from a foreign text: the last segment, made safe (R56); `None` if nothing is left of it.
    pub fn from_server(text: &str) -> Option<Name> {
        let segment = text.rsplit(['/', '\\']).next()?;
        let kept: String = segment.chars().filter(|&c| !is_deceptive(c) && c != ':').collect();
        let bare = trim_end(kept.trim_start_matches(is_bad_start));
        if bare.is_empty() {
            return None;
        }
        let name = if is_device(bare) { format!("_{bare}") } else { bare.to_owned() };
        let name = shorten(&name, NAME_BYTES);
        // Asked after the cut, which may have uncovered such an ending.
        Some(Name(if is_ours(&name) { shorten(&name, NAME_BYTES - 1) + "_" } else { name }))
    }

    /// The name in a `Content-Disposition` (RFC 6266): `filename*` where it is valid, else `filename`.
    pub fn from_disposition(value: &[u8]) -> Option<Name> {
        let names = disposition::file_names(value);
        let extended = names.extended.as_deref().and_then(Name::from_server);
        extended.or_else(|| names.plain.as_deref().and_then(Name::from_server))
    }

    /// The name that a URL gives where no server gives another: its path's last segment, else `index`.
    pub fn of_url(url: &Url) -> Name {
        Name::last_segment(url).unwrap_or_else(|| Name(NAMELESS.into()))
    }

    /// The last segment of a URL's path, decoded. `None` where the path ends with a slash.
    fn last_segment(url: &Url) -> Option<Name> {
        let segment = url.path().rsplit('/').next()?;
        match percent_decode(segment.as_bytes()).decode_utf8() {
            Ok(text) => Name::from_server(&text),
            Err(_) => Name::from_server(segment),
        }
    }

    /// The segment.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Name of the part: `NAME.part`.
    pub fn part(&self) -> String {
        format!("{}.part", self.0)
    }

    /// Name of the journal: `NAME.thence`.
    pub fn journal(&self) -> String {
        format!("{}.thence", self.0)
    }

    /// The `n`-th other name, the number before the extension: `a.tar.gz` becomes `a.1.tar.gz`. The stem is
    /// shortened where the bound asks for it.
    pub fn numbered(&self, n: u32) -> Name {
        let (stem, extension) = split_extension(&self.0);
        let ending = format!(".{n}{extension}");
        let stem = floor(stem, NAME_BYTES - ending.len());
        Name(format!("{stem}{ending}"))
    }
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadName::Empty => f.write_str("the name is empty"),
            BadName::Dots => f.write_str("the name is a directory"),
            BadName::Separator => f.write_str("the name holds a path separator"),
            BadName::Nul => f.write_str("the name holds a NUL"),
            BadName::TooLong => write!(f, "the name is over {NAME_BYTES} bytes"),
        }
    }
}

impl std::error::Error for BadName {}

/// A dot hides the file, a dash makes it an option, a blank makes it hard to type.
fn is_bad_start(c: char) -> bool {
    c == '.' || c == '-' || c.is_whitespace()
}

fn trim_end(name: &str) -> &str {
    name.trim_end_matches(|c: char| c == '.' || c.is_whitespace())
}

/// A DOS device, with any extension: opening it on Windows opens the device.
fn is_device(name: &str) -> bool {
    let stem = trim_end(name.split('.').next().unwrap_or(name)).to_ascii_uppercase();
    match stem.as_str() {
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" => true,
        _ => ["COM", "LPT"].iter().any(|port| {
            let digit = stem.strip_prefix(port).unwrap_or_default();
            matches!(digit.as_bytes(), [b'0'..=b'9']) || matches!(digit, "¹" | "²" | "³")
        }),
    }
}

/// Ends like one of our own files, in any case: file systems without case would mix them up.
fn is_ours(name: &str) -> bool {
    OWN_ENDINGS.iter().any(|ending| {
        let tail = name.len().checked_sub(ending.len()).and_then(|at| name.get(at..));
        tail.is_some_and(|tail| tail.eq_ignore_ascii_case(ending))
    })
}

/// `name` in at most `limit` bytes, cut at a char boundary in its stem, so that what the file claims to be
/// stays to be seen.
fn shorten(name: &str, limit: usize) -> String {
    if name.len() <= limit {
        return name.to_owned();
    }
    let (stem, extension) = split_extension(name);
    format!("{}{extension}", trim_end(floor(stem, limit - extension.len())))
}

/// The longest start of `text` of at most `limit` bytes that ends at a char boundary.
fn floor(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// Splits before the extension, which has its dot and at most 2 x 12 bytes: `("a", ".tar.gz")`. The stem is
/// never empty.
fn split_extension(name: &str) -> (&str, &str) {
    let Some(at) = extension_at(name) else {
        return (name, "");
    };
    let is_compression = COMPRESSIONS.iter().any(|c| name[at + 1..].eq_ignore_ascii_case(c));
    let at = if is_compression { extension_at(&name[..at]).unwrap_or(at) } else { at };
    name.split_at(at)
}

/// Where the extension's dot stands: letters and digits with at least one letter, since `linux-6.1` has none.
fn extension_at(name: &str) -> Option<usize> {
    let at = name.rfind('.').filter(|&at| at > 0)?;
    let extension = &name[at + 1..];
    let is_one = extension.len() < EXTENSION_BYTES
        && extension.bytes().all(|b| b.is_ascii_alphanumeric())
        && extension.bytes().any(|b| b.is_ascii_alphabetic());
    is_one.then_some(at)
}
