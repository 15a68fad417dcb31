//! Rows RNG: ranges, validators and resume, each against the real program.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use harness::{BLOCK, LEN, Scene, until};
use thence_origin::{Body, Request, Served, files, honest};

/// What another version of the file serves: the same length, every byte another, another strong tag.
fn second() -> Served {
    Served::new(files::content(2, LEN as usize))
}

fn conditions(requests: &[Request]) -> Vec<String> {
    requests.iter().filter_map(|request| request.header("if-range")).map(str::to_owned).collect()
}

#[test]
fn rng_01_another_version_is_begun_anew() {
    let scene = Scene::new();
    scene.hold(LEN / 8, &["-x1"]);
    let old = scene.file.now().etag.unwrap();
    scene.file.swap(second());
    scene.honest();
    scene.run(&["-x4"]).whole().says("changed: ");
    assert_eq!(conditions(&scene.requests())[0], old);
}

#[test]
fn rng_02_another_version_is_seen_in_the_answer_too() {
    let scene = Scene::new();
    scene.hold(LEN / 8, &["-x1"]);
    scene.file.swap(second());
    scene.file.change(|served| served.if_range = false);
    scene.honest();
    scene.run(&["-x4"]).whole().says("changed: ");
}

/// Four lanes that were killed leave four gaps. One answer brings them all, through what is held between them.
#[test]
fn a_part_with_gaps_is_gone_on_with_from_a_link_that_works_once() {
    for lanes in ["-x4", "-x16"] {
        let scene = Scene::new();
        let served = scene.file.now();
        scene.serve(move |request, out| {
            let mut answer = served.answer(request);
            answer.span.1 = answer.span.1.min(answer.span.0 + 2 * BLOCK);
            answer.send(request, out);
            out.stall();
        });
        let running = scene.start(&["-x4"]);
        running.holds(8 * BLOCK);
        running.kill();
        scene.liar("net_once");
        let before = scene.requests().len();
        scene.run(&[lanes]).whole();
        let asked: Vec<_> =
            scene.requests()[before..].iter().map(|r| r.header("range").map(str::to_owned)).collect();
        let rest = format!("bytes={}-{}", 2 * BLOCK, LEN - 1);
        assert!(asked.len() > 1 && asked[0] == Some(rest), "{asked:?}");
    }
}

#[test]
fn rng_04_a_file_that_changes_under_four_lanes_is_never_mixed() {
    let scene = Scene::new();
    let old = scene.file.now();
    scene.serve(move |request, out| {
        let mut answer = old.answer(request);
        answer.span.1 = answer.span.1.min(answer.span.0 + BLOCK);
        answer.send(request, out);
        out.stall();
    });
    let running = scene.start(&["-x4", "--json"]);
    until("four lanes are at work", || scene.requests().len() >= 4);
    scene.file.swap(second());
    scene.honest();
    let outcome = running.end().whole();
    assert_eq!(outcome.events("changed").len(), 1);
}

#[test]
fn rng_06_a_weak_tag_never_goes_into_if_range() {
    let scene = Scene::new();
    scene.file.change(|served| (served.etag, served.modified) = (Some("W/\"x\"".into()), None));
    scene.hold(LEN / 2, &["-x1"]);
    scene.honest();
    scene.run(&["-x4", "--strict"]).refused(37).says("unproven join");
    scene.run(&["-x4"]).whole().says("unproven join");
    assert_eq!(conditions(&scene.requests()), Vec::<String>::new());
}

#[test]
fn rng_07_a_date_of_the_same_second_is_no_validator() {
    let scene = Scene::new();
    scene.file.change(|served| (served.etag, served.date) = (None, served.modified));
    scene.hold(LEN / 2, &["-x1"]);
    scene.honest();
    scene.run(&["-x4"]).whole().says("unproven join");
    assert_eq!(conditions(&scene.requests()), Vec::<String>::new());
}

