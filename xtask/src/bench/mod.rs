//! thence beside aria2, curl, wget and axel, all from one nginx on loopback.
//!
//! Fair means: a network namespace of its own with `reno` (a machine's default may pace loopback), peers
//! in turn (A B A B) so that drift hits all, the file on the disk before the clock stops, medians. The
//! figures are ratios; the absolute ones belong to the machine they name.

mod measure;
mod peers;
mod report;

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use thence_origin::ca::{Authority, Kind};
use thence_origin::files;
use thence_origin::real::{Server, Site, program};

use crate::options::Options;
use crate::packages;
use crate::shell;
use measure::{Cost, measure};
use peers::{Peer, Task};
use report::{Report, Row};

const NAME: &str = "bench.bin";

/// Programs of the bench and their packages.
const PACKAGES: &[(&str, &str)] = &[
    ("nginx", "nginx"),
    ("aria2c", "aria2"),
    ("axel", "axel"),
    ("wget", "wget"),
    ("curl", "curl"),
    ("ip", "iproute2"),
];

/// Said on the command line.
struct Plan {
    binary: PathBuf,
    runs: usize,
    size: u64,
    lanes: Vec<u32>,
    to: Vec<String>,
    over: Vec<String>,
    out: PathBuf,
    /// In a namespace of our own with reno.
    isolated: bool,
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let inside = options.take("inside", 0u8)? == 1;
    let binary: String = options.take("binary", String::new())?;
    let mut plan = Plan {
        binary: PathBuf::new(),
        runs: options.take("runs", 5usize)?.max(1),
        size: options.size("size", "1G")?,
        lanes: options.list("lanes", "1,4,16")?,
        to: options.list("to", "disk,tmpfs")?,
        over: options.list("over", "plain,tls")?,
        out: options.take("out", shell::root().join("docs/bench.md").display().to_string())?.into(),
        isolated: inside,
    };
    options.no_others()?;
    if !inside {
        packages::need(PACKAGES)?;
    }
    plan.binary = shell::thence(binary)?;
    if inside {
        isolate()?;
    } else if let Some(mut again) = again(&plan) {
        return shell::run(&mut again);
    } else {
        println!("not root, or no `unshare`: the machine's own congestion control may pace loopback");
    }
    compare(&plan)
}

/// This command once more in a network namespace of its own. Building is over by then: there is no network in it.
fn again(plan: &Plan) -> Option<Command> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let mut command = Command::new(program("unshare")?);
    let possible =
        Command::new(program("unshare")?).args(["--net", "true"]).status().is_ok_and(|s| s.success());
    command.arg("--net").arg(std::env::current_exe().ok()?).args(["bench", "--inside", "1"]);
    command.arg("--binary").arg(&plan.binary).arg("--out").arg(&plan.out);
    command.args(["--runs", &plan.runs.to_string(), "--size", &plan.size.to_string()]);
    let lanes: Vec<String> = plan.lanes.iter().map(u32::to_string).collect();
    command.args(["--lanes", &lanes.join(","), "--to", &plan.to.join(","), "--over", &plan.over.join(",")]);
    possible.then_some(command)
}

fn isolate() -> Result<(), String> {
    shell::run(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    let control = "/proc/sys/net/ipv4/tcp_congestion_control";
    fs::write(control, "reno").map_err(|error| format!("{control}: {error}"))
}

fn compare(plan: &Plan) -> Result<(), String> {
    let dir = shell::root().join("target/bench");
    let served = dir.join("served");
    fs::create_dir_all(&served).map_err(|error| format!("{}: {error}", served.display()))?;
    serve_file(&served.join(NAME), plan.size).map_err(|error| format!("{NAME}: {error}"))?;
    let authority = Authority::new();
    let server = Server::nginx(&Site::new(&served).tls(authority.leaf(Kind::Good)));
    let mut report = Report::new(plan.size, plan.runs, plan.isolated, &plan.binary);
    for over in &plan.over {
        for to in &plan.to {
            let Some(place) = place(to, &dir)? else { continue };
            for &lanes in &plan.lanes {
                let url = match over.as_str() {
                    "plain" => server.url(&format!("/{NAME}")),
                    "tls" => server.tls_url(&format!("/{NAME}")),
                    other => return Err(format!("`--over {other}`: plain or tls")),
                };
                let task = Task { url, cacert: authority.cacert(), file: place.join("got.bin"), lanes };
                let rows = scene(plan, &task, to == "disk")?;
                report.scene(over, to, lanes, &rows);
            }
            let _not_empty = fs::remove_dir(&place);
        }
    }
    report.write(&plan.out)
}

/// Every peer in turn, `runs` times.
fn scene(plan: &Plan, task: &Task, durable: bool) -> Result<Vec<Row>, String> {
    let peers: Vec<&Peer> = peers::ALL.iter().filter(|peer| task.lanes == 1 || peer.many).collect();
    let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); peers.len()];
    for run in 0..plan.runs {
        for (peer, costs) in peers.iter().zip(&mut costs) {
            clear(&task.file);
            warm(&task.file, plan.size).map_err(|error| format!("{}: {error}", task.file.display()))?;
            let command = (peer.command)(task, &plan.binary);
            // thence syncs before it renames; the others are synced inside the timed part.
            let sync = durable && !peer.ours;
            let cost = measure(command, &task.file, sync).map_err(|why| format!("{}: {why}", peer.name))?;
            check(&task.file, plan.size, run == 0).map_err(|why| format!("{}: {why}", peer.name))?;
            costs.push(cost);
        }
    }
    clear(&task.file);
    Ok(peers.iter().zip(costs).map(|(peer, costs)| Row::new(peer.name, &costs)).collect())
}

