//! How a download ends without its file, named by what the caller can do about it.

use std::fmt;
use std::path::PathBuf;

use thence_plan::{DiskFault, Failure};

/// Why there is no file. What was held is kept unless the text says otherwise.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The URL cannot be used. Correct it.
    Url {
        /// As given, userinfo removed.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// An option cannot be used. Correct it.
    Option(String),
    /// No source gave the file; the last failure of the last one. Asking again later may help.
    Source {
        /// The URL, its query masked.
        url: String,
        /// What happened.
        failure: Failure,
    },
    /// A file could not be made, written or renamed. Make room or choose another place.
    Disk {
        /// The file.
        path: PathBuf,
        /// The kind.
        fault: DiskFault,
        /// The system's reason.
        why: String,
    },
    /// The held bytes were asked for with these headers; give them again.
    NeedsHeaders {
        /// The part.
        path: PathBuf,
        /// Names of the missing headers.
        names: Vec<String>,
    },
    /// The part or journal is none, or cannot be gone on with; it was not touched.
    Journal {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The remote file kept changing. Ask when it is at rest.
    Changed {
        /// The URL, its query masked.
        url: String,
    },
    /// The whole file has another digest; it was not published.
    Digest {
        /// Where the bytes are.
        path: PathBuf,
        /// Wanted, in hex.
        want: String,
        /// Got, in hex.
        got: String,
    },
    /// `strict`: nothing proves where the body ends.
    LengthUnknown,
    /// `strict`: a join would rest on an overlap check alone.
    Unproven,
    /// The file is larger than the limit allows.
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// The download was cancelled or its engine went away; what is held can be gone on with.
    Cancelled,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Error {}
