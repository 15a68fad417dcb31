//! `-i LIST`: every entry is fetched once, whatever interrupts it; what fails is named; and nothing of a list, however long,
//! is held in memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use harness::{Outcome, Scene, until};
use thence_origin::{Reply, Request, lists, memory};

/// The number in `/f/NUMBER`.
fn number(request: &Request) -> Option<usize> {
    request.target.strip_prefix("/f/")?.parse().ok()
}

/// The bytes of file `number`: no two are alike, some are empty.
fn bytes(number: usize) -> Vec<u8> {
    format!("{number} ").repeat(number % 1000).into_bytes()
}

/// Serves small files; all else is not found.
fn serve(request: &Request, out: &mut Reply) {
    match number(request) {
        Some(number) => out.answer(200, &format!("ETag: \"{number}\"\r\n"), bytes(number)),
        None => out.answer(404, "", "none"),
    };
}

fn scene() -> Scene {
    let scene = Scene::new();
    scene.serve(serve);
    scene
}

/// Writes the list `l` with these files, and what else `more` says of each.
fn list(scene: &Scene, numbers: impl IntoIterator<Item = usize>, more: impl Fn(usize) -> String) {
    let mut text = String::new();
    for number in numbers {
        writeln!(text, "{}{}", scene.origin.url(&format!("/f/{number}")), more(number)).unwrap();
    }
    fs::write(scene.path("l"), text).unwrap();
}

fn plain(scene: &Scene, count: usize) {
    list(scene, 0..count, |_| String::new());
}

/// How often each file was asked for.
fn asked(scene: &Scene) -> BTreeMap<usize, usize> {
    let mut asked = BTreeMap::new();
    for number in scene.requests().iter().filter_map(number) {
        *asked.entry(number).or_default() += 1;
    }
    asked
}

/// All of these are there and right, and nothing else but the list and its ledger is.
#[track_caller]
fn right(outcome: &Outcome, count: usize) {
    let beside = ["l", "l.thence"].map(str::to_owned);
    let names: BTreeSet<String> =
        outcome.left.keys().filter(|name| !beside.contains(name)).cloned().collect();
    let wanted: BTreeSet<String> = (0..count).map(|number| number.to_string()).collect();
    assert!(
        names == wanted,
        "{:?} too many, {:?} missing; {}",
        names.difference(&wanted),
        wanted.difference(&names),
        outcome.stderr
    );
    for number in 0..count {
        assert!(outcome.left[&number.to_string()].as_deref() == Some(&bytes(number)[..]), "file {number}");
    }
}

#[test]
fn every_entry_is_fetched_once_over_few_connections() {
    let scene = scene();
    plain(&scene, 300);
    let outcome = scene.run_bare(&["-i", "l"]);
    outcome.code(0);
    right(&outcome, 300);
    assert_eq!(asked(&scene).len(), 300);
    assert!(asked(&scene).values().all(|times| *times == 1));
    let connections: BTreeSet<usize> = scene.requests().iter().map(|request| request.connection).collect();
    assert!(connections.len() <= 64, "{} connections for 300 files", connections.len());
}

#[test]
fn a_list_that_is_done_is_not_fetched_again() {
    let scene = scene();
    plain(&scene, 20);
    scene.run_bare(&["-i", "l"]).code(0);
    scene.serve(serve);
    let outcome = scene.run_bare(&["-i", "l"]).says("already complete: all 20 entries");
    right(&outcome, 20);
    assert_eq!(scene.requests().len(), 0);
}

#[test]
fn an_entry_that_was_added_or_changed_is_fetched_and_no_other() {
    let scene = scene();
    plain(&scene, 20);
    scene.run_bare(&["-i", "l"]).code(0);
    scene.serve(serve);
    list(&scene, [30].into_iter().chain((0..20).rev()), |n| {
        if n == 7 { "\n  out=seven".into() } else { String::new() }
    });
    scene.run_bare(&["-i", "l"]).code(0);
    assert_eq!(asked(&scene).into_keys().collect::<Vec<_>>(), [7, 30]);
    assert!(scene.path("seven").exists());
}

