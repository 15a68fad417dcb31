//! Cookies, and the rules by which they are kept and sent: RFC 6265, and of its successor (draft-ietf-httpbis-rfc6265bis)
//! the prefixes, the care for `Secure` and the longest life. Pure: what time it is, the caller says.
//!
//! It does *not* know files or requests. The cookies of one site (what somebody can register, `example.co.uk`) have a place
//! of their own: a site pushes out its own cookies and nobody else's.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::net::Ipv6Addr;

use http::HeaderValue;
use url::{Host, Url};

use crate::secret::{ExposeSecret, Secret, Zeroizing};

/// Cookies at most: more than browsers keep (3,000 and 3,300), so that a whole store of theirs is taken.
pub(super) const MOST: usize = 4_000;

/// Cookies of a site at most: what browsers keep of one.
pub(super) const MOST_OF_SITE: usize = 180;

/// Bytes of name and value together at most (RFC 6265 s6.1).
const PAIR: usize = 4_096;

/// Bytes of a path at most.
const PATH: usize = 1_024;

/// Bytes of a `Set-Cookie` field at most: the pair, and as much again for its attributes.
const SET_COOKIE: usize = 8_192;

/// Bytes of a `Cookie` field at most: what servers take in one field.
const COOKIE: usize = 8_192;

/// Seconds that a server's cookie lives at most: 400 days.
const LONGEST: u64 = 400 * 86_400;

/// One cookie.
#[derive(Clone, Debug)]
pub(super) struct Cookie {
    pub(super) name: String,
    pub(super) value: Secret,
    /// As [`host`] gives it.
    pub(super) host: String,
    /// It is for the hosts below that one as well.
    pub(super) below: bool,
    /// Begins with a slash.
    pub(super) path: String,
    /// For https only.
    pub(super) secure: bool,
    /// Not for scripts: of no meaning here, and kept for other readers of the file.
    pub(super) http_only: bool,
    /// Seconds since 1970; `None`: until the session ends.
    pub(super) expires: Option<u64>,
}

/// Why a cookie is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is over: what was kept under its name goes.
    Expired,
    Unreadable,
    Control,
    Large,
    OtherHost,
    Suffix,
    Prefix,
    Insecure,
    Full,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::Expired => "has expired",
            Refused::Unreadable => "has no name, or is no text",
            Refused::Control => "holds a control character",
            Refused::Large => "is larger than 4 KiB, or its path than 1 KiB",
            Refused::OtherHost => "is for another host",
            Refused::Suffix => "is for a whole public suffix",
            Refused::Prefix => "is not as its name (__Secure- or __Host-) says",
            Refused::Insecure => "is for https and came without it",
            Refused::Full => "is one too many",
        })
    }
}

/// A host as all are compared: lower case and ASCII, without a dot at its end, an IPv6 address without brackets (URL-04).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) name: String,
    is_address: bool,
}

/// A host as it is written in an attribute or a file; a dot before it is not part of it.
pub(super) fn host(text: &str) -> Option<Named> {
    let text = text.strip_prefix('.').unwrap_or(text);
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Some(Named { name: address.to_string(), is_address: true });
    }
    let parsed = Host::parse(text.strip_suffix('.').unwrap_or(text)).ok()?;
    Some(named(&parsed))
}

fn named<S: AsRef<str>>(host: &Host<S>) -> Named {
    match host {
        Host::Domain(name) => {
            let name = name.as_ref();
            Named { name: name.strip_suffix('.').unwrap_or(name).to_owned(), is_address: false }
        }
        Host::Ipv4(address) => Named { name: address.to_string(), is_address: true },
        Host::Ipv6(address) => Named { name: address.to_string(), is_address: true },
    }
}

impl Named {
    fn of(url: &Url) -> Option<Named> {
        url.host().map(|host| named(&host))
    }

    /// What somebody can register: cookies are nobody else's business. An address or a bare suffix is its own.
    fn site(&self) -> &str {
        if self.is_address { &self.name } else { psl::domain_str(&self.name).unwrap_or(&self.name) }
    }

    /// Everybody can have a name below it: `com`, `co.uk`, `github.io`, and whatever has a single label.
    fn is_suffix(&self) -> bool {
        !self.is_address && psl::suffix_str(&self.name) == Some(&self.name)
    }

    /// RFC 6265 s5.1.3, for a name below.
    fn is_below(&self, other: &str) -> bool {
        let before = self.name.strip_suffix(other).and_then(|rest| rest.strip_suffix('.'));
        !self.is_address && before.is_some_and(|rest| !rest.is_empty())
    }
}

