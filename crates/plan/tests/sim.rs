//! The planner against lying servers, slow disks, kills and power cuts, in virtual time.
//!
//! `THENCE_SIM_SEED=n` replays one seed and prints what happened; `THENCE_SIM_RUNS=m` runs so many, from there on.

#![allow(unreachable_pub)] // Every item here is another module's.

#[path = "sim/dice.rs"]
mod dice;
#[path = "sim/disk.rs"]
mod disk;
#[path = "sim/fuzz.rs"]
mod fuzz;
#[path = "sim/job.rs"]
mod job;
#[path = "sim/lane.rs"]
mod lane;
#[path = "sim/lies.rs"]
mod lies;
#[path = "sim/scenario.rs"]
mod scenario;
#[path = "sim/server.rs"]
mod server;
#[path = "sim/tags.rs"]
mod tags;
#[path = "sim/world.rs"]
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use world::World;

/// Plays one seed.
fn play(seed: u64, trace: bool) -> Result<u64, String> {
    let played = catch_unwind(AssertUnwindSafe(|| World::new(seed, moment(), trace).play()));
    played.unwrap_or_else(|_| Err("panicked".into()))
}

fn play_all(first: u64, count: u64) {
    for seed in first..first + count {
        if let Err(wrong) = play(seed, false) {
            panic!(
                "seed {seed}: {wrong}\nreplay: THENCE_SIM_SEED={seed} cargo test -p thence-plan --test sim -- --nocapture one"
            );
        }
    }
}

/// Some moment to count virtual time from; which one makes no difference.
#[allow(clippy::disallowed_methods)]
fn moment() -> Instant {
    Instant::now()
}

#[allow(clippy::disallowed_methods)]
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
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
    let (mut steps, mut failed) = (0, 0);
    for seed in first..first + runs {
        match play(seed, false) {
            Ok(n) => steps += n,
            Err(wrong) => {
                failed += 1;
                println!("seed {seed}: {wrong}");
            }
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{runs} runs, {failed} failed, {steps} steps, {:.0} runs a second", runs as f64 / seconds);
    assert_eq!(failed, 0);
}

#[test]
fn fixed_seeds_first_half() {
    play_all(0, 1000);
}

#[test]
fn fixed_seeds_second_half() {
    play_all(1000, 1000);
}

#[test]
fn fresh_seeds() {
    let base = std::time::UNIX_EPOCH.elapsed().map_or(0, |t| t.as_nanos() as u64) >> 8;
    println!("fresh seeds from {base}");
    play_all(base, 200);
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
