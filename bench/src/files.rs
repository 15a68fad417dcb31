//! Files that are served and files that came: made, warmed, checked, cleared away.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use thence_origin::files::fill;

/// The file that is served, a day old, made once and then read so that it is in the page cache.
///
/// By pieces, never whole in memory: a child's peak memory counts what its parent held when it was spawned.
pub(crate) fn serve(path: &Path, size: u64) -> io::Result<()> {
    let mut piece = vec![0; size.clamp(1, 1 << 20) as usize];
    if fs::metadata(path).map(|metadata| metadata.len()).ok() != Some(size) {
        let mut file = fs::File::create(path)?;
        for at in (0..size).step_by(piece.len()) {
            let len = (size - at).min(piece.len() as u64) as usize;
            fill(1, at, &mut piece[..len]);
            file.write_all(&piece[..len])?;
        }
        file.set_modified(SystemTime::now() - Duration::from_secs(86_400))?;
        file.sync_all()?;
    }
    let mut file = fs::File::open(path)?;
    while file.read(&mut piece)? > 0 {}
    Ok(())
}

/// The directory to download into; `None` where there is none.
pub(crate) fn place(to: &str, dir: &Path) -> Result<Option<PathBuf>, String> {
    let place = match to {
        "disk" => dir.join("got"),
        "tmpfs" if Path::new("/dev/shm").is_dir() => {
            PathBuf::from(format!("/dev/shm/thence-bench-{}", std::process::id()))
        }
        "tmpfs" => {
            println!("no /dev/shm: nothing is measured on tmpfs");
            return Ok(None);
        }
        other => return Err(format!("`--to {other}`: disk or tmpfs")),
    };
    fs::create_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    Ok(Some(place))
}

/// Removes what an earlier run left in `dir` and lets the disk come to rest, so that nobody pays for another.
pub(crate) fn clear(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let _gone_already = fs::remove_file(entry.path());
    }
    sync(dir);
}

/// Clears a directory and takes it away.
pub(crate) fn leave(dir: &Path) {
    clear(dir);
    let _not_empty = fs::remove_dir(dir);
    for beside in ["list", "list.thence"] {
        let _none = fs::remove_file(dir.with_extension(beside));
    }
}

/// Brings all of a file system to its disk.
pub(crate) fn sync(dir: &Path) {
    let _no_disk = fs::File::open(dir).and_then(|dir| Ok(rustix::fs::syncfs(dir)?));
}

/// Uses as much memory as the run will and lets it go again. A virtual machine's host takes free memory back, and
/// whoever is the first to touch it again pays for it: up to ten times the price of the write itself, by chance.
pub(crate) fn warm(file: &Path, size: u64) -> io::Result<()> {
    let path = file.with_extension("warm");
    let mut scratch = fs::File::create(&path)?;
    let piece = vec![0; 1 << 20];
    for _ in 0..size.div_ceil(piece.len() as u64) {
        scratch.write_all(&piece)?;
    }
    fs::remove_file(path)
}

/// Length always, bytes if `whole`: reading them would warm nothing that the next run needs cold.
pub(crate) fn check(path: &Path, size: u64, whole: bool) -> Result<(), String> {
    let fail = |error: io::Error| format!("{}: {error}", path.display());
    let mut file = fs::File::open(path).map_err(fail)?;
    let len = file.metadata().map_err(fail)?.len();
    if len != size {
        return Err(format!("{len} of {size} bytes"));
    }
    let (mut is, mut ought) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    for at in (0..if whole { size } else { 0 }).step_by(is.len()) {
        let len = (size - at).min(is.len() as u64) as usize;
        file.read_exact(&mut is[..len]).map_err(fail)?;
        fill(1, at, &mut ought[..len]);
        if is[..len] != ought[..len] {
            return Err(format!("wrong bytes after {at}"));
        }
    }
    Ok(())
}
