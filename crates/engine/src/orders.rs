//! What passes between a caller and the driver: orders one way, a window and an end the other.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use thence_plan::{Command, Event, Progress};
use tokio::sync::{mpsc, oneshot};

use crate::error::Error;
use crate::options::Request;

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
    /// Some join rests on an overlap check alone.
    pub unproven: bool,
    /// Nothing proves the body's end.
    pub length_unknown: bool,
    /// The finished file was there already; nothing was fetched.
    pub already: bool,
}

/// What callers want.
pub(crate) enum Order {
    Start(Box<Start>),
    Command(Ticket, Command),
    Cancel(Ticket),
    Close(oneshot::Sender<()>),
}

/// A download to be started.
pub(crate) struct Start {
    pub(crate) ticket: Ticket,
    pub(crate) request: Request,
    pub(crate) tell: mpsc::UnboundedSender<Event>,
    pub(crate) done: oneshot::Sender<Result<Done, Error>>,
    pub(crate) window: Arc<Mutex<Window>>,
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
