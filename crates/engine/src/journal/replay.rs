//! The journal's bytes, reading. Pure. A log may come from anybody: reading it never panics, and takes
//! no more memory than a small multiple of its own length.

use std::collections::BTreeMap;

use thence_plan::{Begin, EntityTag, HeldBlock, Identity, Record, Stamp, WantedDigest};

use super::format::{self, FRAME, HEADER, MAGIC, Pen};

/// Block sizes that are believed, in bytes.
const BLOCK_SIZES: std::ops::RangeInclusive<u32> = 4 << 10..=16 << 20;

/// Why a log cannot be gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It is empty or all zeros: nothing was ever said in it.
    Empty,
    /// It is no journal of ours.
    Foreign,
    /// Its first record is not intact.
    Torn,
    /// A later version wrote it, or a liar: a record is signed well and says what we do not understand.
    Newer,
    /// It is larger than the limit.
    TooLarge,
}

impl Unreadable {
    /// In words.
    pub(crate) fn why(self) -> &'static str {
        match self {
            Unreadable::Empty => "the journal is empty",
            Unreadable::Foreign => "it is not a journal of thence",
            Unreadable::Torn => "the journal's first record is damaged",
            Unreadable::Newer => "this version of thence does not understand the journal",
            Unreadable::TooLarge => "the journal is larger than the limit",
        }
    }
}

/// What a journal says, read to its last good record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Replayed {
    /// The first record.
    pub(crate) begin: Begin,
    /// The salt of `begin`; the key of its header hashes.
    pub(crate) salt: u64,
    /// The identity of `begin`, or what was learnt last.
    pub(crate) identity: Identity,
    /// Blocks and prefixes by index, those since found invalid left out. None is longer than its block
    /// or lies beyond the total.
    pub(crate) blocks: Vec<HeldBlock>,
    /// The part was whole and synced, and nothing was said of its bytes since.
    pub(crate) whole: Option<Whole>,
    /// The last record, if the last run ended in order.
    pub(crate) clean: Option<Clean>,
    /// Some join rests on an overlap check alone.
    pub(crate) unproven: bool,
    /// What stands for the URL of `begin` now, which has expired.
    pub(crate) renewed: Option<String>,
    /// The signature and key that were given last.
    pub(crate) signed: Option<Signed>,
    /// Another program's partial file at the final name, whose place this one may take.
    pub(crate) replaces: Option<Stamp>,
    /// Length in bytes of everything that is good.
    pub(crate) good_len: u64,
    /// Writes on after the last good record.
    pub(crate) pen: Pen,
}

/// The record `Whole`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    /// Digest that was checked.
    pub(crate) digest: Option<WantedDigest>,
    /// Device of the part.
    pub(crate) dev: u64,
    /// Inode of the part.
    pub(crate) inode: u64,
}

/// The record `Signed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    /// The signature.
    pub(crate) signature: Vec<u8>,
    /// The key.
    pub(crate) key: Vec<u8>,
}

/// The record `Clean`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clean {
    /// Size in bytes.
    pub(crate) size: u64,
    /// Modification time, ns since 1970.
    pub(crate) mtime: i64,
    /// Change time, ns since 1970.
    pub(crate) ctime: i64,
    /// Inode.
    pub(crate) inode: u64,
}

/// Reads a log to its last good record. Whatever follows that is the torn end of the last run.
pub(crate) fn replay(log: &[u8]) -> Result<Replayed, Unreadable> {
    let (begin, salt, mut at) = first(log)?;
    let identity = begin.identity.clone();
    let mut state = State { identity, ..State::default() };
    let mut pen = Pen { salt, sequence: 1 };
    while let Some(frame) = Frame::at(log, at, &pen) {
        state.clean = None;
        match state.take(&frame, &begin, pen.sequence) {
            Some(Taken::Record) => {}
            Some(Taken::Run(salt)) => pen.salt = salt,
            None => return Err(Unreadable::Newer),
        }
        // A log of 2^32 records is beyond every limit on its length.
        pen.sequence = pen.sequence.checked_add(1).ok_or(Unreadable::TooLarge)?;
        at += frame.len();
    }
    let blocks = state.held(begin.block_size);
    let good_len = at as u64;
    let State { identity, whole, clean, unproven, renewed, signed, replaces, .. } = state;
    Ok(Replayed {
        begin,
        salt,
        identity,
        blocks,
        whole,
        clean,
        unproven,
        renewed,
        signed,
        replaces,
        good_len,
        pen,
    })
}

