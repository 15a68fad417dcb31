//! The liar: servers that bend one rule each, by the ids of the test cases.
//!
//! Each is built from an honest file and bends its answers. What the client must make of it is [`Behaviour::end`],
//! so that one conformance test can run through [`all`]. A lie whose row ends well either leaves a way that
//! works or is told a few times only.

mod bend;
mod floods;
mod framing;
mod network;
mod ranges;

pub use bend::{Behaviour, End, Handler};

/// Every behaviour.
pub fn all() -> impl Iterator<Item = &'static Behaviour> {
    ranges::ALL.iter().chain(framing::ALL).chain(network::ALL).chain(floods::ALL)
}

/// The behaviour of that id.
///
/// # Panics
/// If there is none.
pub fn by_id(id: &str) -> &'static Behaviour {
    all().find(|behaviour| behaviour.id == id).unwrap_or_else(|| panic!("no behaviour `{id}`"))
}
