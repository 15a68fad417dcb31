//! Cuts the power under a downloader at random instants, starts the machine again, lets the same command go on, and
//! counts what the origin had to send twice.
//!
//! The power is cut of the file system alone, so that everything unsynced is gone at that instant ([`Disk::cut`]);
//! the program is killed a little after it, and what it says in between is not heard, with one exception: exit 0
//! is a promise, so every download ends with one more cut, after which the file must be there.
//!
//! What was sent is what the origin gave to the kernel, so the figures are upper bounds, as in [`crate::kills`].

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::chance::Chance;
use crate::disks::{Disk, Kind};
use crate::files;
use crate::honest::{Served, Shared, handler};
use crate::kills::{Attempt, BOUND_MAX as KILL_MAX, quiet};
use crate::scripted::Origin;
use crate::trial::{Ended, Trial};

/// P3: a power cut costs what a kill costs, and at most this much of what came since the last sync.
pub const SYNC_MAX: u64 = 64 << 20;

/// P3: a sync begins at most so many seconds after the one before it.
const SYNC_SECONDS: u64 = 5;

/// Most cuts in one download.
const MOST: usize = 4;

/// Lanes, by turns.
const LANES: [u32; 3] = [1, 4, 16];

const NAME: &str = "cut.bin";

/// A file, the rate at which it is sent, and a program whose disk is cut off.
pub struct Scene {
    program: PathBuf,
    file: Shared,
    body: Vec<u8>,
    rate: u64,
    seed: u64,
}

impl Scene {
    /// `program` with a file of `size` bytes, sent at `rate` bytes a second over all lanes.
    pub fn new(program: PathBuf, (size, rate): (u64, u64), seed: u64) -> Scene {
        let body = files::content(seed, size as usize);
        Scene { program, file: Shared::new(Served::new(body.clone())), body, rate, seed }
    }

    /// What one cut may cost: a second of traffic as a kill, and what came since the last sync.
    pub fn bound(&self) -> u64 {
        self.rate.min(KILL_MAX) + (SYNC_SECONDS * self.rate).min(SYNC_MAX)
    }

    /// What is sent twice over these lanes when nobody cuts anything.
    ///
    /// # Errors
    ///
    /// What that run did wrong.
    pub fn calm(&self, kind: Kind, lanes: u32) -> Result<u64, String> {
        let calm = self.download(kind, lanes, self.seed, 0)?;
        calm.wrong.map_or(Ok(calm.twice), |wrong| Err(format!("without any cut: {wrong}")))
    }

    /// The calm costs of all numbers of lanes, side by side: the worst of them.
    ///
    /// # Errors
    ///
    /// As [`Scene::calm`].
    pub fn worst_calm(&self, kind: Kind) -> Result<u64, String> {
        let costs = thread::scope(|scope| {
            let runs = LANES.map(|lanes| scope.spawn(move || self.calm(kind, lanes)));
            runs.map(|run| run.join().unwrap_or_else(|_| Err("the run panicked".into())))
        });
        costs.into_iter().try_fold(0, |worst, cost| Ok(worst.max(cost?)))
    }

