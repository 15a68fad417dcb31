//! The journal `NAME.thence`: the file that a log stands in.
//!
//! The log's bytes are `format` and `replay`; both are pure. Here is what touches the disk: append, sync,
//! and writing anew when most of it is history. Only the holder of the part's lock may write.

mod format;
mod replay;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thence_plan::{Begin, Limits, Record};

use crate::sys::{self, DiskError, Entry};

pub(crate) use format::Pen;
pub(crate) use replay::{Frame, Replayed, Signed, Unreadable, Whole, replay};

/// Room that is reserved ahead of the log's end, so that a disk filled by the part itself can still be
/// told of in the journal.
const RESERVE: u64 = 64 << 10;

/// A log is written anew when it is longer than this and twice what it was when last written anew.
const SLACK: u64 = 1 << 20;

/// A directory's journals are searched by this much of each: `Begin` with a URL and headers of usual length.
const PEEK: usize = 4 << 10;

/// An open journal. Every method may be called from any thread and may wait for the disk.
#[derive(Debug)]
pub(crate) struct Journal {
    entry: Entry,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: Arc<File>,
    pen: Pen,
    /// Where the next record goes. Bytes beyond are worth nothing.
    len: u64,
    /// Length when last written anew; 0 if never.
    live: u64,
    /// Room is reserved up to here.
    reserved: u64,
    /// An append failed and its remains could not be cut off: nothing may follow them.
    broken: bool,
}

impl Journal {
    /// Starts a journal in `file`, which is new and empty.
    pub(crate) fn create(entry: Entry, file: File, begin: &Begin, salt: u64) -> Result<Journal, DiskError> {
        let mut log = Vec::new();
        let pen = Pen::begin(salt, begin, &mut log);
        let journal = Journal::at(entry, file, pen, 0);
        journal.locked().write(&log).map_err(|e| DiskError::at(&journal.entry, &e))?;
        Ok(journal)
    }

    /// Goes on with a journal that says `replayed`: what follows its last good record is cut off, and a
    /// new run begins.
    pub(crate) fn reopen(entry: Entry, file: File, replayed: &Replayed) -> Result<Journal, DiskError> {
        sys::set_len(&file, replayed.good_len).map_err(|e| DiskError::at(&entry, &e))?;
        let salt = sys::random().map_err(|e| DiskError::at(&entry, &e))?;
        let journal = Journal::at(entry, file, replayed.pen.clone(), replayed.good_len);
        journal.write(|pen, log| pen.run(salt, log))?;
        Ok(journal)
    }

    fn at(entry: Entry, file: File, pen: Pen, len: u64) -> Journal {
        let state = State { file: Arc::new(file), pen, len, live: 0, reserved: 0, broken: false };
        Journal { entry, state: Mutex::new(state) }
    }

    /// Where it stands.
    #[cfg(test)]
    pub(crate) fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Appends the records in one write. They survive a kill, not a power cut. Calls for one journal
    /// must not overlap, or the records' order is chance. `Begin` and `Run` are written by
    /// `file::place` and `find` alone and must not be among them.
    pub(crate) fn append(&self, records: &[Record]) -> Result<(), DiskError> {
        #[cfg(test)]
        crate::planted::reached(crate::planted::Place::Journal, self.entry.path());
        self.write(|pen, log| records.iter().for_each(|record| pen.record(record, log)))
    }

    /// A mark for `synced`: what is recorded by now.
    pub(crate) fn mark(&self) -> u32 {
        self.locked().pen.sequence()
    }

    /// Records that everything before `mark` is on stable storage.
    pub(crate) fn synced(&self, mark: u32) -> Result<(), DiskError> {
        self.write(|pen, log| pen.synced(mark, log))
    }

    /// Brings what was appended to stable storage. Appends need not wait meanwhile.
    pub(crate) fn sync(&self) -> Result<(), DiskError> {
        let file = Arc::clone(&self.locked().file);
        sys::sync_data(&file).map_err(|e| DiskError::at(&self.entry, &e))
    }

    /// Writes the journal anew if most of it is history: over 1 MiB and twice its live size.
    pub(crate) fn compact_if_due(&self) -> Result<(), DiskError> {
        let mut state = self.locked();
        if state.len > SLACK + 2 * state.live { self.compact(&mut state) } else { Ok(()) }
    }

