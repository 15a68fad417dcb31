//! The planner in its simulator, as many seeds as wanted.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use crate::options::Options;
use crate::record::{self, Try};
use crate::shell;

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let (runs, jobs) = (options.take("runs", 2_000)?, options.take("jobs", 1u64)?.max(1));
    let record = options.flag("record");
    let seed = options.take("seed", if record { next_seed()? } else { shell::fresh_seed() })?;
    options.no_others()?;
    if !record && jobs == 1 {
        return batch(seed, runs);
    }
    println!("{runs} runs from seed {seed}, {jobs} at a time");
    let commit = record::commit()?;
    if record {
        unrecorded(seed, runs)?;
    }
    let begun = Instant::now();
    let Sum { count, failed, faults } = spread(seed, runs, jobs)?;
    if record {
        let rate = count as f64 / begun.elapsed().as_secs_f64() / jobs as f64;
        let kinds: Vec<String> = faults.iter().map(|(kind, n)| format!("{kind} {n}")).collect();
        let note = format!("{rate:.0} a second and process; {}", kinds.join(" "));
        record::append(&Try { kind: "sim".into(), seed, count, failed, note, commit })?;
    }
    if failed == 0 { Ok(()) } else { Err(format!("{failed} of {count} runs failed; each said its seed")) }
}

/// The first seed after all that are recorded; those that `cargo test` plays are not counted again.
fn next_seed() -> Result<u64, String> {
    let tries = record::all()?;
    let ends =
        tries.iter().filter(|done| done.kind == "sim").map(|done| done.seed.saturating_add(done.count));
    Ok(ends.max().unwrap_or(10_000))
}

/// A seed that is recorded twice would count for two.
fn unrecorded(seed: u64, runs: u64) -> Result<(), String> {
    let meets = |done: &&Try| done.kind == "sim" && seed < done.seed + done.count && done.seed < seed + runs;
    match record::all()?.iter().find(meets) {
        None => Ok(()),
        Some(done) => Err(format!(
            "seeds {} to {} are recorded already; without --seed the next ones are taken",
            done.seed,
            done.seed + done.count - 1
        )),
    }
}

/// What simulators counted: runs, those that failed, and how often each kind of fault fired.
#[derive(Default)]
struct Sum {
    count: u64,
    failed: u64,
    faults: BTreeMap<String, u64>,
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

/// The same over `jobs` processes, each with its share of the seeds; runs counted and failed. The program is built
/// first, so that what is changed meanwhile changes nothing.
fn spread(seed: u64, runs: u64, jobs: u64) -> Result<Sum, String> {
    let program =
        shell::built(&["test", "--no-run", "--package", "thence-plan", "--release", "--test", "sim"])?;
    let share = runs.div_ceil(jobs);
    let parts: Vec<_> = (0..jobs)
        .map(|job| (seed + job * share, share.min(runs.saturating_sub(job * share))))
        .filter(|part| part.1 > 0)
        .map(|(first, count)| {
            let mut command = Command::new(&program);
            command.args(["--exact", "--nocapture", "many"]).stderr(Stdio::null());
            command.env("THENCE_SIM_SEED", first.to_string()).env("THENCE_SIM_RUNS", count.to_string());
            thread::spawn(move || part(command, first, count))
        })
        .collect();
    let mut sum = Sum::default();
    for part in parts {
        let part = part.join().map_err(|_| "a thread that waited for the simulator panicked")??;
        (sum.count, sum.failed) = (sum.count + part.count, sum.failed + part.failed);
        for (kind, n) in part.faults {
            *sum.faults.entry(kind).or_default() += n;
        }
    }
    Ok(sum)
}

/// Runs one share to its end and reads what it counted: a process that died on the way counts for nothing.
fn part(mut command: Command, first: u64, count: u64) -> Result<Sum, String> {
    let (mut told, mut faults) = (None, BTreeMap::new());
    let status = shell::heard(&mut command, |line| {
        if line.starts_with("seed ") || line.starts_with("faults:") {
            println!("{line}");
        }
        told = record::counted(line, "runs").or(told);
        line.strip_prefix("faults:").into_iter().for_each(|line| faults = record::kinds(line));
    })?;
    match told {
        Some((runs, failed)) if runs == count && status.success() == (failed == 0) => {
            Ok(Sum { count, failed, faults })
        }
        _ => Err(format!(
            "the simulator ended early ({status}): cargo xtask sim --seed {first} --runs {count}"
        )),
    }
}
