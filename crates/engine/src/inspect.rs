//! Looks at parts and finished files and changes nothing.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};

use thence_plan::{DiskFault, HeldBlock, Limits, WantedDigest};

use crate::error::Error;
use crate::file;
use crate::find;
use crate::journal::Replayed;
use crate::lock;
use crate::mark::{Mark, hex};
use crate::pairs;
use crate::signature::Signature;
use crate::sys::{self, Dir, DiskError, Entry};
use crate::verify::{Digester, shown};
use crate::write::OpenBlock;

/// Stretches of `PartReport::map`, as in `Progress::map`.
const STRETCHES: u64 = 64;

/// Bytes read at once.
const PIECE: usize = 256 << 10;

/// What one part holds, and of what.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PartReport {
    /// The final name, without `.part`.
    pub name: String,
    /// The directory of the pair.
    pub dir: PathBuf,
    /// The source's URL, its query included; whoever prints it masks it.
    pub url: String,
    /// Complete length, if known.
    pub total: Option<u64>,
    /// Unique bytes recorded as held.
    pub held: u64,
    /// Bytes of a block.
    pub block_size: u32,
    /// Held part of each of 64 equal stretches, 0..=255; empty while the length is unknown.
    pub map: Vec<u8>,
    /// The validator that identifies the version, as the server sent it.
    pub validator: Option<String>,
    /// Some of it came over a connection whose certificate was not verified.
    pub insecure: bool,
    /// Some join rests on an overlap check alone.
    pub unproven: bool,
    /// A process holds the part's lock now.
    pub in_use: bool,
    /// Everything is held and checked; only the rename is left.
    pub whole: bool,
}

/// What was read back and compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VerifyReport {
    /// The file that was read.
    pub path: PathBuf,
    /// Bytes compared with a hash or digest.
    pub checked: u64,
    /// Ranges (first, end) that differ from their record.
    pub bad: Vec<(u64, u64)>,
    /// Digest of the whole file, algorithm and hex, where one was computed.
    pub digest: Option<(String, String)>,
    /// Whether that is the digest wanted; `None` when none was.
    pub digest_ok: Option<bool>,
    /// Who signed the whole file, where that was asked: see [`signed`].
    pub signed: Option<String>,
    /// Complete length, if known.
    pub total: Option<u64>,
    /// Unique bytes recorded as held.
    pub held: u64,
}

/// What the part `path` (`NAME.part`, `NAME.thence` or `NAME`) holds, or every part in a directory, by name.
/// In a directory, what cannot be read is left out.
pub fn status(path: &Path) -> Result<Vec<PartReport>, Error> {
    let limits = Limits::default();
    if !path.is_dir() {
        let (dir, name) = pair_at(path)?;
        return Ok(vec![report(&sys::open_dir(&dir)?, name, &limits)?]);
    }
    let dir = sys::open_dir(path)?;
    let mut names: Vec<String> =
        pairs::journals_in(&dir, &limits)?.into_iter().map(|(name, _)| name).collect();
    names.sort();
    Ok(names.into_iter().filter_map(|name| report(&dir, name, &limits).ok()).collect())
}

/// Reads a part or finished file back and compares it with its journal, the digest it was published
/// with, or the given one.
///
/// A part is compared block by block; if it holds everything, with `checksum` as well. Of a file that carries
/// no digest and is given none, nothing is checked, and `digest_ok` stays `None`.
pub fn verify(path: &Path, checksum: Option<&WantedDigest>) -> Result<VerifyReport, Error> {
    if let Some((dir, name)) = find::pair_of(path) {
        let dir = sys::open_dir(&dir)?;
        if sys::facts_at(&file::part_at(&dir, &name))?.is_some() {
            return verify_part(&dir, &name, checksum);
        }
    }
    verify_file(path, checksum)
}

/// Who signed the finished file, or the whole part, at `path`: `minisign:` and the key's number, `openpgp:` and its
/// fingerprint.
///
/// # Errors
///
/// [`Error::Signature`] if the signature does not hold, or the part is not whole.
pub fn signed(path: &Path, signature: &Signature) -> Result<String, Error> {
    let wrong = |why: String| Error::Signature { path: path.into(), why };
    let (mut entry, mut whole) = (entry_at(path)?, None);
    if let Some((dir, name)) = find::pair_of(path) {
        let dir = sys::open_dir(&dir)?;
        let part = file::part_at(&dir, &name);
        if sys::facts_at(&part)?.is_some() {
            let (_, held) = read_pair(&dir, &name, &Limits::default())?;
            let bytes: u64 = held.blocks.iter().map(|block| u64::from(block.len)).sum();
            if held.identity.total != Some(bytes) {
                return Err(wrong("the part is not whole yet".to_owned()));
            }
            (entry, whole) = (part, Some(bytes));
        }
    }
    let Some((file, facts)) = sys::open_regular(&entry, false)? else { return Err(missing(path)) };
    let read = |at, buffer: &mut [u8]| sys::read_at(&file, at, buffer).map_err(|e| DiskError::at(&entry, &e));
    signature.check(whole.unwrap_or(facts.size), read)?.map_err(wrong)
}

