//! From slab to disk: a bounded pool of aligned buffers, the hashes of what they hold, and threads that write.
//!
//! Bytes are copied once, into a slab. The slab then moves by ownership: lane, writer, pool.

#[cfg(test)]
mod tests;

use std::io::{self, IoSlice};
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use thence_plan::{Hash, Record};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use twox_hash::xxhash3_128::Hasher;

use crate::direct::PAGE;
use crate::file::PartFile;
use crate::journal::Journal;
use crate::sys::DiskError;

/// Alignment of a slab in memory, in bytes.
const ALIGNMENT: usize = PAGE;

/// Slabs of one hand-over where few are free: 1 MiB of the usual 256 KiB.
pub(crate) const HAND: usize = 4;

/// Most slabs of one hand-over: 4 MiB, where larger writes gain no more.
const MOST_HAND: usize = 16;

/// Threads that write. With two, one can sleep in the kernel's dirty throttling.
const THREADS: usize = 2;

/// More threads, for direct writes.
const DIRECT: usize = 2;

/// A bounded pool of slabs; clones share it.
#[derive(Clone)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    /// One permit a slab that is not taken.
    permits: Arc<Semaphore>,
    /// Memory of slabs that came back. What was never taken was never allocated.
    free: Mutex<Vec<Box<[u8]>>>,
    slab: usize,
}

impl Pool {
    /// At most `total` bytes in slabs of `slab` bytes (a multiple of 4 KiB), at least one slab.
    pub(crate) fn new(total: usize, slab: usize) -> Pool {
        let slab = slab.max(ALIGNMENT).next_multiple_of(ALIGNMENT);
        let permits = Arc::new(Semaphore::new((total / slab).max(1)));
        Pool { shared: Arc::new(Shared { permits, free: Mutex::default(), slab }) }
    }

    /// An empty slab if one is free now and nobody waits for it.
    pub(crate) fn try_take(&self) -> Option<Slab> {
        let permit = Arc::clone(&self.shared.permits).try_acquire_owned().ok()?;
        Some(self.shared.slab(permit))
    }

    /// Slabs of one hand-over to a file: the more are free, the more. A few lanes write seldom and much, and of many none
    /// keeps slabs from the others.
    pub(crate) fn hand(&self) -> usize {
        self.shared.permits.available_permits().clamp(HAND, MOST_HAND)
    }

    /// Waits for an empty slab; the first who waits gets the first. Cancel safe.
    pub(crate) async fn take(&self) -> Slab {
        let permit = Arc::clone(&self.shared.permits).acquire_owned().await;
        self.shared.slab(permit.expect("the semaphore is never closed"))
    }
}

impl Shared {
    fn slab(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Slab {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let memory = free.unwrap_or_else(|| vec![0; self.slab + ALIGNMENT - 1].into());
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        Slab { room: start..start + self.slab, full: start, memory, home: Arc::clone(self), _permit: permit }
    }
}

/// A buffer aligned to 4 KiB, filled from its start; dropped, it is free again.
pub(crate) struct Slab {
    /// A page longer than the slab, so that an aligned stretch of it is as long.
    memory: Box<[u8]>,
    room: Range<usize>,
    /// Filled up to here, from `room.start`.
    full: usize,
    home: Arc<Shared>,
    /// Given back after the memory is: fields are dropped after `Drop`.
    _permit: OwnedSemaphorePermit,
}

impl Slab {
    /// Copies as much of `bytes` as there is room for; returns how much.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> usize {
        let room = self.room();
        let count = bytes.len().min(room.len());
        room[..count].copy_from_slice(&bytes[..count]);
        self.filled(count);
        count
    }

    /// Whether the bytes of `other` go on where this one's end, `at` from its start, and have room behind them.
    pub(crate) fn fits_behind(&self, at: u64, other: &Slab) -> bool {
        self.bytes().len() as u64 == at && other.bytes().len() <= self.room.end - self.full
    }

    /// An empty slab will begin at `offset` of its file: byte for byte it then lies to the pages of memory as to those of
    /// the disk, which direct writes want.
    pub(crate) fn begin_at(&mut self, offset: u64) {
        assert!(self.bytes().is_empty(), "what a slab holds cannot be moved");
        self.room.start += (offset % ALIGNMENT as u64) as usize;
        self.full = self.room.start;
    }

    /// What is not filled yet, to be read into; say `filled` afterwards. Empty when the slab is full.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.memory[self.full..self.room.end]
    }

    /// `count` bytes more are filled, at most as many as there was room for.
    pub(crate) fn filled(&mut self, count: usize) {
        assert!(count <= self.room.end - self.full, "more was filled than there was room for");
        self.full += count;
    }

    /// What is filled.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.memory[self.room.start..self.full]
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        self.home.free.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
    }
}

