//! Blocks of the wanted file in an older version of it, by the sums of a control file of zsync, wherever they stand in it.
//!
//! The rolling sum of a block at each byte is had from the one before in a few steps; where one is known, and that of the
//! block behind it, an MD4 decides. Both are cut short: what is found is a claim, and the SHA-1 of the whole its proof.
//!
//! Time is linear in the length of the seed, whatever the sums are: MD4s are counted, and after `MOST` times that length
//! what is left of the seed is not looked at.

#[cfg(test)]
pub(crate) mod tests;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use md4::{Digest, Md4};
use thence_plan::Zsync;

use crate::sys;

/// Bytes of the seed that are looked at in one step, so that others' disk work does not wait long.
const BITE: u64 = 1 << 20;

/// Bytes of which MD4s are made, over the bytes of the seed.
const MOST: u64 = 8;

/// Nowhere was it found.
const NOWHERE: u64 = u64::MAX;

/// Bits of the first look at a sum.
const FILTER: u32 = 20;

/// A stretch of the wanted file that is in the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Where in the wanted file.
    pub(crate) at: u64,
    /// Where in the seed.
    pub(crate) from: u64,
    pub(crate) len: u64,
}

/// A seed that is being looked through.
pub(crate) struct Seed {
    zsync: Arc<Zsync>,
    len: u64,
    /// The next byte at which a block may begin.
    at: u64,
    /// The block that is there if the seed goes on as the wanted file does.
    next: Option<u32>,
    /// Blocks by their keys, which stand beside them, ascending.
    order: Vec<u32>,
    keys: Vec<u64>,
    /// Of the blocks of the key at a place of `keys`, so many were found.
    found: Vec<u32>,
    filter: Vec<u64>,
    /// Where in the seed each block is.
    from: Vec<u64>,
    budget: u64,
}

/// A rolling sum: of the bytes, and of the bytes each times its distance from the end.
#[derive(Clone, Copy)]
struct Sum(u16, u16);

impl Sum {
    fn of(bytes: &[u8]) -> Sum {
        bytes.iter().fold(Sum(0, 0), |Sum(plain, weighed), &byte| {
            let plain = plain.wrapping_add(u16::from(byte));
            Sum(plain, weighed.wrapping_add(plain))
        })
    }

    /// One byte further: `gone` leaves, `came` comes; a block has `1 << shift` bytes.
    fn roll(&mut self, gone: u8, came: u8, shift: u32) {
        let (gone, came) = (u16::from(gone), u16::from(came));
        self.0 = self.0.wrapping_sub(gone).wrapping_add(came);
        let weight = u32::from(gone) << shift;
        self.1 = self.1.wrapping_sub(weight as u16).wrapping_add(self.0);
    }

    fn bits(self) -> u32 {
        u32::from(self.0) << 16 | u32::from(self.1)
    }
}

fn place_in_filter(key: u64) -> (usize, u64) {
    let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - FILTER);
    ((hash / 64) as usize, 1 << (hash % 64))
}

impl Seed {
    /// A seed of `len` bytes, of which nothing was read yet.
    pub(crate) fn new(zsync: Arc<Zsync>, len: u64) -> Seed {
        let blocks = zsync.blocks();
        let mut order: Vec<u32> = (0..blocks).collect();
        let key = |block: u32| key(&zsync, zsync.rolling(block), zsync.rolling(block + 1));
        order.sort_unstable_by_key(|&block| key(block));
        let keys: Vec<u64> = order.iter().map(|&block| key(block)).collect();
        let mut filter = vec![0u64; 1 << (FILTER - 6)];
        for &key in &keys {
            let (word, bit) = place_in_filter(key);
            filter[word] |= bit;
        }
        Seed {
            len,
            at: 0,
            next: None,
            found: vec![0; order.len()],
            order,
            keys,
            filter,
            from: vec![NOWHERE; blocks as usize],
            budget: (len.saturating_add(u64::from(zsync.block()))).saturating_mul(MOST),
            zsync,
        }
    }

    /// Looks through some of `file`; false once there is nothing more to look at.
    pub(crate) fn step(&mut self, file: &File) -> io::Result<bool> {
        if self.at >= self.len || self.budget == 0 {
            return Ok(false);
        }
        let size = self.zsync.block() as usize;
        let starts = BITE.min(self.len - self.at) as usize;
        // Two blocks from the last byte on, and the one behind them; beyond the seed's end are zeros.
        let mut bytes = vec![0; starts + 2 * size];
        let mut read = 0;
        while read < bytes.len() {
            match sys::read_at(file, self.at + read as u64, &mut bytes[read..])? {
                0 => break,
                len => read += len,
            }
        }
        self.at += self.look(&bytes, starts);
        Ok(true)
    }