#[test]
fn rng_08_a_strong_date_goes_back_as_it_came() {
    let scene = Scene::new();
    let (date, file) = ("Sunday, 06-Nov-94 08:49:37 GMT", scene.file.clone());
    scene.file.change(|served| (served.etag, served.if_range) = (None, false));
    let stop = AtomicUsize::new(1);
    scene.serve(move |request, out| {
        let mut answer = file.now().answer(request);
        answer.set("Last-Modified", date).set("Date", "Sun, 06 Nov 1994 09:49:37 GMT");
        let first = stop.fetch_min(0, Ordering::SeqCst) == 1;
        if first {
            answer.span.1 = LEN / 2;
        }
        answer.send(request, out);
        if first {
            out.close();
        }
    });
    scene.run(&["-x1"]).whole().says_not("unproven");
    assert_eq!(conditions(&scene.requests()), [date]);
}

#[test]
fn rng_10_a_whole_body_is_never_written_at_the_offset() {
    let scene = Scene::half_then_liar("rng_10");
    scene.run(&["-x4"]).whole().says_not("changed");
}

#[test]
fn rng_11_a_server_that_dislikes_if_range_is_asked_without() {
    let scene = Scene::new();
    scene.file.change(|served| served.rate = Some(1 << 20));
    scene.hold(BLOCK, &["-x1"]);
    scene.liar("rng_11");
    scene.run(&["-x4"]).whole().says_not("changed").says_not("no ranges");
    let plain = scene.requests().into_iter().filter(|r| r.header("if-range").is_none());
    assert!(plain.count() >= 4, "it stays with several lanes");
}

#[test]
fn rng_12_a_part_from_further_below_is_compared_and_skipped() {
    Scene::half_then_liar("rng_12").run(&["-x4"]).whole().says_not("changed");
}

#[test]
fn rng_12_a_part_from_further_below_that_differs_is_refused() {
    let scene = Scene::new();
    scene.hold(LEN / 2, &["-x1"]);
    let (old, new) = (scene.file.clone(), second());
    let tag = scene.file.now().etag;
    scene.serve(move |request, out| {
        // The lie of a server that gives two versions one tag, seen in the bytes below what was asked.
        let served = Served { etag: tag.clone(), if_range: false, ..new.clone() };
        let mut answer = served.answer(request);
        if answer.status == 206 && answer.span.0 > 4096 {
            answer = served.part(206, (answer.span.0 - 4096, answer.span.1));
            let (first, end) = answer.span;
            answer.set("Content-Range", &format!("bytes {first}-{}/{LEN}", end - 1));
        }
        answer.send(request, out);
    });
    let outcome = scene.run(&["-x4"]);
    old.swap(second());
    assert_eq!(outcome.left["file.bin"], Some(scene.bytes()), "{}", outcome.stderr);
}

#[test]
fn rng_13_a_part_from_further_above_is_refused_and_its_gap_fetched() {
    Scene::half_then_liar("rng_13").run(&["-x4", "-v"]).whole().says("R18");
}

#[test]
fn rng_14_a_shorter_part_is_taken_and_the_rest_asked_for() {
    Scene::half_then_liar("rng_14").run(&["-x4"]).whole().says_not("changed");
}

#[test]
fn rng_16_another_complete_length_is_another_file() {
    Scene::half_then_liar("rng_16").run(&["-x4"]).whole().says("changed: ");
}

#[test]
fn rng_17_a_star_for_the_complete_length_is_accepted_under_the_same_tag() {
    Scene::half_then_liar("rng_17").run(&["-x4"]).whole().says_not("changed");
}

#[test]
fn rng_17_a_star_for_the_complete_length_joins_nothing_without_a_tag() {
    let scene = Scene::new();
    scene.file.change(|served| (served.etag, served.modified) = (None, None));
    scene.hold(LEN / 2, &["-x1"]);
    scene.liar("rng_17");
    scene.run(&["-x4"]).whole().says("begun anew");
}

#[test]
fn rng_19_a_content_range_that_makes_no_sense_is_refused() {
    for (case, rule) in ["a", "b", "c", "d", "e", "f", "g"].into_iter().zip([15, 16, 17, 17, 17, 17, 17]) {
        let scene = Scene::half_then_liar(&format!("rng_19_{case}"));
        scene.run(&["-x4", "-v"]).whole().says(&format!("(R{rule}: "));
    }
}

