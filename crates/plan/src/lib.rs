//! Decides what thence asks for, what it believes, and what it keeps.
//!
//! This crate does *not* read the clock, open files or sockets, spawn, lock, draw random numbers or
//! see a single file byte. `now` is an argument, chance is a seed, and bytes are offsets and lengths.
//! [`Run`] is the machine: one [`Input`] is handled, then every [`Output`] is drained until
//! [`Output::Idle`]. The engine above does what the outputs say.

mod auto;
mod blocks;
mod crowd;
mod date;
mod digest;
mod disposition;
mod escape;
mod event;
mod failure;
mod foreign;
mod head;
mod hosts;
mod hsts;
mod identity;
mod job;
mod lanes;
mod limits;
mod link;
mod machine;
mod metalink;
mod name;
mod rate;
mod record;
mod redirect;
mod response;
mod retry;
mod run;
mod small;
mod source;
mod sums;
mod zsync;

pub use blocks::block_size;
pub use crowd::Crowd;
pub use date::{as_http_date, http_date};
pub use digest::{DigestFault, WantedDigest};
pub use escape::escape;
pub use event::{Completion, DiskError, Error, Event, Progress, Why};
pub use failure::{Breach, DiskFault, Failure, Phase};
pub use foreign::{Claims, ClaimsFault};
pub use head::{Fields, Head, HttpVersion};
pub use hsts::{Hsts, HstsPolicy};
pub use identity::{Condition, EntityTag, Identity, Same};
pub use limits::Limits;
pub use machine::{
    Action, Ask, Claimed, Command, Ending, Held, HeldBlock, Input, JobId, JobSpec, LaneId, Output, Placement,
    SourceId, Take,
};
pub use metalink::{Described, METALINK_BYTES, MetalinkFault, Pieces, metalink};
pub use name::{BadName, Exists, Name, choose_name};
pub use rate::{Bucket, Grant};
pub use record::{Begin, Hash, Record, Stamp};
pub use redirect::{Hop, make_bare, mask, next_hop, origin_of, same_origin};
pub use response::{Asked, Coding, Verdict, judge};
pub use retry::{Advice, advise};
pub use run::Run;
pub use small::{SMALL_ASKED, Small, refuses, small};
pub use sums::{Sums, SumsFault, path_of, signatures_beside, sums_beside};
pub use zsync::{ZSYNC_BYTES, Zsync, ZsyncFault};
