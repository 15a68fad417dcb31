//! `--only-if-changed`: a finished file is there, and is fetched again only if its server has another one (demand 40).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use harness::{LEN, Outcome, Scene};
use rustix::process::Signal;
use thence_origin::{Reply, Request, Served, Shared, files};

const ASK: &[&str] = &["--only-if-changed"];

/// As a server with conditions answers: by `If-None-Match`, weakly compared, else by `If-Modified-Since`.
fn knowing(file: &Shared) -> impl Fn(&Request, &mut Reply) + Send + Sync + 'static {
    let file = file.clone();
    move |request, out| {
        let served = file.now();
        let bare = |tag: &str| tag.trim_start_matches("W/").to_owned();
        let dated = served.modified.map(httpdate::fmt_http_date);
        let same = match (request.header("if-none-match"), request.header("if-modified-since")) {
            (Some(tag), _) => served.etag.as_deref().map(bare) == Some(bare(tag)),
            (None, Some(date)) => dated.as_deref() == Some(date),
            (None, None) => false,
        };
        let mut answer = if same { served.bare(304) } else { served.answer(request) };
        if let (true, Some(etag)) = (same, &served.etag) {
            answer.set("ETag", etag);
        }
        answer.send(request, out);
    }
}

/// Version 1 is there, and its server knows conditions.
fn fetched() -> Scene {
    let scene = Scene::new();
    scene.serve(knowing(&scene.file));
    scene.run(&[]).whole();
    scene.serve(knowing(&scene.file));
    scene
}

fn change(scene: &Scene) {
    let modified = Some(SystemTime::now() - Duration::from_secs(600));
    scene.file.change(|served| {
        *served = Served { modified, ..Served::new(files::content(2, LEN as usize)) };
    });
}

#[track_caller]
fn unchanged(scene: &Scene, args: &[&str]) -> Outcome {
    let before = scene.left();
    let attributes = fs::metadata(scene.path("file.bin")).unwrap().modified().unwrap();
    let outcome = scene.run(&[ASK, args].concat()).says("file.bin: not changed; nothing fetched");
    outcome.code(0);
    assert_eq!(outcome.left, before, "something is not as it was");
    assert_eq!(fs::metadata(scene.path("file.bin")).unwrap().modified().unwrap(), attributes);
    outcome
}

#[test]
fn r31_a_304_leaves_everything_and_is_said() {
    let scene = fetched();
    let sent = scene.origin.sent();
    unchanged(&scene, &[]);
    assert!(scene.origin.sent() - sent < 4096, "it was fetched");
    let asked = scene.requests();
    assert_eq!(asked.len(), 1);
    let (tag, date) = (scene.file.now().etag, scene.file.now().modified.map(httpdate::fmt_http_date));
    assert_eq!(asked[0].header("if-none-match"), tag.as_deref());
    assert_eq!(asked[0].header("if-modified-since"), date.as_deref());
    let outcome = scene.run(&["--json", "--only-if-changed"]);
    assert_eq!(outcome.events("unchanged")[0]["status"], 304);
    let done = &outcome.events("done")[0];
    assert!(done["unchanged"] == true && done["already"] == true, "{done}");
    outcome.whole();
}

#[test]
fn a_new_version_replaces_the_old_one_when_it_is_whole() {
    let scene = fetched();
    change(&scene);
    scene.run(ASK).whole().says("saved");
    unchanged(&scene, &[]);
    // Without the option the file that is there is what is wanted.
    change(&scene);
    scene.run(&[]).whole().says("already complete");
}

#[test]
fn nothing_there_is_a_plain_download() {
    let scene = Scene::new();
    scene.serve(knowing(&scene.file));
    scene.run(ASK).whole();
    assert!(scene.requests().iter().all(|request| request.header("if-none-match").is_none()));
}

#[test]
fn a_weak_tag_or_a_date_alone_will_do() {
    for (etag, dated) in [(Some("W/\"v1\""), true), (Some("W/\"v1\""), false), (None, true)] {
        let mut served = Served::new(files::content(1, LEN as usize));
        served.etag = etag.map(str::to_owned);
        served.modified = served.modified.filter(|_| dated);
        let scene = Scene::of(served);
        scene.serve(knowing(&scene.file));
        scene.run(&["-x1"]).whole();
        unchanged(&scene, &[]);
        change(&scene);
        scene.run(ASK).whole().says("saved");
    }
}

