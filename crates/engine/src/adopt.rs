//! Partial files of other programs, and older versions of the wanted file (zsync): found, read for what they claim, and copied
//! to a pair of ours, as a claim for the planner.
//!
//! They are only read here; nothing that they claim is recorded. The journal tells of it once the planner believes it.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use thence_plan::{Begin, Claimed, Claims, Held, HeldBlock, Identity, Limits, Zsync, block_size};

use crate::error::Error;
use crate::file::{self, Draft, Pair};
use crate::mark::Mark;
use crate::publish::CONTROLS;
use crate::seed::{Piece, Seed};
use crate::sys::{self, DiskError, Entry, Facts};
use crate::write::OpenBlock;

/// What browsers add to the name of a file that they have not got whole.
const BROWSERS: [&str; 3] = [".crdownload", ".part", ".download"];

/// Bytes copied and read back at once, so that others' syncs do not wait long.
const BITE: u64 = 64 << 20;

/// Bytes read at once.
const PIECE: usize = 256 << 10;

/// Where a program never wrote, or its bytes were lost, a page is all zeros.
const PAGE: [u8; 4096] = [0; 4096];

/// A page and no less is worth a record of its own.
const LEAST: u64 = PAGE.len() as u64;

/// A partial file, and what is claimed of it.
pub(crate) struct Partial {
    entry: Entry,
    file: File,
    facts: Facts,
    claims: Claims,
    /// It is an older version, of which nothing is known until it was looked through.
    seed: Option<Seed>,
}

/// A file that might be taken over, and cannot.
pub(crate) struct Useless {
    /// The file.
    pub(crate) file: String,
    /// Why.
    pub(crate) what: String,
}

/// What may be taken over at the name NAME, unasked: NAME with a control file of aria2 or axel beside it, or what Chromium
/// leaves, `NAME.crdownload`.
pub(crate) fn beside(entry: &Entry, limits: &Limits) -> Result<Option<Result<Partial, Useless>>, DiskError> {
    for suffix in CONTROLS {
        if is_regular(&entry.with_added_extension(&suffix[1..]))? && is_regular(entry)? {
            return open(entry, limits);
        }
    }
    let chromium = entry.with_added_extension(&BROWSERS[0][1..]);
    if is_regular(&chromium)? { open(&chromium, limits) } else { Ok(None) }
}

/// The file that somebody asked to be taken over: what a control file beside it claims, else all of it, as the first bytes.
pub(crate) fn given(path: &Path, limits: &Limits) -> Result<Result<Partial, Useless>, Error> {
    let entry = entry_of(path)?;
    let whole = || Err(Useless { file: shown(&entry), what: "it is a finished file of thence".into() });
    Ok(match open(&entry, limits)? {
        Some(found) => found,
        None if is_regular(&entry)? => whole(),
        None => return Err(missing(path).into()),
    })
}

/// Any file, a finished one of ours as well: bytes of it are those of the wanted file where the sums of blocks say so.
pub(crate) fn seed(path: &Path, zsync: Arc<Zsync>) -> Result<Partial, Error> {
    let entry = entry_of(path)?;
    let (file, facts) = sys::open_regular(&entry, false)?.ok_or_else(|| missing(path))?;
    let claims = Claims { total: Some(zsync.size), runs: Vec::new() };
    let seed = Some(Seed::new(zsync, facts.size));
    Ok(Partial { entry, file, facts, claims, seed })
}

fn entry_of(path: &Path) -> Result<Entry, Error> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| missing(path))?;
    Ok(sys::open_dir(dir)?.entry(name))
}

fn missing(path: &Path) -> DiskError {
    DiskError::at(path, &std::io::ErrorKind::NotFound.into())
}

/// The final name that a partial file is meant to have.
pub(crate) fn name_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let stripped = BROWSERS.iter().find_map(|suffix| name.strip_suffix(suffix));
    Some(stripped.filter(|name| !name.is_empty()).unwrap_or(name).to_owned())
}

fn is_regular(entry: &Entry) -> Result<bool, DiskError> {
    Ok(sys::facts_at(entry)?.is_some_and(|facts| facts.regular))
}

fn shown(entry: &Entry) -> String {
    entry.path().to_string_lossy().into_owned()
}

