//! A run on one thread: what the driver does with the files, and no more. It finds, checks, writes what is missing,
//! records, syncs and publishes with the engine's own functions, and holds against them what was promised.

use std::io::IoSlice;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use thence_plan::{EntityTag, Exists, Held, HeldBlock, Identity, Limits, Record};

use crate::file::{Draft, Pair, place, retire};
use crate::find::{self, Found, Wanted};
use crate::pairs::Lately;
use crate::publish::{self, Finish};
use crate::sys::Dir;
use crate::sys::watch::tape::{self, Op, Promise};
use crate::verify::{self, Checker, tests::hash};

pub(super) const BLOCK: usize = 4096;
/// Longest file.
const MOST: usize = 4 * BLOCK;
const VERSIONS: u64 = 3;
pub(super) const NAME: &str = "file.bin";
const URL: &str = "http://h/d/file.bin";

/// What the server has, and what the user said.
#[derive(Clone, Copy, Debug)]
pub(super) struct World {
    /// Blocks, the last one short.
    pub(super) blocks: u32,
    /// The length is known before the end.
    pub(super) length: bool,
    pub(super) journal: bool,
    pub(super) exists: Exists,
}

/// How far a run goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// So many more whole blocks and then so many bytes; what then remains is as a kill leaves it.
    Killed(u32, usize),
    /// The same, ended in order.
    Stopped(u32),
    Published,
}

/// One run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) version: u64,
    pub(super) until: Until,
    /// The journal is written anew after each sync.
    pub(super) compact: bool,
}

/// What a run found at its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The version, and the blocks that were there and right.
    pub(super) held: Option<(u64, Vec<u32>)>,
    pub(super) finished: bool,
}

impl World {
    pub(super) fn total(&self) -> usize {
        BLOCK * self.blocks as usize - BLOCK + 1000
    }

