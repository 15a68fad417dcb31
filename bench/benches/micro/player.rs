//! A server and an engine that do at once what the planner wants, so that its state is that of a large download under
//! way, and each input's cost can be taken.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use thence_plan::{Action, Ending, Head, HttpVersion, Input, JobId, JobSpec, LaneId, Limits, Output, Run};

/// A block.
const K: u64 = 256 << 10;

/// Between two inputs of one lane.
const STEP: Duration = Duration::from_micros(200);

/// What an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A lane has read a block's worth.
    Bytes,
    /// A block is written.
    Stored,
    /// A lane has brought its range, and gets another.
    Ended,
    /// The planner's tick.
    Wake,
    Other,
}

/// A lane that reads.
struct Lane {
    at: u64,
    end: u64,
}

/// A download of `blocks` blocks over `lanes` lanes, started anew when it is done.
pub(crate) struct Player {
    run: Run,
    id: JobId,
    now: Instant,
    total: u64,
    lanes: BTreeMap<LaneId, Lane>,
    answers: VecDeque<Input>,
    /// The lane that comes next.
    turn: LaneId,
    done: bool,
    most: (u32, u32),
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Bytes => "bytes read",
            Kind::Stored => "a block stored",
            Kind::Ended => "a lane ended",
            Kind::Wake => "a tick",
            Kind::Other => "another",
        }
    }

    fn of(input: &Input) -> Kind {
        match input {
            Input::Bytes { .. } => Kind::Bytes,
            Input::Stored { .. } => Kind::Stored,
            Input::Ended { .. } => Kind::Ended,
            _ => Kind::Other,
        }
    }
}

impl Player {
    pub(crate) fn new(lanes: u32, blocks: u32) -> Player {
        let now = Instant::now();
        let mut run = Run::new(Limits::default(), 7);
        let spec =
            JobSpec { urls: vec!["https://host.test/file".into()], lanes: Some(lanes), ..JobSpec::default() };
        let id = run.add(now, spec);
        let total = u64::from(blocks) * K;
        let (reading, answers) = (BTreeMap::new(), VecDeque::new());
        let (turn, done) = (LaneId(0), false);
        let mut player =
            Player { run, id, now, total, lanes: reading, answers, turn, done, most: (lanes, blocks) };
        player.drain();
        // Every lane is at work before anything is measured.
        while player.lanes.len() < lanes as usize {
            player.step();
        }
        player
    }

    /// Goes on until an input of this kind has been handled; what that took.
    pub(crate) fn next(&mut self, kind: Kind) -> Duration {
        loop {
            if self.done {
                *self = Player::new(self.most.0, self.most.1);
            }
            if kind == Kind::Wake {
                self.now += Limits::default().tick;
                let start = Instant::now();
                self.run.wake(self.now);
                return start.elapsed() + self.drain();
            }
            let (of, took) = self.step();
            if of == kind {
                return took;
            }
        }
    }

    /// One input: what the engine owes, else the next lane's next block.
    fn step(&mut self) -> (Kind, Duration) {
        self.now += STEP / self.most.0;
        if self.answers.is_empty() {
            self.read();
        }
        let Some(input) = self.answers.pop_front() else {
            self.now += Limits::default().tick;
            self.run.wake(self.now);
            return (Kind::Other, self.drain());
        };
        let (kind, start) = (Kind::of(&input), Instant::now());
        self.run.handle(self.now, self.id, input);
        (kind, start.elapsed() + self.drain())
    }

    /// The next lane brings a block, and ends if that was its last.
    fn read(&mut self) {
        let next = self.lanes.range(self.turn..).next().or_else(|| self.lanes.iter().next());
        let Some(id) = next.map(|(&id, _)| id) else { return };
        self.turn = LaneId(id.0 + 1);
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let block = (lane.at / K) as u32;
        lane.at = lane.end.min((u64::from(block) + 1) * K);
        let (at, len) = (lane.at, lane.at - u64::from(block) * K);
        self.answers.push_back(Input::Bytes { lane: id, at, len });
        self.answers.push_back(Input::Stored { block, upto: len as u32, hash: 1 });
        if lane.at == lane.end {
            self.lanes.remove(&id);
            self.answers.push_back(Input::Ended { lane: id, result: Ok(Ending::Range) });
        }
    }

    /// Takes every output and does what it says; how long the planner took to give them.
    fn drain(&mut self) -> Duration {
        let mut took = Duration::ZERO;
        loop {
            let start = Instant::now();
            let output = self.run.poll(self.now);
            took += start.elapsed();
            match output {
                Output::Job(_, action) => self.act(action),
                Output::Idle(_) => return took,
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Open { lane, ask, .. } => {
                let (first, end) = ask.range.unwrap_or((0, None));
                let head = part(first, end.unwrap_or(self.total), self.total);
                self.answers.push_back(Input::Head { lane, hops: Vec::new(), head });
            }
            Action::Take(lane, take) => {
                let end = take.end.unwrap_or(self.total);
                self.lanes.insert(lane, Lane { at: take.at, end });
            }
            Action::Narrow { lane, end } => {
                let Some(of) = self.lanes.get_mut(&lane) else { return };
                of.end = of.end.min(end.max(of.at.next_multiple_of(K)));
                let end = of.end;
                self.answers.push_back(Input::Narrowed { lane, end });
            }
            Action::Close { lane } => {
                self.lanes.remove(&lane);
                self.answers.push_back(Input::Ended { lane, result: Ok(Ending::Closed) });
            }
            Action::Place(_) => self.answers.push_back(Input::Placed(Ok(()))),
            Action::Sync => self.answers.push_back(Input::Synced(Ok(()))),
            Action::Check { block, .. } => self.answers.push_back(Input::Checked { block, same: true }),
            Action::Finish { .. } => self.done = true,
            Action::Fail(error) => panic!("an honest download failed: {error:?}"),
            // Nothing else is answered in a download to a file.
            _ => {}
        }
    }
}

/// A 206 of `first..end`.
pub(crate) fn part(first: u64, end: u64, total: u64) -> Head {
    let range = format!("bytes {first}-{}/{total}", end - 1);
    let length = (end - first).to_string();
    let fields = [
        ("date", "Tue, 14 Nov 2023 22:13:20 GMT"),
        ("last-modified", "Mon, 13 Nov 2023 22:13:20 GMT"),
        ("content-type", "application/octet-stream"),
        ("etag", "\"v1\""),
        ("content-range", &range),
        ("content-length", &length),
    ];
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    Head { status: 206, version: HttpVersion::Http11, fields, received: 1_700_000_000 }
}
