use super::*;

use std::io::Write;

const BLOCK: usize = 1024;

/// Bytes that look like chance.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

/// The control file of these bytes; `lengths` as it says them.
pub(crate) fn zsync(bytes: &[u8], (row, rolling, md4): (usize, usize, usize)) -> Arc<Zsync> {
    let head = format!(
        "zsync: 0.6.2\nBlocksize: {BLOCK}\nLength: {}\nHash-Lengths: {row},{rolling},{md4}\nURL: http://h/f\nSHA-1: {}\n\n",
        bytes.len(),
        "0".repeat(40)
    );
    let mut text = head.into_bytes();
    for block in bytes.chunks(BLOCK) {
        let mut block = block.to_vec();
        block.resize(BLOCK, 0);
        let weighed = |(at, &byte): (usize, &u8)| ((BLOCK - at) as u16).wrapping_mul(u16::from(byte));
        let plain = block.iter().fold(0u16, |sum, &byte| sum.wrapping_add(u16::from(byte)));
        let second = block.iter().enumerate().map(weighed).fold(0u16, u16::wrapping_add);
        let sum = [plain.to_be_bytes(), second.to_be_bytes()].concat();
        text.extend(&sum[4 - rolling..]);
        text.extend(&Md4::digest(&block)[..md4]);
    }
    Arc::new(Zsync::read(&text, None).unwrap())
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn looked(zsync: &Arc<Zsync>, bytes: &[u8]) -> Seed {
    let file = file(bytes);
    let mut seed = Seed::new(Arc::clone(zsync), bytes.len() as u64);
    while seed.step(&file).unwrap() {}
    seed
}

/// What is found is right, and this much.
#[track_caller]
fn finds(wanted: &[u8], old: &[u8], lengths: (usize, usize, usize), bytes: usize) -> Vec<Piece> {
    let pieces = looked(&zsync(wanted, lengths), old).pieces();
    for piece in &pieces {
        let (at, from, len) = (piece.at as usize, piece.from as usize, piece.len as usize);
        assert!(wanted[at..at + len] == old[from..from + len], "{piece:?}");
    }
    assert_eq!(pieces.iter().map(|piece| piece.len).sum::<u64>(), bytes as u64, "{pieces:?}");
    pieces
}

const PLAIN: (usize, usize, usize) = (1, 4, 16);
const PAIRS: (usize, usize, usize) = (2, 2, 5);

#[test]
fn blocks_are_found_wherever_they_stand() {
    let wanted = noise(1, 20 * BLOCK + 300);
    for lengths in [PLAIN, PAIRS, (1, 3, 8), (2, 3, 3)] {
        assert_eq!(finds(&wanted, &wanted, lengths, wanted.len()).len(), 1);
        let moved = [&noise(2, 777)[..], &wanted].concat();
        let pieces = finds(&wanted, &moved, lengths, wanted.len());
        assert_eq!(pieces, [Piece { at: 0, from: 777, len: wanted.len() as u64 }]);
        // The two halves have changed places, and a byte of one is another.
        let mut turned = [&wanted[10 * BLOCK..20 * BLOCK], &noise(3, 99), &wanted[..10 * BLOCK]].concat();
        turned[3 * BLOCK + 5] ^= 1;
        // The last of a row is known by the one behind it, or not at all: it was not looked for in pairs.
        finds(&wanted, &turned, lengths, 19 * BLOCK);
    }
    finds(&wanted, &noise(4, 50 * BLOCK), PAIRS, 0);
    finds(&wanted, &[], PAIRS, 0);
    finds(&wanted, &wanted[..500], PLAIN, 0);
}

#[test]
fn a_row_of_equal_blocks_is_found_by_one_of_them() {
    let wanted = [noise(1, 4 * BLOCK), vec![0; 64 * BLOCK], noise(2, 4 * BLOCK)].concat();
    let old = [noise(3, 100), vec![0; 2 * BLOCK + 10], noise(2, 4 * BLOCK), noise(1, 4 * BLOCK)].concat();
    let pieces = looked(&zsync(&wanted, PLAIN), &old).pieces();
    assert_eq!(pieces.iter().map(|piece| piece.len).sum::<u64>(), wanted.len() as u64, "{pieces:?}");
}

#[test]
fn a_seed_longer_than_a_step_is_looked_through_to_its_end() {
    let wanted = noise(1, 8 * BLOCK);
    let mut old = noise(2, BITE as usize - 3 * BLOCK - 100);
    old.extend(&wanted);
    finds(&wanted, &old, PAIRS, wanted.len());
}

#[test]
fn sums_made_to_cost_much_end_the_search() {
    // Each block has the sums of zeros but for its MD4: at each byte of zeros one is made.
    let mut blocks = vec![0u8; 4096 * BLOCK];
    for (n, block) in blocks.chunks_mut(BLOCK).enumerate() {
        // 1, -2, 1 apart by 8 leaves both sums as they were.
        let at = n % 64 * 15;
        (block[at], block[at + 8], block[at + 16]) = (1, 254, 1);
    }
    let zsync = zsync(&blocks, (1, 1, 3));
    let old = vec![0; 1 << 18];
    let file = file(&old);
    let mut seed = Seed::new(Arc::clone(&zsync), old.len() as u64);
    let mut steps = 0;
    while seed.step(&file).unwrap() {
        steps += 1;
    }
    assert!(steps <= 2 && seed.budget == 0, "{steps} steps, {} left", seed.budget);
    assert!(seed.pieces().is_empty());
}
