//! One download: what is held, who fetches what, and what comes next.
//!
//! Every input first changes state, then [`Job::advance`] looks at the whole state and says what must
//! happen now. Nothing is remembered as "to do" that the state does not show.
//!
//! Rooms: `answer` (heads to verdicts to deeds), `assign` (opening, cutting, handing over), `measure` (speeds, and how
//! many lanes there may be), `usual` (what a lane does as a rule), `order` (streams), `settle` (storing, syncing,
//! checking, finishing), `mend` (what is all there and wrong), `claim` (what other programs left), `pending` (what the disk
//! owes), `trouble` (failures, changes, ends), `audit` (the books, for tests).

mod answer;
mod assign;
mod audit;
mod claim;
mod measure;
mod mend;
mod order;
mod pending;
mod settle;
mod trouble;
mod usual;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use crate::blocks::{Blocks, Free};
use crate::event::{Completion, Error, Event, Progress};
use crate::failure::Failure;
use crate::hosts::{Hosts, host_of};
use crate::identity::Identity;
use crate::lanes::{Answer, Lane, Purpose, State};
use crate::limits::Limits;
use crate::machine::{Action, Claimed, Command, Ending, Input, JobId, JobSpec, LaneId, SourceId, Take};
use crate::name::Name;
use crate::record::Record;
use crate::source::Source;
use pending::Settle;
use usual::Usual;

/// A seeded sequence (splitmix64): all the chance there is.
#[derive(Clone, Debug)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as u32
    }
}

/// What a job may use while it handles one input; everything outside the job.
pub(crate) struct Turn<'a> {
    pub(crate) now: Instant,
    pub(crate) id: JobId,
    pub(crate) limits: &'a Limits,
    pub(crate) hosts: &'a mut Hosts,
    pub(crate) chance: &'a mut Chance,
    pub(crate) next_lane: &'a mut u32,
    pub(crate) out: &'a mut VecDeque<(JobId, Action)>,
}

impl Turn<'_> {
    fn say(&mut self, action: Action) {
        self.out.push_back((self.id, action));
    }

    fn tell(&mut self, event: Event) {
        self.say(Action::Tell(event));
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing is known of this generation: one lane asks for `bytes=0-`.
    First,
    /// The first answer is good; the files are being made. The heir's body is the first data.
    Placing { heir: Option<LaneId>, said: bool },
    /// Lanes fetch.
    Running,
    /// Everything is held and verified; the engine publishes.
    Finishing,
    /// Nothing more comes.
    Over,
}

/// A job of the run.
#[derive(Debug)]
pub(crate) struct Job {
    spec: JobSpec,
    phase: Phase,
    sources: Vec<Source>,
    /// The source whose answers are joined to what is held; the others are mirrors.
    lead: SourceId,
    /// The source the held bytes came from first. The lead, unless that was given up.
    origin: SourceId,
    identity: Option<Identity>,
    name: Option<Name>,
    blocks: Blocks,
    free: Free,
    lanes: BTreeMap<LaneId, Lane>,
    settle: Settle,
    /// Bytes a stream's consumer has taken.
    streamed: u64,
    /// Bytes beyond those that wait for it.
    landed: Free,
    /// Some answer came under another tag: each further request of a stream, which cannot begin anew, is a risk.
    fickle: bool,
    generations: u32,
    /// Pieces were found wrong, and fetched again, so many times.
    mended: u32,
    /// The whole was wrong, and nothing tells who gave which byte of it: one source at a time gives all of it.
    solo: bool,
    /// What comes again comes from this one, as long as it lives: others gave some of the same wrong pieces.
    only: Option<SourceId>,
    /// The next `Place` moves a pair aside.
    retire: bool,
    /// ... or removes it.
    discard: bool,
    /// All that is held was left by another program, and nothing of it is proven yet.
    claimed: Option<Claimed>,
    /// Blocks that were adopted so, and their file: if a digest says that the whole is wrong, these are to blame first.
    adopted: (String, BTreeSet<u32>),
    /// Joins need an overlap check: one lane, in ascending order.
    overlap: bool,
    /// The body is being decoded: one lane, and a break starts over.
    coded: bool,
    told_no_ranges: bool,
    unproven: bool,
    length_unknown: bool,
    paused: bool,
    rested: bool,
    failing: Option<Error>,
    /// A lane was wanted and its host had no room.
    pub(crate) crowded: bool,
    wire: u64,
    measured: Instant,
    /// When the whole state was last looked at: deadlines up to then are served.
    looked: Instant,
    /// `Started` was told.
    started: bool,
    /// Usual rate and set-up seconds of this job's lanes, smoothed.
    usual: Usual,
}

