//! Each real server serves a range with a strong validator, minds If-Range, and speaks TLS. Judged by curl,
//! so that neither side of the conversation is ours.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

use std::process::Command;

use thence_origin::ca::{Authority, Kind};
use thence_origin::files;
use thence_origin::real::{Server, Site};

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn field(&self, name: &str) -> String {
        let name = format!("{}:", name.to_lowercase());
        let line = self.head.lines().find(|line| line.to_lowercase().starts_with(&name));
        line.unwrap_or_else(|| panic!("no {name} in {}", self.head))[name.len()..].trim().to_owned()
    }
}

fn curl(args: &[&str]) -> Answer {
    let out = Command::new("curl").args(["-sS", "-i", "--max-time", "20"]).args(args).output().unwrap();
    assert!(out.status.success(), "curl {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    let end = out.stdout.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&out.stdout[..end]).into_owned();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: out.stdout[end + 4..].to_vec() }
}

fn serves_ranges(start: fn(&Site) -> Server) {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let body = files::content(1, 300_000);
    let site = Site::new(dir.path()).tls(authority.leaf(Kind::Good));
    site.put("file.bin", &body);
    let server = start(&site);
    let url = server.url("/file.bin");

    let part = curl(&["-r", "1000-1999", &url]);
    assert_eq!((part.status, part.field("content-range").as_str()), (206, "bytes 1000-1999/300000"));
    assert_eq!(part.body, body[1000..2000]);
    let etag = part.field("etag");
    assert!(etag.starts_with('"'), "{etag} is weak");

    let same = curl(&["-r", "0-9", "-H", &format!("If-Range: {etag}"), &url]);
    let other = curl(&["-r", "0-9", "-H", "If-Range: \"other\"", &url]);
    assert_eq!((same.status, other.status, other.body.len()), (206, 200, body.len()));

    let cacert = authority.cacert();
    let tls = curl(&["--cacert", cacert.to_str().unwrap(), "-r", "5-6", &server.tls_url("/file.bin")]);
    assert_eq!((tls.status, tls.body.as_slice()), (206, &body[5..7]));
    assert!(tls.head.starts_with("HTTP/2"), "{}", tls.head);
}

#[test]
fn nginx_serves_ranges() {
    serves_ranges(Server::nginx);
}

#[test]
fn apache_serves_ranges() {
    serves_ranges(Server::apache);
}

#[test]
fn caddy_serves_ranges() {
    serves_ranges(Server::caddy);
}

#[test]
fn nginx_logs_what_it_sent_and_keeps_to_a_rate() {
    let dir = tempfile::tempdir().unwrap();
    let site = Site::new(dir.path()).rate(200_000);
    site.put("file.bin", files::content(1, 300_000));
    let server = Server::nginx(&site);
    let start = std::time::Instant::now();
    curl(&[&server.url("/file.bin")]);
    assert!(start.elapsed().as_millis() > 400, "{:?}", start.elapsed());
    assert_eq!(
        server.log().iter().map(|access| (access.status, access.sent)).collect::<Vec<_>>(),
        [(200, 300_000)]
    );
}
