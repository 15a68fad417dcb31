//! From an error to the exit code a script acts on and the sentence a person acts on.
//!
//! Codes 0 to 32 are aria2's with aria2's meaning, ours begin at 33; docs/exit-codes.md is the same table and a
//! test compares the two. Nothing here prints.

use std::fmt;
use std::path::Path;

use thence::{DiskFault, Error, Failure, Phase};

use crate::printable::{printable, quoted, reason, url};

/// An exit code. The numbers are a promise; the names are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    Done = 0,
    Unknown = 1,
    Timeout = 2,
    NotFound = 3,
    Network = 6,
    Unfinished = 7,
    CannotResume = 8,
    DiskFull = 9,
    InUse = 11,
    Exists = 13,
    CannotOpen = 15,
    CannotCreate = 16,
    FileIo = 17,
    NoDirectory = 18,
    Resolve = 19,
    Metalink = 20,
    BadResponse = 22,
    Redirects = 23,
    Unauthorized = 24,
    Usage = 28,
    Overloaded = 29,
    Checksum = 32,
    LengthUnknown = 33,
    Changed = 34,
    Expired = 35,
    NeedsHeader = 36,
    Unproven = 37,
    Tls = 38,
    TooLarge = 39,
}

impl Code {
    /// The word for it in `--json` and in the table.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Code::Done => "done",
            Code::Unknown => "unknown",
            Code::Timeout => "timeout",
            Code::NotFound => "not-found",
            Code::Network => "network",
            Code::Unfinished => "unfinished",
            Code::CannotResume => "cannot-resume",
            Code::DiskFull => "disk-full",
            Code::InUse => "in-use",
            Code::Exists => "exists",
            Code::CannotOpen => "cannot-open",
            Code::CannotCreate => "cannot-create",
            Code::FileIo => "file-io",
            Code::NoDirectory => "no-directory",
            Code::Resolve => "resolve",
            Code::Metalink => "metalink",
            Code::BadResponse => "bad-response",
            Code::Redirects => "redirects",
            Code::Unauthorized => "unauthorized",
            Code::Usage => "usage",
            Code::Overloaded => "overloaded",
            Code::Checksum => "checksum",
            Code::LengthUnknown => "length-unknown",
            Code::Changed => "changed",
            Code::Expired => "expired",
            Code::NeedsHeader => "needs-header",
            Code::Unproven => "unproven",
            Code::Tls => "tls",
            Code::TooLarge => "too-large",
        }
    }
}

/// Why something did not succeed: what happened, to which URL or file, what to do. All of it is printable.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trouble {
    pub(crate) code: Code,
    /// The URL (masked), the file, or the option; may be empty.
    pub(crate) subject: String,
    pub(crate) what: String,
    /// May be empty.
    pub(crate) advice: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.subject.is_empty() {
            write!(f, "{}: ", self.subject)?;
        }
        f.write_str(&self.what)?;
        if self.advice.is_empty() { Ok(()) } else { write!(f, "; {}", self.advice) }
    }
}

impl Trouble {
    pub(crate) fn new(code: Code, subject: &str, what: impl AsRef<str>, advice: &str) -> Trouble {
        let (subject, what) = (printable(subject).into_owned(), printable(what.as_ref()).into_owned());
        Trouble { code, subject, what, advice: advice.into() }
    }

    /// The command line, or something it names, cannot be used.
    pub(crate) fn usage(subject: &str, what: impl AsRef<str>, advice: &str) -> Trouble {
        Trouble::new(Code::Usage, subject, what, advice)
    }
}

const AGAIN: &str = "what is held is kept; run the same command again to go on";

const OR_ANEW: &str = "what is held is kept; run the same command again to go on, or, if it ends so each time, \
                       remove the part to begin anew";