/// The digest of a file, algorithm and hex, and who signed it, as far as they were wanted.
pub(crate) type Vouched = (Option<(String, String)>, Option<String>);

/// Whether a finished file has the digest and the signature that are wanted now. It is read again only for what nobody has
/// found of it yet.
pub(crate) fn vouch(
    path: &Path,
    checksum: Option<&WantedDigest>,
    signature: Option<&Signature>,
) -> Result<Vouched, Error> {
    if let Some(wanted) = checksum {
        let entry = entry_at(path)?;
        let Some((file, facts)) = sys::open_regular(&entry, false)? else { return Err(missing(path)) };
        let known = match Mark::of(&file) {
            Some(Mark::File { digest, .. }) => digest.filter(|digest| digest.algorithm == wanted.algorithm),
            _ => None,
        };
        let got = known.map_or_else(|| digest_of(&file, &entry, facts.size, wanted), Ok)?;
        if got != *wanted {
            let (path, want, got) = (path.into(), hex(&wanted.bytes), hex(&got.bytes));
            return Err(Error::Digest { path, want, got });
        }
    }
    let signed = signature.map(|signature| signed(path, signature)).transpose()?;
    Ok((checksum.cloned().map(shown), signed))
}

/// The pair that a path stands for, the final name included.
fn pair_at(path: &Path) -> Result<(PathBuf, String), Error> {
    let parts = [path.to_owned(), path.with_added_extension("part")];
    let pair = parts.iter().filter_map(|path| find::pair_of(path)).next();
    pair.ok_or_else(|| journal_error(path, "it names no part"))
}

/// Directory, name and URL of the pair that `path` stands for.
pub(crate) fn source_of(path: &Path) -> Result<(PathBuf, String, String), Error> {
    let (dir, name) = pair_at(path)?;
    let (_, held) = read_pair(&sys::open_dir(&dir)?, &name, &Limits::default())?;
    Ok((dir, name, held.begin.url))
}

fn report(dir: &Dir, name: String, limits: &Limits) -> Result<PartReport, Error> {
    let path = file::part_at(dir, &name);
    let (part, held) = read_pair(dir, &name, limits)?;
    let total = held.identity.total;
    let tag = held.identity.etag.map(|etag| if etag.weak { format!("W/{}", etag.tag) } else { etag.tag });
    Ok(PartReport {
        held: held.blocks.iter().map(|block| u64::from(block.len)).sum(),
        block_size: held.begin.block_size,
        map: total.map_or(Vec::new(), |total| map(&held.blocks, held.begin.block_size, total)),
        in_use: lock::is_held(&part, &path),
        whole: held.whole.is_some(),
        validator: tag.or(held.identity.modified),
        url: held.begin.url,
        insecure: held.begin.insecure,
        unproven: held.unproven,
        dir: dir.path().to_owned(),
        name,
        total,
    })
}

fn read_pair(dir: &Dir, name: &str, limits: &Limits) -> Result<(File, Replayed), Error> {
    let path = file::part_at(dir, name);
    let journal = file::journal_at(dir, name);
    let held = file::read_journal(dir, name, limits)?;
    let Some((part, _)) = sys::open_regular(&path, false)? else { return Err(missing(&path)) };
    match held {
        None => Err(journal_error(&path, "its journal is missing, so nothing says what it holds")),
        Some(Err(why)) => Err(journal_error(&journal, why.why())),
        Some(Ok(held)) => Ok((part, held)),
    }
}

fn missing(path: impl AsRef<Path>) -> Error {
    DiskError::new(path, DiskFault::Missing, "there is no such file").into()
}

fn journal_error(path: impl AsRef<Path>, why: &str) -> Error {
    Error::Journal { path: path.as_ref().into(), why: why.into() }
}

