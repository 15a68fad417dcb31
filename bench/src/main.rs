//! thence beside other programs. `cargo xtask bench` builds and runs this; it is *not* part of any product.

mod bare;
mod bulk;
mod files;
mod flows;
mod growth;
mod link;
mod machine;
mod measure;
mod neighbour;
mod peers;
mod plot;
mod programs;
mod report;
mod resume;
mod scenes;
mod server;
mod shaped;
mod side;
mod small;
mod stage;
mod start;
mod trace;
mod verdict;
mod wire;

use std::process::ExitCode;

use xtask::options::Options;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.split_first() {
        Some((bare, rest)) if bare == "bare" => bare::run(rest),
        _ => Options::parse(args.into_iter()).and_then(|options| report::run(&options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
