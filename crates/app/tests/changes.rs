//! The file is replaced between runs and during one: the result is one version or the other, never a mixture.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod servers_harness;

use std::fs::{self, File};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use servers_harness::{Ground, MIB, NGINX, here, holds, same, thence, under_way};
use thence_origin::honest::{Served, Shared, handler};
use thence_origin::trial::{Ended, Trial};
use thence_origin::{Origin, Reply, Request, files};

const LEN: usize = 8 * MIB;
const NAME: &str = "file.bin";
const A_WHILE: Duration = Duration::from_millis(400);

fn version(number: u64) -> Vec<u8> {
    files::content(number, LEN)
}

/// Version 1, slow enough to be interrupted.
fn slow() -> Served {
    Served { rate: Some(4 * MIB as u64), ..Served::new(version(1)) }
}

fn without_validators(bytes: Vec<u8>) -> Served {
    Served { etag: None, modified: None, rate: Some(4 * MIB as u64), ..Served::new(bytes) }
}

/// A scripted origin whose file can be changed.
struct Stage {
    file: Shared,
    origin: Origin,
    trial: Trial,
}

impl Stage {
    fn of(served: Served) -> Stage {
        let file = Shared::new(served);
        Stage { origin: Origin::start(handler(&file)), file, trial: thence() }
    }

    fn url(&self) -> String {
        self.origin.url(&format!("/{NAME}"))
    }

    /// Begins it and kills it in the middle.
    fn broken_off(&self, more: &[&str]) {
        let url = self.url();
        let mut running = self.trial.start(&[&["-x", "4", &url], more].concat());
        under_way(&self.trial, &mut running, NAME, A_WHILE);
        assert_eq!(running.kill().code, None);
    }

    fn again(&self, more: &[&str]) -> Ended {
        self.file.change(|served| served.rate = None);
        self.trial.run(&[&["-x", "4", &self.url()], more].concat())
    }
}

/// Breaks off version 1, serves `second`, goes on.
fn then(first: Served, second: Served) -> (Stage, Ended) {
    let stage = Stage::of(first);
    stage.broken_off(&[]);
    stage.file.swap(second);
    let ended = stage.again(&[]);
    (stage, ended)
}

#[track_caller]
fn begun_anew((stage, ended): (Stage, Ended), bytes: &[u8]) {
    ended.with(0).saying("changed: ");
    holds(&stage.trial, NAME, bytes);
}

#[test]
fn the_same_length_under_a_new_etag_is_begun_anew() {
    begun_anew(then(slow(), Served::new(version(2))), &version(2));
}

#[test]
fn the_same_length_under_a_new_date_is_begun_anew() {
    let dated = |number, days: u64| {
        let modified = Some(SystemTime::now() - Duration::from_secs(86_400 * days));
        Served { etag: None, modified, rate: Some(MIB as u64), ..Served::new(version(number)) }
    };
    begun_anew(then(dated(1, 9), dated(2, 3)), &version(2));
}

/// What was held of the first version is not fetched again, though another one was begun meanwhile.
#[test]
fn a_version_that_comes_back_is_gone_on_with() {
    let stage = Stage::of(slow());
    stage.broken_off(&[]);
    stage.file.swap(Served { rate: Some(4 * MIB as u64), ..Served::new(version(2)) });
    let url = stage.url();
    let mut running = stage.trial.start(&["-x", "4", &url]);
    let begun = running.lives_until(|| stage.trial.path("file.bin.old.part").exists());
    assert!(begun && running.lives_for(A_WHILE), "the second version is begun: {}", running.words());
    running.kill();
    stage.file.swap(Served::new(version(1)));
    let ended = stage.again(&["--json"]);
    let words = String::from_utf8_lossy(&ended.with(0).out).into_owned();
    holds(&stage.trial, NAME, &version(1));
    // What the origin sent is no measure: answers that are looked at and closed are in it.
    let read = words.rsplit_once("\"wire_bytes\":").map(|(_, rest)| rest.split(',').next().unwrap());
    let read: usize = read.expect("a last line").parse().unwrap();
    assert!(read < LEN, "{read} bytes were read for what was missing of {LEN}");
}

#[test]
fn another_length_is_begun_anew() {
    let (short, long) = (files::content(2, LEN - 70_000), files::content(2, LEN + 70_000));
    begun_anew(then(slow(), Served::new(short.clone())), &short);
    begun_anew(then(slow(), Served::new(long.clone())), &long);
}

