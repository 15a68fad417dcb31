//! Small files of a list: many share one sync.
//!
//! A file of its own that is synced alone costs a wait for the disk; a list of thousands would be nothing but that. Here
//! each is written to a file that has no name. Then one `syncfs` makes all of them durable, then each gets its name, then
//! their directories are synced, and only then is anyone told (P7). A crash before the names leaves nothing at all, for
//! files without a name go with whoever has them open; one after them leaves whole files (P2).
//!
//! Two threads: one writes while the other syncs. A file in memory is written by whoever puts it, as by whoever hands over
//! elsewhere (`Writers`). Where the system has no such files, each goes the way of every other
//! download: a part, a sync, a rename.

#[cfg(test)]
pub(crate) mod tests;

use std::fs::File;
use std::io::{ErrorKind, IoSlice};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Instant, SystemTime};

use thence_plan::{DiskFault, Exists, Identity, Limits, WantedDigest};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;
use crate::file::{self, Draft};
use crate::find;
use crate::mark::Mark;
use crate::orders::Done;
use crate::publish::{self, Finish};
use crate::secret::Fields;
use crate::sys::{self, Dir, DiskError};

/// Numbered names that are tried, as everywhere.
const NUMBERS: u32 = 10_000;

/// A small file, whole and in memory.
pub(crate) struct Whole {
    /// Whoever waits for it knows it by this.
    pub(crate) line: u64,
    pub(crate) dir: Dir,
    /// The name that is wanted.
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// The source's original URL without userinfo.
    pub(crate) url: String,
    pub(crate) identity: Identity,
    pub(crate) mode: u32,
    /// The time that it is to have, if not that of its writing.
    pub(crate) mtime: Option<SystemTime>,
    pub(crate) exists: Exists,
    /// What it takes of `room`, until it has its name.
    pub(crate) room: Option<OwnedSemaphorePermit>,
    /// The digest that it was found to have.
    pub(crate) digest: Option<WantedDigest>,
    /// What is told of it, but for its path.
    pub(crate) done: Done,
}

/// How one ended: its line, and what came of it.
pub(crate) type End = (u64, Result<Done, Error>);

/// The threads. They end when this is dropped, after what they were given has its names.
pub(crate) struct Group {
    files: Sender<Vec<Fresh>>,
    limits: Limits,
    room: Arc<Semaphore>,
    /// A file takes this much of it at least, so that no more are open than may be, and this much at most.
    takes: RangeInclusive<u32>,
}

impl Group {
    /// Starts them; `tell` hears of every file, those of one sync at once.
    pub(crate) fn start(
        limits: &Limits,
        tell: impl Fn(Vec<End>) + Send + Sync + 'static,
    ) -> std::io::Result<Group> {
        let (files, inbox) = channel();
        let (batches, waiting) = sync_channel(1);
        let tell: Arc<dyn Fn(Vec<End>) + Send + Sync> = Arc::new(tell);
        let (told, own) = (tell.clone(), limits.clone());
        thread::Builder::new()
            .name("thence-group".into())
            .spawn(move || gather(&inbox, &batches, &told, &own))?;
        let own = limits.clone();
        thread::Builder::new().name("thence-sync".into()).spawn(move || {
            waiting.iter().for_each(|batch: Vec<Written>| tell(commit(batch, &own)));
        })?;
        let most = u32::try_from(limits.group_bytes).unwrap_or(u32::MAX).max(1);
        let least = u32::try_from(limits.group_files).map_or(1, |files| most / files.max(1)).max(1);
        Ok(Group {
            files,
            limits: limits.clone(),
            room: Arc::new(Semaphore::new(most as usize)),
            takes: least..=most,
        })
    }

    /// Room for a file of so many bytes. Waits while as many as `Limits` allows are on their way to their names.
    pub(crate) async fn room(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let wanted = bytes.clamp(*self.takes.start(), *self.takes.end());
        Arc::clone(&self.room).acquire_many_owned(wanted).await.ok()
    }

    /// Takes files on their way. A few at a time: to wake a thread costs as much as to write a small file.
    pub(crate) fn put(&self, wholes: Vec<Whole>) {
        let mut place: Option<(Dir, bool)> = None;
        let fresh = |whole: Whole| {
            let in_memory = match &place {
                Some((dir, in_memory)) if dir.is(&whole.dir) => *in_memory,
                _ => place.insert((whole.dir.clone(), whole.dir.in_memory())).1,
            };
            if in_memory { Fresh::Written(write(whole, &self.limits)) } else { Fresh::Whole(whole) }
        };
        let fresh = wholes.into_iter().map(fresh).collect();
        // The thread ends only after this is dropped.
        _ = self.files.send(fresh);
    }
}

/// What comes to the thread that writes.
enum Fresh {
    Whole(Whole),
    Written(Result<Written, Box<End>>),
}

