//! One download as its caller sees it.

use std::path::PathBuf;

use thence_plan::{Event, Progress};

use crate::error::Error;

/// A finished download.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Done {
    /// The file; `None` for a stream.
    pub path: Option<PathBuf>,
    /// Its length in bytes.
    pub bytes: u64,
    /// Body bytes read from sockets in this run.
    pub wire_bytes: u64,
    /// Digest that was asked for and found right: algorithm and hex.
    pub digest: Option<(String, String)>,
    /// Some join rests on an overlap check alone.
    pub unproven: bool,
    /// Nothing proves the body's end.
    pub length_unknown: bool,
    /// The finished file was there already; nothing was fetched.
    pub already: bool,
}

/// A download under way. Dropping it cancels; what is held stays for the next run.
pub struct Download {
    _private: (),
}

impl Download {
    /// The next event; `None` when the download is over.
    pub async fn event(&mut self) -> Option<Event> {
        None
    }

    /// How far it is now.
    pub fn progress(&self) -> Progress {
        Progress::default()
    }

    /// Ends all lanes and keeps everything; `Event::Paused` comes when it is at rest on the disk.
    pub fn pause(&self) {}

    /// Goes on after a pause.
    pub fn resume(&self) {}

    /// Adds another URL for the same bytes.
    pub fn add_source(&self, _url: &str) {}

    /// Stops and forgets the download, and keeps part and journal.
    pub fn cancel(&self) {}

    /// Waits for the end.
    pub async fn wait(&mut self) -> Result<Done, Error> {
        Err(Error::Cancelled)
    }

    /// Where the part stands (`DIR/NAME.part`), once the name is settled.
    pub fn part(&self) -> Option<PathBuf> {
        None
    }
}
