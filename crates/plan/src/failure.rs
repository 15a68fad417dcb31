//! Why a lane or a file operation did not succeed. Each kind's doc says whether it is retried.

use std::time::Duration;

/// What a lane was doing when its socket fell silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Looking the host's name up.
    Resolve,
    /// Opening the TCP connection.
    Connect,
    /// Asking a proxy for a tunnel.
    Proxy,
    /// The TLS handshake.
    Tls,
    /// Waiting for the response's head.
    Head,
    /// Reading the response's body.
    Body,
}

/// A rule of HTTP that a response broke; what it carries is never used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The rule of range-rules.md, for example `"R22"`.
    pub rule: &'static str,
    /// What was wrong, in words for a person, with the offending value escaped.
    pub what: String,
}

/// Why a file operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// ENOSPC, EDQUOT: no room. The download can go on once there is.
    Full,
    /// EFBIG: the file system or a limit allows no file of this size.
    TooLarge,
    /// EROFS, EACCES, EPERM: the place may not be written.
    Denied,
    /// The path, or its directory, does not exist.
    Missing,
    /// A file of this name exists and `--exists` says error (or, for a pair, it is not ours).
    Exists,
    /// Another process holds the part.
    InUse,
    /// The name leads to something that is no regular file of ours: a link, FIFO, device, directory.
    Strange,
    /// EIO and everything else.
    Io,
}

/// Why a lane ended before its range did, or an operation on the files failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The name did not resolve. Retried.
    Resolve(String),
    /// The connection was refused. Retried, and with several lanes it lowers the host's limit (R34).
    Refused(String),
    /// Connecting failed in another way (unreachable, proxy). Retried.
    Connect(String),
    /// The proxy refused: it wants credentials (407) or will not connect. Not retried.
    Proxy(String),
    /// The certificate or handshake was not accepted. Not retried (R63).
    Tls(String),
    /// The connection broke in mid-response. Retried.
    Reset(String),
    /// The message ended before its framing said so (R35-R37, R48). Retried.
    Truncated,
    /// No byte for the stall time (R68). Retried on a new connection.
    Stalled(Phase),
    /// A final status that is not a success. 408, 425, 429, 500, 502, 503, 504 are retried (R33).
    Status {
        /// The status code.
        status: u16,
        /// `Retry-After` as a wait from the moment the head arrived.
        retry_after: Option<Duration>,
    },
    /// The response broke a rule. Retried a few times: caches and proxies break rules now and then.
    Breach(Breach),
    /// More redirects than allowed, or a cycle (R61). Not retried.
    Redirects,
    /// A redirect that may not be followed: other scheme, https to http (R61). Not retried.
    Redirect(String),
    /// A content coding could not be undone, or grew beyond its cap (R49). Not retried.
    Coding(String),
    /// A file operation failed; the text names the file and the system's reason. Not retried.
    Disk(DiskFault, String),
    /// The whole file does not have the digest that was wanted (R51). Not retried.
    Digest {
        /// Wanted, in hex.
        want: String,
        /// Computed, in hex.
        got: String,
    },
    /// A lane's task ended without a word: a defect of ours. Retried like a reset.
    Defect(String),
}

impl Failure {
    /// True when a host that serves other lanes turned this one away (R34).
    pub fn is_refusal(&self) -> bool {
        matches!(self, Failure::Refused(_) | Failure::Reset(_) | Failure::Status { status: 429 | 503, .. })
    }
}
