//! thence and its peers against every liar of thence-origin, fresh and going on with half of the file.
//!
//! Fair means: each tool is told what serves it (a time-out, tries, going on); its part was left by itself, ended by
//! SIGINT as a person ends it; any version that was ever served counts as right; and an error or a hang is only
//! written down when a second run ends no better.

mod judge;
mod plan;
mod report;
mod tools;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use thence_origin::behaviours::{self, Behaviour, Handler};
use thence_origin::ca::{Authority, Kind};
use thence_origin::trial::{Running, Trial};
use thence_origin::{Origin, Reply, Request, Served, Shared, files};

use crate::options::Options;
use crate::packages;
use crate::shell;
use judge::Verdict;
use plan::{LEN, Met, Plan, RATE, Results, Start};
use tools::{NAME, Tool};

/// A first run is cut short when the origin has had nothing to send for so long.
const QUIET: Duration = Duration::from_millis(400);

/// Longest wait for the end after SIGINT, and for a first run to get its half.
const PATIENCE: Duration = Duration::from_secs(10);

/// What `env` says of a program that it cannot start: no verdict on the program.
const NOT_RUN: [i32; 2] = [126, 127];

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let peers: Vec<String> = options.list("peers", "aria2,curl,wget,axel")?;
    let binary: String = options.take("binary", String::new())?;
    let mut plan = Plan {
        binary: PathBuf::new(),
        tools: wanted(&peers)?,
        limit: Duration::from_secs(options.take("limit", 20)?),
        jobs: options.take("jobs", 2usize)?.max(1),
        only: options.take("only", String::new())?,
    };
    let page = shell::root().join("docs/hostile.md").display().to_string();
    let out: String = options.take("out", if plan.only.is_empty() { page } else { String::new() })?;
    options.no_others()?;
    packages::need(&tools::packages(&plan.tools))?;
    // Every run has a directory of its own: a relative path would lead nowhere from there.
    let binary = shell::thence(binary)?;
    plan.binary = binary.canonicalize().map_err(|error| format!("{}: {error}", binary.display()))?;
    let results = meet_all(&plan)?;
    let text = report::page(&plan, &results);
    if out.is_empty() {
        println!("\n{text}");
    } else {
        std::fs::write(&out, text).map_err(|error| format!("{out}: {error}"))?;
        println!("written to {out}");
    }
    let ours = results
        .iter()
        .any(|((_, tool, _), met)| *tool == tools::ALL[0].name && met.verdict >= Verdict::Crash);
    if ours { Err("thence crashed, hung or was wrong".into()) } else { Ok(()) }
}

fn wanted(peers: &[String]) -> Result<Vec<&'static Tool>, String> {
    let known = |name: &String| tools::ALL.iter().any(|tool| tool.name == *name);
    if let Some(unknown) = peers.iter().find(|name| !known(name)) {
        return Err(format!("`--peers {unknown}`: aria2, curl, wget and axel are known"));
    }
    Ok(tools::ALL
        .iter()
        .filter(|tool| tool.is_ours() || peers.iter().any(|name| name == tool.name))
        .collect())
}

