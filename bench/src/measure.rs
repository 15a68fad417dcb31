//! What one run of one program costs.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use wait4::Wait4;

/// A run on loopback that takes longer hangs.
pub(crate) const HANG: Duration = Duration::from_secs(300);

/// Wall clock, CPU of user and system, and peak memory in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    pub(crate) memory: u64,
}

/// A line of a program's standard output and when it came.
pub(crate) type Line = (Instant, String);

/// Runs `command`; if `sync`, the clock stops only when `file` is on the disk, as `sync -d` would do.
pub(crate) fn measure(command: Command, file: &Path, sync: bool) -> Result<Cost, String> {
    let sync = sync.then_some(file);
    heard(command, sync, HANG).map(|(cost, _)| cost)
}

/// The same, killed after `limit`; and what it said on standard output.
pub(crate) fn heard(
    command: Command,
    sync: Option<&Path>,
    limit: Duration,
) -> Result<(Cost, Vec<Line>), String> {
    ran(command, Stdio::piped(), sync, limit)
}

/// The same with nobody to hear what it says: a file that is streamed goes nowhere.
pub(crate) fn discarded(command: Command, limit: Duration) -> Result<Cost, String> {
    ran(command, Stdio::null(), None, limit).map(|(cost, _)| cost)
}

fn ran(
    mut command: Command,
    out: Stdio,
    sync: Option<&Path>,
    limit: Duration,
) -> Result<(Cost, Vec<Line>), String> {
    command.stdin(Stdio::null()).stdout(out).stderr(Stdio::piped());
    // Some machines reach the world by a proxy; a private network has none.
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(name);
    }
    let start = Instant::now();
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let (lines, errors) = (child.stdout.take().map(lines), child.stderr.take().map(text));
    let (watch, late) = watch(&child, limit)?;
    let used = child.wait4().map_err(|error| error.to_string())?;
    drop(watch);
    if let Some(file) = sync {
        fs::File::open(file).and_then(|file| file.sync_data()).map_err(|error| error.to_string())?;
    }
    let wall = start.elapsed();
    let said = |thread: Option<JoinHandle<String>>| thread.and_then(|t| t.join().ok()).unwrap_or_default();
    let errors = said(errors);
    if late.load(Ordering::Relaxed) {
        return Err(format!("not done after {} s", limit.as_secs()));
    }
    if !used.status.success() {
        return Err(format!("{}: {}", used.status, errors.lines().last().unwrap_or_default()));
    }
    let lines = lines.and_then(|lines| lines.join().ok()).unwrap_or_default();
    Ok((Cost { wall, cpu: used.rusage.utime + used.rusage.stime, memory: used.rusage.maxrss }, lines))
}

/// Runs `command` and sends it `signal` after `time`; whether it was still there, and how long it took to end.
pub(crate) fn stopped(
    mut command: Command,
    time: Duration,
    signal: Signal,
) -> Result<(bool, Duration), String> {
    let mut child = quiet(&mut command).spawn().map_err(|error| error.to_string())?;
    thread::sleep(time);
    let there = child.try_wait().map_err(|error| error.to_string())?.is_none();
    let pidfd =
        pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).map_err(|error| error.to_string())?;
    let (start, (watch, _)) = (Instant::now(), watch(&child, HANG)?);
    let _ended_just_now = pidfd_send_signal(&pidfd, signal);
    child.wait().map_err(|error| error.to_string())?;
    drop(watch);
    Ok((there, start.elapsed()))
}

/// Nobody hears it.
fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

fn lines(out: impl Read + Send + 'static) -> JoinHandle<Vec<Line>> {
    thread::spawn(move || {
        let lines = BufReader::new(out).lines().map_while(Result::ok);
        lines.map(|line| (Instant::now(), line)).collect()
    })
}

fn text(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _unreadable = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Ends a child that hangs, and says that it did. It goes by a pidfd, so it can hit nobody else; dropping what is
/// returned ends the watch.
fn watch(child: &Child, limit: Duration) -> Result<(Sender<()>, Arc<AtomicBool>), String> {
    let pid = Pid::from_child(child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| error.to_string())?;
    let (over, ended) = mpsc::channel::<()>();
    let late = Arc::new(AtomicBool::new(false));
    let fired = late.clone();
    thread::spawn(move || {
        if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            fired.store(true, Ordering::Relaxed);
            let _ended_just_now = pidfd_send_signal(&pidfd, Signal::KILL);
        }
    });
    Ok((over, late))
}

/// The middle one.
pub(crate) fn middle<T: PartialOrd + Copy + Default>(values: impl IntoIterator<Item = T>) -> T {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Each figure's own median.
pub(crate) fn median(costs: &[Cost]) -> Cost {
    Cost {
        wall: middle(costs.iter().map(|cost| cost.wall)),
        cpu: middle(costs.iter().map(|cost| cost.cpu)),
        memory: middle(costs.iter().map(|cost| cost.memory)),
    }
}
