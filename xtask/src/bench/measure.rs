//! What one run of one program costs.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4;

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
    let used = child.wait4().map_err(|error| error.to_string())?;
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
