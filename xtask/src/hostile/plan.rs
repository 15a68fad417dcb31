//! What is asked of whom, and what came of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::judge::Verdict;
use super::tools::Tool;

/// Length of the file: enough for four connections of aria2, and odd.
pub(super) const LEN: u64 = (6 << 20) + 4_321;

/// Body bytes a second of each connection: slow enough that other connections come into play.
pub(super) const RATE: u64 = 8 << 20;

/// Said on the command line.
pub(super) struct Plan {
    pub(super) binary: PathBuf,
    pub(super) tools: Vec<&'static Tool>,
    pub(super) limit: Duration,
    pub(super) jobs: usize,
    /// Only behaviours whose id begins so.
    pub(super) only: String,
}

/// From nothing, or from a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Start {
    Fresh,
    Resumed,
}

/// What came of it, and in words how.
pub(super) struct Met {
    pub(super) verdict: Verdict,
    pub(super) how: String,
}

/// By behaviour, tool and start.
pub(super) type Results = BTreeMap<(&'static str, &'static str, Start), Met>;
