//! The driver: owns the planner, does what its outputs say, and tells it what came of it.
//!
//! One mutation, then a full drain. Everything that waits (sockets, disks) is a task or another thread that
//! answers with a [`Message`]; the driver itself never waits for anything else.
//!
//! `beside` has what goes on beside the lanes.

mod beside;
mod place;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use thence_plan::{
    Action, Ask, Command, Described, Event, Failure, Hash, Input, JobId, LaneId, Output, Placement, Record,
    Run, SourceId, Take,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant as Moment;

use crate::error::Error;
use crate::file::Pair;
use crate::find;
use crate::finish::{Flaw, publish_checked, right};
use crate::http::{Client, Get, Nodes, bare};
use crate::lane::{self, Control, Got, Port, Shared, Taking, Word};
use crate::list::{self, Handed};
use crate::options::Options;
use crate::orders::{Done, Order, Start, Ticket, Whose};
use crate::standing::Standing;
use crate::start::{self, Hint, Started};
use crate::sys::DiskError;
use crate::toll::{Rate, Rates};
use crate::verify::{self, Disk, shown};
use crate::work::{Caller, Next, Work};
use crate::write::{OpenBlock, Pool, Writers};

/// Callers' windows are refreshed this often, while anything happens at all.
const SHOW: Duration = Duration::from_millis(100);

/// What came of something the driver set going.
enum Message {
    Prepared(Box<Started>, Caller),
    Lane(Word),
    /// With the file that is to be replaced, if it was found only now, and one that has its name and may be its beginning.
    Placed(Result<Placed, DiskError>),
    /// The version to be placed was held before.
    Returned(Box<find::Work>),
    Already(Result<Done, Error>),
    Appended(Result<(), DiskError>),
    /// The digest was fed.
    Followed,
    /// What a server's Metalink says.
    Described(Box<Described>),
    Synced(Result<(), DiskError>),
    Checked {
        block: u32,
        hash: Hash,
        found: Result<Option<OpenBlock>, DiskError>,
    },
    Finished(Result<Done, Failure>),
}

/// A pair, what it was made for, the file that it replaces, and the file that has its name and may be the beginning of it.
type Placed = (Box<Pair>, Box<Placement>, Option<Standing>, Option<PathBuf>);

/// Runs the driver on this thread until every handle of the engine is gone.
pub(crate) fn serve(
    options: Options,
    orders: mpsc::UnboundedReceiver<Order>,
    started: &std::sync::mpsc::Sender<Result<(), Error>>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ready = runtime.map_err(|e| Error::Option(format!("no runtime for the engine: {e}")));
    let ready = ready.and_then(|runtime| Ok((runtime, Driver::new(options)?)));
    match ready {
        Ok((runtime, driver)) => {
            let _ = started.send(Ok(()));
            // A task among the lanes, so that none of them has two turns before the driver has one.
            let driving = async { tokio::task::spawn_local(driver.run(orders)).await };
            if let Err(panic) = tokio::task::LocalSet::new().block_on(&runtime, driving) {
                std::panic::resume_unwind(panic.into_panic());
            }
        }
        Err(error) => {
            let _ = started.send(Err(error));
        }
    }
}

struct Driver {
    run: Run,
    shared: Rc<Shared>,
    options: Rc<Options>,
    works: BTreeMap<JobId, Work>,
    /// Downloads being prepared, their own rate limits, and whether they were cancelled meanwhile.
    preparing: Vec<(Ticket, Rc<Rate>, bool)>,
    words: mpsc::UnboundedSender<(JobId, Word)>,
    inbox: mpsc::UnboundedReceiver<(JobId, Word)>,
    messages: mpsc::UnboundedSender<(JobId, Message)>,
    post: mpsc::UnboundedReceiver<(JobId, Message)>,
    /// What lists hand over, since it wants a job.
    handed: mpsc::UnboundedSender<Handed>,
    taken: mpsc::UnboundedReceiver<Handed>,
    /// Answers known at once, handled after the drain.
    at_once: VecDeque<(JobId, Input)>,
    /// When the oldest record in a batch must be appended.
    flush: Option<Moment>,
    /// When the planner wants to look again.
    wake: Option<Instant>,
    shown: Instant,
    closing: Option<oneshot::Sender<()>>,
}

/// A message that belongs to no job yet.
const NO_JOB: JobId = JobId(u32::MAX);

impl Driver {
    fn new(options: Options) -> Result<Driver, Error> {
        let limits = options.limits.clone();
        let thread = |e: std::io::Error| Error::Option(format!("no thread for the disk: {e}"));
        let shared = Shared {
            client: Client::new(&options)?,
            pool: Pool::new(limits.slabs, limits.slab),
            writers: Writers::default(),
            disk: Disk::start().map_err(thread)?,
            rates: Rates::new(options.limit_rate, options.limit_host),
            lately: Arc::default(),
            limits: limits.clone(),
        };
        let (words, inbox) = mpsc::unbounded_channel();
        let (messages, post) = mpsc::unbounded_channel();
        let (handed, taken) = mpsc::unbounded_channel();
        let mut seed = [0; 8];
        // Without system randomness back-off is not jittered; nothing else depends on it.
        let _ = getrandom::fill(&mut seed);
        Ok(Driver {
            run: Run::new(limits, u64::from_ne_bytes(seed)),
            shared: Rc::new(shared),
            options: Rc::new(options),
            works: BTreeMap::new(),
            preparing: Vec::new(),
            words,
            inbox,
            messages,
            post,
            handed,
            taken,
            at_once: VecDeque::new(),
            flush: None,
            wake: None,
            shown: Instant::now(),
            closing: None,
        })
    }

    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        loop {
            let wake = self.drain();
            if self.works.is_empty()
                && self.preparing.is_empty()
                && let Some(closing) = self.closing.take()
            {
                let _ = closing.send(());
                return;
            }
            let until = [wake.map(Moment::from_std), self.flush].into_iter().flatten().min();
            tokio::select! {
                biased;
                Some((job, word)) = self.inbox.recv() => self.on_word(job, word),
                Some((job, message)) = self.post.recv() => self.on_message(job, message),
                Some(handed) = self.taken.recv() => match handed {
                    Handed::Start { start, hint, got } => self.prepare(*start, hint, got),
                    Handed::Cancel(ticket) => self.cancel(&ticket),
                },
                order = orders.recv() => match order {
                    Some(order) => self.on_order(order),
                    // Nobody can hear of these downloads any more.
                    None => return,
                },
                () = sleep_until(until), if until.is_some() => {}
            }
            if self.flush.is_some_and(|at| at <= Moment::now()) {
                self.append_all();
            }
        }
    }

