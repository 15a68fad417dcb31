//! Whether the tests see small changes of the planner and the journal: cargo-mutants makes them, in a copy of the tree.
//!
//! Each is first tried with what takes some seconds. The simulator takes a minute, so only what survives the rest meets it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::options::Options;
use crate::record::{self, Try};
use crate::shell;

/// Of a hundred mutants that compile so many must be caught.
const CAUGHT_MIN: usize = 90;

/// What is mutated, and the tests that are asked.
struct Subject {
    name: &'static str,
    package: &'static str,
    files: &'static [&'static str],
    /// Arguments of `cargo test` that choose what to build.
    quick: &'static [&'static str],
    /// Which of its tests, as the test programs are told.
    tests: &'static [&'static str],
    /// The same for what survives.
    slow: Option<(&'static str, &'static str)>,
    /// The list of those that change nothing: mutant, line of the source, and why, with tabs between.
    explained: &'static str,
}

#[rustfmt::skip]
const SUBJECTS: &[Subject] = &[
    Subject {
        name: "plan",
        package: "thence-plan",
        files: &["crates/plan/src/**/*.rs"],
        quick: &["--lib", "--test=judge", "--test=planner", "--test=edges", "--test=names", "--test=rates", "--test=identities", "--test=redirects", "--test=sim"],
        tests: &["--skip", "seeds", "--skip", "any_input"],
        slow: Some(("--test=sim", "fixed_seeds")),
        explained: "crates/plan/mutants.txt",
    },
    Subject {
        name: "journal",
        package: "thence",
        files: &["crates/engine/src/journal.rs", "crates/engine/src/journal/*.rs"],
        quick: &["--lib"],
        tests: &["journal::", "find::", "file::"],
        slow: None,
        explained: "crates/engine/mutants.txt",
    },
];

/// What became of some mutants: their names by fate.
#[derive(Default)]
struct Fates {
    caught: usize,
    unviable: usize,
    missed: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let (of, shard) = (options.take("of", "plan".to_owned())?, options.take("shard", "0/1".to_owned())?);
    let (jobs, record) = (options.take("jobs", 1u64)?.max(1), options.flag("record"));
    options.no_others()?;
    let subject = SUBJECTS.iter().find(|subject| subject.name == of);
    let subject = subject.ok_or(format!("`--of {of}`: plan or journal is wanted"))?;
    let explained = explained(&read(&shell::root().join(subject.explained))?)?;
    let commit = record::commit()?;
    there()?;
    let fates = fates(subject, &shard, jobs)?;
    let wanting = told(&fates, &explained)?;
    let (all, excused) = (fates.caught + fates.missed.len(), fates.missed.len() - wanting.len());
    if record {
        let note =
            format!("{of} {shard}; {} caught {} unviable {excused} explained", fates.caught, fates.unviable);
        let (count, failed) = (all as u64, wanting.len() as u64);
        record::append(&Try { kind: "mutants".into(), seed: 0, count, failed, note, commit })?;
    }
    match wanting.len() {
        _ if fates.caught * 100 < all * CAUGHT_MIN => {
            Err(format!("only {} of {all} mutants are caught", fates.caught))
        }
        0 => Ok(()),
        some => Err(format!("{some} mutants survive that {} does not explain", subject.explained)),
    }
}

/// Builds cargo-mutants if it is missing.
fn there() -> Result<(), String> {
    let mut version = shell::cargo(&["mutants", "--version"]);
    if version.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return Ok(());
    }
    shell::run(&mut shell::cargo(&["install", "cargo-mutants", "--locked"]))
}

/// Tries a shard, and what survives once more with the slow tests.
fn fates(subject: &Subject, shard: &str, jobs: u64) -> Result<Fates, String> {
    // Every k-th, or a shard would be a file or two and no sample.
    let chosen = ["--sharding", "round-robin", "--shard", shard].map(str::to_owned);
    let mut fates = mutate(subject, &chosen, (subject.quick, subject.tests), jobs)?;
    let Some((program, tests)) = subject.slow.filter(|_| !fates.missed.is_empty()) else { return Ok(fates) };
    let again = ["--re".to_owned(), exactly(&fates.missed)];
    let slow = mutate(subject, &again, (&[program], &[tests]), jobs)?;
    // One name can stand for two mutants, of which the shard had one: what is left is told by its name.
    let left: BTreeSet<String> = slow.missed.into_iter().collect();
    let before = fates.missed.len();
    fates.missed.retain(|name| left.contains(name));
    fates.caught += before - fates.missed.len();
    Ok(fates)
}

