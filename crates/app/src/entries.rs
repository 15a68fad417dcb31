//! A list's entries, read lazily: a line of URLs, and the indented `name=value` lines below it, as in aria2's input files.
//!
//! Reading bounds what an entry may be and says which line it began on; what an entry means is settled by `parse`, one
//! entry at a time, so that a bad one costs nobody but itself. A list may come from anybody: what it names stays in the
//! directory that the command chose (P5, R56).

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Component, Path};

use thence::Secret;

use crate::exit::Trouble;
use crate::list::{self, Wanted};
use crate::proof::{self, Proof};
use crate::values;

/// What marks a text as UTF-8, where editors put it.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Bytes that are read at once.
const BUFFER: usize = 64 << 10;

/// An entry as it stands in the list: its lines without comments, blanks and line ends' returns.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Raw {
    /// Number of its first line, from 1.
    pub(crate) line: u64,
    /// Its lines, each ended by a line feed. Of one that is too long nothing.
    pub(crate) text: Vec<u8>,
    pub(crate) fault: Option<Fault>,
}

/// What can be wrong with an entry before it is looked into.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// It has more bytes than an entry may have.
    TooLong,
    /// An option stands before any URL.
    Orphan,
}

/// Reads a list's entries one after the other.
pub(crate) struct Entries<R> {
    input: BufReader<R>,
    most: usize,
    /// Number of the line read last.
    line: u64,
    /// The entry whose options may still come.
    open: Option<Raw>,
}

impl<R: Read> Entries<R> {
    /// Entries of at most `most` bytes.
    pub(crate) fn new(input: R, most: usize) -> Entries<R> {
        Entries { input: BufReader::with_capacity(BUFFER, input), most, line: 0, open: None }
    }

    /// Whether the next line may have to be waited for.
    pub(crate) fn may_wait(&self) -> bool {
        self.input.buffer().is_empty()
    }

    /// The next line without its end; `None` at the end of the list. One that is too long is `Err`, and is skipped.
    fn read_line(&mut self, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
        line.clear();
        let most = self.most as u64 + 2;
        if self.input.by_ref().take(most).read_until(b'\n', line)? == 0 {
            return Ok(None);
        }
        self.line += 1;
        let mut fits = true;
        if line.last() != Some(&b'\n') && line.len() as u64 == most {
            fits = false;
            self.skip_line()?;
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if self.line == 1 && line.starts_with(MARK) {
            line.drain(..MARK.len());
        }
        Ok(Some(fits && line.len() <= self.most))
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.input.fill_buf()?;
            let (used, over) = match buffer.iter().position(|&byte| byte == b'\n') {
                Some(at) => (at + 1, true),
                None => (buffer.len(), buffer.is_empty()),
            };
            self.input.consume(used);
            if over {
                return Ok(());
            }
        }
    }

    /// The next entry; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Raw>> {
        let mut line = Vec::new();
        while let Some(fits) = self.read_line(&mut line)? {
            let indented = line.first().is_some_and(|first| matches!(first, b' ' | b'\t'));
            let bare = line.trim_ascii();
            if fits && (bare.is_empty() || bare.starts_with(b"#")) {
                continue;
            }
            let number = self.line;
            match (&mut self.open, indented) {
                (Some(open), true) => open.add(&line, fits, self.most),
                (None, true) => {
                    return Ok(Some(Raw { line: number, text: Vec::new(), fault: Some(Fault::Orphan) }));
                }
                (open, false) => {
                    let mut next = Raw { line: number, ..Raw::default() };
                    next.add(&line, fits, self.most);
                    if let Some(done) = open.replace(next) {
                        return Ok(Some(done));
                    }
                }
            }
        }
        Ok(self.open.take())
    }
}

impl Raw {
    fn add(&mut self, line: &[u8], fits: bool, most: usize) {
        if self.fault.is_some() {
            return;
        }
        if !fits || self.text.len() + line.len() > most {
            (self.text, self.fault) = (Vec::new(), Some(Fault::TooLong));
            return;
        }
        self.text.extend_from_slice(line);
        self.text.push(b'\n');
    }
}

