//! What every liar is made of.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::honest::{Answer, Shared};
use crate::reply::Reply;
use crate::request::Request;

/// A closure for [`crate::Origin::start`].
pub type Handler = Box<dyn Fn(&Request, &mut Reply) + Send + Sync>;

/// What a client must make of a behaviour that it meets on a download from byte 0 and again on a resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Exit 0 and the bytes that the file has at the end.
    Whole,
    /// The same, and it says that no validator proves the join, if it joined at all.
    Unproven,
    /// The same, and it says that nothing proves the length; refused with `--strict`.
    LengthUnknown,
    /// A typed error, nothing published, what was held is kept.
    Refused,
}

/// A way to lie.
pub struct Behaviour {
    /// The test case, in lower case and with its sub-case: `rng_19_c`.
    pub id: &'static str,
    /// What the server does.
    pub what: &'static str,
    /// What must come of it.
    pub end: End,
    /// Only meaningful over TLS.
    pub tls: bool,
    build: fn(&Shared) -> Handler,
}

impl Behaviour {
    /// A handler that serves `file` in this way.
    pub fn handler(&self, file: &Shared) -> Handler {
        (self.build)(file)
    }

    pub(super) const fn over_tls(mut self) -> Behaviour {
        self.tls = true;
        self
    }
}

impl fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.id, self.what)
    }
}

/// A row of the tables.
pub(super) const fn row(
    id: &'static str,
    what: &'static str,
    end: End,
    build: fn(&Shared) -> Handler,
) -> Behaviour {
    Behaviour { id, what, end, tls: false, build }
}

/// How often a lie that leaves no way out is told before the server turns honest.
pub(super) const TWICE: usize = 2;

/// A lie that is told so many times.
pub(super) struct Lies(AtomicUsize);

impl Lies {
    pub(super) fn new(times: usize) -> Lies {
        Lies(AtomicUsize::new(times))
    }

    /// Whether to lie once more.
    pub(super) fn more(&self) -> bool {
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }
}

/// Sends honest answers, bent.
pub(super) fn bent(file: &Shared, bend: impl Fn(&Request, &mut Answer) + Send + Sync + 'static) -> Handler {
    let file = file.clone();
    Box::new(move |request, out| {
        let mut answer = file.now().answer(request);
        bend(request, &mut answer);
        answer.send(request, out);
    })
}

/// Bends `times` of the 206 answers to ranges that do not start at 0, which a second lane or a resume asks for.
pub(super) fn bent_parts(
    file: &Shared,
    times: usize,
    bend: impl Fn(&Request, &mut Answer) + Send + Sync + 'static,
) -> Handler {
    let lies = Lies::new(times);
    bent(file, move |request, answer| {
        if answer.status == 206 && request.first() > 0 && lies.more() {
            bend(request, answer);
        }
    })
}

/// Sends `times` answers its own way, then honest ones.
pub(super) fn own(
    file: &Shared,
    times: usize,
    send: impl Fn(&Request, &Answer, &mut Reply) + Send + Sync + 'static,
) -> Handler {
    let (file, lies) = (file.clone(), Lies::new(times));
    Box::new(move |request, out| {
        let answer = file.now().answer(request);
        if lies.more() { send(request, &answer, out) } else { answer.send(request, out) }
    })
}
