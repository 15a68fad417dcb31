//! The planner against lying servers, slow disks, kills and power cuts, in virtual time.
//!
//! `THENCE_SIM_SEED=n` replays one seed and prints what happened; `THENCE_SIM_RUNS=m` runs so many, from there on.

#![allow(unreachable_pub)] // Every item here is another module's.

#[path = "sim/dice.rs"]
mod dice;
#[path = "sim/disk.rs"]
mod disk;
#[path = "sim/faults.rs"]
mod faults;
#[path = "sim/fuzz.rs"]
mod fuzz;
#[path = "sim/job.rs"]
mod job;
#[path = "sim/lane.rs"]
mod lane;
#[path = "sim/ledger.rs"]
mod ledger;
#[path = "sim/lies.rs"]
mod lies;
#[path = "sim/scenario.rs"]
mod scenario;
#[path = "sim/server.rs"]
mod server;
#[path = "sim/stream.rs"]
mod stream;
#[path = "sim/tags.rs"]
mod tags;
#[path = "sim/world.rs"]
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::time::Instant;

use faults::Counts;
use world::World;

/// Plays one seed; steps taken, and what went wrong on the way.
fn play(seed: u64, trace: bool) -> Result<(u64, Counts), String> {
    let played = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(seed, moment(), trace);
        world.play().map(|steps| (steps, world.counts))
    }));
    played.unwrap_or_else(|_| Err("panicked".into()))
}

fn play_all(first: u64, count: u64) -> Result<Counts, String> {
    let mut counts = Counts::default();
    for seed in first..first + count {
        match play(seed, false) {
            Ok((_, fired)) => counts.add(&fired),
            Err(wrong) => {
                return Err(format!(
                    "seed {seed}: {wrong}\nreplay: THENCE_SIM_SEED={seed} cargo test -p thence-plan --test sim -- --nocapture one"
                ));
            }
        }
    }
    Ok(counts)
}

/// The fixed seeds in two halves, each played once a process whoever asks first.
fn fixed(half: usize) -> &'static Counts {
    static PLAYED: [OnceLock<Result<Counts, String>>; 2] = [OnceLock::new(), OnceLock::new()];
    match PLAYED[half].get_or_init(|| play_all(1000 * half as u64, 1000)) {
        Ok(counts) => counts,
        Err(wrong) => panic!("{wrong}"),
    }
}

/// Some moment to count virtual time from; which one makes no difference.
#[allow(clippy::disallowed_methods)]
fn moment() -> Instant {
    Instant::now()
}

#[allow(clippy::disallowed_methods)]
fn said(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn asked(name: &str) -> Option<u64> {
    said(name)?.parse().ok()
}

#[test]
fn one() {
    let Some(seed) = asked("THENCE_SIM_SEED") else { return };
    let played = play(seed, true);
    assert!(played.is_ok(), "seed {seed}: {played:?}");
}

#[test]
fn many() {
    let Some(runs) = asked("THENCE_SIM_RUNS") else { return };
    let first = asked("THENCE_SIM_SEED").unwrap_or(0);
    let begun = moment();
    let (mut steps, mut failed, mut counts) = (0, 0, Counts::default());
    for seed in first..first + runs {
        match play(seed, false) {
            Ok((n, fired)) => {
                steps += n;
                counts.add(&fired);
            }
            Err(wrong) => {
                failed += 1;
                println!("seed {seed}: {wrong}");
            }
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{}", counts.report());
    println!("{runs} runs, {failed} failed, {steps} steps, {:.0} runs a second", runs as f64 / seconds);
    assert_eq!(failed, 0);
}

#[test]
fn fixed_seeds_first_half() {
    fixed(0);
}

#[test]
fn fixed_seeds_second_half() {
    fixed(1);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the planner has no files; its ledger is one")]
fn the_ledger_says_what_it_said() {
    let mut is = format!("{}\n", ledger::COLUMNS);
    for seed in ledger::SEEDS {
        let mut world = World::new(seed, moment(), false);
        world.booked = true;
        if let Err(wrong) = world.play() {
            panic!("seed {seed}: {wrong}");
        }
        is += &format!("{}\n", ledger::line(seed, &world));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ledger.txt");
    if said("THENCE_SIM_LEDGER").is_some_and(|said| said == "write") {
        std::fs::write(path, &is).unwrap();
    }
    let was = std::fs::read_to_string(path).unwrap();
    if let Some(differences) = ledger::differences(&was, &is) {
        panic!("{differences}");
    }
}

/// What each process leaves is only a claim to the next one: it is believed where it is right, and never mixed.
#[test]
fn what_others_left_is_never_mixed() {
    let seeds =
        asked("THENCE_SIM_SEED").map_or(0..asked("THENCE_SIM_RUNS").unwrap_or(300), |seed| seed..seed + 1);
    for seed in seeds {
        let mut world = World::new(seed, moment(), asked("THENCE_SIM_SEED").is_some());
        world.adopts = true;
        let played = catch_unwind(AssertUnwindSafe(|| world.play()));
        assert!(
            matches!(played, Ok(Ok(_))),
            "seed {seed}: {played:?}\nreplay: THENCE_SIM_SEED={seed} cargo test -p thence-plan --test sim -- --nocapture what_others",
        );
    }
}

#[test]
fn every_kind_of_fault_fires_in_the_fixed_seeds() {
    let mut counts = fixed(0).clone();
    counts.add(fixed(1));
    assert_eq!(counts.idle(), [""; 0], "these never fired");
}

#[test]
fn fresh_seeds() {
    let base = std::time::UNIX_EPOCH.elapsed().map_or(0, |t| t.as_nanos() as u64) >> 8;
    println!("fresh seeds from {base}");
    if let Err(wrong) = play_all(base, 200) {
        panic!("{wrong}");
    }
}

#[test]
fn any_input_in_any_order() {
    let (base, one) = (moment(), asked("THENCE_SIM_SEED"));
    let seeds = one.map_or(0..asked("THENCE_SIM_RUNS").unwrap_or(1000), |seed| seed..seed + 1);
    for seed in seeds {
        let played = catch_unwind(AssertUnwindSafe(|| fuzz::fuzz(seed, base, 300, one.is_some())));
        assert!(
            matches!(played, Ok(Ok(()))),
            "seed {seed}: {played:?}\nreplay: THENCE_SIM_SEED={seed} cargo test -p thence-plan --test sim -- --nocapture any_input",
        );
    }
}