    /// Does everything the planner wants now. Returns when it wants to look again.
    fn drain(&mut self) -> Option<Instant> {
        let now = Instant::now();
        if self.wake.is_some_and(|at| at <= now) {
            self.run.wake(now);
        }
        loop {
            match self.run.poll(now) {
                Output::Job(job, action) => self.act(job, action),
                Output::Idle(at) => match self.at_once.pop_front() {
                    Some((job, input)) => self.run.handle(now, job, input),
                    None => {
                        self.show(now);
                        self.wake = at;
                        return at;
                    }
                },
            }
        }
    }

    fn show(&mut self, now: Instant) {
        if now.duration_since(self.shown) < SHOW {
            return;
        }
        self.shown = now;
        for (&job, work) in &self.works {
            if let Some(progress) = self.run.progress(job) {
                work.show(progress);
            }
        }
    }

    fn input(&mut self, job: JobId, input: Input) {
        self.run.handle(Instant::now(), job, input);
    }

    fn on_order(&mut self, order: Order) {
        match order {
            Order::Start(start) => self.prepare(*start, None, None),
            Order::List(listing) => {
                tokio::task::spawn_local(list::run(*listing, self.shared.clone(), self.handed.clone()));
            }
            Order::Command(ticket, command) => {
                if let Some(job) = self.job_of(&ticket) {
                    self.input(job, Input::Command(command));
                }
            }
            Order::Limit(whose, rate) => self.limit(&whose, rate),
            Order::Cancel(ticket) => self.cancel(&ticket),
            Order::Close(rested) => {
                self.closing = Some(rested);
                let tickets: Vec<Ticket> = self.works.values().map(|w| w.caller.ticket.clone()).collect();
                for ticket in tickets {
                    self.cancel(&ticket);
                }
            }
        }
    }

