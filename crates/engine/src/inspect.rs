//! Looks at what is held without changing it.

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::options::Checksum;

/// What one part holds, and of what.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PartReport {
    /// The final name, without `.part`.
    pub name: String,
    /// The directory of the pair.
    pub dir: PathBuf,
    /// The source's URL, its query included; whoever prints it masks it.
    pub url: String,
    /// Complete length, if known.
    pub total: Option<u64>,
    /// Unique bytes recorded as held.
    pub held: u64,
    /// Bytes of a block.
    pub block_size: u32,
    /// Held part of each of 64 equal stretches, 0..=255; empty while the length is unknown.
    pub map: Vec<u8>,
    /// The validator that identifies the version, as the server sent it.
    pub validator: Option<String>,
    /// Some of it came over a connection whose certificate was not verified.
    pub insecure: bool,
    /// Some join rests on an overlap check alone.
    pub unproven: bool,
    /// A process holds the part's lock now.
    pub in_use: bool,
    /// Everything is held and checked; only the rename is left.
    pub whole: bool,
}

/// What was read back and compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VerifyReport {
    /// The file that was read.
    pub path: PathBuf,
    /// Bytes compared with a hash or digest.
    pub checked: u64,
    /// Ranges (first, end) that differ from their record.
    pub bad: Vec<(u64, u64)>,
    /// Digest of the whole file, algorithm and hex, where one was computed.
    pub digest: Option<(String, String)>,
    /// Whether that is the digest wanted; `None` when none was.
    pub digest_ok: Option<bool>,
    /// Complete length, if known.
    pub total: Option<u64>,
    /// Unique bytes recorded as held.
    pub held: u64,
}

/// Reports the part at `path`, or every part in the directory `path`, by name.
pub fn status(_path: &Path) -> Result<Vec<PartReport>, Error> {
    Err(Error::Cancelled)
}

/// Reads a part's held blocks back, or a finished file against `want` or the digest it was published with.
pub fn verify(_path: &Path, _want: Option<&Checksum>) -> Result<VerifyReport, Error> {
    Err(Error::Cancelled)
}
