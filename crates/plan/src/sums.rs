//! Files of checksums: what `sha256sum` and its kin write, BSD's and OpenSSL's style, and a digest alone.
//!
//! A line that is none of these is passed over, as those who wrote the formats do; it is told of if the file that is wanted
//! was not found, for it may have been the line for it.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::digest::{ALGORITHMS, Algorithm, WantedDigest, unhexed};

/// Why a file of checksums gives no digest. Lines and columns count from 1, columns in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SumsFault {
    /// It has no entry for the file, and this line is no entry.
    Line {
        /// Its number.
        line: usize,
        /// Where it goes wrong.
        column: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// It has so many entries, and none for the file.
    Unnamed(usize),
    /// Two lines give the file different digests of one kind.
    Twice {
        /// The first.
        first: usize,
        /// The other.
        second: usize,
    },
}

/// A file of checksums, read: what each of its lines gives a digest for.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    entries: Vec<Entry>,
    /// Places of entries by the last part of their names.
    named: HashMap<Vec<u8>, Vec<usize>>,
    /// The first line that is no entry.
    fault: Option<SumsFault>,
}

impl Sums {
    /// Reads it, in linear time. `name` is its own: 64 digits are SHA-256, unless it says `b3` or `blake3`.
    pub fn read(text: &[u8], name: &str) -> Sums {
        let name = name.to_ascii_lowercase();
        let blake = name.contains("blake3") || name.contains("b3");
        let mut sums = Sums::default();
        for (number, line) in lines(text) {
            match entry(line, blake) {
                Ok(Some(given)) => sums.add(given, number),
                Ok(None) => {}
                Err((column, what)) => {
                    sums.fault.get_or_insert(SumsFault::Line { line: number, column, what });
                }
            }
        }
        sums
    }

    fn add(&mut self, Given { algorithm, hex, name }: Given<'_>, line: usize) {
        let name = name.map(Cow::into_owned);
        let last = name.as_deref().and_then(|name| parts(name).next()).unwrap_or_default();
        self.named.entry(last.to_vec()).or_default().push(self.entries.len());
        // Digits, and an even number of them, is all that an entry has.
        let digest = unhexed(hex).unwrap_or_default();
        self.entries.push(Entry { algorithm, digest, name, line });
    }

    /// The digest of the file at `path`, a URL's path with its escapes undone, or a file's. The entry whose name has most
    /// of the path's last parts in common with it counts; if all there is is one entry, its name does not matter.
    ///
    /// # Errors
    ///
    /// [`SumsFault`].
    pub fn digest(&self, path: &str) -> Result<WantedDigest, SumsFault> {
        let last = parts(path.as_bytes()).next().unwrap_or_default();
        let fitting = self.named.get(last).filter(|_| !last.is_empty()).into_iter().flatten();
        let mut best: Option<(usize, &Entry)> = None;
        for entry in fitting.map(|&at| &self.entries[at]) {
            let name = entry.name.as_deref().unwrap_or_default();
            best = Some(better(best, (common(name, path.as_bytes()), entry))?);
        }
        let only = || self.entries.first().filter(|_| self.entries.len() == 1 && self.fault.is_none());
        let entry = best.map(|(_, entry)| entry).or_else(only);
        let none = || self.fault.clone().unwrap_or(SumsFault::Unnamed(self.entries.len()));
        let Entry { algorithm, digest, .. } = entry.ok_or_else(none)?;
        Ok(WantedDigest { algorithm: ALGORITHMS[*algorithm].name.to_owned(), bytes: digest.clone() })
    }
}

/// The path of a URL with its escapes undone, as [`Sums::digest`] wants it; `None` if it is no URL.
pub fn path_of(url: &str) -> Option<String> {
    Some(percent_decode_str(Url::parse(url).ok()?.path()).decode_utf8_lossy().into_owned())
}

/// Where a file of checksums may lie beside the file at `url`: its own, then that of its directory. A query is of the file.
pub fn sums_beside(url: &str) -> Vec<String> {
    let Some(url) = bare(url) else { return Vec::new() };
    let own = [".sha256", ".sha512"].map(|end| Some(ended(&url, end)));
    let all = ["SHA256SUMS", "SHA512SUMS", "sha256sum.txt", "CHECKSUM"].map(|name| url.join(name).ok());
    own.into_iter().chain(all).flatten().map(String::from).collect()
}

/// Where a detached signature may lie beside the file at `url`. A query is of the file.
pub fn signatures_beside(url: &str) -> Vec<String> {
    let Some(url) = bare(url) else { return Vec::new() };
    [".minisig", ".sig", ".asc"].map(|end| ended(&url, end).into()).to_vec()
}

