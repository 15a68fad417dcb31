//! CRH-04, CRH-27: the file system is cut off at a random time with everything unsynced lost, as by a power cut, or
//! copied while it is in use; the next run goes on from what is there. Needs root and loop devices; elsewhere it says
//! so and tests nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod servers_harness;

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use servers_harness::{MIB, large, same, thence};
use thence_origin::Origin;
use thence_origin::chance::Chance;
use thence_origin::disks::Disk;
use thence_origin::honest::{Served, Shared, handler};

const CUTS: usize = 5;
const COPIES: usize = 4;

fn disk() -> Result<Disk, String> {
    Disk::ext4(256 << 20)
}

fn seeded() -> (u64, Chance) {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 % 1_000_000_000;
    (seed, Chance::new(seed))
}

#[test]
fn crh_04_a_power_cut_loses_only_what_was_not_synced() {
    let (seed, mut chance) = seeded();
    for cut in 0..CUTS {
        let disk = match disk() {
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
    let scene = Scene::new();
    let root = disk.root().to_string_lossy().into_owned();
    let trial = thence();
    let mut running = trial.start(&["-x", "4", "-d", &root, &scene.url()]);
    running.lives_for(Duration::from_secs_f64(3.0 * part));
    disk.cut()?;
    running.kill();
    disk.unmount().and_then(|()| disk.mount()).unwrap();
    scene.file.change(|served| served.rate = None);
    let sent = scene.origin.sent();
    scene.goes_on(disk);
    println!("cut after {sent} bytes were sent; {} in all of {}", scene.origin.sent(), large().len());
    Ok(())
}

/// What a copy of the device holds that was taken in mid-download is a crash of its own: nothing of it was synced for
/// the copy's sake.
#[test]
fn crh_27_a_copy_of_the_device_taken_while_it_is_in_use_is_gone_on_with() {
    let (seed, mut chance) = seeded();
    let disk = match disk() {
        Ok(disk) => disk,
        Err(why) => return println!("left out, for this machine mounts no loop device: {why}"),
    };
    let scene = Scene::new();
    let root = disk.root().to_string_lossy().into_owned();
    let trial = thence();
    let mut running = trial.start(&["-x", "4", "-d", &root, &scene.url()]);
    for copy in 0..COPIES {
        running.lives_for(Duration::from_secs_f64(0.6 * chance.unit()));
        // Held still, so that the copy is of one moment: the kernel alone writes nothing for some seconds.
        running.signal(Signal::STOP);
        let copied = Disk::copy_of(&disk).unwrap();
        running.signal(Signal::CONT);
        scene.goes_on(&copied);
        println!("copy {copy} of seed {seed}: right");
    }
    running.kill();
}

/// A throttled file.
struct Scene {
    file: Shared,
    origin: Origin,
}

impl Scene {
    fn new() -> Scene {
        let file = Shared::new(Served { rate: Some(4 * MIB as u64), ..Served::new(large().to_vec()) });
        Scene { origin: Origin::start(handler(&file)), file }
    }

    fn url(&self) -> String {
        self.origin.url("/large")
    }

    /// The next run on that disk ends with the file and nothing beside it.
    fn goes_on(&self, disk: &Disk) {
        let root = disk.root().to_string_lossy().into_owned();
        thence().run(&["-x", "4", "-o", "large", "-d", &root, &self.url()]).with(0);
        same(&fs::read(disk.root().join("large")).unwrap(), large());
        let names: Vec<_> =
            fs::read_dir(disk.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(names.iter().all(|name| name == "large" || name == "lost+found"), "{names:?}");
    }
}
