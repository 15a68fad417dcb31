//! Everything the command asks of the operating system beyond the standard library, each with a portable form.

#[cfg(unix)]
pub(crate) use unix::*;

#[cfg(not(unix))]
pub(crate) use portable::*;

/// What `$THENCE_HURRY` divides every default duration by: the test suites run at 1/30. Times given as options stay
/// as they were given.
pub(crate) fn hurry() -> u32 {
    std::env::var("THENCE_HURRY").ok().and_then(|n| n.parse().ok()).unwrap_or(1).max(1)
}

#[cfg(unix)]
mod unix {
    use std::fs::{File, Metadata, OpenOptions};
    use std::io;
    use std::os::fd::AsFd;
    use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
    use std::path::Path;

    use tokio::signal::unix::{Signal, SignalKind, signal};

    /// The mode of finished files, `0666` less the umask. Reading the umask means setting it, so this is called once,
    /// before there is a second thread that could make a file meanwhile.
    pub(crate) fn file_mode() -> u32 {
        let mask = rustix::process::umask(rustix::fs::Mode::empty());
        rustix::process::umask(mask);
        0o666 & !mask.bits()
    }

    /// Columns of the terminal at standard error.
    pub(crate) fn columns() -> usize {
        let size = rustix::termios::tcgetwinsize(io::stderr());
        size.ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(80)
    }

    /// True for what takes bytes and has no final name.
    pub(crate) fn is_device(path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|m| m.file_type().is_char_device() || m.file_type().is_fifo())
    }

    /// Opens for reading; a FIFO in the file's place does not hold us.
    pub(crate) fn open_at_once(path: &Path) -> io::Result<File> {
        let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        OpenOptions::new().read(true).custom_flags(nonblock).open(path)
    }

    /// True when nobody else can read or write it, and it is ours or root's.
    pub(crate) fn is_private(meta: &Metadata) -> bool {
        let owner = meta.uid();
        meta.mode() & 0o077 == 0 && (owner == 0 || owner == rustix::process::geteuid().as_raw())
    }

    /// Standard output without the line buffer of the standard library.
    pub(crate) fn raw_stdout() -> io::Result<File> {
        io::stdout().as_fd().try_clone_to_owned().map(File::from)
    }

    /// The signals that ask us to stop.
    pub(crate) struct Stops(Vec<Signal>);

    /// From now on a file that grows past RLIMIT_FSIZE is a write that fails, which can be told, and not the end of
    /// the process. Needs the runtime; heard of or not, the signal is caught from then on.
    pub(crate) fn outlive_file_limits() -> io::Result<()> {
        let number = rustix::process::Signal::XFSZ.as_raw();
        signal(SignalKind::from_raw(number)).map(drop)
    }

    /// Lets us have so many files open, if that is more than we may, as far as we can. How many we may have.
    pub(crate) fn allow_open_files(wanted: u64) -> u64 {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let may = current.unwrap_or(u64::MAX);
        let could = wanted.min(maximum.unwrap_or(u64::MAX));
        if could <= may || setrlimit(Resource::Nofile, Rlimit { current: Some(could), maximum }).is_err() {
            return may;
        }
        could
    }

    impl Stops {
        /// Those that we were started to ignore stay ignored: SIGHUP under `nohup`, SIGINT in a script's background.
        pub(crate) fn new() -> io::Result<Stops> {
            let ignored = ignored();
            let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
            let heeded = kinds.into_iter().filter(|kind| ignored >> (kind.as_raw_value() - 1) & 1 == 0);
            heeded.map(signal).collect::<io::Result<Vec<_>>>().map(Stops)
        }

        /// The next of them. May be dropped without losing one.
        pub(crate) async fn next(&mut self) {
            std::future::poll_fn(|cx| {
                let any = self.0.iter_mut().any(|signal| signal.poll_recv(cx).is_ready());
                if any { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
        }
    }

    /// The mask of ignored signals, bit 0 for signal 1; 0 where the system does not tell.
    fn ignored() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
    }
}

#[cfg(not(unix))]
mod portable {
    use std::fs::{File, Metadata};
    use std::io;
    use std::path::Path;

    pub(crate) fn file_mode() -> u32 {
        0o644
    }

    pub(crate) fn columns() -> usize {
        80
    }

    pub(crate) fn is_device(_path: &Path) -> bool {
        false
    }

    pub(crate) fn open_at_once(path: &Path) -> io::Result<File> {
        File::open(path)
    }

    pub(crate) fn is_private(_meta: &Metadata) -> bool {
        true
    }

    pub(crate) fn raw_stdout() -> io::Result<io::Stdout> {
        Ok(io::stdout())
    }

    pub(crate) fn outlive_file_limits() -> io::Result<()> {
        Ok(())
    }

    /// Where nobody counts them there is no limit to raise.
    pub(crate) fn allow_open_files(_wanted: u64) -> u64 {
        u64::MAX
    }

    pub(crate) struct Stops;

    impl Stops {
        pub(crate) fn new() -> io::Result<Stops> {
            Ok(Stops)
        }

        pub(crate) async fn next(&mut self) {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
