//! Finds what an earlier run left, before anything is asked.
//!
//! Looking changes nothing that is held. What is changed: steps of `retire` and `publish` that a crash cut
//! off are completed, and a pair that is gone on with gets its journal cut to the last good record and a
//! new run begun.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use thence_plan::{Begin, Held, Limits, Stamp, choose_name};

use crate::error::Error;
use crate::file::{self, Draft, Opening, Pair, PartFile};
use crate::journal::{self, Journal, Replayed, Signed, Unreadable, Whole};
use crate::mark::Mark;
use crate::pairs::Lately;
use crate::publish;
use crate::secret::{ExposeSecret, Fields, Secret};
use crate::sys::{self, Dir, DiskError, Entry};

/// A finished file is looked for under this many numbered names.
const NUMBERS: u32 = 100;

/// What to look for.
pub(crate) struct Wanted<'a> {
    /// The directory.
    pub(crate) dir: &'a Dir,
    /// The name the user chose.
    pub(crate) name: Option<&'a str>,
    /// The sources' original URLs without userinfo, one at least.
    pub(crate) urls: &'a [String],
    /// Request headers given in this run.
    pub(crate) headers: &'a [(String, Secret)],
    /// Names of the pairs in the directory that were begun with this URL, if whoever asks has looked.
    pub(crate) known: Option<&'a [String]>,
    /// Who has looked lately, if not.
    pub(crate) lately: &'a Lately,
    /// Bounds: `journal_bytes`, `directory_entries`.
    pub(crate) limits: &'a Limits,
}

impl Wanted<'_> {
    fn first(&self) -> &str {
        self.urls.first().map(String::as_str).unwrap_or_default()
    }

    /// Names of the pairs that were begun with one of its URLs.
    fn begun(&self) -> Result<Vec<String>, DiskError> {
        if let Some(known) = self.known {
            return Ok(known.to_vec());
        }
        let begun = self.urls.iter().map(|url| self.lately.of(self.dir, url, self.limits));
        Ok(begun.collect::<Result<Vec<_>, _>>()?.concat())
    }
}

/// What there is.
pub(crate) enum Found {
    /// Nothing that can be gone on with.
    Nothing,
    /// A pair; locked, and its journal open for this run.
    Pair(Box<Work>),
    /// A part of which nothing is known: its journal is missing or unreadable. Locked.
    Kept(Pair),
    /// The finished file of the same source, as it was when it was finished.
    Finished {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        bytes: u64,
    },
    /// Another process, or another download of this one, works on it.
    InUse {
        /// Its part.
        path: PathBuf,
    },
    /// The chosen name belongs to a part of another URL.
    OtherUrl {
        /// Its part.
        path: PathBuf,
    },
}

/// Held work that can be gone on with.
pub(crate) struct Work {
    /// The pair.
    pub(crate) pair: Pair,
    /// What it was begun with: URL, headers, digest.
    pub(crate) begin: Begin,
    /// Names of headers that are given now with another value; only a hash of it was kept.
    pub(crate) other_headers: Vec<String>,
    /// The signature that the whole must have, as it was given last.
    pub(crate) signed: Option<Signed>,
    /// Another program's partial file at the final name, whose place it may take.
    pub(crate) replaces: Option<Stamp>,
    /// For the planner.
    pub(crate) held: Held,
}

