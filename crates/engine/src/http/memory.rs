//! What a client remembers of servers and URLs, in bounds.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// Items at most; far more than a run meets.
const REMEMBERED: usize = 4_096;

/// A bounded set. One that is full learns nothing more.
pub(super) struct Memory<T>(Mutex<HashSet<T>>);

impl<T> Default for Memory<T> {
    fn default() -> Memory<T> {
        Memory(Mutex::default())
    }
}

impl<T: Eq + Hash> Memory<T> {
    /// Whether it may be in the set: one that is full says so of everything, for uses that are safe when in doubt.
    pub(super) fn knows<Q: Hash + Eq + ?Sized>(&self, item: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(item) || known.len() >= REMEMBERED
    }

    /// Whether it is in the set.
    pub(super) fn holds(&self, item: &T) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(item)
    }

    /// Learns it; whether it was not in the set.
    pub(super) fn is_new(&self, item: &T) -> bool
    where
        T: Clone,
    {
        let new = !self.holds(item);
        if new {
            self.learn(item.clone());
        }
        new
    }

    pub(super) fn learn(&self, item: T) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < REMEMBERED {
            known.insert(item);
        }
    }
}
