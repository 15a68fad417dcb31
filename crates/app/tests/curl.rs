//! `thence curl`: what a browser copied fetches what the browser would, and says it to nobody else.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use std::fs;
use std::io::Write;
use std::process::{Output, Stdio};

use harness::{LEN, Scene};
use thence_origin::leaks::Needle;
use thence_origin::{Origin, honest};

/// As Chromium copies it, for this URL.
fn chromium(url: &str) -> String {
    format!(
        r#"curl '{url}' \
  -H 'accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8' \
  -H 'accept-language: en-US,en;q=0.9' \
  -b 'session=SECRET; theme=dark' \
  -H 'sec-ch-ua: "Chromium";v="130", "Not?A_Brand";v="99"' \
  -H 'sec-fetch-mode: navigate' \
  -H $'x-note: it\'s \u0021' \
  -H 'user-agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/130.0.0.0' \
  --compressed
"#
    )
}

/// Its words behind the URL, as Firefox copies them and a shell splits them.
const FIREFOX: [&str; 13] = [
    "--compressed",
    "-H",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Firefox/132.0",
    "-H",
    "Accept: */*",
    "-H",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "-H",
    "Connection: keep-alive",
    "-H",
    "Cookie: id=SECRET",
    "-H",
    "Range: bytes=0-",
];

