//! The pair: `NAME.part`, locked, and its journal `NAME.thence`.
//!
//! Whoever holds the lock of `NAME.part` owns both files, and nobody else writes, renames or removes
//! either. A part that is there and is not known to be ours is never truncated: its name is taken, and
//! `Exists` says what follows from that.

#[cfg(test)]
pub(crate) mod tests;

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use thence_plan::{Begin, DiskFault, Exists, Identity, Limits, Record, Stamp, WantedDigest};

use crate::direct::Direct;
use crate::journal::{self, Journal, Replayed, Unreadable};
use crate::lock::{Lock, lock};
use crate::mark::Mark;
use crate::secret::{ExposeSecret, Fields, Secret};
use crate::signature::Signature;
use crate::sys::{self, Dir, DiskError, Entry, Facts, FileId};

/// Names tried by `Exists::Rename`.
const NUMBERS: u32 = 10_000;

/// Longest name, as R56 has it: with the suffixes of a pair it stays below 255 bytes.
const NAME_BYTES: usize = 240;

/// A file below this has no journal, whatever its block size.
const SMALLEST_BLOCK: u64 = 256 << 10;

/// How long a part that somebody has just made is looked at to learn whose it is.
const LOOK: Duration = Duration::from_millis(500);

/// `NAME.part`, open and locked as long as any clone of its `Arc` lives.
#[derive(Debug)]
pub(crate) struct PartFile {
    entry: Entry,
    file: File,
    id: FileId,
    in_memory: bool,
    direct: Direct,
    /// Its name and its journal's are on stable storage.
    entered: AtomicBool,
    _lock: Lock,
}

impl PartFile {
    fn new(entry: &Entry, file: File, id: FileId, lock: Lock) -> PartFile {
        let (direct, entered) = (Direct::default(), AtomicBool::new(false));
        let in_memory = sys::in_memory(&file);
        PartFile { entry: entry.clone(), file, id, in_memory, direct, entered, _lock: lock }
    }

    /// Writes all of `slices`, one after the other, at `offset`.
    pub(crate) fn write_at(&self, offset: u64, slices: &mut [IoSlice<'_>]) -> Result<(), DiskError> {
        let to = (&self.entry, &self.file);
        self.direct.write_at(to, offset, slices).map_err(|e| self.failed(&e))
    }

    /// No disk is waited for when it is written.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.in_memory
    }

    /// How it is written: past the page cache where that is possible and pays.
    pub(crate) fn direct(&self) -> &Direct {
        &self.direct
    }