    /// Looks at each of the first `starts` bytes, but for what is inside of blocks that are found; how far that was.
    fn look(&mut self, bytes: &[u8], starts: usize) -> u64 {
        let size = self.zsync.block() as usize;
        let shift = size.trailing_zeros();
        let sums = |at: usize| (Sum::of(&bytes[at..at + size]), Sum::of(&bytes[at + size..at + 2 * size]));
        let (mut at, mut two) = (0, sums(0));
        while at < starts && self.budget > 0 {
            let here = &bytes[at..at + 2 * size];
            if let Some(block) = self.meet(here, two, self.at + at as u64) {
                self.next = Some(block + 1).filter(|&next| next < self.zsync.blocks());
                at += size;
                if at < starts {
                    two = sums(at);
                }
                continue;
            }
            two.0.roll(here[0], here[size], shift);
            two.1.roll(here[size], bytes[at + 2 * size], shift);
            at += 1;
        }
        at as u64
    }

    /// The block that `here`, at `from` in the seed, begins with.
    fn meet(&mut self, here: &[u8], two: (Sum, Sum), from: u64) -> Option<u32> {
        if let Some(next) = self.next.take()
            && self.zsync.kept() & two.0.bits() == self.zsync.rolling(next)
            && self.md4(&here[..here.len() / 2]).starts_with(self.zsync.md4(next))
        {
            self.found_at(next, from);
            return Some(next);
        }
        let key = key(&self.zsync, two.0.bits(), two.1.bits());
        let (word, bit) = place_in_filter(key);
        if self.filter[word] & bit == 0 {
            return None;
        }
        let first = self.keys.partition_point(|&known| known < key);
        let end = first + self.keys[first..].partition_point(|&known| known == key);
        if first == end || self.found[first] as usize >= end - first {
            return None;
        }
        self.search(first..end, here, from)
    }

    /// Of the blocks of one key, all that are this one.
    fn search(&mut self, places: Range<usize>, here: &[u8], from: u64) -> Option<u32> {
        let (this, behind) = here.split_at(here.len() / 2);
        let this = self.md4(this);
        let behind = self.zsync.in_pairs().then(|| self.md4(behind));
        self.budget = self.budget.saturating_sub(8 * places.len() as u64);
        let (first, mut met) = (places.start, None);
        for place in places {
            let block = self.order[place];
            let equal = self.from[block as usize] == NOWHERE
                && this.starts_with(self.zsync.md4(block))
                && behind.is_none_or(|behind| behind.starts_with(self.zsync.md4(block + 1)));
            if equal {
                self.from[block as usize] = from;
                self.found[first] += 1;
                met = met.or(Some(block));
            }
        }
        met
    }

    /// A block that follows one that was found.
    fn found_at(&mut self, block: u32, from: u64) {
        if self.from[block as usize] != NOWHERE {
            return;
        }
        self.from[block as usize] = from;
        let key = key(&self.zsync, self.zsync.rolling(block), self.zsync.rolling(block + 1));
        let first = self.keys.partition_point(|&known| known < key);
        self.found[first] += 1;
    }

    fn md4(&mut self, block: &[u8]) -> [u8; 16] {
        self.budget = self.budget.saturating_sub(block.len() as u64);
        Md4::digest(block).into()
    }

    /// What was found, in the order of the wanted file; what follows each other in both is one piece.
    pub(crate) fn pieces(&self) -> Vec<Piece> {
        let size = u64::from(self.zsync.block());
        let mut pieces: Vec<Piece> = Vec::new();
        for (at, &from) in (0..).step_by(size as usize).zip(&self.from) {
            // What is beyond the seed's end are zeros that nobody can copy.
            let len = size.min(self.zsync.size - at).min(self.len.saturating_sub(from));
            match pieces.last_mut() {
                _ if from == NOWHERE => {}
                Some(last) if (last.at + last.len, last.from + last.len) == (at, from) => last.len += len,
                _ => pieces.push(Piece { at, from, len }),
            }
        }
        pieces
    }
}

fn key(zsync: &Zsync, this: u32, behind: u32) -> u64 {
    let behind = if zsync.in_pairs() { behind & zsync.kept() } else { 0 };
    u64::from(this & zsync.kept()) << 32 | u64::from(behind)
}
