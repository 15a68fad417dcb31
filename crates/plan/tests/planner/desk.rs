//! A small vocabulary: jobs, heads, and what the planner said to the last input.

#![allow(dead_code, reason = "whoever sits at the desk uses a share of it")]

use std::ops::Range;
use std::time::{Duration, Instant, UNIX_EPOCH};

use thence_plan::{
    Action, Claimed, Completion, Condition, Ending, EntityTag, Error, Event, Failure, Fields, Head, Held,
    HeldBlock, HttpVersion, Identity, Input, JobId, JobSpec, LaneId, Limits, Output, Run, SourceId, Stamp,
    Take,
};

/// A strong tag.
pub(crate) const A: &str = "\"a\"";

pub(crate) const L0: LaneId = LaneId(0);
pub(crate) const L1: LaneId = LaneId(1);

pub(crate) fn if_range(tag: &str) -> Condition {
    Condition::IfRange(tag.to_owned())
}

/// A block.
pub(crate) const K: u64 = 256 << 10;

const WALL: u64 = 1_700_000_000;

/// Range and condition of a request.
pub(crate) type Asked = (Option<(u64, Option<u64>)>, Condition);

/// A job that is not started yet.
pub(crate) struct Setup(JobSpec, Limits);

pub(crate) fn job() -> Setup {
    let spec = JobSpec { urls: vec!["https://host.test/file".into()], lanes: Some(1), ..JobSpec::default() };
    Setup(spec, Limits::default())
}

impl Setup {
    pub(crate) fn lanes(mut self, lanes: u32) -> Setup {
        self.0.lanes = Some(lanes);
        self
    }

    pub(crate) fn strict(mut self) -> Setup {
        self.0.strict = true;
        self
    }

    pub(crate) fn stream(mut self) -> Setup {
        self.0.stream = true;
        self
    }

    /// Somebody says how long it is.
    pub(crate) fn size(mut self, bytes: u64) -> Setup {
        self.0.size = Some(bytes);
        self
    }

    pub(crate) fn digest(mut self) -> Setup {
        self.0.digest = true;
        self
    }

    /// So many bytes of a stream may wait.
    pub(crate) fn window(mut self, bytes: u64) -> Setup {
        self.1.window = bytes;
        self
    }

    /// No larger file is begun.
    pub(crate) fn largest(mut self, size: u64) -> Setup {
        self.1.max_size = Some(size);
        self
    }

    pub(crate) fn url(mut self, url: &str) -> Setup {
        self.0.urls = vec![url.into()];
        self
    }

    /// Somebody knows another URL for one that has expired.
    pub(crate) fn renews(mut self) -> Setup {
        self.0.renews = true;
        self
    }

    /// That URL is asked instead of the first.
    pub(crate) fn renewed(mut self, url: &str) -> Setup {
        self.0.renewed = Some(url.into());
        self
    }

    pub(crate) fn mirror(mut self, url: &str) -> Setup {
        self.0.urls.push(url.into());
        self
    }

    /// A finished file of this version is there.
    pub(crate) fn unless(mut self, version: Identity) -> Setup {
        self.0.unless = Some(version);
        self
    }

    pub(crate) fn held(mut self, held: Before) -> Setup {
        self.0.held = Some(held.0);
        self
    }

    pub(crate) fn held_as(mut self, held: Held) -> Setup {
        self.0.held = Some(held);
        self
    }

    pub(crate) fn start(self) -> Desk {
        let now = moment();
        let mut run = Run::new(self.1, 7);
        let id = run.add(now, self.0);
        let mut desk = Desk { run, now, id, new: Vec::new(), all: Vec::new(), idle: None };
        desk.drain();
        desk
    }

    /// Started, answered with this head, and placed: lane 0 reads.
    pub(crate) fn begun(self, head: Answer) -> Desk {
        let mut desk = self.start();
        desk.head(LaneId(0), head).placed();
        desk
    }
}

