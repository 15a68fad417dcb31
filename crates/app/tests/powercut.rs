//! CRH-04: the file system is cut off at a random time with everything unsynced lost, as by a power cut; the next
//! run goes on from what is left. Needs root and loop devices; elsewhere it says so and tests nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod servers_harness;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use servers_harness::{MIB, large, same, thence};
use tempfile::TempDir;
use thence_origin::Origin;
use thence_origin::chance::Chance;
use thence_origin::honest::{Served, Shared, handler};

const CUTS: usize = 5;

/// `EXT4_IOC_SHUTDOWN` with `NOLOGFLUSH`: neither the pages nor the file system's own journal reach the device.
const SHUTDOWN: &str = r#"open(my $dir, "<", $ARGV[0]) or die $!; my $how = pack("L", 2); ioctl($dir, 0x8004587d, $how) or die $!"#;

/// An ext4 file system in a file.
struct Disk {
    dir: TempDir,
}

impl Disk {
    /// Makes and mounts one; the reason if this machine cannot.
    fn new() -> Result<Disk, String> {
        let disk = Disk { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(disk.root()).unwrap();
        File::create(disk.image()).unwrap().set_len(256 << 20).unwrap();
        run("mkfs.ext4", &["-q", &text(&disk.image())])?;
        disk.mount()?;
        Ok(disk)
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn mount(&self) -> Result<(), String> {
        run("mount", &["-o", "loop", &text(&self.image()), &text(&self.root())])
    }

    fn unmount(&self) -> Result<(), String> {
        run("umount", &[&text(&self.root())])
    }

    fn cut(&self) -> Result<(), String> {
        run("perl", &["-e", SHUTDOWN, &text(&self.root())])
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _not_mounted = self.unmount();
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let done = Command::new(program).args(args).stdin(Stdio::null()).output();
    let done = done.map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    if done.status.success() { Ok(()) } else { Err(format!("{program}: {}: {}", done.status, said.trim())) }
}

#[test]
fn crh_04_a_power_cut_loses_only_what_was_not_synced() {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 % 1_000_000_000;
    let mut chance = Chance::new(seed);
    for cut in 0..CUTS {
        let disk = match Disk::new() {
            Ok(disk) => disk,
            Err(why) => return println!("left out, for this machine mounts no loop device: {why}"),
        };
        if let Err(why) = cut_once(&disk, chance.unit()) {
            return println!("left out, for this kernel does not cut a file system off: {why}");
        }
        println!("cut {cut} of seed {seed}: right");
    }
}

/// A download of three seconds that is cut off after this part of it, and the next run. An error is the machine's.
fn cut_once(disk: &Disk, part: f64) -> Result<(), String> {
    let file = Shared::new(Served { rate: Some(4 * MIB as u64), ..Served::new(large().to_vec()) });
    let (origin, trial, root) = (Origin::start(handler(&file)), thence(), text(&disk.root()));
    let url = origin.url("/large");
    let mut running = trial.start(&["-x", "4", "-d", &root, &url]);
    running.lives_for(Duration::from_secs_f64(3.0 * part));
    disk.cut()?;
    running.kill();
    disk.unmount().and_then(|()| disk.mount()).unwrap();
    file.change(|served| served.rate = None);
    let sent = origin.sent();
    trial.run(&["-x", "4", "-d", &root, &url]).with(0);
    same(&fs::read(disk.root().join("large")).unwrap(), large());
    let names: Vec<_> = fs::read_dir(disk.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| name == "large" || name == "lost+found"), "{names:?}");
    println!("cut after {sent} bytes were sent; {} in all of {}", origin.sent(), large().len());
    Ok(())
}