impl From<&Error> for Trouble {
    fn from(error: &Error) -> Trouble {
        let at = |path: &Path| path.display().to_string();
        match error {
            Error::Url { url: given, why } => {
                Trouble::usage(&url(given), reason(why), "correct the URL and run the command again")
            }
            Error::Option(why) => Trouble::usage("", reason(why), "see thence --help"),
            Error::Source { url: from, failure } => source(from, failure),
            Error::Expired { url: from, failure, part } => expired(from, failure, part.as_deref()),
            Error::OtherFile { url: from, what } => Trouble::new(
                Code::Changed,
                &url(from),
                format!("it has another file than the one held ({})", reason(what)),
                "nothing was touched; give the URL of the same file, or remove the part to begin anew",
            ),
            Error::Disk { path, fault, why } => disk(&at(path), *fault, why),
            Error::NeedsHeaders { path, names } => Trouble::new(
                Code::NeedsHeader,
                &at(path),
                format!("what is held was asked for with {}, whose value is not kept", names.join(", ")),
                "give it again with -H, --referer or --user",
            ),
            Error::Journal { path, why } => Trouble::new(
                Code::CannotResume,
                &at(path),
                reason(why),
                "nothing was touched; move the file away to begin anew",
            ),
            Error::Changed { url: from } => Trouble::new(
                Code::Changed,
                &url(from),
                "the file kept changing while it was fetched",
                "run the same command again when the server is at rest",
            ),
            Error::Digest { path, want, got } => Trouble::new(
                Code::Checksum,
                &at(path),
                format!("the whole file has the checksum {got}, not {want}"),
                "it was not given its final name; check the checksum, or remove the part and fetch again",
            ),
            Error::Signature { path, why } => Trouble::new(
                Code::Checksum,
                &at(path),
                format!("its signature does not hold: {}", reason(why)),
                "check the signature and the key; a part gets no final name, remove it to fetch again",
            ),
            other => refused(other),
        }
    }
}

/// The errors that say no without naming a file or a URL.
fn refused(error: &Error) -> Trouble {
    let (code, what, advice) = match error {
        Error::LengthUnknown => (
            Code::LengthUnknown,
            "length unknown: nothing proves where the file ends",
            "leave --strict away to take it",
        ),
        Error::Unproven => (
            Code::Unproven,
            "unproven join: the server gives nothing that proves two parts to be of one version",
            "leave --strict away, or give --checksum",
        ),
        Error::TooLarge { size } => {
            let what = format!("the file has {size} bytes, more than --max-size allows");
            return Trouble::new(Code::TooLarge, "", what, "raise --max-size to fetch it");
        }
        Error::Cancelled => (Code::Unfinished, "stopped before it was whole", AGAIN),
        other => return Trouble::new(Code::Unknown, "", reason(&other.to_string()), AGAIN),
    };
    Trouble::new(code, "", what, advice)
}

/// A link that worked and refuses now.
fn expired(from: &str, failure: &Failure, part: Option<&Path>) -> Trouble {
    let what = format!("the link has expired: {}", what_of(failure));
    let advice = match part.map(quoted) {
        Some(part) => {
            format!("what is held is kept; get a fresh link and go on with: thence {part} --url 'NEW-URL'")
        }
        None => "get a fresh link and run the command again with it".to_owned(),
    };
    Trouble::new(Code::Expired, &url(from), what, &advice)
}

fn disk(path: &str, fault: DiskFault, why: &str) -> Trouble {
    let (code, what, advice) = match fault {
        DiskFault::Full => {
            (Code::DiskFull, "no room on the disk", "what is held is kept; make room and run it again")
        }
        DiskFault::TooLarge => {
            (Code::FileIo, "the file system takes no file of this size", "choose another with -d")
        }
        DiskFault::Denied => (Code::CannotCreate, "may not be written", "choose another directory with -d"),
        DiskFault::Missing => {
            (Code::NoDirectory, "does not exist", "make the directory, or choose another with -d")
        }
        DiskFault::Exists => (
            Code::Exists,
            "exists",
            "move it away, choose another name with -o, or say --exists=rename or overwrite",
        ),
        DiskFault::InUse => (Code::InUse, "in use by another process", "wait for it, or stop it"),
        DiskFault::Strange => (
            Code::CannotOpen,
            "is no regular file of ours (a link, pipe, device or directory)",
            "move it away",
        ),
        DiskFault::Io => {
            (Code::FileIo, "could not be read or written", "what is held is kept; check the disk")
        }
    };
    let why = reason(why);
    let what = if why.is_empty() { what.to_owned() } else { format!("{what} ({why})") };
    Trouble::new(code, path, what, advice)
}

fn source(from: &str, failure: &Failure) -> Trouble {
    if let Failure::Disk(fault, why) = failure {
        return disk("", *fault, why);
    }
    let code = code_of(from, failure);
    let advice = match failure {
        // What these may also mean, no answer will ever tell: the file has become a shorter one.
        Failure::Truncated => OR_ANEW,
        Failure::Breach(breach) if breach.rule == "R28" => OR_ANEW,
        Failure::Tls(why) if why.contains("client certificate") => {
            "give yours with --certificate and --private-key; the origins of the URLs that you name are shown it"
        }
        _ => advice_on(code),
    };
    Trouble::new(code, &url(from), what_of(failure), advice)
}

