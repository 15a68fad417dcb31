//! Runs scenes: every program in turn, as often as was asked for, and a table of medians.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::files;
use crate::measure::{Cost, Line, heard, middle};
use crate::programs::{self, Program, Task};
use crate::scenes::{Other, Scene};
use crate::stage::{Seen, Stage};
use crate::verdict::Goal;

/// Times the ideal after which a program is given up, and the least time it has.
const PATIENCE: u32 = 40;
const LEAST: Duration = Duration::from_secs(30);

/// Said on the command line.
pub(crate) struct Plan {
    pub(crate) binary: PathBuf,
    pub(crate) runs: usize,
    /// Names; none: those of the scene.
    pub(crate) programs: Vec<String>,
    pub(crate) trace: bool,
}

/// One run of one program.
pub(crate) struct Run {
    pub(crate) cost: Cost,
    pub(crate) seen: Seen,
    pub(crate) start: Instant,
    pub(crate) lines: Vec<Line>,
}

/// A program's runs; why one failed.
pub(crate) struct Rows {
    pub(crate) program: &'static Program,
    pub(crate) runs: Vec<Run>,
    pub(crate) failed: Option<String>,
}

/// Every program in turn, `plan.runs` times.
pub(crate) fn play(scene: &'static Scene, plan: &Plan, dir: &Path) -> Result<Vec<Rows>, String> {
    let names: Vec<String> = scene.programs.split(',').map(str::to_owned).collect();
    let programs = programs::named(if plan.programs.is_empty() { &names } else { &plan.programs })?;
    let served = dir.join("served");
    serve(scene, &served)?;
    let mut rows: Vec<Rows> =
        programs.into_iter().map(|program| Rows { program, runs: Vec::new(), failed: None }).collect();
    for run in 0..plan.runs {
        // What failed once is not waited for again: some wait until they are given up.
        for row in rows.iter_mut().filter(|row| row.failed.is_none()) {
            if !programs::is_here(row.program) {
                row.failed = Some("not installed".to_owned());
                continue;
            }
            match once(scene, row.program, plan, &served, dir, run as u64) {
                Ok(run) => row.runs.push(run),
                Err(why) => row.failed = Some(why),
            }
        }
    }
    Ok(rows)
}

fn once(
    scene: &Scene,
    program: &Program,
    plan: &Plan,
    served: &Path,
    dir: &Path,
    seed: u64,
) -> Result<Run, String> {
    let place = files::place(if scene.disk { "disk" } else { "tmpfs" }, dir)?.ok_or("no tmpfs")?;
    files::clear(&place);
    let stage = Stage::build(scene, served, seed)?;
    let urls = match scene.files {
        1 => stage.urls(&format!("/{}", file_name(scene))),
        many => (0..many).flat_map(|i| stage.urls(&format!("/small/{i}.bin"))).collect(),
    };
    let ours = program.name == "thence";
    let task =
        Task { urls, many: scene.files > 1, dir: place.clone(), name: "got.bin", trace: plan.trace && ours };
    let command = (program.command)(&task, &plan.binary).ok_or("it cannot do that")?;
    let sync = (scene.disk && !ours).then(|| place.join(task.name));
    let limit = LEAST.max(scene.ideal() * PATIENCE);
    let (start, came) = stage.client.run(move || {
        let start = Instant::now();
        (start, heard(command, sync.as_deref(), limit))
    });
    let (cost, lines) = came?;
    let seen = stage.seen(start, start + cost.wall);
    drop(stage);
    for i in 0..scene.files {
        let name = if task.many { format!("{i}.bin") } else { task.name.to_owned() };
        files::check(&place.join(name), scene.size, seed == 0)?;
    }
    files::leave(&place);
    Ok(Run { cost, seen, start, lines })
}

fn file_name(scene: &Scene) -> String {
    format!("{}.bin", scene.size)
}

fn serve(scene: &Scene, served: &Path) -> Result<(), String> {
    let small = served.join("small");
    fs::create_dir_all(&small).map_err(|error| format!("{}: {error}", small.display()))?;
    let paths: Vec<PathBuf> = match scene.files {
        1 => vec![served.join(file_name(scene))],
        many => (0..many).map(|i| small.join(format!("{i}.bin"))).collect(),
    };
    let put = |path: &PathBuf| {
        files::serve(path, scene.size).map_err(|error| format!("{}: {error}", path.display()))
    };
    paths.iter().try_for_each(put)
}

/// The table of a scene.
pub(crate) fn table(scene: &Scene, rows: &[Rows]) -> String {
    let ideal = scene.ideal();
    let mut text = format!("\n## {}\n\n{}. Links: ", scene.name, scene.about);
    let nets: Vec<String> = scene.nets.iter().map(|net| net.words()).collect();
    text += &format!("{}. Ideal {:.2} s.\n\n", nets.join("; "), ideal.as_secs_f64());
    let shared = scene.other != Other::Nobody;
    text += "| program | runs | seconds | time/ideal | CPU s | connections | requests | refused | sent/size | carried/size |";
    text += if shared { " other's delay ms: median, 95 % | other's MB/s |" } else { "" };
    text += "\n|---|---|---|---|---|---|---|---|---|---|";
    text += if shared { "---|---|\n" } else { "\n" };
    for row in rows {
        text += &line(scene, row, shared);
    }
    text += &verdict(scene, rows);
    text
}

