//! `thence -i LIST`: reads a list, lets its files be fetched, and keeps the ledger.
//!
//! A thread reads, since a list may be a pipe that waits for ever. It keeps what it sent until that has ended, and reads
//! no further ahead than the engine takes. What is done is in the ledger only after the engine has said that it is durable.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use thence::{
    Checksum, Engine, Error, Failures, Feed, Heard, Held, Item, Ledger, Limits, List, Target, entry_key,
};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::entries::{self, Entries, Raw};
use crate::exit::{Code, Trouble};
use crate::get;
use crate::login::Passwords;
use crate::meant::{Get, Listed, Place, Talk};
use crate::printable::printable;
use crate::progress::Count;
use crate::sums::{self, Shelf, Sums};
use crate::sys;
use crate::tally::Tally;

/// Entries that are sent to the engine at once, and their bytes at most.
const CHUNK: usize = 256;
const CHUNK_BYTES: usize = 256 << 10;
/// Files that are open besides those of downloads.
const OTHER_FILES: u64 = 128;
/// Progress is looked at this often.
const LOOK: Duration = Duration::from_millis(100);
/// After the first signal, everything is at rest within this, or we leave as if killed, which is as safe.
const GRACE: Duration = Duration::from_millis(900);

/// Fetches a list; `mode` is that of finished files.
pub(crate) fn run(mut get: Get, listed: &Listed, talk: Talk, mode: u32) -> Result<Code, Trouble> {
    let hurry = sys::hurry();
    let name = listed.path.as_deref().map_or("standard input".into(), |path| path.display().to_string());
    let name = printable(&name).into_owned();
    let mut tally = Tally::new(name.clone(), talk, hurry);
    let passwords = get.user.take().map(|user| Passwords::new(user, &mut get.notes));
    let (jar, saved) = std::mem::take(&mut get.cookies).open(&mut get.notes)?;
    get.options.cookies = jar;
    get.notes.iter().for_each(|note| tally.note(note));
    let base = match &get.place {
        Place::Dir(dir) => dir.clone().unwrap_or_else(|| PathBuf::from(".")),
        _ => PathBuf::from("."),
    };
    get::exists(&base)?;
    let input = open(listed.path.as_deref())?;
    let limits = get.options.limits.clone();
    let books = Books::open(listed, &limits)?;
    if books.ledger.is_none() {
        tally.note("note: a list from standard input has no ledger: if this is cut off, the next run looks at all of it again; --ledger FILE keeps one");
    }
    let together = together(listed, &limits, &mut tally);
    let engine = Engine::new(std::mem::take(&mut get.options)).map_err(|error| Trouble::from(&error))?;
    let engine = Arc::new(engine);
    let fault = |why: io::Error| Trouble::new(Code::Unknown, &name, why.to_string(), "");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(fault)?;
    let (stops, sums) = runtime.block_on(async {
        let mut stops = sys::Stops::new().map_err(fault)?;
        let sums = tokio::select! {
            biased;
            () = stops.next() => None,
            sums = sums::of_list(&engine, get.checksum.take()) => Some(sums?),
        };
        Ok::<_, Trouble>((stops, sums))
    })?;
    let Some(sums) = sums else { std::process::exit(i32::from(Code::Unfinished as u8)) };
    let (feed, list) = engine.list(together);
    let shared = Arc::new(Shared::default());
    let (bad, spoilt) = mpsc::channel(CHUNK);
    let reader = Reader {
        get,
        mode,
        passwords,
        base,
        held: books.ledger.as_ref().map(Ledger::held).unwrap_or_default(),
        shared: shared.clone(),
        sums,
        shelf: Shelf::new(engine.clone(), beside(listed.path.as_deref())),
        feed,
        bad,
    };
    std::thread::Builder::new()
        .name("thence-list".into())
        .spawn(move || reader.read(input, limits.list_entry))
        .map_err(fault)?;
    let (count, first, stopped, trouble) = (Count::default(), None, None, None);
    let run = Run { list, spoilt, shared, books, tally, count, first, stopped, trouble };
    let (code, leave) = runtime.block_on(async {
        sys::outlive_file_limits().map_err(fault)?;
        Ok::<_, Trouble>(run.go(stops).await)
    })?;
    let code = saved.save(code)?;
    if leave {
        // The thread that reads may wait for ever.
        std::process::exit(i32::from(code as u8));
    }
    Ok(code)
}

