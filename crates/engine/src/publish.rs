//! The finish sequence: from a whole part to a file at its final name.
//!
//! Each step can be the last one before a crash. Up to the rename, the next run finds a pair and walks the
//! sequence again; from the rename on, it finds an orphaned journal and does the rest (`find`).

#[cfg(test)]
pub(crate) mod tests;

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use thence_plan::{DiskFault, Exists, Identity, Limits, Record, Stamp, WantedDigest};

use crate::file::{self, Pair};
use crate::mark::Mark;
use crate::sys::{self, Dir, DiskError, Entry, Facts};

/// Names tried by `Exists::Rename`.
const NUMBERS: u32 = 10_000;

/// Suffixes of the control files that aria2 and axel keep beside a partial file at its final name.
pub(crate) const CONTROLS: [&str; 2] = [".aria2", ".st"];

/// What the finished file is to be.
#[derive(Clone, Debug)]
pub(crate) struct Finish {
    /// Its length in bytes.
    pub(crate) total: u64,
    /// Its mode, for example 0o644.
    pub(crate) mode: u32,
    /// Its modification time, if asked for.
    pub(crate) mtime: Option<SystemTime>,
    /// The source's original URL; only a hash of it is kept.
    pub(crate) url: String,
    /// What was fetched.
    pub(crate) identity: Identity,
    /// The digest that was computed and found right.
    pub(crate) digest: Option<WantedDigest>,
    /// The file under the name that this one replaces, whatever `exists` says, if it is still what it was.
    pub(crate) replaces: Option<Facts>,
    /// What to do when the name is taken. `Skip` is `Error` here: somebody made the file meanwhile.
    pub(crate) exists: Exists,
    /// Another program's partial file, all of whose worth is in this one: it is replaced if it stands at the name as it was.
    pub(crate) adopted: Option<Stamp>,
    /// For `journal_bytes`, when the retired pair's journal is read.
    pub(crate) limits: Limits,
}

/// Walks the finish sequence; returns the final path. On failure the whole part stays and the walk can
/// be made again, by this run or the next.
pub(crate) fn publish(pair: &Pair, finish: &Finish) -> Result<PathBuf, DiskError> {
    let mut walk = Walk::new(pair, finish);
    for step in STEPS {
        walk.take(step)?;
    }
    // Where it is, and not where it was to be: somebody may have moved the directory meanwhile.
    Ok(pair.dir.whereabouts().join(walk.to.path().file_name().unwrap_or_default()))
}

/// One step; a crash may follow any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Truncate,
    Dress,
    SyncPart,
    RecordWhole,
    Rename,
    SyncDirectory,
    Clear,
}

/// The time that a file is to have: when it was last changed, by its server's word, if that is wanted.
pub(crate) fn mtime(remote: bool, identity: &Identity) -> Option<SystemTime> {
    let changed = identity.modified_at().filter(|_| remote)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(changed))
}

/// The sequence, in the one order that is safe: the bytes are durable before the journal says `Whole`, that
/// is durable before the final name appears, and the name is durable before the journal goes.
const STEPS: [Step; 8] = [
    Step::Truncate,
    Step::Dress,
    Step::SyncPart,
    Step::RecordWhole,
    Step::Rename,
    Step::SyncDirectory,
    Step::Clear,
    Step::SyncDirectory,
];

struct Walk<'a> {
    pair: &'a Pair,
    finish: &'a Finish,
    to: Entry,
    replaced: bool,
}

