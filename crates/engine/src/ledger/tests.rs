use std::fs::{self, OpenOptions};
use std::io::Write;

use tempfile::TempDir;

use super::*;

fn at(dir: &TempDir) -> PathBuf {
    dir.path().join("list.thence")
}

fn open(dir: &TempDir) -> Ledger {
    Ledger::open(&at(dir), &Limits::default()).unwrap()
}

fn keys(from: u64, to: u64) -> Vec<u128> {
    (from..to).map(|line| entry_key(b"/d", &line.to_le_bytes())).collect()
}

/// A ledger with two runs of entries, let go.
fn written(dir: &TempDir) -> Vec<u128> {
    let done = keys(0, 10_000);
    open(dir).done(&done[..6_000]).unwrap();
    open(dir).done(&done[6_000..]).unwrap();
    done
}

#[test]
fn what_was_done_is_known_to_the_next_run() {
    let dir = tempfile::tempdir().unwrap();
    let done = written(&dir);
    let held = open(&dir).held();
    assert_eq!(held.count(), done.len());
    assert!(done.iter().all(|key| held.has(*key)) && !keys(10_000, 11_000).iter().any(|key| held.has(*key)));
}

#[test]
fn an_entry_that_changed_or_goes_elsewhere_is_another() {
    let key = entry_key(b"/d", b"http://h/\n  out=a\n");
    assert_ne!(key, entry_key(b"/d", b"http://h/\n  out=b\n"));
    assert_ne!(key, entry_key(b"/e", b"http://h/\n  out=a\n"));
}

#[test]
fn lck_01_of_two_on_one_list_one_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(&dir);
    let second = Ledger::open(&at(&dir), &Limits::default()).unwrap_err();
    assert!(matches!(second, Error::Disk { fault: DiskFault::InUse, .. }), "{second}");
    assert_eq!(ledger_status(&at(&dir), &Limits::default()).unwrap(), Some((0, true)));
    drop(first);
    assert_eq!(ledger_status(&at(&dir), &Limits::default()).unwrap(), Some((0, false)));
}

#[test]
fn crh_12_a_ledger_cut_anywhere_gives_its_longest_good_prefix() {
    let dir = tempfile::tempdir().unwrap();
    let done = keys(0, 40);
    done.chunks(10).for_each(|keys| open(&dir).done(keys).unwrap());
    let log = fs::read(at(&dir)).unwrap();
    let mut most = 0;
    for len in 0..=log.len() {
        fs::write(at(&dir), &log[..len]).unwrap();
        let held = open(&dir).held();
        assert!(held.count().is_multiple_of(10) && held.count() >= most, "{len} of {}", log.len());
        assert!(done[..held.count()].iter().all(|key| held.has(*key)));
        most = held.count();
    }
    assert_eq!(most, 40);
}

#[test]
fn crh_17_a_flipped_bit_ends_the_ledger_there_and_lies_of_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let done = keys(0, 40);
    done.chunks(10).for_each(|keys| open(&dir).done(keys).unwrap());
    let log = fs::read(at(&dir)).unwrap();
    for flipped in MAGIC.len()..log.len() {
        let mut bad = log.clone();
        bad[flipped] ^= 4;
        fs::write(at(&dir), &bad).unwrap();
        let known = Ledger::open(&at(&dir), &Limits::default()).map(|ledger| ledger.held().0);
        assert!(known.is_ok_and(|known| known.iter().all(|key| done.contains(key))), "byte {flipped}");
    }
}

#[test]
fn crh_12_entries_of_an_older_ledger_never_follow() {
    let dir = tempfile::tempdir().unwrap();
    open(&dir).done(&keys(0, 10)).unwrap();
    let old = fs::read(at(&dir)).unwrap();
    fs::remove_file(at(&dir)).unwrap();
    drop(open(&dir));
    let new = fs::read(at(&dir)).unwrap();
    OpenOptions::new().append(true).open(at(&dir)).unwrap().write_all(&old[new.len()..]).unwrap();
    assert_eq!(open(&dir).held().count(), 0);
}

#[test]
fn what_is_no_ledger_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    for text in [&b"somebody's file"[..], b"thencel\x02 from later", b"thence\0\x01"] {
        fs::write(at(&dir), text).unwrap();
        let refused = Ledger::open(&at(&dir), &Limits::default()).unwrap_err();
        assert!(matches!(refused, Error::Journal { .. }), "{refused}");
        assert_eq!(fs::read(at(&dir)).unwrap(), text);
    }
    let limits = Limits { ledger_bytes: 4, ..Limits::default() };
    assert!(Ledger::open(&at(&dir), &limits).is_err(), "larger than the limit");
}

#[cfg(unix)]
#[test]
fn pth_10_a_ledger_that_is_a_link_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("victim"), "mine").unwrap();
    std::os::unix::fs::symlink(dir.path().join("victim"), at(&dir)).unwrap();
    assert!(Ledger::open(&at(&dir), &Limits::default()).is_err());
    assert!(Failures::at(&at(&dir)).is_err());
    assert_eq!(fs::read(dir.path().join("victim")).unwrap(), b"mine");
}

#[test]
fn what_failed_is_written_down_and_goes_with_the_next_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("list.failed");
    let mut failures = Failures::at(&path).unwrap();
    assert_eq!(failures.path(), None, "nothing is made for nothing");
    failures.add("http://a/\n").unwrap();
    failures.add("http://b/\n").unwrap();
    assert!(fs::read_to_string(&path).unwrap().ends_with("http://a/\nhttp://b/\n"));
    assert_eq!(Failures::at(&path).unwrap().path(), None);
    assert!(!path.exists());
    fs::write(&path, "somebody's").unwrap();
    assert!(Failures::at(&path).is_err() && path.exists());
}
