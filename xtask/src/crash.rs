//! Kills `thence` with SIGKILL at random instants, lets the same command go on, and counts what the server
//! had to send twice.
//!
//! What was sent is read from nginx's log, not from what thence says: bytes given to the kernel for every
//! request, those included that were on their way to a process that no longer lived. So the figures are
//! upper bounds of what a kill cost, cuts between lanes included.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use thence_origin::files;
use thence_origin::real::{Server, Site};

use crate::chance::Chance;
use crate::options::Options;
use crate::packages;
use crate::shell;

/// A run that takes longer hangs.
const HANG: Duration = Duration::from_secs(120);

/// P3: a kill costs at most the traffic of one second, and never more than this.
const BOUND_MAX: u64 = 32 << 20;

/// Kills in a row before a resume is let alone.
const NESTED: usize = 10;

/// A fresh server after so many attempts, since its log is read whole each time.
const ATTEMPTS_A_SERVER: usize = 100;

const NAME: &str = "crash.bin";

struct Scene {
    binary: PathBuf,
    /// Where downloads are made, one directory an attempt.
    dir: PathBuf,
    body: Vec<u8>,
    site: Site,
    lanes: u32,
    kills: usize,
    seed: u64,
    /// How long an undisturbed run takes; kills fall anywhere in it.
    span: Duration,
}

/// What came of one download that was killed some times and then let alone.
#[derive(Clone, Debug, Default)]
struct Attempt {
    kills: usize,
    twice: u64,
    wrong: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let (kills, jobs) = (options.take("kills", 100usize)?, options.take("jobs", 4usize)?.max(1));
    let (lanes, size) = (options.list::<u32>("lanes", "1,4,16")?, options.size("size", "64M")?);
    let (seconds, seed) = (options.take("seconds", 2.5f64)?, options.take("seed", shell::fresh_seed())?);
    let binary = options.take("binary", String::new())?;
    options.no_others()?;
    packages::need(packages::TEST)?;
    let binary = shell::thence(binary)?;
    let served = tempfile::tempdir().map_err(|error| error.to_string())?;
    let dir = shell::root().join("target/crash");
    let rate = (size as f64 / seconds) as u64;
    let bound = rate.min(BOUND_MAX);
    println!("seed {seed}; {size} bytes at {rate} bytes a second over all lanes; {jobs} downloads at a time");
    println!("bound of a kill: {bound} bytes (one second of traffic, at most {BOUND_MAX})\n");
    println!("| lanes | kills | downloads | wrong | sent twice, no kill | a kill: median | p99 | max |");
    println!("|---|---|---|---|---|---|---|---|");
    let mut problems = Vec::new();
    for lanes in lanes {
        let site = Site::new(served.path()).rate(rate / u64::from(lanes.max(1)));
        let body = files::content(seed, size as usize);
        site.put(NAME, &body);
        let (binary, dir, span) = (binary.clone(), dir.join(lanes.to_string()), Duration::ZERO);
        let mut scene = Scene { binary, dir, body, site, lanes, kills, seed, span };
        let calm = scene.measure()?;
        let attempts = scene.run(jobs);
        problems.extend(report(&scene, &calm, &attempts, bound));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// Prints the table's line; what must not be comes back.
fn report(scene: &Scene, calm: &Attempt, attempts: &[Attempt], bound: u64) -> Vec<String> {
    let mut costs: Vec<u64> = Vec::new();
    for attempt in attempts.iter().filter(|attempt| attempt.kills > 0) {
        // In a chain of kills only the sum is known; each gets its share.
        costs.extend(vec![attempt.twice / attempt.kills as u64; attempt.kills]);
    }
    costs.sort_unstable();
    let at = |part: f64| {
        costs.get(((costs.len().max(1) - 1) as f64 * part).round() as usize).copied().unwrap_or(0)
    };
    let wrong: Vec<String> = attempts.iter().filter_map(|attempt| attempt.wrong.clone()).collect();
    println!(
        "| {} | {} | {} | {} | {} | {} | {} | {} |",
        scene.lanes,
        costs.len(),
        attempts.len(),
        wrong.len(),
        calm.twice,
        at(0.5),
        at(0.99),
        at(1.0)
    );
    let mut problems = wrong;
    if at(1.0) > bound {
        problems.push(format!("{} lanes: a kill cost {} bytes, the bound is {bound}", scene.lanes, at(1.0)));
    }
    problems
}

impl Scene {
    /// A run that nobody disturbs: how long it takes, and what its lanes cost by themselves.
    fn measure(&mut self) -> Result<Attempt, String> {
        let server = Server::nginx(&self.site);
        let start = Instant::now();
        let calm = self.attempt(&server, self.seed, 0);
        self.span = start.elapsed();
        calm.wrong.clone().map_or(Ok(calm), |wrong| Err(format!("without any kill: {wrong}")))
    }

    /// Attempts in several threads, each with a server of its own, until there were enough kills.
    fn run(&self, jobs: usize) -> Vec<Attempt> {
        let (next, done) = (AtomicU64::new(self.seed), Mutex::new(Vec::<Attempt>::new()));
        let lock = || done.lock().expect("no thread panics with the results in hand");
        let enough = || lock().iter().map(|attempt| attempt.kills).sum::<usize>() >= self.kills;
        thread::scope(|scope| {
            for _job in 0..jobs {
                scope.spawn(|| {
                    while !enough() {
                        let server = Server::nginx(&self.site);
                        for _attempt in 0..ATTEMPTS_A_SERVER {
                            if enough() {
                                break;
                            }
                            let attempt = self.attempt(&server, next.fetch_add(1, Ordering::SeqCst), NESTED);
                            lock().push(attempt);
                        }
                    }
                });
            }
        });
        lock().clone()
    }

    /// One download: killed at most `nested` times in a row, each time anywhere in a run, then let alone.
    fn attempt(&self, server: &Server, seed: u64, nested: usize) -> Attempt {
        let mut chance = Chance::new(seed);
        let mut attempt = Attempt::default();
        let dir = self.dir.join(seed.to_string());
        // A seed that failed before left its evidence here.
        let _nothing_there = fs::remove_dir_all(&dir);
        let before = sent(server);
        let ended = loop {
            let again = attempt.kills < nested && (attempt.kills == 0 || chance.unit() < 0.5);
            let limit = if again { self.span.mul_f64(chance.unit()) } else { HANG };
            match self.once(server, &dir, limit) {
                Ok(None) if again => attempt.kills += 1,
                Ok(None) => break Err(format!("it does not end in {HANG:?}")),
                Ok(Some(problem)) => break if problem.is_empty() { Ok(()) } else { Err(problem) },
                Err(error) => break Err(error.to_string()),
            }
        };
        let wrong = ended.and_then(|()| self.check(&dir)).err();
        attempt.twice = settled(server).saturating_sub(before).saturating_sub(self.body.len() as u64);
        match wrong {
            // The evidence stays.
            Some(what) => {
                attempt.wrong =
                    Some(format!("{} lanes, seed {seed}: {what} ({})", self.lanes, dir.display()));
            }
            None => {
                let _empty_enough = fs::remove_dir_all(&dir);
            }
        }
        attempt
    }

    /// Starts it and kills it after `limit`: `None` if it had to be, else what it said, empty for success.
    fn once(&self, server: &Server, dir: &Path, limit: Duration) -> std::io::Result<Option<String>> {
        fs::create_dir_all(dir)?;
        let said = dir.with_extension("stderr");
        let mut command = Command::new(&self.binary);
        command
            .arg("-q")
            .arg("-d")
            .arg(dir)
            .arg("-x")
            .arg(self.lanes.to_string())
            .arg(server.url(&format!("/{NAME}")));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&said)?);
        let status = wait(command.spawn()?, limit)?;
        let text = fs::read_to_string(&said)?;
        fs::remove_file(&said)?;
        Ok(status.map(|status| if status.success() { String::new() } else { format!("{status}: {text}") }))
    }

