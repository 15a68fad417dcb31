//! Every state that a crash can leave of journal, part and directory, and what the next run makes of it.
//!
//! Scenes are played with the engine's own functions and noted call by call. A crash after any of the calls leaves
//! what was synced and any part of the rest; that state is built in a fresh directory, and the next run goes on
//! from it. What is held must be right, what was synced must be held, nothing may stand at the final name but a
//! whole file, and the next run must end with that file and nothing beside it.
//!
//! `THENCE_STATES_COUNT=n`, `_SEED=s` and `_FIRST=k` play the states k to k + n - 1 of a seed (`cargo xtask states`),
//! `THENCE_STATES_ALL=n` every choice of up to n unsynced changes after each change of each scene.

mod crash;
mod group;
mod image;
mod run;
mod scenes;

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use crash::Crash;
use image::Image;
use run::{NAME, Seen, Until, Wish};
use scenes::{Scene, TAKEN};

use crate::sys::watch::tape::{self, Noted, Op, Promise, Start};

/// Memory, where it can be had as a file system with attributes: thousands of states a second.
fn directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let there = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    there.or_else(|_| tempfile::tempdir()).expect("a directory for the test")
}

/// Numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    fn new(seed: u64, number: u64) -> Dice {
        let mut dice =
            Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        dice.below(2);
        dice
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }
}

/// A scene and what it did to the disk.
struct Played {
    scene: Scene,
    tape: Vec<Noted>,
}

fn played() -> Vec<Played> {
    let record = |scene: Scene| {
        let dir = directory();
        Played { tape: scene.record(dir.path()), scene }
    };
    scenes::scenes().into_iter().map(record).collect()
}

/// Builds states in one directory, one after the other.
struct Stage {
    dir: tempfile::TempDir,
}

impl Stage {
    fn new() -> Stage {
        Stage { dir: directory() }
    }

    fn clear(&self) {
        for name in self.names() {
            fs::remove_file(self.dir.path().join(name)).expect("a file of ours");
        }
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).expect("a directory of ours");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Lets the next run go on from `image`; returns what that run did to the disk.
    fn go_on(
        &self,
        scene: &Scene,
        image: &Image,
        promise: &Promise,
        salt: u64,
    ) -> Result<Vec<Noted>, String> {
        if let Some(bytes) = image.bytes(NAME)
            && !scene.world.is_some_version(bytes)
            && bytes != TAKEN
        {
            return Err("what stands at the final name is not whole".into());
        }
        self.clear();
        let files = image.build(self.dir.path());
        let above = image.nodes.keys().max().copied().unwrap_or(0);
        let start = Start { files: &files, above, salt, by_link: scene.by_link };
        let wish = Wish { version: scene.last_version(), until: Until::Published, compact: false };
        let work = || catch_unwind(AssertUnwindSafe(|| scene.world.run(self.dir.path(), wish)));
        let (done, tape) = tape::run(&start, work);
        let seen = done.unwrap_or_else(|_| Err("it panicked".into()))?;
        kept(promise, &seen)?;
        self.left(scene, &seen).map(|()| tape)
    }

    /// What the run leaves is the file alone.
    fn left(&self, scene: &Scene, seen: &Seen) -> Result<(), String> {
        let version = (!seen.finished).then(|| scene.last_version());
        let names = self.names();
        if names == [NAME] {
            return scene.world.is_final(&self.dir.path().join(NAME), version);
        }
        Err(format!("left behind: {names:?}"))
    }
}

/// Whether what was promised was found.
fn kept(promise: &Promise, seen: &Seen) -> Result<(), String> {
    if seen.finished {
        return Ok(());
    }
    if promise.published {
        return Err("the finished file was not found".into());
    }
    let there = seen.held.as_ref().filter(|(version, _)| *version == promise.version);
    let lost = promise.blocks.iter().find(|index| !there.is_some_and(|(_, blocks)| blocks.contains(index)));
    lost.map_or(Ok(()), |index| Err(format!("block {index} was synced and is not held")))
}

