//! Many small files from a list: from nginx on loopback to tmpfs and to disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use thence_origin::real::{Server, Site};

use crate::files;
use crate::measure::{Cost, heard, median};
use crate::programs::{self, Task};
use crate::verdict::Goal;

const FILES: u32 = 10_000;
const SIZE: u64 = 10 << 10;
/// A program that needs longer is told so.
const LIMIT: Duration = Duration::from_secs(90);

const PROGRAMS: [&str; 4] = ["thence", "curl", "wget2", "aria2-8"];

/// Both tables.
pub(crate) fn play(binary: &Path, runs: usize, dir: &Path, goals: &mut Vec<Goal>) -> Result<String, String> {
    let served = dir.join("served");
    let small = served.join("list");
    fs::create_dir_all(&small).map_err(|error| format!("{}: {error}", small.display()))?;
    if !small.join(format!("{}.bin", FILES - 1)).exists() {
        let mut bytes = vec![0; SIZE as usize];
        thence_origin::files::fill(1, 0, &mut bytes);
        for i in 0..FILES {
            fs::write(small.join(format!("{i}.bin")), &bytes).map_err(|error| format!("{i}.bin: {error}"))?;
        }
    }
    let server = Server::nginx(&Site::new(&served));
    let urls: Vec<String> = (0..FILES).map(|i| server.url(&format!("/list/{i}.bin"))).collect();
    let mut text = format!(
        "\n# Small files\n\n{FILES} files of {} KiB from a list, from nginx on loopback: `thence -i`, `curl -Z -K`, `wget2 -i`, \
         `aria2c -i -j8`. To disk the others' files are brought there by one `syncfs` inside the timed part. Medians of {runs} \
         runs.\n",
        SIZE >> 10
    );
    for to in ["tmpfs", "disk"] {
        let Some(place) = files::place(to, dir)? else { continue };
        let task = Task { urls: urls.clone(), many: true, dir: place, name: "", trace: false };
        let rows = each(binary, runs, &task, to)?;
        let table = table(to, &rows);
        print!("{table}");
        text += &table;
        judge(to, &rows, goals);
    }
    Ok(text)
}

type Row = (&'static str, Result<Cost, String>);

fn each(binary: &Path, runs: usize, task: &Task, to: &str) -> Result<Vec<Row>, String> {
    let programs = programs::named(&PROGRAMS.map(str::to_owned))?;
    let mut rows: Vec<(Vec<Cost>, Option<String>)> = programs.iter().map(|_| (Vec::new(), None)).collect();
    let mut left = Vec::new();
    for run in 0..runs {
        for (program, row) in programs.iter().zip(&mut rows).filter(|(_, row)| row.1.is_none()) {
            // ext4 passes over each inode that was freed lately: whoever came after files that were deleted would pay for
            // them, five times what its own cost. So on disk all stay until the end.
            if to == "tmpfs" {
                left.drain(..).for_each(|dir: PathBuf| files::leave(&dir));
            }
            let dir = task.dir.join(format!("{}-{run}", program.name));
            fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
            files::sync(&dir);
            left.push(dir.clone());
            let task = &Task { dir, ..task.clone() };
            let Some(command) = (program.command)(task, binary) else { continue };
            let came = heard(command, None, LIMIT).and_then(|(cost, _)| {
                let start = Instant::now();
                if to == "disk" && program.name != "thence" {
                    files::sync(&task.dir);
                }
                let wall = cost.wall + start.elapsed();
                (0..FILES)
                    .try_for_each(|i| files::check(&task.dir.join(format!("{i}.bin")), SIZE, i % 100 == 0))?;
                Ok(Cost { wall, ..cost })
            });
            match came {
                Ok(cost) => row.0.push(cost),
                Err(why) => row.1 = Some(why),
            }
        }
    }
    left.iter().for_each(|dir| files::leave(dir));
    files::leave(&task.dir);
    let cost = |(costs, why): (Vec<Cost>, Option<String>)| why.map_or(Ok(median(&costs)), Err);
    Ok(programs.iter().zip(rows).map(|(program, row)| (program.name, cost(row))).collect())
}

fn table(to: &str, rows: &[Row]) -> String {
    let mut text = format!("\n## {FILES} files to {to}\n\n");
    text += "| program | seconds | files/s | CPU us a file | peak MiB |\n|---|---|---|---|---|\n";
    for (name, cost) in rows {
        text += &match cost {
            Err(why) => format!("| {name} | {} | | | |\n", why.replace('|', "/")),
            Ok(cost) => {
                let (wall, cpu) = (cost.wall.as_secs_f64(), cost.cpu.as_secs_f64());
                let (speed, work) = (f64::from(FILES) / wall, cpu * 1e6 / f64::from(FILES));
                format!("| {name} | {wall:.2} | {speed:.0} | {work:.0} | {} |\n", cost.memory >> 20)
            }
        };
    }
    text
}

fn judge(to: &str, rows: &[Row], goals: &mut Vec<Goal>) {
    let of = |name: &str| rows.iter().find(|row| row.0 == name).and_then(|row| row.1.as_ref().ok());
    let (Some(ours), Some(curl)) = (of("thence"), of("curl")) else { return };
    let place = format!("{FILES} small files to {to}");
    let mut ask = |what: &str, is: f64, must: f64, aim: Option<f64>| {
        goals.push(Goal::new(format!("{place}: {what}"), is, must, aim));
    };
    let time = |peer: &Cost| ours.wall.as_secs_f64() / peer.wall.as_secs_f64();
    if to == "tmpfs" {
        ask("time over curl -Z's", time(curl), 1.0 / 1.2, Some(0.5));
        ask("CPU over curl -Z's", ours.cpu.as_secs_f64() / curl.cpu.as_secs_f64(), 0.8, Some(0.5));
        return;
    }
    ask("time over curl -Z's", time(curl), 1.0, None);
    if let Some(aria2) = of("aria2-8") {
        ask("time over aria2's", time(aria2), 0.2, None);
    }
}
