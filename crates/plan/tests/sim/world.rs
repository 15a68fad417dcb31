//! The loop: virtual time, one queue of what is to come, and the planner driven as the engine drives it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use thence_plan::{
    Action, Command, Failure, Hash, Head, Input, JobId, LaneId, Limits, Output, Run, origin_of,
};

use super::dice::Dice;
use super::disk::Mark;
use super::faults::{Counts, Fault};
use super::job::Job;
use super::lane::{Lane, State};
use super::ledger::Ledger;
use super::lies::Lie;
use super::scenario::{DiskManner, MS, S, Scenario, Twist, scenario};
use super::server::{Site, WALL};

/// What is to come.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    Answer(LaneId),
    Flow(LaneId),
    /// Nobody wanted its body so far.
    Waits(LaneId),
    Written(LaneId),
    Narrow(LaneId, u64),
    Reached(LaneId),
    /// The lane's socket was silent too long, waiting for the head (true) or the body.
    Stalled(LaneId, bool),
    Gone(LaneId),
    Placed(usize),
    Checked(usize, u32, u32, Hash),
    Flush(usize),
    Synced(usize, Mark),
    Whole(usize, u64),
    Finished(usize),
    Again(usize),
    /// A stream's consumer takes something.
    Consumed(usize),
    NewProcess,
    Twist(usize),
}

/// Virtual time after which a run counts as hung: from its start, and from the moment on from which all is well. Steps
/// likewise.
const LONGEST: u64 = 400_000 * S;
const LONGEST_QUIET: u64 = 40_000 * S;
const MOST_STEPS: u64 = 400_000;

/// One simulation.
pub struct World {
    pub dice: Dice,
    pub now: u64,
    base: Instant,
    pub run: Run,
    pub limits: Limits,
    pub sites: Vec<Site>,
    pub lies: Vec<(Lie, u64)>,
    pub disk: DiskManner,
    /// The longest that an operation of the disk takes before the quiet.
    slowest: u64,
    pub faults: Vec<Fault>,
    pub counts: Counts,
    pub ledger: Ledger,
    /// Whether it is kept: to write down every word takes its time.
    pub booked: bool,
    /// What a process leaves is to the next one what another program left: a claim.
    pub adopts: bool,
    pub full: bool,
    pub noisy: bool,
    /// When the noise ended, and when the process last died.
    quiet: Option<u64>,
    died: Option<u64>,
    pub jobs: Vec<Job>,
    pub lanes: BTreeMap<LaneId, Lane>,
    queue: BinaryHeap<Reverse<(u64, u64, u32, Event)>>,
    twists: Vec<(u64, Twist)>,
    /// Number of the process: what a killed one left in the queue means nothing.
    life: u32,
    steps: u64,
    /// Until when hosts asked to be left alone, as far as this process was told.
    pub holds: BTreeMap<String, u64>,
    /// The same with every status: what the planner may keep to as well.
    pub wishes: BTreeMap<String, u64>,
    trace: bool,
}

/// The key of the table of hosts.
pub fn host_of(url: &str) -> String {
    origin_of(url).unwrap_or_default()
}

impl World {
    pub fn new(seed: u64, base: Instant, trace: bool) -> World {
        let mut dice = Dice::new(seed);
        let Scenario { sites, jobs, sites_of, faults, lies, twists, disk } = scenario(&mut dice);
        // Of streams: what does not even hold a lane's ranges, what does, and what holds most of these files.
        let window = [256 << 10, 1 << 20, 4 << 20, 64 << 20][(seed / 7 % 4) as usize];
        let limits = Limits { window, ..Limits::default() };
        let jobs = jobs.into_iter().zip(sites_of).map(|(spec, sites)| Job::new(spec, sites)).collect();
        let mut world = World {
            run: Run::new(limits.clone(), dice.roll()),
            dice,
            now: 0,
            base,
            limits,
            sites,
            lies,
            slowest: disk.slow * MS,
            disk,
            faults,
            counts: Counts::default(),
            ledger: Ledger::default(),
            booked: false,
            adopts: false,
            full: false,
            noisy: true,
            quiet: None,
            died: None,
            jobs,
            lanes: BTreeMap::new(),
            queue: BinaryHeap::new(),
            twists: Vec::new(),
            life: 0,
            steps: 0,
            holds: BTreeMap::new(),
            wishes: BTreeMap::new(),
            trace,
        };
        for (i, (at, _)) in twists.iter().enumerate() {
            world.queue.push(Reverse((*at, 0, u32::MAX, Event::Twist(i))));
        }
        world.twists = twists;
        world
    }