/// The state with this number of this seed. Says what kind it was.
fn play(
    all: &[Played],
    stage: &Stage,
    seed: u64,
    number: u64,
) -> Result<&'static str, (&'static str, String)> {
    let mut dice = Dice::new(seed, number);
    let Played { scene, tape } = &all[dice.below(all.len())];
    let first = scene.first(tape);
    let (upto, tear) = (first + dice.below(tape.len() + 1 - first), [0, 512, 4096][dice.below(3)]);
    let crash = Crash::after(tape, upto, tear);
    let image = crash.image(&Image::default(), chosen(&mut dice, crash.units.len()));
    let promise = crash.promise().cloned().unwrap_or_default();
    let wrong =
        |why: String| (scene.name, format!("{}, after change {upto} of {}: {why}", scene.name, tape.len()));
    let next = stage.go_on(scene, &image, &promise, seed ^ number).map_err(wrong)?;
    if dice.below(4) > 0 {
        return Ok(scene.name);
    }
    // The next run crashes too.
    let (upto, tear) = (dice.below(next.len() + 1), [0, 512, 4096][dice.below(3)]);
    let crash = Crash::after(&next, upto, tear);
    let image = crash.image(&image, chosen(&mut dice, crash.units.len()));
    let promise = crash.promise().cloned().unwrap_or(promise);
    let again = stage.go_on(scene, &image, &promise, !seed ^ number);
    again
        .map_err(|why| wrong(format!("then after change {upto} of the next run's {}: {why}", next.len())))?;
    Ok(scene.name)
}

/// Which of `count` units are there: few, half or most of them.
fn chosen(dice: &mut Dice, count: usize) -> impl Fn(usize) -> bool + use<> {
    let often = [0, 1, 5, 9, 10][dice.below(5)];
    let kept: Vec<bool> = (0..count).map(|_| dice.below(10) < often).collect();
    move |number| kept[number]
}

/// Every choice of the unsynced changes, where there are at most `most`, after each change of each scene. The scenes
/// are shared out among the processors.
fn every_state(most: usize) -> (u64, Vec<String>) {
    let (all, next, sum) = (played(), AtomicUsize::new(0), Mutex::new((0, Vec::new())));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let stage = Stage::new();
                while let Some(played) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (count, wrong) = every_state_of(played, &stage, most);
                    let mut sum = sum.lock().expect("nobody panics with it");
                    sum.0 += count;
                    sum.1.extend(wrong);
                }
            });
        }
    });
    sum.into_inner().expect("nobody panics with it")
}

fn every_state_of(Played { scene, tape }: &Played, stage: &Stage, most: usize) -> (u64, Vec<String>) {
    let (mut count, mut wrong) = (0, Vec::new());
    for upto in scene.first(tape)..=tape.len() {
        let crash = Crash::after(tape, upto, 0);
        let promise = crash.promise().cloned().unwrap_or_default();
        let early = crash.units.len().saturating_sub(most);
        for mask in 0..1u64 << (crash.units.len() - early) {
            // With more of them than that: each of the last ones, and all before or none.
            for rest in [false, true].into_iter().take(if early > 0 { 2 } else { 1 }) {
                let kept =
                    |number: usize| if number < early { rest } else { mask >> (number - early) & 1 == 1 };
                let image = crash.image(&Image::default(), kept);
                count += 1;
                if let Err(why) = stage.go_on(scene, &image, &promise, mask) {
                    wrong.push(format!("{}, after change {upto}, choice {mask:b}: {why}", scene.name));
                }
            }
        }
    }
    (count, wrong)
}