    /// Writes it anew whether that is due or not: no test wants a mebibyte of history, least of all one that plays
    /// every crash of it.
    #[cfg(test)]
    pub(crate) fn compact_now(&self) -> Result<(), DiskError> {
        self.compact(&mut self.locked())
    }

    /// The new log is whole and synced before it takes the name, so that a crash leaves one or the other.
    fn compact(&self, state: &mut State) -> Result<(), DiskError> {
        let at = |e: io::Error| DiskError::at(&self.entry, &e);
        let mut log = vec![0; state.len as usize];
        let read = sys::read_at(&state.file, 0, &mut log).map_err(at)?;
        let unreadable = |why: Unreadable| DiskError::new(&self.entry, thence_plan::DiskFault::Io, why.why());
        let replayed = replay(&log[..read]).map_err(unreadable)?;
        let (log, pen) = replay::rewrite(&replayed, sys::random().map_err(at)?);
        let new = self.entry.with_added_extension("new");
        sys::remove(&new)?;
        let file = sys::create_new(&new).map_err(|e| DiskError::at(&new, &e))?;
        let mut fresh =
            State { file: Arc::new(file), pen, len: 0, live: log.len() as u64, reserved: 0, broken: false };
        let written = fresh.write(&log).and_then(|()| sys::sync_all(&fresh.file));
        written.and_then(|()| sys::rename_over(&new, &self.entry)).map_err(at)?;
        *state = fresh;
        sys::sync_dir(self.entry.dir())
    }

    /// Lets `add` write to the log's end. A failed write leaves the log as it was.
    fn write(&self, add: impl FnOnce(&mut Pen, &mut Vec<u8>)) -> Result<(), DiskError> {
        let mut state = self.locked();
        let mut pen = state.pen.clone();
        let mut log = Vec::new();
        add(&mut pen, &mut log);
        state.write(&log).map_err(|e| DiskError::at(&self.entry, &e))?;
        state.pen = pen;
        Ok(())
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        // The state is changed only after a write succeeded, so a panic leaves it right.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self, log: &[u8]) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write to the journal failed"));
        }
        if self.len + log.len() as u64 + RESERVE / 2 > self.reserved {
            self.reserved = self.len + log.len() as u64 + RESERVE;
            sys::reserve(&self.file, self.reserved);
        }
        if let Err(e) = sys::write_at(&self.file, self.len, &mut [IoSlice::new(log)]) {
            // Whole records may have been written before the fault; if they stayed, they could seem to
            // follow a shorter append made later.
            self.broken = sys::set_len(&self.file, self.len).is_err();
            self.reserved = 0;
            return Err(e);
        }
        self.len += log.len() as u64;
        Ok(())
    }
}

/// Reads a journal, if it is no larger than the limit. The outer error is the system's.
pub(crate) fn read(file: &File, limits: &Limits) -> io::Result<Result<Replayed, Unreadable>> {
    let size = sys::facts(file)?.size;
    if size > limits.journal_bytes {
        return Ok(Err(Unreadable::TooLarge));
    }
    let mut log = vec![0; size as usize];
    let len = sys::read_at(file, 0, &mut log)?;
    Ok(replay(&log[..len]))
}

/// Reads the first record only, and only if it is within the first 4 KiB.
pub(crate) fn peek(file: &File) -> io::Result<Result<Begin, Unreadable>> {
    let mut log = [0; PEEK];
    let len = sys::read_at(file, 0, &mut log)?;
    Ok(replay::first(&log[..len]).map(|(begin, ..)| begin))
}

/// Hash of a request header that is not kept, keyed by the journal's salt. It tells a changed value, and
/// neither gives the value back nor can be compared between journals.
pub(crate) fn header_hash(salt: u64, name: &str, value: &str) -> u64 {
    let mut key = [0; blake3::KEY_LEN];
    key[..8].copy_from_slice(&salt.to_le_bytes());
    let mut hasher = blake3::Hasher::new_keyed(&key);
    hasher.update(name.to_ascii_lowercase().as_bytes()).update(b"\0").update(value.as_bytes());
    hasher.finalize().as_bytes().first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}
