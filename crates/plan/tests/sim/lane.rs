//! The engine's lanes: they connect, answer heads, read bodies at their rate, compare, hand over, end.

use thence_plan::{Ask, Ending, Failure, Input, LaneId, Phase, Take};

use super::faults::Fault;
use super::lies;
use super::scenario::{MS, S};
use super::server::{Body, Refusal, Reply, Stop};
use super::tags::{Span, clip, joined};
use super::world::{Event, World};

/// Bytes a lane holds before it hands over, and while a hand-over is under way at most once more.
const SLAB: u64 = 1 << 20;

/// What a lane is doing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    Asking,
    /// Its head was delivered; it waits for `Take`.
    Headed,
    Reading,
    /// At its end, while its body goes on: it hands over what it holds, says so, and waits for `Take` or `Close`.
    Rested {
        said: bool,
    },
    /// It compared and differs, or could not write: it waits for `Close`.
    Stuck,
    /// It hands over what it holds, and then is gone.
    Ending,
}

/// One lane.
#[derive(Clone, Debug)]
pub struct Lane {
    pub job: usize,
    pub url: String,
    pub host: String,
    pub ask: Ask,
    pub state: State,
    body: Option<Body>,
    pub take: Option<Take>,
    /// Offset of the next byte of the body.
    pos: u64,
    compared: bool,
    pending: Vec<Span>,
    under_way: Option<Vec<Span>>,
    handed: u64,
    waits_for_room: bool,
    result: Option<Result<Ending, Failure>>,
}

impl Lane {
    pub fn new(job: usize, url: String, host: String, ask: Ask) -> Lane {
        Lane {
            job,
            url,
            host,
            ask,
            state: State::Asking,
            body: None,
            take: None,
            pos: 0,
            compared: false,
            pending: Vec::new(),
            under_way: None,
            handed: 0,
            waits_for_room: false,
            result: None,
        }
    }

    /// It keeps one of the server's places.
    pub fn is_served(&self) -> bool {
        matches!(self.state, State::Headed | State::Reading | State::Rested { .. })
    }

    fn holds(&self) -> u64 {
        self.pending.iter().map(|s| s.1 - s.0).sum()
    }
}

impl World {
    /// The request is at the server, and its answer comes back.
    pub fn on_answer(&mut self, id: LaneId) -> Result<(), String> {
        let Some(lane) = self.lanes.get(&id).filter(|l| l.state == State::Asking).cloned() else {
            return Ok(());
        };
        match self.ask_server(&lane) {
            Reply::Broken(failure) => {
                self.end_lane(id, Err(failure));
                Ok(())
            }
            Reply::Mute => {
                self.after(30 * S, Event::Stalled(id, true));
                Ok(())
            }
            Reply::Answer { hops, head, body } => {
                let host = hops.last().map_or(lane.host, |last| super::world::host_of(last));
                self.learn_hold(&lane.url, &host, &head);
                let lane = self.lane(id);
                lane.state = State::Headed;
                (lane.body, lane.host) = (Some(body), host);
                let job = lane.job;
                self.after(60 * S, Event::Waits(id));
                self.input(job, Input::Head { lane: id, hops, head })
            }
        }
    }

