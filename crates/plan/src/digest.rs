//! Digests: the algorithms, the digest that a user wants, and those that an answer carries (RFC 9530, R50).
//!
//! Of an answer only algorithms that prove something are read. What is malformed, unknown or of the wrong length is as good
//! as not sent: it can neither prove bytes nor condemn them.

use sfv::{BareItem, Dictionary, Item, ListEntry, Parser};

use crate::head::Head;

/// An algorithm.
pub(crate) struct Algorithm {
    /// Its name everywhere in here.
    pub(crate) name: &'static str,
    /// The length of its digests, in bytes.
    pub(crate) len: usize,
    /// Whoever wants to can make two files that share a digest: it proves only that nothing was damaged by chance.
    pub(crate) weak: bool,
    /// What it is called, in small letters, without `-` and `_`.
    called: &'static [&'static str],
}

/// All of them. Where several prove as much, the one that is computed fastest comes first.
pub(crate) const ALGORITHMS: [Algorithm; 5] = [
    Algorithm { name: "sha-256", len: 32, weak: false, called: &["sha256", "sha2256"] },
    Algorithm { name: "blake3", len: 32, weak: false, called: &["blake3"] },
    Algorithm { name: "sha-512", len: 64, weak: false, called: &["sha512", "sha2512"] },
    Algorithm { name: "sha-1", len: 20, weak: true, called: &["sha1"] },
    Algorithm { name: "md5", len: 16, weak: true, called: &["md5"] },
];

impl Algorithm {
    /// Where the one that is called so stands among [`ALGORITHMS`].
    pub(crate) fn place(called: &[u8]) -> Option<usize> {
        let plain = || called.iter().filter(|byte| !matches!(byte, b'-' | b'_')).map(u8::to_ascii_lowercase);
        ALGORITHMS.iter().position(|known| known.called.iter().any(|name| plain().eq(name.bytes())))
    }
}

/// Those of an answer that are looked at. The first that is sent counts: processors compute SHA-256 in hardware.
const SENT: [&str; 2] = ["sha-256", "sha-512"];

/// The bytes that are written in hex digits; `None` for an odd number of them, or another character.
pub(crate) fn unhexed(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pair = |pair: &[u8]| match *pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    text.chunks(2).map(pair).collect()
}

/// A digest that bytes are checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedDigest {
    /// `sha-256`, `sha-512`, `sha-1`, `md5` or `blake3`.
    pub algorithm: String,
    /// The digest, of the algorithm's length.
    pub bytes: Vec<u8>,
}

/// Why a digest cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestFault {
    /// No algorithm is called so.
    Unknown,
    /// What should be its digits are no hex digits.
    NoHex,
    /// It has another number of them than the algorithm's digests.
    Length {
        /// The algorithm.
        algorithm: &'static str,
        /// Digits that its digests have.
        want: usize,
        /// Digits that are there.
        got: usize,
    },
}

impl WantedDigest {
    /// Reads one, as people and other programs name algorithms: `sha-256`, `SHA256`, `SHA2-256` alike.
    ///
    /// # Errors
    ///
    /// [`DigestFault`].
    pub fn read(algorithm: &str, hex: &str) -> Result<WantedDigest, DigestFault> {
        let place = Algorithm::place(algorithm.as_bytes()).ok_or(DigestFault::Unknown)?;
        let Algorithm { name, len, .. } = ALGORITHMS[place];
        if !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(DigestFault::NoHex);
        }
        if hex.len() != 2 * len {
            return Err(DigestFault::Length { algorithm: name, want: 2 * len, got: hex.len() });
        }
        let bytes = unhexed(hex.as_bytes()).ok_or(DigestFault::NoHex)?;
        Ok(WantedDigest { algorithm: name.to_owned(), bytes })
    }

    /// Whether it proves only that nothing was damaged by chance: MD5, SHA-1.
    pub fn is_weak(&self) -> bool {
        ALGORITHMS.iter().any(|known| known.weak && known.name == self.algorithm)
    }
}

/// The length of an algorithm's digests in bytes, which is one of [`SENT`].
fn length(algorithm: &str) -> Option<usize> {
    ALGORITHMS.iter().find(|known| known.name == algorithm).map(|known| known.len)
}