#[test]
fn another_length_without_validators_is_begun_anew() {
    let long = files::content(2, LEN + 70_000);
    begun_anew(then(without_validators(version(1)), without_validators(long.clone())), &long);
}

/// Its end is the message's own, and below what is held: the beginning of the old file is no file.
#[test]
fn a_shorter_file_whose_length_is_never_told_is_begun_anew() {
    let (long, short) = (version(1), files::content(2, 1000));
    let (replaced, shorter) = (Arc::new(AtomicBool::new(false)), short.clone());
    let now = replaced.clone();
    let origin = Origin::start(move |_: &Request, reply: &mut Reply| {
        reply.head(200, "Transfer-Encoding: chunked");
        if now.load(Ordering::SeqCst) {
            reply.chunk(&shorter).last_chunk();
        } else {
            reply.rate(4 * MIB as u64).chunk(&long).last_chunk();
        }
    });
    let (trial, url) = (thence(), origin.url(&format!("/{NAME}")));
    let mut running = trial.start(&[&url]);
    under_way(&trial, &mut running, NAME, A_WHILE);
    running.kill();
    replaced.store(true, Ordering::SeqCst);
    trial.run(&[&url]).with(0).saying("goes on, ");
    holds(&trial, NAME, &short);
}

#[test]
fn another_file_without_validators_differs_where_it_is_compared() {
    begun_anew(then(without_validators(version(1)), without_validators(version(2))), &version(2));
}

#[test]
fn the_same_file_without_validators_goes_on_as_unproven() {
    let (stage, ended) = then(without_validators(version(1)), without_validators(version(1)));
    ended.with(0).saying("goes on, ").saying("unproven join: ").saying(", unproven join");
    holds(&stage.trial, NAME, &version(1));
}

#[test]
fn strict_refuses_an_unproven_join_with_37_and_keeps_the_part() {
    let stage = Stage::of(without_validators(version(1)));
    stage.broken_off(&["--strict"]);
    stage.again(&["--strict"]).with(37).saying("unproven join");
    assert_eq!(stage.trial.names(), ["file.bin.part", "file.bin.thence"]);
    stage.again(&[]).with(0).saying("goes on, ");
    holds(&stage.trial, NAME, &version(1));
}

#[test]
fn weak_etags_prove_nothing() {
    let weak = |number, tag: &str| Served {
        etag: Some(format!("W/\"{tag}\"")),
        ..without_validators(version(number))
    };
    let (stage, ended) = then(weak(1, "a"), weak(1, "a"));
    ended.with(0).saying("unproven join: ");
    holds(&stage.trial, NAME, &version(1));
    begun_anew(then(weak(1, "a"), weak(2, "a")), &version(2));
}

#[test]
fn a_file_that_comes_back_is_itself_again() {
    let stage = Stage::of(slow());
    stage.broken_off(&[]);
    stage.file.swap(Served { rate: slow().rate, ..Served::new(version(2)) });
    let url = stage.url();
    let mut running = stage.trial.start(&["-x", "4", &url]);
    assert!(running.lives_for(A_WHILE * 2), "{}", running.words());
    running.kill();
    stage.file.swap(slow());
    stage.again(&[]).with(0);
    holds(&stage.trial, NAME, &version(1));
}

/// Swaps while lanes read; what was asked before goes on with the old bytes, what is asked after gets new ones.
fn during(first: Served, second: Served) -> (Stage, Ended) {
    let stage = Stage::of(first);
    let url = stage.url();
    let mut running = stage.trial.start(&["-x", "4", &url]);
    under_way(&stage.trial, &mut running, NAME, A_WHILE);
    stage.file.swap(second);
    let ended = running.wait();
    (stage, ended)
}

/// One version or the other, and a word about it if it is not the first.
#[track_caller]
fn is_one_version((stage, ended): (Stage, Ended), second: &[u8]) {
    assert!(matches!(ended.code, Some(0 | 34)), "{:?}: {}", ended.code, ended.said);
    if ended.code == Some(0) {
        let bytes = stage.trial.bytes(NAME);
        let first = bytes == version(1);
        assert!(first || ended.said.contains("changed: "), "{}", ended.said);
        same(&bytes, if first { &bytes } else { second });
        assert_eq!(stage.trial.names(), [NAME]);
    }
}

#[test]
fn a_swap_under_way_never_mixes() {
    is_one_version(during(slow(), Served::new(version(2))), &version(2));
    let longer = files::content(2, LEN + 70_000);
    is_one_version(during(slow(), Served::new(longer.clone())), &longer);
    is_one_version(during(without_validators(version(1)), without_validators(version(2))), &version(2));
}

