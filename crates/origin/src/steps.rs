//! Kills a downloader at its n-th system call, counted over all its threads from its start on, for every n; the next
//! run must end with the file.
//!
//! A tracer holds the program at the entry of each call; at the n-th it kills the process, so that this call is not
//! made. In which order threads come differs from run to run: the n-th call is not always the same one, and every
//! n is tried all the same, from the first call to one beyond the last.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, thread};

use crate::files;
use crate::honest::{Served, Shared, handler};
use crate::scripted::Origin;
use crate::trial::Trial;

const NAME: &str = "steps.bin";

/// Blocks of the file, and the size of one.
const FILE: usize = 8 * (256 << 10);

/// The last n is passed when so many runs ended by themselves: their calls differ a little in number.
const DONE: usize = 5;

/// From which state the killed run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// Nothing is there yet.
    Nothing,
    /// An earlier run was killed in the middle.
    Half,
}

/// A file, its server, and a program that is killed.
pub struct Scene {
    program: PathBuf,
    body: Vec<u8>,
    origin: Origin,
    /// What an earlier run left: names and bytes.
    half: Vec<(String, Vec<u8>)>,
}

/// How a run under the tracer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By our kill.
    Killed,
    /// By itself, with this code.
    Code(i32),
    /// By another signal.
    Signal(i32),
}

/// What came of the kills.
#[derive(Clone, Debug, Default)]
pub struct Steps {
    /// Kills.
    pub kills: usize,
    /// The highest n at which there still was a call.
    pub last: usize,
    /// What was not as it must be.
    pub wrong: Vec<String>,
}

impl Scene {
    /// `program`, and a file of eight blocks from this seed.
    ///
    /// # Errors
    ///
    /// Why there is no half to begin with.
    pub fn new(program: PathBuf, seed: u64) -> Result<Scene, String> {
        let body = files::content(seed, FILE);
        let file = Shared::new(Served { rate: Some(FILE as u64 / 4), ..Served::new(body.clone()) });
        let origin = Origin::start(handler(&file));
        let mut scene = Scene { program, body, origin, half: Vec::new() };
        let trial = scene.trial();
        let (url, before) = (scene.origin.url(&format!("/{NAME}")), scene.origin.sent());
        let mut running = trial.start(&["-q", "-x", "4", &url]);
        if !running.lives_until(|| scene.origin.sent() - before > FILE as u64 / 2) {
            return Err(format!("it ended before it was half done: {}", running.words()));
        }
        running.kill();
        scene.half = trial.names().into_iter().map(|name| (name.clone(), trial.bytes(&name))).collect();
        file.change(|served| served.rate = None);
        Ok(scene)
    }

    fn trial(&self) -> Trial {
        Trial::of(&self.program).env("THENCE_HURRY", "30")
    }

    /// Whether this machine lets a program be traced.
    ///
    /// # Errors
    ///
    /// What it says against it.
    pub fn can_trace(&self) -> Result<(), String> {
        match end_at(&self.trial(), &["--version"], usize::MAX)? {
            End::Code(0) => Ok(()),
            other => Err(format!("`--version` under a tracer: {other:?}")),
        }
    }

    /// A kill at each `stride`-th call from the `first` on (1 is the first of all), `jobs` at a time.
    pub fn run(&self, from: From, (first, stride): (usize, usize), jobs: usize) -> Steps {
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let steps = Mutex::new(Steps::default());
        let work = || {
            while done.load(Ordering::SeqCst) < DONE {
                let n = first + stride * next.fetch_add(1, Ordering::SeqCst);
                let tried = self.killed_at(from, n);
                let mut steps = steps.lock().expect("no thread panics with the results in hand");
                match tried {
                    Ok(true) => (steps.kills, steps.last) = (steps.kills + 1, steps.last.max(n)),
                    Ok(false) => drop(done.fetch_add(1, Ordering::SeqCst)),
                    Err(wrong) => {
                        steps.wrong.push(format!("{from:?}, call {n}: {wrong}"));
                        // A run that always fails has no last call either.
                        done.fetch_add(usize::from(steps.wrong.len() > 20), Ordering::SeqCst);
                    }
                }
            }
        };
        thread::scope(|scope| (0..jobs.max(1)).for_each(|_| drop(scope.spawn(work))));
        steps.into_inner().expect("no thread panics with the results in hand")
    }

