//! What is held, block by block, and what nobody has yet.
//!
//! Invariant (asserted by the simulator): every byte of the file is exactly one of *held* (counted in a
//! block's `upto`), *owned* by a lane, *withheld* until a check of an open block answers, or *free*.

use std::collections::BTreeMap;

use crate::machine::{HeldBlock, SourceId};
use crate::record::Hash;

/// Offsets nobody holds or fetches: disjoint, never touching, keyed by start.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Free(BTreeMap<u64, u64>);

impl Free {
    /// Adds `start..end`, which must not overlap what is there; touching intervals become one.
    pub(crate) fn give(&mut self, mut start: u64, mut end: u64) {
        if start >= end {
            return;
        }
        if let Some((&s, &e)) = self.0.range(..=start).next_back()
            && e >= start
        {
            self.0.remove(&s);
            start = s;
            end = end.max(e);
        }
        while let Some((&s, &e)) = self.0.range(start..=end).next() {
            self.0.remove(&s);
            end = end.max(e);
        }
        self.0.insert(start, end);
    }

    /// Takes `start..end`, which must lie inside one interval.
    pub(crate) fn take(&mut self, start: u64, end: u64) {
        let Some((&s, &e)) = self.0.range(..=start).next_back() else { return };
        self.0.remove(&s);
        if s < start {
            self.0.insert(s, start);
        }
        if end < e {
            self.0.insert(end, e);
        }
    }

    /// Nothing is free from `total` on: the file ends there.
    pub(crate) fn cut(&mut self, total: u64) {
        let beyond: Vec<u64> = self.0.range(total..).map(|(&s, _)| s).collect();
        for start in beyond {
            self.0.remove(&start);
        }
        if let Some(mut last) = self.0.last_entry() {
            let end = (*last.get()).min(total);
            last.insert(end);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first interval that begins at `start` or later.
    pub(crate) fn next_from(&self, start: u64) -> Option<(u64, u64)> {
        self.0.range(start..).next().map(|(&s, &e)| (s, e))
    }

    pub(crate) fn lowest(&self) -> Option<(u64, u64)> {
        self.0.first_key_value().map(|(&s, &e)| (s, e))
    }

    /// Where the last interval ends.
    pub(crate) fn last(&self) -> Option<u64> {
        self.0.last_key_value().map(|(_, &end)| end)
    }

    pub(crate) fn largest(&self) -> Option<(u64, u64)> {
        self.0.iter().map(|(&s, &e)| (s, e)).max_by_key(|&(s, e)| (e - s, std::cmp::Reverse(s)))
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.0.iter().map(|(&s, &e)| e - s).sum()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().map(|(&s, &e)| (s, e))
    }
}

/// Why a block is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Hashed on arrival in this run; not yet synced.
    Arrived,
    /// Arrived, and a sync of this run covered it: verified.
    Synced,
    /// Recorded by an earlier run; to be read back.
    Recorded,
    /// Read back and found equal: verified.
    Checked,
}

/// One block: 24 bytes of state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Block {
    hash: [u64; 2],
    /// Bytes held from the block's start.
    pub(crate) upto: u32,
    pub(crate) trust: Trust,
    writer: u16,
}

/// An earlier run wrote a block, or nobody did; several sources did.
const NOBODY: u16 = u16::MAX;
const SEVERAL: u16 = u16::MAX - 1;

const EMPTY: Block = Block { hash: [0; 2], upto: 0, trust: Trust::Arrived, writer: NOBODY };

impl Block {
    /// The source that all of it came from in this run.
    pub(crate) fn writer(&self) -> Option<SourceId> {
        (self.writer < SEVERAL).then_some(SourceId(self.writer))
    }

    pub(crate) fn hash(&self) -> Hash {
        (u128::from(self.hash[0]) << 64) | u128::from(self.hash[1])
    }
}