#[test]
fn without_its_ledger_a_list_finds_what_is_there() {
    let scene = scene();
    plain(&scene, 20);
    scene.run_bare(&["-i", "l"]).code(0);
    fs::remove_file(scene.path("l.thence")).unwrap();
    scene.serve(serve);
    let outcome = scene.run_bare(&["-i", "l"]);
    outcome.code(0);
    right(&outcome, 20);
    assert_eq!(scene.requests().len(), 0);
}

#[test]
fn what_fails_is_a_list_itself_and_the_first_in_the_list_decides_the_code() {
    let scene = scene();
    list(&scene, 0..9, |n| if n == 4 { "\n  no-such-option=1".into() } else { String::new() });
    let mut text = fs::read_to_string(scene.path("l")).unwrap();
    let (gone, moved) = (scene.origin.url("/gone"), scene.origin.url("/gone/too"));
    write!(text, "{gone}\tnonsense\n{gone}\t{moved}\n  out=x\n").unwrap();
    fs::write(scene.path("l"), &text).unwrap();
    let outcome = scene.run_bare(&["-i", "l", "--retry", "0"]).says("no-such-option").says("line 5: ");
    outcome.code(28);
    let failed = fs::read_to_string(scene.path("l.failed")).unwrap();
    assert!(failed.contains(&format!("\n{gone}\t{moved}\n  out=x\n")), "{failed}");
    assert!(failed.contains("\n  no-such-option=1\n") && failed.contains("nonsense"), "{failed}");
    assert_eq!(outcome.left.len(), 8 + 3, "the other eight came");
    // It is there now.
    let file = failed
        .replace("  no-such-option=1\n", "")
        .replace("\tnonsense", "")
        .replace("/gone/too", "/f/50")
        .replace("/gone", "/f/51");
    fs::write(scene.path("again"), file).unwrap();
    scene.run_bare(&["-i", "again"]).code(0);
    assert_eq!(fs::read(scene.path("x")).unwrap(), bytes(51));
}

#[test]
fn what_failed_is_tried_again_by_the_same_command() {
    let scene = scene();
    plain(&scene, 9);
    scene.serve(
        |request, out| {
            if number(request) == Some(3) { _ = out.answer(404, "", "") } else { serve(request, out) }
        },
    );
    scene.run_bare(&["-i", "l"]).code(3);
    scene.serve(serve);
    let outcome = scene.run_bare(&["-i", "l"]).says("8 were done before");
    right(&outcome, 9);
    assert_eq!(asked(&scene).into_keys().collect::<Vec<_>>(), [3], "and l.failed is gone");
}

#[test]
fn two_on_one_list_do_not_fetch_it_twice() {
    let scene = scene();
    plain(&scene, 30);
    scene.serve(|request, out| {
        out.pause(Duration::from_millis(300));
        serve(request, out);
    });
    let first = scene.start_bare(&["-i", "l"]);
    until("the first has begun", || !scene.requests().is_empty());
    scene.run_bare(&["-i", "l"]).says("another thence works on this list").code(11);
    right(&first.end(), 30);
}

#[test]
fn a_list_may_come_through_a_pipe_that_waits() {
    let scene = scene();
    let mut command = scene.command();
    let mut child = command.args(["-i", "-"]).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    for number in 0..5 {
        writeln!(pipe, "{}", scene.origin.url(&format!("/f/{number}"))).unwrap();
    }
    // The last may still get options.
    until("what was said is fetched", || (0..4).all(|number| scene.path(&number.to_string()).exists()));
    drop(pipe);
    assert!(child.wait().unwrap().success());
    assert_eq!(scene.left().len(), 5, "and there is no ledger");
}

