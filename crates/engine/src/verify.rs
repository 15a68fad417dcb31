//! Slow disk work: syncs, reading back, digests. One thread, one task at a time.

use std::sync::Arc;

use thence_plan::{Hash, WantedDigest};
use tokio::sync::oneshot;

use crate::file::PartFile;
use crate::journal::Journal;
use crate::sys::DiskError;
use crate::write::OpenBlock;

/// The thread for slow disk work. It ends when this is dropped, after the tasks it was given.
pub(crate) struct Disk {}

impl Disk {
    /// Starts it.
    pub(crate) fn start() -> std::io::Result<Disk> {
        unimplemented!()
    }

    /// Runs `work` after everything asked before. Whatever waits for the disk goes here:
    /// `file::place`, `publish`, `find`, and the functions below, in bites of a block or so.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        _work: impl FnOnce() -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        unimplemented!()
    }
}

/// Syncs part and journal: everything recorded before this call is on stable storage.
pub(crate) fn sync(_part: &PartFile, _journal: Option<&Journal>) -> Result<(), DiskError> {
    unimplemented!()
}

/// Reads a part back for checks, from the disk and not from memory.
pub(crate) struct Checker {}

impl Checker {
    /// For this part and block size.
    pub(crate) fn new(_part: Arc<PartFile>, _block_size: u32) -> Checker {
        unimplemented!()
    }

    /// Hashes the first `len` bytes of `block` as the disk has them. A part that ends before that has
    /// other bytes: `None`.
    pub(crate) fn check(&mut self, _block: u32, _len: u32) -> Result<Option<OpenBlock>, DiskError> {
        unimplemented!()
    }
}

/// A digest of a whole file in the making, fed ascending.
pub(crate) struct Digester {}

impl Digester {
    /// For `sha-256`, `sha-512`, `sha-1`, `md5` or `blake3`; `None` for another algorithm.
    pub(crate) fn new(_algorithm: &str) -> Option<Digester> {
        unimplemented!()
    }

    /// Offset up to which it is fed.
    pub(crate) fn at(&self) -> u64 {
        unimplemented!()
    }

    /// Reads on, at most up to `upto` and at most 64 MiB; call until `at()` is the end.
    pub(crate) fn feed(&mut self, _part: &PartFile, _upto: u64) -> Result<(), DiskError> {
        unimplemented!()
    }

    /// Adds bytes that are in memory.
    pub(crate) fn add(&mut self, _bytes: &[u8]) {
        unimplemented!()
    }

    /// The digest.
    pub(crate) fn finish(self) -> WantedDigest {
        unimplemented!()
    }
}

/// Whether the part has exactly these bytes at `offset`.
pub(crate) fn same(_part: &PartFile, _offset: u64, _bytes: &[u8]) -> Result<bool, DiskError> {
    unimplemented!()
}

/// XXH3-128 of `bytes`.
pub(crate) fn hash(_bytes: &[u8]) -> Hash {
    unimplemented!()
}
