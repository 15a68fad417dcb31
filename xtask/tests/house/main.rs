//! The house rules of CONTRIBUTING.md as tests: they read the sources as text and build nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod documents;
mod graph;
mod source;

use std::collections::BTreeSet;

use graph::Graph;
use source::{Source, sources};

/// Longest file, in lines, and longest function, in lines that hold code. Past them a reader loses the
/// thread; clippy counts functions too, but not inside tests' helpers or macros.
const FILE_MAX: usize = 800;
const FUNCTION_MAX: usize = 70;

/// The modules of each crate from low to high: a module may use those before it and none after it, so no
/// two can come to depend on each other. What only describes (limits, failures, names) is low; what decides
/// upon it stands above; what drives it all is last. The crate's root is a map over all of them and nobody
/// uses an item of its own.
#[rustfmt::skip]
const ORDER: &[(&str, &[&str])] = &[
    ("crates/plan", &[
        "limits", "date", "escape", "failure", "head", "digest", "sums", "identity", "disposition", "name", "metalink", "zsync", "foreign", "record", "redirect", "link", "hsts",
        "response", "retry", "rate", "crowd", "event", "machine", "auto", "hosts", "source", "blocks", "small", "lanes", "job", "run",
    ]),
    ("crates/engine", &[
        "error", "secret", "planted", "sys", "signature", "journal", "mark", "lock", "direct", "file", "standing", "write", "verify", "publish", "pairs", "find", "seed", "adopt", "inspect", "renew", "cookies",
        "options", "orders", "hsts", "http", "decode", "sink", "stream", "toll", "lane", "describe", "follow", "finish", "work", "start", "group", "ledger", "list", "drive", "download", "engine",
    ]),
    ("crates/app", &[
        "printable", "exit", "sys", "say", "netrc", "login", "values", "list", "proof", "entries", "shell", "curl", "cookies", "flags", "pasted", "renew", "meant",
        "progress", "words", "json", "report", "aside", "sums", "signatures", "described", "tally", "drive", "get", "lists", "status", "verify",
    ]),
    ("crates/origin", &[
        "files", "request", "wire", "reply", "scripted", "honest", "logins", "behaviours", "ca", "frames", "real", "proxies", "chance", "disks", "journals", "memory", "leaks", "trial",
        "kills", "lists", "powercuts", "steps",
    ]),
    ("crates/fuzz", &["input", "sys", "netrc", "challenge", "line", "sums", "metalink", "zsync", "signature", "hsts", "cookies", "foreign", "fields", "names", "planner", "client", "journal"]),
    ("xtask", &["options", "shell", "packages", "record", "proof", "rows", "sim", "states", "plant", "mutants", "coverage", "fuzz", "bench", "test", "crash", "powercut", "hostile", "limits", "origin", "picture"]),
    ("bench", &["bare", "files", "link", "flows", "wire", "side", "measure", "verdict", "machine", "server", "scenes", "neighbour", "stage", "programs", "shaped", "trace", "plot", "peers", "bulk", "small", "resume", "start", "growth", "report"]),
];

/// Words that must not appear, and where: unfinished work, and rooms without a name.
const FORBIDDEN: &[&str] = &["todo!", "unimplemented!", "FIXME", "mod util", "mod utils", "mod common"];

/// Findings about work under way, word for word. One that is no longer found fails a test of its own, so
/// none is left behind.
const PENDING: &[&str] = &[];

/// What the planner may not touch (invariant: time, chance and bytes are arguments). `SystemTime` as a type
/// is allowed, since a head's date is one; asking for the time is not.
const IMPURE: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    ".elapsed()",
    "std::fs",
    "std::net",
    "std::thread",
    "std::env",
    "std::io",
    "std::process",
    "std::sync",
    "tokio",
    "async fn",
    "RandomState",
];

/// Libraries that one place alone knows, so that another can take their stead: word and places.
const WALLS: &[(&str, &[&str])] = &[
    ("rustix::", &["crates/engine/src/sys", "crates/app/src/sys.rs", "crates/origin/", "xtask/", "bench/"]),
    ("libc::", &["crates/engine/src/http/dial.rs"]),
    ("hyper::", &["crates/engine/src/http/"]),
    ("secrecy::", &["crates/engine/src/secret.rs"]),
    ("rustls::", &["crates/engine/src/http/", "crates/origin/"]),
    ("clap::", &["crates/app/src/flags.rs"]),
    ("indicatif::", &["crates/app/src/progress.rs", "crates/app/src/report.rs", "crates/app/src/tally.rs"]),
];

#[test]
fn no_file_is_too_long() {
    none(long_files());
}

#[test]
fn no_function_is_too_long() {
    none(long_functions());
}

#[test]
fn modules_use_only_what_is_below_them() {
    none(upward_uses());
}

