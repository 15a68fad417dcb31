//! Where a digest comes from: a file of checksums, at hand, at a URL, or beside the file.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use std::fs;
use std::sync::{Arc, Mutex};

use harness::Scene;
use thence_origin::files;

/// An origin that also has these texts, by their paths; what else is asked for beside the file is not there.
fn with(texts: &[(&'static str, String)]) -> Scene {
    let scene = Scene::new();
    let (file, texts) = (scene.file.clone(), texts.to_vec());
    scene.serve(move |request, out| {
        let text = texts.iter().find(|(path, _)| *path == request.target);
        match (request.target.as_str(), text) {
            ("/file.bin", _) => file.now().answer(request).send(request, out),
            (_, Some((_, text))) => drop(out.answer(200, "Content-Type: text/plain", text)),
            (_, None) => drop(out.answer(404, "Content-Type: text/html", "<h1>no</h1>")),
        }
    });
    scene
}

/// Lines for another file and for ours.
fn sums(digest: &str) -> String {
    format!("{}  other.bin\n{digest}  file.bin\n", "1".repeat(64))
}

fn right(scene: &Scene) -> String {
    files::digest(scene.bytes())
}

#[test]
fn a_file_of_checksums_proves_the_file_or_condemns_it() {
    let scene = Scene::new();
    let list = scene.home().join("SHA256SUMS");
    let list = list.to_str().unwrap();
    fs::write(list, sums(&"0".repeat(64))).unwrap();
    scene.run(&["--checksum", list]).refused(32).says("the whole file has the checksum");
    let scene = Scene::new();
    fs::write(list, sums(&right(&scene))).unwrap();
    let outcome = scene.run(&["--json", "--checksum", list]);
    assert!(String::from_utf8_lossy(&outcome.stdout).contains(&right(&scene)), "{}", outcome.stderr);
    outcome.whole();
    scene.run_bare(&["verify", "file.bin", "--checksum", list]).code(0);
    fs::write(list, sums(&"0".repeat(64))).unwrap();
    scene.run_bare(&["verify", "file.bin", "--checksum", list]).code(32);
}

#[test]
fn mta_06_a_weak_checksum_alone_is_said_to_be_one() {
    let scene = with(&[("/SUMS", format!("SHA1 (file.bin) = {}\n", "1".repeat(40)))]);
    let outcome = scene.run(&["--checksum", &scene.origin.url("/SUMS")]);
    outcome.refused(32).says("only sha-1, which proves no more");
    // The strongest decides.
    let both = format!("MD5 (file.bin) = {}\nSHA256 (file.bin) = {}\n", "1".repeat(32), right(&scene));
    let scene = with(&[("/SUMS", both)]);
    scene.run(&["--checksum", &scene.origin.url("/SUMS")]).whole().says_not("proves no more");
}

#[test]
fn a_url_of_checksums_is_asked_once_for_several_files() {
    let scene = with(&[]);
    let text = sums(&right(&scene));
    let scene = with(&[("/SHA256SUMS", text)]);
    let url = scene.origin.url("/SHA256SUMS");
    let (one, other) = (scene.url(), format!("{}?again", scene.url()));
    let outcome = scene.run_bare(&["--checksum", &url, &one, &other]);
    assert_eq!(scene.requests().iter().filter(|request| request.target == "/SHA256SUMS").count(), 1);
    // The second URL is not served; what it says is of that, and not of its checksum.
    outcome.says("404");
    assert!(scene.path("file.bin").is_file());
}

#[test]
fn what_is_not_there_or_says_nothing_of_the_file_begins_nothing() {
    let text = format!("{}  a.bin\n{}  b.bin\n", "1".repeat(64), "2".repeat(64));
    let scene = with(&[("/SHA256SUMS", text), ("/page", "<!DOCTYPE html>\n<p>login".to_owned())]);
    let at = |path: &str| scene.origin.url(path);
    let run = |sums: &str| scene.run(&["--checksum", sums]);
    run(&at("/SHA256SUMS")).refused(28).says("has 2 checksums, and none for file.bin");
    run(&at("/page")).refused(28).says("line 1, column 1");
    run(&at("/gone")).refused(3).says("/gone");
    run("no-such-file").refused(15).says("no-such-file");
    run("/dev/zero").refused(28).says("larger than 16 MiB");
    assert!(scene.requests().iter().all(|request| request.target != "/file.bin"));
}

#[test]
fn checksums_without_an_end_are_left() {
    let scene = Scene::new();
    let file = scene.file.clone();
    scene.serve(move |request, out| {
        if request.target == "/file.bin" {
            return file.now().answer(request).send(request, out);
        }
        out.head(200, "Content-Type: text/plain");
        while out.alive() {
            out.raw(vec![b'a'; 64 << 10]);
        }
    });
    let url = scene.origin.url("/SHA256SUMS");
    scene.run(&["--checksum", &url]).refused(28).says("larger than 16 MiB");
}

#[test]
fn a_file_of_checksums_is_found_beside_the_file() {
    let scene = Scene::new();
    let (good, bad) = (right(&scene), "0".repeat(64));
    for path in ["/file.bin.sha256", "/SHA256SUMS", "/sha256sum.txt"] {
        with(&[(path, sums(&bad))]).run(&["--checksum", "auto"]).refused(32);
        let outcome = with(&[(path, sums(&good))]).run(&["--checksum", "auto"]);
        outcome.whole().says("its sha-256 is in http").says(path);
    }
    // What is of other files, or no file of checksums, is passed over.
    let others = [("/file.bin.sha256", "<p>".to_owned()), ("/SHA256SUMS", format!("{bad}  a\n{bad}  b\n"))];
    with(&others).run(&["--checksum", "auto"]).whole().says("no file of checksums lies beside it");
}

#[test]
fn each_entry_of_a_list_has_the_digest_that_a_file_of_checksums_gives_it() {
    let sums = format!("{}  a\n{}  b\n", files::digest("one"), "0".repeat(64));
    let at = |path, text: &str| (path, text.to_owned());
    let scene = with(&[at("/a", "one"), at("/b", "two"), at("/c", "three"), at("/SHA256SUMS", &sums)]);
    let list = scene.home().join("list");
    let lines: Vec<String> = ["/a", "/b", "/c"].map(|path| scene.origin.url(path)).to_vec();
    fs::write(&list, lines.join("\n")).unwrap();
    let url = scene.origin.url("/SHA256SUMS");
    let outcome = scene.run_bare(&["-i", list.to_str().unwrap(), "--checksum", &url]);
    outcome.code(32);
    let outcome = outcome.says("the whole file has the checksum").says("and none for c");
    let published: Vec<&str> =
        outcome.left.keys().map(String::as_str).filter(|name| name.len() == 1).collect();
    assert_eq!(published, ["a"]);
    scene.run_bare(&["-i", list.to_str().unwrap(), "--checksum", "auto"]).code(28);
    scene.run_bare(&["-i", list.to_str().unwrap(), "--checksum", &scene.origin.url("/gone")]).code(3);
}

#[test]
fn each_entry_may_name_its_own_file_of_checksums() {
    let (one, other) = (files::digest("one"), files::digest("other"));
    let at = |path, text: &str| (path, text.to_owned());
    let scene = with(&[
        at("/a", "one"),
        at("/b", "one"),
        at("/c", "one"),
        at("/d", "one"),
        at("/SUMS", &format!("{one}  a\n{one}  d\n")),
    ]);
    let dir = scene.home().join("lists");
    fs::create_dir_all(dir.join("sums")).unwrap();
    fs::write(dir.join("sums/B"), format!("{other}  b\n{one}  c\n")).unwrap();
    let url = |path: &str| scene.origin.url(path);
    let sums = url("/SUMS");
    let entries = [
        format!("{}\n  checksum={sums}\n", url("/a")),
        format!("{}\n  checksum=sums/B\n", url("/b")),
        format!("{}\n  checksum=@sums/B\n", url("/c")),
        format!("{}\n  checksum=sha-256:{other}\n  checksum={sums}\n", url("/d")),
    ];
    let list = dir.join("list");
    fs::write(&list, entries.concat()).unwrap();
    let outcome = scene.run_bare(&["-i", list.to_str().unwrap()]);
    outcome.code(32);
    let published: Vec<&str> =
        outcome.left.keys().map(String::as_str).filter(|name| name.len() == 1).collect();
    assert_eq!(published, ["a", "c", "d"], "{}", outcome.stderr);
    assert_eq!(scene.requests().iter().filter(|request| request.target == "/SUMS").count(), 1, "read once");
}

#[test]
fn an_entry_whose_file_of_checksums_is_of_no_use_costs_itself_alone() {
    let scene = with(&[
        ("/a", "one".to_owned()),
        ("/SUMS", format!("{}  b\n{}  c\n", "1".repeat(64), "2".repeat(64))),
    ]);
    let url = scene.origin.url("/a");
    let list = scene.home().join("list");
    fs::create_dir(scene.home().join("directory")).unwrap();
    let run = |checksum: &str| {
        fs::write(&list, format!("{url}?{checksum}\n  checksum={checksum}\n")).unwrap();
        scene.run_bare(&["-i", list.to_str().unwrap(), "-q"])
    };
    run("none").says("line 1").says("none").code(15);
    run("directory").says("no regular file").code(15);
    run("../outside").says("leads out").code(28);
    run("/dev/zero").says("leads out").code(28);
    run("auto").code(28);
    run(&scene.origin.url("/gone")).says("/gone").code(3);
    run(&scene.origin.url("/SUMS")).says("none for a").code(28);
    assert!(scene.requests().iter().all(|request| !request.target.starts_with("/a")));
}

#[test]
fn mta_06_a_weak_checksum_is_said_to_be_one_wherever_it_is_from() {
    let weak = format!("MD5 (file.bin) = {}\n", "1".repeat(32));
    let scene = with(&[("/file.bin.sha256", weak)]);
    scene.run(&["--checksum", "auto"]).refused(32).says("only md5, which proves no more");
    let scene = Scene::new();
    scene
        .run(&["--checksum", &format!("sha1={}", "1".repeat(40))])
        .refused(32)
        .says("only sha-1, which proves");
    let list = scene.home().join("list");
    fs::write(&list, format!("{}\n  checksum=md5={}\n", scene.url(), "1".repeat(32))).unwrap();
    let outcome = scene.run_bare(&["-i", list.to_str().unwrap()]);
    outcome.says("1 of them have only md5 or sha-1, which proves no more").code(32);
}

/// Headers and credentials were given for the file's origin.
#[test]
fn r58_what_was_given_for_the_file_goes_to_no_other_origin_for_its_checksums() {
    let (scene, other) = (with(&[]), Arc::new(Mutex::new(Vec::new())));
    let text = sums(&right(&scene));
    let asked = other.clone();
    let elsewhere = thence_origin::Origin::start(move |request, out| {
        asked.lock().unwrap().push(request.clone());
        out.answer(200, "Content-Type: text/plain", &text);
    });
    let url = elsewhere.url("/SHA256SUMS");
    scene.run(&["-H", "X-Token: SECRET", "--user", "me:SECRET", "--checksum", &url]).whole();
    let asked = other.lock().unwrap();
    assert!(asked.len() == 1 && asked[0].header("x-token").is_none());
    assert!(asked[0].header("authorization").is_none());
    assert!(scene.requests().iter().all(|request| request.header("x-token").is_some()));
}
