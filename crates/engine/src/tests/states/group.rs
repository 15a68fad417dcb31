//! Crashes of a list: files that share a sync, and the ledger that says they are done.
//!
//! The tape is of the calls that the group's threads and the list's reader make, in their order. After a crash each name
//! leads to a whole file, and of what the ledger says is done every file is there (P2, P7).

use std::fs;
use std::path::Path;

use thence_plan::Limits;

use super::crash::Crash;
use super::image::Image;
use super::{Dice, Stage, chosen, directory, none};
use crate::group::{self, tests::whole};
use crate::ledger::{Ledger, entry_key};
use crate::sys::Dir;
use crate::sys::watch::tape::{self, Noted, Start};

const FILES: u64 = 7;
const LEDGER: &str = "list.thence";

fn bytes(line: u64) -> Vec<u8> {
    (line + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes().repeat(100 + 700 * line as usize)
}

fn name(line: u64) -> String {
    format!("f{line}")
}

fn key(line: u64) -> u128 {
    entry_key(b"", name(line).as_bytes())
}

/// Fetches what the ledger does not have, two or three at a time.
fn list(at: &Path) -> Result<(), String> {
    let limits = Limits::default();
    let said = |e: crate::error::Error| e.to_string();
    let mut ledger = Ledger::open(&at.join(LEDGER), &limits).map_err(said)?;
    let dir = Dir::open(at).map_err(|e| e.to_string())?;
    let held = ledger.held();
    let missing: Vec<u64> = (0..FILES).filter(|line| !held.has(key(*line))).collect();
    for lines in missing.chunks(3) {
        let wholes = lines.iter().map(|&line| whole(&dir, line, &name(line), &bytes(line))).collect();
        for (line, end) in group::all(wholes, &limits) {
            end.map_err(said)?;
            ledger.done(&[key(line)]).map_err(said)?;
        }
    }
    ledger.sync().map_err(said)
}

fn record() -> Vec<Noted> {
    let dir = directory();
    let start = Start { salt: 1, ..Start::default() };
    let (done, tape) = tape::run(&start, || list(dir.path()));
    assert_eq!(done, Ok(()));
    tape
}

/// What a crash left, and what the next run makes of it.
fn go_on(stage: &Stage, image: &Image) -> Result<(), String> {
    stage.clear();
    image.build(stage.dir.path());
    let at = |line: u64| stage.dir.path().join(name(line));
    let whole = |line: u64| fs::read(at(line)).is_ok_and(|there| there == bytes(line));
    for line in 0..FILES {
        if at(line).exists() && !whole(line) {
            return Err(format!("{} stands there and is not whole", name(line)));
        }
    }
    if stage.dir.path().join(LEDGER).exists() {
        let held = Ledger::open(&stage.dir.path().join(LEDGER), &Limits::default())
            .map_err(|e| e.to_string())?
            .held();
        let lied = (0..FILES).find(|line| held.has(key(*line)) && !whole(*line));
        lied.map_or(Ok(()), |line| Err(format!("{} is said to be done and is not there", name(line))))?;
    }
    list(stage.dir.path())?;
    let wanted: Vec<String> = (0..FILES).map(name).chain([LEDGER.to_owned()]).collect();
    match (stage.names(), (0..FILES).all(whole)) {
        (names, true) if names == wanted => Ok(()),
        (names, _) => Err(format!("ended with {names:?}")),
    }
}

#[test]
fn crh_06_a_list_that_crashes_after_any_change_says_nothing_done_that_is_not_there() {
    let (tape, stage, mut wrong, mut count) = (record(), Stage::new(), Vec::new(), 0);
    for upto in 0..=tape.len() {
        for number in 0..40 {
            let mut dice = Dice::new(upto as u64, number);
            let crash = Crash::after(&tape, upto, [0, 512, 4096][dice.below(3)]);
            let image = crash.image(&Image::default(), chosen(&mut dice, crash.units.len()));
            count += 1;
            if let Err(why) = go_on(&stage, &image) {
                wrong.push(format!("after change {upto} of {}, {number}: {why}", tape.len()));
            }
        }
    }
    println!("{count} states");
    none(&wrong);
}