#[test]
fn rng_20_nothing_beyond_what_is_held_is_a_success_without_a_body() {
    let scene = Scene::new();
    let file = scene.file.clone();
    // Chunked without its end: all bytes are held, and nobody said how many there are.
    scene.serve(move |request, out| {
        let served = file.now();
        let mut answer = served.part(200, (0, LEN));
        answer.remove("Content-Length");
        assert_eq!(request.first(), 0);
        out.head(200, &(answer.head() + "Transfer-Encoding: chunked"));
        out.chunk(served.body.bytes(0, LEN)).stall();
    });
    let running = scene.start(&[]);
    running.holds(LEN);
    running.kill();
    let sent = scene.origin.sent();
    scene.honest();
    scene.run(&[]).whole();
    assert!(scene.origin.sent() - sent <= 65_536 * 4, "{} bytes sent again", scene.origin.sent() - sent);
    assert_eq!(scene.requests()[0].first(), LEN);
}

#[test]
fn rng_23_a_length_that_is_not_the_spans_is_refused_before_it_is_read() {
    Scene::half_then_liar("rng_23").run(&["-x4", "-v"]).whole().says("R22").says_not("no byte came");
}

#[test]
fn rng_24_a_304_completes_nothing() {
    Scene::half_then_liar("rng_24").run(&["-x4", "-v"]).whole().says("R31");
}

#[test]
fn rng_24_a_304_for_ever_keeps_the_partial() {
    let scene = Scene::half_then(|_, out| {
        out.head(304, "");
    });
    scene.run(&["-x4"]).refused(22);
    scene.honest();
    scene.run(&["-x4"]).whole().says("goes on");
}

#[test]
fn rng_25_a_412_is_a_change() {
    let scene = Scene::new();
    scene.hold(LEN / 2, &["-x1"]);
    scene.file.swap(second());
    let file = scene.file.clone();
    scene.serve(move |request, out| match request.header("if-range").or(request.header("if-match")) {
        Some(_) => {
            out.answer(412, "", "");
        }
        None => honest::handler(&file)(request, out),
    });
    scene.run(&["-x1"]).whole().says("changed: ");
}

#[test]
fn rng_26_multipart_is_refused_politely() {
    Scene::half_then_liar("rng_26").run(&["-x4", "-v"]).whole().says("R15");
}

#[test]
fn rng_28_no_head_is_asked_for() {
    let scene = Scene::new();
    scene.liar("rng_28");
    scene.run(&["-x4"]).whole();
    assert!(scene.requests().iter().all(|request| request.method == "GET"));
}

#[test]
fn rng_29_accept_ranges_is_not_believed() {
    for liar in ["rng_29_a", "rng_29_b"] {
        Scene::half_then_liar(liar).run(&["-x4"]).whole();
    }
}

#[test]
fn rng_30_an_expired_target_leads_back_to_the_original_url() {
    let scene = Scene::new();
    scene.file.change(|served| served.rate = Some(1 << 20));
    scene.liar("rng_30");
    let running = scene.start(&["-x4"]);
    running.holds(BLOCK);
    running.kill();
    let outcome = scene.run(&["-x4"]).whole();
    let originals = scene.requests().iter().filter(|r| r.target == "/file.bin").count();
    assert!(originals >= 2, "{originals} requests of the original URL; {}", outcome.stderr);
}

#[test]
fn rng_32_files_of_awkward_lengths() {
    for len in [0, 1, BLOCK, BLOCK - 1, BLOCK + 1, 8 * BLOCK] {
        for lanes in ["-x1", "-x8"] {
            let scene = Scene::of(Served::new(files::content(3, len as usize)));
            scene.run(&[lanes]).whole();
        }
    }
}

#[test]
fn rng_32_files_of_awkward_lengths_without_ranges_or_length() {
    for len in [0, 1, BLOCK, BLOCK - 1, BLOCK + 1, 8 * BLOCK] {
        let scene = Scene::of(Served::new(files::content(3, len as usize)));
        scene.liar("frm_02_c");
        scene.run(&[]).whole();
    }
}

