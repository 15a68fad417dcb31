use super::*;

use std::fs;
use std::path::PathBuf;

use thence_plan::{DiskFault, Record};

use crate::file::tests::{BLOCK, URL, dir, draft, find_in, names};
use crate::find::Found;
use crate::publish::tests::{cut_off, finish};
use crate::publish::{Finish, publish};
use crate::seed::tests::{noise, zsync};
use crate::sys::Dir;
use crate::verify::tests::hash;

const B: u64 = BLOCK as u64;

/// Four blocks, none of whose bytes is zero.
fn content() -> Vec<u8> {
    (0..4 * B).map(|at| (at % 251) as u8 + 1).collect()
}

/// aria2's control file of four blocks in pieces of one: those whose bits are set are claimed.
fn control(bits: u8) -> Vec<u8> {
    let mut out = vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    out.extend(BLOCK.to_be_bytes());
    out.extend((4 * B).to_be_bytes());
    out.extend([0; 8]);
    out.extend(1u32.to_be_bytes());
    out.push(bits);
    out.extend([0; 4]);
    out
}

fn look(dir: &Path) -> Option<Result<Partial, Useless>> {
    beside(&Dir::open(dir).unwrap().entry("file.bin"), &Limits::default()).unwrap()
}

fn partial(dir: &Path) -> Partial {
    let found = look(dir).expect("something is there");
    found.unwrap_or_else(|useless| panic!("{}: {}", useless.file, useless.what))
}

fn useless(found: Option<Result<Partial, Useless>>) -> String {
    match found {
        Some(Err(useless)) => useless.what,
        Some(Ok(_)) => panic!("it is of use"),
        None => panic!("nothing is there"),
    }
}

fn copied(partial: Partial, dir: &Path) -> Result<(Pair, Held), Useless> {
    let draft = Draft { identity: partial.identity(), block_size: BLOCK, ..draft(dir) };
    let mut copying = partial.begin(draft).unwrap();
    while copying.step().unwrap() {}
    copying.end(&Limits::default()).unwrap()
}

fn blocks(held: &Held) -> Vec<(u32, u32)> {
    held.blocks.iter().map(|block| (block.index, block.len)).collect()
}

#[test]
fn what_a_control_file_claims_is_copied_and_hashed_and_nothing_is_recorded() {
    let dir = dir();
    let there = content();
    fs::write(dir.path().join("file.bin"), &there).unwrap();
    fs::write(dir.path().join("file.bin.aria2"), control(0b1010_0000)).unwrap();
    let (pair, held) = copied(partial(dir.path()), dir.path()).unwrap_or_else(|u| panic!("{}", u.what));
    assert_eq!((pair.name.as_str(), blocks(&held)), ("file.bin", vec![(0, BLOCK), (2, BLOCK)]));
    for block in &held.blocks {
        let at = (u64::from(block.index) * B) as usize;
        assert_eq!(block.hash, hash(&there[at..at + BLOCK as usize]));
    }
    let claimed = held.claimed.unwrap();
    assert!(claimed.replaces.is_some() && claimed.stretches.len() > 4, "{claimed:?}");
    drop(pair);
    let Ok(Found::Pair(work)) = find_in(dir.path(), None, URL) else { panic!("a pair") };
    assert!(work.held.blocks.is_empty() && is_idle(&work.begin, &work.held));
    assert_eq!(fs::read(dir.path().join("file.bin")).unwrap(), there);
    assert_eq!(fs::read(dir.path().join("file.bin.aria2")).unwrap(), control(0b1010_0000));
}

#[test]
fn a_page_of_zeros_takes_its_block_with_it() {
    let dir = dir();
    let mut there = content();
    let at = B as usize + 8192;
    there[at..at + 4096].fill(0);
    // Zeros on both sides of a page's edge are not a page of them.
    there[2 * B as usize + 2048..][..4096].fill(0);
    fs::write(dir.path().join("file.bin"), &there).unwrap();
    fs::write(dir.path().join("file.bin.aria2"), control(0xf0)).unwrap();
    let (_pair, held) = copied(partial(dir.path()), dir.path()).unwrap_or_else(|u| panic!("{}", u.what));
    assert_eq!(blocks(&held), [(0, BLOCK), (2, BLOCK), (3, BLOCK)]);
    let hole = |&(start, end): &(u64, u64)| start < 2 * B && end > B;
    assert!(!held.claimed.unwrap().stretches.iter().any(hole), "what is not held is not compared");
}

