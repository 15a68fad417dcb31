//! Fetches files over HTTP and never starts over.
//!
//! [`fetch`] is the short way; [`Engine`] runs many downloads at once, each a [`Download`] that can be
//! watched, paused and cancelled. Dropping either at any moment leaves a part that the next run goes on from.

mod decode;
mod download;
mod drive;
mod engine;
mod error;
mod file;
mod find;
mod http;
mod inspect;
mod journal;
mod lane;
mod lock;
mod mark;
mod options;
mod orders;
mod publish;
mod sink;
mod start;
mod sys;
mod verify;
mod work;
mod write;

pub use download::Download;
pub use engine::{Engine, fetch};
pub use error::Error;
pub use inspect::{PartReport, VerifyReport, status, verify};
pub use options::{Checksum, Options, Proxy, Request, Target};
pub use orders::Done;
pub use thence_plan::{Breach, DiskFault, Event, Exists, Failure, Limits, Phase, Progress, mask};