impl Fresh {
    fn written(self, limits: &Limits) -> Result<Written, Box<End>> {
        match self {
            Fresh::Whole(whole) => write(whole, limits),
            Fresh::Written(written) => written,
        }
    }
}

/// A file that has its bytes, and not its name.
struct Written {
    whole: Whole,
    file: File,
}

/// Writes what comes, and hands it over when there is enough of it, or it has waited long enough.
fn gather(
    inbox: &Receiver<Vec<Fresh>>,
    batches: &SyncSender<Vec<Written>>,
    tell: &Arc<dyn Fn(Vec<End>) + Send + Sync>,
    limits: &Limits,
) {
    let (mut written, mut bytes, mut since) = (Vec::new(), 0, Instant::now());
    loop {
        let next = if written.is_empty() {
            inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            inbox.recv_timeout(limits.group.saturating_sub(since.elapsed()))
        };
        let over = matches!(next, Err(RecvTimeoutError::Disconnected));
        let due = match next {
            Ok(fresh) => {
                if written.is_empty() {
                    since = Instant::now();
                }
                for one in fresh {
                    match one.written(limits) {
                        Ok(one) => {
                            bytes += one.whole.done.bytes;
                            written.push(one);
                        }
                        Err(end) => tell(vec![*end]),
                    }
                }
                // Half of what there is room for: while that is synced, the other half comes.
                written.len() * 2 >= limits.group_files || bytes * 2 >= limits.group_bytes as u64
            }
            Err(_) => true,
        };
        if due && !written.is_empty() {
            if batches.send(std::mem::take(&mut written)).is_err() {
                return;
            }
            bytes = 0;
        }
        if over {
            return;
        }
    }
}

/// Writes a file that has no name; where there is none such, all of its way to its name.
fn write(mut whole: Whole, limits: &Limits) -> Result<Written, Box<End>> {
    let file = match sys::create_nameless(&whole.dir, whole.mode) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::Unsupported => {
            return Err(Box::new((whole.line, by_part(&whole, limits).map_err(Error::from))));
        }
        Err(e) => return Err(Box::new((whole.line, Err(DiskError::at(&whole.dir, &e).into())))),
    };
    let bytes = std::mem::take(&mut whole.bytes);
    let dressed = sys::write_at(&file, 0, &mut [IoSlice::new(&bytes)]).and_then(|()| {
        let facts = sys::facts(&file)?;
        // The umask or the directory left other bits.
        if facts.mode == whole.mode & 0o7777 && whole.mtime.is_none() {
            return Ok(facts);
        }
        sys::dress(&file, whole.mode, whole.mtime)?;
        sys::facts(&file)
    });
    match dressed {
        Ok(facts) => {
            Mark::file(&file, &facts, &whole.url, &whole.identity, whole.digest.as_ref());
            Ok(Written { whole, file })
        }
        Err(e) => Err(Box::new((whole.line, Err(DiskError::at(whole.dir.entry(&whole.name), &e).into())))),
    }
}

/// All that the threads do with these, on this one.
#[cfg(all(test, target_os = "linux", not(thence_portable)))]
pub(crate) fn all(wholes: Vec<Whole>, limits: &Limits) -> Vec<End> {
    let (mut written, mut ends) = (Vec::new(), Vec::new());
    for whole in wholes {
        match write(whole, limits) {
            Ok(one) => written.push(one),
            Err(end) => ends.push(*end),
        }
    }
    ends.extend(commit(written, limits));
    ends
}

/// A directory of a batch.
struct Place {
    dir: Dir,
    /// Where it is, and not where it was to be: somebody may have moved it meanwhile.
    path: PathBuf,
    synced: Result<(), DiskError>,
}

/// Makes a batch durable and gives each its name.
fn commit(batch: Vec<Written>, limits: &Limits) -> Vec<End> {
    let synced = sync(&batch);
    let mut places: Vec<Place> = Vec::new();
    let mut named = Vec::with_capacity(batch.len());
    // Given back before anyone is told, so that whoever is told finds it free.
    let mut room = Vec::with_capacity(batch.len());
    for (mut one, synced) in batch.into_iter().zip(synced) {
        let at = places.iter().position(|place| place.dir.is(&one.whole.dir)).unwrap_or_else(|| {
            let dir = one.whole.dir.clone();
            places.push(Place { path: dir.whereabouts(), dir, synced: Ok(()) });
            places.len() - 1
        });
        room.extend(one.whole.room.take());
        let done = synced.and_then(|()| name(&one, &places[at].path, limits));
        named.push((one.whole.line, at, done));
    }
    for place in &mut places {
        place.synced = sys::sync_dir(&place.dir);
    }
    let durable = |at: usize, done: Result<Done, DiskError>| {
        done.and_then(|done| places[at].synced.clone().map(|()| done))
    };
    named.into_iter().map(|(line, at, done)| (line, durable(at, done).map_err(Error::from))).collect()
}