/// What an earlier run left.
pub(crate) struct Before(Held);

/// Of a file of so many blocks.
pub(crate) fn held(blocks: u64) -> Before {
    Before(Held {
        name: "file".into(),
        url: "https://host.test/file".into(),
        identity: Identity { total: Some(blocks * K), ..Identity::default() },
        block_size: K as u32,
        blocks: Vec::new(),
        whole: false,
        unproven: false,
        renewed: None,
        claimed: None,
    })
}

impl Before {
    pub(crate) fn tag(mut self, tag: &str) -> Before {
        self.0.identity.etag = EntityTag::parse(tag.as_bytes());
        self
    }

    pub(crate) fn modified(mut self, ago: u64) -> Before {
        self.0.identity.modified = Some(date(ago));
        self.age(ago as i64)
    }

    pub(crate) fn age(mut self, seconds: i64) -> Before {
        self.0.identity.age = Some(seconds);
        self
    }

    pub(crate) fn unknown(mut self) -> Before {
        self.0.identity.total = None;
        self
    }

    pub(crate) fn url(mut self, url: &str) -> Before {
        self.0.url = url.into();
        self
    }

    /// Its link had expired, and this one stood for it.
    pub(crate) fn renewed(mut self, url: &str) -> Before {
        self.0.renewed = Some(url.into());
        self
    }

    pub(crate) fn blocks(mut self, range: Range<u32>) -> Before {
        let block = |index| HeldBlock { index, len: K as u32, hash: 1, synced: true };
        self.0.blocks.extend(range.map(block));
        self
    }

    /// And this block, which need not follow the others.
    pub(crate) fn also(mut self, index: u32) -> Before {
        self.0.blocks.push(HeldBlock { index, len: K as u32, hash: 1, synced: true });
        self
    }

    /// The first bytes of the first block.
    pub(crate) fn bytes(mut self, len: u32) -> Before {
        self.0.blocks = vec![HeldBlock { index: 0, len, hash: 1, synced: true }];
        self
    }

    /// Another program left it, and these stretches must be compared.
    pub(crate) fn claimed(mut self, stretches: &[(u64, u64)]) -> Before {
        let stamp = Stamp { size: 1, mtime: 2, inode: 3 };
        let (file, stretches) = ("file".to_owned(), stretches.to_vec());
        self.0.claimed = Some(Claimed { file, stretches, replaces: Some(stamp) });
        self
    }

    pub(crate) fn take(self) -> Held {
        self.0
    }

    pub(crate) fn whole(mut self) -> Before {
        self.0.whole = true;
        self
    }
}

/// A head.
pub(crate) struct Answer(Head);

fn answer(status: u16) -> Answer {
    Answer(Head { status, version: HttpVersion::Http11, fields: Fields::default(), received: WALL })
        .field("date", &date(0))
}

/// An error or log-in page.
pub(crate) fn page(status: u16) -> Answer {
    answer(status).field("content-type", "text/html").field("content-length", "300")
}

pub(crate) fn whole(len: u64) -> Answer {
    answer(200).field("content-length", &len.to_string())
}

/// A 206 of `first..end`.
pub(crate) fn part(first: u64, end: u64, total: u64) -> Answer {
    let range = format!("bytes {first}-{}/{total}", end - 1);
    answer(206).field("content-range", &range).field("content-length", &(end - first).to_string())
}

impl Answer {
    pub(crate) fn tag(self, tag: &str) -> Answer {
        self.field("etag", tag)
    }

    pub(crate) fn field(mut self, name: &str, value: &str) -> Answer {
        self.0.fields.push(name, value.as_bytes());
        self
    }

    pub(crate) fn without(self, name: &str) -> Answer {
        self.with(|n, value| (n != name).then(|| value.to_owned()))
    }

    /// Its complete length is not told.
    pub(crate) fn star(self) -> Answer {
        self.with(|name, value| match (name, value.split_once('/')) {
            ("content-range", Some((range, _))) => Some(format!("{range}/*")),
            _ => Some(value.to_owned()),
        })
    }