/// The size in bytes of the blocks that a file of `total` bytes is cut into: a power of two. 256 KiB under 256 MiB, 1 MiB to
/// 64 GiB and for unknown lengths, then doubled to at most 65,536 blocks or 16 MiB.
pub fn block_size(total: Option<u64>) -> u32 {
    Blocks::size_for(total)
}

/// Most blocks of a file: 64 TiB in the largest blocks, 100 MB of state. A length is a server's word, and the
/// last block of it may be the first to arrive.
const MOST: u64 = 1 << 22;

/// All blocks of one generation.
#[derive(Clone, Debug)]
pub(crate) struct Blocks {
    size: u32,
    total: Option<u64>,
    blocks: Vec<Block>,
    held: u64,
}

impl Blocks {
    pub(crate) fn new(size: u32, total: Option<u64>) -> Blocks {
        Blocks { size, total, blocks: Vec::new(), held: 0 }
    }

    /// Blocks as an earlier run recorded them; entries that do not fit the file are left out.
    pub(crate) fn replayed(size: u32, total: Option<u64>, held: &[HeldBlock]) -> Blocks {
        let mut blocks = Blocks::new(size, total);
        for block in held {
            // While the length is unknown one lane wrote in ascending order: what stands apart is no block
            // of ours, and a journal's number alone must not make us reserve memory (P6).
            let apart = total.is_none() && block.index as usize > blocks.blocks.len();
            if !apart && block.len > 0 && block.len <= blocks.len_of(block.index) {
                blocks.set(block.index, block.len, block.hash, Trust::Recorded);
            }
        }
        blocks
    }

    /// 256 KiB under 256 MiB, 1 MiB to 64 GiB and for unknown lengths, then doubled to at most 65,536 blocks or 16 MiB.
    pub(crate) fn size_for(total: Option<u64>) -> u32 {
        const MIB: u64 = 1 << 20;
        match total {
            None => MIB as u32,
            Some(total) if total < 256 * MIB => 256 << 10,
            Some(total) => {
                let mut size = MIB;
                while total.div_ceil(size) > 65_536 && size < 16 * MIB {
                    size *= 2;
                }
                size as u32
            }
        }
    }

    /// Whether a file of `total` bytes stays within [`MOST`] blocks.
    pub(crate) fn fit(size: u32, total: Option<u64>) -> bool {
        total.is_none_or(|total| total.div_ceil(u64::from(size)) <= MOST)
    }

    pub(crate) fn size(&self) -> u64 {
        u64::from(self.size)
    }

    pub(crate) fn set_total(&mut self, total: u64) {
        self.total = Some(total);
    }

    pub(crate) fn held(&self) -> u64 {
        self.held
    }

    pub(crate) fn start_of(&self, block: u32) -> u64 {
        u64::from(block) * self.size()
    }

    pub(crate) fn index_of(&self, at: u64) -> u32 {
        u32::try_from(at / self.size()).unwrap_or(u32::MAX)
    }

    /// Length of a block: the last one may be short; beyond the end it is 0.
    pub(crate) fn len_of(&self, block: u32) -> u32 {
        let Some(total) = self.total else { return self.size };
        let left = total.saturating_sub(self.start_of(block));
        u32::try_from(left.min(self.size())).unwrap_or(self.size)
    }

    pub(crate) fn block(&self, block: u32) -> Block {
        self.blocks.get(block as usize).copied().unwrap_or(EMPTY)
    }

    pub(crate) fn is_whole(&self, block: u32) -> bool {
        self.block(block).upto == self.len_of(block)
    }

    /// The first boundary at or above `at`, at most the total.
    pub(crate) fn boundary(&self, at: u64) -> u64 {
        let up = at.div_ceil(self.size()).saturating_mul(self.size());
        up.min(self.total.unwrap_or(u64::MAX))
    }

    /// A block's bytes are written up to `upto`. False if that is no progress or does not fit.
    pub(crate) fn stored(&mut self, block: u32, upto: u32, hash: Hash) -> bool {
        if upto > self.len_of(block) || upto <= self.block(block).upto {
            return false;
        }
        self.set(block, upto, hash, Trust::Arrived);
        true
    }