/// The first record, its salt, and where the next one starts. A few KiB of a log are enough for it.
pub(crate) fn first(log: &[u8]) -> Result<(Begin, u64, usize), Unreadable> {
    if log.iter().all(|&b| b == 0) {
        return Err(Unreadable::Empty);
    }
    let name = MAGIC.len() - 1;
    if log.len() < MAGIC.len() || log[..name] != MAGIC[..name] {
        return Err(if MAGIC.starts_with(log) { Unreadable::Torn } else { Unreadable::Foreign });
    }
    if log[name] != MAGIC[name] {
        return Err(Unreadable::Newer);
    }
    let frame = Frame::at(log, MAGIC.len(), &Pen { salt: 0, sequence: 0 }).ok_or(Unreadable::Torn)?;
    let mut body = Body(frame.body);
    let parsed = (frame.kind == format::BEGIN).then(|| Some((body.u64()?, body.begin()?)));
    let (salt, begin) = parsed.flatten().ok_or(Unreadable::Newer)?;
    if !begin.block_size.is_power_of_two() || !BLOCK_SIZES.contains(&begin.block_size) {
        return Err(Unreadable::Newer);
    }
    Ok((begin, salt, MAGIC.len() + frame.len()))
}

/// A log that says what `replayed` says and no more. `Begin` keeps its salt, which is the key of its header
/// hashes; a new one follows at once.
pub(crate) fn rewrite(replayed: &Replayed, salt: u64) -> (Vec<u8>, Pen) {
    let mut out = Vec::new();
    let begin = Begin { identity: replayed.identity.clone(), ..replayed.begin.clone() };
    let mut pen = Pen::begin(replayed.salt, &begin, &mut out);
    pen.run(salt, &mut out);
    if replayed.unproven {
        pen.record(&Record::Unproven, &mut out);
    }
    if let Some(url) = &replayed.renewed {
        pen.record(&Record::Renewed(url.clone()), &mut out);
    }
    if let Some(Signed { signature, key }) = replayed.signed.clone() {
        pen.record(&Record::Signed { signature, key }, &mut out);
    }
    if replayed.replaces.is_some() {
        pen.record(&Record::Replaces(replayed.replaces), &mut out);
    }
    let (synced, fresh): (Vec<HeldBlock>, Vec<_>) = replayed.blocks.iter().partition(|b| b.synced);
    for block in &synced {
        pen.record(&as_record(block), &mut out);
    }
    pen.record(&Record::Synced, &mut out);
    for block in &fresh {
        pen.record(&as_record(block), &mut out);
    }
    if let Some(Whole { digest, dev, inode }) = replayed.whole.clone() {
        pen.record(&Record::Whole { digest, dev, inode }, &mut out);
    }
    (out, pen)
}

/// What is held of a block are its first bytes, be they all or not: readers make no difference.
fn as_record(block: &HeldBlock) -> Record {
    let HeldBlock { index, len, hash, .. } = *block;
    Record::Prefix { index, len, hash }
}

/// A record whose checksum is right.
/// A record, intact.
pub(crate) struct Frame<'a> {
    kind: u8,
    body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The record at `at`, if it is there, next in sequence and signed with this salt.
    pub(crate) fn at(log: &'a [u8], at: usize, pen: &Pen) -> Option<Frame<'a>> {
        let log = log.get(at..)?;
        let mut header = Body(log.get(..HEADER)?);
        let len = usize::try_from(header.u32()?).ok()?;
        let (kind, sequence) = (header.u8()?, header.u32()?);
        let signed = log.get(..HEADER.checked_add(len)?)?;
        let checksum = Body(&log[signed.len()..]).u64()?;
        let good = sequence == pen.sequence && checksum == format::checksum(pen.salt, signed);
        good.then_some(Frame { kind, body: &signed[HEADER..] })
    }

    /// Its kind.
    pub(crate) fn kind(&self) -> u8 {
        self.kind
    }

    /// What it says.
    pub(crate) fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Bytes it takes.
    pub(crate) fn len(&self) -> usize {
        FRAME + self.body.len()
    }
}

/// What a log has said so far.
#[derive(Default)]
struct State {
    blocks: BTreeMap<u32, Slot>,
    /// Records with a lower sequence number are on stable storage.
    synced: u32,
    whole: Option<Whole>,
    clean: Option<Clean>,
    unproven: bool,
    renewed: Option<String>,
    signed: Option<Signed>,
    replaces: Option<Stamp>,
    identity: Identity,
}

struct Slot {
    len: u32,
    hash: u128,
    sequence: u32,
}

enum Taken {
    Record,
    Run(u64),
}

