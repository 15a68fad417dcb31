//! Rows TLS: whom the program believes, on every connection.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use std::sync::OnceLock;

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
