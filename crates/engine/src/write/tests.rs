use super::*;

use std::time::Duration;

use crate::file::tests::{BLOCK, dir, draft, in_memory};
use crate::file::{Pair, place};
use crate::verify::tests::hash;

const SLAB: usize = 64 << 10;

/// Byte `at` of the file that the tests write: no two blocks are alike.
fn byte(at: u64) -> u8 {
    (at ^ (at >> 8) ^ (at >> 16)) as u8
}

fn bytes(from: u64, to: u64) -> Vec<u8> {
    (from..to).map(byte).collect()
}

/// Bytes `from..to` of the file in slabs of the pool.
fn slabs(pool: &Pool, from: u64, to: u64) -> Vec<Slab> {
    let bytes = bytes(from, to);
    let mut rest = &bytes[..];
    let mut slabs = Vec::new();
    while !rest.is_empty() {
        let mut slab = pool.try_take().expect("the pool is large enough");
        slab.begin_at(to - rest.len() as u64);
        rest = &rest[slab.put(rest)..];
        slabs.push(slab);
    }
    slabs
}

fn handover(pair: &Pair, pool: &Pool, from: u64, to: u64, open: OpenBlock) -> Handover {
    let part = Arc::clone(&pair.part);
    let mut hashing = Hashing::new(from, BLOCK, open);
    hashing.update(&bytes(from, to));
    let ((stored, open), total) = (hashing.cut(), Some(4 * u64::from(BLOCK)));
    Handover { part, offset: from, slabs: slabs(pool, from, to), stored, open, block_size: BLOCK, total }
}

#[test]
fn a_pool_lends_no_more_than_it_has() {
    let pool = Pool::new(3 * SLAB, SLAB);
    let mut lent: Vec<Slab> = (0..3).map(|_| pool.try_take().expect("three slabs")).collect();
    assert!(pool.try_take().is_none());
    lent.pop();
    assert!(pool.try_take().is_some());
    assert!(Pool::new(1, SLAB).try_take().is_some(), "one slab at least");
}

#[test]
fn a_hand_over_is_large_while_slabs_are_free_and_never_small() {
    let pool = Pool::new(48 * SLAB, SLAB);
    let take = |count: usize| -> Vec<Slab> { (0..count).map_while(|_| pool.try_take()).collect() };
    assert_eq!(pool.hand(), 16);
    let many = take(36);
    assert_eq!(pool.hand(), 12);
    let rest = take(12);
    assert_eq!((rest.len(), pool.hand()), (12, 4));
    drop(many);
    assert_eq!(pool.hand(), 16);
}

#[test]
fn a_slab_is_aligned_and_comes_back_empty() {
    let pool = Pool::new(SLAB, SLAB);
    for _ in 0..3 {
        let mut slab = pool.try_take().expect("it came back");
        assert_eq!((slab.bytes().len(), slab.room().len()), (0, SLAB));
        assert_eq!(slab.room().as_ptr().align_offset(ALIGNMENT), 0);
        assert_eq!(slab.put(&vec![1; SLAB + 1]), SLAB);
        assert!(slab.room().is_empty());
    }
}

#[test]
fn a_lane_waits_for_a_slab_that_a_writer_gives_back() {
    let pool = Pool::new(SLAB, SLAB);
    let slab = pool.try_take();
    let giver = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        drop(slab);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let taken = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(5), pool.take()).await });
    assert!(taken.is_ok());
    giver.join().unwrap();
}

#[test]
fn hand_overs_cut_anywhere_store_the_same_blocks() {
    let total = 4 * u64::from(BLOCK);
    for step in [1_000, 4_096, 65_537, 200_000, 262_144] {
        let dir = dir();
        let pair = place(&draft(dir.path())).unwrap();
        let (pool, writers) = (Pool::new(12 << 20, SLAB), Writers::default());
        let (mut at, mut open, mut full) = (0, OpenBlock::new(), Vec::new());
        while at < total {
            let end = total.min(at + step);
            let written = writers.hand_over(handover(&pair, &pool, at, end, open)).blocking_recv();
            let written = written.unwrap().unwrap();
            for stored in &written.stored {
                let start = u64::from(stored.block) * u64::from(BLOCK);
                assert_eq!(stored.hash, hash(&bytes(start, start + u64::from(stored.upto))));
            }
            full.extend(written.stored.into_iter().filter(|s| s.upto == BLOCK).map(|s| s.block));
            (at, open) = (end, written.open);
        }
        assert_eq!(full, [0, 1, 2, 3], "each block is full once, in steps of {step}");
        assert_eq!(std::fs::read(pair.part_path()).unwrap(), bytes(0, total));
    }
}

