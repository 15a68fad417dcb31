//! Links that were made for a time: a token that ends under way, a command that knows a new one, a part that goes on
//! from another URL.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use harness::{BLOCK, LEN, Scene};
use thence_origin::{Reply, Request, Served, Shared, files};

/// The token in a target's query.
fn token(request: &Request) -> Option<usize> {
    request.target.split_once("t=").and_then(|(_, token)| token.parse().ok())
}

/// Gives the file to whoever has the token that counts now; a token is used up by so many answers.
fn tokens(file: Shared, uses: usize) -> impl Fn(&Request, &mut Reply) + Send + Sync {
    let used = AtomicUsize::new(0);
    move |request, out| match token(request) {
        None => drop(out.answer(
            302,
            &format!("Location: /file.bin?t={}", used.load(Ordering::SeqCst) / uses),
            "",
        )),
        Some(token) if used.fetch_add(1, Ordering::SeqCst) / uses == token => {
            file.now().answer(request).send(request, out);
        }
        Some(_) => drop(out.answer(403, "Content-Type: text/html", "expired")),
    }
}

/// The link with this token is good for so many answers.
fn link(scene: &Scene, good: Arc<AtomicUsize>, tag: Option<&'static str>) {
    let file = scene.file.clone();
    scene.serve(move |request, out| match token(request) {
        Some(token) if token == good.load(Ordering::SeqCst) => {
            let mut served = file.now();
            served.etag = tag.map(str::to_owned).or(served.etag);
            served.answer(request).send(request, out);
        }
        _ => drop(out.answer(403, "Content-Type: text/html", "expired")),
    });
}

/// Half of the file is held, and its link has expired.
fn expired() -> Scene {
    let scene = Scene::new().at("/file.bin?t=1");
    scene.hold(LEN / 2, &["-x1"]);
    link(&scene, Arc::new(AtomicUsize::new(2)), None);
    scene
}

/// Bytes that the origin was asked for, by the ranges of those requests that it answered well.
fn missing(scene: &Scene) -> u64 {
    LEN - scene.held()
}

#[test]
fn rng_30_tokens_that_end_again_and_again_cost_nothing_and_ask_nobody() {
    for lanes in ["-x1", "-x8", "-xauto"] {
        let scene = Scene::of(Served::new(files::content(1, 64 * BLOCK as usize + 99)));
        scene.serve(tokens(scene.file.clone(), 3));
        let outcome = scene.run(&["--json", lanes]).whole();
        let done = &outcome.events("done")[0];
        assert_eq!(done["wire_bytes"], done["bytes"], "{lanes}: nothing came twice");
        assert!(outcome.events("expired").is_empty() && outcome.events("narrowed").is_empty(), "{lanes}");
    }
}

#[test]
fn an_expired_link_ends_with_35_and_the_sentence_that_goes_on() {
    let scene = expired();
    let outcome = scene.run(&["-x4"]).refused(35);
    outcome.says("the link has expired").says("thence file.bin.part --url 'NEW-URL'").says_not("t=1");
    let (held, before) = (scene.held(), scene.origin.sent());
    assert!(held >= LEN / 2 - BLOCK);
    let new = scene.origin.url("/file.bin?t=2");
    scene.run_bare(&["file.bin.part", "-x1", "--url", &new]).whole();
    assert!(scene.origin.sent() - before <= LEN - held + BLOCK, "what was held is not fetched again");
}

#[test]
fn the_url_that_was_given_is_remembered() {
    let scene = expired();
    let missing = missing(&scene);
    let good = Arc::new(AtomicUsize::new(2));
    scene.stop_at(LEN / 2 + 2 * BLOCK);
    let new = scene.origin.url("/file.bin?t=2");
    let running = scene.start_bare(&["file.bin.part", "-x1", "--url", &new]);
    running.holds(LEN / 2 + BLOCK);
    running.kill();
    link(&scene, good, None);
    scene.run_bare(&["file.bin.part"]).whole();
    assert!(scene.requests().iter().all(|request| token(request) == Some(2)), "of {missing} bytes");
}

#[test]
fn a_command_is_asked_for_a_new_link() {
    let scene = expired();
    let (held, before) = (scene.held(), scene.origin.sent());
    let outcome = scene.run(&["--json", "-x1", "--refresh-cmd", "tee asked | sed s/t=1/t=2/"]);
    outcome.code(0);
    assert_eq!((outcome.events("expired").len(), outcome.events("renewed").len()), (1, 1));
    assert_eq!(outcome.left["asked"].as_deref(), Some(format!("{}\n", scene.url()).as_bytes()));
    outcome.bytes("file.bin");
    assert!(scene.origin.sent() - before <= LEN - held + BLOCK);
}