#[test]
fn rng_33_offsets_beyond_four_gibibytes_are_right() {
    let total = 6 << 30;
    let scene = Scene::of(Served::made(5, total));
    scene.file.change(|served| served.rate = Some(256 << 10));
    for round in 1..3 {
        scene.honest();
        let running = scene.start(&["-x8"]);
        until("a lane far out is at work", || scene.requests().iter().any(|r| r.first() > 5 << 30));
        running.holds(round << 20);
        running.kill();
        let part = std::fs::File::open(scene.path("file.bin.part")).unwrap();
        for at in scene.requests().iter().map(Request::first) {
            let (mut got, mut want) = ([0; 64], [0; 64]);
            part.read_exact_at(&mut got, at).unwrap();
            files::fill(5, at, &mut want);
            // A lane that was killed before its first hand-over left nothing there.
            assert!(got == [0; 64] || got == want, "at {at}");
        }
    }
}

#[test]
fn rng_35_a_portals_page_costs_nothing_that_is_held() {
    let portal = |_: &Request, out: &mut thence_origin::Reply| {
        out.answer(200, "Content-Type: text/html", format!("<html>{:290}</html>", "log in"));
    };
    let scene = Scene::half_then(portal);
    let held = scene.held();
    scene.run(&["-x4"]).refused(22).says("R28").says("or, if it ends so each time, remove the part");
    assert_eq!(scene.held(), held);
    scene.honest();
    scene.run(&["-x4"]).whole().says("goes on");
}

#[test]
fn rng_37_what_selected_the_representation_is_replayed() {
    let scene = Scene::new();
    let file = scene.file.clone();
    let vary = move |request: &Request, out: &mut thence_origin::Reply| {
        let mut served = file.now();
        if request.header("user-agent") != Some("one") {
            served = Served { extra: vec![("Vary".into(), "User-Agent".into())], ..second() };
        }
        served.rate = Some(4 << 20);
        honest::handler(&thence_origin::Shared::new(served))(request, out);
    };
    scene.serve(vary.clone());
    let running = scene.start(&["-x1", "--user-agent", "one"]);
    running.holds(BLOCK);
    running.kill();
    scene.serve(vary.clone());
    scene.run(&["-x4"]).whole().says("goes on").says_not("changed");
}

#[test]
fn rng_37_another_user_agent_begins_anew() {
    let scene = Scene::half_then_liar("rng_37");
    let file = scene.file.clone();
    scene.serve(move |request, out| {
        let served = if request.header("user-agent") == Some("two") { second() } else { file.now() };
        served.answer(request).send(request, out);
    });
    let outcome = scene.run(&["-x4", "--user-agent", "two"]);
    scene.file.swap(second());
    assert_eq!(outcome.left["file.bin"], Some(scene.bytes()), "{}", outcome.stderr);
}

#[test]
fn rng_38_tags_are_compared_byte_by_byte() {
    let scene = Scene::new();
    scene.file.change(|served| served.etag = Some("\"abc\"".into()));
    scene.hold(LEN / 2, &["-x1"]);
    scene.file.swap(Served { etag: Some("\"ABC\"".into()), ..second() });
    scene.honest();
    scene.run(&["-x4"]).whole().says("changed: ");
}

#[test]
fn rng_38_an_odd_tag_is_a_tag() {
    let scene = Scene::new();
    scene.file.change(|served| served.etag = Some("\"a,b\\c\"".into()));
    scene.hold(LEN / 2, &["-x1"]);
    scene.honest();
    scene.run(&["-x4"]).whole().says_not("unproven");
    assert_eq!(conditions(&scene.requests())[0], "\"a,b\\c\"");
}

#[test]
fn rng_38_a_tag_of_four_kibibytes_is_none() {
    let scene = Scene::new();
    let tag = format!("\"{}\"", "e".repeat(4096));
    scene.file.change(|served| (served.etag, served.modified) = (Some(tag), None));
    scene.hold(LEN / 2, &["-x1"]);
    scene.honest();
    scene.run(&["-x4"]).whole().says("unproven join");
    assert_eq!(conditions(&scene.requests()), Vec::<String>::new());
}