    fn ask_server(&mut self, lane: &Lane) -> Reply {
        let at = self.site_of(&lane.url);
        let wall = self.wall();
        if let Some(status) = self.sites[at].manner.dead {
            self.counts.hit(Fault::Dead);
            return match status {
                0 => Reply::Broken(Failure::Refused("refused".into())),
                _ => self.sites[at].reply(super::server::page(status), Vec::new(), wall, &mut self.dice),
            };
        }
        if self.noisy && self.faults.contains(&Fault::Split) && self.sites[at].versions.len() > 1 {
            self.counts.hit(Fault::Split);
            self.sites[at].current = self.dice.below(self.sites[at].versions.len() as u64) as usize;
        }
        let lies = self.lies_now();
        if let Some((lie, reply)) = lies.iter().find_map(|&lie| Some((lie, lies::before(lie)?))) {
            self.counts.lied(lie);
            return reply;
        }
        lies.iter().for_each(|&lie| self.counts.lied(lie));
        let site = &self.sites[at];
        let alike =
            self.lanes.values().filter(|l| l.is_served() && self.site_of(&l.url) == at).count() as u64;
        let hops = match site.hops(&lane.url) {
            Ok(hops) => hops,
            Err(fault) => {
                self.counts.hit(fault);
                let page = super::server::page(403);
                return site.reply(page, Vec::new(), wall, &mut self.dice);
            }
        };
        let host = hops.last().map_or(lane.host.clone(), |last| super::world::host_of(last));
        let open = self.lanes.values().filter(|l| l.is_served() && l.host == host).count() as u64;
        let mut draft = site.draft(&lane.ask, wall, &mut self.dice, &mut self.counts);
        if self.is_lying_mirror(lane.job, at) {
            self.counts.hit(Fault::LyingMirror);
        }
        let limit = site.manner.lanes;
        if limit
            .is_some_and(|(most, how)| if how == Refusal::Status(403) { alike >= most } else { open >= most })
        {
            self.counts.hit(Fault::Crowded);
        }
        match limit {
            Some((most, Refusal::Reset)) if open >= most => {
                return Reply::Broken(Failure::Reset("too many".into()));
            }
            Some((most, Refusal::Refuse)) if open >= most => {
                return Reply::Broken(Failure::Refused("too many".into()));
            }
            // A signed link that works for so many at a time.
            Some((most, Refusal::Status(403))) if alike >= most => draft = super::server::page(403),
            Some((most, Refusal::Status(status))) if open >= most && status != 403 => {
                draft = super::server::page(status)
            }
            _ => {}
        }
        for &lie in &lies {
            lies::spoil(lie, site, &lane.ask, &mut draft, &mut self.dice);
        }
        let mut reply = site.reply(draft, hops, wall, &mut self.dice);
        if let Reply::Answer { body, .. } = &mut reply {
            lies.iter().for_each(|&lie| lies::stop(lie, body, &mut self.dice));
        }
        reply
    }

    /// The noise is over: what crawled flows as this server's slowest lanes do. A slow lane alone is never dropped.
    pub fn end_crawls(&mut self) {
        let rates: Vec<u64> =
            self.lanes.values().map(|lane| self.sites[self.site_of(&lane.url)].manner.rate / 50).collect();
        for (lane, rate) in self.lanes.values_mut().zip(rates) {
            if let Some(body) = &mut lane.body {
                body.rate = body.rate.max(rate);
            }
        }
    }

    /// Another file under the name of the job's.
    fn is_lying_mirror(&self, job: usize, at: usize) -> bool {
        let (lead, site) = (&self.sites[self.jobs[job].lead()].versions[0], &self.sites[at].versions[0]);
        (lead.tag, lead.len) != (site.tag, site.len)
    }

    /// The lies that this answer will tell.
    fn lies_now(&mut self) -> Vec<lies::Lie> {
        let dice = &mut self.dice;
        let told = self.lies.iter().filter(|(_, often)| self.noisy && dice.percent(*often));
        told.map(|lie| lie.0).collect()
    }

    pub fn on_take(&mut self, id: LaneId, take: Take) -> Result<(), String> {
        let now = self.now;
        let Some(lane) = self.lanes.get_mut(&id) else { return Err(format!("Take for no lane {id:?}")) };
        if lane.state == (State::Rested { said: true }) {
            return self.on_retake(id, take);
        }
        if lane.state != State::Headed {
            return if lane.state == State::Ending { Ok(()) } else { Err(format!("Take for {lane:?}")) };
        }
        let Some(body) = &mut lane.body else { return Err("Take without a body".into()) };
        if take.from != body.from {
            return Err(format!("Take from {} of a body from {}", take.from, body.from));
        }
        if let Some(plain) = body.plain.clone().filter(|_| !take.codings.is_empty()) {
            body.stop = body.stop.map(|(at, stop)| (at.saturating_mul(2).min(plain.len), stop));
            (body.end, body.spans) = (plain.len, plain.spans(0, plain.len));
        }
        (lane.state, lane.pos, lane.handed) = (State::Reading, take.from, now);
        lane.take = Some(take);
        self.after(MS, Event::Flow(id));
        Ok(())
    }

    /// A lane at rest is to bring more of its body.
    fn on_retake(&mut self, id: LaneId, take: Take) -> Result<(), String> {
        let now = self.now;
        let lane = self.lane(id);
        if take.from != lane.pos || take.at < lane.pos || take.end.is_some_and(|end| end <= take.at) {
            return Err(format!("{take:?} for a lane at {}", lane.pos));
        }
        (lane.state, lane.handed, lane.take) = (State::Reading, now, Some(take));
        self.after(MS, Event::Flow(id));
        Ok(())
    }

