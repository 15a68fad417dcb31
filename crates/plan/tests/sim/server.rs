//! Servers: what each is like for good, and how it answers a request when nothing goes wrong.
//!
//! `lies.rs` spoils these answers while the noise lasts.

use std::time::{Duration, UNIX_EPOCH};

use thence_plan::{Ask, Condition, Ending, Failure, Fields, Head, HttpVersion};

use super::dice::Dice;
use super::faults::{Counts, Fault};
use super::tags::{Span, clip};

/// Wall clock at the simulation's start, seconds since 1970.
pub const WALL: u64 = 1_700_000_000;

/// Added to a version's tag for the bytes of its gzip form.
pub const CODED: u32 = 500_000;

/// One version of a file. Below `shared` its bytes are those of the version with tag `base`.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    pub tag: u32,
    pub len: u64,
    pub base: u32,
    pub shared: u64,
    /// Makes its validators.
    pub number: u32,
}

impl Version {
    pub fn spans(&self, start: u64, end: u64) -> Vec<Span> {
        clip(&[(0, self.shared, self.base), (self.shared, self.len, self.tag)], start, end)
    }

    /// Its gzip form.
    pub fn coded(&self) -> Version {
        Version { tag: self.tag + CODED, len: self.len / 3 + 20, shared: 0, ..self.clone() }
    }
}

/// What a server sends to tell versions apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Validators {
    /// A strong ETag and an old date.
    Strong,
    /// A strong ETag that is the same for every version: a lie no client can see.
    Liar,
    /// A weak ETag, the same for every version: they mean the same, and are not the same bytes.
    Weak,
    /// A weak ETag and a strong date.
    WeakDate,
    /// A strong date.
    Date,
    /// A date that is always now.
    Now,
    /// Nothing.
    None,
}

/// What a server does with `Range`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ranges {
    Honours,
    /// 206 whatever `If-Range` says.
    Deaf,
    /// 200 to an ETag in `If-Range` even when it is equal.
    Dislikes,
    Ignores,
    /// This status to any range.
    Refuses(u16),
}

/// How a server turns lanes away that are too many.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Refusal {
    Status(u16),
    Reset,
    Refuse,
}

/// What a server is like for good.
#[derive(Clone, Debug)]
pub struct Manner {
    pub validators: Validators,
    pub ranges: Ranges,
    pub chunked: bool,
    pub close: bool,
    pub coded: bool,
    pub star: bool,
    /// Most bytes given to one range.
    pub grant: Option<u64>,
    /// Nodes that make their own tags.
    pub nodes: u64,
    /// The URL leads to a signed target of some other host.
    pub redirects: bool,
    /// ... that works once.
    pub once: bool,
    pub lanes: Option<(u64, Refusal)>,
    /// Bytes a second of a lane.
    pub rate: u64,
    /// Lanes in a hundred that run at a fiftieth of it.
    pub slow: u64,
    /// Nothing but this status, or no connection for 0, and never again anything else.
    pub dead: Option<u16>,
}

/// One file at one URL.
#[derive(Clone, Debug)]
pub struct Site {
    pub host: u32,
    pub index: u32,
    pub ending: &'static str,
    pub manner: Manner,
    pub versions: Vec<Version>,
    pub current: usize,
    /// Signed targets of earlier epochs have expired.
    pub epoch: u32,
}

/// What comes of a request.
#[derive(Debug)]
pub enum Reply {
    /// No head, but this.
    Broken(Failure),
    /// Nothing, for ever.
    Mute,
    /// A head and its body.
    Answer { hops: Vec<String>, head: Head, body: Body },
}

/// How a body stops before its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stop {
    Close,
    Reset,
    Stall,
}

/// A body on its way.
#[derive(Clone, Debug)]
pub struct Body {
    pub from: u64,
    pub end: u64,
    pub spans: Vec<Span>,
    /// It is a gzip form of this version: what is stored if the coding is undone.
    pub plain: Option<Version>,
    pub ending: Ending,
    pub stop: Option<(u64, Stop)>,
    pub rate: u64,
}

