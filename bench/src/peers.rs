//! The programs that fetch one large file, each with the settings that serve it best.

use std::path::{Path, PathBuf};
use std::process::Command;

/// One download.
pub(crate) struct Task {
    pub(crate) url: String,
    pub(crate) cacert: PathBuf,
    pub(crate) file: PathBuf,
    pub(crate) size: u64,
    pub(crate) lanes: u32,
}

/// A program.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// Connections that it can use for one file.
    pub(crate) most: u32,
    /// Knows TLS.
    pub(crate) tls: bool,
    pub(crate) command: fn(&Task, &Path) -> Command,
}

/// thence first: the others are its peers. `bare` is our own loop (`bare.rs`).
pub(crate) const ALL: &[Peer] = &[
    Peer { name: "thence", most: 64, tls: true, command: thence },
    Peer { name: "aria2", most: 16, tls: true, command: aria2 },
    Peer { name: "axel", most: 16, tls: true, command: axel },
    Peer { name: "curl", most: 1, tls: true, command: curl },
    Peer { name: "wget", most: 1, tls: true, command: wget },
    Peer { name: "wget2", most: 1, tls: true, command: wget2 },
    Peer { name: "bare", most: 64, tls: false, command: bare },
];

fn thence(task: &Task, binary: &Path) -> Command {
    let mut command = Command::new(binary);
    command.arg("-q").args(["-x", &task.lanes.to_string()]).arg("--cacert").arg(&task.cacert);
    command.arg("-d").arg(dir(task)).arg("-o").arg(name(task)).arg(&task.url);
    command
}

/// Without `-k1M` it would not open as many connections as it is allowed; falloc is its fastest way to a disk.
fn aria2(task: &Task, _: &Path) -> Command {
    let mut command = Command::new("aria2c");
    command.args(["-q", "-k1M", "--file-allocation=falloc", "--no-conf", "--allow-overwrite=true"]);
    command.arg(format!("-x{}", task.lanes)).arg(format!("-s{}", task.lanes));
    command.arg(format!("--ca-certificate={}", task.cacert.display()));
    command.arg("-d").arg(dir(task)).arg("-o").arg(name(task)).arg(&task.url);
    command
}

/// It takes no file of authorities, so it alone does not check the certificate.
fn axel(task: &Task, _: &Path) -> Command {
    let mut command = Command::new("axel");
    command
        .args(["-q", "--insecure", "-n", &task.lanes.to_string()])
        .arg("-o")
        .arg(&task.file)
        .arg(&task.url);
    command
}

/// HTTP/1.1, which is its cheaper way for one large file.
fn curl(task: &Task, _: &Path) -> Command {
    let mut command = Command::new("curl");
    command.args(["-q", "-sS", "--fail", "--http1.1", "--cacert"]).arg(&task.cacert);
    command.arg("-o").arg(&task.file).arg(&task.url);
    command
}

fn wget(task: &Task, _: &Path) -> Command {
    let mut command = Command::new("wget");
    command.args(["--no-config", "-q", "--ca-certificate"]).arg(&task.cacert);
    command.arg("-O").arg(&task.file).arg(&task.url);
    command
}

fn wget2(task: &Task, _: &Path) -> Command {
    let mut command = Command::new("wget2");
    command.args(["--no-config", "-q", "--no-http2", "--ca-certificate"]).arg(&task.cacert);
    command.arg("-O").arg(&task.file).arg(&task.url);
    command
}

fn bare(task: &Task, _: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap_or_default());
    let rest = task.url.trim_start_matches("http://");
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    command.args(["bare", host, &format!("/{path}")]).arg(&task.file);
    command.args([task.size.to_string(), task.lanes.to_string()]);
    command
}

fn dir(task: &Task) -> &Path {
    task.file.parent().unwrap_or(Path::new("."))
}

fn name(task: &Task) -> &Path {
    task.file.file_name().map_or(Path::new("got.bin"), Path::new)
}
