//! Which lines the tests run, a file a line, and whether that is what we ask of it: cargo-tarpaulin counts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::options::Options;
use crate::shell;

/// Where a line that no test runs could cost a byte, a name or a password: every one must be run.
const WHOLE: &[&str] = &[
    "crates/plan/src/response.rs",
    "crates/plan/src/identity.rs",
    "crates/plan/src/head.rs",
    "crates/plan/src/name.rs",
    "crates/plan/src/disposition.rs",
    "crates/plan/src/redirect.rs",
    "crates/engine/src/journal.rs",
    "crates/engine/src/journal/format.rs",
    "crates/engine/src/journal/replay.rs",
    "crates/engine/src/http/request.rs",
    "crates/app/src/login.rs",
    "crates/app/src/netrc.rs",
];

/// Of a hundred lines of all that is in a product.
const TREE_MIN: u64 = 85;

/// Crates that serve tests alone.
const OF_TESTS: [&str; 2] = ["crates/origin/", "crates/fuzz/"];

/// What `--of` may name: the crate, and what tarpaulin is told. The planner without its simulator, which takes many
/// minutes when it is counted. The command without the tests that kill it or take its disk away at any instant: it may be
/// the one at which it writes down what it ran, and half of that is more than tarpaulin can read.
#[rustfmt::skip]
const PARTS: &[(&str, &str, &[&str])] = &[
    ("plan", "crates/plan/", &[
        "--packages", "thence-plan", "--lib", "--test", "judge", "planner", "edges", "names", "rates", "identities", "redirects",
    ]),
    ("engine", "crates/engine/", &["--packages", "thence", "--lib"]),
    ("app", "crates/app/", &[
        "--packages", "thence-cli", "--follow-exec", "--bins", "--test",
        "flags", "credentials", "ranges", "redirects", "names", "stream", "tls",
    ]),
    ("all", "crates/", &[
        "--workspace", "--exclude", "xtask", "--follow-exec", "--lib", "--bins", "--test",
        "judge", "planner", "edges", "names", "rates", "identities", "redirects",
        "library", "flags", "credentials", "ranges", "stream", "tls",
    ]),
];

