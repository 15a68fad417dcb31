//! The journal's bytes, writing. Pure: records in, bytes out. Reading them stands in `replay.rs`.
//!
//! A log is `MAGIC`, then records: length of the body (u32), kind (u8), sequence (u32), body, checksum
//! (u64), all little-endian. The checksum is XXH3-64 over everything before it in the record, seeded with
//! the salt of the run: 0 for `Begin`, then the one `Begin` carries, then the one of the last `Run`. So
//! neither a torn record nor one left over from an earlier, longer log can be taken for a good one.

use thence_plan::{Begin, Identity, Record, WantedDigest};
use twox_hash::XxHash3_64;

/// First bytes of a journal: the magic and version 1.
pub(super) const MAGIC: &[u8; 8] = b"thence\0\x01";

/// Length, kind and sequence.
pub(super) const HEADER: usize = 9;

/// Header and checksum: what a record takes besides its body.
pub(super) const FRAME: usize = HEADER + 8;

/// A reader that does not know a kind with this bit refuses the log; one without it is skipped.
pub(super) const MUST_UNDERSTAND: u8 = 0x80;

pub(super) const BEGIN: u8 = 0x81;
pub(super) const RUN: u8 = 0x82;
pub(super) const BLOCK: u8 = 0x03;
pub(super) const PREFIX: u8 = 0x04;
pub(super) const LEARNT: u8 = 0x85;
pub(super) const SYNCED: u8 = 0x06;
pub(super) const INVALID: u8 = 0x87;
pub(super) const WHOLE: u8 = 0x88;
pub(super) const CLEAN: u8 = 0x09;
pub(super) const UNPROVEN: u8 = 0x8a;
pub(super) const SIGNED: u8 = 0x8b;
pub(super) const RENEWED: u8 = 0x0c;
/// Whoever skips it finds the final name taken, and replaces nothing.
pub(super) const REPLACES: u8 = 0x0b;

/// Where a log stands: what the next record is signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pen {
    pub(super) salt: u64,
    pub(super) sequence: u32,
}

impl Pen {
    /// Before the first record of a log.
    pub(crate) fn new() -> Pen {
        Pen { salt: 0, sequence: 0 }
    }

    /// The next record is signed with this salt.
    pub(crate) fn salted(&mut self, salt: u64) {
        self.salt = salt;
    }

