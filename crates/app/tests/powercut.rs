//! CRH-04, CRH-27: the file system is cut off at a random time with everything unsynced lost, as by a power cut, or
//! copied while it is in use; the next run goes on from what is there. Needs root and loop devices; elsewhere it says
//! so and tests nothing, but a machine that has them and cannot fails.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod servers_harness;

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use servers_harness::{MIB, large, same, thence};
use thence_origin::Origin;
use thence_origin::chance::Chance;
use thence_origin::disks::{self, Disk, Kind};
use thence_origin::honest::{Served, Shared, handler};
use thence_origin::kills::Costs;
use thence_origin::powercuts::Scene;

/// Cuts on each file system.
const CUTS: [(Kind, usize); 3] = [(Kind::Ext4, 8), (Kind::Xfs, 6), (Kind::Btrfs, 6)];
const COPIES: usize = 4;

/// `THENCE_SEED`, or one nobody has tried.
fn seed() -> u64 {
    let given = std::env::var("THENCE_SEED").ok().and_then(|seed| seed.parse().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    given.unwrap_or(now % 1_000_000_000)
}

/// P3 at the real intervals, counted by the origin: six of these twelve seconds may come twice.
#[test]
fn crh_04_a_power_cut_loses_only_what_was_not_synced() {
    let (seed, program) = (seed(), env!("CARGO_BIN_EXE_thence"));
    let scene = Scene::new(program.into(), (24 << 20, 2 << 20), seed);
    std::thread::scope(|scope| {
        for (kind, cuts) in CUTS {
            let scene = &scene;
            scope.spawn(move || cut(scene, kind, cuts, seed));
        }
    });
}

/// All its cuts side by side: a throttled download is mostly waiting.
fn cut(scene: &Scene, kind: Kind, cuts: usize, seed: u64) {
    let Some(attempts) = disks::wanted(kind.can_be_had(), || scene.run(kind, cuts, cuts)) else { return };
    let wrong: Vec<&String> = attempts.iter().filter_map(|attempt| attempt.wrong.as_ref()).collect();
    let (costs, name) = (Costs::of(&attempts), kind.name());
    println!("seed {seed}, {name}: {} cuts cost {}, {} bytes", costs.kills(), costs.at(0.5), costs.at(1.0));
    assert!(wrong.is_empty(), "THENCE_SEED={seed}: {wrong:?}");
    let (worst, bound) = (costs.at(1.0), scene.bound());
    assert!(worst <= bound, "THENCE_SEED={seed}: a cut on {name} cost {worst} of {bound}");
}

/// What a copy of the device holds that was taken in mid-download is a crash of its own: nothing of it was synced for
/// the copy's sake.
#[test]
fn crh_27_a_copy_of_the_device_taken_while_it_is_in_use_is_gone_on_with() {
    let (seed, can) = (seed(), Kind::Ext4.can_be_had());
    let Some(disk) = disks::wanted(can, || Disk::of(Kind::Ext4, 256 << 20)) else { return };
    let mut chance = Chance::new(seed);
    let file = Shared::new(Served { rate: Some(4 * MIB as u64), ..Served::new(large().to_vec()) });
    let origin = Origin::start(handler(&file));
    let root = disk.root().to_string_lossy().into_owned();
    let trial = thence();
    let mut running = trial.start(&["-x", "4", "-d", &root, &origin.url("/large")]);
    for copy in 0..COPIES {
        running.lives_for(Duration::from_secs_f64(0.6 * chance.unit()));
        // Held still, so that the copy is of one moment: the kernel alone writes nothing for some seconds.
        running.signal(Signal::STOP);
        let copied = Disk::copy_of(&disk).unwrap();
        running.signal(Signal::CONT);
        goes_on(&copied, &origin);
        println!("copy {copy} of seed {seed}: right");
    }
    running.kill();
}

/// The next run on that disk ends with the file and nothing beside it.
fn goes_on(disk: &Disk, origin: &Origin) {
    let root = disk.root().to_string_lossy().into_owned();
    thence().run(&["-x", "4", "-o", "large", "-d", &root, &origin.url("/large")]).with(0);
    same(&fs::read(disk.root().join("large")).unwrap(), large());
    let names: Vec<_> = fs::read_dir(disk.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| name == "large" || name == "lost+found"), "{names:?}");
}
