//! The judge: what a response's head lets us believe (R15-R34, R38-R41, R47, R49).

use crate::failure::Failure;
use crate::identity::{Identity, Same};
use crate::machine::Condition;

/// HTTP version of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
}

/// The head of a final response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Status code.
    pub status: u16,
    /// Version of the response.
    pub version: HttpVersion,
    /// Fields in order; names in lower case, values as received.
    pub fields: Vec<(String, Vec<u8>)>,
    /// Wall clock when the head arrived, seconds since 1970 (for `Retry-After` dates).
    pub received: u64,
}

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
    /// The body is bytes `first..end` of the representation (206, R15-R22).
    Part {
        /// Offset of the body's first byte; at most what was asked.
        first: u64,
        /// Offset after the body's last byte.
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
        /// How that compares with what is held.
        same: Same,
        /// Content codings on the body, outermost last, if any (R49).
        codings: Vec<Coding>,
    },
    /// 416: nothing there (R29). `total` is N of `bytes */N`.
    Unsatisfied {
        /// Complete length, if told.
        total: Option<u64>,
    },
    /// 412: the version asked for is gone (R30).
    Gone,
    /// Ask once more without Range (R3a: 400, 405, 416, 501 to the first ranged GET; R23).
    Unranged,
    /// Nothing to be had; why.
    Refuse(Failure),
}

/// Judges a final response: what was asked, what is held of the file (if anything), what came.
pub fn judge(_asked: &Asked, _held: Option<&Identity>, _head: &Head) -> Verdict {
    Verdict::Gone
}

impl Head {
    pub fn single<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        self.fields.iter().find(|f| f.0 == name).map(|f| &f.1[..])
    }
    pub fn media(&self) -> Option<String> {
        None
    }
}