#[track_caller]
fn none(wrong: &[String]) {
    assert!(
        wrong.is_empty(),
        "{} states, for example\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
}

#[test]
fn crh_06_a_crash_after_any_change_that_loses_all_that_was_not_synced() {
    let (count, wrong) = every_state(0);
    println!("{count} states");
    none(&wrong);
}

#[test]
fn crh_06_every_choice_of_up_to_five_unsynced_changes() {
    let (count, wrong) = every_state(5);
    println!("{count} states");
    none(&wrong);
}

#[test]
fn crh_07_torn_and_reordered_states_of_a_fixed_seed() {
    let (all, stage) = (played(), Stage::new());
    let wrong = (0..6_000).filter_map(|number| play(&all, &stage, 1, number).err());
    none(&wrong.map(|(_, why)| why).collect::<Vec<_>>());
}

/// A disk that says it has what it has not, until its next sync of the file or its next loss of power.
fn lies(tape: &[Noted], first: usize) -> Vec<usize> {
    let end = tape.iter().rposition(|noted| matches!(noted.op, Op::Dress(_))).unwrap_or(tape.len());
    let mut anchored = Vec::new();
    let mut found = Vec::new();
    for (index, noted) in tape[..end].iter().enumerate() {
        // The first sync of a journal is what makes its part known for ours: without it nothing can be promised.
        if let Op::Sync(id, _) = noted.op {
            if anchored.contains(&id) && index >= first { found.push(index) } else { anchored.push(id) }
        }
    }
    found
}

#[test]
fn a_sync_that_lies_costs_blocks_and_no_wrong_byte() {
    let (all, stage, mut wrong, mut count) = (played(), Stage::new(), Vec::new(), 0);
    for Played { scene, tape } in &all {
        for lie in lies(tape, scene.first(tape)) {
            let mut told = tape.clone();
            told[lie].op = Op::Promise(Promise::default());
            for upto in lie + 1..=told.len() {
                let mut dice = Dice::new(lie as u64, upto as u64);
                let crash = Crash::after(&told, upto, [0, 512, 4096][dice.below(3)]);
                let image = crash.image(&Image::default(), chosen(&mut dice, crash.units.len()));
                count += 1;
                if let Err(why) = stage.go_on(scene, &image, &Promise::default(), 1) {
                    wrong.push(format!("{}, sync {lie} lies, after change {upto}: {why}", scene.name));
                }
            }
        }
    }
    println!("{count} states");
    none(&wrong);
}

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What `cargo xtask states --all n` runs.
#[test]
fn every_choice_of_as_many_as_asked() {
    let Some(most) = asked("THENCE_STATES_ALL") else { return };
    let begun = Instant::now();
    let (count, wrong) = every_state(most as usize);
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    println!("{count} states, {} failed, {rate:.0} a second", wrong.len());
    none(&wrong);
}

/// What `cargo xtask states` runs.
#[test]
fn states_as_many_as_asked() {
    let Some(count) = asked("THENCE_STATES_COUNT") else { return };
    let (seed, first) = (asked("THENCE_STATES_SEED").unwrap_or(0), asked("THENCE_STATES_FIRST").unwrap_or(0));
    let (all, next, begun) = (played(), AtomicU64::new(first), Instant::now());
    let kinds = Mutex::new(BTreeMap::<&str, (u64, u64)>::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let (stage, mut own) = (Stage::new(), BTreeMap::<&str, (u64, u64)>::new());
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= first + count {
                        break;
                    }
                    let (kind, wrong) = match play(&all, &stage, seed, number) {
                        Ok(kind) => (kind, None),
                        Err((kind, why)) => (kind, Some(why)),
                    };
                    let counted = own.entry(kind).or_default();
                    counted.0 += 1;
                    if let Some(why) = wrong {
                        counted.1 += 1;
                        println!("state {number}: {why}\nagain: cargo xtask states --seed {seed} --first {number} --count 1");
                    }
                }
                let mut kinds = kinds.lock().expect("nobody panics with it");
                for (kind, (states, failed)) in own {
                    let counted = kinds.entry(kind).or_default();
                    *counted = (counted.0 + states, counted.1 + failed);
                }
            });
        }
    });
    let kinds = kinds.into_inner().expect("nobody panics with it");
    kinds.iter().for_each(|(kind, (states, failed))| println!("{kind}: {states} states, {failed} failed"));
    let failed: u64 = kinds.values().map(|(_, failed)| failed).sum();
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    println!("{count} states, {failed} failed, {rate:.0} a second");
    assert_eq!(failed, 0);
}
