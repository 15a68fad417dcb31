//! Row NET-07 on real proxies: squid for HTTP and HTTPS, dante for SOCKS.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use std::fs;

use harness::{LEN, Scene};
use thence_origin::ca::{Authority, Kind};
use thence_origin::proxies::{LOGIN, Proxy};
use thence_origin::{Origin, disks, honest, real};

/// Whose password is another one.
const OTHER: (&str, &str) = ("lane", "OTHER-SECRET");

fn squid(asks: bool, authority: Option<&Authority>) -> Option<Proxy> {
    let leaf = authority.map(|authority| authority.leaf(Kind::Good));
    real::are_here(&["squid"]).then(|| Proxy::squid(asks, leaf.as_ref()))
}

/// dante with users of its own, where that can be had.
fn dante(asks: bool) -> Option<Proxy> {
    if asks && let Err(why) = disks::mounts() {
        println!("NOT RUN: dante with a password: {why}");
        return None;
    }
    real::are_here(&["danted"]).then(|| Proxy::dante(asks))
}

/// The origin was asked, and by nobody who showed what the proxy was given.
#[track_caller]
fn saw_no_login(scene: &Scene) {
    let asked = scene.requests();
    assert!(!asked.is_empty(), "the origin was not asked");
    for request in asked {
        let said = format!("{:?}", request.headers);
        assert!(request.header("proxy-authorization").is_none() && !said.contains("PROXY-SECRET"), "{said}");
    }
}

/// Fetches over four lanes; then half, killed, and the rest over four lanes.
fn fetches_and_goes_on(scene: Scene, proxy: &str, more: &[&str]) -> Scene {
    let through = [&["--proxy", proxy], more].concat();
    scene.run(&[&["-x4"], &through[..]].concat()).whole();
    fs::remove_file(scene.path("file.bin")).unwrap();
    scene.hold(LEN / 2, &[&["-x1"], &through[..]].concat());
    scene.honest();
    let outcome = scene.run(&[&["-x4", "--json"], &through[..]].concat()).whole();
    let done = &outcome.events("done")[0];
    assert!(done["wire_bytes"].as_u64() < Some(LEN), "it went on: {done}");
    assert!(scene.requests().iter().all(|request| request.first() > 0), "nothing before that is asked for");
    saw_no_login(&scene);
    scene
}

#[test]
fn net_07_http_goes_through_squid_and_is_gone_on_with() {
    for asks in [false, true] {
        let Some(proxy) = squid(asks, None) else { return };
        let url = if asks { proxy.url_with("http", LOGIN) } else { proxy.url("http") };
        let scene = fetches_and_goes_on(Scene::new(), &url, &[]);
        assert!(scene.requests().iter().all(|request| request.header("via").is_some()), "past the proxy");
        let asked = proxy.asked();
        assert!(asked.iter().any(|line| line.starts_with(&format!("GET {} 206", scene.url()))), "{asked:?}");
    }
}

#[test]
fn net_07_https_goes_through_a_tunnel_of_squid_that_is_shown_nothing() {
    let authority = Authority::new();
    let Some(proxy) = squid(true, None) else { return };
    let cacert = authority.cacert().to_string_lossy().into_owned();
    let more = ["--cacert", &cacert, "-H", "Authorization: Bearer SECRET", "-H", "Cookie: SECRET"];
    let scene = Scene::tls(&authority.leaf(Kind::Good));
    let scene = fetches_and_goes_on(scene, &proxy.url_with("http", LOGIN), &more);
    assert!(scene.requests().iter().all(|request| request.header("authorization") == Some("Bearer SECRET")));
    let asked = proxy.asked();
    assert!(asked.len() >= 4, "{asked:?}");
    for line in asked.iter().map(|line| line.to_ascii_lowercase()) {
        assert!(line.starts_with("connect 127.0.0.1:"), "{line}");
        assert_eq!(line.matches("authorization").count(), 1, "{line}");
        assert!(line.contains("proxy-authorization") && !line.contains("cookie"), "{line}");
    }
}

#[test]
fn net_07_a_proxy_over_tls_is_verified_and_takes_both_kinds_of_urls() {
    let authority = Authority::new();
    let Some(proxy) = squid(true, Some(&authority)) else { return };
    let cacert = authority.cacert().to_string_lossy().into_owned();
    let (url, more) = (proxy.url_with("https", LOGIN), ["--cacert", cacert.as_str()]);
    let scene = fetches_and_goes_on(Scene::new(), &url, &more);
    assert!(scene.requests().iter().all(|request| request.header("via").is_some()), "past the proxy");
    fetches_and_goes_on(Scene::tls(&authority.leaf(Kind::Good)), &url, &more);
    // Who is not known to be the proxy is given nothing.
    let before = proxy.asked();
    let scene = Scene::new();
    scene.run(&["--proxy", &url]).refused(38).says("proxy").says_not("SECRET");
    assert!(scene.requests().is_empty() && proxy.asked() == before);
}