    /// Reads at `offset` until `buffer` is full or the part ends; returns how much.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        sys::read_at(&self.file, offset, buffer).map_err(|e| self.failed(&e))
    }

    /// Brings everything written to stable storage, and the first time the directory's entries as well.
    pub(crate) fn sync(&self) -> Result<(), DiskError> {
        sys::sync_data(&self.file).map_err(|e| self.failed(&e))?;
        if !self.entered.load(Ordering::Relaxed) {
            sys::sync_dir(self.entry.dir())?;
            self.entered.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Makes the next read of this stretch come from the disk; `sync` first.
    pub(crate) fn drop_cache(&self, offset: u64, len: u64) {
        sys::drop_cache(&self.file, offset, len);
    }

    /// The record `Clean` as the part is now; the last one of a run that ends in order.
    pub(crate) fn clean(&self) -> Result<Record, DiskError> {
        let Facts { size, mtime, ctime, id, .. } = self.facts()?;
        Ok(Record::Clean { size, mtime, ctime, inode: id.inode })
    }

    /// What the part is now.
    pub(crate) fn facts(&self) -> Result<Facts, DiskError> {
        sys::facts(&self.file).map_err(|e| self.failed(&e))
    }

    /// Its name.
    pub(crate) fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Which file it is.
    pub(crate) fn id(&self) -> FileId {
        self.id
    }

    /// The open file, for what only some of its keepers do.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Where a test may have planted a panic.
    #[cfg(test)]
    pub(crate) fn reached(&self, place: crate::planted::Place) {
        crate::planted::reached(place, self.entry.path());
    }

    /// Somebody asked for what must not be done.
    pub(crate) fn refuse(&self, why: &str) -> DiskError {
        DiskError::new(&self.entry, DiskFault::Io, why)
    }

    fn failed(&self, error: &io::Error) -> DiskError {
        DiskError::at(&self.entry, error)
    }
}

/// What one generation stands in.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    /// The directory.
    pub(crate) dir: Dir,
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
        self.part.entry.path().into()
    }

    /// Records the signature that the whole must have: a later run is not to publish it without, whoever forgets to ask.
    pub(crate) fn demand(&self, signature: Option<&Signature>) -> Result<(), DiskError> {
        let (Some(journal), Some(signature)) = (&self.journal, signature) else { return Ok(()) };
        let (signature, key) = signature.texts();
        journal.append(&[Record::Signed { signature: signature.to_vec(), key: key.to_vec() }])
    }

    /// Brings the journal's `Begin` and both names to stable storage, before the part gets its first byte: a power
    /// cut would otherwise leave bytes of which nothing tells whose they are, and their name would be taken.
    fn anchor(&self) -> Result<(), DiskError> {
        let Some(journal) = &self.journal else { return Ok(()) };
        journal.sync()?;
        sys::sync_dir(&self.dir)?;
        self.part.entered.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// `DIR/NAME.part`.
pub(crate) fn part_at(dir: &Dir, name: &str) -> Entry {
    dir.entry(format!("{name}.part"))
}

/// `DIR/NAME.thence`.
pub(crate) fn journal_at(dir: &Dir, name: &str) -> Entry {
    dir.entry(format!("{name}.thence"))
}

/// The name of the pair that `retire` makes of NAME's.
pub(crate) fn old_name(name: &str) -> String {
    format!("{name}.old")
}

/// `name` with `.number` before its extension; `name` itself for 0. Never over 240 bytes.
pub(crate) fn numbered(name: &str, number: u32) -> String {
    if number == 0 {
        return name.to_owned();
    }
    let (stem, extension) = match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= 32 => name.split_at(dot),
        _ => (name, ""),
    };
    let tail = format!(".{number}{extension}");
    let mut end = stem.len().min(NAME_BYTES.saturating_sub(tail.len()));
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{tail}", &stem[..end])
}

/// What `place` is to make.
#[derive(Clone)]
pub(crate) struct Draft {
    /// The directory.
    pub(crate) dir: Dir,
    /// The final name that is wanted.
    pub(crate) name: String,
    /// What to do when it is taken.
    pub(crate) exists: Exists,
    /// The one file that does not count as taking it.
    pub(crate) adopted: Option<Stamp>,
    /// The source's original URL without userinfo.
    pub(crate) url: String,
    /// Request headers whose values are kept.
    pub(crate) headers: Vec<(String, String)>,
    /// Request headers of which only the name and a keyed hash of the value are kept.
    pub(crate) secrets: Fields,
    /// What is known of the file; `total` is preallocated.
    pub(crate) identity: Identity,
    /// Size of a block in bytes, a power of two of 4 KiB to 16 MiB.
    pub(crate) block_size: u32,
    /// False for a file below one block. Where it could not be told from a stranger's, it gets one anyway.
    pub(crate) journal: bool,
    /// The digest the user gave.
    pub(crate) digest: Option<WantedDigest>,
    /// The signature that the user gave.
    pub(crate) signature: Option<Signature>,
    /// The file under the final name that this one is to replace, if it is still that.
    pub(crate) replaces: Option<Facts>,
    /// The certificate is not verified.
    pub(crate) insecure: bool,
    /// For `journal_bytes`, when a journal that stands in the way is read.
    pub(crate) limits: Limits,
}

/// Makes and locks a new pair, under another name if `exists` says so. May wait up to a second.
///
/// The part is empty until the journal's `Begin` is on stable storage, so a crash at any point leaves something
/// that `find` knows for nothing held, and that the next `place` takes over.
pub(crate) fn place(draft: &Draft) -> Result<Pair, DiskError> {
    let numbers = if draft.exists == Exists::Rename { NUMBERS } else { 1 };
    for number in 0..numbers {
        let name = numbered(&draft.name, number);
        if let Some(pair) = claim(draft, &name)? {
            return Ok(pair);
        }
    }
    let entry = draft.dir.entry(&draft.name);
    let why = match adoptable(&entry, draft.identity.total) {
        Some(_) => "the name is taken, by a shorter file: --adopt with it would go on from that",
        None => "the name is taken",
    };
    Err(DiskError::new(entry, DiskFault::Exists, why))
}

