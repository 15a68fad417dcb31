//! The whole engine on a disk that fails: at every call of a kind, once and for good.
//!
//! However a run ends, it ends right or says which file failed and how; every block that the journal claims has the
//! right bytes; and the next run, on a disk that works, ends with the file and nothing beside it.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use thence_origin::honest::{Served, Shared, handler};
use thence_origin::{Origin, files};
use thence_plan::{DiskFault, Limits};

use crate::file;
use crate::sys::Dir;
use crate::sys::watch::faults::{Errno, Fault, Faults, Kind, Plan};
use crate::{Done, Engine, Error, Options, Request};

const BLOCK: usize = 256 << 10;
const LEN: usize = 3 * BLOCK + 4_321;
const NAME: &str = "file.bin";
/// A run that takes longer hangs.
const HANG: Duration = Duration::from_secs(30);
/// For good.
const ALWAYS: usize = usize::MAX;

struct Scene {
    origin: Origin,
    body: Vec<u8>,
    lanes: u32,
}

impl Scene {
    fn new() -> Scene {
        let body = files::content(7, LEN);
        let origin = Origin::start(handler(&Shared::new(Served::new(body.clone()))));
        Scene { origin, body, lanes: 3 }
    }

    fn run(&self, dir: &Path) -> Result<Done, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let options = Options { limits: Limits::default().hurried(30), ..Options::default() };
        runtime.block_on(async {
            let engine = Engine::new(options).expect("an engine");
            let mut request = Request::new(self.origin.url("/file.bin"), dir);
            request.lanes = Some(self.lanes);
            let mut download = engine.start(request);
            let done = tokio::time::timeout(HANG, download.wait()).await.expect("it hangs");
            drop(download);
            engine.close().await;
            done
        })
    }

    /// One run with the fault, one without. Returns how the first ended, and how often it met the fault.
    fn twice(&self, plan: Plan) -> (Result<Done, Error>, usize) {
        let dir = directory();
        let faults = Faults::below(dir.path(), plan);
        let first = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.run(dir.path())));
        let first = first.unwrap_or_else(|_| panic!("{plan:?}: it does not end"));
        let met = faults.met();
        drop(faults);
        match &first {
            Ok(_) => assert_eq!(names(dir.path()), [NAME], "{plan:?}"),
            Err(_) => self.claims_are_right(dir.path(), plan),
        }
        let second = self.run(dir.path());
        assert!(second.is_ok(), "{plan:?}: {first:?}, then {second:?}, {:?}", names(dir.path()));
        assert_eq!(names(dir.path()), [NAME], "{plan:?}: {first:?}");
        assert!(
            std::fs::read(dir.path().join(NAME)).is_ok_and(|there| there == self.body),
            "{plan:?}: wrong bytes"
        );
        (first, met)
    }

    /// Every block that the journal has is in the part, and right.
    fn claims_are_right(&self, dir: &Path, plan: Plan) {
        let Ok(Some(Ok(held))) = file::read_journal(&open(dir), NAME, &Limits::default()) else { return };
        let Ok(part) = std::fs::read(dir.join(format!("{NAME}.part"))) else { return };
        for block in held.blocks {
            let at = block.index as usize * BLOCK;
            let end = at + block.len as usize;
            assert!(
                part.get(at..end) == self.body.get(at..end),
                "{plan:?}: block {} is claimed",
                block.index
            );
        }
    }

    /// The fault at the n-th call of the kind, for every n until a run does not get there; once and for good. Each
    /// must end as `allowed` says.
    fn at_every_call(&self, kind: Kind, fault: Fault, allowed: impl Fn(&Result<Done, Error>) -> bool) {
        for count in [1, ALWAYS] {
            for first in 0.. {
                let plan = Plan { kind, fault, first, count };
                let (ended, met) = self.twice(plan);
                if met == 0 {
                    assert!(ended.is_ok() && first > 0, "{plan:?}: no such call, and {ended:?}");
                    break;
                }
                assert!(allowed(&ended), "{plan:?}: {ended:?}");
            }
        }
    }

    /// The same with an error number; the run either got round it or names this fault and a file.
    fn refused(&self, kinds: &[Kind], errno: Errno, fault: DiskFault) {
        let told = |ended: &Result<Done, Error>| match ended {
            Ok(_) => true,
            Err(Error::Disk { path, fault: told, why }) => {
                *told == fault && !path.join(why).as_os_str().is_empty()
            }
            Err(_) => false,
        };
        kinds.iter().for_each(|kind| self.at_every_call(*kind, Fault::Errno(errno.raw_os_error()), told));
    }

    /// The same, and no run may end as if nothing had happened.
    fn never_ignored(&self, kinds: &[Kind], errno: Errno, fault: DiskFault) {
        let told = |ended: &Result<Done, Error>| matches!(ended, Err(Error::Disk { fault: told, .. }) if *told == fault);
        kinds.iter().for_each(|kind| self.at_every_call(*kind, Fault::Errno(errno.raw_os_error()), told));
    }
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory for the test")
}

fn open(dir: &Path) -> Dir {
    Dir::open(dir).expect("the directory is there")
}

fn names(dir: &Path) -> Vec<String> {
    let mut names = crate::sys::names_in(&open(dir), 100).expect("the directory is there").0;
    names.sort();
    names
}