/// One sync for each file system. If that fails, or there is no such call, each file says for itself what became of it.
fn sync(batch: &[Written]) -> Vec<Result<(), DiskError>> {
    let mut dirs: Vec<(Dir, bool)> = Vec::new();
    let mut systems: Vec<(u64, bool)> = Vec::new();
    let mut system = |dir: &Dir, file: &File| {
        // A file that cannot be asked is synced for itself.
        let Ok(dev) = sys::facts(file).map(|facts| facts.id.dev) else { return false };
        let known = systems.iter().find(|(known, _)| *known == dev).map(|(_, synced)| *synced);
        known.unwrap_or_else(|| {
            systems.push((dev, sys::sync_file_system(dir).is_ok()));
            systems[systems.len() - 1].1
        })
    };
    let one = |Written { whole, file }: &Written| {
        let known = dirs.iter().find(|(known, _)| known.is(&whole.dir)).map(|(_, synced)| *synced);
        let synced = known.unwrap_or_else(|| {
            dirs.push((whole.dir.clone(), system(&whole.dir, file)));
            dirs[dirs.len() - 1].1
        });
        if synced {
            return Ok(());
        }
        sys::sync_all(file).map_err(|e| DiskError::at(whole.dir.entry(&whole.name), &e))
    };
    batch.iter().map(one).collect()
}

/// Gives a file that is durable its name; none is ever replaced.
fn name(Written { whole, file }: &Written, dir: &Path, limits: &Limits) -> Result<Done, DiskError> {
    let numbers = if whole.exists == Exists::Rename { NUMBERS } else { 1 };
    for number in 0..numbers {
        let entry = whole.dir.entry(file::numbered(&whole.name, number));
        match sys::link_nameless(file, &entry) {
            Ok(()) => {
                return Ok(Done {
                    path: entry.path().file_name().map(|name| dir.join(name)),
                    ..whole.done.clone()
                });
            }
            // The same URL a second time, or finished by a run that could not tell anyone.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                if find::finished(&entry, std::slice::from_ref(&whole.url)).is_some() {
                    let path = entry.path().file_name().map(|name| dir.join(name));
                    return Ok(Done { path, already: true, ..whole.done.clone() });
                }
            }
            // No way from an open file to a name: /proc is not there.
            Err(e) if e.kind() == ErrorKind::NotFound => return again(whole, file, limits),
            Err(e) => return Err(DiskError::at(&entry, &e)),
        }
    }
    if whole.exists == Exists::Overwrite {
        return again(whole, file, limits);
    }
    Err(DiskError::new(whole.dir.entry(&whole.name), DiskFault::Exists, "the name is taken"))
}

/// Reads it back, and lets it go the other way.
fn again(whole: &Whole, file: &File, limits: &Limits) -> Result<Done, DiskError> {
    let at = |e| DiskError::at(whole.dir.entry(&whole.name), &e);
    let mut bytes = vec![0; sys::facts(file).map_err(at)?.size as usize];
    let read = sys::read_at(file, 0, &mut bytes).map_err(at)?;
    bytes.truncate(read);
    let whole = Whole {
        bytes,
        dir: whole.dir.clone(),
        name: whole.name.clone(),
        url: whole.url.clone(),
        identity: whole.identity.clone(),
        digest: whole.digest.clone(),
        done: whole.done.clone(),
        room: None,
        ..*whole
    };
    by_part(&whole, limits)
}

/// The way of every other download: a part, its sync, its rename.
fn by_part(whole: &Whole, limits: &Limits) -> Result<Done, DiskError> {
    let total = whole.identity.total.unwrap_or(0);
    let pair = file::place(&Draft {
        dir: whole.dir.clone(),
        name: whole.name.clone(),
        exists: whole.exists,
        replaces: None,
        url: whole.url.clone(),
        headers: Vec::new(),
        secrets: Fields::new(),
        identity: whole.identity.clone(),
        block_size: 256 << 10,
        journal: false,
        digest: None,
        signature: None,
        adopted: None,
        insecure: false,
        limits: limits.clone(),
    })?;
    pair.part.write_at(0, &mut [IoSlice::new(&whole.bytes)])?;
    let path = publish::publish(
        &pair,
        &Finish {
            total,
            mode: whole.mode,
            mtime: whole.mtime,
            url: whole.url.clone(),
            identity: whole.identity.clone(),
            digest: whole.digest.clone(),
            replaces: None,
            exists: whole.exists,
            adopted: None,
            limits: limits.clone(),
        },
    )?;
    Ok(Done { path: Some(path), ..whole.done.clone() })
}