impl Job {
    pub(crate) fn new(mut spec: JobSpec, now: Instant, limits: &Limits) -> Job {
        let held = spec.held.take();
        let mut sources: Vec<Source> = spec.urls.iter().cloned().map(Source::new).collect();
        if let Some(first) = sources.first_mut() {
            first.renewed.clone_from(&spec.renewed);
            first.given_for = spec.renewed.clone().unwrap_or_else(|| first.url.clone());
        }
        let mut job = Job {
            phase: Phase::First,
            sources,
            lead: SourceId(0),
            origin: SourceId(0),
            identity: None,
            name: spec.name.clone(),
            blocks: Blocks::new(Blocks::size_for(None), None),
            free: Free::default(),
            lanes: BTreeMap::new(),
            settle: Settle::default(),
            streamed: 0,
            landed: Free::default(),
            fickle: false,
            generations: 0,
            mended: 0,
            solo: false,
            only: None,
            retire: false,
            discard: false,
            claimed: None,
            adopted: Default::default(),
            overlap: false,
            coded: false,
            told_no_ranges: false,
            unproven: false,
            length_unknown: false,
            paused: false,
            rested: false,
            failing: None,
            crowded: false,
            wire: 0,
            measured: now,
            looked: now,
            started: false,
            usual: Usual::default(),
            spec,
        };
        if job.sources.is_empty() {
            job.sources.push(Source::new(String::new()));
        }
        if let Some(held) = held.filter(|_| !job.spec.stream) {
            job.replay(held, limits);
        }
        job
    }

    pub(crate) fn handle(&mut self, input: Input, turn: &mut Turn<'_>) {
        match input {
            Input::Placed(result) => self.on_placed(result, turn),
            Input::Returned(held) => self.on_returned(*held, turn),
            Input::Head { lane, hops, head } => self.on_head(lane, &hops, &head, turn),
            Input::Bytes { lane, at, len } => self.on_bytes(lane, at, len, turn),
            Input::Lost { lane, round_trip } => self.on_lost(lane, round_trip, turn),
            Input::Held { lane, until } => self.on_held(lane, until),
            Input::Reached { lane } => self.on_reached(lane, turn),
            Input::Narrowed { lane, end } => self.on_narrowed(lane, end, turn),
            Input::Ended { lane, result } => self.on_ended(lane, result, turn),
            Input::Stored { block, upto, hash } => self.on_stored(block, upto, hash, turn),
            Input::Checked { block, same } => self.on_checked(block, same, turn),
            Input::Compared { lane, same } => self.on_compared(lane, same, turn),
            Input::Synced(result) => self.on_synced(result, turn),
            Input::Landed { lane, upto } => self.on_landed(lane, upto, turn),
            Input::Taken { upto } => self.on_taken(upto),
            Input::Finished(result) => self.on_finished(result, turn),
            Input::Wrong { ranges, failure } => self.on_wrong(&ranges, failure, turn),
            Input::Described { urls, digest } => self.on_described(urls, digest, turn),
            Input::Renewed { source, url } => self.on_renewed(source, url, turn),
            Input::Unwritten(failure) => self.fail_on_disk(failure),
            Input::Command(command) => self.on_command(command),
        }
        self.advance(turn);
    }

    /// Looks at the whole state and says what must happen now.
    pub(crate) fn advance(&mut self, turn: &mut Turn<'_>) {
        self.crowded = false;
        self.looked = turn.now;
        self.measure(turn);
        if self.failing.is_some() || self.paused {
            return self.rest(turn);
        }
        let before = (self.phase, self.lead);
        self.step(turn);
        // A step may give a source up, or reach another phase: look again until nothing moves.
        if (self.phase, self.lead) != before || self.failing.is_some() {
            self.advance(turn);
        }
    }

