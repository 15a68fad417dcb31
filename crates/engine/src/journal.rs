//! The journal `NAME.thence`: framing, checksums, replay, and the file it stands in.

use std::path::Path;

use thence_plan::{Begin, HeldBlock, Identity, Record, WantedDigest};

use crate::sys::DiskError;

/// What a journal says, read to its last good record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Replayed {
    /// The first record.
    pub(crate) begin: Begin,
    /// The identity of `begin` with everything learnt since.
    pub(crate) identity: Identity,
    /// Blocks and prefixes by index, those since found invalid left out.
    pub(crate) blocks: Vec<HeldBlock>,
    /// The part was whole and synced.
    pub(crate) whole: Option<Whole>,
    /// Length in bytes of everything that is good.
    pub(crate) good_len: u64,
}

/// The record `Whole`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    /// Digest that was checked.
    pub(crate) digest: Option<WantedDigest>,
    /// Device of the part.
    pub(crate) dev: u64,
    /// Inode of the part.
    pub(crate) inode: u64,
}

/// An open journal. Every method may be called from any thread and may wait for the disk.
#[derive(Debug)]
pub(crate) struct Journal {}

impl Journal {
    /// Appends the records in one write. They survive a kill, not a power cut. Calls for one journal
    /// must not overlap, or the records' order is chance. `Begin` and `Run` are written by
    /// `file::place` and `find` alone and are skipped here.
    pub(crate) fn append(&self, _records: &[Record]) -> Result<(), DiskError> {
        unimplemented!()
    }

    /// Where it stands.
    pub(crate) fn path(&self) -> &Path {
        unimplemented!()
    }
}
