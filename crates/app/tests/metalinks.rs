//! Metalinks, and mirrors that are dead, slow or wrong.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use harness::{BLOCK, LEN, Scene};
use md5::Digest;
use thence_origin::{Origin, Served, Shared, files, honest};

/// Bytes of a piece.
const PIECE: usize = 512 << 10;

fn sha(bytes: &[u8]) -> String {
    files::digest(bytes)
}

/// A description of these bytes at these URLs; `inside` stands between name and URLs.
fn four(name: &str, inside: &str, urls: &[String]) -> String {
    let urls: String = urls
        .iter()
        .enumerate()
        .map(|(n, url)| format!("<url priority=\"{}\">{url}</url>\n", n + 1))
        .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">\
         <file name=\"{name}\">{inside}{urls}</file></metalink>"
    )
}

fn size(bytes: &[u8]) -> String {
    format!("<size>{}</size>", bytes.len())
}

fn hash(bytes: &[u8]) -> String {
    format!("<hash type=\"sha-256\">{}</hash>", sha(bytes))
}

fn pieces(bytes: &[u8]) -> String {
    let all: String = bytes.chunks(PIECE).map(|piece| format!("<hash>{}</hash>", sha(piece))).collect();
    format!("<pieces length=\"{PIECE}\" type=\"sha-256\">{all}</pieces>")
}

fn write(scene: &Scene, text: &str) {
    std::fs::write(scene.path("x.meta4"), text).unwrap();
}

/// Another origin with these bytes, and its URL.
fn other(bytes: Vec<u8>) -> (Origin, String) {
    let origin = Origin::start(honest::handler(&Shared::new(Served::new(bytes))));
    let url = origin.url("/elsewhere/f");
    (origin, url)
}

#[test]
fn a_description_on_the_disk_is_followed_and_proven() {
    for inside in [hash, |bytes: &[u8]| format!("{}{}", size(bytes), pieces(bytes))] {
        let scene = Scene::new();
        let bytes = scene.bytes();
        write(&scene, &four("file.bin", &inside(&bytes), &[scene.url()]));
        let outcome = scene.run_bare(&["x.meta4"]).bytes("file.bin");
        outcome.code(0);
        let again = scene.run_bare(&["x.meta4"]);
        again.code(0);
        again.says("already complete");
        scene.file.change(|served| *served = Served::new(files::content(2, LEN as usize)));
        std::fs::remove_file(scene.path("file.bin")).unwrap();
        let wrong = scene.run_bare(&["x.meta4"]);
        wrong.code(32);
        assert!(!wrong.left.contains_key("file.bin"));
    }
}

#[test]
fn version_3_is_read_as_well() {
    let scene = Scene::new();
    let text = format!(
        "<metalink version=\"3.0\" xmlns=\"http://www.metalinker.org/\"><files><file name=\"three.bin\">\
         <size>{LEN}</size><verification><hash type=\"sha256\">{}</hash></verification><resources>\
         <url type=\"ftp\">ftp://127.0.0.1/x</url><url type=\"http\" preference=\"100\">{}</url>\
         </resources></file></files></metalink>",
        sha(&scene.bytes()),
        scene.url()
    );
    std::fs::write(scene.path("x.metalink"), text).unwrap();
    let outcome = scene.run_bare(&["--json", "x.metalink"]).bytes("three.bin");
    assert!(outcome.events("done")[0]["digest"].as_str().unwrap().starts_with("sha-256:"));
}

