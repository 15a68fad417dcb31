use super::*;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Barrier;
use std::thread;

use crate::find::{self, Found, Wanted};
use crate::pairs::Lately;
use crate::verify::tests::hash;

pub(crate) const URL: &str = "http://h/d/file.bin";
pub(crate) const BLOCK: u32 = 256 << 10;

pub(crate) fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory for the test")
}

/// In memory, where it can be had: a race is run thousands of times.
pub(crate) fn in_memory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).expect("a directory for the test") } else { dir() }
}

/// A file of four blocks at `URL`.
pub(crate) fn draft(dir: &Path) -> Draft {
    Draft {
        dir: Dir::open(dir).expect("the directory is there"),
        name: "file.bin".into(),
        exists: Exists::Rename,
        replaces: None,
        url: URL.into(),
        headers: Vec::new(),
        secrets: Vec::new(),
        identity: Identity { total: Some(4 * u64::from(BLOCK)), ..Identity::default() },
        block_size: BLOCK,
        journal: true,
        digest: None,
        signature: None,
        adopted: None,
        insecure: false,
        limits: Limits::default(),
    }
}

/// A file of 9 bytes at `URL`.
pub(crate) fn small(dir: &Path) -> Draft {
    let identity = Identity { total: Some(9), ..Identity::default() };
    Draft { journal: false, identity, ..draft(dir) }
}

pub(crate) fn find_in(dir: &Path, name: Option<&str>, url: &str) -> Result<Found, crate::Error> {
    let dir = sys::open_dir(dir)?;
    let (lately, limits) = (&Lately::default(), &Limits::default());
    find::find(&Wanted {
        dir: &dir,
        name,
        urls: &[url.to_owned()],
        headers: &[],
        known: None,
        lately,
        limits,
    })
}

/// Writes block `index` full of `byte` and records it.
pub(crate) fn store(pair: &Pair, index: u32, byte: u8) {
    let bytes = vec![byte; BLOCK as usize];
    let offset = u64::from(index) * u64::from(BLOCK);
    pair.part.write_at(offset, &mut [IoSlice::new(&bytes)]).expect("the disk has room");
    let record = Record::Block { index, len: BLOCK, hash: hash(&bytes) };
    pair.journal.as_ref().expect("a pair with a journal").append(&[record]).expect("the disk has room");
}

/// Names in the directory, in order.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let mut names = sys::names_in(&Dir::open(dir).unwrap(), 100).unwrap().0;
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_new_pair_is_preallocated_and_holds_nothing() {
    let dir = dir();
    let pair = place(&draft(dir.path())).unwrap();
    assert_eq!(names(dir.path()), ["file.bin.part", "file.bin.thence"]);
    assert_eq!(pair.part.facts().unwrap().size, 4 * u64::from(BLOCK));
    drop(pair);
    let Found::Pair(work) = find_in(dir.path(), None, URL).unwrap() else { panic!("it is there") };
    assert_eq!(work.held.blocks, []);
}

#[test]
fn pth_13_part_and_journal_are_their_owners_alone() {
    let dir = dir();
    let pair = place(&draft(dir.path())).unwrap();
    assert_eq!(mode(&pair.part_path()), 0o600);
    assert_eq!(mode(&dir.path().join("file.bin.thence")), 0o600);
}

#[cfg(not(thence_portable))]
#[test]
fn a_small_part_has_no_journal_and_is_known_by_its_mark() {
    let dir = dir();
    let pair = place(&small(dir.path())).unwrap();
    assert_eq!(names(dir.path()), ["file.bin.part"]);
    pair.part.write_at(0, &mut [IoSlice::new(b"left over")]).unwrap();
    drop(pair);
    assert!(matches!(find_in(dir.path(), None, URL).unwrap(), Found::Nothing));
    let pair = place(&small(dir.path())).unwrap();
    assert_eq!(pair.name, "file.bin");
    assert_eq!(pair.part.facts().unwrap().size, 0);
}

#[test]
fn pth_06_a_taken_name_is_left_alone_as_exists_says() {
    for taken in ["file.bin", "file.bin.part", "file.bin.thence"] {
        let dir = dir();
        fs::write(dir.path().join(taken), "mine").unwrap();
        for exists in [Exists::Error, Exists::Skip] {
            let error = place(&Draft { exists, ..draft(dir.path()) }).unwrap_err();
            assert_eq!(error.fault, DiskFault::Exists, "{taken}");
        }
        assert_eq!(place(&draft(dir.path())).unwrap().name, "file.1.bin");
        assert_eq!(fs::read(dir.path().join(taken)).unwrap(), b"mine");
        assert_eq!(names(dir.path()), ["file.1.bin.part", "file.1.bin.thence", taken]);
    }
}

