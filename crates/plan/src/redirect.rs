//! Where a redirect leads and what may go along (R14, R58-R61).

use url::Url;

use crate::failure::Failure;

/// One step of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Absolute URL without fragment.
    pub url: String,
}

/// True when scheme, host (lower-cased, IDNA, no trailing dot) and port are equal (R58).
pub fn same_origin(a: &str, b: &str) -> bool {
    let origin = |url: &str| {
        let url = Url::parse(url).ok()?;
        let host = url.host_str()?.trim_end_matches('.').to_owned();
        Some((url.scheme().to_owned(), host, url.port_or_known_default()))
    };
    matches!((origin(a), origin(b)), (Some(a), Some(b)) if a == b)
}

/// Where `location`, received from `from`, leads; `seen` holds the URLs of the chain so far, the first included.
pub fn next_hop(seen: &[String], from: &str, location: &str, max: u32) -> Result<Hop, Failure> {
    let unusable = |_| Failure::Redirect(format!("to {}", location.escape_default()));
    let base = Url::parse(from).map_err(unusable)?;
    let mut url = base.join(location).map_err(unusable)?;
    url.set_fragment(None);
    let downgrade = base.scheme() == "https" && url.scheme() == "http";
    if downgrade || !matches!(url.scheme(), "http" | "https") {
        return Err(Failure::Redirect(format!("from {} to {}", base.scheme(), url.scheme())));
    }
    let url = String::from(url);
    if seen.len() > max as usize || seen.contains(&url) {
        return Err(Failure::Redirects);
    }
    Ok(Hop { url })
}
