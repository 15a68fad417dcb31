//! Everything that must hold before a change is taken, cheapest first.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::options::Options;
use crate::shell::{self, cargo};
use crate::{bench, packages, sim};

type Step = (&'static str, fn() -> Result<(), String>);

const STEPS: &[Step] = &[
    ("signals", signals),
    ("format", || shell::run(&mut cargo(&["fmt", "--all", "--check"]))),
    ("dependencies", dependencies),
    ("packages", || packages::need(packages::TEST)),
    ("clippy", || {
        shell::run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))
    }),
    ("tests", || shell::run(&mut cargo(&["test", "--workspace"]))),
    ("bench", bench::check),
    ("portable system calls", portable),
    ("documentation", || {
        let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
        shell::run(doc.env("RUSTDOCFLAGS", "--deny warnings"))
    }),
    ("simulation with fresh seeds", || sim::batch(shell::fresh_seed(), 2_000)),
];

pub(crate) fn run(options: &Options) -> Result<(), String> {
    options.no_others()?;
    let start = Instant::now();
    for (name, step) in STEPS {
        println!("\n== {name}");
        let began = Instant::now();
        step().map_err(|why| {
            format!("{why}\n== {name}: failed after {:.1} s", began.elapsed().as_secs_f64())
        })?;
        println!("== {name}: {:.1} s", began.elapsed().as_secs_f64());
    }
    println!("\nall {} steps passed in {:.0} s", STEPS.len(), start.elapsed().as_secs_f64());
    Ok(())
}

/// Programs that are started by one that ignores SIGINT ignore it too, and tests interrupt theirs.
fn signals() -> Result<(), String> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    if ignored & 0b10 == 0 {
        return Ok(());
    }
    Err("SIGINT is ignored here, as a shell has it for what it starts in the background; run this in the foreground, or \
         with `env --default-signal=INT`"
        .to_owned())
}

/// Licences, sources and bans of deny.toml.
fn dependencies() -> Result<(), String> {
    let mut version = cargo(&["deny", "--version"]);
    let there =
        version.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !there {
        shell::run(&mut cargo(&["install", "cargo-deny", "--locked"]))?;
    }
    let (check, quiet) = (["check", "bans", "licenses", "sources"], ["deny", "--log-level", "error"]);
    shell::run(cargo(&quiet).args(check))?;
    // The bench has a lock file of its own; what it takes in has to have a licence as well.
    shell::run(cargo(&quiet).args(["--manifest-path", "bench/Cargo.toml", "check", "licenses", "sources"]))
}

/// The engine's own tests with the portable form of every system call.
///
/// Only the engine is compiled with the flag, not the hundred crates under it, which cargo would do in
/// minutes for `RUSTFLAGS`; cargo keeps both builds of the engine side by side.
fn portable() -> Result<(), String> {
    let args =
        ["rustc", "--package", "thence", "--lib", "--profile", "test", "--", "--cfg", "thence_portable"];
    let program = shell::built(&args)?;
    shell::run(Command::new(program).current_dir(shell::root().join("crates/engine")))
}