#[test]
fn a_server_that_knows_no_conditions_is_not_read_while_its_validators_are_the_same() {
    let scene = fetched();
    scene.honest();
    let outcome = unchanged(&scene, &["-v"]);
    outcome.says("by its validators");
    change(&scene);
    scene.run(ASK).whole().says("saved");
}

#[test]
fn without_validators_it_is_fetched_again() {
    let mut served = Served::new(files::content(1, LEN as usize));
    (served.etag, served.modified) = (None, None);
    let scene = Scene::of(served);
    scene.run(&["-x1"]).whole();
    scene.run(&["-x1", "--only-if-changed"]).whole().says("saved");
}

#[test]
fn r31_a_304_that_was_not_asked_for_is_no_answer() {
    let scene = Scene::new();
    let file = scene.file.clone();
    scene.serve(move |request, out| file.now().bare(304).send(request, out));
    scene.run(&["--only-if-changed", "--retry", "1"]).refused(22).says("R31");
    // Nor is one about another version than was asked about.
    let scene = fetched();
    let file = scene.file.clone();
    scene.serve(move |request, out| {
        let mut answer = file.now().bare(304);
        answer.set("ETag", "\"other\"");
        answer.send(request, out);
    });
    let outcome = scene.run(&["--only-if-changed", "--retry", "1"]).says("R31");
    outcome.code(22);
    assert_eq!(outcome.left.keys().collect::<Vec<_>>(), ["file.bin"]);
}

#[test]
fn a_failure_is_asked_again_with_the_same_condition() {
    let scene = fetched();
    let (know, times) = (knowing(&scene.file), Arc::new(AtomicUsize::new(0)));
    scene.serve(move |request, out| match times.fetch_add(1, Ordering::SeqCst) {
        0 => drop(out.answer(503, "Content-Type: text/plain", "later")),
        _ => know(request, out),
    });
    unchanged(&scene, &[]);
    assert!(scene.requests().iter().all(|request| request.header("if-none-match").is_some()));
}

/// The new version, until so many bytes of it are held.
fn begin(scene: &Scene) {
    change(scene);
    scene.stop_at(LEN / 2);
    let running = scene.start(&["--only-if-changed", "-x1"]);
    running.holds(LEN / 2);
    running.kill();
}

#[test]
fn crh_01_a_kill_leaves_the_old_file_and_the_next_run_brings_the_new_one() {
    let scene = fetched();
    let old = fs::read(scene.path("file.bin")).unwrap();
    begin(&scene);
    assert_eq!(fs::read(scene.path("file.bin")).unwrap(), old);
    scene.serve(knowing(&scene.file));
    scene.run(ASK).whole().says("goes on");
}

#[test]
fn what_was_begun_is_gone_on_with_beside_the_file_where_nobody_says_that_it_may_go() {
    let scene = fetched();
    let old = fs::read(scene.path("file.bin")).unwrap();
    begin(&scene);
    scene.serve(knowing(&scene.file));
    let outcome = scene.run_bare(&["file.bin.part"]);
    outcome.code(0);
    assert_eq!(outcome.left["file.bin"].as_deref(), Some(&*old));
    outcome.bytes("file.1.bin");
}

#[test]
fn a_new_version_that_is_not_proven_leaves_the_old_one() {
    let scene = fetched();
    let old = fs::read(scene.path("file.bin")).unwrap();
    change(&scene);
    let wrong = format!("sha-256:{}", "0".repeat(64));
    let outcome = scene.run(&["--only-if-changed", "--checksum", &wrong]).says("the checksum");
    outcome.code(32);
    assert_eq!(outcome.left["file.bin"].as_deref(), Some(&*old));
    assert!(outcome.left.contains_key("file.bin.part"));
    let right = format!("sha-256:{}", files::digest(scene.bytes()));
    scene.run(&["--only-if-changed", "--checksum", &right]).whole();
    // It has what is wanted, and so it may stay.
    unchanged(&scene, &["--checksum", &right]);
}

#[test]
fn a_file_that_lacks_the_checksum_is_not_asked_about() {
    let scene = fetched();
    let right = format!("sha-256:{}", files::digest(files::content(2, LEN as usize)));
    scene.run(&["--only-if-changed", "--checksum", &right]).says("the checksum").code(32);
    assert!(scene.requests().iter().all(|request| request.header("if-none-match").is_none()));
}