#[test]
fn pth_06_overwrite_makes_the_part_beside_the_file() {
    let dir = dir();
    fs::write(dir.path().join("file.bin"), "old").unwrap();
    let pair = place(&Draft { exists: Exists::Overwrite, ..draft(dir.path()) }).unwrap();
    assert_eq!(pair.name, "file.bin");
    assert_eq!(fs::read(dir.path().join("file.bin")).unwrap(), b"old");
}

#[test]
fn pth_06_another_urls_part_is_never_taken_over() {
    let dir = dir();
    let other = place(&draft(dir.path())).unwrap();
    store(&other, 0, 1);
    drop(other);
    let ours = Draft { url: "http://h/other".into(), ..draft(dir.path()) };
    assert_eq!(place(&ours).unwrap().name, "file.1.bin");
    let error = place(&Draft { exists: Exists::Error, ..ours.clone() }).unwrap_err();
    assert_eq!(error.fault, DiskFault::Exists);
    // Overwriting moves it aside until the new one is whole.
    let pair = place(&Draft { exists: Exists::Overwrite, ..ours }).unwrap();
    assert_eq!(pair.name, "file.bin");
    assert!(names(dir.path()).contains(&"file.bin.old.part".into()));
}

#[test]
fn numbers_go_before_the_extension_and_names_stay_short() {
    assert_eq!(numbered("a.bin", 0), "a.bin");
    assert_eq!(numbered("a.tar.gz", 2), "a.tar.2.gz");
    assert_eq!(numbered("README", 1), "README.1");
    assert_eq!(numbered(".rc", 1), ".rc.1");
    let long = numbered(&format!("{}.bin", "é".repeat(118)), 10_000);
    assert!(long.len() <= NAME_BYTES && long.ends_with(".10000.bin"));
    let wide = format!("a.{}", "x".repeat(100));
    assert_eq!(numbered(&wide, 1), format!("{wide}.1"), "what long stands after a dot is no extension");
}

#[test]
fn pth_10_crh_14_links_are_refused_and_their_target_is_untouched() {
    for taken in ["file.bin.part", "file.bin.thence"] {
        let dir = dir();
        let victim = dir.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        symlink(&victim, dir.path().join(taken)).unwrap();
        assert_eq!(place(&draft(dir.path())).unwrap_err().fault, DiskFault::Strange, "{taken}");
        assert_eq!(fs::read(&victim).unwrap(), b"mine");
        assert_eq!(names(dir.path()), [taken, "victim"]);
    }
}

#[test]
fn pth_10_a_part_with_a_second_name_is_refused() {
    let dir = dir();
    let victim = dir.path().join("victim");
    fs::write(&victim, "").unwrap();
    fs::hard_link(&victim, dir.path().join("file.bin.part")).unwrap();
    assert_eq!(place(&draft(dir.path())).unwrap_err().fault, DiskFault::Strange);
}

#[test]
fn pth_10_a_journal_with_a_second_name_is_refused() {
    let dir = dir();
    let pair = place(&draft(dir.path())).unwrap();
    store(&pair, 0, 1);
    drop(pair);
    let (journal, victim) = (dir.path().join("file.bin.thence"), dir.path().join("victim"));
    fs::hard_link(&journal, &victim).unwrap();
    let before = fs::read(&victim).unwrap();
    assert!(matches!(
        find_in(dir.path(), None, URL),
        Err(crate::Error::Disk { fault: DiskFault::Strange, .. })
    ));
    assert_eq!(fs::read(&victim).unwrap(), before);
    // That of a `retire` that was cut off is ours, and goes.
    fs::rename(&victim, dir.path().join("file.bin.old.thence")).unwrap();
    assert!(matches!(find_in(dir.path(), None, URL).unwrap(), Found::Pair(_)));
    assert_eq!(names(dir.path()), ["file.bin.part", "file.bin.thence"]);
}

/// Puts something at `path` that is no regular file.
type Strange = fn(&Path);

pub(crate) const STRANGE: [(&str, Strange); 4] = [
    ("directory", |path| fs::create_dir(path).expect("a directory")),
    ("FIFO", |path| {
        let made = std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo runs");
        assert!(made.success());
    }),
    ("socket", |path| drop(UnixListener::bind(path).expect("a socket"))),
    ("link to a device", |path| symlink("/dev/zero", path).expect("a link")),
];

