//! Digest authentication (RFC 7616) over lanes, nonces that go stale, and servers that ask for more than they should get.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use std::collections::HashSet;

use harness::{LEN, Scene};
use thence_origin::ca::{Authority, Kind};
use thence_origin::logins::Guard;
use thence_origin::{Origin, Reply, Request, Served, files, honest};

const USER: [&str; 2] = ["--user", "me:SECRET"];

fn guard() -> Guard {
    Guard::new("me", "SECRET")
}

/// A file that is long under way, for those whom the guard lets in.
fn guarded(guard: Guard) -> Scene {
    let scene = Scene::of(Served { rate: Some(4 << 20), ..Served::new(files::content(4, 16 << 20)) });
    scene.serve(guard.watch(honest::handler(&scene.file)));
    scene
}

/// What the requests said of their user.
fn said(scene: &Scene) -> Vec<Option<String>> {
    scene.requests().iter().map(|request| request.header("authorization").map(str::to_owned)).collect()
}

/// A parameter of an answer.
fn parameter<'a>(answer: &'a str, name: &str) -> &'a str {
    let (_, rest) = answer.split_once(&format!(" {name}=")).unwrap();
    rest.split(',').next().unwrap().trim_matches('"')
}

/// Nonce and count of each answer; none may come twice.
fn counts(scene: &Scene) -> Vec<(String, String)> {
    let answers: Vec<String> = said(scene).into_iter().flatten().collect();
    let count = |answer: &String| (parameter(answer, "nonce").to_owned(), parameter(answer, "nc").to_owned());
    let all: Vec<(String, String)> = answers.iter().map(count).collect();
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len(), "{all:?}");
    all
}

/// Nothing but the password in clear is worse than no file.
#[track_caller]
fn never_in_clear(scene: &Scene) {
    let said = said(scene);
    let basic = said.iter().flatten().filter(|value| value.starts_with("Basic")).count();
    assert_eq!(basic, 0, "{said:?}");
}

#[test]
fn crd_01_digest_lets_all_lanes_in_by_one_nonce() {
    for algorithm in ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess"] {
        let scene = guarded(guard().algorithm(algorithm).beside("Basic realm=\"x\""));
        scene.run(&[&["-x8"], &USER[..]].concat()).whole();
        let said = said(&scene);
        assert!(said.len() >= 8 && said[0].is_none() && said[1..].iter().all(Option::is_some), "{said:?}");
        let counts = counts(&scene);
        assert!(counts.iter().all(|(nonce, _)| *nonce == counts[0].0), "{algorithm}: {counts:?}");
        never_in_clear(&scene);
    }
}

#[test]
fn a_run_that_goes_on_answers_anew() {
    let scene = Scene::new();
    scene.hold(LEN / 2, &[&["-x1"], &USER[..]].concat());
    scene.serve(guard().watch(honest::handler(&scene.file)));
    scene.run(&[&["-x4"], &USER[..]].concat()).whole().says("goes on");
    assert!(scene.requests().iter().any(|request| request.first() >= LEN / 2));
    never_in_clear(&scene);
}

#[test]
fn a_stale_nonce_is_replaced_and_is_no_failure() {
    let scene = guarded(guard().lives(3));
    scene.run(&[&["-x8", "-v", "--retry", "0"], &USER[..]].concat()).whole().says_not("again");
    let nonces: HashSet<String> = counts(&scene).into_iter().map(|(nonce, _)| nonce).collect();
    assert!(nonces.len() > 2, "{nonces:?}");
}

#[test]
fn a_server_that_wants_counts_in_order_is_content_with_every_lane() {
    let scene = guarded(guard().in_order());
    scene.run(&[&["-x8", "--retry", "0"], &USER[..]].concat()).whole();
    counts(&scene);
}

#[test]
fn a_nonce_for_one_request_each_is_enough() {
    let scene = guarded(guard().lives(1));
    scene.run(&[&["-x4", "--retry", "0"], &USER[..]].concat()).whole();
    counts(&scene);
}