/// The code of a source's last failure.
pub(crate) fn code_of(from: &str, failure: &Failure) -> Code {
    match failure {
        Failure::Resolve(_) => Code::Resolve,
        Failure::Refused(_)
        | Failure::Connect(_)
        | Failure::Offline(_)
        | Failure::Reset(_)
        | Failure::Truncated => Code::Network,
        // The engine has one failure for both; a password helps against the one that speaks of it.
        Failure::Proxy(why) if why.contains("password") => Code::Unauthorized,
        Failure::Proxy(_) => Code::Network,
        Failure::Tls(_) => Code::Tls,
        Failure::Stalled(_) => Code::Timeout,
        Failure::Status { status, .. } => status_code(from, *status),
        Failure::Breach(_) | Failure::Content | Failure::Coding(_) => Code::BadResponse,
        Failure::Redirects | Failure::Redirect(_) => Code::Redirects,
        Failure::Disk(fault, _) => disk("", *fault, "").code,
        Failure::Digest { .. } | Failure::Signature(_) => Code::Checksum,
        Failure::Defect(_) => Code::Unknown,
    }
}

fn status_code(from: &str, status: u16) -> Code {
    match status {
        // Object stores answer an expired signature with one of these.
        400 | 401 | 403 | 410 if is_signed(from) => Code::Expired,
        404 | 410 => Code::NotFound,
        401 | 403 | 407 => Code::Unauthorized,
        408 | 504 => Code::Timeout,
        429 | 502 | 503 => Code::Overloaded,
        _ => Code::BadResponse,
    }
}

/// True when the query carries a signature that ends at some time: S3, GCS, CloudFront, Azure. Masking keeps the
/// names of a query, so this works on masked URLs.
fn is_signed(from: &str) -> bool {
    let Some((_, query)) = from.split_once('?') else { return false };
    let has = |name: &str| {
        query.split('&').any(|p| p.split('=').next().is_some_and(|n| n.eq_ignore_ascii_case(name)))
    };
    has("X-Amz-Expires")
        || has("X-Goog-Expires")
        || (has("Expires") && has("Signature"))
        || (has("se") && has("sig"))
}

/// What happened, in words, with everything foreign in it made printable.
pub(crate) fn what_of(failure: &Failure) -> String {
    match failure {
        Failure::Resolve(why) => format!("the host's name did not resolve ({})", reason(why)),
        Failure::Refused(why) => format!("the host refused the connection ({})", reason(why)),
        Failure::Connect(why) => format!("could not connect ({})", reason(why)),
        Failure::Offline(why) => format!("this machine has no network ({})", reason(why)),
        Failure::Proxy(why) => format!("the proxy refused ({})", reason(why)),
        Failure::Tls(why) => {
            format!("the certificate or the TLS handshake was not accepted ({})", reason(why))
        }
        Failure::Reset(why) => format!("the connection broke ({})", reason(why)),
        Failure::Truncated => "the answer ended before it was whole".into(),
        Failure::Stalled(phase) => format!("no byte came for too long while {}", while_in(*phase)),
        Failure::Status { status, .. } => status_words(*status),
        Failure::Breach(breach) => {
            format!("the answer breaks HTTP ({}: {})", breach.rule, reason(&breach.what))
        }
        Failure::Content => "its bytes do not have the digest that the server sent with them (R50)".into(),
        Failure::Redirects => "too many redirects, or a circle of them".into(),
        Failure::Redirect(why) => format!("redirected to where thence does not follow ({})", reason(why)),
        Failure::Coding(why) => format!("the content coding could not be undone ({})", reason(why)),
        Failure::Disk(fault, why) => disk("", *fault, why).what,
        Failure::Digest { got, .. } => format!("the whole file has the checksum {}", printable(got)),
        Failure::Signature(why) => format!("its signature does not hold ({})", reason(why)),
        Failure::Defect(why) => format!("a fault of thence itself ({})", reason(why)),
    }
}

fn while_in(phase: Phase) -> &'static str {
    match phase {
        Phase::Resolve => "looking the host's name up",
        Phase::Connect => "connecting",
        Phase::Proxy => "waiting for the proxy",
        Phase::Tls => "shaking hands over TLS",
        Phase::Head => "waiting for the answer",
        Phase::Body => "reading the answer",
    }
}

fn status_words(status: u16) -> String {
    let words = match status {
        401 => "authorization required",
        403 => "forbidden",
        404 => "not found",
        407 => "the proxy wants a password",
        410 => "gone",
        429 => "too many requests",
        500..=599 => "the server failed",
        _ => "the server refused",
    };
    format!("{words} (status {status})")
}

