//! From bytes to the values that targets want. Bytes that have run out are zeros.

use std::path::Path;

use tempfile::TempDir;

/// What is left of an input.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    pub(crate) fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// Small numbers, numbers near what a file of a few blocks has, and all others.
    pub(crate) fn number(&mut self) -> u64 {
        const BLOCK: u64 = 256 << 10;
        match self.byte() {
            0 => u64::MAX - u64::from(self.byte()),
            1..=99 => u64::from(self.byte()) * BLOCK / 4,
            100..=199 => {
                (u64::from(self.byte()) * BLOCK).wrapping_add(u64::from(self.word()).wrapping_sub(99))
            }
            _ => self.take(8).iter().fold(0, |sum, &b| sum << 8 | u64::from(b)),
        }
    }

    /// Up to 255 bytes.
    pub(crate) fn short(&mut self) -> &'a [u8] {
        let len = self.byte();
        self.take(usize::from(len))
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::from(self.byte()) % from.len()].clone()
    }
}

/// Where no disk is waited for, if the machine has such a place.
pub(crate) fn scratch() -> TempDir {
    let shm = Path::new("/dev/shm");
    if shm.is_dir() { tempfile::tempdir_in(shm).unwrap() } else { tempfile::tempdir().unwrap() }
}
