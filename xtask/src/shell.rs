//! Running other programs from the root of the repository.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// The root of the repository.
pub fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask stands one below the root").to_owned()
}

/// The cargo that runs us, so that a chosen toolchain stays chosen.
pub fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    command
}

/// Runs it and hears every line of its standard output; how it ended.
pub fn heard(command: &mut Command, mut each: impl FnMut(&str)) -> Result<ExitStatus, String> {
    let child = command.stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| format!("{command:?}: {error}"))?;
    let out = child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines());
    out.map_while(Result::ok).for_each(|line| each(&line));
    child.wait().map_err(|error| format!("{command:?}: {error}"))
}

/// Runs it with our own output; an `Err` names it.
pub fn run(command: &mut Command) -> Result<(), String> {
    let said = format!("{command:?}").replace('"', "");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{said}: {status}")),
        Err(error) => Err(format!("{said}: {error}")),
    }
}

/// Builds with `cargo ARGS` and says where the program is that came of it.
pub fn built(args: &[&str]) -> Result<PathBuf, String> {
    let (verb, rest) = args.split_first().ok_or("cargo wants a verb")?;
    let mut build = cargo(&[verb, "--message-format", "json-render-diagnostics"]);
    let out = build
        .args(rest)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo {verb}: {error}"))?;
    if !out.status.success() {
        return Err(format!("cargo {verb}: {}", out.status));
    }
    let messages = String::from_utf8_lossy(&out.stdout);
    let mut programs = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message.get("executable")?.as_str().map(PathBuf::from));
    programs.next_back().ok_or_else(|| format!("cargo {verb} built no program"))
}

/// The command to try: what `--binary` said, or, if that is empty, the one of this tree built for release.
pub fn thence(said: String) -> Result<PathBuf, String> {
    match said {
        none if none.is_empty() => {
            built(&["build", "--release", "--package", "thence-cli", "--bin", "thence"])
        }
        // It runs in directories of its own.
        path => std::path::absolute(&path).map_err(|error| format!("{path}: {error}")),
    }
}

/// A seed nobody has tried yet.
pub fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Short enough to be typed again: a failing seed will be.
    (now.as_nanos() as u64 ^ u64::from(std::process::id())) % 1_000_000_000
}
