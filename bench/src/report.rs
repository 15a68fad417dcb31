//! What was said on the command line, and docs/bench.md, which is made of it.

use std::fs;
use std::path::{Path, PathBuf};

use xtask::options::Options;
use xtask::{packages, shell};

use crate::scenes::Scene;
use crate::trace::Trace;
use crate::verdict::{self, Goal};
use crate::{bulk, growth, machine, plot, programs, resume, scenes, shaped, side, small, start};

/// The parts of the report, in its order.
const PARTS: &str = "bulk,small,shaped,resume,start";

/// What every command needs.
struct Ground {
    binary: PathBuf,
    runs: usize,
    dir: PathBuf,
    docs: PathBuf,
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let scenes: String = options.take("scene", String::new())?;
    let (grows, trace) = (options.flag("growth"), options.flag("trace"));
    let binary: String = options.take("binary", String::new())?;
    let runs = options.take("runs", 5usize)?.max(1);
    let root = shell::root();
    let ground = |binary: String| -> Result<Ground, String> {
        packages::need(programs::PACKAGES)?;
        // Building is over then: there is no way out of a network of our own.
        Ok(Ground {
            binary: shell::thence(binary)?,
            runs,
            dir: root.join("target/bench"),
            docs: root.join("docs"),
        })
    };
    if !scenes.is_empty() {
        let said: String = options.take("programs", String::new())?;
        options.no_others()?;
        let programs = words(&said);
        return play_scenes(&ground(binary)?, &words(&scenes), &programs, trace);
    }
    if grows {
        let (largest, lines) =
            (options.size("largest", "64G")?, options.list("lines", "1000,10000,100000,1000000")?);
        let downloads = options.list("downloads", "1,10,100,1000,10000")?;
        let lanes = options.list("lanes", "1,4,16,64,256")?;
        options.no_others()?;
        let Ground { binary, runs, dir, docs } = ground(binary)?;
        alone();
        let machine = machine::words(&binary);
        return growth::play(
            &growth::Plan { binary, runs, largest, lines, downloads, lanes },
            &dir,
            &docs,
            &machine,
        );
    }
    let parts: Vec<String> = options.list("part", PARTS)?;
    let sizes = options.list("size", "1G")?.iter().map(|one: &String| size(one)).collect::<Result<_, _>>()?;
    let (lanes, to) = (options.list("lanes", "1,4,16")?, options.list("to", "disk,tmpfs")?);
    let over = options.list("over", "plain,tls")?;
    let out: String = options.take("out", root.join("docs/bench.md").display().to_string())?;
    options.no_others()?;
    let ground = ground(binary)?;
    let bulk = bulk::Plan { binary: ground.binary.clone(), runs, sizes, lanes, to, over };
    whole(&ground, &parts, &bulk, Path::new(&out))
}

/// docs/bench.md by one command.
fn whole(ground: &Ground, parts: &[String], bulk: &bulk::Plan, out: &Path) -> Result<(), String> {
    let Ground { binary, runs, dir, .. } = ground;
    let (mut goals, mut text) = (Vec::new(), String::new());
    let isolated = alone();
    for part in parts {
        text += &match part.as_str() {
            "bulk" => bulk::play(bulk, dir, &mut goals)?,
            "small" => small::play(binary, *runs, dir, &mut goals)?,
            "shaped" => all_scenes(ground, &mut goals)?,
            "resume" => resume::play(binary, *runs, dir, &mut goals)?,
            "start" => start::play(binary, *runs, dir, &mut goals)?,
            other => return Err(format!("`--part {other}`: known are {PARTS}")),
        };
    }
    let network = if isolated {
        "Every part runs in network namespaces of its own with the reno congestion control."
    } else {
        "Loopback was in the machine's own network, whose congestion control may pace it."
    };
    let head = format!(
        "# Bench\n\nMade by `cargo xtask bench`; run it on your machine before you believe it. Programs run in turn, A B A B; \
         figures are medians. {network}\n\n{}\n# What was to be reached\n\n{}",
        machine::words(binary),
        verdict::table(&goals)
    );
    fs::write(out, head + &text).map_err(|error| format!("{}: {error}", out.display()))?;
    println!("written to {}", out.display());
    Ok(())
}