/// How many downloads at once were asked for, as far as so many files may be open: each has a connection, and a group of
/// small ones their files.
fn together(listed: &Listed, limits: &Limits, tally: &mut Tally) -> Option<u32> {
    let others = limits.group_files as u64 + OTHER_FILES;
    let wanted = listed.together.unwrap_or(limits.together);
    let may = sys::allow_open_files(u64::from(wanted) + others).saturating_sub(others).max(1);
    let most = u32::try_from(may).unwrap_or(u32::MAX);
    if listed.together.is_some_and(|wanted| wanted > most) {
        tally.note(&format!(
            "note: {most} at once, since this process may have no more files open (ulimit -n)"
        ));
    }
    listed.together.map(|wanted| wanted.min(most))
}

/// The directory of a list, which what it names is below; of standard input this one.
fn beside(list: Option<&Path>) -> PathBuf {
    list.and_then(Path::parent).unwrap_or(Path::new("")).to_owned()
}

fn open(path: Option<&Path>) -> Result<Box<dyn Read + Send>, Trouble> {
    let Some(path) = path else { return Ok(Box::new(io::stdin())) };
    let shown = path.display().to_string();
    let opened = File::open(path).and_then(|file| {
        if file.metadata()?.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(file) }
    });
    match opened {
        Ok(file) => Ok(Box::new(file)),
        Err(why) => Err(Trouble::new(
            Code::CannotOpen,
            &shown,
            why.to_string(),
            "name a list that can be read, or - for standard input",
        )),
    }
}

/// What is written down about a list.
struct Books {
    ledger: Option<Ledger>,
    failures: Option<Failures>,
    synced: Instant,
    sync: Duration,
}

impl Books {
    fn open(listed: &Listed, limits: &Limits) -> Result<Books, Trouble> {
        let books = Books { ledger: None, failures: None, synced: Instant::now(), sync: limits.sync };
        let Some((ledger, failed)) = listed.books() else { return Ok(books) };
        let advice = |trouble: Trouble| match trouble.code {
            Code::CannotCreate | Code::NoDirectory => {
                Trouble { advice: "name another place for the ledger with --ledger FILE".into(), ..trouble }
            }
            _ => trouble,
        };
        let ledger = Ledger::open(&ledger, limits).map_err(|error| advice(Trouble::from(&error)))?;
        let failures = Failures::at(&failed).map_err(|error| Trouble::from(&error))?;
        Ok(Books { ledger: Some(ledger), failures: Some(failures), ..books })
    }

    fn done(&mut self, keys: &[u128]) -> Result<(), Error> {
        let Some(ledger) = &mut self.ledger else { return Ok(()) };
        ledger.done(keys)?;
        if self.synced.elapsed() >= self.sync {
            self.synced = Instant::now();
            ledger.sync()?;
        }
        Ok(())
    }

    fn failed(&mut self, line: u64, trouble: &Trouble, raw: &Raw) -> Result<(), Error> {
        let Some(failures) = &mut self.failures else { return Ok(()) };
        failures.add(&format!(
            "# line {line}: {}\n{}",
            printable(&trouble.to_string()),
            entries::written(raw)
        ))
    }
}

/// An entry under way.
struct Kept {
    key: u128,
    /// The ledger has it.
    known: bool,
    raw: Raw,
}

/// What the reader and the run share.
#[derive(Default)]
struct Shared {
    kept: Mutex<HashMap<u64, Kept>>,
    known: AtomicU64,
    before: AtomicU64,
    /// Those with a digest that proves little.
    weak: AtomicU64,
    over: AtomicBool,
    /// Why reading ended before the list did.
    broken: Mutex<Option<String>>,
}

