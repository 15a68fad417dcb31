//! File content that is cheap to make, and of which no part looks like another.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use sha2::{Digest, Sha256};

/// `len` bytes that depend on `seed` alone. Between two seeds every word of 8 bytes differs, hence every
/// 64 KiB block too: a splice of two versions can never pass for either.
pub fn content(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fill(seed, 0, &mut bytes);
    bytes
}

/// The bytes of the same content from `offset` on, for files too large to hold.
pub fn fill(seed: u64, offset: u64, bytes: &mut [u8]) {
    let lead = (offset % 8) as usize;
    let mut word = offset / 8;
    let head = bytes.len().min((8 - lead) % 8);
    let (first, rest) = bytes.split_at_mut(head);
    if head > 0 {
        first.copy_from_slice(&at(seed, word)[lead..lead + head]);
        word += 1;
    }
    for chunk in rest.chunks_mut(8) {
        chunk.copy_from_slice(&at(seed, word)[..chunk.len()]);
        word += 1;
    }
}

/// SHA-256 in lower-case hex.
pub fn digest(bytes: impl AsRef<[u8]>) -> String {
    Sha256::digest(bytes.as_ref()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The same as a field of RFC 9530 has it, `Content-Digest` or `Repr-Digest`.
pub fn digest_field(bytes: impl AsRef<[u8]>) -> String {
    format!("sha-256=:{}:", BASE64_STANDARD.encode(Sha256::digest(bytes.as_ref())))
}

/// Word number `index`. `mix` is a bijection, so different seeds give different words at every index.
fn at(seed: u64, index: u64) -> [u8; 8] {
    mix(mix(seed).wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15))).to_le_bytes()
}

/// The finaliser of splitmix64.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_differ_in_every_word() {
        let (one, two) = (content(0, 1 << 16), content(1, 1 << 16));
        assert!(one.chunks(8).zip(two.chunks(8)).all(|(a, b)| a != b));
    }

    #[test]
    fn a_part_equals_the_whole_there() {
        let whole = content(7, 100);
        for (from, to) in [(0, 100), (3, 50), (8, 9), (13, 15), (13, 16), (99, 100)] {
            let mut part = vec![0; to - from];
            fill(7, from as u64, &mut part);
            assert_eq!(part, whole[from..to], "{from}..{to}");
        }
    }
}