#[test]
fn nothing_is_fetched_again_of_what_is_there() {
    let scene = Scene::new();
    scene.run(&["-x4"]).whole();
    scene.honest();
    scene.run(&["-x4"]).whole().says("already complete");
    assert_eq!(scene.requests(), []);
}

#[test]
fn a_part_alone_is_enough_to_go_on() {
    for name in ["file.bin.part", "file.bin.thence"] {
        let scene = Scene::new();
        scene.hold(LEN / 2, &["-x4"]);
        scene.honest();
        // What a socket had in flight when its range was cut is sent, and never read: only what came counts.
        let done = scene.run_bare(&["-x4", "--json", name]).whole().events("done");
        assert!(done[0]["wire_bytes"].as_u64().unwrap() < LEN * 3 / 4, "most of it came again: {done:?}");
    }
}

/// The same length, only Last-Modified; another length; no validators and every block another.
#[test]
fn a_file_that_is_replaced_between_runs_is_never_mixed() {
    let newer = |served: &mut Served| {
        served.modified = served.modified.map(|at| at + std::time::Duration::from_secs(5))
    };
    let dated = |served: &mut Served| served.etag = None;
    let bare = |served: &mut Served| (served.etag, served.modified) = (None, None);
    type Change = fn(&mut Served);
    let cases: [(Change, Change); 3] = [
        (dated, newer),
        (|_| (), |served| served.body = Body::Held(files::content(2, LEN as usize + 7).into())),
        (bare, |_| ()),
    ];
    for (before, after) in cases {
        let scene = Scene::new();
        scene.file.change(before);
        scene.hold(LEN / 2, &["-x1"]);
        scene.file.change(|served| served.body = Body::Held(files::content(2, LEN as usize).into()));
        scene.file.change(after);
        scene.honest();
        scene.run(&["-x4"]).whole().says("changed: ");
    }
}

#[test]
fn net_12_sixteen_lanes_together_keep_to_the_rate() {
    const RATE: u64 = 1 << 20;
    // Not hurried: the planner looks at speeds more seldom than lanes have their turns.
    let scene = Scene::new().env("THENCE_HURRY", "1");
    let begun = Instant::now();
    scene.run(&["-x16", "--limit-rate", "1M"]).whole();
    // Only too fast is wrong here: how slow a busy machine is says nothing. That nobody starves shows in the end of all.
    let least = Duration::from_secs_f64(LEN as f64 / RATE as f64 * 0.95);
    assert!(begun.elapsed() >= least, "{:?} instead of {least:?}", begun.elapsed());
    assert!(
        scene.requests().len() <= 20, // 16 would do
        "our own limit was taken for late lanes: {:?}",
        scene.requests().len()
    );
}

/// Counted where it was sent: four downloads and eight connections of one host.
#[test]
fn net_12_a_limit_for_each_host_holds_over_downloads() {
    const RATE: u64 = 1 << 20;
    let scene = Scene::new();
    let urls: Vec<String> = (0..4).map(|n| scene.origin.url(&format!("/{n}.bin"))).collect();
    let args: Vec<&str> =
        ["-x2", "--limit-host", "1M"].into_iter().chain(urls.iter().map(String::as_str)).collect();
    let begun = Instant::now();
    scene.run_bare(&args).code(0);
    let least = Duration::from_secs_f64(4.0 * LEN as f64 / RATE as f64 * 0.95);
    assert!(begun.elapsed() >= least, "{:?} instead of {least:?}", begun.elapsed());
}

/// What comes with the head alone is paid for over two seconds, the stall time of the test suites twice.
#[test]
fn net_12_no_stall_is_seen_in_our_own_limit() {
    let scene = Scene::of(Served::new(files::content(1, 12_000)));
    scene.run(&["-x1", "--limit-rate", "3K", "-v"]).whole();
    assert_eq!(scene.requests().len(), 1);
}
