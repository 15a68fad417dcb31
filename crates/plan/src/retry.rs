//! From a failure to what is done about it: one exhaustive match (R33).

use std::time::Duration;

use crate::failure::Failure;
use crate::limits::Limits;

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Ask the same source again after this long.
    Again(Duration),
    /// Re-resolve the original URL, or ask another source; this one is of no use now.
    Elsewhere,
    /// No source can help.
    GiveUp,
}

/// Advises on the `attempt`-th failure in a row without progress (from 0); `chance` is uniform in 0..=u32::MAX.
pub fn advise(_failure: &Failure, _attempt: u32, _limits: &Limits, _chance: u32) -> Advice {
    Advice::GiveUp
}
