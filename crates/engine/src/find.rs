//! Finds what an earlier run left, before anything is asked.

use std::path::{Path, PathBuf};

use thence_plan::{Begin, Held, Limits};

use crate::error::Error;
use crate::file::Pair;

/// What to look for.
pub(crate) struct Wanted<'a> {
    /// The directory.
    pub(crate) dir: &'a Path,
    /// The name the user chose.
    pub(crate) name: Option<&'a str>,
    /// The source's original URL without userinfo.
    pub(crate) url: &'a str,
    /// Request headers given in this run.
    pub(crate) headers: &'a [(String, String)],
    /// Bounds: `journal_bytes`, `directory_entries`.
    pub(crate) limits: &'a Limits,
}

/// What there is.
pub(crate) enum Found {
    /// Nothing that can be gone on with.
    Nothing,
    /// A pair; locked, and its journal open for this run.
    Pair(Box<Work>),
    /// The finished file of the same source.
    Finished {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        bytes: u64,
    },
    /// Another process, or another download of this one, works on it.
    InUse {
        /// Its part.
        path: PathBuf,
    },
    /// The chosen name belongs to a part of another URL.
    OtherUrl {
        /// Its part.
        path: PathBuf,
    },
}

/// Held work that can be gone on with.
pub(crate) struct Work {
    /// The pair.
    pub(crate) pair: Pair,
    /// What it was begun with: URL, headers, digest.
    pub(crate) begin: Begin,
    /// For the planner.
    pub(crate) held: Held,
    /// Headers given in this run with another value than the held bytes were asked with.
    pub(crate) changed: Vec<String>,
}

/// Looks for held work or the finished file of `wanted.url`.
pub(crate) fn find(_wanted: &Wanted<'_>) -> Result<Found, Error> {
    unimplemented!()
}

/// Opens a pair by the path of its part or journal; its URL and the rest come from its `Begin`.
pub(crate) fn open(_path: &Path, _headers: &[(String, String)], _limits: &Limits) -> Result<Found, Error> {
    unimplemented!()
}

/// The finished file `dir/name`, if it is one of this source: its length in bytes.
pub(crate) fn finished(_dir: &Path, _name: &str, _url: &str) -> Option<u64> {
    unimplemented!()
}