    /// What was stored last came from there.
    pub(crate) fn came_from(&mut self, block: u32, source: SourceId, before: u32) {
        if let Some(b) = self.blocks.get_mut(block as usize) {
            b.writer = if before == 0 || b.writer == source.0 { source.0 } else { SEVERAL };
        }
    }

    pub(crate) fn trust(&mut self, block: u32, trust: Trust) {
        if let Some(b) = self.blocks.get_mut(block as usize) {
            b.trust = trust;
        }
    }

    /// Forgets a block. Returns how many bytes it held.
    pub(crate) fn forget(&mut self, block: u32) -> u32 {
        let upto = self.block(block).upto;
        if upto > 0 {
            self.set(block, 0, 0, Trust::Arrived);
        }
        upto
    }

    fn set(&mut self, block: u32, upto: u32, hash: Hash, trust: Trust) {
        let index = block as usize;
        if index >= self.blocks.len() {
            self.blocks.resize(index + 1, EMPTY);
        }
        self.held = self.held - u64::from(self.blocks[index].upto) + u64::from(upto);
        let Block { writer, .. } = self.blocks[index];
        self.blocks[index] = Block { hash: [(hash >> 64) as u64, hash as u64], upto, trust, writer };
    }

    /// Blocks that hold anything, in order.
    pub(crate) fn held_blocks(&self) -> impl Iterator<Item = (u32, Block)> + '_ {
        self.blocks.iter().enumerate().filter(|(_, b)| b.upto > 0).map(|(i, &b)| (i as u32, b))
    }

    /// Every gap between held bytes, the one after the last held byte included (its end is `u64::MAX`
    /// while the total is unknown).
    pub(crate) fn gaps(&self) -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        let mut at = 0;
        for (index, block) in self.held_blocks() {
            let start = self.start_of(index);
            if at < start {
                gaps.push((at, start));
            }
            at = start + u64::from(block.upto);
        }
        let end = self.total.unwrap_or(u64::MAX);
        if at < end {
            gaps.push((at, end));
        }
        gaps
    }

    /// The first block of `start..end` that an earlier run recorded and nobody has read back yet.
    pub(crate) fn unread(&self, start: u64, end: u64) -> Option<u32> {
        if start >= end {
            return None;
        }
        let last = self.index_of(end - 1);
        (self.index_of(start)..=last)
            .take_while(|&i| (i as usize) < self.blocks.len())
            .find(|&i| self.block(i).upto > 0 && self.block(i).trust == Trust::Recorded)
    }

    /// Offset after the last byte held.
    pub(crate) fn last_held(&self) -> u64 {
        self.held_blocks().last().map_or(0, |(i, b)| self.start_of(i) + u64::from(b.upto))
    }

    /// Where the bytes held without a break from `at` on end.
    pub(crate) fn held_until(&self, mut at: u64) -> u64 {
        loop {
            let index = self.index_of(at);
            let end = self.start_of(index) + u64::from(self.block(index).upto);
            if end <= at {
                return at;
            }
            at = end;
            if !self.is_whole(index) {
                return at;
            }
        }
    }

    /// How much of each of 64 equal stretches is held, 0 to 255; empty while the total is unknown.
    pub(crate) fn map(&self) -> Vec<u8> {
        let Some(total) = self.total.filter(|&t| t > 0) else { return Vec::new() };
        let stretch = total.div_ceil(64);
        let mut held = [0u64; 64];
        for (index, block) in self.held_blocks() {
            let (mut at, end) = (self.start_of(index), self.start_of(index) + u64::from(block.upto));
            while at < end {
                let cell = at / stretch;
                let stop = end.min((cell + 1) * stretch);
                held[cell as usize] += stop - at;
                at = stop;
            }
        }
        (0..64u64)
            .map(|cell| {
                let len = stretch.min(total.saturating_sub(cell * stretch));
                (held[cell as usize] * 255).checked_div(len).unwrap_or(255) as u8
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: u64 = 256 << 10;

    #[test]
    fn free_intervals_join_when_they_touch() {
        let mut free = Free::default();
        free.give(0, 10);
        free.give(20, 30);
        free.give(10, 20);
        assert_eq!(free.iter().collect::<Vec<_>>(), [(0, 30)]);
        free.take(5, 8);
        assert_eq!(free.iter().collect::<Vec<_>>(), [(0, 5), (8, 30)]);
        free.cut(12);
        assert_eq!(free.iter().collect::<Vec<_>>(), [(0, 5), (8, 12)]);
    }

    #[test]
    fn gaps_stand_between_what_is_held() {
        let mut blocks = Blocks::new(K as u32, Some(4 * K + 1));
        blocks.stored(1, K as u32, 7);
        blocks.stored(2, 5, 7);
        assert_eq!(blocks.gaps(), [(0, K), (2 * K + 5, 4 * K + 1)]);
        assert_eq!(blocks.held(), K + 5);
        assert_eq!(blocks.last_held(), 2 * K + 5);
        assert_eq!(blocks.held_until(K), 2 * K + 5);
    }

    #[test]
    fn the_last_block_is_short_and_nothing_lies_beyond_it() {
        let mut blocks = Blocks::new(K as u32, Some(K + 1));
        assert_eq!((blocks.len_of(0), blocks.len_of(1), blocks.len_of(2)), (K as u32, 1, 0));
        assert!(!blocks.stored(1, 2, 0), "more than the block");
        assert!(!blocks.stored(2, 1, 0), "beyond the file");
    }

    #[test]
    fn a_block_never_loses_bytes_to_a_late_report() {
        let mut blocks = Blocks::new(K as u32, None);
        assert!(blocks.stored(0, 10, 1));
        assert!(!blocks.stored(0, 9, 2));
        assert_eq!(blocks.block(0).hash(), 1);
    }

    #[test]
    fn block_sizes_keep_the_count_bounded() {
        assert_eq!(Blocks::size_for(Some((256 << 20) - 1)), 256 << 10);
        assert_eq!(Blocks::size_for(Some(256 << 20)), 1 << 20);
        assert_eq!(Blocks::size_for(Some(64 << 30)), 1 << 20);
        assert_eq!(Blocks::size_for(Some((64 << 30) + 1)), 2 << 20);
        assert_eq!(Blocks::size_for(Some(u64::MAX)), 16 << 20);
    }

    #[test]
    fn the_map_shows_which_parts_are_held() {
        let mut blocks = Blocks::new(K as u32, Some(64 * K));
        blocks.stored(3, K as u32, 0);
        let map = blocks.map();
        assert_eq!((map[2], map[3], map[4]), (0, 255, 0));
        let mut blocks = Blocks::new(K as u32, Some(64 * K - 63));
        (0..64).for_each(|block| assert!(blocks.stored(block, blocks.len_of(block), 0)));
        assert_eq!(blocks.map(), [255; 64], "the last stretch is shorter");
        assert!(Blocks::new(K as u32, Some(0)).map().is_empty());
    }

    #[test]
    fn what_lies_behind_a_stretch_is_not_read_back_for_it() {
        let held = |index| HeldBlock { index, len: K as u32, hash: 1, synced: true };
        let mut blocks = Blocks::replayed(K as u32, Some(4 * K), &[held(0), held(1)]);
        assert_eq!((blocks.unread(0, K), blocks.unread(K, 2 * K)), (Some(0), Some(1)));
        blocks.trust(0, Trust::Synced);
        assert_eq!((blocks.unread(0, K), blocks.unread(0, K + 1)), (None, Some(1)));
        assert_eq!((blocks.unread(2 * K, 4 * K), blocks.unread(K, K)), (None, None));
    }

    #[test]
    fn a_file_of_too_many_blocks_does_not_fit() {
        let size = K as u32;
        assert!(Blocks::fit(size, None) && Blocks::fit(size, Some(MOST * K)));
        assert!(!Blocks::fit(size, Some(MOST * K + 1)));
    }
}
