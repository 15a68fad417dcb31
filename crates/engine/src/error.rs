//! How a download ends without its file, named by what the caller can do about it.

use std::fmt;
use std::path::PathBuf;

use thence_plan::{DiskFault, Failure, mask};

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
    /// A link that gave something before has expired. What is held is kept: another URL of the same file goes on with it
    /// ([`Request::renewed`](crate::Request::renewed)).
    Expired {
        /// The URL, its query masked.
        url: String,
        /// What it answers now.
        failure: Failure,
        /// The part, if there is one.
        part: Option<PathBuf>,
    },
    /// The URL that was to stand for an expired one has another file. What is held was not touched.
    OtherFile {
        /// The URL, its query masked.
        url: String,
        /// What differs.
        what: String,
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
    /// No signature that was wanted holds of the whole file; it was not published.
    Signature {
        /// Where the bytes are.
        path: PathBuf,
        /// Why it does not hold.
        why: String,
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

impl Error {
    /// How a job of the planner ended, for its caller. `part` is where its bytes are.
    pub(crate) fn of_job(error: thence_plan::Error, part: Option<PathBuf>) -> Error {
        use thence_plan::Error as Job;
        let path = part.clone().unwrap_or_default();
        match error {
            Job::Source { url, failure } => Error::Source { url: mask(&url), failure },
            Job::Expired { url, failure } => Error::Expired { url: mask(&url), failure, part },
            Job::OtherFile { url, what } => Error::OtherFile { url: mask(&url), what },
            Job::Disk((fault, why)) => Error::Disk { path, fault, why },
            Job::Changed { url } => Error::Changed { url: mask(&url) },
            Job::Digest { want, got } => Error::Digest { path, want, got },
            Job::Signature(why) => Error::Signature { path, why },
            // The driver makes a finished download of it.
            Job::Unchanged => Error::Cancelled,
            Job::LengthUnknown => Error::LengthUnknown,
            Job::Unproven => Error::Unproven,
            Job::TooLarge { size } => Error::TooLarge { size },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Url { url, why } => write!(f, "{url}: {why}"),
            Error::Option(why) => f.write_str(why),
            Error::Source { url, failure } => write!(f, "{url}: {failure}"),
            Error::Expired { url, failure, .. } => {
                write!(f, "{url}: the link has expired ({failure}); what is held is kept")
            }
            Error::OtherFile { url, what } => {
                write!(f, "{url}: it has another file than the one held ({what}); nothing was touched")
            }
            Error::Disk { path, fault, why } if path.as_os_str().is_empty() => write!(f, "{why} ({fault})"),
            Error::Disk { path, fault, why } => write!(f, "{}: {why} ({fault})", path.display()),
            Error::NeedsHeaders { path, names } => write!(
                f,
                "{}: its bytes were asked for with other values of {}; give these headers again",
                path.display(),
                names.join(", ")
            ),
            Error::Journal { path, why } => write!(f, "{}: {why}", path.display()),
            Error::Changed { url } => write!(f, "{url}: the file keeps changing; ask again when it is at rest"),
            Error::Digest { path, want, got } => {
                write!(f, "{}: the digest is {got}, not {want}; the file was not published", path.display())
            }
            Error::Signature { path, why } => {
                write!(f, "{}: the signature does not hold: {why}", path.display())
            }
            Error::LengthUnknown => f.write_str("nothing proves where the file ends, and --strict refuses that"),
            Error::Unproven => f.write_str(
                "the server gives no strong validator, so what is held cannot be proven to belong to the rest, \
                 and --strict refuses that",
            ),
            Error::TooLarge { size } => write!(f, "the file is {size} bytes, more than was allowed"),
            Error::Cancelled => f.write_str("the download was stopped; what is held is kept"),
        }
    }
}

impl std::error::Error for Error {}
