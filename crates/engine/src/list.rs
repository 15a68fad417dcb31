//! A list: many downloads, a few at a time, and those of small files at once.
//!
//! A small file needs no job (`thence_plan::small`): it is asked for, read to memory, and goes to its `group`. Whatever is
//! not plainly one (it is large, its server refuses, its answer is strange, something of it is held) is handed to the
//! driver as a download like any other, with the answer that came. So nothing is judged twice, and nothing is believed
//! here that a job would not believe.
//!
//! What is read ahead of the list is bounded: its feed, and as many again as are under way.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use thence_plan::{
    Condition, Crowd, Event, Failure, HttpVersion, Limits, Name, SMALL_ASKED, origin_of, refuses, small,
};
use tokio::sync::{mpsc, oneshot, watch};
use url::Url;

use crate::error::Error;
use crate::file;
use crate::find;
use crate::finish::right;
use crate::group::{Group, Whole};
use crate::http::{Answer, Get, Proxies};
use crate::lane::{Got, Shared};
use crate::options::{Options, Request, Target};
use crate::orders::{Done, Found, Heard, Item, Listing, Looked, Shown, Start, Ticket, Window};
use crate::pairs;
use crate::publish::mtime;
use crate::secret::Secret;
use crate::start::{self, Hint};
use crate::sys::{self, Dir, DiskError};
use crate::toll::Rate;
use crate::verify::{Digester, shown};

/// Directories of a list that are kept open. A list that has more opens them again.
const DIRECTORIES: usize = 64;

/// Hosts of a list whose first answer is told: a list of crawled pages may have one on each line.
const HOSTS: usize = 64;

/// Files that are handed to their group at once, and how long the first of them waits for the others.
const TOGETHER: usize = 32;
const COMPANY: Duration = Duration::from_millis(2);

/// What the driver is asked for.
pub(crate) enum Handed {
    /// A download that wants a job.
    Start {
        start: Box<Start>,
        hint: Option<Hint>,
        got: Option<Box<Got>>,
    },
    Cancel(Ticket),
}

/// A list, sent from wherever it is read. When it is dropped the list has ended.
pub struct Feed {
    sender: mpsc::Sender<Vec<Looked>>,
    places: Places,
    options: Arc<Options>,
}

impl Feed {
    pub(crate) fn new(sender: mpsc::Sender<Vec<Looked>>, options: Arc<Options>) -> Feed {
        Feed { sender, places: Places::default(), options }
    }

    /// Gives the next downloads, from a thread that may wait: for the disk, to see what there is of them, and until those
    /// before them have begun. False when nobody takes them any more.
    pub fn send(&mut self, items: Vec<Item>) -> bool {
        let looked = items.into_iter().map(|item| self.places.look_at(item, &self.options)).collect();
        self.sender.blocking_send(looked).is_ok()
    }
}

/// A list's downloads as their caller sees them.
pub struct List {
    pub(crate) news: mpsc::UnboundedReceiver<Vec<Heard>>,
    pub(crate) shown: Arc<Shown>,
    pub(crate) stop: watch::Sender<bool>,
}

impl List {
    /// What happened; `None` when every [`Feed`] is gone and every download over. Cancel safe.
    pub async fn heard(&mut self) -> Option<Vec<Heard>> {
        self.news.recv().await
    }

    /// How many are under way, and how many body bytes were read from sockets so far.
    pub fn progress(&self) -> (u32, u64) {
        let windows = self.shown.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let wire = windows
            .values()
            .map(|window| window.lock().unwrap_or_else(PoisonError::into_inner).progress.wire);
        let wire = self.shown.wire.load(Ordering::Relaxed) + wire.sum::<u64>();
        (self.shown.active.load(Ordering::Relaxed), wire)
    }

