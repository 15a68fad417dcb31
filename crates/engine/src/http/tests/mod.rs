//! What the client does against servers that lie, break off, stall and lead astray.
//!
//! A server here is a thread that reads request heads and sends back exactly the bytes it was told.

mod bursts;
mod certificate;
mod connect;
mod filled;
mod framing;
mod proxy;
mod redirect;
mod tls;

use std::io::{Read, Result as IoResult, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::HandshakeKind;
use socket2::SockRef;
use thence_plan::{Condition, Ending, Failure, Head, Limits};

use super::{Answer, Client, Get, bare};
use crate::options::{Options, Proxy};

/// What a server does after its bytes.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    /// Waits for the next request.
    Keep,
    /// Closes cleanly: FIN, under TLS with close_notify.
    Close,
    /// FIN, under TLS without close_notify.
    Cut,
    /// RST.
    Reset,
    /// Nothing more, until the client goes.
    Hang,
}

/// A server on loopback.
struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A request as it came in.
#[derive(Clone)]
struct Seen {
    connection: usize,
    text: String,
    /// Whether the client showed a certificate, and whether it resumed a session.
    certified: bool,
    resumed: bool,
}

impl Server {
    /// Answers each request with what `script` says to its text and to its number, counted from 0.
    fn plain(script: impl Fn(&str, usize) -> (Vec<u8>, Then) + Send + Sync + 'static) -> Server {
        Server::start(Stream::Plain, script)
    }

    /// Sends the same bytes to everybody.
    fn saying(bytes: impl Into<Vec<u8>>, then: Then) -> Server {
        let bytes = bytes.into();
        Server::plain(move |_, _| (bytes.clone(), then))
    }

    fn start(
        wrap: impl Fn(TcpStream) -> Stream + Send + Sync + 'static,
        script: impl Fn(&str, usize) -> (Vec<u8>, Then) + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let (seen, shared) = (server.seen.clone(), Arc::new((wrap, script)));
        thread::spawn(move || {
            for (connection, tcp) in listener.incoming().enumerate() {
                let (seen, shared) = (seen.clone(), shared.clone());
                thread::spawn(move || {
                    let stream = (shared.0)(tcp.unwrap());
                    converse(stream, connection, &seen, &shared.1);
                });
            }
        });
        server
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn last(&self) -> String {
        self.seen().last().unwrap().text.clone()
    }

    fn connections(&self) -> usize {
        self.seen().iter().map(|seen| seen.connection).max().map_or(0, |last| last + 1)
    }
}

fn converse(
    mut stream: Stream,
    connection: usize,
    seen: &Mutex<Vec<Seen>>,
    script: &impl Fn(&str, usize) -> (Vec<u8>, Then),
) {
    while let Some(text) = read_head(&mut stream) {
        let number = {
            let mut seen = seen.lock().unwrap();
            let (certified, resumed) = (stream.certified(), stream.resumed());
            seen.push(Seen { connection, text: text.clone(), certified, resumed });
            seen.len() - 1
        };
        let (bytes, then) = script(&text, number);
        if stream.write_all(&bytes).and_then(|()| stream.flush()).is_err() || then != Then::Keep {
            return stream.finish(then);
        }
    }
}

/// A request's head with its empty line; `None` when the client has gone.
fn read_head(stream: &mut impl Read) -> Option<String> {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => text.push(byte[0]),
            _ => return None,
        }
    }
    Some(String::from_utf8_lossy(&text).into_owned())
}

type Tls = rustls::StreamOwned<rustls::ServerConnection, TcpStream>;

enum Stream {
    Plain(TcpStream),
    Tls(Box<Tls>),
}

impl Stream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => &tls.sock,
        }
    }

    fn certified(&self) -> bool {
        matches!(self, Stream::Tls(tls) if tls.conn.peer_certificates().is_some())
    }

    fn resumed(&self) -> bool {
        matches!(self, Stream::Tls(tls) if tls.conn.handshake_kind() == Some(HandshakeKind::Resumed))
    }

    fn finish(mut self, then: Then) {
        match (then, &mut self) {
            (Then::Hang, _) => while matches!(self.read(&mut [0; 64]), Ok(1..)) {},
            (Then::Reset, _) => SockRef::from(self.tcp()).set_linger(Some(Duration::ZERO)).unwrap(),
            (Then::Close, Stream::Tls(tls)) => {
                tls.conn.send_close_notify();
                let _ = tls.flush();
            }
            _ => {}
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> IoResult<usize> {
        match self {
            Stream::Plain(tcp) => tcp.read(buf),
            Stream::Tls(tls) => tls.read(buf),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
        match self {
            Stream::Plain(tcp) => tcp.write(bytes),
            Stream::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> IoResult<()> {
        match self {
            Stream::Plain(tcp) => tcp.flush(),
            Stream::Tls(tls) => tls.flush(),
        }
    }
}

/// A whole 200 with a length.
fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A 302 without a body.
fn redirect(location: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

/// Options for loopback: no proxy, every wait a thirtieth.
fn options() -> Options {
    Options { limits: Limits::default().hurried(30), proxy: Proxy::Direct, ..Options::default() }
}

pub(crate) fn client() -> Client {
    Client::new(&options()).unwrap()
}

pub(crate) fn get(url: impl AsRef<str>) -> Get {
    Get {
        url: bare(url.as_ref()).unwrap(),
        given_for: None,
        headers: Arc::default(),
        user: None,
        range: None,
        condition: Condition::None,
        fresh: false,
        shares: false,
        sparing: false,
        proxies: None,
        seat: None,
    }
}

pub(crate) fn with_headers(get: Get, headers: &[(&str, &str)]) -> Get {
    let headers = headers.iter().map(|(name, value)| (name.to_string(), (*value).into()));
    Get { headers: Arc::new(headers.collect()), ..get }
}

/// What a whole fetch gave.
struct Got {
    hops: Vec<String>,
    head: Head,
    body: String,
    ending: Ending,
}

/// Asks and reads to the end; the connection goes back to the pool.
async fn fetch(client: &Client, get: Get) -> Result<Got, Failure> {
    let Answer { hops, head, mut body, .. } = client.get(get).await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = body.chunk(u64::MAX).await? {
        bytes.extend_from_slice(&chunk);
    }
    let ending = body.ending();
    body.release();
    Ok(Got { hops, head, body: String::from_utf8_lossy(&bytes).into_owned(), ending })
}

/// What fetching from a server that says this, whatever it is asked, comes to.
async fn hear(bytes: impl Into<Vec<u8>>, then: Then) -> Result<Got, Failure> {
    let server = Server::saying(bytes, then);
    fetch(&client(), get(server.url("/"))).await
}

/// The rule that a fetch broke.
fn rule(result: Result<Got, Failure>) -> &'static str {
    match result {
        Err(Failure::Breach(breach)) => breach.rule,
        Err(other) => panic!("{other:?}"),
        Ok(got) => panic!("{:?}", got.body),
    }
}
