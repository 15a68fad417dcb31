//! The finish sequence: from a whole part to a file at its final name.

use std::path::PathBuf;
use std::time::SystemTime;

use thence_plan::{Exists, Identity, WantedDigest};

use crate::file::Pair;
use crate::sys::DiskError;

/// What the finished file is to be.
#[derive(Clone, Debug)]
pub(crate) struct Finish {
    /// Its length in bytes.
    pub(crate) total: u64,
    /// Its mode, for example 0o644.
    pub(crate) mode: u32,
    /// Its modification time, if asked for.
    pub(crate) mtime: Option<SystemTime>,
    /// The source's original URL; only a hash of it is kept.
    pub(crate) url: String,
    /// What was fetched.
    pub(crate) identity: Identity,
    /// The digest that was computed and found right.
    pub(crate) digest: Option<WantedDigest>,
    /// What to do when the name is taken.
    pub(crate) exists: Exists,
}

/// Walks the finish sequence; returns the final path. On failure the whole part stays and the walk can
/// be made again, by this run or the next.
pub(crate) fn publish(_pair: &Pair, _finish: &Finish) -> Result<PathBuf, DiskError> {
    unimplemented!()
}
