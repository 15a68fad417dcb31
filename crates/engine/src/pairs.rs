//! The pairs of a directory, by the URLs that they were begun with.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use thence_plan::{Begin, Limits};

use crate::file::{self, Pair};
use crate::journal;
use crate::sys::{self, Dir, DiskError};

/// A directory is not read again within this time.
const LATELY: Duration = Duration::from_secs(1);

/// Every readable journal among the first entries of `dir`: its pair's name and its first record.
pub(crate) fn journals_in(dir: &Dir, limits: &Limits) -> Result<Vec<(String, Begin)>, DiskError> {
    Ok(journals_among(dir, &sys::names_in(dir, limits.directory_entries)?.0))
}

/// The same among these names of it.
fn journals_among(dir: &Dir, entries: &[String]) -> Vec<(String, Begin)> {
    let names =
        entries.iter().filter_map(|name| name.strip_suffix(".thence")).filter(|name| !name.is_empty());
    // One that cannot be opened or read is none of ours, and no reason to stop.
    let begin = |name: &str| {
        let (file, _) = sys::open_regular(&file::journal_at(dir, name), false).ok()??;
        journal::peek(&file).ok()?.ok()
    };
    names.filter_map(|name| Some((name.to_owned(), begin(name)?))).collect()
}

/// Names of the pairs among these names of `dir`, in order, by the URLs that they were begun with. What was put aside is
/// none to go on with.
pub(crate) fn by_url(dir: &Dir, entries: &[String]) -> HashMap<String, Vec<String>> {
    let mut pairs: HashMap<String, Vec<String>> = HashMap::new();
    for (name, begin) in journals_among(dir, entries) {
        if name != file::old_name(&begin.name) {
            pairs.entry(begin.url).or_default().push(name);
        }
    }
    pairs.values_mut().for_each(|names| names.sort());
    pairs
}

/// What the directory that was read last had: of many downloads begun one after the other, each would read all of it.
/// What another process begins there meanwhile is its own, and is met when a file gets its name.
#[derive(Default)]
pub(crate) struct Lately(Mutex<Option<Listing>>);

struct Listing {
    path: PathBuf,
    read: Instant,
    pairs: HashMap<String, Vec<String>>,
}

impl Lately {
    /// Names of the pairs in `dir` that were begun with this URL, in order.
    pub(crate) fn of(&self, dir: &Dir, url: &str, limits: &Limits) -> Result<Vec<String>, DiskError> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |last: &Listing| last.path == dir.path() && last.read.elapsed() < LATELY;
        if !last.as_ref().is_some_and(known) {
            let (read, entries) = (Instant::now(), sys::names_in(dir, limits.directory_entries)?.0);
            *last = Some(Listing { path: dir.path().into(), read, pairs: by_url(dir, &entries) });
        }
        Ok(last.as_ref().and_then(|last| last.pairs.get(url)).cloned().unwrap_or_default())
    }

    /// This one was begun with the URL.
    pub(crate) fn began(&self, pair: &Pair, url: &str) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) =
            last.as_mut().filter(|last| pair.journal.is_some() && last.path == pair.dir.path())
        {
            last.pairs.entry(url.to_owned()).or_default().push(pair.name.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::place;
    use crate::file::tests::{URL, dir, draft};

    #[test]
    fn what_was_begun_after_the_directory_was_read_is_known() {
        let (temp, limits) = (dir(), Limits::default());
        let (dir, lately) = (Dir::open(temp.path()).unwrap(), Lately::default());
        assert!(lately.of(&dir, URL, &limits).unwrap().is_empty());
        let pair = place(&draft(temp.path())).unwrap();
        lately.began(&pair, URL);
        assert_eq!(lately.of(&dir, URL, &limits).unwrap(), ["file.bin"]);
        assert!(lately.of(&dir, "http://h/other", &limits).unwrap().is_empty());
    }

    #[test]
    fn another_directory_is_read_for_itself() {
        let (first, second, limits) = (dir(), dir(), Limits::default());
        let lately = Lately::default();
        assert!(lately.of(&Dir::open(first.path()).unwrap(), URL, &limits).unwrap().is_empty());
        drop(place(&draft(second.path())).unwrap());
        assert_eq!(lately.of(&Dir::open(second.path()).unwrap(), URL, &limits).unwrap(), ["file.bin"]);
    }
}