impl Shared {
    /// A panic under this lock leaves a table that is whole.
    fn kept(&self) -> MutexGuard<'_, HashMap<u64, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that reads.
struct Reader {
    get: Get,
    mode: u32,
    passwords: Option<Passwords>,
    base: PathBuf,
    held: Held,
    shared: Arc<Shared>,
    /// What says which digest each entry must have that says nothing itself.
    sums: Option<Sums>,
    /// What entries name themselves.
    shelf: Shelf,
    feed: Feed,
    bad: mpsc::Sender<(Raw, Trouble)>,
}

impl Reader {
    fn read(mut self, input: Box<dyn Read + Send>, most: usize) {
        let mut entries = Entries::new(input, most);
        // The same entry in another directory is another file.
        let place = std::path::absolute(&self.base).unwrap_or_else(|_| self.base.clone());
        let place = place.as_os_str().as_encoded_bytes().to_vec();
        let (mut chunk, mut bytes) = (Vec::with_capacity(CHUNK), 0);
        loop {
            let raw = match entries.next() {
                Ok(Some(raw)) => raw,
                Ok(None) => break,
                Err(why) => {
                    *self.shared.broken.lock().unwrap_or_else(PoisonError::into_inner) =
                        Some(why.to_string());
                    break;
                }
            };
            self.shared.known.fetch_add(1, Ordering::Relaxed);
            let key = entry_key(&place, &raw.text);
            // What is done is asked about all the same, if that is what is wanted.
            let known = raw.fault.is_none() && self.held.has(key);
            if known && !self.get.only_if_changed {
                self.shared.before.fetch_add(1, Ordering::Relaxed);
            } else {
                bytes += raw.text.len();
                match self.item(&raw) {
                    Ok(item) => {
                        self.shared.kept().insert(raw.line, Kept { key, known, raw });
                        chunk.push(item);
                    }
                    Err(trouble) => _ = self.bad.blocking_send((raw, trouble)),
                }
            }
            if chunk.len() >= CHUNK || bytes >= CHUNK_BYTES || (entries.may_wait() && !chunk.is_empty()) {
                bytes = 0;
                if !self.feed.send(std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK))) {
                    return;
                }
            }
        }
        self.shared.over.store(true, Ordering::Relaxed);
        if !chunk.is_empty() {
            self.feed.send(chunk);
        }
    }

    fn item(&mut self, raw: &Raw) -> Result<Item, Trouble> {
        let entry = entries::parse(raw, &self.base)?;
        let mut request = get::request(&self.get, &entry.wanted, self.mode, self.passwords.as_mut(), None)?;
        if let Target::File { dir, .. } = &mut request.target {
            dir.clone_from(&self.base);
        }
        let mut below = Vec::new();
        for option in entry.options {
            option.apply(&mut request, &mut below);
        }
        if let Some(proof) = &entry.sums {
            let digest = self.shelf.digest(proof, &request);
            request.checksum = Some(digest?);
        } else if let (Some(sums), None) = (&self.sums, &request.checksum) {
            request.checksum = Some(sums.digest(&request)?);
        }
        if request.checksum.as_ref().is_some_and(Checksum::is_weak) {
            self.shared.weak.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Item { line: raw.line, request, below })
    }
}

/// The thread that hears, and tells.
struct Run {
    list: List,
    spoilt: mpsc::Receiver<(Raw, Trouble)>,
    shared: Arc<Shared>,
    books: Books,
    tally: Tally,
    count: Count,
    /// The failure that stands first in the list.
    first: Option<(u64, Code)>,
    /// When to leave, after a signal.
    stopped: Option<tokio::time::Instant>,
    /// What ended the run itself.
    trouble: Option<Trouble>,
}

