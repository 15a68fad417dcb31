//! What servers that send too much, and journals that say too much, cost in memory: the table of docs/limits.md.

use std::fmt::Write;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use thence_origin::behaviours;
use thence_origin::ca::{Authority, Kind};
use thence_origin::trial::{Ended, Trial};
use thence_origin::{Origin, Served, Shared, files, frames, honest, journals};

use crate::options::Options;
use crate::shell;

/// Numbers of lanes, a column each.
const LANES: [&str; 2] = ["-x1", "-x16"];

/// Length of the file in bytes.
const LEN: u64 = 6 << 20;

/// The rows of test-cases.md that ask for bounded memory of what a server sends.
const FLOODS: [&str; 3] = ["dos_", "r49_", "url_09"];

/// Lengths of journals of good records, in bytes: those of 65,536 blocks twice over and a mebibyte, the longest that is
/// read, and ten million records.
const JOURNALS: [usize; 3] =
    [2 * 65_536 * journals::RECORD + (1 << 20), 64 << 20, 10_000_000 * journals::RECORD];

/// Between these the table stands.
const BEGIN: &str = "<!-- measured: begin -->\n";
const END: &str = "<!-- measured: end -->\n";

struct Measured {
    id: String,
    what: String,
    /// Peak in bytes and exit code, for each of [`LANES`].
    peaks: Vec<(u64, Option<i32>)>,
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let binary = options.take("binary", String::new())?;
    options.no_others()?;
    let binary = shell::thence(binary)?;
    let mut all = vec![honestly(&binary)];
    for liar in behaviours::all().filter(|liar| FLOODS.iter().any(|flood| liar.id.starts_with(flood))) {
        let met = |file: &Shared| (Origin::start(liar.handler(file)), None);
        all.push(measured(liar.id, liar.what, &binary, met));
    }
    let authority = Authority::new();
    for flood in frames::ALL {
        let leaf = authority.leaf(Kind::Good);
        let listener = || TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port is free");
        let met = |file: &Shared| (flood.start(listener(), &leaf, file), Some(authority.cacert()));
        all.push(measured(flood.id, flood.what, &binary, met));
    }
    for len in JOURNALS {
        all.push(journal(&binary, len)?);
    }
    let table = table(&all);
    println!("{table}");
    let path = shell::root().join("docs/limits.md");
    let page = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (before, rest) = page.split_once(BEGIN).ok_or("docs/limits.md has no place for it")?;
    let (_, after) = rest.split_once(END).ok_or("docs/limits.md has no place for it")?;
    let page = [before, BEGIN, &table, END, after].concat();
    fs::write(&path, page).map_err(|error| format!("{}: {error}", path.display()))
}

fn honestly(binary: &Path) -> Measured {
    let met = |file: &Shared| (Origin::start(honest::handler(file)), None);
    measured("-", "an honest server, HTTP/1.1 without TLS", binary, met)
}

/// The file from such an origin, whose certificate that authority signed.
fn measured(
    id: &str,
    what: &str,
    binary: &Path,
    met: impl Fn(&Shared) -> (Origin, Option<PathBuf>),
) -> Measured {
    let peaks = LANES.map(|lanes| {
        let file = Shared::new(Served::new(files::content(1, LEN as usize)));
        let (origin, cacert) = met(&file);
        let trial = Trial::of(binary).env("THENCE_HURRY", "30");
        let url = origin.url("/file.bin");
        let cacert = cacert.map(|path| path.display().to_string());
        let trust = cacert.as_ref().map_or(Vec::new(), |path| vec!["--cacert", path]);
        let words = [&["-q", lanes, "--retry", "1", &url], &trust[..]].concat();
        let (Ended { code, .. }, peak) = trial.start(&words).wait_with_memory();
        (peak, code)
    });
    Measured { id: id.into(), what: what.into(), peaks: peaks.to_vec() }
}

/// A run that goes on with a journal of so many bytes.
fn journal(binary: &Path, len: usize) -> Result<Measured, String> {
    let mut peaks = Vec::new();
    for lanes in LANES {
        let mut served = Served::new(files::content(1, LEN as usize));
        served.rate = Some(LEN / 2);
        let file = Shared::new(served);
        let origin = Origin::start(honest::handler(&file));
        let trial = Trial::of(binary);
        let url = origin.url("/file.bin");
        let path = trial.path("file.bin.thence");
        let mut first = trial.start(&["-q", "-x1", &url]);
        first.lives_until(|| fs::metadata(&path).is_ok_and(|log| log.len() > 1_000));
        first.signal(Signal::KILL);
        let _killed = first.wait();
        let log = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let log = journals::with_good_records(log, 256 << 10, len);
        fs::write(&path, log).map_err(|error| format!("{}: {error}", path.display()))?;
        file.change(|served| served.rate = None);
        let (Ended { code, .. }, peak) = trial.start(&["-q", lanes, &url]).wait_with_memory();
        peaks.push((peak, code));
    }
    let what = format!("a journal of {} MiB of good records", len >> 20);
    Ok(Measured { id: "dos_05".into(), what, peaks })
}

fn table(all: &[Measured]) -> String {
    let mut text = String::from(
        "| case | what | 1 lane, MiB | exit | 16 lanes, MiB | exit |\n|---|---|---|---|---|---|\n",
    );
    for Measured { id, what, peaks } in all {
        let _infallible = write!(text, "| {id} | {what} |");
        for (peak, code) in peaks {
            let code = code.map_or("signal".into(), |code| code.to_string());
            let _infallible = write!(text, " {:.1} | {code} |", *peak as f64 / f64::from(1 << 20));
        }
        text.push('\n');
    }
    text
}
