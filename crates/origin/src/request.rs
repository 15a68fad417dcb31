//! A request head, as it came in.

use std::io::{self, Read};
use std::net::IpAddr;

/// Longest request head that is read, in bytes; a longer one ends the connection.
const HEAD_MAX: usize = 64 << 10;

/// One request as the origin saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// `GET`, as sent.
    pub method: String,
    /// Path and query (or an absolute URL, to a proxy), as sent.
    pub target: String,
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    /// Fields in their order, names as sent, values without the blanks around them.
    pub headers: Vec<(String, String)>,
    /// Which connection carried it; 0 is the first that was accepted.
    pub connection: usize,
    /// Where that came from.
    pub from: Option<IpAddr>,
    /// How many requests the origin had seen before it.
    pub number: usize,
    /// Connections open when it came, its own included.
    pub open: usize,
    /// The client showed a certificate of its own, on this connection or on one whose session it resumes.
    pub certified: bool,
}

impl Request {
    /// The first field of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// First and last position of a `bytes=FIRST-LAST` or `bytes=FIRST-` range; `None` for anything else.
    pub fn range(&self) -> Option<(u64, Option<u64>)> {
        let (first, last) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        let last = if last.is_empty() { None } else { Some(last.parse().ok()?) };
        Some((first.parse().ok()?, last))
    }

    /// Where the asked range starts; 0 without one.
    pub fn first(&self) -> u64 {
        self.range().map_or(0, |(first, _)| first)
    }

    /// Whether the client expects the connection to live on.
    pub(crate) fn keeps_alive(&self) -> bool {
        let connection = self.header("connection").unwrap_or_default().to_ascii_lowercase();
        match self.version.as_str() {
            "HTTP/1.1" => connection != "close",
            _ => connection == "keep-alive",
        }
    }
}

/// Reads one head from `from`; `held` keeps what came after it. `None` at the end of the connection.
pub(crate) fn read_head(from: &mut impl Read, held: &mut Vec<u8>) -> io::Result<Option<Request>> {
    loop {
        if let Some(end) = held.windows(4).position(|window| window == b"\r\n\r\n") {
            let head: Vec<u8> = held.drain(..end + 4).collect();
            return Ok(Some(parse(&String::from_utf8_lossy(&head))));
        }
        let mut piece = [0; 4096];
        let len = from.read(&mut piece)?;
        if len == 0 || held.len() > HEAD_MAX {
            return Ok(None);
        }
        held.extend_from_slice(&piece[..len]);
    }
}

fn parse(head: &str) -> Request {
    let mut lines = head.lines();
    let mut start = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let mut word = || start.next().unwrap_or_default();
    let (method, target, version) = (word(), word(), word());
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    Request { method, target, version, headers, ..Request::default() }
}
