//! Rows FRM: where a body ends and what it is coded in, each against the real program.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use harness::{BLOCK, LEN, Outcome, Scene};
use thence_origin::ca::{Authority, Kind};
use thence_origin::{Served, files};

/// A fresh run that meets this liar.
fn met(liar: &str) -> Outcome {
    let scene = Scene::new();
    scene.liar(liar);
    scene.run(&["-x4", "-v"])
}

/// Refused, with nothing left at any name that would be taken for the file.
#[track_caller]
fn breach(liar: &str) -> Outcome {
    met(liar).refused(22).says("breaks HTTP")
}

#[test]
fn frm_01_a_body_that_ends_early_is_gone_on_with() {
    met("frm_01").whole();
    // The only lane reads to the end; of four, others may have taken the end from it.
    let scene = Scene::new();
    scene.liar("frm_01");
    scene.run(&["-x1", "-v"]).whole().says("ended before it was whole");
}

#[test]
fn frm_01_wherever_it_ends() {
    let scene = Scene::of(Served::new(files::content(1, 65_536)));
    let file = scene.file.clone();
    // Each answer brings one piece more and then closes: every join is one a server chose.
    let pieces = [1, 2, 13, 511, 512, 4_095, 4_096, 4_097, 9_999, 16_384, 1, 65_535];
    scene.serve(move |request, out| {
        let mut answer = file.now().answer(request);
        let (first, end) = answer.span;
        answer.span.1 = end.min(first + pieces[request.number % pieces.len()]);
        answer.send(request, out);
        out.close();
    });
    scene.run(&["-x1"]).whole();
    assert!(scene.requests().len() >= pieces.len());
}

#[test]
fn frm_02_without_its_last_chunk_a_body_is_not_whole() {
    for liar in ["frm_02_a", "frm_02_b"] {
        met(liar).whole();
        let scene = Scene::new();
        scene.file.change(|served| served.ranges = false);
        scene.liar(liar);
        scene.run(&["-v"]).whole().says("ended before it was whole");
    }
    met("frm_02_c").whole();
}

#[test]
fn frm_03_a_length_is_one_plain_number() {
    for liar in ["frm_03_a", "frm_03_c", "frm_03_d", "frm_03_f", "frm_03_g"] {
        breach(liar);
    }
    for liar in ["frm_03_b", "frm_03_e"] {
        met(liar).whole();
    }
}

#[test]
fn frm_04_two_framings_are_an_error_and_end_the_connection() {
    let scene = Scene::new();
    scene.liar("frm_04");
    scene.run(&["-x1"]).refused(22).says("R38");
    let connections: BTreeSet<usize> = scene.requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections.len(), scene.requests().len(), "a connection was used again");
}

#[test]
fn frm_05_codings_of_the_transfer_are_chunked_or_an_error() {
    for (liar, rule) in [("frm_05_a", "R40"), ("frm_05_b", "R41"), ("frm_05_c", "R24"), ("frm_05_d", "R41")] {
        breach(liar).says(rule);
    }
}

#[test]
fn frm_06_chunk_sizes_that_make_no_sense_are_errors() {
    for liar in ["frm_06_a", "frm_06_b", "frm_06_c", "frm_06_d"] {
        let outcome = met(liar);
        let code = outcome.code.unwrap();
        // The liar says 200 to ranges and sends parts: that may be seen first.
        assert!([6, 22, 34].contains(&code), "{code}: {}", outcome.stderr);
        outcome.refused(code);
    }
}

#[test]
fn frm_07_chunk_extensions_are_capped() {
    let outcome = met("frm_07_a");
    let code = outcome.code.unwrap();
    outcome.refused(code);
}

#[test]
fn frm_07_chunks_of_one_byte_are_borne() {
    met("frm_07_b").whole();
}

#[test]
fn frm_08_an_end_that_nothing_proves_is_said() {
    met("frm_08").whole().says("length unknown");
}

#[test]
fn frm_08_strict_refuses_it_and_keeps_the_part() {
    let scene = Scene::new();
    scene.liar("frm_08");
    let outcome = scene.run(&["--strict"]).refused(33).says("length unknown");
    outcome.bytes("file.bin.part");
}

#[test]
fn frm_08_a_reset_is_no_end() {
    met("frm_08_reset").refused(6);
}

#[test]
fn frm_09_bytes_after_an_answer_are_no_answer() {
    met("frm_09").whole();
}

#[test]
fn frm_11_what_is_no_head_is_refused() {
    for liar in ["frm_11_a", "frm_11_b", "frm_11_c", "frm_11_d", "frm_11_e"] {
        met(liar).refused(22);
    }
}

#[test]
fn frm_14_tls_12_a_cut_under_tls_is_no_end() {
    let authority = Authority::new();
    let scene =
        Scene::tls(&authority.leaf(Kind::Good)).with(&["--cacert", authority.cacert().to_str().unwrap()]);
    scene.liar("frm_14");
    scene.run(&["-x4"]).refused(6);
    scene.file.change(|served| served.ranges = true);
    scene.honest();
    scene.run(&["-x4"]).whole();
}