/// Whether this process is in a network of its own from now on.
fn alone() -> bool {
    let entered = side::enter();
    if let Err(why) = &entered {
        println!("{why}: the machine's own congestion control may pace loopback");
    }
    entered.is_ok()
}

fn all_scenes(ground: &Ground, goals: &mut Vec<Goal>) -> Result<String, String> {
    let Ground { binary, runs, dir, docs } = ground;
    let mut text = "\n# Shaped networks\n\nA link is a TUN device in each of two network namespaces and a pair of threads between \
                    them that carry packets with a rate, a delay, a drop-tail queue and loss; TCP is the kernel's own (reno, no \
                    metrics kept). Rates are of payload; the ideal is size over rate and two round trips. thence has no flag but \
                    where the file goes; `-16` and `-32` are others tuned by hand. To tmpfs, but for the gigabit. Where \
                    connections are throttled the server is our own, since nginx's `limit_rate` gives each request a second's \
                    worth at once.\n"
        .to_owned();
    let plan = |runs, programs, trace| shaped::Plan { binary: binary.clone(), runs, programs, trace };
    for scene in scenes::ALL {
        let rows = shaped::play(scene, &plan(*runs, Vec::new(), false), dir)?;
        let table = shaped::table(scene, &rows);
        print!("{table}");
        text += &table;
        goals.extend(shaped::goals(scene, &rows));
        // A run apart: to tell what happens is a flag, and costs something.
        let traced = shaped::play(scene, &plan(1, vec!["thence".to_owned()], true), dir)?;
        if draw(scene, &traced, docs)?.is_some() {
            text += &format!("\n![{0}](plots/{0}.svg)\n", scene.name);
        }
    }
    Ok(text)
}

fn play_scenes(ground: &Ground, names: &[String], programs: &[String], trace: bool) -> Result<(), String> {
    let plan =
        shaped::Plan { binary: ground.binary.clone(), runs: ground.runs, programs: programs.to_vec(), trace };
    for scene in scenes::named(names)? {
        let rows = shaped::play(scene, &plan, &ground.dir)?;
        println!("{}", shaped::table(scene, &rows));
        if let Some((path, seen)) = draw(scene, &rows, &ground.docs)?.filter(|_| trace) {
            println!("drawn: {}", path.display());
            seen.marks.iter().for_each(|(at, _, line)| println!("{at:8.3} {line}"));
        }
    }
    Ok(())
}

/// The run of middle length of thence, as a plot; `None` if none was traced.
fn draw(scene: &Scene, rows: &[shaped::Rows], docs: &Path) -> Result<Option<(PathBuf, Trace)>, String> {
    let Some(row) = rows.iter().find(|row| row.program.name == "thence") else { return Ok(None) };
    let mut runs: Vec<&shaped::Run> = row.runs.iter().filter(|run| !run.lines.is_empty()).collect();
    runs.sort_by_key(|run| run.cost.wall);
    let Some(run) = runs.get(runs.len() / 2) else { return Ok(None) };
    let (seen, plots) = (Trace::of(run), docs.join("plots"));
    fs::create_dir_all(&plots).map_err(|error| format!("{}: {error}", plots.display()))?;
    let path = plots.join(format!("{}.svg", scene.name));
    let ideal = scene.ideal().as_secs_f64();
    let title = format!("{}: thence, {:.2} s; ideal {ideal:.2} s", scene.name, seen.end);
    plot::trace(&path, &title, scene.ideal_rate as f64, &seen)?;
    Ok(Some((path, seen)))
}

fn words(said: &str) -> Vec<String> {
    said.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// `512M` or `4G`, in bytes.
fn size(said: &str) -> Result<u64, String> {
    Options::parse(["--size".to_owned(), said.to_owned()].into_iter())?.size("size", "")
}