#[test]
fn dsk_01_a_full_disk_is_told_at_any_call_and_the_next_run_goes_on() {
    let scene = Scene::new();
    scene.never_ignored(
        &[Kind::Create, Kind::Write, Kind::Append, Kind::Rename],
        Errno::NOSPC,
        DiskFault::Full,
    );
    scene.refused(&[Kind::Length], Errno::NOSPC, DiskFault::Full);
    scene.refused(&[Kind::Reserve], Errno::NOSPC, DiskFault::Full);
}

#[test]
fn dsk_02_a_quota_and_a_limit_on_length_are_told() {
    let scene = Scene::new();
    scene.never_ignored(&[Kind::Write, Kind::Append], Errno::DQUOT, DiskFault::Full);
    scene.never_ignored(&[Kind::Write], Errno::FBIG, DiskFault::TooLarge);
}

#[test]
fn dsk_03_where_nothing_can_be_reserved_the_part_is_sparse() {
    let scene = Scene::new();
    for errno in [Errno::OPNOTSUPP, Errno::NOSYS] {
        scene.at_every_call(Kind::Reserve, Fault::Errno(errno.raw_os_error()), Result::is_ok);
    }
}

#[test]
fn dsk_04_short_and_interrupted_writes_end_with_the_right_file() {
    let scene = Scene::new();
    for kind in [Kind::Write, Kind::Append] {
        for (most, count) in [(1, 40), (511, 40), (4_097, ALWAYS), (70_000, ALWAYS)] {
            let (ended, met) = scene.twice(Plan { kind, fault: Fault::Short(most), first: 0, count });
            assert!(ended.is_ok() && met > 0, "{kind:?} of {most} bytes: {ended:?}, {met} times");
        }
        for errno in [Errno::INTR, Errno::AGAIN] {
            let fault = Fault::Errno(errno.raw_os_error());
            let (ended, met) = scene.twice(Plan { kind, fault, first: 0, count: 20 });
            assert!(ended.is_ok() && met == 20, "{kind:?}, {errno}: {ended:?}, {met} times");
        }
    }
}

#[test]
fn dsk_05_a_failed_write_claims_nothing_and_the_next_run_goes_on() {
    Scene::new().never_ignored(&[Kind::Write, Kind::Append], Errno::IO, DiskFault::Io);
}

#[test]
fn dsk_05_a_failed_sync_is_never_taken_for_one_that_worked() {
    Scene::new().never_ignored(&[Kind::Sync, Kind::SyncDirectory], Errno::IO, DiskFault::Io);
}

#[test]
fn dsk_09_a_file_system_that_becomes_read_only_is_told() {
    let kinds =
        [Kind::Create, Kind::Write, Kind::Append, Kind::Length, Kind::Dress, Kind::Rename, Kind::Remove];
    Scene::new().refused(&kinds, Errno::ROFS, DiskFault::Denied);
}

/// What `close` would tell on a network file system, the sync before it has told: nothing has its final name without.
#[test]
fn dsk_10_what_a_close_would_tell_is_told_by_the_sync_before_it() {
    let scene = Scene::new();
    for (errno, fault) in [(Errno::NOSPC, DiskFault::Full), (Errno::DQUOT, DiskFault::Full)] {
        scene.never_ignored(&[Kind::Sync], errno, fault);
    }
    let fault = Fault::Errno(Errno::IO.raw_os_error());
    let (ended, _) = scene.twice(Plan { kind: Kind::Sync, fault, first: 0, count: ALWAYS });
    assert!(matches!(ended, Err(Error::Disk { fault: DiskFault::Io, .. })), "{ended:?}");
}

#[test]
fn dsk_12_no_file_left_to_open_is_told() {
    let scene = Scene::new();
    scene.never_ignored(&[Kind::Create], Errno::MFILE, DiskFault::Io);
    scene.never_ignored(&[Kind::Create], Errno::NFILE, DiskFault::Io);
}

#[test]
fn dsk_13_a_refused_rename_keeps_the_whole_part() {
    // One lane: what several are sent and do not read is no fault of the rename.
    let scene = Scene { lanes: 1, ..Scene::new() };
    let refusals = [
        (Errno::XDEV, DiskFault::Io),
        (Errno::NAMETOOLONG, DiskFault::Io),
        (Errno::ACCESS, DiskFault::Denied),
    ];
    for (errno, fault) in refusals {
        let before = scene.origin.sent();
        scene.never_ignored(&[Kind::Rename], errno, fault);
        // Two runs each, once and for good; the whole part is never fetched again. A run that meets nothing comes twice.
        let sent = scene.origin.sent() - before;
        assert!(sent < 5 * LEN as u64, "{errno}: {sent} bytes were sent");
    }
}

#[test]
fn a_write_that_landed_elsewhere_is_found_by_the_next_run() {
    let scene = Scene::new();
    let dir = directory();
    let to = i64::try_from(BLOCK).unwrap();
    // The first run ends at the sync before its rename, so that what it wrote is an earlier run's, and is read back.
    let lost = Plan { kind: Kind::Write, fault: Fault::Elsewhere(to), first: 0, count: 1 };
    let failed = Fault::Errno(Errno::IO.raw_os_error());
    let stop = Plan { kind: Kind::Sync, fault: failed, first: 1, count: ALWAYS };
    let faults = [lost, stop].map(|plan| Faults::below(dir.path(), plan));
    assert!(scene.run(dir.path()).is_err());
    assert!(faults.iter().all(|faults| faults.met() > 0));
    drop(faults);
    scene.run(dir.path()).unwrap();
    assert!(std::fs::read(dir.path().join(NAME)).unwrap() == scene.body);
}
