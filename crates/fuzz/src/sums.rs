//! Files of checksums.

use thence::Sums;

/// The length of each algorithm's digests, in bytes.
const LENGTHS: [(&str, usize); 5] =
    [("sha-256", 32), ("blake3", 32), ("sha-512", 64), ("sha-1", 20), ("md5", 16)];

/// No bytes make the reader panic, or give a digest that is not written there in hex, of its algorithm's length.
pub(crate) fn sums(data: &[u8]) {
    let text = String::from_utf8_lossy(data).to_ascii_lowercase();
    for (named, path) in [("SHA256SUMS", "/pub/x.iso"), ("B3SUMS", "a b"), ("", "")] {
        let Ok(digest) = Sums::read(data, named).digest(path) else { continue };
        assert!(LENGTHS.contains(&(digest.algorithm.as_str(), digest.bytes.len())), "{digest:?}");
        let hex: String = digest.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(text.contains(&hex), "{hex} stands nowhere");
    }
}
