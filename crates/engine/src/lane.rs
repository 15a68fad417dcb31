//! A lane: one connection that asks for a range, waits for the planner's word, and brings the bytes.
//!
//! It knows nothing of other lanes and judges nothing. It owns its slabs until it hands them over; it has one
//! hand-over under way at most, so the order within a block is kept; and it never waits for a slab, its rate
//! or its socket for longer than `hand_over` with unwritten bytes in hand.

mod control;
#[cfg(test)]
mod tests;

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use thence_plan::{Ending, Event as Told, Failure, Head, Input, JobId, LaneId, Limits, WantedDigest};
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant as Moment, Sleep, sleep, sleep_until};

pub(crate) use control::{Control, Place, Taking};

use crate::decode::Decoder;
use crate::http::{Answer, Body, Client, Get, Losses, Seat};
use crate::pairs::Lately;
use crate::stream::Stream;
use crate::sys::DiskError;
use crate::toll::{Pass, Rates, Toll};
use crate::verify::{self, Digester, Disk};
use crate::write::{HAND, Handover, Hashing, OpenBlock, Pool, Slab, Writers, Written};

/// Bytes that are compared at once.
const COMPARED: usize = 64 << 10;

/// How long a lane that is watched looks for lost packets: what starts slowly has started by then.
const WATCHED: Duration = Duration::from_secs(5);

/// What lies in a socket is told within this time: the system is asked once.
const DRAIN: Duration = Duration::from_millis(1);

/// What lanes tell the driver.
pub(crate) enum Word {
    /// For the planner.
    Input(Input),
    /// For the caller.
    Told(Told),
    /// The lane is gone; its control has the hash state of the block it stopped in.
    Ended { lane: LaneId, result: Result<Ending, Failure> },
}

/// What all lanes of a run share. One thread owns it.
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) pool: Pool,
    pub(crate) writers: Writers,
    pub(crate) disk: Disk,
    pub(crate) rates: Rates,
    pub(crate) lately: Arc<Lately>,
    pub(crate) limits: Limits,
}

/// A lane's way to the driver.
#[derive(Clone)]
pub(crate) struct Port {
    pub(crate) job: JobId,
    pub(crate) lane: LaneId,
    pub(crate) words: mpsc::UnboundedSender<(JobId, Word)>,
}

impl Port {
    fn say(&self, input: Input) {
        // The driver outlives its lanes; when it is gone there is nobody to tell.
        let _ = self.words.send((self.job, Word::Input(input)));
    }

    fn tell(&self, told: Told) {
        let _ = self.words.send((self.job, Word::Told(told)));
    }

    fn end(&self, result: Result<Ending, Failure>) {
        let _ = self.words.send((self.job, Word::Ended { lane: self.lane, result }));
    }
}

/// What came of a request: also of one that was made before there was a lane.
pub(crate) type Got = Result<Answer, Failure>;

/// Runs a lane from its request, or from its answer if that is here, to its end.
pub(crate) async fn run(shared: Rc<Shared>, control: Rc<Control>, port: Port, get: Get, got: Option<Got>) {
    let (asked, seat) = (get.url.clone(), get.seat.clone());
    let answer = match got {
        Some(got) => {
            let origin = got.as_ref().ok().and_then(|answer| answer.body.origin());
            if let (Some(seat), Some(origin)) = (&seat, origin) {
                seat.was_served(origin);
            }
            got
        }
        None => tokio::select! {
            biased;
            () = closed(&control) => return port.end(Ok(Ending::Closed)),
            answer = shared.client.get(get) => answer,
        },
    };
    let Answer { hops, secured, head, body } = match answer {
        Ok(answer) => answer,
        Err(failure) => return port.end(Err(failure)),
    };
    if let Some(host) = secured {
        port.tell(Told::Secured { host });
    }
    let toll = shared.rates.toll(hops.last().map_or(asked.as_str(), String::as_str), control.rate.clone());
    let content = content_length(&head);
    port.say(Input::Head { lane: port.lane, hops, head });
    let Some(taking) = word(&control).await else {
        // What is left of a short body is read so that the connection can be used again.
        if content.is_some_and(|len| len <= shared.limits.discard) {
            tokio::task::spawn_local(body.discard());
        }
        return port.end(Ok(Ending::Closed));
    };
    let decoder = match Decoder::new(&taking.take.codings, &shared.limits) {
        Ok(decoder) => decoder,
        Err(failure) => return port.end(Err(failure)),
    };
    let proof = Proof::new(taking.take.digest.clone(), content);
    let mut reader = Reader::new(shared, control, port, taking, (proof, toll));
    reader.seat = seat;
    let result = reader.read(body, decoder).await;
    reader.finish(result).await;
}

