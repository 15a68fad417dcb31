//! What passes between a caller and the driver: orders one way, a window and an end the other.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex};

use thence_plan::{Command, Event, Name, Progress};
use tokio::sync::{mpsc, oneshot, watch};
use url::Url;

use crate::error::Error;
use crate::options::Request;
use crate::secret::Secret;
use crate::sys::Dir;

/// A finished download.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Done {
    /// The file; `None` for a stream.
    pub path: Option<PathBuf>,
    /// Its length in bytes.
    pub bytes: u64,
    /// Body bytes read from sockets in this run.
    pub wire_bytes: u64,
    /// Digest that was asked for, or that the server sent for the whole (`Repr-Digest`), and found right:
    /// algorithm and hex.
    pub digest: Option<(String, String)>,
    /// The media type that its server told, without parameters, in lower case; not told of what was there already.
    pub media: Option<String>,
    /// Who signed the whole, where a signature was asked for: `minisign:` and the key's number, `openpgp:` and its
    /// fingerprint.
    pub signed: Option<String>,
    /// Some join rests on an overlap check alone.
    pub unproven: bool,
    /// Nothing proves the body's end.
    pub length_unknown: bool,
    /// The finished file was there already; nothing was fetched.
    pub already: bool,
    /// ... and its source, which was asked, has no other version.
    pub unchanged: bool,
}

/// What callers want.
pub(crate) enum Order {
    Start(Box<Start>),
    Command(Ticket, Command),
    /// Another rate limit, in bytes a second.
    Limit(Whose, Option<u64>),
    Cancel(Ticket),
    List(Box<Listing>),
    Close(oneshot::Sender<()>),
}

/// What a rate limit is of.
pub(crate) enum Whose {
    /// Everything.
    All,
    /// Each host.
    Hosts,
    /// One download.
    One(Ticket),
}

/// A download to be started.
pub(crate) struct Start {
    pub(crate) ticket: Ticket,
    pub(crate) request: Request,
    pub(crate) tell: mpsc::UnboundedSender<Event>,
    pub(crate) done: oneshot::Sender<Result<Done, Error>>,
    pub(crate) window: Arc<Mutex<Window>>,
}

/// One download of a list.
pub struct Item {
    /// The caller's number for it; what is heard of it carries it.
    pub line: u64,
    /// What is wanted. Of a [`Target::File`](crate::Target::File) the name, if there is one, is made safe by the caller.
    pub request: Request,
    /// Directories below the target's, one name each; they are made if they are not there. No link is followed.
    pub below: Vec<String>,
}

/// A download that was looked at.
pub(crate) struct Looked {
    pub(crate) line: u64,
    pub(crate) request: Request,
    pub(crate) user: Option<Arc<(String, Secret)>>,
    pub(crate) found: Result<Found, Error>,
}

/// What there is of it.
pub(crate) enum Found {
    /// Nothing, and nothing stands where it will be: it may be fetched at once if it is small.
    Nothing {
        dir: Dir,
        /// The user's name if it is `chosen`, else the URL's.
        wanted: Name,
        chosen: bool,
        /// The request's first URL.
        url: Url,
    },
    /// Something, or nobody knows: a job will see: with the names of pairs in the directory that were begun with its URL.
    Something(Option<(Dir, Vec<String>)>),
    Already(Done),
}

/// What is heard of a list's downloads.
#[derive(Debug)]
pub enum Heard {
    /// Something happened on the way of a download that is no small file.
    Event(u64, Event),
    /// It is over; if well, the file is durable at its final name.
    Ended(u64, Result<Done, Error>),
}

/// A list to be fetched.
pub(crate) struct Listing {
    pub(crate) exactly: Option<u32>,
    pub(crate) feed: mpsc::Receiver<Vec<Looked>>,
    pub(crate) news: mpsc::UnboundedSender<Vec<Heard>>,
    pub(crate) shown: Arc<Shown>,
    pub(crate) stop: watch::Receiver<bool>,
}

/// What a list's driver shows its caller at any moment.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// Of those that are over, or fetched at once.
    pub(crate) wire: AtomicU64,
    pub(crate) active: AtomicU32,
    /// Of those that have jobs.
    pub(crate) windows: Mutex<BTreeMap<u64, Arc<Mutex<Window>>>>,
}

/// Names one download of one engine.
#[derive(Clone, Debug)]
pub(crate) struct Ticket(Arc<()>);

impl Ticket {
    pub(crate) fn new() -> Ticket {
        Ticket(Arc::new(()))
    }
}

impl PartialEq for Ticket {
    fn eq(&self, other: &Ticket) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What a download's driver shows its caller at any moment.
#[derive(Debug, Default)]
pub(crate) struct Window {
    pub(crate) progress: Progress,
    pub(crate) part: Option<PathBuf>,
}
