//! Where files have marks.

#![cfg(all(target_os = "linux", not(thence_portable)))]

use super::*;

use std::fs;
use std::path::Path;

use thence_plan::{EntityTag, Exists, Limits};

use crate::file::tests::{BLOCK, URL, dir, draft, names, store};
use crate::file::{Draft, place};
use crate::publish::{Finish, publish};

fn version() -> Identity {
    let etag = Some(EntityTag { weak: true, tag: "\"a\"".into() });
    let modified = Some("Sun, 06 Nov 1994 08:49:37 GMT".to_owned());
    Identity { total: Some(4 * u64::from(BLOCK)), etag, modified, ..Identity::default() }
}

fn finish(replaces: Option<Facts>) -> Finish {
    Finish {
        total: 4 * u64::from(BLOCK),
        mode: 0o644,
        mtime: None,
        url: URL.into(),
        identity: version(),
        digest: None,
        replaces,
        adopted: None,
        exists: Exists::Error,
        limits: Limits::default(),
    }
}

/// A whole part, its blocks full of `byte`.
fn whole(dir: &Path, replaces: Option<Facts>, byte: u8) -> crate::file::Pair {
    let pair = place(&Draft { exists: Exists::Error, replaces, ..draft(dir) }).unwrap();
    (0..4).for_each(|index| store(&pair, index, byte));
    pair
}

fn published(dir: &Path) -> PathBuf {
    publish(&whole(dir, None, 1), &finish(None)).unwrap()
}

fn found(path: &Path, chosen: Option<&str>) -> Found {
    find(&Dir::open(path).unwrap(), chosen, URL).unwrap()
}

#[test]
fn a_published_file_tells_its_version() {
    let dir = dir();
    assert!(found(dir.path(), None).standing.is_none());
    published(dir.path());
    for chosen in [None, Some("file.bin")] {
        let standing = found(dir.path(), chosen).standing.unwrap();
        assert_eq!((&*standing.name, &standing.version, standing.marked), ("file.bin", &version(), true));
    }
    assert!(found(dir.path(), Some("other")).standing.is_none());
    let other = find(&Dir::open(dir.path()).unwrap(), None, "http://h/other/file.bin").unwrap();
    assert!(other.standing.is_none() && other.edited.is_none(), "of another URL");
}

#[test]
fn one_that_was_written_to_is_no_version_of_anything() {
    let dir = dir();
    let path = published(dir.path());
    fs::write(&path, "mine").unwrap();
    let found = found(dir.path(), None);
    assert_eq!((found.standing.is_none(), found.edited), (true, Some(path)));
}

#[test]
fn one_without_a_mark_has_its_time() {
    let dir = dir();
    let path = dir.path().join("file.bin");
    let file = fs::File::create(&path).unwrap();
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(784_111_777)).unwrap();
    let standing = found(dir.path(), None).standing.unwrap();
    assert_eq!((standing.marked, standing.version.total), (false, Some(0)));
    assert_eq!(standing.version.modified, version().modified);
    file.set_modified(std::time::UNIX_EPOCH - std::time::Duration::from_secs(5)).unwrap();
    assert_eq!(found(dir.path(), None).standing.unwrap().version.modified, None, "before all dates");
}

#[test]
fn pth_06_only_the_very_file_is_replaced() {
    let dir = dir();
    let path = published(dir.path());
    let facts = found(dir.path(), None).standing.unwrap().facts;
    let pair = whole(dir.path(), Some(facts), 2);
    assert_eq!(fs::read(&path).unwrap()[0], 1, "until the new one is whole");
    fs::write(&path, "mine").unwrap();
    assert!(publish(&pair, &finish(Some(facts))).is_err());
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    assert!(place(&Draft { exists: Exists::Error, replaces: Some(facts), ..draft(dir.path()) }).is_err());
    drop(pair);
    fs::remove_file(dir.path().join("file.bin.part")).unwrap();
    fs::remove_file(dir.path().join("file.bin.thence")).unwrap();
    fs::remove_file(&path).unwrap();
    published(dir.path());
    let facts = found(dir.path(), None).standing.unwrap().facts;
    publish(&whole(dir.path(), Some(facts), 2), &finish(Some(facts))).unwrap();
    assert_eq!((fs::read(&path).unwrap()[0], names(dir.path()).len()), (2, 1));
}