#[test]
fn nothing_but_zeros_is_nothing_and_leaves_nothing() {
    let dir = dir();
    fs::write(dir.path().join("file.bin"), vec![0; 4 * B as usize]).unwrap();
    fs::write(dir.path().join("file.bin.aria2"), control(0xf0)).unwrap();
    let Err(why) = copied(partial(dir.path()), dir.path()) else { panic!("nothing is there") };
    assert!(why.what.contains("zeros"), "{}", why.what);
    assert_eq!(names(dir.path()), ["file.bin", "file.bin.aria2"]);
}

#[test]
fn a_prefix_holds_the_beginning_of_its_last_block() {
    let dir = dir();
    fs::write(dir.path().join("file.bin.crdownload"), &content()[..B as usize + 5000]).unwrap();
    let (_pair, held) = copied(partial(dir.path()), dir.path()).unwrap_or_else(|u| panic!("{}", u.what));
    assert_eq!((blocks(&held), held.identity.total), (vec![(0, BLOCK), (1, 5000)], None));
    assert_eq!(held.claimed.unwrap().replaces, None, "the final name is free");
}

#[test]
fn a_control_file_beyond_the_end_of_its_file_claims_what_is_there() {
    let dir = dir();
    fs::write(dir.path().join("file.bin"), &content()[..B as usize + 5000]).unwrap();
    fs::write(dir.path().join("file.bin.aria2"), control(0xf0)).unwrap();
    let (_pair, held) = copied(partial(dir.path()), dir.path()).unwrap_or_else(|u| panic!("{}", u.what));
    assert_eq!(blocks(&held), [(0, BLOCK), (1, 5000)]);
}

#[test]
fn what_claims_nothing_or_cannot_be_read_is_told() {
    let dir = dir();
    assert!(look(dir.path()).is_none());
    fs::write(dir.path().join("file.bin"), content()).unwrap();
    assert!(look(dir.path()).is_none(), "a file alone is not touched unasked");
    fs::write(dir.path().join("file.bin.st"), b"What a star").unwrap();
    assert!(useless(look(dir.path())).contains("file.bin.st: byte 0: it is no state file"));
    fs::write(dir.path().join("file.bin.aria2"), control(0)).unwrap();
    assert!(useless(look(dir.path())).contains("nothing of it"));
    let limits = Limits { control_bytes: 8, ..Limits::default() };
    let entry = Dir::open(dir.path()).unwrap().entry("file.bin");
    assert!(useless(beside(&entry, &limits).unwrap()).contains("larger than the limit"));
}

#[test]
fn a_file_that_is_asked_for_must_be_there_and_no_finished_one() {
    let dir = dir();
    let path = dir.path().join("file.bin");
    let missing = given(&path, &Limits::default());
    assert!(matches!(missing, Err(Error::Disk { fault: DiskFault::Missing, .. })));
    fs::write(&path, content()).unwrap();
    assert!(given(&path, &Limits::default()).unwrap().is_ok());
    std::os::unix::fs::symlink(&path, dir.path().join("link")).unwrap();
    let strange = given(&dir.path().join("link"), &Limits::default());
    assert!(matches!(strange, Err(Error::Disk { fault: DiskFault::Strange, .. })));
}

#[test]
fn a_partial_file_is_meant_for_the_name_without_a_browsers_suffix() {
    let name = |path: &str| name_of(&PathBuf::from(path)).unwrap();
    assert_eq!(name("/d/a.iso.crdownload"), "a.iso");
    assert_eq!(
        (name("a.iso.part"), name("a.iso"), name(".part")),
        ("a.iso".into(), "a.iso".into(), ".part".into())
    );
}

