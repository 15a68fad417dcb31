//! Files that the user names, read and replaced as a whole. Links on the way to them, and at their own names, are his choice.

use std::fs::{self, File};
use std::io::{self, ErrorKind, IoSlice, Read};
use std::path::Path;
use std::time::SystemTime;

use thence_plan::DiskFault;

use super::{DiskError, Entry};

/// All of a file; `FileTooLarge` if that is more than `most` bytes. What is a pipe is read to its end.
pub(crate) fn read_whole(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// Length and time of the last change, by which two readings are told apart; `None` where there is nothing.
pub(crate) fn stamp(path: &Path) -> io::Result<Option<(u64, SystemTime)>> {
    match fs::metadata(path).and_then(|meta| Ok((meta.len(), meta.modified()?))) {
        Ok(stamp) => Ok(Some(stamp)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts a file of mode 0600 in the place of what stands there, durably and in one step: before it there is all of the old
/// one, after it all of the new one. The owner stays, where we may give it away.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    // A link is not replaced, but what it leads to.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let strange = |why| DiskError::new(path, DiskFault::Strange, why);
    let name = target.file_name().ok_or_else(|| strange("it is no name of a file"))?;
    let dir = super::open_dir(target.parent().unwrap_or(Path::new("")))?;
    let entry = dir.entry(name);
    let before = fs::metadata(&target).ok();
    if before.as_ref().is_some_and(|meta| !meta.is_file()) {
        return Err(strange("it is no regular file"));
    }
    let new = dir.entry(format!(".thence-{:016x}", super::random().map_err(|e| DiskError::at(path, &e))?));
    let placed = place(&new, &entry, before.as_ref(), bytes).map_err(|e| DiskError::at(path, &e));
    if placed.is_err() {
        // What is left of it is private, and told by the error before.
        drop(super::remove(&new));
    }
    placed.and_then(|()| super::sync_dir(&dir))
}

fn place(new: &Entry, entry: &Entry, before: Option<&fs::Metadata>, bytes: &[u8]) -> io::Result<()> {
    let file = super::create_new(new)?;
    #[cfg(unix)]
    if let Some(before) = before {
        use std::os::unix::fs::{MetadataExt, fchown};
        // Only root may; for anybody else the file was their own already, or is from now on.
        drop(fchown(&file, Some(before.uid()), Some(before.gid())));
    }
    #[cfg(not(unix))]
    let _ = before;
    super::write_at(&file, 0, &mut [IoSlice::new(bytes)])?;
    super::sync_all(&file)?;
    super::rename_over(new, entry)
}
