//! What the planner tells people, and how a download can end.

use std::time::Duration;

use crate::failure::Failure;
use crate::head::HttpVersion;

/// Something a person or program may want to know. URLs in events are masked by whoever prints them (LOG-02).
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The name is settled and bytes will come.
    Started {
        /// Final name inside the directory.
        name: String,
        /// Complete length, if known.
        total: Option<u64>,
        /// Bytes held from earlier runs.
        held: u64,
    },
    /// A part that stands at the download's name has no readable journal. It is left alone: nothing tells what of it
    /// could be gone on with.
    Kept {
        /// The part.
        part: String,
    },
    /// Bytes that another program left were proven, and are held now.
    Adopted {
        /// Its file.
        file: String,
        /// How many.
        bytes: u64,
    },
    /// They were not, and the file is left as it is: nothing of it is used.
    NotAdopted {
        /// Its file.
        file: String,
        /// Why, in words.
        what: String,
    },
    /// The name is taken by a file that is shorter than the one to be fetched, and may be the beginning of it.
    Adoptable {
        /// That file.
        file: String,
    },
    /// A request field whose value is not kept was given with another value than in the run that began the part. The
    /// server's validators decide whether that is another file (R12).
    OtherHeader {
        /// Its name.
        name: String,
    },
    /// The finished file that is there was written to since it was fetched: it is left alone, and the source is asked for its
    /// file without a condition.
    Edited {
        /// The file.
        path: String,
    },
    /// Nothing tells what the file is of that is there: the source is asked whether it has one that changed since that was
    /// written.
    ByTime {
        /// The file.
        path: String,
    },
    /// The source has no other version than the file that is there.
    Unchanged {
        /// The URL asked.
        url: String,
        /// What it answered: 304, or the file, which was not read, under the same validators.
        status: u16,
    },
    /// A lane failed and its range is asked for again.
    Retry {
        /// The URL asked.
        url: String,
        /// What happened.
        failure: Failure,
        /// How long until then.
        after: Duration,
    },
    /// A lane was silent for too long and is replaced.
    Stalled {
        /// The URL asked.
        url: String,
    },
    /// A host gave its first answer.
    Answered {
        /// The host's origin.
        host: String,
        /// In which HTTP: large files and lists of small ones may come in different ones.
        version: HttpVersion,
    },
    /// A host is asked by https although a URL says http, since it said that it wants nothing else (RFC 6797). Once in a run.
    Secured {
        /// The origin that is asked.
        host: String,
    },
    /// A host refuses; it gets at most this many lanes from now on (R34).
    Narrowed {
        /// The host's origin.
        host: String,
        /// Lanes allowed.
        lanes: u32,
    },
    /// How many lanes a host gets was decided by measuring (`-x auto`).
    Lanes {
        /// The host's origin.
        host: String,
        /// Lanes wanted from now on.
        lanes: u32,
        /// Why.
        why: Why,
        /// Lanes that read, and bytes a second they brought together, before.
        before: (u32, u64),
        /// The same with the lanes that were tried.
        after: (u32, u64),
    },
    /// An address of a host is left out: it cannot serve what another one does. Lanes of the download are sent to the others.
    LeftOut {
        /// The host, and its port.
        host: String,
        /// The address.
        address: String,
        /// Why.
        why: String,
    },
    /// The remote file changed: a new generation from byte 0; the old part is kept until this one is whole.
    Changed {
        /// The URL asked.
        url: String,
        /// What differed, in words.
        what: String,
    },
    /// Bytes were joined on the word of an overlap check alone (R21).
    Unproven {
        /// Bytes compared and found equal.
        compared: u64,
    },
    /// The body's end is proven by nothing (R37).
    LengthUnknown,
    /// A content coding nobody asked for is undone (true) or stored as sent (false) (R49).
    Coded {
        /// Undone while storing.
        undone: bool,
    },
    /// The server cannot give ranges: one lane, and an interruption starts over.
    NoRanges,
    /// Held bytes did not match their record and are fetched again.
    Damaged {
        /// Bytes affected.
        bytes: u64,
    },
    /// A link that gave something has expired: where it leads, and it itself, refuse now.
    Expired {
        /// The URL as it was given.
        url: String,
        /// What was answered.
        failure: Failure,
    },
    /// An expired link was renewed.
    Renewed {
        /// What is asked from now on.
        url: String,
    },
    /// An expired link was not renewed.
    NotRenewed {
        /// The URL as it was given.
        url: String,
        /// Why.
        why: String,
    },
    /// The server that was asked first names another place of the same file: it is asked as a mirror.
    Mirror {
        /// Its URL.
        url: String,
    },
    /// A source is dropped, and why.
    SourceDropped {
        /// Its URL.
        url: String,
        /// Why.
        failure: Failure,
    },
    /// All bytes are held and verified.
    Verified,
    /// Every lane has ended and everything held is on disk.
    Paused,
}

