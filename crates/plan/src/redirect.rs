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
pub fn same_origin(_a: &str, _b: &str) -> bool {
    false
}

/// Where `location`, received from `from`, leads; `seen` holds the URLs of the chain so far, the first included.
pub fn next_hop(_seen: &[String], _from: &str, _location: &str, _max: u32) -> Result<Hop, Failure> {
    Err(Failure::Redirects)
}

/// `url` fit to be shown: no userinfo, no fragment, every query value replaced by `***` (LOG-02).
/// What cannot be parsed is cut at the first `?` or `#`, so that a mistyped secret stays out too.
pub fn mask(url: &str) -> String {
    let Ok(mut parsed) = Url::parse(url) else { return mask_text(url) };
    if parsed.cannot_be_a_base() {
        return format!("{}:***", parsed.scheme());
    }
    // Both only fail for URLs without a host, which carry no userinfo.
    let _ = parsed.set_username("");
    let _ = parsed.set_password(None);
    parsed.set_fragment(None);
    let query = parsed.query().map(mask_query);
    parsed.set_query(query.as_deref());
    parsed.into()
}

/// Keeps the names of a query and hides their values; a query without `=` is a value as a whole.
fn mask_query(query: &str) -> String {
    let masked = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) => format!("{name}=***"),
        None if pair.is_empty() => String::new(),
        None => "***".into(),
    });
    masked.collect::<Vec<_>>().join("&")
}

fn mask_text(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let (shown, cut) = (&url[..end], if end < url.len() { "?***" } else { "" });
    let (scheme, rest) = shown.split_once("://").map_or(("", shown), |(s, r)| (s, r));
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let sep = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{sep}{rest}{cut}")
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn log_02_query_values_and_userinfo_are_masked() {
        assert_eq!(mask("https://u:p@h/a?token=S&x=1&S#f"), "https://h/a?token=***&x=***&***");
        assert_eq!(mask("http://h/a"), "http://h/a");
    }

    #[test]
    fn log_02_what_is_no_url_keeps_its_secret_too() {
        assert_eq!(mask("http://u:S@ho st/a?S"), "http://ho st/a?***");
        assert_eq!(mask("u:S@host/a?S"), "u:***");
        assert_eq!(mask("S@host/a?S"), "host/a?***");
    }
}
