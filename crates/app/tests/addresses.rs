//! Hosts that are several machines (demand 44, R70): lanes of one download are at all of them, and one that is dead, slow
//! or has another version costs neither what is held nor a new beginning.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use std::net::{SocketAddr, TcpListener};

use harness::{LEN, Outcome, Scene};
use thence_origin::{Origin, Reply, Request, Served, Shared, files, honest};

/// The host's name.
const HOST: &str = "files.example";

/// A host whose first address is the scene's origin, and whose second is another.
struct Host {
    scene: Scene,
    second: Option<Origin>,
}

impl Host {
    fn new(second: impl Fn(&Request, &mut Reply) + Send + Sync + 'static) -> Host {
        Host::of(Scene::new(), Some(second))
    }

    fn of<H>(scene: Scene, second: Option<H>) -> Host
    where
        H: Fn(&Request, &mut Reply) + Send + Sync + 'static,
    {
        let address = SocketAddr::from(([127, 0, 0, 2], scene.origin.port()));
        let second = second.map(|handler| Origin::start_on(TcpListener::bind(address).unwrap(), handler));
        Host { scene, second }
    }

    fn url(&self) -> String {
        self.scene.origin.url_as(HOST, "/file.bin")
    }

    /// Runs with what the host's name has, the first address first.
    fn run(&self, args: &[&str]) -> Outcome {
        self.run_at("127.0.0.1,127.0.0.2", args)
    }

    fn run_at(&self, addresses: &str, args: &[&str]) -> Outcome {
        let (port, url) = (self.scene.origin.port(), self.url());
        let pin = format!("{HOST}:{port}:{addresses}");
        self.scene.run_bare(&[&["--proxy", "none", "--resolve", &pin], args, &[url.as_str()]].concat())
    }

    /// Requests that the second address got.
    fn second(&self) -> usize {
        self.second.as_ref().map_or(0, |second| second.requests().len())
    }
}

/// What holds whatever the second address does: the file is whole, it was begun once, and nothing came twice.
#[track_caller]
fn came_whole(outcome: Outcome) -> Outcome {
    let outcome = outcome.whole();
    assert!(outcome.events("changed").is_empty(), "begun anew");
    let wire = outcome.events("done")[0]["wire_bytes"].as_u64().unwrap();
    // What a node that is left in the midst of a body had sent of its block may come again.
    assert!(wire <= LEN + (512 << 10), "{wire} bytes for {LEN}");
    outcome
}

/// The second address was asked, and then left out, once.
#[track_caller]
fn was_left_out(host: &Host, outcome: &Outcome, why: &str) {
    assert!(host.second() > 0, "nobody was there");
    let left = outcome.events("left_out");
    let [event] = &left[..] else { panic!("{left:?}") };
    assert_eq!((event["address"].as_str(), event["why"].as_str()), (Some("127.0.0.2"), Some(why)));
    assert_eq!(event["host"], format!("{HOST}:{}", host.scene.origin.port()));
}

/// Another version of the same length.
fn stale() -> Shared {
    let mut served = Served::new(files::content(2, LEN as usize));
    served.etag = Some("\"stale\"".into());
    Shared::new(served)
}

#[test]
fn lanes_are_spread_over_addresses_that_serve_the_same() {
    let scene = Scene::new();
    let file = scene.file.clone();
    let host = Host::of(scene, Some(honest::handler(&file)));
    let outcome = came_whole(host.run(&["-x6", "--json"]));
    assert!(outcome.events("left_out").is_empty());
    assert!(host.second() > 0 && !host.scene.requests().is_empty());
}

#[test]
fn a_lone_lane_stays_where_it_was_served() {
    let host = Host::new(honest::handler(&stale()));
    // Its connection breaks off again and again.
    let file = host.scene.file.clone();
    host.scene.serve(move |request, out| {
        let mut answer = file.now().answer(request);
        out.head(answer.status, &answer.head());
        answer.span.1 = answer.span.1.min(answer.span.0 + LEN / 4);
        answer.send_body(out);
        out.cut();
    });
    let outcome = came_whole(host.run(&["-x1", "--json"]));
    assert!(outcome.events("left_out").is_empty());
    assert_eq!(host.second(), 0, "nobody was there");
    assert!(host.scene.requests().len() >= 4);
}

#[test]
fn an_address_with_another_version_is_left_out() {
    let host = Host::new(honest::handler(&stale()));
    let outcome = came_whole(host.run(&["-x6", "--json"]));
    was_left_out(&host, &outcome, "it has another version of the file");
    let host = Host::new(honest::handler(&stale()));
    host.run(&["-x6", "-v"])
        .whole()
        .says("127.0.0.2 of files.example")
        .says("is left out: it has another version");
}

#[test]
fn an_address_that_is_down_or_refuses_is_left_out() {
    let host = Host::of(Scene::new(), None::<fn(&Request, &mut Reply)>);
    came_whole(host.run(&["-x6", "--json"]));
    for status in [403, 404, 500, 503] {
        let host = Host::new(move |_, out| {
            out.answer(status, "", "");
        });
        let outcome = came_whole(host.run(&["-x6", "--json"]));
        was_left_out(&host, &outcome, "it cannot serve the file");
        assert!(outcome.events("narrowed").is_empty(), "{status} is no word of the host's");
    }
    let host = Host::new(|_, out| out.cut());
    let outcome = came_whole(host.run(&["-x6", "--json"]));
    was_left_out(&host, &outcome, "it cannot serve the file");
}

#[test]
fn an_address_that_breaks_off_or_is_slow_loses_nothing() {
    for how in ["cuts", "trickles"] {
        let scene = Scene::new();
        let file = scene.file.clone();
        let host = Host::of(
            scene,
            Some(move |request: &Request, out: &mut Reply| {
                let mut answer = file.now().answer(request);
                out.head(answer.status, &answer.head());
                if how == "trickles" {
                    answer.rate = Some(20_000);
                } else {
                    answer.span.1 = answer.span.1.min(answer.span.0 + 10_000);
                }
                answer.send_body(out);
                out.cut();
            }),
        );
        // Fast enough to be there long after the others, and slow enough to be met by all.
        host.scene.file.change(|served| served.rate = Some(LEN));
        came_whole(host.run(&["-x4", "--json"]));
        assert!(host.second() > 0, "{how}");
    }
}

#[test]
fn a_run_that_goes_on_finds_the_address_that_has_its_version() {
    let scene = Scene::new();
    let held = scene.file.now();
    let host = Host::of(scene, Some(honest::handler(&Shared::new(held.clone()))));
    let (pin, url) = (format!("{HOST}:{}:127.0.0.2", host.scene.origin.port()), host.url());
    let slow = ["--proxy", "none", "--resolve", &pin, "--limit-rate", "1M", "-x1", &url];
    let running = host.scene.start_bare(&slow);
    running.holds(LEN / 4);
    running.kill();
    let before = host.second();
    // The first address has another version meanwhile.
    host.scene.file.swap(stale().now());
    let outcome = host.run(&["-x4", "--json"]);
    outcome.code(0);
    assert!(outcome.events("changed").is_empty(), "begun anew");
    let got = outcome.left["file.bin"].clone().unwrap();
    assert!(got == held.body.bytes(0, LEN), "not the version that was held");
    assert!(host.second() > before && !host.scene.requests().is_empty());
}