    /// Runs to the end; steps taken, or what was wrong.
    pub fn play(&mut self) -> Result<u64, String> {
        if self.trace {
            println!(
                "sites {:#?}\njobs {:#?}",
                self.sites,
                self.jobs.iter().map(|j| &j.spec).collect::<Vec<_>>()
            );
            println!(
                "faults {:?} lies {:?}\ntwists {:?} disk {:?}",
                self.faults, self.lies, self.twists, self.disk
            );
        }
        for job in 0..self.jobs.len() {
            self.add(job)?;
        }
        while self.jobs.iter().any(|j| j.outcome.is_none()) {
            let idle = self.drain()?;
            let queued = self.queue.peek().map(|Reverse(e)| e.0);
            let Some(next) = [idle, queued].into_iter().flatten().min() else {
                return Err("hang: nothing is to come".into());
            };
            self.now = self.now.max(next);
            self.steps += 1;
            let since = self.quiet.map_or(0, |quiet| self.now - quiet);
            if self.now > LONGEST || since > LONGEST_QUIET || self.steps > MOST_STEPS {
                return Err(format!("hang: {} s and {} steps", self.now / S, self.steps));
            }
            if queued.is_some_and(|at| at <= self.now) {
                let Some(Reverse((_, _, life, event))) = self.queue.pop() else { continue };
                if life == self.life || life == u32::MAX {
                    self.handle(event)?;
                }
            } else {
                self.run.wake(self.instant());
                self.audit()?;
            }
        }
        self.drain()?;
        self.at_rest()?;
        Ok(self.steps)
    }

