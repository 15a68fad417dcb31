//! Every liar answers something, and goes on living; a few are looked at more closely.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use thence_origin::{Origin, Served, Shared, behaviours, files};

const LEN: usize = 40_000;

fn start(id: &str) -> (Origin, Shared) {
    let file = Shared::new(Served::new(files::content(1, LEN)));
    (Origin::start(behaviours::by_id(id).handler(&file)), file)
}

/// What comes on a new connection until it ends or is silent for a while.
fn ask(origin: &Origin, range: &str) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", origin.port())).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(150))).unwrap();
    write!(socket, "GET /f HTTP/1.1\r\nRange: bytes={range}\r\nConnection: close\r\n\r\n").unwrap();
    let (mut all, mut piece) = (Vec::new(), [0; 65_536]);
    while let Ok(len @ 1..) = socket.read(&mut piece) {
        all.extend_from_slice(&piece[..len]);
        if all.len() > 1 << 20 {
            break;
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn every_liar_answers_and_lives() {
    let mut ids = BTreeSet::new();
    for behaviour in behaviours::all() {
        assert!(ids.insert(behaviour.id), "{} twice", behaviour.id);
        let (origin, _) = start(behaviour.id);
        for range in ["0-", "10000-", "20000-29999", "10000-"] {
            assert!(!ask(&origin, range).is_empty(), "{behaviour:?}: no answer to {range}");
        }
    }
    assert!(ids.len() > 60);
}

#[test]
fn rng_12_and_13_start_elsewhere() {
    assert!(ask(&start("rng_12").0, "10000-").contains("Content-Range: bytes 5904-39999/40000\r\n"));
    assert!(ask(&start("rng_13").0, "10000-").contains("Content-Range: bytes 14096-39999/40000\r\n"));
}

#[test]
fn rng_19_lies_twice_and_only_about_later_parts() {
    let (origin, _) = start("rng_19_c");
    let answers = ["0-", "10000-", "10000-", "10000-"].map(|range| ask(&origin, range));
    let liar = answers.map(|answer| answer.contains("bytes 10000-9999/40000"));
    assert_eq!(liar, [false, true, true, false]);
}

#[test]
fn rng_02_gives_the_new_file_to_a_holder_of_the_old() {
    let (origin, file) = start("rng_02");
    let old = file.now().etag.unwrap();
    assert!(ask(&origin, "0-").contains(&old));
    let answer = ask(&origin, &format!("10000-\r\nIf-Range: {old}"));
    assert!(answer.starts_with("HTTP/1.1 206") && answer.contains("ETag: \"changed\""), "{answer:.300}");
}

#[test]
fn rng_30_signatures_expire() {
    let (origin, _) = start("rng_30");
    assert!(ask(&origin, "0-").contains("Location: /signed/1\r\n"));
    assert!(ask(&origin, "0-").contains("Location: /signed/2\r\n"));
}

#[test]
fn net_04_resets_some_and_serves_most() {
    let (origin, _) = start("net_04");
    let whole = (0..40).filter(|_| ask(&origin, "0-").len() > LEN).count();
    assert!((20..36).contains(&whole), "{whole} of 40");
}
