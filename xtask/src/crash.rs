//! Kills `thence` at random and prints what that cost; [`thence_origin::kills`] says how it is counted.

use thence_origin::kills::{Attempt, BOUND_MAX, Costs, Scene, Sender};

use crate::options::Options;
use crate::packages;
use crate::record::{self, Try};
use crate::shell;

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let (kills, jobs) = (options.take("kills", 100usize)?, options.take("jobs", 4usize)?.max(1));
    let (lanes, size) = (options.list::<u32>("lanes", "1,4,16")?, options.size("size", "64M")?);
    let (seconds, seed) = (options.take("seconds", 2.5f64)?, options.take("seed", shell::fresh_seed())?);
    let binary = options.take("binary", String::new())?;
    let sender = match options.take("from", "nginx".to_owned())?.as_str() {
        "even" => Sender::Even,
        _ => Sender::Nginx,
    };
    let record = options.flag("record");
    let commit = record::commit()?;
    options.no_others()?;
    packages::need(packages::TEST)?;
    let program = shell::thence(binary)?;
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
        let attempts = scene.run(kills, jobs);
        count += Costs::of(&attempts).kills() as u64;
        problems.extend(report(lanes, &scene, &attempts));
    }
    if record {
        record::append(&Try {
            kind: "kill".into(),
            seed,
            count,
            failed: problems.len() as u64,
            note,
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
