//! Disk faults on demand: the n-th call of a kind, below one directory, fails.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::super::Change;

pub(crate) use rustix::io::Errno;

/// Which calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Create,
    /// A write to a part.
    Write,
    /// A write to a journal.
    Append,
    Length,
    Reserve,
    Mark,
    Dress,
    Sync,
    Rename,
    Remove,
    SyncDirectory,
}

/// How a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// With this error number.
    Errno(i32),
    /// A write of at most so many bytes.
    Short(usize),
    /// A write that lands so far from where it belongs.
    Elsewhere(i64),
}

/// What becomes of a write that does not fail.
pub(super) enum Bent {
    Short(usize),
    Elsewhere(i64),
}

/// Calls of a kind that go wrong, from the `first` on: `count` of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    pub(crate) fault: Fault,
    pub(crate) first: usize,
    pub(crate) count: usize,
}

#[derive(Debug)]
struct Trouble {
    dir: PathBuf,
    plan: Plan,
    seen: AtomicUsize,
    met: AtomicUsize,
}

/// How many are planned, so that a call of a test without any costs nothing.
static PLANNED: AtomicUsize = AtomicUsize::new(0);
static TROUBLES: Mutex<Vec<Arc<Trouble>>> = Mutex::new(Vec::new());

/// Faults below a directory, until dropped.
pub(crate) struct Faults(Arc<Trouble>);

impl Faults {
    pub(crate) fn below(dir: &Path, plan: Plan) -> Faults {
        let dir = dir.canonicalize().expect("the directory is there");
        let trouble = Arc::new(Trouble { dir, plan, seen: AtomicUsize::new(0), met: AtomicUsize::new(0) });
        all().push(Arc::clone(&trouble));
        PLANNED.fetch_add(1, Ordering::SeqCst);
        Faults(trouble)
    }

    /// How many calls went wrong.
    pub(crate) fn met(&self) -> usize {
        self.0.met.load(Ordering::SeqCst)
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        all().retain(|one| !Arc::ptr_eq(one, &self.0));
        PLANNED.fetch_sub(1, Ordering::SeqCst);
    }
}

fn all() -> std::sync::MutexGuard<'static, Vec<Arc<Trouble>>> {
    TROUBLES.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn met(change: &Change<'_>) -> io::Result<()> {
    if PLANNED.load(Ordering::Relaxed) == 0 {
        return Ok(());
    }
    let (kind, path) = match *change {
        Change::Create(entry) => (Kind::Create, entry.path().to_owned()),
        Change::Length(file, _) => (Kind::Length, path_of(file)),
        Change::Reserve(file, _) => (Kind::Reserve, path_of(file)),
        Change::Copy(file, ..) => (Kind::Write, path_of(file)),
        Change::Mark(file, _) => (Kind::Mark, path_of(file)),
        Change::Dress(file) => (Kind::Dress, path_of(file)),
        Change::Sync(file, _) => (Kind::Sync, path_of(file)),
        Change::RenameOver(_, entry)
        | Change::RenameNew(_, entry)
        | Change::Exchange(_, entry)
        | Change::Link(entry) => (Kind::Rename, entry.path().to_owned()),
        Change::Remove(entry) => (Kind::Remove, entry.path().to_owned()),
        Change::SyncDirectory(dir) => (Kind::SyncDirectory, dir.path().to_owned()),
        Change::MakeDirectory(entry) => (Kind::Create, entry.path().to_owned()),
        Change::CreateNameless(dir) => (Kind::Create, dir.path().to_owned()),
        Change::SyncFileSystem(dir) => (Kind::Sync, dir.path().to_owned()),
    };
    match fault(kind, &path) {
        Some(Fault::Errno(errno)) => Err(io::Error::from_raw_os_error(errno)),
        _ => Ok(()),
    }
}

pub(super) fn met_by_write(file: &File) -> io::Result<Option<Bent>> {
    if PLANNED.load(Ordering::Relaxed) == 0 {
        return Ok(None);
    }
    let path = path_of(file);
    let journal = path.to_string_lossy().contains(".thence");
    match fault(if journal { Kind::Append } else { Kind::Write }, &path) {
        None => Ok(None),
        Some(Fault::Short(most)) => Ok(Some(Bent::Short(most))),
        Some(Fault::Elsewhere(by)) => Ok(Some(Bent::Elsewhere(by))),
        Some(Fault::Errno(errno)) => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// What is planned for this call.
fn fault(kind: Kind, path: &Path) -> Option<Fault> {
    let trouble = all().iter().find(|one| one.plan.kind == kind && path.starts_with(&one.dir)).cloned()?;
    let Plan { first, count, fault, .. } = trouble.plan;
    let number = trouble.seen.fetch_add(1, Ordering::SeqCst);
    let wrong = number >= first && number - first < count;
    wrong.then(|| {
        trouble.met.fetch_add(1, Ordering::SeqCst);
        fault
    })
}

/// Where an open file stands now.
fn path_of(file: &File) -> PathBuf {
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap_or_default()
}
