//! The scripted origin records, throttles, resets, and its honest handler minds ranges and conditions.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use thence_origin::{Origin, Served, Shared, files, honest};

/// Sends `heads` one after the other on one connection and reads until `Content-Length` is served.
fn ask(origin: &Origin, fields: &str) -> (String, Vec<u8>) {
    let mut socket = TcpStream::connect(("127.0.0.1", origin.port())).unwrap();
    write!(socket, "GET /f HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}\r\n").unwrap();
    let mut all = Vec::new();
    socket.read_to_end(&mut all).unwrap();
    let end = all.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    (String::from_utf8_lossy(&all[..end]).into_owned(), all[end + 4..].to_vec())
}

#[test]
fn it_records_requests_and_keeps_connections() {
    let origin = Origin::start(|_, out| {
        out.answer(200, "X-A: b", "hi");
    });
    let mut socket = TcpStream::connect(("127.0.0.1", origin.port())).unwrap();
    for number in 0..2 {
        write!(socket, "GET /{number} HTTP/1.1\r\nrAnge: bytes=3-\r\n\r\n").unwrap();
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nhi";
        let mut answer = vec![0; whole.len()];
        socket.read_exact(&mut answer).unwrap();
        assert_eq!(answer, whole);
    }
    let seen: Vec<_> =
        origin.requests().iter().map(|r| (r.target.clone(), r.range(), r.connection)).collect();
    assert_eq!(seen, [("/0".to_owned(), Some((3, None)), 0), ("/1".to_owned(), Some((3, None)), 0)]);
}

#[test]
fn the_honest_handler_minds_ranges_and_conditions() {
    let body = files::content(1, 1000);
    let file = Shared::new(Served::new(body.clone()));
    let origin = Origin::start(honest::handler(&file));
    let tag = file.now().etag.unwrap();

    assert_eq!(ask(&origin, "").1, body);
    assert_eq!(ask(&origin, "Range: bytes=10-19\r\n").1, body[10..20]);
    assert_eq!(ask(&origin, "Range: bytes=990-5000\r\n").1, body[990..]);
    assert_eq!(ask(&origin, &format!("Range: bytes=10-19\r\nIf-Range: {tag}\r\n")).1, body[10..20]);
    assert_eq!(ask(&origin, "Range: bytes=10-19\r\nIf-Range: \"no\"\r\n").1, body);
    assert!(ask(&origin, "Range: bytes=1000-\r\n").0.contains("Content-Range: bytes */1000"));
    assert!(ask(&origin, "Range: bytes=0-\r\nIf-Match: \"no\"\r\n").0.starts_with("HTTP/1.1 412 "));

    file.swap(Served::made(5, 1 << 42));
    let (head, tail) = ask(&origin, &format!("Range: bytes={}-\r\n", (1u64 << 42) - 3));
    assert!(head.contains("/4398046511104") && tail.len() == 3, "{head}");
}

#[test]
fn it_throttles() {
    let file = Shared::new(Served { rate: Some(100_000), ..Served::new(files::content(1, 30_000)) });
    let origin = Origin::start(honest::handler(&file));
    let start = Instant::now();
    ask(&origin, "");
    let took = start.elapsed();
    assert!(took > Duration::from_millis(250) && took < Duration::from_millis(2000), "{took:?}");
}

#[test]
fn it_resets_and_goes_away() {
    let origin = Origin::start(|_, out| {
        out.head(200, "Content-Length: 10").body("12345").pause(Duration::from_millis(20)).reset();
    });
    let mut socket = TcpStream::connect(("127.0.0.1", origin.port())).unwrap();
    write!(socket, "GET / HTTP/1.1\r\n\r\n").unwrap();
    let error = socket.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);

    let port = origin.port();
    drop(origin);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn a_stalled_reply_ends_with_its_origin() {
    let origin = Origin::start(|_, out| {
        out.head(200, "Content-Length: 10").stall();
    });
    let mut socket = TcpStream::connect(("127.0.0.1", origin.port())).unwrap();
    write!(socket, "GET / HTTP/1.1\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(20));
    drop(origin);
    let _reset_or_end = socket.read_to_end(&mut Vec::new());
}
