//! The machine's words: what goes into [`Run`](crate) and what comes out.
//!
//! The contract between planner and engine:
//! - `Open` starts a lane: it connects, asks, follows redirects and answers `Head`, then waits. No body
//!   byte is read before `Take`.
//! - `Take` says what the body's bytes are worth: `from` is the offset of its first byte, bytes below
//!   `at` are dropped, bytes of `at..end` are stored. With `compare` the dropped bytes are first
//!   compared with the part file: the lane says `Compared` when it reaches `at`, and goes on only if all was equal; where
//!   `at == end` comparing was all. Nothing is stored before the comparison is done.
//! - A lane whose message goes on beyond its end says `Reached` there, and waits as after `Head`. Another `Take`, with
//!   `from` where it stands, lets it bring more; its codings and digest are those of the first.
//! - Every `Open` is answered by exactly one `Ended`, also after `Close`. `Ended` comes after the last
//!   `Stored` of what the lane took, so the blocks tell exactly how far it got.
//! - A block has one writer. A lane starts at a block's start or exactly where the last writer stopped;
//!   the engine keeps the hash state of an open block from lane to lane.
//! - Of a stream nothing is stored: what a lane took has `Landed`, and is `Taken` once it was its turn. A lane must get
//!   room for what it owns up to `Limits::window` beyond that; where its bytes are the next ones, always.
//! - `Narrow` is a question; `Narrowed{end}` answers with the first block not begun (or the lane's old
//!   end). Only from there may the range be given away.

use std::time::{Duration, Instant};

use crate::digest::WantedDigest;
use crate::event::{Error, Event};
use crate::failure::Failure;
use crate::head::Head;
use crate::identity::{Condition, Identity};
use crate::name::Name;
use crate::record::{Hash, Record, Stamp};
use crate::response::Coding;

/// A job of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u32);

/// A lane; unique in the run, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(pub u32);

/// A source: its index in the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u16);

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// First byte and exclusive end (`None`: to the end); no `Range` field at all when `None`.
    pub range: Option<(u64, Option<u64>)>,
    /// Condition sent along.
    pub condition: Condition,
    /// On a new connection, not one that stood idle.
    pub fresh: bool,
}

/// How a lane reads its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Take {
    /// Offset of the body's first byte in the representation.
    pub from: u64,
    /// First offset to store; bytes below it are compared or dropped.
    pub at: u64,
    /// Compare the bytes below `at` with the part file, and say `Compared`; else they are only dropped.
    pub compare: bool,
    /// Offset to stop at; `None`: where the message ends.
    pub end: Option<u64>,
    /// Content codings to undo, in the order they are to be undone; offsets count decoded bytes.
    pub codings: Vec<Coding>,
    /// What the whole content of the message hashes to, codings included. A lane that has read all of it, and
    /// finds another digest, ends with [`Failure::Content`] (R50).
    pub digest: Option<WantedDigest>,
    /// Say `Lost` while it starts.
    pub watch: bool,
}

/// How a lane ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It reached its `end`.
    Range,
    /// The message's framing ended the body (length, last chunk, END_STREAM).
    Message,
    /// Only the connection's clean close ended the body: its length is unknown (R37).
    Close,
    /// It was closed by us.
    Closed,
}

/// Where a download's bytes go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The name; the engine may add a number by `--exists=rename`.
    pub name: Name,
    /// What is known of the file.
    pub identity: Identity,
    /// Block size in bytes, a power of two.
    pub block_size: u32,
    /// False for a file below one block: it needs no journal.
    pub journal: bool,
    /// Move the present pair aside first: this is a new generation.
    pub retire: bool,
    /// Remove the present pair first: it holds nothing but claims that turned out wrong.
    pub discard: bool,
    /// The original URL of the source that answered.
    pub url: String,
}

