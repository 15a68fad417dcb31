//! thence beside other programs. `cargo xtask bench` builds and runs this; it is *not* part of any product.

mod bulk;
mod files;
mod flows;
mod link;
mod measure;
mod neighbour;
mod peers;
mod plot;
mod programs;
mod report;
mod scenes;
mod server;
mod shaped;
mod side;
mod stage;
mod trace;
mod wire;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use xtask::options::Options;
use xtask::{packages, shell};

fn main() -> ExitCode {
    let done = Options::parse(std::env::args().skip(1)).and_then(|options| run(&options));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let scenes: String = options.take("scene", String::new())?;
    if scenes.is_empty() {
        return bulk::run(options);
    }
    let scenes = scenes::named(&scenes.split(',').map(str::to_owned).collect::<Vec<_>>())?;
    let said: String = options.take("programs", String::new())?;
    let programs = said.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let (runs, binary) = (options.take("runs", 5usize)?.max(1), options.take("binary", String::new())?);
    let trace = options.flag("trace");
    options.no_others()?;
    packages::need(bulk::PACKAGES)?;
    let plan = shaped::Plan { binary: shell::thence(binary)?, runs, programs, trace };
    let dir = shell::root().join("target/bench");
    let plots = shell::root().join("docs/plots");
    for scene in scenes {
        let rows = shaped::play(scene, &plan, &dir)?;
        println!("{}", shaped::table(scene, &rows));
        if plan.trace {
            draw(scene, &rows, &plots)?;
        }
    }
    Ok(())
}

/// The run of middle length of thence, as a plot, and its events and figures as the link saw them beside the binary.
fn draw(scene: &scenes::Scene, rows: &[shaped::Rows], plots: &Path) -> Result<(), String> {
    let Some(row) = rows.iter().find(|row| row.program.name == "thence") else { return Ok(()) };
    let mut runs: Vec<&shaped::Run> = row.runs.iter().collect();
    runs.sort_by_key(|run| run.cost.wall);
    let Some(run) = runs.get(runs.len() / 2) else { return Ok(()) };
    let seen = trace::Trace::of(run);
    fs::create_dir_all(plots).map_err(|error| format!("{}: {error}", plots.display()))?;
    let path = plots.join(format!("{}.svg", scene.name));
    let ideal = scene.ideal().as_secs_f64();
    let title = format!("{}: thence, {:.2} s; ideal {ideal:.2} s", scene.name, seen.end);
    plot::trace(&path, &title, scene.ideal_rate as f64, &seen)?;
    println!("drawn: {}", path.display());
    for (at, _, line) in &seen.marks {
        println!("{at:8.3} {line}");
    }
    Ok(())
}
