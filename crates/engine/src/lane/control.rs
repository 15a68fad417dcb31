//! What a lane is told: what to take, where to put it, where to stop.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use thence_plan::Take;
use tokio::sync::Notify;

use crate::file::PartFile;
use crate::stream::Stream;
use crate::toll::Rate;
use crate::write::OpenBlock;

/// Where a lane's bytes go.
#[derive(Clone)]
pub(crate) enum Place {
    /// To their offsets in a part.
    Part { part: Arc<PartFile>, block_size: u32, total: Option<u64> },
    /// In order to a consumer.
    Stream(Rc<Stream>),
}

/// What the planner said after the head.
pub(crate) struct Taking {
    pub(crate) take: Take,
    pub(crate) place: Place,
    /// Hash state of the block that `take.at` is in.
    pub(crate) open: OpenBlock,
}

/// How the driver steers a lane. Both live on one thread.
pub(crate) struct Control {
    /// Where to stop; moved by `narrow`.
    pub(super) end: Cell<u64>,
    /// Bytes below this are in slabs or written.
    pub(super) begun: Cell<u64>,
    block_size: Cell<u64>,
    pub(super) closing: Cell<bool>,
    /// The limit of its download.
    pub(super) rate: Rc<Rate>,
    pub(super) taking: RefCell<Option<Taking>>,
    /// The block that the lane is inside, and its hash state as far as it is written. Here, so that it outlives
    /// a lane that ends without a word, or before it heard its own.
    left: RefCell<Option<(u32, OpenBlock)>>,
    pub(super) wake: Notify,
}

impl Control {
    pub(crate) fn new(rate: Rc<Rate>) -> Rc<Control> {
        Rc::new(Control {
            end: Cell::new(u64::MAX),
            begun: Cell::new(0),
            block_size: Cell::new(1),
            closing: Cell::new(false),
            rate,
            taking: RefCell::new(None),
            left: RefCell::new(None),
            wake: Notify::new(),
        })
    }

    pub(crate) fn take(&self, taking: Taking) {
        self.end.set(taking.take.end.unwrap_or(u64::MAX));
        self.begun.set(taking.take.at);
        if let Place::Part { block_size, .. } = &taking.place {
            self.block_size.set(u64::from(*block_size));
            self.reach((taking.take.at / u64::from(*block_size)) as u32, &taking.open);
        }
        *self.taking.borrow_mut() = Some(taking);
        self.wake.notify_one();
    }

    /// Everything up to `open` in `block` is written.
    pub(super) fn reach(&self, block: u32, open: &OpenBlock) {
        *self.left.borrow_mut() = (open.upto() > 0).then(|| (block, open.clone()));
    }

    /// The block that the lane stopped in and its hash state, if it stopped inside one.
    pub(crate) fn left(&self) -> Option<(u32, OpenBlock)> {
        self.left.take()
    }

    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.wake.notify_one();
    }

    /// A rate limit is another one: who waits for the old one looks again.
    pub(crate) fn look_again(&self) {
        self.wake.notify_one();
    }

    /// Moves the end to `end`, but never into a block that is begun. Returns the end from now on.
    pub(crate) fn narrow(&self, end: u64) -> u64 {
        let size = self.block_size.get();
        let begun = self.begun.get().div_ceil(size).saturating_mul(size);
        let end = end.max(begun).min(self.end.get());
        self.end.set(end);
        self.wake.notify_one();
        end
    }
}
