//! Panics that tests plant where nothing makes the code panic from outside. No product has this module.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Where a panic can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A lane, when it has heard that its bytes are written.
    Lane,
    /// The thread that writes a part's data, before it writes.
    Data,
    /// The thread that writes a part's journal, before it writes.
    Journal,
}

/// Place, file, and how often it is passed before it panics, once.
static PLANTED: Mutex<Vec<(Place, PathBuf, u32)>> = Mutex::new(Vec::new());

/// Plants one: `passes` arrivals with `file` go by, the next panics.
pub(crate) fn plant(place: Place, file: &Path, passes: u32) {
    PLANTED.lock().unwrap_or_else(PoisonError::into_inner).push((place, file.to_owned(), passes));
}

/// True if none is planted there for `file`, or no longer: it has been run into.
pub(crate) fn is_spent(place: Place, file: &Path) -> bool {
    let planted = PLANTED.lock().unwrap_or_else(PoisonError::into_inner);
    !planted.iter().any(|(at, of, _)| *at == place && of == file)
}

/// The code has come to `place` with `file`.
pub(crate) fn reached(place: Place, file: &Path) {
    let mut planted = PLANTED.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(found) = planted.iter().position(|(at, of, _)| *at == place && of == file) else { return };
    if planted[found].2 > 0 {
        return planted[found].2 -= 1;
    }
    planted.swap_remove(found);
    drop(planted);
    panic!("as the test wants it");
}