    /// The bytes of a version.
    pub(super) fn bytes(&self, version: u64) -> &'static [u8] {
        static BYTES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| (0..VERSIONS).map(bytes).collect());
        &BYTES[version as usize][..self.total()]
    }

    fn identity(&self, version: u64) -> Identity {
        let etag = Some(EntityTag { weak: false, tag: format!("\"{version}\"") });
        Identity { total: self.length.then_some(self.total() as u64), etag, ..Identity::default() }
    }

    fn draft(&self, dir: &Dir, version: u64) -> Draft {
        Draft {
            dir: dir.clone(),
            name: NAME.into(),
            exists: self.exists,
            replaces: None,
            url: URL.into(),
            headers: Vec::new(),
            secrets: Vec::new(),
            identity: self.identity(version),
            block_size: BLOCK as u32,
            journal: self.journal,
            digest: None,
            signature: None,
            adopted: None,
            insecure: false,
            limits: Limits::default(),
        }
    }

    /// One run in `dir`. An error is a broken promise, or a disk that failed.
    pub(super) fn run(&self, dir: &Path, wish: Wish) -> Result<Seen, String> {
        let limits = Limits::default();
        let dir = &Dir::open(dir).map_err(|e| format!("the directory: {e}"))?;
        let lately = &Lately::default();
        let wanted = Wanted {
            dir,
            name: Some(NAME),
            urls: &[URL.to_owned()],
            headers: &[],
            known: None,
            lately,
            limits: &limits,
        };
        let mut seen = Seen::default();
        let place = || place(&self.draft(dir, wish.version)).map_err(|e| format!("place: {e}"));
        let (pair, there) = match find::find(&wanted).map_err(|e| format!("find: {e}"))? {
            Found::Nothing => (place()?, Vec::new()),
            Found::Finished { path, .. } => {
                seen.finished = true;
                return self.is_final(&path, None).map(|()| seen);
            }
            Found::Pair(work) => {
                let (version, there) = self.checked(&work.pair, &work.held)?;
                seen.held = Some((version, whole(&there)));
                if version == wish.version {
                    invalidate(&work.pair, &work.held, &there)?;
                    (work.pair, there)
                } else {
                    tape::say(Op::Promise(Promise::default()));
                    self.other(work.pair, dir, wish.version)?
                }
            }
            Found::Kept(_) => return Err("find: bytes of which no journal tells anything".into()),
            Found::InUse { .. } | Found::OtherUrl { .. } => return Err("find: somebody else's".into()),
        };
        Work { world: self, wish, pair, there }.go(&limits).map(|()| seen)
    }

    /// Another version than the one that `pair` holds: one that was put aside comes back, or it begins anew.
    fn other(&self, pair: Pair, dir: &Dir, version: u64) -> Result<(Pair, Vec<HeldBlock>), String> {
        let draft = self.draft(dir, version);
        if let Some(back) = find::comes_back(&pair, &draft).map_err(|e| format!("exchange: {e}"))? {
            let (came, there) = self.checked(&back.pair, &back.held)?;
            if came != version {
                return Err(format!("version {came} came back for {version}"));
            }
            invalidate(&back.pair, &back.held, &there)?;
            return Ok((back.pair, there));
        }
        retire(pair, &draft.limits).map_err(|e| format!("retire: {e}"))?;
        Ok((place(&draft).map_err(|e| format!("place: {e}"))?, Vec::new()))
    }

    /// The version a pair is of, and the blocks that stand the check. All of those must be right.
    fn checked(&self, pair: &Pair, held: &Held) -> Result<(u64, Vec<HeldBlock>), String> {
        let tag = held.identity.etag.as_ref().map(|etag| etag.tag.trim_matches('"').to_owned());
        let version = tag.and_then(|tag| tag.parse().ok()).ok_or("held work of no version")?;
        let bytes = self.bytes(version);
        let mut checker = Checker::new(Arc::clone(&pair.part), held.block_size);
        let mut there = Vec::new();
        for block in &held.blocks {
            let open = checker.check(block.index, block.len, |_| {}).map_err(|e| format!("check: {e}"))?;
            if open.is_none_or(|open| open.hash() != block.hash) {
                continue;
            }
            let (at, len) = (block.index as usize * BLOCK, block.len as usize);
            let mut disk = vec![0; len];
            let read = pair.part.read_at(at as u64, &mut disk).map_err(|e| format!("read: {e}"))?;
            if read != len || bytes.get(at..at + len) != Some(&disk[..]) {
                return Err(format!(
                    "block {} of version {version} counts as held and is wrong",
                    block.index
                ));
            }
            there.push(*block);
        }
        if held.whole && there.len() != self.blocks as usize {
            return Err(format!("whole is said of a part with {} of its blocks", there.len()));
        }
        Ok((version, there))
    }

    /// The file at `path` is one version, whole; this one, if it is said.
    pub(super) fn is_final(&self, path: &Path, version: Option<u64>) -> Result<(), String> {
        let there = std::fs::read(path).map_err(|e| format!("the final file: {e}"))?;
        if version.map_or(self.is_some_version(&there), |version| there == self.bytes(version)) {
            Ok(())
        } else {
            Err(format!("{} is not right", path.display()))
        }
    }

    pub(super) fn is_some_version(&self, bytes: &[u8]) -> bool {
        (0..VERSIONS).any(|version| bytes == self.bytes(version))
    }
}

/// Bytes of a version; no two words of two versions are alike.
fn bytes(version: u64) -> Vec<u8> {
    let word = |index: u64| (version + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (index * 0x1_0001);
    (0..MOST as u64 / 8).flat_map(|index| word(index).to_le_bytes()).collect()
}

/// Indices of blocks that are there from start to end.
fn whole(there: &[HeldBlock]) -> Vec<u32> {
    there.iter().filter(|block| block.len as usize == BLOCK).map(|block| block.index).collect()
}

/// Records that what did not stand the check is not held.
fn invalidate(pair: &Pair, held: &Held, there: &[HeldBlock]) -> Result<(), String> {
    let lost = held.blocks.iter().filter(|block| !there.contains(block));
    let invalid =
        |block: &HeldBlock| Record::Invalid { first: block.index, count: 1, why: "read back".into() };
    let records: Vec<Record> = lost.map(invalid).collect();
    let journal = pair.journal.as_ref().filter(|_| !records.is_empty());
    journal.map_or(Ok(()), |journal| journal.append(&records).map_err(|e| format!("append: {e}")))
}

struct Work<'a> {
    world: &'a World,
    wish: Wish,
    pair: Pair,
    there: Vec<HeldBlock>,
}