#[test]
fn net_07_a_proxy_that_is_given_no_or_another_password_says_so_with_24() {
    let authority = Authority::new();
    let Some(proxy) = squid(true, None) else { return };
    let cacert = authority.cacert().to_string_lossy().into_owned();
    for scene in [Scene::new(), Scene::tls(&authority.leaf(Kind::Good))] {
        for url in [proxy.url("http"), proxy.url_with("http", OTHER)] {
            let outcome = scene.run(&["--cacert", &cacert, "--proxy", &url]);
            outcome.refused(24).says("the proxy refused").says("password").says_not("SECRET");
        }
        assert!(scene.requests().is_empty());
    }
    let Some(proxy) = dante(true) else { return };
    let scene = Scene::new();
    for url in [proxy.url("socks5"), proxy.url_with("socks5h", OTHER)] {
        let outcome = scene.run(&["--proxy", &url]);
        outcome.refused(24).says("the proxy refused").says("password").says_not("SECRET");
    }
    assert!(scene.requests().is_empty());
}

#[test]
fn net_07_both_go_through_dante_and_are_gone_on_with() {
    let authority = Authority::new();
    let cacert = authority.cacert().to_string_lossy().into_owned();
    for asks in [false, true] {
        let Some(proxy) = dante(asks) else { continue };
        for scheme in ["socks5", "socks5h"] {
            let url = if asks { proxy.url_with(scheme, LOGIN) } else { proxy.url(scheme) };
            fetches_and_goes_on(Scene::new(), &url, &[]);
            let scene = Scene::tls(&authority.leaf(Kind::Good));
            fetches_and_goes_on(scene, &url, &["--cacert", &cacert]);
        }
    }
}

/// A proxy that answers itself, with the scene's file.
fn forwarding(scene: &Scene) -> (Origin, String) {
    let proxy = Origin::start(honest::handler(&scene.file));
    let url = proxy.url("").replace("://", "://lane:PROXY-SECRET@");
    (proxy, url)
}

/// A proxy that nobody is at.
const DEAD: &str = "http://127.0.0.1:9";

#[test]
fn a_host_has_a_proxy_of_its_own_wherever_a_redirect_leads() {
    let scene = Scene::new();
    let (proxy, url) = forwarding(&scene);
    scene.serve(|_, out| {
        out.answer(302, "Location: http://files.example/file.bin", "");
    });
    scene.run(&["-x4", "--proxy-for", "files.example", &url]).whole();
    let asked = proxy.requests();
    assert!(!asked.is_empty());
    for request in &asked {
        assert_eq!(request.target, "http://files.example/file.bin");
        assert_eq!(request.header("proxy-authorization"), Some("Basic bGFuZTpQUk9YWS1TRUNSRVQ="));
    }
    saw_no_login(&scene);
    assert!(scene.requests().iter().all(|request| request.target == "/file.bin"), "straight");
}

#[test]
fn what_is_said_of_a_host_counts_before_what_is_said_of_all() {
    let scene = Scene::new();
    let port = scene.origin.port().to_string();
    let here = format!("127.0.0.1:{port}");
    scene.run(&["--proxy", DEAD, "--proxy-for", "127.0.0.1", "none"]).whole();
    fs::remove_file(scene.path("file.bin")).unwrap();
    // The last one counts, and another port is another place.
    let others =
        ["--proxy-for", "127.0.0.1", DEAD, "--proxy-for", &here, "none", "--proxy-for", "127.0.0.1:1", DEAD];
    scene.run(&others).whole();
    fs::remove_file(scene.path("file.bin")).unwrap();
    scene.run(&["--retry", "0", "--proxy-for", "127.0.0.1", DEAD]).refused(6).says("proxy 127.0.0.1:9");
    scene.run(&["--proxy-for", "127.0.0.1", "ftp://u:SECRET@h"]).code(28);
}

#[test]
fn an_entry_of_a_list_may_have_a_proxy_of_its_own() {
    let scene = Scene::new();
    let (proxy, url) = forwarding(&scene);
    let (far, here) = ("http://files.example/far.bin", scene.origin.url("/here.bin"));
    let list =
        format!("{far}\n  proxy={url}\n{here}\n  all-proxy=none\n{here}?2\n  proxy={DEAD}\n  out=dead\n");
    fs::write(scene.path("list"), list).unwrap();
    let outcome = scene.run_bare(&["-i", "list", "--retry", "0", "--proxy", DEAD]);
    outcome.code(6);
    let outcome = outcome.bytes("far.bin").bytes("here.bin").says("proxy 127.0.0.1:9");
    assert!(!outcome.left.contains_key("dead"));
    assert!(proxy.requests().iter().all(|request| request.target == far));
    saw_no_login(&scene);
    // The list of what failed still has it, so that the next run goes no other way.
    let failed = String::from_utf8(outcome.left["list.failed"].clone().unwrap()).unwrap();
    assert!(failed.contains(&format!("proxy={DEAD}")), "{failed}");
}

#[test]
fn a_proxy_of_the_environment_that_cannot_be_used_is_no_reason_to_go_straight() {
    let scene = Scene::new().env("http_proxy", "ftp://u:SECRET@h");
    scene.run(&[]).refused(28).says("$http_proxy").says_not("SECRET");
    assert!(scene.requests().is_empty());
    scene.run(&["--proxy", "none"]).whole();
}

#[test]
fn what_no_proxy_excepts_is_gone_to_straight() {
    // The canary's own proxy is one that nobody is at.
    for (excepted, goes) in
        [("127.0.0.0/8", true), ("example.org, 127.0.0.1", true), ("*", true), ("127.0.0.2", false)]
    {
        let scene = Scene::new().env("no_proxy", excepted);
        let outcome = scene.run(&["--retry", "0"]);
        assert_eq!(outcome.code == Some(0), goes, "{excepted}: {}", outcome.stderr);
    }
}
