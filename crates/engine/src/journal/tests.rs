use super::*;

use std::fs;

use thence_plan::{EntityTag, HeldBlock, Identity, Stamp, WantedDigest};

use crate::journal::replay::first;

const BLOCK: u32 = 256 << 10;

pub(crate) fn begin() -> Begin {
    Begin {
        url: "http://h/d/file.bin?key=1".into(),
        name: "file.bin".into(),
        headers: vec![("accept".into(), "*/*".into())],
        secrets: vec![("authorization".into(), 7)],
        block_size: BLOCK,
        identity: Identity {
            total: Some(1 << 20),
            etag: Some(EntityTag { weak: false, tag: "\"v1\"".into() }),
            modified: Some("Thu, 01 Jan 1970 00:00:00 GMT".into()),
            age: Some(-3),
            media: Some("text/plain".into()),
            digest: Some(WantedDigest { algorithm: "sha-256".into(), bytes: vec![2; 32] }),
        },
        digest: Some(WantedDigest { algorithm: "md5".into(), bytes: vec![1; 16] }),
        insecure: true,
    }
}

fn block(index: u32, hash: u128) -> Record {
    Record::Block { index, len: BLOCK, hash }
}

fn held(index: u32, len: u32, hash: u128, synced: bool) -> HeldBlock {
    HeldBlock { index, len, hash, synced }
}

/// A log begun with `begin()` that holds these records, and the pen that wrote it.
fn log(records: &[Record]) -> (Vec<u8>, Pen) {
    let mut log = Vec::new();
    let mut pen = Pen::begin(11, &begin(), &mut log);
    records.iter().for_each(|record| pen.record(record, &mut log));
    (log, pen)
}

fn blocks_of(records: &[Record]) -> Vec<HeldBlock> {
    replay(&log(records).0).expect("a good log").blocks
}

/// A log with every kind of record in it.
fn rich() -> Vec<u8> {
    let (mut log, mut pen) = log(&[block(0, 5), Record::Prefix { index: 1, len: 9, hash: 6 }]);
    pen.run(12, &mut log);
    let more = [
        Record::Synced,
        Record::Unproven,
        Record::Renewed("http://h/d/file.bin?key=2".into()),
        Record::Replaces(Some(Stamp { size: 5, mtime: -6, inode: 7 })),
        block(2, 8),
        Record::Invalid { first: 0, count: 1, why: "bits".into() },
        Record::Learnt(Identity { total: Some(1 << 20), ..Identity::default() }),
        Record::Whole { digest: begin().digest, dev: 1, inode: 2 },
        Record::Clean { size: 1, mtime: 2, ctime: 3, inode: 4 },
    ];
    more.iter().for_each(|record| pen.record(record, &mut log));
    log
}

#[test]
fn what_is_written_is_read() {
    let read = replay(&rich()).unwrap();
    assert_eq!(read.begin, begin());
    assert_eq!(read.salt, 11);
    assert_eq!(read.identity, Identity { total: Some(1 << 20), ..Identity::default() });
    assert_eq!(read.blocks, [held(1, 9, 6, true), held(2, BLOCK, 8, false)]);
    assert_eq!(read.whole, Some(replay::Whole { digest: begin().digest, dev: 1, inode: 2 }));
    assert_eq!(read.clean, Some(replay::Clean { size: 1, mtime: 2, ctime: 3, inode: 4 }));
    assert!(read.unproven);
    assert_eq!(read.renewed.as_deref(), Some("http://h/d/file.bin?key=2"));
    assert_eq!(read.replaces, Some(Stamp { size: 5, mtime: -6, inode: 7 }));
    assert_eq!(read.good_len, rich().len() as u64);
}

#[test]
fn the_last_word_on_a_block_counts() {
    let shorter = Record::Prefix { index: 0, len: 3, hash: 2 };
    assert_eq!(blocks_of(&[block(0, 1), shorter]), [held(0, 3, 2, false)]);
    let gone = |first, count| Record::Invalid { first, count, why: String::new() };
    assert_eq!(blocks_of(&[block(0, 1), gone(0, 1)]), []);
    assert_eq!(blocks_of(&[gone(0, 1), block(0, 1)]), [held(0, BLOCK, 1, false)]);
    assert_eq!(blocks_of(&[block(0, 1), gone(0, 0)]), [held(0, BLOCK, 1, false)]);
    assert_eq!(blocks_of(&[block(2, 1), gone(1, u32::MAX)]), []);
}

