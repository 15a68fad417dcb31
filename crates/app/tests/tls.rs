//! Rows TLS: whom the program believes, on every connection.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::OnceLock;
use std::thread;

use harness::{LEN, Scene};
use thence_origin::ca::{Authority, Kind};
use thence_origin::{Origin, honest};

fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(Authority::new)
}

/// An origin with a certificate of that kind; the program trusts the authority.
fn scene(kind: Kind) -> Scene {
    Scene::tls(&authority().leaf(kind)).with(&["--cacert", authority().cacert().to_str().unwrap()])
}

const BAD: [Kind; 6] =
    [Kind::SelfSigned, Kind::WrongHost, Kind::Expired, Kind::NotYet, Kind::NameOnly, Kind::AddressAsName];

/// The same origin comes back with another certificate.
fn comes_back(scene: &mut Scene, kind: Kind) {
    let port = scene.origin.port();
    drop(std::mem::replace(&mut scene.origin, Origin::start(|_, _| ())));
    let config = authority().leaf(kind).config();
    scene.origin = Origin::start_at(port, Some(config), honest::handler(&scene.file));
}

#[test]
fn tls_01_a_good_certificate_serves_every_lane() {
    scene(Kind::Good).run(&["-x4"]).whole();
}

#[test]
fn tls_01_a_bad_certificate_is_refused_at_once() {
    for kind in BAD {
        let scene = scene(kind);
        scene.run(&["-x4"]).refused(38).says("certificate");
        assert_eq!(scene.requests(), [], "{kind:?} was asked");
    }
}

#[test]
fn tls_01_an_unknown_authority_is_refused() {
    let scene = Scene::tls(&authority().leaf(Kind::Good));
    scene.run(&["-x4"]).refused(38).says("certificate");
    assert_eq!(scene.requests(), []);
}

#[test]
fn tls_01_a_bad_certificate_is_refused_on_a_resume() {
    for kind in BAD {
        let mut scene = scene(Kind::Good);
        scene.hold(LEN / 2, &["-x1"]);
        let held = scene.held();
        comes_back(&mut scene, kind);
        scene.run(&["-x4"]).refused(38).says("certificate");
        assert_eq!(scene.held(), held, "{kind:?}");
        comes_back(&mut scene, Kind::Good);
        scene.run(&["-x4"]).whole();
    }
}

#[test]
fn tls_01_a_bad_certificate_is_refused_on_every_later_connection() {
    let mut scene = scene(Kind::Good);
    scene.file.change(|served| served.rate = Some(256 << 10));
    let url = scene.url();
    let child = scene.command().args(["-q", "-x8", "--cacert"]).arg(authority().cacert()).arg(url).spawn();
    harness::until("lanes are at work", || scene.requests().len() >= 4);
    comes_back(&mut scene, Kind::SelfSigned);
    let status = child.unwrap().wait().unwrap();
    assert_eq!(status.code(), Some(38));
    assert_eq!(scene.origin.requests(), []);
    assert!(!scene.path("file.bin").exists() && scene.path("file.bin.part").exists());
}

#[test]
fn tls_01_insecure_is_said() {
    let scene = scene(Kind::SelfSigned);
    scene.run(&["-x4", "--insecure"]).whole().says("insecure");
}

#[test]
fn tls_06_a_redirect_out_of_tls_is_refused() {
    let scene = scene(Kind::Good);
    let plain = Origin::start(honest::handler(&scene.file));
    let target = plain.url("/file.bin");
    scene.serve(move |_, out| {
        out.answer(302, &format!("Location: {target}"), "");
    });
    scene.run(&["-x4"]).refused(23);
    assert_eq!(plain.requests(), []);
}

/// What the program does with a server that answers a handshake so: version, cipher suite.
fn hello(version: u16, suite: u16) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("https://{}/file.bin", listener.local_addr().unwrap());
    // It ends with the program, whose connections are closed then; an accept that never comes ends with the tests.
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let _hello = socket.read(&mut [0; 4096]);
            let mut body = [&version.to_be_bytes()[..], &[7; 32], &[0], &suite.to_be_bytes(), &[0]].concat();
            let mut message = vec![2, 0, 0, body.len() as u8];
            message.append(&mut body);
            let record = [&[22, 3, 1, 0, message.len() as u8][..], &message].concat();
            let _gone = socket.write_all(&record).and_then(|()| socket.read(&mut [0; 4096]));
        }
    });
    Scene::new().run_bare(&["--insecure", "--retry", "1", "-o", "file.bin", &url]).refused(38);
}

#[test]
fn tls_03_old_versions_are_refused() {
    // TLS 1.0 and 1.1 with a suite that they knew, and SSL 3.
    for version in [0x0300, 0x0301, 0x0302] {
        hello(version, 0x002f);
    }
}

#[test]
fn tls_03_suites_without_encryption_and_for_export_are_refused() {
    // NULL with MD5 and SHA, RC4 and DES cut down for export.
    for suite in [0x0001, 0x0002, 0x0003, 0x0008] {
        hello(0x0303, suite);
    }
}

#[test]
fn tls_05_what_insecure_let_in_is_verified_on_the_next_run_and_stays_marked() {
    let scene = Scene::tls(&authority().leaf(Kind::SelfSigned));
    scene.hold(LEN / 2, &["-x1", "--insecure"]);
    let held = scene.held();
    scene.honest();
    scene.run(&["-x4"]).refused(38).says("certificate");
    assert_eq!((scene.held(), scene.requests().len()), (held, 0));
    scene.run_bare(&["status"]).shows("insecure: came without a verified certificate");
    scene.run(&["-x4", "--insecure"]).whole();
}

#[test]
fn tls_10_certificates_without_measure_end() {
    for kind in [Kind::ManyNames, Kind::ManyConstraints, Kind::LongChain] {
        let scene = scene(kind);
        let (outcome, memory) = scene.start(&["-x4"]).end_with_memory();
        // The names and the chain are too many, not wrong; the constraints forbid the name.
        if kind != Kind::ManyConstraints && outcome.code == Some(0) {
            outcome.whole();
        } else {
            outcome.refused(38);
        }
        assert!(memory < 64 << 20, "{kind:?}: {memory} bytes of memory");
    }
}
