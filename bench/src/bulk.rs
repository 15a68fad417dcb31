//! thence beside aria2, curl, wget and axel, all from one nginx on loopback.
//!
//! Fair means: a network namespace of its own with `reno` (a machine's default may pace loopback), peers
//! in turn (A B A B) so that drift hits all, the file on the disk before the clock stops, medians. The
//! figures are ratios; the absolute ones belong to the machine they name.

use std::fs;
use std::path::PathBuf;

use thence_origin::ca::{Authority, Kind};
use thence_origin::real::{Server, Site};
use xtask::options::Options;
use xtask::{packages, shell};

use crate::files;
use crate::measure::{Cost, measure};
use crate::peers::{self, Peer, Task};
use crate::report::{Report, Row};
use crate::side;

const NAME: &str = "bench.bin";

/// Programs of the bench and their packages.
pub(crate) const PACKAGES: &[(&str, &str)] = &[
    ("nginx", "nginx"),
    ("aria2c", "aria2"),
    ("axel", "axel"),
    ("wget", "wget"),
    ("wget2", "wget2"),
    ("lftp", "lftp"),
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
    let binary: String = options.take("binary", String::new())?;
    let mut plan = Plan {
        binary: PathBuf::new(),
        runs: options.take("runs", 5usize)?.max(1),
        size: options.size("size", "1G")?,
        lanes: options.list("lanes", "1,4,16")?,
        to: options.list("to", "disk,tmpfs")?,
        over: options.list("over", "plain,tls")?,
        out: options.take("out", shell::root().join("docs/bench.md").display().to_string())?.into(),
        isolated: false,
    };
    options.no_others()?;
    packages::need(PACKAGES)?;
    // Building is over then: there is no way out of a network of our own.
    plan.binary = shell::thence(binary)?;
    match side::enter() {
        Ok(()) => plan.isolated = true,
        Err(why) => println!("{why}: the machine's own congestion control may pace loopback"),
    }
    compare(&plan)
}

fn compare(plan: &Plan) -> Result<(), String> {
    let dir = shell::root().join("target/bench");
    let served = dir.join("served");
    fs::create_dir_all(&served).map_err(|error| format!("{}: {error}", served.display()))?;
    files::serve(&served.join(NAME), plan.size).map_err(|error| format!("{NAME}: {error}"))?;
    let authority = Authority::new();
    let server = Server::nginx(&Site::new(&served).tls(authority.leaf(Kind::Good)));
    let mut report = Report::new(plan.size, plan.runs, plan.isolated, &plan.binary);
    for over in &plan.over {
        for to in &plan.to {
            let Some(place) = files::place(to, &dir)? else { continue };
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
            task.file.parent().into_iter().for_each(files::clear);
            files::warm(&task.file, plan.size)
                .map_err(|error| format!("{}: {error}", task.file.display()))?;
            let command = (peer.command)(task, &plan.binary);
            // thence syncs before it renames; the others are synced inside the timed part.
            let sync = durable && !peer.ours;
            let cost = measure(command, &task.file, sync).map_err(|why| format!("{}: {why}", peer.name))?;
            files::check(&task.file, plan.size, run == 0).map_err(|why| format!("{}: {why}", peer.name))?;
            costs.push(cost);
        }
    }
    task.file.parent().into_iter().for_each(files::clear);
    Ok(peers.iter().zip(costs).map(|(peer, costs)| Row::new(peer.name, &costs)).collect())
}
