//! The command against nginx, Apache httpd and Caddy: every size, plain, over TLS and over HTTP/2, with and without
//! ranges, interrupted and gone on with.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod servers_harness;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use rustix::process::Signal;
use servers_harness::{
    APACHE, CADDY, Ground, MIB, Make, NGINX, here, holds, large, same, set, thence, under_way,
};
use thence_origin::ca::Kind;
use thence_origin::{Origin, Served, Shared, files, honest};

const ALL: &[Make] = &[NGINX, APACHE, CADDY];

/// Long enough for some blocks to be held, short enough for the rest to be missing.
const A_WHILE: Duration = Duration::from_millis(400);

/// Fetches every file of the set at every number of lanes.
fn fetches_all(server: &str, url: impl Fn(&str) -> String, more: &[&str]) {
    for lanes in ["1", "4", "16"] {
        for (name, bytes) in set() {
            let (trial, url) = (thence(), url(&format!("/{name}")));
            let args = [&["-x", lanes, &url], more].concat();
            let ended = trial.run(&args);
            assert_eq!(ended.code, Some(0), "{server}, {name}, {lanes} lanes: {}", ended.said);
            holds(&trial, name, bytes);
        }
    }
}

#[test]
fn every_size_comes_over_http_1_1() {
    let ground = Ground::new();
    for (name, start) in here(ALL) {
        let server = start(&ground.site());
        fetches_all(name, |path| server.url(path), &[]);
    }
}

#[test]
fn every_size_comes_over_tls() {
    let ground = Ground::new();
    for (name, start) in here(ALL) {
        let server = start(&ground.secure());
        fetches_all(name, |path| server.tls_url(path), &["--cacert", &ground.cacert()]);
    }
}

#[test]
fn every_size_comes_from_a_server_that_speaks_only_http_2() {
    let ground = Ground::new();
    for (name, start) in here(&[APACHE]) {
        let server = start(&ground.secure().h2_only());
        fetches_all(name, |path| server.tls_url(path), &["--cacert", &ground.cacert()]);
    }
}

#[test]
fn a_server_with_another_authority_is_refused_with_38() {
    let ground = Ground::new();
    for (_, start) in here(&[NGINX]) {
        let (server, trial) = (start(&ground.secure()), thence());
        trial.run(&[&server.tls_url("/1")]).with(38).saying("certificate");
        assert!(trial.names().is_empty());
    }
}

/// nginx shakes hands with everybody and answers 400; httpd breaks off, under TLS 1.2 in the handshake, under 1.3 after it.
#[test]
fn a_server_that_wants_a_client_certificate_gets_it() {
    let ground = Ground::new();
    let (cacert, own) = (ground.cacert(), ground.authority.leaf(Kind::Good));
    let nginx = format!("ssl_client_certificate {cacert}; ssl_verify_client on;");
    let httpd = |version: &str| {
        format!("SSLCACertificateFile {cacert}\nSSLVerifyClient require\nSSLProtocol {version}\n")
    };
    for (make, more) in [(NGINX, nginx), (APACHE, httpd("TLSv1.2")), (APACHE, httpd("TLSv1.3"))] {
        for (name, start) in here(&[make]) {
            let (server, trial) = (start(&ground.secure().more(&more)), thence());
            let args = ["-x4", "--cacert", &cacert, &server.tls_url("/large")];
            let refused = trial.run(&args);
            refused.with(38).saying("wants a client certificate").saying("--certificate");
            assert!(trial.names().is_empty(), "{name}");
            let (cert, key) = (own.cert.to_str().unwrap(), own.key.to_str().unwrap());
            let args = [&args[..], &["--certificate", cert, "--private-key", key]].concat();
            trial.run(&args).with(0);
            holds(&trial, "large", large());
        }
    }
}

/// Interrupts a slow run by `signal`, goes on at full speed.
fn goes_on_after((name, start): Make, signal: Signal) {
    let ground = Ground::new();
    let lanes: &[&str] = if name == "nginx" { &["1", "4", "16"] } else { &["4"] };
    for lanes in lanes {
        let (server, trial) = (start(&ground.site()), thence());
        let url = server.url("/large");
        let mut running = trial.start(&["-x", lanes, "--limit-rate", "20M", &url]);
        under_way(&trial, &mut running, "large", A_WHILE);
        running.signal(signal);
        let code = if signal == Signal::KILL { None } else { Some(7) };
        assert_eq!(running.wait().code, code);
        trial.run(&["-x", lanes, "large.part"]).with(0).saying("goes on, ");
        holds(&trial, "large", large());
    }
}

