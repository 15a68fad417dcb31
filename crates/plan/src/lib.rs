//! Decides what thence asks for, what it believes, and what it keeps.
//!
//! This crate does *not* read the clock, open files or sockets, spawn, lock, draw random numbers or
//! see a single file byte. `now` is an argument, chance is a seed, and bytes are offsets and lengths.
//! [`Run`] is the machine: one [`Input`] is handled, then every [`Output`] is drained until
//! [`Output::Idle`]. The engine above does what the outputs say.

mod event;
mod failure;
mod identity;
mod limits;
mod machine;
mod name;
mod record;
mod redirect;
mod response;
mod retry;

pub use event::{Completion, DiskError, Error, Event, Progress};
pub use failure::{Breach, DiskFault, Failure, Phase};
pub use identity::{EntityTag, Identity, Same};
pub use limits::Limits;
pub use machine::{
    Action, Ask, Command, Condition, Ending, Held, HeldBlock, Input, JobId, JobSpec, LaneId, Output,
    Placement, Purpose, SourceId, Take,
};
pub use name::{Exists, Name, choose_name};
pub use record::{Begin, Hash, Record, WantedDigest};
pub use redirect::{Hop, mask, next_hop, same_origin};
pub use response::{Asked, Coding, Head, HttpVersion, Verdict, judge};
pub use retry::{Advice, advise};
