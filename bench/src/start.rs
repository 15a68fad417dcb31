//! What the smallest download costs, and how large the program is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use thence_origin::ca::{Authority, Kind};
use thence_origin::real::{Server, Site};

use crate::files;
use crate::measure::{Cost, HANG, heard, median};
use crate::verdict::Goal;

/// Runs of one program for each that was asked for: they are short and noisy.
const TIMES: usize = 8;

const LEN: u64 = 100;

pub(crate) fn play(binary: &Path, runs: usize, dir: &Path, goals: &mut Vec<Goal>) -> Result<String, String> {
    let served = dir.join("served");
    fs::create_dir_all(&served).map_err(|error| format!("{}: {error}", served.display()))?;
    files::serve(&served.join("tiny.bin"), LEN).map_err(|error| format!("tiny.bin: {error}"))?;
    let authority = Authority::new();
    let server = Server::nginx(&Site::new(&served).tls(authority.leaf(Kind::Good)));
    let mut text = format!(
        "\n# Starting and size\n\nOne file of {LEN} bytes to tmpfs; medians of {} runs.\n\n",
        runs * TIMES
    );
    text += "| program | over | ms | CPU ms | peak MiB |\n|---|---|---|---|---|\n";
    for (over, url, must, aim) in
        [("http", server.url("/tiny.bin"), 5.0, None), ("https", server.tls_url("/tiny.bin"), 12.0, None)]
    {
        let place = files::place("tmpfs", dir)?.ok_or("no tmpfs")?;
        let rows = each(binary, runs * TIMES, &place, &url, &authority.cacert())?;
        for (name, cost) in &rows {
            let ms = |time: Duration| time.as_secs_f64() * 1e3;
            text += &format!(
                "| {name} | {over} | {:.1} | {:.1} | {} |\n",
                ms(cost.wall),
                ms(cost.cpu),
                cost.memory >> 20
            );
        }
        let ours = rows.first().map_or(0.0, |row| row.1.wall.as_secs_f64() * 1e3);
        goals.push(Goal::new(format!("one tiny file over {over}: ms"), ours, must, aim));
    }
    let size = fs::metadata(binary).map_err(|error| format!("{}: {error}", binary.display()))?.len();
    let mib = size as f64 / f64::from(1 << 20);
    text += &format!("\nThe stripped binary has {mib:.1} MiB.\n");
    goals.push(Goal::new("stripped binary: MiB", mib, 12.0, None));
    print!("{text}");
    Ok(text)
}

fn each(
    binary: &Path,
    times: usize,
    place: &Path,
    url: &str,
    cacert: &Path,
) -> Result<Vec<(&'static str, Cost)>, String> {
    let programs = ["thence", "curl", "aria2", "wget"];
    let mut costs = vec![Vec::new(); programs.len()];
    let file = place.join("got.bin");
    for _ in 0..times {
        for (name, costs) in programs.iter().zip(&mut costs) {
            files::clear(place);
            let (cost, _) = heard(line(name, binary, &file, url, cacert), None, HANG)
                .map_err(|why| format!("{name}: {why}"))?;
            files::check(&file, LEN, true).map_err(|why| format!("{name}: {why}"))?;
            costs.push(cost);
        }
    }
    files::leave(place);
    Ok(programs.into_iter().zip(costs.iter().map(|costs| median(costs))).collect())
}

fn line(name: &str, binary: &Path, file: &PathBuf, url: &str, cacert: &Path) -> Command {
    let dir = file.parent().unwrap_or(Path::new("."));
    let mut command = Command::new(match name {
        "thence" => binary,
        "aria2" => Path::new("aria2c"),
        other => Path::new(other),
    });
    match name {
        "thence" => command.arg("--cacert").arg(cacert).arg("-d").arg(dir).args(["-o", "got.bin"]),
        "aria2" => {
            command.args(["-q", "--no-conf"]).arg(format!("--ca-certificate={}", cacert.display()));
            command.arg("-d").arg(dir).args(["-o", "got.bin"])
        }
        "curl" => command.args(["-q", "-sS", "--fail", "--cacert"]).arg(cacert).arg("-o").arg(file),
        _ => command.args(["--no-config", "-q"]).arg("--ca-certificate").arg(cacert).arg("-O").arg(file),
    };
    command.arg(url);
    command
}
