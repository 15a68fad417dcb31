//! thence beside other programs. `cargo xtask bench` builds and runs this; it is *not* part of any product.

mod bulk;
mod files;
mod flows;
mod link;
mod measure;
mod neighbour;
mod peers;
mod programs;
mod report;
mod scenes;
mod server;
mod shaped;
mod side;
mod stage;
mod wire;

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
    for scene in scenes {
        let rows = shaped::play(scene, &plan, &dir)?;
        println!("{}", shaped::table(scene, &rows));
    }
    Ok(())
}
