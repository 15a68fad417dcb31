//! A directory that was opened once, and the names in it.
//!
//! A download's directory is opened by the path that the user gave: links on the way to it are his choice. From then on
//! everything in it is reached by the descriptor and a single name, and no link is followed. Whatever takes the
//! directory's place meanwhile is never looked at; what was begun there ends there. Where the system has no such
//! calls, each goes by the path.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// An open directory. Clones share the descriptor.
#[derive(Clone, Debug)]
pub(crate) struct Dir(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    path: PathBuf,
    /// Nothing where paths do.
    handle: reach::Handle,
}

impl Dir {
    /// Opens the directory at `path`; the empty path, which `Path::parent` gives for a bare name, is the present one.
    pub(crate) fn open(path: &Path) -> io::Result<Dir> {
        let here = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let handle = reach::open_dir(here)?;
        Ok(Dir(Arc::new(Opened { path: path.into(), handle })))
    }

    /// The path it was opened by.
    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }

    /// Whether the two are one opening of one directory.
    pub(crate) fn is(&self, other: &Dir) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether what is written to it is in memory and nowhere else.
    pub(crate) fn in_memory(&self) -> bool {
        reach::in_memory(&self.0.handle)
    }

    /// Where it is now: that path, or what the system calls it if the path leads elsewhere by now.
    pub(crate) fn whereabouts(&self) -> PathBuf {
        reach::whereabouts(self).unwrap_or_else(|| self.path().into())
    }

    /// The name `name` in it.
    ///
    /// A name of more than one component would lead out of the directory. None gets here, since names from outside
    /// pass `Name`, and others come from the directory itself.
    pub(crate) fn entry(&self, name: impl AsRef<OsStr>) -> Entry {
        let name = name.as_ref();
        let mut parts = Path::new(name).components();
        let single =
            matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name);
        assert!(single, "{name:?} is no name in a directory");
        Entry { dir: self.clone(), path: self.path().join(name) }
    }
}

impl AsRef<Path> for Dir {
    fn as_ref(&self) -> &Path {
        self.path()
    }
}

/// A name in an open directory, whether anything has it or not.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    dir: Dir,
    /// For messages, and where there is no other way to reach it.
    path: PathBuf,
}

impl Entry {
    /// The directory.
    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Its path, by the one that the directory was opened by.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// `NAME.extension`.
    pub(crate) fn with_added_extension(&self, extension: impl AsRef<OsStr>) -> Entry {
        self.dir.entry(self.path.with_added_extension(extension).file_name().unwrap_or_default())
    }
}

impl AsRef<Path> for Entry {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// Device and inode: which file a path or descriptor leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    /// Device.
    pub(crate) dev: u64,
    /// Inode.
    pub(crate) inode: u64,
}

/// What of a file's metadata is used, the same on every system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Which file.
    pub(crate) id: FileId,
    /// A regular file: no link, directory, FIFO, device or socket.
    pub(crate) regular: bool,
    /// Size in bytes.
    pub(crate) size: u64,
    /// Modification time, ns since 1970.
    pub(crate) mtime: i64,
    /// Change time, ns since 1970; 0 where there is none.
    pub(crate) ctime: i64,
    /// Names it has.
    pub(crate) links: u64,
    /// Permission bits; 0 where there are none.
    pub(crate) mode: u32,
}

impl Facts {
    /// Whether these facts are of the same file, and nobody wrote to it in between.
    pub(crate) fn is_still(&self, now: &Facts) -> bool {
        now.regular && (now.id, now.size, now.mtime) == (self.id, self.size, self.mtime)
    }