fn content_length(head: &Head) -> Option<u64> {
    std::str::from_utf8(head.single("content-length")?).ok()?.parse().ok()
}

async fn closed(control: &Control) {
    while !control.closing.get() {
        control.wake.notified().await;
    }
}

/// Waits for `Take` (or `None` for `Close`). The stall clock does not run: it is we who let the peer wait.
async fn word(control: &Control) -> Option<Taking> {
    loop {
        if control.closing.get() {
            return None;
        }
        if let Some(taking) = control.taking.borrow_mut().take() {
            return Some(taking);
        }
        control.wake.notified().await;
    }
}

/// The digest that a message's content came with, and what was read so far (R50). Only a content that was read whole
/// proves or refutes anything. It is hashed on the lane's thread: few servers send one, and then for parts.
struct Proof {
    digester: Digester,
    wanted: WantedDigest,
    /// Length of the content, if its head told.
    len: Option<u64>,
}

impl Proof {
    fn new(wanted: Option<WantedDigest>, len: Option<u64>) -> Option<Proof> {
        let wanted = wanted?;
        Some(Proof { digester: Digester::new(&wanted.algorithm)?, wanted, len })
    }

    /// The content is read, or as much of it as is wanted.
    fn settle(proof: Option<Proof>, ended: bool) -> Result<(), Failure> {
        let Some(Proof { digester, wanted, len }) = proof else { return Ok(()) };
        let whole = ended || len == Some(digester.at());
        if whole && digester.finish().bytes != wanted.bytes { Err(Failure::Content) } else { Ok(()) }
    }
}

/// What a reader waits for next.
#[allow(clippy::large_enum_variant, reason = "one at a time, on the stack; a box would cost every hand-over")]
enum Event {
    Woken,
    Due,
    Look,
    Written(Result<Written, DiskError>),
    Granted,
    Readable(Result<(), Failure>),
    Chunk(Result<Option<Bytes>, Failure>),
}

/// The body's way from socket to slab.
struct Reader {
    shared: Rc<Shared>,
    control: Rc<Control>,
    port: Port,
    /// Its place among the addresses of its host.
    seat: Option<Arc<Seat>>,
    place: Place,
    /// Bytes below this are compared or dropped.
    from: u64,
    compare: bool,
    /// Bytes below `at` that are still to be compared: a body of tiny chunks is not compared chunk by chunk.
    skipped: Vec<u8>,
    /// Offset of the next body byte.
    at: u64,
    /// Body bytes read that are not used yet, or lie beyond the end.
    rest: Bytes,
    toll: Toll,
    /// Bytes that they let it read.
    allowed: u64,
    /// When the rate limits are to be asked again: until then nothing is used, nor read.
    granted: Option<Moment>,
    /// Until when the planner thinks that they keep it.
    held: Instant,
    /// Filled slabs, and the offset of their first byte.
    slabs: Vec<Slab>,
    slabs_at: u64,
    /// When the oldest byte in hand must be handed over.
    due: Option<Moment>,
    /// Of all that was put into slabs; `None` of a stream.
    hashing: Option<Hashing>,
    proof: Option<Proof>,
    writing: Option<oneshot::Receiver<Result<Written, DiskError>>>,
    reported: Instant,
    unreported: u64,
    /// Packets of its connection that are lost, when it looks for them again, and until when.
    watch: Option<(Losses, Moment, Moment)>,
}