/// The file at `entry`, if it is no finished one of ours and may be the beginning of one that has `total` bytes.
pub(crate) fn adoptable(entry: &Entry, total: Option<u64>) -> Option<PathBuf> {
    let (file, facts) = sys::open_regular(entry, false).ok()??;
    let shorter = facts.size > 0 && total.is_some_and(|total| facts.size < total);
    (shorter && Mark::of(&file).is_none()).then(|| entry.path().into())
}

/// A file as it is now, for telling later whether it still is.
pub(crate) fn stamp(facts: &Facts) -> Stamp {
    Stamp { size: facts.size, mtime: facts.mtime, inode: facts.id.inode }
}

/// Makes the pair under this very name; `None` if the name is taken.
fn claim(draft: &Draft, name: &str) -> Result<Option<Pair>, DiskError> {
    if final_taken(draft, name)? {
        return Ok(None);
    }
    let Some(part) = claim_part(draft, name)? else { return Ok(None) };
    let part = Arc::new(part);
    // The part is ours and holds nothing. Whoever published this name did so before he let go of his part.
    let pair = match final_taken(draft, name) {
        Ok(false) => furnish(draft, name, &part),
        Ok(true) => Ok(None),
        Err(e) => Err(e),
    };
    // Removed while it is locked: once let go, it may be another's.
    if !matches!(pair, Ok(Some(_))) {
        sys::remove(&part_at(&draft.dir, name))?;
    }
    pair
}

fn final_taken(draft: &Draft, name: &str) -> Result<bool, DiskError> {
    match sys::facts_at(&draft.dir.entry(name))? {
        None => Ok(false),
        // What `rename` cannot replace is better known now than when everything is fetched.
        Some(facts) if draft.exists == Exists::Overwrite && facts.regular => Ok(false),
        Some(facts) if name == draft.name && draft.replaces.is_some_and(|known| known.is_still(&facts)) => {
            Ok(false)
        }
        Some(facts) if facts.regular && draft.adopted == Some(stamp(&facts)) => Ok(false),
        Some(_) => Ok(true),
    }
}

/// A locked part that holds nothing; `None` if the name is taken by one that does.
fn claim_part(draft: &Draft, name: &str) -> Result<Option<PartFile>, DiskError> {
    let path = part_at(&draft.dir, name);
    let since = Instant::now();
    loop {
        if let Some(part) = make_part(&path)? {
            return Ok(Some(part));
        }
        match open_part(&path)? {
            Opening::Absent => {}
            Opening::Ours(part) => match inherit(draft, name, part)? {
                Inheritance::Empty(part) => return Ok(Some(part)),
                Inheritance::Taken => return Ok(None),
                Inheritance::Moved => {}
            },
            Opening::Theirs => match whose(&draft.dir, name, std::slice::from_ref(&draft.url))? {
                Some(false) => return Ok(None),
                None if since.elapsed() < LOOK => std::thread::sleep(LOOK / 20),
                _ => return Err(in_use(&path)),
            },
        }
    }
}

/// Whether the pair that somebody else has locked is of this URL; `None` if it does not tell yet.
pub(crate) fn whose(dir: &Dir, name: &str, urls: &[String]) -> Result<Option<bool>, DiskError> {
    let path = journal_at(dir, name);
    if let Some((file, _)) = sys::open_regular(&path, false)?
        && let Ok(begin) = journal::peek(&file).map_err(|e| DiskError::at(&path, &e))?
    {
        return Ok(Some(urls.contains(&begin.url)));
    }
    let part = sys::open_regular(&part_at(dir, name), false)?;
    Ok(part.and_then(|(file, _)| Mark::of(&file)).map(|mark| urls.iter().any(|url| mark.is_of(url))))
}

fn in_use(path: &Entry) -> DiskError {
    DiskError::new(path, DiskFault::InUse, "another download works on it")
}

/// A new part, locked; `None` if there is one.
fn make_part(path: &Entry) -> Result<Option<PartFile>, DiskError> {
    let at = |e: io::Error| DiskError::at(path, &e);
    let file = match sys::create_new(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(None),
        Err(e) => return Err(at(e)),
    };
    let id = sys::facts(&file).map_err(at)?.id;
    // Somebody else may have found and locked it first; then it is his, as it holds nothing.
    let Some(lock) = lock(&file, path)? else { return Ok(None) };
    Ok(still_there(path, id)?.then(|| PartFile::new(path, file, id, lock)))
}

