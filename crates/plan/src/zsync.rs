//! zsync's control file (`.zsync`): where a file is, its length and SHA-1, and of each of its blocks a rolling sum and an MD4,
//! both cut short, by which those blocks are found in an older version of it. The format is that of zsync 0.6: lines, an empty
//! one, and the sums. Pure: bytes in, sums out.
//!
//! What it says of a file that is stored compressed (`Z-URL`, `Z-Map2`) is passed over: a range of that gives no block.

use std::fmt;

use url::Url;

use crate::digest::{WantedDigest, unhexed};
use crate::name::Name;

/// Longest control file that is read, in bytes: that of some 13 GiB in blocks of 4 KiB.
pub const ZSYNC_BYTES: usize = 64 << 20;

/// Most blocks of a file.
const BLOCKS: u64 = 1 << 22;

/// Least and most bytes of a block.
const BLOCK: std::ops::RangeInclusive<u32> = 64..=1 << 20;

/// Most lines before the sums, most bytes of one, and most places that are kept.
const LINES: u32 = 256;
const LINE: usize = 8 << 10;
const PLACES: usize = 32;

/// Fields that say nothing we need. Any other unknown one ends it, unless `Safe` names it.
const PASSED: [&str; 5] = ["MTime", "Z-URL", "Z-Filename", "Recompress", "Min-Version"];

/// Why a control file is refused. Line and column count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZsyncFault {
    /// The line.
    pub line: u32,
    /// The column, in bytes.
    pub column: u32,
    /// What is wrong there, in words without foreign text.
    pub what: &'static str,
}

impl fmt::Display for ZsyncFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.what)
    }
}

/// What a control file says of one file.
#[derive(Clone, PartialEq, Eq)]
pub struct Zsync {
    /// Its name: one segment.
    pub name: Option<Name>,
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-1. Without one nothing would prove what was put together, so that there always is one.
    pub digest: WantedDigest,
    /// Where it can be had over HTTP, in order; at least one, at most 32.
    pub urls: Vec<String>,
    block: u32,
    /// Bytes of each rolling sum and of each MD4, and whether blocks are looked for two at a time.
    lengths: (usize, usize, bool),
    sums: Vec<u8>,
}

impl fmt::Debug for Zsync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Zsync { name, size, urls, block, lengths, .. } = self;
        write!(f, "Zsync({name:?}, {size} bytes in blocks of {block}, {lengths:?}, {urls:?})")
    }
}

/// A field as it stands: its line, the column of its value, its name and value.
struct Field<'t> {
    line: u32,
    column: u32,
    name: &'t str,
    value: &'t str,
}

impl Field<'_> {
    fn fault(&self, what: &'static str) -> ZsyncFault {
        ZsyncFault { line: self.line, column: self.column, what }
    }

    fn number<T: std::str::FromStr>(&self) -> Result<T, ZsyncFault> {
        self.value.parse().map_err(|_| self.fault("is no number, or one too large"))
    }
}

/// What the lines said until now.
#[derive(Default)]
struct Said {
    name: Option<Name>,
    size: Option<u64>,
    block: Option<u32>,
    lengths: Option<(usize, usize, bool)>,
    sha1: Option<Vec<u8>>,
    urls: Vec<String>,
    compressed: bool,
    safe: Vec<String>,
}

impl Zsync {
    /// Reads a control file that was found at the URL `base`; without one, it must name whole URLs.
    ///
    /// # Errors
    ///
    /// [`ZsyncFault`]: it is too large, of another form or a later version, has no SHA-1, or names no place over HTTP.
    pub fn read(text: &[u8], base: Option<&str>) -> Result<Zsync, ZsyncFault> {
        let at_start = |what| ZsyncFault { line: 1, column: 1, what };
        if text.len() > ZSYNC_BYTES {
            return Err(at_start("it is larger than 64 MiB"));
        }
        if !text.starts_with(b"zsync: ") {
            return Err(at_start("it is no control file of zsync"));
        }
        let base = base.and_then(|base| Url::parse(base).ok());
        let (mut said, mut at, mut line) = (Said::default(), 0, 1);
        let sums = loop {
            let (field, len) = next_field(&text[at..], line)?;
            at += len;
            line += 1;
            let Some(field) = field else { break &text[at..] };
            at += said.take(&field, base.as_ref(), text.len() - at)?;
        };
        said.end(sums, line)
    }

    /// Bytes of a block, a power of two; the last one is filled up with zeros.
    pub fn block(&self) -> u32 {
        self.block
    }

    /// How many blocks there are.
    pub fn blocks(&self) -> u32 {
        self.size.div_ceil(u64::from(self.block)) as u32 // `end` counted them.
    }

    /// A match counts only if the block that follows matches as well.
    pub fn in_pairs(&self) -> bool {
        self.lengths.2
    }

    /// The bits of a rolling sum that are kept.
    pub fn kept(&self) -> u32 {
        u32::MAX >> (32 - 8 * self.lengths.0)
    }