/// Looks for held work or the finished file of `wanted.urls`.
///
/// An error is a reason to stop: what stands at the name is strange, needs headers, or cannot be read.
pub(crate) fn find(wanted: &Wanted<'_>) -> Result<Found, Error> {
    let Wanted { dir, .. } = *wanted;
    let chosen = wanted.name.is_some();
    let name =
        wanted.name.map_or_else(|| choose_name(None, wanted.first()).as_str().to_owned(), str::to_owned);
    let kept = match by_name(wanted, &name)? {
        // A name that nobody chose may well be another's; ours is then a numbered one.
        Found::OtherUrl { .. } if !chosen => Found::Nothing,
        kept @ (Found::Nothing | Found::Kept(_)) => kept,
        found => return Ok(found),
    };
    for number in 0..if chosen { 1 } else { NUMBERS } {
        let entry = dir.entry(file::numbered(&name, number));
        if let Some(bytes) = finished(&entry, wanted.urls) {
            return Ok(Found::Finished { path: entry.path().into(), bytes });
        }
        if sys::facts_at(&entry)?.is_none() {
            break;
        }
    }
    if chosen {
        return Ok(kept);
    }
    for name in wanted.begun()? {
        match by_name(wanted, &name)? {
            Found::Nothing | Found::Kept(_) | Found::OtherUrl { .. } => {}
            found => return Ok(found),
        }
    }
    Ok(kept)
}

/// The directory and name that `DIR/NAME.part` or `DIR/NAME.thence` stands for.
pub(crate) fn pair_of(path: &Path) -> Option<(PathBuf, String)> {
    let file_name = path.file_name()?.to_str()?;
    let name = file_name.strip_suffix(".part").or_else(|| file_name.strip_suffix(".thence"))?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    (!name.is_empty()).then(|| (dir.to_owned(), name.to_owned()))
}

/// The length in bytes of the file at `entry`, if it is the finished one of one of these sources and was not
/// written to since.
pub(crate) fn finished(entry: &Entry, urls: &[impl AsRef<str>]) -> Option<u64> {
    let (file, facts) = sys::open_regular(entry, false).ok()??;
    let mark = Mark::of(&file).filter(|mark| urls.iter().any(|url| mark.is_of(url.as_ref())))?;
    let Mark::File { bytes, mtime, .. } = mark else { return None };
    (facts.size == bytes && facts.mtime == mtime).then_some(bytes)
}

/// The version that `draft` is to hold was held before, as the pair that `retired` put aside: they change places,
/// and what comes back is gone on with. `None` if there is no such pair.
pub(crate) fn comes_back(retired: &Pair, draft: &Draft) -> Result<Option<Box<Work>>, DiskError> {
    if !file::exchange(retired, draft)? {
        return Ok(None);
    }
    let kept = draft.headers.iter().map(|(name, value)| (name.clone(), value.as_str().into()));
    let headers: Fields = kept.chain(draft.secrets.iter().cloned()).collect();
    if let Seen::Work(part, held) = examine(&draft.dir, &retired.name, &draft.limits)?
        && let Ok(Found::Pair(work)) = go_on(&draft.dir, &retired.name, &headers, part, *held)
    {
        return Ok(Some(work));
    }
    let path = file::part_at(&draft.dir, &retired.name);
    Err(DiskError::new(
        &path,
        thence_plan::DiskFault::InUse,
        "somebody took it while two versions changed places",
    ))
}

fn by_name(wanted: &Wanted<'_>, name: &str) -> Result<Found, Error> {
    let Wanted { dir, urls, limits, .. } = *wanted;
    let path = file::part_at(dir, name).path().to_owned();
    Ok(match examine(dir, name, limits)? {
        Seen::Work(_, held) if !urls.contains(&held.begin.url) => Found::OtherUrl { path },
        Seen::Work(part, held) => return go_on(dir, name, wanted.headers, part, *held),
        Seen::Theirs if file::whose(dir, name, urls)? == Some(false) => Found::OtherUrl { path },
        Seen::Theirs => Found::InUse { path },
        Seen::Unreadable(why @ (Unreadable::Newer | Unreadable::TooLarge)) => {
            return Err(Error::Journal {
                path: file::journal_at(dir, name).path().into(),
                why: why.why().into(),
            });
        }
        Seen::Finished { path, bytes } => Found::Finished { path, bytes },
        // A part of which nothing is known is kept aside: `place` takes it over if it holds nothing, and
        // finds the name taken if it does.
        Seen::Lost(part) if file::holds(&part, wanted.first())? => {
            Found::Kept(Pair { dir: dir.clone(), name: name.into(), part: part.into(), journal: None })
        }
        Seen::Unreadable(_) | Seen::Lost(_) | Seen::Nothing => Found::Nothing,
    })
}

