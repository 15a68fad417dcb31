//! The addresses of a download's hosts, and what is known of them: its lanes are spread over all that serve it.
//!
//! A host may be many machines, and one of them is down, overloaded, or has another version of the file. So an address
//! that has not served this download is asked only with a condition (R6-R8), and counts only if it gives a part under that
//! very validator. Anything else is no word of the host's: the address is left out, and the request is made once more
//! where the download was served before. Thus no lane that is spread makes a download begin anew; and a lane that has no
//! condition, since nothing could tell its answer from another version's, stays where it was served.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thence_plan::{Condition, Event, Failure, Head};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::target::Target;

/// For how long an address is left out that may do better later.
pub(super) const WHILE: Duration = Duration::from_secs(60);

/// Addresses of a host that something is known of; far more than one has.
const KNOWN: usize = 1_024;

/// For so many ticks a lane must have read before it tells how fast its address is.
const TELLING: u32 = 5;

/// Where lanes are so many times slower than where they are fastest, no more are sent.
const SLOW: f64 = 4.0;

/// Those of one download.
pub(crate) struct Nodes {
    known: Mutex<Known>,
    tell: mpsc::UnboundedSender<Event>,
    /// See `TELLING`.
    telling: Duration,
}

#[derive(Default)]
struct Known {
    seats: HashMap<u64, Sitting>,
    last: u64,
    hosts: HashMap<Target, Site>,
}

/// Where a lane is.
#[derive(Default)]
struct Sitting {
    host: Option<Target>,
    /// Where it is asking or reading, or is about to.
    at: Option<SocketAddr>,
    /// It may be sent where the download was not served yet.
    strangers: bool,
    /// When its first bytes there were told of, and how many came since.
    begun: Option<Instant>,
    bytes: u64,
}

/// What is known of a host's addresses.
#[derive(Default)]
struct Site {
    served: HashSet<SocketAddr>,
    /// Those that are left out, and until when; `None`: for the rest of the download.
    left: HashMap<SocketAddr, Option<Instant>>,
    /// Bytes a second of the last lane that told of an address, and when it did.
    rates: HashMap<SocketAddr, (f64, Instant)>,
}

/// One lane's place among them; it is given up when this is dropped.
pub(crate) struct Seat {
    nodes: Arc<Nodes>,
    number: u64,
}

/// What an answer says of the address that gave it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    /// It has the version that was asked for, and gave a part of it, or what was asked for without a condition.
    Gives,
    /// It has that version, and gave all of it.
    GivesAll,
    /// It has another version.
    Other,
    /// A redirect, who may have it, or when to come again: that is the host's to say.
    OfHost,
    /// It cannot serve this.
    Fails,
}

impl Nodes {
    /// None is known yet; those that are left out are told of.
    pub(crate) fn new(tell: mpsc::UnboundedSender<Event>, tick: Duration) -> Arc<Nodes> {
        Arc::new(Nodes { known: Mutex::default(), tell, telling: TELLING * tick })
    }

    /// For another lane.
    pub(crate) fn seat(self: &Arc<Nodes>) -> Arc<Seat> {
        let mut known = self.lock();
        known.last += 1;
        let number = known.last;
        known.seats.insert(number, Sitting::default());
        Arc::new(Seat { nodes: self.clone(), number })
    }

    /// A panic under this lock leaves tables that are whole.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// The lane is about to ask `host`. Whatever is asked for from its first byte without a condition begins a version:
    /// who has served the one before, or had another, is no longer of interest.
    pub(super) fn asks(&self, host: &Target, range: Option<(u64, Option<u64>)>, condition: &Condition) {
        let mut known = self.nodes.lock();
        let conditional = *condition != Condition::None;
        let anew = !conditional && range.is_none_or(|(first, _)| first == 0);
        let others = known.seats.iter().any(|(&number, other)| {
            number != self.number && other.at.is_some() && other.host.as_ref() == Some(host)
        });
        let site = known.hosts.entry(host.clone()).or_default();
        if (anew && !others) || site.served.len() + site.left.len() > KNOWN {
            site.served.clear();
            site.left.retain(|_, until| until.is_some());
            site.rates.clear();
        }
        let sitting = Sitting { host: Some(host.clone()), strangers: conditional, ..Sitting::default() };
        known.seats.insert(self.number, sitting);
    }

