//! What goes wrong: failures of lanes and sources, and files that change.

use super::{Job, Phase, Turn};
use crate::event::{Error, Event};
use crate::failure::{Breach, Failure};
use crate::hosts::host_of;
use crate::identity::Identity;
use crate::lanes::Lane;
use crate::machine::{Action, LaneId, SourceId};
use crate::retry::{Advice, advise};

/// A source is renewed so many times in a row without a byte of it.
const RENEWALS: u32 = 3;

impl Job {
    /// An answer that cannot be used: its lane ends, and its source has failed once.
    pub(super) fn refuse(&mut self, id: LaneId, failure: Failure, turn: &mut Turn<'_>) {
        let Some(lane) = self.lanes.get(&id).cloned() else { return };
        self.close(id, turn);
        turn.hosts.closed(&lane.host, lane.gone(), turn.now);
        self.on_failure(&lane, failure, turn);
        turn.hosts.opened(&lane.host);
    }

    /// One lane of a source failed. Its host's count no longer holds it.
    pub(super) fn on_failure(&mut self, lane: &Lane, failure: Failure, turn: &mut Turn<'_>) {
        if matches!(failure, Failure::Disk(..)) {
            return self.fail_on_disk(failure);
        }
        if self.coded && lane.stored > 0 {
            if self.generations >= turn.limits.generations {
                return self.drop_source(lane.source, failure, turn);
            }
            self.change(None, "a decoded body broke off, and cannot be gone on with", turn);
        }
        if failure.is_refusal()
            && let Some(lanes) = turn.hosts.refused(&lane.host, turn.now, turn.limits)
        {
            turn.tell(Event::Narrowed { host: lane.host.clone(), lanes });
        }
        if let Failure::Status { status, retry_after: Some(wait) } = failure {
            // The host that led there is held as well: asking it would ask the other again.
            turn.hosts.hold(&lane.host, turn.now + wait, status);
            turn.hosts.hold(&host_of(&lane.url), turn.now + wait, status);
        }
        if matches!(failure, Failure::Stalled(_)) {
            turn.tell(Event::Stalled { url: lane.url.clone() });
        }
        let id = lane.source;
        let siblings = self.lanes.values().filter(|l| l.source == id && l.is_serving()).count() as u32;
        let hopeful = self.lanes.values().any(|l| l.source == id && l.is_asking());
        // A host that is full of other jobs' lanes has nothing against this one either.
        let crowded = failure.is_refusal() && turn.hosts.is_serving(&lane.host);
        let attempt = self.source(id).failures;
        self.source(id).fresh = true;
        if matches!(failure, Failure::Offline(_)) && self.source(id).answers > 0 {
            return self.await_network(lane, failure, turn);
        }
        let advice = advise(&failure, attempt, turn.limits, turn.chance.next());
        let beside = advice == Advice::Elsewhere && self.source(id).turn_away(lane.opened, turn.now);
        match advice {
            Advice::Again(after) => self.again(lane, failure, after, siblings > 0 || crowded, turn),
            // The target has expired, not the URL.
            Advice::Elsewhere if lane.url != self.source(id).url && attempt < turn.limits.retries => {
                self.source(id).resolve_anew(&lane.url);
            }
            // A one-time link, or a host that wants one connection: what reads goes on alone. Of several that
            // ask at once the last may be the one that is served.
            Advice::Elsewhere if siblings > 0 || hopeful => {
                self.source(id).refused = true;
                turn.hosts.limit(&lane.host, siblings, turn.now);
            }
            // Those that asked beside it may have used up what it was led to: alone it is asked again (R14).
            Advice::Elsewhere if beside && attempt < turn.limits.retries => {
                self.source(id).failures += 1;
                turn.hosts.limit(&lane.host, 1, turn.now);
            }
            // Nothing it says can ever be joined to what is held: better from the start than never.
            Advice::Elsewhere if id == self.lead && self.held() > 0 && is_unjoinable(&failure) => {
                self.change(None, "nothing ties what it sends to what is held", turn);
            }
            Advice::Elsewhere if self.has_expired(id, &failure) => self.expire(lane, failure, turn),
            Advice::Elsewhere | Advice::GiveUp => self.drop_source(id, failure, turn),
        }
    }

