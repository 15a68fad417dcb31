//! The programs as people run them on a network: at their defaults, and tuned by hand as far as each can be.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use thence_origin::real::program;

/// What is to be fetched: one file from one or more mirrors, or many files.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) urls: Vec<String>,
    /// Each of `urls` is a file of its own; else all are mirrors of one.
    pub(crate) many: bool,
    pub(crate) dir: PathBuf,
    /// Name of the one file.
    pub(crate) name: &'static str,
    /// thence says on standard output what it does.
    pub(crate) trace: bool,
}

/// A program with its settings.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    /// The command that must be installed, and Debian's package of it.
    pub(crate) needs: (&'static str, &'static str),
    /// `None`: it cannot do this task.
    pub(crate) command: fn(&Task, &Path) -> Option<Command>,
}

/// thence first: the others are its peers.
pub(crate) const ALL: &[Program] = &[
    Program { name: "thence", needs: ("", ""), command: thence },
    // What the others of several mirrors cost it.
    Program { name: "thence-first", needs: ("", ""), command: thence_first },
    Program { name: "aria2", needs: ("aria2c", "aria2"), command: |task, _| aria2(task, &[]) },
    Program {
        name: "aria2-16",
        needs: ("aria2c", "aria2"),
        command: |task, _| aria2(task, &["-k1M", "-x16", "-s16", "-j16"]),
    },
    // Eight files at a time, as many as one would ask of a server that is not one's own.
    Program { name: "aria2-8", needs: ("aria2c", "aria2"), command: |task, _| aria2(task, &["-j8"]) },
    Program { name: "axel", needs: ("axel", "axel"), command: |task, _| axel(task, "") },
    Program { name: "axel-16", needs: ("axel", "axel"), command: |task, _| axel(task, "-n16") },
    Program { name: "axel-32", needs: ("axel", "axel"), command: |task, _| axel(task, "-n32") },
    Program { name: "curl", needs: ("curl", "curl"), command: curl },
    Program { name: "wget", needs: ("wget", "wget"), command: wget },
    Program { name: "wget2", needs: ("wget2", "wget2"), command: |task, _| wget2(task, &[]) },
    Program {
        name: "wget2-16",
        needs: ("wget2", "wget2"),
        command: |task, _| wget2(task, &["--chunk-size=1M", "--max-threads=16"]),
    },
    Program { name: "lftp", needs: ("lftp", "lftp"), command: |task, _| lftp(task, 5) },
    Program { name: "lftp-16", needs: ("lftp", "lftp"), command: |task, _| lftp(task, 16) },
];

/// The programs and Debian's packages that all of the bench needs.
pub(crate) const PACKAGES: &[(&str, &str)] = &[
    ("nginx", "nginx"),
    ("openssl", "openssl"),
    ("aria2c", "aria2"),
    ("axel", "axel"),
    ("wget", "wget"),
    ("wget2", "wget2"),
    ("lftp", "lftp"),
    ("curl", "curl"),
    ("ip", "iproute2"),
];

/// The programs of these names.
pub(crate) fn named(names: &[String]) -> Result<Vec<&'static Program>, String> {
    let find = |name: &String| {
        let known = || ALL.iter().map(|program| program.name).collect::<Vec<_>>().join(", ");
        ALL.iter()
            .find(|program| program.name == name)
            .ok_or_else(|| format!("`{name}`: known are {}", known()))
    };
    if names == ["all"] { Ok(ALL.iter().collect()) } else { names.iter().map(find).collect() }
}

/// No flag but where the file goes.
fn thence(task: &Task, binary: &Path) -> Option<Command> {
    let mut command = Command::new(binary);
    command.arg("-d").arg(&task.dir);
    if task.trace {
        command.arg("--json");
    }
    if task.many {
        command.arg("-i").arg(list(task, |url| url.to_owned()));
        return Some(command);
    }
    command.args(["-o", task.name]).arg(&task.urls[0]);
    command.args(task.urls[1..].iter().flat_map(|mirror| ["--mirror", mirror]));
    Some(command)
}

/// From the first mirror alone.
fn thence_first(task: &Task, binary: &Path) -> Option<Command> {
    thence(&Task { urls: task.urls[..1].to_vec(), ..task.clone() }, binary)
}

fn aria2(task: &Task, tuned: &[&str]) -> Option<Command> {
    let mut command = Command::new("aria2c");
    command.args(["-q", "--no-conf"]).args(tuned).arg("-d").arg(&task.dir);
    if task.many {
        command.arg("-i").arg(list(task, |url| url.to_owned()));
    } else {
        command.args(["-o", task.name]).args(&task.urls);
    }
    Some(command)
}

fn axel(task: &Task, lanes: &str) -> Option<Command> {
    let mut command = Command::new("axel");
    command.arg("-q").args((!lanes.is_empty()).then_some(lanes));
    command.arg("-o").arg(task.dir.join(task.name)).args(&task.urls);
    (!task.many).then_some(command)
}

fn curl(task: &Task, _: &Path) -> Option<Command> {
    let mut command = Command::new("curl");
    command.args(["-q", "-sS", "--fail"]);
    if task.many {
        let line = |url: &str| {
            let name = url.rsplit('/').next().unwrap_or_default();
            format!("url = \"{url}\"\noutput = \"{}\"", task.dir.join(name).display())
        };
        command.args(["-Z", "-K"]).arg(list(task, line));
    } else {
        command.arg("-o").arg(task.dir.join(task.name)).arg(&task.urls[0]);
    }
    Some(command)
}

fn wget(task: &Task, _: &Path) -> Option<Command> {
    let mut command = Command::new("wget");
    command.args(["--no-config", "-q"]);
    if task.many {
        command.arg("-P").arg(&task.dir).arg("-i").arg(list(task, |url| url.to_owned()));
    } else {
        command.arg("-O").arg(task.dir.join(task.name)).arg(&task.urls[0]);
    }
    Some(command)
}

fn wget2(task: &Task, tuned: &[&str]) -> Option<Command> {
    let mut command = Command::new("wget2");
    command.args(["--no-config", "-q", "--no-robots"]).args(tuned);
    if task.many {
        command.arg("-P").arg(&task.dir).arg("-i").arg(list(task, |url| url.to_owned()));
    } else {
        command.arg("-O").arg(task.dir.join(task.name)).arg(&task.urls[0]);
    }
    Some(command)
}

fn lftp(task: &Task, lanes: u32) -> Option<Command> {
    let mut command = Command::new("lftp");
    let file = task.dir.join(task.name);
    command.arg("--norc").arg("-c");
    command.arg(format!("pget -n {lanes} {} -o {}", task.urls[0], file.display()));
    (!task.many && task.urls.len() == 1).then_some(command)
}

/// A list of the URLs beside the directory, a line each.
fn list(task: &Task, line: impl Fn(&str) -> String) -> PathBuf {
    let path = task.dir.with_extension("list");
    // What is done of a list stands beside it, and would be done already in the next run.
    let _none = fs::remove_file(task.dir.with_extension("list.thence"));
    let text: String = task.urls.iter().map(|url| line(url) + "\n").collect();
    fs::write(&path, text).expect("the directory is ours");
    path
}

/// Whether it is installed.
pub(crate) fn is_here(of: &Program) -> bool {
    of.needs.0.is_empty() || program(of.needs.0).is_some()
}
