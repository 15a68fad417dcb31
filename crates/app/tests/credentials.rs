//! Rows CRD and LOG: what was given to one origin goes to no other, and nothing secret is written anywhere.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use harness::{LEN, Outcome, Scene};
use thence_origin::leaks::{self, Needle};
use thence_origin::{Origin, Reply, Request, Served, files, honest};

type Handler = Box<dyn Fn(&Request, &mut Reply) + Send + Sync>;

/// Secrets that go to one origin, in every place that takes one.
const GIVEN: [&str; 12] = [
    "--auth",
    "basic",
    "--user",
    "me:SECRET",
    "-H",
    "Cookie: id=SECRET",
    "-H",
    "X-Api-Key: SECRET",
    "-H",
    "proxy-authorization: Basic SECRET",
    "-H",
    "aUTHORIZATION: Bearer SECRET",
];

/// A scene whose origin redirects everything to another origin, which serves the scene's file.
fn elsewhere() -> (Scene, Origin) {
    let scene = Scene::new();
    let other = Origin::start(honest::handler(&scene.file));
    let target = other.url("/target");
    scene.serve(move |_, out| {
        out.answer(302, &format!("Location: {target}"), "");
    });
    (scene, other)
}

#[track_caller]
fn got_nothing(origin: &Origin) {
    for request in origin.requests() {
        let said = format!("{:?}", request.headers);
        // "me:SECRET" in Basic authentication.
        assert!(!said.contains("SECRET") && !said.contains("bWU6U0VDUkVU"), "{said}");
        let fields = ["authorization", "cookie", "x-api-key", "proxy-authorization"];
        assert!(fields.iter().all(|name| request.header(name).is_none()), "{said}");
    }
}

#[test]
fn crd_11_a_url_without_a_login_takes_none_from_a_connection_that_had_one() {
    let scene = Scene::new();
    let bare = scene.origin.url("/bare.bin");
    let mine = scene.origin.url("/mine.bin").replace("://", "://me:SECRET@");
    let other = scene.origin.url("/other.bin").replace("://", "://you:OTHER@");
    scene.run_bare(&["-x1", "--auth", "basic", &mine, &bare, &other]).code(0);
    let sent: BTreeSet<(String, Option<String>)> = scene
        .requests()
        .iter()
        .map(|request| (request.target.clone(), request.header("authorization").map(str::to_owned)))
        .collect();
    let wanted = [
        ("/bare.bin", None),
        ("/mine.bin", Some("Basic bWU6U0VDUkVU")),
        ("/other.bin", Some("Basic eW91Ok9USEVS")),
    ];
    assert_eq!(sent, wanted.map(|(path, login)| (path.to_owned(), login.map(str::to_owned))).into());
}

#[test]
fn crd_01_basic_authentication_stays_at_its_origin() {
    let (scene, other) = elsewhere();
    scene.run(&["-x4", "--auth", "basic", "--user", "me:SECRET"]).whole();
    assert_eq!(scene.requests()[0].header("authorization"), Some("Basic bWU6U0VDUkVU"));
    got_nothing(&other);
}

#[test]
fn crd_01_userinfo_stays_at_its_origin() {
    let (scene, other) = elsewhere();
    let url = scene.url().replace("http://", "http://m%65:SECRET@");
    scene.run_bare(&["-x4", "--auth", "basic", &url]).whole();
    assert_eq!(scene.requests()[0].header("authorization"), Some("Basic bWU6U0VDUkVU"));
    got_nothing(&other);
}

#[test]
fn crd_03_given_fields_stay_at_their_origin() {
    let (scene, other) = elsewhere();
    scene.run(&[&["-x4"], &GIVEN[..]].concat()).whole();
    assert_eq!(scene.requests()[0].header("x-api-key"), Some("SECRET"));
    got_nothing(&other);
}

