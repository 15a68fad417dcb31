//! What a few hundred worlds came to, a line a seed, kept in `tests/ledger.txt`. The oracles say what must never be; the
//! ledger says what is, so that a change of the planner that nobody meant is seen, and one that was meant can be weighed.

use std::fmt::Write;

use thence_plan::{Action, JobId};

use super::job::Outcome;
use super::scenario::MS;
use super::world::World;

/// Seeds in the ledger; those after 2,000 are nobody else's.
pub const SEEDS: std::ops::Range<u64> = 2_000..2_300;

/// The columns after the seed.
pub const COLUMNS: &str = "seed jobs-done refused ms asks narrowed KiB-read told words";

/// What the planner did in one world.
#[derive(Clone, Debug)]
pub struct Ledger {
    asks: u64,
    narrowed: u64,
    read: u64,
    told: u64,
    /// FNV-1a of every word it said.
    words: u32,
}

impl Default for Ledger {
    fn default() -> Ledger {
        Ledger { asks: 0, narrowed: 0, read: 0, told: 0, words: 0x811c_9dc5 }
    }
}

impl Ledger {
    pub fn note(&mut self, id: JobId, action: &Action) {
        match action {
            Action::Open { .. } => self.asks += 1,
            Action::Narrow { .. } => self.narrowed += 1,
            Action::Tell(_) => self.told += 1,
            _ => {}
        }
        let _infallible = writeln!(self, "{id:?} {action:?}");
    }

    pub fn read(&mut self, len: u64) {
        self.read += len;
    }
}

impl Write for Ledger {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for byte in text.bytes() {
            self.words = (self.words ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
        Ok(())
    }
}

/// The line of a world that was played.
pub fn line(seed: u64, world: &World) -> String {
    let ended = |how: Outcome| world.jobs.iter().filter(|job| job.outcome == Some(how)).count();
    let Ledger { asks, narrowed, read, told, words } = &world.ledger;
    let (done, refused, ms) = (ended(Outcome::Done), ended(Outcome::Refused), world.now / MS);
    format!("{seed} {done} {refused} {ms} {asks} {narrowed} {} {told} {words:08x}", read >> 10)
}

/// What differs, and what it comes to; nothing if they are the same.
pub fn differences(was: &str, is: &str) -> Option<String> {
    let pairs = || was.lines().zip(is.lines()).filter(|(was, is)| was != is);
    let lines = pairs().count() + was.lines().count().abs_diff(is.lines().count());
    if lines == 0 {
        return None;
    }
    let mut text = format!("{lines} lines of the ledger are other ones; the first:\n{COLUMNS}\n");
    for (was, is) in pairs().take(5) {
        let _infallible = write!(text, "  was {was}\n  is  {is}\n");
    }
    let columns = COLUMNS.split(' ').enumerate().skip(1).filter(|(_, name)| *name != "words");
    for (column, name) in columns {
        let sum = |text: &str| -> u64 {
            let cells =
                text.lines().skip(1).filter_map(|line| line.split(' ').nth(column)?.parse::<u64>().ok());
            cells.sum()
        };
        let _infallible = writeln!(text, "{name}: {} in all, and were {}", sum(is), sum(was));
    }
    Some(text + "if that was meant: THENCE_SIM_LEDGER=write cargo test -p thence-plan --test sim the_ledger")
}