    /// What is kept of the rolling sum of a block, 0 of one that is not there.
    pub fn rolling(&self, block: u32) -> u32 {
        let sum = self.sum(block).map_or(&[][..], |sum| &sum[..self.lengths.0]);
        sum.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte))
    }

    /// The first bytes of the MD4 of a block; none of one that is not there.
    pub fn md4(&self, block: u32) -> &[u8] {
        self.sum(block).map_or(&[], |sum| &sum[self.lengths.0..])
    }

    fn sum(&self, block: u32) -> Option<&[u8]> {
        let len = self.lengths.0 + self.lengths.1;
        let at = block as usize * len;
        self.sums.get(at..at + len)
    }
}

/// The field that `text` begins with and the bytes of its line; no field at the empty line.
fn next_field(text: &[u8], line: u32) -> Result<(Option<Field<'_>>, usize), ZsyncFault> {
    let fault = |column, what| ZsyncFault { line, column, what };
    if line > LINES {
        return Err(fault(1, "has more than 256 lines before its sums"));
    }
    let within = &text[..text.len().min(LINE)];
    let Some(len) = within.iter().position(|&byte| byte == b'\n') else {
        return Err(fault(
            1,
            if text.len() < LINE { "ends before its sums" } else { "has a line over 8 KiB" },
        ));
    };
    let said = std::str::from_utf8(&text[..len]).map_err(|wrong| {
        fault(wrong.valid_up_to() as u32 + 1, "is not UTF-8") // A line is short.
    })?;
    if said.is_empty() {
        return Ok((None, 1));
    }
    let (name, value) = said.split_once(": ").ok_or_else(|| fault(1, "is no field and its value"))?;
    let column = name.len() as u32 + 3;
    Ok((Some(Field { line, column, name, value: value.trim_end() }), len + 1))
}

impl Said {
    /// Takes a field; how many bytes of other things follow its line, of the `left` that there are.
    fn take(&mut self, field: &Field<'_>, base: Option<&Url>, left: usize) -> Result<usize, ZsyncFault> {
        match field.name {
            "zsync" if field.line == 1 => {}
            "Filename" => self.name = Some(name(field)?),
            "Length" => self.size = Some(field.number()?),
            "Blocksize" => self.block = Some(block(field)?),
            "Hash-Lengths" => self.lengths = Some(lengths(field)?),
            "SHA-1" => {
                let bytes = unhexed(field.value.as_bytes()).filter(|bytes| bytes.len() == 20);
                self.sha1 = Some(bytes.ok_or_else(|| field.fault("is no SHA-1"))?);
            }
            "URL" => self.urls.extend(place(field, base)?.filter(|_| self.urls.len() < PLACES)),
            "Safe" => self.safe.extend(field.value.split_whitespace().map(str::to_owned)),
            "Z-Map2" => {
                let entries: usize = field.number()?;
                let len = entries.checked_mul(4).filter(|&len| len <= left);
                return len.ok_or_else(|| field.fault("is longer than the file"));
            }
            "Min-Version" if is_later(field.value) => {
                return Err(field.fault("is a later version of the format than is known"));
            }
            name if PASSED.contains(&name) => self.compressed |= name == "Z-URL",
            name if self.safe.iter().any(|safe| safe == name) => {}
            _ => return Err(ZsyncFault { column: 1, ..field.fault("is a field that is not known") }),
        }
        Ok(0)
    }

    /// All lines were read, and this follows.
    fn end(self, sums: &[u8], line: u32) -> Result<Zsync, ZsyncFault> {
        let fault = |what| ZsyncFault { line, column: 1, what };
        let missing = || fault("Length, Blocksize or Hash-Lengths is missing");
        let (Some(size), Some(block), Some(lengths)) = (self.size, self.block, self.lengths) else {
            return Err(missing());
        };
        if self.urls.is_empty() {
            return Err(fault(match self.compressed {
                true => "says only where the file is compressed, which gives no block of it",
                false => "names no place over HTTP",
            }));
        }
        let bytes = self.sha1.ok_or_else(|| fault("has no SHA-1: nothing would prove the file"))?;
        let blocks = size.div_ceil(u64::from(block));
        if blocks > BLOCKS {
            return Err(fault("has more than 4,194,304 blocks"));
        }
        if sums.len() as u64 != blocks * (lengths.0 + lengths.1) as u64 {
            return Err(fault("has more sums, or fewer, than blocks"));
        }
        let digest = WantedDigest { algorithm: "sha-1".to_owned(), bytes };
        Ok(Zsync { name: self.name, size, digest, urls: self.urls, block, lengths, sums: sums.to_vec() })
    }
}

fn name(field: &Field<'_>) -> Result<Name, ZsyncFault> {
    let name = Name::from_server(field.value).filter(|name| name.as_str() == field.value);
    name.filter(|_| !field.value.contains(['/', '\\'])).ok_or_else(|| field.fault("is no name of a file"))
}

fn block(field: &Field<'_>) -> Result<u32, ZsyncFault> {
    let block: u32 = field.number()?;
    let fits = block.is_power_of_two() && BLOCK.contains(&block);
    fits.then_some(block).ok_or_else(|| field.fault("is no power of two from 64 bytes to 1 MiB"))
}

