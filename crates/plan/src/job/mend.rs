//! Bytes that are all there and are not the right ones: fetched again from whoever may have the right ones.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::{Job, Phase, Turn};
use crate::event::Event;
use crate::failure::Failure;
use crate::machine::SourceId;

impl Job {
    /// Digests of pieces tell which bytes are wrong: their blocks are fetched again, and from others, if there are any, than
    /// those who gave a whole piece (R54). Which of several that gave one is to blame nobody knows: if that is so of all, the
    /// lead gives them all, so that it is known if they are wrong again.
    pub(super) fn on_wrong(&mut self, ranges: &[(u64, u64)], failure: Failure, turn: &mut Turn<'_>) {
        if self.phase != Phase::Finishing {
            return;
        }
        self.mended += 1;
        let total = self.total().unwrap_or(0);
        let blocks = |&(first, end): &(u64, u64)| self.blocks.index_of(first)..=self.blocks.index_of(end - 1);
        let ranges = ranges.iter().filter(|&&(first, end)| first < end && end <= total);
        let pieces: Vec<RangeInclusive<u32>> = ranges.map(blocks).collect();
        let wrong: BTreeSet<u32> = pieces.iter().cloned().flatten().collect();
        if wrong.is_empty() || self.mended > turn.limits.generations {
            return self.on_finished(Err(failure), turn);
        }
        self.phase = Phase::Running;
        let guilty: BTreeSet<SourceId> =
            pieces.iter().filter_map(|piece| self.writer_of(piece.clone())).collect();
        self.only = guilty.is_empty().then_some(self.lead);
        let bytes = wrong.iter().map(|&block| u64::from(self.blocks.block(block).upto)).sum();
        turn.tell(Event::Damaged { bytes });
        for block in wrong {
            self.distrust(block, "a piece of it has another digest than the right one", turn);
        }
        self.revive();
        for id in guilty {
            if self.others(id).next().is_some() {
                let failure = Failure::breach("R54", "pieces of it have other digests than the right ones");
                self.drop_source(id, failure, turn);
            }
        }
    }

    /// The source that all of these blocks came from.
    fn writer_of(&self, blocks: RangeInclusive<u32>) -> Option<SourceId> {
        let mut writers = blocks.map(|block| self.blocks.block(block).writer());
        let first = writers.next()??;
        writers.all(|writer| writer == Some(first)).then_some(first)
    }

    /// The whole is not what it should be, and nothing tells which bytes are wrong. If more than one source gave some, the
    /// lead gives all of it alone; if it did, another source does. False if nobody is left to ask.
    pub(super) fn try_another(&mut self, failure: &Failure, turn: &mut Turn<'_>) -> bool {
        if !matches!(failure, Failure::Digest { .. }) || self.spec.stream || self.sources.len() < 2 {
            return false;
        }
        let lead = self.lead;
        let mixed = self.blocks.held_blocks().any(|(_, block)| block.writer() != Some(lead));
        self.revive();
        if self.solo || !mixed {
            if self.others(lead).next().is_none() {
                return false;
            }
            let source = self.source(lead);
            source.dead = Some(failure.clone());
            let url = source.url.clone();
            turn.tell(Event::SourceDropped { url, failure: failure.clone() });
        }
        self.solo = true;
        self.begin_anew();
        true
    }

    /// Whoever was given up for disagreeing with what is now known to be wrong was perhaps right.
    fn revive(&mut self) {
        for source in self.sources.iter_mut().filter(|source| source.disagreed()) {
            source.dead = None;
            source.failures = 0;
            source.forget_version();
        }
    }

    /// The sources that are left besides this one.
    fn others(&self, id: SourceId) -> impl Iterator<Item = SourceId> + '_ {
        let living = self.sources.iter().enumerate().filter(|(_, source)| source.dead.is_none());
        living.map(|(index, _)| SourceId(index as u16)).filter(move |&other| other != id)
    }
}
