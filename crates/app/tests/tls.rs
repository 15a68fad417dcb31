//! Rows TLS: whom the program believes, on every connection.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, OnceLock};
use std::thread;

use harness::{LEN, Scene};
use thence_origin::ca::{Authority, Kind, Leaf, ServerConfig};
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
    comes_back_as(scene, authority().leaf(kind).config());
}

fn comes_back_as(scene: &mut Scene, config: Arc<ServerConfig>) {
    let port = scene.origin.port();
    drop(std::mem::replace(&mut scene.origin, Origin::start(|_, _| ())));
    scene.origin = Origin::start_at(port, Some(config), honest::handler(&scene.file));
}

/// An origin that asks who we are, and turns away who does not say if they `must`.
fn asking(must: bool) -> Scene {
    let mut scene = scene(Kind::Good);
    comes_back_as(&mut scene, authority().leaf(Kind::Good).asking(authority(), must));
    scene
}

/// The options that say it.
fn shown(own: &Leaf) -> [&str; 4] {
    ["--certificate", own.cert.to_str().unwrap(), "--private-key", own.key.to_str().unwrap()]
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

#[test]
fn a_client_certificate_serves_every_lane_and_every_run() {
    let (scene, own) = (asking(true), authority().leaf(Kind::Good));
    scene.run(&[&["-x4"], &shown(&own)[..]].concat()).whole();
    let requests = scene.requests();
    assert!(!requests.is_empty() && requests.iter().all(|request| request.certified));
    // The key in the same file, and the mirror that wants it too.
    let both = scene.home().join("both.pem");
    fs::write(&both, [&own.key, &own.cert].map(|path| fs::read_to_string(path).unwrap()).concat()).unwrap();
    fs::set_permissions(&both, Permissions::from_mode(0o600)).unwrap();
    let gone = Origin::start(|_, out| {
        out.answer(404, "", "");
    });
    let words = ["-o", "again", "--certificate", both.to_str().unwrap(), "--mirror", &scene.url()];
    scene.run_bare(&[&[gone.url("/file.bin").as_str()], &words[..]].concat()).code(0);
    assert_eq!(fs::read(scene.path("again")).unwrap(), scene.bytes());
}

#[test]
fn a_server_that_wants_a_client_certificate_is_said_to_and_what_to_do() {
    let stranger = Authority::named("theirs");
    let stranger = stranger.leaf(Kind::Good);
    let scene = asking(true);
    scene.run(&["-x4"]).refused(38).says("wants a client certificate").says("--certificate");
    scene.run(&shown(&stranger)).refused(38).says("does not accept the client certificate");
    assert_eq!(scene.requests(), []);
}

#[test]
fn crd_01_a_client_certificate_stays_at_its_origin() {
    let (scene, own) = (asking(false), authority().leaf(Kind::Good));
    let target = scene.url();
    let first = Origin::start_tls(authority().leaf(Kind::Good).asking(authority(), false), move |_, out| {
        out.answer(302, &format!("Location: {target}"), "");
    });
    let url = first.url("/file.bin");
    scene.run_bare(&[&["-x4"], &shown(&own)[..], &[url.as_str()]].concat()).whole();
    assert!(first.requests().iter().all(|request| request.certified));
    let there = scene.requests();
    assert!(!there.is_empty() && there.iter().all(|request| !request.certified));
}

#[test]
fn a_certificate_or_key_that_cannot_be_used_is_named_before_anything_is_asked() {
    let (scene, own) = (asking(true), authority().leaf(Kind::Good));
    let file = |text: &str, mode| {
        let path = scene.home().join("key.pem");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let refused = |key: &str| {
        let cert = own.cert.to_str().unwrap();
        scene.run(&["--certificate", cert, "--private-key", key]).refused(28).says(key)
    };
    refused(&file(&fs::read_to_string(&own.key).unwrap(), 0o640)).says("chmod 600");
    refused(&file("-----BEGIN ENCRYPTED PRIVATE KEY-----\n", 0o600)).says(":1: ").says("openssl pkey -in");
    refused(&file("no key", 0o600)).says("holds no private key");
    let other = authority().leaf(Kind::Good).key;
    refused(other.to_str().unwrap()).says("does not belong to the certificate");
    scene.run(&["--certificate", "/none.pem"]).refused(28).says("/none.pem");
    scene.run(&["--private-key", "/none.pem"]).refused(28).says("--certificate");
    assert_eq!(scene.requests(), []);
}

/// Over TLS by the name `localhost`, whose answers say that they are to be had by https only; `policy` is how.
fn strict(policy: &str) -> (Scene, String) {
    let scene = scene(Kind::Good);
    scene.file.change(|served| {
        served.extra = vec![("Strict-Transport-Security".to_owned(), policy.to_owned())];
    });
    let secure = scene.origin.url_as("localhost", "/file.bin");
    (scene, secure)
}

fn in_the_clear(url: &str) -> String {
    url.replacen("https://", "http://", 1)
}

#[test]
fn tls_07_a_host_that_said_so_is_never_asked_by_http_again() {
    let (scene, secure) = strict("max-age=31536000");
    let clear = in_the_clear(&secure);
    // A plain request to a TLS port ends badly.
    scene.run_bare(&["--retry", "0", "-o", "0", &clear]).refused(22);
    scene.run_bare(&["-o", "1", &secure]).code(0);
    let file = scene.home().join(".local/state/thence/hsts");
    assert!(fs::read_to_string(&file).unwrap().contains("\nlocalhost "));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let said = scene.run_bare(&["-v", "-x8", "-H", "X-Key: mine", "-o", "2", &clear]);
    said.code(0);
    let said = said.says("https://localhost").says("asked by https");
    assert_eq!(said.stderr.matches("asked by https").count(), 1, "{}", said.stderr);
    assert_eq!(fs::read(scene.path("2")).unwrap(), scene.bytes());
    assert_eq!(scene.requests().last().unwrap().header("x-key"), Some("mine"), "what is for it is for it");
    // Whether it is led there, from within TLS too, or finds it in a list.
    let away = Origin::start_tls(authority().leaf(Kind::Good).config(), {
        let clear = clear.clone();
        move |_, out| {
            out.answer(302, &format!("Location: {clear}"), "");
        }
    });
    scene.run_bare(&["-o", "3", &away.url("/")]).code(0);
    fs::write(scene.path("list"), format!("{clear}?a\n out=4\n{clear}?b\n out=5\n")).unwrap();
    let told = scene.run_bare(&["-i", "list", "--json"]);
    told.code(0);
    assert_eq!(told.events("secured").len(), 1);
    scene.run_bare(&["--retry", "0", "--no-hsts", "-o", "6", &clear]).refused(22);
}

#[test]
fn tls_07_what_cannot_be_believed_is_not_kept_and_what_ended_is_forgotten() {
    let (scene, secure) = strict("max-age=31536000");
    let kept = scene.path("kept");
    let with = |more: &[&str]| scene.run_bare(&[&["--hsts-file", kept.to_str().unwrap()], more].concat());
    with(&["--insecure", "-o", "0", &secure]).code(0);
    with(&["-o", "1", &scene.url()]).code(0);
    assert!(!kept.exists(), "who was not verified said it, or an address");
    fs::write(&kept, "localhost 1000000000\n").unwrap();
    with(&["--retry", "0", "-o", "2", &in_the_clear(&secure)]).refused(22);
    with(&["-o", "3", &secure]).code(0);
    with(&["-o", "4", &in_the_clear(&secure)]).code(0);
    scene.file.change(|served| served.extra[0].1 = "max-age=0".to_owned());
    with(&["-o", "5", &in_the_clear(&secure)]).code(0);
    with(&["--retry", "0", "-o", "6", &in_the_clear(&secure)]).refused(22);
}

#[test]
fn r64_another_file_is_not_taken_for_one_of_hosts() {
    let (scene, secure) = strict("max-age=31536000");
    fs::write(scene.path("letters"), "Dear sir,\n").unwrap();
    scene.run_bare(&["--hsts-file", "letters", &secure]).refused(28).says("letters").says("left as it is");
    assert_eq!(fs::read_to_string(scene.path("letters")).unwrap(), "Dear sir,\n");
    assert_eq!(scene.requests(), []);
}
