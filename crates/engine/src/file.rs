//! The pair: `NAME.part`, locked, and its journal.

use std::path::PathBuf;
use std::sync::Arc;

use thence_plan::{Exists, Identity, Record, WantedDigest};

use crate::journal::Journal;
use crate::sys::DiskError;

/// `NAME.part`, open and locked as long as any clone of its `Arc` lives.
#[derive(Debug)]
pub(crate) struct PartFile {}

impl PartFile {
    /// Reads exactly `buffer.len()` bytes at `offset`; the part's end before that is an error.
    pub(crate) fn read_at(&self, _offset: u64, _buffer: &mut [u8]) -> Result<(), DiskError> {
        unimplemented!()
    }

    /// The record `Clean` as the part is now; the last one of a run that ends in order.
    pub(crate) fn clean(&self) -> Result<Record, DiskError> {
        unimplemented!()
    }
}

/// What one generation stands in.
#[derive(Debug)]
pub(crate) struct Pair {
    /// The directory.
    pub(crate) dir: PathBuf,
    /// The settled final name.
    pub(crate) name: String,
    /// The data.
    pub(crate) part: Arc<PartFile>,
    /// The journal; none for a file below one block.
    pub(crate) journal: Option<Arc<Journal>>,
}

impl Pair {
    /// `DIR/NAME.part`.
    pub(crate) fn part_path(&self) -> PathBuf {
        unimplemented!()
    }
}

/// What `place` is to make. Not `Debug`: `secrets` are in it.
#[derive(Clone)]
pub(crate) struct Draft {
    /// The directory; it must exist.
    pub(crate) dir: PathBuf,
    /// The final name that is wanted.
    pub(crate) name: String,
    /// What to do when it is taken.
    pub(crate) exists: Exists,
    /// The source's original URL without userinfo.
    pub(crate) url: String,
    /// Request headers whose values are kept.
    pub(crate) headers: Vec<(String, String)>,
    /// Request headers of which only the name and a keyed hash of the value are kept.
    pub(crate) secrets: Vec<(String, String)>,
    /// What is known of the file; `total` is preallocated.
    pub(crate) identity: Identity,
    /// Size of a block in bytes, a power of two of 4 KiB to 16 MiB.
    pub(crate) block_size: u32,
    /// False for a file below one block.
    pub(crate) journal: bool,
    /// The digest the user gave.
    pub(crate) digest: Option<WantedDigest>,
    /// The certificate is not verified.
    pub(crate) insecure: bool,
}

/// Makes and locks a new pair, under another name if `exists` says so. May wait up to a second.
pub(crate) fn place(_draft: &Draft) -> Result<Pair, DiskError> {
    unimplemented!()
}

/// Moves the pair aside to `NAME.old.part` and `NAME.old.thence`; `place` may follow under the same name.
pub(crate) fn retire(_pair: Pair) -> Result<(), DiskError> {
    unimplemented!()
}
