//! What other programs say of the partial files they leave: aria2's control file, axel's state file, or nothing, which is a
//! prefix. Pure: bytes in, claims out.
//!
//! A claim is worth nothing by itself: aria2 and axel write their words at intervals, and none of them knows a validator. Which
//! stretches must be compared before a claim is believed stands here as well.

use std::fmt;

/// Bytes of which aria2 keeps one bit in a piece that is under way.
const CHUNK: u64 = 16 << 10;

/// An info hash has at most this many bytes.
const INFO_HASH: u32 = 20;

/// Runs of a claim that are read; a file that is in more pieces is hardly worth its comparisons.
const RUNS: usize = 1 << 16;

/// Runs of a claim that are taken over, the longest: each costs two requests.
const TAKEN: usize = 16;

/// Stretches at places drawn by chance that are compared besides the ends of each run.
const SAMPLES: u64 = 8;

/// The least that is compared at a place.
const LEAST: u64 = 4096;

/// Bytes that another program claims to have stored at their places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Complete length of the file in bytes, if it is told.
    pub total: Option<u64>,
    /// Offsets, first and exclusive end: ascending, disjoint, never touching, below the total.
    pub runs: Vec<(u64, u64)>,
}

/// Why a control file tells nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimsFault {
    /// Where it goes wrong, in bytes from its start.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl fmt::Display for ClaimsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.at, self.what)
    }
}

type Read<T> = Result<T, ClaimsFault>;

impl Claims {
    /// What curl, wget and browsers leave: the first `len` bytes of a file of unknown length.
    pub fn prefix(len: u64) -> Claims {
        Claims { total: None, runs: if len > 0 { vec![(0, len)] } else { Vec::new() } }
    }

    /// `NAME.aria2`, version 1 (big-endian) or 0 (as the machine has it): aria2's "Technical Notes", control file format.
    /// Takes linear time, and memory for 65,536 runs at most.
    ///
    /// # Errors
    ///
    /// [`ClaimsFault`]: it is cut short, no such file, of a torrent, or its numbers do not fit each other.
    pub fn aria2(bytes: &[u8]) -> Result<Claims, ClaimsFault> {
        let mut file = Bytes { bytes, at: 0, big: true };
        match file.array::<2>()? {
            [0, 1] => {}
            [0, 0] => file.big = false,
            _ => return Err(file.fault(0, "it is no control file of aria2, or a later version's")),
        }
        let extension: [u8; 4] = file.array()?;
        let at = file.at;
        let info_hash = file.u32()?;
        if extension[3] & 1 == 1 || info_hash > INFO_HASH {
            return Err(file.fault(at, "it is of a torrent"));
        }
        file.skip(u64::from(info_hash))?;
        let at = file.at;
        let (piece, total) = (u64::from(file.u32()?), file.u64()?);
        if piece == 0 || i64::try_from(total).is_err() {
            return Err(file.fault(at, "no file has this length or pieces of this length"));
        }
        file.skip(8)?; // What was uploaded.
        let mut runs = Runs::default();
        let pieces = total.div_ceil(piece);
        file.bits(pieces, |index| runs.add(index * piece, (index * piece).saturating_add(piece).min(total)))?;
        for _ in 0..file.u32()? {
            let at = file.at;
            let (index, len) = (u64::from(file.u32()?), u64::from(file.u32()?));
            if index >= pieces || len > piece.min(total - index * piece) {
                return Err(file.fault(at, "a piece lies beyond the end"));
            }
            let (start, end) = (index * piece, index * piece + len);
            file.bits(len.div_ceil(CHUNK), |chunk| {
                let from = start + chunk * CHUNK;
                runs.add(from, (from + CHUNK).min(end));
            })?;
        }
        file.end()?;
        Ok(Claims { total: Some(total), runs: runs.merged(&file)? })
    }

