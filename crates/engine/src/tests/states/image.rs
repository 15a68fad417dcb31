//! What is on a disk: files by number, names, and how changes come to be in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::sys;
use crate::sys::watch::tape::{Id, Op};

/// What can be written or not at a time, and told from a hole.
const PAGE: usize = 4096;

/// A file.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) bytes: Vec<u8>,
    /// Pages that were ever written to; the others are holes.
    written: BTreeSet<usize>,
    mark: Option<Vec<u8>>,
    mtime: i64,
}

/// A directory with its files.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    pub(super) nodes: BTreeMap<Id, Node>,
    pub(super) names: BTreeMap<String, Id>,
}

impl Image {
    /// The bytes that a name leads to.
    pub(super) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.nodes.get(self.names.get(name)?).map(|node| &node.bytes[..])
    }

    /// Makes a change. What a name leads to is set by number, so that changes of the directory can be made in any
    /// order, or without one another.
    pub(super) fn make(&mut self, op: &Op, mtime: i64) {
        match op {
            Op::Create(id, name) => {
                self.nodes.entry(*id).or_default().mtime = mtime;
                self.names.insert(name.clone(), *id);
            }
            Op::Nameless(id) => self.nodes.entry(*id).or_default().mtime = mtime,
            Op::Write { id, at, bytes } => self.write(*id, *at as usize, bytes, mtime),
            Op::Length(id, len) => {
                let node = self.touched(*id, mtime);
                node.bytes.resize(*len as usize, 0);
                node.written.retain(|&page| page * PAGE < *len as usize);
            }
            Op::Reserve(id, len) => {
                let node = self.touched(*id, mtime);
                let len = node.bytes.len().max(*len as usize);
                node.bytes.resize(len, 0);
            }
            Op::Mark(id, value) => self.nodes.entry(*id).or_default().mark = Some(value.clone()),
            Op::Rename { id, from, to } => {
                if self.names.get(from) == Some(id) {
                    self.names.remove(from);
                }
                self.names.insert(to.clone(), *id);
            }
            Op::Exchange(names) => {
                self.names.extend(names.iter().map(|(id, name)| (name.clone(), *id)));
            }
            Op::Link(id, to) => {
                self.nodes.entry(*id).or_default();
                self.names.insert(to.clone(), *id);
            }
            Op::Remove(name) => _ = self.names.remove(name),
            Op::Dress(_)
            | Op::Sync(..)
            | Op::SyncDirectory
            | Op::SyncFileSystem
            | Op::Settled
            | Op::Promise(_) => {}
        }
    }

    /// Writes to a file; an empty write beyond the end makes it longer, as a size that outlived its bytes does.
    pub(super) fn write(&mut self, id: Id, at: usize, bytes: &[u8], mtime: i64) {
        let node = self.touched(id, mtime);
        let end = at + bytes.len();
        if node.bytes.len() < end {
            node.bytes.resize(end, 0);
        }
        if !bytes.is_empty() {
            node.bytes[at..end].copy_from_slice(bytes);
            node.written.extend(at / PAGE..end.div_ceil(PAGE));
        }
    }

    fn touched(&mut self, id: Id, mtime: i64) -> &mut Node {
        let node = self.nodes.entry(id).or_default();
        node.mtime = mtime;
        node
    }

    /// Builds it in an empty directory; returns each file's real inode and its number.
    pub(super) fn build(&self, dir: &Path) -> Vec<(u64, Id)> {
        let mut first: BTreeMap<Id, &str> = BTreeMap::new();
        let mut files = Vec::new();
        for (name, id) in &self.names {
            let path = dir.join(name);
            if let Some(other) = first.get(id) {
                fs::hard_link(dir.join(other), &path).expect("a link");
                continue;
            }
            first.insert(*id, name);
            let file = File::create_new(&path).expect("an empty directory");
            self.nodes[id].fill(&file);
            files.push((file.metadata().expect("an open file").ino(), *id));
        }
        files
    }
}

impl Node {
    fn fill(&self, file: &File) {
        file.set_len(self.bytes.len() as u64).expect("room");
        for &page in &self.written {
            let end = self.bytes.len().min((page + 1) * PAGE);
            file.write_all_at(&self.bytes[page * PAGE..end], (page * PAGE) as u64).expect("room");
        }
        if let Some(mark) = &self.mark {
            sys::set_mark(file, mark).expect("the directory's file system keeps attributes");
        }
        let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(self.mtime.unsigned_abs());
        file.set_modified(time).expect("an open file");
    }
}
