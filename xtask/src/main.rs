//! Developer commands. `cargo xtask` without arguments lists them.

use std::process::ExitCode;

mod options;
mod packages;
mod shell;
mod sim;
mod test;

use options::Options;

const HELP: &str = "\
cargo xtask test                        everything CI checks; stops at the first step that fails
cargo xtask sim [--runs N] [--seed S]   the planner in the simulator; a fresh seed unless one is given
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let done = Options::parse(args).and_then(|options| match command.as_str() {
        "test" => test::run(&options),
        "sim" => sim::run(&options),
        _ => Err(format!("usage:\n{HELP}")),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
