use super::*;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::file::tests::{BLOCK, URL, dir, draft, find_in, names, small, store};
use crate::file::{place, retire};
use crate::find::Found;

const TOTAL: u64 = 4 * BLOCK as u64;

pub(crate) fn finish() -> Finish {
    Finish {
        total: TOTAL,
        mode: 0o644,
        mtime: None,
        url: URL.into(),
        identity: Identity { total: Some(TOTAL), ..Identity::default() },
        digest: None,
        replaces: None,
        exists: Exists::Rename,
        adopted: None,
        limits: Limits::default(),
    }
}

/// A pair that holds all four blocks, and a retired one beside it.
fn whole(dir: &Path) -> Pair {
    let old = place(&draft(dir)).unwrap();
    store(&old, 0, 9);
    retire(old, &Limits::default()).unwrap();
    let pair = place(&draft(dir)).unwrap();
    (0..4).for_each(|index| store(&pair, index, index as u8 + 1));
    pair
}

/// Only the first so many steps of the walk are taken.
pub(crate) fn cut_off(pair: &Pair, finish: &Finish, steps: usize) {
    let mut walk = Walk::new(pair, finish);
    STEPS.iter().take(steps).for_each(|&step| walk.take(step).unwrap());
}

fn is_published(path: &Path) -> bool {
    let bytes = fs::read(path).unwrap();
    bytes.len() as u64 == TOTAL
        && bytes.chunks(BLOCK as usize).zip(1..).all(|(b, n)| b.iter().all(|&x| x == n))
}

#[test]
fn a_published_file_stands_alone_and_is_known_again() {
    let dir = dir();
    let pair = whole(dir.path());
    let mtime = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    let path = publish(&pair, &Finish { mtime: Some(mtime), ..finish() }).unwrap();
    drop(pair);
    assert_eq!(path, dir.path().join("file.bin"));
    assert_eq!(names(dir.path()), ["file.bin"]);
    assert!(is_published(&path));
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!((metadata.permissions().mode() & 0o7777, metadata.modified().unwrap()), (0o644, mtime));
    #[cfg(not(thence_portable))]
    {
        let found = |url| find_in(dir.path(), Some("file.bin"), url).unwrap();
        assert!(matches!(found(URL), Found::Finished { bytes: TOTAL, .. }));
        assert!(matches!(found("http://h/d/file.bin?other"), Found::Nothing));
        // Written to since, it is no longer the file that was fetched.
        fs::write(&path, vec![0; TOTAL as usize]).unwrap();
        assert!(matches!(found(URL), Found::Nothing));
    }
}

#[test]
fn every_step_is_durable_before_the_next_depends_on_it() {
    let at = |step| STEPS.iter().position(|&s| s == step).expect("a step of the walk");
    assert!(at(Step::Truncate) < at(Step::SyncPart) && at(Step::Dress) < at(Step::SyncPart));
    assert!(at(Step::SyncPart) < at(Step::RecordWhole));
    assert!(at(Step::RecordWhole) < at(Step::Rename));
    assert!(at(Step::Rename) < at(Step::SyncDirectory));
    assert!(at(Step::SyncDirectory) < at(Step::Clear));
    assert_eq!(STEPS.last(), Some(&Step::SyncDirectory));
}

#[test]
fn crh_10_a_publication_cut_off_after_any_step_is_completed_by_the_next_run() {
    for steps in 0..=STEPS.len() {
        let dir = dir();
        let pair = whole(dir.path());
        let finish = finish();
        cut_off(&pair, &finish, steps);
        drop(pair);

        match find_in(dir.path(), Some("file.bin"), URL).unwrap() {
            Found::Pair(work) => {
                assert!(steps <= 4, "the rename was made");
                assert_eq!(work.held.whole, steps == 4, "after step {steps}");
                assert_eq!(work.held.blocks.len(), 4);
                publish(&work.pair, &finish).unwrap();
            }
            Found::Finished { path, bytes } => {
                assert!(steps > 4, "nothing was published yet");
                assert_eq!((path, bytes), (dir.path().join("file.bin"), TOTAL));
            }
            // Without attributes nothing knows a finished file again once its journal is gone.
            Found::Nothing => assert!(cfg!(thence_portable) && steps > 6),
            _ => panic!("after step {steps}"),
        }
        assert_eq!(names(dir.path()), ["file.bin"], "after step {steps}");
        assert!(is_published(&dir.path().join("file.bin")));
    }
}

#[test]
fn crh_10_a_publication_by_link_cut_off_before_the_unlink_is_completed() {
    let dir = dir();
    let pair = whole(dir.path());
    let finish = finish();
    cut_off(&pair, &finish, 4);
    fs::hard_link(pair.part_path(), dir.path().join("file.bin")).unwrap();
    drop(pair);
    assert!(matches!(find_in(dir.path(), None, URL).unwrap(), Found::Finished { .. }));
    assert_eq!(names(dir.path()), ["file.bin"]);
    assert!(is_published(&dir.path().join("file.bin")));
}