    /// `NAME.st`, as axel 2.10 and later write it: the number of connections, the bytes done, and of each connection where it
    /// stands and where it ends, all as the machine has them. What no connection is sent for is done. The number has four
    /// bytes where the end is the last byte; later it has two, and the end is the last byte until it is the one behind it,
    /// which the sum tells, or the length that the server has.
    ///
    /// # Errors
    ///
    /// [`ClaimsFault`]: it is cut short, no such file or of an older version, or its numbers do not add up.
    pub fn axel(bytes: &[u8]) -> Result<Claims, ClaimsFault> {
        let mut file = Bytes { bytes, at: 0, big: cfg!(target_endian = "big") };
        let short = u64::from(file.u16()?);
        let wide = bytes.len() as u64 != 10 + 16 * short;
        if wide {
            file.at = 0;
            let connections = u64::from(file.u32()?);
            if bytes.len() as u64 != 12 + 16 * connections {
                return Err(file.fault(0, "it is no state file of axel, cut short, or of an old version"));
            }
        }
        let at = file.at;
        let done = file.u64()?;
        let mut left = Vec::new();
        while file.at < bytes.len() {
            left.push((file.u64()?, file.u64()?));
        }
        let wrong = || file.fault(at, "its numbers do not add up");
        if left.is_empty() || left.iter().any(|&(from, last)| from.max(last) > i64::MAX as u64) {
            return Err(wrong());
        }
        let last = left.iter().map(|&(from, last)| (from, last + 1)).collect();
        let behind = (!wide).then(|| remaining(done, left)).flatten();
        behind.or_else(|| remaining(done, last)).ok_or_else(wrong)
    }

    /// Claims these as well: ascending, disjoint, below the total.
    pub fn join(&mut self, runs: impl IntoIterator<Item = (u64, u64)>) {
        for (start, end) in runs {
            match self.runs.last_mut() {
                Some(last) if last.1 == start => last.1 = end,
                _ => self.runs.push((start, end)),
            }
        }
    }

    /// The same of a file that is only so long, and no more runs than are worth their comparisons: the longest.
    pub fn within(mut self, len: u64) -> Claims {
        self.runs.iter_mut().for_each(|run| run.1 = run.1.min(len));
        self.runs.retain(|run| run.0 < run.1);
        self.runs.sort_by_key(|&(start, end)| (std::cmp::Reverse(end - start), start));
        self.runs.truncate(TAKEN);
        self.runs.sort_unstable();
        self
    }

    /// The stretches that must be compared before anything of `held` is believed: the first and the last bytes of what is
    /// held of each run, and eight at places drawn by chance; each as long as a sixteenth of its run, 4 KiB at least and
    /// `most` at most. `held` are the blocks made of the runs, ascending, each with its end; `chance` gives any numbers.
    pub fn stretches(
        &self,
        held: &[(u64, u64)],
        most: u64,
        mut chance: impl FnMut() -> u64,
    ) -> Vec<(u64, u64)> {
        let mut picked = Vec::new();
        let len_of = |whole: u64| (whole / 16).min(most).max(LEAST);
        for &(start, end) in &self.runs {
            let from = held.partition_point(|block| block.0 < start);
            let inside = &held[from..held.partition_point(|block| block.0 < end)];
            let (Some(first), Some(last)) = (inside.first(), inside.last()) else { continue };
            let len = len_of(last.1 - first.0);
            picked.push((first.0, first.1.min(first.0 + len)));
            picked.push((last.0.max(last.1.saturating_sub(len)), last.1));
        }
        let all: u64 = held.iter().map(|block| block.1 - block.0).sum();
        for _ in 0..SAMPLES.min(held.len() as u64) {
            let (start, end) = held[(chance() % held.len() as u64) as usize];
            let len = len_of(all).min(end - start);
            let at = start + chance() % (end - start - len + 1);
            picked.push((at, at + len));
        }
        picked.sort_unstable_by_key(|&(start, end)| (start, std::cmp::Reverse(end)));
        picked.dedup_by_key(|stretch| stretch.0);
        picked
    }
}

