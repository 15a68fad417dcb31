//! A job as the engine and the user see it: its files, what it was told, and whether that was right.

use std::collections::{BTreeMap, BTreeSet};

use thence_plan::{
    Claimed, DiskFault, Error, Event as Told, Failure, Hash, Held, Identity, Input, JobId, JobSpec, LaneId,
    Placement, Record,
};

use super::dice::Dice;
use super::disk::{Mark, Pair};
use super::faults::{Counts, Fault};
use super::lies::Lie;
use super::scenario::S;
use super::server::{Ranges, Site, Validators};
use super::stream::Consumer;
use super::tags::{Span, Tags, joined};
use super::world::{Event, World};

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The file is there.
    Done,
    /// A documented error that asking again does not mend.
    Refused,
}

/// One job, over all its runs.
#[derive(Debug)]
pub struct Job {
    pub id: Option<JobId>,
    pub spec: JobSpec,
    pub sites: Vec<usize>,
    pair: Option<Pair>,
    /// The pair that was moved aside last, with what is known of its bytes.
    aside: Option<(Pair, Tags, Tags)>,
    placing: Option<Placement>,
    /// Bytes as they were hashed on arrival, and how far each open block is, and by whom.
    arrival: Tags,
    open: BTreeMap<u32, (u32, Option<LaneId>)>,
    /// Blocks stored or read back by this process.
    known: BTreeSet<u32>,
    /// Which answer each byte in the part came with.
    answers: Tags,
    /// Bytes written in this generation.
    pub written: u64,
    /// Of a stream.
    pub consumer: Consumer,
    /// Something happened after which bytes may be fetched twice.
    pub wasteful: bool,
    whole: bool,
    unproven: bool,
    length_unknown: bool,
    /// One answer brings all anew, or new files could not be made: less is held than is recorded, and rightly so.
    apart: bool,
    pub lanes: u32,
    pub paused: bool,
    pub paused_at: u64,
    pub rested: bool,
    pub finishing: bool,
    began_quiet: bool,
    quiet_failures: u32,
    runs: u32,
    pub outcome: Option<Outcome>,
}

impl Job {
    pub fn new(spec: JobSpec, sites: Vec<usize>) -> Job {
        Job {
            id: None,
            lanes: spec.lanes.unwrap_or(64),
            spec,
            sites,
            pair: None,
            aside: None,
            placing: None,
            arrival: Tags::default(),
            open: BTreeMap::new(),
            known: BTreeSet::new(),
            answers: Tags::default(),
            written: 0,
            consumer: Consumer::default(),
            wasteful: false,
            whole: false,
            unproven: false,
            length_unknown: false,
            apart: false,
            paused: false,
            paused_at: 0,
            rested: false,
            finishing: false,
            began_quiet: false,
            quiet_failures: 0,
            runs: 0,
            outcome: None,
        }
    }

    /// The site that the user named first.
    pub fn lead(&self) -> usize {
        self.sites[0]
    }

    /// A process takes the job up; what it finds goes into the spec.
    pub fn begin(&mut self, quiet: bool) -> JobSpec {
        (self.paused, self.rested, self.finishing) = (false, false, false);
        self.began_quiet = quiet;
        self.length_unknown &= self.whole;
        self.runs += 1;
        self.consumer = Consumer::default();
        self.open.clear();
        self.known.clear();
        if let Some(pair) = &mut self.pair {
            pair.take_up();
        }
        let held = self.pair.as_ref().filter(|_| !self.spec.stream).and_then(|p| p.held(self.whole));
        // While the length is unknown, what stands beyond a hole is left out (P6), and stays so if it is learnt.
        self.apart = held.as_ref().is_some_and(|held| held.identity.total.is_none());
        if held.is_none() {
            self.forget();
        }
        JobSpec { held, ..self.spec.clone() }
    }

    /// What is held is another program's, of which no journal tells anything: the ends of each block are compared. A digest
    /// would tell what they miss, and these worlds compute none.
    pub fn claims(&mut self, spec: &mut JobSpec) {
        spec.digest = false;
        self.spec.digest = false;
        let (Some(held), Some(pair)) = (&mut spec.held, &mut self.pair) else { return };
        if held.whole || held.blocks.is_empty() || spec.strict {
            return;
        }
        let size = u64::from(held.block_size);
        let ends = held.blocks.iter().flat_map(|block| {
            let (start, len) = (u64::from(block.index) * size, u64::from(block.len));
            let some = len.min(4096);
            [(start, start + some), (start + len - some, start + len)]
        });
        let mut stretches: Vec<(u64, u64)> = ends.collect();
        stretches.dedup();
        held.claimed = Some(Claimed { file: String::new(), stretches, replaces: None });
        held.identity = Identity { total: held.identity.total, ..Identity::default() };
        held.unproven = false;
        pair.is_claimed(&held.identity);
        (self.wasteful, self.unproven) = (true, false);
    }