#[test]
fn a_last_block_that_is_short_is_stored_as_far_as_it_goes() {
    let dir = dir();
    let pair = place(&draft(dir.path())).unwrap();
    let (pool, end) = (Pool::new(12 << 20, SLAB), u64::from(BLOCK) + 5);
    let handover = Handover { total: Some(end), ..handover(&pair, &pool, 0, end, OpenBlock::new()) };
    let upto: Vec<_> = write(handover).unwrap().stored.iter().map(|s| (s.block, s.upto)).collect();
    assert_eq!(upto, [(0, BLOCK), (1, 5)]);
}

#[test]
fn bytes_at_the_wrong_place_are_refused_and_nothing_is_written() {
    let dir = dir();
    let pair = place(&draft(dir.path())).unwrap();
    let pool = Pool::new(12 << 20, SLAB);
    let total = 4 * u64::from(BLOCK);
    for (from, to) in [(1, 10), (u64::from(BLOCK) - 1, u64::from(BLOCK) + 9), (total, total + 1)] {
        assert!(write(handover(&pair, &pool, from, to, OpenBlock::new())).is_err(), "{from}..{to}");
    }
    let beyond = Handover { total: Some(9), ..handover(&pair, &pool, 0, 10, OpenBlock::new()) };
    assert!(write(beyond).is_err());
    let countless = Handover {
        offset: u64::MAX - 4095 - 9,
        total: None,
        ..handover(&pair, &pool, 0, 9, OpenBlock::new())
    };
    assert!(write(countless).is_err());
    assert!(std::fs::read(pair.part_path()).unwrap().iter().all(|&b| b == 0));
    assert!(pool.try_take().is_some(), "the slabs came back");
}

#[test]
fn writers_finish_what_they_were_given_before_they_end() {
    let dir = dir();
    let pair = place(&draft(dir.path())).unwrap();
    let pool = Pool::new(12 << 20, SLAB);
    let writers = Writers::default();
    let answers: Vec<_> = (0..4)
        .map(|block| u64::from(BLOCK) * block)
        .map(|at| handover(&pair, &pool, at, at + u64::from(BLOCK), OpenBlock::new()))
        .map(|handover| writers.hand_over(handover))
        .collect();
    let record = Record::Block { index: 0, len: BLOCK, hash: 1 };
    let appended = writers.append(&pair.part, pair.journal.clone().unwrap(), vec![record]);
    drop(writers);
    assert!(answers.into_iter().all(|answer| answer.blocking_recv().unwrap().is_ok()));
    appended.blocking_recv().unwrap().unwrap();
}

/// Where there is no tmpfs there is nothing to test.
#[test]
fn a_file_in_memory_is_written_before_hand_over_returns() {
    let dir = in_memory();
    let (pair, writers) = (place(&draft(dir.path())).unwrap(), Writers::default());
    let can_be = dir.path().starts_with("/dev/shm") && !cfg!(thence_portable);
    assert_eq!(pair.part.is_in_memory(), can_be);
    if !can_be {
        return;
    }
    let pool = Pool::new(4 * SLAB, SLAB);
    let mut answer = writers.hand_over(handover(&pair, &pool, 0, 100_000, OpenBlock::new()));
    let written = answer.try_recv().expect("an answer is there").unwrap();
    let mut got = vec![0; 100_000];
    assert_eq!(pair.part.read_at(0, &mut got).unwrap(), 100_000);
    assert!(got == bytes(0, 100_000) && written.open.upto() == 100_000);

    crate::planted::plant(crate::planted::Place::Data, pair.part.entry().path(), 0);
    let open = || OpenBlock { hasher: written.open.hasher.clone(), upto: 100_000 };
    for what in ["panics", "comes after a panic"] {
        let mut answer = writers.hand_over(handover(&pair, &pool, 100_000, 200_000, open()));
        assert!(answer.try_recv().is_err(), "{what}");
    }
    pair.part.read_at(100_000, &mut got).unwrap();
    assert!(got != bytes(100_000, 200_000), "it was written after a panic");
}
