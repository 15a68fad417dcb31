//! One GET, from the URL to the head of the final answer.

use std::sync::Arc;

use thence_plan::{Condition, Failure, Head};

use super::body::Body;
use crate::error::Error;
use crate::options::Options;

/// One GET to be made.
pub(crate) struct Get {
    /// Where to ask.
    pub(crate) url: String,
    /// The original URL: what the user gave belongs to its origin (R58).
    pub(crate) given_for: String,
    /// Request fields the user gave; they have passed [`check_headers`].
    pub(crate) headers: Arc<Vec<(String, String)>>,
    /// User and password for Basic authentication.
    pub(crate) user: Option<Arc<(String, String)>>,
    /// First byte and exclusive end; no `Range` field when `None`.
    pub(crate) range: Option<(u64, Option<u64>)>,
    /// Condition sent along.
    pub(crate) condition: Condition,
    /// Use a new connection.
    pub(crate) fresh: bool,
}

/// The final answer.
pub(crate) struct Answer {
    /// URLs redirected to, in order; the last gave the head.
    pub(crate) hops: Vec<String>,
    /// Its head.
    pub(crate) head: Head,
    /// Its body, unread.
    pub(crate) body: Body,
}

/// Makes requests; clones share idle connections and the TLS configuration.
#[derive(Clone)]
pub(crate) struct Client {
    _private: (),
}

impl Client {
    /// A client for these options. Touches neither the network nor the certificate store.
    pub(crate) fn new(_options: &Options) -> Result<Client, Error> {
        Ok(Client { _private: () })
    }

    /// Connects, asks and follows redirects.
    pub(crate) async fn get(&self, _get: Get) -> Result<Answer, Failure> {
        Err(Failure::Connect("not yet".into()))
    }
}

/// Refuses fields that would decide which bytes come, how they are framed, or that cannot be sent.
pub(crate) fn check_headers(_headers: &[(String, String)]) -> Result<(), Error> {
    Ok(())
}
