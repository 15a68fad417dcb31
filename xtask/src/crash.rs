//! Kills `thence` at random and prints what that cost; [`thence_origin::kills`] says how it is counted.

use std::path::PathBuf;

use thence_origin::kills::{Attempt, BOUND_MAX, Costs, Scene, Sender};
use thence_origin::lists;
use thence_origin::steps::{self, From};

use crate::options::Options;
use crate::packages;
use crate::record::{self, Try};
use crate::shell;

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let (kills, jobs) = (options.take("kills", 100usize)?, options.take("jobs", 4usize)?.max(1));
    let (lanes, size) = (options.list::<u32>("lanes", "1,4,16")?, options.size("size", "64M")?);
    let (seconds, seed) = (options.take("seconds", 2.5f64)?, options.take("seed", shell::fresh_seed())?);
    let sender = match options.take("from", "nginx".to_owned())?.as_str() {
        "even" => Sender::Even,
        _ => Sender::Nginx,
    };
    let record = options.flag("record");
    if options.flag("calls") {
        return calls(options, (seed, jobs), record);
    }
    if options.flag("list") {
        return list(options, (kills, jobs), seed, record);
    }
    let nested = options.flag("nested");
    let (commit, program) = prepared(options)?;
    let served = tempfile::tempdir().map_err(|error| error.to_string())?;
    let rate = (size as f64 / seconds) as u64;
    println!("seed {seed}; {size} bytes at {rate} bytes a second over all lanes; {jobs} downloads at a time");
    println!("bound of a kill: one second of traffic (of nginx's first: two), at most {BOUND_MAX} bytes\n");
    println!("| lanes | kills | downloads | wrong | sent twice, no kill | a kill: median | p99 | max |");
    println!("|---|---|---|---|---|---|---|---|");
    let (mut problems, mut count, note) =
        (Vec::new(), 0, format!("{lanes:?} lanes; {size} bytes").replace(',', ""));
    for lanes in lanes {
        let scene =
            Scene::new(program.clone(), (sender, served.path().to_owned()), lanes, (size, rate), seed)?;
        let scene = if nested { scene.nested() } else { scene };
        let attempts = scene.run(kills, jobs);
        count += Costs::of(&attempts).kills() as u64;
        problems.extend(report(lanes, &scene, &attempts));
    }
    if record {
        record::append(&Try {
            kind: if nested { "kill-nested" } else { "kill" }.into(),
            seed,
            count,
            failed: problems.len() as u64,
            note,
            commit,
        })?;
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// The commit and the program that are tried, once all options are known.
fn prepared(options: &Options) -> Result<(String, PathBuf), String> {
    let (commit, binary) = (record::commit()?, options.take("binary", String::new())?);
    options.no_others()?;
    packages::need(packages::TEST)?;
    Ok((commit, shell::thence(binary)?))
}

/// A kill at every system call of a small download, and of one that goes on.
fn calls(options: &Options, (seed, jobs): (u64, usize), record: bool) -> Result<(), String> {
    let (commit, program) = prepared(options)?;
    let scene = steps::Scene::new(program, seed)?;
    scene.can_trace()?;
    println!("seed {seed}; 8 blocks over 4 lanes, killed at the entry of the n-th call of all threads\n");
    println!("| from | kills | the last at call | wrong |\n|---|---|---|---|");
    let (mut problems, mut count, mut notes) = (Vec::new(), 0, Vec::new());
    for from in [From::Nothing, From::Half] {
        let steps = scene.run(from, (1, 1), jobs);
        println!("| {from:?} | {} | {} | {} |", steps.kills, steps.last, steps.wrong.len());
        notes.push(format!("from {from:?} 1 to {}", steps.last).to_lowercase());
        count += (steps.kills + steps.wrong.len()) as u64;
        problems.extend(steps.wrong);
    }
    if record {
        let (failed, note) = (problems.len() as u64, format!("{}; 8 blocks; 4 lanes", notes.join("; ")));
        record::append(&Try { kind: "kill-at-call".into(), seed, count, failed, note, commit })?;
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// Kills of a list of small files.
fn list(options: &Options, (kills, jobs): (usize, usize), seed: u64, record: bool) -> Result<(), String> {
    let count = options.take("files", 3_000usize)?;
    let (commit, program) = prepared(options)?;
    let attempts = lists::Scene::new(program, count, seed)?.run(kills, jobs);
    let costs = Costs::of(&attempts);
    println!("seed {seed}; {count} files; {jobs} lists at a time\n");
    println!("| kills | lists | wrong | sent twice, a kill: median | p99 | max |\n|---|---|---|---|---|---|");
    let mut problems: Vec<String> = attempts.iter().filter_map(|attempt| attempt.wrong.clone()).collect();
    let (median, p99, worst) = (costs.at(0.5), costs.at(0.99), costs.at(1.0));
    println!("| {} | {} | {} | {median} | {p99} | {worst} |", costs.kills(), attempts.len(), problems.len());
    if worst > BOUND_MAX {
        problems.push(format!("a kill cost {worst} bytes, the bound is {BOUND_MAX}"));
    }
    if record {
        record::append(&Try {
            kind: "kill-list".into(),
            seed,
            count: costs.kills() as u64,
            failed: problems.len() as u64,
            note: format!("{count} files; worst {worst} B twice"),
            commit,
        })?;
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// Prints the table's line; what must not be comes back.
fn report(lanes: u32, scene: &Scene, attempts: &[Attempt]) -> Vec<String> {
    let costs = Costs::of(attempts);
    let mut problems: Vec<String> = attempts.iter().filter_map(|attempt| attempt.wrong.clone()).collect();
    println!(
        "| {lanes} | {} | {} | {} | {} | {} | {} | {} |",
        costs.kills(),
        attempts.len(),
        problems.len(),
        scene.calm,
        costs.at(0.5),
        costs.at(0.99),
        costs.at(1.0)
    );
    let (worst, bound) = (costs.at(1.0), scene.bound());
    if worst > bound {
        problems.push(format!("{lanes} lanes: a kill cost {worst} bytes, the bound is {bound}"));
    }
    problems
}