/// An answer that is not rendered yet.
#[derive(Clone, Debug)]
pub struct Draft {
    pub status: u16,
    /// `Content-Range`, if any: first, last (inclusive), complete.
    pub range: Option<(u64, u64, Option<u64>)>,
    pub length: Option<u64>,
    pub etag: Option<String>,
    pub modified: Option<u64>,
    pub media: &'static str,
    pub extra: Vec<(&'static str, String)>,
    pub from: u64,
    pub end: u64,
    pub spans: Vec<Span>,
    pub plain: Option<Version>,
}

impl Site {
    pub fn url(&self) -> String {
        format!("https://h{}.test/f{}{}", self.host, self.index, self.ending)
    }

    pub fn target(&self) -> String {
        format!("https://c{}.test/f{}{}?t={}", self.host, self.index, self.ending, self.epoch)
    }

    pub fn version(&self) -> &Version {
        &self.versions[self.current]
    }

    /// The file is so much smaller than it once was, and without a validator, that it is taken for a log-in page.
    pub fn seems_a_page(&self) -> bool {
        let now = self.version().len;
        let larger = self.versions.iter().any(|version| version.len.div_ceil(2) > now);
        self.manner.validators == Validators::None && now <= 64 << 10 && larger
    }

    /// Where a request to `url` ends up; `Err` where its signature is worth nothing now.
    pub fn hops(&self, url: &str) -> Result<Vec<String>, Fault> {
        match url.split_once("?t=") {
            // Whoever was led there has used it up.
            Some(_) if self.manner.once => Err(Fault::UsedUp),
            Some((_, epoch)) if epoch == self.epoch.to_string() => Ok(Vec::new()),
            Some(_) => Err(Fault::Expired),
            None if self.manner.redirects => Ok(vec![self.target()]),
            None => Ok(Vec::new()),
        }
    }

    /// The honest answer of this server.
    pub fn draft(&self, ask: &Ask, wall: u64, dice: &mut Dice, counts: &mut Counts) -> Draft {
        let node = dice.below(self.manner.nodes);
        if node > 0 {
            counts.hit(Fault::OtherNode);
        }
        let (etag, modified) = self.validators(node, wall);
        let version = self.version();
        let mut draft = Draft {
            status: 200,
            range: None,
            length: (!self.manner.chunked && !self.manner.close).then_some(version.len),
            etag,
            modified,
            media: "application/octet-stream",
            extra: Vec::new(),
            from: 0,
            end: version.len,
            spans: version.spans(0, version.len),
            plain: None,
        };
        let Some((first, end)) = ask.range else { return self.dress(draft) };
        let (honours, ignores_condition) = match self.manner.ranges {
            Ranges::Refuses(status) => return page(status),
            Ranges::Ignores => (false, false),
            Ranges::Dislikes => (!matches!(ask.condition, Condition::IfRange(_)), true),
            Ranges::Deaf => (true, true),
            Ranges::Honours => (true, false),
        };
        if !honours || self.manner.coded || !(ignores_condition || holds(&ask.condition, &draft)) {
            return self.dress(draft);
        }
        if first >= version.len {
            let mut draft = page(416);
            draft.extra.push(("content-range", format!("bytes */{}", version.len)));
            return draft;
        }
        let most = self.manner.grant.map_or(u64::MAX, |grant| first + grant);
        let end = end.unwrap_or(u64::MAX).min(version.len).min(most);
        draft.cut(first, end, version);
        draft.range = Some((first, end - 1, (!self.manner.star).then_some(version.len)));
        draft
    }

    /// Puts the coding on a whole body, if this server does that.
    fn dress(&self, mut draft: Draft) -> Draft {
        if self.manner.coded {
            draft.code(self.version());
        }
        draft
    }

