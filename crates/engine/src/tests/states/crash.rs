//! What a crash makes of a tape: what was synced is there, of the rest any part.
//!
//! A file's sync keeps its bytes and length (attributes as well, if asked for), and no name; a sync of the directory
//! keeps its names, and no bytes. Nothing else has an order: later changes may be there without earlier ones, and
//! a write in pieces of 512 bytes or 4 KiB, or with nothing but the length that it gave the file. One thing is
//! believed of file systems: an inode is written as a whole, with the attributes that it had by then.

use super::image::Image;
use crate::sys::watch::tape::{Noted, Op, Promise};

/// What is there or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit {
    /// Index of the change.
    op: usize,
    /// Bytes of it, if it is a write; all of them unless it is torn. An empty piece is the length alone.
    piece: Option<(usize, usize)>,
}

/// A crash after the first `upto` changes.
pub(super) struct Crash<'a> {
    tape: &'a [Noted],
    durable: Vec<bool>,
    pub(super) units: Vec<Unit>,
}

impl<'a> Crash<'a> {
    /// `tear` is the piece in which writes are kept: 512, 4096, or 0 for whole writes only.
    pub(super) fn after(tape: &'a [Noted], upto: usize, tear: usize) -> Crash<'a> {
        let tape = &tape[..upto];
        let durable: Vec<bool> = (0..upto).map(|index| durable(tape, index)).collect();
        let mut units = Vec::new();
        for (index, noted) in tape.iter().enumerate().filter(|(index, _)| !durable[*index]) {
            match &noted.op {
                Op::Write { at, bytes, .. } if tear > 0 => {
                    units.push(Unit { op: index, piece: Some((bytes.len(), bytes.len())) });
                    let (mut from, start) = (0, *at as usize);
                    while from < bytes.len() {
                        let to = bytes.len().min((start + from + 1).next_multiple_of(tear) - start);
                        units.push(Unit { op: index, piece: Some((from, to)) });
                        from = to;
                    }
                }
                op if is_change(op) => units.push(Unit { op: index, piece: None }),
                _ => {}
            }
        }
        Crash { tape, durable, units }
    }

    /// The disk when of `units` those are there that `kept` says; by index.
    pub(super) fn image(&self, base: &Image, kept: impl Fn(usize) -> bool) -> Image {
        let mut image = base.clone();
        let mut there = self.durable.clone();
        self.units
            .iter()
            .enumerate()
            .filter(|(number, _)| kept(*number))
            .for_each(|(_, unit)| there[unit.op] = true);
        let mut units = self.units.iter().enumerate().peekable();
        for (index, Noted { op, mtime }) in self.tape.iter().enumerate() {
            if self.durable[index] || self.carried(index, &there) {
                image.make(op, *mtime);
            }
            while let Some((number, unit)) = units.next_if(|(_, unit)| unit.op == index) {
                match (op, unit.piece) {
                    _ if !kept(number) => {}
                    (Op::Write { id, at, bytes }, Some((from, to))) => {
                        image.write(*id, *at as usize + from, &bytes[from..to], *mtime);
                    }
                    _ => image.make(op, *mtime),
                }
            }
        }
        image
    }

    /// Whether it is an attribute that a later length of its file brought along: an inode is written as a whole.
    fn carried(&self, index: usize, there: &[bool]) -> bool {
        let Op::Mark(marked, _) = &self.tape[index].op else { return false };
        let later = self.tape.iter().zip(there).skip(index + 1).filter(|(_, there)| **there);
        let mut later = later.filter_map(|(noted, _)| match &noted.op {
            Op::Write { id, .. } | Op::Length(id, _) | Op::Reserve(id, _) => Some(id),
            _ => None,
        });
        later.any(|id| id == marked)
    }

    /// The last that was promised.
    pub(super) fn promise(&self) -> Option<&'a Promise> {
        self.tape.iter().rev().find_map(|noted| match &noted.op {
            Op::Promise(promise) => Some(promise),
            _ => None,
        })
    }
}

fn is_change(op: &Op) -> bool {
    !matches!(
        op,
        Op::Sync(..)
            | Op::SyncDirectory
            | Op::SyncFileSystem
            | Op::Settled
            | Op::Promise(_)
            | Op::Dress(_)
            | Op::Nameless(_)
    )
}

/// Whether something after the change brought it to the disk.
fn durable(tape: &[Noted], index: usize) -> bool {
    tape[index + 1..].iter().any(|later| match (&tape[index].op, &later.op) {
        // The names that are there too: whoever syncs a file system syncs its directories.
        (_, Op::Settled | Op::SyncFileSystem) => true,
        (Op::Write { id, .. } | Op::Length(id, _) | Op::Reserve(id, _), Op::Sync(synced, _)) => id == synced,
        (Op::Mark(id, _), Op::Sync(synced, all)) => id == synced && *all,
        (
            Op::Create(..) | Op::Rename { .. } | Op::Exchange(_) | Op::Link(..) | Op::Remove(_),
            Op::SyncDirectory,
        ) => true,
        _ => false,
    })
}
