//! Slow disk work: syncs, reading back, digests. One thread, one task at a time.
//!
//! The functions here block; whoever must not be blocked gives them to `Disk::call`. Each takes about a
//! block or 64 MiB at a time, so that a sync never waits long behind a check or a digest.

#[cfg(test)]
pub(crate) mod tests;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;

use digest::Digest;
use thence_plan::WantedDigest;
use tokio::sync::oneshot;

use crate::file::{Pair, PartFile};
use crate::mark::hex;
use crate::sys::DiskError;
use crate::write::OpenBlock;

/// Bytes read at once.
const PIECE: usize = 256 << 10;

/// Bytes a digest is fed at once.
const BITE: u64 = 64 << 20;

/// The thread for slow disk work. It ends when this is dropped, after the tasks it was given.
pub(crate) struct Disk {
    tasks: Sender<Box<dyn FnOnce() + Send>>,
}

impl Disk {
    /// Starts it.
    pub(crate) fn start() -> io::Result<Disk> {
        let (tasks, queue) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        thread::Builder::new()
            .name("thence-disk".into())
            .spawn(move || queue.iter().for_each(|task| task()))?;
        Ok(Disk { tasks })
    }

    /// Runs `work` after everything asked before. Whatever waits for the disk goes here:
    /// `find`, `place`, `retire`, `publish`, and the functions below.
    ///
    /// The receiver fails if a task panicked, this one or an earlier one.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (answer, receiver) = oneshot::channel();
        // Nobody who waits for the answer is no reason not to do the work. A task that cannot be sent is
        // dropped with its answer, which says so.
        _ = self.tasks.send(Box::new(move || _ = answer.send(work())));
        receiver
    }
}

/// Does work on a thread of its own: it reads and computes much, or waits for a program that does, and neither is anybody's
/// sync to wait for that nor that for a sync.
pub(crate) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DiskError> {
    let (answer, done) = oneshot::channel();
    let spawned = thread::Builder::new().name("thence-proof".into()).spawn(move || _ = answer.send(work()));
    spawned.map_err(|why| DiskError::at("", &why))?;
    done.await.map_err(|_| DiskError::gone())
}

/// Syncs part and journal: everything recorded before this call is on stable storage. A failure is final
/// for what it covered: the kernel may have dropped those pages, and a second sync would say nothing of them.
pub(crate) fn sync(pair: &Pair) -> Result<(), DiskError> {
    let mark = pair.journal.as_ref().map(|journal| journal.mark());
    pair.part.sync()?;
    if let (Some(journal), Some(mark)) = (&pair.journal, mark) {
        journal.synced(mark)?;
        journal.sync()?;
        journal.compact_if_due()?;
    }
    Ok(())
}

/// Reads a part back for checks, from the disk and not from memory.
pub(crate) struct Checker {
    part: Arc<PartFile>,
    block_size: u32,
    synced: bool,
    piece: Vec<u8>,
}

impl Checker {
    /// For this part and block size.
    pub(crate) fn new(part: Arc<PartFile>, block_size: u32) -> Checker {
        Checker { part, block_size, synced: false, piece: Vec::new() }
    }

    /// Hashes the first `len` bytes of `block` as the disk has them; `feed` gets them as well. A part that
    /// ends before that or cannot be read there has other bytes: `None`. The first check syncs, for only
    /// what is written leaves memory; its failure is the one error.
    pub(crate) fn check(
        &mut self,
        block: u32,
        len: u32,
        mut feed: impl FnMut(&[u8]),
    ) -> Result<Option<OpenBlock>, DiskError> {
        if !self.synced {
            self.part.sync()?;
            self.synced = true;
        }
        let start = u64::from(block) * u64::from(self.block_size);
        self.part.drop_cache(start, u64::from(len));
        self.piece.resize(PIECE, 0);
        let mut open = OpenBlock::new();
        while open.upto() < len {
            let wanted = PIECE.min((len - open.upto()) as usize);
            let piece = &mut self.piece[..wanted];
            match self.part.read_at(start + u64::from(open.upto()), piece) {
                Ok(read) if read == wanted => {}
                Ok(_) | Err(_) => return Ok(None),
            }
            feed(piece);
            open.update(piece);
        }
        Ok(Some(open))
    }
}