impl<'a> Walk<'a> {
    fn new(pair: &'a Pair, finish: &'a Finish) -> Walk<'a> {
        Walk { pair, finish, to: pair.dir.entry(&pair.name), replaced: false }
    }

    fn take(&mut self, step: Step) -> Result<(), DiskError> {
        match step {
            Step::Truncate => self.truncate(),
            Step::Dress => self.dress(),
            Step::SyncPart => self.sync_part(),
            Step::RecordWhole => self.record_whole(),
            Step::Rename => self.rename(),
            Step::SyncDirectory => sys::sync_dir(&self.pair.dir),
            Step::Clear => clear(&self.pair.dir, &self.pair.name, self.replaced, &self.finish.limits),
        }
    }

    fn failed(&self, error: &std::io::Error) -> DiskError {
        DiskError::at(self.pair.part.entry(), error)
    }

    /// The part may be longer: its length was preallocated before the server corrected it.
    fn truncate(&self) -> Result<(), DiskError> {
        sys::set_len(self.pair.part.file(), self.finish.total).map_err(|e| self.failed(&e))
    }

    fn dress(&self) -> Result<(), DiskError> {
        let Finish { mode, mtime, url, identity, digest, .. } = self.finish;
        let file = self.pair.part.file();
        sys::dress(file, *mode, *mtime).map_err(|e| self.failed(&e))?;
        Mark::file(file, &self.pair.part.facts()?, url, identity, digest.as_ref());
        Ok(())
    }

    /// `fsync`, not `fdatasync`: length, mode and mark are to be as durable as the bytes.
    fn sync_part(&self) -> Result<(), DiskError> {
        sys::sync_all(self.pair.part.file()).map_err(|e| self.failed(&e))
    }

    fn record_whole(&self) -> Result<(), DiskError> {
        let Some(journal) = &self.pair.journal else { return Ok(()) };
        let id = self.pair.part.id();
        let digest = self.finish.digest.clone();
        journal.append(&[Record::Whole { digest, dev: id.dev, inode: id.inode }])?;
        journal.sync()
    }

    /// Whether what stands at the name may be replaced whatever `exists` says: as the file that this one is a newer version of,
    /// at the wanted name alone, and as the partial file that was adopted.
    fn replaceable(&self, number: u32) -> Result<(bool, bool), DiskError> {
        let Finish { replaces, adopted, .. } = &self.finish;
        if replaces.is_none() && adopted.is_none() {
            return Ok((false, false));
        }
        let Some(now) = sys::facts_at(&self.to)? else { return Ok((false, false)) };
        let older = number == 0 && replaces.is_some_and(|known| known.is_still(&now));
        Ok((older, now.regular && *adopted == Some(file::stamp(&now))))
    }

    fn rename(&mut self) -> Result<(), DiskError> {
        let part = self.pair.part.entry();
        if sys::facts_at(part)?.is_none_or(|now| now.id != self.pair.part.id()) {
            return Err(DiskError::new(part, DiskFault::Strange, "somebody put another file in its place"));
        }
        let numbers = if self.finish.exists == Exists::Rename { NUMBERS } else { 1 };
        for number in 0..numbers {
            self.to = self.pair.dir.entry(file::numbered(&self.pair.name, number));
            let (older, adopted) = self.replaceable(number)?;
            self.replaced = adopted;
            let over = self.finish.exists == Exists::Overwrite || older || adopted;
            let renamed =
                if over { sys::rename_over(part, &self.to) } else { sys::rename_new(part, &self.to) };
            match renamed {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                done => return done.map_err(|e| DiskError::at(&self.to, &e)),
            }
        }
        Err(DiskError::new(&self.to, DiskFault::Exists, "the name is taken"))
    }
}

/// Removes what a published pair leaves behind. The journal goes last: as an orphan it is what tells the
/// next run that something is left to do. If another program's partial file was `replaced`, its control file goes as well: it
/// would tell that program that the finished file is in want of something.
pub(crate) fn clear(dir: &Dir, name: &str, replaced: bool, limits: &Limits) -> Result<(), DiskError> {
    file::remove_old(dir, name, limits)?;
    if replaced {
        for suffix in CONTROLS {
            sys::remove(&dir.entry(format!("{name}{suffix}")))?;
        }
        sys::sync_dir(dir)?;
    }
    let journal = file::journal_at(dir, name);
    let new = journal.with_added_extension("new");
    if sys::facts_at(&new)?.is_some() {
        sys::remove(&new)?;
        sys::sync_dir(dir)?;
    }
    sys::remove(&journal)
}