    fn validators(&self, node: u64, wall: u64) -> (Option<String>, Option<u64>) {
        let number = self.version().number;
        let tag =
            if self.manner.nodes > 1 { format!("\"v{number}n{node}\"") } else { format!("\"v{number}\"") };
        let written = WALL - 1_000_000 + u64::from(number) * 1_000;
        match self.manner.validators {
            Validators::Strong => (Some(tag), Some(written)),
            Validators::Liar => (Some("\"same\"".into()), Some(WALL - 5_000_000)),
            Validators::Weak => (Some("W/\"v\"".into()), None),
            Validators::WeakDate => (Some(format!("W/{tag}")), Some(written)),
            Validators::Date => (None, Some(written)),
            Validators::Now => (None, Some(wall)),
            Validators::None => (None, None),
        }
    }

    /// A draft as a reply, over whatever framing this server uses.
    pub fn reply(&self, draft: Draft, hops: Vec<String>, wall: u64, dice: &mut Dice) -> Reply {
        let bare = draft.length.is_none() && draft.status < 300;
        let close = bare && self.manner.close;
        let mut fields = Fields::default();
        let mut field = |name: &str, value: String| fields.push(name, value.as_bytes());
        field("date", date(wall));
        field("content-type", draft.media.to_owned());
        if let Some(length) = draft.length {
            field("content-length", length.to_string());
        } else if bare && !close {
            field("transfer-encoding", "chunked".into());
        }
        if let Some((first, last, total)) = draft.range {
            let total = total.map_or("*".to_owned(), |t| t.to_string());
            field("content-range", format!("bytes {first}-{last}/{total}"));
        }
        if let Some(tag) = &draft.etag {
            field("etag", tag.clone());
        }
        if let Some(at) = draft.modified {
            field("last-modified", date(at));
        }
        for (name, value) in draft.extra {
            field(name, value);
        }
        let head = Head { status: draft.status, version: HttpVersion::Http11, fields, received: wall };
        let slow = dice.percent(self.manner.slow);
        let rate = self.manner.rate * dice.between(60, 140) / if slow { 5_000 } else { 100 };
        let body = Body {
            from: draft.from,
            end: draft.end,
            spans: draft.spans,
            plain: draft.plain,
            ending: if close { Ending::Close } else { Ending::Message },
            stop: None,
            rate: rate.max(1_000),
        };
        Reply::Answer { hops, head, body }
    }
}

impl Draft {
    /// Makes it a 206 whose body is `first..end` of `version`.
    pub fn cut(&mut self, first: u64, end: u64, version: &Version) {
        self.status = 206;
        (self.from, self.end) = (first, end);
        self.spans = version.spans(first, end);
        self.range = Some((first, end.saturating_sub(1), Some(version.len)));
        self.length = self.length.map(|_| end - first);
    }

    /// Puts gzip on a whole body.
    pub fn code(&mut self, version: &Version) {
        let coded = version.coded();
        self.extra.push(("content-encoding", "gzip".into()));
        self.length = self.length.map(|_| coded.len);
        self.end = coded.len;
        self.spans = coded.spans(0, coded.len);
        self.plain = Some(version.clone());
    }
}

/// An error page.
pub fn page(status: u16) -> Draft {
    Draft {
        status,
        range: None,
        length: Some(300),
        etag: None,
        modified: None,
        media: "text/html",
        extra: Vec::new(),
        from: 0,
        end: 300,
        spans: vec![(0, 300, 999_999)],
        plain: None,
    }
}

/// `If-Range` holds, or was not sent.
fn holds(condition: &Condition, draft: &Draft) -> bool {
    match condition {
        Condition::None | Condition::IfChanged { .. } => true,
        Condition::IfRange(value) => {
            draft.etag.as_ref() == Some(value) || draft.modified.map(date).as_ref() == Some(value)
        }
    }
}

fn date(at: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(at))
}