#[test]
fn pth_12_crh_14_no_file_is_refused_without_waiting() {
    for (kind, make) in STRANGE {
        for taken in ["file.bin.part", "file.bin.thence"] {
            let dir = dir();
            make(&dir.path().join(taken));
            assert_eq!(place(&draft(dir.path())).unwrap_err().fault, DiskFault::Strange, "{kind} {taken}");
            assert_eq!(names(dir.path()), [taken]);
        }
    }
}

#[test]
fn crh_09_a_preallocated_part_with_an_empty_journal_holds_nothing() {
    let dir = dir();
    let pair = place(&draft(dir.path())).unwrap();
    drop(pair);
    fs::write(dir.path().join("file.bin.thence"), "").unwrap();
    // Where holes cannot be told from zeros, the part is kept aside; it is never taken for complete.
    let found = find_in(dir.path(), None, URL).unwrap();
    assert!(if cfg!(thence_portable) {
        matches!(found, Found::Kept(_))
    } else {
        matches!(found, Found::Nothing)
    });
    drop(found);
    let pair = place(&draft(dir.path())).unwrap();
    let name = if cfg!(thence_portable) { "file.1.bin" } else { "file.bin" };
    assert_eq!(pair.name, name);
}

#[test]
fn crh_14_a_part_whose_journal_is_lost_is_kept_aside() {
    for journal in [None, Some(""), Some("thence\0\x01 torn"), Some("not ours")] {
        let dir = dir();
        let pair = place(&draft(dir.path())).unwrap();
        store(&pair, 0, 1);
        drop(pair);
        let path = dir.path().join("file.bin.thence");
        journal.map_or_else(|| fs::remove_file(&path), |text| fs::write(&path, text)).unwrap();
        let found = find_in(dir.path(), None, URL).unwrap();
        match journal {
            // A file of somebody's own beside it is no journal that was lost.
            Some("not ours") => assert!(matches!(found, Found::Nothing)),
            _ => assert!(matches!(&found, Found::Kept(pair) if pair.name == "file.bin")),
        }
        drop(found);
        assert_eq!(place(&draft(dir.path())).unwrap().name, "file.1.bin");
        assert_eq!(fs::read(dir.path().join("file.bin.part")).unwrap()[..3], [1; 3]);
    }
}

#[test]
fn crh_14_a_journal_whose_part_is_gone_is_begun_anew() {
    let dir = dir();
    let pair = place(&draft(dir.path())).unwrap();
    store(&pair, 0, 1);
    fs::remove_file(pair.part_path()).unwrap();
    drop(pair);
    assert!(matches!(find_in(dir.path(), None, URL).unwrap(), Found::Nothing));
    assert_eq!(place(&draft(dir.path())).unwrap().name, "file.bin");
}

/// Two who start at once in an empty directory.
fn two_at_once(round: u32) {
    let dir = in_memory();
    let start = Barrier::new(2);
    let race = || {
        start.wait();
        match find_in(dir.path(), None, URL) {
            Ok(Found::Nothing) => place(&draft(dir.path())).map_err(|e| e.fault),
            Ok(Found::Pair(work)) => Ok(work.pair),
            Ok(Found::InUse { .. }) => Err(DiskFault::InUse),
            Ok(_) => panic!("there is nothing else"),
            Err(e) => panic!("{e}"),
        }
    };
    let (a, b) = thread::scope(|scope| {
        let other = scope.spawn(race);
        (race(), other.join().expect("no panic"))
    });
    let (winner, loser) = if a.is_ok() { (a, b) } else { (b, a) };
    assert_eq!(winner.expect("one runs").name, "file.bin", "round {round}");
    assert_eq!(loser.expect_err("one is told"), DiskFault::InUse, "round {round}");
    assert_eq!(names(dir.path()), ["file.bin.part", "file.bin.thence"]);
}

#[test]
fn lck_01_of_two_who_start_at_once_one_runs_and_one_is_told() {
    // Ten thousand; the loser of each sleeps most of its time.
    thread::scope(|scope| {
        (0..20).for_each(|_| _ = scope.spawn(|| (0..500).for_each(two_at_once)));
    });
}

#[test]
fn lck_07_one_name_for_two_urls_is_two_names() {
    let dir = dir();
    let first = place(&draft(dir.path())).unwrap();
    let second = place(&Draft { url: "http://h/other".into(), ..draft(dir.path()) }).unwrap();
    assert_eq!([&*first.name, &*second.name], ["file.bin", "file.1.bin"]);
    assert_eq!(place(&draft(dir.path())).unwrap_err().fault, DiskFault::InUse);
}

