//! The tests of the tests: each patch of crates/*/plants puts one bug into that crate, and some test must see it.
//!
//! It is put into a copy of the tree and taken out again; the tree that is worked on is never touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::options::Options;
use crate::record::{self, Try};
use crate::shell;

/// A crate whose bugs are planted, and the tests that are to see them.
struct Nursery {
    dir: &'static str,
    tests: &'static [&'static str],
    /// Optimised a little, with every assertion and overflow check: the simulator has thousands of runs to play.
    fast: bool,
}

const NURSERIES: &[Nursery] = &[
    Nursery { dir: "crates/plan/plants", tests: &["--package", "thence-plan", "--all-targets"], fast: true },
    Nursery { dir: "crates/engine/plants", tests: &["--package", "thence", "--lib"], fast: false },
];

/// Tests whose seeds are fresh each time: what they see by luck is no proof.
const FRESH: &str = "fresh_seeds";

/// Seconds that building or testing may take, and what `timeout` says when they are over.
const PATIENCE: &str = "900";
const TIMED_OUT: i32 = 124;

/// Tests named in a line.
const SHOWN: usize = 6;

/// Which layer a test belongs to, by its full name; the last one is every other test.
const LAYERS: &[(&str, &str)] = &[
    ("simulator", "fixed_seeds"),
    ("the simulator's ledger", "the_ledger"),
    ("crash states", "states::"),
    ("disk faults", "faults::"),
    ("HTTP", "http::"),
    ("tests of the part", ""),
];

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let only = options.take("only", String::new())?;
    let of = options.take("of", String::new())?;
    let record = options.flag("record");
    options.no_others()?;
    let commit = record::commit()?;
    let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
    copy(scratch.path())?;
    println!("| plant | caught | by | tests that see it |\n|---|---|---|---|");
    let (mut count, mut problems) = (0, Vec::new());
    for nursery in NURSERIES.iter().filter(|nursery| nursery.dir.contains(&of)) {
        let plants = plants(nursery, &only)?;
        if let Some(failed) =
            plants.first().map_or(Ok(None), |_| test(scratch.path(), nursery, &[]).map(first))?
        {
            return Err(format!("{failed} fails though nothing is planted"));
        }
        for plant in &plants {
            problems.extend(grow(nursery, plant, scratch.path())?);
        }
        count += plants.len() as u64;
    }
    if count == 0 {
        return Err(format!("there is no plant {only}"));
    }
    if record {
        let failed = problems.len() as u64;
        record::append(&Try { kind: "plant".into(), seed: 0, count, failed, note: String::new(), commit })?;
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

fn first(failed: Vec<String>) -> Option<String> {
    failed.into_iter().next()
}

/// The patches, by name.
fn plants(nursery: &Nursery, only: &str) -> Result<Vec<PathBuf>, String> {
    let dir = shell::root().join(nursery.dir);
    let entries = fs::read_dir(dir).map_err(|error| format!("{}: {error}", nursery.dir))?;
    let mut plants: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    plants.retain(|path| path.extension().is_some_and(|extension| extension == "patch"));
    plants.retain(|path| only.is_empty() || name(path) == only);
    plants.sort();
    Ok(plants)
}

fn name(plant: &Path) -> String {
    plant.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Every file that git knows, as it is now.
fn copy(to: &Path) -> Result<(), String> {
    let out = Command::new("git").arg("ls-files").current_dir(shell::root()).output();
    let out = out.map_err(|error| format!("git ls-files: {error}"))?;
    for file in String::from_utf8_lossy(&out.stdout).lines() {
        let (from, to) = (shell::root().join(file), to.join(file));
        let made = to.parent().map_or(Ok(()), fs::create_dir_all);
        // One that git knows and that is gone is not needed.
        if from.is_file() {
            made.and_then(|()| fs::copy(&from, &to)).map_err(|error| format!("{}: {error}", to.display()))?;
        }
    }
    Ok(())
}

/// Plants one bug, prints which tests see it, and takes it out again. What comes back is what is wrong with that.
fn grow(nursery: &Nursery, plant: &Path, tree: &Path) -> Result<Option<String>, String> {
    let name = name(plant);
    if !apply(plant, tree, false)? {
        println!("| {name} | no longer applies | | |");
        return Ok(Some(format!("{name}: no longer applies; write it anew against the source as it is")));
    }
    let said = tests_of(plant)?;
    let seen = test(tree, nursery, &said);
    if !apply(plant, tree, true)? {
        return Err(format!("{name} cannot be taken out again"));
    }
    let seen = seen.map_err(|why| format!("{name}: {why}"))?;
    let caught = if seen.is_empty() { "NO" } else { "yes" };
    let by = if said.is_empty() { layers(&seen).join(" and ") } else { "the command's tests".into() };
    println!("| {name} | {caught} | {by} | {} |", shown(&seen));
    Ok(seen.is_empty().then(|| format!("{name}: no test sees it")))
}

/// False if it does not fit.
fn apply(plant: &Path, tree: &Path, reverse: bool) -> Result<bool, String> {
    let mut git = Command::new("git");
    git.arg("apply").args(reverse.then_some("--reverse")).arg(plant).current_dir(tree);
    // The copy may lie below some other repository, whose paths are not meant.
    git.env("GIT_CEILING_DIRECTORIES", tree.parent().unwrap_or(tree));
    git.status().map(|status| status.success()).map_err(|error| format!("git apply: {error}"))
}

/// The layers that these tests belong to.
fn layers(seen: &[String]) -> Vec<&'static str> {
    let layer = |test: &String| LAYERS.iter().position(|(_, part)| test.contains(part)).unwrap_or(0);
    let mut found: Vec<usize> = seen.iter().map(layer).collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(|index| LAYERS[index].0).collect()
}

/// The first of them by their last names: a bad bug fails a hundred.
fn shown(seen: &[String]) -> String {
    let last = |test: &String| test.rsplit("::").next().unwrap_or(test).to_owned();
    let names: Vec<String> = seen.iter().take(SHOWN).map(last).collect();
    let more = seen.len().saturating_sub(SHOWN);
    names.join(" ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
}

/// What its line `Tests: ` says, if it has one: it is to be seen by the command as it is built, not in the crate.
fn tests_of(plant: &Path) -> Result<Vec<String>, String> {
    let text = fs::read_to_string(plant).map_err(|error| format!("{}: {error}", plant.display()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Tests: ")).unwrap_or_default();
    Ok(line.split_whitespace().map(str::to_owned).collect())
}

/// Runs the tests of a crate in `tree`, or those that are `said`; the full names of those that fail.
fn test(tree: &Path, nursery: &Nursery, said: &[String]) -> Result<Vec<String>, String> {
    let cargo = |args: &[&str]| {
        // Some bugs make a test wait for ever: that is seeing it as well.
        let mut cargo = Command::new("timeout");
        cargo
            .args(["--kill-after", "10", PATIENCE, "cargo", "test", "--quiet"])
            .args(if said.is_empty() {
                nursery.tests.iter().map(|&arg| arg.to_owned()).collect()
            } else {
                said.to_vec()
            })
            .args(args)
            .current_dir(tree);
        // Its own: cargo takes two trees with one layout for one.
        cargo.env("CARGO_TARGET_DIR", shell::root().join("target/plants"));
        if nursery.fast {
            cargo.env("CARGO_PROFILE_DEV_OPT_LEVEL", "1").env("CARGO_PROFILE_DEV_DEBUG", "0");
        }
        cargo.stdin(Stdio::null()).output().map_err(|error| format!("cargo test: {error}"))
    };
    let built = cargo(&["--no-run"])?;
    if !built.status.success() {
        return Err(format!("does not build:\n{}", String::from_utf8_lossy(&built.stderr)));
    }
    let out = cargo(&["--no-fail-fast", "--", "--skip", FRESH])?;
    let mut failed = failures(&String::from_utf8_lossy(&out.stdout));
    if failed.is_empty() && !out.status.success() {
        let hung = out.status.code() == Some(TIMED_OUT);
        failed.push(if hung { "(a test hung)" } else { "(a test program died)" }.to_owned());
    }
    Ok(failed)
}

/// The full names under the last `failures:` of each test program.
fn failures(out: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut listed = false;
    for line in out.lines() {
        listed = (listed && line.starts_with("    ")) || line == "failures:";
        if let Some(name) = line.strip_prefix("    ").filter(|name| listed && !name.contains(' ')) {
            found.push(name.to_owned());
        }
    }
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_tests_are_read_by_name() {
        let out = "failures:\n\n---- a::b stdout ----\nseed 5: hang\n\n\nfailures:\n    a::b\n    c\n\ntest result: FAILED.";
        assert_eq!(failures(out), ["a::b", "c"]);
        assert!(failures("running 3 tests\n...\ntest result: ok. 3 passed").is_empty());
    }

    #[test]
    fn every_plant_says_what_it_is_and_fits_the_source() {
        for nursery in NURSERIES {
            let source = format!("\n--- a/{}/src/", nursery.dir.trim_end_matches("/plants"));
            for plant in plants(nursery, "").unwrap() {
                let text = fs::read_to_string(&plant).unwrap();
                assert!(text.starts_with("Plant: ") && text.contains(&source), "{plant:?}");
                let mut git = Command::new("git");
                let fits =
                    git.args(["apply", "--check"]).arg(&plant).current_dir(shell::root()).output().unwrap();
                assert!(fits.status.success(), "{}", String::from_utf8_lossy(&fits.stderr));
            }
        }
    }

    #[test]
    fn a_test_belongs_to_the_layer_that_its_name_tells() {
        let seen =
            ["tests::states::scenes::a", "fixed_seeds_first_half", "tests::faults::b", "file::tests::c"];
        let seen = seen.map(str::to_owned);
        assert_eq!(layers(&seen), ["simulator", "crash states", "disk faults", "tests of the part"]);
        assert_eq!(shown(&seen[..2]), "a fixed_seeds_first_half");
    }
}
