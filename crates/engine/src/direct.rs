//! Writes past the page cache (O_DIRECT): a third of the CPU of a buffered write, and the disk works from the first
//! byte on. They must be of whole pages from aligned memory, so a write is cut in three: the page it begins
//! in, the whole pages, the page it ends in; the outer two are buffered.
//!
//! A page is never written both ways at once: a block has one writer at a time, and within a write the parts follow each
//! other. Where a buffered page is overwritten, the kernel writes it out first and forgets it.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice};
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::sys::{self, Entry};

/// What direct writes want of every disk, in bytes: of memory, of offsets and of lengths. A disk that wants more is
/// written to as usual.
pub(crate) const PAGE: usize = 4096;

/// Fewer bytes of whole pages are buffered: so little comes of a lane that hands over because its time is up, below
/// 1.3 MB/s, and then a write that waits for the disk costs more than one that does not.
#[cfg(not(test))]
const LEAST: usize = 256 << 10;

/// The files of tests are small.
#[cfg(test)]
const LEAST: usize = PAGE;

/// A file's second descriptor, for direct writes.
#[derive(Debug, Default)]
pub(crate) struct Direct {
    file: OnceLock<Option<File>>,
    /// The file system refused, or the bytes are wanted in memory.
    off: AtomicBool,
}

impl Direct {
    /// From now on everything is buffered, so that it can be read again without the disk.
    pub(crate) fn turn_off(&self) {
        self.off.store(true, Ordering::Relaxed);
    }

    /// Direct writes were possible when last tried. Nothing is opened for this answer.
    pub(crate) fn is_on(&self) -> bool {
        !self.off.load(Ordering::Relaxed) && matches!(self.file.get(), Some(Some(_)))
    }

    /// Writes all of `slices` at `offset` of `file`, which stands at `entry`.
    pub(crate) fn write_at(
        &self,
        (entry, file): (&Entry, &File),
        offset: u64,
        slices: &mut [IoSlice<'_>],
    ) -> io::Result<()> {
        let whole = whole_pages(offset, slices).filter(|_| !self.off.load(Ordering::Relaxed));
        let Some(whole) = whole else { return sys::write_at(file, offset, slices) };
        let direct = self.file.get_or_init(|| sys::open_direct(entry, file, PAGE));
        let Some(direct) = direct else { return sys::write_at(file, offset, slices) };
        let len = slices.iter().map(|slice| slice.len()).sum();
        let buffered = |range: Range<usize>| {
            sys::write_at(file, offset + range.start as u64, &mut part_of(slices, &range))
        };
        buffered(0..whole.start)?;
        match sys::write_at(direct, offset + whole.start as u64, &mut part_of(slices, &whole)) {
            Err(error) if refuses(&error) => {
                self.turn_off();
                buffered(whole.clone())?;
            }
            done => done?,
        }
        buffered(whole.end..len)
    }
}

/// The file system cannot do this, or not so: what it says of a length or an address that does not suit it.
fn refuses(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported)
}

/// Which of the bytes at `offset` are whole pages in aligned memory; `None` if they are not worth it.
fn whole_pages(offset: u64, slices: &[IoSlice<'_>]) -> Option<Range<usize>> {
    let len: usize = slices.iter().map(|slice| slice.len()).sum();
    let from = (offset.next_multiple_of(PAGE as u64) - offset) as usize;
    let to = len.checked_sub(((offset + len as u64) % PAGE as u64) as usize)?;
    let worth = to.checked_sub(from)? >= LEAST;
    let aligned = |slice: &IoSlice<'_>| (slice.as_ptr().addr() | slice.len()).is_multiple_of(PAGE);
    (worth && part_of(slices, &(from..to)).iter().all(aligned)).then_some(from..to)
}

/// Those bytes of `slices`.
fn part_of<'a>(slices: &'a [IoSlice<'_>], range: &Range<usize>) -> Vec<IoSlice<'a>> {
    let mut part = Vec::with_capacity(slices.len());
    let mut at = 0;
    for slice in slices {
        let from = range.start.clamp(at, at + slice.len()) - at;
        let to = range.end.clamp(at, at + slice.len()) - at;
        if from < to {
            part.push(IoSlice::new(&slice[from..to]));
        }
        at += slice.len();
    }
    part
}
