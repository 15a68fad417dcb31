//! Identity: the length and validator that make two responses the same bytes (R6-R9a, R19-R21).
//!
//! A validator that is malformed, too long or sent twice is treated as not sent: it can neither prove
//! that two responses are one version nor that they are two.

use crate::date::http_date;
use crate::digest::{WantedDigest, object_digest, repr_digest};
use crate::head::Head;

/// Longest entity tag that is a validator, quotes included, in bytes. Real ones stay below 100;
/// what is held goes into every journal and every request.
const TAG_BYTES: usize = 1024;

/// `Date` must be this many seconds after `Last-Modified` for the date to be strong (R9). The RFC asks for
/// one second of one clock; a minute also covers two clocks that are roughly set.
const STRONG_AGE: i64 = 60;

/// Below this age in seconds a tag made of mtime and size may yet be given to other bytes (R9a).
const YOUNG_AGE: i64 = 2;

/// An entity tag, byte for byte as received (RFC 9110 s8.8.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag {
    /// Sent with `W/`.
    pub weak: bool,
    /// The opaque tag with its quotes, at most 1 KiB: longer ones are no validator.
    pub tag: String,
}

/// What a response said of its representation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Complete length in bytes.
    pub total: Option<u64>,
    /// ETag.
    pub etag: Option<EntityTag>,
    /// `Last-Modified` exactly as received (it goes back in `If-Range` as it came: RNG-08).
    pub modified: Option<String>,
    /// `Date` less `Last-Modified`, in seconds, when both were sent (R9, R9a).
    pub age: Option<i64>,
    /// The media type without parameters, lower case, at most 127 bytes. It never proves anything; it tells
    /// a changed page from a portal's (R28), and two types of one length apart (R20).
    pub media: Option<String>,
    /// `Repr-Digest`: what the whole representation hashes to, by the server's word (R50). It is checked before
    /// the file is published.
    pub digest: Option<WantedDigest>,
}

/// How two identities compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Same {
    /// Equal strong validators: one version, by the server's own word.
    Proven,
    /// Nothing speaks against it and nothing proves it.
    Unproven,
    /// Same length as far as told, but a different strong ETag: a change, or a cluster's other node.
    OtherTag,
    /// Another length, or another validator: a change.
    Different,
}

/// The condition of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// None; the answer's validators are compared all the same (R20).
    None,
    /// `If-Range` with this strong ETag or this date, beside a range (R6-R8).
    IfRange(String),
    /// `If-None-Match` with this tag and `If-Modified-Since` with this date, as far as they are there: of a whole file that is
    /// held, never of a part (R11). Only this lets a 304 mean something (R31).
    IfChanged {
        /// The tag, `W/` included.
        tag: Option<String>,
        /// The date.
        modified: Option<String>,
    },
}

impl EntityTag {
    /// Reads the value of an `ETag` field: `W/` in upper case, quotes, and between them neither quote, blank
    /// nor control (there are no escapes). `None` is no validator: malformed, over 1 KiB, or of bytes that are
    /// not UTF-8 (RNG-38).
    pub fn parse(value: &[u8]) -> Option<EntityTag> {
        let (weak, quoted) = match value.strip_prefix(b"W/") {
            Some(rest) => (true, rest),
            None => (false, value),
        };
        let inner = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let in_bounds = quoted.len() <= TAG_BYTES && inner.iter().all(|&b| is_tag_byte(b));
        let tag = std::str::from_utf8(quoted).ok().filter(|_| in_bounds)?;
        Some(EntityTag { weak, tag: tag.to_owned() })
    }
}

/// `etagc` of RFC 9110 s8.8.3.
fn is_tag_byte(b: u8) -> bool {
    b == 0x21 || (0x23..=0x7e).contains(&b) || b >= 0x80
}

