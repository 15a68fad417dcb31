//! Metalink: a description of files, with their lengths, digests, and the places they can be had from. Version 4
//! (RFC 5854), and version 3, which many still write.
//!
//! A description that breaks its format is refused whole, with the place: half of one could be without the digest that
//! the other half had. What it may say and we do not use (torrents, FTP, signatures, dates) is passed over.

use std::fmt;

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use url::Url;

use crate::digest::{ALGORITHMS, Algorithm, WantedDigest, unhexed};
use crate::name::Name;

/// Longest description that is read, in bytes.
pub const METALINK_BYTES: usize = 16 << 20;

/// Most places of one file that are kept; the best ones are.
const PLACES: usize = 32;

/// Most files of one description.
const FILES: usize = 4096;

/// Most elements that are looked at: digests of the pieces of some hundred GiB.
const ELEMENTS: usize = 1 << 18;

/// Elements that say something to us, and attributes. What lies in others does not.
const KNOWN: [&str; 9] =
    ["metalink", "files", "file", "size", "verification", "hash", "pieces", "resources", "url"];
const ATTRIBUTES: [&str; 6] = ["name", "type", "length", "piece", "priority", "preference"];

/// Least and most bytes of a piece.
const PIECE: std::ops::RangeInclusive<u64> = 1 << 10..=1 << 40;

/// Why a description is refused. Line and column count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetalinkFault {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
    /// What is wrong there, in words without foreign text.
    pub what: String,
}

impl fmt::Display for MetalinkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.what)
    }
}

/// One file of a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its name: one segment.
    pub name: Name,
    /// Its length in bytes.
    pub size: Option<u64>,
    /// The strongest digest that is given.
    pub digest: Option<WantedDigest>,
    /// Digests of its pieces.
    pub pieces: Option<Pieces>,
    /// Where it can be had over HTTP, the best first; at least one, at most 32.
    pub urls: Vec<String>,
}

/// Digests of the pieces of a file: all of one length, but for the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pieces {
    /// As in [`WantedDigest`].
    pub algorithm: String,
    /// Bytes of a piece.
    pub len: u64,
    /// In order.
    pub digests: Vec<Vec<u8>>,
}

/// Reads a description.
///
/// # Errors
///
/// [`MetalinkFault`]: it is too large, no XML, of another form, or a name in it is no name of a file in one directory.
pub fn metalink(text: &[u8]) -> Result<Vec<Described>, MetalinkFault> {
    let at_start = |what: &str| MetalinkFault { line: 1, column: 1, what: what.to_owned() };
    if text.len() > METALINK_BYTES {
        return Err(at_start("it is larger than 16 MiB"));
    }
    let text = std::str::from_utf8(text).map_err(|wrong| {
        let (line, column) = place(&text[..wrong.valid_up_to()]);
        MetalinkFault { line, column, what: "is not UTF-8".to_owned() }
    })?;
    let tree = Tree::read(text)?;
    let Some(root) = tree.root().filter(|root| root.element().name == "metalink") else {
        return Err(at_start("it is no Metalink"));
    };
    // Version 3 has one element more around them.
    let files = root.child("files").unwrap_or(root);
    let files: Vec<Node<'_>> = files.children("file").take(FILES + 1).collect();
    match files.len() {
        0 => Err(root.fault("describes no file")),
        1..=FILES => files.into_iter().map(file).collect(),
        _ => Err(root.fault("describes more than 4096 files")),
    }
}

/// What of a description says something to us, in its order.
struct Tree<'t> {
    text: &'t str,
    elements: Vec<Element>,
}

/// An element, with the places of those in it.
struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    content: String,
    /// Where it begins, in bytes.
    at: usize,
    inner: Vec<usize>,
}

/// An element of a tree.
#[derive(Clone, Copy)]
struct Node<'t> {
    tree: &'t Tree<'t>,
    place: usize,
}