    fn step(&mut self, turn: &mut Turn<'_>) {
        match self.phase {
            Phase::First => self.ask_first(turn),
            Phase::Placing { .. } => self.place(turn),
            Phase::Running if self.has_no_claim_left() => {
                self.change(None, "nothing of it can be read", turn)
            }
            Phase::Running => {
                self.start(turn);
                self.assign(turn);
                self.check(turn);
                self.sync_if_due(turn);
                self.settle(turn);
            }
            Phase::Finishing | Phase::Over => {}
        }
    }

    /// When to look again though nothing came in. A moment that passed since the last look is told too:
    /// whoever polls late must not sleep through it.
    pub(crate) fn deadline(&self, turn: &Turn<'_>) -> Option<Instant> {
        if self.phase == Phase::Over {
            return None;
        }
        let resting = self.failing.is_some() || self.paused;
        let retries = self.sources.iter().filter(|s| s.dead.is_none() && !resting).filter_map(|s| s.retry);
        let holds = self.sources.iter().filter(|s| s.dead.is_none() && !resting).filter_map(|s| {
            let hosts = [host_of(s.asked_at()), s.host()];
            hosts.iter().filter_map(|host| turn.hosts.held_until(host, turn.limits)).max()
        });
        // A lane may wait for an answer while others have shown how soon one comes.
        let ticks = |lane: &Lane| lane.is_serving() || (lane.is_asking() && self.usual.compares());
        let tick = (self.lanes.values().any(ticks) && self.may_have(turn.limits) > 1)
            .then(|| self.measured + turn.limits.tick);
        let sync = self.settle.due(turn.limits);
        let another = self.phase == Phase::First && self.sources.len() > self.lanes.len();
        let asked = self.lanes.values().map(|lane| lane.opened).max().filter(|_| another);
        let silence = asked.map(|asked| asked + turn.limits.first_answer);
        retries.chain(silence).chain(holds).chain(tick).chain(sync).filter(|&at| at > self.looked).min()
    }

    pub(crate) fn progress(&self) -> Progress {
        let claimed = self.is_only_claimed();
        Progress {
            total: self.total(),
            held: if claimed { 0 } else { self.held() },
            wire: self.wire,
            lanes: self.lanes.values().filter(|l| l.is_reading()).count() as u32,
            map: if claimed { Vec::new() } else { self.blocks.map() },
        }
    }

    /// Where the bytes end that are held from `at` on; nothing is of a stream, or of a claim.
    pub(crate) fn held_from(&self, at: u64) -> u64 {
        if self.is_only_claimed() { at } else { self.blocks.held_until(at) }
    }

    /// What is there is a claim that nothing has proven yet, or one that was rejected and goes with the next answer.
    fn is_only_claimed(&self) -> bool {
        self.claimed.is_some() || self.discard
    }

    pub(crate) fn completion(&self) -> Completion {
        Completion {
            bytes: self.held(),
            wire: self.wire,
            unproven: self.unproven,
            length_unknown: self.length_unknown,
        }
    }

    fn total(&self) -> Option<u64> {
        self.identity.as_ref().and_then(|i| i.total)
    }

    fn held(&self) -> u64 {
        if self.spec.stream { self.streamed + self.landed.bytes() } else { self.blocks.held() }
    }

    /// Offset after the last byte held, landed or taken.
    fn last_held(&self) -> u64 {
        if self.spec.stream { self.landed.last().unwrap_or(self.streamed) } else { self.blocks.last_held() }
    }

    fn source(&mut self, id: SourceId) -> &mut Source {
        &mut self.sources[usize::from(id.0)]
    }

    fn on_bytes(&mut self, lane: LaneId, at: u64, len: u64, turn: &mut Turn<'_>) {
        self.wire = self.wire.saturating_add(len);
        if let Some(lane) = self.lanes.get_mut(&lane) {
            turn.hosts.got(&lane.host, len, turn.now);
            lane.got(at, len);
        }
    }

