//! What each host (scheme, name, port) allows, shared by all downloads of a run (R33, R34).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::redirect::origin_of;

/// After this many stall times without a refusal a host is allowed one lane more.
const RECOVERY: u32 = 1;

/// The host a URL leads to, as a key of the table. What is no http URL shares one entry: no lane to it ever opens.
pub(crate) fn host_of(url: &str) -> String {
    origin_of(url).unwrap_or_default()
}

/// One host.
#[derive(Clone, Debug)]
struct Host {
    open: u32,
    /// Those that read a body.
    serving: u32,
    limit: u32,
    /// Until when the host asked to be left alone, and with which status.
    hold: Option<(Instant, u16)>,
    /// When the limit was last lowered or raised.
    moved: Option<Instant>,
}

impl Default for Host {
    fn default() -> Self {
        Host { open: 0, serving: 0, limit: u32::MAX, hold: None, moved: None }
    }
}

/// All hosts of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts(BTreeMap<String, Host>);

impl Hosts {
    /// Counts a lane in. Every `opened` is paired with one `closed`.
    pub(crate) fn opened(&mut self, host: &str) {
        self.0.entry(host.to_owned()).or_default().open += 1;
    }

    /// A lane is gone; `served` if it had begun to read.
    pub(crate) fn closed(&mut self, host: &str, served: bool) {
        if let Some(host) = self.0.get_mut(host) {
            host.open = host.open.saturating_sub(1);
            host.serving = host.serving.saturating_sub(u32::from(served));
        }
    }

    /// A lane begins to read.
    pub(crate) fn serves(&mut self, host: &str) {
        self.0.entry(host.to_owned()).or_default().serving += 1;
    }

    /// Some lane gets its bytes from it.
    pub(crate) fn is_serving(&self, host: &str) -> bool {
        self.0.get(host).is_some_and(|h| h.serving > 0)
    }

    /// May another lane be opened now? If not because of a hold, `held_until` tells how long.
    pub(crate) fn allows(&mut self, host: &str, now: Instant, recovery: Duration) -> bool {
        let Some(host) = self.0.get_mut(host) else { return true };
        if host.hold.is_some_and(|(until, _)| until > now) {
            return false;
        }
        host.hold = None;
        if host.limit < u32::MAX && host.moved.is_some_and(|at| now >= at + recovery * RECOVERY) {
            host.limit += 1;
            host.moved = Some(now);
        }
        host.open < host.limit
    }

    /// The end of a host's hold, if it asked for one.
    pub(crate) fn held_until(&self, host: &str) -> Option<Instant> {
        self.hold_of(host).map(|(until, _)| until)
    }

    /// The same with the status that came with it.
    pub(crate) fn hold_of(&self, host: &str) -> Option<(Instant, u16)> {
        self.0.get(host).and_then(|h| h.hold)
    }

    /// A host refused one of several lanes: half of those open, at least one. Returns the new limit if it fell.
    pub(crate) fn refused(&mut self, host: &str, now: Instant) -> Option<u32> {
        let host = self.0.entry(host.to_owned()).or_default();
        // Several refusals of one burst are one refusal: the limit falls below what is open only once.
        if host.open == 0 || host.open >= host.limit {
            return None;
        }
        let limit = (host.open.div_ceil(2)).max(1);
        (limit < host.limit).then(|| {
            host.limit = limit;
            host.moved = Some(now);
            limit
        })
    }

    /// A host allows this many lanes at most (one-time links allow one).
    pub(crate) fn limit(&mut self, host: &str, lanes: u32, now: Instant) {
        let host = self.0.entry(host.to_owned()).or_default();
        host.limit = host.limit.min(lanes.max(1));
        host.moved = Some(now);
    }

    /// The host is left alone until `until`; a hold is never shortened (R33).
    pub(crate) fn hold(&mut self, host: &str, until: Instant, status: u16) {
        let host = self.0.entry(host.to_owned()).or_default();
        host.hold = Some(host.hold.map_or((until, status), |h| h.max((until, status))));
    }

    /// Every host counts exactly these lanes.
    pub(crate) fn audit(&self, lanes: &BTreeMap<String, u32>) -> Result<(), String> {
        for (name, host) in &self.0 {
            let there = lanes.get(name).copied().unwrap_or(0);
            if host.open != there {
                return Err(format!("{name} counts {} lanes, there are {there}", host.open));
            }
        }
        match lanes.keys().find(|name| !self.0.contains_key(*name)) {
            Some(name) => Err(format!("{name} is not in the table of hosts")),
            None => Ok(()),
        }
    }
}
