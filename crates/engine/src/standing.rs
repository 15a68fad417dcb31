//! The finished file that stands where a download's would: may its source be asked whether it has another version?
//!
//! What it is of, its mark tells, with the validators that it was published with. A file that was written to since is no
//! version of anything; one without a mark (a file system has none, or another program fetched it) has its time alone.

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use thence_plan::{Identity, as_http_date, choose_name};

use crate::file;
use crate::mark::Mark;
use crate::sys::{self, Dir, DiskError, Entry, Facts};

/// Numbered names that are looked at, as when a finished file is looked for.
const NUMBERS: u32 = 100;

/// A file that a newer version of itself may replace.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    /// Its name, in the download's directory.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What it was when it was looked at: only this very file is replaced.
    pub(crate) facts: Facts,
    /// Which version it is, as far as is known.
    pub(crate) version: Identity,
    /// Its mark says so; else its time alone.
    pub(crate) marked: bool,
}

/// What stands there.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The file, if there is one.
    pub(crate) standing: Option<Standing>,
    /// One that was of this source until somebody wrote to it.
    pub(crate) edited: Option<PathBuf>,
}

/// Looks for a file of `url` under the chosen name, or the URL's and those numbered after it. One without a mark counts only
/// under the name itself, and if no other is there.
pub(crate) fn find(dir: &Dir, chosen: Option<&str>, url: &str) -> Result<Found, DiskError> {
    let name = chosen.map_or_else(|| choose_name(None, url).as_str().to_owned(), str::to_owned);
    let (mut found, mut unmarked) = (Found::default(), None);
    for number in 0..if chosen.is_some() { 1 } else { NUMBERS } {
        let entry = dir.entry(file::numbered(&name, number));
        let Some(facts) = sys::facts_at(&entry)? else { break };
        if !facts.regular {
            continue;
        }
        match look(&entry, url)? {
            Some(Seen::Version(standing)) => {
                found.standing = Some(standing);
                return Ok(found);
            }
            Some(Seen::Edited) => _ = found.edited.get_or_insert(entry.path().into()),
            Some(Seen::Unmarked(standing)) if number == 0 => unmarked = Some(standing),
            Some(Seen::Unmarked(_) | Seen::Other) | None => {}
        }
    }
    found.standing = unmarked;
    Ok(found)
}

/// The file at `entry`, if its mark says that it is of `url`, and that it was not written to since.
pub(crate) fn marked(entry: &Entry, url: &str) -> Result<Option<Standing>, DiskError> {
    if sys::facts_at(entry)?.is_none_or(|facts| !facts.regular) {
        return Ok(None);
    }
    Ok(match look(entry, url)? {
        Some(Seen::Version(standing)) => Some(standing),
        _ => None,
    })
}

enum Seen {
    Version(Standing),
    Edited,
    Unmarked(Standing),
    Other,
}

fn look(entry: &Entry, url: &str) -> Result<Option<Seen>, DiskError> {
    let Some((file, facts)) = sys::open_regular(entry, false)? else { return Ok(None) };
    let path = entry.path();
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let standing =
        |version, marked| Standing { name: name.clone(), path: path.into(), facts, version, marked };
    Ok(Some(match Mark::of(&file) {
        Some(mark) if !mark.is_of(url) => Seen::Other,
        Some(Mark::File { bytes, mtime, etag, modified, .. })
            if (bytes, mtime) == (facts.size, facts.mtime) =>
        {
            Seen::Version(standing(
                Identity { total: Some(bytes), etag, modified, ..Identity::default() },
                true,
            ))
        }
        Some(Mark::File { .. }) => Seen::Edited,
        Some(Mark::Part { .. }) => Seen::Other,
        None => {
            let seconds = u64::try_from(facts.mtime / 1_000_000_000).ok();
            let modified = seconds.and_then(as_http_date);
            Seen::Unmarked(standing(
                Identity { total: Some(facts.size), modified, ..Identity::default() },
                false,
            ))
        }
    }))
}
