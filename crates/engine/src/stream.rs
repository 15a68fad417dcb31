//! What stands between lanes and a consumer in order: bytes that came early wait here, in memory, until it is their turn.
//!
//! Slabs come from a pool of the window's size. One more is kept for whoever brings the next bytes: bytes ahead of them
//! could fill the pool, in slabs that are not full, and then nobody could ever empty it.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use thence_plan::{Failure, Limits, WantedDigest};
use tokio::sync::Notify;

use crate::sink::Sink;
use crate::write::{HAND, Pool, Slab};

/// A stream on its way.
pub(crate) struct Stream {
    sink: Sink,
    pool: Pool,
    next: Pool,
    state: RefCell<State>,
    /// Slabs came back, or the next byte is another one.
    moved: Notify,
}

#[derive(Default)]
struct State {
    /// What waits, by the offset of its first byte.
    landed: BTreeMap<u64, Slab>,
    /// Where the next bytes to be given on begin.
    given: u64,
    /// Where the bytes that came without a gap end.
    edge: u64,
    giving: bool,
    /// The consumer takes no more.
    broken: bool,
}

/// What came of giving on.
pub(crate) type Told = Result<u64, Failure>;

impl Stream {
    pub(crate) fn new(sink: Sink, limits: &Limits) -> Stream {
        let size = usize::try_from(limits.window).unwrap_or(usize::MAX).max(limits.slab);
        let (pool, next) = (Pool::new(size, limits.slab), Pool::new(limits.slab, limits.slab));
        Stream { sink, pool, next, state: RefCell::default(), moved: Notify::new() }
    }

    /// Bytes at this offset are the next ones: somebody may wait for them.
    pub(crate) fn is_edge(&self, at: u64) -> bool {
        self.state.borrow().edge == at
    }

    /// An empty slab for bytes from `at` on, if there is one for them now.
    pub(crate) fn try_slab(&self, at: u64) -> Option<Slab> {
        self.pool.try_take().or_else(|| if self.is_edge(at) { self.next.try_take() } else { None })
    }

    /// Waits for one. Cancel safe.
    pub(crate) async fn slab(&self, at: u64) -> Slab {
        loop {
            // Everybody is on one thread: nothing moves between the look and the wait.
            if let Some(slab) = self.try_slab(at) {
                return slab;
            }
            self.moved.notified().await;
        }
    }

    /// Takes bytes that belong at `at`. What is the next is given on at once; `tell` hears how far, or that the consumer
    /// takes no more.
    pub(crate) fn land(self: &Rc<Self>, at: u64, slab: Slab, tell: impl Fn(Told) + 'static) {
        if self.state.borrow_mut().land(at, slab) {
            self.moved.notify_waiters();
            let stream = self.clone();
            tokio::task::spawn_local(async move { stream.give(tell).await });
        }
    }

    /// Gives on what waits without a gap, until there is none.
    async fn give(&self, tell: impl Fn(Told)) {
        loop {
            let Some((upto, slabs)) = self.state.borrow_mut().next() else { return };
            let written = self.sink.write(slabs).await;
            let failed = written.is_err();
            tell(written.map(|()| upto));
            self.state.borrow_mut().gave(failed);
            self.moved.notify_waiters();
        }
    }

    /// What waits from here on counts no more.
    pub(crate) fn forget(&self, from: u64) {
        self.state.borrow_mut().landed.retain(|&at, _| at < from);
        self.moved.notify_waiters();
    }

    /// Flushes; returns the digest if one is made.
    pub(crate) async fn finish(&self) -> Result<Option<WantedDigest>, Failure> {
        self.sink.finish().await
    }
}

impl State {
    /// True if somebody is to begin to give on.
    fn land(&mut self, at: u64, slab: Slab) -> bool {
        if self.broken {
            return false;
        }
        // A lane that broke off left a slab that is not full: what follows joins it there, or slabs would run short.
        match self.landed.range_mut(..at).next_back() {
            Some((&before, last)) if last.fits_behind(at - before, &slab) => _ = last.put(slab.bytes()),
            _ => _ = self.landed.insert(at, slab),
        }
        let before = self.edge;
        while let Some((&at, slab)) = self.landed.range(..=self.edge).next_back() {
            let end = at + slab.bytes().len() as u64;
            if end <= self.edge {
                break;
            }
            self.edge = end;
        }
        self.edge > before && !std::mem::replace(&mut self.giving, true)
    }

    /// The next slabs to give on, and where they end; `None` ends the giving.
    fn next(&mut self) -> Option<(u64, Vec<Slab>)> {
        let mut slabs = Vec::new();
        while slabs.len() < HAND
            && !self.broken
            && let Some(slab) = self.landed.remove(&self.given)
        {
            self.given += slab.bytes().len() as u64;
            slabs.push(slab);
        }
        self.giving = !slabs.is_empty();
        self.giving.then_some((self.given, slabs))
    }

    fn gave(&mut self, failed: bool) {
        self.broken |= failed;
        if self.broken {
            self.landed.clear();
        }
    }
}