    fn forget(&mut self) {
        self.arrival = Tags::default();
        self.open.clear();
        self.known.clear();
        self.answers = Tags::default();
        (self.written, self.whole, self.unproven) = (0, false, false);
    }

    fn put_aside(&mut self) {
        let (arrival, answers) = (std::mem::take(&mut self.arrival), std::mem::take(&mut self.answers));
        self.aside = self.pair.take().map(|pair| (pair, arrival, answers));
    }

    /// The version to be placed is the one that was put aside: the pairs change places.
    fn comes_back(&mut self, placement: &Placement) -> Option<Held> {
        let (pair, ..) = self.aside.as_ref().filter(|_| placement.retire)?;
        let held = pair.held(false).filter(|held| held.url == placement.url)?;
        let now = self.pair.as_ref()?.held(false)?.identity;
        if !held.identity.comes_back_with(&placement.identity, &now) {
            return None;
        }
        let (mut pair, arrival, answers) = self.aside.take()?;
        // What was written before it was put aside is recorded, not claimed to be synced: as after a new start.
        pair.take_up();
        self.put_aside();
        self.forget();
        (self.pair, self.arrival, self.answers) = (Some(pair), arrival, answers);
        self.unproven = held.unproven;
        Some(held)
    }

    /// The process dies; `power` tells what the disk does if the whole machine did.
    pub fn killed(&mut self, power: Option<&[Fault]>, dice: &mut Dice, counts: &mut Counts) {
        self.id = None;
        self.wasteful = true;
        if let Some(placement) = self.placing.take()
            && dice.percent(50)
        {
            self.pair = Some(Pair::new(placement));
            self.forget();
        }
        let aside = self.aside.as_mut().map(|(pair, ..)| pair);
        for pair in self.pair.iter_mut().chain(aside) {
            match power {
                Some(ways) => pair.cut(ways, dice, counts),
                None => pair.killed(dice),
            }
        }
    }

    /// Bits of the part rot. False if there is none, or it was read back whole: that is published as it is.
    pub fn rot(&mut self, dice: &mut Dice) -> bool {
        self.pair.as_mut().filter(|_| !self.whole).is_some_and(|pair| pair.rot(dice))
    }

    /// As [`rot`](Job::rot), by a write that went elsewhere.
    pub fn misdirect(&mut self, dice: &mut Dice) -> bool {
        self.pair.as_mut().filter(|_| !self.whole).is_some_and(|pair| pair.misdirect(dice))
    }

    pub fn placing(&mut self, placement: Placement) -> Result<(), String> {
        let replaces = placement.retire || placement.discard;
        if self.pair.is_some() && !replaces && self.pair.as_ref().is_some_and(|p| p.placement.journal) {
            return Err("Place over a pair that was not retired".into());
        }
        self.placing = Some(placement);
        Ok(())
    }

    /// True when a batch begins.
    pub fn note(&mut self, record: Record) -> bool {
        match &mut self.pair {
            Some(pair) => {
                pair.note(record);
                true
            }
            None => false,
        }
    }

    pub fn flush(&mut self) {
        if let Some(pair) = &mut self.pair {
            pair.flush();
        }
    }

    pub fn mark(&mut self) -> Mark {
        self.pair.as_mut().map_or((0, 0), Pair::mark)
    }

    pub fn block_size(&self) -> u64 {
        self.pair.as_ref().map_or(1, |p| u64::from(p.placement.block_size))
    }

    pub fn read(&self, start: u64, end: u64) -> Vec<Span> {
        self.pair.as_ref().map_or(Vec::new(), |p| p.part.read(start, end))
    }

    /// These bytes came with a lane's answer, or were compared with it from byte 0 on.
    pub fn answered(&mut self, lane: LaneId, from: u64, upto: u64) {
        self.answers.write(&[(from, upto, self.runs * 100_000 + lane.0 + 1)]);
    }

    /// A lane is gone; the blocks it began are anyone's.
    pub fn let_go(&mut self, lane: LaneId) {
        for (_, owner) in self.open.values_mut() {
            if *owner == Some(lane) {
                *owner = None;
            }
        }
    }

