//! Where a redirect leads and what may go along (R14, R58-R61), and how an address is printed (LOG-01, LOG-02).
//!
//! Nothing here looks a name up: whether an *address* may be contacted is asked when it is connected (R61).

use url::Url;

use crate::escape::escape;
use crate::failure::Failure;

/// Stands in a printed URL for what is not to be read.
const MASK: &str = "***";

/// One step of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Absolute URL, without fragment and without userinfo: a credential goes along only where its origin is
    /// the one it was given for, which [`same_origin`] tells (R58).
    pub url: String,
}

/// True when scheme, host (lower-cased, IDNA, no trailing dot) and port are equal (R58). What is no http or
/// https URL has no origin and is equal to nothing.
pub fn same_origin(a: &str, b: &str) -> bool {
    origin_of(a).is_some_and(|origin| Some(origin) == origin_of(b))
}

/// The origin as one canonical text: `https://example.com`, with the port where it is not the scheme's own.
/// `None` for what is no http or https URL. Safe to print: it holds neither userinfo nor path.
pub fn origin_of(url: &str) -> Option<String> {
    let url = Url::parse(url).ok().filter(is_http)?;
    let host = url.host_str()?;
    let host = host.strip_suffix('.').unwrap_or(host);
    // `port` is None where it is the scheme's own.
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}://{host}{port}", url.scheme()))
}

/// Where `location` leads, which the last of `hops` answered, or `first` if there was no redirect yet; `max` is the
/// number of redirects allowed.
///
/// Refused: more than `max` redirects and circles ([`Failure::Redirects`]); control characters, another scheme
/// than http and https, and https to http ([`Failure::Redirect`]).
pub fn next_hop(first: &str, hops: &[String], location: &str, max: u32) -> Result<Hop, Failure> {
    if hops.len() >= max as usize {
        return Err(Failure::Redirects); // R61
    }
    if location.contains(char::is_control) {
        return Err(Failure::Redirect("its Location holds control characters".into())); // URL-06
    }
    let base = parse(hops.last().map_or(first, String::as_str))?;
    let mut target = base.join(location).map_err(unusable)?;
    if !is_http(&target) {
        return Err(Failure::Redirect(format!("it leads to the scheme {}", target.scheme()))); // R61
    }
    if base.scheme() == "https" && target.scheme() == "http" {
        return Err(Failure::Redirect("it leads from https to http".into())); // R61
    }
    make_bare(&mut target);
    let mut seen = hops.iter().map(String::as_str).chain([first]);
    if seen.any(|url| parse(url).is_ok_and(|url| url == target)) {
        return Err(Failure::Redirects); // R61
    }
    Ok(Hop { url: target.into() })
}

fn parse(url: &str) -> Result<Url, Failure> {
    let mut url = Url::parse(url).map_err(unusable)?;
    make_bare(&mut url);
    Ok(url)
}

fn unusable(error: url::ParseError) -> Failure {
    Failure::Redirect(format!("its address is unusable: {error}"))
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

/// Removes what is never sent in a request line: userinfo, which is a credential and no address (P4), and fragment.
pub fn make_bare(url: &mut Url) {
    url.set_fragment(None);
    // These fail only for URLs that have no host, and so no userinfo either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
}

/// The URL for people: without userinfo and fragment, each value of its query masked, nothing in it that a
/// terminal would obey (LOG-01, LOG-02, LOG-05). Not an address any more.
pub fn mask(url: &str) -> String {
    let shown = match Url::parse(url) {
        Ok(mut parsed) if parsed.has_host() => {
            make_bare(&mut parsed);
            mask_query(parsed.as_str())
        }
        _ => mask_text(url),
    };
    escape(&shown)
}

/// What cannot be read as a URL is masked by its letters, rather too much than too little: whatever stands
/// before the last `@` may be a password with `/` or `?` in it.
fn mask_text(text: &str) -> String {
    let (scheme, rest) = match text.find("://") {
        Some(at) => text.split_at(at + "://".len()),
        None => ("", text),
    };
    let rest = rest.rsplit('@').next().unwrap_or(rest);
    let rest = rest.split('#').next().unwrap_or(rest);
    format!("{scheme}{}", mask_query(rest))
}

/// Masks the values of the query. A piece without `=` may be a bare token and is masked whole.
fn mask_query(text: &str) -> String {
    let Some((before, query)) = text.split_once('?') else {
        return text.to_owned();
    };
    let masked: Vec<String> = query.split('&').map(mask_pair).collect();
    format!("{before}?{}", masked.join("&"))
}

fn mask_pair(pair: &str) -> String {
    match pair.split_once('=') {
        Some((key, _)) => format!("{key}={MASK}"),
        None => MASK.to_owned(),
    }
}