    fn handle(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Answer(lane) => self.on_answer(lane),
            Event::Flow(lane) => self.on_flow(lane),
            Event::Waits(lane) => match self.lanes.get(&lane).map(|l| l.state) {
                Some(State::Headed) => {
                    Err(format!("{lane:?} has its head for a minute, and nobody takes it"))
                }
                _ => Ok(()),
            },
            Event::Written(lane) => self.on_written(lane),
            Event::Narrow(lane, end) => self.on_narrow(lane, end),
            Event::Reached(lane) => self.on_reached(lane),
            Event::Stalled(lane, head) => {
                self.on_stalled(lane, head);
                Ok(())
            }
            Event::Gone(lane) => self.on_gone(lane),
            Event::Placed(job) => self.on_placed(job),
            Event::Checked(job, block, len, hash) => self.on_checked(job, block, len, hash),
            Event::Flush(job) => {
                self.jobs[job].flush();
                Ok(())
            }
            Event::Synced(job, mark) => self.on_synced(job, mark),
            Event::Whole(job, total) => self.on_whole(job, total),
            Event::Finished(job) => self.on_finished(job),
            Event::Again(job) => self.add(job),
            Event::Consumed(job) => self.on_consumed(job),
            Event::NewProcess => self.kill(false),
            Event::Twist(index) => self.twist(self.twists[index].1.clone()),
        }
    }

    /// Does everything the planner asks for, and says when it wants to look again.
    fn drain(&mut self) -> Result<Option<u64>, String> {
        loop {
            let now = self.instant();
            match self.run.poll(now) {
                Output::Idle(at) => {
                    return Ok(at.map(|at| at.saturating_duration_since(self.base).as_nanos() as u64));
                }
                Output::Job(id, action) => {
                    self.say(|| format!("    {id:?} {action:?}"));
                    if self.booked {
                        self.ledger.note(id, &action);
                    }
                    let Some(job) = self.jobs.iter().position(|j| j.id == Some(id)) else { continue };
                    self.act(job, action)?;
                }
            }
        }
    }

    fn act(&mut self, job: usize, action: Action) -> Result<(), String> {
        match action {
            Action::Open { lane, url, ask, .. } => self.open(job, lane, url, ask),
            Action::Take(lane, take) => self.on_take(lane, take),
            Action::Narrow { lane, end } => {
                let wait = self.dice.below(20 * MS);
                self.after(wait, Event::Narrow(lane, end));
                Ok(())
            }
            Action::Close { lane } => {
                self.end_lane(lane, Ok(thence_plan::Ending::Closed));
                Ok(())
            }
            Action::Place(placement) => {
                let wait = self.disk_wait();
                self.jobs[job].placing(*placement)?;
                self.after(wait, Event::Placed(job));
                Ok(())
            }
            Action::Note(record) => {
                if self.jobs[job].note(record) {
                    self.after(100 * MS, Event::Flush(job));
                }
                Ok(())
            }
            Action::Check { block, len, hash } => {
                let wait = self.disk_wait();
                self.after(wait, Event::Checked(job, block, len, hash));
                Ok(())
            }
            Action::Sync => {
                let (wait, mark) = (self.disk_wait(), self.jobs[job].mark());
                self.after(wait, Event::Synced(job, mark));
                Ok(())
            }
            Action::Forget { from } => self.jobs[job].forget_landed(from),
            Action::Finish { total } => self.finish(job, total),
            Action::Tell(event) => self.told(job, event),
            // No server of ours names a Metalink, and nobody knows another URL.
            Action::Describe { .. } => Ok(()),
            Action::Renew { source, .. } => {
                self.input(job, Input::Renewed { source, url: Err("nobody knows".into()) })
            }
            Action::Fail(error) => self.failed(job, error),
        }
    }

    fn open(&mut self, job: usize, lane: LaneId, url: String, ask: thence_plan::Ask) -> Result<(), String> {
        let host = host_of(&url);
        if let Some(&until) = self.holds.get(&host)
            && until > self.now
        {
            return Err(format!("Retry-After of {host} undercut by {} ms", (until - self.now) / MS));
        }
        let open = self.lanes.values().filter(|l| l.job == job).count() as u64;
        if open >= u64::from(self.jobs[job].lanes) {
            return Err(format!("{open} lanes are open, and one more"));
        }
        if self.jobs[job].paused {
            return Err("a lane for a paused job".into());
        }
        if self.lanes.insert(lane, Lane::new(job, url, host, ask)).is_some() {
            return Err(format!("{lane:?} is used twice"));
        }
        let wait = self.dice.between(1, 200) * MS;
        self.after(wait, Event::Answer(lane));
        Ok(())
    }

    /// A host that refuses is left alone; so is the one that led to it.
    pub fn learn_hold(&mut self, url: &str, host: &str, head: &Head) {
        let Some(wait) = head.retry_after() else { return };
        self.counts.hit(Fault::RetryAfter);
        let until = self.now.saturating_add(wait.as_nanos() as u64);
        let must = matches!(head.status, 429 | 503);
        for map in [&mut self.wishes, &mut self.holds].into_iter().take(if must { 2 } else { 1 }) {
            for host in [host_of(url), host.to_owned()] {
                let hold = map.entry(host).or_default();
                *hold = until.max(*hold);
            }
        }
    }

    /// A host of the job's asked to be left alone for longer than anybody waits.
    pub fn left_alone(&self, job: usize) -> bool {
        let longest = self.now + self.limits.retry_after_max.as_nanos() as u64;
        let sites = self.jobs[job].sites.iter().map(|&site| &self.sites[site]);
        sites
            .flat_map(|site| [site.url(), site.target()])
            .any(|url| self.wishes.get(&host_of(&url)).is_some_and(|&until| until > longest))
    }

    fn twist(&mut self, twist: Twist) -> Result<(), String> {
        self.say(|| format!("  * {twist:?}"));
        let sites = self.sites.len();
        match twist {
            Twist::Flip(site, version) => {
                self.counts.hit(if version == 0 { Fault::FlipBack } else { Fault::Flip });
                self.sites[site].current = version;
            }
            Twist::Expire(site) => self.sites[site % sites].epoch += 1,
            Twist::Kill | Twist::PowerCut => return self.die(twist == Twist::PowerCut),
            Twist::Rot(job) | Twist::Misdirect(job) => {
                let job = job % self.jobs.len();
                let done = match twist {
                    Twist::Rot(_) => (Fault::Rot, self.jobs[job].rot(&mut self.dice)),
                    _ => (Fault::Misdirected, self.jobs[job].misdirect(&mut self.dice)),
                };
                if done.1 {
                    self.counts.hit(done.0);
                }
                return self.kill(false);
            }
            Twist::Full(full) => self.full = full,
            Twist::Command(job, command) => return self.command(job, command),
            Twist::Quiet => {
                (self.noisy, self.full, self.quiet) = (false, false, Some(self.now));
                self.end_crawls();
                self.disk = DiskManner { slow: 5, ..DiskManner::default() };
            }
        }
        Ok(())
    }

    fn command(&mut self, job: usize, command: Command) -> Result<(), String> {
        let now = self.now;
        let state = &mut self.jobs[job];
        if state.id.is_none() {
            return Ok(());
        }
        match &command {
            Command::Pause => {
                self.counts.hit(Fault::Pause);
                (state.paused, state.paused_at, state.rested) = (true, now, false);
            }
            Command::Resume => {
                // What was read is still written, in two turns, and synced.
                let until = state.paused_at + 15 * S + 3 * self.slowest;
                if state.paused && !state.rested && !state.finishing && now > until {
                    return Err("a pause that does not rest".into());
                }
                state.paused = false;
            }
            Command::Lanes(lanes) => {
                self.counts.hit(Fault::Lanes);
                // Lanes that are open may stay.
                state.lanes = lanes.unwrap_or(64);
                state.spec.lanes = *lanes;
            }
            Command::Source(_) => {}
        }
        self.input(job, Input::Command(command))
    }

    /// A death that the scenario had in store.
    fn die(&mut self, power: bool) -> Result<(), String> {
        self.counts.hit(if power { Fault::PowerCut } else { Fault::Kill });
        if self.died.replace(self.now).is_some_and(|at| self.now < at + 3 * S) {
            self.counts.hit(Fault::CrashLoop);
        }
        self.kill(power)
    }

    /// The process dies, perhaps with the whole machine; the next one finds what is on the disk.
    fn kill(&mut self, power: bool) -> Result<(), String> {
        self.life += 1;
        self.lanes.clear();
        self.holds.clear();
        self.wishes.clear();
        self.run = Run::new(self.limits.clone(), self.dice.roll());
        for job in &mut self.jobs {
            job.killed(power.then_some(self.faults.as_slice()), &mut self.dice, &mut self.counts);
        }
        for job in 0..self.jobs.len() {
            if self.jobs[job].outcome.is_none() {
                self.add(job)?;
            }
        }
        Ok(())
    }

    /// Adds a job to the run, with what earlier runs left.
    fn add(&mut self, job: usize) -> Result<(), String> {
        let mut spec = self.jobs[job].begin(!self.noisy);
        if self.adopts {
            self.jobs[job].claims(&mut spec);
        }
        self.say(|| format!("  + job {job} {:?}", spec.held));
        let id: JobId = self.run.add(self.instant(), spec);
        self.jobs[job].id = Some(id);
        self.audit()
    }

    /// One input, the drain after it, and a look at the books.
    pub fn input(&mut self, job: usize, input: Input) -> Result<(), String> {
        let Some(id) = self.jobs[job].id else { return Ok(()) };
        self.say(|| format!("  {id:?} {input:?}"));
        self.run.handle(self.instant(), id, input);
        self.audit()?;
        if self.dice.percent(10) {
            // The engine may be late in asking what is to be done.
            self.now += self.dice.below(3 * MS);
        }
        self.drain()?;
        Ok(())
    }

    fn audit(&mut self) -> Result<(), String> {
        self.run.audit()
    }

    /// A file operation takes its time.
    pub fn disk_wait(&mut self) -> u64 {
        let slow = self.disk.slow;
        let wait = self.dice.below(slow * MS) + MS / 10;
        if wait > 40 * MS {
            self.counts.hit(Fault::SlowDisk);
        }
        wait
    }

    pub fn write_fails(&mut self) -> Option<Failure> {
        let (fault, kind) = if self.full {
            (thence_plan::DiskFault::Full, Fault::DiskFull)
        } else if self.dice.below(1000) < self.disk.writes {
            (thence_plan::DiskFault::Io, Fault::WriteError)
        } else {
            return None;
        };
        self.counts.hit(kind);
        Some(Failure::Disk(fault, "write".into()))
    }

    /// Making files, or publishing one, fails.
    pub fn walk_fails(&mut self) -> bool {
        let fails = self.full || self.dice.below(100) < self.disk.walks;
        if fails {
            self.counts.hit(if self.full { Fault::DiskFull } else { Fault::WalkError });
        }
        fails
    }

    pub fn after(&mut self, wait: u64, event: Event) {
        let order = self.steps;
        self.queue.push(Reverse((self.now + wait, order, self.life, event)));
    }

    pub fn instant(&self) -> Instant {
        self.base + Duration::from_nanos(self.now)
    }

    pub fn wall(&self) -> u64 {
        WALL + self.now / S
    }

    pub fn site_of(&self, url: &str) -> usize {
        let path = url.split_once(".test/f").map_or("", |p| p.1);
        let digits: String = path.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or(0)
    }

    pub fn say(&self, words: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>12.6} {}", self.now as f64 / 1e9, words());
        }
    }

    /// After the end: no lane is left, and no host counts one.
    fn at_rest(&mut self) -> Result<(), String> {
        if let Some((id, lane)) = self.lanes.iter().find(|(_, l)| l.state != State::Ending) {
            return Err(format!("{id:?} was never ended: {lane:?}"));
        }
        self.audit()
    }

    /// No lane of a job may be left when it is over.
    pub fn no_lanes(&self, job: usize) -> Result<(), String> {
        match self.lanes.iter().find(|(_, l)| l.job == job) {
            Some((id, _)) => Err(format!("{id:?} is open though its job is over")),
            None => Ok(()),
        }
    }
}
