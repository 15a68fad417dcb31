//! What one thread does to the disk, call by call.
//!
//! While a tape runs, files have numbers of their own in the order of their making, salts follow from the seed, and
//! nothing depends on the clock: the same code gives the same tape, and a state is known again by its number.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::MetadataExt;

use super::super::{Change, Entry};

/// Number of a file; its inode for all who ask while a tape runs.
pub(crate) type Id = u64;

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Create(Id, String),
    /// A file without a name.
    Nameless(Id),
    Write {
        id: Id,
        at: u64,
        bytes: Vec<u8>,
    },
    /// Cut off or lengthened to this.
    Length(Id, u64),
    /// At least so long from now on.
    Reserve(Id, u64),
    Mark(Id, Vec<u8>),
    Dress(Id),
    /// `true`: attributes too.
    Sync(Id, bool),
    Rename {
        id: Id,
        from: String,
        to: String,
    },
    /// Two names and what each leads to from now on.
    Exchange([(Id, String); 2]),
    Link(Id, String),
    Remove(String),
    SyncDirectory,
    /// Every file's bytes and attributes.
    SyncFileSystem,
    /// No change: whatever was done before is on the disk.
    Settled,
    /// No change: what must be there after every crash from here on.
    Promise(Promise),
}

/// What outlives a crash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Promise {
    /// Of which version.
    pub(crate) version: u64,
    /// Whole blocks that are held.
    pub(crate) blocks: Vec<u32>,
    /// The file stands at its final name.
    pub(crate) published: bool,
}

/// A change and its file's modification time after it.
#[derive(Clone, Debug)]
pub(crate) struct Noted {
    pub(crate) op: Op,
    pub(crate) mtime: i64,
}

#[derive(Default)]
struct Tape {
    noted: Vec<Noted>,
    /// Real inode to number.
    ids: HashMap<u64, Id>,
    next: Id,
    salt: u64,
    by_link: bool,
}

thread_local! {
    static TAPE: RefCell<Option<Tape>> = const { RefCell::new(None) };
}

/// Runs `work` with a tape and returns what it noted.
pub(crate) fn run<T>(tape: &Start<'_>, work: impl FnOnce() -> T) -> (T, Vec<Noted>) {
    let ids: HashMap<u64, Id> = tape.files.iter().copied().collect();
    let next = 1 + ids.values().copied().max().unwrap_or(0).max(tape.above);
    let fresh = Tape { noted: Vec::new(), ids, next, salt: tape.salt, by_link: tape.by_link };
    /// However the work ends, its tape does too.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            TAPE.set(None);
        }
    }
    TAPE.set(Some(fresh));
    let end = End;
    let done = work();
    let noted = TAPE.take().map(|tape| tape.noted).unwrap_or_default();
    drop(end);
    (done, noted)
}

/// How a tape begins.
#[derive(Clone, Copy, Default)]
pub(crate) struct Start<'a> {
    /// Files that are there: real inode and number.
    pub(crate) files: &'a [(u64, Id)],
    /// Numbers up to here are taken.
    pub(crate) above: Id,
    /// From which salts are drawn.
    pub(crate) salt: u64,
    /// The file system cannot rename without replacing: links do.
    pub(crate) by_link: bool,
}

fn with<T>(act: impl FnOnce(&mut Tape) -> T) -> Option<T> {
    TAPE.with_borrow_mut(|tape| tape.as_mut().map(act))
}

/// Notes what is no change.
pub(crate) fn say(op: Op) {
    with(|tape| tape.noted.push(Noted { op, mtime: 0 }));
}

/// The number that is said for an inode.
pub(crate) fn recorded(inode: u64) -> u64 {
    with(|tape| tape.ids.get(&inode).copied()).flatten().unwrap_or(inode)
}

/// A salt, while a tape runs.
pub(crate) fn drawn() -> Option<u64> {
    with(|tape| {
        tape.salt = tape.salt.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        tape.salt ^ (tape.salt >> 29)
    })
}

/// A file was made that has no name to find it by.
pub(crate) fn nameless(file: &File) {
    with(|tape| {
        tape.next += 1;
        let id = tape.next - 1;
        let metadata = file.metadata().expect("an open file can be asked");
        tape.ids.insert(metadata.ino(), id);
        tape.noted.push(Noted { op: Op::Nameless(id), mtime: mtime(&metadata) });
    });
}

pub(super) fn refused(change: &Change<'_>) -> io::Result<()> {
    let by_link = with(|tape| tape.by_link).unwrap_or(false);
    if by_link && matches!(change, Change::RenameNew(..)) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok(())
}

pub(super) fn note(change: &Change<'_>) {
    with(|tape| {
        let (op, mtime) = match *change {
            Change::Create(entry) => {
                tape.next += 1;
                let id = tape.next - 1;
                tape.ids.insert(at(entry).0, id);
                (Op::Create(id, name(entry)), at(entry).1)
            }
            Change::Length(file, len) => tape.of(file, |id| Op::Length(id, len)),
            Change::Reserve(file, len) => tape.of(file, |id| Op::Reserve(id, len)),
            Change::Copy(file, at, len) => {
                let mut bytes = vec![0; len as usize];
                let read = crate::sys::read_at(file, at, &mut bytes).expect("what was written can be read");
                bytes.truncate(read);
                tape.of(file, |id| Op::Write { id, at, bytes })
            }
            Change::Mark(file, value) => tape.of(file, |id| Op::Mark(id, value.to_vec())),
            Change::Dress(file) => tape.of(file, Op::Dress),
            Change::Sync(file, all) => tape.of(file, |id| Op::Sync(id, all)),
            Change::RenameOver(from, to) | Change::RenameNew(from, to) => {
                (Op::Rename { id: tape.id(at(to).0), from: name(from), to: name(to) }, 0)
            }
            Change::Exchange(a, b) => {
                (Op::Exchange([a, b].map(|entry| (tape.id(at(entry).0), name(entry)))), 0)
            }
            Change::Link(to) => (Op::Link(tape.id(at(to).0), name(to)), 0),
            Change::Remove(entry) => (Op::Remove(name(entry)), 0),
            Change::SyncDirectory(_) => (Op::SyncDirectory, 0),
            Change::SyncFileSystem(_) => (Op::SyncFileSystem, 0),
            // `nameless` notes it, once there is a file.
            Change::CreateNameless(_) | Change::MakeDirectory(_) => return,
        };
        tape.noted.push(Noted { op, mtime });
    });
}

pub(super) fn note_write(file: &File, slices: &[IoSlice<'_>], at: u64, written: usize) {
    with(|tape| {
        let mut bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        bytes.truncate(written);
        let (op, mtime) = tape.of(file, |id| Op::Write { id, at, bytes });
        tape.noted.push(Noted { op, mtime });
    });
}

impl Tape {
    fn id(&self, inode: u64) -> Id {
        self.ids.get(&inode).copied().unwrap_or(inode)
    }

    fn of(&self, file: &File, op: impl FnOnce(Id) -> Op) -> (Op, i64) {
        let metadata = file.metadata().expect("an open file can be asked");
        (op(self.id(metadata.ino())), mtime(&metadata))
    }
}

/// Inode and modification time.
fn at(entry: &Entry) -> (u64, i64) {
    let metadata = entry.path().symlink_metadata().expect("it was just made");
    (metadata.ino(), mtime(&metadata))
}

fn mtime(metadata: &std::fs::Metadata) -> i64 {
    metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec()
}

fn name(entry: &Entry) -> String {
    entry.path().file_name().expect("a file has a name").to_string_lossy().into_owned()
}