#[test]
fn no_modules_depend_on_each_other() {
    none(cycles());
}

#[test]
fn nothing_is_unfinished_or_nameless() {
    none(forbidden_words());
}

#[test]
fn the_planner_touches_no_clock_file_socket_or_thread() {
    none(impure_words());
}

#[test]
fn system_calls_http_and_tls_stay_in_their_rooms() {
    none(strayed_words());
}

#[test]
fn every_limit_bounds_something_and_tells_its_default() {
    none(documents::idle_limits(&sources()));
    none(documents::bare_limits(include_str!("../../../crates/plan/src/limits.rs")));
}

#[test]
fn every_test_that_a_document_names_exists() {
    none(documents::unknown_tests(&sources()));
}

#[test]
fn the_proof_is_what_its_numbers_give() {
    let said =
        std::process::Command::new(env!("CARGO_BIN_EXE_xtask")).args(["proof", "--check"]).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

#[test]
fn every_crate_stands_in_the_order() {
    let crates =
        sources().into_iter().filter_map(|source| Some(source.path.split_once("/src/")?.0.to_owned()));
    let unknown: BTreeSet<String> =
        crates.filter(|krate| !ORDER.iter().any(|(known, _)| known == krate)).collect();
    none(unknown.into_iter().collect());
}

#[test]
fn every_dependency_has_its_reason() {
    let root = source::root();
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let reasons = std::fs::read_to_string(root.join("docs/dependencies.md")).unwrap();
    let (_, table) = manifest.split_once("[workspace.dependencies]").unwrap();
    let mut names = wanted(table);
    let bench = std::fs::read_to_string(root.join("bench/Cargo.toml")).unwrap();
    for section in ["\n[dependencies]", "\n[dev-dependencies]"] {
        names.extend(wanted(bench.split_once(section).unwrap().1));
    }
    let missing = names.iter().filter(|name| !reasons.contains(&format!("`{name}`")));
    none(missing.map(|name| format!("docs/dependencies.md has no line for `{name}`")).collect());
    let cells = reasons.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let told = cells.flat_map(|cell| cell.split([',', ' ', '`'])).filter(|name| !name.is_empty());
    let stale = told.filter(|name| !names.contains(name) && !name.starts_with("thence-"));
    none(stale.map(|name| format!("docs/dependencies.md tells of `{name}`, which is not used")).collect());
}

/// Crates that are not ours, of a table of dependencies.
fn wanted(table: &str) -> Vec<&str> {
    let lines = table.lines().skip(1).take_while(|line| !line.starts_with('['));
    lines.filter(|line| !line.contains("path =")).filter_map(|line| Some(line.split_once(" = ")?.0)).collect()
}

#[test]
fn nothing_pending_is_done_already() {
    let found =
        [long_files(), long_functions(), upward_uses(), cycles(), forbidden_words(), impure_words()].concat();
    let done = PENDING.iter().filter(|pending| !found.iter().any(|problem| problem == *pending));
    let done: Vec<String> = done.map(|pending| format!("drop from PENDING: {pending}")).collect();
    assert!(done.is_empty(), "\n  {}\n", done.join("\n  "));
}

fn long_files() -> Vec<String> {
    let lines = |source: &Source| source.text.lines().count();
    let long = sources().into_iter().filter(|source| lines(source) > FILE_MAX);
    long.map(|source| format!("{}: {} lines", source.path, lines(&source))).collect()
}

fn long_functions() -> Vec<String> {
    let mut found = Vec::new();
    for source in sources() {
        let long = source.functions().into_iter().filter(|function| function.lines > FUNCTION_MAX);
        found.extend(
            long.map(|f| format!("{}: {} on line {} has {} lines", source.path, f.name, f.line, f.lines)),
        );
    }
    found
}

fn upward_uses() -> Vec<String> {
    ORDER.iter().flat_map(|(krate, order)| graph(krate).upward(krate, order)).collect()
}

fn cycles() -> Vec<String> {
    ORDER.iter().flat_map(|(krate, _)| graph(krate).cycles(krate)).collect()
}

fn forbidden_words() -> Vec<String> {
    let mut found = Vec::new();
    // Comments count: a debt is one wherever it stands. These tests have to spell the words.
    for source in sources().iter().filter(|source| !source.path.starts_with("xtask/tests/house")) {
        let words = FORBIDDEN.iter().filter(|word| source.text.contains(**word));
        found.extend(words.map(|word| format!("{}: `{word}`", source.path)));
        let name = source.path.rsplit('/').next().unwrap();
        if ["util.rs", "utils.rs", "common.rs"].contains(&name) {
            found.push(format!("{}: a room is named by what is in it", source.path));
        }
    }
    found
}

fn impure_words() -> Vec<String> {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| source.path.starts_with("crates/plan/src/")) {
        let words = IMPURE.iter().filter(|word| source.production().contains(**word));
        found.extend(words.map(|word| format!("{}: `{word}`", source.path)));
    }
    found
}

