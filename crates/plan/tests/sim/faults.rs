//! What goes wrong beside single answers, and how often each kind of it did: one that never fires proves nothing.

use std::fmt::Write;

use super::lies::{LIES, Lie};

macro_rules! faults {
    ($($(#[$doc:meta])* $kind:ident),* $(,)?) => {
        /// One way in which the world goes wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault { $($(#[$doc])* $kind),* }

        /// All of them.
        pub const FAULTS: &[Fault] = &[$(Fault::$kind),*];
    };
}

faults! {
    /// The process dies.
    Kill,
    /// It dies again while it recovers.
    CrashLoop,
    /// The power goes; the kinds up to `SyncLie` are what that may do to a write nobody synced.
    PowerCut,
    WriteLost,
    Torn512,
    Torn4096,
    Reordered,
    /// The disk says that it synced, and did not.
    SyncLie,
    SyncError,
    WriteError,
    /// Making the files or publishing them fails.
    WalkError,
    DiskFull,
    /// A write lands elsewhere, unseen until the next process.
    Misdirected,
    Rot,
    SlowDisk,
    /// The file becomes another one.
    Flip,
    /// Every answer may come of another version: a cluster whose nodes are not of one mind.
    Split,
    /// It becomes the first one again.
    FlipBack,
    /// A signed target has expired.
    Expired,
    /// A signed target works once.
    UsedUp,
    /// Another node of a cluster answers, with tags of its own.
    OtherNode,
    /// A host refuses one lane more.
    Crowded,
    /// A host asks to be left alone for a while.
    RetryAfter,
    /// A mirror has another file.
    LyingMirror,
    /// A server answers nothing but errors, for ever.
    Dead,
    /// The user pauses and goes on.
    Pause,
    /// The user wants another number of lanes.
    Lanes,
}

/// How often each kind fired.
#[derive(Clone, Debug)]
pub struct Counts {
    faults: [u64; FAULTS.len()],
    lies: [u64; LIES.len()],
}

impl Default for Counts {
    fn default() -> Counts {
        Counts { faults: [0; FAULTS.len()], lies: [0; LIES.len()] }
    }
}

impl Counts {
    pub fn hit(&mut self, fault: Fault) {
        self.faults[fault as usize] += 1;
    }

    pub fn lied(&mut self, lie: Lie) {
        self.lies[lie as usize] += 1;
    }

    pub fn add(&mut self, other: &Counts) {
        self.faults.iter_mut().zip(other.faults).for_each(|(sum, n)| *sum += n);
        self.lies.iter_mut().zip(other.lies).for_each(|(sum, n)| *sum += n);
    }

    fn all(&self) -> impl Iterator<Item = (String, u64)> {
        let faults = FAULTS.iter().map(|kind| format!("{kind:?}")).zip(self.faults);
        faults.chain(LIES.iter().map(|kind| format!("{kind:?}")).zip(self.lies))
    }

    /// Kinds that never fired.
    pub fn idle(&self) -> Vec<String> {
        self.all().filter(|(_, n)| *n == 0).map(|(kind, _)| kind).collect()
    }

    /// Every kind with its number, for people.
    pub fn report(&self) -> String {
        self.all().fold(String::from("faults:"), |mut out, (kind, n)| {
            let _always = write!(out, " {kind} {n}");
            out
        })
    }
}
