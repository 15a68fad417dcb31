//! docs/proof.md: a hand-written frame, and the sums of docs/proof.csv in it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use crate::options::Options;
use crate::record::{self, Try};
use crate::shell;

const FRAME: &str = include_str!("proof/frame.md");

/// A kind of trial.
struct Kind {
    name: &'static str,
    /// What is counted.
    what: &'static str,
    /// Zero failures bound the chance of one: the trials are drawn by chance.
    drawn: bool,
    command: &'static str,
}

const KINDS: &[Kind] = &[
    Kind {
        name: "sim",
        what: "simulated runs of the planner",
        drawn: true,
        command: "`cargo xtask sim --runs 100000 --jobs 2 --record`; a failure prints its seed, and `--seed S --runs 1` tells its story",
    },
    Kind {
        name: "states",
        what: "states of a disk after a crash",
        drawn: false,
        command: "`cargo xtask states --count 1000000 --record` draws them; `--all 12` takes every choice of up to twelve unsynced changes",
    },
    Kind {
        name: "powercut",
        what: "power cuts of a real file system",
        drawn: true,
        command: "`cargo xtask powercut --cuts 1000 --jobs 32 --record`, as root; a failure prints its seed",
    },
    Kind {
        name: "kill",
        what: "kills of the real program",
        drawn: true,
        command: "`cargo xtask crash --kills 1000 --record`",
    },
    Kind {
        name: "kill-nested",
        what: "kills of runs that go on, two to ten in each download",
        drawn: true,
        command: "`cargo xtask crash --nested --from even --kills 300 --record`",
    },
    Kind {
        name: "kill-list",
        what: "kills of lists of small files",
        drawn: true,
        command: "`cargo xtask crash --list --kills 1000 --record`",
    },
    Kind {
        name: "kill-at-call",
        what: "kills at a system call, from the first of a run to its last",
        drawn: false,
        command: "`cargo xtask crash --calls --record`",
    },
    Kind {
        name: "fuzz",
        what: "inputs that ten fuzzers tried",
        drawn: false,
        command: "`cargo xtask fuzz --record`: ten minutes each, by the nightly compiler",
    },
    Kind {
        name: "plant",
        what: "bugs planted in the planner and the engine",
        drawn: false,
        command: "`cargo xtask plant --record`",
    },
    Kind {
        name: "mutants",
        what: "small changes of the planner and the journal",
        drawn: false,
        command: "`cargo xtask mutants --shard 0/8 --record`, and with `--of journal`; every shard is another eighth",
    },
];

/// Writes the page; with `--check` says whether it is the one that the file gives.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let check = options.flag("check");
    options.no_others()?;
    let page = page(&record::all()?)?;
    let path = shell::root().join("docs/proof.md");
    if !check {
        return fs::write(&path, page).map_err(|error| format!("docs/proof.md: {error}"));
    }
    match fs::read_to_string(&path) {
        Ok(there) if there == page => Ok(()),
        Ok(_) => Err("docs/proof.md is not what docs/proof.csv gives: run `cargo xtask proof`".into()),
        Err(error) => Err(format!("docs/proof.md: {error}")),
    }
}

fn page(tries: &[Try]) -> Result<String, String> {
    if let Some(stranger) = tries.iter().find(|done| !KINDS.iter().any(|kind| kind.name == done.kind)) {
        return Err(format!(
            "docs/proof.csv has lines of the kind {}, which no promise rests on",
            stranger.kind
        ));
    }
    let mut page = String::new();
    for line in FRAME.lines() {
        match line.strip_prefix("{{").and_then(|line| line.strip_suffix("}}")) {
            None => page += line,
            Some("faults") => page += &faults(tries),
            Some("table") => page += &table(tries),
            Some("commands") => {
                let lines = KINDS.iter().map(|kind| format!("- {}: {}", kind.what, kind.command));
                page += &lines.collect::<Vec<_>>().join("\n");
            }
            Some(wish) => {
                let kind =
                    wish.strip_prefix("tried ").and_then(|name| KINDS.iter().find(|kind| kind.name == name));
                page += &tried(kind.ok_or(format!("the frame of docs/proof.md wishes for `{wish}`"))?, tries);
            }
        }
        page += "\n";
    }
    Ok(page)
}