impl Reader {
    fn new(
        shared: Rc<Shared>,
        control: Rc<Control>,
        port: Port,
        taking: Taking,
        (proof, toll): (Option<Proof>, Toll),
    ) -> Reader {
        let hashing = hashing(&taking.place, taking.take.at, taking.open);
        Reader {
            shared,
            control,
            port,
            seat: None,
            place: taking.place,
            from: taking.take.at,
            compare: taking.take.compare,
            skipped: Vec::new(),
            at: taking.take.from,
            rest: Bytes::new(),
            toll,
            allowed: u64::MAX,
            granted: None,
            held: Instant::now(),
            slabs: Vec::with_capacity(HAND),
            slabs_at: 0,
            due: None,
            hashing,
            proof,
            writing: None,
            reported: Instant::now(),
            unreported: 0,
            watch: taking.take.watch.then(|| (Losses::default(), Moment::now(), Moment::now() + WATCHED)),
        }
    }

    /// Reads the body to the lane's end, the message's end, or a failure.
    async fn read(&mut self, mut body: Body, mut decoder: Decoder) -> Result<Ending, Failure> {
        let mut timer = Box::pin(sleep_until(Moment::now()));
        let mut ended = false;
        self.toll.used(body.wire());
        loop {
            if self.control.closing.get() {
                self.drain(&mut body, &mut decoder).await?;
                return Ok(Ending::Closed);
            }
            if !self.passes(0) {
                self.turn(&mut body, &mut decoder, timer.as_mut()).await?;
                continue;
            }
            if self.at >= self.control.end.get() {
                if self.goes_on(&mut body).await? {
                    continue;
                }
                tokio::task::spawn_local(body.discard());
                Proof::settle(self.proof.take(), false)?;
                return Ok(Ending::Range);
            }
            if self.use_read(&mut decoder).await? {
                continue;
            }
            if ended {
                let ending = body.ending();
                body.release();
                Proof::settle(self.proof.take(), true)?;
                return Ok(ending);
            }
            ended = self.turn(&mut body, &mut decoder, timer.as_mut()).await?;
        }
    }

    /// Waits for one thing, and does what it asks for. True once the body has ended.
    async fn turn(
        &mut self,
        body: &mut Body,
        decoder: &mut Decoder,
        timer: std::pin::Pin<&mut Sleep>,
    ) -> Result<bool, Failure> {
        let filling = self.fills(decoder) && body.leave_library();
        match self.next(body, decoder, filling, timer).await {
            Event::Woken => self.woken(),
            Event::Granted => self.granted = None,
            Event::Due => self.fell_due().await?,
            Event::Look => self.look(body),
            Event::Written(written) => self.written(written)?,
            Event::Readable(readable) => {
                readable?;
                let ended = self.fill(body).await?;
                self.toll.used(body.wire());
                if ended {
                    decoder.end();
                }
                return Ok(ended);
            }
            Event::Chunk(chunk) => {
                self.toll.used(body.wire());
                let Some(bytes) = chunk? else {
                    decoder.end();
                    return Ok(true);
                };
                self.feed(decoder, bytes);
            }
        }
        Ok(false)
    }

    /// Bytes came, and are to be undone.
    fn feed(&mut self, decoder: &mut Decoder, bytes: Bytes) {
        self.count(bytes.len());
        if let Some(proof) = &mut self.proof {
            proof.digester.update(&bytes);
        }
        decoder.feed(bytes);
    }

