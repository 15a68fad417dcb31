//! The forms of signatures and keys. Pure: bytes in, what they are out, or the place where they stop to be that.
//!
//! What is told here is only whether a file is what it should be. Whether a signature holds, and what is in a packet of
//! OpenPGP, is for those who check it.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine as _};

/// Why a signature and a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureFault {
    /// One of them is not what it looks like.
    Form {
        /// It is the key; else the signature.
        key: bool,
        /// Where, counted from 1; 0 for what has no lines.
        line: usize,
        /// Byte of the line, counted from 1.
        column: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// It is neither minisign's nor OpenPGP's.
    Unknown {
        /// The key; else the signature.
        key: bool,
    },
    /// One is minisign's, the other OpenPGP's.
    Kinds,
    /// The signature is by another key; both by their numbers.
    OtherKey {
        /// The key that was given.
        given: String,
        /// The one that signed.
        signed: String,
    },
    /// `gpgv`, which checks signatures of OpenPGP, is not installed.
    NoProgram,
}

/// A signature or key, by its kind.
#[derive(Debug, PartialEq)]
pub(super) enum Form {
    Minisign(Minisign),
    /// Its packets, without armor.
    OpenPgp(Vec<u8>),
}

/// A signature or key of minisign.
#[derive(Debug, PartialEq)]
pub(super) struct Minisign {
    /// The number of the key, as minisign writes it.
    pub(super) id: String,
    /// As the library wants it: the four lines of a signature, or the string of a key.
    pub(super) text: String,
    /// Of a signature: it is of the file's hash.
    pub(super) hashed: bool,
}

/// Which of the two is read.
#[derive(Clone, Copy)]
struct Of {
    key: bool,
}

const SIGNATURE: Of = Of { key: false };
const KEY: Of = Of { key: true };

impl Of {
    fn wrong(self, line: usize, column: usize, what: &'static str) -> SignatureFault {
        SignatureFault::Form { key: self.key, line, column, what }
    }

    /// What its armor says.
    fn armor(self) -> &'static str {
        if self.key { "PGP PUBLIC KEY BLOCK" } else { "PGP SIGNATURE" }
    }

    /// Packets that it may have (RFC 9580 section 5): signatures; or public keys, their names, signatures and trust.
    fn may_have(self, tag: u8) -> bool {
        if self.key { matches!(tag, 2 | 6 | 12 | 13 | 14 | 17) } else { tag == 2 }
    }
}

pub(super) fn signature(bytes: &[u8]) -> Result<Form, SignatureFault> {
    if let Some(packets) = openpgp(bytes, SIGNATURE)? {
        return Ok(Form::OpenPgp(packets));
    }
    if !bytes.starts_with(b"untrusted comment:") {
        return Err(SignatureFault::Unknown { key: false });
    }
    let lines = texts(bytes, SIGNATURE)?;
    let line = |number: usize| {
        let missing =
            || SIGNATURE.wrong(lines.len(), 1, "is the last line: what follows in a signature is missing");
        lines.get(number - 1).copied().ok_or_else(missing)
    };
    let signed = decoded(line(2)?, 2, 74, SIGNATURE)?;
    let trusted = line(3)?;
    if !trusted.starts_with("trusted comment: ") {
        return Err(SIGNATURE.wrong(3, 1, "does not begin with \"trusted comment: \""));
    }
    decoded(line(4)?, 4, 64, SIGNATURE)?;
    let hashed = match &signed[..2] {
        b"ED" => true,
        b"Ed" => false,
        _ => return Err(SIGNATURE.wrong(2, 1, "begins a signature of a kind that is not known")),
    };
    let text = format!("{}\n{}\n{trusted}\n{}\n", lines[0], lines[1], lines[3]);
    Ok(Form::Minisign(Minisign { id: number(&signed), text, hashed }))
}

