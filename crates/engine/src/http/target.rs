//! Whom a URL speaks of: scheme, host and port, in the one spelling used for DNS, TLS, pool and proxy.

use std::fmt;

use thence_plan::Failure;
use url::{Host, Url};

/// The server of an `http:` or `https:` URL, or a proxy; its host is normalised by the URL parser (URL-04).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    /// `https:`.
    pub(super) https: bool,
    /// Lower-cased name in ASCII form, or address.
    pub(super) host: Host,
    /// Port, the scheme's own if the URL has none.
    pub(super) port: u16,
}

impl Target {
    /// The server of `url`.
    pub(super) fn of(url: &Url) -> Result<Target, Failure> {
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            other => return Err(Failure::Redirect(format!("{other}: is no scheme that can be asked"))),
        };
        let host = url.host().map(|host| host.to_owned());
        match (host, url.port_or_known_default()) {
            (Some(host), Some(port)) => Ok(Target { https, host, port }),
            _ => Err(Failure::Redirect("the URL names no host".into())),
        }
    }

    /// The name to look up: as in the URL, IPv6 without brackets.
    pub(super) fn name(&self) -> String {
        match &self.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        }
    }

    /// What goes into `Host`: the port only when it is not the scheme's own (RFC 9110 s7.2).
    pub(super) fn authority(&self) -> String {
        let usual = if self.https { 443 } else { 80 };
        if self.port == usual { self.host.to_string() } else { self.to_string() }
    }
}

#[cfg(test)]
impl Target {
    /// A server of this machine, in the clear.
    pub(super) fn loopback(port: u16) -> Target {
        Target { https: false, host: Host::Ipv4(std::net::Ipv4Addr::LOCALHOST), port }
    }
}

/// `host:port`, IPv6 in brackets.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}
