//! The states that a crash can leave on the disk, as many as wanted.

use crate::options::Options;
use crate::record::{self, Try};
use crate::shell;

const TESTS: &str = "tests::states::";

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let count: u64 = options.take("count", 100_000)?;
    let seed: u64 = options.take("seed", shell::fresh_seed())?;
    let first: u64 = options.take("first", 0)?;
    let all: u64 = options.take("all", 0)?;
    let record = options.flag("record");
    options.no_others()?;
    let commit = record::commit()?;
    let mut command = shell::cargo(&["test", "--package", "thence", "--release", "--lib"]);
    command.args(["--", "--exact", "--nocapture"]);
    let note = if all > 0 {
        println!("every choice of up to {all} unsynced changes");
        command.arg(format!("{TESTS}every_choice_of_as_many_as_asked"));
        command.env("THENCE_STATES_ALL", all.to_string());
        format!("every choice of up to {all} unsynced changes")
    } else {
        println!("{count} states of seed {seed} from {first} on");
        command.arg(format!("{TESTS}states_as_many_as_asked"));
        command.env("THENCE_STATES_SEED", seed.to_string()).env("THENCE_STATES_COUNT", count.to_string());
        command.env("THENCE_STATES_FIRST", first.to_string());
        "torn at 512 B and 4 KiB; a quarter crashed again".to_owned()
    };
    let mut told = None;
    let status = shell::heard(&mut command, |line| {
        println!("{line}");
        told = record::counted(line, "states").or(told);
    })?;
    let Some((count, failed)) = told.filter(|told| status.success() == (told.1 == 0)) else {
        return Err(format!("the states ended early ({status})"));
    };
    if record {
        let seed = if all > 0 { 0 } else { seed };
        record::append(&Try { kind: "states".into(), seed, count, failed, note, commit })?;
    }
    if failed == 0 { Ok(()) } else { Err(format!("{failed} of {count} states failed")) }
}