/// How far an open block is hashed; passes from lane to lane that fills it.
#[derive(Clone)]
pub(crate) struct OpenBlock {
    /// Boxed: its state is several hundred bytes, and passes from hand to hand.
    hasher: Box<Hasher>,
    upto: u32,
}

impl OpenBlock {
    /// A block of which nothing is written.
    pub(crate) fn new() -> OpenBlock {
        OpenBlock { hasher: Box::new(Hasher::new()), upto: 0 }
    }

    /// Bytes written from the block's start.
    pub(crate) fn upto(&self) -> u32 {
        self.upto
    }

    /// XXH3-128 of those.
    pub(crate) fn hash(&self) -> Hash {
        self.hasher.finish_128()
    }

    /// Hashes what follows in the block.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.hasher.write(bytes);
        self.upto += bytes.len() as u32;
    }
}

/// Hashes the blocks that a lane fills as their bytes come, when they are still in its processor's cache.
pub(crate) struct Hashing {
    block_size: u32,
    block: u32,
    open: OpenBlock,
    /// What became full since the last cut.
    full: Vec<Stored>,
}

impl Hashing {
    /// From byte `at` of the file on; `open` is the state of the block that it is in.
    pub(crate) fn new(at: u64, block_size: u32, open: OpenBlock) -> Hashing {
        Hashing { block_size, block: (at / u64::from(block_size)) as u32, open, full: Vec::new() }
    }

    /// Hashes what follows.
    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min((self.block_size - self.open.upto) as usize));
            self.open.update(now);
            bytes = rest;
            if self.open.upto == self.block_size {
                self.full.push(self.reached());
                (self.block, self.open) = (self.block + 1, OpenBlock::new());
            }
        }
    }

    /// For a hand-over of all that came since the last: each block that it reaches, and the state that it leaves.
    pub(crate) fn cut(&mut self) -> (Vec<Stored>, OpenBlock) {
        let mut stored = std::mem::take(&mut self.full);
        if self.open.upto > 0 {
            stored.push(self.reached());
        }
        (stored, self.open.clone())
    }

    fn reached(&self) -> Stored {
        Stored { block: self.block, upto: self.open.upto, hash: self.open.hash() }
    }
}

/// Bytes on their way to the disk.
pub(crate) struct Handover {
    /// Where to.
    pub(crate) part: Arc<PartFile>,
    /// Offset of the first byte.
    pub(crate) offset: u64,
    /// The bytes, in one to `MOST_HAND` slabs.
    pub(crate) slabs: Vec<Slab>,
    /// What `Hashing` made of them: each block that they reach, in order, ...
    pub(crate) stored: Vec<Stored>,
    /// ... and the state of the block that the next byte belongs to; `upto` is exactly the end `% block_size`.
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

/// The answer to a `Handover`. Its slabs are free again by then.
pub(crate) struct Written {
    /// Each block that was written to, in order.
    pub(crate) stored: Vec<Stored>,
    /// The state of the block that the next byte belongs to; of the last block, when the file is full.
    pub(crate) open: OpenBlock,
}

enum Job {
    Write(Handover, oneshot::Sender<Result<Written, DiskError>>),
    Append(Arc<Journal>, Vec<Record>, oneshot::Sender<Result<(), DiskError>>),
}

impl Job {
    /// Nobody who waits for the answer is no reason not to do it.
    fn run(self) {
        match self {
            Job::Write(handover, answer) => _ = answer.send(write(handover)),
            Job::Append(journal, records, answer) => _ = answer.send(journal.append(&records)),
        }
    }
}

/// The writer threads. They start when there is something for them, and end when this is dropped, after what was handed
/// to them.
///
/// An answer that never comes (the receiver fails) means that a writer panicked: nothing is known of what
/// it was given, as after a failed write.
///
/// A file's data always goes through the same thread: the kernel lets one writer at a time into a file, and a
/// second one would only spin (a tenth of all CPU with four lanes). Its journal goes through the other one, so
/// that no record waits behind the data of a slow disk. Direct writes wait for the disk and not for each other; they
/// have threads of their own, from the first of a run on, so that the disk has more than one at a time.
///
/// A file in memory is written at once, by whoever hands over: no disk is waited for, and bytes that have just been read
/// are still in this processor's cache and not in another's. So is every file where the system gives no more threads.
#[derive(Default)]
pub(crate) struct Writers {
    ordered: [Threads; THREADS],
    direct: Threads,
    /// Something here has panicked.
    broken: Arc<AtomicBool>,
}

/// Threads that take jobs; `None` inside where the system gave none.
type Threads = OnceLock<Option<Sender<Job>>>;

impl Writers {
    /// Writes. A lane has one hand-over under way, so order within a block is kept.
    pub(crate) fn hand_over(&self, handover: Handover) -> oneshot::Receiver<Result<Written, DiskError>> {
        let (answer, receiver) = oneshot::channel();
        let jobs = if handover.part.is_in_memory() {
            None
        } else {
            let direct = if handover.part.direct().is_on() { self.direct() } else { None };
            direct.or_else(|| self.ordered(self.thread_of(&handover.part)))
        };
        self.give(jobs, Job::Write(handover, answer));
        receiver
    }

