//! Fetches files over HTTP and never starts over.
//!
//! [`fetch`] is the short way; [`Engine`] runs many downloads at once, each a [`Download`] that can be
//! watched, paused and cancelled. Dropping either at any moment leaves a part that the next run goes on from.

mod download;
mod engine;
mod error;
#[allow(dead_code, reason = "the driver comes next")]
mod file;
#[allow(dead_code, reason = "the driver comes next")]
mod find;
mod inspect;
#[allow(dead_code, reason = "the driver comes next")]
mod journal;
mod lock;
mod mark;
mod options;
#[allow(dead_code, reason = "the driver comes next")]
mod publish;
#[allow(dead_code, reason = "the driver comes next")]
mod sys;
#[allow(dead_code, reason = "the driver comes next")]
mod verify;
#[allow(dead_code, reason = "the driver comes next")]
mod write;

pub use download::{Done, Download};
pub use engine::{Engine, fetch};
pub use error::Error;
pub use inspect::{PartReport, VerifyReport, status, verify};
pub use options::{Checksum, Options, Proxy, Request, Target};
pub use thence_plan::{Breach, DiskFault, Event, Exists, Failure, Limits, Phase, Progress};