/// What is done of a file of which `done` bytes are, and these ranges are left; `None` if that does not add up.
fn remaining(done: u64, mut left: Vec<(u64, u64)>) -> Option<Claims> {
    if left.iter().any(|&(from, end)| from > end) {
        return None;
    }
    left.retain(|&(from, end)| from < end);
    left.sort_unstable();
    let missing = left.iter().try_fold(0u64, |sum, &(from, end)| sum.checked_add(end - from))?;
    let total = done.checked_add(missing).filter(|&total| i64::try_from(total).is_ok())?;
    let (mut runs, mut at) = (Runs::default(), 0);
    for &(from, end) in left.iter().chain(&[(total, total)]) {
        if from < at || end > total {
            return None;
        }
        runs.add(at, from);
        at = end;
    }
    Some(Claims { total: Some(total), runs: runs.runs })
}

/// Runs as they are read; those that touch become one.
#[derive(Default)]
struct Runs {
    runs: Vec<(u64, u64)>,
    many: bool,
}

impl Runs {
    fn add(&mut self, start: u64, end: u64) {
        let full = self.runs.len() == RUNS;
        match self.runs.last_mut() {
            _ if start >= end => {}
            Some(last) if last.1 == start => last.1 = end,
            _ if full => self.many = true,
            _ => self.runs.push((start, end)),
        }
    }

    /// In order. A piece that is done and under way is claimed twice, which is nonsense, and does no harm.
    fn merged(mut self, file: &Bytes<'_>) -> Read<Vec<(u64, u64)>> {
        if self.many {
            return Err(file.fault(file.at, "the file is in more than 65,536 pieces"));
        }
        self.runs.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::with_capacity(self.runs.len());
        for (start, end) in self.runs {
            match merged.last_mut() {
                Some(last) if last.1 >= start => last.1 = last.1.max(end),
                _ => merged.push((start, end)),
            }
        }
        Ok(merged)
    }
}

/// What is left to read of a control file.
struct Bytes<'a> {
    bytes: &'a [u8],
    at: usize,
    big: bool,
}

