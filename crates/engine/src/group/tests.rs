use std::fs;
use std::path::Path;
use std::sync::mpsc;

use tempfile::TempDir;

use super::*;
use crate::file::tests::in_memory;

const URL: &str = "http://h/d/";

pub(crate) fn whole(dir: &Dir, line: u64, name: &str, bytes: &[u8]) -> Whole {
    Whole {
        line,
        dir: dir.clone(),
        name: name.to_owned(),
        bytes: bytes.to_vec(),
        url: format!("{URL}{name}"),
        identity: Identity { total: Some(bytes.len() as u64), ..Identity::default() },
        mtime: None,
        mode: 0o644,
        exists: Exists::Rename,
        room: None,
        digest: None,
        done: Done { bytes: bytes.len() as u64, ..Done::default() },
    }
}

/// Puts all of these at once; what became of each, by line.
fn fetched(dir: &Dir, limits: &Limits, wholes: Vec<Whole>) -> Vec<Result<Done, Error>> {
    let (tell, told) = mpsc::channel();
    let group =
        Group::start(limits, move |ends| ends.into_iter().for_each(|end| tell.send(end).unwrap())).unwrap();
    let count = wholes.len();
    group.put(wholes);
    drop(group);
    let mut ends: Vec<End> = told.iter().collect();
    ends.sort_by_key(|(line, _)| *line);
    assert_eq!(ends.len(), count, "each is told of once, in {dir:?}");
    ends.into_iter().map(|(_, end)| end).collect()
}