/// A pair that replaces the partial file at its name, whole and ready to be published, and what it replaces.
fn ready(dir: &Path) -> (Pair, Finish) {
    fs::write(dir.join("file.bin"), content()).unwrap();
    fs::write(dir.join("file.bin.aria2"), control(0xf0)).unwrap();
    let (pair, held) = copied(partial(dir), dir).unwrap_or_else(|u| panic!("{}", u.what));
    let replaces = held.claimed.unwrap().replaces;
    let journal = pair.journal.as_ref().unwrap();
    let block = |b: &HeldBlock| Record::Block { index: b.index, len: b.len, hash: b.hash };
    journal.append(&[Record::Replaces(replaces)]).unwrap();
    journal.append(&held.blocks.iter().map(block).collect::<Vec<_>>()).unwrap();
    (pair, Finish { adopted: replaces, ..finish() })
}

#[test]
fn what_was_taken_over_goes_when_its_successor_has_its_name() {
    let dir = dir();
    let (pair, finish) = ready(dir.path());
    let path = publish(&pair, &finish).unwrap();
    assert_eq!(names(dir.path()), ["file.bin"]);
    assert_eq!(fs::read(path).unwrap(), content());
}

#[test]
fn a_partial_file_that_was_written_to_since_keeps_its_name() {
    let dir = dir();
    let (pair, finish) = ready(dir.path());
    let longer = [&content()[..], b"more"].concat();
    fs::write(dir.path().join("file.bin"), &longer).unwrap();
    assert_eq!(publish(&pair, &finish).unwrap(), dir.path().join("file.1.bin"));
    assert_eq!(names(dir.path()), ["file.1.bin", "file.bin", "file.bin.aria2"]);
    assert_eq!(fs::read(dir.path().join("file.bin")).unwrap(), longer);
}

#[test]
fn crh_10_a_run_that_died_before_the_control_file_went_is_completed() {
    let dir = dir();
    let (pair, finish) = ready(dir.path());
    cut_off(&pair, &finish, 5);
    drop(pair);
    assert_eq!(names(dir.path()), ["file.bin", "file.bin.aria2", "file.bin.thence"]);
    assert!(matches!(find_in(dir.path(), Some("file.bin"), URL).unwrap(), Found::Finished { .. }));
    assert_eq!(names(dir.path()), ["file.bin"]);
    assert_eq!(fs::read(dir.path().join("file.bin")).unwrap(), content());
}

#[test]
fn the_next_run_knows_what_may_be_replaced() {
    let dir = dir();
    let (pair, finish) = ready(dir.path());
    drop(pair);
    let Ok(Found::Pair(work)) = find_in(dir.path(), None, URL) else { panic!("a pair") };
    assert_eq!((work.replaces, work.held.blocks.len()), (finish.adopted, 4));
}

/// What stands elsewhere in an older version comes to its place; so does a page of zeros, which a sum vouches for.
#[test]
fn an_older_version_gives_blocks_from_wherever_they_stand() {
    let dir = dir();
    let mut wanted = noise(1, 4 * B as usize);
    wanted[100_000..110_000].fill(0);
    let mut old = [&noise(2, 1_000)[..], &wanted].concat();
    old[1_000 + B as usize + 70_000] ^= 1;
    let path = dir.path().join("file.bin");
    fs::write(&path, &old).unwrap();
    let nothing = seed(&path, zsync(&noise(3, 4 * B as usize), (2, 4, 5))).unwrap_or_else(|e| panic!("{e}"));
    assert!(copied(nothing, dir.path()).err().is_some_and(|why| why.what.contains("too little")));
    let found = seed(&path, zsync(&wanted, (2, 4, 5))).unwrap_or_else(|error| panic!("{error}"));
    let (pair, held) = copied(found, dir.path()).unwrap_or_else(|u| panic!("{}", u.what));
    let (cut, whole) = ((70_000 / 1024 * 1024) as u32, BLOCK);
    assert_eq!(blocks(&held), [(0, whole), (1, cut), (2, whole), (3, whole)]);
    for block in &held.blocks {
        let at = (u64::from(block.index) * B) as usize;
        assert_eq!(block.hash, hash(&wanted[at..at + block.len as usize]), "block {}", block.index);
    }
    let claimed = held.claimed.unwrap();
    assert!(claimed.replaces.is_some() && (1..=8).contains(&claimed.stretches.len()), "{claimed:?}");
    assert_eq!((pair.name.as_str(), fs::read(&path).unwrap()), ("file.bin", old));
}