/// The directory to download into; `None` where there is none.
fn place(to: &str, dir: &Path) -> Result<Option<PathBuf>, String> {
    let place = match to {
        "disk" => dir.join("got"),
        "tmpfs" if Path::new("/dev/shm").is_dir() => PathBuf::from("/dev/shm/thence-bench"),
        "tmpfs" => {
            println!("no /dev/shm: nothing is measured on tmpfs");
            return Ok(None);
        }
        other => return Err(format!("`--to {other}`: disk or tmpfs")),
    };
    fs::create_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    Ok(Some(place))
}

/// Removes what an earlier run left and lets the disk come to rest, so that nobody pays for another.
fn clear(file: &Path) {
    let Some(dir) = file.parent() else { return };
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let _gone_already = fs::remove_file(entry.path());
    }
    let _no_disk = fs::File::open(dir).and_then(|dir| Ok(rustix::fs::syncfs(dir)?));
}

/// Uses as much memory as the run will and lets it go again. A virtual machine's host takes free memory back, and
/// whoever is the first to touch it again pays for it: up to ten times the price of the write itself, by chance.
fn warm(file: &Path, size: u64) -> std::io::Result<()> {
    let path = file.with_extension("warm");
    let mut scratch = fs::File::create(&path)?;
    let piece = vec![0; 1 << 20];
    for _ in 0..size.div_ceil(piece.len() as u64) {
        scratch.write_all(&piece)?;
    }
    fs::remove_file(path)
}

/// The file that is served, a day old, made once and then read so that it is in the page cache.
///
/// By pieces, never whole in memory: a child's peak memory counts what its parent held when it was spawned.
fn serve_file(path: &Path, size: u64) -> std::io::Result<()> {
    let mut piece = vec![0; 1 << 20];
    if fs::metadata(path).map(|metadata| metadata.len()).ok() != Some(size) {
        let mut file = fs::File::create(path)?;
        for at in (0..size).step_by(piece.len()) {
            let len = (size - at).min(piece.len() as u64) as usize;
            files::fill(1, at, &mut piece[..len]);
            file.write_all(&piece[..len])?;
        }
        file.set_modified(SystemTime::now() - Duration::from_secs(86_400))?;
        file.sync_all()?;
    }
    let mut file = fs::File::open(path)?;
    while file.read(&mut piece)? > 0 {}
    Ok(())
}

/// Length always, bytes on the first run: reading them would warm nothing that the next run needs cold.
fn check(path: &Path, size: u64, whole: bool) -> Result<(), String> {
    let mut file = fs::File::open(path).map_err(|error| error.to_string())?;
    let len = file.metadata().map_err(|error| error.to_string())?.len();
    if len != size {
        return Err(format!("{len} of {size} bytes"));
    }
    let (mut is, mut ought) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    for at in (0..if whole { size } else { 0 }).step_by(is.len()) {
        let len = (size - at).min(is.len() as u64) as usize;
        file.read_exact(&mut is[..len]).map_err(|error| error.to_string())?;
        files::fill(1, at, &mut ought[..len]);
        if is[..len] != ought[..len] {
            return Err(format!("wrong bytes after {at}"));
        }
    }
    Ok(())
}
