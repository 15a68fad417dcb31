//! A network namespace that lives as long as a thread of ours: what runs there, and every child it starts, sees no other
//! network. It has no name, so nothing is left behind however we end.

use std::fs;
use std::process::Command;
use std::sync::mpsc::{self, Sender};
use std::thread;

use nix::sched::{CloneFlags, unshare};

type Job = Box<dyn FnOnce() + Send>;

/// A thread in a namespace of its own.
pub(crate) struct Side(Sender<Job>);

impl Side {
    /// A new namespace: loopback up, and TCP as [`settle`] has it.
    pub(crate) fn new() -> Result<Side, String> {
        let (jobs, come) = mpsc::channel::<Job>();
        thread::spawn(move || come.into_iter().for_each(|job| job()));
        let side = Side(jobs);
        side.run(enter)?;
        Ok(side)
    }

    /// Does it there, and waits for it.
    pub(crate) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        let job = Box::new(move || {
            let _nobody_waits = done.send(job());
        });
        self.0.send(job).expect("the thread ends when we let it go");
        result.recv().expect("a panic there is a panic here")
    }
}

/// Puts the calling thread, and whatever it starts from now on, into a namespace of its own.
pub(crate) fn enter() -> Result<(), String> {
    unshare(CloneFlags::CLONE_NEWNET)
        .map_err(|error| format!("no network namespace can be made: {error}"))?;
    let lo = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    let up = lo.map_err(|error| format!("ip: {error}"))?.success();
    if up { settle() } else { Err("ip link set lo up fails".to_owned()) }
}

/// `reno`, because a machine's default may pace; and nothing learnt from one run is used in the next.
fn settle() -> Result<(), String> {
    for (name, value) in [("tcp_congestion_control", "reno"), ("tcp_no_metrics_save", "1")] {
        let path = format!("/proc/sys/net/ipv4/{name}");
        fs::write(&path, value).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(())
}