/// How opening a part went.
pub(crate) enum Opening {
    /// There is none.
    Absent,
    /// Somebody else has it.
    Theirs,
    /// It is locked for us.
    Ours(PartFile),
}

/// Opens and locks a part that is there. Whatever is no regular file, or has a second name through which
/// it may be somebody's, is `Strange`.
pub(crate) fn open_part(path: &Entry) -> Result<Opening, DiskError> {
    // Each turn is another holder who renamed or removed the part between our open and our lock.
    for _ in 0..16 {
        let Some((file, Facts { id, .. })) = sys::open_regular(path, true)? else {
            return Ok(Opening::Absent);
        };
        let Some(lock) = lock(&file, path)? else { return Ok(Opening::Theirs) };
        if still_there(path, id)? {
            return Ok(Opening::Ours(PartFile::new(path, file, id, lock)));
        }
    }
    Ok(Opening::Theirs)
}

pub(crate) fn still_there(path: &Entry, id: FileId) -> Result<bool, DiskError> {
    Ok(sys::facts_at(path)?.is_some_and(|now| now.id == id))
}

/// What to make of a part that was there and nobody works on.
enum Inheritance {
    /// It holds nothing: ours.
    Empty(PartFile),
    /// It holds something that is not for this download.
    Taken,
    /// It was moved aside: try again.
    Moved,
}

fn inherit(draft: &Draft, name: &str, part: PartFile) -> Result<Inheritance, DiskError> {
    if part.facts()?.links > 1 {
        return Err(DiskError::new(&part.entry, DiskFault::Strange, "it has another name as well"));
    }
    match read_journal(&draft.dir, name, &draft.limits)? {
        Some(Ok(held)) if held.begin.url != draft.url => {
            if draft.exists != Exists::Overwrite {
                return Ok(Inheritance::Taken);
            }
            remove_old(&draft.dir, name, &draft.limits)?;
            move_aside(&draft.dir, name)?;
            Ok(Inheritance::Moved)
        }
        Some(Ok(held)) if held.blocks.is_empty() => empty(draft, name, part),
        // Made and left by another run since ours looked for held work: the next run goes on with it.
        Some(Ok(_)) => Err(in_use(&part.entry)),
        Some(Err(Unreadable::Empty | Unreadable::Torn)) if nothing_in(&part, &draft.url)? => {
            empty(draft, name, part)
        }
        Some(Err(_)) => Ok(Inheritance::Taken),
        None if complete_retire(&draft.dir, name, &draft.limits)? => Ok(Inheritance::Moved),
        None if nothing_in(&part, &draft.url)? => empty(draft, name, part),
        None => Ok(Inheritance::Taken),
    }
}

/// Whether a part without a readable journal holds anything that could be somebody's.
pub(crate) fn holds(part: &PartFile, url: &str) -> Result<bool, DiskError> {
    Ok(part.facts()?.links == 1 && !nothing_in(part, url)?)
}

/// Whether a part whose journal tells nothing is ours and nothing is lost with it: never written to, or a
/// part below one block of the same source, which never had a journal.
fn nothing_in(part: &PartFile, url: &str) -> Result<bool, DiskError> {
    let small = |mark: &Mark| match mark {
        Mark::Part { .. } => true,
        Mark::File { bytes, .. } => *bytes < SMALLEST_BLOCK,
    };
    let known = || Mark::of(&part.file).is_some_and(|mark| mark.is_of(url) && small(&mark));
    Ok(!sys::holds_data(&part.file).map_err(|e| part.failed(&e))? || known())
}

/// Makes a part new again. The journal goes last: without one the part would not be known for ours.
fn empty(draft: &Draft, name: &str, part: PartFile) -> Result<Inheritance, DiskError> {
    sys::set_len(&part.file, 0).map_err(|e| part.failed(&e))?;
    sys::remove(&journal_at(&draft.dir, name))?;
    Ok(Inheritance::Empty(part))
}