#[test]
fn a_run_ended_by_sigint_is_gone_on_with() {
    for make in here(ALL) {
        goes_on_after(make, Signal::INT);
    }
}

#[test]
fn a_run_ended_by_sigkill_is_gone_on_with() {
    for make in here(ALL) {
        goes_on_after(make, Signal::KILL);
    }
}

#[test]
fn a_resume_over_tls_asks_only_for_the_rest() {
    let ground = Ground::new();
    for (_, start) in here(&[NGINX]) {
        let (server, trial, cacert) = (start(&ground.secure()), thence(), ground.cacert());
        let args = ["--cacert", &cacert, &server.tls_url("/large")];
        let mut running = trial.start(&[&args[..], &["--limit-rate", "20M"]].concat());
        under_way(&trial, &mut running, "large", A_WHILE);
        running.kill();
        trial.run(&args).with(0).saying("goes on, ");
        holds(&trial, "large", large());
    }
}

#[test]
fn a_stream_comes_in_order() {
    let ground = Ground::new();
    for (_, start) in here(ALL) {
        let (server, trial) = (start(&ground.site()), thence());
        for (name, bytes) in set() {
            let ended = trial.run(&["-o", "-", &server.url(&format!("/{name}"))]);
            same(&ended.with(0).out, bytes);
        }
        assert!(trial.names().is_empty());
    }
}

/// Debian's Apache with `mod_auth_digest`, for the user `me` with the password SECRET.
fn digest(ground: &Ground) -> String {
    let file = ground.file("users");
    std::fs::write(&file, "me:the realm:83bc545dd5c0e709a974c8873161ca79\n").unwrap();
    let modules = ["authn_core", "authn_file", "authz_user", "auth_digest"];
    let load = |name: &&str| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n");
    let modules: String = modules.iter().map(load).collect();
    format!(
        "{modules}<Location /large>\nAuthType Digest\nAuthName \"the realm\"\nAuthDigestProvider file\n\
         AuthUserFile {}\nRequire valid-user\n</Location>",
        file.display()
    )
}

#[test]
fn crd_01_apache_lets_lanes_in_by_digest_and_a_run_that_goes_on() {
    let ground = Ground::new();
    for (_, start) in here(&[APACHE]) {
        let (server, trial) = (start(&ground.site().more(&digest(&ground))), thence());
        let url = server.url("/large");
        trial.run(&[&url]).with(24).saying("authorization required");
        trial.run(&["--user", "me:OTHER", &url]).with(24).saying("authorization required");
        let user = ["-x", "8", "--user", "me:SECRET"];
        let mut running = trial.start(&[&user[..], &["--limit-rate", "20M", &url]].concat());
        under_way(&trial, &mut running, "large", A_WHILE);
        running.kill();
        trial.run(&[&user[..], &["large.part"]].concat()).with(0).saying("goes on, ");
        holds(&trial, "large", large());
    }
}

#[test]
fn a_second_run_fetches_nothing() {
    let ground = Ground::new();
    for (_, start) in here(ALL) {
        let (server, trial) = (start(&ground.site()), thence());
        trial.run(&[&server.url("/large")]).with(0);
        let log = server.log().len();
        trial.run(&[&server.url("/large")]).with(0).saying("already complete");
        assert_eq!(server.log().len(), log);
    }
}

#[test]
fn a_right_checksum_is_said_and_a_wrong_one_publishes_nothing() {
    let ground = Ground::new();
    for (_, start) in here(&[NGINX]) {
        let (server, trial) = (start(&ground.site()), thence());
        let (url, right) = (server.url("/large"), format!("sha-256:{}", files::digest(large())));
        let wrong = format!("sha-256:{}", files::digest("other"));
        trial.run(&["-x", "4", "--checksum", &wrong, &url]).with(32).saying("checksum");
        assert!(!trial.names().contains(&"large".to_owned()), "{:?}", trial.names());
        let trial = thence();
        trial.run(&["-x", "4", "--checksum", &right, &url]).with(0).saying("sha-256 right");
        holds(&trial, "large", large());
    }
}

