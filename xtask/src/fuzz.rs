//! The fuzzers of fuzz/, each for some minutes from the inputs of its corpus on. What they find goes to a directory of
//! its own; an input that is worth keeping is copied to crates/fuzz/corpus by hand.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::options::Options;
use crate::record::{self, Try};
use crate::shell;

/// An address sanitizer that holds freed memory back would reach the limit by that alone.
const SANITIZER: &str = "quarantine_size_mb=8:detect_leaks=0";

/// Most memory, in MiB, and seconds for one input; longest input in bytes.
const LIMITS: [&str; 3] = ["-rss_limit_mb=256", "-timeout=25", "-max_len=4096"];

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let minutes: u64 = options.take("minutes", 10)?;
    let only = options.take("target", String::new())?;
    let record = options.flag("record");
    options.no_others()?;
    let commit = record::commit()?;
    let targets: Vec<String> =
        targets()?.into_iter().filter(|name| only.is_empty() || *name == only).collect();
    if targets.is_empty() {
        return Err(format!("there is no fuzzer {only} in fuzz/fuzz_targets"));
    }
    let mut build = Command::new("rustup");
    build.args(["run", "nightly", "cargo", "fuzz", "build", "--fuzz-dir", "."]);
    shell::run(build.current_dir(shell::root().join("fuzz"))).map_err(|why| {
        format!("{why}\nit wants the nightly compiler and `cargo install cargo-fuzz --locked`")
    })?;
    let mut problems = Vec::new();
    for target in targets {
        let (count, found) = fuzz(&target, minutes)?;
        println!("{target}: {count} runs in {minutes} minutes{}", if found { ", and a finding" } else { "" });
        if record {
            let (kind, note) = ("fuzz".into(), format!("{target}; {minutes} minutes"));
            let (failed, commit) = (u64::from(found), commit.clone());
            record::append(&Try { kind, seed: 0, count, failed, note, commit })?;
        }
        problems.extend(found.then(|| format!("{target} found an input: see above and fuzz/artifacts")));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

fn targets() -> Result<Vec<String>, String> {
    let entries = fs::read_dir(shell::root().join("fuzz/fuzz_targets"));
    let entries = entries.map_err(|error| format!("fuzz/fuzz_targets: {error}"))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// Runs one fuzzer; how many inputs it tried, and whether one of them was too much for the code.
fn fuzz(target: &str, minutes: u64) -> Result<(u64, bool), String> {
    let root = shell::root();
    let new = tempfile::tempdir().map_err(|error| error.to_string())?;
    let artifacts = root.join("fuzz/artifacts").join(target);
    fs::create_dir_all(&artifacts).map_err(|error| format!("{}: {error}", artifacts.display()))?;
    let mut fuzzer = Command::new(program(&root, target)?);
    fuzzer.arg(new.path()).arg(root.join("crates/fuzz/corpus").join(target)).args(LIMITS);
    fuzzer.arg(format!("-max_total_time={}", minutes * 60)).arg("-print_final_stats=1");
    fuzzer.arg(format!("-artifact_prefix={}/", artifacts.display())).env("ASAN_OPTIONS", SANITIZER);
    let out = fuzzer.stdin(Stdio::null()).output().map_err(|error| format!("{target}: {error}"))?;
    let said = String::from_utf8_lossy(&out.stderr);
    if !out.status.success() {
        let lines: Vec<&str> = said.lines().collect();
        println!("{}", lines[lines.len().saturating_sub(40)..].join("\n"));
    }
    let count = counted(&said).ok_or(format!("{target} did not say how many inputs it tried"))?;
    Ok((count, !out.status.success()))
}

/// Where cargo-fuzz puts it: below the name of the machine it is built for.
fn program(root: &Path, target: &str) -> Result<std::path::PathBuf, String> {
    let out = Command::new("rustc").arg("-vV").output().map_err(|error| format!("rustc: {error}"))?;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc names no host")?;
    Ok(root.join("fuzz/target").join(host).join("release").join(target))
}

fn counted(said: &str) -> Option<u64> {
    let line = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fuzzers_count_is_read() {
        let said = "Done 12 runs in 2 second(s)\nstat::number_of_executed_units: 4400123\nstat::x: 3\n";
        assert_eq!(counted(said), Some(4_400_123));
        assert!(targets().unwrap().contains(&"resume".to_owned()));
    }
}