pub(super) fn key(bytes: &[u8]) -> Result<Form, SignatureFault> {
    if let Some(packets) = openpgp(bytes, KEY)? {
        return Ok(Form::OpenPgp(packets));
    }
    let commented = bytes.starts_with(b"untrusted comment:");
    // "Ed" in base64, and the first bits of the number.
    if !commented && !bytes.starts_with(b"RW") {
        return Err(SignatureFault::Unknown { key: true });
    }
    let lines = texts(bytes, KEY)?;
    let at = if commented { 2 } else { 1 };
    let line = lines.get(at - 1).copied();
    let line = line.ok_or_else(|| KEY.wrong(1, 1, "is the last line: the key is missing"))?;
    let key = decoded(line, at, 42, KEY)?;
    if &key[..2] != b"Ed" {
        return Err(KEY.wrong(at, 1, "begins a key of a kind that is not known, or no public one"));
    }
    Ok(Form::Minisign(Minisign { id: number(&key), text: line.to_owned(), hashed: false }))
}

/// The number in the bytes of a signature or key: after two bytes eight, the last first.
fn number(bytes: &[u8]) -> String {
    bytes[2..10].iter().rev().map(|byte| format!("{byte:02X}")).collect()
}

/// Lines without their ends.
fn texts(bytes: &[u8], of: Of) -> Result<Vec<&str>, SignatureFault> {
    let lines = bytes.split(|&byte| byte == b'\n').zip(1..);
    let mut texts = Vec::new();
    for (line, number) in lines {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = std::str::from_utf8(line);
        texts.push(text.map_err(|error| of.wrong(number, error.valid_up_to() + 1, "is no UTF-8"))?);
    }
    if texts.last() == Some(&"") {
        texts.pop();
    }
    Ok(texts)
}

/// The bytes of a line of base64, of which there must be so many.
fn decoded(line: &str, number: usize, len: usize, of: Of) -> Result<Vec<u8>, SignatureFault> {
    if let Some(column) = line.bytes().position(|byte| !is_base64(byte)) {
        return Err(of.wrong(number, column + 1, "is no base64"));
    }
    let bytes = BASE64_STANDARD.decode(line).ok().filter(|bytes| bytes.len() == len);
    bytes.ok_or_else(|| of.wrong(number, line.len().max(1), "ends base64 that is too short or too long"))
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)
}

/// The packets, without armor; `None` if it is nothing of OpenPGP's.
fn openpgp(bytes: &[u8], of: Of) -> Result<Option<Vec<u8>>, SignatureFault> {
    let binary = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let armored = || bytes.split(|&byte| byte == b'\n').any(|line| line.starts_with(b"-----BEGIN PGP "));
    let packets = match binary {
        true => bytes.to_vec(),
        false if armored() => dearmored(bytes, of)?,
        false => return Ok(None),
    };
    are_packets(&packets, of)?;
    Ok(Some(packets))
}

/// Where reading of an armor is.
enum At {
    Outside,
    Headers,
    Body,
}

/// What is in the armors of a text (RFC 9580 section 6.2), one after the other. Their checksums say nothing that the
/// signatures do not, and are left away.
fn dearmored(text: &[u8], of: Of) -> Result<Vec<u8>, SignatureFault> {
    let (begin, end) = (format!("-----BEGIN {}-----", of.armor()), format!("-----END {}-----", of.armor()));
    let (mut at, mut body, mut packets, mut last) = (At::Outside, Vec::new(), Vec::new(), 1);
    for (line, number) in text.split(|&byte| byte == b'\n').zip(1..) {
        let line = line.trim_ascii_end();
        if !line.is_empty() {
            last = number;
        }
        match at {
            At::Outside if line == begin.as_bytes() => at = At::Headers,
            At::Outside if line.starts_with(b"-----BEGIN PGP ") => {
                let what = if of.key { "begins no public key" } else { "begins no detached signature" };
                return Err(of.wrong(number, 1, what));
            }
            At::Outside => {}
            At::Headers if line.is_empty() => at = At::Body,
            At::Headers if line.contains(&b':') => {}
            At::Headers => {
                return Err(of.wrong(number, 1, "is no header of an armor, and no empty line after them"));
            }
            At::Body if line == end.as_bytes() => {
                let bytes = BASE64_STANDARD.decode(&body);
                let wrong = |_| of.wrong(number, 1, "ends an armor whose base64 is not whole");
                packets.extend(bytes.map_err(wrong)?);
                body.clear();
                at = At::Outside;
            }
            At::Body if line.len() == 5 && line[0] == b'=' => {}
            At::Body => {
                if let Some(column) = line.iter().position(|&byte| !is_base64(byte)) {
                    return Err(of.wrong(number, column + 1, "is no base64"));
                }
                body.extend_from_slice(line);
            }
        }
    }
    match at {
        At::Outside => Ok(packets),
        At::Headers | At::Body => Err(of.wrong(last, 1, "is the last line: the end of the armor is missing")),
    }
}