/// `None` where there is no file, or a finished one of ours.
fn open(entry: &Entry, limits: &Limits) -> Result<Option<Result<Partial, Useless>>, DiskError> {
    let Some((file, facts)) = sys::open_regular(entry, false)? else { return Ok(None) };
    if matches!(Mark::of(&file), Some(Mark::File { .. })) {
        return Ok(None);
    }
    let useless = |what: String| Ok(Some(Err(Useless { file: shown(entry), what })));
    let claims = match claims(entry, facts.size, limits)? {
        Ok(claims) => claims.within(facts.size),
        Err(what) => return useless(what),
    };
    if claims.runs.is_empty() {
        return useless("nothing of it is said to be there".into());
    }
    Ok(Some(Ok(Partial { entry: entry.clone(), file, facts, claims, seed: None })))
}

/// What is claimed of the file at `entry`, or why nothing is.
fn claims(entry: &Entry, size: u64, limits: &Limits) -> Result<Result<Claims, String>, DiskError> {
    for (suffix, read) in CONTROLS.into_iter().zip([Claims::aria2, Claims::axel]) {
        let control = entry.with_added_extension(&suffix[1..]);
        let Some((file, facts)) = sys::open_regular(&control, false)? else { continue };
        if facts.size > limits.control_bytes {
            return Ok(Err(format!("{} is larger than the limit", shown(&control))));
        }
        let mut bytes = vec![0; facts.size as usize];
        let len = sys::read_at(&file, 0, &mut bytes).map_err(|e| DiskError::at(&control, &e))?;
        return Ok(read(&bytes[..len]).map_err(|fault| format!("{}: {fault}", shown(&control))));
    }
    Ok(Ok(Claims::prefix(size)))
}

impl Partial {
    /// Its path.
    pub(crate) fn shown(&self) -> String {
        shown(&self.entry)
    }

    /// What is known of the whole file: its length, if that is.
    pub(crate) fn identity(&self) -> Identity {
        Identity { total: self.claims.total, ..Identity::default() }
    }

    /// The size of the blocks that it is copied as.
    pub(crate) fn block_size(&self) -> u32 {
        block_size(self.claims.total)
    }

    /// Makes the pair that it is copied to. Where the partial file itself stands at the wanted name, that counts as free.
    pub(crate) fn begin(self, mut draft: Draft) -> Result<Copying, DiskError> {
        let there = sys::facts_at(&draft.dir.entry(&draft.name))?;
        let itself = there.is_some_and(|there| there.id == self.facts.id);
        draft.adopted = itself.then(|| file::stamp(&self.facts));
        let pair = file::place(&draft)?;
        let replaces = draft.adopted.filter(|_| pair.name == draft.name);
        let claimed = Claimed { file: self.shown(), stretches: Vec::new(), replaces };
        let held = Held {
            name: pair.name.clone(),
            url: draft.url,
            identity: draft.identity,
            block_size: draft.block_size,
            blocks: Vec::new(),
            whole: false,
            unproven: false,
            renewed: None,
            claimed: None,
        };
        Ok(Copying { partial: self, pieces: Vec::new(), pair, held, claimed, run: 0, at: 0 })
    }
}

/// A partial file that is being copied.
pub(crate) struct Copying {
    partial: Partial,
    /// What a seed has, where it is not in its place; ascending.
    pieces: Vec<Piece>,
    pair: Pair,
    held: Held,
    claimed: Claimed,
    /// The run that is copied, and how far.
    run: usize,
    at: u64,
}

impl Copying {
    /// Copies and reads back some of it; false when that was the last. Blocks are held from their beginnings, so what a run has
    /// before its first one is left out, and so is each block with a page of zeros.
    pub(crate) fn step(&mut self) -> Result<bool, DiskError> {
        if self.is_sought()? {
            return Ok(true);
        }
        let size = u64::from(self.held.block_size);
        while let Some(&(start, end)) = self.partial.claims.runs.get(self.run) {
            let from = self.at.max(start).next_multiple_of(size);
            let upto = end.min(from + BITE.next_multiple_of(size));
            if from < upto {
                self.take(from, upto)?;
                return Ok(true);
            }
            self.run += 1;
        }
        Ok(false)
    }

    fn take(&mut self, from: u64, upto: u64) -> Result<(), DiskError> {
        let size = u64::from(self.held.block_size);
        self.copy(from, upto)?;
        let mut at = from;
        while at < upto {
            let len = size.min(upto - at);
            if len >= LEAST
                && let Some(block) = self.read_back((at / size) as u32, at, len as usize)?
            {
                self.held.blocks.push(block);
            }
            at += len;
        }
        self.at = upto;
        Ok(())
    }

