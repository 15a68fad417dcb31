//! What a run was worth, by its exit code and the bytes it left.

use std::fs;
use std::path::Path;

/// How a run ended. The order is from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// Exit 0 and a version of the file as it was served, whole.
    Right,
    /// Another exit code: nothing is claimed.
    Error,
    /// Ended by a signal nobody sent.
    Crash,
    /// Still running at the limit.
    Hangs,
    /// Exit 0, and anything else at the name.
    Wrong,
}

pub(super) const VERDICTS: [Verdict; 5] =
    [Verdict::Right, Verdict::Error, Verdict::Crash, Verdict::Hangs, Verdict::Wrong];

impl Verdict {
    pub(super) fn word(self) -> &'static str {
        match self {
            Verdict::Right => "right",
            Verdict::Error => "error",
            Verdict::Crash => "crash",
            Verdict::Hangs => "hangs",
            Verdict::Wrong => "**WRONG**",
        }
    }
}

/// How many bytes decide where a piece of a file came from.
const PIECE: usize = 64;

/// Judges a run that ended with `code` (`None`: a signal) in `dir`. `versions` are all that were ever served.
pub(super) fn judge(code: Option<i32>, dir: &Path, name: &str, versions: &[Vec<u8>]) -> (Verdict, String) {
    match code {
        None => return (Verdict::Crash, "ended by a signal".into()),
        Some(0) => {}
        Some(code) => return (Verdict::Error, format!("exit {code}")),
    }
    if let Ok(got) = fs::read(dir.join(name)) {
        return if versions.contains(&got) {
            (Verdict::Right, String::new())
        } else {
            (Verdict::Wrong, describe(&got, versions))
        };
    }
    let others = fs::read_dir(dir).into_iter().flatten().flatten();
    let other = others.filter_map(|entry| Some((entry.file_name(), fs::read(entry.path()).ok()?)));
    match other.into_iter().find(|(_, got)| versions.contains(got)) {
        Some((other, _)) => (Verdict::Right, format!("as {}", other.display())),
        None => (Verdict::Wrong, "exit 0, and no file".into()),
    }
}

/// Wrong bytes in words: where they part from what was served, and what stands there instead.
fn describe(got: &[u8], versions: &[Vec<u8>]) -> String {
    let common = |version: &Vec<u8>| version.iter().zip(got).take_while(|(a, b)| a == b).count();
    let Some(best) = versions.iter().max_by_key(|version| common(version)) else { return String::new() };
    let (upto, whole, len) = (common(best), best.len(), got.len());
    if upto == len {
        return format!("the file ends after {len} of {whole} bytes");
    }
    if upto == whole {
        return format!("{} bytes too many behind the {whole} of the file", len - whole);
    }
    let of = format!("{len} bytes where the file has {whole}; the first {upto} are right, then");
    let spliced = versions.iter().any(|other| other.len() == len && other[upto..] == got[upto..]);
    if spliced {
        return format!("the first {upto} bytes are of one version, the other {} of another", len - upto);
    }
    let piece = &got[upto..len.min(upto + PIECE)];
    let origin = versions.iter().find_map(|version| find(version, piece).map(|at| (version == best, at)));
    match origin {
        _ if piece.len() >= 8 && piece.iter().all(|&byte| byte == 0) => format!("{of} zeros"),
        Some((true, at)) if piece.len() >= 8 => format!("{of} those that belong at {at}"),
        Some((false, at)) if piece.len() >= 8 => format!("{of} those of another version from its {at} on"),
        _ => format!("{of} bytes that were never in the file"),
    }
}

fn find(version: &[u8], piece: &[u8]) -> Option<usize> {
    version.windows(piece.len()).position(|window| window == piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(got: &[u8]) -> String {
        let versions = [(0..=255).collect::<Vec<u8>>(), (0..=255).rev().collect()];
        describe(got, &versions)
    }

    #[test]
    fn wrong_bytes_are_told_by_where_they_came_from() {
        let one: Vec<u8> = (0..=255).collect();
        let two: Vec<u8> = (0..=255).rev().collect();
        assert_eq!(said(&one[..100]), "the file ends after 100 of 256 bytes");
        assert_eq!(said(&[&one[..], b"xy"].concat()), "2 bytes too many behind the 256 of the file");
        let spliced = said(&[&one[..100], &two[100..]].concat());
        assert_eq!(spliced, "the first 100 bytes are of one version, the other 156 of another");
        assert!(said(&[&one[..100], &one[50..]].concat()).ends_with("those that belong at 50"));
        assert!(said(&[&one[..100], &[0; 156]].concat()).ends_with("zeros"));
        assert!(said(b"<html>not here</html>").ends_with("never in the file"));
    }

    #[test]
    fn only_an_exit_of_0_with_other_bytes_is_wrong() {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let judged = |code| judge(code, dir.path(), "f", &[b"good".to_vec()]).0;
        assert_eq!(judged(Some(0)), Verdict::Wrong, "nothing is there");
        fs::write(dir.path().join("f"), "bad").expect("it can be written");
        assert_eq!(
            [judged(Some(0)), judged(Some(1)), judged(None)],
            [Verdict::Wrong, Verdict::Error, Verdict::Crash]
        );
        fs::write(dir.path().join("f"), "good").expect("it can be written");
        assert_eq!(judged(Some(0)), Verdict::Right);
    }
}