    /// With what this makes of each field.
    fn with(mut self, change: impl Fn(&str, &str) -> Option<String>) -> Answer {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields = self.0.fields.iter().map(|(name, value)| (text(name), text(value)));
        let fields = fields.filter_map(|(name, value)| change(&name, &value).map(|value| (name, value)));
        self.0.fields = fields.collect();
        self
    }
}

/// The date so many seconds ago, as it stands in a field.
pub(crate) fn date(ago: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(WALL - ago))
}

/// A job under way, and what was said to the last input.
pub(crate) struct Desk {
    run: Run,
    now: Instant,
    id: JobId,
    new: Vec<Action>,
    all: Vec<Action>,
    idle: Option<Instant>,
}

impl Desk {
    fn drain(&mut self) {
        self.new.clear();
        loop {
            match self.run.poll(self.now) {
                Output::Job(_, action) => self.new.push(action),
                Output::Idle(at) => {
                    self.idle = at;
                    break;
                }
            }
        }
        self.all.extend(self.new.iter().cloned());
        assert_eq!(self.run.audit(), Ok(()));
    }

    pub(crate) fn put(&mut self, input: Input) -> &mut Desk {
        self.run.handle(self.now, self.id, input);
        self.drain();
        self
    }

    pub(crate) fn add(&mut self, setup: Setup) -> JobId {
        let id = self.run.add(self.now, setup.0);
        self.drain();
        id
    }

    /// Bytes that the job says it holds.
    pub(crate) fn says_held(&self) -> u64 {
        self.run.progress(self.id).map_or(0, |progress| progress.held)
    }

    pub(crate) fn completion(&self) -> Option<Completion> {
        self.run.completion(self.id)
    }

    /// Whether nothing is known any more of the job, once it is forgotten.
    pub(crate) fn forgotten(&mut self) -> bool {
        self.run.remove(self.id);
        self.drain();
        self.run.completion(self.id).is_none()
    }

    pub(crate) fn head(&mut self, lane: LaneId, head: Answer) -> &mut Desk {
        self.put(Input::Head { lane, hops: Vec::new(), head: head.0 })
    }

    pub(crate) fn redirected(&mut self, lane: LaneId, to: &str, head: Answer) -> &mut Desk {
        self.put(Input::Head { lane, hops: vec![to.into()], head: head.0 })
    }

    pub(crate) fn placed(&mut self) -> &mut Desk {
        self.put(Input::Placed(Ok(())))
    }

    pub(crate) fn ended(&mut self, lane: LaneId, result: Result<Ending, Failure>) -> &mut Desk {
        self.put(Input::Ended { lane, result })
    }

    pub(crate) fn read(&mut self, lane: LaneId, at: u64, len: u64) -> &mut Desk {
        self.put(Input::Bytes { lane, at, len })
    }

    /// A rate limit of ours keeps it from reading for so long.
    pub(crate) fn limited(&mut self, lane: LaneId, millis: u64) -> &mut Desk {
        let until = self.now + Duration::from_millis(millis);
        self.put(Input::Held { lane, until })
    }

    pub(crate) fn stored(&mut self, block: u32, upto: u32) -> &mut Desk {
        self.put(Input::Stored { block, upto, hash: 1 })
    }

    pub(crate) fn landed(&mut self, lane: LaneId, upto: u64) -> &mut Desk {
        self.put(Input::Landed { lane, upto })
    }

    pub(crate) fn taken(&mut self, upto: u64) -> &mut Desk {
        self.put(Input::Taken { upto })
    }

    pub(crate) fn stored_whole(&mut self, blocks: Range<u32>) -> &mut Desk {
        for block in blocks {
            self.stored(block, K as u32);
        }
        self
    }

    pub(crate) fn checked(&mut self, block: u32) -> &mut Desk {
        self.put(Input::Checked { block, same: true })
    }