    /// Some bytes of a body arrive.
    pub fn on_flow(&mut self, id: LaneId) -> Result<(), String> {
        let mut lane = match self.lanes.get(&id) {
            Some(lane) if lane.state == State::Reading => lane.clone(),
            _ => return Ok(()),
        };
        let (Some(take), Some(body)) = (lane.take.clone(), lane.body.clone()) else { return Ok(()) };
        if lane.under_way.is_some() && lane.holds() >= SLAB {
            self.lane(id).waits_for_room = true;
            return Ok(());
        }
        let (from, upto, wait) = self.reach(&lane, &take, &body);
        let spans = clip(&body.spans, from, upto);
        lane.pos = upto;
        let mut compared = None;
        if take.compare && !lane.compared {
            let below = upto.min(take.at);
            let disk = self.jobs[lane.job].read(from, below);
            if joined(&clip(&spans, from, below)) != joined(&disk) {
                (compared, lane.state) = (Some(false), State::Stuck);
            } else if upto >= take.at {
                (compared, lane.compared) = (Some(true), true);
            }
        }
        lane.pending.extend(clip(&spans, take.at, u64::MAX));
        let job = lane.job;
        self.lanes.insert(id, lane);
        self.ledger.read(upto - from);
        self.input(job, Input::Bytes { lane: id, at: upto, len: upto - from })?;
        if self.dice.percent(2) {
            self.input(job, Input::Held { lane: id, until: self.instant() })?;
        }
        if let Some(same) = compared {
            if same && take.from == 0 {
                self.jobs[job].answered(id, 0, take.at);
            }
            self.input(job, Input::Compared { lane: id, same })?;
        }
        self.go_on(id, &body, wait);
        Ok(())
    }

    /// How far a lane reads in one go, and how long that takes.
    fn reach(&mut self, lane: &Lane, take: &Take, body: &Body) -> (u64, u64, u64) {
        let from = lane.pos;
        let mut most = take.end.unwrap_or(u64::MAX).min(body.end);
        if let Some((at, _)) = body.stop {
            most = most.min(at.max(from));
        }
        if take.compare && from < take.at {
            most = most.min(take.at);
        }
        let left = most.saturating_sub(from);
        let usual = body.rate * self.dice.between(5, 120) / 1000;
        let bytes = usual.max(left / 48).max(1).min(left);
        (from, from + bytes, (bytes.saturating_mul(S) / body.rate.max(1)).max(MS))
    }

    fn go_on(&mut self, id: LaneId, body: &Body, wait: u64) {
        let now = self.now;
        let coin = self.dice.percent(50);
        let Some(lane) = self.lanes.get_mut(&id).filter(|l| l.state == State::Reading) else { return };
        let end = lane.take.as_ref().and_then(|t| t.end).unwrap_or(u64::MAX);
        let pos = lane.pos;
        let due = now >= lane.handed + self.limits.hand_over.as_nanos() as u64 || lane.holds() >= SLAB;
        if pos >= end && pos == body.end {
            let message = coin && body.ending == Ending::Message;
            return self.end_lane(id, Ok(if message { Ending::Message } else { Ending::Range }));
        }
        if pos >= end {
            lane.state = State::Rested { said: false };
            return self.come_to_rest(id);
        }
        if let Some((at, stop)) = body.stop
            && pos >= at
            && pos < body.end
        {
            return match stop {
                Stop::Stall => self.after(30 * S, Event::Stalled(id, false)),
                Stop::Reset => self.end_lane(id, Err(Failure::Reset("reset".into()))),
                Stop::Close if body.ending == Ending::Close => self.end_lane(id, Ok(Ending::Close)),
                Stop::Close => self.end_lane(id, Err(Failure::Truncated)),
            };
        }
        if pos >= body.end {
            return self.end_lane(id, Ok(body.ending));
        }
        if due {
            self.hand_over(id);
        }
        self.after(wait, Event::Flow(id));
    }

    /// What a lane holds goes to the disk before it says that it is at its end.
    fn come_to_rest(&mut self, id: LaneId) {
        let lane = self.lane(id);
        if lane.under_way.is_none() && lane.pending.is_empty() {
            lane.state = State::Rested { said: true };
            self.after(0, Event::Reached(id));
        } else {
            self.hand_over(id);
        }
    }

