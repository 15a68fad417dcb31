//! What figures depend on: the machine, and the programs' versions.

use std::fs;
use std::path::Path;
use std::process::Command;

use thence_origin::real::program;

/// A list of both.
pub(crate) fn words(binary: &Path) -> String {
    machine() + &versions(binary)
}

fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or("unknown", |(_, value)| value.trim()).to_owned()
    };
    let cpu = field(&read("/proc/cpuinfo"), "model name");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let gib = memory.trim_end_matches(" kB").parse::<u64>().unwrap_or(0) >> 20;
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("- machine: {cpu}, {cores} cores, {gib} GiB\n- kernel: {}\n", kernel.trim())
}

/// First line of each program's own word.
fn versions(binary: &Path) -> String {
    let mut text = String::new();
    let named = |name: &str| program(name).unwrap_or_else(|| name.into());
    let mut programs = vec![(binary.to_owned(), "--version")];
    programs
        .extend(["aria2c", "axel", "curl", "wget", "wget2", "lftp"].map(|name| (named(name), "--version")));
    programs.push((named("nginx"), "-v"));
    for (path, flag) in programs {
        let Ok(out) = Command::new(path).arg(flag).output() else { continue };
        // nginx says it where errors go.
        let said = [out.stdout, out.stderr].concat();
        let said = String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_owned();
        text += &format!("- {}\n", said.split([',', '(', '|']).next().unwrap_or_default().trim());
    }
    text
}
