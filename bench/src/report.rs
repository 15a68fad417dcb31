//! The tables, on the terminal as they come and in docs/bench.md at the end.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use thence_origin::real::program;

use crate::measure::{Cost, median};

/// One program in one scene.
pub(crate) struct Row {
    name: &'static str,
    cost: Cost,
}

pub(crate) struct Report {
    size: u64,
    text: String,
}

impl Row {
    pub(crate) fn new(name: &'static str, costs: &[Cost]) -> Row {
        Row { name, cost: median(costs) }
    }
}

impl Report {
    pub(crate) fn new(size: u64, runs: usize, isolated: bool, binary: &Path) -> Report {
        let mut text =
            "# Bench\n\nMade by `cargo xtask bench`; run it on your machine before you believe it.\n\n"
                .to_owned();
        let network = if isolated {
            "in a network namespace of its own with the reno congestion control"
        } else {
            "in the machine's own network, whose congestion control may pace loopback"
        };
        text += &format!(
            "One file of {} MiB from nginx (sendfile, in the page cache) on loopback, {network}; medians of {runs} runs, \
             programs in turn. On disk the clock stops when the file is synced: thence syncs by itself, for the others \
             `fdatasync` runs inside the timed part. CPU is user and system of the program alone; the kernel's write-back \
             is in nobody's figure. Before each run as much memory as the file needs is used and freed, so that no program \
             pays alone for memory that the host had taken back. A ratio below 1 is in thence's favour.\n\n",
            size >> 20
        );
        text += &machine();
        text += &versions(binary);
        println!("{text}");
        Report { size, text }
    }

    pub(crate) fn scene(&mut self, over: &str, to: &str, lanes: u32, rows: &[Row]) {
        let connections = if lanes == 1 { "1 connection".to_owned() } else { format!("{lanes} connections") };
        let mut table = format!("\n## {over}, to {to}, {connections}\n\n");
        table += "| program | seconds | GiB/s | CPU s/GiB | peak MiB | thence/it: time | thence/it: CPU |\n";
        table += "|---|---|---|---|---|---|---|\n";
        let gib = self.size as f64 / (1u64 << 30) as f64;
        let ours = rows.first().map_or(Cost::default(), |row| row.cost);
        for Row { name, cost } in rows {
            let (wall, cpu) = (cost.wall.as_secs_f64(), cost.cpu.as_secs_f64());
            let (time, work) = (ours.wall.as_secs_f64() / wall, ours.cpu.as_secs_f64() / cpu);
            let ratios =
                if *name == "thence" { "| |".to_owned() } else { format!("{time:.2} | {work:.2} |") };
            let (speed, work, memory) = (gib / wall, cpu / gib, cost.memory as f64 / (1u64 << 20) as f64);
            let line =
                writeln!(table, "| {name} | {wall:.2} | {speed:.2} | {work:.2} | {memory:.0} | {ratios}");
            line.expect("a string takes what is written");
        }
        print!("{table}");
        self.text += &table;
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), String> {
        fs::write(path, &self.text).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("written to {}", path.display());
        Ok(())
    }
}

/// What figures mean depends on it.
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
    for (path, flag) in [
        (binary.to_owned(), "--version"),
        (named("aria2c"), "--version"),
        (named("axel"), "--version"),
        (named("curl"), "--version"),
        (named("wget"), "--version"),
        (named("nginx"), "-v"),
    ] {
        let Ok(out) = Command::new(path).arg(flag).output() else { continue };
        // nginx says it where errors go.
        let said = [out.stdout, out.stderr].concat();
        let said = String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_owned();
        text += &format!("- {}\n", said.split(" (").next().unwrap_or_default());
    }
    text
}