    /// Another rate counts from now on. The planner needs not know: it judges lanes by what they bring.
    fn limit(&self, whose: &Whose, rate: Option<u64>) {
        let now = Instant::now();
        match whose {
            Whose::All => self.shared.rates.set_all(now, rate),
            Whose::Hosts => self.shared.rates.set_host(now, rate),
            Whose::One(ticket) => {
                let begun = self.works.values().map(|work| (&work.caller.ticket, &work.rate));
                let preparing = self.preparing.iter().map(|(ticket, own, _)| (ticket, own));
                begun.chain(preparing).filter(|(t, _)| *t == ticket).for_each(|(_, own)| own.set(now, rate));
            }
        }
        self.works.values().flat_map(|work| work.lanes.values()).for_each(|control| control.look_again());
    }

    fn job_of(&self, ticket: &Ticket) -> Option<JobId> {
        self.works.iter().find(|(_, work)| work.caller.ticket == *ticket).map(|(&job, _)| job)
    }

    /// A cancelled download first comes to rest, as in a pause.
    fn cancel(&mut self, ticket: &Ticket) {
        if let Some(preparing) = self.preparing.iter_mut().find(|(t, ..)| t == ticket) {
            preparing.2 = true;
        }
        let Some(job) = self.job_of(ticket) else { return };
        if let Some(work) = self.works.get_mut(&job) {
            work.cancelled = true;
        }
        self.input(job, Input::Command(Command::Pause));
    }

    /// Looks for held work before anything is asked; the answer is `Message::Prepared`.
    fn prepare(&mut self, start: Start, hint: Option<Hint>, got: Option<Box<Got>>) {
        let Start { ticket, request, tell, done, window } = start;
        self.preparing.push((ticket.clone(), Rate::new(request.limit_rate), false));
        let caller = Caller { ticket, tell, done: Some(done), window, got };
        let (shared, options, messages) = (self.shared.clone(), self.options.clone(), self.messages.clone());
        tokio::task::spawn_local(async move {
            let started = start::prepare(request, hint, &options, &shared).await;
            let _ = messages.send((NO_JOB, Message::Prepared(Box::new(started), caller)));
        });
    }

    fn on_prepared(&mut self, started: Started, mut caller: Caller) {
        let at = self.preparing.iter().position(|(t, ..)| *t == caller.ticket);
        let (rate, cancelled) = at
            .map(|at| self.preparing.swap_remove(at))
            .map_or_else(|| (Rate::new(None), true), |(_, rate, cancelled)| (rate, cancelled));
        let over = match started {
            Started::Begin { spec, asking, aim, files, stream, notes }
                if !cancelled && self.closing.is_none() =>
            {
                let job = self.run.add(Instant::now(), *spec);
                let work = Work {
                    nodes: Nodes::new(caller.tell.clone(), self.shared.limits.tick),
                    asking,
                    aim,
                    caller,
                    rate,
                    files,
                    follower: None,
                    stream: stream.map(Rc::new),
                    lanes: BTreeMap::new(),
                    open: BTreeMap::new(),
                    batch: Vec::new(),
                    covered: 0,
                    appending: false,
                    next: None,
                    cancelled: false,
                    ending: None,
                };
                notes.into_iter().for_each(|event| work.tell(event));
                self.works.insert(job, work);
                return;
            }
            Started::Begin { .. } => Err(Error::Cancelled),
            Started::Already(done) => Ok(done),
            Started::Failed(error) => Err(error),
        };
        if let Some(done) = caller.done.take() {
            let _ = done.send(over);
        }
    }

    fn on_word(&mut self, job: JobId, word: Word) {
        match word {
            Word::Input(input) => {
                let stored = matches!(input, Input::Stored { .. });
                self.input(job, input);
                if stored {
                    self.follow(job);
                }
            }
            Word::Told(event) => self.tell(job, event),
            Word::Ended { lane, result } => {
                if let Some(work) = self.works.get_mut(&job) {
                    let left = work.lanes.remove(&lane).and_then(|control| control.left());
                    work.open.extend(left);
                }
                self.input(job, Input::Ended { lane, result });
            }
        }
    }

