//! One URL that may serve the file, and what was learnt of it in this run.

use std::time::Instant;

use crate::failure::Failure;
use crate::hosts::host_of;
use crate::identity::Identity;

/// Whether a source answers ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ranges {
    /// Not asked yet.
    Unknown,
    /// It gave a 206.
    Yes,
    /// It gave a 200 to a range, and again without `If-Range`; or it refuses `Range` altogether.
    No,
}

/// A source.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// As the user gave it: the identity (R14).
    pub(crate) url: String,
    /// The URL whose origin the user's fields are for: its own, unless the user did not name it (R58).
    pub(crate) given_for: String,
    /// What is asked instead, since `url` has expired; used until it fails.
    pub(crate) renewed: Option<String>,
    /// Where the redirects led; used until it fails.
    pub(crate) target: Option<String>,
    /// The host that answered last, behind whatever redirects.
    seen: Option<String>,
    pub(crate) ranges: Ranges,
    /// It answers 200 to `If-Range` though the validator is equal: plain ranges, and R20.
    pub(crate) plain: bool,
    /// Do not send `Range` at all (R3a, R23).
    pub(crate) unranged: bool,
    /// Failures in a row without progress.
    pub(crate) failures: u32,
    /// Not before this moment.
    pub(crate) retry: Option<Instant>,
    /// Expired, with this answer, and yet to be renewed.
    pub(crate) expired: Option<Failure>,
    /// The journal has what it was renewed to.
    pub(crate) noted: bool,
    /// Times it was renewed since it last gave something.
    pub(crate) renewals: u32,
    /// Given up, and why.
    pub(crate) dead: Option<Failure>,
    /// Answers in a row under another strong tag.
    pub(crate) doubts: u32,
    /// What it says of the file; a mirror's validators are its own (R53).
    pub(crate) identity: Option<Identity>,
    /// Most bytes it gave where more were asked.
    pub(crate) grant: Option<u64>,
    /// Stretches still to be compared before its bytes may be joined to held ones (R21, R9a).
    pub(crate) proofs: Vec<(u64, u64)>,
    /// Its bytes may be joined.
    pub(crate) proven: bool,
    /// Answers of it that were taken in this run. Until there is one, a lane asks alone, and for everything that
    /// follows; until there are two, it may be a link that works once.
    pub(crate) answers: u32,
    /// A lane was refused while another was being served.
    pub(crate) refused: bool,
    /// When it last refused a lane by what no waiting mends.
    pub(crate) turned_away: Option<Instant>,
    /// This machine lost its network after the source had answered: until it answers again, nothing counts as its
    /// failure, and one lane at a time asks.
    pub(crate) offline: bool,
    /// Bytes a second that a lane of it brings, once one did.
    pub(crate) rate: Option<f64>,
    /// Ask on a new connection: the last one stalled, or answered for another version.
    pub(crate) fresh: bool,
}

impl Source {
    /// One that the user named.
    pub(crate) fn new(url: String) -> Source {
        Source {
            given_for: url.clone(),
            url,
            renewed: None,
            target: None,
            seen: None,
            ranges: Ranges::Unknown,
            plain: false,
            unranged: false,
            failures: 0,
            retry: None,
            expired: None,
            noted: false,
            renewals: 0,
            dead: None,
            doubts: 0,
            identity: None,
            grant: None,
            proofs: Vec::new(),
            proven: false,
            answers: 0,
            refused: false,
            turned_away: None,
            offline: false,
            rate: None,
            fresh: false,
        }
    }

    /// One that an answer of another source named.
    pub(crate) fn found(url: String, by: &Source) -> Source {
        Source { given_for: by.given_for.clone(), ..Source::new(url) }
    }

    /// A lane of it brings so many bytes a second; what came before counts half.
    pub(crate) fn brought(&mut self, rate: f64) {
        self.rate = Some(self.rate.map_or(rate, |before| (before + rate) / 2.0));
    }

    /// It was given up because its file seemed to be another one than the lead's.
    pub(crate) fn disagreed(&self) -> bool {
        matches!(&self.dead, Some(Failure::Breach(breach)) if matches!(breach.rule, "R20" | "R54"))
    }

    /// Where to ask now.
    pub(crate) fn asked_at(&self) -> &str {
        self.target.as_ref().or(self.renewed.as_ref()).unwrap_or(&self.url)
    }

    /// Where `url` led has expired, if that is asked still: what led there is asked again (R14). Of several lanes that
    /// asked there, the first counts.
    pub(crate) fn resolve_anew(&mut self, url: &str) {
        if self.asked_at() == url {
            if self.target.take().is_none() {
                self.renewed = None;
            }
            self.failures += 1;
        }
    }

    /// A lane that asked at `opened` is refused; true if another was in the meantime.
    pub(crate) fn turn_away(&mut self, opened: Instant, now: Instant) -> bool {
        self.turned_away.replace(now).is_some_and(|before| before > opened)
    }

    /// The host whose answer is to be expected now, as a key of the table of hosts.
    pub(crate) fn host(&self) -> String {
        match (&self.target, &self.seen) {
            (Some(target), _) => host_of(target),
            (None, Some(seen)) => seen.clone(),
            (None, None) => host_of(self.asked_at()),
        }
    }

    /// A head came from this host; true if none did just before.
    pub(crate) fn answered_from(&mut self, host: &str) -> bool {
        self.seen.replace(host.to_owned()).is_none_or(|before| before != host)
    }

    /// Its bytes may be joined without being compared each time.
    pub(crate) fn is_strong(&self) -> bool {
        self.identity.as_ref().is_some_and(Identity::is_strong)
    }

    /// It gives ranges, as far as is known.
    pub(crate) fn may_range(&self) -> bool {
        !self.unranged && self.ranges != Ranges::No
    }

    /// An answer of it was taken.
    pub(crate) fn meet(&mut self) {
        self.answers = self.answers.saturating_add(1);
        self.offline = false;
    }

    /// A link that works once, as far as can be told: one was served, another refused.
    pub(crate) fn works_once(&self) -> bool {
        self.refused && self.answers < 2
    }

    pub(crate) fn is_ready(&self, now: Instant) -> bool {
        self.dead.is_none() && self.expired.is_none() && self.retry.is_none_or(|at| at <= now)
    }

    /// What was learnt of the old generation's answers is void; the source itself is not.
    pub(crate) fn forget_version(&mut self) {
        self.target = None;
        self.ranges = Ranges::Unknown;
        self.unranged = false;
        self.doubts = 0;
        self.identity = None;
        self.proofs.clear();
        self.proven = false;
        self.plain = false;
    }
}