impl Identity {
    /// The validators of a head. `total` is the caller's: which field tells it depends on the status.
    pub fn from_head(head: &Head, total: Option<u64>) -> Identity {
        let last_modified = head.single("last-modified").and_then(|value| Some((value, http_date(value)?)));
        let modified = last_modified.and_then(|(value, _)| String::from_utf8(value.to_vec()).ok());
        // HTTP dates end with the year 9999, far inside i64.
        let age =
            head.date("date").zip(last_modified).map(|(date, (_, modified))| date as i64 - modified as i64);
        let etag = head.single("etag").and_then(EntityTag::parse);
        Identity { total, etag, modified, age, media: head.media(), digest: repr_digest(head) }
    }

    /// The same, of an answer that brings the whole: then what it says of its content it says of the file.
    pub(crate) fn of_whole(head: &Head, total: Option<u64>) -> Identity {
        let identity = Identity::from_head(head, total);
        Identity { digest: identity.digest.or_else(|| object_digest(head)), ..identity }
    }

    /// The strong entity tag with its quotes, if one is held.
    pub fn strong_tag(&self) -> Option<&str> {
        self.etag.as_ref().filter(|etag| !etag.weak).map(|etag| etag.tag.as_str())
    }

    /// True when equality of `Last-Modified` would prove something (R9).
    pub fn has_strong_date(&self) -> bool {
        self.modified.is_some() && self.age.is_some_and(|age| age >= STRONG_AGE)
    }

    /// True when the file was so new that its tag may yet be given to other bytes (R9a): what was got under
    /// it is joined to answers of a later run only after the overlap check, or by a digest.
    pub fn is_young(&self) -> bool {
        self.age.is_some_and(|age| age < YOUNG_AGE)
    }

    /// True when a join can ever be [`Same::Proven`].
    pub fn is_strong(&self) -> bool {
        self.strong_tag().is_some() || self.has_strong_date()
    }

    /// `Last-Modified` in seconds since 1970.
    pub fn modified_at(&self) -> Option<u64> {
        http_date(self.modified.as_ref()?.as_bytes())
    }

    /// What goes along with a range: the strong tag (R6), never a weak one (R7), and a date only when there is
    /// no tag at all and the date is strong (R8). A tag outside ASCII is not sent, only compared (R20), since
    /// not every server gives such bytes back unharmed.
    pub fn condition(&self) -> Condition {
        match (&self.etag, &self.modified) {
            (Some(etag), _) if !etag.weak && etag.tag.is_ascii() => Condition::IfRange(etag.tag.clone()),
            (None, Some(modified)) if self.has_strong_date() => Condition::IfRange(modified.clone()),
            _ => Condition::None,
        }
    }

    /// Asks whether the source has another version than this one. A weak tag will do: what is compared is whole files, and
    /// the source's own word for what is the same. As in [`condition`](Identity::condition), only ASCII is sent.
    pub fn unless(&self) -> Condition {
        let weak = |etag: &EntityTag| if etag.weak { "W/" } else { "" };
        let tag = self.etag.as_ref().filter(|etag| etag.tag.is_ascii());
        let tag = tag.map(|etag| format!("{}{}", weak(etag), etag.tag));
        match (tag, self.modified.clone()) {
            (None, None) => Condition::None,
            (tag, modified) => Condition::IfChanged { tag, modified },
        }
    }

    /// Whether an answer that brings the file says that it is still this version: then its source does not know conditions,
    /// and its 304 would have said no more. Equal tags, weak or not; where neither has one, equal dates. A length that differs
    /// is a change whatever they say.
    pub fn is_still(&self, answer: &Identity) -> bool {
        let same = match (&self.etag, &answer.etag) {
            (Some(held), Some(sent)) => held.tag == sent.tag,
            (None, None) => equal(&self.modified, &answer.modified) == Some(true),
            _ => false,
        };
        same && !differ(&self.total, &answer.total)
    }

