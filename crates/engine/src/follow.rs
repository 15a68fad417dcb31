//! A digest that is made while its file comes, as far as everything from byte 0 on is there: at the end little is left to be
//! read, and that comes from memory.
//!
//! What was fed must stay as it was. The planner says of blocks that are not what they should be, before others are stored in
//! their places; whoever hears of that says `spoilt`.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::file::PartFile;
use crate::verify::{Digester, apart};

/// It is fed when so much is there: reading a few pages at a time would cost more than it gains.
const STEP: u64 = 4 << 20;

/// ... and so much at once, so that what was found wrong meanwhile is not waited for.
const BITE: u64 = 16 << 20;

/// A digest in the making. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Follower {
    algorithm: Rc<str>,
    /// `None` when it could not be fed.
    made: Rc<Mutex<Option<Digester>>>,
    /// Everything before this was fed, or is being fed.
    upto: Rc<Cell<u64>>,
}

impl Follower {
    /// Of nothing yet.
    pub(crate) fn new(algorithm: &str) -> Follower {
        let made = Rc::new(Mutex::new(Digester::new(algorithm)));
        Follower { algorithm: algorithm.into(), made, upto: Rc::default() }
    }

    /// What it computes.
    pub(crate) fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// Where it ends, unless it is being fed.
    pub(crate) fn rests_at(&self) -> Option<u64> {
        self.made.try_lock().ok()?.as_ref().map(Digester::at)
    }

    /// How far it is to be fed, now that everything before `held` is there.
    pub(crate) fn next(&self, held: u64) -> Option<u64> {
        let at = self.upto.get();
        (held >= at + STEP).then(|| held.min(at + BITE))
    }

    /// The bytes from there on are not to be trusted.
    pub(crate) fn spoilt(&mut self, from: u64) {
        if from < self.upto.get() {
            *self = Follower::new(&self.algorithm);
        }
    }

    /// Feeds it up to there.
    pub(crate) async fn feed(&self, part: Arc<PartFile>, upto: u64) {
        let mut made = self.made.lock().await;
        let Some(mut digester) = made.take() else { return };
        self.upto.set(upto);
        let fed = apart(move || digester.feed(&part, upto).map(|()| digester)).await;
        *made = fed.ok().and_then(Result::ok);
    }

    /// What was made so far, once it is not being fed.
    pub(crate) async fn made(&self) -> Option<Digester> {
        self.made.lock().await.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::place;
    use crate::file::tests::{dir, draft};

    #[tokio::test]
    async fn what_is_fed_in_bites_has_the_digest_of_the_whole_and_what_is_spoilt_begins_anew() {
        let dir = dir();
        let pair = place(&draft(dir.path())).unwrap();
        let bytes: Vec<u8> = (0..20u32 << 20).map(|n| (n >> 7) as u8).collect();
        pair.part.write_at(0, &mut [std::io::IoSlice::new(&bytes)]).unwrap();
        let mut follower = Follower::new("sha-256");
        assert_eq!((follower.next(STEP - 1), follower.next(STEP)), (None, Some(STEP)));
        assert_eq!(follower.next(1 << 40), Some(BITE));
        follower.feed(pair.part.clone(), BITE).await;
        assert_eq!((follower.rests_at(), follower.next(BITE + 1)), (Some(BITE), None));
        follower.spoilt(BITE);
        assert_eq!(follower.rests_at(), Some(BITE), "nothing of that was fed");
        let mut digester = follower.made().await.unwrap();
        digester.feed(&pair.part, bytes.len() as u64).unwrap();
        let mut whole = Digester::new("sha-256").unwrap();
        whole.update(&bytes);
        assert_eq!(digester.finish(), whole.finish());
        let mut follower = Follower::new("sha-256");
        follower.feed(pair.part.clone(), BITE).await;
        follower.spoilt(BITE - 1);
        assert_eq!(follower.rests_at(), Some(0));
    }

    #[tokio::test]
    async fn a_part_that_is_too_short_ends_it() {
        let dir = dir();
        let pair = place(&draft(dir.path())).unwrap();
        let follower = Follower::new("md5");
        follower.feed(pair.part.clone(), 1 << 40).await;
        assert!(follower.rests_at().is_none() && follower.made().await.is_none());
    }
}