    /// Whether the rate limits let it go on and read `want` bytes, 0 for using what is read. If not, `granted` says until
    /// when. How many they are stands in `allowed`.
    fn passes(&mut self, want: u64) -> bool {
        if self.granted.is_some() {
            return false;
        }
        // What nothing limits asks for no time: a body may come in millions of chunks.
        let now = if self.toll.is_free() { self.reported } else { Instant::now() };
        match self.toll.pass(now, want) {
            Pass::Upto(bytes) => self.allowed = bytes,
            Pass::At(at) => {
                self.granted = Some(at.into());
                self.tell_held(at);
            }
        }
        self.granted.is_none()
    }

    /// The planner is to take nobody for slow who waits for a limit of ours. At 1 GB/s a lane waits thousands of times a
    /// second, so that it hears of it no more often than of what was read.
    fn tell_held(&mut self, until: Instant) {
        if until >= self.held + self.shared.limits.report {
            self.held = until;
            self.port.say(Input::Held { lane: self.port.lane, until });
        }
    }

    /// At its end, while the message brings more: the lane rests until it hears whether that is wanted. False if not.
    async fn goes_on(&mut self, body: &mut Body) -> Result<bool, Failure> {
        if self.rest.is_empty() && !body.goes_on() {
            return Ok(false);
        }
        body.rest();
        self.hand_over().await?;
        self.settle().await?;
        self.report();
        self.port.say(Input::Reached { lane: self.port.lane });
        let Some(Taking { take, place, open }) = word(&self.control).await else { return Ok(false) };
        self.hashing = hashing(&place, take.at, open);
        (self.from, self.compare, self.place) = (take.at, take.compare, place);
        Ok(true)
    }

    /// One step of waiting. The socket is not read while a rate limit is waited for.
    async fn next(
        &mut self,
        body: &mut Body,
        decoder: &Decoder,
        filling: bool,
        mut timer: std::pin::Pin<&mut Sleep>,
    ) -> Event {
        let want = if decoder.is_plain() { self.control.end.get().saturating_sub(self.at) } else { u64::MAX };
        let idle = self.passes(want.min(self.shared.limits.slab as u64));
        if idle {
            body.allow(self.allowed);
        }
        let look = self.watch.as_ref().map(|&(_, next, _)| next);
        let wait = [self.due, self.granted, look].into_iter().flatten().min();
        if let Some(wait) = wait
            && timer.deadline() != wait
        {
            timer.as_mut().reset(wait);
        }
        let came = async {
            if filling {
                Event::Readable(body.readable().await)
            } else {
                Event::Chunk(body.chunk(want).await)
            }
        };
        tokio::select! {
            biased;
            () = self.control.wake.notified() => Event::Woken,
            written = answer(&mut self.writing), if self.writing.is_some() => Event::Written(written),
            () = timer.as_mut(), if wait.is_some() => {
                let now = Moment::now();
                let is_past = |at: Option<Moment>| at.is_some_and(|at| at <= now);
                match (is_past(self.granted), is_past(self.due)) {
                    (true, _) => Event::Granted,
                    (_, true) => Event::Due,
                    _ => Event::Look,
                }
            }
            came = came, if idle => came,
        }
    }

    /// The next bytes are for slabs as they come: nothing is undone, compared, proven or withheld.
    fn fills(&self, decoder: &Decoder) -> bool {
        let stored = matches!(self.place, Place::Part { .. }) && self.at >= self.from;
        stored && decoder.is_plain() && self.proof.is_none() && self.toll.is_free()
    }

    /// Reads from the socket into the slab in hand. True at the end of the message. A slab that got nothing goes back: a
    /// silent lane must not keep one from the others.
    async fn fill(&mut self, body: &mut Body) -> Result<bool, Failure> {
        if self.at >= self.control.end.get() || !self.has_room().await? {
            return Ok(false);
        }
        let want = self.control.end.get().saturating_sub(self.at);
        let most = self.room().min(want) as usize;
        let Some(slab) = self.slabs.last_mut() else { return Err(gone()) };
        let room = slab.room();
        let read = body.fill(&mut room[..most], want).await.transpose();
        match read {
            Ok(Some(len)) if len > 0 => {
                slab.filled(len);
                self.count(len);
                self.took(len).await?;
                Ok(false)
            }
            read => {
                self.slabs.pop_if(|slab| slab.bytes().is_empty());
                Ok(read?.is_some())
            }
        }
    }

