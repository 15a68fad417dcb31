//! What is played before the crash.

use std::io::IoSlice;
use std::path::Path;

use thence_plan::Exists;

use super::run::{BLOCK, NAME, Until, Wish, World};
use crate::sys::watch::tape::{self, Noted, Op, Promise, Start};
use crate::sys::{self, Dir};

/// A story in a directory of its own.
pub(super) struct Scene {
    pub(super) name: &'static str,
    pub(super) world: World,
    /// The file system cannot rename without replacing.
    pub(super) by_link: bool,
    steps: Vec<Step>,
}

#[derive(Clone, Copy)]
enum Step {
    Run(Wish),
    /// All that was done is on the disk; the next run begins there.
    Settle,
    /// A bit flips in a block that is held.
    Rot(u32),
    /// A file of somebody else has the name.
    Taken,
}

/// What somebody else's file holds.
pub(super) const TAKEN: &[u8] = b"somebody's";

impl Scene {
    /// What it does to the disk.
    pub(super) fn record(&self, dir: &Path) -> Vec<Noted> {
        let start = Start { salt: 1, by_link: self.by_link, ..Start::default() };
        let (done, noted) =
            tape::run(&start, || self.steps.iter().try_for_each(|step| self.step(dir, *step)));
        assert_eq!(done, Ok(()), "{}", self.name);
        noted
    }

    fn step(&self, dir: &Path, step: Step) -> Result<(), String> {
        let entry = |name: &str| Dir::open(dir).expect("a directory of ours").entry(name);
        match step {
            Step::Run(wish) => return self.world.run(dir, wish).map(|_| ()),
            Step::Settle => tape::say(Op::Settled),
            Step::Rot(block) => {
                tape::say(Op::Promise(Promise::default()));
                let (file, _) = sys::open_regular(&entry(&format!("{NAME}.part")), true)
                    .expect("it opens")
                    .expect("it is there");
                let at = u64::from(block) * BLOCK as u64 + 77;
                sys::write_at(&file, at, &mut [IoSlice::new(b"rot")]).expect("room");
                tape::say(Op::Settled);
            }
            Step::Taken => {
                let file = sys::create_new(&entry(NAME)).expect("an empty directory");
                sys::write_at(&file, 0, &mut [IoSlice::new(TAKEN)]).expect("room");
                tape::say(Op::Settled);
            }
        }
        Ok(())
    }

    /// Where its crashes begin: what was there before it was there for good.
    pub(super) fn first(&self, tape: &[Noted]) -> usize {
        let settled = tape.iter().position(|noted| noted.op == Op::Settled);
        if matches!(self.steps[0], Step::Taken) { settled.map_or(0, |at| at + 1) } else { 0 }
    }

    /// The version that its last run is of.
    pub(super) fn last_version(&self) -> u64 {
        let mut versions = self.steps.iter().rev().filter_map(|step| match step {
            Step::Run(wish) => Some(wish.version),
            _ => None,
        });
        versions.next().unwrap_or(0)
    }
}

fn run_of(version: u64, until: Until) -> Step {
    Step::Run(Wish { version, until, compact: false })
}

fn compacting(version: u64, until: Until) -> Step {
    Step::Run(Wish { version, until, compact: true })
}

/// All of them.
pub(super) fn scenes() -> Vec<Scene> {
    use Until::{Killed, Published, Stopped};
    let known = World { blocks: 4, length: true, journal: true, exists: Exists::Rename };
    let unknown = World { length: false, ..known };
    let small = World { blocks: 1, journal: false, ..known };
    let over = World { exists: Exists::Overwrite, ..known };
    let scene = |name, world, steps: &[Step]| Scene { name, world, by_link: false, steps: steps.to_vec() };
    let by_link = |scene| Scene { by_link: true, ..scene };
    let (whole, again) = (run_of(0, Published), run_of(1, Published));
    let part = run_of(0, Killed(2, 500));
    vec![
        scene("one run", known, &[whole]),
        scene("killed and gone on with", known, &[part, whole]),
        scene("crashed and gone on with", known, &[part, Step::Settle, whole]),
        scene("killed twice", known, &[run_of(0, Killed(0, 700)), run_of(0, Killed(1, 100)), whole]),
        scene("stopped in order", known, &[run_of(0, Stopped(2)), whole]),
        scene("a new generation", known, &[part, again]),
        scene("a new generation after a crash", known, &[part, Step::Settle, again]),
        scene("three generations", known, &[part, run_of(1, Killed(1, 9)), run_of(2, Published)]),
        scene("a version that comes back", known, &[part, run_of(1, Killed(1, 9)), whole]),
        scene("a journal written anew", known, &[compacting(0, Killed(2, 500)), compacting(0, Published)]),
        scene("an unknown length", unknown, &[part, whole]),
        scene("below one block", small, &[whole]),
        scene("below one block, twice", small, &[run_of(0, Killed(0, 500)), whole]),
        scene("over another file", over, &[Step::Taken, part, whole]),
        scene("over another file, anew", over, &[Step::Taken, part, again]),
        by_link(scene("published by a link", known, &[part, whole])),
        by_link(scene("moved aside by links", known, &[part, again])),
        scene("a rotten block", known, &[run_of(0, Killed(3, 0)), Step::Rot(1), whole]),
    ]
}