#[test]
fn a_sync_covers_what_was_recorded_before_it_began() {
    let (mut log, mut pen) = log(&[block(0, 1)]);
    let mark = pen.sequence();
    pen.record(&block(1, 2), &mut log);
    pen.synced(mark, &mut log);
    assert_eq!(replay(&log).unwrap().blocks, [held(0, BLOCK, 1, true), held(1, BLOCK, 2, false)]);
    // A mark from the future is a lie, and covers no more than what is there.
    pen.synced(u32::MAX, &mut log);
    pen.record(&block(2, 3), &mut log);
    assert!(!replay(&log).unwrap().blocks[2].synced);
}

#[test]
fn whatever_is_said_of_the_bytes_after_whole_takes_it_back() {
    let whole = Record::Whole { digest: None, dev: 1, inode: 2 };
    let is_whole = |then: &[Record]| {
        let (mut log, mut pen) = log(std::slice::from_ref(&whole));
        then.iter().for_each(|record| pen.record(record, &mut log));
        replay(&log).unwrap().whole.is_some()
    };
    assert!(is_whole(&[Record::Synced]));
    assert!(!is_whole(&[block(0, 1)]));
    assert!(!is_whole(&[Record::Invalid { first: 0, count: 1, why: String::new() }]));
    assert!(!is_whole(&[Record::Learnt(Identity::default())]));
}

#[test]
fn crh_12_a_log_cut_anywhere_gives_its_longest_good_prefix() {
    let log = rich();
    let mut lengths = Vec::new();
    for cut in 0..log.len() {
        let Ok(read) = replay(&log[..cut]) else { continue };
        assert!(read.good_len <= cut as u64);
        if lengths.last() != Some(&read.good_len) {
            lengths.push(read.good_len);
        }
        // What follows the good prefix is what was cut, and nothing before it was given up.
        assert_eq!(replay(&log[..read.good_len as usize]).unwrap(), read);
    }
    assert_eq!(lengths.len(), 12, "Begin and eleven records more, without the last");
}

#[test]
fn crh_12_a_flipped_bit_ends_the_log_where_it_is() {
    let log = rich();
    for bit in 0..log.len() * 8 {
        let mut bad = log.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        match replay(&bad) {
            Ok(read) => {
                assert!(read.good_len <= bit as u64 / 8);
                assert_eq!(read, replay(&log[..read.good_len as usize]).unwrap());
            }
            Err(why) => assert!(bit / 8 < first(&log).unwrap().2, "{why:?} at bit {bit}"),
        }
    }
}

#[test]
fn crh_12_bytes_of_an_older_log_never_follow() {
    let (old, _) = log(&[block(0, 1), block(1, 2)]);
    let (short, mut pen) = log(&[]);
    // A new run on the log cut to its beginning; the old one's records still stand where the new ones end.
    let mut new = short.clone();
    pen.run(99, &mut new);
    let run = new.len() - short.len();
    let record = (old.len() - short.len()) / 2;
    new.extend(&old[short.len() + record..]);
    let read = replay(&new).unwrap();
    assert_eq!(read.blocks, []);
    assert_eq!(read.good_len, (short.len() + run) as u64);
}

#[test]
fn an_unknown_record_is_skipped_or_refused_as_its_kind_says() {
    let with = |kind: u8| {
        let (mut log, mut pen) = log(&[]);
        pen.put_raw(kind, b"what is this", &mut log);
        pen.record(&block(0, 1), &mut log);
        replay(&log).map(|read| read.blocks.len())
    };
    assert_eq!(with(0x7f), Ok(1));
    assert_eq!(with(0xff), Err(Unreadable::Newer));
    assert_eq!(with(format::BLOCK), Err(Unreadable::Newer), "signed well, and too short to be one");
}

