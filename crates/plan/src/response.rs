//! The judge: what a response's head lets us believe (R15-R34, R38-R41, R47, R49).
//!
//! It knows nothing of connections, retries or files: it is given what was asked, what is held and what
//! came, and says what the body's bytes are. Framing that ends too early (R35-R37) is seen by who reads
//! the body. HTTP/0.9 (R47) has no [`HttpVersion`], so it cannot get here.

use crate::escape::excerpt;
use crate::failure::Failure;
use crate::head::{Head, HttpVersion, number};
use crate::identity::{Condition, EntityTag, Identity, Same};

/// Codings that are undone on one body at most (R49): each multiplies what a small body can grow to.
const CODINGS: usize = 2;

/// A 200 without any validator that is at most this many bytes *and* less than half of the known total is
/// taken for an error page (R28). Error pages are a few KiB; a real new version that shrank that far is
/// refused with them, and nothing is lost by it but a run.
const PAGE_BYTES: u64 = 64 << 10;

/// What the request asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// First byte and (exclusive) end of the range; `None` for a GET without Range.
    pub range: Option<(u64, Option<u64>)>,
    /// The condition that was sent.
    pub condition: Condition,
}

/// A content coding that can be undone (R49).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// gzip, x-gzip.
    Gzip,
    /// deflate (zlib framing).
    Deflate,
    /// br.
    Brotli,
    /// zstd.
    Zstd,
}

/// What may be believed of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The body is bytes `first..end` of the representation (206, R15-R22). It may go on beyond `end` where
    /// the server sends more than was asked (R18): the rest is not read.
    Part {
        /// Offset of the body's first byte; at most what was asked. Who takes the body decides whether the
        /// bytes below what was asked are few enough to be read and compared.
        first: u64,
        /// Offset after the last byte to take: above what was asked first, at most what was asked last.
        end: u64,
        /// What the response said of its representation.
        identity: Identity,
        /// How that compares with what is held.
        same: Same,
    },
    /// The body is the whole representation from byte 0 (200, R27).
    Whole {
        /// What the response said; `total` is `None` if framing does not tell, or a coding is on it.
        identity: Identity,
        /// How that compares with what is held. Never [`Same::Proven`] where a coding is on the body: a tag
        /// that outlives a change of coding proves nothing about offsets (R5).
        same: Same,
        /// Content codings on the body in the order they were applied, outermost last, if any (R49).
        codings: Vec<Coding>,
    },
    /// 416: nothing there (R29). `total` is N of `bytes */N`.
    Unsatisfied {
        /// Complete length, if told.
        total: Option<u64>,
    },
    /// 304: the source still has the version that was asked about (R31).
    Unchanged,
    /// 412: the version asked for is gone (R30).
    Gone,
    /// Ask once more without Range (R3a: 400, 405, 416, 501 to the first ranged GET; R23).
    Unranged,
    /// Nothing to be had; why.
    Refuse(Failure),
}

/// Judges a final response: what was asked, what is held of the file (if anything), what came.
///
/// `held` is the identity of the bytes held or already arriving; `None` stands for the first answer of a
/// download, which is compared with nothing and therefore [`Same::Unproven`].
pub fn judge(asked: &Asked, held: Option<&Identity>, head: &Head) -> Verdict {
    let verdict = match head.status {
        200 => whole(held, head),
        206 => part(asked, held, head),
        412 => gone(asked, head),
        416 => unsatisfied(asked, held, head),
        400 | 405 | 501 if is_first_ranged(asked, held) => Ok(Verdict::Unranged), // R3a
        304 => unchanged(asked, head),
        100..=199 => Err(Failure::breach("R32", format!("{} as the final answer", head.status))),
        201..=299 => Err(Failure::breach("R32", format!("{} carries no file", head.status))),
        300..=399 => Err(Failure::breach("R32", format!("{} without a usable Location", head.status))),
        status => Err(Failure::Status { status, retry_after: head.retry_after() }), // R33
    };
    verdict.unwrap_or_else(Verdict::Refuse)
}

/// A ranged request whose answer is the first of its download (R3a).
fn is_first_ranged(asked: &Asked, held: Option<&Identity>) -> bool {
    asked.range.is_some() && held.is_none()
}

// ---- 206 ----