impl<'t> Tree<'t> {
    fn read(text: &'t str) -> Result<Tree<'t>, MetalinkFault> {
        let mut tree = Tree { text, elements: Vec::new() };
        let mut reader = Reader::from_str(text);
        let broken = |at: u64| fault_at(text, at as usize, "it is no well-formed XML");
        // The elements around what is read, the innermost last; then how deep in one that says nothing.
        let (mut around, mut aside): (Vec<usize>, usize) = (Vec::new(), 0);
        loop {
            let at = reader.buffer_position();
            match reader.read_event().map_err(|_| broken(reader.error_position()))? {
                Event::Start(_) if aside > 0 => aside += 1,
                Event::Start(start) => match tree.begin(&start, at as usize, &around)? {
                    Some(place) => around.push(place),
                    None => aside = 1,
                },
                Event::Empty(start) if aside == 0 => _ = tree.begin(&start, at as usize, &around)?,
                Event::End(_) if aside > 0 => aside -= 1,
                Event::End(_) => _ = around.pop(),
                Event::DocType(_) => {
                    return Err(fault_at(text, at as usize, "it has a document type, which is not read"));
                }
                Event::Eof if around.is_empty() && aside == 0 => return Ok(tree),
                Event::Eof => return Err(broken(at)),
                event => {
                    let Some(&inside) = around.last().filter(|_| aside == 0) else { continue };
                    let content = &mut tree.elements[inside].content;
                    match event {
                        Event::Text(text) => content.push_str(&text),
                        Event::CData(text) => content.push_str(&text),
                        Event::GeneralRef(entity) => match entity.resolve_char_ref() {
                            Ok(Some(char)) => content.push(char),
                            Ok(None) => content
                                .push_str(resolve_predefined_entity(&entity).ok_or_else(|| broken(at))?),
                            Err(_) => return Err(broken(at)),
                        },
                        _ => {}
                    }
                }
            }
        }
    }

    /// Takes an element in, if it says something.
    fn begin(
        &mut self,
        start: &BytesStart<'_>,
        at: usize,
        around: &[usize],
    ) -> Result<Option<usize>, MetalinkFault> {
        let local = start.local_name();
        let Some(name) = KNOWN.into_iter().find(|known| *known == local.as_ref()) else { return Ok(None) };
        if self.elements.len() >= ELEMENTS {
            return Err(fault_at(self.text, at, "it has more than 262,144 elements"));
        }
        let broken = || fault_at(self.text, at, "it is no well-formed XML");
        let mut attributes = Vec::new();
        // Unchecked: to compare each with all before it takes hours where there are many. The first of a name counts.
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.map_err(|_| broken())?;
            let key = attribute.key.as_ref();
            let known = ATTRIBUTES.into_iter().find(|known| *known == key);
            if let Some(known) = known.filter(|known| attributes.iter().all(|(name, _)| name != known)) {
                attributes.push((
                    known,
                    attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|_| broken())?.into_owned(),
                ));
            }
        }
        let place = self.elements.len();
        self.elements.push(Element { name, attributes, content: String::new(), at, inner: Vec::new() });
        match around.last() {
            Some(&outer) => self.elements[outer].inner.push(place),
            None if place > 0 => return Err(broken()),
            None => {}
        }
        Ok(Some(place))
    }

    fn root(&'t self) -> Option<Node<'t>> {
        (!self.elements.is_empty()).then_some(Node { tree: self, place: 0 })
    }
}

impl<'t> Node<'t> {
    fn element(self) -> &'t Element {
        &self.tree.elements[self.place]
    }

    fn children(self, name: &'static str) -> impl Iterator<Item = Node<'t>> {
        let nodes = self.element().inner.iter().map(move |&place| Node { tree: self.tree, place });
        nodes.filter(move |node| node.element().name == name)
    }

    fn child(self, name: &'static str) -> Option<Node<'t>> {
        self.children(name).next()
    }

    fn attribute(self, name: &str) -> Option<&'t str> {
        self.element().attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Its text without the blanks around it.
    fn content(self) -> &'t str {
        self.element().content.trim_ascii()
    }

    fn fault(self, what: &str) -> MetalinkFault {
        let Element { name, at, .. } = self.element();
        fault_at(self.tree.text, *at, &format!("<{name}> {what}"))
    }
}

fn fault_at(text: &str, at: usize, what: &str) -> MetalinkFault {
    let (line, column) = place(&text.as_bytes()[..at.min(text.len())]);
    MetalinkFault { line, column, what: what.to_owned() }
}

/// Line and column after this text.
fn place(before: &[u8]) -> (u32, u32) {
    let line = before.iter().filter(|&&byte| byte == b'\n').count();
    let last = before.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    let column = String::from_utf8_lossy(last).chars().count();
    (u32::try_from(line + 1).unwrap_or(u32::MAX), u32::try_from(column + 1).unwrap_or(u32::MAX))
}

