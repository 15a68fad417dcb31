//! System calls. No other file makes any; each that is Linux's own has a portable form, which
//! `--cfg thence_portable` builds on Linux too.

mod dir;
pub(crate) mod named;

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use thence_plan::{DiskFault, Failure};

use crate::error::Error;

use dir::reach;
pub(crate) use dir::reach::in_memory;
pub(crate) use dir::{Dir, Entry, Facts, FileId};
pub(crate) use native::{alive, boot, drop_cache, holds_data, mark, reserve};

/// What is about to change the disk. Every such call goes through `watched` (writes: `write_some`), which does
/// nothing but in tests: there `watch` notes it, or lets it fail.
#[cfg_attr(not(test), expect(dead_code, reason = "tests alone look at it"))]
#[derive(Clone, Copy)]
enum Change<'a> {
    Create(&'a Entry),
    /// A file without a name, in this directory.
    CreateNameless(&'a Dir),
    Length(&'a File, u64),
    Reserve(&'a File, u64),
    /// So many bytes from this offset on, from another file's same place.
    Copy(&'a File, u64, u64),
    Mark(&'a File, &'a [u8]),
    Dress(&'a File),
    /// `true` for all of the file's metadata, `false` for what reading it needs.
    Sync(&'a File, bool),
    RenameOver(&'a Entry, &'a Entry),
    RenameNew(&'a Entry, &'a Entry),
    Exchange(&'a Entry, &'a Entry),
    Link(&'a Entry),
    Remove(&'a Entry),
    SyncDirectory(&'a Dir),
    MakeDirectory(&'a Entry),
    /// Everything on the file system that the directory is on.
    SyncFileSystem(&'a Dir),
}

#[cfg(not(test))]
use native::write_vectored as write_some;
#[cfg(test)]
use watch::{watched, write_some};

#[cfg(not(test))]
fn watched<T>(_change: Change<'_>, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    act()
}

/// A failed file operation: which file, what kind of fault, and the system's reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DiskError {
    /// The file.
    pub(crate) path: PathBuf,
    /// The kind, by what can be done about it.
    pub(crate) fault: DiskFault,
    /// The reason in words.
    pub(crate) why: String,
}

impl DiskError {
    /// The thread that should have answered is gone: it panicked, or the engine is ending.
    pub(crate) fn gone() -> DiskError {
        DiskError {
            path: PathBuf::new(),
            fault: DiskFault::Io,
            why: "a disk thread ended without an answer".into(),
        }
    }

    /// The system refused an operation on `path`.
    pub(crate) fn at(path: impl AsRef<Path>, error: &io::Error) -> DiskError {
        DiskError::new(path, fault(error), error.to_string())
    }

    /// We refuse an operation on `path`.
    pub(crate) fn new(path: impl AsRef<Path>, fault: DiskFault, why: impl Into<String>) -> DiskError {
        DiskError { path: path.as_ref().into(), fault, why: why.into() }
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.why)
    }
}

impl From<DiskError> for Failure {
    fn from(error: DiskError) -> Failure {
        Failure::Disk(error.fault, error.to_string())
    }
}

impl From<DiskError> for Error {
    fn from(error: DiskError) -> Error {
        Error::Disk { path: error.path, fault: error.fault, why: error.why }
    }
}

/// What a system error means to whoever wanted the file.
pub(crate) fn fault(error: &io::Error) -> DiskFault {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => DiskFault::Full,
        ErrorKind::FileTooLarge => DiskFault::TooLarge,
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => DiskFault::Denied,
        ErrorKind::NotFound | ErrorKind::NotADirectory => DiskFault::Missing,
        ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty => DiskFault::Exists,
        ErrorKind::IsADirectory => DiskFault::Strange,
        _ if follows_link(error) => DiskFault::Strange,
        _ => DiskFault::Io,
    }
}

/// ELOOP: what an open with O_NOFOLLOW says of a link. The standard library has no stable kind for it.
fn follows_link(error: &io::Error) -> bool {
    #[cfg(unix)]
    let errno = Some(rustix::io::Errno::LOOP.raw_os_error());
    #[cfg(not(unix))]
    let errno = None;
    errno.is_some() && error.raw_os_error() == errno
}

/// What an open file is.
pub(crate) fn facts(file: &File) -> io::Result<Facts> {
    stat(file).map(as_recorded)
}

fn stat(file: &File) -> io::Result<Facts> {
    #[cfg(all(target_os = "linux", not(thence_portable)))]
    let facts = Facts::of(&rustix::fs::fstat(file)?);
    #[cfg(not(all(target_os = "linux", not(thence_portable))))]
    let facts = Facts::of(&file.metadata()?);
    Ok(facts)
}

/// A state of the disk that a test builds anew has the inodes it was recorded with.
#[cfg(test)]
fn as_recorded(facts: Facts) -> Facts {
    Facts { id: FileId { inode: watch::recorded(facts.id.inode), ..facts.id }, ..facts }
}

#[cfg(not(test))]
fn as_recorded(facts: Facts) -> Facts {
    facts
}

/// Opens a directory.
pub(crate) fn open_dir(path: &Path) -> Result<Dir, DiskError> {
    Dir::open(path).map_err(|e| DiskError::at(path, &e))
}

/// Opens the directory of this name in another, and makes it first if there is nothing: durably, before anything is put
/// into it. A link is not followed.
pub(crate) fn open_dir_in(dir: &Dir, name: &str) -> Result<Dir, DiskError> {
    let entry = dir.entry(name);
    let at = |e: io::Error| DiskError::at(&entry, &e);
    match reach::open_dir_at(&entry) {
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        opened => return opened.map_err(at),
    }
    match watched(Change::MakeDirectory(&entry), || reach::make_dir(&entry)) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(at(e)),
        _ => sync_dir(dir)?,
    }
    reach::open_dir_at(&entry).map_err(at)
}

/// What stands at a name, links not followed; `None` if nothing does.
pub(crate) fn facts_at(entry: &Entry) -> Result<Option<Facts>, DiskError> {
    match reach::facts(entry) {
        Ok(facts) => Ok(Some(as_recorded(facts))),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(DiskError::at(entry, &e)),
    }
}

/// Makes a file that was not there (O_EXCL, O_NOFOLLOW, O_CLOEXEC), readable and writable by its owner only.
pub(crate) fn create_new(entry: &Entry) -> io::Result<File> {
    watched(Change::Create(entry), || reach::create(entry))
}

/// Makes a file that has no name yet: a crash leaves nothing of it. Its permission bits are those of `mode` that the
/// process's umask and the directory leave. `Unsupported` where the system or the file system has no such files.
pub(crate) fn create_nameless(dir: &Dir, mode: u32) -> io::Result<File> {
    let file = watched(Change::CreateNameless(dir), || reach::create_nameless(dir, mode));
    #[cfg(test)]
    let file = file.inspect(watch::nameless);
    file
}

/// Gives such a file its name: `AlreadyExists` if anything stands there. `NotFound` where the system knows no way from an
/// open file to a name.
pub(crate) fn link_nameless(file: &File, to: &Entry) -> io::Result<()> {
    watched(Change::Link(to), || reach::link_nameless(file, to))
}

/// `syncfs`: everything written so far to the directory's file system is on stable storage. Before Linux 5.8 it does
/// not tell of bytes that could not be written; `Unsupported` where there is no such call.
pub(crate) fn sync_file_system(dir: &Dir) -> io::Result<()> {
    watched(Change::SyncFileSystem(dir), || reach::sync_file_system(dir))
}

/// Opens a regular file that is there, for reading or both. Anything else is `Strange`, and opening it
/// neither follows nor waits: it is looked at before (a device may act on being opened) and after (what
/// stood there may have been changed in between), and O_NONBLOCK keeps a FIFO from holding us.
pub(crate) fn open_regular(entry: &Entry, write: bool) -> Result<Option<(File, Facts)>, DiskError> {
    let strange = || DiskError::new(entry, DiskFault::Strange, "it is not a regular file");
    match facts_at(entry)? {
        None => return Ok(None),
        Some(facts) if !facts.regular => return Err(strange()),
        Some(_) => {}
    }
    let file = match reach::open(entry, write) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(DiskError::at(entry, &e)),
    };
    let facts = facts(&file).map_err(|e| DiskError::at(entry, &e))?;
    if facts.regular { Ok(Some((file, facts))) } else { Err(strange()) }
}

/// A second descriptor of `file`, which stands at `entry`, for writes past the page cache of multiples of `page` bytes.
/// `None` where the file system does not say that it has them, or the name leads elsewhere by now.
pub(crate) fn open_direct(entry: &Entry, file: &File, page: usize) -> Option<File> {
    let direct = reach::open_direct(entry).ok()?;
    let same = stat(&direct).ok()?.id == stat(file).ok()?.id;
    (same && native::direct_alignment(&direct)? <= page).then_some(direct)
}

/// Renames, and replaces what stands at `to`: a link itself, never what it leads to.
pub(crate) fn rename_over(from: &Entry, to: &Entry) -> io::Result<()> {
    watched(Change::RenameOver(from, to), || reach::rename(from, to))
}

/// Names of the first `count` entries, those that are no text left out; and whether there are no more than that.
pub(crate) fn names_in(dir: &Dir, count: usize) -> Result<(Vec<String>, bool), DiskError> {
    reach::names(dir, count).map_err(|e| DiskError::at(dir, &e))
}

/// Renames without replacing: `AlreadyExists` if anything stands at `to`.
pub(crate) fn rename_new(from: &Entry, to: &Entry) -> io::Result<()> {
    match watched(Change::RenameNew(from, to), || reach::rename_exclusive(from, to)) {
        Err(e) if matches!(e.kind(), ErrorKind::Unsupported | ErrorKind::InvalidInput) => link_new(from, to),
        done => done,
    }
}

/// Two files change names, in one step. `Unsupported` where the system or the file system cannot.
pub(crate) fn exchange(a: &Entry, b: &Entry) -> io::Result<()> {
    match watched(Change::Exchange(a, b), || reach::exchange(a, b)) {
        Err(e) if e.kind() == ErrorKind::InvalidInput => Err(ErrorKind::Unsupported.into()),
        done => done,
    }
}

/// Renaming without replacing by a second name: `link` never replaces. Between its two steps the file has both names,
/// which `find` recognises and completes; the new one is durable before the old one goes, or a power cut could take both.
fn link_new(from: &Entry, to: &Entry) -> io::Result<()> {
    match watched(Change::Link(to), || reach::link(from, to)) {
        Ok(()) => sync_entries(to.dir()).and_then(|()| unlink(from)),
        // FAT says EPERM for links, others EOPNOTSUPP, ENOSYS or EMLINK.
        Err(e) if matches!(e.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => Err(e),
        Err(_) => claim_new(from, to),
    }
}

/// The same where there are no links either: an empty file claims the name, and is then replaced. A crash
/// between the two leaves that empty file; it is the price of never replacing somebody else's.
fn claim_new(from: &Entry, to: &Entry) -> io::Result<()> {
    drop(create_new(to)?);
    rename_over(from, to).inspect_err(|_| _ = unlink(to))
}

fn unlink(entry: &Entry) -> io::Result<()> {
    watched(Change::Remove(entry), || reach::unlink(entry))
}

/// Makes the directory's entries durable. Some file systems cannot sync a directory; they get the silence
/// they ask for.
pub(crate) fn sync_dir(dir: &Dir) -> Result<(), DiskError> {
    sync_entries(dir).map_err(|e| DiskError::at(dir, &e))
}

fn sync_entries(dir: &Dir) -> io::Result<()> {
    match watched(Change::SyncDirectory(dir), || reach::sync(dir)) {
        Err(e) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        done => done,
    }
}

/// Removes a file; one that is not there is removed already.
pub(crate) fn remove(entry: &Entry) -> Result<(), DiskError> {
    match unlink(entry) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(DiskError::at(entry, &e)),
        _ => Ok(()),
    }
}

/// How an attempt to lock went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locking {
    /// The lock is ours until the file is closed.
    Ours,
    /// Somebody else has it.
    Theirs,
    /// This file system has no locks (ENOLCK, EOPNOTSUPP).
    Absent,
}

/// Tries to lock an open file against other processes and other openings in this one.
pub(crate) fn try_lock(file: &File) -> io::Result<Locking> {
    match file.try_lock() {
        Ok(()) => Ok(Locking::Ours),
        Err(TryLockError::WouldBlock) => Ok(Locking::Theirs),
        Err(TryLockError::Error(e)) if lacks_locks(&e) => Ok(Locking::Absent),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

fn lacks_locks(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::NOLCK.raw_os_error()) {
        return true;
    }
    error.kind() == ErrorKind::Unsupported
}

/// Gives a file its full length: reserved on the disk where the file system can, sparse where it cannot.
/// Never by writing zeros, which would cost as much as the download itself.
pub(crate) fn preallocate(file: &File, len: u64) -> io::Result<()> {
    match watched(Change::Reserve(file, len), || native::allocate(file, len)) {
        Err(e) if e.kind() == ErrorKind::Unsupported => set_len(file, len),
        done => done,
    }
}

/// Copies up to `len` bytes of one file to another, from and to these offsets: no copy at all where the file system lets both
/// share them, else inside the kernel, else by way of us. Returns how many, 0 where `from` ends.
pub(crate) fn copy(from: &File, to: &File, (offset, there): (u64, u64), len: u64) -> io::Result<u64> {
    match watched(Change::Copy(to, there, len), || native::copy(from, to, (offset, there), len)) {
        Err(e) if e.kind() == ErrorKind::Unsupported => {}
        done => return done,
    }
    let mut piece = vec![0; len.min(1 << 20) as usize];
    let read = read_at(from, offset, &mut piece)?;
    write_at(to, there, &mut [IoSlice::new(&piece[..read])])?;
    Ok(read as u64)
}

/// Cuts a file off, or lengthens it by a hole.
pub(crate) fn set_len(file: &File, len: u64) -> io::Result<()> {
    watched(Change::Length(file, len), || file.set_len(len))
}

/// `fdatasync`: the bytes, and what reading them needs.
pub(crate) fn sync_data(file: &File) -> io::Result<()> {
    watched(Change::Sync(file, false), || file.sync_data())
}

/// `fsync`: length, mode and attributes as well.
pub(crate) fn sync_all(file: &File) -> io::Result<()> {
    watched(Change::Sync(file, true), || file.sync_all())
}

/// Sets the attribute `user.thence`.
pub(crate) fn set_mark(file: &File, value: &[u8]) -> io::Result<()> {
    watched(Change::Mark(file, value), || native::set_mark(file, value))
}

/// Sets the permission bits and, if wanted, the modification time.
pub(crate) fn dress(file: &File, mode: u32, mtime: Option<SystemTime>) -> io::Result<()> {
    watched(Change::Dress(file), || {
        #[cfg(unix)]
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode & 0o7777))?;
        #[cfg(not(unix))]
        let _ = mode;
        mtime.map_or(Ok(()), |time| file.set_modified(time))
    })
}

/// Reads at an offset until `buffer` is full or the file ends; returns how much.
pub(crate) fn read_at(file: &File, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<usize> {
    let wanted = buffer.len();
    while !buffer.is_empty() {
        match read_some(file, offset, buffer) {
            Ok(0) => break,
            Ok(n) => {
                offset += n as u64;
                buffer = &mut buffer[n..];
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(wanted - buffer.len())
}

#[cfg(unix)]
fn read_some(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_some(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

/// Writes all of `slices` at an offset, in as few calls as the system allows.
pub(crate) fn write_at(file: &File, offset: u64, slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    write_all(offset, slices, |slices, offset| write_some(file, slices, offset))
}

/// EAGAINs in a row, 1 ms apart, before a write is given up. A regular file says EAGAIN only on odd file
/// systems, and then briefly.
const PATIENCE: u32 = 1_000;

/// Goes on after short writes and interruptions until everything is written.
fn write_all(
    mut offset: u64,
    mut slices: &mut [IoSlice<'_>],
    mut write: impl FnMut(&[IoSlice<'_>], u64) -> io::Result<usize>,
) -> io::Result<()> {
    let mut patience = PATIENCE;
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match write(slices, offset) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => {
                offset += n as u64;
                patience = PATIENCE;
                IoSlice::advance_slices(&mut slices, n);
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock && patience > 0 => {
                patience -= 1;
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// 64 random bits.
pub(crate) fn random() -> io::Result<u64> {
    #[cfg(test)]
    if let Some(drawn) = watch::drawn() {
        return Ok(drawn);
    }
    getrandom::u64().map_err(|e| io::Error::other(e.to_string()))
}

/// This machine and its present boot; a lock file names both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Boot {
    /// Host name.
    pub(crate) host: String,
    /// Random id of the boot.
    pub(crate) id: String,
}

#[cfg(all(target_os = "linux", not(thence_portable)))]
mod native {
    use std::fs::File;
    use std::io::{self, IoSlice};
    use std::path::Path;

    use rustix::fs::{self, Advice, AtFlags, FallocateFlags, SeekFrom, StatxFlags, XattrFlags};
    use rustix::io::Errno;

    use super::Boot;

    const ATTRIBUTE: &str = "user.thence";

    /// `fallocate`, never `posix_fallocate`: glibc's writes zeros where the file system cannot.
    pub(super) fn allocate(file: &File, len: u64) -> io::Result<()> {
        match retry(|| fs::fallocate(file, FallocateFlags::empty(), 0, len)) {
            Err(Errno::NOSYS) => Err(io::ErrorKind::Unsupported.into()),
            done => Ok(done?),
        }
    }

    pub(super) fn copy(from: &File, to: &File, (mut at, mut there): (u64, u64), len: u64) -> io::Result<u64> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        loop {
            match fs::copy_file_range(from, Some(&mut at), to, Some(&mut there), len) {
                Ok(copied) => return Ok(copied as u64),
                Err(Errno::INTR) => {}
                // Not between these two file systems, or not on this one.
                Err(Errno::XDEV | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL | Errno::PERM) => {
                    return Err(io::ErrorKind::Unsupported.into());
                }
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Reserves room below `len` without changing the file's length. Failing is no fault: it is a courtesy
    /// to a later write.
    pub(crate) fn reserve(file: &File, len: u64) {
        _ = retry(|| fs::fallocate(file, FallocateFlags::KEEP_SIZE, 0, len));
    }

    /// Makes the next read of this stretch come from the disk. Pages not yet written stay, so sync first.
    pub(crate) fn drop_cache(file: &File, offset: u64, len: u64) {
        _ = fs::fadvise(file, offset, std::num::NonZeroU64::new(len), Advice::DontNeed);
    }

    /// Whether anything was ever written to the file: reserved room and holes do not count.
    pub(crate) fn holds_data(file: &File) -> io::Result<bool> {
        match fs::seek(file, SeekFrom::Data(0)) {
            Ok(_) => Ok(true),
            Err(Errno::NXIO) => Ok(false),
            Err(_) => Ok(file.metadata()?.len() > 0),
        }
    }

    pub(super) fn set_mark(file: &File, value: &[u8]) -> io::Result<()> {
        Ok(fs::fsetxattr(file, ATTRIBUTE, value, XattrFlags::empty())?)
    }

    /// The attribute `user.thence`, if there is one of at most 4 KiB.
    pub(crate) fn mark(file: &File) -> Option<Vec<u8>> {
        let mut value = vec![0; 4096];
        let len = fs::fgetxattr(file, ATTRIBUTE, value.as_mut_slice()).ok()?;
        value.truncate(len);
        Some(value)
    }

    /// What direct writes want of memory and offsets, in bytes. Kernels before 6.1 and many file systems do not say; those
    /// that keep sums of their data, or have no disk of their own, would copy it all the same.
    pub(super) fn direct_alignment(file: &File) -> Option<usize> {
        let told = fs::statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN).ok()?;
        let known = StatxFlags::from_bits_retain(told.stx_mask).contains(StatxFlags::DIOALIGN);
        let most = told.stx_dio_mem_align.max(told.stx_dio_offset_align) as usize;
        (known && most > 0).then_some(most)
    }

    pub(super) fn write_vectored(file: &File, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pwritev(file, slices, offset)?)
    }

    /// This boot, if the system tells.
    pub(crate) fn boot() -> Option<Boot> {
        let read = |path| std::fs::read_to_string(path).ok().map(|s| s.trim().to_owned());
        Some(Boot { host: read("/proc/sys/kernel/hostname")?, id: read("/proc/sys/kernel/random/boot_id")? })
    }

    /// Whether a process with this id lives on this machine.
    pub(crate) fn alive(pid: u32) -> bool {
        Path::new("/proc").join(pid.to_string()).exists()
    }

    fn retry(mut call: impl FnMut() -> rustix::io::Result<()>) -> rustix::io::Result<()> {
        loop {
            match call() {
                Err(Errno::INTR) => {}
                done => return done,
            }
        }
    }
}

#[cfg(not(all(target_os = "linux", not(thence_portable))))]
mod native {
    use std::fs::File;
    use std::io::{self, ErrorKind, IoSlice};

    use super::Boot;

    pub(super) fn allocate(_file: &File, _len: u64) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    pub(super) fn copy(_from: &File, _to: &File, _offsets: (u64, u64), _len: u64) -> io::Result<u64> {
        Err(ErrorKind::Unsupported.into())
    }

    /// Nothing is reserved: a full disk then shows at the write itself.
    pub(crate) fn reserve(_file: &File, _len: u64) {}

    /// The cache stays: a check then proves less, and still finds what was damaged before it was read.
    pub(crate) fn drop_cache(_file: &File, _offset: u64, _len: u64) {}

    /// Every byte may have been written.
    pub(crate) fn holds_data(file: &File) -> io::Result<bool> {
        Ok(file.metadata()?.len() > 0)
    }

    pub(super) fn set_mark(_file: &File, _value: &[u8]) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    pub(crate) fn mark(_file: &File) -> Option<Vec<u8>> {
        None
    }

    pub(super) fn direct_alignment(_file: &File) -> Option<usize> {
        None
    }

    /// One slice at a time.
    pub(super) fn write_vectored(file: &File, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let first = slices.iter().find(|s| !s.is_empty()).map_or(&[][..], |s| &s[..]);
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::write_at(file, first, offset);
        #[cfg(windows)]
        return std::os::windows::fs::FileExt::seek_write(file, first, offset);
    }

    /// Unknown: a lock file is then never taken for a dead one's.
    pub(crate) fn boot() -> Option<Boot> {
        None
    }

    /// Unknown, so yes.
    pub(crate) fn alive(_pid: u32) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
#[cfg_attr(any(not(target_os = "linux"), thence_portable), allow(dead_code, unused_imports))]
pub(crate) mod watch;