    /// Those of the `found` addresses that the lane may try, in this order: where the fewest of the download's lanes are,
    /// and first of these where it was served. What is slow comes after them, and what is of no use last, unless only that
    /// has served it.
    pub(super) fn choose(
        &self,
        host: &Target,
        found: Vec<SocketAddr>,
        useless: impl Fn(&SocketAddr) -> bool,
    ) -> Vec<SocketAddr> {
        let mut known = self.nodes.lock();
        let Known { seats, hosts, .. } = &mut *known;
        let Site { served, left, rates } = hosts.entry(host.clone()).or_default();
        let now = Instant::now();
        rates.retain(|_, (_, told)| now < *told + WHILE);
        left.retain(|_, until| until.is_none_or(|until| until > now));
        let mut usable = found.clone();
        usable.retain(|address| !left.contains_key(address));
        if usable.is_empty() {
            // Better those than none.
            left.clear();
            usable = found;
        }
        let serves = |address: &SocketAddr| served.contains(address) && !useless(address);
        let strangers = seats.get(&self.number).is_none_or(|own| own.strangers);
        if !strangers && usable.iter().any(serves) {
            usable.retain(serves);
        }
        let lanes = |address: &SocketAddr| {
            let there =
                |(number, other): &(&u64, &Sitting)| **number != self.number && other.at == Some(*address);
            seats.iter().filter(there).count()
        };
        let best = rates.values().map(|(rate, _)| *rate).fold(0.0, f64::max);
        let slow = |address: &SocketAddr| rates.get(address).is_some_and(|(rate, _)| rate * SLOW < best);
        usable.sort_by_key(|address| {
            let strange = !served.contains(address);
            (strange && !strangers, useless(address), slow(address), lanes(address), strange)
        });
        if let Some(own) = seats.get_mut(&self.number) {
            own.at = usable.first().copied();
        }
        usable
    }

    /// Whether a connection to this address may be used again.
    pub(super) fn may_be_at(&self, host: &Target, address: SocketAddr) -> bool {
        let known = self.nodes.lock();
        let Some(site) = known.hosts.get(host) else { return true };
        let strangers = known.seats.get(&self.number).is_none_or(|own| own.strangers);
        !site.left.contains_key(&address)
            && (strangers || site.served.is_empty() || site.served.contains(&address))
    }

    /// The lane's connection leads there; `None`: it has none.
    pub(super) fn sits(&self, at: Option<SocketAddr>) {
        if let Some(own) = self.nodes.lock().seats.get_mut(&self.number) {
            own.at = at;
        }
    }

    /// That address has served the download, before there was a lane.
    pub(crate) fn was_served(&self, (host, at): (Target, SocketAddr)) {
        let mut known = self.nodes.lock();
        known.hosts.entry(host.clone()).or_default().served.insert(at);
        let sitting = Sitting { host: Some(host), at: Some(at), ..Sitting::default() };
        known.seats.insert(self.number, sitting);
    }

    /// The lane has read so many bytes more.
    pub(crate) fn brought(&self, bytes: u64) {
        let now = Instant::now();
        let mut known = self.nodes.lock();
        let Known { seats, hosts, .. } = &mut *known;
        let Some(Sitting { host: Some(host), at: Some(at), begun, bytes: read, .. }) =
            seats.get_mut(&self.number)
        else {
            return;
        };
        // What came before the first word is not counted, since nothing tells how long it took.
        let Some(begun) = begun else { return *begun = Some(now) };
        *read += bytes;
        let time = now - *begun;
        if time >= self.nodes.telling
            && let Some(site) = hosts.get_mut(host)
        {
            site.rates.insert(*at, (*read as f64 / time.as_secs_f64(), now));
        }
    }

    /// What came of the request. True if it is to be made once more, and elsewhere.
    pub(super) fn passes_over(
        &self,
        host: &Target,
        condition: &Condition,
        asked: Result<&Head, &Failure>,
    ) -> bool {
        let mut known = self.nodes.lock();
        let Known { seats, hosts, .. } = &mut *known;
        let Some(own) = seats.get_mut(&self.number) else { return false };
        let (Some(at), Some(site)) = (own.at, hosts.get_mut(host)) else { return false };
        let stranger = !site.served.contains(&at);
        let elsewhere = stranger && own.strangers && site.serves_without(at);
        match word(condition, asked) {
            Word::Gives => _ = site.served.insert(at),
            Word::GivesAll if !elsewhere => _ = site.served.insert(at),
            Word::OfHost => {}
            word if elsewhere => {
                let (until, why) = match word {
                    Word::Fails => (Some(Instant::now() + WHILE), "it cannot serve the file"),
                    Word::GivesAll => (None, "it gives no part of the file"),
                    _ => (None, "it has another version of the file"),
                };
                *own = Sitting { host: own.host.take(), ..Sitting::default() };
                if site.left.insert(at, until).is_none() {
                    let (host, address) = (host.to_string(), at.ip().to_string());
                    // A caller that no longer listens misses nothing it wants.
                    let _ = self.nodes.tell.send(Event::LeftOut { host, address, why: why.into() });
                }
                return true;
            }
            Word::Other | Word::GivesAll => {
                // Whoever asks again because of that asks another one.
                site.served.remove(&at);
                site.left.insert(at, None);
            }
            Word::Fails if stranger => _ = site.left.insert(at, Some(Instant::now() + WHILE)),
            Word::Fails => {}
        }
        false
    }

