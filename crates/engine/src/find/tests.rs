use super::*;

use std::fs;

use thence_plan::{Exists, Record};

use crate::file::tests::{BLOCK, STRANGE, URL, dir, draft, find_in, names, store};
use crate::file::{Draft, place};

fn work(found: Result<Found, Error>) -> Work {
    match found {
        Ok(Found::Pair(work)) => *work,
        Ok(_) => panic!("no held work was found"),
        Err(e) => panic!("{e}"),
    }
}

/// A pair of another name than its URL has, with its first block stored.
fn left(dir: &Path, name: &str) {
    let pair = place(&Draft { name: name.into(), ..draft(dir) }).unwrap();
    store(&pair, 0, 1);
}

#[test]
fn held_work_is_found_by_name_and_by_url() {
    let dir = dir();
    left(dir.path(), "chosen");
    for name in [Some("chosen"), None] {
        let find = || find_in(dir.path(), name, URL);
        let work = work(find());
        assert_eq!((&*work.pair.name, &*work.held.name), ("chosen", "chosen"));
        assert_eq!(work.held.blocks.len(), 1);
        assert_eq!((work.held.block_size, work.held.identity.total), (BLOCK, Some(4 * u64::from(BLOCK))));
        assert!(matches!(find().unwrap(), Found::InUse { .. }), "it is locked while it is held");
    }
}

#[test]
fn a_pair_goes_on_wherever_it_was_moved() {
    let (from, to) = (dir(), dir());
    left(from.path(), "file.bin");
    fs::rename(from.path().join("file.bin.part"), to.path().join("x.part")).unwrap();
    fs::rename(from.path().join("file.bin.thence"), to.path().join("x.thence")).unwrap();
    let (dir, name) = pair_of(&to.path().join("x.part")).expect("a part's name");
    let work = work(find_in(&dir, Some(&name), URL));
    assert_eq!((&*work.pair.name, work.pair.dir.path()), ("x", to.path()));
}

#[test]
fn another_urls_part_is_only_looked_at() {
    let dir = dir();
    left(dir.path(), "file.bin");
    let before = fs::read(dir.path().join("file.bin.thence")).unwrap();
    let other = "http://h/other/file.bin";
    assert!(matches!(find_in(dir.path(), Some("file.bin"), other).unwrap(), Found::OtherUrl { .. }));
    assert!(matches!(find_in(dir.path(), None, other).unwrap(), Found::Nothing));
    assert_eq!(fs::read(dir.path().join("file.bin.thence")).unwrap(), before);
}

#[test]
fn a_journal_of_a_later_version_is_refused_and_not_touched() {
    let dir = dir();
    left(dir.path(), "file.bin");
    let path = dir.path().join("file.bin.thence");
    let mut bytes = fs::read(&path).unwrap();
    bytes[7] = 2;
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(find_in(dir.path(), Some("file.bin"), URL), Err(Error::Journal { .. })));
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_header_that_is_not_given_again_is_named() {
    let dir = dir();
    let secrets = vec![("Authorization".into(), "Bearer x".into()), ("Cookie".into(), "a=b".into())];
    drop(place(&Draft { secrets, ..draft(dir.path()) }).unwrap());
    let before = fs::read(dir.path().join("file.bin.thence")).unwrap();
    assert!(!before.windows(8).any(|bytes| bytes == b"Bearer x"), "P4");
    let limits = Limits::default();
    let with = |headers: &[(&str, &str)]| {
        let headers: Vec<_> = headers.iter().map(|&(n, v)| (n.to_owned(), Secret::from(v))).collect();
        find(&Wanted {
            dir: &Dir::open(dir.path()).unwrap(),
            name: None,
            urls: &[URL.to_owned()],
            headers: &headers,
            known: None,
            lately: &Lately::default(),
            limits: &limits,
        })
    };
    match with(&[("cookie", "a=b")]) {
        Err(Error::NeedsHeaders { names, .. }) => assert_eq!(names, ["Authorization"]),
        _ => panic!("it is missing"),
    }
    assert_eq!(fs::read(dir.path().join("file.bin.thence")).unwrap(), before);
    work(with(&[("cookie", "a=b"), ("authorization", "Bearer renewed")]));
}

