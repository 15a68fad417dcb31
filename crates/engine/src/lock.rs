//! Who may work on a part: one opening of one process.
//!
//! The lock is on the part itself, so it moves and dies with it, and a killed holder frees it at once. Where
//! the file system has no locks (some NFS and FUSE), a file `NAME.part.lock` names host, boot and process;
//! it can outlive its holder, and is then taken for stale only when this very machine can tell.

use std::fs::File;
use std::io::{ErrorKind, IoSlice};
use std::time::Duration;

use thence_plan::DiskFault;

use crate::sys::{self, Boot, DiskError, Entry, Locking};

/// Somebody who only looks at a part (`status`) may hold its lock for a moment.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(5);

/// A part's lock. The system's own ends with the open file; a lock file when this is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    file: Option<Entry>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(path) = &self.file {
            _ = sys::remove(path);
        }
    }
}

/// Locks the open part; `None` if somebody else has it.
pub(crate) fn lock(part: &File, path: &Entry) -> Result<Option<Lock>, DiskError> {
    for attempt in 0..TRIES {
        if attempt > 0 {
            std::thread::sleep(PAUSE);
        }
        match sys::try_lock(part).map_err(|e| DiskError::at(path, &e))? {
            Locking::Ours => return Ok(Some(Lock { file: None })),
            Locking::Absent => return lock_by_file(path),
            Locking::Theirs => {}
        }
    }
    Ok(None)
}

/// Whether somebody works on the part, for one who only looks. An exclusive lock is tried and let go at once.
pub(crate) fn is_held(part: &File, path: &Entry) -> bool {
    match sys::try_lock(part) {
        Ok(Locking::Theirs) => true,
        Ok(Locking::Absent) => {
            let text = read(&path.with_added_extension("lock"));
            text.is_ok_and(|text| text.is_some_and(|text| !stale(&text, sys::boot().as_ref(), sys::alive)))
        }
        Ok(Locking::Ours) | Err(_) => {
            _ = part.unlock();
            false
        }
    }
}

/// The lock file's way.
fn lock_by_file(part: &Entry) -> Result<Option<Lock>, DiskError> {
    let path = part.with_added_extension("lock");
    let ours = sentence();
    for _ in 0..2 {
        if place(&path, &ours)? {
            return Ok(Some(Lock { file: Some(path) }));
        }
        if !remove_stale(&path)? {
            return Ok(None);
        }
    }
    Ok(None)
}

/// Host, boot and process of this program, in one line.
fn sentence() -> String {
    let Boot { host, id } = sys::boot().unwrap_or(Boot { host: "unknown".into(), id: "unknown".into() });
    format!("{host} {id} {}\n", std::process::id())
}

/// Gives a file with this text the name, unless it is taken. The file is whole before it has the name, so
/// that nobody reads half a sentence.
fn place(path: &Entry, text: &str) -> Result<bool, DiskError> {
    let own = path.with_added_extension(std::process::id().to_string());
    sys::remove(&own)?;
    let at = |e| DiskError::at(&own, &e);
    let file = sys::create_new(&own).map_err(at)?;
    sys::write_at(&file, 0, &mut [IoSlice::new(text.as_bytes())])
        .and_then(|()| sys::sync_data(&file))
        .map_err(at)?;
    match sys::rename_new(&own, path) {
        Ok(()) => Ok(true),
        Err(e) => {
            sys::remove(&own)?;
            if e.kind() == ErrorKind::AlreadyExists { Ok(false) } else { Err(DiskError::at(path, &e)) }
        }
    }
}

/// Removes a lock file whose holder is known to be dead; false if it is not. It is first moved aside: two
/// who find the same dead lock must not remove each other's new one.
fn remove_stale(path: &Entry) -> Result<bool, DiskError> {
    let Some(text) = read(path)? else { return Ok(true) };
    if !stale(&text, sys::boot().as_ref(), sys::alive) {
        return Ok(false);
    }
    let aside = path.with_added_extension(format!("stale.{}", std::process::id()));
    if sys::rename_over(path, &aside).is_err() {
        return Ok(true);
    }
    if read(&aside)? == Some(text) {
        sys::remove(&aside)?;
    } else {
        sys::rename_new(&aside, path).map_err(|e| DiskError::at(path, &e))?;
    }
    Ok(true)
}

fn read(path: &Entry) -> Result<Option<String>, DiskError> {
    let Some((file, _)) = sys::open_regular(path, false)? else { return Ok(None) };
    let mut bytes = [0; 512];
    let len = sys::read_at(&file, 0, &mut bytes).map_err(|e| DiskError::at(path, &e))?;
    let text = std::str::from_utf8(&bytes[..len]);
    text.map(|t| Some(t.to_owned()))
        .map_err(|_| DiskError::new(path, DiskFault::Strange, "it is no lock file"))
}

/// Dead for certain: of this machine, and of an earlier boot or a process that is gone.
fn stale(text: &str, here: Option<&Boot>, alive: impl Fn(u32) -> bool) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (&[host, id, pid], Some(here)) = (&words[..], here) else { return false };
    let Ok(pid) = pid.parse() else { return false };
    host == here.host && (id != here.id || !alive(pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(dir: &tempfile::TempDir) -> Entry {
        sys::Dir::open(dir.path()).unwrap().entry("a.part")
    }

    fn here() -> Boot {
        Boot { host: "h".into(), id: "b2".into() }
    }

    #[test]
    fn lck_05_only_the_certainly_dead_lose_their_lock() {
        let dead = |text| stale(text, Some(&here()), |pid| pid == 1);
        assert!(dead("h b2 2"), "the process is gone");
        assert!(dead("h b1 1"), "the boot is gone");
        assert!(!dead("h b2 1"), "alive");
        assert!(!dead("other b1 2"), "another machine cannot be asked");
        assert!(!dead("h b2") && !dead("") && !dead("h b2 x"), "nothing certain");
        assert!(!stale("h b2 2", None, |_| false), "we do not know who we are");
    }

    #[test]
    fn lck_05_a_lock_file_is_held_by_one_and_freed_on_drop() {
        let dir = tempfile::tempdir().unwrap();
        let part = entry(&dir);
        let lock = lock_by_file(&part).unwrap().expect("free");
        assert!(lock_by_file(&part).unwrap().is_none());
        drop(lock);
        assert!(lock_by_file(&part).unwrap().is_some());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[cfg(all(target_os = "linux", not(thence_portable)))]
    #[test]
    fn lck_05_a_lock_file_of_an_earlier_boot_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let part = entry(&dir);
        let host = sys::boot().expect("this is Linux").host;
        std::fs::write(dir.path().join("a.part.lock"), format!("{host} earlier 1\n")).unwrap();
        assert!(lock_by_file(&part).unwrap().is_some());
    }

    #[test]
    fn pth_10_a_lock_that_is_a_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "mine").unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join("a.part.lock")).unwrap();
        let error = lock_by_file(&entry(&dir)).unwrap_err();
        assert_eq!(error.fault, DiskFault::Strange);
        assert_eq!(std::fs::read(&victim).unwrap(), b"mine");
    }
}