impl State {
    /// Takes one record in; `None` if it is not understood and must be.
    fn take(&mut self, frame: &Frame<'_>, begin: &Begin, sequence: u32) -> Option<Taken> {
        let mut body = Body(frame.body);
        match frame.kind {
            format::RUN => return Some(Taken::Run(body.u64()?)),
            format::BLOCK | format::PREFIX => {
                let (index, len, hash) = (body.u32()?, body.u32()?, body.u128()?);
                if len > begin.block_size {
                    return None;
                }
                self.whole = None;
                self.blocks.insert(index, Slot { len, hash, sequence });
            }
            format::LEARNT => {
                self.whole = None;
                self.identity = body.identity()?;
            }
            // A mark beyond the record itself is nonsense and promises no more than the record can.
            format::SYNCED => self.synced = body.u32()?.min(sequence),
            format::INVALID => {
                let (first, count) = (body.u32()?, body.u32()?);
                self.whole = None;
                self.invalidate(first, count);
            }
            format::WHOLE => {
                let digest = body.option(Body::digest)?;
                self.whole = Some(Whole { digest, dev: body.u64()?, inode: body.u64()? });
            }
            format::UNPROVEN => self.unproven = true,
            format::RENEWED => self.renewed = Some(body.text()?),
            format::SIGNED => {
                self.signed = Some(Signed { signature: body.blob()?, key: body.blob()? });
            }
            format::REPLACES => {
                self.replaces = body.option(|body| {
                    let (size, mtime) = (body.u64()?, body.i64()?);
                    Some(Stamp { size, mtime, inode: body.u64()? })
                })?;
            }
            format::CLEAN => {
                let (size, mtime, ctime) = (body.u64()?, body.i64()?, body.i64()?);
                self.clean = Some(Clean { size, mtime, ctime, inode: body.u64()? });
            }
            kind if kind & format::MUST_UNDERSTAND != 0 => return None,
            _ => {}
        }
        Some(Taken::Record)
    }

    fn invalidate(&mut self, first: u32, count: u32) {
        let Some(last) = count.checked_sub(1) else { return };
        let gone: Vec<u32> =
            self.blocks.range(first..=first.saturating_add(last)).map(|(&index, _)| index).collect();
        for index in gone {
            self.blocks.remove(&index);
        }
    }

    /// The blocks that can be believed. A length learnt later may have left some beyond the end.
    fn held(&self, block_size: u32) -> Vec<HeldBlock> {
        let total = self.identity.total.unwrap_or(u64::MAX);
        let fits = |index: u32, len: u32| u64::from(index) * u64::from(block_size) + u64::from(len) <= total;
        let believed = self.blocks.iter().filter(|&(&index, slot)| slot.len > 0 && fits(index, slot.len));
        believed
            .map(|(&index, slot)| HeldBlock {
                index,
                len: slot.len,
                hash: slot.hash,
                synced: slot.sequence < self.synced,
            })
            .collect()
    }
}

/// What is left to read of a record's body. Every method is `None` at its end.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_le_bytes)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn blob(&mut self) -> Option<Vec<u8>> {
        let len = usize::try_from(self.u32()?).ok()?;
        self.bytes(len).map(<[u8]>::to_vec)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.blob()?).ok()
    }

    /// Grows as items are read, so that a count that lies costs nothing.
    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.u32()?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(item(self)?);
        }
        Some(items)
    }

    fn option<T>(&mut self, item: impl Fn(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag()? { item(self).map(Some) } else { Some(None) }
    }

    fn begin(&mut self) -> Option<Begin> {
        let (url, name) = (self.text()?, self.text()?);
        let headers = self.list(|b| Some((b.text()?, b.text()?)))?;
        let secrets = self.list(|b| Some((b.text()?, b.u64()?)))?;
        let (block_size, identity) = (self.u32()?, self.identity()?);
        let (digest, insecure) = (self.option(Body::digest)?, self.flag()?);
        Some(Begin { url, name, headers, secrets, block_size, identity, digest, insecure })
    }

    fn identity(&mut self) -> Option<Identity> {
        let total = self.option(Body::u64)?;
        let etag = self.option(|b| Some(EntityTag { weak: b.flag()?, tag: b.text()? }))?;
        let (modified, age) = (self.option(Body::text)?, self.option(Body::i64)?);
        let (media, digest) = (self.option(Body::text)?, self.option(Body::digest)?);
        Some(Identity { total, etag, modified, age, media, digest })
    }

    fn digest(&mut self) -> Option<WantedDigest> {
        Some(WantedDigest { algorithm: self.text()?, bytes: self.blob()? })
    }
}