    /// Begins nothing more. What is under way is stopped; of what is held of large files nothing is lost.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

/// The name that a list's entry gives, made safe (R56); `None` if nothing is left of it.
pub fn safe_name(text: &str) -> Option<String> {
    Name::from_server(text).map(|name| name.as_str().to_owned())
}

/// Fetches a list to its end.
pub(crate) async fn run(listing: Listing, shared: Rc<Shared>, handed: mpsc::UnboundedSender<Handed>) {
    let Listing { exactly, feed, news, shown, stop } = listing;
    let (limits, told) = (shared.limits.clone(), news.clone());
    let group = Group::start(&limits, move |ends| {
        // Whoever does not listen any more misses nothing it wants.
        let _ = told.send(ends.into_iter().map(|(line, end)| Heard::Ended(line, end)).collect());
    });
    let Ok(group) = group else { return };
    let (queue, waiting) = mpsc::channel(limits.together.max(1) as usize);
    let crew = Rc::new(Crew {
        crowd: RefCell::new(Crowd::new(exactly, limits.together)),
        strained: RefCell::default(),
        waiting: tokio::sync::Mutex::new(waiting),
        outbox: RefCell::default(),
        at_work: Cell::new(0),
        spoken: RefCell::default(),
        shared,
        group,
        news,
        shown,
        handed,
        stop,
    });
    let (mut feed, mut stop) = (feed, crew.stop.clone());
    loop {
        let looked = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            looked = feed.recv() => looked,
        };
        let Some(looked) = looked else { return };
        for one in looked {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                _ = queue.send(one) => crew.grow(),
            }
        }
    }
}

/// The directories of a list, each opened once and searched once for what earlier runs left.
#[derive(Default)]
struct Places(HashMap<(PathBuf, Vec<String>), Place>);

#[derive(Clone)]
struct Place {
    dir: Dir,
    /// Names of its pairs by the URLs that they were begun with.
    pairs: Arc<HashMap<String, Vec<String>>>,
    /// Every name in it when it was opened; `None` where there are more than are read. What came since is found when a
    /// file gets its name.
    names: Option<Arc<HashSet<String>>>,
}

impl Places {
    /// What there is of a download.
    fn look_at(&mut self, item: Item, options: &Options) -> Looked {
        let Item { line, mut request, below } = item;
        match start::check(&mut request, options) {
            Ok((user, url)) => {
                let found = self.find(&request, url, below, &options.limits);
                Looked { line, request, user: user.map(Arc::new), found }
            }
            Err(error) => Looked { line, request, user: None, found: Err(error) },
        }
    }

    fn find(
        &mut self,
        request: &Request,
        url: Url,
        below: Vec<String>,
        limits: &Limits,
    ) -> Result<Found, Error> {
        let Target::File { dir, .. } = &request.target else { return Ok(Found::Something(None)) };
        let Place { dir, pairs, names } = self.open(dir.clone(), below, limits)?;
        let name = start::chosen(request)?;
        let known = pairs.get(url.as_str()).cloned().unwrap_or_default();
        let something = |known| Ok(Found::Something(Some((dir.clone(), known))));
        if !known.is_empty() {
            return something(known);
        }
        let chosen = name.is_some();
        let wanted = name.unwrap_or_else(|| Name::of_url(&url));
        if names.is_some_and(|names| {
            !names.contains(wanted.as_str())
                && !names.contains(&wanted.part())
                && !names.contains(&wanted.journal())
        }) {
            return Ok(Found::Nothing { dir, wanted, chosen, url });
        }
        let there = dir.entry(wanted.as_str());
        if let Some(facts) = sys::facts_at(&there)? {
            // What must be proven, or asked for, is for a job.
            let plain = request.checksum.is_none() && request.signature.is_none() && !request.only_if_changed;
            if facts.regular
                && plain
                && let Some(bytes) = find::finished(&there, &[url.as_str()])
            {
                return Ok(Found::Already(Done {
                    path: Some(there.path().into()),
                    bytes,
                    already: true,
                    ..Done::default()
                }));
            }
            return something(known);
        }
        let taken = |entry| sys::facts_at(&entry).map(|facts| facts.is_some());
        if taken(file::part_at(&dir, wanted.as_str()))? || taken(file::journal_at(&dir, wanted.as_str()))? {
            return something(known);
        }
        Ok(Found::Nothing { dir, wanted, chosen, url })
    }

