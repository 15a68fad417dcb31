//! The only place that knows hyper, rustls and proxies: from a URL to the head and body of its final answer.
//!
//! It does *not* judge what came (that is [`thence_plan::judge`]), retry, store, or count lanes. It follows
//! redirects by [`thence_plan::next_hop`], keeps what the user gave at the origin it was given for (R58),
//! and says of a body's end only what its framing proves (R35-R37, R48).

mod body;
mod certificate;
mod challenge;
mod client;
mod connection;
mod deadline;
mod dial;
mod fault;
mod login;
mod losses;
mod memory;
mod nodes;
mod outlets;
mod pipe;
mod pool;
mod proxy;
mod request;
mod shared;
mod target;
#[cfg(test)]
pub(crate) mod tests;
mod tls;
mod turns;
mod wake;

pub(crate) use body::Body;
pub(crate) use client::{Answer, Client, USER_AGENT};
pub(crate) use losses::Losses;
pub(crate) use nodes::{Nodes, Seat};
pub(crate) use proxy::Proxies;
pub(crate) use request::{Get, bare, check_headers};