/// The lines of a kind, summed.
struct Sums {
    tried: u64,
    failed: u64,
    /// Tried in the lines after the last one that had a failure, which was looked at and mended.
    since: u64,
    lines: usize,
}

fn sums(kind: &Kind, tries: &[Try]) -> Sums {
    let mut sums = Sums { tried: 0, failed: 0, since: 0, lines: 0 };
    for done in tries.iter().filter(|done| done.kind == kind.name) {
        sums.tried += done.count;
        sums.failed += done.failed;
        sums.since = if done.failed > 0 { 0 } else { sums.since + done.count };
        sums.lines += 1;
    }
    sums
}

fn table(tries: &[Try]) -> String {
    let mut table =
        "| kind | what | tried | failed | chance of a failure, 95 % |\n|---|---|---|---|---|".to_owned();
    for kind in KINDS {
        let sums = sums(kind, tries);
        let bound = bound(kind, &sums).unwrap_or("-".into());
        let (tried, failed) = (grouped(sums.tried), sums.failed);
        let _always = write!(table, "\n| {} | {} | {tried} | {failed} | {bound} |", kind.name, kind.what);
    }
    table
}

/// How often each kind of fault fired in the simulated runs whose lines tell it.
fn faults(tries: &[Try]) -> String {
    let (mut sum, mut runs) = (BTreeMap::<String, u64>::new(), 0);
    for done in tries.iter().filter(|done| done.kind == "sim") {
        let Some((_, kinds)) = done.note.split_once("; ") else { continue };
        runs += done.count;
        for (kind, n) in record::kinds(kinds) {
            *sum.entry(kind).or_default() += n;
        }
    }
    let kinds: Vec<String> = sum.iter().map(|(kind, n)| format!("{kind} {}", grouped(*n))).collect();
    format!("In {} of these runs, by kind: {}.", grouped(runs), kinds.join(", "))
}

/// One line of a promise.
fn tried(kind: &Kind, tries: &[Try]) -> String {
    let sums = sums(kind, tries);
    if sums.lines == 0 {
        return format!("- {}: none recorded yet.", kind.what);
    }
    let Sums { tried, failed, lines, .. } = sums;
    let mut line = format!("- {}: {} in {lines} recorded, {failed} failed", kind.what, grouped(tried));
    if let Some(bound) = bound(kind, &sums) {
        line += &format!("; {bound} for one of them");
    }
    line + "."
}

/// What zero failures since the last one say of the chance of one (the rule of three).
fn bound(kind: &Kind, sums: &Sums) -> Option<String> {
    let since = if sums.failed > 0 { " since the last failure" } else { "" };
    (kind.drawn && sums.since > 0).then(|| format!("below 3 in {}{since}", grouped(sums.since)))
}

/// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_summed_by_kind() {
        let told = |note: &str| Try { note: note.into(), ..line("sim", 10, 0) };
        let all =
            [told("9 a second and process; Kill 1 Rot 2"), told("8 a second and process; Rot 3"), told("")];
        assert_eq!(faults(&all), "In 20 of these runs, by kind: Kill 1, Rot 5.");
    }

    fn line(kind: &str, count: u64, failed: u64) -> Try {
        let (note, commit) = (String::new(), String::new());
        Try { kind: kind.into(), seed: 1, count, failed, note, commit }
    }

    #[test]
    fn lines_of_a_kind_are_summed_and_bounded() {
        let page = page(&[line("sim", 1_000, 0), line("sim", 999_000, 0), line("kill", 10, 1)]).unwrap();
        assert!(page.contains("1,000,000 in 2 recorded, 0 failed; below 3 in 1,000,000 for one of them."));
        assert!(page.contains("kills of the real program: 10 in 1 recorded, 1 failed."));
        assert!(!page.contains("{{"));
    }

    #[test]
    fn a_failure_that_was_mended_begins_the_count_anew() {
        let page = page(&[line("sim", 500, 2), line("sim", 100, 0), line("sim", 200, 0)]).unwrap();
        assert!(
            page.contains(
                "800 in 3 recorded, 2 failed; below 3 in 300 since the last failure for one of them."
            )
        );
    }

    #[test]
    fn a_kind_nobody_knows_is_not_passed_over() {
        assert!(page(&[line("sums", 1, 0)]).is_err());
    }
}
