//! What is fetched twice: after SIGKILL, after SIGINT, and from a server that drops connections.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::files;
use crate::measure::{heard, middle, stopped};
use crate::scenes::{self, Net, Scene};
use crate::server::Serving;
use crate::stage::{Seen, Stage};
use crate::verdict::Goal;

/// 48 MB/s over eight connections, so that nothing piles up before the client: what is sent twice was fetched twice.
const RATE: u64 = 6_000_000;
const LANES: u32 = 8;

/// How long a run goes before it is ended.
const BEFORE: Duration = Duration::from_secs(1);

const NET: Net = scenes::near(100_000_000);

const ENDED: Scene = Scene {
    name: "ended",
    size: 82_000_000,
    nets: &[NET],
    serving: &[Serving::Throttled { rate: RATE, most: usize::MAX }],
    ..scenes::BASE
};

const DROPPED: Scene =
    Scene { name: "dropped", size: 100_000_000, serving: &[Serving::Dropping { rate: RATE }], ..ENDED };

/// Programs and the words that make them go on.
const PROGRAMS: [(&str, &[&str]); 4] = [
    ("thence", &["-x8"]),
    ("aria2c", &["-q", "--no-conf", "-k1M", "-x8", "-s8", "-c", "--max-tries=0"]),
    ("axel", &["-q", "-n8"]),
    ("curl", &["-q", "-sS", "--fail", "-C", "-"]),
];

/// What one program did in one scene.
struct Twice {
    /// Body bytes beyond the file's size that the server gave away, and that the link brought.
    sent: f64,
    brought: f64,
    drops: f64,
    /// Seconds from the signal to the end.
    ending: f64,
}

pub(crate) fn play(binary: &Path, runs: usize, dir: &Path, goals: &mut Vec<Goal>) -> Result<String, String> {
    let mut text = format!(
        "\n# Resume\n\n82 MB over {LANES} connections of 6 MB/s each (curl: one), the program ended after {} s and run again; \
         and 100 MB at the same rate from a server that drops each connection after 1 to 10 MiB. Bytes beyond the file's size that the server \
         sent, and that came to the client's host (a segment sent again included). Medians of {runs} runs.\n",
        BEFORE.as_secs()
    );
    for (what, signal, scene) in [
        ("SIGKILL", Some(Signal::KILL), &ENDED),
        ("SIGINT", Some(Signal::INT), &ENDED),
        ("dropped every 1-10 MiB", None, &DROPPED),
    ] {
        let mut table = format!(
            "\n## {what}\n\n| program | KB sent twice | KB brought twice | drops | ms to end |\n|---|---|---|---|---|\n"
        );
        for (name, words) in PROGRAMS.iter().filter(|(name, _)| signal.is_some() || *name != "curl") {
            let mut all = Vec::new();
            let failed =
                (0..runs as u64).find_map(|run| match once(scene, name, words, binary, signal, dir, run) {
                    Ok(twice) => {
                        all.push(twice);
                        None
                    }
                    Err(why) => Some(why),
                });
            let of = |f: fn(&Twice) -> f64| middle(all.iter().map(f));
            table += &match failed {
                Some(why) => format!("| {name} | {} | | | |\n", why.replace('|', "/")),
                None => format!(
                    "| {name} | {:.0} | {:.0} | {:.0} | {:.0} |\n",
                    of(|t| t.sent) / 1e3,
                    of(|t| t.brought) / 1e3,
                    of(|t| t.drops),
                    of(|t| t.ending) * 1e3
                ),
            };
            if *name == "thence" && !all.is_empty() {
                judge(what, of(|t| t.sent), of(|t| t.drops), goals);
            }
        }
        print!("{table}");
        text += &table;
    }
    Ok(text)
}

fn once(
    scene: &Scene,
    name: &str,
    words: &[&str],
    binary: &Path,
    signal: Option<Signal>,
    dir: &Path,
    run: u64,
) -> Result<Twice, String> {
    let place = files::place("tmpfs", dir)?.ok_or("no tmpfs")?;
    files::clear(&place);
    let stage = Stage::build(scene, dir, run)?;
    let url = stage.urls("/file.bin").pop().ok_or("no server")?;
    let (file, binary) = (place.join("got.bin"), binary.to_owned());
    let command = || line(name, words, &binary, &file, &url);
    let mut ending = Duration::ZERO;
    if let Some(signal) = signal {
        let first = command();
        let (there, took) = stage.client.run(move || stopped(first, BEFORE, signal))?;
        ending = took;
        if !there {
            return Err("it was done, or gave up, before it was ended".to_owned());
        }
    }
    let again = command();
    let limit = Duration::from_secs(60);
    let (cost, _) = stage.client.run(move || heard(again, None, limit))?;
    let now = std::time::Instant::now();
    let seen: Seen = stage.seen(now - cost.wall, now);
    drop(stage);
    files::check(&file, scene.size, true)?;
    files::leave(&place);
    let size = scene.size as f64;
    let brought: u64 = seen.down.iter().map(|record| record.payload).sum();
    Ok(Twice {
        sent: seen.noted.sent as f64 - size,
        brought: brought as f64 - size,
        drops: seen.noted.refused as f64,
        ending: ending.as_secs_f64(),
    })
}

fn line(name: &str, words: &[&str], binary: &Path, file: &PathBuf, url: &str) -> Command {
    let mut command = Command::new(if name == "thence" { binary } else { Path::new(name) });
    command.args(words);
    if ["thence", "aria2c"].contains(&name) {
        command.arg("-d").arg(file.parent().unwrap_or(Path::new("."))).args(["-o", "got.bin"]);
    } else {
        command.arg("-o").arg(file);
    }
    command.arg(url);
    command
}

fn judge(what: &str, sent: f64, drops: f64, goals: &mut Vec<Goal>) {
    let second = RATE as f64 * f64::from(LANES);
    let kib = f64::from(1 << 10);
    let (must, aim) = match what {
        "SIGKILL" => (second.min(32.0 * kib * kib), 0.3 * second),
        "SIGINT" => (64.0 * kib * f64::from(LANES), 0.0),
        _ => (0.01 * DROPPED.size as f64 + 64.0 * kib * drops, 0.002 * DROPPED.size as f64),
    };
    goals.push(Goal::new(format!("{what}: KB sent twice"), sent / 1e3, must / 1e3, aim / 1e3));
}
