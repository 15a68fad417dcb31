//! The machine: every job of a process and the hosts they share. One task owns it; nothing is locked.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use crate::event::{Completion, Progress};
use crate::hosts::Hosts;
use crate::job::{Chance, Job, Turn};
use crate::limits::Limits;
use crate::machine::{Action, Input, JobId, JobSpec, Output};

/// All jobs of a run. One input is handled, then every output is drained.
///
/// Handling cannot fail and never panics, whatever the input; an input for a job or lane that is gone is ignored.
#[derive(Debug)]
pub struct Run {
    limits: Limits,
    jobs: BTreeMap<JobId, Job>,
    /// When each job that was not touched since wants to look again: with many jobs, to ask all of them whenever a few
    /// bytes have come would cost more than all else.
    due: BTreeMap<JobId, Option<Instant>>,
    hosts: Hosts,
    chance: Chance,
    next_job: u32,
    next_lane: u32,
    out: VecDeque<(JobId, Action)>,
}

impl Run {
    /// An empty run. `seed` is all the chance it has (back-off jitter).
    pub fn new(limits: Limits, seed: u64) -> Run {
        Run {
            limits,
            jobs: BTreeMap::new(),
            due: BTreeMap::new(),
            hosts: Hosts::default(),
            chance: Chance(seed),
            next_job: 0,
            next_lane: 0,
            out: VecDeque::new(),
        }
    }

    /// Adds a job.
    pub fn add(&mut self, now: Instant, spec: JobSpec) -> JobId {
        let id = JobId(self.next_job);
        self.next_job += 1;
        self.jobs.insert(id, Job::new(spec, now, &self.limits));
        self.turn(now, id, |job, turn| job.advance(turn));
        id
    }

    /// Forgets a job that is over. Its lanes should have ended; none is heard of again.
    pub fn remove(&mut self, id: JobId) {
        let Some(job) = self.jobs.remove(&id) else { return };
        self.due.remove(&id);
        job.leave(&mut self.hosts);
    }

    /// Tells a job what happened.
    pub fn handle(&mut self, now: Instant, id: JobId, input: Input) {
        let frees = matches!(input, Input::Ended { .. });
        // What a host says to one job (`Retry-After`) is heard by all of them.
        if frees || matches!(input, Input::Head { .. }) {
            self.due.clear();
        }
        self.turn(now, id, |job, turn| job.handle(input, turn));
        if frees {
            self.wake_crowded(now, id);
        }
    }

    /// Looks at every job whose moment has come.
    pub fn wake(&mut self, now: Instant) {
        let ids: Vec<JobId> = self.jobs.keys().copied().collect();
        for id in ids {
            self.turn(now, id, |job, turn| job.advance(turn));
        }
    }

    /// The next thing to do; [`Output::Idle`] when there is nothing until the next input or that moment.
    pub fn poll(&mut self, now: Instant) -> Output {
        if let Some((id, action)) = self.out.pop_front() {
            return Output::Job(id, action);
        }
        let (limits, hosts, chance) = (&self.limits, &mut self.hosts, &mut self.chance);
        let (next_lane, out) = (&mut self.next_lane, &mut self.out);
        let mut turn = Turn { now, id: JobId(0), limits, hosts, chance, next_lane, out };
        for (&id, job) in &self.jobs {
            self.due.entry(id).or_insert_with(|| {
                turn.id = id;
                job.deadline(&turn)
            });
        }
        Output::Idle(self.due.values().flatten().min().copied())
    }

    /// How far a job is.
    pub fn progress(&self, id: JobId) -> Option<Progress> {
        self.jobs.get(&id).map(Job::progress)
    }

    /// Where the bytes end that are there from `at` on without a gap: written, and not found wrong since.
    pub fn held_until(&self, id: JobId, at: u64) -> Option<u64> {
        self.jobs.get(&id).map(|job| job.held_from(at))
    }

    /// What a finished job amounts to.
    pub fn completion(&self, id: JobId) -> Option<Completion> {
        self.jobs.get(&id).map(Job::completion)
    }

    /// Whether the books are right: every byte is somebody's, and hosts count the lanes there are.
    #[doc(hidden)]
    pub fn audit(&self) -> Result<(), String> {
        let mut lanes = BTreeMap::new();
        for (id, job) in &self.jobs {
            job.audit().map_err(|wrong| format!("{id:?}: {wrong}"))?;
            job.count_lanes(&mut lanes);
        }
        self.hosts.audit(&lanes)
    }

    /// A lane ended, so its host has room: jobs that wanted a lane look again.
    fn wake_crowded(&mut self, now: Instant, but: JobId) {
        let ids: Vec<JobId> =
            self.jobs.iter().filter(|(id, j)| **id != but && j.crowded).map(|(&id, _)| id).collect();
        for id in ids {
            self.turn(now, id, |job, turn| job.advance(turn));
        }
    }

    fn turn<T>(
        &mut self,
        now: Instant,
        id: JobId,
        deed: impl FnOnce(&mut Job, &mut Turn<'_>) -> T,
    ) -> Option<T> {
        let job = self.jobs.get_mut(&id)?;
        self.due.remove(&id);
        let mut turn = Turn {
            now,
            id,
            limits: &self.limits,
            hosts: &mut self.hosts,
            chance: &mut self.chance,
            next_lane: &mut self.next_lane,
            out: &mut self.out,
        };
        Some(deed(job, &mut turn))
    }
}