#[test]
fn crh_18_a_part_swapped_after_whole_is_not_whole() {
    let dir = dir();
    let pair = whole(dir.path());
    let finish = finish();
    let mut walk = Walk::new(&pair, &finish);
    STEPS.iter().take(4).for_each(|&step| walk.take(step).unwrap());
    let copy = dir.path().join("copy");
    fs::write(&copy, vec![0; TOTAL as usize]).unwrap();
    fs::rename(&copy, pair.part_path()).unwrap();
    // This run notices before it publishes a stranger's bytes, and the next one verifies them.
    assert_eq!(walk.take(Step::Rename).unwrap_err().fault, DiskFault::Strange);
    drop(pair);
    let Found::Pair(work) = find_in(dir.path(), None, URL).unwrap() else { panic!("a pair") };
    assert!(!work.held.whole);
}

#[cfg(not(thence_portable))]
#[test]
fn crh_17_a_part_written_to_after_whole_is_not_whole() {
    let dir = dir();
    let pair = whole(dir.path());
    let finish = finish();
    let mut walk = Walk::new(&pair, &finish);
    STEPS.iter().take(4).for_each(|&step| walk.take(step).unwrap());
    // Far enough from the last write for a clock of any grain.
    std::thread::sleep(std::time::Duration::from_millis(20));
    pair.part.write_at(5, &mut [std::io::IoSlice::new(b"x")]).unwrap();
    drop(pair);
    let Found::Pair(work) = find_in(dir.path(), None, URL).unwrap() else { panic!("a pair") };
    assert!(!work.held.whole);
}

#[test]
fn pth_06_a_name_taken_meanwhile_is_left_alone_as_exists_says() {
    for (exists, name) in [(Exists::Rename, Some("file.1.bin")), (Exists::Error, None), (Exists::Skip, None)]
    {
        let dir = dir();
        let pair = whole(dir.path());
        fs::write(dir.path().join("file.bin"), "mine").unwrap();
        let published = publish(&pair, &Finish { exists, ..finish() });
        assert_eq!(fs::read(dir.path().join("file.bin")).unwrap(), b"mine");
        match name {
            Some(name) => assert!(is_published(&dir.path().join(name)) && published.is_ok()),
            None => {
                assert_eq!(published.unwrap_err().fault, DiskFault::Exists);
                drop(pair);
                let Found::Pair(work) = find_in(dir.path(), Some("file.bin"), URL).unwrap() else {
                    panic!("the whole part stays")
                };
                assert!(work.held.whole);
            }
        }
    }
}

#[test]
fn crh_10_an_orphan_published_under_a_number_is_found() {
    let dir = dir();
    let pair = whole(dir.path());
    fs::write(dir.path().join("file.bin"), "mine").unwrap();
    let finish = finish();
    let mut walk = Walk::new(&pair, &finish);
    STEPS.iter().take(5).for_each(|&step| walk.take(step).unwrap());
    drop(pair);
    let found = find_in(dir.path(), None, URL).unwrap();
    let Found::Finished { path, .. } = found else { panic!("it is there") };
    assert_eq!(path, dir.path().join("file.1.bin"));
    assert_eq!(names(dir.path()), ["file.1.bin", "file.bin"]);
}

#[test]
fn pth_16_a_final_name_that_became_a_link_is_never_followed() {
    for exists in [Exists::Rename, Exists::Error, Exists::Overwrite] {
        let dir = dir();
        let pair = whole(dir.path());
        let victim = dir.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        symlink(&victim, dir.path().join("file.bin")).unwrap();
        let published = publish(&pair, &Finish { exists, ..finish() });
        assert_eq!(published.is_ok(), exists != Exists::Error);
        assert_eq!(fs::read(&victim).unwrap(), b"mine");
        if exists == Exists::Overwrite {
            assert!(is_published(&dir.path().join("file.bin")));
            assert!(fs::symlink_metadata(dir.path().join("file.bin")).unwrap().is_file());
        }
    }
}

#[test]
fn dsk_13_a_directory_at_the_final_name_is_an_error_and_the_part_stays() {
    let dir = dir();
    let pair = whole(dir.path());
    fs::create_dir(dir.path().join("file.bin")).unwrap();
    let error = publish(&pair, &Finish { exists: Exists::Overwrite, ..finish() }).unwrap_err();
    assert_eq!(error.fault, DiskFault::Strange);
    assert!(pair.part_path().exists());
}

#[test]
fn a_small_file_is_published_too() {
    let dir = dir();
    let pair = place(&small(dir.path())).unwrap();
    pair.part.write_at(0, &mut [std::io::IoSlice::new(b"nine byte")]).unwrap();
    let path = publish(&pair, &Finish { total: 9, ..finish() }).unwrap();
    assert_eq!(fs::read(path).unwrap(), b"nine byte");
    assert_eq!(names(dir.path()), ["file.bin"]);
}