/// Why a host gets another number of lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The way is long and the file small: several begin at once.
    Far,
    /// What comes is steady: more are tried.
    Steady,
    /// Those that were tried brought as much as the others: more are tried.
    Paid,
    /// Those that were tried brought something: as many are kept as bring it.
    Shared,
    /// Those that were tried brought nothing: they are not replaced.
    Useless,
    /// Those that were given up as useless are missed: back to them.
    Missed,
    /// Less comes than did: many more are tried.
    Fallen,
    /// The first lane lost packets while it still started: many more are tried.
    Lost,
}

/// How far a job is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Complete length, if known.
    pub total: Option<u64>,
    /// Unique bytes held.
    pub held: u64,
    /// Body bytes read from sockets in this run.
    pub wire: u64,
    /// Lanes open.
    pub lanes: u32,
    /// Held part of each of 64 equal stretches of the file, 0..=255; empty while the length is unknown.
    pub map: Vec<u8>,
}

/// A finished download.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Completion {
    /// Complete length in bytes.
    pub bytes: u64,
    /// Body bytes read from sockets in this run.
    pub wire: u64,
    /// Some join rests on an overlap check alone.
    pub unproven: bool,
    /// Nothing proves the body's end.
    pub length_unknown: bool,
}

/// Why a download ended without its file, named by what the caller can do.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// No source is left: `url` failed with `failure` last. What is held is kept; asking later may help.
    Source {
        /// The URL.
        url: String,
        /// Its last failure.
        failure: Failure,
    },
    /// No source is left, and `url` gave something before: its link has expired. What is held is kept; another URL of
    /// the same file goes on with it.
    Expired {
        /// The URL as it was given.
        url: String,
        /// Its last failure.
        failure: Failure,
    },
    /// The URL that was to stand for an expired one has another file. What is held was not touched.
    OtherFile {
        /// The URL.
        url: String,
        /// What differs, in words.
        what: String,
    },
    /// A file operation failed. What is held is kept; make room or change the place.
    Disk(DiskError),
    /// The file changed more often than the limit allows. Ask when the origin is at rest.
    Changed {
        /// The URL.
        url: String,
    },
    /// The whole file has another digest; it is kept under its part name.
    Digest {
        /// Wanted, in hex.
        want: String,
        /// Got, in hex.
        got: String,
    },
    /// No signature that was wanted holds of the whole file; it is kept under its part name.
    Signature(String),
    /// None is needed: the file that is there is still what the source has ([`JobSpec::unless`](crate::JobSpec)).
    Unchanged,
    /// `--strict`: nothing proves the body's end.
    LengthUnknown,
    /// `--strict`: a join would rest on an overlap check alone.
    Unproven,
    /// The file is larger than `--max-size`.
    TooLarge {
        /// Announced or reached size.
        size: u64,
    },
}

/// A failed file operation: the fault, and the text that names the file and the reason.
pub type DiskError = (crate::failure::DiskFault, String);