    /// Killed at the n-th call, and gone on with; false if the run made fewer calls.
    fn killed_at(&self, from: From, n: usize) -> Result<bool, String> {
        let trial = self.trial();
        if from == From::Half {
            for (name, bytes) in &self.half {
                fs::write(trial.path(name), bytes).map_err(|error| format!("{name}: {error}"))?;
            }
        }
        let url = self.origin.url(&format!("/{NAME}"));
        let args = ["-q", "-x", "4", &url];
        let end = end_at(&trial, &args, n)?;
        if !matches!(end, End::Killed | End::Code(0)) {
            return Err(format!("{end:?}: {}", trial.words()));
        }
        let last = trial.run(&args);
        let names = trial.names();
        if last.code != Some(0) || names != [NAME] || trial.bytes(NAME) != self.body {
            let dir = trial.keep();
            return Err(format!(
                "then code {:?}: {}; there: {names:?} ({})",
                last.code,
                last.said,
                dir.display()
            ));
        }
        Ok(end == End::Killed)
    }
}

/// Runs the program until its n-th call.
#[cfg(target_os = "linux")]
fn end_at(trial: &Trial, args: &[&str], n: usize) -> Result<End, String> {
    tracer::end_at(trial, args, n).map_err(|error| format!("no program can be traced here: {error}"))
}

#[cfg(not(target_os = "linux"))]
fn end_at(_: &Trial, _: &[&str], _: usize) -> Result<End, String> {
    Err("only Linux's tracer is known here".into())
}

#[cfg(target_os = "linux")]
mod tracer {
    use std::collections::HashSet;
    use std::sync::mpsc::{self, RecvTimeoutError};
    use std::time::Duration;
    use std::{fs, thread};

    use nix::errno::Errno;
    use nix::sys::ptrace::{self, Options};
    use nix::sys::signal::{Signal, kill};
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    use nix::unistd::Pid;

    use super::End;
    use crate::trial::Trial;

    /// A run that takes longer hangs: it is killed, which nobody planned, and so told.
    const HANG: Duration = Duration::from_secs(60);

    /// Stops itself until the tracer has it.
    const WAITING: [&str; 4] = ["sh", "-c", "kill -STOP $$; exec \"$@\"", "sh"];

    pub(super) fn end_at(trial: &Trial, args: &[&str], n: usize) -> nix::Result<End> {
        let child = trial.command(&WAITING, args).spawn().map_err(|_| Errno::ECHILD)?;
        let child = Pid::from_raw(child.id().cast_signed());
        while !is_stopped(child) {
            thread::sleep(Duration::from_millis(1));
        }
        let options = Options::PTRACE_O_EXITKILL
            | Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACEEXEC;
        let seized = ptrace::seize(child, options).and_then(|()| kill(child, Signal::SIGCONT));
        let end = seized.and_then(|()| {
            thread::scope(|scope| {
                let (ended, end) = mpsc::channel::<()>();
                scope.spawn(move || {
                    if end.recv_timeout(HANG) == Err(RecvTimeoutError::Timeout) {
                        let _ended_already = kill(child, Signal::SIGKILL);
                    }
                });
                let how = followed(child, n);
                drop(ended);
                how
            })
        });
        if end.is_err() {
            let _ended_already = kill(child, Signal::SIGKILL);
            let _waited_for_already = waitpid(child, None);
        }
        end
    }

    fn is_stopped(child: Pid) -> bool {
        let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    }

    /// Lets every thread run from stop to stop until the process is gone.
    fn followed(child: Pid, n: usize) -> nix::Result<End> {
        let (mut calls, mut begun, mut killed) = (0, false, false);
        // Threads that are inside a call: their next stop is its end.
        let mut inside: HashSet<Pid> = HashSet::new();
        loop {
            // Only what this thread traces; other threads of ours have children of their own.
            let (pid, signal) = match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD))? {
                WaitStatus::Exited(pid, code) if pid == child => return Ok(End::Code(code)),
                WaitStatus::Signaled(pid, signal, _) if pid == child => {
                    return Ok(if killed { End::Killed } else { End::Signal(signal as i32) });
                }
                WaitStatus::PtraceSyscall(pid) => {
                    let enters = inside.insert(pid) || !inside.remove(&pid);
                    calls += usize::from(begun && enters);
                    if begun && enters && calls == n && !killed {
                        killed = true;
                        kill(child, Signal::SIGKILL)?;
                        continue;
                    }
                    (pid, None)
                }
                WaitStatus::PtraceEvent(pid, _, event) => {
                    // The shell became the program: what it calls from here on is counted.
                    begun |= event == ptrace::Event::PTRACE_EVENT_EXEC as i32;
                    (pid, None)
                }
                WaitStatus::Stopped(pid, signal) => (pid, Some(signal)),
                _ => continue,
            };
            match ptrace::syscall(pid, signal) {
                // A kill takes threads away between their stop and this.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(error),
            }
        }
    }
}