    /// Compares what is held with what an answer says (R19, R20).
    ///
    /// - Totals that differ: [`Same::Different`], whatever the tags say.
    /// - Two digests of one algorithm decide alone: [`Same::Proven`] or [`Same::Different`].
    /// - Two strong tags decide alone: [`Same::Proven`] or [`Same::OtherTag`].
    /// - Otherwise an equal strong date proves, unless a strong tag is held and did not come back, or
    ///   the (weak) tags differ.
    /// - A date that differs is a change, unless the tags are weakly equal. Tags that differ with one of them
    ///   weak are a change if the dates differ too, or if the held one is strong and no date speaks for it.
    /// - Fields that are absent are no difference.
    pub fn compare(&self, answer: &Identity) -> Same {
        if differ(&self.total, &answer.total) {
            return Same::Different; // R19
        }
        match equal_digests(&self.digest, &answer.digest) {
            Some(true) => return Same::Proven, // R21, R50
            Some(false) => return Same::Different,
            None => {}
        }
        let same_date = equal(&self.modified, &answer.modified);
        match equal_tags(&self.etag, &answer.etag) {
            Tags::Strong(true) => Same::Proven,    // R20, R21
            Tags::Strong(false) => Same::OtherTag, // R20
            Tags::Weak(false) => match same_date {
                Some(true) => Same::Unproven,
                Some(false) => Same::Different,
                None if self.strong_tag().is_some() => Same::Different,
                None => Same::Unproven,
            },
            Tags::Untold if same_date == Some(false) => Same::Different,
            _ if self.date_proves(answer) => Same::Proven, // R20
            _ if differ(&self.media, &answer.media) => Same::Different, // R20
            _ => Same::Unproven,
        }
    }

    /// Whether what is held under this identity, and was put aside for `held`, may be gone on with now that `answer`
    /// came: proven, and of a length that both tell. A version is put aside for its length too, if a server told a
    /// wrong one with the right tag; an answer that tells none would bring it back each time. Where `held` fits the
    /// answer as well, a comparison of bytes told them apart, and validators that are the same for all prove nothing.
    pub fn comes_back_with(&self, answer: &Identity, held: &Identity) -> bool {
        let fits = |one: &Identity| one.total == answer.total && one.compare(answer) == Same::Proven;
        self.total.is_some() && fits(self) && !fits(held)
    }

    /// True when some validator of both is equal, weakly compared: enough to know a page is no stranger's (R28).
    pub fn resembles(&self, answer: &Identity) -> bool {
        let same_tag = self.etag.as_ref().zip(answer.etag.as_ref()).is_some_and(|(a, b)| a.tag == b.tag);
        same_tag || equal(&self.modified, &answer.modified) == Some(true)
    }

    /// Equal dates, strong on both sides, where no strong tag is held that would have to come back.
    fn date_proves(&self, answer: &Identity) -> bool {
        let equal = equal(&self.modified, &answer.modified) == Some(true);
        equal && self.has_strong_date() && answer.has_strong_date() && self.strong_tag().is_none()
    }
}

/// How two tags compare: strongly if both are strong, else weakly, if both were sent.
enum Tags {
    Strong(bool),
    Weak(bool),
    Untold,
}

fn equal_tags(held: &Option<EntityTag>, answer: &Option<EntityTag>) -> Tags {
    match (held, answer) {
        (Some(a), Some(b)) if !a.weak && !b.weak => Tags::Strong(a.tag == b.tag),
        (Some(a), Some(b)) => Tags::Weak(a.tag == b.tag),
        _ => Tags::Untold,
    }
}

/// Equality of two digests, if both were sent and can be compared.
fn equal_digests(held: &Option<WantedDigest>, answer: &Option<WantedDigest>) -> Option<bool> {
    let (a, b) = held.as_ref().zip(answer.as_ref())?;
    (a.algorithm == b.algorithm).then(|| a.bytes == b.bytes)
}

/// Equality of two fields, if both were sent.
fn equal<T: PartialEq>(held: &Option<T>, answer: &Option<T>) -> Option<bool> {
    held.as_ref().zip(answer.as_ref()).map(|(a, b)| a == b)
}

/// Both were sent and differ.
fn differ<T: PartialEq>(held: &Option<T>, answer: &Option<T>) -> bool {
    equal(held, answer) == Some(false)
}
