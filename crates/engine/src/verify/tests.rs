use super::*;

use std::fs;
use std::io::IoSlice;
use std::os::unix::fs::FileExt;

use crate::file::place;
use crate::file::tests::{BLOCK, URL, dir, draft, find_in, store};
use crate::find::Found;

/// XXH3-128 of `bytes`.
pub(crate) fn hash(bytes: &[u8]) -> thence_plan::Hash {
    twox_hash::XxHash3_128::oneshot(bytes)
}

/// A pair of four blocks, full of 1, 2, 3 and 4.
fn four(dir: &std::path::Path) -> Pair {
    let pair = place(&draft(dir)).unwrap();
    (0..4).for_each(|index| store(&pair, index, index as u8 + 1));
    pair
}

/// Which recorded blocks the disk does not have.
fn lost(pair: &Pair) -> Vec<u32> {
    let journal = fs::read(pair.journal.as_ref().unwrap().entry().path()).unwrap();
    let blocks = crate::journal::replay(&journal).unwrap().blocks;
    let mut checker = Checker::new(Arc::clone(&pair.part), BLOCK);
    let mut same = |index, len, hash| {
        checker
            .check(index, len, |_| {})
            .unwrap()
            .is_some_and(|open| open.upto() == len && open.hash() == hash)
    };
    blocks.into_iter().filter(|b| !same(b.index, b.len, b.hash)).map(|b| b.index).collect()
}

#[test]
fn crh_17_one_flipped_bit_shows_in_its_block_alone() {
    let dir = dir();
    let pair = four(dir.path());
    assert_eq!(lost(&pair), [0; 0]);
    let part = fs::OpenOptions::new().read(true).write(true).open(pair.part_path()).unwrap();
    let at = 2 * u64::from(BLOCK) + 77;
    part.write_at(&[3 ^ 0x10], at).unwrap();
    assert_eq!(lost(&pair), [2]);
    part.write_at(&[3], at).unwrap();
    assert_eq!(lost(&pair), [0; 0]);
}

#[test]
fn crh_18_a_part_cut_short_or_lengthened_loses_only_what_is_gone() {
    let dir = dir();
    let pair = four(dir.path());
    let part = fs::OpenOptions::new().write(true).open(pair.part_path()).unwrap();
    part.set_len(5 * u64::from(BLOCK)).unwrap();
    assert_eq!(lost(&pair), [0; 0]);
    part.set_len(2 * u64::from(BLOCK) + 1).unwrap();
    assert_eq!(lost(&pair), [2, 3]);
    part.set_len(4 * u64::from(BLOCK)).unwrap();
    assert_eq!(lost(&pair), [2, 3], "what comes back is zeros");
}

#[test]
fn crh_18_a_part_put_in_the_others_place_is_told_by_its_bytes() {
    let dir = dir();
    drop(four(dir.path()));
    let part = dir.path().join("file.bin.part");
    fs::remove_file(&part).unwrap();
    fs::write(&part, vec![2; 4 * BLOCK as usize]).unwrap();
    let Found::Pair(work) = find_in(dir.path(), None, URL).unwrap() else { panic!("the pair is there") };
    assert_eq!(lost(&work.pair), [0, 2, 3]);
}

#[test]
fn a_check_of_a_prefix_gives_the_state_to_go_on_with() {
    let dir = dir();
    let pair = four(dir.path());
    let mut read = 0;
    let mut checker = Checker::new(Arc::clone(&pair.part), BLOCK);
    let mut open = checker.check(1, 1000, |bytes| read += bytes.len()).unwrap().unwrap();
    assert_eq!((open.upto(), open.hash(), read), (1000, hash(&[2; 1000]), 1000));
    open.update(&[7; 24]);
    assert_eq!(open.hash(), hash(&[vec![2; 1000], vec![7; 24]].concat()));
}

#[test]
fn what_was_recorded_before_a_sync_is_known_to_be_synced() {
    let dir = dir();
    let pair = place(&draft(dir.path())).unwrap();
    store(&pair, 0, 1);
    sync(&pair).unwrap();
    store(&pair, 1, 2);
    drop(pair);
    let Found::Pair(work) = find_in(dir.path(), None, URL).unwrap() else { panic!("the pair is there") };
    assert_eq!(work.held.blocks.iter().map(|b| b.synced).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn digests_are_those_of_the_standards() {
    let dir = dir();
    let pair = place(&draft(dir.path())).unwrap();
    pair.part.write_at(0, &mut [IoSlice::new(b"abc")]).unwrap();
    for (algorithm, start) in [
        ("sha-256", "ba7816bf8f01cfea"),
        ("sha-512", "ddaf35a193617aba"),
        ("sha-1", "a9993e364706816a"),
        ("md5", "900150983cd24fb0"),
        ("blake3", "6437b3ac38465133"),
    ] {
        let mut digester = Digester::new(algorithm).expect("it is known");
        digester.feed(&pair.part, 3).unwrap();
        assert_eq!(digester.at(), 3);
        let digest = digester.finish();
        assert_eq!((&*digest.algorithm, &hex(&digest.bytes)[..16]), (algorithm, start));
    }
    assert!(Digester::new("crc32").is_none());
    let mut digester = Digester::new("md5").unwrap();
    assert!(digester.feed(&pair.part, 5 * u64::from(BLOCK)).is_err(), "the part is not that long");
}

#[test]
fn a_comparison_is_of_every_byte() {
    let dir = dir();
    let pair = four(dir.path());
    let at = u64::from(BLOCK) - 1;
    assert!(same(&pair.part, at, &[1, 2, 2]).unwrap());
    assert!(!same(&pair.part, at, &[1, 2, 3]).unwrap());
    assert!(!same(&pair.part, 4 * u64::from(BLOCK) - 1, &[4, 0]).unwrap(), "beyond the end is nothing");
}

#[test]
fn tasks_are_done_in_order_and_all_of_them() {
    let disk = Disk::start().unwrap();
    let (told, order) = mpsc::channel();
    let answers: Vec<_> = (0..10)
        .map(|n| {
            let told = told.clone();
            disk.call(move || told.send(n).map(|()| n).expect("the test listens"))
        })
        .collect();
    drop(disk);
    assert!(answers.into_iter().map(|a| a.blocking_recv().unwrap()).eq(0..10));
    drop(told);
    assert!(order.iter().eq(0..10));
}

#[test]
fn crh_20_a_panic_on_the_disks_thread_is_told_to_all_who_wait() {
    let disk = Disk::start().unwrap();
    let (panics, waits) = (disk.call(|| panic!("as the test wants it")), disk.call(|| ()));
    assert!(panics.blocking_recv().is_err() && waits.blocking_recv().is_err());
    assert!(disk.call(|| ()).blocking_recv().is_err(), "nothing is done by half later");
}