    /// A lane that is closed takes along what it has read and what lies in its socket, where a piece was waited for:
    /// nobody is to be sent for it again. Not more than a slab, for whoever ends a run waits for it.
    async fn drain(&mut self, body: &mut Body, decoder: &mut Decoder) -> Result<(), Failure> {
        let upto = self.control.end.get().min(self.at + self.shared.limits.slab as u64);
        let mut patience = pin!(sleep(DRAIN));
        while self.at < upto && self.fills(decoder) {
            if self.use_read(decoder).await? {
                continue;
            }
            let chunk = tokio::select! {
                biased;
                chunk = body.chunk(upto - self.at) => chunk?,
                () = &mut patience => break,
            };
            let Some(bytes) = chunk else { break };
            self.feed(decoder, bytes);
        }
        Ok(())
    }

    /// Uses the next of what was read: below `from` it is compared or dropped, up to the end stored. What is beyond that
    /// stays. False if nothing is there.
    async fn use_read(&mut self, decoder: &mut Decoder) -> Result<bool, Failure> {
        if self.rest.is_empty() {
            let Some(piece) = decoder.piece()? else { return Ok(false) };
            self.rest = piece;
        }
        let upto = if self.at < self.from { self.from } else { self.control.end.get() };
        let want = upto.saturating_sub(self.at).min(self.rest.len() as u64);
        if self.at < self.from {
            let skipped = self.rest.split_to(want as usize);
            self.skip(skipped).await?;
        } else {
            self.put(want.min(self.room())).await?;
        }
        Ok(true)
    }

    async fn skip(&mut self, bytes: Bytes) -> Result<(), Failure> {
        self.at += bytes.len() as u64;
        if !self.compare {
            return Ok(());
        }
        self.skipped.extend_from_slice(&bytes);
        if self.skipped.len() < COMPARED && self.at < self.from {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.skipped);
        let offset = self.at - bytes.len() as u64;
        let Place::Part { part, .. } = &self.place else { return Ok(()) };
        let part = part.clone();
        let same = self.shared.disk.call(move || verify::same(&part, offset, &bytes)).await;
        let same = same.map_err(|_| gone())??;
        if !same || self.at == self.from {
            self.port.say(Input::Compared { lane: self.port.lane, same });
        }
        if !same {
            // Nothing it brings is to be stored.
            self.from = u64::MAX;
            self.control.closing.set(true);
        }
        Ok(())
    }

    /// Bytes up to the end of the slab that `at` is in. A slab ends at a multiple of its size, so that every write but
    /// the first and last is of whole pages.
    fn room(&self) -> u64 {
        let size = self.shared.limits.slab as u64;
        size - self.at % size
    }

    /// Copies so many bytes into the slab in hand, which has room for them. The end may come nearer while a slab is
    /// waited for: then the block that it is moved to has another writer.
    async fn put(&mut self, bytes: u64) -> Result<(), Failure> {
        if !self.has_room().await? {
            return Ok(());
        }
        let bytes = bytes.min(self.control.end.get().saturating_sub(self.at)) as usize;
        let Some(slab) = self.slabs.last_mut() else { return Err(gone()) };
        let put = slab.put(&self.rest[..bytes]);
        self.rest.advance(put);
        if self.rest.is_empty() {
            // Or its memory could not be read into again.
            self.rest = Bytes::new();
        }
        self.took(put).await
    }

