//! The ledger of a list, `LIST.thence`: which of its entries are done. And `LIST.failed`: those that were not to be had.
//!
//! It is a log in the journal's framing: `MAGIC`, `Begin` with a salt, then for each run `Run` with another, and `Done`
//! with the keys of entries whose files are durable at their final names (P7). A key is a hash of what an entry says, so
//! it does not matter where in the list it stands, and an entry that was changed is a new one. Sixteen bytes an entry,
//! here and in memory.
//!
//! What was appended survives a kill. A power cut may lose what came since the last sync; those entries are then looked
//! at once more, and their files found finished.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thence_plan::{DiskFault, Limits};
use twox_hash::XxHash3_128;

use crate::error::Error;
use crate::file;
use crate::journal::{Frame, Pen};
use crate::lock::{Lock, lock};
use crate::sys::{self, DiskError, Entry};

/// First bytes: the magic and version 1.
const MAGIC: &[u8; 8] = b"thencel\x01";

const BEGIN: u8 = 0x81;
const RUN: u8 = 0x82;
const DONE: u8 = 0x03;

/// Bytes of a key.
const KEY: usize = 16;

/// Keys of one record at most, so that a reader knows how much it needs to see of one.
const KEYS: usize = 4096;

/// Bytes that are read at once: more than the longest record.
const PIECE: usize = 1 << 20;

/// First line of `LIST.failed`, by which it is known for ours.
const FAILED: &str = "# thence: what was not to be had; this is a list itself\n";

/// Identifies an entry by what it says. `place` is what else decides which file it is: the directory.
pub fn entry_key(place: &[u8], entry: &[u8]) -> u128 {
    let seed = twox_hash::XxHash3_64::oneshot(place);
    XxHash3_128::oneshot_with_seed(seed, entry)
}

/// The entries that earlier runs have done. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Held(Arc<Vec<u128>>);