/// Without query and fragment.
fn bare(url: &str) -> Option<Url> {
    let mut url = Url::parse(url).ok()?;
    url.set_query(None);
    url.set_fragment(None);
    Some(url)
}

/// With this end on its path.
fn ended(url: &Url, end: &str) -> Url {
    let mut ended = url.clone();
    ended.set_path(&format!("{}{end}", url.path()));
    ended
}

#[derive(Clone, Debug)]
struct Entry {
    /// Its place in `ALGORITHMS`.
    algorithm: usize,
    digest: Vec<u8>,
    /// `None` for a digest alone.
    name: Option<Vec<u8>>,
    line: usize,
}

/// What a line gives.
struct Given<'a> {
    algorithm: usize,
    hex: &'a [u8],
    name: Option<Cow<'a, [u8]>>,
}

/// The one that says more: whose name fits better, then whose algorithm comes first.
fn better<'a>(
    best: Option<(usize, &'a Entry)>,
    other: (usize, &'a Entry),
) -> Result<(usize, &'a Entry), SumsFault> {
    let Some(best) = best else { return Ok(other) };
    let rank = |(common, entry): (usize, &Entry)| (usize::MAX - common, entry.algorithm);
    match rank(best).cmp(&rank(other)) {
        Ordering::Greater => Ok(other),
        Ordering::Equal if best.1.digest != other.1.digest => {
            Err(SumsFault::Twice { first: best.1.line, second: other.1.line })
        }
        _ => Ok(best),
    }
}

/// The parts of a path, the last one first.
fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.rsplit(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b"."))
}

/// How many of their last parts are the same.
fn common(name: &[u8], path: &[u8]) -> usize {
    parts(name).zip(parts(path)).take_while(|(one, other)| one == other).count()
}

/// Lines that may give a digest, with their numbers. Of a clear-signed message those that are signed: what is around them
/// is for whoever checks the signature.
fn lines(sums: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let (mut armor, mut over) = (false, false);
    let sums = sums.strip_prefix(b"\xef\xbb\xbf").unwrap_or(sums);
    sums.split(|&b| b == b'\n').zip(1..).filter_map(move |(line, number)| {
        let line = line.trim_ascii();
        over |= line == b"-----BEGIN PGP SIGNATURE-----";
        armor |= line == b"-----BEGIN PGP SIGNED MESSAGE-----";
        if armor || over {
            armor &= !line.is_empty();
            return None;
        }
        let says = !line.is_empty() && !line.starts_with(b"#") && !line.starts_with(b";");
        says.then_some((number, line))
    })
}

type Wrong = (usize, &'static str);

fn entry(line: &[u8], blake: bool) -> Result<Option<Given<'_>>, Wrong> {
    match tagged(line) {
        Some(entry) => entry,
        None => plain(line, blake).map(Some),
    }
}

/// `HEX  NAME`, `HEX *NAME`, or a digest alone. A backslash before it all says that the name has some.
fn plain(line: &[u8], blake: bool) -> Result<Given<'_>, Wrong> {
    let (escaped, rest) = line.strip_prefix(b"\\").map_or((false, line), |rest| (true, rest));
    let digits = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (hex, after) = rest.split_at(digits);
    let column = 1 + usize::from(escaped) + digits;
    if after.first().is_some_and(|byte| !byte.is_ascii_whitespace()) {
        return Err((column, "is no hex digit, and no space that ends the digest"));
    }
    let fits =
        |known: &Algorithm| 2 * known.len == digits && (known.name == "blake3") == (blake && digits == 64);
    let algorithm = ALGORITHMS.iter().position(fits);
    let algorithm = algorithm.ok_or((column, "ends a digest that is of no length that is known"))?;
    let name = after.trim_ascii_start();
    let name = name.strip_prefix(b"*").unwrap_or(name);
    let name = (!name.is_empty()).then(|| if escaped { unescaped(name) } else { Cow::Borrowed(name) });
    Ok(Given { algorithm, hex, name })
}