    /// One writer a block: from its start, or from exactly where the last writer stopped.
    fn may_write(&mut self, block: u32, lane: LaneId, from: u32, upto: u32) -> Result<(), String> {
        let (at, owner) = self.open.get(&block).copied().unwrap_or((0, None));
        if owner.is_some_and(|owner| owner != lane) {
            return Err(format!("{lane:?} writes block {block}, which {owner:?} writes"));
        }
        if from != 0 && from != at {
            return Err(format!("{lane:?} writes block {block} from {from}; its writer stopped at {at}"));
        }
        self.open.insert(block, (upto, Some(lane)));
        Ok(())
    }
}

impl World {
    /// A lane's bytes are written, block by block.
    pub fn store(&mut self, job: usize, lane: LaneId, spans: &[Span]) -> Result<(), String> {
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return Ok(()) };
        let (from, upto) = (first.0, last.1);
        let state = &mut self.jobs[job];
        state.answered(lane, from, upto);
        if state.spec.stream {
            state.arrival.write(spans);
            state.written += upto - from;
            return self.land(job, lane, from, upto);
        }
        let Some(pair) = &mut state.pair else { return Err("bytes without a file".into()) };
        pair.write(spans.to_vec());
        state.arrival.write(spans);
        state.written += upto - from;
        let size = state.block_size();
        let mut at = from;
        while at < upto {
            let block = (at / size) as u32;
            let start = u64::from(block) * size;
            let end = upto.min(start + size);
            let state = &mut self.jobs[job];
            state.may_write(block, lane, (at - start) as u32, (end - start) as u32)?;
            state.known.insert(block);
            let hash = state.arrival.hash(start, end);
            self.input(job, Input::Stored { block, upto: (end - start) as u32, hash })?;
            at = end;
        }
        Ok(())
    }

    pub fn on_placed(&mut self, job: usize) -> Result<(), String> {
        let Some(placement) = self.jobs[job].placing.take() else { return Ok(()) };
        if self.walk_fails() {
            self.jobs[job].apart = true;
            return self.input(job, Input::Placed(Err(Failure::Disk(DiskFault::Full, "place".into()))));
        }
        let state = &mut self.jobs[job];
        if state.pair.is_some() {
            state.wasteful = true;
        }
        if let Some(held) = state.comes_back(&placement) {
            return self.input(job, Input::Returned(Box::new(held)));
        }
        if placement.discard {
            state.pair = None;
        } else {
            state.put_aside();
        }
        state.forget();
        state.pair = Some(Pair::new(placement));
        self.input(job, Input::Placed(Ok(())))
    }

    pub fn on_checked(&mut self, job: usize, block: u32, len: u32, hash: Hash) -> Result<(), String> {
        let state = &mut self.jobs[job];
        let Some(pair) = &state.pair else { return Ok(()) };
        let start = u64::from(block) * u64::from(pair.placement.block_size);
        let end = start + u64::from(len);
        let spans = pair.part.read(start, end);
        let same = super::tags::hash(&spans) == hash;
        if same {
            state.arrival.write(&spans);
            state.known.insert(block);
            // Where somebody writes it meanwhile, the answer comes too late to matter.
            let (upto, writer) = state.open.get(&block).copied().unwrap_or((len, None));
            state.open.insert(block, (if writer.is_some() { upto } else { len }, writer));
        }
        self.input(job, Input::Checked { block, same })
    }

    pub fn on_synced(&mut self, job: usize, mark: Mark) -> Result<(), String> {
        let fails = self.dice.below(1000) < self.disk.syncs;
        let Some(pair) = &mut self.jobs[job].pair else { return Ok(()) };
        if fails {
            self.counts.hit(Fault::SyncError);
            pair.lost(mark, &mut self.dice);
            self.jobs[job].wasteful = true;
            return self.input(job, Input::Synced(Err(Failure::Disk(DiskFault::Io, "sync".into()))));
        }
        if self.dice.below(1000) < self.disk.lies {
            self.counts.hit(Fault::SyncLie);
            pair.pretended(mark);
        } else {
            pair.synced(mark);
        }
        self.input(job, Input::Synced(Ok(())))
    }

    /// The finish sequence begins.
    pub fn finish(&mut self, job: usize, total: u64) -> Result<(), String> {
        self.jobs[job].finishing = true;
        self.no_lanes(job)?;
        let state = &self.jobs[job];
        if state.spec.stream && state.consumer.taken != total {
            return Err(format!("finished, and the consumer has {} of {total}", state.consumer.taken));
        }
        let wait = self.disk_wait();
        if self.walk_fails() {
            self.after(wait, Event::Whole(job, u64::MAX));
        } else {
            self.after(wait, Event::Whole(job, total));
        }
        Ok(())
    }

    pub fn on_whole(&mut self, job: usize, total: u64) -> Result<(), String> {
        if total == u64::MAX {
            let failure = Failure::Disk(DiskFault::Exists, "finish".into());
            return self.input(job, Input::Finished(Err(failure)));
        }
        self.judge_file(job, total)?;
        if let Some(pair) = &mut self.jobs[job].pair {
            let mark = pair.mark();
            pair.synced(mark);
        }
        self.jobs[job].whole = true;
        let wait = self.disk_wait();
        self.after(wait, Event::Finished(job));
        Ok(())
    }

    pub fn on_finished(&mut self, job: usize) -> Result<(), String> {
        self.input(job, Input::Finished(Ok(())))?;
        self.end(job, Outcome::Done)
    }

    fn end(&mut self, job: usize, outcome: Outcome) -> Result<(), String> {
        self.no_lanes(job)?;
        let state = &mut self.jobs[job];
        state.outcome = Some(outcome);
        if let Some(id) = state.id.take() {
            self.run.remove(id);
        }
        self.run.audit()
    }

    pub fn told(&mut self, job: usize, event: Told) -> Result<(), String> {
        let state = &mut self.jobs[job];
        match event {
            Told::Unproven { .. } => state.unproven = true,
            Told::LengthUnknown => state.length_unknown = true,
            Told::Damaged { .. } => state.wasteful = true,
            Told::NoRanges => (state.wasteful, state.apart) = (true, true),
            Told::Paused => {
                state.rested = true;
                if state.pair.as_ref().is_some_and(|p| !p.is_synced()) {
                    return Err("at rest, and not synced".into());
                }
                self.journal_agrees(job)?;
                return self.no_lanes(job);
            }
            _ => {}
        }
        Ok(())
    }

    /// The job failed: the user asks again, unless the answer is final.
    pub fn failed(&mut self, job: usize, error: Error) -> Result<(), String> {
        self.no_lanes(job)?;
        self.journal_agrees(job)?;
        if matches!(error, Error::Unproven | Error::LengthUnknown) {
            self.judge_refusal(job, &error)?;
            return self.end(job, Outcome::Refused);
        }
        if self.is_hopeless(job) {
            return self.end(job, Outcome::Refused);
        }
        if self.left_alone(job) {
            // Only another process forgets that the host wants to be left alone for so long.
            self.after(S, Event::NewProcess);
            return Ok(());
        }
        // A link that works once may be used up by lanes that the server gives the whole to (docs/gaps.md).
        let manners = || self.jobs[job].sites.iter().map(|&site| &self.sites[site].manner);
        let flaky = manners().any(|manner| manner.nodes > 1 || manner.once);
        let state = &mut self.jobs[job];
        if state.began_quiet {
            state.quiet_failures += 1;
            let tolerated = if flaky { 20 } else { 0 };
            if state.quiet_failures > tolerated {
                return Err(format!("failed though all was quiet: {error:?}"));
            }
        }
        state.flush();
        if let Some(id) = state.id.take() {
            self.run.remove(id);
        }
        if state.runs > 500 {
            return Err(format!("the 500th run failed: {error:?}"));
        }
        self.after(S, Event::Again(job));
        Ok(())
    }

    /// No file may be to be had, rightly: every server died; or, once all is quiet, one has what looks like a page in a
    /// larger file's place (R28), or bodies that end with their connection cannot tell a cut from a shorter file, nor
    /// correct a wrong length that was told once.
    fn is_hopeless(&self, job: usize) -> bool {
        let sites = || self.jobs[job].sites.iter().map(|&at| &self.sites[at]);
        let lied = self.lies.iter().any(|lie| lie.0 == Lie::OtherTotal);
        let silent = sites().any(|site| site.manner.close && (lied || site.versions.len() > 1));
        let quiet = silent || sites().any(Site::seems_a_page);
        sites().all(|site| site.manner.dead.is_some()) || (!self.noisy && quiet)
    }

    /// At rest the journal tells of exactly what the planner holds: more would cost a later run checks that fail,
    /// less would cost it the bytes.
    fn journal_agrees(&self, job: usize) -> Result<(), String> {
        let state = &self.jobs[job];
        let (Some(pair), Some(id)) = (&state.pair, state.id) else { return Ok(()) };
        if state.spec.stream || state.apart || state.placing.is_some() {
            return Ok(());
        }
        let held = self.run.progress(id).map_or(0, |progress| progress.held);
        // While the length is unknown, what stands beyond a hole is left out (P6).
        let blocks = pair.held(false).filter(|held| held.identity.total.is_some()).map(|held| held.blocks);
        let recorded = blocks.map(|blocks| blocks.iter().map(|block| u64::from(block.len)).sum());
        match recorded.filter(|&recorded: &u64| recorded != held) {
            Some(recorded) => Err(format!("{held} bytes are held, and {recorded} recorded")),
            None => Ok(()),
        }
    }

    /// Only a strict job may end unproven or without a length, and only where the servers gave cause.
    fn judge_refusal(&self, job: usize, error: &Error) -> Result<(), String> {
        let state = &self.jobs[job];
        let honest = |&at: &usize| {
            let site = &self.sites[at].manner;
            site.validators == Validators::Strong && site.nodes == 1 && !site.coded && !site.close
        };
        let calm = self.lies.is_empty() && state.sites.len() == 1 && state.sites.iter().all(honest);
        let flips = state.sites.iter().any(|&at| self.sites[at].versions.len() > 1);
        match error {
            _ if !state.spec.strict => Err(format!("not strict, and refused: {error:?}")),
            _ if calm && !flips => Err(format!("refused though everything is proven: {error:?}")),
            _ => Ok(()),
        }
    }

    /// Is the file at its end one version, every block known, and nothing claimed that is not so?
    fn judge_file(&mut self, job: usize, total: u64) -> Result<(), String> {
        let state = &self.jobs[job];
        let file = match &state.pair {
            Some(pair) if !state.spec.stream => joined(&pair.part.read(0, total)),
            _ => joined(&state.arrival.read(0, total)),
        };
        let liar = self.lies.iter().any(|l| l.0 == Lie::OtherTag)
            || state.sites.iter().any(|&s| self.sites[s].manner.validators == Validators::Liar);
        let versions = || state.sites.iter().flat_map(|&s| &self.sites[s].versions);
        let is = |v: &super::server::Version| v.len == total && joined(&v.spans(0, total)) == file;
        let starts = |v: &super::server::Version| total <= v.len && joined(&v.spans(0, total)) == file;
        let right = versions().any(|v| is(v) || is(&v.coded()));
        let cut = state.length_unknown && versions().any(|v| starts(v) || starts(&v.coded()));
        // The first answer can be a portal's page: nothing contradicts it.
        let page = file == [(0, 300, 999_999)];
        let alike = versions().any(|v| v.shared > 0);
        let unseen = liar || (state.unproven && alike);
        if !(right || cut || unseen || page) {
            return Err(format!("a mixed file of {total} bytes: {file:?}"));
        }
        if state.spec.strict && (state.unproven || state.length_unknown) {
            return Err("strict, and unproven all the same".into());
        }
        let size = state.block_size();
        let missing = (0..total.div_ceil(size) as u32).find(|b| !state.known.contains(b));
        if let Some(block) = missing.filter(|_| !state.spec.stream && !state.whole) {
            return Err(format!("block {block} was neither stored nor checked in this run"));
        }
        self.judge_claims(job, total)
    }

    fn judge_claims(&self, job: usize, total: u64) -> Result<(), String> {
        let state = &self.jobs[job];
        let lead = &self.sites[state.sites[0]];
        let weak = matches!(lead.manner.validators, Validators::Weak | Validators::Now | Validators::None);
        let digest = state.spec.digest;
        let answers: BTreeSet<u32> = state.answers.read(0, total).iter().map(|s| s.2).collect();
        let tagged = self.lies.iter().any(|l| l.0 == Lie::OtherTag);
        if weak
            && !tagged
            && state.sites.len() == 1
            && answers.len() > 1
            && !state.unproven
            && !digest
            && !state.spec.stream
        {
            return Err(format!("joined {} answers in silence", answers.len()));
        }
        let plain = matches!(lead.manner.ranges, Ranges::Honours | Ranges::Deaf) && !lead.manner.coded;
        let strong = lead.manner.validators == Validators::Strong && lead.manner.nodes == 1;
        if strong && plain && state.sites.len() == 1 && !state.wasteful && state.written > total {
            return Err(format!("{} bytes written for {total}", state.written));
        }
        Ok(())
    }
}