/// Told in time, the next nonce spares the refusal.
#[test]
fn the_next_nonce_is_taken_from_the_answer() {
    let scene = Scene::new();
    let guard = std::sync::Arc::new(guard().lives(1).tells_next());
    let (file, asker) = (scene.file.clone(), guard.clone());
    scene.serve(move |request, out| match guard.judge(request) {
        thence_origin::logins::Verdict::Right => {
            file.change(|served| served.extra = asker.info().into_iter().collect());
            honest::handler(&file)(request, out);
        }
        _ => {
            out.answer(401, &asker.asks(false), "");
        }
    });
    let (one, two, three) =
        (scene.origin.url("/one.bin"), scene.origin.url("/two.bin"), scene.origin.url("/three.bin"));
    scene.run_bare(&[&["-x1", "-j1"], &USER[..], &[&one, &two, &three]].concat()).code(0);
    let said = said(&scene);
    assert_eq!(said.iter().filter(|said| said.is_none()).count(), 1, "{said:?}");
    assert_eq!(said.len(), 4, "no request of the second and third was refused: {said:?}");
}

#[test]
fn a_wrong_password_is_tried_once() {
    let scene = guarded(guard().beside("Basic realm=\"x\""));
    scene.run(&["-x4", "--user", "me:OTHER"]).refused(24).says("authorization required (status 401)");
    assert_eq!(scene.requests().len(), 2);
    never_in_clear(&scene);
}

