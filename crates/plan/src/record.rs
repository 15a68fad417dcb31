//! What the journal remembers. Framing and checksums stand in the engine's `journal.rs`.

use crate::digest::WantedDigest;
use crate::identity::Identity;

/// XXH3-128 of a block or its prefix; opaque here.
pub type Hash = u128;

/// The first record: what is held, and of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    /// The source's original URL, query and all, without userinfo (P4).
    pub url: String,
    /// The final name inside its directory (R57).
    pub name: String,
    /// Request headers kept as they are (User-Agent, Accept, ..., `--keep-header`).
    pub headers: Vec<(String, String)>,
    /// Names and keyed hashes of the other request headers; the values are not kept (P4).
    pub secrets: Vec<(String, u64)>,
    /// Size of a block in bytes, a power of two.
    pub block_size: u32,
    /// Length and validators of the representation.
    pub identity: Identity,
    /// The digest the user gave.
    pub digest: Option<WantedDigest>,
    /// The certificate was not verified (R63); shown, never applied.
    pub insecure: bool,
}

/// A file as it was at some time: one that was written to since, or is another one, differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Size in bytes.
    pub size: u64,
    /// Modification time, ns since 1970.
    pub mtime: i64,
    /// Inode.
    pub inode: u64,
}

/// One entry of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// What is held; the first record.
    Begin(Box<Begin>),
    /// A run opened the journal; the engine writes it with the new salt.
    Run,
    /// A whole block is stored and hashes to this. `len` is short only for the last block.
    Block {
        /// Index of the block.
        index: u32,
        /// Its length in bytes.
        len: u32,
        /// Its hash.
        hash: Hash,
    },
    /// The first `len` bytes of an open block are stored and hash to this.
    Prefix {
        /// Index of the block.
        index: u32,
        /// Bytes held from the block's start.
        len: u32,
        /// Hash of those bytes.
        hash: Hash,
    },
    /// The total or the validators became known or changed for the better.
    Learnt(Identity),
    /// Joins from here on rest on an overlap check alone (R21); a later `--strict` run must know.
    Unproven,
    /// The source's URL has expired; this one stands for it now.
    Renewed(String),
    /// The whole must have this detached signature, by this key; both as they were given. Neither is secret.
    Signed {
        /// The signature.
        signature: Vec<u8>,
        /// The key.
        key: Vec<u8>,
    },
    /// What stands at the final name is another program's partial file, and what was proven of it is held here: this file
    /// may take its place, if it is still what it was. `None`: none may.
    Replaces(Option<Stamp>),
    /// Everything recorded before this record is on stable storage.
    Synced,
    /// These blocks (first, count) are not to be trusted, with the reason.
    Invalid {
        /// First block.
        first: u32,
        /// Number of blocks.
        count: u32,
        /// Why, in words.
        why: String,
    },
    /// The part is whole, verified and synced; what is left is the rename.
    Whole {
        /// Digest that was checked, algorithm and bytes.
        digest: Option<WantedDigest>,
        /// Device of the part.
        dev: u64,
        /// Inode of the part.
        inode: u64,
    },
    /// The run ended in order; the part looked like this.
    Clean {
        /// Size in bytes.
        size: u64,
        /// Modification time, ns since 1970.
        mtime: i64,
        /// Change time, ns since 1970.
        ctime: i64,
        /// Inode.
        inode: u64,
    },
}