impl Run {
    /// To the end of the list; whether to leave without waiting for threads.
    async fn go(mut self, mut stops: sys::Stops) -> (Code, bool) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reading = true;
        loop {
            let leave = self.stopped;
            let leave =
                async { tokio::time::sleep_until(leave.unwrap_or_else(tokio::time::Instant::now)).await };
            tokio::select! {
                biased;
                () = stops.next() => {
                    if self.stopped.is_some() {
                        break;
                    }
                    self.stop();
                }
                heard = self.list.heard() => match heard {
                    Some(heard) => self.heard(heard),
                    None => {
                        // Nothing more is fetched; what could not be read is still told.
                        while let Some((raw, trouble)) = self.spoilt.recv().await {
                            self.failed(&raw, &trouble);
                        }
                        break;
                    }
                },
                bad = self.spoilt.recv(), if reading => match bad {
                    Some((raw, trouble)) => self.failed(&raw, &trouble),
                    None => reading = false,
                },
                _ = look.tick() => self.look(),
                () = leave, if self.stopped.is_some() => break,
            }
            if self.stopped.is_none() && (self.tally.is_gone() || self.trouble.is_some()) {
                self.stop();
            }
        }
        self.end()
    }

    fn stop(&mut self) {
        self.list.stop();
        self.stopped = Some(tokio::time::Instant::now() + GRACE);
    }

    fn look(&mut self) {
        self.recount();
        self.tally.progress(Instant::now(), self.count);
    }

    fn recount(&mut self) {
        let shared = &self.shared;
        (self.count.active, self.count.wire) = self.list.progress();
        self.count.known = shared.known.load(Ordering::Relaxed);
        self.count.before = shared.before.load(Ordering::Relaxed);
        self.count.over = shared.over.load(Ordering::Relaxed);
    }

    fn heard(&mut self, heard: Vec<Heard>) {
        let (mut keys, mut ended) = (Vec::new(), Vec::new());
        {
            let mut kept = self.shared.kept();
            for one in heard {
                match one {
                    Heard::Event(line, event) => {
                        let of = kept.get(&line).map(|kept| entries::shown(&kept.raw)).unwrap_or_default();
                        self.tally.event(line, &of, &event);
                    }
                    Heard::Ended(line, end) => {
                        let Some(one) = kept.remove(&line) else { continue };
                        if end.is_ok() && !one.known {
                            keys.push(one.key);
                        }
                        ended.push((one.raw, end));
                    }
                }
            }
        }
        // Before anyone is told: what was told is known to the next run.
        if let Err(error) = self.books.done(&keys) {
            self.trouble.get_or_insert(Trouble::from(&error));
        }
        for (raw, end) in ended {
            match end {
                Ok(done) => {
                    self.count.done += 1;
                    if done.unchanged {
                        self.count.unchanged += 1;
                    } else {
                        self.count.bytes += done.bytes;
                    }
                    let of = if self.tally.is_terse() { String::new() } else { entries::shown(&raw) };
                    self.tally.done(raw.line, &of, &done);
                }
                // It has not failed: the next run goes on with it.
                Err(Error::Cancelled) => {}
                Err(error) => self.failed(&raw, &Trouble::from(&error)),
            }
        }
    }

    fn failed(&mut self, raw: &Raw, trouble: &Trouble) {
        self.count.failed += 1;
        if self.first.is_none_or(|(line, _)| raw.line < line) {
            self.first = Some((raw.line, trouble.code));
        }
        self.tally.failed(raw.line, &entries::shown(raw), trouble);
        if let Err(error) = self.books.failed(raw.line, trouble, raw) {
            self.trouble.get_or_insert(Trouble::from(&error));
        }
    }

    fn end(mut self) -> (Code, bool) {
        self.recount();
        let broken = self.shared.broken.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(why) = broken {
            let trouble =
                Trouble::new(Code::FileIo, "", format!("the list could not be read to its end: {why}"), "");
            self.trouble.get_or_insert(trouble);
        }
        if let Some(ledger) = &self.books.ledger
            && let Err(error) = ledger.sync()
        {
            self.trouble.get_or_insert(Trouble::from(&error));
        }
        let Count { known, before, done, failed, .. } = self.count;
        let whole = self.shared.over.load(Ordering::Relaxed) && known == before + done + failed;
        let weak = self.shared.weak.load(Ordering::Relaxed);
        if weak > 0 {
            self.tally.note(&format!("{weak} of them have only md5 or sha-1, {}", sums::WEAK));
        }
        let path = self.books.failures.as_ref().and_then(Failures::path);
        let path = path.map(|path| printable(&path.display().to_string()).into_owned());
        self.tally.over(self.count, !whole, path.as_deref());
        if let Some(trouble) = &self.trouble {
            self.tally.trouble(trouble);
        }
        let own = self.trouble.as_ref().map(|trouble| trouble.code);
        let code = own.or(self.first.map(|(_, code)| code));
        (code.unwrap_or(if whole { Code::Done } else { Code::Unfinished }), !whole)
    }
}