/// How much of each stretch is held. A stretch is full (255) only if every byte of it is.
fn map(blocks: &[HeldBlock], block_size: u32, total: u64) -> Vec<u8> {
    // In 128 bits: a total may be any number that somebody wrote into a journal.
    let (whole, stretches) = (u128::from(total), u128::from(STRETCHES));
    let bound = |stretch: u64| (whole * u128::from(stretch) / stretches) as u64;
    let stretch_of = |at: u64| (((u128::from(at) + 1) * stretches - 1) / whole) as u64;
    let mut held = [0u64; STRETCHES as usize];
    for block in blocks {
        let (mut at, end) = extent(block, block_size);
        while at < end.min(total) {
            let stretch = stretch_of(at);
            let upto = end.min(bound(stretch + 1));
            held[stretch as usize] += upto - at;
            at = upto;
        }
    }
    let complete = held.iter().sum::<u64>() == total;
    let share = |(stretch, held): (u64, u64)| match bound(stretch + 1) - bound(stretch) {
        // A file of fewer bytes than stretches leaves some empty.
        0 => u8::from(complete) * 255,
        len => (u128::from(held) * 255 / u128::from(len)) as u8,
    };
    (0..STRETCHES).zip(held).map(share).collect()
}

/// First offset and exclusive end.
fn extent(block: &HeldBlock, block_size: u32) -> (u64, u64) {
    let start = u64::from(block.index) * u64::from(block_size);
    (start, start + u64::from(block.len))
}

fn verify_part(dir: &Dir, name: &str, checksum: Option<&WantedDigest>) -> Result<VerifyReport, Error> {
    let entry = file::part_at(dir, name);
    let (part, held) = read_pair(dir, name, &Limits::default())?;
    let (mut checked, mut bad) = (0, Vec::new());
    for block in &held.blocks {
        let (start, end) = extent(block, held.begin.block_size);
        if hash_of(&part, start, end) != Some(block.hash) {
            add_stretch(&mut bad, start, end);
        }
        checked += end - start;
    }
    let complete = held.identity.total == Some(checked);
    let digest = match checksum.filter(|_| complete) {
        Some(wanted) => Some(digest_of(&part, &entry, checked, wanted)?),
        None => None,
    };
    Ok(VerifyReport {
        path: entry.path().into(),
        checked,
        bad,
        digest_ok: digest.as_ref().map(|digest| Some(digest) == checksum),
        digest: digest.map(shown),
        signed: None,
        total: held.identity.total,
        held: checked,
    })
}

/// What `path` names.
fn entry_at(path: &Path) -> Result<Entry, Error> {
    let name =
        path.file_name().ok_or_else(|| DiskError::new(path, DiskFault::Strange, "it names no file"))?;
    Ok(sys::open_dir(path.parent().unwrap_or(Path::new("")))?.entry(name))
}

fn verify_file(path: &Path, checksum: Option<&WantedDigest>) -> Result<VerifyReport, Error> {
    let entry = entry_at(path)?;
    let Some((file, facts)) = sys::open_regular(&entry, false)? else { return Err(missing(path)) };
    let published = match Mark::of(&file) {
        Some(Mark::File { digest, .. }) => digest,
        _ => None,
    };
    let wanted = checksum.or(published.as_ref());
    let digest = wanted.map(|wanted| digest_of(&file, &entry, facts.size, wanted)).transpose()?;
    Ok(VerifyReport {
        path: path.into(),
        checked: if digest.is_some() { facts.size } else { 0 },
        bad: Vec::new(),
        digest_ok: wanted.map(|wanted| digest.as_ref() == Some(wanted)),
        digest: digest.map(shown),
        signed: None,
        total: Some(facts.size),
        held: facts.size,
    })
}

/// Hash of a stretch; `None` if it cannot be read to its end.
fn hash_of(file: &File, start: u64, end: u64) -> Option<u128> {
    let mut open = OpenBlock::new();
    read(file, start, end, |piece| open.update(piece)).ok().filter(|&whole| whole)?;
    Some(open.hash())
}

/// The file's digest, by the algorithm of the wanted one.
fn digest_of(file: &File, entry: &Entry, size: u64, wanted: &WantedDigest) -> Result<WantedDigest, Error> {
    let unknown = || Error::Option(format!("no digest is called {}", wanted.algorithm));
    let mut digester = Digester::new(&wanted.algorithm).ok_or_else(unknown)?;
    read(file, 0, size, |piece| digester.update(piece)).map_err(|e| DiskError::at(entry, &e))?;
    Ok(digester.finish())
}

/// Reads a stretch in pieces; false if the file ends before it does.
fn read(file: &File, mut at: u64, end: u64, mut take: impl FnMut(&[u8])) -> std::io::Result<bool> {
    let mut piece = vec![0; PIECE];
    while at < end {
        let wanted = PIECE.min((end - at) as usize);
        let read = sys::read_at(file, at, &mut piece[..wanted])?;
        take(&piece[..read]);
        at += read as u64;
        if read < wanted {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Appends a stretch, or lengthens the last one.
fn add_stretch(stretches: &mut Vec<(u64, u64)>, start: u64, end: u64) {
    match stretches.last_mut() {
        Some((_, last)) if *last == start => *last = end,
        _ => stretches.push((start, end)),
    }
}
