//! `-o -`: in order, checked, and never with bytes of two versions.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use std::io::Read;
use std::process::Stdio;

use harness::{LEN, Scene};
use thence_origin::{Served, files};

const OUT: [&str; 3] = ["-x4", "-o", "-"];

#[test]
fn a_stream_is_the_file_in_order() {
    let scene = Scene::new();
    let outcome = scene.run(&OUT);
    outcome.code(0);
    assert!(outcome.stdout == scene.bytes() && outcome.left.is_empty());
}

#[test]
fn a_streams_checksum_is_checked() {
    let scene = Scene::new();
    let right = format!("sha-256:{}", files::digest(scene.bytes()));
    let wrong = format!("sha-256:{}", "0".repeat(64));
    scene.run(&[&["--checksum", &right], &OUT[..]].concat()).code(0);
    scene.run(&[&["--checksum", &wrong], &OUT[..]].concat()).code(32);
}

#[test]
fn json_of_a_stream_goes_to_standard_error() {
    let scene = Scene::new();
    let outcome = scene.run(&[&["--json"], &OUT[..]].concat());
    assert!(outcome.stdout == scene.bytes() && outcome.stderr.contains("\"event\":\"done\""));
}

#[test]
fn a_reader_that_leaves_is_no_error_to_speak_of() {
    let scene = Scene::new();
    scene.file.change(|served| served.rate = Some(4 << 20));
    let (mut reader, writer) = std::io::pipe().unwrap();
    let url = scene.url();
    let running = scene.start_to(&["-o", "-", &url], Some(Stdio::from(writer)));
    reader.read_exact(&mut [0; 1000]).unwrap();
    drop(reader);
    let outcome = running.end();
    outcome.code(7);
    assert!(!outcome.stderr.contains("pipe"), "{}", outcome.stderr);
}

#[test]
fn a_stream_that_broke_goes_on_under_a_strong_tag() {
    let scene = Scene::new();
    let file = scene.file.clone();
    scene.serve(move |request, out| {
        let mut answer = file.now().answer(request);
        answer.span.1 = answer.span.1.min(answer.span.0 + LEN / 4);
        answer.send(request, out);
        out.close();
    });
    let outcome = scene.run(&OUT);
    outcome.code(0);
    assert!(outcome.stdout == scene.bytes());
    assert!(scene.requests().len() >= 4);
}

#[test]
fn a_stream_of_a_file_that_changed_ends_without_a_byte_of_the_other() {
    let scene = Scene::new();
    let (old, new) = (scene.bytes(), Served::new(files::content(2, LEN as usize)));
    let file = scene.file.clone();
    scene.serve(move |request, out| {
        let mut answer = file.now().answer(request);
        if request.number == 0 {
            answer.span.1 = LEN / 2;
        }
        answer.send(request, out);
        file.swap(new.clone());
        out.close();
    });
    let outcome = scene.run(&OUT);
    outcome.code(34);
    assert!(old.starts_with(&outcome.stdout), "bytes of another version");
}

#[test]
fn a_stream_without_ranges_or_validators_that_broke_is_never_spliced() {
    let scene = Scene::new();
    scene.file.change(|served| (served.etag, served.modified) = (None, None));
    let (old, file) = (scene.bytes(), scene.file.clone());
    scene.serve(move |request, out| {
        let mut answer = file.now().answer(request);
        if request.number == 0 {
            answer.span.1 = LEN / 2;
        }
        answer.send(request, out);
        out.close();
    });
    let outcome = scene.run(&OUT);
    assert!(old.starts_with(&outcome.stdout));
    assert_eq!(outcome.code == Some(0), outcome.stdout == old, "{}", outcome.stderr);
}
