//! Connections: made, kept, used again, silent.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use thence_plan::{Condition, Failure, Limits, Phase};

use super::super::check_headers;
use super::{Client, Get, Server, Then, client, fetch, get, ok, options, with_headers};
use crate::error::Error;
use crate::options::{Options, Proxy};

#[tokio::test]
async fn a_request_says_what_it_must() {
    let server = Server::saying(ok("x"), Then::Keep);
    let tagged = Get {
        range: Some((5, Some(10))),
        condition: Condition::IfRange("\"a,b\"".into()),
        ..with_headers(get(server.url("/a%20b?c=d#e")), &[("X-Mine", "1"), ("Accept", "text/html")])
    };
    fetch(&client(), tagged).await.unwrap();
    let sent = server.last();
    assert!(sent.starts_with("GET /a%20b?c=d HTTP/1.1\r\n"), "{sent}");
    let agent = concat!("user-agent: thence/", env!("CARGO_PKG_VERSION"));
    let host = format!("host: {}", server.address);
    for line in
        [agent, &host, "range: bytes=5-9", "if-range: \"a,b\"", "accept-encoding: identity", "x-mine: 1"]
    {
        assert_eq!(sent.matches(&format!("\r\n{line}\r\n")).count(), 1, "{line}: {sent}");
    }
    assert!(sent.contains("accept: text/html") && !sent.contains("*/*"));
}

#[tokio::test]
async fn a_condition_goes_with_a_range_only() {
    let server = Server::saying(ok("x"), Then::Keep);
    let whole = Get { condition: Condition::IfRange("\"a\"".into()), ..get(server.url("/")) };
    fetch(&client(), whole).await.unwrap();
    assert!(!server.last().contains("if-range"));
    let rest =
        Get { range: Some((7, None)), condition: Condition::IfRange("\"a\"".into()), ..get(server.url("/")) };
    fetch(&client(), rest).await.unwrap();
    assert!(server.last().contains("range: bytes=7-\r\n") && server.last().contains("if-range: \"a\"\r\n"));
}

#[test]
fn url_06_headers_that_cannot_be_sent_are_refused() {
    let check = |name: &str, value: &str| check_headers(&[(name.into(), value.into())]);
    assert_eq!(check("X-Api-Key", "k\u{e9}y"), Ok(()));
    for (name, value) in [
        ("A", "b\r\nRange: bytes=0-1"),
        ("A", "b\nc"),
        ("A", "b\0c"),
        ("A B", "c"),
        ("A\r\nB", "c"),
        ("", "c"),
        ("RANGE", "bytes=0-1"),
        ("If-range", "c"),
        ("accept-encoding", "gzip"),
        ("Connection", "close"),
        ("Transfer-Encoding", "chunked"),
        ("Content-Length", "3"),
    ] {
        assert!(matches!(check(name, value), Err(Error::Option(_))), "{name:?}: {value:?}");
    }
    let Err(Error::Option(text)) = check("Authorization", "SECRET\0") else { panic!("accepted") };
    assert!(!text.contains("SECRET"));
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = Server::saying(ok("x"), Then::Keep);
    let client = client();
    for _ in 0..3 {
        fetch(&client, get(server.url("/"))).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
    fetch(&client, Get { fresh: true, ..get(server.url("/")) }).await.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_body_read_to_its_length_is_released_without_a_last_call() {
    let server = Server::saying(ok("x"), Then::Keep);
    let client = client();
    for _ in 0..2 {
        let mut answer = client.get(get(server.url("/"))).await.unwrap();
        assert_eq!(answer.body.chunk(u64::MAX).await.unwrap().as_deref(), Some(&b"x"[..]));
        answer.body.release();
    }
    assert_eq!(server.connections(), 1);
}

/// What the head's first read did not bring is read when it is wanted, and not before.
#[tokio::test]
async fn a_body_is_read_no_further_than_is_wanted() {
    const LEN: usize = 1 << 20;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LEN}\r\n\r\n");
    let server = Server::saying([head.as_bytes(), &vec![b'x'; LEN]].concat(), Then::Keep);
    let mut body = client().get(get(server.url("/"))).await.unwrap().body;
    let mut read = body.chunk(1).await.unwrap().unwrap().len();
    assert!(read < 16 << 10, "{read} bytes came with the head");
    for want in [1, 1_000, 100_000] {
        let chunk = body.chunk(want).await.unwrap().unwrap();
        assert!(chunk.len() as u64 <= want, "{} bytes where {want} were wanted", chunk.len());
        read += chunk.len();
    }
    while let Some(chunk) = body.chunk(u64::MAX).await.unwrap() {
        read += chunk.len();
    }
    assert_eq!(read, LEN);
}

/// A rate limit allows some bytes, and says when more. A head that is read sparingly brings next to nothing along.
#[tokio::test]
async fn net_12_no_more_is_read_than_is_allowed() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
    let server = Server::saying([head.as_bytes(), &[b'x'; 100_000]].concat(), Then::Keep);
    let mut body = client().get(Get { sparing: true, ..get(server.url("/")) }).await.unwrap().body;
    let mut before = body.wire();
    assert!((head.len() as u64..=512).contains(&before), "{before}");
    body.allow(0);
    let first = body.chunk(u64::MAX).await.unwrap().unwrap();
    assert!(
        first.len() < 512 && body.chunk(u64::MAX).await.unwrap().unwrap().is_empty(),
        "more than is allowed"
    );
    for allowed in [1, 1_000] {
        body.allow(allowed);
        while !body.chunk(u64::MAX).await.unwrap().unwrap().is_empty() {}
        assert_eq!(body.wire() - before, allowed);
        before = body.wire();
    }
}

