//! Digests: the one a user wants, and those that an answer carries (RFC 9530, R50).
//!
//! Only algorithms that prove something are read. What is malformed, unknown or of the wrong length is as good
//! as not sent: it can neither prove bytes nor condemn them.

use sfv::{BareItem, Dictionary, Item, ListEntry, Parser};

use crate::head::Head;

/// Algorithms that prove something, and the length of their digests in bytes. The first that is sent counts:
/// processors compute SHA-256 in hardware.
const PROOFS: [(&str, usize); 2] = [("sha-256", 32), ("sha-512", 64)];

/// A digest that bytes are checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedDigest {
    /// `sha-256`, `sha-512`, `sha-1`, `md5` or `blake3`.
    pub algorithm: String,
    /// The digest, of the algorithm's length.
    pub bytes: Vec<u8>,
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

/// `Digest: SHA-256=BASE64,MD5=BASE64`.
fn instance_digest(head: &Head) -> Option<WantedDigest> {
    let sent = || head.values("digest").flat_map(|line| line.split(|&byte| byte == b','));
    let named = |entry: &[u8], algorithm: &str| {
        let at = entry.iter().position(|&byte| byte == b'=')?;
        let (name, value) = (entry[..at].trim_ascii(), &entry[at + 1..]);
        name.eq_ignore_ascii_case(algorithm.as_bytes()).then(|| value.trim_ascii().to_vec())
    };
    PROOFS.iter().find_map(|&(algorithm, len)| {
        let value = sent().find_map(|entry| named(entry, algorithm))?;
        base64(&value, len).map(|bytes| WantedDigest { algorithm: algorithm.to_owned(), bytes })
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
    PROOFS.iter().find_map(|&(algorithm, len)| match sent.get(algorithm)? {
        ListEntry::Item(Item { bare_item: BareItem::ByteSequence(bytes), .. }) if bytes.len() == len => {
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