#[test]
fn a_description_at_a_url_or_by_its_type_is_followed() {
    for (path, media) in [("/x.meta4?y=1", "text/plain"), ("/download", "application/metalink4+xml")] {
        let scene = Scene::new().at(path);
        let (file, text) =
            (scene.file.clone(), four("file.bin", &hash(&scene.bytes()), &[scene.origin.url("/file.bin")]));
        scene.serve(move |request, out| match request.target.as_str() {
            "/file.bin" => file.now().answer(request).send(request, out),
            _ => drop(out.answer(200, &format!("Content-Type: {media}; charset=utf-8"), &text)),
        });
        let outcome = scene.run(&["-H", "X-Secret: 1"]).bytes("file.bin");
        outcome.code(0);
        let named = scene.requests().into_iter().filter(|request| request.header("x-secret").is_some());
        assert!(named.count() >= 1, "it goes to the URL it was given for");
        let scene = Scene::new().at(path);
        scene.serve(move |_, out| _ = out.answer(200, &format!("Content-Type: {media}"), "<metalink/>"));
        let kept = scene.run(&["--no-metalink"]);
        kept.code(0);
        assert!(kept.left.values().any(|bytes| bytes.as_deref() == Some(b"<metalink/>")));
    }
}

#[test]
fn crd_03_what_was_given_does_not_follow_a_description_elsewhere() {
    let scene = Scene::new().at("/x.meta4");
    let elsewhere = Origin::start(honest::handler(&scene.file));
    let text = four("file.bin", &hash(&scene.bytes()), &[elsewhere.url("/f")]);
    scene.serve(move |_, out| _ = out.answer(200, "Content-Type: application/metalink4+xml", &text));
    scene.run(&["-H", "X-Secret: 1", "--user", "me:secret"]).bytes("file.bin").code(0);
    for request in elsewhere.requests() {
        assert!(request.header("x-secret").is_none() && request.header("authorization").is_none());
    }
}

#[test]
fn pth_07_a_name_that_leaves_its_directory_fetches_nothing() {
    for name in ["../../x", "/etc/x", "a/b", "a&#0;b", "..", "x.part"] {
        let scene = Scene::new();
        write(&scene, &four(name, "", &[scene.url()]));
        let outcome = scene.run_bare(&["x.meta4"]);
        outcome.code(20);
        assert!(outcome.stderr.contains("x.meta4: line 2, column"), "{}", outcome.stderr);
        assert_eq!((outcome.left.len(), scene.requests()), (1, Vec::new()), "{name}");
    }
}

#[test]
fn what_is_no_metalink_is_named_with_its_place() {
    let scene = Scene::new();
    let cases = [
        ("<html></html>".to_owned(), "no Metalink"),
        ("<metalink><file name='a'>".to_owned(), "well-formed"),
        (four("a", "", &["ftp://h/a".to_owned()]), "nowhere over HTTP"),
        ("<!DOCTYPE x []><metalink/>".to_owned(), "document type"),
    ];
    for (text, what) in cases {
        write(&scene, &text);
        let outcome = scene.run_bare(&["x.meta4"]);
        outcome.code(20);
        outcome.says(what).says("line");
    }
    scene.run_bare(&["none.meta4"]).refused(28);
    let two = four("a", "", &[scene.url()])
        .replace("</metalink>", "<file name=\"b\"><url>http://h/</url></file></metalink>");
    write(&scene, &two);
    scene.run_bare(&["-o", "c", "x.meta4"]).refused(28).says("describes 2 files");
}

#[test]
fn o_names_the_file_that_is_described_and_a_stream_is_checked() {
    let scene = Scene::new();
    write(&scene, &four("file.bin", &hash(&scene.bytes()), &[scene.url()]));
    scene.run_bare(&["-o", "mine.bin", "x.meta4"]).bytes("mine.bin").code(0);
    let outcome = scene.run_bare(&["-o", "-", "x.meta4"]);
    outcome.code(0);
    assert_eq!(outcome.stdout, scene.bytes());
    scene.file.change(|served| *served = Served::new(files::content(2, LEN as usize)));
    scene.run_bare(&["-o", "-", "x.meta4"]).code(32);
}