/// `Content-Digest`: of this message's content, content codings included; of a 206, of that part.
pub(crate) fn content_digest(head: &Head) -> Option<WantedDigest> {
    digest(head, "content-digest")
}

/// `Repr-Digest`: of the whole selected representation, content codings included; also on a 206. Where a server sends
/// none, `Digest`, which older ones send of the same (RFC 3230).
pub(crate) fn repr_digest(head: &Head) -> Option<WantedDigest> {
    digest(head, "repr-digest").or_else(|| instance_digest(head))
}

/// `x-amz-checksum-sha256: BASE64`, which object stores send with a whole object. With a range they may send that of a part
/// as it was stored, and of an object stored in parts the digest of their digests (`BASE64-N`): neither is read.
pub(crate) fn object_digest(head: &Head) -> Option<WantedDigest> {
    SENT.iter().find_map(|&algorithm| {
        let field = format!("x-amz-checksum-{}", algorithm.replace('-', ""));
        let bytes = base64(head.single(&field)?.trim_ascii(), length(algorithm)?)?;
        Some(WantedDigest { algorithm: algorithm.to_owned(), bytes })
    })
}

/// `Digest: SHA-256=BASE64,MD5=BASE64`.
fn instance_digest(head: &Head) -> Option<WantedDigest> {
    let sent = || head.values("digest").flat_map(|line| line.split(|&byte| byte == b','));
    let named = |entry: &[u8], algorithm: &str| {
        let at = entry.iter().position(|&byte| byte == b'=')?;
        let (name, value) = (entry[..at].trim_ascii(), &entry[at + 1..]);
        name.eq_ignore_ascii_case(algorithm.as_bytes()).then(|| value.trim_ascii().to_vec())
    };
    SENT.iter().find_map(|&algorithm| {
        let value = sent().find_map(|entry| named(entry, algorithm))?;
        base64(&value, length(algorithm)?)
            .map(|bytes| WantedDigest { algorithm: algorithm.to_owned(), bytes })
    })
}

/// Bytes of that number, as a structured field writes them between colons.
fn base64(text: &[u8], len: usize) -> Option<Vec<u8>> {
    let item: Item = Parser::new(&[b":", text, b":"].concat()).parse().ok()?;
    match item.bare_item {
        BareItem::ByteSequence(bytes) if bytes.len() == len && item.params.is_empty() => Some(bytes),
        _ => None,
    }
}