    fn on_held(&mut self, lane: LaneId, until: Instant) {
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.held = Some(until);
        }
    }

    fn on_narrowed(&mut self, lane: LaneId, end: u64, turn: &Turn<'_>) {
        let Some(lane) = self.lanes.get_mut(&lane).filter(|l| l.narrowing) else { return };
        lane.narrowing = false;
        // Whoever has begun all its blocks answers so at once: it is not asked again before something changed.
        lane.asked_to_narrow = Some(turn.now);
        // A lane answers with the first block it has not begun, or with its old end.
        if end < lane.due && end >= lane.stored && (self.spec.stream || end == self.blocks.boundary(end)) {
            self.free.give(end, lane.end);
            (lane.end, lane.due) = (end, end);
        }
    }

    /// A lane that took a whole file, or compared, has nothing beyond its end; nor has one whose heir is there.
    fn on_reached(&mut self, id: LaneId, turn: &mut Turn<'_>) {
        let heir = self.heir_of(id);
        let Some(lane) = self.lanes.get_mut(&id).filter(|lane| lane.is_reading()) else { return };
        let brought = lane.purpose == Purpose::Store && lane.stored == lane.end && lane.reach > lane.end;
        if brought && heir.is_none() {
            lane.state = State::Rested(turn.now);
        } else {
            self.close(id, turn);
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Pause => self.paused = true,
            Command::Resume => {
                self.paused = false;
                self.rested = false;
            }
            Command::Source(url) if self.sources.len() < usize::from(u16::MAX) => {
                self.sources.push(Source::new(url));
            }
            Command::Source(_) => {}
            Command::Lanes(lanes) => self.spec.lanes = lanes.map(|lanes| lanes.max(1)),
        }
    }

    fn on_ended(&mut self, id: LaneId, result: Result<Ending, Failure>, turn: &mut Turn<'_>) {
        let Some(mut lane) = self.lanes.remove(&id) else { return };
        turn.hosts.closed(&lane.host, lane.gone(), turn.now);
        if let Some(rate) = lane.average(turn.now) {
            self.usual.learn(rate, turn.now);
            self.source(lane.source).brought(rate);
        }
        if result == Err(Failure::Content) {
            self.take_back(id, &mut lane, turn);
        }
        let missing = self.pass_on(id, &lane, turn);
        if lane.stored > lane.start {
            let source = self.source(lane.source);
            (source.failures, source.renewals, source.retry) = (0, 0, None);
        }
        // A lane that has brought its last byte may be closed already when it finds that they are wrong.
        if lane.state == State::Closing && result != Err(Failure::Content) {
            return;
        }
        let unknown = lane.end == u64::MAX && lane.state == State::Reading;
        match result {
            Ok(Ending::Closed | Ending::Range) => {}
            // It ends below what is held, and was not even compared with all of that.
            Ok(Ending::Message) if unknown && lane.read < lane.start && lane.source == self.lead => {
                self.change(None, "it is shorter than what is held", turn);
            }
            Ok(Ending::Message | Ending::Close) if unknown && lane.read < lane.start => {
                self.on_failure(&lane, Failure::Truncated, turn);
            }
            Ok(Ending::Message) if unknown => self.learn_total(lane.stored, turn),
            Ok(Ending::Close) if unknown => {
                self.length_unknown = true;
                turn.tell(Event::LengthUnknown);
                if self.spec.strict {
                    self.failing = Some(Error::LengthUnknown);
                } else {
                    self.learn_total(lane.stored, turn);
                }
            }
            Ok(Ending::Message | Ending::Close) if missing == 0 || lane.stored >= lane.due => {}
            // A whole message that told no length, and is shorter than the file was.
            Ok(Ending::Message) if !lane.told && lane.source == self.lead => {
                self.change(None, "it is shorter than it was", turn);
            }
            Ok(Ending::Message | Ending::Close) => self.on_failure(&lane, Failure::Truncated, turn),
            Err(failure) => self.on_failure(&lane, failure, turn),
        }
    }

    /// What a lane brought is not what its answer said (R50): every block it wrote to is forgotten and fetched
    /// again. A lane that was to go on from there has asked from too far up.
    fn take_back(&mut self, id: LaneId, lane: &mut Lane, turn: &mut Turn<'_>) {
        if let Some(heir) = self.heir_of(id) {
            self.close(heir, turn);
        }
        if lane.purpose != Purpose::Store || lane.victim.is_some() || lane.stored == lane.start {
            return;
        }
        if self.spec.stream {
            let url = self.source(lane.source).url.clone();
            self.failing.get_or_insert(Error::Source { url, failure: Failure::Content });
            return;
        }
        let (first, last) = (self.blocks.index_of(lane.start), self.blocks.index_of(lane.stored - 1));
        for block in first..=last {
            self.forget(block, "its answer's digest is another one", turn);
        }
        lane.start = self.blocks.start_of(first);
        lane.stored = lane.start;
    }

    /// The lane that is to take over from this one.
    fn heir_of(&self, id: LaneId) -> Option<LaneId> {
        self.lanes.iter().find(|(_, lane)| lane.victim == Some(id)).map(|(&heir, _)| heir)
    }

    /// A lane's unfetched bytes go to the lane that takes over from it, else they are free. Returns their number.
    fn pass_on(&mut self, id: LaneId, lane: &Lane, turn: &mut Turn<'_>) -> u64 {
        let heir = self.heir_of(id);
        if lane.purpose != Purpose::Store || lane.victim.is_some() {
            return 0;
        }
        let (from, end) = (lane.stored, lane.end);
        let missing = end.saturating_sub(from);
        let Some(heir) = heir else {
            self.free.give(from, end);
            return missing;
        };
        let Some(next) = self.lanes.get_mut(&heir) else { return missing };
        next.victim = None;
        (next.start, next.stored, next.end) = (from, from, end);
        if missing == 0 {
            self.close(heir, turn);
        } else if matches!(next.state, State::Ready(_)) {
            self.take(heir, turn);
        } else if next.state == State::Closing {
            // Its head was refused meanwhile; its own end must not take the range with it.
            next.start = end;
            next.stored = end;
            self.free.give(from, end);
        }
        missing
    }

    fn close(&mut self, id: LaneId, turn: &mut Turn<'_>) {
        if let Some(lane) = self.lanes.get_mut(&id)
            && lane.state != State::Closing
        {
            lane.state = State::Closing;
            turn.say(Action::Close { lane: id });
        }
    }

    fn close_all_but(&mut self, heir: Option<LaneId>, turn: &mut Turn<'_>) {
        let others: Vec<LaneId> = self.lanes.keys().copied().filter(|&l| Some(l) != heir).collect();
        for lane in others {
            self.close(lane, turn);
        }
    }

    /// Lets a lane whose answer was accepted read its body.
    fn take(&mut self, id: LaneId, turn: &mut Turn<'_>) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let State::Ready(answer) = lane.state.clone() else { return };
        lane.told = answer.end.is_some();
        lane.reach = answer.end.unwrap_or(u64::MAX);
        lane.due = lane.reach.min(lane.end).max(lane.start);
        if lane.purpose == Purpose::Store {
            let keeps = self.blocks.boundary(lane.due).min(lane.end);
            self.free.give(keeps, lane.end);
            lane.end = keeps;
            if lane.start >= lane.due && !answer.compare {
                return self.close(id, turn);
            }
        }
        if !lane.served {
            turn.hosts.serves(&lane.host, turn.now);
        }
        lane.begin(turn.now);
        lane.answer_from = answer.from;
        let end = (lane.due != u64::MAX).then_some(lane.due);
        let at = if lane.purpose == Purpose::Prove { lane.end } else { lane.start };
        let Answer { from, compare, codings, digest, .. } = answer;
        let watch = self.spec.lanes.is_none() && turn.hosts.is_starting(&lane.host);
        let take = Take { from, at, compare, end, codings, digest, watch };
        turn.say(Action::Take(id, take));
        if let Some(lane) = self.lanes.get(&id) {
            self.begin_at_once(lane, turn);
        }
    }

    /// The job is dropped: its lanes count no longer.
    pub(crate) fn leave(self, hosts: &mut Hosts) {
        for lane in self.lanes.values() {
            hosts.closed(&lane.host, lane.gone(), self.looked);
        }
    }

    fn note(&mut self, record: Record, turn: &mut Turn<'_>) {
        if !self.spec.stream {
            turn.say(Action::Note(record));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Chance;

    #[test]
    fn chance_is_splitmix64_as_it_was_published() {
        let mut chance = Chance(1_234_567);
        let published: [u64; 4] = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
        ];
        assert_eq!(published.map(|_| chance.next()), published.map(|number| number as u32));
    }
}