/// Every liar, a few at a time.
fn meet_all(plan: &Plan) -> Result<Results, String> {
    let authority = Authority::new();
    // Who stores a bomb as it was sent has done nothing wrong; docs/limits.md has what bombs cost.
    let liars =
        behaviours::all().filter(|liar| liar.id.starts_with(&plan.only) && !liar.id.starts_with("r49_"));
    let tasks: Vec<(&Behaviour, &Tool, Start)> = liars
        .flat_map(|liar| plan.tools.iter().map(move |tool| (liar, *tool)))
        .filter(|(liar, tool)| tool.may_meet(liar.id))
        .flat_map(|(liar, tool)| [(liar, tool, Start::Fresh), (liar, tool, Start::Resumed)])
        .collect();
    let (next, results, failed) = (AtomicUsize::new(0), Mutex::new(Results::new()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..plan.jobs {
            scope.spawn(|| {
                while let Some(&(liar, tool, start)) = tasks.get(next.fetch_add(1, Ordering::SeqCst)) {
                    match meet_fairly(plan, &authority, liar, tool, start) {
                        Ok(met) => {
                            println!(
                                "{} {} {start:?}: {} {}",
                                liar.id,
                                tool.name,
                                met.verdict.word(),
                                met.how
                            );
                            lock(&results).insert((liar.id, tool.name, start), met);
                        }
                        Err(why) => lock(&failed).push(format!("{} {} {start:?}: {why}", liar.id, tool.name)),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    if failed.is_empty() {
        Ok(results.into_inner().unwrap_or_else(PoisonError::into_inner))
    } else {
        Err(format!("not tried as they should be:\n{}", failed.join("\n")))
    }
}

/// An error or a hang may be the machine's fault and is tried once more; the better one counts. Wrong is wrong.
fn meet_fairly(
    plan: &Plan,
    ca: &Authority,
    liar: &Behaviour,
    tool: &Tool,
    start: Start,
) -> Result<Met, String> {
    let first = meet(plan, ca, liar, tool, start)?;
    if [Verdict::Right, Verdict::Wrong].contains(&first.verdict) {
        return Ok(first);
    }
    let second = meet(plan, ca, liar, tool, start)?;
    // Wrong is the last of the verdicts, and stands however the other run ended.
    let second_counts = second.verdict < first.verdict || second.verdict == Verdict::Wrong;
    Ok(if second_counts { second } else { first })
}

fn meet(plan: &Plan, ca: &Authority, liar: &Behaviour, tool: &Tool, start: Start) -> Result<Met, String> {
    let mut served = Served::new(files::content(1, LEN as usize));
    served.rate = Some(RATE);
    let file = Shared::new(served);
    let old = file.now().body.bytes(0, LEN);
    let stage = Arc::new(Stage::default());
    let acting = stage.clone();
    let tls = liar.tls.then(|| ca.leaf(Kind::Good).config());
    let origin = Origin::start_at(0, tls, move |request, out| acting.answer(request, out));
    let trial = tool.trial(&plan.binary);
    let args = tool.args(&origin.url(&format!("/{NAME}")), liar.tls.then(|| ca.cacert()).as_deref());
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if start == Start::Resumed {
        stage.plays(first_half(&file), 0);
        leave_half(&trial, &args, &origin)?;
    }
    stage.plays(liar.handler(&file), origin.requests().len());
    let mut running = trial.start(&args);
    let Some(code) = running.within(plan.limit) else {
        running.kill();
        return Ok(Met { verdict: Verdict::Hangs, how: String::new() });
    };
    if code.is_some_and(|code| NOT_RUN.contains(&code)) {
        return Err(format!("it did not run: {}", running.words()));
    }
    let now = file.now().body;
    let mut versions = vec![now.bytes(0, now.len()), old];
    if liar.id.starts_with("frm_20") {
        // Bytes kept in the coding in which they were sent are no lie.
        versions.push(now.gzipped());
    }
    let (verdict, how) = judge::judge(code, trial.dir(), NAME, &versions);
    Ok(Met { verdict, how })
}

/// Lets the tool fetch what the origin gives of the first half, and ends it as Ctrl-C does.
fn leave_half(trial: &Trial, args: &[&str], origin: &Origin) -> Result<(), String> {
    let mut running = trial.start(args);
    wait_for_half(&mut running, origin)?;
    running.signal(Signal::INT);
    if running.within(PATIENCE).is_none() {
        running.kill();
    }
    let there = std::fs::read_dir(trial.dir()).into_iter().flatten().flatten();
    let bytes: u64 = there.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum();
    if bytes < LEN / 4 { Err(format!("a first run left {bytes} bytes: {:?}", trial.names())) } else { Ok(()) }
}

fn wait_for_half(running: &mut Running, origin: &Origin) -> Result<(), String> {
    let end = Instant::now() + PATIENCE;
    let mut sent = 0;
    while Instant::now() < end {
        if !running.lives_for(QUIET) {
            return Err(format!("a first run ended by itself: {}", running.words()));
        }
        let now = origin.sent();
        if now == sent && now >= LEN / 4 {
            return Ok(());
        }
        sent = now;
    }
    Err(format!("a first run came no further than {sent} bytes: {}", running.words()))
}

/// Honest as far as the first half goes, then silent.
fn first_half(file: &Shared) -> Handler {
    let file = file.clone();
    Box::new(move |request, out| {
        let answer = file.now().answer(request);
        let mut half = answer.clone();
        half.span.1 = answer.span.1.min((LEN / 2).max(answer.span.0));
        out.head(answer.status, &answer.head());
        half.send_body(out);
        if half.span.1 < answer.span.1 {
            out.stall();
        }
    })
}

/// Who answers now, and how many requests were there before.
#[derive(Default)]
struct Stage(Mutex<Option<(Arc<Handler>, usize)>>);

impl Stage {
    fn plays(&self, handler: Handler, since: usize) {
        *lock(&self.0) = Some((Arc::new(handler), since));
    }

    fn answer(&self, request: &Request, out: &mut Reply) {
        let playing = lock(&self.0).clone();
        if let Some((handler, since)) = playing {
            handler(&Request { number: request.number.saturating_sub(since), ..request.clone() }, out);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
