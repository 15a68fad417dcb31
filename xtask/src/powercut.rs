//! Cuts the power under `thence` at random and prints what that cost; [`thence_origin::powercuts`] says how.

use thence_origin::disks::Kind;
use thence_origin::kills::{Attempt, Costs};
use thence_origin::powercuts::Scene;

use crate::options::Options;
use crate::packages;
use crate::record::{self, Try};
use crate::shell;

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let (cuts, jobs) = (options.take("cuts", 60usize)?, options.take("jobs", 16usize)?.max(1));
    let kinds = options.list::<String>("kind", "ext4,xfs,btrfs")?;
    let kinds = kinds.iter().map(|name| name.parse().map_err(|()| format!("`--kind {name}` is not known")));
    let kinds = kinds.collect::<Result<Vec<Kind>, String>>()?;
    let (size, rate) = (options.size("size", "24M")?, options.size("rate", "2M")?.max(16));
    let (seed, binary) = (options.take("seed", shell::fresh_seed())?, options.take("binary", String::new())?);
    let record = options.flag("record");
    let commit = record::commit()?;
    options.no_others()?;
    packages::need(packages::TEST)?;
    let there: Vec<Kind> = kinds.iter().copied().filter(|&kind| may(kind)).collect();
    if there.is_empty() {
        return Err("no power can be cut here: see above".into());
    }
    let scene = Scene::new(shell::thence(binary)?, (size, rate), seed);
    println!("seed {seed}; {size} bytes at {rate} bytes a second over 1, 4 and 16 lanes; {jobs} at a time");
    println!(
        "bound of a cut: {} bytes, which are a second of traffic and what came since the last sync\n",
        scene.bound()
    );
    println!("| file system | cuts | downloads | wrong | sent twice, no cut | a cut: median | p99 | max |");
    println!("|---|---|---|---|---|---|---|---|");
    let (mut problems, mut count, mut names) = (Vec::new(), 0, Vec::new());
    for (at, &kind) in there.iter().enumerate() {
        // Of 1,000 cuts on three, one gets 334.
        let share = cuts / there.len() + usize::from(at < cuts % there.len());
        let calm = scene.worst_calm(kind)?;
        let attempts = scene.run(kind, share, jobs)?;
        let costs = Costs::of(&attempts);
        count += costs.kills() as u64;
        names.push(format!("{} {} (worst {} B twice)", costs.kills(), kind.name(), costs.at(1.0)));
        problems.extend(report(&scene, (kind, calm), &attempts));
    }
    if record {
        let note =
            format!("{}; bound {} B; {size} B at {rate} B/s; 1 4 16 lanes", names.join(" "), scene.bound());
        let failed = problems.len() as u64;
        record::append(&Try { kind: "powercut".into(), seed, count, failed, note, commit })?;
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// Whether this machine can cut the power of such a file system; it says why not.
fn may(kind: Kind) -> bool {
    kind.can_be_had().map_err(|why| println!("{} is left out: {why}", kind.name())).is_ok()
}

/// Prints the table's line; what must not be comes back.
fn report(scene: &Scene, (kind, calm): (Kind, u64), attempts: &[Attempt]) -> Vec<String> {
    let costs = Costs::of(attempts);
    let mut problems: Vec<String> = attempts.iter().filter_map(|attempt| attempt.wrong.clone()).collect();
    println!(
        "| {} | {} | {} | {} | {calm} | {} | {} | {} |",
        kind.name(),
        costs.kills(),
        attempts.len(),
        problems.len(),
        costs.at(0.5),
        costs.at(0.99),
        costs.at(1.0)
    );
    let over = attempts.iter().filter(|attempt| attempt.twice > attempt.kills as u64 * scene.bound());
    problems.extend(over.map(|attempt| {
        format!(
            "{}, {} lanes, seed {}: {} cuts cost {} bytes, the bound of one is {}",
            kind.name(),
            attempt.lanes,
            attempt.seed,
            attempt.kills,
            attempt.twice,
            scene.bound()
        )
    }));
    problems
}