    /// Every check that was ever asked for is answered well.
    pub(crate) fn checked_all(&mut self) -> &mut Desk {
        for block in 0..64 {
            self.checked(block);
        }
        self
    }

    pub(crate) fn synced(&mut self) -> &mut Desk {
        self.put(Input::Synced(Ok(())))
    }

    pub(crate) fn later(&mut self, millis: u64) -> &mut Desk {
        self.now += Duration::from_millis(millis);
        self.run.wake(self.now);
        self.drain();
        self
    }

    /// Time goes by before the next poll, and nobody wakes the planner.
    pub(crate) fn late(&mut self, wait: Duration) {
        self.now += wait;
        self.drain();
    }

    pub(crate) fn idle(&self) -> Option<Instant> {
        self.idle
    }

    pub(crate) fn said(&self) -> &[Action] {
        &self.new
    }

    pub(crate) fn ever(&self, is: impl Fn(&Action) -> bool) -> bool {
        self.all.iter().any(is)
    }

    pub(crate) fn asks(&self) -> Vec<Asked> {
        asks(&self.new)
    }

    pub(crate) fn last_ask(&self) -> Option<Asked> {
        asks(&self.all).pop()
    }

    /// Where the range of the n-th request of all starts.
    pub(crate) fn asked_from(&self, n: usize) -> u64 {
        asks(&self.all)[n].0.map_or(0, |range| range.0)
    }

    pub(crate) fn opened(&self) -> Vec<LaneId> {
        self.new.iter().filter_map(opened).collect()
    }

    /// The lane that was opened last of all.
    pub(crate) fn last_lane(&self) -> Option<LaneId> {
        self.all.iter().filter_map(opened).next_back()
    }

    pub(crate) fn sources(&self) -> Vec<SourceId> {
        let source = |a: &Action| if let Action::Open { source, .. } = a { Some(*source) } else { None };
        self.new.iter().filter_map(source).collect()
    }

    pub(crate) fn urls(&self) -> Vec<&str> {
        self.new
            .iter()
            .filter_map(|a| if let Action::Open { url, .. } = a { Some(url.as_str()) } else { None })
            .collect()
    }

    /// Its range is brought, and its message goes on.
    pub(crate) fn reached(&mut self, lane: LaneId) -> &mut Self {
        self.put(Input::Reached { lane })
    }

    pub(crate) fn narrowed(&self) -> Option<(LaneId, u64)> {
        self.new
            .iter()
            .find_map(|a| if let Action::Narrow { lane, end } = a { Some((*lane, *end)) } else { None })
    }

    pub(crate) fn closes(&self, lane: LaneId) -> bool {
        self.new.contains(&Action::Close { lane })
    }

    pub(crate) fn take(&self, lane: LaneId) -> Option<Take> {
        self.new.iter().find_map(|a| match a {
            Action::Take(l, take) if *l == lane => Some(take.clone()),
            _ => None,
        })
    }

    pub(crate) fn told_changed(&self) -> bool {
        self.new.iter().any(|a| matches!(a, Action::Tell(Event::Changed { .. })))
    }

    pub(crate) fn finish(&self) -> Option<u64> {
        self.new.iter().find_map(|a| if let Action::Finish { total } = a { Some(*total) } else { None })
    }

    pub(crate) fn error(&self) -> Option<&Error> {
        self.all.iter().find_map(|a| if let Action::Fail(error) = a { Some(error) } else { None })
    }
}

fn opened(action: &Action) -> Option<LaneId> {
    if let Action::Open { lane, .. } = action { Some(*lane) } else { None }
}

fn asks(actions: &[Action]) -> Vec<Asked> {
    let asked = |a: &Action| match a {
        Action::Open { ask, .. } => Some((ask.range, ask.condition.clone())),
        _ => None,
    };
    actions.iter().filter_map(asked).collect()
}

/// Some moment to count from.
#[allow(clippy::disallowed_methods)]
fn moment() -> Instant {
    Instant::now()
}
