//! Networks in virtual time, as a fluid: a link with a queue in front of it, and connections that start slowly, lose
//! packets and halve. Coarse on purpose: what is tried here is the controller, not TCP.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, UNIX_EPOCH};

use thence_plan::{
    Action, Ending, Event, Failure, Head, HttpVersion, Input, JobId, JobSpec, LaneId, Limits, Output, Run,
    Take, Why,
};

const STEP: f64 = 0.005;
const MSS: f64 = 1460.0;
const WALL: u64 = 1_700_000_000;
pub(super) const MB: f64 = 1e6;

/// What one connection of a host is like, by its number.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    /// Bytes a second at most.
    pub(super) rate: f64,
    /// After so many bytes nothing more comes.
    pub(super) stalls: f64,
}

/// When, how many lanes, why, and megabytes a second before and after.
type Decision = (f64, u32, Why, [f64; 2]);

/// A host and the link to it.
#[derive(Clone)]
pub(super) struct Net {
    pub(super) link: f64,
    pub(super) round_trip: f64,
    /// Bytes that wait in front of the link before packets are dropped.
    pub(super) queue: f64,
    /// The share of packets that is lost on the way.
    pub(super) loss: f64,
    /// The system tells of no loss.
    pub(super) mute: bool,
    pub(super) manner: fn(usize) -> Manner,
    /// More connections than this are refused with 503.
    pub(super) most: usize,
    /// Bytes a second that we let through.
    pub(super) limit: f64,
    /// Seconds from an answer's head to its first byte.
    pub(super) dumb: f64,
    /// Seconds after which a connection breaks off, at least and at most.
    pub(super) lives: (f64, f64),
}

impl Net {
    /// Seconds after which this connection breaks off.
    fn life(&self, number: usize) -> f64 {
        let chance = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        self.lives.0 + (self.lives.1 - self.lives.0) * chance as f64 / (1u64 << 31) as f64
    }
}

/// A host that does nothing odd.
pub(super) fn net(link: f64, round_trip: f64) -> Net {
    let queue = (link * round_trip).max(200_000.0);
    let manner = |_| Manner { rate: f64::MAX, stalls: f64::MAX };
    let (most, limit, lives) = (usize::MAX, f64::MAX, (f64::MAX, f64::MAX));
    Net { link, round_trip, queue, loss: 0.0, mute: false, manner, most, limit, dumb: 0.0, lives }
}

/// What came of a download.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) seconds: f64,
    pub(super) connections: usize,
    pub(super) refused: usize,
    /// Body bytes read over the size of the file.
    pub(super) wire: f64,
    /// Lanes that told of lost packets.
    pub(super) lost: usize,
    /// Most lanes that read at once.
    pub(super) most: usize,
    /// Lanes that read, on average.
    pub(super) mean: f64,
    pub(super) decisions: Vec<Decision>,
}

struct Lane {
    host: usize,
    asked: (u64, u64),
    ready: f64,
    number: usize,
    cwnd: f64,
    slow_start: bool,
    /// When what follows the first lost packet is there.
    missed: f64,
    told: bool,
    lost: f64,
    take: Option<Take>,
    at: f64,
    end: u64,
    headed: bool,
    stored: u64,
    reported: (f64, f64),
    handed: f64,
    brought: f64,
    rested: bool,
}

pub(super) struct World {
    nets: Vec<Net>,
    run: Run,
    job: JobId,
    start: Instant,
    now: f64,
    size: u64,
    lanes: BTreeMap<LaneId, Lane>,
    /// Host, window, number and what it brought of connections that are not used.
    idle: Vec<(usize, f64, usize, f64)>,
    opened: Vec<usize>,
    refused: usize,
    wire: f64,
    lost: usize,
    most: usize,
    sum: (f64, f64),
    decisions: Vec<Decision>,
    block: u64,
    done: bool,
    dice: u64,
}

