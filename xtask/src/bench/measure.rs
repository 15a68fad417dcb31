//! What one run of one program costs.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use wait4::Wait4;

/// A run that takes longer hangs; it is killed and its status, a signal, ends the bench.
const HANG: Duration = Duration::from_secs(300);

/// Wall clock, CPU of user and system, and peak memory in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    pub(super) wall: Duration,
    pub(super) cpu: Duration,
    pub(super) memory: u64,
}

/// Runs `command`; if `sync`, the clock stops only when `file` is on the disk, as `sync -d` would do.
pub(super) fn measure(mut command: Command, file: &Path, sync: bool) -> Result<Cost, String> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let mut stderr = child.stderr.take();
    let watch = watch(&child)?;
    let used = child.wait4().map_err(|error| error.to_string())?;
    drop(watch);
    if sync {
        fs::File::open(file).and_then(|file| file.sync_data()).map_err(|error| error.to_string())?;
    }
    let wall = start.elapsed();
    if !used.status.success() {
        let mut text = String::new();
        if let Some(stderr) = &mut stderr {
            let _unreadable = std::io::Read::read_to_string(stderr, &mut text);
        }
        return Err(format!("{}: {text}", used.status));
    }
    Ok(Cost { wall, cpu: used.rusage.utime + used.rusage.stime, memory: used.rusage.maxrss })
}

/// Ends a child that hangs. It goes by a pidfd, so it can hit nobody else; dropping what is returned ends the watch.
fn watch(child: &Child) -> Result<Sender<()>, String> {
    let pid = Pid::from_child(child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| error.to_string())?;
    let (over, ended) = mpsc::channel::<()>();
    thread::spawn(move || {
        if ended.recv_timeout(HANG) == Err(RecvTimeoutError::Timeout) {
            let _ended_just_now = pidfd_send_signal(&pidfd, Signal::KILL);
        }
    });
    Ok(over)
}

/// Each figure's own median.
pub(super) fn median(costs: &[Cost]) -> Cost {
    fn middle<T: Ord + Copy + Default>(values: impl Iterator<Item = T>) -> T {
        let mut values: Vec<T> = values.collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or_default()
    }
    Cost {
        wall: middle(costs.iter().map(|cost| cost.wall)),
        cpu: middle(costs.iter().map(|cost| cost.cpu)),
        memory: middle(costs.iter().map(|cost| cost.memory)),
    }
}
