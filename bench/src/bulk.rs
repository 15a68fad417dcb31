//! One large file from nginx on loopback, beside others.
//!
//! Fair means: a network namespace of its own with `reno` (a machine's default may pace loopback), peers
//! in turn (A B A B) so that drift hits all, the file on the disk before the clock stops, medians. The
//! figures are ratios; the absolute ones belong to the machine they name.

use std::fs;
use std::path::{Path, PathBuf};

use thence_origin::ca::{Authority, Kind};
use thence_origin::real::{Server, Site};

use crate::files;
use crate::measure::{Cost, measure, median};
use crate::peers::{self, Peer, Task};
use crate::verdict::Goal;

/// Said on the command line.
pub(crate) struct Plan {
    pub(crate) binary: PathBuf,
    pub(crate) runs: usize,
    pub(crate) sizes: Vec<u64>,
    pub(crate) lanes: Vec<u32>,
    pub(crate) to: Vec<String>,
    pub(crate) over: Vec<String>,
}

/// How many bytes over what, to where, over how many connections.
struct Scene<'a> {
    size: u64,
    over: &'a str,
    to: &'a str,
    lanes: u32,
}

type Row = (&'static str, Cost);

pub(crate) const ABOUT: &str = "One file from nginx (sendfile, in the page cache) on loopback. On disk the clock stops when \
the file is synced: thence syncs by itself, for the others `fdatasync` runs inside the timed part. CPU is user and system of \
the program alone; the kernel's write-back is in nobody's figure. Before each run as much memory as the file needs is used and \
freed, so that no program pays alone for memory that the host had taken back. `bare` is a loop of our own that receives \
256 KiB and writes them. A ratio below 1 is in thence's favour.";

/// Every table; what of the figures they tell goes to `goals`.
pub(crate) fn play(plan: &Plan, dir: &Path, goals: &mut Vec<Goal>) -> Result<String, String> {
    let served = dir.join("served");
    fs::create_dir_all(&served).map_err(|error| format!("{}: {error}", served.display()))?;
    let authority = Authority::new();
    let server = Server::nginx(&Site::new(&served).tls(authority.leaf(Kind::Good)));
    let mut text = format!("\n# Bulk\n\n{ABOUT} Medians of {} runs.\n", plan.runs);
    for &size in &plan.sizes {
        let name = format!("{size}.bin");
        files::serve(&served.join(&name), size).map_err(|error| format!("{name}: {error}"))?;
        for over in &plan.over {
            for to in &plan.to {
                let Some(place) = files::place(to, dir)? else { continue };
                for &lanes in &plan.lanes {
                    let url = match over.as_str() {
                        "plain" => server.url(&format!("/{name}")),
                        "tls" => server.tls_url(&format!("/{name}")),
                        other => return Err(format!("`--over {other}`: plain or tls")),
                    };
                    let (file, cacert) = (place.join("got.bin"), authority.cacert());
                    let scene = Scene { size, over, to, lanes };
                    let rows = each(plan, &Task { url, cacert, file, size, lanes }, &scene)?;
                    let table = table(&scene, &rows);
                    print!("{table}");
                    text += &table;
                    judge(&scene, &rows, goals);
                }
                files::leave(&place);
            }
        }
    }
    Ok(text)
}

/// Every peer in turn, `runs` times.
fn each(plan: &Plan, task: &Task, scene: &Scene) -> Result<Vec<Row>, String> {
    let can = |peer: &&Peer| task.lanes <= peer.most && (peer.tls || scene.over == "plain");
    let peers: Vec<&Peer> = peers::ALL.iter().filter(can).collect();
    let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); peers.len()];
    for run in 0..plan.runs {
        for (peer, costs) in peers.iter().zip(&mut costs) {
            task.file.parent().into_iter().for_each(files::clear);
            files::warm(&task.file, task.size)
                .map_err(|error| format!("{}: {error}", task.file.display()))?;
            let command = (peer.command)(task, &plan.binary);
            let fail = |why: String| format!("{}: {why}", peer.name);
            // thence syncs before it renames; the others are synced inside the timed part.
            let sync = scene.to == "disk" && peer.name != "thence";
            costs.push(measure(command, &task.file, sync).map_err(fail)?);
            files::check(&task.file, task.size, run == 0).map_err(fail)?;
        }
    }
    task.file.parent().into_iter().for_each(files::clear);
    Ok(peers.iter().zip(costs).map(|(peer, costs)| (peer.name, median(&costs))).collect())
}