    /// It gave something, in this run or in an earlier one, and now refuses as links do that were made for a time.
    fn has_expired(&self, id: SourceId, failure: &Failure) -> bool {
        let gave = self.sources[usize::from(id.0)].answers > 0 || (id == self.origin && self.held() > 0);
        gave && matches!(failure, Failure::Status { status: 401 | 403 | 404 | 410, .. })
    }

    /// Somebody may know another URL for it; until one comes the other sources go on.
    fn expire(&mut self, lane: &Lane, failure: Failure, turn: &mut Turn<'_>) {
        let (id, renews) = (lane.source, self.spec.renews);
        let source = self.source(id);
        if source.expired.is_some() || source.asked_at() != lane.url {
            return; // A lane of the time before that was known.
        }
        let url = source.url.clone();
        turn.tell(Event::Expired { url: url.clone(), failure: failure.clone() });
        if !renews || source.renewals >= RENEWALS {
            return self.drop_source(id, failure, turn);
        }
        source.renewals += 1;
        source.expired = Some(failure);
        turn.say(Action::Renew { source: id, url });
    }

    pub(super) fn on_renewed(&mut self, id: SourceId, url: Result<String, String>, turn: &mut Turn<'_>) {
        let Some(source) = self.sources.get_mut(usize::from(id.0)) else { return };
        let Some(failure) = source.expired.take() else { return };
        match url {
            Ok(url) => {
                (source.renewed, source.target) = (Some(url.clone()), None);
                (source.failures, source.retry, source.fresh, source.noted) = (0, None, true, false);
                turn.tell(Event::Renewed { url });
            }
            Err(why) => {
                turn.tell(Event::NotRenewed { url: source.url.clone(), why });
                self.drop_source(id, failure, turn);
            }
        }
    }

    /// The source is not to blame, and neither time nor attempts count against it. One lane at a time looks whether
    /// there is a network again; it is told once.
    fn await_network(&mut self, lane: &Lane, failure: Failure, turn: &mut Turn<'_>) {
        let after = turn.limits.offline;
        let source = self.source(lane.source);
        source.retry = Some(turn.now + after);
        if !std::mem::replace(&mut source.offline, true) {
            turn.tell(Event::Retry { url: lane.url.clone(), failure, after });
        }
    }

    fn again(
        &mut self,
        lane: &Lane,
        failure: Failure,
        after: std::time::Duration,
        others: bool,
        turn: &mut Turn<'_>,
    ) {
        let id = lane.source;
        // While others get on, a failing lane says nothing against the source.
        if !others {
            self.source(id).failures += 1;
        }
        if self.source(id).failures > turn.limits.retries {
            return self.drop_source(id, failure, turn);
        }
        let until = turn.now + after;
        let source = self.source(id);
        source.retry = Some(source.retry.map_or(until, |at| at.max(until)));
        turn.tell(Event::Retry { url: lane.url.clone(), failure, after });
    }

    /// A source is of no more use. The last one's failure is the download's.
    pub(super) fn drop_source(&mut self, id: SourceId, failure: Failure, turn: &mut Turn<'_>) {
        let source = self.source(id);
        source.dead = Some(failure.clone());
        let url = source.url.clone();
        let lanes: Vec<LaneId> = self.lanes.iter().filter(|(_, l)| l.source == id).map(|(&l, _)| l).collect();
        for lane in lanes {
            self.close(lane, turn);
        }
        let stranded = id == self.lead && !self.follow_another(turn);
        if stranded || self.sources.iter().all(|s| s.dead.is_some()) {
            let error = self.loss_of(id, failure);
            self.failing.get_or_insert(error);
        } else {
            turn.tell(Event::SourceDropped { url, failure });
        }
    }

    /// How a download ends that has lost its last source, or the one without which nothing can be gone on with.
    pub(super) fn loss_of(&self, id: SourceId, failure: Failure) -> Error {
        let url = self.sources[usize::from(id.0)].url.clone();
        match self.has_expired(id, &failure) {
            true => Error::Expired { url, failure },
            false => Error::Source { url, failure },
        }
    }

    /// The lead was given up: a mirror takes its place, compared first if it was not yet. False if none can.
    pub(super) fn follow_another(&mut self, turn: &mut Turn<'_>) -> bool {
        if !matches!(self.phase, Phase::Running) {
            return true; // Nothing is held of this generation: whoever answers first leads.
        }
        let living = |proven| self.sources.iter().position(|s| s.dead.is_none() && s.proven == proven);
        let Some(next) = living(true).or_else(|| living(false)) else { return false };
        if self.held() == 0 {
            self.begin_anew();
            self.close_all_but(None, turn);
            return true;
        }
        if self.is_alone() {
            return false;
        }
        self.lead = SourceId(next as u16);
        let (strong, proven) = (self.sources[next].is_strong(), self.sources[next].proven);
        self.overlap = proven && !strong;
        if !proven {
            self.sources[next].proofs = self.stretches(turn.limits.overlap);
        }
        true
    }

