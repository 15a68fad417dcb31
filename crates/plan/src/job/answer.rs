//! From a head to a deed: the judge says what may be believed, this says what is done about it.

use super::{Job, Phase, Turn, order};
use crate::blocks::Blocks;
use crate::digest::content_digest;
use crate::event::{Error, Event};
use crate::failure::Failure;
use crate::head::Head;
use crate::hosts::host_of;
use crate::identity::{Condition, Identity, Same};
use crate::lanes::{Answer, Purpose, State};
use crate::link::{description, duplicates, may_name};
use crate::machine::{Action, Held, LaneId, Placement, SourceId};
use crate::name::{Name, choose_name};
use crate::record::Record;
use crate::response::{Asked, Coding, Verdict, judge};
use crate::source::{Ranges, Source};

/// Most sources of a job that servers may name.
const PLACES: usize = 32;

/// The least that is worth comparing where a server gives less than was asked.
const LEAST: u64 = 4096;

/// An answer that may be good, as far as the head tells.
struct Offer {
    identity: Identity,
    same: Same,
    answer: Answer,
    /// The body starts at byte 0 and is the whole representation.
    whole: bool,
}

impl Job {
    pub(super) fn on_head(&mut self, id: LaneId, hops: &[String], head: &Head, turn: &mut Turn<'_>) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if lane.state != State::Asking {
            return;
        }
        let setup = turn.now.saturating_duration_since(lane.opened);
        lane.setup = Some(setup);
        self.usual.setup = if self.usual.setup == 0.0 {
            setup.as_secs_f64()
        } else {
            self.usual.setup * 0.75 + setup.as_secs_f64() * 0.25
        };
        let host = host_of(hops.last().unwrap_or(&lane.url));
        turn.hosts.closed(&lane.host, lane.gone(), turn.now);
        turn.hosts.opened(&host);
        turn.hosts.answered(&host, setup);
        lane.host = host.clone();
        let asked = Asked { range: lane.ask.range, condition: lane.ask.condition.clone() };
        let (source, purpose) = (lane.source, lane.purpose);
        if self.source(source).answered_from(&host) {
            turn.tell(Event::Answered { host: host.clone(), version: head.version });
        }
        let held = self.identity_for(source);
        let target = hops.last().cloned();
        let verdict = judge(&asked, held.as_ref(), head);
        let digest = content_digest(head);
        let offer = match verdict {
            Verdict::Part { first, end, identity, same } => {
                let answer =
                    Answer { from: first, end: Some(end), compare: false, codings: Vec::new(), digest };
                Offer { identity, same, answer, whole: false }
            }
            Verdict::Whole { mut identity, same, mut codings } => {
                if !codings.is_empty() {
                    // Servers give one tag to both forms of a file; it proves nothing of offsets (R5). The
                    // digest is that of the coded form.
                    (identity.etag, identity.modified, identity.digest) = (None, None, None);
                }
                // The judge names them as they were applied; they come off from the outermost.
                codings.reverse();
                let answer = Answer { from: 0, end: identity.total, compare: false, codings, digest };
                Offer { identity, same, answer, whole: true }
            }
            Verdict::Unsatisfied { total } => return self.on_unsatisfied(id, total, turn),
            Verdict::Unchanged => return self.unchanged(id, head.status, turn),
            Verdict::Gone => return self.on_gone(id, "the version held is gone (412)", turn),
            Verdict::Unranged => return self.ask_unranged(id, head.status, turn),
            Verdict::Refuse(Failure::Status { status: status @ (400 | 405 | 501), .. })
                if asked.range.is_some() && self.source(source).ranges != Ranges::Yes =>
            {
                return self.ask_unranged(id, status, turn); // R3a, in a later run
            }
            Verdict::Refuse(failure) => return self.refuse(id, failure, turn),
        };
        if let Some(target) = target {
            self.source(source).target = Some(target);
        }
        match (self.phase, purpose) {
            (Phase::First, _) => self.accept_first(id, head, offer, turn),
            (_, Purpose::Prove) => self.accept_proof(id, offer, turn),
            (_, Purpose::Store) => self.accept_more(id, head, offer, turn),
        }
    }

    /// What a source's answers are compared with. A mirror's validators are its own (R53); until it has
    /// answered, only the length is.
    fn identity_for(&self, source: SourceId) -> Option<Identity> {
        if self.phase == Phase::First {
            return None;
        }
        let own = self.sources.get(usize::from(source.0)).and_then(|s| s.identity.clone());
        own.or_else(|| Some(Identity { total: self.total(), ..Identity::default() }))
    }

    /// The first answer of a generation: it gives identity, name and size, and its body is the first data.
    fn accept_first(&mut self, id: LaneId, head: &Head, offer: Offer, turn: &mut Turn<'_>) {
        let Offer { identity, mut answer, whole, .. } = offer;
        if let Some(size) = identity.total
            && (turn.limits.max_size.is_some_and(|max| size > max)
                || !Blocks::fit(Blocks::size_for(identity.total), identity.total))
        {
            self.failing = Some(Error::TooLarge { size });
            return;
        }
        let Some(lane) = self.lanes.get(&id) else { return };
        let source = lane.source;
        let asked_range = lane.ask.range.is_some();
        if self.spec.size.is_some_and(|size| identity.total.is_some_and(|total| total != size)) {
            let what = "it has another length than was said of it";
            return self.drop_source(source, breach("R54", what), turn);
        }
        let conditional = matches!(lane.ask.condition, Condition::IfChanged { .. });
        if conditional && self.spec.unless.as_ref().is_some_and(|held| held.is_still(&identity)) {
            return self.unchanged(id, head.status, turn);
        }
        self.spec.unless = None;
        if self.spec.stream && !whole && answer.end < identity.total && identity.strong_tag().is_none() {
            // Nothing could tie the rest to it, and a stream cannot be compared: one answer must bring all.
            self.source(source).unranged = true;
            return self.close(id, turn);
        }
        self.settle_codings(head, &mut answer, source, turn);
        if whole && asked_range {
            self.no_ranges(source, turn);
        } else if !whole {
            self.source(source).ranges = Ranges::Yes;
        }
        (self.lead, self.origin) = (source, source);
        self.source(source).identity = Some(identity.clone());
        self.source(source).proven = true;
        self.source(source).meet();
        if self.name.is_none() {
            self.name = Some(self.name_for(head, source));
        }
        let total = identity.total;
        self.learn_places(source, head, identity.digest.is_some(), turn);
        self.identity = Some(identity);
        if let Some(lane) = self.lanes.get_mut(&id) {
            (lane.start, lane.stored, lane.read, lane.end) = (0, 0, 0, total.unwrap_or(u64::MAX));
            lane.purpose = Purpose::Store;
            lane.victim = None;
            lane.state = State::Ready(answer);
        }
        self.phase = Phase::Placing { heir: Some(id), said: false };
    }

    /// What the lead says of itself: other places, and a description, which may have a digest.
    fn learn_places(&mut self, by: SourceId, head: &Head, digest: bool, turn: &mut Turn<'_>) {
        if self.spec.stream || self.solo {
            return;
        }
        let lead = self.source(by).clone();
        if digest || self.spec.digest {
            self.take_places(&lead, duplicates(head, lead.asked_at()), turn);
        }
        if !self.spec.digest
            && let Some(url) = description(head, lead.asked_at())
        {
            turn.say(Action::Describe { url, given_for: lead.given_for });
        }
    }

    /// A description that the lead named was read: what it has a digest of is proven, whoever gives it.
    pub(super) fn on_described(&mut self, urls: Vec<String>, digest: bool, turn: &mut Turn<'_>) {
        if !matches!(self.phase, Phase::Placing { .. } | Phase::Running) || self.spec.digest || !digest {
            return;
        }
        self.spec.digest = true;
        let lead = self.source(self.lead).clone();
        let base = lead.asked_at();
        self.take_places(&lead, urls.into_iter().filter(|url| may_name(base, url)).collect(), turn);
    }

    /// Other places count where a digest of the whole will tell whether they have the same (R54).
    fn take_places(&mut self, lead: &Source, urls: Vec<String>, turn: &mut Turn<'_>) {
        for url in urls {
            let known = |source: &Source| source.url == url || source.asked_at() == url;
            if self.sources.len() < PLACES && !self.sources.iter().any(known) {
                turn.tell(Event::Mirror { url: url.clone() });
                self.sources.push(Source::found(url, lead));
            }
        }
    }

    /// The finished file that is there is the version that the source has. Nothing of the answer is read.
    fn unchanged(&mut self, id: LaneId, status: u16, turn: &mut Turn<'_>) {
        let Some(lane) = self.lanes.get(&id) else { return };
        let url = self.sources[usize::from(lane.source.0)].url.clone();
        turn.tell(Event::Unchanged { url, status });
        self.failing = Some(Error::Unchanged);
    }

    /// Decides whether codings on the body are undone or stored as sent.
    fn settle_codings(&mut self, head: &Head, answer: &mut Answer, source: SourceId, turn: &mut Turn<'_>) {
        if !answer.codings.is_empty() {
            let undone = !self.spec.raw && !self.wants_coded(head, &answer.codings, source);
            turn.tell(Event::Coded { undone });
            if !undone {
                answer.codings.clear();
            }
        }
        self.coded = !answer.codings.is_empty();
    }

    /// R49: the compressed file itself is what is wanted where the name or the type says so.
    fn wants_coded(&self, head: &Head, codings: &[Coding], source: SourceId) -> bool {
        let name = self.name.clone().unwrap_or_else(|| self.name_for(head, source));
        let name = name.as_str().to_ascii_lowercase();
        let media = head.media().unwrap_or_default();
        codings.iter().any(|coding| {
            let (suffixes, types): (&[&str], &[&str]) = match coding {
                Coding::Gzip => (&[".gz", ".tgz", ".gzip"], &["application/gzip", "application/x-gzip"]),
                Coding::Deflate => (&[".zz"], &["application/zlib"]),
                Coding::Brotli => (&[".br"], &[]),
                Coding::Zstd => (&[".zst", ".tzst"], &["application/zstd"]),
            };
            suffixes.iter().any(|s| name.ends_with(s)) || types.contains(&media.as_str())
        })
    }

    fn name_for(&self, head: &Head, source: SourceId) -> Name {
        let url = &self.sources[usize::from(source.0)].url;
        choose_name(head.single("content-disposition"), url)
    }

    /// Makes the files once no lane of an older generation is left.
    pub(super) fn place(&mut self, turn: &mut Turn<'_>) {
        let Phase::Placing { heir, said: false } = self.phase else { return };
        self.close_all_but(heir, turn);
        if self.lanes.keys().any(|&l| Some(l) != heir) || !self.settle.is_quiet() {
            return;
        }
        if self.edge() > 0 {
            // A lane that was on its way out has given bytes of the old generation to the consumer.
            let url = self.sources[usize::from(self.lead.0)].url.clone();
            self.failing = Some(Error::Changed { url });
            return;
        }
        self.forget_landed(0, turn);
        let total = self.total();
        let size = if self.spec.stream { order::grain(turn.limits) } else { Blocks::size_for(total) };
        self.blocks = Blocks::new(size, total);
        self.settle = Default::default();
        self.free.clear();
        let heir = heir.filter(|id| self.lanes.contains_key(id));
        if heir.is_none() {
            self.free.give(0, total.unwrap_or(u64::MAX));
        }
        self.share_out(heir, turn.limits);
        self.phase = Phase::Placing { heir, said: true };
        if self.spec.stream {
            return self.on_placed(Ok(()), turn);
        }
        let (Some(name), Some(identity)) = (self.name.clone(), self.identity.clone()) else { return };
        let url = self.sources[usize::from(self.lead.0)].url.clone();
        let journal = total.is_none_or(|t| t >= u64::from(size));
        let (retire, discard) = (std::mem::take(&mut self.retire), std::mem::take(&mut self.discard));
        turn.say(Action::Place(Box::new(Placement {
            name,
            identity,
            block_size: size,
            journal,
            retire,
            discard,
            url,
        })));
    }

    pub(super) fn on_placed(&mut self, result: Result<(), Failure>, turn: &mut Turn<'_>) {
        let Phase::Placing { heir, said: true } = self.phase else { return };
        self.phase = Phase::Running;
        if let Err(failure) = result {
            return self.fail_on_disk(failure);
        }
        self.started = false;
        self.start(turn);
        let Some(id) = heir else { return };
        if self.total() == Some(0) {
            self.close(id, turn);
        } else {
            self.take(id, turn);
        }
    }

    /// The version that answered was held before. Whoever brought its first bytes is not needed: what is missing is
    /// asked for as in any run that goes on.
    pub(super) fn on_returned(&mut self, held: Held, turn: &mut Turn<'_>) {
        let Phase::Placing { heir, said: true } = self.phase else { return };
        if let Some(lane) = heir.and_then(|id| self.lanes.get_mut(&id)) {
            (lane.start, lane.stored, lane.end, lane.due) = (0, 0, 0, 0);
        }
        self.close_all_but(None, turn);
        self.free.clear();
        self.phase = Phase::Running;
        self.started = false;
        self.replay(held, turn.limits);
    }

    /// A further answer for bytes that are to be joined to held ones (R18-R21, R27).
    fn accept_more(&mut self, id: LaneId, head: &Head, mut offer: Offer, turn: &mut Turn<'_>) {
        let Some(lane) = self.lanes.get(&id) else { return };
        let (source, overlapping) = (lane.source, lane.ask.range.is_none_or(|(a, _)| a < lane.start));
        let base = if offer.whole { self.held_until_0() } else { lane.start };
        let (lane_start, window) = (lane.start, self.window(source, turn.limits.overlap));
        if source != self.lead {
            return self.accept_mirror(id, offer, turn);
        }
        if !offer.answer.codings.is_empty() {
            if self.held() > 0 {
                let what =
                    "the server now sends it with a content coding; a coded body cannot be gone on with";
                return self.change_to(id, head, offer, what, turn);
            }
            self.settle_codings(head, &mut offer.answer, source, turn);
        }
        match offer.same {
            Same::Proven => {
                self.source(source).doubts = 0;
                self.join(id, offer, false, turn);
            }
            Same::OtherTag if !self.joins_other_tags(source) => self.doubt(id, head, offer, turn),
            Same::Different => self.change_to(id, head, offer, "its length or validators differ", turn),
            // A stream cannot be compared; a digest proves it all the same.
            _ if self.spec.stream && self.spec.digest => self.join(id, offer, false, turn),
            Same::Unproven if self.is_ordered() && self.may_doubt(source, turn) => {
                self.doubt_closed(id, turn)
            }
            _ if self.edge() > 0 => {
                let failure =
                    breach("R21", "the stream broke off, and nothing proves what would go on with it");
                self.drop_source(source, failure, turn);
            }
            _ if base == 0 && (offer.whole || offer.answer.from == 0) => {
                self.start_over(id, head, offer, turn);
            }
            Same::Unproven | Same::OtherTag if self.overlap && overlapping => {
                self.join(id, offer, true, turn)
            }
            Same::Unproven | Same::OtherTag if self.overlap && lane_start > 0 && window == 0 => {
                self.refuse(id, breach("R21", "nothing of it can be compared with what is held"), turn);
            }
            // The tag that came with every other answer is missing: another node may yet send it.
            Same::Unproven if self.is_strong() && self.may_doubt(source, turn) => self.doubt_closed(id, turn),
            Same::Unproven | Same::OtherTag => {
                self.overlap = true;
                self.require_proof(turn.limits.overlap);
                self.close(id, turn);
            }
        }
    }

    /// An answer that nothing proves, and nothing stands before it that it could be compared with: it begins
    /// anew, or bytes of two versions could meet unseen.
    fn start_over(&mut self, id: LaneId, head: &Head, offer: Offer, turn: &mut Turn<'_>) {
        if self.held() > 0 {
            return self.change_to(id, head, offer, "nothing proves what would be joined to it", turn);
        }
        self.begin_anew();
        self.close_all_but(Some(id), turn);
        self.accept_first(id, head, offer, turn);
    }

    /// An answer of a mirror that was compared: its validators are its own (R53), and must stay.
    fn accept_mirror(&mut self, id: LaneId, offer: Offer, turn: &mut Turn<'_>) {
        let Some(lane) = self.lanes.get(&id) else { return };
        let source = lane.source;
        match offer.same {
            Same::Proven => self.join(id, offer, false, turn),
            Same::Different => self.drop_source(source, breach("R54", "the mirror has another file"), turn),
            Same::OtherTag => self.drop_source(source, breach("R20", "the mirror's ETag changed"), turn),
            Same::Unproven => self.refuse(id, breach("R20", "the mirror's validator is missing"), turn),
        }
    }

    /// Where what is held from byte 0 on ends; of a stream, what the consumer has or is given.
    fn held_until_0(&self) -> u64 {
        if self.spec.stream { self.edge() } else { self.blocks.held_until(0) }
    }

    /// Whether another strong tag is no change: bytes that are compared, or a digest, tell. Where a renewed URL leads its
    /// tags may be other ones than where the expired one led (R53).
    fn joins_other_tags(&self, source: SourceId) -> bool {
        let renewed = self.sources[usize::from(source.0)].renewed.is_some();
        ((self.spec.trust_overlap || renewed) && !self.spec.stream) || self.spec.digest
    }

    fn may_doubt(&self, source: SourceId, turn: &Turn<'_>) -> bool {
        self.sources[usize::from(source.0)].doubts < turn.limits.doubts
    }

    /// The answer is of the version held, or will be compared.
    fn join(&mut self, id: LaneId, mut offer: Offer, compare: bool, turn: &mut Turn<'_>) {
        let Some(lane) = self.lanes.get(&id) else { return };
        let (source, start) = (lane.source, lane.start);
        let conditional = matches!(lane.ask.condition, Condition::IfRange(_));
        if let (None, Some(total)) = (self.total(), offer.identity.total) {
            if total < self.last_held() {
                return self.on_gone(id, "it is shorter than what is held", turn);
            }
            if !compare {
                self.learn_total(total, turn);
            } else if let Some(lane) = self.lanes.get_mut(&id) {
                lane.total = Some(total);
            }
        }
        if source == self.lead {
            self.learn_digest(&offer.identity, turn);
        }
        if source != self.origin {
            self.mark_unproven(turn.limits.overlap, turn);
        }
        if !offer.whole {
            self.learn_grant(id, &offer);
            self.source(source).ranges = Ranges::Yes;
            let from = offer.answer.from;
            // R18: what comes from below what was asked is compared with what is known to be held there.
            let known = self.blocks.held_until(from) >= start && self.blocks.unread(from, start).is_none();
            offer.answer.compare = from < start && (compare || known);
            return self.accept(id, offer.answer, turn);
        }
        // R27: a 200 to a range. Either it dislikes the ETag in If-Range, or it has no ranges.
        // Several lanes may learn the former at once.
        if conditional {
            self.source(source).plain = true;
            return self.close(id, turn);
        }
        self.no_ranges(source, turn);
        // What a lane that is on its way out still owns must be settled first, and what is compared read back.
        let unread = self.blocks.unread(0, self.blocks.held_until(0)).is_some();
        if self.lanes.len() > 1 || self.settle.awaits_prefixes() || unread {
            return self.close(id, turn);
        }
        self.stream_whole(id, offer.answer, turn);
    }

    /// An answer brings the digest that the first one lacked: a later run must know it as well.
    fn learn_digest(&mut self, answer: &Identity, turn: &mut Turn<'_>) {
        let Some(identity) = self.identity.as_mut().filter(|held| held.digest.is_none()) else { return };
        if answer.digest.is_none() || self.coded {
            return;
        }
        identity.digest.clone_from(&answer.digest);
        let mut learnt = identity.clone();
        if let Some(own) = &mut self.source(self.lead).identity {
            own.digest.clone_from(&answer.digest);
        }
        if self.length_unknown {
            learnt.total = None; // What nothing proves is not recorded (R37).
        }
        self.note(Record::Learnt(learnt), turn);
    }

    /// A server may give less of a range than was asked (R18); then it does so each time.
    fn learn_grant(&mut self, id: LaneId, offer: &Offer) {
        let Some(lane) = self.lanes.get(&id) else { return };
        let wanted = lane.ask.range.and_then(|(_, end)| end).or(self.total());
        let (source, given) = (lane.source, offer.answer.end.unwrap_or(u64::MAX));
        // Where nothing was said of the end, whoever gives little may have given all: then half is too much to
        // compare as well, until what is asked lies beyond the end.
        if given < wanted.unwrap_or(u64::MAX) {
            let bytes = given.saturating_sub(offer.answer.from);
            let grant = &mut self.source(source).grant;
            *grant = Some(grant.map_or(bytes, |known| known.min(bytes)));
        }
    }

    fn no_ranges(&mut self, source: SourceId, turn: &mut Turn<'_>) {
        self.source(source).ranges = Ranges::No;
        if !std::mem::replace(&mut self.told_no_ranges, true) {
            turn.tell(Event::NoRanges);
        }
    }

    /// One response brings the whole file: what is held before the first gap is kept, the rest comes again.
    fn stream_whole(&mut self, id: LaneId, mut answer: Answer, turn: &mut Turn<'_>) {
        let total = self.total();
        let from = self.held_until_0();
        self.drop_from(from, turn);
        if let Some(lane) = self.lanes.get_mut(&id) {
            (lane.start, lane.stored, lane.read, lane.end) = (from, from, 0, total.unwrap_or(u64::MAX));
        }
        // Some servers answer 200 and send a part all the same: whatever is read past is compared.
        answer.compare = from > 0 && !self.spec.stream;
        self.accept(id, answer, turn);
    }

    fn accept(&mut self, id: LaneId, answer: Answer, turn: &mut Turn<'_>) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        lane.state = State::Ready(answer);
        let (source, victim, stores) = (lane.source, lane.victim, lane.purpose == Purpose::Store);
        self.source(source).meet();
        if stores {
            self.note_renewed(source, turn);
        }
        match victim {
            // Its first bytes are here: now the late lane ends, and this one goes on where that one stopped.
            Some(victim) => self.close(victim, turn),
            None => self.take(id, turn),
        }
    }

    /// What stands for an expired link is worth remembering once it has given something.
    fn note_renewed(&mut self, id: SourceId, turn: &mut Turn<'_>) {
        let origin = id == self.origin;
        let source = self.source(id);
        let Some(url) = source.renewed.clone().filter(|_| origin && !source.noted) else { return };
        source.noted = true;
        self.note(Record::Renewed(url), turn);
    }

    fn accept_proof(&mut self, id: LaneId, offer: Offer, turn: &mut Turn<'_>) {
        let Some(lane) = self.lanes.get(&id) else { return };
        let (source, start, end) = (lane.source, lane.start, lane.end);
        let conditional = matches!(lane.ask.condition, Condition::IfRange(_));
        let given = offer.answer.end.unwrap_or(0);
        match offer.same {
            Same::Different if source != self.lead => {
                self.drop_source(source, breach("R54", "the mirror has another file"), turn)
            }
            Same::Different => self.change(None, "its length or validators differ", turn),
            Same::OtherTag if source == self.lead && !self.joins_other_tags(source) => {
                self.doubt_closed(id, turn)
            }
            _ if self.total().is_none() && offer.identity.total.is_some_and(|n| n < self.last_held()) => {
                self.on_gone(id, "it is shorter than what is held", turn);
            }
            _ if offer.whole && conditional && !self.sources[usize::from(source.0)].plain => {
                self.source(source).plain = true;
                self.close(id, turn);
            }
            _ if offer.whole && source == self.lead => {
                self.no_ranges(source, turn);
                self.close(id, turn);
            }
            _ if offer.whole || given < end.min(start + LEAST) => {
                self.refuse(id, breach("R21", "the range to be compared was not given whole"), turn);
            }
            _ => {
                let own = &mut self.source(source).identity;
                if own.is_none() {
                    *own = Some(offer.identity);
                }
                if let Some(lane) = self.lanes.get_mut(&id) {
                    lane.end = end.min(given);
                }
                self.accept(id, Answer { compare: true, end: Some(end.min(given)), ..offer.answer }, turn);
            }
        }
    }

    /// R29: nothing at the offset asked.
    fn on_unsatisfied(&mut self, id: LaneId, total: Option<u64>, turn: &mut Turn<'_>) {
        let held = self.held();
        match (self.total(), total) {
            (None, Some(n)) if n == held && held > 0 => {
                self.close(id, turn);
                self.learn_total(n, turn);
            }
            (None, Some(n)) if n < held => self.on_gone(id, "it is shorter than what is held (416)", turn),
            (Some(known), Some(n)) if n != known => self.on_gone(id, "it has another length (416)", turn),
            _ => self.ask_unranged(id, 416, turn),
        }
    }

    /// The version held is no more to be had from a lane's source: a change, or a mirror that is none.
    fn on_gone(&mut self, id: LaneId, what: &str, turn: &mut Turn<'_>) {
        let Some(lane) = self.lanes.get(&id) else { return };
        let source = lane.source;
        if source == self.lead {
            return self.change(None, what, turn);
        }
        self.drop_source(source, breach("R54", "the mirror has another file"), turn);
    }

    /// R3a, R23, R29: once more without Range; a source that refuses that too has failed.
    fn ask_unranged(&mut self, id: LaneId, status: u16, turn: &mut Turn<'_>) {
        let Some(lane) = self.lanes.get(&id) else { return };
        let (source, ranged) = (lane.source, lane.ask.range.is_some());
        if self.source(source).ranges == Ranges::Yes && self.total().is_some() {
            // It gave ranges before: one odd answer does not take that back.
            return self.refuse(id, breach("R29", "a range that was given before is now refused"), turn);
        }
        if self.source(source).unranged && ranged {
            return self.close(id, turn); // A lane of the time before that was known.
        }
        if self.source(source).unranged {
            return self.refuse(id, Failure::Status { status, retry_after: None }, turn);
        }
        self.source(source).unranged = true;
        self.source(source).ranges = Ranges::No;
        self.close(id, turn);
    }

    /// Another strong tag under the same length: a change, or a cluster's other node. Ask again on new
    /// connections; only when the held tag does not come back is it a change.
    fn doubt(&mut self, id: LaneId, head: &Head, offer: Offer, turn: &mut Turn<'_>) {
        let Some(lane) = self.lanes.get(&id) else { return };
        if self.may_doubt(lane.source, turn) {
            return self.doubt_closed(id, turn);
        }
        self.change_to(id, head, offer, "its ETag is another one", turn);
    }

    fn doubt_closed(&mut self, id: LaneId, turn: &mut Turn<'_>) {
        let Some(lane) = self.lanes.get(&id) else { return };
        let source = lane.source;
        self.close(id, turn);
        self.fickle = true;
        let doubts = self.source(source).doubts + 1;
        self.source(source).doubts = doubts;
        self.source(source).fresh = true;
        self.source(source).target = None;
        if doubts > turn.limits.doubts {
            self.change(None, "its ETag is another one", turn);
        }
    }

    /// A change whose first answer is here already: a whole body from byte 0 is the new generation's first data.
    fn change_to(&mut self, id: LaneId, head: &Head, offer: Offer, what: &str, turn: &mut Turn<'_>) {
        let usable = offer.whole || offer.answer.from == 0;
        self.change(usable.then_some(id), what, turn);
        if usable && self.failing.is_none() {
            self.accept_first(id, head, offer, turn);
        }
    }
}

fn breach(rule: &'static str, what: &str) -> Failure {
    Failure::breach(rule, what)
}