/// What an entry wants.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) wanted: Wanted,
    /// What has the digest that it must have, if that is no digest itself.
    pub(crate) sums: Option<Proof>,
    pub(crate) options: Vec<Given>,
}

/// An option of an entry, its meaning settled.
#[derive(Debug)]
pub(crate) enum Given {
    Out(String),
    Below(Vec<String>),
    Header(String, Secret),
    Checksum(thence::Checksum),
    Lanes(u32),
    /// Bytes a second.
    Limit(Option<u64>),
    Exists(thence::Exists),
    RemoteTime(bool),
    User(String),
    Password(Secret),
    Proxy(thence::Proxy),
}

/// Options of aria2 that say nothing here, or what we do anyway; lists and sessions are full of them.
const IDLE: [&str; 8] = [
    "gid",
    "continue",
    "always-resume",
    "file-allocation",
    "check-integrity",
    "conditional-get",
    "realtime-chunk-checksum",
    "stream-piece-selector",
];

/// Reads an entry. `base` is the directory that everything stays in.
pub(crate) fn parse(raw: &Raw, base: &Path) -> Result<Entry, Trouble> {
    match raw.fault {
        Some(Fault::TooLong) => {
            return Err(Trouble::usage("", "the entry is too long", "split it, or mend it"));
        }
        Some(Fault::Orphan) => {
            return Err(Trouble::usage(
                "",
                "an option has no URL before it",
                "begin the URL's line at its start",
            ));
        }
        None => {}
    }
    let text = std::str::from_utf8(&raw.text);
    let text = text.map_err(|_| Trouble::usage("", "the entry is not UTF-8", "write it in UTF-8"))?;
    let mut lines = text.lines();
    let urls = lines.next().unwrap_or_default().split('\t').map(str::trim).filter(|url| !url.is_empty());
    let mut urls = urls.map(list::checked).collect::<Result<Vec<_>, _>>()?.into_iter();
    let first = urls.next().ok_or_else(|| Trouble::usage("", "there is no URL", "write one"))?;
    let wanted = Wanted { origin: list::Origin::Url(first), mirrors: urls.collect() };
    let (mut options, mut sums) = (Vec::new(), None);
    for line in lines {
        let line = line.trim();
        let Some((name, value)) = line.split_once('=') else {
            return Err(Trouble::usage("", "an option has no = in it", "write name=value"));
        };
        let name = name.trim_end();
        if name == "checksum" {
            match proof::listed(value).map_err(|trouble| named(name, trouble))? {
                Proof::Digest(digest) => {
                    options.push(Given::Checksum(digest));
                    sums = None;
                }
                other => sums = Some(other),
            }
            continue;
        }
        options.extend(given(name, value, base).map_err(|trouble| named(name, trouble))?);
    }
    // aria2 has two options for it, and the lesser counts.
    let lanes = |given: &Given| if let Given::Lanes(lanes) = given { Some(*lanes) } else { None };
    options.extend(options.iter().filter_map(lanes).min().map(Given::Lanes));
    Ok(Entry { wanted, sums, options })
}

/// The complaint about an option's value, which names the option as it stands in the list.
fn named(name: &str, trouble: Trouble) -> Trouble {
    Trouble { subject: crate::printable::printable(name).into_owned(), ..trouble }
}

