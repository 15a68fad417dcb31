//! The planner in its simulator, as many seeds as wanted.

use crate::options::Options;
use crate::shell;

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let runs = options.take("runs", 2_000)?;
    let seed = options.take("seed", shell::fresh_seed())?;
    options.no_others()?;
    batch(seed, runs)
}

/// `runs` seeds from `seed` on; a single one tells its story.
pub(crate) fn batch(seed: u64, runs: u64) -> Result<(), String> {
    println!("{runs} runs from seed {seed}");
    let mut command = shell::cargo(&["test", "--package", "thence-plan", "--release", "--test", "sim"]);
    command.args(["--", "--exact", "--nocapture", if runs == 1 { "one" } else { "many" }]);
    command.env("THENCE_SIM_SEED", seed.to_string()).env("THENCE_SIM_RUNS", runs.to_string());
    shell::run(&mut command)
        .map_err(|why| format!("{why}\nagain: cargo xtask sim --seed {seed} --runs {runs}"))
}