fn file(node: Node<'_>) -> Result<Described, MetalinkFault> {
    let name = node.attribute("name").ok_or_else(|| node.fault("has no name"))?;
    let size = node.child("size").map(|size| match size.content().parse::<u64>() {
        Ok(bytes) => Ok(bytes),
        Err(_) => Err(size.fault("is no number of bytes")),
    });
    let size = size.transpose()?;
    let proofs = node.child("verification").unwrap_or(node);
    let described = Described {
        name: name_of(name).map_err(|what| node.fault(what))?,
        size,
        digest: strongest(proofs)?,
        // Without a length nobody knows how many there must be.
        pieces: strongest_pieces(proofs, size)?.filter(|_| size.is_some()),
        urls: places(node.child("resources").unwrap_or(node))?,
    };
    match described.urls.is_empty() {
        true => Err(node.fault("can be had from nowhere over HTTP")),
        false => Ok(described),
    }
}

/// A name in one directory: what a server's name would be made into is not what its author meant (RFC 5854 s4.1.2.1).
fn name_of(text: &str) -> Result<Name, &'static str> {
    if text.contains(['/', '\\']) {
        return Err("has a name with a directory in it");
    }
    match Name::from_server(text) {
        Some(name) if name.as_str() == text => Ok(name),
        _ => Err("has a name that no file should have"),
    }
}

/// The strongest of the digests that are there. Two of one algorithm that differ prove nothing.
fn strongest(proofs: Node<'_>) -> Result<Option<WantedDigest>, MetalinkFault> {
    let mut best: Option<(usize, Vec<u8>)> = None;
    for node in proofs.children("hash") {
        let Some(rank) = node.attribute("type").and_then(rank) else { continue };
        let digest = digest(node, rank)?;
        match &best {
            Some((known, other)) if *known == rank && *other != digest => {
                return Err(node.fault("is another digest than the one before, by the same algorithm"));
            }
            Some((known, _)) if *known <= rank => {}
            _ => best = Some((rank, digest)),
        }
    }
    Ok(best.map(|(rank, bytes)| WantedDigest { algorithm: ALGORITHMS[rank].name.to_owned(), bytes }))
}

fn strongest_pieces(proofs: Node<'_>, size: Option<u64>) -> Result<Option<Pieces>, MetalinkFault> {
    let mut all = Vec::new();
    for node in proofs.children("pieces") {
        if let Some(rank) = node.attribute("type").and_then(rank) {
            all.push((rank, node));
        }
    }
    let Some(&(rank, node)) = all.iter().min_by_key(|(rank, _)| *rank) else { return Ok(None) };
    let len = node.attribute("length").and_then(|len| len.parse::<u64>().ok());
    let len =
        len.filter(|len| PIECE.contains(len)).ok_or_else(|| node.fault("has no length that pieces have"))?;
    let mut digests = Vec::new();
    for (at, hash) in node.children("hash").enumerate() {
        // Version 3 numbers them, from 0.
        if hash.attribute("piece").is_some_and(|number| number.parse() != Ok(at)) {
            return Err(hash.fault("is out of its order"));
        }
        digests.push(digest(hash, rank)?);
    }
    if digests.is_empty() || size.is_some_and(|size| size.div_ceil(len) != digests.len() as u64) {
        return Err(node.fault("has another number of pieces than the file"));
    }
    Ok(Some(Pieces { algorithm: ALGORITHMS[rank].name.to_owned(), len, digests }))
}

/// Whence it can be had, the best first: version 4 numbers them from 1 on, version 3 from 100 down.
fn places(resources: Node<'_>) -> Result<Vec<String>, MetalinkFault> {
    let mut ranked = Vec::new();
    for node in resources.children("url") {
        let text = node.content();
        let number = |name: &str| node.attribute(name).and_then(|number| number.parse::<i64>().ok());
        let rank =
            number("priority").or_else(|| number("preference").map(i64::saturating_neg)).unwrap_or(i64::MAX);
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
                ranked.push((rank, text.to_owned()));
            }
            Ok(_) => {}
            Err(_) => return Err(node.fault("is no URL")),
        }
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    let mut urls: Vec<String> = Vec::new();
    for (_, url) in ranked {
        if urls.len() < PLACES && !urls.contains(&url) {
            urls.push(url);
        }
    }
    Ok(urls)
}

