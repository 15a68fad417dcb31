//! One lane as the planner sees it: its range, how far it is, how fast it goes.

use std::time::{Duration, Instant};

use crate::digest::WantedDigest;
use crate::hosts::Gone;
use crate::limits::Limits;
use crate::machine::{Ask, SourceId};
use crate::response::Coding;

/// Bytes that a speed can be told by.
const TELLING: u64 = 64 << 10;

/// What a lane is doing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum State {
    /// Connecting and asking; no head yet.
    Asking,
    /// Its answer is good; it waits for the files, or for the lane it takes over from.
    Ready(Answer),
    /// Reading its body.
    Reading,
    /// It has brought its range, and its message goes on: perhaps with what nobody else can be sent for.
    Rested(Instant),
    /// `Close` was said.
    Closing,
}

/// What an accepted answer offers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    /// Offset of the body's first byte.
    pub(crate) from: u64,
    /// Offset after its last byte, if the message tells.
    pub(crate) end: Option<u64>,
    /// Compare what lies below the lane's start with what is held there.
    pub(crate) compare: bool,
    /// Codings to undo.
    pub(crate) codings: Vec<Coding>,
    /// What its content hashes to.
    pub(crate) digest: Option<WantedDigest>,
}

/// What a lane's bytes are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be stored.
    Store,
    /// To be compared with held bytes; nothing is stored.
    Prove,
}

/// One connection working on one range.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) source: SourceId,
    /// Origin it talks to, for the table of hosts.
    pub(crate) host: String,
    pub(crate) url: String,
    pub(crate) ask: Ask,
    pub(crate) purpose: Purpose,
    pub(crate) state: State,
    /// It has begun to read: its host serves it.
    pub(crate) served: bool,
    /// Offset of the accepted body's first byte.
    pub(crate) answer_from: u64,
    /// The range it owns. `end` is `u64::MAX` while unknown.
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Where its body ends: `end`, or below it where the answer brings less than was asked. The rest of the block
    /// it ends in stays the lane's until it has ended, since a block has one writer.
    pub(crate) due: u64,
    /// Where its message ends, which may be far beyond what it was left to own.
    pub(crate) reach: u64,
    /// Its answer told where the body ends.
    pub(crate) told: bool,
    /// Everything of its range below this is stored.
    pub(crate) stored: u64,
    /// The body is read up to here.
    pub(crate) read: u64,
    /// A complete length that counts once what was compared is equal.
    pub(crate) total: Option<u64>,
    /// `Narrow` was said and not answered.
    pub(crate) narrowing: bool,
    /// When `Narrow` was last answered.
    pub(crate) asked_to_narrow: Option<Instant>,
    /// Until when a rate limit of ours keeps it from reading.
    pub(crate) held: Option<Instant>,
    /// The late lane this one takes over from.
    pub(crate) victim: Option<crate::machine::LaneId>,
    /// How often its range was handed over, or was to be.
    pub(crate) handed: u32,
    /// When somebody was last asked to take it over.
    pub(crate) tried: Option<Instant>,
    pub(crate) opened: Instant,
    /// When it began to read.
    pub(crate) begun: Instant,
    /// From the request to the head: what a new connection costs.
    pub(crate) setup: Option<Duration>,
    speed: Speed,
}

impl Lane {
    pub(crate) fn new(
        source: SourceId,
        host: String,
        url: String,
        ask: Ask,
        range: (u64, u64),
        now: Instant,
    ) -> Lane {
        Lane {
            source,
            host,
            url,
            ask,
            purpose: Purpose::Store,
            state: State::Asking,
            served: false,
            answer_from: 0,
            start: range.0,
            end: range.1,
            due: range.1,
            reach: 0,
            told: true,
            stored: range.0,
            read: range.0,
            total: None,
            narrowing: false,
            asked_to_narrow: None,
            held: None,
            victim: None,
            handed: 0,
            tried: None,
            opened: now,
            begun: now,
            setup: None,
            speed: Speed { rate: 0.0, bytes: 0, since: now },
        }
    }

    /// It owns the bytes from `at` on, and stores next at `at`.
    pub(crate) fn stores(&self, at: u64) -> bool {
        self.served && self.purpose == Purpose::Store && self.victim.is_none() && self.stored == at
    }

    pub(crate) fn is_asking(&self) -> bool {
        self.state == State::Asking
    }

    pub(crate) fn is_reading(&self) -> bool {
        self.state == State::Reading
    }

    /// A rate limit of ours made it wait within the last two ticks: however slow it is, its source is fast enough, and
    /// another lane would wait as well (NET-12).
    pub(crate) fn is_held(&self, now: Instant, limits: &Limits) -> bool {
        self.held.is_some_and(|until| now < until + limits.tick * 2)
    }

    /// Its source gives it a body.
    pub(crate) fn is_serving(&self) -> bool {
        matches!(self.state, State::Reading | State::Rested(_))
    }

    /// How its host sees that it is gone.
    pub(crate) fn gone(&self) -> Gone {
        match self.served {
            false => Gone::Unserved,
            true if self.read < self.reach => Gone::Midway,
            true => Gone::Over,
        }
    }

    pub(crate) fn got(&mut self, at: u64, len: u64) {
        self.read = at;
        self.speed.bytes = self.speed.bytes.saturating_add(len);
    }

    /// Lets it own another range that its message brings, further on. True once it is ready to read.
    pub(crate) fn resume(&mut self, (start, end): (u64, u64), now: Instant) {
        let reach = (self.reach != u64::MAX).then_some(self.reach);
        let (from, codings) = (self.end, Vec::new());
        self.state = State::Ready(Answer { from, end: reach, compare: false, codings, digest: None });
        (self.start, self.stored, self.read, self.end) = (start, start, from, end);
        (self.opened, self.setup, self.asked_to_narrow) = (now, Some(Duration::ZERO), None);
    }

    /// Begins the measuring of a lane that starts to read.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.state = State::Reading;
        (self.served, self.begun) = (true, now);
        self.speed = Speed { rate: 0.0, bytes: 0, since: now };
    }

    pub(crate) fn measure(&mut self, now: Instant) {
        self.speed.measure(now);
    }

    /// Bytes a second, smoothed over a few ticks; 0 while unknown.
    pub(crate) fn rate(&self) -> f64 {
        self.speed.rate
    }

    /// Bytes a second over its whole body, if that was long enough to tell anything.
    pub(crate) fn average(&self, now: Instant) -> Option<f64> {
        let read = self.read.saturating_sub(self.start);
        let seconds = now.saturating_duration_since(self.opened + self.setup?).as_secs_f64();
        (read >= TELLING && seconds > 0.0).then(|| read as f64 / seconds)
    }

    /// Bytes it will yet read.
    pub(crate) fn remaining(&self) -> u64 {
        self.due.min(self.end).saturating_sub(self.read.max(self.start))
    }
}

/// A smoothed rate: each measurement counts a quarter, so a lane that fell silent fades within some ten ticks.
#[derive(Clone, Debug)]
struct Speed {
    rate: f64,
    bytes: u64,
    since: Instant,
}

impl Speed {
    fn measure(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.since).as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        let latest = self.bytes as f64 / seconds;
        self.rate = if self.rate == 0.0 { latest } else { self.rate + (latest - self.rate) / 4.0 };
        self.bytes = 0;
        self.since = now;
    }
}