    /// `Journal::append` on the thread that does not write the pair's data. A journal has one append under
    /// way, so its order is kept.
    pub(crate) fn append(
        &self,
        part: &Arc<PartFile>,
        journal: Arc<Journal>,
        records: Vec<Record>,
    ) -> oneshot::Receiver<Result<(), DiskError>> {
        let (answer, receiver) = oneshot::channel();
        let jobs = self.ordered((self.thread_of(part) + 1) % THREADS);
        self.give(jobs, Job::Append(journal, records, answer));
        receiver
    }

    fn ordered(&self, number: usize) -> Option<&Sender<Job>> {
        let threads = || start(&format!("thence-write-{number}"), 1, &self.broken).ok();
        self.ordered[number].get_or_init(threads).as_ref()
    }

    fn direct(&self) -> Option<&Sender<Job>> {
        self.direct.get_or_init(|| start("thence-direct", DIRECT, &self.broken).ok()).as_ref()
    }

    /// Gives a job to threads, or does it here. A panic here ends writing, as in a thread, and not who called.
    fn give(&self, jobs: Option<&Sender<Job>>, job: Job) {
        if let Some(jobs) = jobs {
            // Refused only if a thread is gone; the answer is then dropped, which says so.
            _ = jobs.send(job);
        } else if !self.broken.load(Ordering::Acquire)
            && panic::catch_unwind(AssertUnwindSafe(|| job.run())).is_err()
        {
            self.broken.store(true, Ordering::Release);
        }
    }

    /// The thread that writes this part's data. Which one is of no consequence, only that it stays the same.
    fn thread_of(&self, part: &Arc<PartFile>) -> usize {
        Arc::as_ptr(part).addr() / 64 % THREADS
    }
}

/// Starts so many threads that do what is sent, each job once.
fn start(name: &str, threads: usize, broken: &Arc<AtomicBool>) -> io::Result<Sender<Job>> {
    let (jobs, queue) = mpsc::channel();
    let queue = Arc::new(Queue { jobs: Mutex::new(queue), broken: Arc::clone(broken) });
    for _ in 0..threads {
        let queue = Arc::clone(&queue);
        thread::Builder::new().name(name.into()).spawn(move || work(&queue))?;
    }
    Ok(jobs)
}

/// What is to be done by one of several threads. A panic in one writer ends all: what it left undone is not known.
struct Queue {
    jobs: Mutex<Receiver<Job>>,
    broken: Arc<AtomicBool>,
}

impl Queue {
    /// The next job; one that comes to a broken queue is dropped, with its answer.
    fn next(&self) -> Option<Job> {
        let job = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
        job.filter(|_| !self.broken.load(Ordering::Acquire))
    }
}

/// Breaks the queue of a thread that panics.
struct Breaks<'a>(&'a Queue);

impl Drop for Breaks<'_> {
    fn drop(&mut self) {
        self.0.broken.fetch_or(thread::panicking(), Ordering::AcqRel);
    }
}

fn work(queue: &Queue) {
    let _breaks = Breaks(queue);
    while let Some(job) = queue.next() {
        job.run();
    }
}

/// Writes in one call.
fn write(handover: Handover) -> Result<Written, DiskError> {
    let Handover { part, offset, slabs, stored, open, block_size, total } = handover;
    #[cfg(test)]
    part.reached(crate::planted::Place::Data);
    let len: usize = slabs.iter().map(|slab| slab.bytes().len()).sum();
    if let Some(why) = misplaced(offset, len as u64, &open, block_size, total) {
        return Err(part.refuse(why));
    }
    let mut slices: Vec<IoSlice<'_>> = slabs.iter().map(|slab| IoSlice::new(slab.bytes())).collect();
    part.write_at(offset, &mut slices)?;
    Ok(Written { stored, open })
}

/// Bytes at the wrong place are the one thing that must never be written; whoever hands them over has
/// a bug, and the file is better left alone.
fn misplaced(
    offset: u64,
    len: u64,
    open: &OpenBlock,
    block_size: u32,
    total: Option<u64>,
) -> Option<&'static str> {
    let end = offset.checked_add(len);
    if end.is_none_or(|end| end % u64::from(block_size) != u64::from(open.upto)) {
        Some("bytes were handed over with the state of another place")
    } else if end.is_none_or(|end| end > total.unwrap_or(u64::MAX)) {
        Some("bytes were handed over beyond the end")
    } else if end.is_some_and(|end| end / u64::from(block_size) > u64::from(u32::MAX - 1)) {
        Some("there are more blocks than can be counted")
    } else {
        None
    }
}
