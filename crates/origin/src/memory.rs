//! What a program holds at most; a limit on memory, and the kernel's OOM killer at work below it: a control group of a test's own, of either version.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::Access;

use crate::disks;

/// The most memory that a running program has held, in bytes; `None` once it has ended.
///
/// Not from what the system says of a child at its end: that counts what we held when it was started.
pub fn peak(id: u32) -> Option<u64> {
    status(id, "VmHWM:")
}

/// How much of a running program's memory is pages of files, in bytes: its own text, most of all.
pub fn of_files(id: u32) -> Option<u64> {
    status(id, "RssFile:")
}

fn status(id: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB"))?;
    Some(line.parse::<u64>().ok()? << 10)
}

/// Where control groups are; in the first version those of memory have a tree of their own.
const ROOTS: [(&str, &str); 2] =
    [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];

/// Takes memory for ever. Whoever is killed before it is chosen by his score.
const EATER: &str = "my @held; while (1) { push @held, 'x' x (1 << 20) }";

/// A group of programs that share a limit on memory. Dropped, it is gone.
pub struct Cgroup {
    dir: PathBuf,
}

impl Cgroup {
    /// Whether one can be made here.
    ///
    /// # Errors
    ///
    /// What this machine lacks.
    pub fn can_be_had() -> Result<(), String> {
        disks::mounts()?;
        root().map(|_| ())
    }

    /// A group that may hold `limit` bytes.
    ///
    /// # Errors
    ///
    /// What went wrong.
    pub fn new(limit: u64) -> Result<Cgroup, String> {
        let (root, knob) = root()?;
        let dir = Path::new(root).join(format!("thence-test-{}", std::process::id()));
        fs::create_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let group = Cgroup { dir };
        let knob = group.dir.join(knob);
        fs::write(&knob, limit.to_string()).map_err(|error| format!("{}: {error}", knob.display()))?;
        Ok(group)
    }

    /// The command line that puts what follows it into the group, to be killed before all others there.
    pub fn within(&self) -> [String; 4] {
        let enter =
            format!("echo $$ > {}/cgroup.procs && echo 1000 > /proc/self/oom_score_adj", self.dir.display());
        ["sh".into(), "-c".into(), format!("{enter} && exec \"$@\""), "sh".into()]
    }

    /// Starts something that takes all memory of the group.
    ///
    /// # Errors
    ///
    /// What went wrong.
    pub fn exhaust(&self) -> Result<Eater, String> {
        let enter = format!("echo $$ > {}/cgroup.procs && exec perl -e \"$1\"", self.dir.display());
        let mut command = Command::new("sh");
        command.args(["-c", &enter, "sh", EATER]).stdin(Stdio::null()).stderr(Stdio::null());
        command.spawn().map(Eater).map_err(|error| error.to_string())
    }

    /// How many the kernel has killed in the group.
    pub fn kills(&self) -> u64 {
        let said =
            ["memory.oom_control", "memory.events"].map(|name| fs::read_to_string(self.dir.join(name)));
        let said: String = said.into_iter().flatten().collect();
        let count = said.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The kernel lets go of a killed program's group a little after it.
        let end = Instant::now() + Duration::from_secs(5);
        while fs::remove_dir(&self.dir).is_err() && Instant::now() < end {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What takes all memory. Dropped, it is killed.
pub struct Eater(Child);

impl Drop for Eater {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _ended_already = self.0.wait();
    }
}

fn root() -> Result<(&'static str, &'static str), String> {
    let can = |&(root, knob): &(&str, &str)| {
        // The root of the second version has no limit itself: what it gives to its children says it.
        let given = fs::read_to_string(format!("{root}/cgroup.subtree_control")).unwrap_or_default();
        let there =
            Path::new(root).join(knob).exists() || given.split_whitespace().any(|word| word == "memory");
        there && rustix::fs::access(root, Access::WRITE_OK).is_ok()
    };
    ROOTS.into_iter().find(can).ok_or_else(|| "no control group that limits memory can be made here".into())
}
