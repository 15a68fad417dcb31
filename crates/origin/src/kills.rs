//! Kills a downloader with SIGKILL at random instants, lets the same command go on, and counts what the server
//! had to send twice.
//!
//! What was sent is read from the server, not from what the program says: bytes given to the kernel for every
//! request, those included that were on their way to a process that no longer lived. So the figures are
//! upper bounds of what a kill cost, cuts between lanes included.
//!
//! nginx counts in whole seconds and lets every answer have its first two at once; a resume is all first
//! answers, so the traffic of its first second is twice the rate. The scripted origin sends evenly.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::chance::Chance;
use crate::files;
use crate::honest::{Served, Shared, handler};
use crate::real::{Server, Site};
use crate::scripted::Origin;
use crate::trial::{Ended, Trial};

/// P3: a kill costs at most the traffic of one second, and never more than this.
pub const BOUND_MAX: u64 = 32 << 20;

/// A nested kill falls into this much of a run that goes on, every second one into its first moments.
const EARLY: Duration = Duration::from_millis(150);
const LATE: f64 = 0.3;

/// Kills in a row before a resume is let alone.
const NESTED: usize = 10;

/// A fresh server after so many attempts, since its log is read whole each time.
const ATTEMPTS_A_SERVER: usize = 100;

const NAME: &str = "crash.bin";

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// nginx, counted from its log.
    Nginx,
    /// The scripted origin, which keeps to its rate at every moment.
    Even,
}

enum Host {
    Nginx(Server),
    Even(Origin),
}

impl Host {
    fn url(&self, path: &str) -> String {
        match self {
            Host::Nginx(server) => server.url(path),
            Host::Even(origin) => origin.url(path),
        }
    }

    fn sent(&self) -> u64 {
        match self {
            Host::Nginx(server) => sent(server),
            Host::Even(origin) => origin.sent(),
        }
    }

    fn settled(&self) -> u64 {
        quiet(|| self.sent())
    }
}

/// A file, a server that throttles it, and a program to kill.
pub struct Scene {
    program: PathBuf,
    body: Vec<u8>,
    site: Site,
    sender: Sender,
    lanes: u32,
    rate: u64,
    seed: u64,
    /// Every download is killed two to [`NESTED`] times, and must not lose what it had.
    nested: bool,
    /// How long an undisturbed run takes; kills fall anywhere in it.
    span: Duration,
    /// What the server sent twice in that run: what its lanes cost by themselves.
    pub calm: u64,
}

/// What came of one download that was killed, or lost its power, some times and then was let alone.
#[derive(Clone, Debug, Default)]
pub struct Attempt {
    /// Over so many lanes.
    pub lanes: u32,
    /// Drawn from this seed.
    pub seed: u64,
    /// Kills, or power cuts.
    pub kills: usize,
    /// Bytes sent beyond one whole file.
    pub twice: u64,
    /// What was not as it must be.
    pub wrong: Option<String>,
}

/// What many attempts cost, a share for each kill.
#[derive(Clone, Debug, Default)]
pub struct Costs(Vec<u64>);

impl Costs {
    /// Of all kills in `attempts`. In a chain of kills only the sum is known; each gets its share.
    pub fn of(attempts: &[Attempt]) -> Costs {
        let mut costs: Vec<u64> = Vec::new();
        for attempt in attempts.iter().filter(|attempt| attempt.kills > 0) {
            costs.extend(vec![attempt.twice / attempt.kills as u64; attempt.kills]);
        }
        costs.sort_unstable();
        Costs(costs)
    }

    /// How many kills.
    pub fn kills(&self) -> usize {
        self.0.len()
    }

    /// The cost that this part of all kills does not exceed: 0.5 is the median, 1.0 the worst.
    pub fn at(&self, part: f64) -> u64 {
        self.0.get(((self.0.len().max(1) - 1) as f64 * part).round() as usize).copied().unwrap_or(0)
    }
}

impl Scene {
    /// `program` over `lanes` lanes from a file of `size` bytes, at `rate` bytes a second in all, from `dir` if nginx
    /// sends it. Runs it once undisturbed.
    ///
    /// # Errors
    ///
    /// What that run did wrong.
    pub fn new(
        program: PathBuf,
        (sender, dir): (Sender, PathBuf),
        lanes: u32,
        (size, rate): (u64, u64),
        seed: u64,
    ) -> Result<Scene, String> {
        let site = Site::new(dir).rate((rate / u64::from(lanes.max(1))).max(1));
        let body = files::content(seed, size as usize);
        site.put(NAME, &body);
        let mut scene = Scene {
            program,
            body,
            site,
            sender,
            lanes,
            rate,
            seed,
            nested: false,
            span: Duration::ZERO,
            calm: 0,
        };
        let (host, start) = (scene.host(), Instant::now());
        let calm = scene.attempt(&host, seed, 0);
        scene.span = start.elapsed();
        scene.calm = calm.twice;
        calm.wrong.map_or(Ok(scene), |wrong| Err(format!("without any kill: {wrong}")))
    }

    /// The same, with kills that fall into runs which go on: two to ten in every download, and after each of them as
    /// much must be held as before it.
    pub fn nested(self) -> Scene {
        Scene { nested: true, ..self }
    }

    /// What one kill may cost: the traffic of a second.
    pub fn bound(&self) -> u64 {
        let second = if self.sender == Sender::Nginx { 2 * self.rate } else { self.rate };
        second.min(BOUND_MAX)
    }