fn part(asked: &Asked, held: Option<&Identity>, head: &Head) -> Result<Verdict, Failure> {
    let Some((asked_first, asked_end)) = asked.range else {
        return Err(Failure::breach("R25", "206 to a request without Range"));
    };
    let length = content_length(head)?;
    if head.media().is_some_and(|media| media == "multipart/byteranges") {
        return Err(Failure::breach("R15", "multipart/byteranges to a request for one range"));
    }
    if has_coding(head) {
        return Ok(Verdict::Unranged); // R23
    }
    let span = content_range(head)?;
    if length.is_some_and(|length| length != span.end - span.first) {
        return Err(Failure::breach("R22", "Content-Length is not the length of Content-Range"));
    }
    if span.first > asked_first || span.end <= asked_first {
        let what = format!("asked from byte {asked_first}, got {}..{}", span.first, span.end);
        return Err(Failure::breach("R18", what));
    }
    let identity = match span.first == 0 && Some(span.end) == span.total {
        true => Identity::of_whole(head, span.total),
        false => Identity::from_head(head, span.total),
    };
    let same = held.map_or(Same::Unproven, |held| held.compare(&identity)); // R19, R20, R21
    if held.is_some() && span.total.is_none() && same == Same::Unproven {
        return Err(Failure::breach("R19", "no complete length, and no strong validator in its place"));
    }
    let end = asked_end.map_or(span.end, |asked_end| asked_end.min(span.end)); // R18
    Ok(Verdict::Part { first: span.first, end, identity, same })
}

/// `Content-Range: bytes first-last/complete`, as an exclusive end.
struct Span {
    first: u64,
    end: u64,
    total: Option<u64>,
}

fn content_range(head: &Head) -> Result<Span, Failure> {
    let mut values = head.values("content-range");
    let Some(value) = values.next() else {
        return Err(Failure::breach("R15", "206 without Content-Range"));
    };
    if values.next().is_some() {
        return Err(Failure::breach("R17", "several Content-Range fields"));
    }
    let Some(rest) = after_bytes_unit(value) else {
        return Err(Failure::breach("R16", format!("Content-Range in another unit: {}", excerpt(value))));
    };
    span(rest).ok_or_else(|| Failure::breach("R17", format!("invalid Content-Range: {}", excerpt(value))))
}

/// What follows `bytes ` (range units have no case, RFC 9110 s14.1).
fn after_bytes_unit(value: &[u8]) -> Option<&[u8]> {
    let (unit, rest) = value.split_at_checked(b"bytes ".len())?;
    unit.eq_ignore_ascii_case(b"bytes ").then_some(rest)
}

/// `first-last/complete` with first <= last < complete (R13, R17).
fn span(text: &[u8]) -> Option<Span> {
    let (range, complete) = split_once(text, b'/')?;
    let (first, last) = split_once(range, b'-')?;
    let (first, last) = (number(first)?, number(last)?);
    let total = if complete == b"*" { None } else { Some(number(complete)?) };
    let in_order = first <= last && total.is_none_or(|total| last < total);
    let end = last.checked_add(1)?;
    in_order.then_some(Span { first, end, total })
}

fn split_once(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let middle = text.iter().position(|&b| b == at)?;
    Some((&text[..middle], &text[middle + 1..]))
}

// ---- 200 ----

/// R27: the whole, whatever was asked. `Content-Range` means nothing here and is not read (R26).
fn whole(held: Option<&Identity>, head: &Head) -> Result<Verdict, Failure> {
    let length = content_length(head)?;
    let codings = codings(head)?;
    let total = length.filter(|_| codings.is_empty());
    let identity = Identity::of_whole(head, total);
    let same = held.map_or(Same::Unproven, |held| held.compare(&identity));
    if held.is_some_and(|held| is_portal(held, &identity, same, length)) {
        return Err(Failure::breach("R28", "a page came in the file's place: a log-in or error page?"));
    }
    let same = if same == Same::Proven && !codings.is_empty() { Same::Unproven } else { same };
    Ok(Verdict::Whole { identity, same, codings })
}

/// R28: does a 200 come from somebody in between rather than from the file's server?
///
/// A new version and a log-in page both differ from what is held, so one of two things must speak for a page:
/// - its *kind*: it is HTML and what is held is not known to be. A validator does not help such an answer:
///   portals serve files too, with tags of their own (RNG-35).
/// - its *length*: less than half of what the file is, and no more than a page, with no validator on it.
///
/// Never where a validator of both is equal, even weakly. Never where nothing is known of what is held: then
/// nothing contradicts the answer (and nothing could be joined to it either). So a new version of other tag
/// and the same kind is a change (RNG-01), and so is a changed page where a page is held.
fn is_portal(held: &Identity, answer: &Identity, same: Same, length: Option<u64>) -> bool {
    let nothing_known = *held == Identity::default();
    if nothing_known || same == Same::Proven || held.resembles(answer) {
        return false;
    }
    let other_kind = is_page(answer) && !is_page(held);
    let no_validator = answer.etag.is_none() && answer.modified.is_none();
    let far_smaller = length
        .zip(held.total)
        .is_some_and(|(length, total)| length <= PAGE_BYTES && length < total.div_ceil(2));
    other_kind || (no_validator && far_smaller)
}

fn is_page(identity: &Identity) -> bool {
    matches!(identity.media.as_deref(), Some("text/html" | "application/xhtml+xml"))
}