#[test]
fn links_that_expire_in_mid_download_are_renewed_each_time() {
    let scene = Scene::of(Served::new(files::content(1, 64 * BLOCK as usize + 99))).at("/file.bin?t=0");
    let (file, used) = (scene.file.clone(), AtomicUsize::new(0));
    // A token is good for four answers, each of eight blocks at most; only the command knows the next one.
    scene.serve(move |request, out| match token(request) {
        Some(token) if used.load(Ordering::SeqCst) / 4 == token => {
            used.fetch_add(1, Ordering::SeqCst);
            let mut answer = file.now().answer(request);
            answer.span.1 = answer.span.1.min(answer.span.0 + 8 * BLOCK);
            out.head(answer.status, &answer.head());
            answer.send_body(out);
        }
        _ => drop(out.answer(403, "Content-Type: text/html", "expired")),
    });
    let next = scene.origin.url("/file.bin?t=");
    let command = format!("n=$(cat n 2>/dev/null || echo 0); n=$((n+1)); echo $n >n; echo '{next}'$n");
    let outcome = scene.run(&["--json", "-x4", "--refresh-cmd", &command]);
    outcome.code(0);
    let renewed = outcome.events("renewed").len();
    assert!((2..=16).contains(&renewed), "{renewed} times");
    outcome.bytes("file.bin");
}

#[test]
fn a_command_that_fails_leaves_the_part_and_says_why() {
    for (command, why) in
        [("exit 7", "exit status: 7"), ("true", "printed no URL"), ("echo ftp://h/", "no http")]
    {
        let scene = expired();
        let held = scene.held();
        scene.run(&["--refresh-cmd", command]).refused(35).says(why);
        assert_eq!(scene.held(), held);
    }
    Scene::new().run(&["--refresh-cmd", " "]).refused(28);
}

#[test]
fn another_file_at_the_given_url_touches_nothing() {
    let scene = expired();
    let before = scene.left();
    scene.file.change(|served| *served = Served::new(files::content(9, LEN as usize + 1)));
    let new = scene.origin.url("/file.bin?t=2");
    scene.run_bare(&["file.bin.part", "--url", &new]).refused(34).says("another file than the one held");
    assert_eq!(scene.left()["file.bin.part"], before["file.bin.part"]);
}

#[test]
fn r53_another_tag_at_the_given_url_is_compared_and_a_difference_touches_nothing() {
    let scene = expired();
    let new = scene.origin.url("/file.bin?t=2");
    link(&scene, Arc::new(AtomicUsize::new(2)), Some("\"elsewhere\""));
    let before = scene.left();
    let same = scene.file.now();
    scene.file.change(|served| *served = Served::new(files::content(9, LEN as usize)));
    scene.run_bare(&["file.bin.part", "--url", &new]).refused(34);
    assert_eq!(scene.left()["file.bin.part"], before["file.bin.part"]);
    scene.file.change(|served| *served = same.clone());
    scene.run_bare(&["file.bin.part", "--url", &new]).whole().says("unproven join");
}

#[test]
fn one_expired_link_does_not_hold_up_a_list() {
    let scene = Scene::new();
    scene.hold(LEN / 2, &["-x1"]);
    let file = scene.file.clone();
    scene.serve(move |request, out| match request.target.as_str() {
        "/file.bin" => drop(out.answer(403, "", "expired")),
        _ => file.now().answer(request).send(request, out),
    });
    let list = ["/file.bin", "/b", "/c"].map(|path| scene.origin.url(path)).join("\n");
    std::fs::write(scene.path("list"), list).unwrap();
    let outcome = scene.run_bare(&["-i", "list", "-j1"]);
    outcome.code(35);
    let failed = String::from_utf8(outcome.left["list.failed"].clone().unwrap()).unwrap();
    assert!(failed.contains("/file.bin") && !failed.contains("/b"), "{failed}");
    let outcome = outcome.bytes("b").bytes("c");
    assert!(outcome.left.contains_key("file.bin.part"));
}

#[test]
fn url_is_for_one_part() {
    let scene = Scene::new();
    scene.run(&["--url", "http://127.0.0.1:1/"]).refused(28).says("stands for the URL of one part");
    scene.run_bare(&["-i", "list", "--url", "http://127.0.0.1:1/"]).refused(28);
}