/// Fetches a file of so many bytes from the first of `nets`, the others being mirrors.
pub(super) fn fetch(nets: Vec<Net>, size: f64, lanes: Option<u32>) -> Outcome {
    let urls = (0..nets.len()).map(|i| format!("https://h{i}.test/file")).collect();
    let spec = JobSpec { urls, lanes, ..JobSpec::default() };
    let start = moment();
    let mut run = Run::new(Limits::default(), 7);
    let job = run.add(start, spec);
    let opened = vec![0; nets.len()];
    let mut world = World {
        nets,
        run,
        job,
        start,
        now: 0.0,
        size: size as u64,
        lanes: BTreeMap::new(),
        idle: Vec::new(),
        opened,
        refused: 0,
        wire: 0.0,
        lost: 0,
        most: 0,
        sum: (0.0, 0.0),
        decisions: Vec::new(),
        block: 1,
        done: false,
        dice: 1,
    };
    world.drain();
    while !world.done {
        world.step();
        assert!(world.now < 2_000.0, "it does not end");
    }
    Outcome {
        seconds: world.now,
        connections: world.opened.iter().sum(),
        refused: world.refused,
        wire: world.wire / size,
        lost: world.lost,
        most: world.most,
        mean: world.sum.0 / world.sum.1.max(1.0),
        decisions: world.decisions,
    }
}

impl World {
    fn at(&self) -> Instant {
        self.start + Duration::from_secs_f64(self.now)
    }

