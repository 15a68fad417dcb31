//! docs/proof.csv: what was tried, a line a try. Only appended to; `proof` makes a page of it.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use crate::shell;

/// The first line of the file.
pub(crate) const HEADER: &str = "date,kind,seed,count,failed,note,commit";

/// One try: so many runs from this seed on, so many of them wrong.
pub(crate) struct Try {
    pub(crate) kind: String,
    pub(crate) seed: u64,
    pub(crate) count: u64,
    pub(crate) failed: u64,
    pub(crate) note: String,
    /// What [`commit`] said when it was built.
    pub(crate) commit: String,
}

pub(crate) fn path() -> PathBuf {
    shell::root().join("docs/proof.csv")
}

/// The commit that is tried; `+` marks one that was changed since. To be asked before a long try, not after it.
pub(crate) fn commit() -> Result<String, String> {
    said(Command::new("git").args(["describe", "--always", "--exclude=*", "--dirty=+"]))
}

/// Appends a line with today's date.
pub(crate) fn append(done: &Try) -> Result<(), String> {
    let date = said(Command::new("date").args(["-u", "+%F"]))?;
    let line = format!(
        "{date},{},{},{},{},{},{}",
        done.kind, done.seed, done.count, done.failed, done.note, done.commit
    );
    if done.note.contains([',', '\n']) {
        return Err(format!("a note may hold no comma: {}", done.note));
    }
    println!("docs/proof.csv: {line}");
    let file = OpenOptions::new().append(true).open(path());
    file.and_then(|mut file| writeln!(file, "{line}")).map_err(|error| format!("docs/proof.csv: {error}"))
}

/// Every line of the file.
pub(crate) fn all() -> Result<Vec<Try>, String> {
    let text = fs::read_to_string(path()).map_err(|error| format!("docs/proof.csv: {error}"))?;
    let mut lines = text.lines();
    if lines.next() != Some(HEADER) {
        return Err(format!("docs/proof.csv does not begin with `{HEADER}`"));
    }
    lines.map(|line| read(line).ok_or_else(|| format!("docs/proof.csv: what is `{line}`?"))).collect()
}

/// Reads `N what, F failed, ...`, the last line of whoever counts.
pub(crate) fn counted(line: &str, what: &str) -> Option<(u64, u64)> {
    let (count, rest) = line.split_once(&format!(" {what}, "))?;
    Some((count.parse().ok()?, rest.split_once(" failed")?.0.parse().ok()?))
}

/// Kinds and their numbers: `Kill 3 Rot 1`.
pub(crate) fn kinds(words: &str) -> BTreeMap<String, u64> {
    let words: Vec<&str> = words.split_whitespace().collect();
    let pairs = words.chunks_exact(2);
    pairs.filter_map(|pair| Some((pair[0].to_owned(), pair[1].parse().ok()?))).collect()
}

fn read(line: &str) -> Option<Try> {
    let [_date, kind, seed, count, failed, note, commit] =
        line.split(',').collect::<Vec<_>>().try_into().ok()?;
    Some(Try {
        kind: kind.to_owned(),
        seed: seed.parse().ok()?,
        count: count.parse().ok()?,
        failed: failed.parse().ok()?,
        note: note.to_owned(),
        commit: commit.to_owned(),
    })
}

fn said(command: &mut Command) -> Result<String, String> {
    let out = command.current_dir(shell::root()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if !out.status.success() {
        return Err(format!("{command:?}: {}", out.status));
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_read() {
        assert_eq!(counted("200 runs, 3 failed, 99 steps, 12 runs a second", "runs"), Some((200, 3)));
        assert_eq!(counted("seed 7: 3 runs of it", "runs"), None);
        assert_eq!(counted("1000 states, 2 failed, 4151 a second", "states"), Some((1000, 2)));
        assert_eq!(counted("one run: 100 states, 0 failed", "states"), None);
    }

    #[test]
    fn a_line_is_read_whole_or_not_at_all() {
        let line = "2026-01-02,sim,5,1000,0,two jobs,abc1234";
        assert!(
            read(line).is_some_and(|done| (done.seed, done.count) == (5, 1000) && done.note == "two jobs")
        );
        assert!(read("2026-01-02,sim,5,1000,0,one, two,abc1234").is_none());
        assert!(read("2026-01-02,sim,5,many,0,,abc1234").is_none());
    }
}
