//! File systems of a test's own, in a file or in memory. They need privileges and, for a file, a loop device. Whoever
//! asks for one by [`wanted`] is told why a machine cannot have it, and leaves his test out; on a machine that can, a
//! file system that does not come is a failure.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// `EXT4_IOC_SHUTDOWN`, for XFS of the same number, with `NOLOGFLUSH`: neither the pages nor the file system's own
/// journal reach the device.
const SHUTDOWN: &str = r#"open(my $dir, "<", $ARGV[0]) or die $!; my $how = pack("L", 2); ioctl($dir, 0x8004587d, $how) or die $!"#;

/// Its bit in `CapEff`: who has it may mount.
const CAP_SYS_ADMIN: u64 = 1 << 21;

/// How often, and how far apart, something is tried that fails for a moment only.
const PATIENCE: (usize, Duration) = (100, Duration::from_millis(50));

/// Where images lie if so many bytes are free there.
const MEMORY: &str = "/dev/shm";
const ROOM: u64 = 4 << 30;

/// A file system that is kept in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ext4, cut off by its own shutdown.
    Ext4,
    /// XFS, cut off by its own shutdown.
    Xfs,
    /// Btrfs, which knows no shutdown before Linux 6.19. Its image lies in an ext4 that is shut down in its stead, so
    /// that what its device was told to write and not to flush is lost as well.
    Btrfs,
}

impl Kind {
    /// Each of them.
    pub const ALL: [Kind; 3] = [Kind::Ext4, Kind::Xfs, Kind::Btrfs];

    /// As `mount` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Ext4 => "ext4",
            Kind::Xfs => "xfs",
            Kind::Btrfs => "btrfs",
        }
    }

    /// Whether it can be mounted from a file here.
    ///
    /// # Errors
    ///
    /// What this machine lacks.
    pub fn can_be_had(self) -> Result<(), String> {
        mounts()?;
        if !Path::new("/dev/loop-control").exists() {
            return Err("this machine has no loop devices".into());
        }
        let known = || {
            let all = fs::read_to_string("/proc/filesystems").unwrap_or_default();
            all.split_whitespace().any(|word| word == self.name())
        };
        // Where it is a module that is not loaded yet, it is in the list only afterwards.
        if known() || (run("modprobe", &["-q", self.name()]).is_ok() && known()) {
            return Ok(());
        }
        Err(format!("this kernel has no {}", self.name()))
    }

    /// Its smallest size that `mkfs` takes without a word, rounded up.
    fn least(self) -> u64 {
        match self {
            Kind::Ext4 => 64 << 20,
            Kind::Xfs => 320 << 20,
            Kind::Btrfs => 192 << 20,
        }
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(name: &str) -> Result<Kind, ()> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or(())
    }
}

/// Whether we may mount.
///
/// # Errors
///
/// What we lack.
pub fn mounts() -> Result<(), String> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mine = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mine = mine.and_then(|mine| u64::from_str_radix(mine.trim(), 16).ok()).unwrap_or(0);
    if mine & CAP_SYS_ADMIN == 0 {
        return Err("only root with CAP_SYS_ADMIN may mount a file system".into());
    }
    Ok(())
}

/// Whether a tmpfs here can fold case.
///
/// # Errors
///
/// What this machine lacks.
pub fn folds() -> Result<(), String> {
    mounts()?;
    if Path::new("/sys/fs/tmpfs/features/casefold").exists() {
        return Ok(());
    }
    Err("this kernel has no tmpfs that folds case".into())
}

/// Whether a file system of a program's own can be mounted here from a file.
///
/// # Errors
///
/// Why not.
pub fn fuses() -> Result<(), String> {
    mounts()?;
    let missing = ["/dev/fuse", "/dev/loop-control"].into_iter().find(|device| !Path::new(device).exists());
    missing.map_or(Ok(()), |device| Err(format!("this machine has no {device}")))
}

/// What a test wants made; `None`, and a plain word, where the machine cannot have it.
///
/// # Panics
///
/// If it can, and yet the thing was not made: a test that silently does not run is worse than one that fails.
pub fn wanted<T>(can: Result<(), String>, make: impl FnOnce() -> Result<T, String>) -> Option<T> {
    match can {
        Ok(()) => Some(make().unwrap_or_else(|why| panic!("this machine can, and yet: {why}"))),
        Err(why) => {
            println!("NOT RUN: {why}");
            None
        }
    }
}

/// A mounted file system. Dropped, it is gone.
pub struct Disk {
    dir: TempDir,
    /// What is mounted, and with which options.
    source: PathBuf,
    options: String,
    kind: &'static str,
    /// The disk its image lies in, if that is the one to cut off. Dropped after this one is unmounted.
    below: Option<Box<Disk>>,
}

impl Disk {
    /// A file system of `size` bytes (or the least it takes) in a file.
    ///
    /// # Errors
    ///
    /// What went wrong.
    pub fn of(kind: Kind, size: u64) -> Result<Disk, String> {
        let (size, dir) = (size.max(kind.least()), scene()?);
        let below = match kind {
            Kind::Btrfs => Some(Box::new(Disk::of(Kind::Ext4, size + (64 << 20))?)),
            Kind::Ext4 | Kind::Xfs => None,
        };
        let image = below.as_ref().map_or(dir.path().to_owned(), |disk| disk.root()).join("image");
        let sized = File::create(&image).and_then(|file| file.set_len(size));
        sized.map_err(|error| error.to_string())?;
        // `mkfs.btrfs` looks at every loop device there is, and fails when one of them goes away meanwhile.
        patiently("such device", &format!("mkfs.{}", kind.name()), &["-q", &text(&image)])?;
        // What a machine starts with was written long ago.
        run("sync", &["-f", &text(&image)])?;
        let options = if kind == Kind::Ext4 { "loop,errors=remount-ro" } else { "loop" };
        Disk { dir, source: image, options: options.into(), kind: kind.name(), below }.mounted()
    }

