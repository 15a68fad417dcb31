//! The states that a crash can leave on the disk, as many as wanted.

use crate::options::Options;
use crate::shell;

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let count: u64 = options.take("count", 100_000)?;
    let seed: u64 = options.take("seed", shell::fresh_seed())?;
    let first: u64 = options.take("first", 0)?;
    options.no_others()?;
    println!("{count} states of seed {seed} from {first} on");
    let mut command = shell::cargo(&["test", "--package", "thence", "--release", "--lib"]);
    command.args(["--", "--exact", "--nocapture", "tests::states::states_as_many_as_asked"]);
    command.env("THENCE_STATES_SEED", seed.to_string());
    command.env("THENCE_STATES_COUNT", count.to_string()).env("THENCE_STATES_FIRST", first.to_string());
    shell::run(&mut command)
}
