//! Kills a program that fetches a list with SIGKILL at random instants, and lets the same command go on: small files share
//! their syncs there, and a ledger says which are done.
//!
//! After each kill every file at its name must be whole, and none that stood there is asked for again.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::chance::Chance;
use crate::files;
use crate::kills::Attempt;
use crate::reply::Reply;
use crate::request::Request;
use crate::scripted::Origin;
use crate::trial::{Ended, Trial};

/// Kills in a row before the command is let alone.
const KILLS: usize = 10;

/// The list, and its ledger.
const BESIDE: [&str; 2] = ["l", "l.thence"];

/// A list of small files, and a program that is killed.
pub struct Scene {
    program: PathBuf,
    count: usize,
    seed: u64,
    /// How long an undisturbed run takes; kills fall anywhere in it.
    span: Duration,
}

impl Scene {
    /// `program`, and a list of `count` files. Runs it once undisturbed.
    ///
    /// # Errors
    ///
    /// What that run did wrong.
    pub fn new(program: PathBuf, count: usize, seed: u64) -> Result<Scene, String> {
        let mut scene = Scene { program, count, seed, span: Duration::ZERO };
        let start = Instant::now();
        let calm = scene.attempt(seed, 0);
        scene.span = start.elapsed();
        calm.wrong.map_or(Ok(scene), |wrong| Err(format!("without any kill: {wrong}")))
    }

    /// Lists, `jobs` at a time and each with a server of its own, until there were `kills` kills.
    pub fn run(&self, kills: usize, jobs: usize) -> Vec<Attempt> {
        let (next, done) = (AtomicU64::new(self.seed), Mutex::new(Vec::<Attempt>::new()));
        let lock = || done.lock().expect("no thread panics with the results in hand");
        let work = || {
            while lock().iter().map(|attempt| attempt.kills).sum::<usize>() < kills {
                let attempt = self.attempt(next.fetch_add(1, Ordering::SeqCst), KILLS);
                lock().push(attempt);
            }
        };
        thread::scope(|scope| (0..jobs.max(1)).for_each(|_| _ = scope.spawn(work)));
        lock().clone()
    }

    /// One list: killed at most so often in a row, then let alone.
    fn attempt(&self, seed: u64, most: usize) -> Attempt {
        let (mut chance, mut attempt) = (Chance::new(seed), Attempt { seed, ..Attempt::default() });
        let (trial, origin) = (Trial::of(&self.program), Origin::start(serve));
        let mut list = String::new();
        for number in 0..self.count {
            let _never_fails = writeln!(list, "{}", origin.url(&format!("/{number}")));
        }
        fs::write(trial.path("l"), list).expect("a temporary file can be made");
        let mut wrong = None;
        let ended = loop {
            let (there, asked) = (finished(&trial), origin.requests().len());
            let mut running = trial.start(&["-q", "-i", "l"]);
            let killed = attempt.kills < most
                && (attempt.kills == 0 || chance.unit() < 0.8)
                && running.lives_for(self.span.mul_f64(chance.unit()));
            let ended = if killed { running.kill() } else { running.wait() };
            let again = || {
                let requests = origin.requests();
                let twice = requests[asked..].iter().filter_map(number).find(|number| there.contains(number));
                twice.map(|number| format!("file {number} stood there, and was asked for again"))
            };
            wrong = wrong.or_else(|| half_done(&trial)).or_else(again);
            if !killed {
                break ended;
            }
            attempt.kills += 1;
        };
        let total: usize = (0..self.count).map(length).sum();
        attempt.twice = origin.sent().saturating_sub(total as u64);
        attempt.wrong = wrong.or_else(|| self.wrong_with(&trial, &ended)).map(|what| {
            // The evidence stays.
            let dir = trial.keep();
            format!("a list, seed {seed}, {} kills: {what} ({})", attempt.kills, dir.display())
        });
        attempt
    }

    /// What differs from all the files with nothing beside them; [`half_done`] has looked at each that is there.
    fn wrong_with(&self, trial: &Trial, ended: &Ended) -> Option<String> {
        if ended.code != Some(0) {
            return Some(format!("code {:?}: {}", ended.code, ended.said));
        }
        let other: Vec<String> = trial
            .names()
            .into_iter()
            .filter(|name| name.parse::<usize>().is_err() && !BESIDE.contains(&name.as_str()))
            .collect();
        let count = finished(trial).len();
        let right = other.is_empty() && count == self.count;
        (!right).then(|| format!("{count} files of {}, and beside them {other:?}", self.count))
    }
}

/// The numbers of the files that stand at their names.
fn finished(trial: &Trial) -> BTreeSet<usize> {
    trial.names().iter().filter_map(|name| name.parse().ok()).collect()
}

/// One of them that is not whole.
fn half_done(trial: &Trial) -> Option<String> {
    let half = |number: &usize| trial.bytes(&number.to_string()) != bytes(*number);
    finished(trial).into_iter().find(half).map(|number| format!("file {number} is half-done"))
}

/// Up to 20 KB; some are empty.
fn length(number: usize) -> usize {
    number * 7_919 % 20_000
}

fn bytes(number: usize) -> Vec<u8> {
    files::content(number as u64, length(number))
}

fn number(request: &Request) -> Option<usize> {
    request.target.strip_prefix('/')?.parse().ok()
}

fn serve(request: &Request, out: &mut Reply) {
    match number(request) {
        Some(number) => out.answer(200, &format!("ETag: \"{number}\""), bytes(number)),
        None => out.answer(404, "", "none"),
    };
}
