//! Fetches a file over 8 lanes from a throttled origin on loopback, kills the download half-way with SIGKILL, goes
//! on with the same command, and counts. No network, nothing left behind.
//!
//!     cargo run --release --example interrupted

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use thence_origin::honest::{Served, Shared, handler};
use thence_origin::{Origin, files};

const NAME: &str = "file.bin";
const LEN: usize = 64 << 20;
const LANES: u64 = 8;
/// Bytes a second over all lanes: a run that nobody disturbs takes six seconds.
const RATE: u64 = LEN as u64 / 6;
/// A run that takes longer hangs.
const HANG: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error>> {
    let (program, dir) = (program()?, tempfile::tempdir()?);
    let body = files::content(1, LEN);
    let want = files::digest(&body);
    let origin =
        Origin::start(handler(&Shared::new(Served { rate: Some(RATE / LANES), ..Served::new(body) })));
    let url = origin.url(&format!("/{NAME}"));
    let lanes = LANES.to_string();
    let begin = || Command::new(&program).args(["-x", &lanes, &url]).current_dir(dir.path()).spawn();

    println!("An origin on this machine serves {} MiB, {} MiB/s at most.\n", LEN >> 20, RATE >> 20);
    println!("$ thence -x {LANES} {url}");
    let mut child = begin()?;
    wait(&mut child, || origin.sent() > LEN as u64 / 2)?;
    child.kill()?;
    child.wait()?;
    // The origin notices within a moment that nobody reads any more.
    thread::sleep(Duration::from_millis(200));
    let first = origin.sent();
    println!("\n\nKilled with SIGKILL. The origin had sent {first} bytes; this is left:\n");
    let status = Command::new(&program).arg("status").current_dir(dir.path()).status()?;
    assert!(status.success(), "the part can be read");

    println!("\nThe same command again:\n\n$ thence -x {LANES} {url}");
    let mut child = begin()?;
    let status = wait(&mut child, || false)?.ok_or("it did not end")?;
    assert!(status.success(), "the second run ended with {status}");
    tell(&origin, first, &want, &dir.path().join(NAME))
}

/// Counts what came twice and compares the digests.
fn tell(origin: &Origin, first: u64, want: &str, path: &Path) -> Result<(), Box<dyn Error>> {
    let got = files::digest(std::fs::read(path)?);
    let (sent, len) = (origin.sent(), LEN as u64);
    let twice = sent.saturating_sub(len);
    println!("\nThe first run was sent {first} bytes, the second {}.", sent - first);
    println!(
        "Sent twice: {twice} bytes, {:.1} % of the file, {:.2} s of traffic (the promise: at most 1 s).",
        twice as f64 * 100.0 / len as f64,
        twice as f64 / RATE as f64
    );
    println!("SHA-256 served:  {want}\nSHA-256 fetched: {got}");
    if got != want {
        return Err("the file is wrong".into());
    }
    println!("The file is right.");
    Ok(())
}

/// Waits until the child ends (its status) or `enough` (none).
fn wait(child: &mut Child, enough: impl Fn() -> bool) -> Result<Option<ExitStatus>, Box<dyn Error>> {
    let end = Instant::now() + HANG;
    while !enough() {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > end {
            child.kill()?;
            return Err("it hangs".into());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(None)
}

/// `thence` beside this example, in the same profile; built if it is not there or older than its sources.
fn program() -> Result<PathBuf, Box<dyn Error>> {
    let here = std::env::current_exe()?;
    let profile = here.parent().and_then(Path::parent).ok_or("the example stands in no target directory")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--package", "thence-cli", "--bin", "thence"]);
    if profile.ends_with("release") {
        build.arg("--release");
    }
    let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status();
    let program = profile.join(format!("thence{}", std::env::consts::EXE_SUFFIX));
    match built {
        _ if program.is_file() => Ok(program),
        built => {
            Err(format!("there is no {}, and cargo could not build it: {built:?}", program.display()).into())
        }
    }
}