/// The codings on a body in the order they were applied (R49).
fn codings(head: &Head) -> Result<Vec<Coding>, Failure> {
    let mut codings = Vec::new();
    for name in coding_names(head) {
        let Some(coding) = coding(name) else {
            return Err(Failure::Coding(format!("{} is unknown", excerpt(name))));
        };
        if codings.len() == CODINGS {
            return Err(Failure::Coding(format!("more than {CODINGS} codings on one body")));
        }
        codings.push(coding);
    }
    Ok(codings)
}

fn coding(name: &[u8]) -> Option<Coding> {
    match name.to_ascii_lowercase().as_slice() {
        b"gzip" | b"x-gzip" => Some(Coding::Gzip),
        b"deflate" => Some(Coding::Deflate),
        b"br" => Some(Coding::Brotli),
        b"zstd" => Some(Coding::Zstd),
        _ => None,
    }
}

/// Elements of `Content-Encoding` that change the bytes.
fn coding_names(head: &Head) -> impl Iterator<Item = &[u8]> {
    head.list("content-encoding").filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity"))
}

fn has_coding(head: &Head) -> bool {
    coding_names(head).next().is_some()
}

// ---- 304, 412, 416 ----

/// R31. One that names another tag than it was asked about answers another question.
fn unchanged(asked: &Asked, head: &Head) -> Result<Verdict, Failure> {
    let Condition::IfChanged { tag, .. } = &asked.condition else {
        return Err(Failure::breach("R31", "304 to a request without If-None-Match or If-Modified-Since"));
    };
    let named = head.single("etag").and_then(EntityTag::parse);
    let about = tag.as_ref().and_then(|tag| EntityTag::parse(tag.as_bytes()));
    match about.zip(named) {
        Some((about, named)) if about.tag != named.tag => {
            Err(Failure::breach("R31", "304 with another ETag than it was asked about"))
        }
        _ => Ok(Verdict::Unchanged),
    }
}

/// R30. Without a condition a 412 says nothing of the version.
fn gone(asked: &Asked, head: &Head) -> Result<Verdict, Failure> {
    match asked.condition {
        Condition::None | Condition::IfChanged { .. } => {
            Err(Failure::Status { status: 412, retry_after: head.retry_after() })
        }
        Condition::IfRange(_) => Ok(Verdict::Gone),
    }
}

/// R29, R3a. To a request without Range a 416 is only a status.
fn unsatisfied(asked: &Asked, held: Option<&Identity>, head: &Head) -> Result<Verdict, Failure> {
    if is_first_ranged(asked, held) {
        return Ok(Verdict::Unranged);
    }
    if asked.range.is_none() {
        return Err(Failure::Status { status: 416, retry_after: head.retry_after() });
    }
    let complete =
        head.single("content-range").and_then(after_bytes_unit).and_then(|rest| rest.strip_prefix(b"*/"));
    Ok(Verdict::Unsatisfied { total: complete.and_then(number) })
}

// ---- Framing (RFC 9112 s6) ----

/// The body's length in bytes if `Content-Length` tells it; refuses heads whose framing two readers could
/// understand in two ways. `Transfer-Encoding` is judged first: with it there is no length.
fn content_length(head: &Head) -> Result<Option<u64>, Failure> {
    let chunked = is_chunked(head)?;
    let mut length = None;
    for text in head.list("content-length") {
        if chunked {
            return Err(Failure::breach("R38", "Transfer-Encoding and Content-Length together"));
        }
        let Some(told) = number(text) else {
            return Err(Failure::breach("R13", format!("Content-Length is no number: {}", excerpt(text))));
        };
        if length.is_some_and(|length| length != told) {
            return Err(Failure::breach("R39", "several different Content-Length"));
        }
        length = Some(told);
    }
    Ok(length)
}

/// True for exactly `Transfer-Encoding: chunked` over HTTP/1.1; anything else in that field is a breach.
fn is_chunked(head: &Head) -> Result<bool, Failure> {
    let elements: Vec<&[u8]> = head.list("transfer-encoding").collect();
    let Some((last, before)) = elements.split_last() else {
        return Ok(false);
    };
    let is_chunked = |name: &[u8]| name.eq_ignore_ascii_case(b"chunked");
    match head.version {
        HttpVersion::Http10 => Err(Failure::breach("R40", "Transfer-Encoding over HTTP/1.0")),
        // RFC 9113 s8.2.2: the field makes the message malformed.
        HttpVersion::Http2 => Err(Failure::breach("R41", "Transfer-Encoding over HTTP/2")),
        HttpVersion::Http11 if !is_chunked(last) || before.iter().any(|name| is_chunked(name)) => {
            Err(Failure::breach("R41", format!("Transfer-Encoding ends with {}", excerpt(last))))
        }
        HttpVersion::Http11 if !before.is_empty() => {
            Err(Failure::breach("R24", format!("Transfer-Encoding nobody asked for: {}", excerpt(before[0]))))
        }
        HttpVersion::Http11 => Ok(true),
    }
}