    fn host(&self) -> Host {
        match self.sender {
            Sender::Nginx => Host::Nginx(Server::nginx(&self.site)),
            Sender::Even => {
                let served = Served { rate: self.site.rate, ..Served::new(self.body.clone()) };
                Host::Even(Origin::start(handler(&Shared::new(served))))
            }
        }
    }

    /// Attempts, `jobs` at a time and each with a server of its own, until there were `kills` kills.
    pub fn run(&self, kills: usize, jobs: usize) -> Vec<Attempt> {
        let (next, done) = (AtomicU64::new(self.seed), Mutex::new(Vec::<Attempt>::new()));
        let lock = || done.lock().expect("no thread panics with the results in hand");
        let enough = || lock().iter().map(|attempt| attempt.kills).sum::<usize>() >= kills;
        thread::scope(|scope| {
            for _job in 0..jobs.max(1) {
                scope.spawn(|| {
                    while !enough() {
                        let host = self.host();
                        for _attempt in 0..ATTEMPTS_A_SERVER {
                            if enough() {
                                break;
                            }
                            let attempt = self.attempt(&host, next.fetch_add(1, Ordering::SeqCst), NESTED);
                            lock().push(attempt);
                        }
                    }
                });
            }
        });
        lock().clone()
    }

    /// One download: killed at most `nested` times in a row, each time anywhere in a run, then let alone.
    fn attempt(&self, host: &Host, seed: u64, nested: usize) -> Attempt {
        let (mut chance, mut attempt) =
            (Chance::new(seed), Attempt { lanes: self.lanes, seed, ..Attempt::default() });
        let trial = Trial::of(&self.program);
        let (lanes, url) = (self.lanes.to_string(), host.url(&format!("/{NAME}")));
        let (before, mut held, mut lost) = (host.sent(), 0, None);
        let planned = if self.nested { 2 + (chance.unit() * (NESTED - 1) as f64) as usize } else { nested };
        let ended = loop {
            let mut running = trial.start(&["-q", "-x", &lanes, &url]);
            let again = attempt.kills < planned.min(nested)
                && (self.nested || attempt.kills == 0 || chance.unit() < 0.5);
            if !again || !running.lives_for(self.instant(attempt.kills, &mut chance)) {
                break running.wait();
            }
            running.kill();
            attempt.kills += 1;
            if self.nested {
                // A run that was quicker than its kill has published all of it, and there is no part to ask.
                let whole = trial.names() == [NAME];
                let now = if whole { self.body.len() as u64 } else { held_by(&trial) };
                let less = || format!("kill {} left {now} bytes of {held}", attempt.kills);
                lost = lost.or_else(|| (now < held).then(less));
                held = now;
            }
        };
        let wrong = lost.or_else(|| self.wrong_with(&trial, &ended));
        attempt.twice = host.settled().saturating_sub(before).saturating_sub(self.body.len() as u64);
        attempt.wrong = wrong.map(|what| {
            // The evidence stays.
            let dir = trial.keep();
            format!("{} lanes, seed {seed}, {} kills: {what} ({})", self.lanes, attempt.kills, dir.display())
        });
        attempt
    }

    /// When a run is killed that was killed so often before.
    fn instant(&self, kills: usize, chance: &mut Chance) -> Duration {
        match kills {
            _ if !self.nested => self.span.mul_f64(chance.unit()),
            0 => self.span.mul_f64(0.6 * chance.unit()),
            _ if chance.unit() < 0.5 => EARLY.mul_f64(chance.unit()),
            _ => self.span.mul_f64(LATE * chance.unit()),
        }
    }

    /// What differs from the right bytes with nothing beside them.
    fn wrong_with(&self, trial: &Trial, ended: &Ended) -> Option<String> {
        if ended.code != Some(0) {
            return Some(format!("code {:?}: {}", ended.code, ended.said));
        }
        if trial.names() != [NAME] {
            return Some(format!("left behind: {:?}", trial.names()));
        }
        let bytes = trial.bytes(NAME);
        if bytes == self.body {
            return None;
        }
        let at = bytes.iter().zip(&self.body).position(|(is, ought)| is != ought).unwrap_or(bytes.len());
        Some(format!("wrong from byte {at} on, {} of {} bytes long", bytes.len(), self.body.len()))
    }
}

/// What `thence status` says is held in the trial's directory; 0 if there is no part yet.
pub fn held_by(trial: &Trial) -> u64 {
    number(&trial.run(&["status", "--json"]).out, "held")
}

/// The last number of that name in lines of JSON, 0 if there is none.
pub fn number(lines: &[u8], name: &str) -> u64 {
    let text = String::from_utf8_lossy(lines);
    let value = text.rsplit_once(&format!("\"{name}\":")).map_or("", |(_, rest)| rest);
    let digits = value.trim_start().split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

/// Body bytes that a server has given to the kernel so far.
pub fn sent(server: &Server) -> u64 {
    server.log().iter().map(|access| access.sent).sum()
}

/// The same once the log no longer grows: nginx notes a connection's end a little after it.
pub fn settled(server: &Server) -> u64 {
    quiet(|| sent(server))
}

/// A counter's value once it no longer grows.
pub(crate) fn quiet(sent: impl Fn() -> u64) -> u64 {
    let (mut last, mut since) = (sent(), Instant::now());
    while since.elapsed() < Duration::from_millis(400) {
        thread::sleep(Duration::from_millis(50));
        let now = sent();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}