impl Bytes<'_> {
    fn fault(&self, at: usize, what: &'static str) -> ClaimsFault {
        ClaimsFault { at, what }
    }

    fn take(&mut self, len: u64) -> Read<&[u8]> {
        let cut = self.fault(self.bytes.len(), "it ends here, and should not");
        let end = usize::try_from(len).ok().and_then(|len| self.at.checked_add(len)).ok_or(cut.clone())?;
        let taken = self.bytes.get(self.at..end).ok_or(cut)?;
        self.at = end;
        Ok(taken)
    }

    fn skip(&mut self, len: u64) -> Read<()> {
        self.take(len).map(|_| ())
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    fn u16(&mut self) -> Read<u16> {
        let array = self.array()?;
        Ok(if self.big { u16::from_be_bytes(array) } else { u16::from_ne_bytes(array) })
    }

    fn u32(&mut self) -> Read<u32> {
        let array = self.array()?;
        Ok(if self.big { u32::from_be_bytes(array) } else { u32::from_ne_bytes(array) })
    }

    fn u64(&mut self) -> Read<u64> {
        let array = self.array()?;
        Ok(if self.big { u64::from_be_bytes(array) } else { u64::from_ne_bytes(array) })
    }

    /// A field of `count` bits behind its length in bytes, the first bit the highest of its byte: `set` gets those that are set.
    fn bits(&mut self, count: u64, mut set: impl FnMut(u64)) -> Read<()> {
        let at = self.at;
        let len = u64::from(self.u32()?);
        if len != count.div_ceil(8) {
            return Err(self.fault(at, "the field of bits has another length than the pieces want"));
        }
        for (index, &byte) in self.take(len)?.iter().enumerate() {
            for bit in (0..8).filter(|bit| byte & (0x80 >> bit) != 0) {
                let index = index as u64 * 8 + bit;
                if index < count {
                    set(index);
                }
            }
        }
        Ok(())
    }

    fn end(&self) -> Read<()> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(self.fault(self.at, "something follows its end"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: u64 = 1 << 10;
    const M: u64 = 1 << 20;

    /// A control file of version 1 with these bits, and these pieces under way.
    fn control(piece: u32, total: u64, bits: &[u8], under_way: &[(u32, u32, &[u8])]) -> Vec<u8> {
        let mut out = vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        out.extend(piece.to_be_bytes());
        out.extend(total.to_be_bytes());
        out.extend([0; 8]);
        out.extend((bits.len() as u32).to_be_bytes());
        out.extend(bits);
        out.extend((under_way.len() as u32).to_be_bytes());
        for (index, len, bits) in under_way {
            out.extend(index.to_be_bytes());
            out.extend(len.to_be_bytes());
            out.extend((bits.len() as u32).to_be_bytes());
            out.extend(*bits);
        }
        out
    }

    /// A state file of axel 2.17.11.
    fn state(done: u64, connections: &[(u64, u64)]) -> Vec<u8> {
        let mut out = (connections.len() as u16).to_ne_bytes().to_vec();
        out.extend(done.to_ne_bytes());
        connections.iter().for_each(|&(at, end)| {
            out.extend(at.to_ne_bytes());
            out.extend(end.to_ne_bytes());
        });
        out
    }

    #[test]
    fn a_control_file_of_aria2_tells_pieces_and_chunks() {
        let total = 10 * M + 5;
        let file = control(M as u32, total, &[0b1100_0001, 0b0010_0000], &[(3, M as u32, &[0xc0; 8])]);
        let claims = Claims::aria2(&file).unwrap();
        assert_eq!(claims.total, Some(total));
        let mut runs = vec![(0, 2 * M)];
        runs.extend((0..8).map(|eighth| 3 * M + eighth * 128 * K).map(|at| (at, at + 32 * K)));
        runs.extend([(7 * M, 8 * M), (10 * M, total)]);
        assert_eq!(claims.runs, runs, "the last piece is short");
    }

    #[test]
    fn version_0_is_as_the_machine_has_it() {
        let mut file = vec![0; 10];
        file.extend((M as u32).to_ne_bytes());
        file.extend((2 * M).to_ne_bytes());
        file.extend([0; 8]);
        file.extend(1u32.to_ne_bytes());
        file.push(0x40);
        file.extend(0u32.to_ne_bytes());
        assert_eq!(Claims::aria2(&file).unwrap().runs, [(M, 2 * M)]);
    }

    #[test]
    fn a_control_file_cut_anywhere_or_longer_tells_nothing() {
        let file = control(M as u32, 10 * M, &[0xff, 0xc0], &[(3, M as u32, &[0xc0; 8])]);
        for len in 0..file.len() {
            assert_eq!(Claims::aria2(&file[..len]).unwrap_err().at, len, "cut at {len}");
        }
        let longer = [&file[..], b"x"].concat();
        assert_eq!(Claims::aria2(&longer).unwrap_err().at, file.len());
    }

    #[test]
    fn numbers_of_aria2_that_do_not_fit_are_refused() {
        let fault = |file: Vec<u8>| Claims::aria2(&file).unwrap_err().what;
        assert!(fault(control(0, M, &[], &[])).contains("length"));
        assert!(fault(control(M as u32, u64::MAX, &[0], &[])).contains("length"));
        assert!(fault(control(M as u32, 9 * M, &[0xff], &[])).contains("bits"));
        assert!(fault(control(M as u32, M, &[0], &[(1, 5, &[0x80])])).contains("beyond"));
        assert!(fault(control(M as u32, M + 5, &[0], &[(1, 6, &[0x80])])).contains("beyond"));
        let mut torrent = control(M as u32, M, &[0], &[]);
        torrent[5] = 1;
        assert!(fault(torrent).contains("torrent"));
        assert!(fault(b"thence\0\x01".to_vec()).contains("no control file"));
    }

    #[test]
    fn a_terabyte_in_pieces_of_a_mebibyte_is_read_and_a_comb_is_not() {
        let bits = vec![0xff; 1 << 17];
        assert_eq!(Claims::aria2(&control(M as u32, 1 << 40, &bits, &[])).unwrap().runs, [(0, 1 << 40)]);
        let comb = vec![0xaa; 1 << 17];
        assert!(Claims::aria2(&control(M as u32, 1 << 40, &comb, &[])).unwrap_err().what.contains("65,536"));
    }

    #[test]
    fn what_no_connection_of_axel_is_sent_for_is_done() {
        // The second connection is done, and took the later half of the first one's range.
        let claims = Claims::axel(&state(70, &[(10, 20), (25, 40), (55, 60)])).unwrap();
        assert_eq!(claims, Claims { total: Some(100), runs: vec![(0, 10), (20, 25), (40, 55), (60, 100)] });
    }

    #[test]
    fn an_end_that_is_the_last_byte_is_told_by_the_sum() {
        let mut old = 2u32.to_ne_bytes().to_vec();
        for number in [60u64, 10, 29, 50, 69] {
            old.extend(number.to_ne_bytes());
        }
        let claims = Claims::axel(&old).unwrap();
        assert_eq!(claims, Claims { total: Some(100), runs: vec![(0, 10), (30, 50), (70, 100)] });
    }

    #[test]
    fn a_state_of_axel_that_does_not_add_up_is_refused() {
        let file = state(70, &[(10, 20), (25, 40), (55, 60)]);
        for len in 0..file.len() {
            assert!(Claims::axel(&file[..len]).is_err(), "cut at {len}");
        }
        for wrong in [
            state(1, &[]),
            state(50, &[(10, 20), (15, 40)]),
            state(5, &[(10, 20), (90, 100)]),
            state(u64::MAX, &[(0, 5)]),
            state(0, &[(5, 3)]),
            state(0, &[(0, u64::MAX)]),
        ] {
            assert!(Claims::axel(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn only_the_longest_runs_are_taken_and_none_beyond_the_file() {
        let runs: Vec<(u64, u64)> = (0..40).map(|n| (n * 1000, n * 1000 + 100 + n)).collect();
        let claims = Claims { total: None, runs }.within(39_020);
        assert_eq!(claims.runs.len(), TAKEN);
        assert_eq!(claims.runs.first(), Some(&(23_000, 23_123)), "the last one is cut to 20 bytes");
        assert!(Claims::prefix(5).within(0).runs.is_empty());
    }

    #[test]
    fn the_ends_of_each_run_and_places_by_chance_are_compared() {
        let block = 256 * K;
        let claims = Claims { total: None, runs: vec![(0, 10 * block + 9), (20 * block, 21 * block)] };
        let held: Vec<(u64, u64)> = (0..10).chain([20]).map(|b| (b * block, (b + 1) * block)).collect();
        let mut seed = 0;
        let stretches = claims.stretches(&held, 64 * K, || {
            seed += 12_345_678_901;
            seed
        });
        for ends in [(0, 64 * K), (10 * block - 64 * K, 10 * block), (20 * block, 20 * block + 16 * K)] {
            assert!(stretches.contains(&ends), "{ends:?}");
        }
        assert!(stretches.contains(&(21 * block - 16 * K, 21 * block)));
        assert!(stretches.len() > 8, "{stretches:?}");
        let inside =
            |&(from, end): &(u64, u64)| held.iter().any(|&(s, e)| s <= from && from < end && end <= e);
        assert!(stretches.iter().all(inside), "none reaches from block to block: {stretches:?}");
    }
}