/// What stands at a name.
enum Seen {
    /// Nothing, or what is left of something finished or moved aside.
    Nothing,
    /// A part that somebody else has locked.
    Theirs,
    /// A part whose journal is missing, empty or torn.
    Lost(PartFile),
    /// A part whose journal is not ours to read.
    Unreadable(Unreadable),
    /// A pair.
    Work(PartFile, Box<Replayed>),
    /// A publication that was cut off, and is completed now.
    Finished { path: PathBuf, bytes: u64 },
}

/// Locks and reads what stands at `name`, and completes what a crash cut off.
fn examine(dir: &Dir, name: &str, limits: &Limits) -> Result<Seen, DiskError> {
    let part = match file::open_part(&file::part_at(dir, name))? {
        Opening::Theirs => return Ok(Seen::Theirs),
        Opening::Absent => return orphan(dir, name, limits),
        Opening::Ours(part) => part,
    };
    match file::read_journal(dir, name, limits)? {
        None if file::complete_retire(dir, name, limits)? => Ok(Seen::Nothing),
        None | Some(Err(Unreadable::Empty | Unreadable::Torn)) => Ok(Seen::Lost(part)),
        Some(Err(why)) => Ok(Seen::Unreadable(why)),
        Some(Ok(mut held)) => {
            let facts = part.facts()?;
            // Only the very file that was found whole is whole: not a copy, not one cut short or written to since.
            let untouched = match Mark::of(part.file()) {
                Some(Mark::File { bytes, mtime, .. }) => (bytes, mtime) == (facts.size, facts.mtime),
                _ => held.identity.total.is_none_or(|total| total == facts.size),
            };
            let same = |whole: &mut Whole| (whole.dev, whole.inode) == (facts.id.dev, facts.id.inode);
            held.whole = held.whole.take_if(|whole| untouched && same(whole));
            if let Some(clean) = held.clean
                && (clean.size, clean.mtime, clean.inode) == (facts.size, facts.mtime, facts.id.inode)
            {
                // Nothing was written since the last run ended in order: nothing is more doubtful than the rest.
                held.blocks.iter_mut().for_each(|block| block.synced = true);
            }
            if facts.links > 1 {
                linked(dir, name, limits, &part)
            } else {
                Ok(Seen::Work(part, Box::new(held)))
            }
        }
    }
}

/// A journal without a part: an orphan, if the part is now the finished file.
fn orphan(dir: &Dir, name: &str, limits: &Limits) -> Result<Seen, DiskError> {
    let Some(Ok(held)) = file::read_journal(dir, name, limits)? else { return Ok(Seen::Nothing) };
    let Some(whole) = &held.whole else { return Ok(Seen::Nothing) };
    match numbered_file(dir, name, |facts| (facts.id.dev, facts.id.inode) == (whole.dev, whole.inode))? {
        Some((path, bytes)) => {
            let replaced = held.replaces.is_some() && dir.entry(name).path() == path;
            complete(dir, name, replaced, limits)?;
            Ok(Seen::Finished { path, bytes })
        }
        None => Ok(Seen::Nothing),
    }
}

/// A part with a second name: published, if that is the final one, by a link whose other end is left.
fn linked(dir: &Dir, name: &str, limits: &Limits, part: &PartFile) -> Result<Seen, DiskError> {
    let path = file::part_at(dir, name);
    match numbered_file(dir, name, |facts| facts.id == part.id())? {
        Some((published, bytes)) => {
            sys::remove(&path)?;
            complete(dir, name, false, limits)?;
            Ok(Seen::Finished { path: published, bytes })
        }
        None => Err(DiskError::new(&path, thence_plan::DiskFault::Strange, "it has another name as well")),
    }
}