#[test]
fn pth_06_many_who_want_one_name_get_one_each() {
    let dir = dir();
    let start = Barrier::new(16);
    let mut names: Vec<String> = thread::scope(|scope| {
        let claim = |n: u32| {
            let (start, path) = (&start, dir.path());
            scope.spawn(move || {
                start.wait();
                place(&Draft { url: format!("http://h/{n}"), ..draft(path) })
            })
        };
        let all: Vec<_> = (0..16).map(claim).collect();
        all.into_iter().map(|one| one.join().expect("no panic").expect("a free number").name).collect()
    });
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 16);
}

/// Runs in a process of its own when `lck_02` asks: takes the lock, says so, and waits to be killed.
#[test]
fn hold_the_part_until_killed() {
    let Some(path) = std::env::var_os("THENCE_TEST_HOLD") else { return };
    let path = Path::new(&path);
    let part = Dir::open(path.parent().unwrap()).unwrap().entry(path.file_name().unwrap());
    let Opening::Ours(_part) = open_part(&part).unwrap() else { panic!("it is free") };
    fs::write(path.with_extension("held"), "").unwrap();
    thread::sleep(Duration::from_secs(60));
}

#[test]
fn lck_02_a_killed_holder_frees_the_lock_at_once() {
    let dir = dir();
    let pair = place(&draft(dir.path())).unwrap();
    store(&pair, 0, 1);
    let path = pair.part_path();
    drop(pair);
    let mut holder = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "file::tests::hold_the_part_until_killed"])
        .env("THENCE_TEST_HOLD", &path)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while !path.with_extension("held").exists() {
        thread::sleep(Duration::from_millis(5));
    }
    assert!(matches!(find_in(dir.path(), None, URL).unwrap(), Found::InUse { .. }));
    holder.kill().unwrap();
    holder.wait().unwrap();
    let Found::Pair(work) = find_in(dir.path(), None, URL).unwrap() else { panic!("the lock is free") };
    assert_eq!(work.held.blocks.len(), 1);
}

#[test]
fn retiring_moves_the_pair_aside_and_frees_its_name() {
    let dir = dir();
    let limits = Limits::default();
    for byte in 1..4 {
        let pair = place(&draft(dir.path())).unwrap();
        assert_eq!(pair.name, "file.bin");
        store(&pair, 0, byte);
        retire(pair, &limits).unwrap();
        assert_eq!(names(dir.path()), ["file.bin.old.part", "file.bin.old.thence"]);
        assert_eq!(fs::read(dir.path().join("file.bin.old.part")).unwrap()[0], byte, "the last one is kept");
    }
    // The retired generation is not what a next run goes on with.
    assert!(matches!(find_in(dir.path(), None, URL).unwrap(), Found::Nothing));
}

#[test]
fn a_retirement_cut_off_is_completed_by_the_next_run() {
    let dir = dir();
    let pair = place(&draft(dir.path())).unwrap();
    store(&pair, 0, 1);
    drop(pair);
    fs::rename(dir.path().join("file.bin.thence"), dir.path().join("file.bin.old.thence")).unwrap();
    for _ in 0..2 {
        assert!(matches!(find_in(dir.path(), Some("file.bin"), URL).unwrap(), Found::Nothing));
        assert_eq!(names(dir.path()), ["file.bin.old.part", "file.bin.old.thence"]);
    }
    assert_eq!(place(&draft(dir.path())).unwrap().name, "file.bin");
}

#[test]
fn a_retirement_by_links_cut_off_before_the_last_unlink_is_completed() {
    let dir = dir();
    let pair = place(&draft(dir.path())).unwrap();
    store(&pair, 0, 1);
    drop(pair);
    fs::rename(dir.path().join("file.bin.thence"), dir.path().join("file.bin.old.thence")).unwrap();
    fs::hard_link(dir.path().join("file.bin.part"), dir.path().join("file.bin.old.part")).unwrap();
    assert!(matches!(find_in(dir.path(), Some("file.bin"), URL).unwrap(), Found::Nothing));
    assert_eq!(names(dir.path()), ["file.bin.old.part", "file.bin.old.thence"]);
}