#[test]
fn crh_12_the_torn_end_of_a_journal_is_cut_off_and_a_new_run_begins() {
    let dir = dir();
    left(dir.path(), "file.bin");
    let path = dir.path().join("file.bin.thence");
    let mut bytes = fs::read(&path).unwrap();
    let good = bytes.len();
    bytes.extend([7; 100]);
    fs::write(&path, bytes).unwrap();
    drop(work(find_in(dir.path(), None, URL)));
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes[good..good + 4], [8, 0, 0, 0], "the record Run");
    assert_eq!(bytes.len(), good + 9 + 8 + 8, "and nothing else");
    assert_eq!(work(find_in(dir.path(), None, URL)).held.blocks.len(), 1);
}

#[test]
fn pth_12_crh_14_no_file_is_refused_without_waiting() {
    for (kind, make) in STRANGE {
        let dir = dir();
        make(&dir.path().join("file.bin.part"));
        assert!(matches!(find_in(dir.path(), Some("file.bin"), URL), Err(Error::Disk { .. })), "{kind}");
    }
}

#[test]
fn crh_14_a_strange_journal_elsewhere_is_no_reason_to_stop() {
    for (_, make) in STRANGE {
        let dir = dir();
        make(&dir.path().join("aaa.thence"));
        fs::write(dir.path().join("bbb.thence"), "a diary").unwrap();
        left(dir.path(), "chosen");
        assert_eq!(work(find_in(dir.path(), None, URL)).pair.name, "chosen");
    }
}

#[test]
fn a_path_names_a_pair_by_its_suffix() {
    let pair = |path: &str| pair_of(Path::new(path)).map(|(dir, name)| format!("{} {name}", dir.display()));
    assert_eq!(pair("d/a.bin.part").as_deref(), Some("d a.bin"));
    assert_eq!(pair("/a.thence").as_deref(), Some("/ a"));
    assert_eq!(pair("a.part").as_deref(), Some(". a"));
    for none in ["a", "d/.part", ".thence", "a.part/", ".."] {
        assert_eq!(pair(none).is_some(), none == "a.part/", "{none}");
    }
}

#[test]
fn a_run_that_ended_in_order_leaves_no_doubt_and_a_change_since_does() {
    for touched in [false, true] {
        let dir = dir();
        let pair = place(&draft(dir.path())).unwrap();
        store(&pair, 0, 1);
        let clean: Record = pair.part.clean().unwrap();
        pair.journal.as_ref().unwrap().append(&[clean]).unwrap();
        let path = pair.part_path();
        drop(pair);
        if touched {
            // Far enough from the last write for a clock of any grain.
            std::thread::sleep(std::time::Duration::from_millis(20));
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            std::os::unix::fs::FileExt::write_at(&file, b"x", 0).unwrap();
        }
        assert_eq!(work(find_in(dir.path(), None, URL)).held.blocks[0].synced, !touched);
    }
}

#[test]
fn a_full_directory_is_searched_only_so_far() {
    let dir = dir();
    left(dir.path(), "chosen");
    let limits = Limits { directory_entries: 0, ..Limits::default() };
    let found = find(&Wanted {
        dir: &Dir::open(dir.path()).unwrap(),
        name: None,
        urls: &[URL.to_owned()],
        headers: &[],
        known: None,
        lately: &Lately::default(),
        limits: &limits,
    });
    assert!(matches!(found.unwrap(), Found::Nothing));
    let draft = Draft { exists: Exists::Error, name: "chosen".into(), ..draft(dir.path()) };
    assert_eq!(place(&draft).unwrap_err().fault, thence_plan::DiskFault::InUse, "and nothing is overwritten");
    assert_eq!(names(dir.path()).len(), 2);
}
