//! Where tests stand between us and the disk: `tape` notes what one thread does, so that every crash of it can be
//! played; `faults` lets calls below one directory fail.

pub(crate) mod faults;
pub(crate) mod tape;

use std::fs::File;
use std::io::{self, IoSlice};

use super::{Change, native};

pub(super) use tape::{drawn, nameless, recorded};

/// Lets a change fail if that is wanted, makes it, and notes it.
pub(super) fn watched<T>(change: Change<'_>, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    tape::refused(&change)?;
    faults::met(&change)?;
    let done = act()?;
    tape::note(&change);
    Ok(done)
}

/// The same for a write, which can also be short, or land elsewhere.
pub(super) fn write_some(file: &File, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
    let written = match faults::met_by_write(file)? {
        None => native::write_vectored(file, slices, offset)?,
        Some(faults::Bent::Short(most)) => {
            let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| &slice[..]);
            let some = &first[..first.len().min(most)];
            native::write_vectored(file, &[IoSlice::new(some)], offset)?
        }
        Some(faults::Bent::Elsewhere(by)) => {
            native::write_vectored(file, slices, offset.wrapping_add_signed(by))?
        }
    };
    tape::note_write(file, slices, offset, written);
    Ok(written)
}