#[test]
fn crd_01_another_origins_challenge_gets_nothing() {
    let scene = Scene::new();
    let other = Origin::start(guard().beside("Basic realm=\"x\"").watch(honest::handler(&scene.file)));
    let target = other.url("/target");
    scene.serve(move |_, out| {
        out.answer(302, &format!("Location: {target}"), "");
    });
    for auth in ["any", "basic", "digest"] {
        scene.run(&[&["-x4", "--auth", auth], &USER[..]].concat()).refused(24);
    }
    assert!(other.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn crd_03_a_field_of_the_users_own_answers_for_itself() {
    let scene = guarded(guard());
    scene.run(&[&["-H", "Authorization: Bearer MINE"], &USER[..]].concat()).refused(24);
    assert_eq!(said(&scene), [Some("Bearer MINE".to_owned())]);
}

#[test]
fn in_clear_basic_is_sent_where_nothing_better_is_offered_or_it_was_asked_for() {
    let asks = |request: &Request, out: &mut Reply| match request.header("authorization") {
        Some("Basic bWU6U0VDUkVU") => true,
        _ => {
            out.answer(401, "WWW-Authenticate: Negotiate\nWWW-Authenticate: Basic realm=\"x\"", "");
            false
        }
    };
    let scene = Scene::new();
    let serve = honest::handler(&scene.file);
    scene.serve(move |request, out| {
        if asks(request, out) {
            serve(request, out)
        }
    });
    scene.run(&[&["-x4"], &USER[..]].concat()).whole();
    let said = said(&scene);
    assert!(said[0].is_none() && said[1..].iter().all(Option::is_some), "asked once: {said:?}");
    std::fs::remove_file(scene.path("file.bin")).unwrap();
    let before = scene.requests().len();
    scene.run(&[&["-x4", "--auth", "basic"], &USER[..]].concat()).whole();
    assert!(scene.requests()[before..].iter().all(|request| request.header("authorization").is_some()));
    std::fs::remove_file(scene.path("file.bin")).unwrap();
    let before = scene.requests().len();
    scene.run(&[&["--auth", "digest"], &USER[..]].concat()).refused(24);
    assert_eq!(scene.requests().len(), before + 1);
}

/// Whoever stands between takes the challenge away, or spoils it: nothing is said in clear, and nothing goes on for ever.
#[test]
fn hostile_challenges_get_no_password() {
    let basic = "WWW-Authenticate: Basic realm=\"x\"\n";
    let huge =
        format!("WWW-Authenticate: Digest realm=\"x\", qop=\"auth\", nonce=\"{}\"", "n".repeat(60_000));
    let field = |text: &str| format!("{basic}WWW-Authenticate: Digest {text}");
    for (asks, requests) in [
        (huge, 1),
        (field("realm=\"x\", qop=\"auth\""), 1),
        (field("realm=\"x\", nonce=\"n\", qop=\"auth\", algorithm=SHA3-512"), 1),
        (field("realm=\"x\", nonce=\"n\", qop=\"auth-int\""), 1),
        (field("realm=\"x\", nonce=\"n\""), 1),
        // For ever stale.
        (field("realm=\"x\", nonce=\"n\", qop=\"auth\", stale=true"), 4),
        ("WWW-Authenticate: \"\",,=".to_owned(), 1),
        ("X-Nothing: asked".to_owned(), 1),
    ] {
        let (scene, fields) = (Scene::new(), asks.clone());
        scene.serve(move |_, out| {
            out.answer(401, &fields, "");
        });
        scene.run(&USER).refused(24);
        assert_eq!(scene.requests().len(), requests, "{:.99}", asks);
        never_in_clear(&scene);
    }
}

#[test]
fn who_has_offered_digest_gets_no_basic_in_clear() {
    let scene = Scene::new();
    let guarded = guard().watch(honest::handler(&scene.file));
    scene.serve(move |request, out| match request.number {
        0..=1 => guarded(request, out),
        _ => {
            out.answer(401, "WWW-Authenticate: Basic realm=\"x\"", "");
        }
    });
    let (one, two) = (scene.origin.url("/one.bin"), scene.origin.url("/two.bin"));
    scene.run_bare(&[&["-x1", "-j1"], &USER[..], &[&one, &two]].concat()).code(24);
    assert!(scene.requests().len() >= 3);
    never_in_clear(&scene);
}

#[test]
fn who_offers_digest_later_gets_no_basic_in_clear_from_then_on() {
    let scene = Scene::new();
    let (ask, serve) = (guard(), honest::handler(&scene.file));
    scene.serve(move |request, out| match (request.target.as_str(), request.header("authorization")) {
        ("/one.bin", Some(_)) => serve(request, out),
        ("/two.bin", _) => {
            out.answer(401, &ask.asks(false), "");
        }
        _ => {
            out.answer(401, "WWW-Authenticate: Basic realm=\"x\"", "");
        }
    });
    let urls = ["/one.bin", "/two.bin", "/three.bin"].map(|path| scene.origin.url(path));
    let words: Vec<&str> =
        ["-x1", "-j1"].into_iter().chain(USER).chain(urls.iter().map(String::as_str)).collect();
    scene.run_bare(&words).code(24);
    let after = scene.requests().iter().position(|request| request.target == "/three.bin").unwrap();
    assert!(said(&scene)[after..].iter().all(Option::is_none), "{:?}", said(&scene));
}

/// As it was: over TLS the password is the server's alone.
#[test]
fn over_tls_basic_is_said_at_once_and_digest_where_that_is_wanted() {
    let authority = Authority::new();
    let scene =
        Scene::tls(&authority.leaf(Kind::Good)).with(&["--cacert", authority.cacert().to_str().unwrap()]);
    scene.run(&USER).whole();
    assert_eq!(said(&scene)[0].as_deref(), Some("Basic bWU6U0VDUkVU"));
    std::fs::remove_file(scene.path("file.bin")).unwrap();
    scene.serve(guard().watch(honest::handler(&scene.file)));
    scene.run(&[&["-x4"], &USER[..]].concat()).whole();
    let said = said(&scene);
    assert!(said[0].as_deref().is_some_and(|said| said.starts_with("Basic")), "{said:?}");
    assert!(said[1..].iter().flatten().all(|said| said.starts_with("Digest")), "{said:?}");
    std::fs::remove_file(scene.path("file.bin")).unwrap();
    let before = scene.requests().len();
    scene.run(&[&["--auth", "digest"], &USER[..]].concat()).whole();
    assert_eq!(scene.requests()[before].header("authorization"), None);
}