/// A digest of a whole file in the making, fed ascending.
pub(crate) struct Digester {
    algorithm: Algorithm,
    at: u64,
}

enum Algorithm {
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
    Sha1(sha1::Sha1),
    Md5(md5::Md5),
    Blake3(Box<blake3::Hasher>),
}

impl Digester {
    /// For `sha-256`, `sha-512`, `sha-1`, `md5` or `blake3`; `None` for another algorithm.
    pub(crate) fn new(algorithm: &str) -> Option<Digester> {
        Digester::starting_at(0, algorithm)
    }

    /// The same, of what begins there in the file.
    pub(crate) fn starting_at(at: u64, algorithm: &str) -> Option<Digester> {
        let algorithm = match algorithm {
            "sha-256" => Algorithm::Sha256(Digest::new()),
            "sha-512" => Algorithm::Sha512(Digest::new()),
            "sha-1" => Algorithm::Sha1(Digest::new()),
            "md5" => Algorithm::Md5(Digest::new()),
            "blake3" => Algorithm::Blake3(Box::default()),
            _ => return None,
        };
        Some(Digester { algorithm, at })
    }

    /// Where what was fed ends in the file.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Takes the bytes that follow.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match &mut self.algorithm {
            Algorithm::Sha256(hasher) => hasher.update(bytes),
            Algorithm::Sha512(hasher) => hasher.update(bytes),
            Algorithm::Sha1(hasher) => hasher.update(bytes),
            Algorithm::Md5(hasher) => hasher.update(bytes),
            Algorithm::Blake3(hasher) => _ = hasher.update(bytes),
        }
        self.at += bytes.len() as u64;
    }

    /// Reads on in the part, up to `upto` and at most 64 MiB; call until `at()` is there.
    pub(crate) fn feed(&mut self, part: &PartFile, upto: u64) -> Result<(), DiskError> {
        let end = upto.min(self.at + BITE);
        let mut piece = vec![0; PIECE];
        while self.at < end {
            let wanted = piece.len().min((end - self.at) as usize);
            if part.read_at(self.at, &mut piece[..wanted])? < wanted {
                return Err(part.refuse("it is shorter than it should be"));
            }
            self.update(&piece[..wanted]);
        }
        Ok(())
    }

    /// The digest of what was fed.
    pub(crate) fn finish(self) -> WantedDigest {
        let (algorithm, bytes) = match self.algorithm {
            Algorithm::Sha256(hasher) => ("sha-256", hasher.finalize().to_vec()),
            Algorithm::Sha512(hasher) => ("sha-512", hasher.finalize().to_vec()),
            Algorithm::Sha1(hasher) => ("sha-1", hasher.finalize().to_vec()),
            Algorithm::Md5(hasher) => ("md5", hasher.finalize().to_vec()),
            Algorithm::Blake3(hasher) => ("blake3", hasher.finalize().as_bytes().to_vec()),
        };
        WantedDigest { algorithm: algorithm.into(), bytes }
    }
}

/// A digest as people read it: algorithm and hex.
pub(crate) fn shown(digest: WantedDigest) -> (String, String) {
    let hex = hex(&digest.bytes);
    (digest.algorithm, hex)
}

/// Whether the part has exactly these bytes at `offset`.
pub(crate) fn same(part: &PartFile, offset: u64, bytes: &[u8]) -> Result<bool, DiskError> {
    let mut there = vec![0; bytes.len()];
    Ok(part.read_at(offset, &mut there)? == bytes.len() && there == bytes)
}
