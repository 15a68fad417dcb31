//! What the driver keeps of one job: its files, its lanes' controls, its records on their way to the journal.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use thence_plan::{
    Ask, Condition, Event, Exists, Held, Identity, LaneId, Limits, Progress, Record, SMALL_ASKED, SourceId,
    Stamp,
};
use tokio::sync::{mpsc, oneshot};

use crate::error::Error;
use crate::file::{Draft, Pair};
use crate::find;
use crate::lane::{Control, Got, Place};
use crate::options::Checksum;
use crate::orders::{Done, Ticket, Window};
use crate::secret::{Fields, Secret};
use crate::stream::Stream;
use crate::sys::Dir;
use crate::toll::Rate;
use crate::verify::Checker;
use crate::write::OpenBlock;

/// What every request of a job carries.
pub(crate) struct Asking {
    /// The URL whose origin the headers and credentials were given for, a source each.
    pub(crate) urls: Vec<String>,
    pub(crate) headers: Arc<Fields>,
    pub(crate) user: Option<Arc<(String, Secret)>>,
}

/// What the finished file is to be.
pub(crate) struct Aim {
    /// Of a file; a stream has none.
    pub(crate) dir: Option<Dir>,
    pub(crate) exists: Exists,
    /// Another program's partial file at the final name, whose place this file may take.
    pub(crate) replaces: Option<Stamp>,
    pub(crate) remote_time: bool,
    pub(crate) mode: u32,
    pub(crate) checksum: Option<Checksum>,
    /// Headers whose values go to the journal, and those of which only a hash does.
    pub(crate) kept: Vec<(String, String)>,
    pub(crate) secret: Fields,
    /// The certificate is not verified.
    pub(crate) insecure: bool,
}

impl Aim {
    /// A pair with a journal, for blocks of 1 MiB of a file of which nothing is known yet. `None` for a stream.
    pub(crate) fn draft(&self, name: &str, url: &str, limits: &Limits) -> Option<Draft> {
        Some(Draft {
            dir: self.dir.clone()?,
            name: name.to_owned(),
            exists: self.exists,
            replaces: None,
            url: url.to_owned(),
            headers: self.kept.clone(),
            secrets: self.secret.clone(),
            identity: Identity::default(),
            block_size: thence_plan::block_size(None),
            journal: true,
            digest: self.checksum.clone(),
            insecure: self.insecure,
            limits: limits.clone(),
        })
    }
}

/// Who is told, and how.
pub(crate) struct Caller {
    pub(crate) ticket: Ticket,
    pub(crate) tell: mpsc::UnboundedSender<Event>,
    pub(crate) done: Option<oneshot::Sender<Result<Done, Error>>>,
    pub(crate) window: Arc<Mutex<Window>>,
    /// The answer to its first request, if that was made already.
    pub(crate) got: Option<Box<Got>>,
}

/// A pair under work.
pub(crate) struct Files {
    pub(crate) pair: Arc<Pair>,
    pub(crate) block_size: u32,
    pub(crate) total: Option<u64>,
    pub(crate) identity: Identity,
    pub(crate) checker: Arc<Mutex<Checker>>,
}

impl Files {
    /// A pair that is gone on with, and what is held in it.
    pub(crate) fn of(work: find::Work) -> (Files, Held) {
        let find::Work { pair, held, .. } = work;
        (Files::new(pair, held.block_size, held.identity.clone()), held)
    }

    /// A pair.
    pub(crate) fn new(pair: Pair, block_size: u32, identity: Identity) -> Files {
        let checker = Checker::new(pair.part.clone(), block_size);
        Files {
            block_size,
            total: identity.total,
            identity,
            checker: Arc::new(Mutex::new(checker)),
            pair: Arc::new(pair),
        }
    }
}

/// What waits for the journal's records to be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Sync,
    Finish { total: u64 },
}

/// One job.
pub(crate) struct Work {
    pub(crate) asking: Asking,
    pub(crate) aim: Aim,
    pub(crate) caller: Caller,
    pub(crate) files: Option<Files>,
    pub(crate) stream: Option<Rc<Stream>>,
    pub(crate) lanes: BTreeMap<LaneId, Rc<Control>>,
    /// Its own rate limit.
    pub(crate) rate: Rc<Rate>,
    /// Hash states of blocks that some lane stopped in.
    pub(crate) open: BTreeMap<u32, OpenBlock>,
    /// Records not yet appended; one append is under way at most.
    pub(crate) batch: Vec<Record>,
    /// Bytes that they cover.
    pub(crate) covered: u64,
    pub(crate) appending: bool,
    pub(crate) next: Option<Next>,
    pub(crate) cancelled: bool,
    /// How it ended, until its last records are appended.
    pub(crate) ending: Option<Result<Done, Error>>,
}

impl Work {
    /// Where a lane's bytes go; `None` before the files are made.
    pub(crate) fn place(&self) -> Option<Place> {
        if let Some(stream) = &self.stream {
            return Some(Place::Stream(stream.clone()));
        }
        let files = self.files.as_ref()?;
        Some(Place::Part { part: files.pair.part.clone(), block_size: files.block_size, total: files.total })
    }

    /// The hash state at `at`: of the block that another lane stopped in, or of a new one.
    pub(crate) fn open_at(&mut self, at: u64) -> OpenBlock {
        let Some(files) = &self.files else { return OpenBlock::new() };
        let size = u64::from(files.block_size);
        if at.is_multiple_of(size) {
            return OpenBlock::new();
        }
        let left = self.open.remove(&((at / size) as u32));
        left.filter(|open| u64::from(open.upto()) == at % size).unwrap_or_else(OpenBlock::new)
    }

    /// The answer that is here already, if this is the request it is of. Whatever else is asked first, it is of no use.
    pub(crate) fn got(&mut self, source: SourceId, url: &str, ask: &Ask) -> Option<Got> {
        let got = self.caller.got.take()?;
        let asked = ask.range == SMALL_ASKED && ask.condition == Condition::None && !ask.fresh;
        (asked && source.0 == 0 && self.asking.urls.first().is_some_and(|first| first == url)).then_some(*got)
    }

    pub(crate) fn tell(&self, event: Event) {
        // A caller that no longer listens misses nothing it wants.
        let _ = self.caller.tell.send(event);
    }

    pub(crate) fn show(&self, progress: Progress) {
        let mut window = self.caller.window.lock().unwrap_or_else(PoisonError::into_inner);
        window.progress = progress;
        window.part = self.files.as_ref().map(|files| files.pair.part_path());
    }

    pub(crate) fn end(&mut self, result: Result<Done, Error>) {
        if let Some(done) = self.caller.done.take() {
            let _ = done.send(result);
        }
    }
}