    fn tell(&mut self, input: Input) {
        self.run.handle(self.at(), self.job, input);
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            match self.run.poll(self.at()) {
                Output::Job(_, action) => self.act(action),
                Output::Idle(at) => {
                    if at.is_none_or(|at| at > self.at()) {
                        return;
                    }
                    self.run.wake(self.at());
                }
            }
        }
    }

    fn act(&mut self, action: Action) {
        if std::env::var_os("THENCE_SHAPED").is_some() && !matches!(action, Action::Note(_) | Action::Sync) {
            println!("{:.2} {action:?}", self.now);
        }
        match action {
            Action::Describe { .. } | Action::Renew { .. } => {}
            Action::Open { lane, url, ask, .. } => {
                let host = usize::from(url.as_bytes()[9] - b'0');
                let (first, end) = ask.range.expect("it always asks for a range");
                let asked = (first, end.unwrap_or(self.size).min(self.size));
                self.open(lane, host, asked, ask.fresh);
            }
            Action::Take(id, take) => {
                let now = self.now;
                if let Some(lane) = self.lanes.get_mut(&id) {
                    lane.end = take.end.unwrap_or(u64::MAX).min(lane.asked.1);
                    if !lane.rested {
                        lane.at = take.from as f64;
                    }
                    (lane.stored, lane.rested, lane.reported, lane.handed) =
                        (take.at, false, (now, lane.at), now);
                    lane.take = Some(take);
                }
            }
            Action::Narrow { lane: id, end } => {
                let block = self.block;
                let Some(lane) = self.lanes.get_mut(&id) else { return };
                let begun = (lane.at as u64).div_ceil(block) * block;
                lane.end = end.max(begun).min(lane.end);
                let end = lane.end;
                self.run.handle(self.at(), self.job, Input::Narrowed { lane: id, end });
            }
            Action::Close { lane } => self.end(lane, Ending::Closed),
            Action::Place(placement) => {
                self.block = u64::from(placement.block_size);
                self.run.handle(self.at(), self.job, Input::Placed(Ok(())));
            }
            Action::Sync => self.run.handle(self.at(), self.job, Input::Synced(Ok(()))),
            Action::Check { block, .. } => {
                self.run.handle(self.at(), self.job, Input::Checked { block, same: true });
            }
            Action::Finish { .. } => {
                self.done = true;
                self.run.handle(self.at(), self.job, Input::Finished(Ok(())));
            }
            Action::Tell(Event::Lanes { lanes, why, before, after, .. }) => {
                let rates = [before.1, after.1].map(|rate| rate as f64 / MB);
                self.decisions.push((self.now, lanes, why, rates));
            }
            Action::Tell(_) | Action::Note(_) | Action::Forget { .. } => {}
            Action::Fail(error) => panic!("{error:?}"),
        }
    }

    fn open(&mut self, id: LaneId, host: usize, asked: (u64, u64), fresh: bool) {
        let idle = self.idle.iter().rposition(|idle| idle.0 == host && !fresh);
        let trip = self.nets[host].round_trip.max(0.001);
        let (trips, cwnd, number, brought) = match idle.map(|i| self.idle.remove(i)) {
            Some((_, cwnd, number, brought)) => (1.0, cwnd, number, brought),
            None => {
                self.opened[host] += 1;
                (2.0, 10.0 * MSS, self.opened[host] - 1, 0.0)
            }
        };
        let lane = Lane {
            host,
            asked,
            ready: self.now + trips * trip,
            number,
            cwnd,
            slow_start: true,
            missed: f64::MAX,
            told: false,
            lost: 0.0,
            take: None,
            at: asked.0 as f64,
            end: u64::MAX,
            headed: false,
            stored: asked.0,
            reported: (self.now, 0.0),
            handed: self.now,
            brought,
            rested: false,
        };
        self.lanes.insert(id, lane);
    }

    fn step(&mut self) {
        self.now += STEP;
        self.run.wake(self.at());
        self.drain();
        let ready: Vec<LaneId> =
            self.lanes.iter().filter(|(_, l)| self.is_ready(l)).map(|(&id, _)| id).collect();
        for id in ready {
            self.answer(id);
        }
        for host in 0..self.nets.len() {
            self.flow(host);
        }
        let reading = self.lanes.values().filter(|l| l.take.is_some()).count();
        self.most = self.most.max(reading);
        self.sum = (self.sum.0 + reading as f64, self.sum.1 + 1.0);
        let ids: Vec<LaneId> = self.lanes.keys().copied().collect();
        for id in ids {
            self.report(id);
            self.break_off(id);
        }
    }

    fn break_off(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get(&id).filter(|lane| lane.take.is_some()) else { return };
        if self.now > lane.ready + self.nets[lane.host].life(lane.number) {
            self.store(id);
            self.lanes.remove(&id);
            self.tell(Input::Ended { lane: id, result: Err(Failure::Truncated) });
        }
    }

    /// A connection that has stalled brings no head either.
    fn is_ready(&self, lane: &Lane) -> bool {
        let manner = (self.nets[lane.host].manner)(lane.number);
        !lane.headed && lane.ready <= self.now && lane.brought < manner.stalls
    }

    fn answer(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        lane.headed = true;
        let (host, (first, end)) = (lane.host, lane.asked);
        let served = self.lanes.values().filter(|l| l.host == host && l.headed).count();
        if served > self.nets[host].most {
            self.refused += 1;
            let head = head(503, vec![("content-length", "0".into())]);
            return self.tell(Input::Head { lane: id, hops: Vec::new(), head });
        }
        let fields = vec![
            ("content-length", (end - first).to_string()),
            ("content-range", format!("bytes {first}-{}/{}", end - 1, self.size)),
            ("etag", "\"a\"".into()),
        ];
        self.tell(Input::Head { lane: id, hops: Vec::new(), head: head(206, fields) });
    }

    /// A step of the link to one host.
    fn flow(&mut self, host: usize) {
        let net = self.nets[host].clone();
        let trip = net.round_trip.max(0.001);
        let speaks = self.now - net.dumb;
        let readers = self.lanes.values_mut();
        let readers =
            readers.filter(|l| l.host == host && l.take.is_some() && !l.rested && l.ready <= speaks);
        let mut readers: Vec<&mut Lane> = readers.collect();
        let wish = |lane: &Lane| match (net.manner)(lane.number) {
            manner if lane.brought >= manner.stalls => 0.0,
            manner => (lane.cwnd / trip).min(manner.rate),
        };
        let total: f64 = readers.iter().map(|lane| wish(lane)).sum();
        let share = (net.link.min(net.limit) / total).min(1.0);
        let held = total.min(net.link) > net.limit;
        let waiting = (total * trip - net.link * trip).max(0.0);
        let dropping = waiting > net.queue && !held;
        for lane in &mut readers {
            let bytes = (wish(lane) * share * STEP).min(lane.end as f64 - lane.at).max(0.0);
            lane.at += bytes;
            lane.brought += bytes;
            self.wire += bytes;
            let limited = (net.manner)(lane.number).rate < lane.cwnd / trip;
            if lane.slow_start && !limited {
                lane.cwnd += bytes;
            } else if !limited {
                lane.cwnd += MSS * bytes / lane.cwnd;
            }
            self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let chance = (self.dice >> 33) as f64 / (1u64 << 31) as f64;
            let crowded = if dropping { STEP / trip } else { 0.0 };
            // One loss a round trip is all that a sender takes notice of.
            if chance < bytes / MSS * net.loss + crowded && self.now >= lane.lost + trip {
                lane.lost = self.now;
                lane.missed = lane.missed.min(self.now + waiting.min(net.queue) / net.link);
                lane.cwnd = (lane.cwnd / 2.0).max(2.0 * MSS);
                lane.slow_start = false;
            }
        }
        if held {
            self.hold(host);
        }
    }

    fn hold(&mut self, host: usize) {
        let until = self.at() + Duration::from_secs_f64(STEP);
        let of_host = self.lanes.iter().filter(|(_, l)| l.host == host && l.take.is_some() && !l.rested);
        for lane in of_host.map(|(&id, _)| id).collect::<Vec<_>>() {
            self.tell(Input::Held { lane, until });
        }
    }

    fn report(&mut self, id: LaneId) {
        let now = self.now;
        let Some(lane) = self.lanes.get_mut(&id).filter(|l| l.take.is_some() && !l.rested) else { return };
        let over = lane.at >= lane.end as f64;
        if over || now >= lane.reported.0 + 0.02 {
            let (at, len) = (lane.at as u64, (lane.at - lane.reported.1) as u64);
            lane.reported = (now, lane.at);
            if len > 0 {
                self.tell(Input::Bytes { lane: id, at, len });
            }
        }
        self.tell_loss(id);
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if over || now >= lane.handed + 0.2 {
            lane.handed = now;
            self.store(id);
        }
        let Some(lane) = self.lanes.get_mut(&id).filter(|l| l.at >= l.end as f64) else { return };
        if lane.end < lane.asked.1 {
            lane.rested = true;
            self.tell(Input::Reached { lane: id });
        } else {
            self.end(id, Ending::Range);
        }
    }

    /// What follows a lost packet is there: that one is missed.
    fn tell_loss(&mut self, id: LaneId) {
        let Some(lane) =
            self.lanes.get_mut(&id).filter(|l| !l.told && l.take.as_ref().is_some_and(|take| take.watch))
        else {
            return;
        };
        if self.now >= lane.missed && !self.nets[lane.host].mute {
            lane.told = true;
            self.lost += 1;
            let round_trip = Duration::from_secs_f64(self.nets[lane.host].round_trip);
            self.tell(Input::Lost { lane: id, round_trip });
        }
    }

    /// Everything that was read is stored.
    fn store(&mut self, id: LaneId) {
        loop {
            let Some(lane) = self.lanes.get_mut(&id) else { return };
            let Some(take) = &lane.take else { return };
            let upto = (lane.at as u64).min(lane.end);
            if take.compare || upto <= lane.stored {
                return;
            }
            let block = lane.stored / self.block;
            let next = upto.min((block + 1) * self.block);
            lane.stored = next;
            let upto = (next - block * self.block) as u32;
            self.tell(Input::Stored { block: block as u32, upto, hash: 1 });
        }
    }

    fn end(&mut self, id: LaneId, ending: Ending) {
        let Some(lane) = self.lanes.get(&id) else { return };
        let compares = lane.take.as_ref().is_some_and(|take| take.compare);
        if compares && ending == Ending::Range {
            self.tell(Input::Compared { lane: id, same: true });
        }
        self.store(id);
        let Some(lane) = self.lanes.remove(&id) else { return };
        if ending == Ending::Range {
            self.idle.push((lane.host, lane.cwnd, lane.number, lane.brought));
        }
        self.tell(Input::Ended { lane: id, result: Ok(ending) });
    }
}

fn head(status: u16, fields: Vec<(&str, String)>) -> Head {
    let date = ("date", httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(WALL)));
    let fields = fields.into_iter().chain([date]).map(|(n, v)| (n.to_owned(), v.into_bytes())).collect();
    Head { status, version: HttpVersion::Http11, fields, received: WALL }
}

#[expect(clippy::disallowed_methods, reason = "an Instant can be had in no other way")]
fn moment() -> Instant {
    Instant::now()
}