    /// A record was read: the next follows it.
    pub(crate) fn next(&mut self) {
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// Starts a log with `begin`.
    pub(crate) fn begin(salt: u64, begin: &Begin, out: &mut Vec<u8>) -> Pen {
        out.extend_from_slice(MAGIC);
        let mut pen = Pen { salt: 0, sequence: 0 };
        pen.put(out, BEGIN, |body| {
            body.extend(salt.to_le_bytes());
            put_begin(body, begin);
        });
        Pen { salt, ..pen }
    }

    /// A new run: nothing written with an older salt can follow.
    pub(crate) fn run(&mut self, salt: u64, out: &mut Vec<u8>) {
        self.put(out, RUN, |body| body.extend(salt.to_le_bytes()));
        self.salt = salt;
    }

    /// Sequence number of the next record: a mark for `synced`.
    pub(crate) fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Everything recorded before the mark is on stable storage; what came while the sync was under way
    /// is not.
    pub(crate) fn synced(&mut self, mark: u32, out: &mut Vec<u8>) {
        self.put(out, SYNCED, |body| body.extend(mark.to_le_bytes()));
    }

    /// Any other record. `Begin` and `Run` carry a salt that a `Record` has no room for; they are
    /// written by the functions above and are nothing here.
    pub(crate) fn record(&mut self, record: &Record, out: &mut Vec<u8>) {
        match record {
            Record::Begin(_) | Record::Run => debug_assert!(false, "the engine writes these itself"),
            Record::Block { index, len, hash } => self.put(out, BLOCK, |b| put_block(b, *index, *len, *hash)),
            Record::Prefix { index, len, hash } => {
                self.put(out, PREFIX, |b| put_block(b, *index, *len, *hash))
            }
            Record::Learnt(identity) => self.put(out, LEARNT, |b| put_identity(b, identity)),
            Record::Unproven => self.put(out, UNPROVEN, |_| {}),
            Record::Renewed(url) => self.put(out, RENEWED, |b| put_bytes(b, url.as_bytes())),
            Record::Signed { signature, key } => self.put(out, SIGNED, |b| {
                put_bytes(b, signature);
                put_bytes(b, key);
            }),
            Record::Replaces(stamp) => self.put(out, REPLACES, |b| {
                put_option(b, stamp.as_ref(), |b, stamp| {
                    b.extend(stamp.size.to_le_bytes());
                    b.extend(stamp.mtime.to_le_bytes());
                    b.extend(stamp.inode.to_le_bytes());
                });
            }),
            Record::Synced => self.synced(self.sequence, out),
            Record::Invalid { first, count, why } => self.put(out, INVALID, |b| {
                b.extend(first.to_le_bytes());
                b.extend(count.to_le_bytes());
                put_bytes(b, why.as_bytes());
            }),
            Record::Whole { digest, dev, inode } => self.put(out, WHOLE, |b| {
                put_option(b, digest.as_ref(), put_digest);
                b.extend(dev.to_le_bytes());
                b.extend(inode.to_le_bytes());
            }),
            Record::Clean { size, mtime, ctime, inode } => self.put(out, CLEAN, |b| {
                b.extend(size.to_le_bytes());
                b.extend(mtime.to_le_bytes());
                b.extend(ctime.to_le_bytes());
                b.extend(inode.to_le_bytes());
            }),
        }
    }

    /// A record of any kind and body, for tests of what readers do with it.
    #[cfg(test)]
    pub(super) fn put_raw(&mut self, kind: u8, body: &[u8], out: &mut Vec<u8>) {
        self.put(out, kind, |out| out.extend_from_slice(body));
    }

    /// A record of this kind, in the framing that all our logs have.
    pub(crate) fn put(&mut self, out: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
        let start = out.len();
        out.extend([0; 4]);
        out.push(kind);
        out.extend(self.sequence.to_le_bytes());
        body(out);
        let len = (out.len() - start - HEADER) as u32;
        out[start..start + 4].copy_from_slice(&len.to_le_bytes());
        let checksum = checksum(self.salt, &out[start..]);
        out.extend(checksum.to_le_bytes());
        self.sequence += 1;
    }
}

/// What a reader needs to sign a record as the writer did.
pub(super) fn checksum(salt: u64, record: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(salt, record)
}

fn put_begin(out: &mut Vec<u8>, begin: &Begin) {
    put_bytes(out, begin.url.as_bytes());
    put_bytes(out, begin.name.as_bytes());
    put_list(out, &begin.headers, |out, (name, value)| {
        put_bytes(out, name.as_bytes());
        put_bytes(out, value.as_bytes());
    });
    put_list(out, &begin.secrets, |out, (name, hash)| {
        put_bytes(out, name.as_bytes());
        out.extend(hash.to_le_bytes());
    });
    out.extend(begin.block_size.to_le_bytes());
    put_identity(out, &begin.identity);
    put_option(out, begin.digest.as_ref(), put_digest);
    out.push(u8::from(begin.insecure));
}

fn put_identity(out: &mut Vec<u8>, identity: &Identity) {
    put_option(out, identity.total.as_ref(), |out, total| out.extend(total.to_le_bytes()));
    put_option(out, identity.etag.as_ref(), |out, etag| {
        out.push(u8::from(etag.weak));
        put_bytes(out, etag.tag.as_bytes());
    });
    put_option(out, identity.modified.as_ref(), |out, date| put_bytes(out, date.as_bytes()));
    put_option(out, identity.age.as_ref(), |out, age| out.extend(age.to_le_bytes()));
    put_option(out, identity.media.as_ref(), |out, media| put_bytes(out, media.as_bytes()));
    put_option(out, identity.digest.as_ref(), put_digest);
}

fn put_digest(out: &mut Vec<u8>, digest: &WantedDigest) {
    put_bytes(out, digest.algorithm.as_bytes());
    put_bytes(out, &digest.bytes);
}

fn put_block(out: &mut Vec<u8>, index: u32, len: u32, hash: u128) {
    out.extend(index.to_le_bytes());
    out.extend(len.to_le_bytes());
    out.extend(hash.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(bytes);
}

fn put_list<T>(out: &mut Vec<u8>, items: &[T], put: impl Fn(&mut Vec<u8>, &T)) {
    out.extend((items.len() as u32).to_le_bytes());
    items.iter().for_each(|item| put(out, item));
}

fn put_option<T>(out: &mut Vec<u8>, item: Option<&T>, put: impl Fn(&mut Vec<u8>, &T)) {
    out.push(u8::from(item.is_some()));
    item.into_iter().for_each(|item| put(out, item));
}