fn given(name: &str, value: &str, base: &Path) -> Result<Option<Given>, Trouble> {
    Ok(Some(match name {
        "out" => Given::Out(thence::safe_name(value).ok_or_else(|| {
            Trouble::usage("out", "has no name in it that could be used", "write out=NAME")
        })?),
        "dir" => Given::Below(below(value, base)?),
        "header" => {
            let (name, value) = values::header(&Secret::from(value))?;
            Given::Header(name, value)
        }
        "referer" => Given::Header("Referer".into(), values::field("referer", value)?.into()),
        "user-agent" => Given::Header("User-Agent".into(), values::field("user-agent", value)?.into()),
        "split" | "max-connection-per-server" | "lanes" => Given::Lanes(values::count(name, value, 1)?),
        "exists" => Given::Exists(values::exists(value)?),
        "allow-overwrite" => match value {
            "true" => Given::Exists(thence::Exists::Overwrite),
            _ => return Ok(None),
        },
        "auto-file-renaming" => match value {
            "false" => Given::Exists(thence::Exists::Error),
            _ => return Ok(None),
        },
        "remote-time" => Given::RemoteTime(value == "true"),
        "proxy" | "all-proxy" => Given::Proxy(values::proxy(name, &Secret::from(value))?),
        "http-user" => Given::User(value.to_owned()),
        "http-passwd" => Given::Password(value.into()),
        "max-download-limit" | "limit-rate" => {
            Given::Limit(Some(values::size(name, value)?).filter(|&rate| rate > 0))
        }
        name if IDLE.contains(&name) => return Ok(None),
        _ => {
            let advice = "take the line out; the README names those that are known";
            return Err(Trouble::usage(name, "is no option of a list's entry", advice));
        }
    }))
}

/// The directories of `dir=` below `base`. One that leads elsewhere is refused: it is the command that chooses where things
/// go (P5).
fn below(value: &str, base: &Path) -> Result<Vec<String>, Trouble> {
    let advice = "name one below the directory that -d gives; -d / allows all";
    let wrong = |what: &str| Trouble::usage("dir", what, advice);
    let path = Path::new(value);
    let inside = if path.is_absolute() {
        let base = std::path::absolute(base).map_err(|why| wrong(&why.to_string()))?;
        path.strip_prefix(&base).map_err(|_| wrong("is not below the directory of the command"))?.to_owned()
    } else {
        path.to_owned()
    };
    let mut names = Vec::new();
    for part in inside.components() {
        match part {
            Component::Normal(name) if name.len() < 256 => names.push(name.to_string_lossy().into_owned()),
            Component::CurDir => {}
            _ => return Err(wrong("leads out of the directory of the command")),
        }
    }
    Ok(names)
}

/// The entry as it may be written down again: without credentials, which are kept nowhere (P4). Each line is ended.
pub(crate) fn written(raw: &Raw) -> String {
    let text = String::from_utf8_lossy(&raw.text);
    let mut out = String::new();
    for (number, line) in text.lines().enumerate() {
        if number == 0 {
            let urls: Vec<String> = line.split('\t').map(bare).collect();
            out += &urls.join("\t");
        } else {
            let name = line.trim().split('=').next().unwrap_or_default();
            let header = line.split_once('=').map(|(_, value)| value.split(':').next().unwrap_or_default());
            let innocent = |field: &str| ["user-agent", "accept", "accept-language"].contains(&field);
            match (name, header) {
                ("header", Some(field)) if !innocent(&field.trim().to_ascii_lowercase()) => {
                    out +=
                        &format!("#  header {} is left out here", crate::printable::printable(field.trim()));
                }
                ("checksum", _) if line.contains("://") => {
                    let (name, url) = line.split_once('=').unwrap_or_default();
                    out += &format!("{name}={}", bare(url));
                }
                ("http-user" | "http-passwd" | "referer", _) => out += &format!("#  {name} is left out here"),
                // Without the proxy the next run would go straight, and show who asks.
                ("proxy" | "all-proxy", _) => out += &without_login(line),
                _ => out += line,
            }
        }
        out.push('\n');
    }
    out
}

/// A line with a proxy's URL, without userinfo, be it a good one or not.
fn without_login(line: &str) -> String {
    let Some((front, place)) = line.rsplit_once('@') else { return line.to_owned() };
    match front.split_once("://") {
        Some((scheme, _)) => format!("{scheme}://{place}"),
        None => format!("{}={place}", front.split('=').next().unwrap_or_default()),
    }
}

/// A URL without userinfo.
fn bare(text: &str) -> String {
    match url::Url::parse(text) {
        Ok(mut url) if !url.username().is_empty() || url.password().is_some() => {
            // They fail only for URLs that can have none.
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.into()
        }
        _ => text.to_owned(),
    }
}