    /// There is a slab in hand that is not full. False if the end came nearer while one was waited for.
    async fn has_room(&mut self) -> Result<bool, Failure> {
        if self.slabs.is_empty() || self.at.is_multiple_of(self.shared.limits.slab as u64) {
            let Some(mut slab) = self.slab().await? else { return Ok(false) };
            if self.at >= self.control.end.get() {
                return Ok(false);
            }
            if matches!(self.place, Place::Part { .. }) {
                slab.begin_at(self.at);
            }
            if self.slabs.is_empty() {
                self.slabs_at = self.at;
            }
            self.slabs.push(slab);
        }
        Ok(true)
    }

    /// So many bytes more are in the slab in hand.
    async fn took(&mut self, len: usize) -> Result<(), Failure> {
        if let (Some(hashing), Some(slab)) = (&mut self.hashing, self.slabs.last()) {
            let bytes = slab.bytes();
            hashing.update(&bytes[bytes.len() - len..]);
        }
        self.at += len as u64;
        self.control.begun.set(self.at);
        if self.due.is_none() {
            self.due = Some(Moment::now() + self.patience());
        }
        let full = self.at.is_multiple_of(self.shared.limits.slab as u64);
        if self.slabs.len() >= self.hand() && full {
            self.hand_over().await?;
        }
        Ok(())
    }

    /// Takes a slab. If there is none, what is in hand goes first: this wait is the only back-pressure. `None` when the lane
    /// is to look again first: a consumer may keep it waiting for ever, a writer does not.
    async fn slab(&mut self) -> Result<Option<Slab>, Failure> {
        let Place::Stream(stream) = &self.place else {
            if let Some(slab) = self.shared.pool.try_take() {
                return Ok(Some(slab));
            }
            self.hand_over().await?;
            self.settle().await?;
            return Ok(Some(self.shared.pool.take().await));
        };
        let stream = stream.clone();
        self.hand_over().await?;
        tokio::select! {
            biased;
            slab = stream.slab(self.at) => Ok(Some(slab)),
            () = self.control.wake.notified() => {
                self.woken();
                Ok(None)
            }
        }
    }

    /// Slabs of one hand-over. A consumer in order gets each as soon as it is full.
    fn hand(&self) -> usize {
        if matches!(self.place, Place::Stream(_)) { 1 } else { self.shared.pool.hand() }
    }

    /// How long bytes stay in hand. Whoever reads a stream as it comes notices a fifth of a second, and not a fiftieth.
    fn patience(&self) -> Duration {
        let part = self.shared.limits.hand_over;
        if matches!(self.place, Place::Stream(_)) { part / 10 } else { part }
    }

    /// What is in hand was there for long enough. Of a stream, nobody waits for what is ahead of the next bytes, and slabs
    /// are not spent on less than they hold.
    async fn fell_due(&mut self) -> Result<(), Failure> {
        if let Place::Stream(stream) = &self.place
            && !stream.is_edge(self.slabs_at)
        {
            self.due = Some(Moment::now() + self.shared.limits.hand_over);
            return Ok(());
        }
        self.hand_over().await
    }

    /// The driver said something: to end, to end earlier, or that the limits are others.
    fn woken(&mut self) {
        self.granted = None;
        self.toll.anew();
        let now = Instant::now();
        if self.held > now {
            // The planner was told of a wait that may be over.
            self.held = now;
            self.port.say(Input::Held { lane: self.port.lane, until: now });
        }
    }

    /// Looks for lost packets: once they are told, or it has started, no more.
    fn look(&mut self, body: &Body) {
        let Some((mut losses, _, until)) = self.watch.take() else { return };
        if let Some(round_trip) = losses.look(body) {
            self.port.say(Input::Lost { lane: self.port.lane, round_trip });
        } else if Moment::now() < until {
            self.watch = Some((losses, Moment::now() + self.shared.limits.report, until));
        }
    }

    /// What is in hand waits for its turn from here on, or has it.
    fn land(&mut self, stream: &Rc<Stream>) {
        let (mut at, slabs) = (self.slabs_at, std::mem::take(&mut self.slabs));
        for slab in slabs {
            let len = slab.bytes().len() as u64;
            let port = self.port.clone();
            stream.land(at, slab, move |told| match told {
                Ok(upto) => port.say(Input::Taken { upto }),
                Err(failure) => port.say(Input::Unwritten(failure)),
            });
            at += len;
        }
        self.report();
        self.port.say(Input::Landed { lane: self.port.lane, upto: at });
    }