fn lengths(field: &Field<'_>) -> Result<(usize, usize, bool), ZsyncFault> {
    let wrong = || field.fault("is not one or two blocks, 1 to 4 bytes and 3 to 16");
    let mut numbers = field.value.split(',').map(|number| number.trim().parse::<usize>().ok());
    match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
        (Some(Some(row @ 1..=2)), Some(Some(rolling @ 1..=4)), Some(Some(md4 @ 3..=16)), None) => {
            Ok((rolling, md4, row == 2))
        }
        _ => Err(wrong()),
    }
}

/// A place over HTTP; one over something else is passed over.
fn place(field: &Field<'_>, base: Option<&Url>) -> Result<Option<String>, ZsyncFault> {
    let url = match base {
        Some(base) => base.join(field.value),
        None => Url::parse(field.value),
    };
    match url {
        Ok(url) => Ok(matches!(url.scheme(), "http" | "https").then(|| url.into())),
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            Err(field.fault("is relative to where this file was: give its own URL"))
        }
        Err(_) => Err(field.fault("is no URL")),
    }
}

/// After 0.6: `X.Y` or `X.Y.Z`.
fn is_later(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(u32::MAX));
    (parts.next().unwrap_or(u32::MAX), parts.next().unwrap_or(0)) > (0, 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA1: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";

    fn lines(more: &str) -> String {
        format!(
            "zsync: 0.6.2\nFilename: a.iso\nBlocksize: 2048\nLength: 5000\nHash-Lengths: 2,3,5\n{more}SHA-1: {SHA1}\n\n"
        )
    }

    fn with_sums(text: &str) -> Vec<u8> {
        [text.as_bytes(), &(0..24).collect::<Vec<u8>>()].concat()
    }

    fn read(text: &[u8]) -> Result<Zsync, ZsyncFault> {
        Zsync::read(text, Some("http://h/dir/a.iso.zsync?x"))
    }

    fn refused(text: &str, line: u32, what: &str) {
        let fault = read(&with_sums(text)).expect_err(text);
        assert!(fault.line == line && fault.to_string().contains(what), "{fault}, not {what} in {line}");
    }

    #[test]
    fn a_file_and_the_sums_of_its_blocks_are_read() {
        let zsync = read(&with_sums(&lines("URL: a.iso\nURL: ftp://h/a\nURL: https://m/a.iso\n"))).unwrap();
        assert_eq!(zsync.urls, ["http://h/dir/a.iso", "https://m/a.iso"]);
        assert_eq!((zsync.name.as_ref().map(Name::as_str), zsync.size), (Some("a.iso"), 5000));
        assert_eq!((zsync.digest.algorithm.as_str(), zsync.digest.bytes.len()), ("sha-1", 20));
        assert_eq!(
            (zsync.block(), zsync.blocks(), zsync.in_pairs(), zsync.kept()),
            (2048, 3, true, 0xff_ffff)
        );
        assert_eq!((zsync.rolling(1), zsync.md4(1)), (0x08_090a, &[11, 12, 13, 14, 15][..]));
        assert_eq!((zsync.rolling(3), zsync.md4(3)), (0, &[][..]), "there is none");
    }

    #[test]
    fn what_is_compressed_and_what_is_said_to_be_safe_is_passed_over() {
        let more = "Z-URL: a.gz\nZ-Map2: 2\n\n\n\n\n\n\n\n\nSafe: New\nNew: x\nMTime: today\nURL: a\n";
        assert_eq!(read(&with_sums(&lines(more))).unwrap().blocks(), 3);
        refused(&lines("Z-URL: a.gz\n"), 9, "compressed");
        refused(&lines("Z-Map2: 99\nURL: a\n"), 6, "longer than the file");
        refused(&lines("New: x\nURL: a\n"), 6, "not known");
    }

    #[test]
    fn what_breaks_the_format_is_refused_with_its_place() {
        refused(&lines(""), 8, "names no place");
        refused(&lines("Min-Version: 0.7\nURL: a\n"), 6, "later version");
        refused(&lines("Filename: ../a\nURL: a\n"), 6, "no name");
        refused(&lines("Blocksize: 1000\nURL: a\n"), 6, "power of two");
        refused(&lines("Hash-Lengths: 3,2,5\nURL: a\n"), 6, "1 to 4 bytes");
        refused(&lines("Length: 5000000\nURL: a\n"), 10, "more sums, or fewer");
        refused(&lines("Length: 99999999999999\nURL: a\n"), 10, "4,194,304");
        refused(&lines("nonsense\n"), 6, "no field");
        refused(&lines("URL: a\n").replace("SHA-1: ", "MTime: "), 9, "no SHA-1");
        assert!(
            read(b"zsync: 0.6.2\nLength: 1")
                .unwrap_err()
                .to_string()
                .contains("line 2, column 1: ends before")
        );
        refused("<html>", 1, "no control file");
        let fault = Zsync::read(&with_sums(&lines("URL: a\n")), None).unwrap_err();
        assert!((fault.line, fault.column) == (6, 6) && fault.what.contains("give its own URL"));
    }
}