/// One run of cargo-mutants; what it found.
fn mutate(
    subject: &Subject,
    chosen: &[String],
    (programs, tests): (&[&str], &[&str]),
    jobs: u64,
) -> Result<Fates, String> {
    let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut cargo = shell::cargo(&["mutants", "--package", subject.package]);
    cargo.args(["--no-times", "--minimum-test-timeout", "20", "--jobs", &jobs.to_string()]);
    cargo.arg("--output").arg(scratch.path()).args(chosen);
    cargo.args(subject.files.iter().flat_map(|file| ["--file", file]));
    cargo.args(programs.iter().map(|program| format!("--cargo-arg={program}"))).arg("--").arg("--");
    cargo.args(tests);
    if subject.slow.is_some_and(|(slow, _)| programs.contains(&slow)) {
        cargo.env("CARGO_PROFILE_DEV_OPT_LEVEL", "1");
    }
    cargo.env("CARGO_PROFILE_DEV_DEBUG", "0");
    if jobs == 1 {
        // What others wrote is built once. More jobs would wait for each other here.
        cargo.env("CARGO_TARGET_DIR", shell::root().join("target/mutants"));
    }
    let status = cargo.stdin(Stdio::null()).status().map_err(|error| format!("cargo mutants: {error}"))?;
    // 2: some survive; 3: some ended by their time limit, which is seen as well. Anything else did not try them.
    if !matches!(status.code(), Some(0 | 2 | 3)) {
        return Err(format!("cargo mutants: {status}"));
    }
    let names = |fate: &str| -> Result<Vec<String>, String> {
        let text = read(&scratch.path().join("mutants.out").join(fate))?;
        Ok(text.lines().map(str::to_owned).collect())
    };
    let (caught, late) = (names("caught.txt")?.len(), names("timeout.txt")?.len());
    let (unviable, missed) = (names("unviable.txt")?.len(), names("missed.txt")?);
    Ok(Fates { caught: caught + late, unviable, missed })
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// An expression that matches these names and no other.
fn exactly(names: &[String]) -> String {
    let escaped = names.iter().map(|name| {
        let special = |letter: char| r"\.+*?()|[]{}^$".contains(letter);
        name.chars().map(|c| if special(c) { format!("\\{c}") } else { c.to_string() }).collect::<String>()
    });
    format!("^({})$", escaped.collect::<Vec<_>>().join("|"))
}

/// Prints the survivors; those that are not explained come back.
fn told(fates: &Fates, explained: &[Explained]) -> Result<Vec<String>, String> {
    println!("\n| survivor | line of the source | why that is right |\n|---|---|---|");
    let mut wanting = Vec::new();
    for survivor in &fates.missed {
        let (mutant, line) = named(survivor)?;
        let why = explained.iter().find(|one| one.mutant == mutant && one.line == line);
        println!("| {survivor} | `{line}` | {} |", why.map_or("", |one| &one.why).replace('|', "\\|"));
        if why.is_none() {
            wanting.push(survivor.clone());
        }
    }
    Ok(wanting)
}

/// A mutant that changes nothing that matters.
#[derive(Debug, PartialEq)]
struct Explained {
    mutant: String,
    line: String,
    why: String,
}

/// Reads the list; `#` begins a comment.
fn explained(text: &str) -> Result<Vec<Explained>, String> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let read = lines.map(|line| match *line.split('\t').collect::<Vec<_>>() {
        [mutant, line, why] if !why.is_empty() => {
            Ok(Explained { mutant: mutant.into(), line: line.into(), why: why.into() })
        }
        _ => {
            Err(format!("a mutant, the line of the source and the reason are wanted, tabs between: `{line}`"))
        }
    });
    read.collect()
}

/// `FILE:LINE:COLUMN: what` as `FILE: what`, which does not change with every edit, and the line it is about.
fn named(mutant: &str) -> Result<(String, String), String> {
    let parts = (|| {
        let (place, what) = mutant.split_once(": ")?;
        let [file, line, _column] = place.split(':').collect::<Vec<_>>().try_into().ok()?;
        Some((file, line.parse::<usize>().ok()?.checked_sub(1)?, what))
    })();
    let (file, line, what) = parts.ok_or(format!("what is the mutant `{mutant}`?"))?;
    let text = read(&shell::root().join(file))?;
    let line = text.lines().nth(line).ok_or(format!("{file} changed meanwhile"))?;
    Ok((format!("{file}: {what}"), line.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_is_named_by_what_and_line_not_by_number() {
        let (name, line) = named("xtask/src/mutants.rs:1:5: replace a with b").unwrap();
        assert_eq!(name, "xtask/src/mutants.rs: replace a with b");
        assert!(line.starts_with("//! Whether the tests see"));
        assert!(named("replace a with b").is_err());
    }

    #[test]
    fn a_name_matches_itself_alone() {
        assert_eq!(exactly(&["a || b".into(), "f(x)".into()]), r"^(a \|\| b|f\(x\))$");
    }

    #[test]
    fn every_explained_mutant_has_its_line_and_reason() {
        assert!(explained("a: replace\tline\t").is_err() && explained("a: replace\tline").is_err());
        for subject in SUBJECTS {
            for one in explained(&read(&shell::root().join(subject.explained)).unwrap()).unwrap() {
                let file = one.mutant.split(": ").next().unwrap();
                let source = read(&shell::root().join(file)).unwrap();
                assert!(source.lines().any(|line| line.trim() == one.line), "no such line any more: {one:?}");
            }
        }
    }
}
