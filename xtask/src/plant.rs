//! The tests of the tests: each patch of crates/plan/plants puts one bug into the planner, and some test must see it.
//!
//! It is put into a copy of the tree and taken out again; the tree that is worked on is never touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::options::Options;
use crate::record::{self, Try};
use crate::shell;

const PLANTS: &str = "crates/plan/plants";

/// Tests whose seeds are fresh each time: what they see by luck is no proof.
const FRESH: &str = "fresh_seeds";

/// The fixed seeds of the simulator, which should see a bug whatever other test does.
const FIXED: &str = "fixed_seeds";

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let only = options.take("only", String::new())?;
    let record = options.flag("record");
    options.no_others()?;
    let plants = plants(&only)?;
    let commit = record::commit()?;
    let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
    copy(scratch.path())?;
    if let Some(failed) = test(scratch.path())?.first() {
        return Err(format!("{failed} fails though nothing is planted"));
    }
    println!("| plant | caught | by the fixed seeds | tests that see it |\n|---|---|---|---|");
    let mut problems = Vec::new();
    for plant in &plants {
        problems.extend(grow(plant, scratch.path())?);
    }
    if record {
        let (count, failed) = (plants.len() as u64, problems.len() as u64);
        record::append(&Try { kind: "plant".into(), seed: 0, count, failed, note: String::new(), commit })?;
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// The patches, by name.
fn plants(only: &str) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(shell::root().join(PLANTS)).map_err(|error| format!("{PLANTS}: {error}"))?;
    let mut plants: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    plants.retain(|path| path.extension().is_some_and(|extension| extension == "patch"));
    plants.retain(|path| only.is_empty() || name(path) == only);
    plants.sort();
    if plants.is_empty() { Err(format!("no plant {only} in {PLANTS}")) } else { Ok(plants) }
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
fn grow(plant: &Path, tree: &Path) -> Result<Option<String>, String> {
    let name = name(plant);
    if !apply(plant, tree, false)? {
        println!("| {name} | no longer applies | | |");
        return Ok(Some(format!("{name}: no longer applies; write it anew against the planner as it is")));
    }
    let seen = test(tree);
    if !apply(plant, tree, true)? {
        return Err(format!("{name} cannot be taken out again"));
    }
    let seen = seen.map_err(|why| format!("{name}: {why}"))?;
    let word = |yes: bool| if yes { "yes" } else { "NO" };
    let fixed = seen.iter().any(|test| test.starts_with(FIXED));
    println!("| {name} | {} | {} | {} |", word(!seen.is_empty()), word(fixed), seen.join(" "));
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

/// Runs the planner's tests in `tree`; the names of those that fail. Optimised a little, since the simulator has
/// thousands of runs to play, but with every assertion and overflow check.
fn test(tree: &Path) -> Result<Vec<String>, String> {
    let cargo = |args: &[&str]| {
        let mut cargo = shell::cargo(&["test", "--quiet", "--package", "thence-plan", "--all-targets"]);
        cargo.args(args).current_dir(tree).env("CARGO_TARGET_DIR", shell::root().join("target"));
        cargo.env("CARGO_PROFILE_DEV_OPT_LEVEL", "1").env("CARGO_PROFILE_DEV_DEBUG", "0");
        cargo.stdin(Stdio::null()).output().map_err(|error| format!("cargo test: {error}"))
    };
    let built = cargo(&["--no-run"])?;
    if !built.status.success() {
        return Err(format!("does not build:\n{}", String::from_utf8_lossy(&built.stderr)));
    }
    let out = cargo(&["--no-fail-fast", "--", "--skip", FRESH])?;
    let mut failed = failures(&String::from_utf8_lossy(&out.stdout));
    if failed.is_empty() && !out.status.success() {
        failed.push("(a test program died)".to_owned());
    }
    Ok(failed)
}

/// The names under the last `failures:` of each test program.
fn failures(out: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut listed = false;
    for line in out.lines() {
        listed = (listed && line.starts_with("    ")) || line == "failures:";
        if let Some(name) = line.strip_prefix("    ").filter(|name| listed && !name.contains(' ')) {
            found.push(name.rsplit("::").next().unwrap_or(name).to_owned());
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
        assert_eq!(failures(out), ["b", "c"]);
        assert!(failures("running 3 tests\n...\ntest result: ok. 3 passed").is_empty());
    }

    #[test]
    fn every_plant_says_what_it_is_and_what_it_changes() {
        for plant in plants("").unwrap() {
            let text = fs::read_to_string(&plant).unwrap();
            assert!(text.starts_with("Plant: ") && text.contains("\n--- a/crates/plan/src/"), "{plant:?}");
        }
    }
}