fn strayed_words() -> Vec<String> {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| source.path.contains("/src/")) {
        let strayed = WALLS.iter().filter(|(word, places)| {
            !places.iter().any(|place| source.path.starts_with(place)) && source.production().contains(word)
        });
        found.extend(strayed.map(|(word, _)| format!("{}: `{word}` does not belong there", source.path)));
    }
    found
}

fn graph(krate: &str) -> Graph {
    let dir = format!("{krate}/src/");
    Graph::new(&sources().into_iter().filter(|source| source.path.starts_with(&dir)).collect::<Vec<Source>>())
}

fn none(found: Vec<String>) {
    let new: Vec<String> = found.into_iter().filter(|problem| !PENDING.contains(&problem.as_str())).collect();
    assert!(new.is_empty(), "\n  {}\n", new.join("\n  "));
}

/// A rule that never fires holds nothing; each is shown one fault here.
mod the_rules_bite {
    use super::*;

    fn krate(files: &[(&str, &str)]) -> Graph {
        let sources = files.iter().map(|(name, text)| Source::new(&format!("crates/x/src/{name}"), text));
        Graph::new(&sources.collect::<Vec<_>>())
    }

    #[test]
    fn on_an_upward_use_and_an_unknown_module() {
        let graph = krate(&[
            ("lib.rs", "mod low; mod high; mod new; pub use high::Thing;"),
            ("low.rs", "use crate::Thing; // a use through the root is a use"),
            ("high.rs", "use crate::{low::{A, B}};"),
            ("new.rs", ""),
        ]);
        let found = graph.upward("crates/x", &["low", "high"]).join("\n");
        assert!(found.contains("low uses high") && found.contains("`new` is not in ORDER"), "{found}");
        assert!(!found.contains("high uses low"), "{found}");
        assert!(graph.cycles("crates/x").join("").contains("low"));
    }

    #[test]
    fn on_a_cycle_between_a_room_and_its_parts() {
        let graph = krate(&[
            ("lib.rs", "mod room;"),
            ("room/mod.rs", "mod part; pub use part::Part; struct Door;"),
            (
                "room/part.rs",
                "use super::Door; #[cfg(test)] mod tests { use super::*; use crate::room::Door; }",
            ),
        ]);
        assert_eq!(graph.cycles("crates/x").len(), 1);
    }

    #[test]
    fn not_on_text_tests_or_extern_crates() {
        let graph = krate(&[
            ("lib.rs", "mod a; mod b;"),
            (
                "a.rs",
                "// crate::b\nconst X: &str = \"crate::b\"; #[cfg(test)] mod tests { use crate::b::B; }",
            ),
            (
                "b.rs",
                "use other::a; const C: char = '\"'; use crate::a::X; const D: &str = r#\"crate::b \" \"#;",
            ),
        ]);
        assert_eq!(graph.upward("crates/x", &["a", "b"]), Vec::<String>::new());
    }

    #[test]
    fn not_on_a_module_inside_a_file() {
        let graph = krate(&[
            ("lib.rs", "mod a;"),
            ("a.rs", "struct A; mod portable { use super::A; mod deep { use super::super::A; } } mod tests;"),
            ("a/tests.rs", "use super::*;"),
        ]);
        assert_eq!(graph.upward("crates/x", &["a"]), Vec::<String>::new());
    }

    #[test]
    fn on_names_of_tests_in_documents() {
        let text = "`no_such_test_here` of `Limits` and `thence_portable`, `p3_a_kill_costs`";
        assert_eq!(documents::test_names(text), ["no_such_test_here", "p3_a_kill_costs"]);
    }

    #[test]
    fn on_a_limit_that_nobody_reads() {
        let limits = Source::new(
            "crates/plan/src/limits.rs",
            "pub struct Limits {\n    pub stall: u8,\n    pub idle: u8,\n}",
        );
        let reader = Source::new("crates/plan/src/x.rs", "fn a(l: &Limits) -> u8 { l.stall }");
        assert_eq!(documents::idle_limits(&[limits, reader]), ["Limits::idle bounds nothing"]);
    }

    #[test]
    fn on_a_long_function() {
        let body = "    let a = \"}\"; // }\n\n".repeat(71);
        let source =
            Source::new("x.rs", &format!("fn short(a: [u8; 3]) {{}}\nfn long<'a>() -> [u8; 2] {{\n{body}}}"));
        let functions: Vec<_> = source.functions().into_iter().map(|f| (f.name, f.line, f.lines)).collect();
        assert_eq!(functions, [("short".to_owned(), 1, 1), ("long".to_owned(), 2, 73)]);
    }
}
