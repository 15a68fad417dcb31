//! Bytes that another program left: claimed, compared, and then held like any others, or not at all.
//!
//! Invariant: while there is a claim, everything held is claimed, the journal tells of none of it, and nothing is stored.

use super::{Job, Phase, Turn};
use crate::event::Event;
use crate::identity::Identity;
use crate::machine::LaneId;
use crate::record::Record;

impl Job {
    /// What of the claim must be compared and can be.
    pub(super) fn claimed_stretches(&self) -> Option<Vec<(u64, u64)>> {
        let claimed = self.claimed.as_ref()?;
        let held = |&(start, end): &(u64, u64)| start < end && self.blocks.held_until(start) >= end;
        let stretches: Vec<(u64, u64)> = claimed.stretches.iter().copied().filter(held).collect();
        (!stretches.is_empty()).then_some(stretches)
    }

    /// Nothing of what was claimed is there to be compared.
    pub(super) fn has_no_claim_left(&self) -> bool {
        self.claimed.is_some() && self.blocks.held() == 0
    }

    /// Where one answer must bring the whole file, it is compared with what is claimed from byte 0 on; the rest comes again.
    /// True if nothing is left to be compared, and the download begins anew.
    pub(super) fn keep_first_claim(&mut self, turn: &mut Turn<'_>) -> bool {
        if self.claimed.is_none() {
            return false;
        }
        let from = self.blocks.held_until(0);
        let apart: Vec<u32> =
            self.blocks.held_blocks().map(|(i, _)| i).filter(|&i| self.blocks.start_of(i) >= from).collect();
        for block in apart {
            self.distrust(block, "one answer brings everything again", turn);
        }
        // Whoever brings nothing new is not asked.
        if self.free.is_empty()
            && let Some((last, _)) = self.blocks.held_blocks().last()
        {
            self.distrust(last, "one answer brings it again", turn);
        }
        let none = self.has_no_claim_left();
        if none {
            self.change(None, "the server gives no ranges, and its beginning is missing", turn);
        }
        none
    }

    /// All that had to be compared was equal: what is claimed is held, and recorded. It is told as an unproven join.
    pub(super) fn believe(&mut self, turn: &mut Turn<'_>) {
        let Some(claimed) = self.claimed.clone() else { return };
        let lens = claimed.stretches.iter().map(|(start, end)| end.saturating_sub(*start));
        let compared = lens.fold(0u64, u64::saturating_add);
        let lead = self.sources[usize::from(self.lead.0)].identity.clone().unwrap_or_default();
        let told = lead.total;
        self.identity = Some(Identity { total: self.total(), ..lead });
        match (self.total(), told) {
            (None, Some(total)) => self.learn_total(total, turn),
            _ => self.note(Record::Learnt(self.identity.clone().unwrap_or_default()), turn),
        }
        if self.claimed.take().is_none() {
            return; // It is longer than the file, and was rejected.
        }
        self.origin = self.lead;
        self.mark_unproven(compared, turn);
        if claimed.replaces.is_some() {
            self.note(Record::Replaces(claimed.replaces), turn);
        }
        let blocks: Vec<u32> = self.blocks.held_blocks().map(|(index, _)| index).collect();
        for &block in &blocks {
            self.note_block(block, turn);
        }
        turn.tell(Event::Adopted { file: claimed.file.clone(), bytes: self.blocks.held() });
        self.adopted = (claimed.file, blocks.into_iter().collect());
        self.start(turn);
    }

    /// It is not what the server has: the download begins at its first byte, under the name that it would have had.
    pub(super) fn reject(&mut self, heir: Option<LaneId>, what: &str, turn: &mut Turn<'_>) {
        let file = self.claimed.as_ref().map(|claimed| claimed.file.clone()).unwrap_or_default();
        turn.tell(Event::NotAdopted { file, what: what.to_owned() });
        self.name = self.spec.name.clone();
        self.begin_anew();
        self.close_all_but(heir, turn);
    }

    /// The digest of the whole is wrong, and some of it was adopted after comparing little: that comes again. False if
    /// none was.
    pub(super) fn adopted_again(&mut self, turn: &mut Turn<'_>) -> bool {
        let (file, blocks) = std::mem::take(&mut self.adopted);
        if blocks.is_empty() {
            return false;
        }
        let what = "the digest of the whole is wrong with it".to_owned();
        turn.tell(Event::NotAdopted { file, what });
        self.note(Record::Replaces(None), turn);
        for block in blocks {
            self.distrust(block, "it was another program's, and the digest of the whole is wrong", turn);
        }
        self.phase = Phase::Running;
        true
    }
}