    /// Gives what is in hand to a writer, once the hand-over before it is done.
    async fn hand_over(&mut self) -> Result<(), Failure> {
        self.due = None;
        if self.slabs.is_empty() {
            return Ok(());
        }
        self.settle().await?;
        let (part, block_size, total) = match &self.place {
            Place::Part { part, block_size, total } => (part, block_size, total),
            Place::Stream(stream) => {
                let stream = stream.clone();
                self.land(&stream);
                return Ok(());
            }
        };
        let Some((stored, open)) = self.hashing.as_mut().map(Hashing::cut) else { return Err(gone()) };
        self.writing = Some(self.shared.writers.hand_over(Handover {
            part: part.clone(),
            offset: self.slabs_at,
            slabs: std::mem::replace(&mut self.slabs, Vec::with_capacity(HAND)),
            stored,
            open,
            block_size: *block_size,
            total: *total,
        }));
        // The driver hears of it before more is read.
        yield_now().await;
        Ok(())
    }

    /// Waits for the hand-over under way.
    async fn settle(&mut self) -> Result<(), Failure> {
        if self.writing.is_some() {
            let written = answer(&mut self.writing).await;
            self.written(written)?;
        }
        Ok(())
    }

    fn written(&mut self, written: Result<Written, DiskError>) -> Result<(), Failure> {
        self.writing = None;
        // What follows a write that failed has no place: the state of its block is lost.
        let written = written.inspect_err(|_| self.slabs.clear())?;
        self.report();
        if let Some(last) = written.stored.last() {
            self.control.reach(last.block, &written.open);
        }
        for stored in written.stored {
            self.port.say(Input::Stored { block: stored.block, upto: stored.upto, hash: stored.hash });
        }
        #[cfg(test)]
        if let Place::Part { part, .. } = &self.place {
            part.reached(crate::planted::Place::Lane);
        }
        Ok(())
    }

    fn count(&mut self, len: usize) {
        self.unreported += len as u64;
        if self.reported.elapsed() >= self.shared.limits.report {
            self.report();
        }
    }

    fn report(&mut self) {
        if self.unreported > 0 {
            if let Some(seat) = &self.seat {
                seat.brought(self.unreported);
            }
            self.port.say(Input::Bytes { lane: self.port.lane, at: self.at, len: self.unreported });
            self.unreported = 0;
            self.reported = Instant::now();
        }
    }

    /// Hands over what is in hand, whatever the result, and says the last word.
    async fn finish(mut self, result: Result<Ending, Failure>) {
        if let (Some(seat), Err(Failure::Reset(_) | Failure::Truncated | Failure::Stalled(_))) =
            (&self.seat, &result)
        {
            seat.broke();
        }
        let handed = self.hand_over().await;
        let settled = self.settle().await;
        self.report();
        let result = handed.and(settled).and(result);
        self.port.end(result);
    }
}

/// Hashes what is stored in a part from byte `at` on; a stream's bytes are not.
fn hashing(place: &Place, at: u64, open: OpenBlock) -> Option<Hashing> {
    match place {
        Place::Part { block_size, .. } => Some(Hashing::new(at, *block_size, open)),
        Place::Stream(_) => None,
    }
}

/// The answer to a hand-over. A writer that is gone without one has failed.
async fn answer(
    writing: &mut Option<oneshot::Receiver<Result<Written, DiskError>>>,
) -> Result<Written, DiskError> {
    let Some(receiver) = writing else { return std::future::pending().await };
    receiver.await.unwrap_or_else(|_| Err(DiskError::gone()))
}

fn gone() -> Failure {
    DiskError::gone().into()
}