    fn on_message(&mut self, job: JobId, message: Message) {
        match message {
            Message::Prepared(started, caller) => self.on_prepared(*started, caller),
            Message::Lane(word) => self.on_word(job, word),
            Message::Placed(result) => self.on_placed(job, result),
            Message::Returned(work) => self.on_returned(job, *work),
            Message::Already(done) => self.over(job, done),
            Message::Appended(result) => self.on_appended(job, result),
            Message::Followed => self.follow(job),
            Message::Described(file) => self.on_described(job, *file),
            Message::Synced(result) => self.input(job, Input::Synced(result.map_err(Failure::from))),
            Message::Checked { block, hash, found } => self.on_checked(job, block, hash, found),
            Message::Finished(Ok(done)) => {
                self.input(job, Input::Finished(Ok(())));
                let completion = self.run.completion(job).unwrap_or_default();
                let done = Done {
                    bytes: completion.bytes,
                    wire_bytes: completion.wire,
                    unproven: completion.unproven,
                    length_unknown: completion.length_unknown,
                    ..done
                };
                self.over(job, Ok(done));
            }
            Message::Finished(Err(failure)) => self.input(job, Input::Finished(Err(failure))),
        }
    }

    fn act(&mut self, job: JobId, action: Action) {
        match action {
            Action::Open { lane, source, url, given_for, ask } => {
                self.open(job, lane, source, (url, given_for), ask)
            }
            Action::Take(lane, take) => self.take(job, lane, take),
            Action::Narrow { lane, end } => self.narrow(job, lane, end),
            Action::Close { lane } => self.close(job, lane),
            Action::Place(placement) => self.place(job, placement),
            Action::Note(record) => self.note(job, record),
            Action::Check { block, len, hash } => self.check(job, block, len, hash),
            Action::Sync => self.after_records(job, Next::Sync),
            Action::Forget { from } => {
                let stream = self.works.get(&job).and_then(|work| work.stream.as_ref());
                stream.into_iter().for_each(|stream| stream.forget(from));
            }
            Action::Renew { source, url } => self.renew(job, source, url),
            Action::Describe { url, given_for } => self.describe(job, url, given_for),
            Action::Finish { total } => self.after_records(job, Next::Finish { total }),
            Action::Tell(event) => self.tell(job, event),
            Action::Fail(error) => self.fail(job, error),
        }
    }

    fn open(
        &mut self,
        job: JobId,
        id: LaneId,
        source: SourceId,
        (url, given_for): (String, String),
        ask: Ask,
    ) {
        let Some(work) = self.works.get_mut(&job) else { return };
        let control = Control::new(work.rate.clone());
        work.lanes.insert(id, control.clone());
        let got = work.got(source, &url, &ask);
        let other = (given_for != url).then_some(given_for);
        let parsed = bare(&url).and_then(|url| Ok((url, other.map(|other| bare(&other)).transpose()?)));
        let (url, given_for) = match parsed {
            Ok(parsed) => parsed,
            Err(failure) => {
                self.at_once.push_back((job, Input::Ended { lane: id, result: Err(failure) }));
                return;
            }
        };
        let get = Get {
            url,
            given_for,
            headers: work.asking.headers.clone(),
            user: work.asking.user.clone().filter(|_| source.0 == 0),
            range: ask.range,
            condition: ask.condition.clone(),
            fresh: ask.fresh,
            shares: false,
            sparing: self.shared.rates.limit(&work.rate),
            proxies: work.asking.proxies.clone(),
            seat: Some(work.nodes.seat()),
        };
        let port = Port { job, lane: id, words: self.words.clone() };
        let task = tokio::task::spawn_local(lane::run(self.shared.clone(), control, port, get, got));
        // A lane that panics is a lane that broke: the planner hears of it as of any other failure.
        let messages = self.messages.clone();
        tokio::task::spawn_local(async move {
            if let Err(error) = task.await {
                let result = Err(Failure::Defect(error.to_string()));
                let _ = messages.send((job, Message::Lane(Word::Ended { lane: id, result })));
            }
        });
    }

    fn take(&mut self, job: JobId, lane: LaneId, take: Take) {
        let Some(work) = self.works.get_mut(&job) else { return };
        let (Some(place), Some(control)) = (work.place(), work.lanes.get(&lane).cloned()) else { return };
        let compares_only = take.end == Some(take.at);
        let open = if compares_only { OpenBlock::new() } else { work.open_at(take.at) };
        control.take(Taking { take, place, open });
    }

    fn narrow(&mut self, job: JobId, lane: LaneId, end: u64) {
        let control = self.works.get(&job).and_then(|work| work.lanes.get(&lane));
        if let Some(control) = control {
            let end = control.narrow(end);
            self.at_once.push_back((job, Input::Narrowed { lane, end }));
        }
    }