#[test]
fn mta_06_a_weak_digest_alone_is_labelled() {
    let scene = Scene::new();
    let md5: String = md5::Md5::digest(scene.bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let weak = format!("<hash type=\"md5\">{md5}</hash>");
    write(&scene, &four("file.bin", &weak, &[scene.url()]));
    scene.run_bare(&["x.meta4"]).bytes("file.bin").says("file.bin: only md5").code(0);
    let scene = Scene::new();
    let wrong = format!("<hash type=\"md5\">{}</hash>{}", "0".repeat(32), hash(&scene.bytes()));
    write(&scene, &four("file.bin", &wrong, &[scene.url()]));
    scene.run_bare(&["x.meta4"]).bytes("file.bin").says_not("only md5").code(0);
}

#[test]
fn mta_01_of_three_mirrors_a_dead_one_a_wrong_one_and_a_short_one_cost_little() {
    let bytes = files::content(1, 40 * BLOCK as usize + 77);
    let mut flipped = bytes.clone();
    for at in (0..flipped.len()).step_by(3 * PIECE + 1) {
        flipped[at] ^= 1;
    }
    let scene = Scene::of(Served::new(bytes.clone()));
    let (dead, dead_url) = other(Vec::new());
    drop(dead);
    let (_wrong, wrong_url) = other(flipped);
    let (short, short_url) = other(bytes[..bytes.len() - 1].to_vec());
    let inside = format!("{}{}{}", size(&bytes), hash(&bytes), pieces(&bytes));
    for urls in [
        vec![dead_url.clone(), short_url.clone(), wrong_url.clone(), scene.url()],
        vec![wrong_url.clone(), scene.url()],
        vec![scene.url(), wrong_url.clone(), dead_url],
    ] {
        write(&scene, &four("file.bin", &inside, &urls));
        let outcome = scene.run_bare(&["--json", "-x4", "x.meta4"]).bytes("file.bin");
        outcome.code(0);
        // Of the wrong one's pieces seven have a wrong byte; each is two blocks. What the origin sent to connections that were
        // closed, and nobody read, says nothing.
        let read = outcome.events("done")[0]["wire_bytes"].as_u64().unwrap();
        assert!(read <= bytes.len() as u64 + 24 * BLOCK, "{read} bytes read, of {urls:?}");
        std::fs::remove_file(scene.path("file.bin")).unwrap();
    }
    assert!(short.requests().len() <= 2, "a mirror of another length is left at its head");
}

#[test]
fn only_wrong_pieces_are_fetched_again() {
    let bytes = files::content(1, 40 * BLOCK as usize + 77);
    let mut flipped = bytes.clone();
    flipped[5 * PIECE + 3] ^= 1;
    flipped[11 * PIECE] ^= 1;
    let scene = Scene::of(Served::new(bytes.clone()));
    let (_wrong, wrong_url) = other(flipped);
    let inside = format!("{}{}{}", size(&bytes), hash(&bytes), pieces(&bytes));
    write(&scene, &four("file.bin", &inside, &[wrong_url.clone(), scene.url()]));
    let outcome = scene.run_bare(&["--json", "-x1", "x.meta4"]).bytes("file.bin");
    outcome.code(0);
    let bad: u64 = outcome.events("damaged").iter().filter_map(|event| event["bytes"].as_u64()).sum();
    assert_eq!(bad, 2 * PIECE as u64);
    let named = |event: &serde_json::Value| event["url"] == wrong_url.as_str();
    assert!(outcome.events("source_dropped").iter().any(named), "the wrong one is named");
    assert!(scene.origin.sent() < 8 * BLOCK, "{} bytes of the right one", scene.origin.sent());
}

#[test]
fn without_pieces_a_wrong_first_mirror_costs_the_file_once_more() {
    let scene = Scene::new();
    let (_wrong, wrong_url) = other(files::content(2, LEN as usize));
    write(&scene, &four("file.bin", &hash(&scene.bytes()), &[wrong_url.clone(), scene.url()]));
    let outcome = scene.run_bare(&["--json", "x.meta4"]).bytes("file.bin");
    outcome.code(0);
    assert_eq!(outcome.left.keys().collect::<Vec<_>>(), ["file.bin", "x.meta4"]);
    assert!(outcome.events("source_dropped").iter().any(|event| event["url"] == wrong_url.as_str()));
}

#[test]
fn a_description_goes_on_where_a_kill_cut_it_off_though_its_mirrors_change_places() {
    let scene = Scene::new();
    let (second, second_url) = other(scene.bytes());
    let inside = format!("{}{}", size(&scene.bytes()), hash(&scene.bytes()));
    write(&scene, &four("file.bin", &inside, &[scene.url(), second_url.clone()]));
    scene.stop_at(LEN / 2);
    let running = scene.start_bare(&["-x1", "x.meta4"]);
    running.holds(LEN / 2 - BLOCK);
    running.kill();
    let held = scene.held();
    scene.honest();
    write(&scene, &four("file.bin", &inside, &[second_url, scene.url()]));
    let before = scene.origin.sent() + second.sent();
    scene.run_bare(&["-x1", "x.meta4"]).bytes("file.bin").code(0);
    assert!(scene.origin.sent() + second.sent() - before <= LEN - held + 2 * BLOCK);
}

#[test]
fn r54_mirrors_that_the_server_names_are_used_where_a_digest_is_known() {
    let bytes = files::content(1, 64 * BLOCK as usize);
    let (mirror, url) = other(bytes.clone());
    let scene = Scene::of(Served {
        extra: vec![("Link".into(), format!("<{url}>; rel=duplicate"))],
        ..Served::new(bytes.clone())
    });
    scene.file.change(|served| served.rate = Some(4 << 20));
    let digest = format!("sha-256:{}", sha(&bytes));
    let outcome = scene.run(&["--json", "-H", "X-Secret: 1", "--checksum", &digest]).whole();
    assert_eq!(outcome.events("mirror").len(), 1);
    assert!(mirror.sent() > BLOCK, "{} bytes of the mirror", mirror.sent());
    assert!(mirror.requests().iter().all(|request| request.header("x-secret").is_none()));
    std::fs::remove_file(scene.path("file.bin")).unwrap();
    let sent = mirror.sent();
    scene.run(&[]).whole();
    assert_eq!(mirror.sent(), sent, "without a digest nobody could tell");
}

#[test]
fn a_description_that_the_server_names_proves_the_file_and_names_mirrors() {
    let bytes = files::content(1, 64 * BLOCK as usize);
    let (mirror, url) = other(bytes.clone());
    let scene = Scene::of(Served::new(bytes.clone()));
    let serve = |text: String| {
        let file = scene.file.clone();
        file.change(|served| {
            served.rate = Some(4 << 20);
            served.extra = vec![(
                "Link".into(),
                "</f.meta4>; rel=describedby; type=\"application/metalink4+xml\"".into(),
            )];
        });
        scene.serve(move |request, out| match request.target.as_str() {
            "/f.meta4" => drop(out.answer(200, "Content-Type: application/metalink4+xml", &text)),
            _ => file.now().answer(request).send(request, out),
        });
    };
    serve(four("file.bin", &hash(&bytes), &[scene.url(), url.clone()]));
    let outcome = scene.run(&["--json"]).whole();
    assert_eq!((outcome.events("mirror").len(), mirror.sent() > BLOCK), (1, true));
    assert!(outcome.events("done")[0]["digest"].as_str().unwrap().starts_with("sha-256:"));
    std::fs::remove_file(scene.path("file.bin")).unwrap();
    // Another file's, or none at all, is as good as not named.
    for text in [four("file.bin", "<size>1</size>", &[scene.url()]), "no metalink".to_owned()] {
        serve(text);
        let outcome = scene.run(&["--json"]).whole();
        assert!(outcome.events("done")[0]["digest"].is_null() && outcome.events("mirror").is_empty());
        std::fs::remove_file(scene.path("file.bin")).unwrap();
    }
    serve(four("file.bin", &hash(b"another"), &[scene.url()]));
    scene.run(&[]).refused(32);
}