fn advice_on(code: Code) -> &'static str {
    match code {
        Code::NotFound => "check the address",
        Code::Resolve => "check the host's name and the network, then run the same command again",
        Code::Unauthorized => "give --user, -H 'Authorization: ...' or --proxy with a password",
        Code::Expired => {
            "the link has expired; get a fresh one, and go on with: thence NAME.part --url 'NEW-URL'"
        }
        Code::Tls => "check the address and the clock; give --cacert if the authority is your own",
        Code::Redirects => "give the address it leads to",
        Code::BadResponse => {
            "this server, or a proxy before it, cannot be believed; try another source with --mirror"
        }
        Code::Unknown => "please report it",
        Code::Checksum => "check the checksum, or fetch again",
        _ => AGAIN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Code; 29] = [
        Code::Done,
        Code::Unknown,
        Code::Timeout,
        Code::NotFound,
        Code::Network,
        Code::Unfinished,
        Code::CannotResume,
        Code::DiskFull,
        Code::InUse,
        Code::Exists,
        Code::CannotOpen,
        Code::CannotCreate,
        Code::FileIo,
        Code::NoDirectory,
        Code::Resolve,
        Code::Metalink,
        Code::BadResponse,
        Code::Redirects,
        Code::Unauthorized,
        Code::Usage,
        Code::Overloaded,
        Code::Checksum,
        Code::LengthUnknown,
        Code::Changed,
        Code::Expired,
        Code::NeedsHeader,
        Code::Unproven,
        Code::Tls,
        Code::TooLarge,
    ];

    fn status(url: &str, status: u16) -> Trouble {
        let failure = Failure::Status { status, retry_after: None };
        Trouble::from(&Error::Source { url: url.into(), failure })
    }

    #[test]
    fn the_documented_table_is_the_one_in_force() {
        let doc = include_str!("../../../docs/exit-codes.md");
        let rows = doc.lines().filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split('|').map(str::trim);
            let (code, class) = (cells.next()?.parse::<u8>().ok()?, cells.next()?);
            (class != "-").then(|| (code, class.trim_matches('`').to_owned()))
        });
        let ours = ALL.iter().map(|c| (*c as u8, c.class().to_owned()));
        assert_eq!(rows.collect::<Vec<_>>(), ours.collect::<Vec<_>>());
    }

    #[test]
    fn statuses_get_arias_codes() {
        let got =
            [404, 410, 401, 403, 407, 429, 503, 408, 418, 500].map(|s| status("http://h/a", s).code as u8);
        assert_eq!(got, [3, 3, 24, 24, 24, 29, 29, 2, 22, 22]);
    }

    #[test]
    fn a_refused_signed_address_has_expired() {
        let signed = "https://h/a?X-Amz-Expires=***&X-Amz-Signature=***";
        assert_eq!(status(signed, 403).code, Code::Expired);
        assert_eq!(status(signed, 404).code, Code::NotFound);
        assert_eq!(status("https://h/a?id=***", 403).code, Code::Unauthorized);
    }

    #[test]
    fn a_message_says_what_to_which_url_and_what_to_do() {
        let text = status("https://u:SECRET@h/a?t=SECRET", 404).to_string();
        assert_eq!(text, "https://h/a?t=***: not found (status 404); check the address");
    }

    #[test]
    fn a_disk_error_names_the_file_and_the_way_out() {
        let error = Error::Disk { path: "/d/a.part".into(), fault: DiskFault::Full, why: "ENOSPC".into() };
        let trouble = Trouble::from(&error);
        assert_eq!(trouble.code as u8, 9);
        assert!(trouble.to_string().starts_with("/d/a.part: no room on the disk (ENOSPC); "), "{trouble}");
    }

    #[test]
    fn log_01_a_secret_in_a_reason_from_below_is_masked() {
        let failure = Failure::Redirect("to ftp://u:SECRET@h/?k=SECRET".into());
        let text = Trouble::from(&Error::Source { url: "http://h/".into(), failure }).to_string();
        assert!(!text.contains("SECRET"), "{text}");
    }

    #[test]
    fn log_05_a_reason_cannot_reach_the_terminal() {
        let breach = thence::Breach { rule: "R22", what: "\x1b[2J\u{202e}".into() };
        let text = what_of(&Failure::Breach(breach));
        assert!(!text.contains(crate::printable::is_unsafe), "{text:?}");
    }
}
