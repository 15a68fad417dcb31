//! Where a redirect leads and what may go along (R14, R58-R61).

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

pub fn origin_of(url: &str) -> String {
    url.to_owned()
}
