//! The bench is a workspace of its own (`bench/`), so that what only it needs stays out of the product's lock file. It is
//! built into the same target directory: most of it is built already.

use crate::shell::{self, cargo};

const PLACE: [&str; 4] = ["--manifest-path", "bench/Cargo.toml", "--target-dir", "target"];

pub(crate) fn run(args: &[String]) -> Result<(), String> {
    if args.iter().any(|arg| arg == "--micro") {
        return shell::run(cargo(&["bench", "--bench", "micro"]).args(PLACE));
    }
    shell::run(cargo(&["run", "--quiet", "--release"]).args(PLACE).arg("--").args(args))
}

/// Its format, its lints, its tests: what `cargo xtask test` does for the other workspace.
pub(crate) fn check() -> Result<(), String> {
    shell::run(cargo(&["fmt", "--check"]).args(&PLACE[..2]))?;
    shell::run(cargo(&["clippy", "--all-targets"]).args(PLACE).args(["--", "--deny", "warnings"]))?;
    // The tests of the program; criterion's own would run every bench once, which says nothing.
    shell::run(cargo(&["test", "--bins"]).args(PLACE))
}
