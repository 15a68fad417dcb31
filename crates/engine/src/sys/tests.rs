mod fence;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory for the test")
}

fn at(dir: &tempfile::TempDir, name: &str) -> Entry {
    Dir::open(dir.path()).expect("it is there").entry(name)
}

/// Writes through a system that obliges with `limit` bytes a call, after each of the given errors.
fn write_through(limit: usize, errors: &[ErrorKind]) -> io::Result<Vec<u8>> {
    let mut disk = vec![0; 10];
    let mut errors = errors.iter();
    let (a, b) = ([1, 2, 3], [4, 5, 6, 7]);
    let mut slices = [IoSlice::new(&a), IoSlice::new(&[]), IoSlice::new(&b)];
    write_all(2, &mut slices, |slices, offset| {
        if let Some(kind) = errors.next() {
            return Err((*kind).into());
        }
        let first = slices.iter().find(|s| !s.is_empty()).expect("never called with nothing");
        let n = first.len().min(limit);
        disk[offset as usize..][..n].copy_from_slice(&first[..n]);
        Ok(n)
    })?;
    Ok(disk)
}

#[test]
fn dsk_04_short_and_interrupted_writes_go_on() {
    let want = vec![0, 0, 1, 2, 3, 4, 5, 6, 7, 0];
    for limit in 1..8 {
        assert_eq!(write_through(limit, &[]).unwrap(), want);
        let errors = [ErrorKind::Interrupted, ErrorKind::WouldBlock];
        assert_eq!(write_through(limit, &errors).unwrap(), want);
    }
    assert_eq!(write_through(1, &[ErrorKind::StorageFull]).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(write_through(0, &[]).unwrap_err().kind(), ErrorKind::WriteZero);
}

#[test]
fn dsk_03_without_fallocate_the_file_is_sparse_and_no_zero_is_written() {
    let dir = dir();
    let file = create_new(&at(&dir, "a")).unwrap();
    let hundred_gib = 100 << 30;
    // What `preallocate` does where `allocate` is unsupported; the portable build always does it.
    file.set_len(hundred_gib).unwrap();
    assert_eq!(facts(&file).unwrap().size, hundred_gib);
    #[cfg(thence_portable)]
    preallocate(&file, hundred_gib).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap()), 0);
}

#[test]
fn dsk_03_preallocation_gives_the_full_length() {
    let dir = dir();
    let file = create_new(&at(&dir, "a")).unwrap();
    preallocate(&file, 1 << 20).unwrap();
    assert_eq!(facts(&file).unwrap().size, 1 << 20);
}

#[cfg(all(target_os = "linux", not(thence_portable)))]
#[test]
fn crh_09_reserved_room_is_no_data() {
    let dir = dir();
    let file = create_new(&at(&dir, "a")).unwrap();
    preallocate(&file, 1 << 20).unwrap();
    assert!(!holds_data(&file).unwrap());
    write_at(&file, 4096, &mut [IoSlice::new(b"x")]).unwrap();
    assert!(holds_data(&file).unwrap());
}

#[test]
fn pth_06_every_form_of_rename_leaves_a_taken_name_alone() {
    for rename in [rename_new, link_new, claim_new] {
        let dir = dir();
        let (from, to) = (at(&dir, "from"), at(&dir, "to"));
        fs::write(from.path(), "new").unwrap();
        fs::write(to.path(), "old").unwrap();
        assert_eq!(rename(&from, &to).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(to.path()).unwrap(), b"old");
        fs::remove_file(to.path()).unwrap();
        symlink("victim", to.path()).unwrap();
        assert_eq!(rename(&from, &to).unwrap_err().kind(), ErrorKind::AlreadyExists);
        fs::remove_file(to.path()).unwrap();
        rename(&from, &to).unwrap();
        assert_eq!(fs::read(to.path()).unwrap(), b"new");
        assert!(!from.path().exists());
    }
}

#[test]
fn pth_13_a_new_file_is_its_owners_alone() {
    let dir = dir();
    let entry = at(&dir, "a");
    create_new(&entry).unwrap();
    assert_eq!(fs::metadata(entry.path()).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(create_new(&entry).unwrap_err().kind(), ErrorKind::AlreadyExists);
}

#[test]
fn pth_10_a_link_is_not_followed() {
    let dir = dir();
    let (victim, link) = (dir.path().join("victim"), at(&dir, "link"));
    fs::write(&victim, "mine").unwrap();
    symlink(&victim, link.path()).unwrap();
    assert_eq!(open_regular(&link, true).unwrap_err().fault, DiskFault::Strange);
    assert_eq!(create_new(&link).unwrap_err().kind(), ErrorKind::AlreadyExists);
    // Also when the link comes between the look and the open.
    let error = reach::open(&link, false).unwrap_err();
    assert_eq!(fault(&error), DiskFault::Strange);
}

#[test]
fn errors_are_named_by_what_can_be_done() {
    let fault_of = |errno: rustix::io::Errno| fault(&errno.into());
    use rustix::io::Errno;
    assert_eq!(fault_of(Errno::NOSPC), DiskFault::Full);
    assert_eq!(fault_of(Errno::DQUOT), DiskFault::Full);
    assert_eq!(fault_of(Errno::FBIG), DiskFault::TooLarge);
    for denied in [Errno::ROFS, Errno::ACCESS, Errno::PERM] {
        assert_eq!(fault_of(denied), DiskFault::Denied);
    }
    assert_eq!(fault_of(Errno::NOENT), DiskFault::Missing);
    assert_eq!(fault_of(Errno::EXIST), DiskFault::Exists);
    assert_eq!(fault_of(Errno::LOOP), DiskFault::Strange);
    assert_eq!(fault_of(Errno::IO), DiskFault::Io);
}

#[cfg(all(target_os = "linux", not(thence_portable)))]
#[test]
fn the_mark_is_read_back() {
    let dir = dir();
    let file = create_new(&at(&dir, "a")).unwrap();
    assert_eq!(mark(&file), None);
    set_mark(&file, b"value").unwrap();
    assert_eq!(mark(&file).unwrap(), b"value");
}

#[test]
fn lck_05_a_file_system_without_locks_says_so() {
    assert!(lacks_locks(&rustix::io::Errno::NOLCK.into()));
    assert!(lacks_locks(&rustix::io::Errno::OPNOTSUPP.into()));
    assert!(!lacks_locks(&rustix::io::Errno::IO.into()));
}

#[test]
fn a_bare_names_directory_is_the_present_one() {
    let here = Dir::open(Path::new("name").parent().unwrap()).unwrap();
    sync_dir(&here).unwrap();
    assert!(!names_in(&here, 1).unwrap().0.is_empty());
    assert_eq!(open_dir(Path::new("not there")).unwrap_err().fault, DiskFault::Missing);
}