#[test]
fn a_file_that_was_edited_is_left_and_nothing_is_claimed_of_it() {
    let scene = fetched();
    fs::write(scene.path("file.bin"), "mine").unwrap();
    let outcome = scene.run(ASK).says("was written to since it was fetched");
    outcome.code(0);
    assert_eq!(outcome.left["file.bin"].as_deref(), Some(&b"mine"[..]));
    outcome.bytes("file.1.bin");
    assert!(scene.requests().iter().all(|request| request.header("if-none-match").is_none()));
    // The numbered one is what is asked about from now on.
    scene.run(ASK).says("not changed").code(0);
    change(&scene);
    scene.run(ASK).bytes("file.1.bin");
    assert_eq!(fs::read(scene.path("file.bin")).unwrap(), b"mine");
}

#[test]
fn pth_06_a_file_that_takes_the_place_meanwhile_is_left() {
    let scene = fetched();
    change(&scene);
    scene.stop_at(LEN / 2);
    let running = scene.start(&["--only-if-changed", "-x1"]);
    running.holds(LEN / 2);
    fs::write(scene.path("file.bin"), "mine").unwrap();
    scene.go_on();
    let outcome = running.end();
    outcome.code(0);
    assert_eq!(outcome.left["file.bin"].as_deref(), Some(&b"mine"[..]));
    outcome.bytes("file.1.bin");
}

#[test]
fn a_file_without_a_mark_is_asked_about_by_its_time() {
    let scene = Scene::new();
    scene.serve(knowing(&scene.file));
    // As another program leaves it, with the server's time.
    let there = fs::File::create(scene.path("file.bin")).unwrap();
    fs::write(scene.path("file.bin"), scene.bytes()).unwrap();
    there.set_modified(scene.file.now().modified.unwrap()).unwrap();
    let outcome = unchanged(&scene, &[]);
    outcome.says("nothing tells what");
    change(&scene);
    scene.run(ASK).whole();
    unchanged(&scene, &[]).says_not("nothing tells what");
}

#[test]
fn a_name_that_was_chosen_is_replaced_and_no_other() {
    let scene = Scene::new();
    scene.serve(knowing(&scene.file));
    let run = |args: &[&str]| scene.run(&[&["-o", "mine", "--only-if-changed"], args].concat());
    run(&[]).whole_as("mine");
    run(&[]).says("not changed").code(0);
    change(&scene);
    run(&[]).whole_as("mine");
    // Another URL's file is taken, as it always is.
    let other = scene.origin.url("/other");
    scene.run_bare(&["-o", "mine", "--only-if-changed", &other]).code(13);
}

/// The name is known only when the server has told it.
#[test]
fn r57_a_name_of_the_servers_is_asked_about_when_it_is_known() {
    let mut served = Served::new(files::content(1, LEN as usize));
    served.extra = vec![("Content-Disposition".into(), "attachment; filename=\"named\"".into())];
    let scene = Scene::of(served);
    scene.run(&[]).whole_as("named");
    scene.run(ASK).whole_as("named").says("not changed");
    scene.file.change(|served| {
        let extra = served.extra.clone();
        *served = Served { extra, ..Served::new(files::content(2, LEN as usize)) };
    });
    scene.run(ASK).whole_as("named").says("saved");
}

#[test]
fn each_file_of_a_list_is_asked_about_each_time() {
    let scene = fetched();
    let list = scene.home().join("list");
    fs::write(&list, scene.url()).unwrap();
    let list = list.to_str().unwrap();
    scene.run_bare(&["-i", list]).code(0);
    let outcome = scene.run_bare(&["-i", list, "--only-if-changed"]).says("0 saved").says("1 not changed");
    outcome.code(0);
    change(&scene);
    scene.run_bare(&["-i", list, "--only-if-changed"]).whole();
}

#[test]
fn ctrl_c_leaves_the_old_file() {
    let scene = fetched();
    let old = fs::read(scene.path("file.bin")).unwrap();
    change(&scene);
    scene.stop_at(LEN / 2);
    let running = scene.start(&["--only-if-changed", "-x1"]);
    running.holds(LEN / 2);
    running.signal(Signal::INT);
    running.end().code(7);
    assert_eq!(fs::read(scene.path("file.bin")).unwrap(), old);
}

#[test]
fn a_stream_has_nothing_that_could_be_the_same() {
    Scene::new().run(&["--only-if-changed", "-o", "-"]).refused(28).says("means nothing for a stream");
}