#[test]
fn frm_20_gzip_that_nobody_asked_for_is_undone_and_said() {
    met("frm_20").whole().says("came compressed though nobody asked; undone");
}

#[test]
fn frm_20_gzip_is_stored_as_sent_where_that_is_wanted() {
    let raw = |scene: &Scene, args: &[&str], name: &str| {
        scene.liar("frm_20");
        let outcome = scene.run(args).says("stored as it was sent");
        outcome.code(0);
        let mut plain = Vec::new();
        let stored = outcome.left[name].clone().unwrap();
        flate2::read::GzDecoder::new(&stored[..]).read_to_end(&mut plain).unwrap();
        assert_eq!(plain, scene.bytes());
    };
    raw(&Scene::new(), &["--raw"], "file.bin");
    raw(&Scene::new().at("/file.tar.gz"), &[], "file.tar.gz");
}

#[test]
fn frm_20_a_decoded_body_that_broke_off_starts_over() {
    let scene = Scene::new();
    let file = scene.file.clone();
    scene.serve(move |request, out| {
        let coded = file.now().body.gzipped();
        let mut head = file.now().part(200, (0, LEN));
        head.set("Content-Encoding", "gzip").set("Content-Type", "text/plain");
        head.set("Content-Length", &coded.len().to_string());
        out.head(200, &head.head()).rate(4 << 20);
        if request.number == 0 {
            out.body(&coded[..coded.len() / 2]).pause(Duration::from_millis(50)).close();
        } else {
            out.body(&coded);
        }
    });
    scene.run(&["-x4"]).whole().says("changed: ");
}

#[test]
fn frm_20_a_coded_body_after_a_plain_one_is_not_joined() {
    let scene = Scene::new();
    scene.hold(3 * BLOCK, &["-x1"]);
    scene.liar("frm_20");
    scene.run(&["-x4"]).whole().says("undone");
}

#[test]
fn frm_17_the_digest_of_the_whole_is_checked_before_it_is_published() {
    let scene = Scene::new();
    let whole = files::digest_field(scene.bytes());
    scene.file.change(|served| served.extra.push(("Repr-Digest".into(), whole)));
    scene.run(&["-x4"]).whole().says("sha-256 right");
}

#[test]
fn frm_17_a_wrong_digest_of_the_whole_is_never_complete() {
    let scene = Scene::new();
    let wrong = files::digest_field("other bytes");
    scene.file.change(|served| served.extra.push(("Repr-Digest".into(), wrong)));
    scene.run(&["-x4"]).refused(32).bytes("file.bin.part");
    // Nothing is asked any more, and the digest is remembered all the same.
    let sent = scene.origin.sent();
    scene.run(&["-x4"]).refused(32);
    assert_eq!(scene.origin.sent(), sent);
    let right = format!("sha-256:{}", files::digest(scene.bytes()));
    scene.run(&["--checksum", &right]).whole();
}

#[test]
fn frm_17_a_digest_that_only_a_later_answer_brings_counts_as_well() {
    let wrong = files::digest_field("other bytes");
    let scene = Scene::new();
    scene.hold(LEN / 2, &["-x1"]);
    scene.file.change(|served| served.extra.push(("Repr-Digest".into(), wrong)));
    scene.honest();
    scene.run(&["-x4"]).refused(32);
}

#[test]
fn what_an_object_store_says_of_the_whole_is_checked_and_of_a_part_is_not() {
    let sent = |bytes: &[u8], parts: &str| {
        let digest = files::digest_field(bytes);
        let base64 = digest.trim_start_matches("sha-256=:").trim_end_matches(':');
        ("x-amz-checksum-sha256".into(), format!("{base64}{parts}"))
    };
    let scene = Scene::new();
    let right = sent(&scene.bytes(), "");
    scene.file.change(|served| served.extra.push(right));
    scene.run(&["-x4"]).whole().says("sha-256 right");
    let scene = Scene::new();
    scene.file.change(|served| served.extra.push(sent(b"other bytes", "")));
    scene.run(&["-x4"]).refused(32);
    let scene = Scene::new();
    scene.hold(LEN / 2, &["-x1"]);
    scene.file.change(|served| served.extra.push(sent(b"a part", "")));
    scene.honest();
    scene.run(&["-x4"]).whole().says_not("right");
    let scene = Scene::new();
    scene.file.change(|served| served.extra.push(sent(b"digests of parts", "-2")));
    scene.run(&["-x4"]).whole().says_not("right");
}

/// Memory over what a run holds that fetches honestly, in bytes.
const FLOOD: u64 = 8 << 20;

/// What a run holds at most that is not flooded.
fn honest_memory() -> u64 {
    let scene = Scene::new();
    let (outcome, memory) = scene.start(&["-x1"]).end_with_memory();
    outcome.whole();
    assert!(memory > 0, "no memory was measured");
    memory
}

