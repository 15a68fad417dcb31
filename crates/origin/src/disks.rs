//! File systems of a test's own, in a file or in memory. They need root and, for a file, a loop device: whoever asks
//! for one is told why there is none, and leaves his test out.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// `EXT4_IOC_SHUTDOWN`, for XFS of the same number, with `NOLOGFLUSH`: neither the pages nor the file system's own
/// journal reach the device.
const SHUTDOWN: &str = r#"open(my $dir, "<", $ARGV[0]) or die $!; my $how = pack("L", 2); ioctl($dir, 0x8004587d, $how) or die $!"#;

/// A mounted file system. Dropped, it is gone.
pub struct Disk {
    dir: TempDir,
    /// What is mounted, and with which options.
    source: PathBuf,
    options: String,
    kind: String,
}

impl Disk {
    /// An ext4 file system of `size` bytes in a file.
    ///
    /// # Errors
    ///
    /// Why this machine cannot.
    pub fn ext4(size: u64) -> Result<Disk, String> {
        let dir = scene()?;
        let image = dir.path().join("image");
        let sized = File::create(&image).and_then(|file| file.set_len(size));
        sized.map_err(|error| error.to_string())?;
        run("mkfs.ext4", &["-q", &text(&image)])?;
        Disk { dir, source: image, options: "loop,errors=remount-ro".into(), kind: "ext4".into() }.mounted()
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
        Disk { dir, source: image, options: "loop".into(), kind: "exfat-fuse".into() }.mounted()
    }

    /// The ext4 file system that a copy of another's file holds, as it is on the device at this moment.
    ///
    /// # Errors
    ///
    /// Why this machine cannot.
    pub fn copy_of(other: &Disk) -> Result<Disk, String> {
        let dir = scene()?;
        let image = dir.path().join("image");
        fs::copy(&other.source, &image).map_err(|error| error.to_string())?;
        Disk { dir, source: image, options: "loop".into(), kind: "ext4".into() }.mounted()
    }

    /// A tmpfs with these options, such as `size=1m`.
    ///
    /// # Errors
    ///
    /// Why this machine cannot.
    pub fn memory(options: &str) -> Result<Disk, String> {
        let kind = "tmpfs".to_owned();
        Disk { dir: scene()?, source: "none".into(), options: options.to_owned(), kind }.mounted()
    }

    fn mounted(self) -> Result<Disk, String> {
        self.mount().map(|()| self)
    }

    /// Where it is mounted.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// Mounts it again.
    ///
    /// # Errors
    ///
    /// What `mount` says.
    pub fn mount(&self) -> Result<(), String> {
        let (source, root) = (text(&self.source), text(&self.root()));
        run("mount", &["-t", &self.kind, "-o", &self.options, &source, &root])
    }

    /// Mounts it with other options, while it is in use.
    ///
    /// # Errors
    ///
    /// What `mount` says.
    pub fn remount(&self, options: &str) -> Result<(), String> {
        run("mount", &["-o", &format!("remount,{options}"), &text(&self.root())])
    }

    /// Unmounts it.
    ///
    /// # Errors
    ///
    /// What `umount` says.
    pub fn unmount(&self) -> Result<(), String> {
        run("umount", &[&text(&self.root())])
    }

    /// Cuts it off from its device, as a power cut does.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn cut(&self) -> Result<(), String> {
        run("perl", &["-e", SHUTDOWN, &text(&self.root())])
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

fn scene() -> Result<TempDir, String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    fs::create_dir(dir.path().join("root")).map_err(|error| error.to_string())?;
    Ok(dir)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn run(program: &str, args: &[&str]) -> Result<(), String> {
    said(program, args).map(|_| ())
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
