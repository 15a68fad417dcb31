//! The bench is a workspace of its own (`bench/`), so that what only it needs stays out of the product's lock file. It is
//! built into the same target directory: most of it is built already.

use crate::shell::{self, cargo};

pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let place = ["--manifest-path", "bench/Cargo.toml", "--target-dir", "target"];
    // cargo's own `bench` runs criterion, which answers in time a decision and not in downloads.
    if args.iter().any(|arg| arg == "--micro") {
        return shell::run(cargo(&["bench", "--bench", "micro"]).args(place));
    }
    shell::run(cargo(&["run", "--quiet", "--release"]).args(place).arg("--").args(args))
}
