//! Why a lane or a file operation did not succeed. Each kind's doc says whether it is retried.

use std::fmt;
use std::time::Duration;

use crate::escape::escape;

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
    /// This machine has no network to ask through. Retried; once a source has answered in this run, as long as it
    /// takes.
    Offline(String),
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
    /// An answer's content does not have the digest it came with (R50): what it brought is fetched again. Retried
    /// a few times, like a breach.
    Content,
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
    /// No signature that was wanted holds of the whole file; the text says why. Not retried.
    Signature(String),
    /// A lane's task ended without a word: a defect of ours. Retried like a reset.
    Defect(String),
}

impl Failure {
    /// True when a host that serves other lanes turned this one away (R34).
    pub fn is_refusal(&self) -> bool {
        matches!(self, Failure::Refused(_) | Failure::Reset(_) | Failure::Status { status: 429 | 503, .. })
    }
}

impl Failure {
    /// A breach of `rule`, described in words that hold no URL and no unescaped foreign text.
    pub(crate) fn breach(rule: &'static str, what: impl Into<String>) -> Failure {
        Failure::Breach(Breach { rule, what: what.into() })
    }
}

/// Says what happened in one plain sentence without its stop. The URL is the caller's to add, masked.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Resolve(why) => write!(f, "the host's name did not resolve: {}", escape(why)),
            Failure::Refused(why) => write!(f, "the connection was refused: {}", escape(why)),
            Failure::Connect(why) => write!(f, "could not connect: {}", escape(why)),
            Failure::Offline(why) => write!(f, "this machine has no network: {}", escape(why)),
            Failure::Proxy(why) => write!(f, "the proxy refused: {}", escape(why)),
            Failure::Tls(why) => write!(f, "no secure connection: {}", escape(why)),
            Failure::Reset(why) => write!(f, "the connection broke: {}", escape(why)),
            Failure::Truncated => f.write_str("the answer ended before its announced end"),
            Failure::Stalled(phase) => write!(f, "nothing came for too long while {phase}"),
            Failure::Status { status, retry_after: None } => write!(f, "the server answered {status}"),
            Failure::Status { status, retry_after: Some(wait) } => {
                write!(f, "the server answered {status} and asks to wait {} s", wait.as_secs())
            }
            Failure::Breach(breach) => breach.fmt(f),
            Failure::Content => {
                f.write_str("the answer's bytes do not have the digest that came with them (R50)")
            }
            Failure::Redirects => f.write_str("too many redirects, or redirects in a circle"),
            Failure::Redirect(why) => write!(f, "a redirect was not followed: {}", escape(why)),
            Failure::Coding(why) => write!(f, "the content coding could not be undone: {}", escape(why)),
            Failure::Disk(fault, text) => write!(f, "{fault}: {}", escape(text)),
            Failure::Digest { got, .. } => {
                write!(f, "the file's digest is {}, not the wanted one", escape(got))
            }
            Failure::Signature(why) => write!(f, "the file's signature does not hold: {}", escape(why)),
            Failure::Defect(what) => f.write_str(&escape(what)),
        }
    }
}

impl std::error::Error for Failure {}

/// Completes "nothing came for too long while ...".
impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Resolve => "looking the host's name up",
            Phase::Connect => "connecting",
            Phase::Proxy => "asking the proxy for a tunnel",
            Phase::Tls => "agreeing on a secure connection",
            Phase::Head => "waiting for the answer",
            Phase::Body => "reading the answer's body",
        })
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the answer cannot be trusted: {} ({})", escape(&self.what), self.rule)
    }
}

/// The fault in words; the text that names the file follows after a colon.
impl fmt::Display for DiskFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DiskFault::Full => "no room is left on the disk",
            DiskFault::TooLarge => "the file system allows no file of this size",
            DiskFault::Denied => "writing here is not allowed",
            DiskFault::Missing => "the directory or file does not exist",
            DiskFault::Exists => "a file of this name exists",
            DiskFault::InUse => "another process is downloading this file",
            DiskFault::Strange => "the name leads to something that is no regular file",
            DiskFault::Io => "the disk failed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_05_foreign_text_is_escaped_when_printed() {
        let printed = Failure::Reset("bad\u{1b}[2Jrecord\n".into()).to_string();
        assert_eq!(printed, "the connection broke: bad\\u{1b}[2Jrecord\\u{a}");
    }

    #[test]
    fn a_status_tells_how_long_it_asks_to_wait() {
        let failure = Failure::Status { status: 503, retry_after: Some(Duration::from_secs(30)) };
        assert_eq!(failure.to_string(), "the server answered 503 and asks to wait 30 s");
    }

    #[test]
    fn a_breach_names_its_rule() {
        let printed = Failure::breach("R22", "Content-Length is 5, the range is 6 bytes").to_string();
        assert!(printed.ends_with("Content-Length is 5, the range is 6 bytes (R22)"), "{printed}");
    }
}