/// Runs `thence curl -` with that on standard input.
fn piped(scene: &Scene, before: &[&str], text: &str) -> Output {
    let mut command = scene.command();
    command.args(before).args(["curl", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    // It may refuse before it has read all.
    let _left = child.stdin.take().unwrap().write_all(text.as_bytes());
    child.wait_with_output().unwrap()
}

/// What each request said in that field.
fn said(scene: &Scene, field: &str) -> Vec<String> {
    let value = |request: &thence_origin::Request| request.header(field).unwrap_or_default().to_owned();
    scene.requests().iter().map(value).collect()
}

#[track_caller]
fn all_say(scene: &Scene, field: &str, value: &str) {
    let said = said(scene, field);
    assert!(!said.is_empty() && said.iter().all(|said| said == value), "{field}: {said:?}");
}

#[test]
fn a_line_on_standard_input_is_fetched_over_lanes_as_the_browser_asks() {
    let scene = Scene::new().at("/file.bin?token=T&x=1");
    let output = piped(&scene, &["-x4"], &chromium(&scene.url()));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(fs::read(scene.path("file.bin")).unwrap(), scene.bytes());
    for (field, value) in [
        ("cookie", "session=SECRET; theme=dark"),
        ("x-note", "it's !"),
        ("sec-ch-ua", "\"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\""),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Chrome/130.0.0.0"),
        ("accept-encoding", "identity"),
    ] {
        all_say(&scene, field, value);
    }
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("--compressed") && !told.contains("SECRET"), "{told}");
}

#[test]
fn a_line_in_one_word_and_in_many_is_the_same() {
    let scene = Scene::new();
    scene.run_bare(&["curl", chromium(&scene.url()).trim_end()]).whole();
    all_say(&scene, "cookie", "session=SECRET; theme=dark");
    fs::remove_file(scene.path("file.bin")).unwrap();
    scene.honest();
    let url = scene.url();
    let line = [&["curl", "curl", &url], &FIREFOX[..]].concat();
    scene.run_bare(&line).whole().says("accept-encoding, connection, range");
    all_say(&scene, "cookie", "id=SECRET");
    all_say(&scene, "accept-encoding", "identity");
}

#[test]
fn crd_03_the_fields_of_a_line_stay_at_its_origin() {
    let scene = Scene::new();
    let other = Origin::start(honest::handler(&scene.file));
    let target = other.url("/target");
    scene.serve(move |_, out| {
        out.answer(302, &format!("Location: {target}"), "");
    });
    let words = ["curl", "-u", "me:SECRET", "-b", "id=SECRET", "-H", "X-Key: SECRET", "-L"];
    scene.run(&[&["-x4", "--auth", "basic"], &words[..]].concat()).whole();
    assert_eq!(scene.requests()[0].header("x-key"), Some("SECRET"));
    assert_eq!(scene.requests()[0].header("authorization"), Some("Basic bWU6U0VDUkVU"));
    for request in other.requests() {
        let said = format!("{:?}", request.headers);
        assert!(!said.contains("SECRET") && request.header("cookie").is_none(), "{said}");
        assert!(request.header("authorization").is_none(), "{said}");
    }
}

#[test]
fn the_same_line_goes_on_and_the_url_alone_says_what_it_wants() {
    let scene = Scene::new();
    let line = [&["-x1", "curl"], &FIREFOX[..]].concat();
    scene.hold(LEN / 2, &line);
    let needle = Needle::new("SECRET");
    assert_eq!(needle.below(scene.dir()), [""; 0], "the journal keeps no cookie");
    scene.honest();
    scene.run(&["-x1"]).refused(36).says("Cookie").says_not("SECRET");
    scene.run(&line).whole().says("goes on").says_not("SECRET");
    all_say(&scene, "cookie", "id=SECRET");
    assert!(scene.requests().iter().all(|request| request.first() >= LEN / 2 - harness::BLOCK));
}

#[test]
fn without_a_secret_the_url_alone_goes_on_as_the_line_did() {
    let scene = Scene::new();
    scene.hold(LEN / 2, &["-x1", "curl", "-H", "User-Agent: Mozilla/5.0", "-H", "Sec-Fetch-Mode: navigate"]);
    scene.honest();
    scene.run(&["-x1"]).whole().says("goes on");
    all_say(&scene, "user-agent", "Mozilla/5.0");
    all_say(&scene, "sec-fetch-mode", "navigate");
}

#[test]
fn what_it_is_named_and_where_it_goes_is_said_by_the_line_or_before_it() {
    let scene = Scene::new();
    scene.run(&["curl", "-o", "other.bin"]).whole_as("other.bin");
    scene.run(&["-o", "a.bin", "curl", "-o", "b.bin"]).refused(28).says("-o: is said before the word curl");
    let outcome = scene.run(&["curl", "-s", "-o", "-"]);
    outcome.code(0);
    assert_eq!(outcome.stdout, scene.bytes());
}

#[test]
fn what_is_not_heeded_is_refused_before_anything_is_asked() {
    let scene = Scene::new();
    for (words, says) in [
        (&["-X", "POST"][..], "curl: -X: asks for another method"),
        (&["--data-raw", "SECRET"], "curl: --data-raw: "),
        (&["-r", "0-99"], "curl: -r: "),
        (&["-H", "Range: bytes=5-"], "curl: Range: "),
        (&["--json", "{SECRET}"], "neither an option nor a URL"),
        (&["--no-such", "SECRET"], "curl: --no-such: "),
        (&["-H", "Cookie: a\nSECRET"], "control character"),
        (&["-x", "ftp://u:SECRET@h"], "--proxy: is no proxy's URL"),
    ] {
        scene.run(&[&["curl"], words].concat()).refused(28).says(says).says_not("SECRET");
    }
    let (url, mirror) = (scene.url(), scene.origin.url("/m"));
    scene.run_bare(&[&url, "curl", &url]).refused(28);
    scene.run_bare(&["--mirror", &mirror, "curl", &url]).refused(28).says("brings its own URL");
    scene.run_bare(&["curl", "-k"]).refused(28).says("there is no URL in the line");
    assert!(scene.requests().is_empty());
}

#[test]
fn a_line_that_is_more_than_a_line_is_told_with_its_place() {
    let scene = Scene::new();
    let url = scene.url();
    for (text, place) in [
        (format!("curl '{url}' \\\n  -H 'Cookie: SECRET"), "standard input:2:6: this quote is not closed"),
        (format!("curl '{url}'\ncurl '{url}?SECRET'"), "standard input:2:1: a second command"),
        (
            format!("curl ^\"{url}^\" ^\n -H ^\"a: SECRET^\""),
            "standard input:1:6: this is written for Windows' cmd",
        ),
        ("x".repeat((1 << 20) + 1), "more than 1 MiB"),
    ] {
        let output = piped(&scene, &[], &text);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(28), "{told}");
        assert!(told.contains(place) && !told.contains("SECRET"), "{told}");
    }
    scene.run_bare(&["curl", &format!("curl '{url}' | tar x")]).refused(28).says("the line:1:");
    assert!(scene.requests().is_empty());
}