#[test]
fn large_and_strange_files_among_small_ones_have_jobs() {
    let scene = Scene::new();
    let file = scene.file.clone();
    let honest = thence_origin::honest::handler(&file);
    scene.serve(move |request, out| match request.target.as_str() {
        "/file.bin" => honest(request, out),
        "/moved" => _ = out.answer(302, "Location: /f/5\r\n", ""),
        "/unknown" => {
            out.head(200, "Connection: close\r\n").raw(bytes(6)).close();
        }
        _ => serve(request, out),
    });
    let urls = ["/f/1", "/file.bin", "/moved", "/unknown", "/f/2"].map(|path| scene.origin.url(path) + "\n");
    fs::write(scene.path("l"), urls.concat()).unwrap();
    let outcome = scene.run_bare(&["-i", "l"]).says("length unknown").bytes("file.bin");
    outcome.code(0);
    for (name, number) in [("1", 1), ("2", 2), ("moved", 5), ("unknown", 6)] {
        assert!(outcome.left[name].as_deref() == Some(&bytes(number)[..]), "{name}");
    }
    let whole = scene
        .requests()
        .iter()
        .filter(|request| request.target == "/file.bin" && request.first() == 0)
        .count();
    assert_eq!(whole, 1, "its first answer is used");
}

#[test]
fn a_host_that_refuses_is_asked_as_it_wants_to_be() {
    let scene = scene();
    plain(&scene, 60);
    scene.serve(|request, out| {
        if request.open > 4 {
            out.answer(503, "Retry-After: 1\r\nConnection: close\r\n", "").cut()
        } else {
            serve(request, out)
        }
    });
    let outcome = scene.run_bare(&["-i", "l"]);
    right(&outcome, 60);
}

#[test]
fn the_same_file_twice_is_one_file() {
    let scene = scene();
    list(&scene, [7, 7, 7, 7], |_| String::new());
    let outcome = scene.run_bare(&["-i", "l"]);
    outcome.code(0);
    assert_eq!(outcome.left.keys().collect::<Vec<_>>(), ["7", "l", "l.thence"]);
}

#[test]
fn a_checksum_of_an_entry_is_checked() {
    let scene = scene();
    let sum = |n: usize| thence_origin::files::digest(bytes(n));
    list(&scene, 1..4, |n| format!("\n  checksum=sha-256={}", if n == 2 { sum(1) } else { sum(n) }));
    let outcome = scene.run_bare(&["-i", "l"]);
    outcome.code(32);
    assert!(
        outcome.left.contains_key("1") && outcome.left.contains_key("3") && !outcome.left.contains_key("2")
    );
}