    /// What a lane compared is not what is held.
    pub(super) fn on_difference(&mut self, id: LaneId, source: SourceId, turn: &mut Turn<'_>) {
        if source != self.lead {
            let breach = Breach { rule: "R54", what: "the mirror's bytes are not the ones held".to_owned() };
            return self.drop_source(source, Failure::Breach(breach), turn);
        }
        self.close(id, turn);
        self.change(None, "its bytes are not the ones held", turn);
    }

    /// The file is another one now: what is held is put aside, and a new generation begins at byte 0.
    pub(super) fn change(&mut self, heir: Option<LaneId>, what: &str, turn: &mut Turn<'_>) {
        if !matches!(self.phase, Phase::Running) {
            return;
        }
        if self.claimed.is_some() {
            return self.reject(heir, what, turn);
        }
        let url = self.sources[usize::from(self.lead.0)].url.clone();
        if let Some(url) = self.spec.renewed.clone().filter(|_| self.held() > 0) {
            self.failing.get_or_insert(Error::OtherFile { url, what: what.to_owned() });
            return;
        }
        self.generations += 1;
        if self.generations > turn.limits.generations || self.edge() > 0 {
            self.failing = Some(Error::Changed { url });
            return;
        }
        turn.tell(Event::Changed { url, what: what.to_owned() });
        self.begin_anew();
        self.close_all_but(heir, turn);
    }

    /// The next answer is the first of a new generation.
    pub(super) fn begin_anew(&mut self) {
        self.phase = Phase::First;
        self.identity = None;
        self.discard |= self.claimed.take().is_some();
        self.retire = !self.spec.stream && !self.discard;
        self.adopted.1.clear();
        self.overlap = false;
        self.only = None;
        self.fickle = false;
        self.coded = false;
        self.told_no_ranges = false;
        self.unproven = false;
        self.length_unknown = false;
        for source in &mut self.sources {
            source.forget_version();
        }
    }

    /// Held bytes that no strong validator ties to what comes now are compared first (R9a, R21).
    pub(super) fn require_proof(&mut self, len: u64) {
        let lead = &self.sources[usize::from(self.lead.0)];
        let young = lead.identity.as_ref().is_some_and(Identity::is_young);
        // A source that is not known yet is proven first; then its validators tell.
        let stranger = lead.identity.is_none();
        if !stranger && !lead.is_strong() {
            self.overlap = true;
        }
        if (young || stranger || self.overlap) && self.held() > 0 {
            let stretches = self.stretches(len);
            let lead = self.lead;
            self.source(lead).proofs = stretches;
        }
    }

    pub(super) fn is_strong(&self) -> bool {
        !self.overlap && self.sources[usize::from(self.lead.0)].is_strong()
    }

    /// The first request of a generation: `GET` with `bytes=0-`, whose body is the first lane's data. Where whoever is asked
    /// stays silent, the next source is asked as well, and the first that answers leads.
    pub(super) fn ask_first(&mut self, turn: &mut Turn<'_>) {
        let patience = turn.limits.first_answer;
        let silent = |lane: &Lane| lane.is_asking() && lane.opened + patience <= turn.now;
        let full = self.spec.lanes.is_some_and(|lanes| self.lanes.len() as u32 >= lanes);
        if full || !self.lanes.values().all(silent) || !self.settle.is_quiet() {
            return;
        }
        for index in 0..self.sources.len() {
            let id = SourceId(index as u16);
            let asked = self.lanes.values().any(|lane| lane.source == id);
            if !asked && self.source(id).is_ready(turn.now) && self.host_allows(id, turn) {
                let range = (!self.source(id).unranged).then_some((0, None));
                self.open(id, (0, u64::MAX), range, turn);
                return;
            }
        }
    }
}

/// An answer without a length and without a validator for what is held (R19).
fn is_unjoinable(failure: &Failure) -> bool {
    matches!(failure, Failure::Breach(Breach { rule: "R19", .. }))
}