#[test]
fn crd_03_a_field_for_a_host_goes_to_its_origin_wherever_the_chain_leads_and_nowhere_else() {
    let (scene, other) = elsewhere();
    scene.run(&["--header-for", &other.url(""), "X-Api-Key: SECRET"]).whole();
    assert!(scene.requests().iter().all(|request| request.header("x-api-key").is_none()));
    let asked = other.requests();
    assert!(!asked.is_empty() && asked.iter().all(|request| request.header("x-api-key") == Some("SECRET")));
    // A host without a scheme is one over TLS: in the clear it gets nothing.
    let (scene, other) = elsewhere();
    let host = format!("127.0.0.1:{}", other.port());
    scene.run(&["--header-for", &host, "X-Api-Key: SECRET"]).whole();
    got_nothing(&other);
    // It takes the place of what -H gives to all.
    let scene = Scene::new();
    let own = scene.origin.url("");
    scene.run(&["-H", "X-Api-Key: all", "--header-for", &own, "X-Api-Key: mine"]).whole();
    assert!(scene.requests().iter().all(|request| request.header("x-api-key") == Some("mine")));
    scene.run(&["--header-for", &own, "Range: bytes=0-1"]).code(28);
}

#[test]
fn crd_03_a_token_stays_at_its_origin() {
    let (scene, other) = elsewhere();
    let scene = scene.env("TOKEN", "SECRET");
    scene.run(&["--bearer", "env:TOKEN"]).whole();
    got_nothing(&other);
    let first = &scene.requests()[0];
    assert_eq!(first.header("authorization"), Some("Bearer SECRET"));
}

#[test]
fn crd_05_netrc_is_for_the_host_that_is_asked() {
    let (scene, other) = elsewhere();
    let netrc = scene.home().join(".netrc");
    fs::write(&netrc, "machine 127.0.0.1 login me password SECRET\ndefault login you password SECRET\n")
        .unwrap();
    fs::set_permissions(&netrc, Permissions::from_mode(0o600)).unwrap();
    scene.run(&["-x4", "--auth", "basic", "--user", "me"]).whole();
    assert_eq!(scene.requests()[0].header("authorization"), Some("Basic bWU6U0VDUkVU"));
    got_nothing(&other);
}

#[test]
fn crd_09_every_lane_and_every_retry_strips_the_same() {
    let scene = Scene::of(Served::new(files::content(4, 16 << 20)));
    scene.file.change(|served| served.rate = Some(4 << 20));
    let file = scene.file.clone();
    // Every third answer breaks off, so that lanes come back through the redirect and directly.
    let other = Origin::start(move |request, out| {
        let mut answer = file.now().answer(request);
        if request.number % 3 == 1 {
            answer.span.1 = answer.span.0 + (answer.span.1 - answer.span.0) / 2;
        }
        answer.send(request, out);
        out.close();
    });
    let target = other.url("/target");
    scene.serve(move |_, out| {
        out.answer(302, &format!("Location: {target}"), "");
    });
    scene.run(&[&["-x16"], &GIVEN[..]].concat()).whole();
    assert!(other.requests().len() > 16);
    got_nothing(&other);
}

/// Every way to fail that a server can choose.
fn error_paths() -> Vec<(&'static str, Handler)> {
    fn status(status: u16) -> impl Fn(&Request, &mut Reply) + Send + Sync {
        move |_, out| {
            out.answer(status, "Retry-After: 0", "no");
        }
    }
    fn moved(to: &'static str) -> impl Fn(&Request, &mut Reply) + Send + Sync {
        move |_, out| {
            out.answer(302, &format!("Location: {to}"), "");
        }
    }
    vec![
        ("404", Box::new(status(404))),
        ("401", Box::new(status(401))),
        ("503", Box::new(status(503))),
        ("304", Box::new(status(304))),
        ("ftp", Box::new(moved("ftp://me:SECRET@h/?token=SECRET"))),
        ("circle", Box::new(moved("/file.bin?token=SECRET"))),
        ("bad location", Box::new(moved("http://me:SECRET@[/?token=SECRET"))),
        (
            "junk",
            Box::new(|_, out| {
                out.raw("ICY 200 OK\r\n\r\n").close();
            }),
        ),
        ("reset", Box::new(|_, out| out.pause(Duration::from_millis(2)).reset())),
        (
            "silence",
            Box::new(|_, out| {
                out.stall();
            }),
        ),
        (
            "length",
            Box::new(|_, out| {
                out.head(200, "Content-Length: +1");
            }),
        ),
    ]
}