/// The first URL of an entry, to be shown.
pub(crate) fn shown(raw: &Raw) -> String {
    let line = raw.text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let text = String::from_utf8_lossy(line);
    crate::printable::url(text.split('\t').next().unwrap_or_default())
}

impl Given {
    /// Lets it count for a request.
    pub(crate) fn apply(self, request: &mut thence::Request, below: &mut Vec<String>) {
        match self {
            Given::Out(text) => {
                if let thence::Target::File { name, .. } = &mut request.target {
                    *name = Some(text);
                }
                request.exists = thence::Exists::Error;
            }
            Given::Below(names) => *below = names,
            Given::Header(name, value) => {
                if !name.eq_ignore_ascii_case("cookie") {
                    request.headers.retain(|(given, _)| !given.eq_ignore_ascii_case(&name));
                }
                request.headers.push((name, value));
            }
            Given::Checksum(sum) => request.checksum = Some(sum),
            Given::Lanes(lanes) => request.lanes = Some(lanes),
            Given::Limit(rate) => request.limit_rate = rate,
            Given::Exists(exists) => request.exists = exists,
            Given::RemoteTime(remote) => request.remote_time = remote,
            Given::User(name) => {
                let password = request.user.take().map_or_else(|| Secret::from(""), |(_, password)| password);
                request.user = Some((name, password));
            }
            Given::Proxy(proxy) => request.proxy = Some(proxy),
            Given::Password(password) => {
                let name = request.user.take().map_or_else(String::new, |(name, _)| name);
                request.user = Some((name, password));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use thence::{ExposeSecret, Request, Target};

    use super::*;

    fn read(text: &str) -> Vec<Raw> {
        let mut entries = Entries::new(text.as_bytes(), 64);
        std::iter::from_fn(|| entries.next().unwrap()).collect()
    }

    fn texts(text: &str) -> Vec<(u64, String)> {
        let text_of = |raw: Raw| (raw.line, String::from_utf8(raw.text).unwrap());
        read(text).into_iter().map(text_of).collect()
    }

    fn parsed(text: &str) -> Result<(Request, Vec<String>), Trouble> {
        let entry = parse(&read(text)[0], Path::new("/base"))?;
        let (mut request, mut below) = (Request::new("http://h/", "/base"), Vec::new());
        entry.options.into_iter().for_each(|option| option.apply(&mut request, &mut below));
        Ok((request, below))
    }

    #[test]
    fn marks_comments_blanks_and_returns_are_no_part_of_an_entry() {
        let entries =
            texts("\u{feff}# all\r\nhttp://a/\r\n\r\n  # one\r\n  out=x\r\n\thttp=y\r\n#\nhttp://b/");
        let first = "http://a/\n  out=x\n\thttp=y\n".to_owned();
        assert_eq!(entries, [(2, first), (8, "http://b/\n".to_owned())]);
    }

    #[test]
    fn what_is_too_long_costs_itself_alone_and_its_line_is_told() {
        let long = "x".repeat(1000);
        let list = format!("http://a/\n{long}\nhttp://b/\n  out={long}\n  dir=d\nhttp://c/\n");
        let entries = read(&list);
        let seen: Vec<_> = entries.iter().map(|raw| (raw.line, raw.fault, raw.text.len())).collect();
        let long = Some(Fault::TooLong);
        assert_eq!(seen, [(1, None, 10), (2, long, 0), (3, long, 0), (6, None, 10)]);
        assert_eq!(parse(&entries[1], Path::new(".")).unwrap_err().code as u8, 28);
    }

    #[test]
    fn an_entry_of_many_lines_is_bounded_as_a_whole() {
        let list = format!("http://a/\n{}http://b/\n", "  header=A: b\n".repeat(10));
        assert_eq!(read(&list).iter().map(|raw| raw.fault).collect::<Vec<_>>(), [Some(Fault::TooLong), None]);
    }

    #[test]
    fn an_option_before_any_url_is_told_and_the_rest_goes_on() {
        let entries = read("  out=x\nhttp://a/\n");
        assert_eq!(entries.iter().map(|raw| raw.fault).collect::<Vec<_>>(), [Some(Fault::Orphan), None]);
    }

    #[test]
    fn mirrors_stand_after_tabs() {
        let entry = parse(&read("http://a/\thttp://b/\t \thttp://c/")[0], Path::new(".")).unwrap();
        let mirrors: Vec<_> = entry.wanted.mirrors.iter().map(|mirror| mirror.expose_secret()).collect();
        assert_eq!(mirrors, ["http://b/", "http://c/"]);
    }

    #[test]
    fn options_of_aria2_mean_here_what_they_mean_there() {
        let (request, below) =
            parsed("http://a/\n  split=16\n max-connection-per-server=4\n dir=d/e\n").unwrap();
        assert_eq!((request.lanes, below), (Some(4), vec!["d".to_owned(), "e".to_owned()]));
        let (request, _) =
            parsed("http://a/\n user-agent=me\n header=X-A: 1\n gid=1234567890abcdef\n").unwrap();
        let fields: Vec<_> = request.headers.iter().map(|(n, v)| (n.as_str(), v.expose_secret())).collect();
        assert_eq!(fields, [("User-Agent", "me"), ("X-A", "1")]);
        let (request, _) = parsed("http://a/\n checksum=md5=00112233445566778899aabbccddeeff\n").unwrap();
        assert_eq!(request.checksum.unwrap().algorithm, "md5");
    }

    #[test]
    fn an_unknown_option_is_an_error_that_names_it() {
        for (text, subject) in
            [("no-such=1", "no-such"), ("split=0", "split"), ("checksum=md5=0", "checksum")]
        {
            let trouble = parsed(&format!("http://a/\n {text}\n")).err().unwrap();
            assert_eq!((trouble.code as u8, trouble.subject.as_str()), (28, subject));
        }
        assert!(parsed("http://a/\n nonsense\n").is_err());
    }

    #[test]
    fn pth_01_no_name_or_directory_of_a_list_leads_out() {
        for (out, name) in [("../../etc/x", "x"), ("/etc/x", "x"), (".bashrc", "bashrc"), ("a/..", "index")] {
            let Ok((request, _)) = parsed(&format!("http://a/\n out={out}\n")) else { continue };
            let Target::File { dir, name: Some(safe) } = request.target else { panic!("{out}") };
            assert_eq!((dir.to_str(), safe.as_str()), (Some("/base"), name), "{out}");
        }
        for dir in ["..", "a/../../b", "/etc", "/basement", "../base"] {
            assert!(parsed(&format!("http://a/\n dir={dir}\n")).is_err(), "{dir}");
        }
        for (dir, names) in [("/base", vec![]), ("/base/a//b/.", vec!["a", "b"]), ("./a", vec!["a"])] {
            assert_eq!(parsed(&format!("http://a/\n dir={dir}\n")).unwrap().1, names, "{dir}");
        }
    }

    #[test]
    fn log_01_what_is_written_down_again_holds_no_credential() {
        let list = "http://u:SECRET@a/?q=1\thttp://u:SECRET@b/\n header=Authorization: SECRET\n \
                    header=Cookie: SECRET\n http-passwd=SECRET\n proxy=socks5h://u:SE@SECRET@h:1\n \
                    checksum=http://u:SECRET@a/SUMS\n out=x\n";
        let mut raw = read("http://x/")[0].clone();
        raw.text = list.into();
        let text = written(&raw);
        assert!(!text.contains("SECRET") && text.starts_with("http://a/?q=1\thttp://b/\n#"), "{text}");
        assert!(text.ends_with(" proxy=socks5h://h:1\n checksum=http://a/SUMS\n out=x\n"), "{text}");
        assert_eq!(without_login("\tall-proxy = u:SECRET@h:2"), "\tall-proxy =h:2");
        let again = Entries::new(text.as_bytes(), 4096).next().unwrap().unwrap();
        let parsed = parse(&again, Path::new("/base")).map(drop);
        assert_eq!(parsed, Ok(()), "it is a list itself");
        assert!(!shown(&raw).contains("SECRET"));
    }
}
