//! From slab to disk: a bounded pool of aligned buffers, and two threads that hash and write.

use std::sync::Arc;

use thence_plan::{Hash, Record};
use tokio::sync::oneshot;

use crate::file::PartFile;
use crate::journal::Journal;
use crate::sys::DiskError;

/// A bounded pool of slabs; clones share it.
#[derive(Clone)]
pub(crate) struct Pool {}

impl Pool {
    /// At most `total` bytes in slabs of `slab` bytes (a multiple of 4 KiB), at least one slab.
    pub(crate) fn new(_total: usize, _slab: usize) -> Pool {
        unimplemented!()
    }

    /// An empty slab if one is free now.
    pub(crate) fn try_take(&self) -> Option<Slab> {
        unimplemented!()
    }

    /// Waits for an empty slab; the first who waits gets the first. Cancel safe.
    pub(crate) async fn take(&self) -> Slab {
        unimplemented!()
    }
}

/// A buffer aligned to 4 KiB, filled from its start; dropped, it is free again.
pub(crate) struct Slab {}

impl Slab {
    /// Copies as much of `bytes` as there is room for; returns how much.
    pub(crate) fn put(&mut self, _bytes: &[u8]) -> usize {
        unimplemented!()
    }

    /// What is not filled yet, to be read into; say `filled` afterwards.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        unimplemented!()
    }

    /// `count` bytes more are filled.
    pub(crate) fn filled(&mut self, _count: usize) {
        unimplemented!()
    }

    /// What is filled.
    pub(crate) fn bytes(&self) -> &[u8] {
        unimplemented!()
    }
}

/// How far an open block is hashed; passes from writer to writer of that block.
#[derive(Clone, Default)]
pub(crate) struct OpenBlock {}

impl OpenBlock {
    /// A block of which nothing is written.
    pub(crate) fn new() -> OpenBlock {
        unimplemented!()
    }

    /// Bytes written from the block's start.
    pub(crate) fn upto(&self) -> u32 {
        unimplemented!()
    }

    /// Hash of those.
    pub(crate) fn hash(&self) -> Hash {
        unimplemented!()
    }
}

/// Bytes on their way to the disk.
pub(crate) struct Handover {
    /// Where to.
    pub(crate) part: Arc<PartFile>,
    /// Offset of the first byte.
    pub(crate) offset: u64,
    /// The bytes, in one to four slabs.
    pub(crate) slabs: Vec<Slab>,
    /// The state of the block that `offset` is in; `upto` is exactly `offset % block_size`.
    pub(crate) open: OpenBlock,
    /// Block size in bytes.
    pub(crate) block_size: u32,
    /// Complete length, if known; nothing is written beyond it.
    pub(crate) total: Option<u64>,
}

/// A block as far as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The block.
    pub(crate) block: u32,
    /// Bytes from its start.
    pub(crate) upto: u32,
    /// Their hash.
    pub(crate) hash: Hash,
}

/// The answer to a `Handover`.
pub(crate) struct Written {
    /// Each block that was written to, in order.
    pub(crate) stored: Vec<Stored>,
    /// The state of the block that the next byte belongs to.
    pub(crate) open: OpenBlock,
}

/// The two writer threads. They end when this is dropped, after what was handed to them.
pub(crate) struct Writers {}

impl Writers {
    /// Starts them.
    pub(crate) fn start() -> std::io::Result<Writers> {
        unimplemented!()
    }

    /// Hashes and writes. A lane has one hand-over under way, so order within a block is kept.
    pub(crate) fn hand_over(&self, _handover: Handover) -> oneshot::Receiver<Result<Written, DiskError>> {
        unimplemented!()
    }

    /// `Journal::append` on a writer thread. A journal has one append under way, so its order is kept.
    pub(crate) fn append(
        &self,
        _journal: Arc<Journal>,
        _records: Vec<Record>,
    ) -> oneshot::Receiver<Result<(), DiskError>> {
        unimplemented!()
    }
}