/// No text that thence wrote anywhere holds `secret` in any form; `kept` names what may.
#[track_caller]
fn is_silent(scene: &Scene, outcome: &Outcome, secret: &str, kept: &[&str]) {
    let needle = Needle::new(secret);
    leaks::is_silent(&needle, &outcome.stdout);
    leaks::is_silent(&needle, outcome.stderr.as_bytes());
    let found = needle.below(scene.dir()).into_iter();
    let found: Vec<String> = found.filter(|place| !kept.iter().any(|name| place.ends_with(name))).collect();
    assert!(found.is_empty(), "{secret} is in {found:?}");
}

/// Runs with every secret planted, through a proxy of its own, with the words of `-v` and those of `--json`.
fn planted(handler: impl Fn(&Request, &mut Reply) + Send + Sync + 'static, hold: bool) {
    let scene = Scene::new().at("/file.bin?X-Amz-Signature=TOKEN&token=TOKEN#TOKEN");
    let proxy = format!("http://me:SECRET@127.0.0.1:{}", scene.origin.port());
    let url = scene.url().replace("http://", "http://me:SECRET@");
    let args = |more: &'static str| {
        [&["-x4", "--timeout", "0.2", "--retry", "2", "--proxy", &proxy, more], &GIVEN[..]].concat()
    };
    if hold {
        scene.hold(LEN / 2, &args("-q"));
        assert!(scene.path("file.bin.thence").exists());
    }
    scene.serve(handler);
    for more in ["-v", "--json", "-q"] {
        let args = args(more);
        let outcome = scene.run_bare(&[&args[..], &[url.as_str()]].concat());
        is_silent(&scene, &outcome, "SECRET", &[]);
        is_silent(&scene, &outcome, "TOKEN", &["file.bin.thence"]);
    }
    let status = scene.run_bare(&["status"]);
    is_silent(&scene, &status, "SECRET", &[]);
    is_silent(&scene, &status, "TOKEN", &["file.bin.thence"]);
}

#[test]
fn log_01_no_secret_is_written_on_any_error_path() {
    for (_, handler) in error_paths() {
        planted(handler, false);
    }
}

#[test]
fn log_01_no_secret_is_written_on_any_error_path_of_a_resume() {
    for (_, handler) in error_paths() {
        planted(handler, true);
    }
}

#[test]
fn log_01_no_secret_is_written_by_a_good_run() {
    let file = Scene::new().file;
    planted(honest::handler(&file), false);
}

#[test]
fn log_01_no_secret_is_written_when_the_digest_is_wrong() {
    let scene = Scene::new().at("/file.bin?token=TOKEN");
    let digest = format!("sha-256:{}", "0".repeat(64));
    let outcome = scene.run(&[&["--checksum", &digest, "-v"], &GIVEN[..]].concat()).refused(32);
    is_silent(&scene, &outcome, "SECRET", &[]);
    is_silent(&scene, &outcome, "TOKEN", &["file.bin.thence"]);
}

/// What every test of the harness rests on: the secret it plants is used, and is looked for at each end.
#[test]
fn log_01_the_planted_secret_goes_to_its_origin_and_is_found_where_it_should_not_be() {
    let scene = Scene::new();
    scene.run(&["-x2"]).whole();
    let sent = scene.requests()[0].header("authorization").unwrap_or_default().to_owned();
    assert!(scene.canary().needle().is_in(sent.as_bytes()), "{sent}");
    let cookie = scene.requests()[0].header("cookie").unwrap_or_default().to_owned();
    assert!(scene.canary().needle().is_in(cookie.as_bytes()), "{cookie}");
    assert_eq!(scene.canary().found(), [""; 0]);
    let path = scene.path("leak");
    fs::write(&path, &sent).unwrap();
    assert_eq!(scene.canary().found(), [format!("the file {}", path.display())]);
    fs::remove_file(path).unwrap();
}