fn table(scene: &Scene, rows: &[Row]) -> String {
    let Scene { size, over, to, lanes } = scene;
    let connections = if *lanes == 1 { "1 connection".to_owned() } else { format!("{lanes} connections") };
    let mut text = format!("\n## {over}, to {to}, {connections}, {} MiB\n\n", size >> 20);
    text += "| program | seconds | GiB/s | CPU s/GiB | peak MiB | thence/it: time | thence/it: CPU |\n";
    text += "|---|---|---|---|---|---|---|\n";
    let gib = *size as f64 / (1u64 << 30) as f64;
    let ours = rows.first().map_or(Cost::default(), |row| row.1);
    for (name, cost) in rows {
        let (wall, cpu) = (cost.wall.as_secs_f64(), cost.cpu.as_secs_f64());
        let (time, work) = (ours.wall.as_secs_f64() / wall, ours.cpu.as_secs_f64() / cpu);
        let ratios = if *name == "thence" { " | |".to_owned() } else { format!(" {time:.2} | {work:.2} |") };
        let (speed, work, memory) = (gib / wall, cpu / gib, cost.memory as f64 / (1u64 << 20) as f64);
        text += &format!("| {name} | {wall:.2} | {speed:.2} | {work:.2} | {memory:.0} |{ratios}\n");
    }
    text
}

fn judge(scene: &Scene, rows: &[Row], goals: &mut Vec<Goal>) {
    let of = |name: &str| rows.iter().find(|row| row.0 == name).map(|row| row.1);
    let Some(ours) = of("thence") else { return };
    let Scene { size, over, to, lanes } = scene;
    let place = format!("{over} to {to}, {lanes} lanes, {} MiB", size >> 20);
    let mut ask = |what: &str, is: f64, must: f64, aim: f64| {
        goals.push(Goal::new(format!("{place}: {what}"), is, must, aim));
    };
    let time = |peer: Cost| ours.wall.as_secs_f64() / peer.wall.as_secs_f64();
    let cpu = |peer: Cost| ours.cpu.as_secs_f64() / peer.cpu.as_secs_f64();
    let (aria2, curl) = (of("aria2"), of("curl"));
    if *over == "tls" {
        aria2.into_iter().filter(|_| *lanes > 1).for_each(|it| ask("CPU over aria2's", cpu(it), 0.70, 0.40));
        curl.into_iter().for_each(|it| ask("CPU over curl's", cpu(it), 0.80, 0.40));
        return;
    }
    if *to != "disk" {
        return;
    }
    match lanes {
        1 => {
            curl.into_iter().for_each(|it| ask("CPU over curl's", cpu(it), 0.85, 0.40));
            of("wget2").into_iter().for_each(|it| ask("CPU over wget2's", cpu(it), 1.05, 0.50));
            let ones = ["curl", "wget", "wget2"].map(of).into_iter().flatten();
            if let Some(best) = ones.min_by_key(|cost| cost.wall) {
                ask("time over the fastest of curl, wget, wget2", time(best), 1.00, 0.80);
            }
        }
        _ => aria2.into_iter().for_each(|it| {
            ask("CPU over aria2's", cpu(it), 0.60, 0.30);
            ask("time over aria2's", time(it), 0.60, 0.40);
        }),
    }
    of("bare").into_iter().for_each(|it| ask("CPU over the bare loop's", cpu(it), 1.15, 0.60));
    let memory = ours.memory as f64 / (1u64 << 20) as f64;
    let (must, aim) = if *lanes > 16 { (64.0, 48.0) } else { (32.0, 24.0) };
    ask("peak MiB", memory, must, aim);
}
