//! What the fuzzers run. Each target takes any bytes and checks what must hold whatever they are; the wrappers for
//! libFuzzer are in `fuzz/`, what they found worth keeping is in `corpus/`, and a test replays that.
//!
//! It does *not* look for speed or coverage; it says what is wrong by a panic.

#![allow(clippy::unwrap_used, reason = "whatever panics here is a finding")]

mod challenge;
mod client;
mod cookies;
mod fields;
mod foreign;
mod hsts;
mod input;
mod journal;
mod line;
mod metalink;
mod names;
mod netrc;
mod planner;
mod signature;
mod sums;
#[path = "../../app/src/sys.rs"]
#[allow(dead_code, unused_imports, reason = "the command uses the rest")]
mod sys;
mod zsync;

/// What takes any bytes, and panics where something does not hold.
pub type Target = fn(&[u8]);

/// Every target by the name of its corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("head", fields::head),
    ("content_range", fields::content_range),
    ("dates", fields::dates),
    ("names", names::names),
    ("redirect", names::redirect),
    ("netrc", netrc::netrc),
    ("challenge", challenge::challenge),
    ("line", line::line),
    ("sums", sums::sums),
    ("metalink", metalink::metalink),
    ("zsync", zsync::zsync),
    ("signature", signature::signature),
    ("hsts", hsts::field),
    ("hsts_file", hsts::file),
    ("cookies", cookies::cookies),
    ("set_cookie", cookies::set_cookie),
    ("foreign", foreign::foreign),
    ("planner", planner::planner),
    ("journal", journal::journal),
    ("resume", journal::resume),
    ("client", client::client),
];

/// Runs the target of that name.
///
/// # Panics
/// If there is none, or what must hold does not.
pub fn run(target: &str, data: &[u8]) {
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    (found.unwrap_or_else(|| panic!("no target `{target}`")).1)(data);
}