#[test]
fn a_log_that_lies_about_itself_is_refused_cheaply() {
    let lie = |change: &dyn Fn(&mut Begin)| {
        let mut lying = begin();
        change(&mut lying);
        let mut log = Vec::new();
        Pen::begin(1, &lying, &mut log);
        replay(&log).map(|_| ())
    };
    for size in [0, 1, 4095, 2048, 3 << 20, 32 << 20, 1 << 31] {
        assert_eq!(lie(&|b| b.block_size = size), Err(Unreadable::Newer));
    }
    // Four thousand million headers, in a record of a few bytes.
    let (mut log, mut pen) = (Vec::new(), Pen { salt: 0, sequence: 0 });
    log.extend_from_slice(format::MAGIC);
    let mut body = 1u64.to_le_bytes().to_vec();
    body.extend([0; 8]);
    body.extend(u32::MAX.to_le_bytes());
    pen.put_raw(format::BEGIN, &body, &mut log);
    assert_eq!(replay(&log).unwrap_err(), Unreadable::Newer);
}

/// The body of a first record, for who changes a byte of it.
fn first_body() -> Vec<u8> {
    let log = log(&[]).0;
    log[format::MAGIC.len() + format::HEADER..log.len() - (format::FRAME - format::HEADER)].to_vec()
}

#[test]
fn a_log_whose_first_record_is_signed_well_and_says_nonsense_is_refused() {
    let begun = |body: &[u8]| {
        let (mut log, mut pen) = (format::MAGIC.to_vec(), Pen { salt: 0, sequence: 0 });
        pen.put_raw(format::BEGIN, body, &mut log);
        replay(&log).map(|read| read.begin)
    };
    let body = first_body();
    assert_eq!(begun(&body), Ok(begin()));
    for len in 0..body.len() {
        assert_eq!(begun(&body[..len]), Err(Unreadable::Newer), "{len} bytes");
    }
    // Its last byte says yes or no.
    let [before @ .., _] = &body[..] else { panic!("an empty record") };
    assert_eq!(begun(&[before, &[2]].concat()), Err(Unreadable::Newer));
}

#[test]
fn a_block_longer_than_blocks_are_is_refused() {
    let (longest, over) = (Record::Prefix { index: 0, len: BLOCK, hash: 1 }, BLOCK + 1);
    assert_eq!(blocks_of(&[longest]).len(), 1);
    let over = Record::Prefix { index: 0, len: over, hash: 1 };
    assert_eq!(replay(&log(&[over]).0).unwrap_err(), Unreadable::Newer);
}

#[test]
#[should_panic(expected = "the engine writes these itself")]
fn the_records_that_carry_a_salt_are_written_by_nobody_else() {
    log(&[Record::Run]);
}

#[test]
fn every_reason_is_told_in_words_of_its_own() {
    use Unreadable::{Empty, Foreign, Newer, TooLarge, Torn};
    let words = [
        (Empty, "empty"),
        (Foreign, "not a journal"),
        (Torn, "damaged"),
        (Newer, "does not understand"),
        (TooLarge, "larger"),
    ];
    for (why, word) in words {
        let told = words.iter().filter(|(other, _)| other.why().contains(word)).map(|(other, _)| *other);
        assert_eq!(told.collect::<Vec<_>>(), [why], "{}", why.why());
    }
}

#[test]
fn what_is_written_anew_says_all_that_was_said() {
    let (_dir, journal) = on_disk();
    let whole = Record::Whole { digest: begin().digest, dev: 1, inode: 2 };
    let learnt = Identity { total: Some(1 << 20), ..Identity::default() };
    let short = Record::Prefix { index: 1, len: 9, hash: 6 };
    let replaces = Record::Replaces(Some(Stamp { size: 5, mtime: 6, inode: 7 }));
    journal.append(&[Record::Learnt(learnt), replaces, block(0, 5), short, Record::Synced]).unwrap();
    journal.append(&[block(3, 7), whole]).unwrap();
    let before = reread(&journal);
    assert!(before.whole.is_some() && before.replaces.is_some() && !before.unproven);
    journal.compact_now().unwrap();
    let after = reread(&journal);
    // The identity that was learnt is what it begins with.
    let begin = Begin { identity: before.identity.clone(), ..before.begin };
    let (good_len, pen) = (after.good_len, after.pen.clone());
    assert_eq!(after, Replayed { begin, good_len, pen, ..before });
    // It goes on as one that was never written anew, from a salt of its own.
    journal.append(&[block(2, 9)]).unwrap();
    assert_eq!(reread(&journal).blocks.len(), 4);
    assert_ne!(after.pen.salt, before.pen.salt);
}

