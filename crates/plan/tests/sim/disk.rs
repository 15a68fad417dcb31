//! The files of one job: part and journal, what of them is synced, and what a kill or a power cut leaves.

use thence_plan::{Hash, Held, HeldBlock, Identity, Placement, Record};

use super::dice::Dice;
use super::faults::{Counts, Fault};
use super::tags::{Span, Tags};

/// One pair of files.
#[derive(Clone, Debug)]
pub struct Pair {
    pub placement: Placement,
    /// The part as any reader sees it now.
    pub part: Tags,
    /// The part as the last sync left it.
    durable: Tags,
    /// Writes since then, in order.
    unsynced: Vec<Vec<Span>>,
    /// How many of them are of earlier processes.
    old: usize,
    /// Records in the journal's file, those below `kept` synced, and those not appended yet.
    records: Vec<Record>,
    kept: usize,
    batch: Vec<Record>,
}

/// How much a sync under way covers: writes, records.
pub type Mark = (usize, usize);

impl Pair {
    pub fn new(placement: Placement) -> Pair {
        Pair {
            placement,
            part: Tags::default(),
            durable: Tags::default(),
            unsynced: Vec::new(),
            old: 0,
            records: Vec::new(),
            kept: 0,
            batch: Vec::new(),
        }
    }

    pub fn write(&mut self, spans: Vec<Span>) {
        self.part.write(&spans);
        self.unsynced.push(spans);
    }

    pub fn note(&mut self, record: Record) {
        self.batch.push(record);
    }

    /// Appends the batch.
    pub fn flush(&mut self) {
        self.records.append(&mut self.batch);
    }

    /// A sync begins.
    pub fn mark(&mut self) -> Mark {
        self.flush();
        (self.unsynced.len(), self.records.len())
    }

    /// Nothing that this process wrote could be lost.
    pub fn is_synced(&self) -> bool {
        self.unsynced.len() <= self.old
    }

    /// A process takes the pair up: what earlier ones wrote is not its doing.
    pub fn take_up(&mut self) {
        self.old = self.unsynced.len();
    }

    /// A sync ended well: what it covered is durable, and the journal says so.
    pub fn synced(&mut self, (writes, records): Mark) {
        for spans in self.unsynced.drain(..writes.min(self.unsynced.len())) {
            self.durable.write(&spans);
        }
        self.old = self.old.saturating_sub(writes);
        self.flush();
        self.records.insert(records.min(self.records.len()), Record::Synced);
        self.kept = self.records.len();
    }

    /// A sync was said to have ended well, and the disk did nothing: neither the part nor the journal is safe.
    pub fn pretended(&mut self, (writes, records): Mark) {
        self.old = self.old.max(writes.min(self.unsynced.len()));
        self.flush();
        self.records.insert(records.min(self.records.len()), Record::Synced);
    }

    /// A sync failed: the kernel may have dropped any of the pages, now or when memory runs short.
    pub fn lost(&mut self, (writes, _): Mark, dice: &mut Dice) {
        let all: Vec<Vec<Span>> = self.unsynced.drain(..).collect();
        for (i, spans) in all.into_iter().enumerate() {
            if i >= writes || dice.percent(50) {
                self.unsynced.push(spans);
            }
        }
        self.part = self.durable.clone();
        for spans in &self.unsynced {
            self.part.write(spans);
        }
    }

    /// kill -9: what was written stays, records not appended are gone.
    pub fn killed(&mut self, dice: &mut Dice) {
        let some = dice.below(self.batch.len() as u64 + 1) as usize;
        self.batch.truncate(some);
        self.flush();
    }

    /// The power went: of what was not synced anything may be there, in part, and in any order, as far as this
    /// world's disk does such things.
    pub fn cut(&mut self, ways: &[Fault], dice: &mut Dice, counts: &mut Counts) {
        self.killed(dice);
        let kept = self.kept + dice.below((self.records.len() - self.kept) as u64 + 1) as usize;
        self.records.truncate(kept);
        let mut writes = std::mem::take(&mut self.unsynced);
        if ways.contains(&Fault::Reordered) && writes.len() > 1 {
            counts.hit(Fault::Reordered);
            (1..writes.len()).rev().for_each(|i| writes.swap(i, dice.below(i as u64 + 1) as usize));
        }
        let fates: Vec<Fault> = ways.iter().copied().filter(|way| FATES.contains(way)).collect();
        for spans in writes {
            let fate = if fates.is_empty() || dice.percent(40) { Fault::PowerCut } else { dice.pick(&fates) };
            if fate != Fault::PowerCut {
                counts.hit(fate);
            }
            match fate {
                Fault::WriteLost => {}
                Fault::Torn512 => self.durable.write(&torn(&spans, 512, dice)),
                Fault::Torn4096 => self.durable.write(&torn(&spans, 4096, dice)),
                _ => self.durable.write(&spans),
            }
        }
        self.old = 0;
        self.part = self.durable.clone();
    }

