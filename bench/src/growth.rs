//! How cost grows: with the file's size, with lanes, with downloads, with the lines of a list.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use thence_origin::real::{Server, Site};
use thence_origin::{Origin, Served};

use crate::files;
use crate::measure::{Cost, discarded, median};
use crate::plot::{self, Growth};

const GIB: u64 = 1 << 30;

/// Longest that one run may take.
const LIMIT: Duration = Duration::from_secs(3600);

/// Between these the tables stand in the document.
const BEGIN: &str = "<!-- growth: begin -->\n";
const END: &str = "<!-- growth: end -->\n";

/// Said on the command line.
pub(crate) struct Plan {
    pub(crate) binary: PathBuf,
    pub(crate) runs: usize,
    /// The largest file, in bytes.
    pub(crate) largest: u64,
    /// Lines of the lists.
    pub(crate) lines: Vec<u32>,
    pub(crate) downloads: Vec<u32>,
    pub(crate) lanes: Vec<u32>,
}

/// What was measured at one size of something.
struct Point {
    at: f64,
    said: String,
    cost: Cost,
    /// What CPU is divided by.
    per: f64,
}

/// One thing that grows.
struct Table {
    title: &'static str,
    name: &'static str,
    about: String,
    axis: &'static str,
    /// What CPU is told in, and by how much seconds are multiplied for it.
    unit: (&'static str, f64),
    points: Vec<Point>,
    failed: Option<String>,
}

/// All tables into `docs/performance.md`, their plots beside it.
pub(crate) fn play(plan: &Plan, dir: &Path, docs: &Path, machine: &str) -> Result<(), String> {
    let served = dir.join("served");
    fs::create_dir_all(&served).map_err(|error| format!("{}: {error}", served.display()))?;
    let tables =
        [sizes(plan), lanes(plan, dir, &served)?, downloads(plan, dir, &served)?, lists(plan, dir, &served)?];
    let plots = docs.join("plots");
    fs::create_dir_all(&plots).map_err(|error| format!("{}: {error}", plots.display()))?;
    let mut text = format!(
        "Made by `cargo xtask bench --growth`; medians of {} runs, 1 where it took over a minute.\n\n{machine}",
        plan.runs
    );
    for table in &tables {
        let words = table.words();
        print!("{words}");
        text += &words;
        table.draw(&plots)?;
    }
    put(&docs.join("performance.md"), &text)
}

/// As often as was asked for; long ones once.
fn run(plan: &Plan, mut once: impl FnMut() -> Result<Cost, String>) -> Result<Cost, String> {
    let mut costs = vec![once()?];
    while costs.len() < plan.runs && costs[0].wall < Duration::from_secs(60) {
        costs.push(once()?);
    }
    Ok(median(&costs))
}

/// A file that costs its server nothing, streamed to where it is thrown away.
fn sizes(plan: &Plan) -> Table {
    let steps = (0..).map(|step| GIB << (2 * step)).take_while(|&size| size <= plan.largest);
    let about = format!(
        "Zeros from an origin that makes them as they are sent, by `thence -o - URL >/dev/null`; the largest was {} GiB.",
        plan.largest / GIB
    );
    let mut table = Table::new("file size", "growth-size", about, "GiB", ("CPU s/GiB", 1.0));
    for size in steps {
        let served = Served::made(1, size);
        let origin = Origin::start(move |request, out| {
            let answer = served.answer(request);
            out.head(answer.status, &answer.head());
            let (zeros, mut left) = (vec![0; 1 << 20], answer.span.1 - answer.span.0);
            while left > 0 && out.alive() {
                let len = left.min(zeros.len() as u64);
                out.raw(&zeros[..len as usize]);
                left -= len;
            }
        })
        .unrecorded();
        let url = origin.url("/zeros.bin");
        let came = run(plan, || {
            let mut command = Command::new(&plan.binary);
            command.args(["-q", "-o", "-", &url]);
            discarded(command, LIMIT)
        });
        let gib = (size / GIB) as f64;
        table.take(gib, format!("{gib} GiB"), gib, came);
    }
    table
}

fn lanes(plan: &Plan, dir: &Path, served: &Path) -> Result<Table, String> {
    let place = files::place("tmpfs", dir)?.ok_or("no tmpfs")?;
    files::serve(&served.join("lanes.bin"), GIB).map_err(|error| format!("lanes.bin: {error}"))?;
    let server = Server::nginx(&Site::new(served));
    let about = "1 GiB from nginx on loopback to tmpfs with `-x N`.".to_owned();
    let mut table = Table::new("lanes", "growth-lanes", about, "lanes", ("CPU s/GiB", 1.0));
    for &lanes in &plan.lanes {
        let came = run(plan, || {
            files::clear(&place);
            let mut command = Command::new(&plan.binary);
            command.args(["-q", "-x", &lanes.to_string(), "-o", "got.bin", "-d"]).arg(&place);
            command.arg(server.url("/lanes.bin"));
            discarded(command, LIMIT)
        });
        table.take(lanes.into(), lanes.to_string(), 1.0, came);
    }
    files::leave(&place);
    Ok(table)
}

/// A server that has a file of a byte at every name.
fn everything(served: &Path) -> Server {
    let one = "location /one/ { return 200 x; }";
    Server::nginx(&Site::new(served).more(one))
}

fn downloads(plan: &Plan, dir: &Path, served: &Path) -> Result<Table, String> {
    let server = everything(served);
    let about = "So many URLs of a byte each on one command line, to tmpfs.".to_owned();
    let mut table = Table::new("downloads", "growth-downloads", about, "downloads", ("CPU us each", 1e6));
    for &count in &plan.downloads {
        let urls: Vec<String> = (0..count).map(|i| server.url(&format!("/one/{i}"))).collect();
        let came = run(plan, || {
            let place = files::place("tmpfs", dir)?.ok_or("no tmpfs")?;
            files::clear(&place);
            let mut command = Command::new(&plan.binary);
            command.arg("-q").arg("-d").arg(&place).args(&urls);
            let cost = discarded(command, LIMIT);
            files::leave(&place);
            cost
        });
        table.take(count.into(), count.to_string(), count.into(), came);
    }
    Ok(table)
}

fn lists(plan: &Plan, dir: &Path, served: &Path) -> Result<Table, String> {
    let server = everything(served);
    let about = "`thence -i LIST`, a line for each file of a byte, to tmpfs.".to_owned();
    let mut table = Table::new("lines of a list", "growth-lines", about, "lines", ("CPU us each", 1e6));
    let list = dir.join("growth.list");
    for &count in &plan.lines {
        let text: String = (0..count).map(|i| server.url(&format!("/one/{i}")) + "\n").collect();
        fs::write(&list, text).map_err(|error| format!("{}: {error}", list.display()))?;
        let came = run(plan, || {
            let place = files::place("tmpfs", dir)?.ok_or("no tmpfs")?;
            files::clear(&place);
            let _none = fs::remove_file(dir.join("growth.list.thence"));
            let mut command = Command::new(&plan.binary);
            command.arg("-q").arg("-d").arg(&place).arg("-i").arg(&list);
            let cost = discarded(command, LIMIT);
            files::leave(&place);
            cost
        });
        table.take(count.into(), count.to_string(), count.into(), came);
    }
    for path in [list, dir.join("growth.list.thence")] {
        let _none = fs::remove_file(path);
    }
    Ok(table)
}

impl Table {
    fn new(
        title: &'static str,
        name: &'static str,
        about: String,
        axis: &'static str,
        unit: (&'static str, f64),
    ) -> Table {
        println!("{title} ...");
        Table { title, name, about, axis, unit, points: Vec::new(), failed: None }
    }

    /// Takes a point; where one failed, its reason.
    fn take(&mut self, at: f64, said: String, per: f64, came: Result<Cost, String>) {
        match came {
            Ok(cost) => self.points.push(Point { at, said, cost, per }),
            Err(why) => drop(self.failed.get_or_insert(format!("{said}: {why}"))),
        }
    }

    fn words(&self) -> String {
        let mut text = format!(
            "\n### By {}\n\n{}\n\n![{}](plots/{}.svg)\n\n",
            self.title, self.about, self.title, self.name
        );
        text += &format!("| {} | seconds | {} | peak MiB |\n|---|---|---|---|\n", self.title, self.unit.0);
        for point in &self.points {
            let (cpu, memory) = (self.cpu(point), point.cost.memory as f64 / f64::from(1 << 20));
            text += &format!(
                "| {} | {:.2} | {cpu:.2} | {memory:.0} |\n",
                point.said,
                point.cost.wall.as_secs_f64()
            );
        }
        text + &self.failed.as_ref().map_or(String::new(), |why| format!("\nNot reached: {why}.\n"))
    }

    fn cpu(&self, point: &Point) -> f64 {
        point.cost.cpu.as_secs_f64() * self.unit.1 / point.per
    }

    /// CPU and memory have units of their own: each is drawn over its largest value.
    fn draw(&self, plots: &Path) -> Result<(), String> {
        let share = |of: &dyn Fn(&Point) -> f64| {
            let most = self.points.iter().map(of).fold(1e-9, f64::max);
            self.points.iter().map(|point| (point.at, of(point) / most)).collect::<Vec<_>>()
        };
        let lines = [
            Growth { name: self.unit.0, points: share(&|point| self.cpu(point)) },
            Growth { name: "peak memory", points: share(&|point| point.cost.memory as f64) },
        ];
        if self.points.is_empty() {
            return Ok(());
        }
        let path = plots.join(format!("{}.svg", self.name));
        plot::growth(&path, &format!("cost by {}", self.title), (self.axis, "of the largest"), &lines)
    }
}

/// Puts the tables between their marks, or at the end of the document.
fn put(path: &Path, tables: &str) -> Result<(), String> {
    let text = fs::read_to_string(path).unwrap_or_else(|_| "# Performance\n".to_owned());
    fs::write(path, placed(&text, tables)).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("written to {}", path.display());
    Ok(())
}

fn placed(text: &str, tables: &str) -> String {
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = match parts {
        Some((before, after)) => (before.to_owned(), after),
        None => (format!("{}\n\n## How cost grows\n\n", text.trim_end()), ""),
    };
    format!("{before}{BEGIN}{tables}{END}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_take_the_place_of_older_ones_and_nothing_else() {
        let first = placed("# Performance\n\nwords\n", "old\n");
        assert!(first.starts_with("# Performance\n\nwords\n\n## How cost grows\n\n<!--"), "{first}");
        let again = placed(&(first + "\n## More\n"), "new\n");
        assert!(
            again.contains("new\n<!-- growth: end -->\n\n## More\n") && !again.contains("old"),
            "{again}"
        );
    }
}