    /// Downloads, `jobs` at a time and each on a disk of its own, until there were `cuts` cuts.
    ///
    /// # Errors
    ///
    /// What the machine does not do for us: there is no disk, or it cannot be cut off.
    pub fn run(&self, kind: Kind, cuts: usize, jobs: usize) -> Result<Vec<Attempt>, String> {
        let (next, done) = (AtomicU64::new(0), Mutex::new(Vec::<Attempt>::new()));
        let lock = || done.lock().expect("no thread panics with the results in hand");
        // What is under way is counted for one cut, or many jobs would overshoot.
        let begun = AtomicU64::new(0);
        let enough = || {
            let ended: usize = lock().iter().map(|attempt| attempt.kills).sum();
            ended + begun.load(Ordering::SeqCst) as usize >= cuts
        };
        let work = || -> Result<(), String> {
            while !enough() {
                let number = next.fetch_add(1, Ordering::SeqCst);
                begun.fetch_add(1, Ordering::SeqCst);
                let lanes = LANES[number as usize % LANES.len()];
                // Every other download of a number of lanes is cut once, so that its cost is known for itself.
                let most = if (number / LANES.len() as u64).is_multiple_of(2) { 1 } else { MOST };
                let attempt = self.download(kind, lanes, self.seed.wrapping_add(number), most);
                begun.fetch_sub(1, Ordering::SeqCst);
                lock().push(attempt?);
            }
            Ok(())
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(work)).collect();
            workers
                .into_iter()
                .try_for_each(|worker| worker.join().unwrap_or_else(|_| Err("a job panicked".into())))
        })?;
        Ok(done.into_inner().expect("no thread panics with the results in hand"))
    }

    /// One download, cut at most `most` times and then let alone, and cut once more when it says that it is done.
    fn download(&self, kind: Kind, lanes: u32, seed: u64, most: usize) -> Result<Attempt, String> {
        let disk = Disk::of(kind, 4 * self.body.len() as u64)?;
        let rated = Shared::new(Served { rate: Some(self.rate / u64::from(lanes)), ..self.file.now() });
        let (origin, trial) = (Origin::start(handler(&rated)), Trial::of(&self.program));
        let (root, lanes_said) = (disk.root().to_string_lossy().into_owned(), lanes.to_string());
        let url = origin.url(&format!("/{NAME}"));
        let args = ["-q", "-x", &lanes_said, "-d", &root, &url];
        let span = Duration::from_secs_f64(self.body.len() as f64 / self.rate as f64);
        let (mut chance, mut attempt) = (Chance::new(seed), Attempt { lanes, seed, ..Attempt::default() });
        let ended = loop {
            let mut running = trial.start(&args);
            let again = attempt.kills < most && (attempt.kills == 0 || chance.unit() < 0.7);
            if !again || !running.lives_for(span.mul_f64(chance.unit())) {
                break running.wait();
            }
            disk.cut()?;
            let ended = running.kill();
            attempt.kills += 1;
            disk.restart()?;
            if ended.code == Some(0) {
                break ended;
            }
        };
        attempt.twice = quiet(|| origin.sent()).saturating_sub(self.body.len() as u64);
        disk.cut()?;
        disk.restart()?;
        let wrong = self.wrong_with(&disk, &ended).or_else(|| {
            // One run more finds that nothing is left to do.
            let (sent, last) = (origin.sent(), trial.run(&args));
            let more = || (origin.sent() != sent).then(|| "what was whole is fetched again".to_owned());
            self.wrong_with(&disk, &last).or_else(more)
        });
        attempt.wrong = wrong.map(|what| {
            let kind = kind.name();
            format!(
                "{kind}, {lanes} lanes, {} cuts: {what}; beside it: {:?}",
                attempt.kills,
                self.beside(&disk)
            )
        });
        Ok(attempt)
    }

    /// What differs from the right bytes after a run that ended so.
    fn wrong_with(&self, disk: &Disk, ended: &Ended) -> Option<String> {
        if ended.code != Some(0) {
            return Some(format!("code {:?}: {}", ended.code, ended.said));
        }
        match fs::read(disk.root().join(NAME)) {
            Err(error) => Some(format!("it ended with 0, and then: {error}")),
            Ok(bytes) if bytes == self.body => {
                let beside = self.beside(disk);
                (!beside.is_empty()).then(|| format!("left behind: {beside:?}"))
            }
            Ok(bytes) => {
                let same = bytes.iter().zip(&self.body).take_while(|(is, ought)| is == ought).count();
                Some(format!("wrong from byte {same} on, {} of {} bytes long", bytes.len(), self.body.len()))
            }
        }
    }

    /// What else lies in the directory; `lost+found` is the file system's.
    fn beside(&self, disk: &Disk) -> Vec<String> {
        let entries =
            fs::read_dir(disk.root()).map(|entries| entries.flatten().collect()).unwrap_or_default();
        let entries: Vec<fs::DirEntry> = entries;
        let names = entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name != NAME && name != "lost+found").collect()
    }
}