    fn open(&mut self, path: PathBuf, below: Vec<String>, limits: &Limits) -> Result<Place, DiskError> {
        let key = (path, below);
        if let Some(place) = self.0.get(&key) {
            return Ok(place.clone());
        }
        let mut dir = sys::open_dir(&key.0)?;
        for name in &key.1 {
            dir = sys::open_dir_in(&dir, name)?;
        }
        let (names, all) = sys::names_in(&dir, limits.directory_entries)?;
        let pairs = pairs::by_url(&dir, &names);
        if self.0.len() >= DIRECTORIES {
            self.0.clear();
        }
        let names = all.then(|| Arc::new(names.into_iter().collect()));
        let place = Place { dir, pairs: Arc::new(pairs), names };
        self.0.insert(key, place.clone());
        Ok(place)
    }
}

/// Those who fetch. They share one thread.
struct Crew {
    shared: Rc<Shared>,
    group: Group,
    crowd: RefCell<Crowd>,
    /// Origins that refused something, and when: for a stall time their files have jobs, which wait as they are told to.
    strained: RefCell<HashMap<String, Instant>>,
    waiting: tokio::sync::Mutex<mpsc::Receiver<Looked>>,
    /// Files that are about to go to the group.
    outbox: RefCell<Vec<Whole>>,
    at_work: Cell<u32>,
    /// Hosts that have answered.
    spoken: RefCell<Vec<String>>,
    news: mpsc::UnboundedSender<Vec<Heard>>,
    shown: Arc<Shown>,
    handed: mpsc::UnboundedSender<Handed>,
    stop: watch::Receiver<bool>,
}

impl Crew {
    /// One more at work, if that is allowed.
    fn grow(self: &Rc<Crew>) {
        if self.at_work.get() < self.crowd.borrow().allowed() {
            self.at_work.set(self.at_work.get() + 1);
            tokio::task::spawn_local(self.clone().work());
        }
    }

    /// Fetches one after the other, as long as there is one and so many are allowed.
    async fn work(self: Rc<Crew>) {
        while self.at_work.get() <= self.crowd.borrow().allowed() && !*self.stop.borrow() {
            let next = match self.waiting.lock().await.try_recv() {
                Ok(next) => next,
                // Whoever brings more calls for more hands.
                Err(_) => break,
            };
            self.shown.active.fetch_add(1, Ordering::Relaxed);
            self.fetch(next).await;
            self.shown.active.fetch_sub(1, Ordering::Relaxed);
            self.grow();
        }
        self.at_work.set(self.at_work.get() - 1);
    }

    async fn fetch(self: &Rc<Crew>, looked: Looked) {
        let Looked { line, request, user, found } = looked;
        match found {
            Err(error) => self.tell(line, Err(error)),
            Ok(Found::Already(done)) => self.tell(line, Ok(done)),
            Ok(Found::Something(hint)) => {
                let hint = hint.map(|(dir, known)| Hint { dir, known });
                self.hand(line, request, hint, None).await;
            }
            Ok(Found::Nothing { dir, wanted, chosen, url }) => {
                let hint = Hint { dir: dir.clone(), known: Vec::new() };
                // What is limited is paid for lane by lane; a signature is checked for a job.
                if self.shared.rates.limit(&Rate::new(request.limit_rate))
                    || self.strains(&request.urls[0])
                    || request.signature.is_some()
                {
                    return self.hand(line, request, Some(hint), None).await;
                }
                let mut stop = self.stop.clone();
                let fetched = tokio::select! {
                    biased;
                    fetched = self.at_once(line, &request, (url, user), dir, wanted, chosen) => fetched,
                    _ = stop.wait_for(|stop| *stop) => return,
                };
                if let Err(got) = fetched {
                    self.learn(&request.urls[0], got.as_deref());
                    self.hand(line, request, Some(hint), got).await;
                }
            }
        }
    }