    /// The right bytes, and nothing beside them.
    fn check(&self, dir: &Path) -> Result<(), String> {
        let bytes = fs::read(dir.join(NAME)).map_err(|error| format!("no file: {error}"))?;
        if bytes != self.body {
            let at = bytes.iter().zip(&self.body).position(|(is, ought)| is != ought).unwrap_or(bytes.len());
            return Err(format!(
                "wrong from byte {at} on, {} of {} bytes long",
                bytes.len(),
                self.body.len()
            ));
        }
        let entries = fs::read_dir(dir).map_err(|error| error.to_string())?.flatten();
        let left: Vec<_> = entries.map(|entry| entry.file_name()).filter(|name| name != NAME).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("left behind: {left:?}")) }
    }
}

/// Its status; `None` if it was killed after `limit`.
fn wait(mut child: Child, limit: Duration) -> std::io::Result<Option<std::process::ExitStatus>> {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // SIGKILL, and only to the pid we started and have not waited for.
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(left.min(Duration::from_millis(2)));
    }
}

fn sent(server: &Server) -> u64 {
    server.log().iter().map(|access| access.sent).sum()
}

/// The same once the log no longer grows: nginx notes a connection's end a little after it.
fn settled(server: &Server) -> u64 {
    let (mut last, mut since) = (sent(server), Instant::now());
    while since.elapsed() < Duration::from_millis(400) {
        thread::sleep(Duration::from_millis(50));
        let now = sent(server);
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}