impl Work<'_> {
    fn go(mut self, limits: &Limits) -> Result<(), String> {
        let bytes = self.world.bytes(self.wish.version);
        let (mut left, prefix) = match self.wish.until {
            Until::Killed(blocks, prefix) => (blocks, prefix),
            Until::Stopped(blocks) => (blocks, 0),
            Until::Published => (u32::MAX, 0),
        };
        for index in 0..self.world.blocks {
            let end = bytes.len().min((index as usize + 1) * BLOCK);
            let start = index as usize * BLOCK;
            let from =
                self.there.iter().find(|block| block.index == index).map_or(0, |block| block.len as usize);
            if start + from == end {
                continue;
            }
            let last = left == 0;
            let upto = if last { (start + prefix).min(end) } else { end };
            if upto > start + from {
                self.store(index, start + from, &bytes[start..upto])?;
            }
            if index % 2 == 1 {
                self.sync()?;
            }
            if last {
                break;
            }
            left -= 1;
        }
        match self.wish.until {
            Until::Killed(..) => Ok(()),
            Until::Stopped(_) => {
                self.sync()?;
                let clean = self.pair.part.clean().map_err(|e| format!("clean: {e}"))?;
                self.append(&[clean])
            }
            Until::Published => self.publish(limits),
        }
    }

    /// Writes a block's bytes from `at` on; `block` is all of it up to where it is then held.
    fn store(&mut self, index: u32, at: usize, block: &[u8]) -> Result<(), String> {
        let new = &block[at - index as usize * BLOCK..];
        let written = self.pair.part.write_at(at as u64, &mut [IoSlice::new(new)]);
        written.map_err(|e| format!("write: {e}"))?;
        let (len, hash) = (block.len() as u32, hash(block));
        let end = index as usize * BLOCK + block.len();
        let record = if block.len() == BLOCK || end == self.world.total() {
            Record::Block { index, len, hash }
        } else {
            Record::Prefix { index, len, hash }
        };
        self.there.retain(|block| block.index != index);
        self.there.push(HeldBlock { index, len, hash, synced: false });
        self.append(&[record])
    }

    fn append(&self, records: &[Record]) -> Result<(), String> {
        let Some(journal) = &self.pair.journal else { return Ok(()) };
        journal.append(records).map_err(|e| format!("append: {e}"))
    }

    fn sync(&mut self) -> Result<(), String> {
        verify::sync(&self.pair).map_err(|e| format!("sync: {e}"))?;
        if let Some(journal) = &self.pair.journal {
            if self.wish.compact {
                journal.compact_now().map_err(|e| format!("compact: {e}"))?;
            }
            let (version, blocks) = (self.wish.version, whole(&self.there));
            tape::say(Op::Promise(Promise { version, blocks, published: false }));
        }
        Ok(())
    }

    fn publish(mut self, limits: &Limits) -> Result<(), String> {
        let identity =
            Identity { total: Some(self.world.total() as u64), ..self.world.identity(self.wish.version) };
        if !self.world.length {
            self.append(&[Record::Learnt(identity.clone())])?;
        }
        self.sync()?;
        let finish = Finish {
            total: self.world.total() as u64,
            mode: 0o644,
            mtime: None,
            url: URL.into(),
            identity,
            digest: None,
            replaces: None,
            exists: self.world.exists,
            adopted: None,
            limits: limits.clone(),
        };
        let path = publish::publish(&self.pair, &finish).map_err(|e| format!("publish: {e}"))?;
        let version = self.wish.version;
        tape::say(Op::Promise(Promise { version, published: true, blocks: Vec::new() }));
        self.world.is_final(&path, Some(version))
    }
}