    #[cfg(all(target_os = "linux", not(thence_portable)))]
    #[allow(clippy::unnecessary_cast, reason = "the widths differ from machine to machine")]
    pub(super) fn of(stat: &rustix::fs::Stat) -> Facts {
        Facts {
            id: FileId { dev: stat.st_dev as u64, inode: stat.st_ino as u64 },
            regular: rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file(),
            size: stat.st_size.cast_unsigned() as u64,
            mtime: nanoseconds(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            ctime: nanoseconds(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
            links: stat.st_nlink as u64,
            mode: stat.st_mode as u32 & 0o7777,
        }
    }

    #[cfg(all(unix, not(all(target_os = "linux", not(thence_portable)))))]
    pub(super) fn of(metadata: &std::fs::Metadata) -> Facts {
        use std::os::unix::fs::MetadataExt;
        Facts {
            id: FileId { dev: metadata.dev(), inode: metadata.ino() },
            regular: metadata.file_type().is_file(),
            size: metadata.size(),
            mtime: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            ctime: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            links: metadata.nlink(),
            mode: metadata.mode() & 0o7777,
        }
    }

    /// Where there are no inodes every file looks like every other: `FileId` proves nothing there.
    #[cfg(not(unix))]
    pub(super) fn of(metadata: &std::fs::Metadata) -> Facts {
        let since = |t: std::time::SystemTime| {
            t.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default()
        };
        Facts {
            id: FileId { dev: 0, inode: 0 },
            regular: metadata.file_type().is_file(),
            size: metadata.len(),
            mtime: metadata.modified().map_or(0, |t| since(t).as_nanos() as i64),
            ctime: 0,
            links: 1,
            mode: 0,
        }
    }
}

#[cfg(unix)]
fn nanoseconds(seconds: i64, more: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(more)
}

/// By descriptor and name.
#[cfg(all(target_os = "linux", not(thence_portable)))]
pub(super) mod reach {
    use std::ffi::OsStr;
    use std::fs::File;
    use std::io;
    use std::os::fd::AsRawFd;
    use std::path::{Path, PathBuf};

    use rustix::fs::{self, AtFlags, Mode, OFlags, RenameFlags, ResolveFlags};
    use rustix::io::Errno;

    use std::sync::Arc;

    use super::{Dir, Entry, Facts, Opened};

    pub(super) type Handle = File;

    pub(super) fn open_dir(path: &Path) -> io::Result<Handle> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(fs::open(path, flags, Mode::empty())?.into())
    }

    pub(crate) fn open_dir_at(entry: &Entry) -> io::Result<Dir> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = fs::openat(&entry.dir.0.handle, name(entry), flags, Mode::empty())?.into();
        Ok(Dir(Arc::new(Opened { path: entry.path.clone(), handle })))
    }

    pub(crate) fn make_dir(entry: &Entry) -> io::Result<()> {
        Ok(fs::mkdirat(&entry.dir.0.handle, name(entry), Mode::from_raw_mode(0o777))?)
    }

    pub(super) fn whereabouts(dir: &Dir) -> Option<PathBuf> {
        let (there, here) = (fs::stat(dir.path()), fs::fstat(&dir.0.handle).ok()?);
        if there.is_ok_and(|there| (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)) {
            return None;
        }
        std::fs::read_link(format!("/proc/self/fd/{}", dir.0.handle.as_raw_fd())).ok()
    }

    fn name(entry: &Entry) -> &OsStr {
        entry.path.file_name().unwrap_or_default()
    }

    pub(crate) fn facts(entry: &Entry) -> io::Result<Facts> {
        Ok(Facts::of(&fs::statat(&entry.dir.0.handle, name(entry), AtFlags::SYMLINK_NOFOLLOW)?))
    }

    pub(crate) fn create(entry: &Entry) -> io::Result<File> {
        open_at(entry, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, Mode::from_raw_mode(0o600))
    }

