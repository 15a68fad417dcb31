//! Looks at parts and finished files and changes nothing.

use std::path::{Path, PathBuf};

use thence_plan::{EntityTag, WantedDigest};

use crate::error::Error;

/// What a part holds.
#[derive(Clone, Debug, PartialEq)]
pub struct PartReport {
    /// `DIR/NAME.part`.
    pub part: PathBuf,
    /// The final name.
    pub name: String,
    /// The source's URL, query and all: mask it before it is printed.
    pub url: String,
    /// Complete length in bytes, if known.
    pub total: Option<u64>,
    /// Bytes that are recorded as held.
    pub held: u64,
    /// Held part of each of 64 equal stretches of the file, 0..=255; empty while the length is unknown.
    pub map: Vec<u8>,
    /// ETag of the held bytes.
    pub etag: Option<EntityTag>,
    /// `Last-Modified` of the held bytes.
    pub modified: Option<String>,
    /// Runs that worked on it.
    pub runs: u32,
    /// The certificate was not verified.
    pub insecure: bool,
    /// A process works on it.
    pub in_use: bool,
    /// Whole, verified and synced; only the rename is left.
    pub whole: bool,
}

/// What reading the bytes back showed.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifyReport {
    /// The file that was read.
    pub path: PathBuf,
    /// Bytes that were read and compared.
    pub checked: u64,
    /// Stretches (offset, length) that are not what was recorded.
    pub damaged: Vec<(u64, u64)>,
    /// The digest of the whole file as it is, if one was compared.
    pub digest: Option<WantedDigest>,
    /// Everything that was recorded or wanted was found.
    pub good: bool,
}

/// What the part `path` (`NAME.part`, `NAME.thence` or `NAME`) holds, or every part in a directory.
pub fn status(_path: &Path) -> Result<Vec<PartReport>, Error> {
    unimplemented!()
}

/// Reads a part or finished file back and compares it with its journal, the digest it was published
/// with, or the given one.
pub fn verify(_path: &Path, _checksum: Option<&WantedDigest>) -> Result<VerifyReport, Error> {
    unimplemented!()
}