/// What goes in.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// `Place` was done.
    Placed(Result<(), Failure>),
    /// `Place` found that this version was held before, and the pairs changed places: what is held of it.
    Returned(Box<Held>),
    /// A final head arrived on a lane.
    Head {
        /// The lane.
        lane: LaneId,
        /// URLs the lane was redirected to, in order; the last gave the head.
        hops: Vec<String>,
        /// The head.
        head: Head,
    },
    /// Body bytes were read up to this offset (exclusive), dropped ones included.
    Bytes {
        /// The lane.
        lane: LaneId,
        /// Offset after the last byte read.
        at: u64,
        /// How many since the last such input.
        len: u64,
    },
    /// Packets came out of order on a lane's connection: one before them was lost on the way. Said once, by a lane that was to
    /// watch for it, if the system can tell.
    Lost {
        /// The lane.
        lane: LaneId,
        /// The shortest round trip of its connection.
        round_trip: Duration,
    },
    /// A rate limit of ours keeps a lane from reading: its source is fast enough. Said again while it lasts.
    Held {
        /// The lane.
        lane: LaneId,
        /// Until then, as far as is known.
        until: Instant,
    },
    /// A lane has brought its range, and its message goes on. Everything before is `Stored`; it reads no byte more
    /// until `Take` or `Close`.
    Reached {
        /// The lane.
        lane: LaneId,
    },
    /// The answer to `Narrow`.
    Narrowed {
        /// The lane.
        lane: LaneId,
        /// Its end from now on.
        end: u64,
    },
    /// A lane is gone.
    Ended {
        /// The lane.
        lane: LaneId,
        /// How.
        result: Result<Ending, Failure>,
    },
    /// Bytes of a block are written (not synced) up to `upto` from the block's start.
    Stored {
        /// The block.
        block: u32,
        /// Bytes from the block's start.
        upto: u32,
        /// Hash of those bytes.
        hash: Hash,
    },
    /// The answer to `Check`.
    Checked {
        /// The block.
        block: u32,
        /// The bytes on disk hash to what was recorded.
        same: bool,
    },
    /// A lane that compares reached `at`, or met a difference.
    Compared {
        /// The lane.
        lane: LaneId,
        /// Equal.
        same: bool,
    },
    /// The answer to `Sync`: everything `Stored` before `Sync` was said is on stable storage.
    Synced(Result<(), Failure>),
    /// Of a stream, instead of `Stored`: everything that a lane took below this offset waits for the consumer, or is on its
    /// way there.
    Landed {
        /// The lane.
        lane: LaneId,
        /// The offset.
        upto: u64,
    },
    /// A stream's consumer has taken everything below this offset.
    Taken {
        /// The offset.
        upto: u64,
    },
    /// The answer to `Finish`.
    Finished(Result<(), Failure>),
    /// The other answer to `Finish`: digests of pieces tell that these bytes are wrong, first and end, at least some.
    Wrong {
        /// The bytes.
        ranges: Vec<(u64, u64)>,
        /// What the first of them, or the whole, should have and has.
        failure: Failure,
    },
    /// What a Metalink says of the file that a server named in its answer.
    Described {
        /// Other places of the file.
        urls: Vec<String>,
        /// It has a digest of the whole or of all pieces, which will be checked before `Finished`.
        digest: bool,
    },
    /// The answer to `Renew`: another URL for the source, or why there is none.
    Renewed {
        /// The source.
        source: SourceId,
        /// The URL, or why not.
        url: Result<String, String>,
    },
    /// A write failed; nothing since the last `Stored` of these blocks counts.
    Unwritten(Failure),
    /// The user wants something.
    Command(Command),
}

/// What a user wants of a running job.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Stop asking; keep everything; `Event::Paused` when at rest.
    Pause,
    /// Go on.
    Resume,
    /// Another URL for the same bytes.
    Source(String),
    /// Lanes at most; `None` as many as pay.
    Lanes(Option<u32>),
}