#[test]
fn a_server_without_ranges_gives_the_whole_and_starts_over() {
    let ground = Ground::new();
    for (_, start) in here(&[NGINX]) {
        let (server, trial) = (start(&ground.site().more("max_ranges 0;")), thence());
        let url = server.url("/large");
        let mut running = trial.start(&["-x", "4", "--limit-rate", "20M", &url]);
        under_way(&trial, &mut running, "large", A_WHILE);
        running.kill();
        trial.run(&["-x", "4", &url]).with(0);
        holds(&trial, "large", large());
    }
}

#[test]
fn servers_that_compress_are_asked_not_to() {
    let ground = Ground::new();
    let text = "the same line again and again\n".repeat(20_000);
    ground.site().put("text.txt", &text);
    let gzip = "gzip on; gzip_types *; gzip_min_length 1;";
    for ((_, start), more) in here(&[NGINX, CADDY]).into_iter().zip([gzip, "encode gzip"]) {
        let (server, trial) = (start(&ground.site().more(more)), thence());
        trial.run(&["-x", "4", &server.url("/text.txt")]).with(0);
        holds(&trial, "text.txt", text.as_bytes());
    }
}

#[test]
fn http_1_0_with_a_length_is_whole_and_without_one_says_so() {
    let origin = Origin::start(|request, out| {
        let length = if request.target == "/known" { "Content-Length: 300000\r\n" } else { "" };
        out.raw(format!("HTTP/1.0 200 OK\r\n{length}\r\n")).body(&large()[..300_000]).close();
    });
    let trial = thence();
    trial.run(&["-v", &origin.url("/known")]).with(0).saying("answers in HTTP/1.0");
    holds(&trial, "known", &large()[..300_000]);
    trial.run(&[&origin.url("/open")]).with(0).saying("length unknown");
    same(&trial.bytes("open"), &large()[..300_000]);
    trial.run(&["--strict", "-o", "strict", &origin.url("/open")]).with(33);
}

/// 8 GiB are too many to fetch in a test, but half of the first lane's range begins at 4 GiB.
#[test]
fn a_range_past_4_gib_lands_where_it_belongs() {
    const LEN: u64 = 8 << 30;
    let origin = Origin::start(honest::handler(&Shared::new(Served::made(8, LEN))));
    let trial = thence();
    let mut running = trial.start(&["-x", "4", &origin.url("/huge")]);
    let part = trial.path("huge.part");
    let landed =
        || File::open(&part).is_ok_and(|part| (LEN / 2..).step_by(MIB).take(64).any(|at| is_at(&part, at)));
    assert!(running.lives_until(landed), "{}", running.words());
    running.signal(Signal::INT);
    running.wait().with(7);
    trial.run(&["verify", "huge.part"]).with(0);
}

fn is_at(part: &File, at: u64) -> bool {
    let (mut is, mut ought) = ([0; 64], [0; 64]);
    files::fill(8, at, &mut ought);
    part.read_exact_at(&mut is, at).is_ok() && is == ought
}

#[test]
fn small_files_of_a_list_share_a_connection_where_http_2_is_spoken_and_large_ones_do_not() {
    let ground = Ground::new();
    let says = "location /says/ { return 200 '$connection $server_protocol'; }";
    for (_, start) in here(&[NGINX]) {
        let server = start(&ground.secure().more(says));
        let trial = thence();
        let mut urls: Vec<String> = (0..200).map(|n| server.tls_url(&format!("/says/{n}"))).collect();
        urls.insert(100, server.tls_url("/large"));
        std::fs::write(trial.path("l"), urls.join("\n")).unwrap();
        let ended = trial.run(&["-v", "-i", "l", "--cacert", &ground.cacert()]);
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        assert_eq!(ended.said.matches("answers in HTTP/2").count(), 1, "{}", ended.said);
        assert_eq!(ended.said.matches("answers in HTTP/1.1").count(), 1, "the large one: {}", ended.said);
        same(&trial.bytes("large"), large());
        let said = (0..200).map(|n| String::from_utf8(trial.bytes(&n.to_string())).unwrap());
        let mut said: Vec<String> = said.collect();
        said.sort();
        said.dedup();
        assert!(said.len() == 1 && said[0].ends_with("HTTP/2.0"), "connections: {said:?}");
    }
}
