//! zsync: an older version gives what it has of the new one, wherever it stands there; the SHA-1 of the whole proves it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use std::fs;
use std::process::Command;

use harness::{BLOCK, LEN, Outcome, Scene};
use thence_origin::honest::Served;
use thence_origin::{Origin, Shared, files, honest, real};

/// Places drawn by chance that are compared, and the two blocks of ours that a change can reach into.
const COMPARED: u64 = 8 * (64 << 10) + 2 * BLOCK;

/// `x.zsync` of these bytes, made by zsync's own program; false where that is missing.
fn made(scene: &Scene, bytes: &[u8], url: &str) -> bool {
    if !real::are_here(&["zsyncmake"]) {
        return false;
    }
    let made = tempfile::tempdir().unwrap();
    fs::write(made.path().join("file.bin"), bytes).unwrap();
    let mut command = Command::new("zsyncmake");
    command.current_dir(made.path()).args(["-u", url, "-o", "x.zsync", "file.bin"]);
    assert!(command.output().unwrap().status.success());
    fs::copy(made.path().join("x.zsync"), scene.path("x.zsync")).unwrap();
    true
}

/// Something was put in, which moves the rest, and something else is new.
fn older(bytes: &[u8]) -> Vec<u8> {
    let (first, rest) = bytes.split_at(bytes.len() / 4);
    let mut old = [first, &files::content(7, 1000), rest].concat();
    let at = old.len() * 3 / 4;
    old[at..at + 4096].copy_from_slice(&files::content(8, 4096));
    old
}

fn run(scene: &Scene, args: &[&str]) -> (Outcome, u64) {
    let before = scene.origin.sent();
    let outcome = scene.run_bare(&[&["-x1", "x.zsync"], args].concat());
    (outcome, scene.origin.sent() - before)
}

#[test]
fn an_older_version_gives_what_it_has() {
    let scene = Scene::new();
    if !made(&scene, &scene.bytes(), &scene.url()) {
        return;
    }
    fs::write(scene.path("old.bin"), older(&scene.bytes())).unwrap();
    let (outcome, sent) = run(&scene, &["--adopt", "old.bin"]);
    let outcome = outcome.bytes("file.bin").says("goes on from old.bin");
    outcome.code(0);
    assert!(sent < COMPARED, "{sent} of {LEN}");
    assert_eq!(fs::read(scene.path("old.bin")).unwrap(), older(&scene.bytes()), "it is only read");
}

#[test]
fn without_an_older_version_the_file_comes_whole_and_is_proven() {
    let scene = Scene::new();
    if !made(&scene, &scene.bytes(), &scene.url()) {
        return;
    }
    run(&scene, &[]).0.bytes("file.bin").code(0);
    fs::remove_file(scene.path("file.bin")).unwrap();
    scene.file.change(|served| *served = Served::new(files::content(2, LEN as usize)));
    let (wrong, _) = run(&scene, &[]);
    wrong.code(32);
    assert!(!wrong.left.contains_key("file.bin"));
}

#[test]
fn a_finished_file_of_ours_is_brought_up_to_date_in_its_place() {
    let scene = Scene::new();
    let new = scene.bytes();
    if !made(&scene, &new, &scene.url()) {
        return;
    }
    scene.file.change(|served| *served = Served::new(older(&new)));
    scene.run(&[]).code(0);
    scene.file.change(|served| *served = Served::new(new.clone()));
    let (outcome, sent) = run(&scene, &["--adopt", "file.bin"]);
    outcome.bytes("file.bin").code(0);
    assert!(sent < COMPARED, "{sent} of {LEN}");
    let (outcome, sent) = run(&scene, &["--adopt", "file.bin"]);
    outcome.says("already complete").code(0);
    assert_eq!(sent, 0);
}

#[test]
fn another_version_on_the_server_is_never_published_and_the_old_one_stays() {
    let scene = Scene::new();
    let old = older(&scene.bytes());
    if !made(&scene, &scene.bytes(), &scene.url()) {
        return;
    }
    fs::write(scene.path("file.bin"), &old).unwrap();
    scene.file.change(|served| *served = Served::new(files::content(2, LEN as usize)));
    let (outcome, _) = run(&scene, &["--adopt", "file.bin"]);
    outcome.code(32);
    assert_eq!(fs::read(scene.path("file.bin")).unwrap(), old);
}

#[test]
fn its_place_may_be_told_relative_to_where_the_sums_are() {
    let scene = Scene::new();
    if !made(&scene, &scene.bytes(), "../file.bin") {
        return;
    }
    let fault = run(&scene, &[]).0.says("x.zsync: line").says("give its own URL");
    fault.code(20);
    let text = fs::read(scene.path("x.zsync")).unwrap();
    let sums = Origin::start(honest::handler(&Shared::new(Served::new(text.clone()))));
    // There the sums stand at every path: what comes is not the file, and is told by its length.
    let outcome = scene.run_bare(&[&sums.url("/d/x.zsync")]).says("/file.bin");
    outcome.code(22);
    let outcome = scene.run_bare(&["--no-metalink", &sums.url("/d/other.zsync")]);
    outcome.code(0);
    assert_eq!(outcome.left["other.zsync"].as_deref(), Some(&text[..]));
}

#[test]
fn what_is_no_control_file_is_20_with_its_place() {
    let scene = Scene::new();
    for (text, place) in
        [("", "line 1"), ("<html>\n", "line 1"), ("zsync: 0.6.2\nLength: many\n", "line 2, column 9")]
    {
        fs::write(scene.path("x.zsync"), text).unwrap();
        run(&scene, &[]).0.says(place).code(20);
    }
}