#[test]
fn a_swap_and_a_broken_connection_begin_anew() {
    for first in [Served::new(version(1)), without_validators(version(1))] {
        let etag = first.etag.is_some();
        let origin = Origin::start(move |request, out| {
            if request.number == 0 {
                let mut answer = first.answer(request);
                out.head(answer.status, &answer.head());
                answer.span.1 = LEN as u64 / 2;
                answer.send_body(out);
                return out.cut();
            }
            let second = if etag { Served::new(version(2)) } else { without_validators(version(2)) };
            second.answer(request).send(request, out);
        });
        let trial = thence();
        trial.run(&["-x", "1", &origin.url("/file.bin")]).with(0).saying("changed: ");
        holds(&trial, NAME, &version(2));
    }
}

/// As an editor does it: a new file under the old name, modified so many days ago.
fn replace(ground: &Ground, bytes: &[u8], days: u64) {
    ground.site().put("new", bytes);
    let file = File::options().write(true).open(ground.file("new")).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(86_400 * days)).unwrap();
    fs::rename(ground.file("new"), ground.file(NAME)).unwrap();
}

/// The same on nginx, with these directives: version 1 is broken off by a kill or goes on, version 2 takes its place.
fn on_nginx(directives: &str, kill: bool, second: &[u8]) -> Option<(Trial, Ended)> {
    let (_, start) = here(&[NGINX]).pop()?;
    let (ground, trial) = (Ground::new(), thence());
    replace(&ground, &version(1), 9);
    let server = start(&ground.site().more(directives));
    let url = server.url(&format!("/{NAME}"));
    let mut running = trial.start(&["-x", "4", "--limit-rate", "6M", &url]);
    under_way(&trial, &mut running, NAME, A_WHILE);
    replace(&ground, second, 3);
    if !kill {
        return Some((trial, running.wait()));
    }
    running.kill();
    let ended = trial.run(&["-x", "4", &url]);
    Some((trial, ended))
}

const NO_ETAG: &str = "etag off;";
const NO_VALIDATORS: &str = "etag off; add_header Last-Modified '';";

#[test]
fn nginx_replaced_between_runs_is_begun_anew() {
    let longer = files::content(2, LEN + 70_000);
    for (directives, second) in [
        ("", &version(2)),
        (NO_ETAG, &version(2)),
        (NO_VALIDATORS, &version(2)),
        ("", &longer),
        (NO_VALIDATORS, &longer),
    ] {
        let Some((trial, ended)) = on_nginx(directives, true, second) else { return };
        ended.with(0).saying("changed: ");
        holds(&trial, NAME, second);
    }
}

#[test]
fn nginx_unchanged_without_validators_goes_on_as_unproven() {
    let Some((trial, ended)) = on_nginx(NO_VALIDATORS, true, &version(1)) else { return };
    ended.with(0).saying("unproven join: ");
    holds(&trial, NAME, &version(1));
}

#[test]
fn nginx_replaced_during_a_run_never_mixes() {
    for directives in ["", NO_ETAG, NO_VALIDATORS] {
        let Some((trial, ended)) = on_nginx(directives, false, &version(2)) else { return };
        assert!(matches!(ended.code, Some(0 | 34)), "{:?}: {}", ended.code, ended.said);
        let (bytes, first) = (trial.bytes(NAME), version(1));
        assert!(bytes == first || bytes == version(2), "mixed; {}", ended.said);
        assert!(bytes == first || ended.said.contains("changed: "), "{}", ended.said);
    }
}

/// As nginx answers conditions, and to what it sends when the file is another one (demand 40).
#[test]
fn nginx_says_what_changed_and_only_that_is_fetched() {
    let ground = Ground::new();
    for (_, start) in here(&[NGINX]) {
        let (server, trial) = (start(&ground.site()), thence());
        ground.site().put(NAME, version(1));
        let url = server.url(&format!("/{NAME}"));
        let args = ["--only-if-changed", "-x", "4", &url];
        trial.run(&args).with(0);
        let log = server.log().len();
        trial.run(&args).with(0).saying("not changed; nothing fetched");
        let asked: Vec<u16> = server.log()[log..].iter().map(|access| access.status).collect();
        assert_eq!(asked, [304]);
        // nginx makes its tag of time and length, and both have the same time.
        let next = files::content(2, LEN + 1);
        ground.site().put(NAME, &next);
        trial.run(&args).with(0).saying("saved");
        holds(&trial, NAME, &next);
        trial.run(&args).with(0).saying("not changed; nothing fetched");
    }
}
