//! A well-behaved file handler: one file at every path, with validators, ranges and conditions as RFC 9110
//! wants them. The liar bends its [`Answer`]s.

use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::files;
use crate::reply::Reply;
use crate::request::Request;
use crate::wire::lock;

/// What the origin serves now. Clones are cheap; an answer under way keeps the clone it began with.
#[derive(Clone, Debug)]
pub struct Served {
    /// The bytes.
    pub body: Body,
    /// `ETag`, with its quotes (and `W/`).
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub modified: Option<SystemTime>,
    /// `Date`; `None`: the time of the answer.
    pub date: Option<SystemTime>,
    /// Answer ranges with 206; else every answer is a 200 with the whole.
    pub ranges: bool,
    /// Look at `If-Range`; a server that does not gives a 206 of the new file to a holder of the old one.
    pub if_range: bool,
    /// Body bytes a second of each connection.
    pub rate: Option<u64>,
    /// Silence before each answer, as of a long way.
    pub delay: Duration,
    /// More fields of every answer that has a body.
    pub extra: Vec<(String, String)>,
}

/// Bytes that are held, or made as they are sent.
#[derive(Clone, Debug)]
pub enum Body {
    /// These.
    Held(Arc<Vec<u8>>),
    /// [`files::fill`] of this seed and length: a file of terabytes costs nothing.
    Made {
        /// Its seed.
        seed: u64,
        /// Its length.
        len: u64,
    },
}

/// A served file that can be changed while an origin serves it.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Mutex<Served>>);

/// An answer before it is sent, so that a liar can bend it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its fields in order, `Content-Length` included.
    pub fields: Vec<(String, String)>,
    /// What its body is taken from.
    pub body: Body,
    /// Which bytes of that, first and end.
    pub span: (u64, u64),
    /// How fast.
    pub rate: Option<u64>,
}

impl Served {
    /// `bytes` with a strong ETag, modified a day ago, ranges, no throttle.
    pub fn new(bytes: Vec<u8>) -> Served {
        let etag = files::digest(&bytes)[..16].to_owned();
        Served::with(Body::Held(Arc::new(bytes)), &etag)
    }

    /// Content made from `seed` as it is sent, however long.
    pub fn made(seed: u64, len: u64) -> Served {
        Served::with(Body::Made { seed, len }, &format!("made-{seed}-{len}"))
    }

    fn with(body: Body, etag: &str) -> Served {
        Served {
            body,
            etag: Some(format!("\"{etag}\"")),
            modified: Some(SystemTime::now() - Duration::from_secs(86_400)),
            date: None,
            ranges: true,
            if_range: true,
            rate: None,
            delay: Duration::ZERO,
            extra: Vec::new(),
        }
    }

    /// The honest answer to `request`.
    pub fn answer(&self, request: &Request) -> Answer {
        let len = self.body.len();
        let range = if self.ranges { asked_range(request, len) } else { Asked::Whole };
        if request.header("if-match").is_some_and(|tags| !self.matches(tags)) {
            return self.bare(412);
        }
        match range {
            Asked::Part(..) | Asked::Beyond if !self.condition_holds(request) => self.part(200, (0, len)),
            Asked::Part(first, end) => {
                let mut answer = self.part(206, (first, end));
                answer.set("Content-Range", &format!("bytes {first}-{}/{len}", end - 1));
                answer
            }
            Asked::Beyond => {
                let mut answer = self.bare(416);
                answer.set("Content-Range", &format!("bytes */{len}"));
                answer
            }
            Asked::Whole => self.part(200, (0, len)),
        }
    }

    /// An answer without a body, with no fields but its length and the date.
    pub fn bare(&self, status: u16) -> Answer {
        let date = httpdate::fmt_http_date(self.date.unwrap_or_else(SystemTime::now));
        let fields = vec![("Date".into(), date), ("Content-Length".into(), "0".into())];
        Answer { status, fields, body: Body::Held(Arc::default()), span: (0, 0), rate: None }
    }

    /// An answer with the bytes of `span`, all fields but `Content-Range`.
    pub fn part(&self, status: u16, span: (u64, u64)) -> Answer {
        let mut answer = Answer { body: self.body.clone(), span, rate: self.rate, ..self.bare(status) };
        answer.set("Content-Length", &(span.1 - span.0).to_string());
        answer.set("Content-Type", "application/octet-stream");
        answer.set("Accept-Ranges", if self.ranges { "bytes" } else { "none" });
        if let Some(etag) = &self.etag {
            answer.set("ETag", etag);
        }
        if let Some(modified) = self.modified {
            answer.set("Last-Modified", &httpdate::fmt_http_date(modified));
        }
        for (name, value) in &self.extra {
            answer.set(name, value);
        }
        answer
    }