/// `ALGO (NAME) = HEX`; OpenSSL leaves the spaces before the bracket and the sign away. `None` if the line is not of this
/// kind, and nothing in it if the algorithm is not known: files of ports have sizes and times in the same style.
fn tagged(line: &[u8]) -> Option<Result<Option<Given<'_>>, Wrong>> {
    let open = line.iter().position(|&byte| byte == b'(')?;
    let tag = line[..open].trim_ascii_end();
    let close = line.iter().rposition(|&byte| byte == b')').filter(|&close| close > open)?;
    let hex = line[close + 1..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    if tag.is_empty() || !tag.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-/_".contains(byte)) {
        return None;
    }
    let Some(algorithm) = Algorithm::place(tag) else { return Some(Ok(None)) };
    let column = line.len() - hex.len() + 1;
    let digits = hex.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if digits < hex.len() {
        return Some(Err((column + digits, "is no hex digit")));
    }
    if digits != 2 * ALGORITHMS[algorithm].len {
        return Some(Err((column, "begins a digest that is not of its algorithm's length")));
    }
    let name = Some(Cow::Borrowed(&line[open + 1..close]));
    Some(Ok(Some(Given { algorithm, hex, name })))
}

/// `\\`, `\n` and `\r` undone.
fn unescaped(name: &[u8]) -> Cow<'_, [u8]> {
    let mut plain = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(&byte) = bytes.next() {
        plain.push(match (byte, bytes.as_slice().first()) {
            (b'\\', Some(b'n' | b'r' | b'\\')) => match bytes.next() {
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                _ => b'\\',
            },
            _ => byte,
        });
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/pub/1.2/x.iso";

    fn hex(digit: &str, len: usize) -> String {
        digit.repeat(len)
    }

    fn read(text: &str) -> Result<(String, u8), SumsFault> {
        read_of(text, "SHA256SUMS")
    }

    fn read_of(text: &str, named: &str) -> Result<(String, u8), SumsFault> {
        Sums::read(text.as_bytes(), named).digest(PATH).map(|digest| (digest.algorithm, digest.bytes[0]))
    }

    fn found(algorithm: &str, byte: u8) -> Result<(String, u8), SumsFault> {
        Ok((algorithm.to_owned(), byte))
    }

    #[test]
    fn what_gnu_writes() {
        let (a, b) = (hex("a", 64), hex("b", 64));
        assert_eq!(read(&format!("{b}  y.iso\n{a}  x.iso\n")), found("sha-256", 0xaa));
        assert_eq!(read(&format!("{b} *y.iso\r\n{a} *x.iso\r\n")), found("sha-256", 0xaa));
        assert_eq!(read(&format!("{b}\ty\n{a}\t./x.iso")), found("sha-256", 0xaa));
        assert_eq!(read(&format!("{}  x.iso\n{b}  y", hex("C", 128))), found("sha-512", 0xcc));
        assert_eq!(read(&format!("{}  x.iso\n{b}  y", hex("1", 40))), found("sha-1", 0x11));
        assert_eq!(read(&format!("{}  x.iso\n{b}  y", hex("1", 32))), found("md5", 0x11));
        assert_eq!(read_of(&format!("{a}  x.iso\n{b}  y"), "B3SUMS"), found("blake3", 0xaa));
    }

    #[test]
    fn a_name_with_line_ends_or_backslashes_is_escaped() {
        let (a, b) = (hex("a", 64), hex("b", 64));
        let read = |text: String, path: &str| Sums::read(text.as_bytes(), "").digest(path);
        let digest = |name: &str, path| read(format!("{b}  y\n\\{a}  {name}"), path);
        assert_eq!(digest("l\\ni\\\\n\\re", "l\ni\\n\re").unwrap().bytes[0], 0xaa);
        assert_eq!(digest("a\\q\\", "a\\q\\").unwrap().bytes[0], 0xaa, "what is no escape stays");
        let plain = format!("{b}  y\n{a}  a\\nb");
        assert!(read(plain, "a\\nb").is_ok(), "without the first backslash nothing is one");
    }

    #[test]
    fn what_bsd_and_openssl_write() {
        let (a, c) = (hex("a", 64), hex("c", 128));
        let other = format!("SHA256 (y) = {}\n", hex("b", 64));
        assert_eq!(read(&format!("{other}SHA256 (x.iso) = {a}")), found("sha-256", 0xaa));
        assert_eq!(read(&format!("{other}SHA2-512(x.iso)= {c}")), found("sha-512", 0xcc));
        assert_eq!(
            read(&format!("{other}SIZE (x.iso) = 5\nSHA1 (x.iso) = {}", hex("d", 40))),
            found("sha-1", 0xdd)
        );
        let brackets = format!("{other}MD5 (a (1).z) = {}", hex("e", 32));
        assert_eq!(Sums::read(brackets.as_bytes(), "").digest("a (1).z").unwrap().algorithm, "md5");
        assert_eq!(read(&format!("{other}BLAKE3 (x.iso) = {a}")), found("blake3", 0xaa));
    }

    #[test]
    fn a_digest_alone_and_an_only_entry_are_for_whatever_is_wanted() {
        let a = hex("a", 64);
        assert_eq!(read(&format!("{a}\n")), found("sha-256", 0xaa));
        assert_eq!(read(&format!("# made by hand\n\n{a}  renamed.iso")), found("sha-256", 0xaa));
        assert_eq!(read(&format!("{a}  r.iso\n{a}  s.iso")), Err(SumsFault::Unnamed(2)));
        assert_eq!(read(""), Err(SumsFault::Unnamed(0)));
    }

    #[test]
    fn what_is_signed_counts_and_the_signature_does_not() {
        let (a, b) = (hex("a", 64), hex("b", 64));
        let text = format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n# x.iso: 5 bytes\nSHA256 (x.iso) = {a}\n{b}  y\n\
             -----BEGIN PGP SIGNATURE-----\n\niQIz\n-----END PGP SIGNATURE-----\n"
        );
        assert_eq!(read(&text), found("sha-256", 0xaa));
    }

    #[test]
    fn what_is_around_the_signed_lines_is_none_of_them() {
        let (a, b, c) = (hex("a", 64), hex("b", 64), hex("c", 64));
        let text = format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\n{c}  x.iso\n\n{a}  x.iso\n{b}  y\n\
             -----BEGIN PGP SIGNATURE-----\n\n{c}  x.iso\n-----END PGP SIGNATURE-----\n{c}  x.iso\n"
        );
        assert_eq!(read(&text), found("sha-256", 0xaa));
        assert_eq!(read(&format!("; {c}  x.iso\n# {c}  x.iso\n")), Err(SumsFault::Unnamed(0)));
    }

    #[test]
    fn a_files_checksums_are_looked_for_beside_it() {
        assert_eq!(path_of("https://h/a%20b/c.iso?d#e").as_deref(), Some("/a b/c.iso"));
        assert_eq!(path_of("no URL"), None);
        let beside = sums_beside("https://h/d/x.iso?token=1#f");
        assert_eq!(beside[..2], ["https://h/d/x.iso.sha256", "https://h/d/x.iso.sha512"]);
        assert_eq!(beside[2..4], ["https://h/d/SHA256SUMS", "https://h/d/SHA512SUMS"]);
        assert!(beside.len() == 6 && sums_beside("no URL").is_empty());
        let signed = ["minisig", "sig", "asc"].map(|end| format!("https://h/d/x.iso.{end}"));
        assert_eq!(signatures_beside("https://h/d/x.iso?token=1#f"), signed);
    }

    #[test]
    fn the_longest_common_end_of_the_path_decides_then_the_algorithm() {
        let (a, b, c) = (hex("a", 64), hex("b", 64), hex("c", 64));
        assert_eq!(read(&format!("{b}  1.1/x.iso\n{a}  1.2/x.iso\n{c}  x.iso")), found("sha-256", 0xaa));
        let md5 = hex("d", 32);
        assert_eq!(read(&format!("MD5 (x.iso) = {md5}\nSHA256 (x.iso) = {a}")), found("sha-256", 0xaa));
        assert_eq!(read(&format!("{a}  x.iso\n{}  x.iso", a.to_uppercase())), found("sha-256", 0xaa));
        assert_eq!(read(&format!("{a}  x.iso\n\n{b}  x.iso")), Err(SumsFault::Twice { first: 1, second: 3 }));
    }

    #[test]
    fn a_line_that_is_none_is_told_of_where_the_file_is_not_found() {
        let (a, short) = (hex("a", 64), hex("a", 63));
        let wrong = |text: &str| match read(text) {
            Err(SumsFault::Line { line, column, .. }) => (line, column),
            other => panic!("{other:?}"),
        };
        assert_eq!(wrong("<!DOCTYPE html>\n<p>"), (1, 1));
        assert_eq!(wrong(&format!("{a}  y\n{short}  x.iso")), (2, 64));
        assert_eq!(wrong(&format!("{a}  y\n{short}g  x.iso")), (2, 64));
        assert_eq!(wrong(&format!("\\{short}  x.iso")), (1, 65));
        assert_eq!(wrong(&format!("SHA256 (x.iso) = {short}")), (1, 18));
        assert_eq!(wrong(&format!("SHA256 (x.iso) = {short}g")), (1, 81));
        assert_eq!(read(&format!("noise\n{a}  x.iso\n{a}  y")), found("sha-256", 0xaa));
    }
}
