//! Passwords of netrc: the parser of the command, built in here.

#![allow(dead_code, unreachable_pub, reason = "the command uses the rest")]

use thence::ExposeSecret;

#[path = "../../app/src/netrc.rs"]
mod parser;

/// No text makes the parser panic, or gives a password to a host that is not named (R59).
pub(crate) fn netrc(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let entries = parser::parse(&text);
    for (host, login) in [("a", "u"), ("example.org", ""), ("", "")] {
        if let Some(password) = parser::password(&entries, host, login) {
            assert!(!password.expose_secret().contains(char::is_control), "CRD-08");
            let named = text.to_ascii_lowercase().contains(host) || text.contains("default");
            assert!(named, "CRD-05: {host} is not named");
        }
    }
}