    /// An exFAT of `size` bytes in a file: it folds case, and knows no links, no attributes, no reserved room and no
    /// rename that leaves a taken name alone. By FUSE, since few kernels have it.
    ///
    /// # Errors
    ///
    /// Why this machine cannot.
    pub fn exfat(size: u64) -> Result<Disk, String> {
        let dir = scene()?;
        let image = dir.path().join("image");
        let sized = File::create(&image).and_then(|file| file.set_len(size));
        sized.map_err(|error| error.to_string())?;
        run("mkfs.exfat", &[&text(&image)])?;
        Disk { dir, source: image, options: "loop".into(), kind: "exfat-fuse", below: None }.mounted()
    }

    /// The ext4 file system that a copy of another's file holds, as it is on the device at this moment.
    ///
    /// # Errors
    ///
    /// What went wrong.
    pub fn copy_of(other: &Disk) -> Result<Disk, String> {
        let dir = scene()?;
        let image = dir.path().join("image");
        fs::copy(&other.source, &image).map_err(|error| error.to_string())?;
        Disk { dir, source: image, options: "loop".into(), kind: other.kind, below: None }.mounted()
    }

    /// A tmpfs with these options, such as `size=1m`.
    ///
    /// # Errors
    ///
    /// What went wrong.
    pub fn memory(options: &str) -> Result<Disk, String> {
        let (source, options) = ("none".into(), options.to_owned());
        Disk { dir: scene()?, source, options, kind: "tmpfs", below: None }.mounted()
    }

    fn mounted(self) -> Result<Disk, String> {
        self.mount().map(|()| self)
    }

    /// Where it is mounted.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn mount(&self) -> Result<(), String> {
        let (source, root) = (text(&self.source), text(&self.root()));
        run("mount", &["-t", self.kind, "-o", &self.options, &source, &root])
    }

    /// Mounts it with other options, while it is in use.
    ///
    /// # Errors
    ///
    /// What `mount` says.
    pub fn remount(&self, options: &str) -> Result<(), String> {
        run("mount", &["-o", &format!("remount,{options}"), &text(&self.root())])
    }

    fn unmount(&self) -> Result<(), String> {
        // The kernel lets go of a killed program's files a little after it.
        patiently("busy", "umount", &[&text(&self.root())])
    }

    /// Cuts it off from its device, as a power cut does: what was not synced is gone.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn cut(&self) -> Result<(), String> {
        match &self.below {
            Some(below) => below.cut(),
            None => run("perl", &["-e", SHUTDOWN, &text(&self.root())]),
        }
    }

    /// Unmounts it and mounts it again, as after a power cut.
    ///
    /// # Errors
    ///
    /// What `umount` or `mount` say.
    pub fn restart(&self) -> Result<(), String> {
        self.unmount()?;
        self.below.as_ref().map_or(Ok(()), |below| below.restart())?;
        self.mount()
    }

    /// Lets an ext4 find an error, upon which it is read-only from then on.
    ///
    /// # Errors
    ///
    /// Why the kernel does not.
    pub fn spoil(&self) -> Result<(), String> {
        let device = said("findmnt", &["-n", "-o", "SOURCE", &text(&self.root())])?;
        let name = device.trim().trim_start_matches("/dev/").to_owned();
        let knob = format!("/sys/fs/ext4/{name}/trigger_fs_error");
        fs::write(&knob, "1").map_err(|error| format!("{knob}: {error}"))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _not_mounted = self.unmount();
    }
}

/// In memory where that has room: what a sync takes is then the file system's, and not that of a disk which other tests
/// keep busy. A power cut is not told apart by it: what is lost is lost above the image.
fn scene() -> Result<TempDir, String> {
    let room = rustix::fs::statvfs(MEMORY).map_or(0, |stat| stat.f_bavail * stat.f_frsize);
    let dir = if room < ROOM { tempfile::tempdir() } else { tempfile::tempdir_in(MEMORY) };
    let dir = dir.map_err(|error| error.to_string())?;
    fs::create_dir(dir.path().join("root")).map_err(|error| error.to_string())?;
    Ok(dir)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn run(program: &str, args: &[&str]) -> Result<(), String> {
    said(program, args).map(|_| ())
}

/// Runs it again while it fails with a word like this.
fn patiently(passing: &str, program: &str, args: &[&str]) -> Result<(), String> {
    let (times, apart) = PATIENCE;
    let mut tried = run(program, args);
    for _ in 1..times {
        if !tried.as_ref().is_err_and(|why| why.contains(passing)) {
            break;
        }
        thread::sleep(apart);
        tried = run(program, args);
    }
    tried
}

fn said(program: &str, args: &[&str]) -> Result<String, String> {
    let done = Command::new(program).args(args).stdin(Stdio::null()).output();
    let done = done.map_err(|error| format!("{program}: {error}"))?;
    let wrong = String::from_utf8_lossy(&done.stderr);
    if done.status.success() {
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    } else {
        Err(format!("{program}: {}: {}", done.status, wrong.trim()))
    }
}