/// Whether bytes are whole packets of the kinds that may be there (RFC 9580 section 4.2). So no signed message is taken for
/// a signature, and no secret key for a public one.
fn are_packets(bytes: &[u8], of: Of) -> Result<(), SignatureFault> {
    let (mut at, mut first) = (0, true);
    while at < bytes.len() || first {
        let wrong = |what| of.wrong(0, at + 1, what);
        let (tag, header, len) =
            packet(&bytes[at..]).ok_or_else(|| wrong("begins no whole packet of OpenPGP"))?;
        if !of.may_have(tag) || (first && of.key && tag != 6) {
            return Err(wrong(match (of.key, tag) {
                (true, 5 | 7) => "begins a secret key; give the public one (gpg --export)",
                (true, _) => "begins something that is no public key",
                (false, _) => "begins something that is no signature",
            }));
        }
        let end =
            at.checked_add(header).and_then(|body| body.checked_add(len)).filter(|&end| end <= bytes.len());
        at = end.ok_or_else(|| wrong("begins a packet that is cut off"))?;
        first = false;
    }
    Ok(())
}

/// Tag of a packet, and lengths of its header and body. `None` for no packet, and for lengths that only data may have.
fn packet(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let number = |from: usize, len: usize| {
        let bytes = bytes.get(from..from + len)?;
        Some(bytes.iter().fold(0, |sum: usize, &byte| sum << 8 | usize::from(byte)))
    };
    let first = *bytes.first().filter(|first| **first & 0x80 != 0)?;
    if first & 0x40 == 0 {
        let len = match first & 3 {
            3 => return None,
            power => 1 << power,
        };
        return Some((first >> 2 & 0x0f, 1 + len, number(1, len)?));
    }
    let tag = first & 0x3f;
    match number(1, 1)? {
        len @ 0..192 => Some((tag, 2, len)),
        192..224 => Some((tag, 3, number(1, 2)? - (192 << 8) + 192)),
        255 => Some((tag, 6, number(2, 4)?)),
        _ => None,
    }
}

/// Says what is wrong; which file it is in is the caller's to add.
impl fmt::Display for SignatureFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignatureFault::Form { line: 0, column, what, .. } => write!(f, "byte {column} {what}"),
            SignatureFault::Form { line, column, what, .. } => write!(f, "line {line}, column {column} {what}"),
            SignatureFault::Unknown { key: true } => {
                f.write_str("it is no public key of minisign, and none of OpenPGP")
            }
            SignatureFault::Unknown { key: false } => {
                f.write_str("it is no signature of minisign, and none of OpenPGP")
            }
            SignatureFault::Kinds => f.write_str("of signature and key one is minisign's, the other OpenPGP's"),
            SignatureFault::OtherKey { given, signed } => {
                write!(f, "the signature is by the key {signed}, and the key given is {given}")
            }
            SignatureFault::NoProgram => f.write_str(
                "a signature of OpenPGP is checked by the program gpgv, which is not installed (Debian: gpgv)",
            ),
        }
    }
}

impl std::error::Error for SignatureFault {}
