//! Rate limits: one for everything, one for each host, one for each download. A lane pays at each of them for what it
//! reads, before it reads it; what it read unasked (a head, and what came with it) it pays for before it goes on.
//!
//! It does not wait: it says when to come back. And it keeps no clock for stalls: whoever waits here does not read, and
//! whoever does not read cannot find its socket silent.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::time::Instant;

use thence_plan::{Bucket, Grant, origin_of};

#[cfg(test)]
mod tests;

/// Hosts after which those that nobody talks to any more are forgotten.
const HOSTS: usize = 64;

/// A limit that may be set, changed and taken away while lanes go by it.
#[derive(Debug, Default)]
pub(crate) struct Rate(RefCell<Option<Bucket>>);

impl Rate {
    pub(crate) fn new(rate: Option<u64>) -> Rc<Rate> {
        Rc::new(Rate(RefCell::new(rate.map(Bucket::new))))
    }

    /// From now on so many bytes a second; `None` for no limit.
    pub(crate) fn set(&self, now: Instant, rate: Option<u64>) {
        let mut bucket = self.0.borrow_mut();
        match (&mut *bucket, rate) {
            (Some(bucket), Some(rate)) => bucket.set_rate(now, rate),
            (bucket, rate) => *bucket = rate.map(Bucket::new),
        }
    }

    fn take(&self, now: Instant, want: u64) -> Grant {
        self.0.borrow_mut().as_mut().map_or(Grant { bytes: want, at: now }, |bucket| bucket.take(now, want))
    }

    fn give_back(&self, bytes: u64) {
        if let Some(bucket) = &mut *self.0.borrow_mut() {
            bucket.give_back(bytes);
        }
    }
}

/// The limits of a run.
pub(crate) struct Rates {
    all: Rc<Rate>,
    host: Cell<Option<u64>>,
    hosts: RefCell<BTreeMap<String, Weak<Rate>>>,
}

impl Rates {
    pub(crate) fn new(all: Option<u64>, host: Option<u64>) -> Rates {
        Rates { all: Rate::new(all), host: Cell::new(host), hosts: RefCell::default() }
    }

    pub(crate) fn set_all(&self, now: Instant, rate: Option<u64>) {
        self.all.set(now, rate);
    }

    /// Of each host, known and yet unknown.
    pub(crate) fn set_host(&self, now: Instant, rate: Option<u64>) {
        self.host.set(rate);
        self.hosts.borrow().values().filter_map(Weak::upgrade).for_each(|host| host.set(now, rate));
    }

    /// What a lane pays that reads from `url` for a download with this limit of its own.
    pub(crate) fn toll(&self, url: &str, own: Rc<Rate>) -> Toll {
        Toll { gates: [own, self.host_of(url), self.all.clone()], turn: None, paid: 0, used: 0 }
    }

    /// Whether anything limits a download with this limit of its own.
    pub(crate) fn limit(&self, own: &Rate) -> bool {
        let set = |rate: &Rate| rate.0.borrow().is_some();
        set(own) || set(&self.all) || self.host.get().is_some()
    }

    /// The limit of a URL's host: scheme, name and port. Where it is asked for again after everybody had left, it begins
    /// as a new one.
    fn host_of(&self, url: &str) -> Rc<Rate> {
        let mut hosts = self.hosts.borrow_mut();
        let host = origin_of(url).unwrap_or_default();
        if let Some(rate) = hosts.get(&host).and_then(Weak::upgrade) {
            return rate;
        }
        if hosts.len() >= HOSTS {
            hosts.retain(|_, rate| rate.strong_count() > 0);
        }
        let rate = Rate::new(self.host.get());
        hosts.insert(host, Rc::downgrade(&rate));
        rate
    }
}

/// The answer to a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// So many bytes may be read now.
    Upto(u64),
    /// Come back then.
    At(Instant),
}

/// One lane's way through the limits. It asks all of them at once, and waits for the last.
#[derive(Debug)]
pub(crate) struct Toll {
    gates: [Rc<Rate>; 3],
    /// Bytes that every gate has granted for a moment that is yet to come.
    turn: Option<(u64, Instant)>,
    /// Bytes whose turn came, and those that were read.
    paid: u64,
    used: u64,
}

impl Toll {
    /// So many bytes were read in all.
    pub(crate) fn used(&mut self, bytes: u64) {
        self.used = bytes;
    }

    /// A limit may have changed: what was granted and not used is given back, or a lane could read a turn of the old rate.
    pub(crate) fn anew(&mut self) {
        let spare = self.paid.saturating_sub(self.used);
        let turn = self.turn.take().map_or(0, |(bytes, _)| bytes);
        self.gates.iter().for_each(|gate| gate.give_back(spare + turn));
        self.paid -= spare;
    }

    /// Nothing limits it now.
    pub(crate) fn is_free(&self) -> bool {
        self.gates.iter().all(|gate| gate.0.borrow().is_none())
    }

    /// May `want` bytes be read? First what was read unasked is paid for; with a `want` of 0 that is all.
    pub(crate) fn pass(&mut self, now: Instant, want: u64) -> Pass {
        if self.is_free() {
            (self.turn, self.paid) = (None, self.used);
            return Pass::Upto(if want == 0 { 0 } else { u64::MAX });
        }
        while self.paid < self.used.saturating_add(want.min(1)) {
            let (bytes, at) = match self.turn {
                Some(turn) => turn,
                None => self.ask(now, self.used.saturating_add(want) - self.paid),
            };
            if at > now {
                self.turn = Some((bytes, at));
                return Pass::At(at);
            }
            (self.turn, self.paid) = (None, self.paid + bytes);
        }
        Pass::Upto(self.paid - self.used)
    }

    /// Each gate grants as much as the one that grants least.
    fn ask(&self, now: Instant, want: u64) -> (u64, Instant) {
        let grants = self.gates.each_ref().map(|gate| gate.take(now, want));
        let bytes = grants.iter().map(|grant| grant.bytes).min().unwrap_or(want);
        let more = |grant: &Grant| grant.bytes - bytes;
        self.gates.iter().zip(&grants).for_each(|(gate, grant)| gate.give_back(more(grant)));
        (bytes, grants.iter().map(|grant| grant.at).max().unwrap_or(now))
    }
}

/// A lane that ends needs no more.
impl Drop for Toll {
    fn drop(&mut self) {
        self.anew();
    }
}