    /// Looks through some of a seed, if there is more of it; what was found at its end is what is claimed.
    fn is_sought(&mut self) -> Result<bool, DiskError> {
        let Some(seed) = &mut self.partial.seed else { return Ok(false) };
        let more = seed.step(&self.partial.file);
        if more.map_err(|e| DiskError::at(self.partial.entry.path(), &e))? {
            return Ok(true);
        }
        if self.pieces.is_empty() {
            self.pieces = seed.pieces();
            self.partial.claims.join(self.pieces.iter().map(|piece| (piece.at, piece.at + piece.len)));
        }
        Ok(false)
    }

    fn copy(&self, from: u64, upto: u64) -> Result<(), DiskError> {
        if self.partial.seed.is_none() {
            return self.copy_piece(Piece { at: from, from, len: upto - from });
        }
        let first = self.pieces.partition_point(|piece| piece.at + piece.len <= from);
        for piece in self.pieces[first..].iter().take_while(|piece| piece.at < upto) {
            let at = piece.at.max(from);
            let len = upto.min(piece.at + piece.len) - at;
            self.copy_piece(Piece { at, from: piece.from + (at - piece.at), len })?;
        }
        Ok(())
    }

    fn copy_piece(&self, mut piece: Piece) -> Result<(), DiskError> {
        let to = self.pair.part.file();
        while piece.len > 0 {
            let copied = sys::copy(&self.partial.file, to, (piece.from, piece.at), piece.len);
            match copied.map_err(|e| DiskError::at(self.pair.part.entry(), &e))? {
                0 => break, // It was cut short meanwhile; what is missing shows when it is read back.
                copied => {
                    (piece.at, piece.from) = (piece.at + copied, piece.from + copied);
                    piece.len -= copied;
                }
            }
        }
        Ok(())
    }

    /// The block as our part has it; `None` if it ends earlier, or has a page of zeros where no sum says that it should.
    fn read_back(&self, index: u32, start: u64, len: usize) -> Result<Option<HeldBlock>, DiskError> {
        let (mut open, mut piece) = (OpenBlock::new(), vec![0; PIECE.min(len)]);
        while (open.upto() as usize) < len {
            let wanted = piece.len().min(len - open.upto() as usize);
            let piece = &mut piece[..wanted];
            if self.pair.part.read_at(start + u64::from(open.upto()), piece)? < wanted
                || (self.partial.seed.is_none() && piece.chunks_exact(PAGE.len()).any(|page| page == PAGE))
            {
                return Ok(None);
            }
            open.update(piece);
        }
        Ok(Some(HeldBlock { index, len: len as u32, hash: open.hash(), synced: false }))
    }

    /// The pair, and what is claimed in it. If nothing is, the pair goes again.
    pub(crate) fn end(mut self, limits: &Limits) -> Result<Result<(Pair, Held), Useless>, DiskError> {
        let size = u64::from(self.held.block_size);
        let start = |block: &HeldBlock| u64::from(block.index) * size;
        let extents: Vec<(u64, u64)> = self
            .held
            .blocks
            .iter()
            .map(|block| (start(block), start(block) + u64::from(block.len)))
            .collect();
        if extents.is_empty() {
            file::discard(&self.pair)?;
            let what = match self.partial.seed {
                Some(_) => "it has too little of the wanted file",
                None => "nothing of it is there but zeros, or less than a block",
            }
            .to_owned();
            return Ok(Err(Useless { file: self.partial.shown(), what }));
        }
        if self.partial.seed.is_some() {
            // Each block has its sums, and the whole its digest: a few places show soon if the source has another version.
            self.partial.claims.runs.clear();
        }
        let mut chance = 0;
        self.claimed.stretches = self.partial.claims.stretches(&extents, limits.overlap, || {
            chance = sys::random().unwrap_or(chance + 1);
            chance
        });
        self.held.claimed = Some(self.claimed);
        Ok(Ok((self.pair, self.held)))
    }
}

/// A pair that an earlier run made for a claim which it never came to believe: it holds nothing, and knows no validator.
pub(crate) fn is_idle(begin: &Begin, held: &Held) -> bool {
    let nothing = Identity { total: begin.identity.total, ..Identity::default() };
    held.blocks.is_empty() && !held.whole && held.identity == nothing
}