#[tokio::test]
async fn a_dropped_body_closes_its_connection() {
    let server = Server::saying(ok("x"), Then::Keep);
    let client = client();
    drop(client.get(get(server.url("/"))).await.unwrap());
    fetch(&client, get(server.url("/"))).await.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_server_that_says_close_is_believed() {
    let closing = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx";
    let server = Server::saying(closing, Then::Hang);
    let client = client();
    for _ in 0..2 {
        fetch(&client, get(server.url("/"))).await.unwrap();
    }
    assert_eq!(server.connections(), 2);
}

/// The server closes when the second request is out: nobody notices.
#[tokio::test]
async fn a_kept_connection_that_fails_is_replaced_silently() {
    let server = Server::plain(|_, number| match number {
        1 => (Vec::new(), Then::Close),
        _ => (ok("x"), Then::Keep),
    });
    let client = client();
    for _ in 0..2 {
        assert_eq!(fetch(&client, get(server.url("/"))).await.unwrap().body, "x");
    }
    assert_eq!((server.seen().len(), server.connections()), (3, 2));
}

#[tokio::test]
async fn idle_connections_are_closed_in_time() {
    let server = Server::saying(ok("x"), Then::Keep);
    let mut options = options();
    options.limits.keep_alive = Duration::from_millis(20);
    let client = Client::new(&options).unwrap();
    fetch(&client, get(server.url("/"))).await.unwrap();
    tokio::time::sleep(Duration::from_millis(60)).await;
    fetch(&client, get(server.url("/"))).await.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn refused_is_told_apart() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let result = fetch(&client(), get(format!("http://{address}/"))).await;
    assert!(matches!(result, Err(Failure::Refused(text)) if text.contains(&address.to_string())));
    let result = fetch(&client(), get("http://thence.invalid/")).await;
    assert!(matches!(result, Err(Failure::Resolve(_) | Failure::Stalled(Phase::Resolve))));
}

/// An address where connections are neither accepted nor refused: its queue is full.
fn black_hole() -> (SocketAddr, Vec<Socket>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = vec![listener];
    for _ in 0..4 {
        let waiting = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        waiting.set_nonblocking(true).unwrap();
        let _ = waiting.connect(&address);
        held.push(waiting);
    }
    (address.as_socket().unwrap(), held)
}

#[tokio::test]
async fn net_01_silence_ends_in_its_phase() {
    let client = hasty();
    let heard = async |bytes: &[u8]| {
        let server = Server::saying(bytes, Then::Hang);
        fetch(&client, get(server.url("/"))).await.map(drop)
    };
    assert_eq!(heard(b"").await, Err(Failure::Stalled(Phase::Head)));
    assert_eq!(heard(b"HTTP/1.1 200 OK\r\nA: ").await, Err(Failure::Stalled(Phase::Head)));
    assert_eq!(heard(&ok("xyz")[..39]).await, Err(Failure::Stalled(Phase::Body)));
    let (full, _held) = black_hole();
    let nowhere = fetch(&client, get(format!("http://{full}/"))).await.map(drop);
    assert_eq!(nowhere, Err(Failure::Stalled(Phase::Connect)));
}

/// Every wait a hundredth: 300 ms for a stall, 150 ms for a connection.
fn hasty() -> Client {
    let limits = Limits::default().hurried(100);
    Client::new(&Options { limits, ..options() }).unwrap()
}

#[tokio::test]
async fn net_01_a_server_that_accepts_and_never_shakes_hands() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let result = fetch(&client(), get(url.clone())).await.map(drop);
    assert_eq!(result, Err(Failure::Stalled(Phase::Tls)));
    let proxy = Proxy::Url(url.replace("https", "http").into());
    let client = Client::new(&Options { proxy, ..options() }).unwrap();
    assert_eq!(fetch(&client, get(url)).await.map(drop), Err(Failure::Stalled(Phase::Proxy)));
}

#[tokio::test]
async fn net_01_the_clock_runs_on_when_a_call_is_dropped() {
    let server = Server::saying(&ok("xyz")[..39], Then::Hang);
    let client = patient_for(Duration::from_millis(400));
    let mut answer = client.get(get(server.url("/"))).await.unwrap();
    assert!(answer.body.chunk(u64::MAX).await.unwrap().is_some());
    let began = Instant::now();
    for _ in 0..3 {
        let _ = tokio::time::timeout(Duration::from_millis(100), answer.body.chunk(u64::MAX)).await;
    }
    assert_eq!(answer.body.chunk(u64::MAX).await, Err(Failure::Stalled(Phase::Body)));
    assert!((390..650).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

fn patient_for(stall: Duration) -> Client {
    let mut options = options();
    options.limits.stall = stall;
    Client::new(&options).unwrap()
}

/// A byte six times in each stall time, for two stall times.
#[tokio::test]
async fn net_01_slow_is_not_silent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().unwrap();
        super::read_head(&mut tcp).unwrap();
        tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n").unwrap();
        for _ in 0..12 {
            tcp.write_all(b"x").unwrap();
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let got = fetch(&patient_for(Duration::from_millis(300)), get(url)).await.unwrap();
    assert_eq!(got.body.len(), 12);
}

#[test]
fn a_client_is_cheap_and_can_travel() {
    fn travels<T: Send + Sync + 'static>(_: &T) {}
    fn future_travels<T: Send>(_: T) {}
    let client = client();
    travels(&client.clone());
    future_travels(client.get(get("http://a/")));
    let bad = Options { user_agent: Some("a\nb".into()), ..Options::default() };
    assert!(matches!(Client::new(&bad), Err(Error::Option(_))));
    let _ = Arc::new(client);
}