fn line(scene: &Scene, row: &Rows, shared: bool) -> String {
    let name = row.program.name;
    let columns = if shared { 11 } else { 9 };
    let Some(of) = figures(scene, row) else {
        let why = row.failed.as_deref().unwrap_or("not run");
        return format!("| {name} | {} |{}\n", why.replace('|', "/"), " |".repeat(columns - 1));
    };
    let mut text =
        format!("| {name} | {} | {:.2} ({:.2}-{:.2}) ", row.runs.len(), of.wall, of.least, of.most);
    let put = write!(
        text,
        "| {:.2} | {:.2} | {:.0} | {:.0} | {:.0} | {:.3} | {:.3} |",
        of.times, of.cpu, of.connections, of.requests, of.refused, of.sent, of.carried
    );
    put.expect("a string takes what is written");
    if shared {
        text += &format!(" {:.0}, {:.0} | {:.2} |", of.delay.0, of.delay.1, of.other / 1e6);
    }
    text + "\n"
}

/// Medians of a program's runs.
pub(crate) struct Figures {
    pub(crate) wall: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    /// Time over the ideal.
    pub(crate) times: f64,
    pub(crate) cpu: f64,
    pub(crate) connections: f64,
    pub(crate) requests: f64,
    pub(crate) refused: f64,
    /// What the server gave away, and what the link brought, repeated segments and others' traffic included, over the size.
    pub(crate) sent: f64,
    pub(crate) carried: f64,
    /// Milliseconds: the median of medians, and of the ninety-fifth hundredths.
    pub(crate) delay: (f64, f64),
    /// Bytes a second.
    pub(crate) other: f64,
}

/// `None` if no run succeeded.
pub(crate) fn figures(scene: &Scene, row: &Rows) -> Option<Figures> {
    let of = |f: fn(&Run) -> f64| middle(row.runs.iter().map(f));
    let walls = || row.runs.iter().map(|run| run.cost.wall.as_secs_f64());
    let size = (scene.size * u64::from(scene.files)) as f64;
    let wall = of(|run| run.cost.wall.as_secs_f64());
    (!row.runs.is_empty()).then(|| Figures {
        wall,
        least: walls().fold(f64::MAX, f64::min),
        most: walls().fold(0.0, f64::max),
        times: wall / scene.ideal().as_secs_f64(),
        cpu: of(|run| run.cost.cpu.as_secs_f64()),
        connections: of(|run| run.seen.connections as f64),
        requests: of(|run| run.seen.noted.requests as f64),
        refused: of(|run| run.seen.noted.refused as f64),
        sent: of(|run| run.seen.noted.sent as f64) / size,
        carried: of(|run| run.seen.down.iter().map(|record| record.payload).sum::<u64>() as f64) / size,
        delay: (
            of(|run| run.seen.suffered.below(0.5).as_secs_f64() * 1e3),
            of(|run| run.seen.suffered.below(0.95).as_secs_f64() * 1e3),
        ),
        other: of(|run| run.seen.suffered.rate),
    })
}

/// What thence reached of what is asked.
fn verdict(scene: &Scene, rows: &[Rows]) -> String {
    let goals = goals(scene, rows);
    if goals.is_empty() {
        return "\nthence: no figures.\n".to_owned();
    }
    let said = |is: f64, most: f64| if is <= most { "reached" } else { "missed" };
    let words: Vec<String> = goals
        .iter()
        .map(|goal| {
            let aim = goal.aim.map_or(String::new(), |aim| format!(", aim {aim:.2} {}", said(goal.is, aim)));
            format!("{} {:.2}: must {:.2} {}{aim}", goal.what, goal.is, goal.must, said(goal.is, goal.must))
        })
        .collect();
    format!("\n{}.\n", words.join("; "))
}

/// The same as figures.
pub(crate) fn goals(scene: &Scene, rows: &[Rows]) -> Vec<Goal> {
    let of =
        |name: &str| rows.iter().find(|row| row.program.name == name).and_then(|row| figures(scene, row));
    let mut goals = Vec::new();
    let Some(ours) = of("thence") else { return goals };
    let mut ask = |what: &str, is: f64, must: f64, aim: Option<f64>| {
        goals.push(Goal::new(format!("{}: {what}", scene.name), is, must, aim));
    };
    if let Some(must) = scene.must {
        ask("time/ideal", ours.times, must, scene.aim);
    }
    if let Some((must, aim)) = scene.refusals {
        ask("refused", ours.refused, must as f64, Some(aim as f64));
    }
    match (scene.name, of("curl"), of("aria2-16")) {
        ("gigabit", Some(curl), Some(aria2)) => {
            ask("CPU over curl's", ours.cpu / curl.cpu, 0.60, Some(0.25));
            ask("CPU over aria2's", ours.cpu / aria2.cpu, 0.60, Some(0.25));
        }
        ("deep", Some(curl), _) => {
            ask("other's delay (95 %) over that beside curl", ours.delay.1 / curl.delay.1, 1.05, None);
        }
        ("deep-shared", Some(curl), _) => {
            // Half is fair; and a single newcomer does not even get that from a full queue.
            let fair = curl.other.min(scene.ideal_rate as f64);
            ask("other's fair rate over what it got", fair / ours.other, 1.05, None);
        }
        ("bad-mirrors", ..) => {
            if let Some(first) = of("thence-first") {
                ask("time over that of the good one alone", ours.wall / first.wall, 1.05, None);
            }
        }
        _ => {}
    }
    goals
}