    /// Whether the URL's host has refused something.
    fn strains(&self, url: &str) -> bool {
        let strained = self.strained.borrow();
        let lately = |since: &Instant| since.elapsed() < self.shared.limits.stall;
        !strained.is_empty() && origin_of(url).is_some_and(|origin| strained.get(&origin).is_some_and(lately))
    }

    /// What became of a request says something of its host.
    fn learn(&self, url: &str, got: Option<&Got>) {
        let strains = match got {
            Some(Ok(answer)) => refuses(answer.head.status),
            Some(Err(Failure::Refused(_) | Failure::Reset(_) | Failure::Connect(_))) => true,
            Some(Err(_)) | None => false,
        };
        if strains && let Some(origin) = origin_of(url) {
            let before = self.strained.borrow_mut().insert(origin, Instant::now());
            // What many hear at once is one refusal.
            if before.is_none_or(|before| before.elapsed() >= self.shared.limits.stall) {
                self.crowd.borrow_mut().refused();
            }
        }
    }

    /// Fetches a small file. What is none, or fails, is given back with the answer that came, if that is of use.
    async fn at_once(
        self: &Rc<Crew>,
        line: u64,
        request: &Request,
        (url, user): (Url, Option<Arc<(String, Secret)>>),
        dir: Dir,
        wanted: Name,
        chosen: bool,
    ) -> Result<(), Option<Box<Got>>> {
        let since = Instant::now();
        // One that cannot be used is a job's to tell of.
        let proxies = Proxies::own(request.proxy.as_ref()).map_err(|_| None)?;
        let get = Get {
            url,
            given_for: None,
            headers: Arc::new(request.headers.clone()),
            user,
            range: SMALL_ASKED,
            condition: Condition::None,
            fresh: false,
            shares: true,
            sparing: false,
            proxies,
            seat: None,
        };
        let answer = self.shared.client.get(get).await;
        let mut answer = answer.map_err(|failure| Some(Box::new(Err(failure))))?;
        if let Some(host) = answer.secured.take() {
            let _ = self.news.send(vec![Heard::Event(line, Event::Secured { host })]);
        }
        self.spoke(line, &request.urls[0], answer.head.version);
        let whole = answer.hops.is_empty().then(|| small(wanted, chosen, &answer.head, &self.shared.limits));
        let Some(whole) = whole.flatten() else {
            // A large one is not brought by a connection that small ones share.
            let shared = answer.head.version == HttpVersion::Http2 && matches!(answer.head.status, 200 | 206);
            return Err((!shared).then(|| Box::new(Ok(answer))));
        };
        let room = self.group.room(whole.total).await;
        let bytes = self.body(answer, whole.total).await.map_err(|_| None)?;
        let digest = match &request.checksum {
            None => None,
            // A wrong one is a job's to tell of, after it has asked once more.
            wanted @ Some(sum) => {
                right(wanted.as_ref(), digest_of(&sum.algorithm, &bytes)).map_err(|_| None)?
            }
        };
        self.shown.wire.fetch_add(whole.total, Ordering::Relaxed);
        let (now, before) = (Instant::now(), self.crowd.borrow().allowed());
        let full = self.at_work.get() >= before;
        self.crowd.borrow_mut().ended(now, now - since, whole.total, full);
        // All that are allowed now come at once, and not one with each file that ends.
        (before..self.crowd.borrow().allowed()).for_each(|_| self.grow());
        self.put(Whole {
            line,
            dir,
            name: whole.name.as_str().to_owned(),
            bytes,
            url: request.urls[0].clone(),
            mtime: mtime(request.remote_time, &whole.identity),
            identity: whole.identity,
            mode: request.mode,
            exists: request.exists,
            room,
            done: Done {
                bytes: whole.total,
                wire_bytes: whole.total,
                digest: digest.clone().map(shown),
                ..Done::default()
            },
            digest,
        });
        Ok(())
    }