    fn close(&mut self, job: JobId, lane: LaneId) {
        if let Some(control) = self.works.get(&job).and_then(|work| work.lanes.get(&lane)) {
            control.close();
        }
    }

    fn note(&mut self, job: JobId, record: Record) {
        let Some(work) = self.works.get_mut(&job) else { return };
        if let (Record::Learnt(identity), Some(files)) = (&record, &mut work.files) {
            files.total = identity.total;
            files.identity = identity.clone();
        }
        if let (Record::Invalid { first, .. }, Some(files), Some(follower)) =
            (&record, &work.files, &mut work.follower)
        {
            follower.spoilt(u64::from(*first) * u64::from(files.block_size));
        }
        if let Record::Replaces(stamp) = record {
            work.aim.adopted = stamp;
        }
        if work.files.as_ref().is_some_and(|files| files.pair.journal.is_some()) {
            if let Record::Block { len, .. } | Record::Prefix { len, .. } = record {
                work.covered += u64::from(len);
            }
            work.batch.push(record);
            self.flush.get_or_insert(Moment::now() + self.shared.limits.batch);
            if work.covered >= self.shared.limits.batch_bytes {
                self.append(job);
            }
        }
    }

    fn append_all(&mut self) {
        self.flush = None;
        let jobs: Vec<JobId> = self.works.keys().copied().collect();
        for job in jobs {
            self.append(job);
        }
    }

    /// Appends a job's batch. One append is under way at most, so records keep their order.
    fn append(&mut self, job: JobId) {
        let Some(work) = self.works.get_mut(&job) else { return };
        if work.appending || work.batch.is_empty() {
            return;
        }
        let Some(pair) = work.files.as_ref().map(|files| files.pair.clone()) else { return };
        let Some(journal) = pair.journal.clone() else { return };
        (work.appending, work.covered) = (true, 0);
        let appended = self.shared.writers.append(&pair.part, journal, std::mem::take(&mut work.batch));
        let messages = self.messages.clone();
        tokio::task::spawn_local(async move {
            let result = appended.await.unwrap_or_else(|_| Err(DiskError::gone()));
            let _ = messages.send((job, Message::Appended(result)));
        });
    }

    fn on_appended(&mut self, job: JobId, result: Result<(), DiskError>) {
        let Some(work) = self.works.get_mut(&job) else { return };
        work.appending = false;
        if let Err(error) = result {
            work.batch.clear();
            // What waited for these records will not be done; whoever asked for it waits for an answer.
            let next = work.next.take();
            if work.ending.is_none() {
                let failure = Failure::from(error);
                let answer = match next {
                    Some(Next::Finish { .. }) => Input::Finished(Err(failure)),
                    Some(Next::Sync) => Input::Synced(Err(failure)),
                    None => Input::Unwritten(failure),
                };
                return self.input(job, answer);
            }
        }
        self.append(job);
        if let Some(work) = self.works.get_mut(&job)
            && !work.appending
            && let Some(result) = work.ending.take()
        {
            return self.end(job, result);
        }
        self.go_on(job);
    }

    /// Does `next` once every record noted so far is appended.
    fn after_records(&mut self, job: JobId, next: Next) {
        let Some(work) = self.works.get_mut(&job) else { return };
        work.next = Some(next);
        self.append(job);
        self.go_on(job);
    }

    fn go_on(&mut self, job: JobId) {
        let Some(work) = self.works.get_mut(&job) else { return };
        if work.appending {
            return;
        }
        match work.next.take() {
            Some(Next::Sync) => self.sync(job),
            Some(Next::Finish { total }) => self.finish(job, total),
            None => {}
        }
    }

    fn sync(&mut self, job: JobId) {
        let Some(files) = self.works.get(&job).and_then(|work| work.files.as_ref()) else { return };
        let pair = files.pair.clone();
        let (messages, shared) = (self.messages.clone(), self.shared.clone());
        tokio::task::spawn_local(async move {
            let synced = shared.disk.call(move || verify::sync(&pair)).await;
            let _ = messages.send((job, Message::Synced(synced.unwrap_or_else(|_| Err(DiskError::gone())))));
        });
    }