/// The steps of `publish` after the rename.
fn complete(dir: &Dir, name: &str, replaced: bool, limits: &Limits) -> Result<(), DiskError> {
    sys::sync_dir(dir)?;
    publish::clear(dir, name, replaced, limits)?;
    sys::sync_dir(dir)
}

/// The first of NAME, NAME.1, ... that is such a file.
fn numbered_file(
    dir: &Dir,
    name: &str,
    such: impl Fn(&sys::Facts) -> bool,
) -> Result<Option<(PathBuf, u64)>, DiskError> {
    for number in 0..NUMBERS {
        let entry = dir.entry(file::numbered(name, number));
        match sys::facts_at(&entry)? {
            None => return Ok(None),
            Some(facts) if facts.regular && such(&facts) => {
                return Ok(Some((entry.path().into(), facts.size)));
            }
            Some(_) => {}
        }
    }
    Ok(None)
}

/// Opens the journal for this run, once the headers are there that the held bytes were asked with.
fn go_on(
    dir: &Dir,
    name: &str,
    headers: &[(String, Secret)],
    part: PartFile,
    held: Replayed,
) -> Result<Found, Error> {
    let missing = missing_headers(&held.begin, headers);
    if !missing.is_empty() {
        return Err(Error::NeedsHeaders { path: file::part_at(dir, name).path().into(), names: missing });
    }
    let journal = open_journal(dir, name, &held)?;
    let pair = Pair { dir: dir.clone(), name: name.into(), part: part.into(), journal: Some(journal.into()) };
    let other_headers = other_headers(&held, headers);
    let Replayed { begin, identity, blocks, whole, unproven, renewed, signed, replaces, .. } = held;
    let held = Held {
        url: begin.url.clone(),
        name: name.into(),
        identity,
        block_size: begin.block_size,
        blocks,
        whole: whole.is_some(),
        unproven,
        renewed,
        claimed: None,
    };
    Ok(Found::Pair(Box::new(Work { pair, begin, other_headers, signed, replaces, held })))
}

/// The journal, to be written to: only if it has no other name through which it may be somebody's. One that a crash left
/// in the middle of `retire` goes.
fn open_journal(dir: &Dir, name: &str, held: &Replayed) -> Result<Journal, DiskError> {
    let entry = file::journal_at(dir, name);
    let Some((file, facts)) = sys::open_regular(&entry, true)? else {
        return Err(DiskError::at(&entry, &std::io::ErrorKind::NotFound.into()));
    };
    if facts.links > 1 {
        let old = file::journal_at(dir, &file::old_name(name));
        if !file::still_there(&old, facts.id)? {
            let why = "it has another name as well";
            return Err(DiskError::new(&entry, thence_plan::DiskFault::Strange, why));
        }
        sys::remove(&old)?;
    }
    Journal::reopen(entry, file, held)
}

/// Names of the headers that the held bytes were asked with and that are not given now. Another value is
/// as good: it may be a renewed token, and the server will say.
fn missing_headers(begin: &Begin, headers: &[(String, Secret)]) -> Vec<String> {
    let given = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    begin.secrets.iter().map(|(name, _)| name).filter(|name| !given(name)).cloned().collect()
}

/// Names of the headers that the held bytes were asked with and that have another value now.
fn other_headers(held: &Replayed, headers: &[(String, Secret)]) -> Vec<String> {
    let same = |name: &str, hash: u64| {
        let mut values = headers.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name));
        values.any(|(_, value)| journal::header_hash(held.salt, name, value.expose_secret()) == hash)
    };
    held.begin
        .secrets
        .iter()
        .filter(|(name, hash)| !same(name, *hash))
        .map(|(name, _)| name.clone())
        .collect()
}