    /// Whether `If-Range` lets the range be answered (strong comparison; a date must be the same text).
    fn condition_holds(&self, request: &Request) -> bool {
        match request.header("if-range") {
            Some(tag) if self.if_range && tag.starts_with('"') => self.etag.as_deref() == Some(tag),
            Some(date) if self.if_range => {
                self.modified.map(httpdate::fmt_http_date).as_deref() == Some(date)
            }
            _ => true,
        }
    }

    fn matches(&self, tags: &str) -> bool {
        tags == "*" || tags.split(',').any(|tag| Some(tag.trim()) == self.etag.as_deref())
    }
}

impl Body {
    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Body::Held(bytes) => bytes.len() as u64,
            Body::Made { len, .. } => *len,
        }
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes from `first` up to `end`.
    pub fn bytes(&self, first: u64, end: u64) -> Vec<u8> {
        match self {
            Body::Held(bytes) => bytes[first as usize..end as usize].to_vec(),
            Body::Made { seed, .. } => {
                let mut bytes = vec![0; (end - first) as usize];
                files::fill(*seed, first, &mut bytes);
                bytes
            }
        }
    }

    /// All its bytes compressed, for answers with a content coding.
    pub fn gzipped(&self) -> Vec<u8> {
        let mut coded = Vec::new();
        let bytes = self.bytes(0, self.len());
        let read =
            flate2::read::GzEncoder::new(&bytes[..], flate2::Compression::fast()).read_to_end(&mut coded);
        read.expect("memory does not fail to be read");
        coded
    }
}

impl Shared {
    /// Puts `served` up for serving.
    pub fn new(served: Served) -> Shared {
        Shared(Arc::new(Mutex::new(served)))
    }

    /// What is served now.
    pub fn now(&self) -> Served {
        lock(&self.0).clone()
    }

    /// Changes it for every answer that begins from now on.
    pub fn change(&self, change: impl FnOnce(&mut Served)) {
        change(&mut lock(&self.0));
    }

    /// Serves something else from now on.
    pub fn swap(&self, served: Served) {
        *lock(&self.0) = served;
    }
}

impl Answer {
    /// Sets a field, in place if it is there.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        match self.fields.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case(name)) {
            Some((_, old)) => value.clone_into(old),
            None => self.fields.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// A field's value; empty if it is not there.
    pub fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    /// Removes a field.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.fields.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self
    }

    /// Its fields as [`Reply::head`] takes them.
    pub fn head(&self) -> String {
        self.fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
    }

    /// Sends the head and, unless `request` is a HEAD, the body.
    pub fn send(&self, request: &Request, out: &mut Reply) {
        out.head(self.status, &self.head());
        if request.method != "HEAD" {
            self.send_body(out);
        }
    }

    /// Sends the body alone.
    pub fn send_body(&self, out: &mut Reply) {
        if let Some(rate) = self.rate {
            out.rate(rate);
        }
        let (mut at, end) = self.span;
        while at < end && out.alive() {
            // A mebibyte at a time keeps the origin small however long the file is.
            let next = end.min(at + (1 << 20));
            out.body(self.body.bytes(at, next));
            at = next;
        }
    }
}

/// Serves `file` at every path, honestly.
pub fn handler(file: &Shared) -> impl Fn(&Request, &mut Reply) + Send + Sync + 'static {
    let file = file.clone();
    move |request, out| {
        let served = file.now();
        out.pause(served.delay);
        served.answer(request).send(request, out);
    }
}

enum Asked {
    Whole,
    /// First and end.
    Part(u64, u64),
    Beyond,
}

/// One satisfiable range, or none; what cannot be parsed, and several at once, count as none (s14.2 allows it).
fn asked_range(request: &Request, len: u64) -> Asked {
    let suffix = request.header("range").and_then(|range| range.strip_prefix("bytes=-")?.parse::<u64>().ok());
    match (request.range(), suffix) {
        _ if request.method != "GET" => Asked::Whole,
        (Some((first, _)), _) if first >= len => Asked::Beyond,
        (Some((first, Some(last))), _) if last < first => Asked::Whole,
        (Some((first, last)), _) => {
            Asked::Part(first, last.map_or(len, |last| len.min(last.saturating_add(1))))
        }
        (None, Some(suffix)) if suffix > 0 && len > 0 => Asked::Part(len.saturating_sub(suffix), len),
        (None, Some(_)) => Asked::Beyond,
        (None, None) => Asked::Whole,
    }
}