    /// Bits rot, in a stretch that holds something.
    pub fn rot(&mut self, dice: &mut Dice) -> bool {
        let all = self.part.read(0, 1 << 40);
        let (start, end, _) = dice.pick(&all);
        let holds = start < end && end < 1 << 40;
        if holds {
            let at = start + dice.below(end - start);
            let rotten = [(at, at + 1, 1_000_000 + dice.below(1000) as u32)];
            self.part.write(&rotten);
            self.durable.write(&rotten);
        }
        holds
    }

    /// A write of this process went elsewhere: what stood there is gone, and where it belongs is a hole. False if
    /// every write is safe.
    pub fn misdirect(&mut self, dice: &mut Dice) -> bool {
        let at = dice.below(self.unsynced.len() as u64) as usize;
        let Some(write) = self.unsynced.get_mut(at) else { return false };
        let Some((start, end)) = extent(write) else { return false };
        let to = dice.below(end);
        let strange = vec![(start, end, 0), (to, to + (end - start), 2_000_000 + dice.below(1000) as u32)];
        self.part.write(&strange);
        *write = strange;
        true
    }

    /// Its journal was lost, and a new one tells of the length alone.
    pub fn is_claimed(&mut self, identity: &Identity) {
        self.placement.identity = identity.clone();
        self.records.clear();
        self.batch.clear();
        self.kept = 0;
    }

    /// What the next run finds; `None` where there is no journal.
    pub fn held(&self, whole: bool) -> Option<Held> {
        if !self.placement.journal {
            return None;
        }
        let mut identity: Identity = self.placement.identity.clone();
        let mut blocks: Vec<Option<(HeldBlock, usize)>> = Vec::new();
        let (mut synced, mut unproven) = (0, false);
        for (at, record) in self.records.iter().chain(&self.batch).enumerate() {
            match record {
                Record::Block { index, len, hash } | Record::Prefix { index, len, hash } => {
                    put(&mut blocks, *index, *len, *hash, at);
                }
                Record::Invalid { first, count, .. } => {
                    for index in *first..*first + *count {
                        if let Some(block) = blocks.get_mut(index as usize) {
                            *block = None;
                        }
                    }
                }
                Record::Learnt(learnt) => identity = learnt.clone(),
                Record::Unproven => unproven = true,
                Record::Synced => synced = at,
                _ => {}
            }
        }
        let blocks =
            blocks.into_iter().flatten().map(|(b, at)| HeldBlock { synced: at < synced, ..b }).collect();
        Some(Held {
            name: self.placement.name.as_str().to_owned(),
            url: self.placement.url.clone(),
            identity,
            block_size: self.placement.block_size,
            blocks,
            whole,
            unproven,
            renewed: None,
            claimed: None,
        })
    }
}

fn put(blocks: &mut Vec<Option<(HeldBlock, usize)>>, index: u32, len: u32, hash: Hash, at: usize) {
    let slot = index as usize;
    if blocks.len() <= slot {
        blocks.resize(slot + 1, None);
    }
    blocks[slot] = Some((HeldBlock { index, len, hash, synced: false }, at));
}

/// What becomes of a write that the power cut off.
const FATES: &[Fault] = &[Fault::WriteLost, Fault::Torn512, Fault::Torn4096];

/// From where to where a write reaches; one that went elsewhere is not in order.
fn extent(spans: &[Span]) -> Option<(u64, u64)> {
    Some((spans.iter().map(|span| span.0).min()?, spans.iter().map(|span| span.1).max()?))
}

/// A write of which only a piece, in sectors or pages, reached the disk.
fn torn(spans: &[Span], unit: u64, dice: &mut Dice) -> Vec<Span> {
    let Some((start, end)) = extent(spans) else { return Vec::new() };
    let units = (end - start).div_ceil(unit);
    let from = start + dice.below(units) * unit;
    let upto = from + dice.below(units + 1) * unit;
    super::tags::clip(spans, from, upto.min(end))
}