    pub fn on_reached(&mut self, id: LaneId) -> Result<(), String> {
        match self.lanes.get(&id) {
            Some(lane) if lane.state == (State::Rested { said: true }) => {
                self.input(lane.job, Input::Reached { lane: id })
            }
            _ => Ok(()),
        }
    }

    pub fn on_stalled(&mut self, id: LaneId, head: bool) {
        let waits = match self.lanes.get(&id).map(|l| l.state) {
            Some(State::Asking) => head,
            Some(State::Reading) => !head,
            _ => false,
        };
        if waits {
            self.end_lane(id, Err(Failure::Stalled(if head { Phase::Head } else { Phase::Body })));
        }
    }

    pub fn on_narrow(&mut self, id: LaneId, asked: u64) -> Result<(), String> {
        let rests = |lane: &Lane| matches!(lane.state, State::Reading | State::Rested { .. });
        let Some(lane) = self.lanes.get(&id).filter(|lane| rests(lane)) else { return Ok(()) };
        let (job, pos) = (lane.job, lane.pos);
        let size = self.jobs[job].block_size();
        let Some(take) = self.lane(id).take.as_mut() else { return Ok(()) };
        let Some(old) = take.end else { return Err("Narrow for a lane without an end".into()) };
        let begun = pos.max(take.at).div_ceil(size) * size;
        let end = asked.max(begun).min(old);
        if !asked.is_multiple_of(size) && asked < old {
            return Err(format!("Narrow to {asked}, no block boundary"));
        }
        take.end = Some(end);
        self.input(job, Input::Narrowed { lane: id, end })
    }

    /// A lane begins to end: what it holds goes to the disk first.
    pub fn end_lane(&mut self, id: LaneId, result: Result<Ending, Failure>) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if lane.state != State::Ending {
            lane.state = State::Ending;
            lane.result = Some(result);
            self.wind_up(id);
        }
    }

    fn wind_up(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get(&id) else { return };
        if lane.under_way.is_some() {
            return;
        }
        if lane.pending.is_empty() {
            let wait = self.dice.below(3 * MS);
            self.after(wait, Event::Gone(id));
        } else {
            self.hand_over(id);
        }
    }

    pub fn on_gone(&mut self, id: LaneId) -> Result<(), String> {
        let Some(lane) = self.lanes.remove(&id) else { return Ok(()) };
        self.jobs[lane.job].let_go(id);
        let result = lane.result.unwrap_or(Ok(Ending::Closed));
        self.input(lane.job, Input::Ended { lane: id, result })
    }

    fn hand_over(&mut self, id: LaneId) {
        let (now, wait) = (self.now, self.disk_wait());
        let lane = self.lane(id);
        if lane.under_way.is_none() && !lane.pending.is_empty() {
            lane.under_way = Some(std::mem::take(&mut lane.pending));
            lane.handed = now;
            self.after(wait, Event::Written(id));
        }
    }

    /// A hand-over is written, or could not be.
    pub fn on_written(&mut self, id: LaneId) -> Result<(), String> {
        let Some(lane) = self.lanes.get_mut(&id) else { return Ok(()) };
        let Some(spans) = lane.under_way.take() else { return Ok(()) };
        let (job, fails) = (lane.job, self.write_fails());
        if let Some(failure) = fails {
            let ends = self.dice.percent(50);
            let lane = self.lane(id);
            lane.pending.clear();
            if lane.state != State::Ending {
                lane.state = State::Stuck;
            }
            self.input(job, Input::Unwritten(failure.clone()))?;
            if ends {
                self.end_lane(id, Err(failure));
            }
        } else {
            self.store(job, id, &spans)?;
        }
        let Some(lane) = self.lanes.get_mut(&id) else { return Ok(()) };
        if lane.state == State::Ending {
            self.wind_up(id);
        } else if lane.state == (State::Rested { said: false }) {
            self.come_to_rest(id);
        } else if std::mem::take(&mut lane.waits_for_room) {
            self.hand_over(id);
            self.after(0, Event::Flow(id));
        }
        Ok(())
    }

    pub fn lane(&mut self, id: LaneId) -> &mut Lane {
        self.lanes.get_mut(&id).expect("the caller found it alive")
    }
}