#[test]
fn log_02_a_query_is_masked_wherever_it_is_shown_and_kept_private() {
    let scene = Scene::new().at("/file.bin?X-Amz-Signature=TOKEN");
    scene.hold(LEN / 2, &[]);
    let mode = fs::metadata(scene.path("file.bin.thence")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let outcome = scene.run_bare(&["status"]).says_not("TOKEN");
    assert!(String::from_utf8_lossy(&outcome.stdout).contains("X-Amz-Signature=***"));
    scene.serve(|_, out| {
        out.answer(404, "", "");
    });
    scene.run(&["-v"]).refused(35).says("X-Amz-Signature=***").says_not("TOKEN");
    scene.honest();
    let outcome = scene.run(&["-v"]).whole();
    is_silent(&scene, &outcome, "TOKEN", &[]);
}

#[test]
fn log_05_what_a_server_says_cannot_reach_the_terminal() {
    let evil = "\u{1b}]52;c;eA==\u{7}\u{9b}31m\u{202e}";
    let places: Vec<Handler> = vec![
        Box::new(move |_, out| {
            out.answer(302, &format!("Location: ftp://h/{evil}"), "");
        }),
        Box::new(move |_, out| {
            out.answer(302, &format!("Location: http://h{evil}/"), "");
        }),
        Box::new(move |_, out| {
            out.raw(format!("HTTP/1.1 404 {evil}\r\nContent-Length: 0\r\n\r\n"));
        }),
        Box::new(move |_, out| {
            out.head(206, &format!("Content-Range: {evil}"));
        }),
        Box::new(move |_, out| {
            out.head(200, &format!("Content-Encoding: {evil}"));
        }),
        Box::new(move |_, out| {
            out.head(200, &format!("Transfer-Encoding: {evil}"));
        }),
        Box::new(move |_, out| {
            out.head(200, &format!("Content-Length: {evil}"));
        }),
        Box::new(move |_, out| {
            let name = "a\u{202e}b\u{9b}c";
            {
                out.answer(200, &format!("Content-Disposition: attachment; filename=\"{name}\""), "x");
            };
        }),
    ];
    for (index, place) in places.into_iter().enumerate() {
        let scene = Scene::new();
        scene.serve(place);
        for words in ["-v", "--json"] {
            let outcome = scene.run(&[words, "--retry", "1"]);
            let all = format!("{}{}", outcome.stderr, String::from_utf8_lossy(&outcome.stdout));
            let bad = all.chars().find(|&c| (c.is_control() && c != '\n') || c == '\u{202e}');
            assert_eq!(bad, None, "place {index}: {all:?}");
        }
    }
}

/// bWU6UEFTUw== is `me:PASS`.
#[test]
fn crd_05_a_netrc_that_others_can_read_is_named_and_the_environment_asked() {
    let scene = Scene::new().env("THENCE_PASSWORD", "PASS");
    let netrc = scene.home().join(".netrc");
    fs::write(&netrc, "machine 127.0.0.1 login me password NOT-THIS\n").unwrap();
    fs::set_permissions(&netrc, Permissions::from_mode(0o644)).unwrap();
    let (one, two) = (scene.origin.url("/one.bin"), scene.origin.url("/two.bin"));
    let words = ["-x1", "--auth", "basic", "--user", "me", &one, &two];
    let outcome = scene.run_bare(&words).says(".netrc: not used: others can read");
    outcome.code(0);
    assert!(!scene.requests().is_empty());
    for request in scene.requests() {
        assert_eq!(request.header("authorization"), Some("Basic bWU6UEFTUw=="), "{}", request.target);
    }
}