/// A file's lines: those that were run, and all that could be.
#[derive(Debug, PartialEq)]
struct Counted {
    file: String,
    run: u64,
    all: u64,
    missed: Vec<u64>,
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let of = options.take("of", "all".to_owned())?;
    options.no_others()?;
    let part = PARTS.iter().find(|part| part.0 == of);
    let (_, dir, args) = part.ok_or(format!("`--of {of}`: plan, engine, app or all is wanted"))?;
    there()?;
    let counted = count(dir, args)?;
    println!("\n| file | run | of | % | lines that no test runs |\n|---|---|---|---|---|");
    for one in &counted {
        let percent = one.run * 100 / one.all.max(1);
        println!("| {} | {} | {} | {percent} | {} |", one.file, one.run, one.all, spans(&one.missed));
    }
    let (run, all) = counted.iter().fold((0, 0), |sum, one| (sum.0 + one.run, sum.1 + one.all));
    println!("| together | {run} | {all} | {} | |", run * 100 / all.max(1));
    let mut problems = short(&counted, dir);
    if of == "all" && run * 100 < all * TREE_MIN {
        problems.push(format!("the whole tree: {run} of {all} lines, {TREE_MIN} % are wanted"));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// Builds cargo-tarpaulin if it is missing.
fn there() -> Result<(), String> {
    let mut version = shell::cargo(&["tarpaulin", "--version"]);
    if version.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return Ok(());
    }
    shell::run(&mut shell::cargo(&["install", "cargo-tarpaulin", "--locked"]))
}

/// Runs the tests and reads what was counted of the files under `dir`.
fn count(dir: &str, args: &[&str]) -> Result<Vec<Counted>, String> {
    let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut cargo = shell::cargo(&["tarpaulin", "--engine", "llvm", "--skip-clean", "--locked"]);
    // Counting needs builds of its own; they would take the place of the others.
    cargo.args(["--target-dir", "target/tarpaulin", "--timeout", "1800", "--out", "Json"]);
    shell::run(cargo.arg("--output-dir").arg(scratch.path()).args(args))?;
    let path = scratch.path().join("tarpaulin-report.json");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let report: Value =
        serde_json::from_str(&text).map_err(|error| format!("tarpaulin's report: {error}"))?;
    let mut counted = read(&report, &shell::root()).ok_or("tarpaulin's report has another form")?;
    counted.retain(|one| one.file.starts_with(dir) && one.file.contains("/src/") && one.all > 0);
    // A unit test that is never run would be no test; lines of tests say nothing of the product.
    counted.retain(|one| !one.file.contains("/tests/") && !one.file.ends_with("/tests.rs"));
    counted.retain(|one| !OF_TESTS.iter().any(|of_tests| one.file.starts_with(of_tests)));
    counted.sort_by(|a, b| a.file.cmp(&b.file));
    if counted.is_empty() { Err(format!("tarpaulin counted no line of {dir}")) } else { Ok(counted) }
}

/// The report's files by their path in the repository.
fn read(report: &Value, root: &Path) -> Option<Vec<Counted>> {
    let files = report.get("files")?.as_array()?.iter().map(|file| {
        let parts = file.get("path")?.as_array()?.iter().map(Value::as_str);
        let path: PathBuf = parts.collect::<Option<_>>()?;
        let traces = file.get("traces")?.as_array()?;
        let missed = traces.iter().filter(|trace| trace["stats"]["Line"] == 0);
        Some(Counted {
            file: path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned(),
            run: file.get("covered")?.as_u64()?,
            all: file.get("coverable")?.as_u64()?,
            missed: missed.map(|trace| trace["line"].as_u64()).collect::<Option<_>>()?,
        })
    });
    files.collect()
}

/// What is asked of files under `dir` and not reached. One that was not counted at all is not reached either.
fn short(counted: &[Counted], dir: &str) -> Vec<String> {
    let asked = WHOLE.iter().filter(|file| file.starts_with(dir));
    let problem = |file: &&str| match counted.iter().find(|one| one.file == *file) {
        Some(one) if one.run == one.all => None,
        Some(one) => Some(format!("{file}: no test runs line {}", spans(&one.missed))),
        None => Some(format!("{file}: not counted")),
    };
    asked.filter_map(problem).collect()
}

/// 1 2 3 7 as 1-3 7.
fn spans(lines: &[u64]) -> String {
    let mut spans: Vec<(u64, u64)> = Vec::new();
    for &line in lines {
        match spans.last_mut() {
            Some((_, last)) if *last + 1 == line => *last = line,
            _ => spans.push((line, line)),
        }
    }
    let words = spans.iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(file: &str, run: u64, missed: &[u64]) -> Counted {
        let all = run + missed.len() as u64;
        Counted { file: file.into(), run, all, missed: missed.to_vec() }
    }

    #[test]
    fn a_report_is_read_by_file() {
        let report = r#"{"files": [{"path": ["/", "r", "a.rs"], "covered": 1, "coverable": 2, "traces":
            [{"line": 3, "stats": {"Line": 0}}, {"line": 4, "stats": {"Line": 9}}]}]}"#;
        let read = read(&serde_json::from_str(report).unwrap(), Path::new("/r"));
        assert_eq!(read, Some(vec![counted("a.rs", 1, &[3])]));
    }

    #[test]
    fn one_line_too_few_and_a_file_not_counted_are_told() {
        let plan = ["response", "identity", "head", "name", "disposition"];
        let mut files: Vec<_> =
            plan.iter().map(|name| counted(&format!("crates/plan/src/{name}.rs"), 9, &[])).collect();
        assert_eq!(short(&files, "crates/plan/"), ["crates/plan/src/redirect.rs: not counted"]);
        files.push(counted("crates/plan/src/redirect.rs", 9, &[1, 2, 3, 7]));
        assert_eq!(short(&files, "crates/plan/"), ["crates/plan/src/redirect.rs: no test runs line 1-3 7"]);
    }

    #[test]
    fn every_file_that_must_be_run_whole_exists() {
        assert!(WHOLE.iter().all(|file| shell::root().join(file).is_file()));
    }
}