    pub(crate) fn create_nameless(dir: &Dir, mode: u32) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        loop {
            match fs::openat(&dir.0.handle, ".", flags, Mode::from_raw_mode(mode & 0o777)) {
                Err(Errno::INTR) => {}
                // Kernels before 3.11 take it for a directory that is to be written to.
                Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => {
                    return Err(io::ErrorKind::Unsupported.into());
                }
                made => return Ok(made?.into()),
            }
        }
    }

    /// By the descriptor, which kernels before 6.10 allow to the privileged alone; else by its name in /proc.
    pub(crate) fn link_nameless(file: &File, to: &Entry) -> io::Result<()> {
        match fs::linkat(file, "", &to.dir.0.handle, name(to), AtFlags::EMPTY_PATH) {
            Err(Errno::NOENT | Errno::PERM | Errno::INVAL) => {}
            done => return Ok(done?),
        }
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        Ok(fs::linkat(fs::CWD, path, &to.dir.0.handle, name(to), AtFlags::SYMLINK_FOLLOW)?)
    }

    /// Whether an open file or directory is in memory and nowhere else (tmpfs), so that writing waits for no disk.
    pub(crate) fn in_memory(file: &File) -> bool {
        const TMPFS: fs::FsWord = 0x0102_1994;
        fs::fstatfs(file).is_ok_and(|found| found.f_type == TMPFS)
    }

    pub(crate) fn sync_file_system(dir: &Dir) -> io::Result<()> {
        match fs::syncfs(&dir.0.handle) {
            Err(Errno::NOSYS) => Err(io::ErrorKind::Unsupported.into()),
            done => Ok(done?),
        }
    }

    pub(crate) fn open(entry: &Entry, write: bool) -> io::Result<File> {
        open_at(entry, if write { OFlags::RDWR } else { OFlags::RDONLY }, Mode::empty())
    }

    pub(crate) fn open_direct(entry: &Entry) -> io::Result<File> {
        open_at(entry, OFlags::WRONLY | OFlags::DIRECT, Mode::empty())
    }

    fn open_at(entry: &Entry, flags: OFlags, mode: Mode) -> io::Result<File> {
        let (dir, name) = (&entry.dir.0.handle, name(entry));
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fence = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        loop {
            let opened = match fs::openat2(dir, name, flags, mode, fence) {
                // Before Linux 5.6, or where a sandbox does not know the call: of a single name O_NOFOLLOW says as much.
                Err(Errno::NOSYS | Errno::PERM) => fs::openat(dir, name, flags, mode),
                opened => opened,
            };
            match opened {
                Err(Errno::INTR) => {}
                opened => return Ok(opened?.into()),
            }
        }
    }

    pub(crate) fn rename(from: &Entry, to: &Entry) -> io::Result<()> {
        Ok(fs::renameat(&from.dir.0.handle, name(from), &to.dir.0.handle, name(to))?)
    }

    pub(crate) fn rename_exclusive(from: &Entry, to: &Entry) -> io::Result<()> {
        rename_with(from, to, RenameFlags::NOREPLACE)
    }

    pub(crate) fn exchange(a: &Entry, b: &Entry) -> io::Result<()> {
        rename_with(a, b, RenameFlags::EXCHANGE)
    }

    fn rename_with(from: &Entry, to: &Entry, flags: RenameFlags) -> io::Result<()> {
        Ok(fs::renameat_with(&from.dir.0.handle, name(from), &to.dir.0.handle, name(to), flags)?)
    }

    pub(crate) fn link(from: &Entry, to: &Entry) -> io::Result<()> {
        let none = AtFlags::empty();
        Ok(fs::linkat(&from.dir.0.handle, name(from), &to.dir.0.handle, name(to), none)?)
    }

    pub(crate) fn unlink(entry: &Entry) -> io::Result<()> {
        Ok(fs::unlinkat(&entry.dir.0.handle, name(entry), AtFlags::empty())?)
    }

    pub(crate) fn sync(dir: &Dir) -> io::Result<()> {
        dir.0.handle.sync_all()
    }

    pub(crate) fn names(dir: &Dir, count: usize) -> io::Result<(Vec<String>, bool)> {
        let entries = fs::Dir::read_from(&dir.0.handle)?.filter_map(Result::ok);
        let mut entries = entries.filter(|entry| !matches!(entry.file_name().to_bytes(), b"." | b".."));
        let names = entries.by_ref().take(count);
        let names = names.filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned)).collect();
        Ok((names, entries.next().is_none()))
    }
}