    /// The lane's connection broke off in the midst of a body, or fell silent.
    pub(crate) fn broke(&self) {
        let mut known = self.nodes.lock();
        let Known { seats, hosts, .. } = &mut *known;
        let Some(Sitting { host: Some(host), at: Some(at), .. }) = seats.get(&self.number) else { return };
        if let Some(site) = hosts.get_mut(host).filter(|site| site.serves_without(*at)) {
            site.left.insert(*at, Some(Instant::now() + WHILE));
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.nodes.lock().seats.remove(&self.number);
    }
}

impl Site {
    /// Another address serves the download.
    fn serves_without(&self, at: SocketAddr) -> bool {
        self.served.iter().any(|address| *address != at && !self.left.contains_key(address))
    }
}

fn word(condition: &Condition, asked: Result<&Head, &Failure>) -> Word {
    let Ok(head) = asked else { return Word::Fails };
    match (head.status, condition) {
        (200 | 206, Condition::None) => Word::Gives,
        (status @ (200 | 206), Condition::IfRange(validator)) => {
            let field = if validator.starts_with('"') { "etag" } else { "last-modified" };
            match (head.single(field) == Some(validator.as_bytes()), status) {
                (true, 206) => Word::Gives,
                (true, _) => Word::GivesAll,
                (false, _) => Word::Other,
            }
        }
        (300..=399 | 401 | 429, _) => Word::OfHost,
        _ if head.single("retry-after").is_some() => Word::OfHost,
        _ => Word::Fails,
    }
}

#[cfg(test)]
mod tests {
    use thence_plan::{Fields, HttpVersion};
    use url::Host;

    use super::*;

    const TICK: Duration = Duration::from_millis(100);