impl Held {
    /// Whether the entry was done.
    pub fn has(&self, key: u128) -> bool {
        self.0.binary_search(&key).is_ok()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// An open ledger; nobody else works on its list.
#[derive(Debug)]
pub struct Ledger {
    entry: Entry,
    file: File,
    pen: Pen,
    len: u64,
    held: Held,
    /// An append failed and its remains could not be cut off: nothing may follow them.
    broken: bool,
    _lock: Lock,
}

impl Ledger {
    /// Opens the ledger at `path`, or begins it.
    ///
    /// # Errors
    ///
    /// [`Error::Disk`] (`InUse` when another process works on the list), [`Error::Journal`] when what stands there is no
    /// ledger, is a later version's, or is larger than `limits` allow.
    pub fn open(path: &Path, limits: &Limits) -> Result<Ledger, Error> {
        let entry = entry_at(path)?;
        let at = |e: io::Error| DiskError::at(&entry, &e);
        // Another turn is somebody who removed it between our open and our lock.
        for _ in 0..16 {
            let Some(file) = open_or_make(&entry)? else { continue };
            let Some(lock) = lock(&file, &entry)? else {
                let why = "another thence works on this list";
                return Err(DiskError::new(&entry, DiskFault::InUse, why).into());
            };
            let facts = sys::facts(&file).map_err(at)?;
            if !file::still_there(&entry, facts.id)? {
                continue;
            }
            if facts.links > 1 {
                return Err(DiskError::new(&entry, DiskFault::Strange, "it has another name as well").into());
            }
            if facts.size > limits.ledger_bytes {
                return Err(unreadable(&entry, "it is larger than the limit"));
            }
            let read = read(&file, facts.size).map_err(at)?.map_err(|why| unreadable(&entry, why))?;
            let salt = sys::random().map_err(at)?;
            let Replayed { keys, pen, good } = read;
            sys::set_len(&file, good).map_err(at)?;
            let held = Held(Arc::new(keys));
            let mut ledger =
                Ledger { entry: entry.clone(), file, pen, len: good, held, broken: false, _lock: lock };
            ledger.begin(salt)?;
            return Ok(ledger);
        }
        Err(DiskError::new(&entry, DiskFault::InUse, "it is replaced again and again").into())
    }

    /// What earlier runs have done.
    pub fn held(&self) -> Held {
        self.held.clone()
    }

    /// Records entries as done: their files must be durable at their final names.
    ///
    /// # Errors
    ///
    /// [`Error::Disk`]; what was recorded before stands.
    pub fn done(&mut self, keys: &[u128]) -> Result<(), Error> {
        for keys in keys.chunks(KEYS) {
            self.append(|pen, log| {
                pen.put(log, DONE, |body| keys.iter().for_each(|key| body.extend(key.to_le_bytes())));
            })?;
        }
        Ok(())
    }

    /// Brings what was recorded to stable storage.
    ///
    /// # Errors
    ///
    /// [`Error::Disk`].
    pub fn sync(&self) -> Result<(), Error> {
        sys::sync_data(&self.file).map_err(|e| DiskError::at(&self.entry, &e))?;
        Ok(())
    }

    /// A new log, or a new run in one: nothing that was written with an older salt can follow.
    fn begin(&mut self, salt: u64) -> Result<(), DiskError> {
        let fresh = self.len == 0;
        self.append(|pen, log| {
            if fresh {
                log.extend_from_slice(MAGIC);
            }
            pen.put(log, if fresh { BEGIN } else { RUN }, |body| body.extend(salt.to_le_bytes()));
            pen.salted(salt);
        })?;
        if fresh { sys::sync_dir(self.entry.dir()) } else { Ok(()) }
    }

    fn append(&mut self, add: impl FnOnce(&mut Pen, &mut Vec<u8>)) -> Result<(), DiskError> {
        let at = |e: io::Error| DiskError::at(&self.entry, &e);
        if self.broken {
            return Err(at(io::Error::other("an earlier write to it failed")));
        }
        let (mut pen, mut log) = (self.pen.clone(), Vec::new());
        add(&mut pen, &mut log);
        if let Err(e) = sys::write_at(&self.file, self.len, &mut [IoSlice::new(&log)]) {
            self.broken = sys::set_len(&self.file, self.len).is_err();
            return Err(at(e));
        }
        self.len += log.len() as u64;
        self.pen = pen;
        Ok(())
    }
}

/// How many entries the ledger at `path` says are done, and whether a process works on its list; `None` if there is none.
///
/// # Errors
///
/// As [`Ledger::open`], but for `InUse`.
pub fn ledger_status(path: &Path, limits: &Limits) -> Result<Option<(usize, bool)>, Error> {
    let entry = entry_at(path)?;
    let at = |e: io::Error| DiskError::at(&entry, &e);
    let Some((file, facts)) = sys::open_regular(&entry, false)? else { return Ok(None) };
    if facts.size > limits.ledger_bytes {
        return Err(unreadable(&entry, "it is larger than the limit"));
    }
    let held = crate::lock::is_held(&file, &entry);
    let read = read(&file, facts.size).map_err(at)?.map_err(|why| unreadable(&entry, why))?;
    Ok(Some((read.keys.len(), held)))
}

fn entry_at(path: &Path) -> Result<Entry, Error> {
    let strange = || DiskError::new(path, DiskFault::Strange, "this is no name for a file");
    let name = path.file_name().ok_or_else(strange)?;
    let dir = sys::open_dir(path.parent().unwrap_or(Path::new("")))?;
    Ok(dir.entry(name))
}

fn open_or_make(entry: &Entry) -> Result<Option<File>, DiskError> {
    if let Some((file, _)) = sys::open_regular(entry, true)? {
        return Ok(Some(file));
    }
    match sys::create_new(entry) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(None),
        Err(e) => Err(DiskError::at(entry, &e)),
    }
}

fn unreadable(entry: &Entry, why: &str) -> Error {
    Error::Journal { path: entry.path().into(), why: why.to_owned() }
}

/// What a log says up to its last good record. Keys in order.
struct Replayed {
    keys: Vec<u128>,
    pen: Pen,
    good: u64,
}

/// Reads a log piece by piece. It may come from anybody: it takes no more memory than its own length.
fn read(file: &File, size: u64) -> io::Result<Result<Replayed, &'static str>> {
    let mut head = [0; MAGIC.len()];
    let len = sys::read_at(file, 0, &mut head)?;
    let mut replayed = Replayed { keys: Vec::with_capacity((size as usize) / KEY), pen: Pen::new(), good: 0 };
    if head.iter().all(|&byte| byte == 0) || (len < head.len() && MAGIC.starts_with(&head[..len])) {
        return Ok(Ok(replayed));
    }
    if head[..7] != MAGIC[..7] {
        return Ok(Err("it is no ledger of thence"));
    }
    if head[7] != MAGIC[7] {
        return Ok(Err("this version of thence does not understand the ledger"));
    }
    let (mut piece, mut at) = (vec![0; PIECE], MAGIC.len() as u64);
    loop {
        let filled = sys::read_at(file, at, &mut piece)?;
        let mut used = 0;
        while let Some(frame) = Frame::at(&piece[..filled], used, &replayed.pen) {
            if !take(&frame, &mut replayed) {
                return Ok(Err("this version of thence does not understand the ledger"));
            }
            used += frame.len();
            replayed.good = at + used as u64;
        }
        at += used as u64;
        // What follows is the torn end of the last run, or a record of a length that none of ours has.
        if used == 0 {
            break;
        }
    }
    replayed.keys.sort_unstable();
    replayed.keys.dedup();
    Ok(Ok(replayed))
}