/// Its place among the algorithms, of which the first that is there decides; one that is none of ours is passed over.
fn rank(name: &str) -> Option<usize> {
    Algorithm::place(name.as_bytes())
}

fn digest(node: Node<'_>, rank: usize) -> Result<Vec<u8>, MetalinkFault> {
    let bytes = unhexed(node.content().as_bytes()).filter(|bytes| bytes.len() == ALGORITHMS[rank].len);
    bytes.ok_or_else(|| node.fault("is no digest of its algorithm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789";
    const MD5: &str = "0123456789abcdef0123456789ABCDEF";

    fn four(file: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?>\n<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">{file}</metalink>"
        )
    }

    fn read(file: &str) -> Result<Vec<Described>, MetalinkFault> {
        metalink(four(file).as_bytes())
    }

    fn one(inside: &str) -> Result<Described, MetalinkFault> {
        let url = if inside.contains("<url") { "" } else { "<url>http://h/a</url>" };
        read(&format!("<file name=\"a.iso\">{inside}{url}</file>")).map(|mut files| files.remove(0))
    }

    #[test]
    fn version_4_says_where_and_what() {
        let file = one(&format!(
            "<size>300000</size><hash type='md5'>{MD5}</hash><hash type=\"sha-256\">\n {SHA}\n</hash>\
             <pieces length='262144' type='sha-256'><hash>{SHA}</hash><hash>{SHA}</hash></pieces>\
             <url priority='2'>https://second/a</url><url>ftp://h/a</url><url>http://last/a</url>\
             <url location='de' priority='1'>http://first/a?b&amp;c</url><metaurl mediatype='torrent'>http://t/</metaurl>"
        ));
        let file = file.unwrap();
        assert_eq!((file.name.as_str(), file.size), ("a.iso", Some(300_000)));
        assert_eq!(file.digest.as_ref().map(|d| (d.algorithm.as_str(), d.bytes[0])), Some(("sha-256", 0xab)));
        assert_eq!(
            file.pieces.map(|p| (p.algorithm, p.len, p.digests.len())),
            Some(("sha-256".into(), 262_144, 2))
        );
        assert_eq!(file.urls, ["http://first/a?b&c", "https://second/a", "http://last/a"]);
    }

    #[test]
    fn version_3_says_the_same_in_other_words() {
        let text = format!(
            "<metalink version='3.0' xmlns='http://www.metalinker.org/'><files><file name='a'><size>5</size>\
             <verification><hash type='sha256'>{SHA}</hash><hash type='crc32'>1</hash>\
             <pieces length='1024' type='md5'><hash piece='0'>{MD5}</hash></pieces></verification>\
             <resources><url type='http' preference='10'>http://worse/</url>\
             <url type='http' preference='100'>http://better/</url><url type='bittorrent'>http://t/x</url>\
             </resources></file></files></metalink>"
        );
        let files = metalink(text.as_bytes()).unwrap();
        assert_eq!(files[0].urls, ["http://better/", "http://worse/", "http://t/x"]);
        assert_eq!(files[0].digest.as_ref().map(|d| d.algorithm.as_str()), Some("sha-256"));
        assert_eq!(files[0].pieces.as_ref().map(|p| p.digests.len()), Some(1));
    }

    #[test]
    fn mta_06_the_strongest_digest_decides_and_two_of_a_kind_must_agree() {
        let algorithm = |inside: &str| one(inside).map(|file| file.digest.map(|digest| digest.algorithm));
        let (md5, sha) =
            (format!("<hash type='md5'>{MD5}</hash>"), format!("<hash type='sha-256'>{SHA}</hash>"));
        assert_eq!(algorithm(&md5), Ok(Some("md5".into())));
        assert_eq!(algorithm(&format!("{md5}{sha}{md5}")), Ok(Some("sha-256".into())));
        assert_eq!(algorithm(""), Ok(None));
        let other = format!("<hash type='sha-256'>{}</hash>", "0".repeat(64));
        assert!(algorithm(&format!("{sha}{other}")).unwrap_err().what.contains("another digest"));
        let equal = format!("{sha}<hash type='sha-256'>{}</hash>", SHA.to_uppercase());
        assert_eq!(algorithm(&equal), Ok(Some("sha-256".into())));
    }

    #[test]
    fn pth_07_a_name_that_leaves_its_directory_is_refused() {
        let names = [
            "../../x",
            "/etc/passwd",
            "a/b",
            "..",
            ".",
            "",
            "a\\b",
            "C:x",
            "con",
            "a&#10;b",
            ".bashrc",
            "x.part",
            "a&#x202e;b",
        ];
        for name in names {
            let told = read(&format!("<file name=\"{name}\"><url>http://h/a</url></file>"));
            assert!(told.is_err(), "{name:?}: {told:?}");
        }
        let told = read("<file name=\"a&#0;b\"><url>http://h/a</url></file>").unwrap_err();
        assert!(told.what.contains("well-formed") && told.line == 2, "{told}");
        assert!(read("<file><url>http://h/a</url></file>").is_err());
        assert!(read("<file name=\"größe 1.iso\"><url>http://h/a</url></file>").is_ok());
    }

    #[test]
    fn mta_03_of_too_many_places_the_best_are_kept() {
        let urls: String =
            (0..1000).map(|n| format!("<url priority='{}'>http://h{n}/a</url>", 1000 - n)).collect();
        let file = one(&urls).unwrap();
        assert_eq!((file.urls.len(), file.urls[0].as_str()), (PLACES, "http://h999/a"));
        let twice = one("<url>http://h/a</url><url>http://h/a</url>").unwrap();
        assert_eq!(twice.urls.len(), 1);
        let files = "<file name='a'><url>http://h/a</url></file>".repeat(FILES + 1);
        assert!(read(&files).unwrap_err().what.contains("more than 4096"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place_and_without_its_words() {
        let wrong = [
            ("<size>SECRET</size>", "<size> is no number"),
            ("<size>-1</size>", "<size> is no number"),
            ("<hash type='sha-256'>SECRET</hash>", "<hash> is no digest"),
            ("<pieces length='0' type='md5'/>", "<pieces> has no length"),
            ("<pieces length='1024' type='md5'/>", "<pieces> has another number"),
            ("<url>no url SECRET</url>", "<url> is no URL"),
            ("<url>ftp://h/a</url>", "nowhere over HTTP"),
            ("<size>1", "well-formed"),
            ("<size>&SECRET;</size>", "well-formed"),
        ];
        for (inside, what) in wrong {
            let told = one(&format!("\n  {inside}")).unwrap_err();
            assert!(told.what.contains(what) && told.line >= 2, "{inside}: {told}");
            assert!(!told.to_string().contains("SECRET"), "{told}");
        }
        let number = format!("<size>1025</size><pieces length='1024' type='md5'><hash>{MD5}</hash></pieces>");
        assert!(one(&number).unwrap_err().what.contains("another number"));
        let order = format!("<pieces length='1024' type='md5'><hash piece='1'>{MD5}</hash></pieces>");
        assert!(one(&order).unwrap_err().what.contains("order"));
        assert_eq!(metalink(b"<html/>").unwrap_err().what, "it is no Metalink");
        assert_eq!(
            metalink(b"a\n\xff").unwrap_err(),
            MetalinkFault { line: 2, column: 1, what: "is not UTF-8".into() }
        );
    }

    #[test]
    fn dos_08_neither_entities_nor_depth_nor_length_cost_more_than_their_bytes() {
        let laughs =
            "<!DOCTYPE m [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]><metalink>&b;</metalink>";
        assert!(metalink(laughs.as_bytes()).unwrap_err().what.contains("document type"));
        assert!(metalink(&vec![b' '; METALINK_BYTES + 1]).unwrap_err().what.contains("larger"));
        let many = format!("<metalink>{}</metalink>", "<url/>".repeat(ELEMENTS));
        assert!(metalink(many.as_bytes()).unwrap_err().what.contains("262,144"));
        let crowd: String = (0..200_000).map(|n| format!(" a{n}='x'")).collect();
        assert!(metalink(format!("<metalink{crowd}/>").as_bytes()).unwrap_err().what.contains("no file"));
        let deep = "<file>".repeat(1 << 17);
        assert!(metalink(deep.as_bytes()).is_err());
        let closed = format!("<metalink>{}{}</metalink>", "<a>".repeat(100_000), "</a>".repeat(100_000));
        assert!(metalink(closed.as_bytes()).unwrap_err().what.contains("no file"));
    }
}