    fn check(&mut self, job: JobId, block: u32, len: u32, hash: Hash) {
        let Some(files) = self.works.get(&job).and_then(|work| work.files.as_ref()) else { return };
        let (checker, messages, shared) = (files.checker.clone(), self.messages.clone(), self.shared.clone());
        tokio::task::spawn_local(async move {
            let found = shared.disk.call(move || {
                checker.lock().unwrap_or_else(PoisonError::into_inner).check(block, len, |_| {})
            });
            let found = found.await.unwrap_or_else(|_| Err(DiskError::gone()));
            let _ = messages.send((job, Message::Checked { block, hash, found }));
        });
    }

    fn on_checked(
        &mut self,
        job: JobId,
        block: u32,
        hash: Hash,
        found: Result<Option<OpenBlock>, DiskError>,
    ) {
        let same = match found {
            Ok(Some(open)) if open.hash() == hash => {
                if let Some(work) = self.works.get_mut(&job) {
                    work.open.insert(block, open);
                }
                true
            }
            // What cannot be read back is not held (CRH-17, CRH-18).
            Ok(_) | Err(_) => false,
        };
        self.input(job, Input::Checked { block, same });
    }

    fn finish(&mut self, job: JobId, total: u64) {
        let Some(work) = self.works.get(&job) else { return };
        let (messages, shared) = (self.messages.clone(), self.shared.clone());
        if let Some(stream) = work.stream.clone() {
            let wanted = work.aim.checksum.clone();
            tokio::task::spawn_local(async move {
                let finished = stream.finish().await.and_then(|digest| right(wanted.as_ref(), digest));
                let done = finished.map(|digest| Done { digest: digest.map(shown), ..Done::default() });
                let _ = messages.send((job, Message::Finished(done)));
            });
            return;
        }
        let Some((pair, finish, proofs)) = work.whole(total, &self.shared.limits) else { return };
        tokio::task::spawn_local(async move {
            let message = match publish_checked(&shared, &pair, finish, proofs).await {
                Ok(done) => Message::Finished(Ok(done)),
                Err(Flaw::Other(failure)) => Message::Finished(Err(failure)),
                Err(Flaw::Wrong(ranges, failure)) => {
                    Message::Lane(Word::Input(Input::Wrong { ranges, failure }))
                }
            };
            let _ = messages.send((job, message));
        });
    }

    fn tell(&mut self, job: JobId, event: Event) {
        let progress = self.run.progress(job);
        let Some(work) = self.works.get_mut(&job) else { return };
        if let Some(progress) = progress {
            work.show(progress);
        }
        let at_rest = event == Event::Paused;
        work.tell(event);
        if !at_rest {
            return;
        }
        self.note_clean(job);
        if self.works.get(&job).is_some_and(|work| work.cancelled) {
            self.over(job, Err(Error::Cancelled));
        }
    }

    /// The last record of a run that ends in order: the next one need not doubt what was synced.
    fn note_clean(&mut self, job: JobId) {
        let files = self.works.get(&job).and_then(|work| work.files.as_ref());
        if let Some(record) = files.and_then(|files| files.pair.part.clean().ok()) {
            self.note(job, record);
        }
    }

    fn fail(&mut self, job: JobId, error: thence_plan::Error) {
        if error == thence_plan::Error::Unchanged {
            return self.unchanged(job);
        }
        if !matches!(error, thence_plan::Error::Disk(_)) {
            self.note_clean(job);
        }
        let path = self.works.get(&job).and_then(|w| w.files.as_ref()).map(|files| files.pair.part_path());
        self.over(job, Err(Error::of_job(error, path)));
    }

    /// The file that is there is the one that is wanted, as it was found to be before its source was asked.
    fn unchanged(&mut self, job: JobId) {
        let there = self.works.get(&job).and_then(|work| work.aim.there.clone());
        self.over(job, there.ok_or(Error::Cancelled));
    }

    /// The job's last word. Its last records are appended before its files are let go.
    fn over(&mut self, job: JobId, result: Result<Done, Error>) {
        self.append(job);
        if let Some(work) = self.works.get_mut(&job)
            && work.appending
        {
            work.ending = Some(result);
            return;
        }
        self.end(job, result);
    }

    fn end(&mut self, job: JobId, result: Result<Done, Error>) {
        if let Some(progress) = self.run.progress(job)
            && let Some(work) = self.works.get(&job)
        {
            work.show(progress);
        }
        let Some(mut work) = self.works.remove(&job) else { return };
        for control in work.lanes.values() {
            control.close();
        }
        self.run.remove(job);
        work.end(result);
    }
}

/// Sleeps until a moment; for ever without one.
async fn sleep_until(until: Option<Moment>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}
