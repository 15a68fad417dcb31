//! Journals that grow under a writer who knows the format (DOS-05). That a reader takes what is written here for its own
//! is what keeps the two alike: `crates/engine/src/journal/format.rs`.

use twox_hash::XxHash3_64;

/// Magic; length, kind and sequence; checksum.
const MAGIC: usize = 8;
const HEADER: usize = 9;
const CHECKSUM: usize = 8;

const BEGIN: u8 = 0x81;
const RUN: u8 = 0x82;
const BLOCK: u8 = 3;

/// Bytes of a record of a block.
pub const RECORD: usize = HEADER + 4 + 4 + 16 + CHECKSUM;

/// The log goes on with records of blocks that nobody fetched, each of `block` bytes and signed as it should be, until it
/// has `len` bytes.
pub fn with_good_records(mut log: Vec<u8>, block: u32, len: usize) -> Vec<u8> {
    let (salt, mut count, end) = pen(&log);
    log.truncate(end);
    while log.len() + RECORD <= len {
        let start = log.len();
        log.extend(((RECORD - HEADER - CHECKSUM) as u32).to_le_bytes());
        log.push(BLOCK);
        log.extend(count.to_le_bytes());
        log.extend(count.to_le_bytes());
        log.extend(block.to_le_bytes());
        log.extend([7; 16]);
        let checksum = XxHash3_64::oneshot_with_seed(salt, &log[start..]);
        log.extend(checksum.to_le_bytes());
        count += 1;
    }
    log
}

/// The salt that the last run gave, the number of the next record, and where it begins.
fn pen(log: &[u8]) -> (u64, u32, usize) {
    let word = |at: usize| log[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    let (mut salt, mut count, mut at) = (0, 0, MAGIC);
    while log.len() >= at + HEADER + CHECKSUM && word(at + 5) == count && word(at) > 0 {
        if [BEGIN, RUN].contains(&log[at + 4]) {
            salt = log[at + HEADER..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        }
        at += HEADER + word(at) as usize + CHECKSUM;
        count += 1;
    }
    (salt, count, at)
}
