//! What the driver keeps of one job: its files, its lanes' controls, its records on their way to the journal.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use thence_plan::{
    Ask, Condition, Event, Exists, Held, Identity, LaneId, Limits, Pieces, Progress, Record, SMALL_ASKED,
    SourceId, Stamp,
};
use tokio::sync::{mpsc, oneshot};

use crate::error::Error;
use crate::file::{Draft, Pair};
use crate::find;
use crate::finish::Proofs;
use crate::follow::Follower;
use crate::http::{Nodes, Proxies};
use crate::lane::{Control, Got, Place};
use crate::options::{Checksum, Request};
use crate::orders::{Done, Ticket, Window};
use crate::publish::{Finish, mtime};
use crate::secret::{Fields, Secret};
use crate::signature::Signature;
use crate::standing::Standing;
use crate::stream::Stream;
use crate::sys::{Dir, Facts};
use crate::toll::Rate;
use crate::verify::Checker;
use crate::write::OpenBlock;

/// What every request of a job carries.
pub(crate) struct Asking {
    /// The first URL.
    pub(crate) first: String,
    pub(crate) headers: Arc<Fields>,
    pub(crate) user: Option<Arc<(String, Secret)>>,
    pub(crate) proxies: Option<Arc<Proxies>>,
}

impl Asking {
    /// What the request says. Its headers come last, when it is known what an earlier run asked with.
    pub(crate) fn of(request: &Request, user: Option<(String, Secret)>) -> Result<Asking, Error> {
        Ok(Asking {
            first: request.urls.first().cloned().unwrap_or_default(),
            headers: Arc::default(),
            user: user.map(Arc::new),
            proxies: Proxies::own(request.proxy.as_ref())?,
        })
    }
}

/// What the finished file is to be.
pub(crate) struct Aim {
    /// Of a file; a stream has none.
    pub(crate) dir: Option<Dir>,
    /// The URL whose file it is.
    pub(crate) url: String,
    pub(crate) exists: Exists,
    /// Another program's partial file at the final name, whose place this file may take.
    pub(crate) adopted: Option<Stamp>,
    pub(crate) remote_time: bool,
    pub(crate) mode: u32,
    pub(crate) checksum: Option<Checksum>,
    pub(crate) pieces: Option<Arc<Pieces>>,
    pub(crate) signature: Option<Signature>,
    /// Only a version that is not there yet is wanted.
    pub(crate) only_if_changed: bool,
    /// The file that a newer version of it replaces.
    pub(crate) standing: Option<Standing>,
    /// What is told of it where there is no newer one.
    pub(crate) there: Option<Done>,
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
            replaces: self.replaces(name),
            adopted: None,
            url: url.to_owned(),
            headers: self.kept.clone(),
            secrets: self.secret.clone(),
            identity: Identity::default(),
            block_size: thence_plan::block_size(None),
            journal: true,
            digest: self.checksum.clone(),
            signature: self.signature.clone(),
            insecure: self.insecure,
            limits: limits.clone(),
        })
    }

    /// The file that what is published under this name replaces.
    pub(crate) fn replaces(&self, name: &str) -> Option<Facts> {
        self.standing.as_ref().filter(|standing| standing.name == name).map(|standing| standing.facts)
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
    /// The digest of the whole, in the making.
    pub(crate) follower: Option<Follower>,
    pub(crate) stream: Option<Rc<Stream>>,
    pub(crate) lanes: BTreeMap<LaneId, Rc<Control>>,
    /// The addresses that they are spread over.
    pub(crate) nodes: Arc<Nodes>,
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

    /// The digest that the whole must have: what the user gave counts, else what the server said of it (R50).
    pub(crate) fn wanted(&self) -> Option<&Checksum> {
        let said = self.files.as_ref().and_then(|files| files.identity.digest.as_ref());
        self.aim.checksum.as_ref().or(said)
    }

    /// The digest that follows what is stored, if one is wanted.
    pub(crate) fn follower(&mut self) -> Option<Follower> {
        let algorithm = self.wanted().filter(|_| self.stream.is_none())?.algorithm.clone();
        if self.follower.as_ref().is_none_or(|follower| follower.algorithm() != algorithm) {
            self.follower = Some(Follower::new(&algorithm));
        }
        self.follower.clone()
    }

    /// What it takes to make a file of what is held.
    pub(crate) fn whole(&self, total: u64, limits: &Limits) -> Option<(Arc<Pair>, Finish, Proofs)> {
        let files = self.files.as_ref()?;
        let finish = Finish {
            total,
            mode: self.aim.mode,
            mtime: mtime(self.aim.remote_time, &files.identity),
            url: self.aim.url.clone(),
            identity: files.identity.clone(),
            digest: None,
            replaces: self.aim.replaces(&files.pair.name),
            adopted: self.aim.adopted,
            exists: self.aim.exists,
            limits: limits.clone(),
        };
        let (digest, pieces) = (self.wanted().cloned(), self.aim.pieces.clone());
        let (begun, signature) = (self.follower.clone(), self.aim.signature.clone());
        Some((files.pair.clone(), finish, Proofs { digest, begun, pieces, signature }))
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
        (asked && source.0 == 0 && self.asking.first == url).then_some(*got)
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