impl Cookie {
    /// Whether it goes where `url` leads. Loopback is no exception from `Secure`.
    fn goes_to(&self, named: &Named, url: &Url, now: u64) -> bool {
        (self.host == named.name || (self.below && named.is_below(&self.host)))
            && path_matches(url.path(), &self.path)
            && (!self.secure || url.scheme() == "https")
            && self.expires.is_none_or(|end| end > now)
    }

    fn takes_the_place_of(&self, other: &Cookie) -> bool {
        (&self.name, &self.host, self.below, &self.path)
            == (&other.name, &other.host, other.below, &other.path)
    }

    /// What holds of every cookie, wherever it came from.
    fn check(&self, named: &Named) -> Result<(), Refused> {
        let value = self.value.expose_secret();
        if self.name.is_empty() || self.name.contains(['=', ';']) || value.contains(';') {
            return Err(Refused::Unreadable);
        }
        if [&*self.name, value, &*self.path].iter().any(|text| text.contains(char::is_control)) {
            return Err(Refused::Control);
        }
        if self.name.len() + value.len() > PAIR || self.path.len() > PATH {
            return Err(Refused::Large);
        }
        if self.below && named.is_suffix() {
            return Err(Refused::Suffix);
        }
        let begins = |prefix: &str| {
            self.name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        let as_named = !begins("__Secure-") || self.secure;
        let alone = !begins("__Host-") || (self.secure && !self.below && self.path == "/");
        if as_named && alone { Ok(()) } else { Err(Refused::Prefix) }
    }
}

/// RFC 6265 s5.1.4.
fn path_matches(asked: &str, path: &str) -> bool {
    asked
        .strip_prefix(path)
        .is_some_and(|rest| rest.is_empty() || path.ends_with('/') || rest.starts_with('/'))
}

/// RFC 6265 s5.1.4: up to the last slash of the URL's path.
fn default_path(url: &Url) -> &str {
    let path = url.path();
    match path.rfind('/') {
        Some(at) if at > 0 => &path[..at],
        _ => "/",
    }
}

/// The cookies of a run.
#[derive(Default)]
pub(super) struct Jar {
    /// By site; of each the oldest first, and none empty.
    sites: HashMap<String, Vec<Cookie>>,
    count: usize,
    /// When all that was over was taken out: a second later there may be more, and not before.
    swept: u64,
}

impl Jar {
    /// Takes what a server said in one `Set-Cookie` field of its answer to `url` (RFC 6265 s5.2, s5.3).
    pub(super) fn take(&mut self, field: &[u8], url: &Url, now: u64) -> Result<(), Refused> {
        if field.len() > SET_COOKIE {
            return Err(Refused::Large);
        }
        let text = std::str::from_utf8(field).map_err(|_| Refused::Unreadable)?;
        if text.contains(char::is_control) {
            return Err(Refused::Control);
        }
        let set = cookie::Cookie::parse(text).map_err(|_| Refused::Unreadable)?;
        let asked = Named::of(url).ok_or(Refused::OtherHost)?;
        let (named, below) = whose(set.domain().filter(|domain| !domain.is_empty()), asked)?;
        let cookie = Cookie {
            name: set.name().to_owned(),
            value: Secret::from(set.value()),
            host: named.name.clone(),
            below,
            path: set.path().filter(|path| path.starts_with('/')).unwrap_or(default_path(url)).to_owned(),
            secure: set.secure() == Some(true),
            http_only: set.http_only() == Some(true),
            expires: expires(&set, now),
        };
        if url.scheme() != "https" && (cookie.secure || self.has_secure(&cookie, &named)) {
            return Err(Refused::Insecure);
        }
        self.put(cookie, now)
    }

    /// Keeps a cookie, in the place of the one that was there; one that is over takes that along.
    pub(super) fn put(&mut self, cookie: Cookie, now: u64) -> Result<(), Refused> {
        let named = host(&cookie.host).ok_or(Refused::OtherHost)?;
        cookie.check(&named)?;
        let over = cookie.expires.is_some_and(|end| end <= now);
        let site = named.site();
        let mut kept = self.sites.remove(site).unwrap_or_default();
        self.count -= kept.len();
        let placed = match kept.iter().position(|other| cookie.takes_the_place_of(other)) {
            Some(at) if over => {
                kept.remove(at);
                Err(Refused::Expired)
            }
            None if over => Err(Refused::Expired),
            Some(at) => {
                kept[at] = cookie;
                Ok(())
            }
            None => self.make_room(&mut kept, now).map(|()| kept.push(cookie)),
        };
        if !kept.is_empty() {
            self.count += kept.len();
            self.sites.insert(site.to_owned(), kept);
        }
        placed
    }