#[test]
fn dos_01_floods_of_fields_take_no_memory() {
    let bound = honest_memory() + FLOOD;
    for liar in ["dos_01_a", "dos_01_b", "dos_01_c", "dos_01_d"] {
        let scene = Scene::half_then_liar(liar);
        let held = scene.held();
        let (outcome, memory) = scene.start(&["-x16"]).end_with_memory();
        outcome.refused(22);
        assert!(memory < bound, "{liar}: {memory} of {bound}");
        assert_eq!(scene.held(), held, "{liar}");
    }
}

#[test]
fn r49_bombs_take_no_memory() {
    let bound = honest_memory() + FLOOD;
    for liar in ["r49_gzip", "r49_gzip_twice", "r49_br", "r49_zstd"] {
        let scene = Scene::new();
        scene.liar(liar);
        let (outcome, memory) = scene.start(&["-x16"]).end_with_memory();
        drop(outcome.refused(22).says("it grows over 1000 times"));
        assert!(memory < bound, "{liar}: {memory} of {bound}");
    }
}

#[test]
fn url_09_a_redirects_bomb_is_not_undone() {
    let bound = honest_memory() + FLOOD;
    let scene = Scene::new();
    scene.liar("url_09_b");
    let (outcome, memory) = scene.start(&["-x4"]).end_with_memory();
    drop(outcome.whole());
    assert!(memory < bound, "{memory} of {bound}");
}

#[test]
fn dos_01_a_head_without_end_is_left() {
    let scene = Scene::new();
    scene.serve(|_, out| {
        out.raw("HTTP/1.1 200 OK\r\n");
        while out.alive() {
            out.raw("X-Flood: more and more\r\n".repeat(1000));
        }
    });
    let (outcome, memory) = scene.start(&["-x4"]).end_with_memory();
    outcome.refused(22);
    assert!(memory < honest_memory() + FLOOD, "{memory}");
}

#[test]
fn dos_02_a_body_without_end_stops_at_the_largest_size() {
    let scene = Scene::new();
    scene.serve(|_, out| {
        out.head(200, "Transfer-Encoding: chunked");
        while out.alive() {
            out.chunk([b'x'; 8192]);
        }
    });
    let outcome = scene.run(&["-x4", "--max-size", "1M"]).refused(39);
    // What was in slabs when it was noticed still comes; nothing like what the server would have sent.
    let part = outcome.left.get("file.bin.part").and_then(Option::as_ref).map_or(0, Vec::len);
    assert!(part <= 32 << 20, "{part} bytes were kept");
    scene.run(&["-o", "-", "--max-size", "1M"]).code(39);
}

#[test]
fn dos_03_a_length_beyond_all_disks_writes_nothing() {
    let scene = Scene::new();
    scene.liar("dos_03");
    let outcome = scene.run(&["-x4"]);
    assert!(
        outcome.code != Some(0) && outcome.left.is_empty(),
        "{:?}: {}",
        outcome.left.keys(),
        outcome.stderr
    );
    let scene = Scene::new();
    scene.liar("dos_03");
    scene.run(&["-x4", "--max-size", "1G"]).refused(39);
}

#[test]
fn tls_12_a_length_that_was_reached_needs_no_close_notify() {
    let scene = Scene::tls(&Authority::new().leaf(Kind::Good)).with(&["--insecure"]);
    let file = scene.file.clone();
    scene.serve(move |request, out| {
        file.now().answer(request).send(request, out);
        out.cut();
    });
    scene.run(&["-x4"]).whole();
}

/// No length is ever told and nothing but a close ends a body: that such a file has become a shorter one, no answer can
/// prove. It is never published as what it was, and who reads the error knows how to begin anew.
#[test]
fn frm_08_a_file_that_shrank_is_an_error_that_says_how_to_begin_anew() {
    let scene = Scene::new();
    let (file, first) = (scene.file.clone(), AtomicBool::new(true));
    scene.serve(move |_, out| {
        let body = file.now().body;
        out.head(200, "Content-Type: application/octet-stream");
        if first.swap(false, Ordering::SeqCst) {
            out.body(body.bytes(0, LEN / 2)).stall();
        } else {
            out.body(body.bytes(0, body.len())).close();
        }
    });
    let running = scene.start(&["-x1"]);
    running.holds(LEN / 2 - BLOCK);
    running.kill();
    let held = scene.held();
    scene.file.change(|served| served.body = Served::new(files::content(1, 100_000)).body);
    scene.run(&["-x1"]).refused(6).says("or, if it ends so each time, remove the part");
    assert_eq!(scene.held(), held);
    for name in ["file.bin.part", "file.bin.thence"] {
        std::fs::remove_file(scene.path(name)).unwrap();
    }
    scene.run(&["-x1"]).whole().says("length unknown");
}
