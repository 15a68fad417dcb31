//! System calls. No other file makes any; each has a portable form.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thence_plan::{DiskFault, Failure};

use crate::error::Error;

/// A failed file operation: which file, what kind of fault, and the system's reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DiskError {
    /// The file.
    pub(crate) path: PathBuf,
    /// The kind, by what can be done about it.
    pub(crate) fault: DiskFault,
    /// The reason in words.
    pub(crate) why: String,
}

impl DiskError {
    /// The thread that should have answered is gone: it panicked, or the engine is ending.
    pub(crate) fn gone() -> DiskError {
        DiskError {
            path: PathBuf::new(),
            fault: DiskFault::Io,
            why: "a disk thread ended without an answer".into(),
        }
    }

    /// The system refused an operation on `path`.
    pub(crate) fn at(path: &Path, error: &io::Error) -> DiskError {
        DiskError { path: path.into(), fault: fault(error), why: error.to_string() }
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.why)
    }
}

impl From<DiskError> for Failure {
    fn from(error: DiskError) -> Failure {
        Failure::Disk(error.fault, error.to_string())
    }
}

impl From<DiskError> for Error {
    fn from(error: DiskError) -> Error {
        Error::Disk { path: error.path, fault: error.fault, why: error.why }
    }
}

/// What a system error means to whoever wanted the file.
pub(crate) fn fault(_error: &io::Error) -> DiskFault {
    DiskFault::Io
}
