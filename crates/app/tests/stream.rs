//! `-o -`: in order over many lanes, checked, bounded in memory, and never with bytes of two versions.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use std::io::Read;
use std::process::Stdio;

use harness::{BLOCK, LEN, Scene, until};
use thence_origin::{Served, files, memory};

const OUT: [&str; 3] = ["-x4", "-o", "-"];

#[test]
fn a_stream_is_the_file_in_order() {
    let scene = Scene::new();
    let outcome = scene.run(&OUT);
    outcome.code(0);
    assert!(outcome.stdout == scene.bytes() && outcome.left.is_empty());
}

/// A chunked body has no length of its own: the range that it is said to be ends it.
#[test]
fn nothing_is_written_of_what_comes_after_the_end_of_a_range() {
    let scene = Scene::new();
    let served = scene.file.now();
    scene.serve(move |request, out| {
        let mut answer = served.answer(request);
        answer.remove("Content-Length").set("Transfer-Encoding", "chunked");
        let mut bytes = served.body.bytes(answer.span.0, answer.span.1);
        bytes.resize(bytes.len() + 1_000, 0);
        out.head(answer.status, &answer.head()).chunk(bytes).last_chunk();
    });
    for lanes in ["-x1", "-x4"] {
        let outcome = scene.run(&[lanes, "-o", "-"]);
        outcome.code(0);
        assert!(outcome.stdout == scene.bytes());
    }
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
        // Before a byte of it is sent: another lane may ask while it comes.
        file.swap(new.clone());
        answer.send(request, out);
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

/// A file of forty blocks and a piece, many times what four lanes bring at once in a small window.
fn long() -> Scene {
    Scene::of(Served::new(files::content(1, 40 * BLOCK as usize + 99)))
}

#[test]
fn a_stream_comes_over_many_lanes_and_none_is_asked_beyond_the_window() {
    let scene = long();
    let outcome = scene.run(&[&["--window", "2M"], &OUT[..]].concat());
    outcome.code(0);
    assert!(outcome.stdout == scene.bytes());
    // The first asks for everything; the others for a piece each, and no one is asked for twice.
    let asked: Vec<_> = scene.requests().iter().filter_map(thence_origin::Request::range).collect();
    let pieces = asked[1..].iter().map(|(start, end)| end.unwrap() - start);
    assert!(asked.len() > 20 && pieces.max() <= Some(BLOCK), "{asked:?}");
}

#[test]
fn a_window_below_a_block_is_enough() {
    let scene = long();
    for window in ["256K", "300000", "1M"] {
        let outcome = scene.run(&[&["--window", window], &OUT[..]].concat());
        outcome.code(0);
        assert!(outcome.stdout == scene.bytes(), "{window}");
    }
    scene.run(&[&["--window", "255K"], &OUT[..]].concat()).code(28);
}

/// Beside the window a process takes 16 MiB at most; the file is three windows long.
#[test]
fn a_consumer_that_stalls_costs_the_window_and_no_more() {
    const WINDOW: u64 = 16 << 20;
    let scene = Scene::of(Served::new(files::content(1, 3 * WINDOW as usize)));
    let (mut reader, writer) = std::io::pipe().unwrap();
    let url = scene.url();
    let running = scene.start_to(&["-x16", "--window", "16M", "-o", "-", &url], Some(Stdio::from(writer)));
    // Until nothing more is asked for: as much as fits is there.
    let mut asked = 0;
    until("the window is full", || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        let before = std::mem::replace(&mut asked, scene.requests().len());
        asked > 16 && asked == before
    });
    // The text of a program that nobody optimised is 13 MiB, and says nothing of the window.
    let text = memory::of_files(running.id()).unwrap();
    let peak = memory::peak(running.id()).unwrap() - text;
    assert!(peak < WINDOW + (8 << 20), "{} KiB", peak >> 10);
    let reading = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let (outcome, peak) = running.end_with_memory();
    outcome.code(0);
    let peak = peak - text;
    assert!(reading.join().unwrap() == scene.bytes() && peak < WINDOW + (8 << 20), "{} KiB", peak >> 10);
}

#[test]
fn a_stalled_consumer_that_leaves_ends_it_quietly() {
    let scene = long();
    let (reader, writer) = std::io::pipe().unwrap();
    let url = scene.url();
    let running = scene.start_to(&["-x4", "--window", "1M", "-o", "-", &url], Some(Stdio::from(writer)));
    until("lanes are there", || scene.requests().len() >= 4);
    drop(reader);
    let outcome = running.end();
    outcome.code(7);
    assert!(!outcome.stderr.contains("pipe"), "{}", outcome.stderr);
}

/// Each answer is cut after a few bytes more than the one before it, so that hand-overs stop at odd places.
#[test]
fn drops_of_every_lane_repeat_and_lose_nothing() {
    let scene = long();
    let file = scene.file.clone();
    scene.serve(move |request, out| {
        let mut answer = file.now().answer(request);
        answer.span.1 = answer.span.1.min(answer.span.0 + BLOCK / 3 + 17 * request.number as u64);
        answer.send(request, out);
        out.close();
    });
    let right = format!("sha-256:{}", files::digest(scene.bytes()));
    let outcome = scene.run(&[&["--window", "1M", "--checksum", &right], &OUT[..]].concat());
    outcome.code(0);
    assert!(outcome.stdout == scene.bytes());
}

#[test]
fn a_change_under_four_lanes_ends_a_stream_without_a_byte_of_the_other() {
    let scene = long();
    let (old, new) = (scene.bytes(), Served::new(files::content(2, 40 * BLOCK as usize + 99)));
    let file = scene.file.clone();
    scene.serve(move |request, out| {
        if request.number == 12 {
            file.swap(new.clone());
        }
        file.now().answer(request).send(request, out);
    });
    let outcome = scene.run(&[&["--window", "1M"], &OUT[..]].concat());
    outcome.code(34);
    assert!(!outcome.stdout.is_empty() && old.starts_with(&outcome.stdout), "bytes of another version");
}

#[test]
fn a_wrong_checksum_of_many_lanes_is_said_when_all_is_given_on() {
    let scene = long();
    let wrong = format!("sha-256:{}", "0".repeat(64));
    let outcome = scene.run(&[&["--window", "1M", "--checksum", &wrong], &OUT[..]].concat());
    outcome.code(32);
    assert!(outcome.stdout == scene.bytes());
}