/// Gives a new part its journal and its length; `None` if the journal's name is taken.
fn furnish(draft: &Draft, name: &str, part: &Arc<PartFile>) -> Result<Option<Pair>, DiskError> {
    let journal = if draft.journal || !Mark::part(&part.file, &draft.url) {
        let Some(journal) = make_journal(draft, name)? else { return Ok(None) };
        Some(Arc::new(journal))
    } else {
        None
    };
    let pair = Pair { dir: draft.dir.clone(), name: name.to_owned(), part: Arc::clone(part), journal };
    if draft.digest.is_some() || draft.signature.is_some() || draft.identity.digest.is_some() {
        pair.part.direct().turn_off();
    }
    let total = draft.identity.total.filter(|_| draft.journal);
    let ready = pair.demand(draft.signature.as_ref()).and_then(|()| pair.anchor());
    let ready = ready.and_then(|()| total.map_or(Ok(()), |total| allocate(draft, &pair, total)));
    match ready {
        Ok(()) => Ok(Some(pair)),
        Err(e) => {
            sys::remove(&journal_at(&draft.dir, name))?;
            Err(e)
        }
    }
}

/// Reserves the whole length; a retired generation makes room if that is what is wanting.
fn allocate(draft: &Draft, pair: &Pair, total: u64) -> Result<(), DiskError> {
    let attempt = || sys::preallocate(&pair.part.file, total).map_err(|e| pair.part.failed(&e));
    match attempt() {
        Err(e) if e.fault == DiskFault::Full => {
            remove_old(&pair.dir, &pair.name, &draft.limits)?;
            attempt()
        }
        done => done,
    }
}

fn make_journal(draft: &Draft, name: &str) -> Result<Option<Journal>, DiskError> {
    let path = journal_at(&draft.dir, name);
    let file = match sys::create_new(&path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists && orphaned(draft, name)? => {
            sys::remove(&path)?;
            sys::create_new(&path)
        }
        made => made,
    };
    let file = match file {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(None),
        Err(e) => return Err(DiskError::at(&path, &e)),
    };
    let salt = sys::random().map_err(|e| DiskError::at(&path, &e))?;
    let made = Journal::create(path.clone(), file, &begin(draft, name, salt), salt);
    made.map(Some).inspect_err(|_| _ = sys::remove(&path))
}

/// Whether the journal that stands beside our new, empty part is worth nothing: its part is gone.
fn orphaned(draft: &Draft, name: &str) -> Result<bool, DiskError> {
    Ok(match read_journal(&draft.dir, name, &draft.limits)? {
        None | Some(Err(Unreadable::Empty | Unreadable::Torn)) => true,
        Some(Ok(held)) => held.begin.url == draft.url || held.whole.is_some(),
        Some(Err(_)) => false,
    })
}

fn begin(draft: &Draft, name: &str, salt: u64) -> Begin {
    let hashed = |(name, value): &(String, Secret)| {
        (name.clone(), journal::header_hash(salt, name, value.expose_secret()))
    };
    Begin {
        url: draft.url.clone(),
        name: name.to_owned(),
        headers: draft.headers.clone(),
        secrets: draft.secrets.iter().map(hashed).collect(),
        block_size: draft.block_size,
        identity: draft.identity.clone(),
        digest: draft.digest.clone(),
        insecure: draft.insecure,
    }
}

/// Reads the journal of `name`, if there is one. Anything but a regular file is `Strange`.
pub(crate) fn read_journal(
    dir: &Dir,
    name: &str,
    limits: &Limits,
) -> Result<Option<Result<Replayed, Unreadable>>, DiskError> {
    let path = journal_at(dir, name);
    let Some((file, _)) = sys::open_regular(&path, false)? else { return Ok(None) };
    journal::read(&file, limits).map(Some).map_err(|e| DiskError::at(&path, &e))
}

/// Moves the pair aside to `NAME.old.part` and `NAME.old.thence`; `place` may follow under the same name.
/// A pair without journal holds nothing that could be gone on with, and is removed.
pub(crate) fn retire(pair: Pair, limits: &Limits) -> Result<(), DiskError> {
    if pair.journal.is_none() {
        return sys::remove(&pair.part.entry);
    }
    remove_old(&pair.dir, &pair.name, limits)?;
    move_aside(&pair.dir, &pair.name)
}

/// Removes a pair that holds nothing that is worth anything. The journal goes last: alone it is nothing, and the part alone
/// would be a stranger's.
pub(crate) fn discard(pair: &Pair) -> Result<(), DiskError> {
    sys::remove(&pair.part.entry)?;
    sys::sync_dir(&pair.dir)?;
    sys::remove(&journal_at(&pair.dir, &pair.name))
}