/// The rule: a mebibyte of history, and as much again as what must be said, and not a byte less.
#[test]
fn a_history_is_written_anew_only_when_most_of_it_is_history() {
    let (_dir, journal) = on_disk();
    let blocks: Vec<Record> = (0..4).map(|index| block(index, 1)).collect();
    journal.append(&blocks).unwrap();
    journal.compact_now().unwrap();
    let len = || fs::metadata(journal.entry().path()).unwrap().len().min(journal.locked().len);
    let live = len();
    let due = (1 << 20) + 2 * live;
    // A record of any length that changes nothing: of no block it says that it is not to be trusted.
    let idle = |len: u64| Record::Invalid { first: 0, count: 0, why: "x".repeat(len as usize - 29) };
    journal.append(&[idle(due - live)]).unwrap();
    assert_eq!(len(), due);
    journal.compact_if_due().unwrap();
    assert_eq!(len(), due, "it was written anew too early");
    journal.append(&[idle(29)]).unwrap();
    journal.compact_if_due().unwrap();
    assert_eq!(len(), live, "it was not written anew");
}

#[test]
fn a_sync_of_the_journal_goes_to_the_disk_and_says_what_came_of_it() {
    use crate::sys::watch::faults::{Errno, Fault, Faults, Kind, Plan};
    let (dir, journal) = on_disk();
    journal.sync().unwrap();
    let fault = Fault::Errno(Errno::IO.raw_os_error());
    let faults = Faults::below(dir.path(), Plan { kind: Kind::Sync, fault, first: 0, count: 1 });
    assert!(journal.sync().is_err());
    assert_eq!(faults.met(), 1);
    journal.sync().unwrap();
}

#[test]
fn blocks_beyond_the_end_are_not_believed() {
    let last = Record::Block { index: 4, len: 1, hash: 1 };
    assert_eq!(blocks_of(&[last, block(3, 1)]), [held(3, BLOCK, 1, false)]);
    let nothing = Record::Prefix { index: 2, len: 0, hash: 1 };
    assert_eq!(blocks_of(&[nothing]), [], "no byte of it is held");
    let far = Record::Block { index: u32::MAX, len: BLOCK, hash: 1 };
    assert_eq!(blocks_of(&[far]), []);
}

#[test]
fn crh_14_what_is_no_journal_says_which_kind_of_none() {
    assert_eq!(replay(b"").unwrap_err(), Unreadable::Empty);
    assert_eq!(replay(&[0; 4096]).unwrap_err(), Unreadable::Empty);
    assert_eq!(replay(b"PK\x03\x04 a zip file").unwrap_err(), Unreadable::Foreign);
    assert_eq!(replay(b"thence\0\x02").unwrap_err(), Unreadable::Newer);
    assert_eq!(replay(b"the").unwrap_err(), Unreadable::Torn);
    assert_eq!(replay(&rich()[..40]).unwrap_err(), Unreadable::Torn);
}

/// A journal on disk, begun with `begin()`.
fn on_disk() -> (tempfile::TempDir, Journal) {
    let dir = tempfile::tempdir().expect("a directory for the test");
    let path = sys::Dir::open(dir.path()).unwrap().entry("file.bin.thence");
    let file = sys::create_new(&path).expect("a new file");
    let journal = Journal::create(path, file, &begin(), 11).expect("a new journal");
    (dir, journal)
}

fn reread(journal: &Journal) -> Replayed {
    replay(&fs::read(journal.entry().path()).unwrap()).unwrap()
}