/// By path.
#[cfg(not(all(target_os = "linux", not(thence_portable))))]
pub(super) mod reach {
    use std::fs::{self, File, OpenOptions};
    use std::io::{self, ErrorKind};
    use std::path::{Path, PathBuf};

    use super::{Dir, Entry, Facts};

    pub(super) type Handle = ();

    pub(super) fn open_dir(path: &Path) -> io::Result<Handle> {
        if path.metadata()?.is_dir() { Ok(()) } else { Err(ErrorKind::NotADirectory.into()) }
    }

    pub(crate) fn open_dir_at(entry: &Entry) -> io::Result<Dir> {
        let facts = entry.path.symlink_metadata()?;
        if !facts.is_dir() {
            return Err(ErrorKind::NotADirectory.into());
        }
        Dir::open(&entry.path)
    }

    pub(crate) fn make_dir(entry: &Entry) -> io::Result<()> {
        fs::create_dir(&entry.path)
    }

    pub(super) fn whereabouts(_dir: &Dir) -> Option<PathBuf> {
        None
    }

    pub(crate) fn facts(entry: &Entry) -> io::Result<Facts> {
        Ok(Facts::of(&entry.path.symlink_metadata()?))
    }

    pub(crate) fn create(entry: &Entry) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        no_follow(&mut options).open(&entry.path)
    }

    pub(crate) fn create_nameless(_dir: &Dir, _mode: u32) -> io::Result<File> {
        Err(ErrorKind::Unsupported.into())
    }

    pub(crate) fn link_nameless(_file: &File, _to: &Entry) -> io::Result<()> {
        Err(ErrorKind::NotFound.into())
    }

    /// It may be on a disk.
    pub(crate) fn in_memory<T>(_file: &T) -> bool {
        false
    }

    pub(crate) fn sync_file_system(_dir: &Dir) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    pub(crate) fn open(entry: &Entry, write: bool) -> io::Result<File> {
        no_follow(OpenOptions::new().read(true).write(write)).open(&entry.path)
    }

    pub(crate) fn open_direct(_entry: &Entry) -> io::Result<File> {
        Err(ErrorKind::Unsupported.into())
    }

    fn no_follow(options: &mut OpenOptions) -> &mut OpenOptions {
        #[cfg(unix)]
        {
            use rustix::fs::OFlags;
            let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
            std::os::unix::fs::OpenOptionsExt::custom_flags(options, flags.bits() as i32);
        }
        options
    }

    pub(crate) fn rename(from: &Entry, to: &Entry) -> io::Result<()> {
        fs::rename(&from.path, &to.path)
    }

    pub(crate) fn rename_exclusive(_from: &Entry, _to: &Entry) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    pub(crate) fn exchange(_a: &Entry, _b: &Entry) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    pub(crate) fn link(from: &Entry, to: &Entry) -> io::Result<()> {
        fs::hard_link(&from.path, &to.path)
    }

    pub(crate) fn unlink(entry: &Entry) -> io::Result<()> {
        fs::remove_file(&entry.path)
    }

    /// Where a directory cannot be opened as a file its entries are as durable as the system makes them.
    pub(crate) fn sync(dir: &Dir) -> io::Result<()> {
        #[cfg(unix)]
        File::open(here(dir.path())).and_then(|dir| dir.sync_all())?;
        #[cfg(not(unix))]
        let _ = dir;
        Ok(())
    }

    pub(crate) fn names(dir: &Dir, count: usize) -> io::Result<(Vec<String>, bool)> {
        let mut entries = fs::read_dir(here(dir.path()))?;
        let names = entries.by_ref().take(count);
        let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        Ok((names, entries.next().is_none()))
    }

    fn here(path: &Path) -> &Path {
        if path.as_os_str().is_empty() { Path::new(".") } else { path }
    }
}
