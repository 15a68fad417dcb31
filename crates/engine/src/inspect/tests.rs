use super::*;

use std::fs;
use std::os::unix::fs::FileExt;

use crate::file::place;
use crate::file::tests::{BLOCK, URL, dir, draft, names, store};
use crate::publish::{Finish, publish};

/// Everything in the directory, byte for byte.
fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    names(dir).into_iter().map(|name| (name.clone(), fs::read(dir.join(name)).unwrap())).collect()
}

#[test]
fn status_tells_what_is_held_and_changes_nothing() {
    let dir = dir();
    let pair = place(&draft(dir.path())).unwrap();
    store(&pair, 0, 1);
    store(&pair, 3, 1);
    let before = contents(dir.path());
    assert!(status(dir.path()).unwrap()[0].in_use);
    drop(pair);
    for path in ["", "file.bin", "file.bin.part", "file.bin.thence"] {
        let [report] = &status(&dir.path().join(path)).unwrap()[..] else { panic!("one part") };
        assert_eq!((&*report.name, &*report.url, report.in_use), ("file.bin", URL, false));
        assert_eq!((report.held, report.total), (2 * u64::from(BLOCK), Some(4 * u64::from(BLOCK))));
        let quarter = [[255; 16], [0; 16], [0; 16], [255; 16]].concat();
        assert_eq!(report.map, quarter);
    }
    assert_eq!(contents(dir.path()), before);
}

#[test]
fn a_map_is_full_only_where_everything_is_held() {
    let held = |index, len| HeldBlock { index, len, hash: 0, synced: false };
    assert_eq!(map(&[held(0, 4096)], 4096, 4096), [255; 64]);
    assert!(map(&[held(0, 4095)], 4096, 4096)[63] < 255);
    assert_eq!(map(&[held(0, 3)], 4096, 3), [255; 64], "fewer bytes than stretches");
    assert_eq!(map(&[], 4096, 100), [[0; 1]; 64].concat());
    let far = held(u32::MAX, 4096);
    assert_eq!(map(&[far], 4096, u64::MAX)[63], 0, "a total that somebody made up");
}

#[test]
fn crh_17_verifying_a_part_names_the_damaged_stretches() {
    let dir = dir();
    let pair = place(&draft(dir.path())).unwrap();
    (0..4).for_each(|index| store(&pair, index, 7));
    drop(pair);
    let path = dir.path().join("file.bin.part");
    let before = contents(dir.path());
    let good = verify(&path, None).unwrap();
    assert!(good.bad.is_empty() && good.checked == 4 * u64::from(BLOCK));
    assert_eq!(contents(dir.path()), before);

    let part = fs::OpenOptions::new().write(true).open(&path).unwrap();
    part.write_at(&[8], u64::from(BLOCK)).unwrap();
    part.write_at(&[8], 3 * u64::from(BLOCK) - 1).unwrap();
    let bad = verify(&path, None).unwrap();
    assert_eq!(bad.bad, [(u64::from(BLOCK), 3 * u64::from(BLOCK))]);
}

fn is_right(path: &Path, digest: Option<&WantedDigest>) -> bool {
    verify(path, digest).is_ok_and(|report| report.digest_ok == Some(true))
}

#[test]
fn verifying_a_finished_file_compares_the_digest_it_carries_or_is_given() {
    let dir = dir();
    let pair = place(&draft(dir.path())).unwrap();
    (0..4).for_each(|index| store(&pair, index, 7));
    let total = 4 * u64::from(BLOCK);
    let mut digester = Digester::new("sha-256").unwrap();
    digester.feed(&pair.part, total).unwrap();
    let digest = Some(digester.finish());
    assert!(is_right(&pair.part_path(), digest.as_ref()), "a part that holds everything has it too");
    let finish = Finish {
        total,
        mode: 0o644,
        mtime: None,
        url: URL.into(),
        identity: Default::default(),
        digest: digest.clone(),
        replaces: None,
        exists: Default::default(),
        adopted: None,
        limits: Limits::default(),
    };
    let path = publish(&pair, &finish).unwrap();
    assert!(is_right(&path, digest.as_ref()));
    assert_eq!(is_right(&path, None), cfg!(not(thence_portable)), "by the digest it carries");
    fs::OpenOptions::new().write(true).open(&path).unwrap().write_at(b"x", 9).unwrap();
    assert!(!is_right(&path, digest.as_ref()));
}

#[test]
fn what_cannot_be_looked_at_says_why() {
    let dir = dir();
    let path = dir.path().join("file.bin");
    assert!(matches!(status(&path), Err(Error::Disk { fault: DiskFault::Missing, .. })));
    assert!(matches!(verify(&path, None), Err(Error::Disk { fault: DiskFault::Missing, .. })));
    fs::write(&path, "no digest").unwrap();
    let unchecked = verify(&path, None).unwrap();
    assert_eq!((unchecked.checked, unchecked.digest_ok, unchecked.digest), (0, None, None));
    let unknown = WantedDigest { algorithm: "crc32".into(), bytes: vec![0; 4] };
    assert!(matches!(verify(&path, Some(&unknown)), Err(Error::Option(_))));
    fs::write(dir.path().join("file.bin.part"), "no journal").unwrap();
    assert!(matches!(status(&path), Err(Error::Journal { .. })));
    assert_eq!(status(dir.path()).unwrap(), []);
}

#[test]
fn crh_14_a_typed_part_that_cannot_be_gone_on_with_says_why() {
    let dir = dir();
    let pair = place(&draft(dir.path())).unwrap();
    store(&pair, 0, 1);
    drop(pair);
    let part = dir.path().join("file.bin.part");
    assert_eq!(source_of(&part).unwrap(), (dir.path().into(), "file.bin".into(), URL.into()));
    let why = || match source_of(&part) {
        Err(Error::Journal { why, .. }) => why,
        other => panic!("{other:?}"),
    };
    fs::write(dir.path().join("file.bin.thence"), "").unwrap();
    assert!(why().contains("empty"));
    fs::write(dir.path().join("file.bin.thence"), "a diary").unwrap();
    assert!(why().contains("not a journal"));
    fs::remove_file(dir.path().join("file.bin.thence")).unwrap();
    assert!(why().contains("missing"));
}