    /// Tells of the first answer of each of the first hosts.
    fn spoke(&self, line: u64, url: &str, version: HttpVersion) {
        let mut spoken = self.spoken.borrow_mut();
        if spoken.len() >= HOSTS || spoken.iter().any(|host| url.starts_with(host.as_str())) {
            return;
        }
        if let Some(host) = origin_of(url)
            && !spoken.contains(&host)
        {
            spoken.push(host.clone());
            let _ = self.news.send(vec![Heard::Event(line, Event::Answered { host, version })]);
        }
    }

    /// Hands a file to the group, with those that came just before and after.
    fn put(self: &Rc<Crew>, whole: Whole) {
        let mut outbox = self.outbox.borrow_mut();
        outbox.push(whole);
        if outbox.len() >= TOGETHER {
            self.group.put(std::mem::take(&mut *outbox));
        } else if outbox.len() == 1 {
            let crew = self.clone();
            tokio::task::spawn_local(async move {
                tokio::time::sleep(COMPANY).await;
                let left = std::mem::take(&mut *crew.outbox.borrow_mut());
                if !left.is_empty() {
                    crew.group.put(left);
                }
            });
        }
    }

    /// Reads all of a small body, which is only what its framing proves to be all of it.
    async fn body(&self, answer: Answer, total: u64) -> Result<Vec<u8>, Failure> {
        let Answer { mut body, .. } = answer;
        let mut bytes = Vec::with_capacity(total as usize);
        // Copied: what was read stays part of a buffer that is far larger.
        while let Some(chunk) = body.chunk(total - bytes.len() as u64).await? {
            if (bytes.len() + chunk.len()) as u64 > total {
                return Err(Failure::Truncated);
            }
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 == total {
                break;
            }
        }
        if bytes.len() as u64 != total || body.ending() != thence_plan::Ending::Message {
            return Err(Failure::Truncated);
        }
        body.release();
        Ok(bytes)
    }

    /// Lets the driver fetch it, and waits for its end.
    async fn hand(&self, line: u64, request: Request, hint: Option<Hint>, got: Option<Box<Got>>) {
        let (tell, mut events) = mpsc::unbounded_channel();
        let (done, mut end) = oneshot::channel();
        let (ticket, window) = (Ticket::new(), Arc::new(Mutex::new(Window::default())));
        let start = Box::new(Start { ticket: ticket.clone(), request, tell, done, window: window.clone() });
        self.windows(|windows| _ = windows.insert(line, window.clone()));
        let _ = self.handed.send(Handed::Start { start, hint, got });
        let (mut stop, mut stopping, mut silent) = (self.stop.clone(), false, false);
        let result = loop {
            tokio::select! {
                biased;
                event = events.recv(), if !silent => match event {
                    Some(event) => _ = self.news.send(vec![Heard::Event(line, event)]),
                    None => silent = true,
                },
                result = &mut end => break result.unwrap_or(Err(Error::Cancelled)),
                _ = stop.wait_for(|stop| *stop), if !stopping => {
                    stopping = true;
                    let _ = self.handed.send(Handed::Cancel(ticket.clone()));
                }
            }
        };
        self.windows(|windows| _ = windows.remove(&line));
        let wire = window.lock().unwrap_or_else(PoisonError::into_inner).progress.wire;
        self.shown.wire.fetch_add(wire, Ordering::Relaxed);
        self.tell(line, result);
    }

    fn windows(&self, act: impl FnOnce(&mut std::collections::BTreeMap<u64, Arc<Mutex<Window>>>)) {
        act(&mut self.shown.windows.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn tell(&self, line: u64, end: Result<Done, Error>) {
        let _ = self.news.send(vec![Heard::Ended(line, end)]);
    }
}

fn digest_of(algorithm: &str, bytes: &[u8]) -> Option<thence_plan::WantedDigest> {
    let mut digester = Digester::new(algorithm)?;
    digester.update(bytes);
    Some(digester.finish())
}