/// What a job wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Open a lane.
    Open {
        /// The new lane.
        lane: LaneId,
        /// Its source.
        source: SourceId,
        /// The URL to ask: the source's own, or the target its redirects led to.
        url: String,
        /// The URL whose origin the user's fields and credentials are for (R58).
        given_for: String,
        /// What to ask.
        ask: Ask,
    },
    /// Read the body, or more of it.
    Take(LaneId, Take),
    /// Ask a lane to end earlier.
    Narrow {
        /// The lane.
        lane: LaneId,
        /// Where, at a block boundary.
        end: u64,
    },
    /// End a lane; what it has read is handed over first.
    Close {
        /// The lane.
        lane: LaneId,
    },
    /// Make the files.
    Place(Box<Placement>),
    /// Append to the journal.
    Note(Record),
    /// Read a block (or its recorded prefix) back and compare its hash.
    Check {
        /// The block.
        block: u32,
        /// Bytes from its start.
        len: u32,
        /// What they must hash to.
        hash: Hash,
    },
    /// Sync part and journal.
    Sync,
    /// Of a stream: what waits for the consumer from here on counts no more. It was not given on.
    Forget {
        /// The offset.
        from: u64,
    },
    /// A server names a Metalink of the file: read it. `Described` answers, if it is of use.
    Describe {
        /// Its URL.
        url: String,
        /// As in `Open`.
        given_for: String,
    },
    /// A source's URL has expired: get another for the same file. Answered by `Renewed`.
    Renew {
        /// The source.
        source: SourceId,
        /// Its URL, as it was given.
        url: String,
    },
    /// Walk the finish sequence; the length is final.
    Finish {
        /// Complete length in bytes.
        total: u64,
    },
    /// Tell whoever listens.
    Tell(Event),
    /// The job is over without its file; its lanes are gone.
    Fail(Error),
}

/// What comes out.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// A job wants something done.
    Job(JobId, Action),
    /// Nothing until the next input, or until this moment.
    Idle(Option<std::time::Instant>),
}

/// A block as replayed from the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldBlock {
    /// Index.
    pub index: u32,
    /// Bytes held from the block's start.
    pub len: u32,
    /// Their hash.
    pub hash: Hash,
    /// Recorded before the last `Synced`.
    pub synced: bool,
}

/// What an earlier run left.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// The settled name.
    pub name: String,
    /// The original URL its bytes came from first (`Begin`'s): validators are that source's own (R53).
    pub url: String,
    /// What it is of.
    pub identity: Identity,
    /// Block size.
    pub block_size: u32,
    /// Blocks and prefixes, by index.
    pub blocks: Vec<HeldBlock>,
    /// `Whole` was recorded: only publishing is left.
    pub whole: bool,
    /// Some join rests on an overlap check alone.
    pub unproven: bool,
    /// What `url` was renewed to last.
    pub renewed: Option<String>,
    /// The blocks are copies of what another program left, and the journal tells nothing of them yet.
    pub claimed: Option<Claimed>,
}

/// Bytes that another program left. They count as held, and are recorded, once all that must be compared was found equal;
/// else none of them does, and the download begins at its first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The file they were copied from, for events.
    pub file: String,
    /// What must be compared: offsets, first and exclusive end, each inside one block, ascending.
    pub stretches: Vec<(u64, u64)>,
    /// That file, if it stands at the final name.
    pub replaces: Option<Stamp>,
}

/// A download as the planner sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobSpec {
    /// Original URLs, the first is the identity.
    pub urls: Vec<String>,
    /// Asked instead of the first: its link has expired. What is held is not given up for what this one has.
    pub renewed: Option<String>,
    /// Somebody answers `Renew`.
    pub renews: bool,
    /// The name the user chose.
    pub name: Option<Name>,
    /// Lanes at most; `None`: as many as pay, which is found by measuring.
    pub lanes: Option<u32>,
    /// Refuse unproven joins and unknown lengths.
    pub strict: bool,
    /// Join parts under different strong tags after an overlap check (`--trust-overlap`).
    pub trust_overlap: bool,
    /// Never undo a content coding.
    pub raw: bool,
    /// Complete length in bytes, if somebody says it besides the servers.
    pub size: Option<u64>,
    /// A digest, or digests of all its pieces, will prove the whole.
    pub digest: bool,
    /// No file: bytes go to a consumer in order, and nothing is resumed by a later run.
    pub stream: bool,
    /// What an earlier run left.
    pub held: Option<Held>,
    /// The version of the finished file that is there: where the first source still has it, nothing is fetched.
    pub unless: Option<Identity>,
}