fn place() -> (TempDir, Dir) {
    let dir = tempfile::tempdir().unwrap();
    let open = Dir::open(dir.path()).unwrap();
    (dir, open)
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn many(temp: &TempDir) {
    let dir = Dir::open(temp.path()).unwrap();
    let bytes = |line: u64| line.to_le_bytes().repeat(line as usize);
    let wholes = (0..700).map(|line| whole(&dir, line, &format!("f{line}"), &bytes(line))).collect();
    let ends = fetched(&dir, &Limits::default(), wholes);
    assert!(ends.iter().all(Result::is_ok));
    assert_eq!(names(temp.path()).len(), 700);
    assert!((0..700).all(|line| fs::read(temp.path().join(format!("f{line}"))).unwrap() == bytes(line)));
}

#[test]
fn many_share_a_sync_and_nothing_is_left_beside_them() {
    many(&place().0);
}

/// Where there is no tmpfs they are as all others.
#[test]
fn many_in_memory_are_written_before_put_returns_and_nothing_is_left_beside_them() {
    let temp = in_memory();
    many(&temp);
    let dir = Dir::open(temp.path()).unwrap();
    let (files, inbox) = channel();
    let limits = Limits::default();
    let group = Group { files, limits: limits.clone(), room: Arc::new(Semaphore::new(1)), takes: 1..=1 };
    group.put(vec![whole(&dir, 0, "last", b"x")]);
    let came = inbox.recv().unwrap().pop().unwrap();
    assert_eq!(matches!(came, Fresh::Written(Ok(_))), dir.in_memory());
    let can_be = temp.path().starts_with("/dev/shm") && !cfg!(thence_portable);
    assert_eq!(dir.in_memory(), can_be);
    assert_eq!(names(temp.path()).len(), 700, "no name before the sync");
}

#[cfg(unix)]
#[test]
fn each_has_the_permissions_that_were_asked_for_whatever_the_umask_leaves() {
    use std::os::unix::fs::PermissionsExt;
    let (temp, dir) = place();
    let modes = [0o600, 0o640, 0o644, 0o666, 0o777];
    let wholes = modes
        .iter()
        .enumerate()
        .map(|(line, &mode)| Whole { mode, ..whole(&dir, line as u64, &format!("f{line}"), b"x") });
    assert!(fetched(&dir, &Limits::default(), wholes.collect()).iter().all(Result::is_ok));
    for (line, mode) in modes.into_iter().enumerate() {
        let found = fs::metadata(temp.path().join(format!("f{line}"))).unwrap().permissions().mode();
        assert_eq!(found & 0o7777, mode);
    }
}

#[test]
fn pth_06_a_name_that_is_taken_meanwhile_is_never_replaced() {
    let (temp, dir) = place();
    fs::write(temp.path().join("a.txt"), "somebody's").unwrap();
    let error = Whole { exists: Exists::Error, ..whole(&dir, 1, "a.txt", b"x") };
    let ends = fetched(&dir, &Limits::default(), vec![whole(&dir, 0, "a.txt", b"ours"), error]);
    assert!(ends[0].as_ref().is_ok_and(|done| done.path.as_ref().unwrap().ends_with("a.1.txt")));
    assert!(matches!(&ends[1], Err(Error::Disk { fault: DiskFault::Exists, .. })));
    assert_eq!(names(temp.path()), ["a.1.txt", "a.txt"]);
    assert_eq!(fs::read(temp.path().join("a.txt")).unwrap(), b"somebody's");
}

#[test]
fn what_may_be_replaced_is() {
    let (temp, dir) = place();
    fs::write(temp.path().join("a"), "somebody's").unwrap();
    let over = Whole { exists: Exists::Overwrite, ..whole(&dir, 0, "a", b"ours") };
    assert!(fetched(&dir, &Limits::default(), vec![over])[0].is_ok());
    assert_eq!(names(temp.path()), ["a"]);
    assert_eq!(fs::read(temp.path().join("a")).unwrap(), b"ours");
}

#[test]
fn p6_no_more_is_lent_than_there_is() {
    let limits = Limits { group_bytes: 1 << 20, group_files: 16, ..Limits::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let group = Group::start(&limits, |_| ()).unwrap();
    let lent = runtime.block_on(async {
        let mut lent = Vec::new();
        while let Some(permit) =
            tokio::select! { biased; room = group.room(1) => room, () = std::future::ready(()) => None }
        {
            lent.push(permit);
        }
        lent
    });
    assert_eq!(lent.len(), 16, "files, however small");
    drop(lent);
    let all = runtime.block_on(group.room(u64::MAX)).unwrap();
    assert_eq!(all.num_permits(), 1 << 20, "and bytes, however many");
}

#[cfg(all(target_os = "linux", not(thence_portable)))]
mod faults {
    use super::*;
    use crate::sys::watch::faults::{Errno, Fault, Faults, Kind, Plan};

    fn broken(kind: Kind, errno: Errno, first: usize, count: usize) -> (TempDir, Vec<Result<Done, Error>>) {
        let (temp, dir) = place();
        let plan = Plan { kind, fault: Fault::Errno(errno.raw_os_error()), first, count };
        let faults = Faults::below(temp.path(), plan);
        let wholes = (0..9).map(|line| whole(&dir, line, &format!("f{line}"), b"ours")).collect();
        let ends = fetched(&dir, &Limits::default(), wholes);
        assert!(faults.met() > 0, "{kind:?}");
        (temp, ends)
    }

    #[test]
    fn dsk_01_a_full_disk_costs_the_files_that_it_has_no_room_for() {
        let (temp, ends) = broken(Kind::Write, Errno::NOSPC, 4, 2);
        let full = |end: &Result<Done, Error>| matches!(end, Err(Error::Disk { fault: DiskFault::Full, .. }));
        assert_eq!(ends.iter().filter(|end| full(end)).count(), 2);
        assert_eq!(names(temp.path()).len(), 7, "and leaves nothing");
    }

    #[test]
    fn dsk_05_where_the_common_sync_fails_each_file_is_synced_for_itself() {
        // The first is the file system's; of the files' own one fails.
        let (temp, ends) = broken(Kind::Sync, Errno::IO, 0, 2);
        assert_eq!(ends.iter().filter(|end| end.is_err()).count(), 1);
        assert_eq!(names(temp.path()).len(), 8);
    }

    #[test]
    fn p7_a_directory_that_cannot_be_synced_is_told_of() {
        let (_temp, ends) = broken(Kind::SyncDirectory, Errno::IO, 0, 1);
        assert!(ends.iter().all(Result::is_err));
    }

    #[test]
    fn where_there_are_no_nameless_files_each_goes_the_ordinary_way() {
        let (temp, dir) = place();
        let plan = Plan {
            kind: Kind::Create,
            fault: Fault::Errno(Errno::OPNOTSUPP.raw_os_error()),
            first: 0,
            count: 1,
        };
        let _faults = Faults::below(temp.path(), plan);
        assert!(fetched(&dir, &Limits::default(), vec![whole(&dir, 0, "a", b"ours")])[0].is_ok());
        assert_eq!(names(temp.path()), ["a"]);
    }
}