#[test]
fn a_retirement_moves_the_journal_first() {
    let dir = dir();
    let pair = place(&draft(dir.path())).unwrap();
    store(&pair, 0, 1);
    // The part cannot be moved: a crash between the two renames looks the same.
    let in_the_way = dir.path().join("file.bin.old.part");
    fs::create_dir(&in_the_way).unwrap();
    assert!(retire(pair, &Limits::default()).is_err());
    assert_eq!(names(dir.path()), ["file.bin.old.part", "file.bin.old.thence", "file.bin.part"]);
    fs::remove_dir(&in_the_way).unwrap();
    assert!(matches!(find_in(dir.path(), Some("file.bin"), URL).unwrap(), Found::Nothing));
    assert_eq!(fs::read(&in_the_way).unwrap()[0], 1);
}

fn version(dir: &Path, tag: &str) -> Draft {
    let etag = thence_plan::EntityTag::parse(tag.as_bytes());
    let draft = draft(dir);
    Draft { identity: Identity { etag, ..draft.identity.clone() }, ..draft }
}

/// Version A was retired for version B; both hold something.
fn a_then_b() -> (tempfile::TempDir, Pair) {
    let dir = dir();
    let first = place(&version(dir.path(), "\"a\"")).unwrap();
    store(&first, 0, 1);
    retire(first, &Limits::default()).unwrap();
    let second = place(&version(dir.path(), "\"b\"")).unwrap();
    store(&second, 1, 2);
    (dir, second)
}

#[test]
#[cfg(not(thence_portable))]
fn a_version_that_comes_back_changes_places_with_the_other() {
    let (dir, second) = a_then_b();
    let work = find::comes_back(&second, &version(dir.path(), "\"a\"")).unwrap().expect("it was held");
    assert_eq!(work.held.blocks.iter().map(|block| block.index).collect::<Vec<_>>(), [0]);
    assert_eq!(fs::read(dir.path().join("file.bin.part")).unwrap()[0], 1);
    assert_eq!(fs::read(dir.path().join("file.bin.old.part")).unwrap()[BLOCK as usize], 2);
    assert_eq!(work.pair.part_path(), dir.path().join("file.bin.part"));
}

#[test]
fn another_version_changes_no_places() {
    let (dir, second) = a_then_b();
    for tag in ["\"c\"", "W/\"a\"", ""] {
        assert!(find::comes_back(&second, &version(dir.path(), tag)).unwrap().is_none(), "{tag}");
    }
    assert_eq!(fs::read(dir.path().join("file.bin.old.part")).unwrap()[0], 1);
}

#[test]
#[cfg(not(thence_portable))]
fn a_crash_while_versions_change_places_mixes_nothing() {
    let (dir, second) = a_then_b();
    drop(second);
    let now = Dir::open(dir.path()).unwrap();
    sys::exchange(&journal_at(&now, "file.bin"), &journal_at(&now, "file.bin.old")).unwrap();
    let Found::Pair(work) = find_in(dir.path(), None, URL).unwrap() else { panic!("a pair is there") };
    let mut checker = crate::verify::Checker::new(work.pair.part.clone(), BLOCK);
    for block in work.held.blocks {
        let found = checker.check(block.index, block.len, |_| {}).unwrap();
        assert!(
            found.is_none_or(|open| open.hash() != block.hash),
            "block {} is of the other version",
            block.index
        );
    }
}

#[test]
fn a_part_moved_away_between_open_and_lock_is_noticed() {
    let dir = dir();
    let part = Dir::open(dir.path()).unwrap().entry("a.part");
    let id = sys::facts(&sys::create_new(&part).unwrap()).unwrap().id;
    assert!(still_there(&part, id).unwrap());
    fs::rename(part.path(), dir.path().join("b.part")).unwrap();
    assert!(!still_there(&part, id).unwrap());
    sys::create_new(&part).unwrap();
    assert!(!still_there(&part, id).unwrap());
}

#[test]
fn retiring_never_removes_a_download_that_is_called_old_itself() {
    let dir = dir();
    let namesake = place(&Draft { name: "file.bin.old".into(), ..draft(dir.path()) }).unwrap();
    let pair = place(&Draft { url: "http://h/other".into(), ..draft(dir.path()) }).unwrap();
    let error = retire(pair, &Limits::default()).unwrap_err();
    assert_eq!(error.fault, DiskFault::Exists);
    assert_eq!(namesake.part_path(), dir.path().join("file.bin.old.part"));
    assert!(namesake.part_path().exists());
}

#[test]
fn dsk_01_a_full_disk_leaves_no_pair_behind() {
    let dir = dir();
    let identity = Identity { total: Some(1 << 62), ..Identity::default() };
    let error = place(&Draft { identity, ..draft(dir.path()) }).unwrap_err();
    assert!(matches!(error.fault, DiskFault::Full | DiskFault::TooLarge), "{error}");
    assert_eq!(names(dir.path()), [""; 0]);
}