#[test]
fn pth_01_a_list_stays_in_its_directory() {
    let scene = scene();
    fs::create_dir(scene.path("d")).unwrap();
    std::os::unix::fs::symlink("..", scene.path("d/link")).unwrap();
    let more = ["\n  out=../../x", "\n  dir=..", "\n  dir=/tmp", "\n  dir=link", "\n  dir=a/b\n  out=y"];
    list(&scene, 0..5, |number| more[number].into());
    scene.run_bare(&["-d", "d", "-i", "l"]).code(28);
    let mut names: Vec<_> = fs::read_dir(scene.path("d")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a", "link", "x"]);
    assert_eq!(fs::read(scene.path("d/a/b/y")).unwrap(), bytes(4));
    let beside = scene.left().into_keys().collect::<Vec<_>>();
    assert_eq!(beside, ["d", "l", "l.failed", "l.thence"]);
}

#[test]
fn json_tells_of_each_line_and_of_the_list() {
    let scene = scene();
    plain(&scene, 3);
    let outcome = scene.run_bare(&["--json", "-i", "l"]);
    let mut lines: Vec<_> = outcome.events("done").iter().map(|line| line["id"].as_u64()).collect();
    lines.sort();
    assert_eq!(lines, [Some(1), Some(2), Some(3)]);
    let last = outcome.events("list").pop().unwrap();
    assert_eq!(
        (last["done"].as_u64(), last["known"].as_u64(), last["whole"].as_bool()),
        (Some(3), Some(3), Some(true))
    );
}

#[test]
fn crh_01_a_list_killed_at_random_instants_loses_nothing_and_leaves_nothing() {
    let seed = std::env::var("THENCE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64);
    println!("THENCE_SEED={seed}");
    let scene = lists::Scene::new(env!("CARGO_BIN_EXE_thence").into(), 1_500, seed).unwrap();
    let attempts = scene.run(8, 2);
    let wrong: Vec<&String> = attempts.iter().filter_map(|attempt| attempt.wrong.as_ref()).collect();
    assert!(wrong.is_empty(), "THENCE_SEED={seed}: {wrong:?}");
}

#[test]
fn a_list_stopped_in_order_goes_on() {
    let scene = scene();
    plain(&scene, 400);
    let seen = AtomicUsize::new(0);
    scene.serve(move |request, out| {
        if seen.fetch_add(1, Ordering::SeqCst) < 60 {
            return serve(request, out);
        }
        out.stall();
    });
    let running = scene.start_bare(&["-i", "l", "-j", "4"]);
    until("some are there", || scene.requests().len() > 50);
    running.signal(rustix::process::Signal::INT);
    running.end().says("run the same command again").code(7);
    scene.serve(serve);
    let outcome = scene.run_bare(&["-i", "l"]).says("were done before");
    right(&outcome, 400);
    assert!(asked(&scene).len() < 400);
}

/// DOS-07: ten thousand are queued, a thousand under way.
#[test]
fn dos_07_ten_thousand_queued_and_a_thousand_at_once_take_little() {
    let scene = scene();
    plain(&scene, 10_000);
    scene.serve(|request, out| {
        if request.number < 900 {
            out.pause(Duration::from_millis(200));
        }
        serve(request, out);
    });
    let running = scene.start_bare(&["-i", "l", "-j", "1000", "--timeout", "30", "--connect-timeout", "30"]);
    let (mut files, id) = (0, running.id());
    until("a thousand are under way", || {
        files = files.max(fs::read_dir(format!("/proc/{id}/fd")).map_or(0, Iterator::count));
        scene.requests().len() > 2_000
    });
    let peak = memory::peak(id).unwrap_or(0);
    let outcome = running.end();
    outcome.code(0);
    assert_eq!(outcome.left.len(), 10_002);
    assert!(files < 1_700, "{files} files are open");
    assert!(peak < 200 << 20, "{peak} bytes of memory");
}

/// Two million lines: the first bytes come while most of it is unread, and what it takes of memory is bounded.
#[test]
fn a_list_of_two_million_lines_takes_little_and_goes_on() {
    let scene = scene();
    let mut text = String::new();
    let url = scene.origin.url("/f/");
    (0..2_000_000).for_each(|number| writeln!(text, "{url}{number}").unwrap());
    fs::write(scene.path("l"), text).unwrap();
    let first = run_for(&scene, 600);
    let done = scene.left().len() - 2;
    scene.serve(serve);
    let second = run_for(&scene, 600);
    let again = asked(&scene).into_keys().filter(|number| *number < done.saturating_sub(600)).count();
    assert_eq!(again, 0, "what was done is not fetched again");
    assert!(first.max(second) < 150 << 20, "{first} and {second} bytes of memory");
}

/// Runs until so many were asked for, and kills it. The most memory it held.
fn run_for(scene: &Scene, requests: usize) -> u64 {
    let running = scene.start_bare(&["-i", "l"]);
    let before = scene.requests().len();
    until("its files come", || scene.requests().len() >= before + requests);
    let peak = memory::peak(running.id()).unwrap_or(0);
    running.kill();
    peak
}