    fn host() -> Target {
        Target { https: false, host: Host::Domain("files.example".into()), port: 80 }
    }

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 80))
    }

    fn tagged(tag: &str) -> Condition {
        Condition::IfRange(format!("\"{tag}\""))
    }

    fn head(status: u16, fields: &[(&str, &str)]) -> Head {
        let fields: Fields = fields.iter().map(|(name, value)| (*name, *value)).collect();
        Head { status, version: HttpVersion::Http11, fields, received: 0 }
    }

    fn part(tag: &str) -> Head {
        head(206, &[("etag", &format!("\"{tag}\""))])
    }

    fn nodes() -> (Arc<Nodes>, mpsc::UnboundedReceiver<Event>) {
        let (tell, told) = mpsc::unbounded_channel();
        (Nodes::new(tell, TICK), told)
    }

    /// Where a lane is sent among the addresses 1 to 3.
    fn sent(seat: &Seat, condition: &Condition) -> Vec<u8> {
        seat.asks(&host(), Some((5, None)), condition);
        chosen(seat)
    }

    fn chosen(seat: &Seat) -> Vec<u8> {
        let found = [1, 2, 3].map(address).to_vec();
        let last =
            |address: SocketAddr| address.ip().to_string().rsplit('.').next().unwrap().parse().unwrap();
        seat.choose(&host(), found, |_| false).into_iter().map(last).collect()
    }

    /// A lane that was served by the first address.
    fn first(nodes: &Arc<Nodes>) -> Arc<Seat> {
        let seat = nodes.seat();
        seat.asks(&host(), Some((0, None)), &Condition::None);
        assert_eq!(chosen(&seat), [1, 2, 3]);
        assert!(!seat.passes_over(&host(), &Condition::None, Ok(&part("a"))));
        seat
    }

    #[test]
    fn lanes_are_spread_over_all_addresses() {
        let (nodes, _told) = nodes();
        let _first = first(&nodes);
        let seats: Vec<_> = (0..5).map(|_| nodes.seat()).collect();
        let went: Vec<u8> = seats.iter().map(|seat| sent(seat, &tagged("a"))[0]).collect();
        assert_eq!(went, [2, 3, 1, 2, 3]);
    }

    #[test]
    fn a_lone_lane_comes_back_to_where_it_was() {
        let (nodes, _told) = nodes();
        let seat = first(&nodes);
        seat.sits(Some(address(3)));
        assert!(!seat.passes_over(&host(), &tagged("a"), Ok(&part("a"))));
        drop(seat);
        assert_eq!(sent(&nodes.seat(), &tagged("a")), [1, 3, 2]);
        // What nothing could tell from another version's goes nowhere else.
        assert_eq!(sent(&nodes.seat(), &Condition::None), [1, 3]);
    }

    #[test]
    fn an_address_with_another_version_is_left_out_and_its_lane_sent_elsewhere() {
        let answers = [
            (part("b"), "it has another version of the file"),
            (head(206, &[]), "it has another version of the file"),
            (head(200, &[("etag", "\"a\"")]), "it gives no part of the file"),
            (head(404, &[]), "it cannot serve the file"),
        ];
        for (answer, why) in answers {
            let (nodes, mut told) = nodes();
            let _first = first(&nodes);
            let seat = nodes.seat();
            assert_eq!(sent(&seat, &tagged("a"))[0], 2);
            assert!(seat.passes_over(&host(), &tagged("a"), Ok(&answer)));
            assert_eq!(chosen(&seat), [1], "once more, where it was served");
            assert!(!seat.passes_over(&host(), &tagged("a"), Ok(&part("a"))));
            assert!(!seat.may_be_at(&host(), address(2)), "nor over a connection that was kept");
            let left = Event::LeftOut {
                host: "files.example:80".into(),
                address: "192.0.2.2".into(),
                why: why.into(),
            };
            assert_eq!(told.try_recv(), Ok(left));
        }
    }

    #[test]
    fn what_a_host_says_of_all_its_addresses_is_no_reason_to_leave_one_out() {
        let (nodes, _told) = nodes();
        let _first = first(&nodes);
        for answer in [head(302, &[]), head(401, &[]), head(429, &[]), head(503, &[("retry-after", "1")])] {
            let seat = nodes.seat();
            assert_eq!(sent(&seat, &tagged("a"))[0], 2);
            assert!(!seat.passes_over(&host(), &tagged("a"), Ok(&answer)), "{}", answer.status);
        }
    }

    #[test]
    fn a_run_that_goes_on_asks_other_addresses_when_a_tag_differs() {
        let (nodes, _told) = nodes();
        let mut went = Vec::new();
        for _ in 0..4 {
            let seat = nodes.seat();
            went.push(sent(&seat, &tagged("a"))[0]);
            assert!(!seat.passes_over(&host(), &tagged("a"), Ok(&part("b"))), "the planner is to know");
        }
        assert_eq!(went, [1, 2, 3, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_is_left_out_for_a_while() {
        let (nodes, _told) = nodes();
        let _first = first(&nodes);
        let seat = nodes.seat();
        assert_eq!(sent(&seat, &tagged("a"))[0], 2);
        assert!(seat.passes_over(&host(), &tagged("a"), Err(&Failure::Truncated)));
        drop(seat);
        assert_eq!(sent(&nodes.seat(), &tagged("a")), [3, 1]);
        tokio::time::sleep(WHILE).await;
        assert_eq!(sent(&nodes.seat(), &tagged("a")), [2, 3, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn where_lanes_are_far_slower_no_more_are_sent_for_a_while() {
        let (nodes, _told) = nodes();
        let fast = first(&nodes);
        let slow = nodes.seat();
        assert_eq!(sent(&slow, &tagged("a"))[0], 2);
        assert!(!slow.passes_over(&host(), &tagged("a"), Ok(&part("a"))));
        for _ in 0..=TELLING {
            fast.brought(4_100);
            slow.brought(1_000);
            tokio::time::sleep(TICK).await;
        }
        assert_eq!(
            sent(&nodes.seat(), &tagged("a")),
            [3, 1, 2],
            "although there are as many lanes at the first"
        );
        drop(slow);
        assert_eq!(sent(&nodes.seat(), &tagged("a")), [3, 1, 2], "nor now");
        tokio::time::sleep(WHILE).await;
        assert_eq!(sent(&nodes.seat(), &tagged("a")), [2, 3, 1]);
    }

    #[test]
    fn the_last_address_that_serves_is_never_left_out() {
        let (nodes, _told) = nodes();
        let seat = first(&nodes);
        seat.broke();
        assert_eq!(sent(&nodes.seat(), &tagged("a")), [2, 3, 1]);
        let second = nodes.seat();
        assert_eq!(sent(&second, &tagged("a"))[0], 2);
        assert!(!second.passes_over(&host(), &tagged("a"), Ok(&part("a"))));
        seat.broke();
        drop(seat);
        assert_eq!(sent(&nodes.seat(), &tagged("a")), [3, 2]);
    }
}