/// The journal goes first, and for good: what a crash leaves, a part without journal beside `NAME.old.thence`, is
/// like nothing else, and `complete_retire` knows it. The part alone under its other name would be a stranger's.
fn move_aside(dir: &Dir, name: &str) -> Result<(), DiskError> {
    let old = old_name(name);
    move_new(&journal_at(dir, name), &journal_at(dir, &old))?;
    sys::sync_dir(dir)?;
    move_new(&part_at(dir, name), &part_at(dir, &old))?;
    sys::sync_dir(dir)
}

/// Lets `pair` change places with the older pair that `retire` left, if that holds this very version of this URL
/// and nobody works on it. False if not, or if the file system cannot exchange names.
///
/// The journals go first. What a crash between the two leaves are two journals that stand beside each other's
/// part: no block of either hashes to its record, and nothing is joined.
pub(crate) fn exchange(pair: &Pair, draft: &Draft) -> Result<bool, DiskError> {
    let (dir, name, old) = (&pair.dir, &pair.name, old_name(&pair.name));
    let Some(Ok(held)) = read_journal(dir, &old, &draft.limits)? else { return Ok(false) };
    let Some(Ok(now)) = read_journal(dir, name, &draft.limits)? else { return Ok(false) };
    let same = held.identity.comes_back_with(&draft.identity, &now.identity);
    let given = |name: &str| draft.secrets.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    let alike = held.begin.secrets.iter().all(|(name, _)| given(name));
    if !same || !alike || held.begin.name != *name || held.begin.url != draft.url || pair.journal.is_none() {
        return Ok(false);
    }
    let Opening::Ours(_part) = open_part(&part_at(dir, &old))? else { return Ok(false) };
    let journals = (journal_at(dir, name), journal_at(dir, &old));
    let parts = (part_at(dir, name), part_at(dir, &old));
    let swap = |(a, b): &(Entry, Entry)| match sys::exchange(a, b) {
        Err(e) if e.kind() == ErrorKind::Unsupported => Ok(false),
        done => done.map(|()| true).map_err(|e| DiskError::at(a, &e)),
    };
    if !swap(&journals)? {
        return Ok(false);
    }
    swap(&parts)?;
    sys::sync_dir(dir)?;
    Ok(true)
}

fn move_new(from: &Entry, to: &Entry) -> Result<(), DiskError> {
    sys::rename_new(from, to).map_err(|e| DiskError::at(to, &e))
}

/// Goes on with a `retire` that was cut off between its two renames; false if there was none. The part's
/// lock must be ours.
pub(crate) fn complete_retire(dir: &Dir, name: &str, limits: &Limits) -> Result<bool, DiskError> {
    let old = old_name(name);
    let begun = matches!(read_journal(dir, &old, limits)?, Some(Ok(held)) if held.begin.name == name);
    let (from, to) = (part_at(dir, name), part_at(dir, &old));
    match sys::facts_at(&to)? {
        _ if !begun => return Ok(false),
        None => move_new(&from, &to)?,
        // Where links do for a rename, it has both names for a moment.
        Some(moved) if still_there(&from, moved.id)? => sys::remove(&from)?,
        Some(_) => return Ok(false),
    }
    sys::sync_dir(dir)?;
    Ok(true)
}

/// Removes what `retire` left of `name`. A download whose own name is `NAME.old` is not that, and stays.
/// The part goes first, and for good: the journal alone is nothing, the part alone would be a stranger's. Both are
/// gone for good before whoever asked goes on: nobody looks for them once NAME itself is finished.
pub(crate) fn remove_old(dir: &Dir, name: &str, limits: &Limits) -> Result<(), DiskError> {
    let old = old_name(name);
    let ours = matches!(read_journal(dir, &old, limits)?, Some(Ok(held)) if held.begin.name == name);
    if !ours {
        return Ok(());
    }
    match open_part(&part_at(dir, &old))? {
        Opening::Theirs => return Ok(()),
        Opening::Ours(part) => {
            sys::remove(&part.entry)?;
            sys::sync_dir(dir)?;
        }
        Opening::Absent => {}
    }
    sys::remove(&journal_at(dir, &old))?;
    sys::sync_dir(dir)
}