    /// Room for one more of a site's cookies: what is over goes first, then the oldest of that site.
    fn make_room(&mut self, kept: &mut Vec<Cookie>, now: u64) -> Result<(), Refused> {
        let lives = |cookie: &Cookie| cookie.expires.is_none_or(|end| end > now);
        if kept.len() >= MOST_OF_SITE || self.count + kept.len() >= MOST {
            kept.retain(lives);
        }
        if self.count + kept.len() >= MOST && self.swept != now {
            self.swept = now;
            self.sites.retain(|_, others| {
                others.retain(lives);
                !others.is_empty()
            });
            self.count = self.sites.values().map(Vec::len).sum();
        }
        if self.count + kept.len() >= MOST && kept.is_empty() {
            return Err(Refused::Full);
        }
        if kept.len() >= MOST_OF_SITE || self.count + kept.len() >= MOST {
            kept.remove(0);
        }
        Ok(())
    }

    /// A cookie that came without https must not lie over one that is for https alone.
    fn has_secure(&self, cookie: &Cookie, named: &Named) -> bool {
        let overlap = |other: &Cookie| {
            other.secure
                && other.name == cookie.name
                && (other.host == named.name
                    || named.is_below(&other.host)
                    || host(&other.host).is_some_and(|other| other.is_below(&named.name)))
                && path_matches(&cookie.path, &other.path)
        };
        self.sites.get(named.site()).is_some_and(|kept| kept.iter().any(overlap))
    }

    /// The `Cookie` field of a request for `url`: the longest paths first, then the oldest (RFC 6265 s5.4), as far as it
    /// has room for them. It is marked as a secret.
    pub(super) fn field(&self, url: &Url, now: u64) -> Option<HeaderValue> {
        let named = Named::of(url)?;
        let kept = self.sites.get(named.site())?;
        let mut sent: Vec<&Cookie> = kept.iter().filter(|cookie| cookie.goes_to(&named, url, now)).collect();
        sent.sort_by_key(|cookie| Reverse(cookie.path.len()));
        let mut text = Zeroizing::new(Vec::with_capacity(COOKIE));
        for cookie in sent {
            let (name, value) = (cookie.name.as_bytes(), cookie.value.expose_secret().as_bytes());
            let between: &[u8] = if text.is_empty() { b"" } else { b"; " };
            if text.len() + between.len() + name.len() + 1 + value.len() <= COOKIE {
                [between, name, b"=", value].iter().for_each(|piece| text.extend_from_slice(piece));
            }
        }
        let mut value = HeaderValue::from_bytes(&text).ok().filter(|value| !value.is_empty())?;
        value.set_sensitive(true);
        Some(value)
    }

    /// All that are not over, site by site.
    pub(super) fn all(&self, now: u64) -> Vec<&Cookie> {
        let lives = |cookie: &&Cookie| cookie.expires.is_none_or(|end| end > now);
        let mut all: Vec<&Cookie> = self.sites.values().flatten().filter(lives).collect();
        all.sort_by(|a, b| a.host.cmp(&b.host));
        all
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }
}

/// Whose cookie it is that `asked` set, and whether it is for the hosts below as well (RFC 6265 s5.3, 4 to 6).
fn whose(domain: Option<&str>, asked: Named) -> Result<(Named, bool), Refused> {
    let Some(domain) = domain else { return Ok((asked, false)) };
    let wanted = host(domain).ok_or(Refused::OtherHost)?;
    if wanted == asked {
        let below = !asked.is_address && !asked.is_suffix();
        return Ok((asked, below));
    }
    if wanted.is_address || !asked.is_below(&wanted.name) {
        return Err(Refused::OtherHost);
    }
    Ok((wanted, true))
}

/// `Max-Age` before `Expires`, at most 400 days from now.
fn expires(set: &cookie::Cookie<'_>, now: u64) -> Option<u64> {
    let latest = now.saturating_add(LONGEST);
    if let Some(age) = set.max_age() {
        let age = u64::try_from(age.whole_seconds()).unwrap_or(0);
        return Some(if age == 0 { 0 } else { now.saturating_add(age).min(latest) });
    }
    let end = set.expires_datetime()?.unix_timestamp();
    Some(u64::try_from(end).unwrap_or(0).min(latest))
}

#[cfg(test)]
mod tests;
