//! From the errors of hyper, rustls and the system to a [`Failure`].
//!
//! hyper's error kinds are private beyond a few questions, and its documentation does not promise its
//! wording. So the class (retried or not) rests on those questions and on the `io::Error` inside; the wording
//! picks only the rule number in a [`Breach`], and the tests named by rule hold it to this version.

use std::error::Error as _;
use std::io::{Error as IoError, ErrorKind};

use rustls::{AlertDescription as Alert, Error as TlsError};
use thence_plan::{Breach, Failure};

/// A rule broken, with hyper's fixed words for it; they carry no byte of the peer's.
pub(super) fn breach(rule: &'static str, what: impl Into<String>) -> Failure {
    Failure::Breach(Breach { rule, what: what.into() })
}

/// What went wrong before a whole head had come.
pub(super) fn head(error: &hyper::Error) -> Failure {
    if error.is_parse() {
        return breach(head_rule(&error.to_string()), error.to_string());
    }
    match io_inside(error) {
        Some(io) => broken(io),
        None => Failure::Reset(format!("no answer: {}", whole_text(error))),
    }
}

/// What went wrong in a body.
pub(super) fn body(error: &hyper::Error) -> Failure {
    match io_inside(error) {
        Some(io) if is_framing(io) => breach(body_rule(&io.to_string()), io.to_string()),
        Some(io) => broken(io),
        None if error.is_incomplete_message() => Failure::Truncated,
        None => Failure::Reset(whole_text(error)),
    }
}

/// A broken connection. rustls reports a close without close_notify as an unexpected end: the bytes before it
/// may be all or not, so it is never a clean close (R37, FRM-14).
pub(super) fn broken(error: &IoError) -> Failure {
    match error.kind() {
        ErrorKind::UnexpectedEof => Failure::Truncated,
        _ => unwelcome(error).unwrap_or_else(|| Failure::Reset(error.to_string())),
    }
}

/// What a server says of our certificate after the handshake, which is when it looks at it under TLS 1.3. It will say the
/// same the next time.
fn unwelcome(error: &IoError) -> Option<Failure> {
    let Some(TlsError::AlertReceived(alert)) = tls_inside(error) else { return None };
    match alert {
        Alert::CertificateRequired => {
            Some(Failure::Tls("the server wants a client certificate, and was shown none".into()))
        }
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied => {
            Some(Failure::Tls(format!("the server does not accept the client certificate: {alert:?}")))
        }
        _ => None,
    }
}

/// hyper's chunk decoder says `InvalidData` or `InvalidInput`; so does tokio-rustls of a bad record, but that
/// is the connection's fault and not the message's.
fn is_framing(error: &IoError) -> bool {
    matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput) && tls_inside(error).is_none()
}

/// The rule a malformed head breaks.
fn head_rule(text: &str) -> &'static str {
    match text {
        _ if text.contains("too large") => "R66",
        _ if text.contains("HTTP version") => "R47",
        _ if text.contains("content-length") => "R39",
        _ if text.contains("transfer-encoding") => "R40",
        _ => "R42",
    }
}

/// The rule a malformed chunked body breaks.
fn body_rule(text: &str) -> &'static str {
    match text {
        _ if text.contains("extensions over") => "R43",
        _ if text.contains("trailer") => "R44",
        _ => "R42",
    }
}

/// The system's error under a hyper error.
fn io_inside(error: &hyper::Error) -> Option<&IoError> {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<IoError>() {
            return Some(io);
        }
        cause = inner.source();
    }
    None
}

/// The TLS error under a system error.
pub(super) fn tls_inside(error: &IoError) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>())
}

/// hyper prints one level only; the causes say what happened.
fn whole_text(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