/// Takes one record; false if it must be understood and is not.
fn take(frame: &Frame<'_>, replayed: &mut Replayed) -> bool {
    replayed.pen.next();
    match frame.kind() {
        BEGIN | RUN => match frame.body().first_chunk() {
            Some(salt) => replayed.pen.salted(u64::from_le_bytes(*salt)),
            None => return false,
        },
        DONE => {
            let keys = frame.body().chunks_exact(KEY).filter_map(<[u8]>::first_chunk);
            replayed.keys.extend(keys.map(|key| u128::from_le_bytes(*key)));
        }
        kind => return kind & 0x80 == 0,
    }
    true
}

/// `LIST.failed`, made with the first entry that failed. The one of an earlier run goes: what failed then is tried again.
#[derive(Debug)]
pub struct Failures {
    entry: Entry,
    file: Option<File>,
    len: u64,
}

impl Failures {
    /// To be written at `path`.
    ///
    /// # Errors
    ///
    /// [`Error::Disk`] when its directory cannot be opened, or something stands there that is not ours.
    pub fn at(path: &Path) -> Result<Failures, Error> {
        let entry = entry_at(path)?;
        if let Some((file, _)) = sys::open_regular(&entry, false)? {
            let mut first = [0; FAILED.len()];
            let read = sys::read_at(&file, 0, &mut first).map_err(|e| DiskError::at(&entry, &e))?;
            if read > 0 && first != FAILED.as_bytes() {
                let why =
                    "it is not a list that thence wrote; move it away, or name the ledger with --ledger";
                return Err(DiskError::new(&entry, DiskFault::Exists, why).into());
            }
            sys::remove(&entry)?;
        }
        Ok(Failures { entry, file: None, len: 0 })
    }

    /// Adds lines, ended by a line end.
    ///
    /// # Errors
    ///
    /// [`Error::Disk`].
    pub fn add(&mut self, lines: &str) -> Result<(), Error> {
        let at = |e: io::Error| DiskError::at(&self.entry, &e);
        let (file, text) = match &self.file {
            Some(file) => (file, lines.to_owned()),
            None => {
                (&*self.file.insert(sys::create_new(&self.entry).map_err(at)?), format!("{FAILED}{lines}"))
            }
        };
        sys::write_at(file, self.len, &mut [IoSlice::new(text.as_bytes())]).map_err(at)?;
        self.len += text.len() as u64;
        Ok(())
    }

    /// Where it is, if there is one.
    pub fn path(&self) -> Option<PathBuf> {
        self.file.as_ref().map(|_| self.entry.path().into())
    }
}