#[test]
fn a_journal_is_gone_on_with_after_its_last_good_record() {
    let (_dir, journal) = on_disk();
    journal.append(&[block(0, 1)]).unwrap();
    let mut torn = fs::read(journal.entry().path()).unwrap();
    let good = torn.len();
    torn.extend([0xee; 30]);
    fs::write(journal.entry().path(), &torn).unwrap();

    let (file, _) = sys::open_regular(journal.entry(), true).unwrap().unwrap();
    let read = read(&file, &Limits::default()).unwrap().unwrap();
    assert_eq!(read.good_len, good as u64);
    let journal = Journal::reopen(journal.entry().clone(), file, &read).unwrap();
    journal.append(&[block(1, 2)]).unwrap();
    assert_eq!(reread(&journal).blocks, [held(0, BLOCK, 1, false), held(1, BLOCK, 2, false)]);
}

#[test]
fn a_journal_beyond_the_limit_is_not_read() {
    let (_dir, journal) = on_disk();
    let (file, _) = sys::open_regular(journal.entry(), false).unwrap().unwrap();
    let read = |journal_bytes| read(&file, &Limits { journal_bytes, ..Limits::default() }).unwrap();
    let size = fs::metadata(journal.entry().path()).unwrap().len();
    assert_eq!(read(size - 1), Err(Unreadable::TooLarge));
    assert!(read(size).is_ok());
}

#[test]
fn a_long_history_is_written_anew_and_says_the_same() {
    let (dir, journal) = on_disk();
    fs::write(dir.path().join("file.bin.thence.new"), "left by a crash").unwrap();
    journal.append(&[block(0, 1)]).unwrap();
    journal.synced(journal.mark()).unwrap();
    journal.append(&[Record::Unproven]).unwrap();
    for len in 0..30_000 {
        journal.append(&[Record::Prefix { index: 1, len: len + 1, hash: u128::from(len) }]).unwrap();
        journal.compact_if_due().unwrap();
    }
    assert!(fs::metadata(journal.entry().path()).unwrap().len() < SLACK + 4096);
    let read = reread(&journal);
    assert_eq!(read.begin, begin());
    assert!(read.unproven, "a later strict run must know");
    assert_eq!(read.salt, 11, "the key of the header hashes");
    assert_eq!(read.blocks, [held(0, BLOCK, 1, true), held(1, 30_000, 29_999, false)]);
    assert!(!dir.path().join("file.bin.thence.new").exists());
}

#[test]
fn a_header_hash_depends_on_name_value_and_journal() {
    let hash = header_hash(1, "Authorization", "Bearer x");
    assert_eq!(hash, header_hash(1, "authorization", "Bearer x"));
    assert_ne!(hash, header_hash(1, "authorization", "Bearer y"));
    assert_ne!(hash, header_hash(1, "cookie", "Bearer x"));
    assert_ne!(hash, header_hash(2, "authorization", "Bearer x"));
}

#[test]
fn dsk_01_an_append_that_failed_is_followed_by_nothing_unless_it_is_cut_off() {
    let (_dir, journal) = on_disk();
    let before = reread(&journal);
    // Neither written to nor cut: opened for reading only.
    let (file, _) = sys::open_regular(journal.entry(), false).unwrap().unwrap();
    let writable = std::mem::replace(&mut journal.locked().file, Arc::new(file));
    assert!(journal.append(&[block(0, 1)]).is_err());
    journal.locked().file = writable;
    let error = journal.append(&[block(1, 2)]).unwrap_err();
    assert!(error.why.contains("earlier"), "{error}");
    assert_eq!(reread(&journal), before);
}

#[test]
fn dsk_01_room_is_kept_ahead_of_the_logs_end_and_asked_for_rarely() {
    let (_dir, journal) = on_disk();
    let (mut reserved, mut asked) = (journal.locked().reserved, 0);
    for n in 0..4_000 {
        journal.append(&[block(n % 4, n.into())]).unwrap();
        let state = journal.locked();
        assert!((32 << 10..=64 << 10).contains(&(state.reserved - state.len)), "{n}");
        asked += u32::from(state.reserved != reserved);
        reserved = state.reserved;
    }
    assert!((2..20).contains(&asked), "{asked} times");
}