fn digest(head: &Head, field: &str) -> Option<WantedDigest> {
    let lines: Vec<&[u8]> = head.values(field).collect();
    let sent: Dictionary = Parser::new(&lines.join(&b", "[..])).parse().ok()?;
    SENT.iter().find_map(|&algorithm| match sent.get(algorithm)? {
        ListEntry::Item(Item { bare_item: BareItem::ByteSequence(bytes), .. })
            if Some(bytes.len()) == length(algorithm) =>
        {
            Some(WantedDigest { algorithm: algorithm.to_owned(), bytes: bytes.clone() })
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::HttpVersion;

    /// 32 zero bytes.
    const ZEROS: &str = "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:";

    fn read(lines: &[&str]) -> Option<WantedDigest> {
        read_of(&lines.iter().map(|line| ("repr-digest", *line)).collect::<Vec<_>>())
    }

    fn read_of(fields: &[(&str, &str)]) -> Option<WantedDigest> {
        let fields = fields.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect();
        repr_digest(&Head { status: 206, version: HttpVersion::Http11, fields, received: 0 })
    }

    #[test]
    fn r50_what_older_servers_send_of_the_whole_counts_where_there_is_no_repr_digest() {
        let base = format!("{}=", "A".repeat(43));
        let ones = format!("{}ERE=", "ERER".repeat(10));
        let zeros = Some(WantedDigest { algorithm: "sha-256".into(), bytes: vec![0; 32] });
        let md5 = "MD5=AAAAAAAAAAAAAAAAAAAAAA==";
        assert_eq!(read_of(&[("digest", &format!("{md5}, SHA-256={base}"))]), zeros);
        assert_eq!(read_of(&[("digest", md5), ("digest", &format!("sha-256={base}"))]), zeros);
        assert_eq!(read_of(&[("digest", &format!("sha-256={ones}")), ("repr-digest", ZEROS)]), zeros);
        assert_eq!(read_of(&[("digest", md5)]), None);
        assert_eq!(read_of(&[("digest", &format!("sha-256={base}; q=1"))]), None);
    }

    #[test]
    fn what_object_stores_send_of_an_object_is_read_and_not_what_they_send_of_its_parts() {
        let read = |name: &str, value: &str| {
            let fields = [(name.to_owned(), value.as_bytes().to_vec())].into_iter().collect();
            object_digest(&Head { status: 200, version: HttpVersion::Http11, fields, received: 0 })
                .map(|digest| (digest.algorithm, digest.bytes.len()))
        };
        let (short, long) = (format!("{}=", "A".repeat(43)), format!("{}==", "A".repeat(86)));
        assert_eq!(read("x-amz-checksum-sha256", &short), Some(("sha-256".into(), 32)));
        assert_eq!(read("x-amz-checksum-sha512", &long), Some(("sha-512".into(), 64)));
        for (name, value) in [
            ("x-amz-checksum-sha256", &*format!("{short}-2")),
            ("x-amz-checksum-sha256", &long),
            ("x-amz-checksum-sha256", ""),
            ("x-amz-checksum-sha1", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
            ("x-amz-checksum-crc32", "AAAAAA=="),
        ] {
            assert_eq!(read(name, value), None, "{name}: {value}");
        }
    }

    #[test]
    fn algorithms_go_by_many_names_and_have_one_length() {
        let read = |name: &str, digits: usize| WantedDigest::read(name, &"0F".repeat(digits / 2));
        for (names, name, digits) in [
            (&["sha-256", "SHA256", "sha_256", "SHA2-256"][..], "sha-256", 64),
            (&["SHA-512", "sha512", "SHA2-512"], "sha-512", 128),
            (&["BLAKE3", "blake-3"], "blake3", 64),
            (&["SHA1", "sha-1"], "sha-1", 40),
            (&["MD5"], "md5", 32),
        ] {
            for called in names {
                let digest = read(called, digits).unwrap();
                assert_eq!(
                    (digest.algorithm.as_str(), digest.bytes[0], digest.is_weak()),
                    (name, 15, digits < 64)
                );
                let fault = DigestFault::Length { algorithm: name, want: digits, got: digits + 2 };
                assert_eq!(read(called, digits + 2), Err(fault));
            }
        }
        for unknown in ["", "sha", "sha-3", "SHA3-256", "SHA512/256", "crc32", "md55"] {
            assert_eq!(read(unknown, 64), Err(DigestFault::Unknown), "{unknown}");
        }
        assert_eq!(WantedDigest::read("md5", &"é".repeat(16)), Err(DigestFault::NoHex));
        assert_eq!((unhexed(b"0"), unhexed(b"0g"), unhexed(b"")), (None, None, Some(Vec::new())));
    }

    #[test]
    fn r50_a_digest_is_read_beside_others_and_over_several_lines() {
        let zeros = Some(WantedDigest { algorithm: "sha-256".into(), bytes: vec![0; 32] });
        assert_eq!(read(&[ZEROS]), zeros);
        assert_eq!(read(&["md5=:AAAAAAAAAAAAAAAAAAAAAA==:, unixsum=1", ZEROS]), zeros);
        let long = format!("sha-512=:{}==:", "A".repeat(86));
        assert_eq!(read(&[&format!("{long}, {ZEROS}")]), zeros);
        assert_eq!(read(&[&long]).map(|digest| digest.bytes.len()), Some(64));
    }

    #[test]
    fn r50_what_is_no_proof_is_as_good_as_not_sent() {
        let short = "sha-256=:AAAA:";
        for bad in
            ["", "sha-256", "sha-256=AAAA", short, "sha=:AAAA:", "md5=:AAAAAAAAAAAAAAAAAAAAAA==:", "\u{7f}"]
        {
            assert_eq!(read(&[bad]), None, "{bad}");
        }
        assert_eq!(read(&[ZEROS, "=:"]), None, "a field that is not whole is not read in part");
    }
}
