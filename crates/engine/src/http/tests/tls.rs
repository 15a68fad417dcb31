//! Trust, truncation, and servers that speak HTTP/2 only.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use rustls::ServerConfig;
use thence_origin::ca::{self, Kind};
use thence_plan::{Ending, Failure, HttpVersion, Phase};
use tokio_rustls::TlsAcceptor;

use super::{Client, Got, Server, Stream, Then, fetch, get, ok, options, redirect};
use crate::options::Options;

/// An authority of our own.
pub(super) struct Authority(ca::Authority);

impl Authority {
    pub(super) fn new() -> Authority {
        Authority(ca::Authority::new())
    }

    /// A client that trusts this authority alone.
    fn client(&self) -> Client {
        self.client_with(options())
    }

    /// ... with these options.
    pub(super) fn client_with(&self, options: Options) -> Client {
        Client::new(&Options { cacert: Some(self.0.cacert()), ..options }).unwrap()
    }

    /// A server's configuration with a certificate for `name`.
    pub(super) fn config(&self, name: &str) -> Arc<ServerConfig> {
        self.0.leaf_for(name).config()
    }

    pub(super) fn server(
        &self,
        name: &str,
        script: impl Fn(&str, usize) -> (Vec<u8>, Then) + Send + Sync + 'static,
    ) -> Server {
        Server::start(tls(self.config(name)), script)
    }
}

pub(super) fn tls(config: Arc<ServerConfig>) -> impl Fn(TcpStream) -> Stream + Send + Sync {
    move |tcp| {
        let connection = rustls::ServerConnection::new(config.clone()).unwrap();
        Stream::Tls(Box::new(rustls::StreamOwned::new(connection, tcp)))
    }
}

fn local(server: &Server) -> String {
    format!("https://localhost:{}/", server.address.port())
}

/// What a refused certificate is said to be.
async fn refused(client: &Client, url: String) -> String {
    match fetch(client, get(url)).await {
        Err(Failure::Tls(text)) => text,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("accepted"),
    }
}

#[tokio::test]
async fn tls_01_a_good_certificate_is_accepted() {
    let authority = Authority::new();
    let server = authority.server("localhost", |_, _| (ok("x"), Then::Keep));
    let client = authority.client();
    for _ in 0..2 {
        assert_eq!(fetch(&client, get(local(&server))).await.unwrap().body, "x");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn tls_01_bad_certificates_are_refused_and_named() {
    let authority = Authority::new();
    let client = authority.client();
    let say = |_: &str, _| (ok("x"), Then::Keep);
    let other = authority.server("example.org", say);
    let text = refused(&client, local(&other)).await;
    assert!(text.contains("another host") && text.contains("example.org"), "{text}");
    for (kind, word) in [(Kind::Expired, "expired"), (Kind::NotYet, "not valid yet")] {
        let config = authority.0.leaf(kind).config();
        let text = refused(&client, local(&Server::start(tls(config), say))).await;
        assert!(text.contains(word), "{text}");
    }
}

#[tokio::test]
async fn tls_01_unknown_authorities_are_refused() {
    let say = |_: &str, _| (ok("x"), Then::Keep);
    let (ours, theirs) = (Authority::new(), Authority(ca::Authority::named("theirs")));
    let text = refused(&ours.client(), local(&theirs.server("localhost", say))).await;
    assert!(text.contains("not trusted"), "{text}");
    let own = Server::start(tls(ours.0.leaf(Kind::SelfSigned).config()), say);
    // The system's store, or the built-in one where there is none.
    for client in [ours.client(), Client::new(&options()).unwrap()] {
        let text = refused(&client, local(&own)).await;
        assert!(text.contains("self-signed"), "{text}");
    }
    let insecure = Client::new(&Options { insecure: true, ..options() }).unwrap();
    assert_eq!(fetch(&insecure, get(local(&own))).await.unwrap().body, "x");
}

#[tokio::test]
async fn tls_02_an_address_must_stand_in_the_certificate_as_one() {
    let authority = Authority::new();
    let say = |_: &str, _| (ok("x"), Then::Keep);
    let named = authority.server("localhost", say);
    let url = format!("https://{}/", named.address);
    assert!(refused(&authority.client(), url).await.contains("another host"));
    let addressed = authority.server("127.0.0.1", say);
    let url = format!("https://{}/", addressed.address);
    assert_eq!(fetch(&authority.client(), get(url)).await.unwrap().body, "x");
}

#[tokio::test]
async fn tls_06_a_redirect_out_of_tls_is_refused() {
    let authority = Authority::new();
    let plain = Server::saying(ok("x"), Then::Keep);
    let to = plain.url("/");
    let server = authority.server("localhost", move |_, _| (redirect(&to), Then::Keep));
    let result = fetch(&authority.client(), get(local(&server))).await.map(drop);
    assert!(matches!(result, Err(Failure::Redirect(_))));
    assert!(plain.seen().is_empty());
}

/// TLS_12 also: without close_notify anybody on the way may have ended the stream.
#[tokio::test]
async fn frm_14_a_cut_stream_is_never_whole() {
    let authority = Authority::new();
    let open = b"HTTP/1.1 200 OK\r\n\r\nto the close".to_vec();
    for (then, whole) in [(Then::Close, true), (Then::Cut, false), (Then::Reset, false)] {
        let open = open.clone();
        let server = authority.server("localhost", move |_, _| (open.clone(), then));
        match fetch(&authority.client(), get(local(&server))).await {
            Ok(got) => assert!(whole && got.ending == Ending::Close && got.body == "to the close"),
            Err(failure) => {
                assert!(!whole && matches!(failure, Failure::Truncated | Failure::Reset(_)), "{failure:?}");
            }
        }
    }
    let counted = authority.server("localhost", |_, _| (ok("x"), Then::Cut));
    assert_eq!(fetch(&authority.client(), get(local(&counted))).await.unwrap().ending, Ending::Message);
}

/// A TLS record that takes several stall times to come gives no chunk in between, and is alive all the same.
#[tokio::test]
async fn net_01_a_slow_record_is_not_silent() {
    let authority = Authority::new();
    // Two records of 16 KiB; whatever the handshake takes, the second is the slow one.
    let server = authority.server("localhost", |_, _| (ok(&"x".repeat(32_000)), Then::Keep));
    let port = dribble(server.address, 20_000);
    let mut options = options();
    options.limits.stall = Duration::from_millis(300);
    let client = authority.client_with(options);
    let began = Instant::now();
    let got = fetch(&client, get(format!("https://localhost:{port}/"))).await.unwrap();
    assert_eq!(got.body.len(), 32_000);
    assert!(began.elapsed() > Duration::from_millis(600), "{:?}", began.elapsed());
}

/// Relays one connection to `to`; what comes back beyond `fast` bytes comes by 100, 8 ms apart.
fn dribble(to: SocketAddr, fast: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut server = TcpStream::connect(to).unwrap();
        let (mut onward, mut asking) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut asking, &mut onward));
        let (mut bytes, mut passed) = ([0; 1_000], 0);
        while let Ok(len @ 1..) = server.read(&mut bytes) {
            passed += len;
            let step = if passed > fast { 100 } else { len };
            for piece in bytes[..len].chunks(step) {
                std::thread::sleep(Duration::from_millis(if passed > fast { 8 } else { 0 }));
                if client.write_all(piece).is_err() {
                    return;
                }
            }
        }
    });
    port
}

#[tokio::test]
async fn what_is_no_tls_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad\r\n\r\n").unwrap();
        while matches!(stream.read(&mut [0; 4096]), Ok(1..)) {}
    });
    let text = refused(&Client::new(&options()).unwrap(), format!("https://{address}/")).await;
    assert!(text.contains("does not answer in TLS"), "{text}");
}

/// A server that speaks HTTP/2 only and answers each stream by `script`; gives its port.
async fn http2<F, A>(authority: &Authority, script: F) -> u16
where
    F: Fn(SendStream<Bytes>) -> A + Clone + Send + 'static,
    A: Future<Output = ()> + Send + 'static,
{
    let mut config = (*authority.config("localhost")).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, script) = (acceptor.clone(), script.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(tcp).await else { return };
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    let request: http::Request<RecvStream> = request;
                    let mut head = http::Response::builder();
                    if let Some(length) = request.uri().query() {
                        head = head.header("content-length", length);
                    }
                    let body = respond.send_response(head.body(()).unwrap(), false).unwrap();
                    tokio::spawn(script(body));
                }
            });
        }
    });
    port
}

async fn fetch_http2<F, A>(query: &str, script: F) -> Result<Got, Failure>
where
    F: Fn(SendStream<Bytes>) -> A + Clone + Send + 'static,
    A: Future<Output = ()> + Send + 'static,
{
    let authority = Authority::new();
    let port = http2(&authority, script).await;
    let client = authority.client();
    let got = fetch(&client, get(format!("https://localhost:{port}/{query}"))).await?;
    // Again: the server is known to speak HTTP/2 only, and the connection is kept.
    fetch(&client, get(format!("https://localhost:{port}/{query}"))).await?;
    Ok(got)
}

#[tokio::test]
async fn a_server_that_speaks_http2_only_is_asked_in_it() {
    for query in ["", "?6"] {
        let say = |mut body: SendStream<Bytes>| async move { body.send_data("whole.".into(), true).unwrap() };
        let got = fetch_http2(query, say).await.unwrap();
        assert_eq!((got.body.as_str(), got.ending), ("whole.", Ending::Message));
        assert_eq!(got.head.version, HttpVersion::Http2);
    }
}

/// R48: only END_STREAM ends a body; hyper takes RST_STREAM(NO_ERROR) for an end too.
#[tokio::test]
async fn r48_a_stream_that_was_given_up_is_not_whole() {
    for reason in [Reason::NO_ERROR, Reason::CANCEL, Reason::INTERNAL_ERROR] {
        for query in ["", "?9"] {
            let say = move |mut body: SendStream<Bytes>| async move {
                body.send_data("part".into(), false).unwrap();
                tokio::time::sleep(Duration::from_millis(30)).await;
                body.send_reset(reason);
            };
            let result = fetch_http2(query, say).await.map(drop);
            assert!(
                matches!(result, Err(Failure::Truncated | Failure::Reset(_))),
                "{reason} {query}: {result:?}"
            );
        }
    }
}

#[tokio::test]
async fn r48_a_length_that_the_stream_does_not_keep() {
    for query in ["?3", "?9"] {
        let say = |mut body: SendStream<Bytes>| async move { drop(body.send_data("whole.".into(), true)) };
        let result = fetch_http2(query, say).await.map(drop);
        assert!(matches!(result, Err(Failure::Truncated | Failure::Reset(_))), "{query}: {result:?}");
    }
}

#[tokio::test]
async fn frm_16_frames_without_data_are_no_life() {
    let say = |mut body: SendStream<Bytes>| async move {
        for _ in 0..1_000 {
            if body.send_data(Bytes::new(), false).is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let result = fetch_http2("", say).await.map(drop);
    assert_eq!(result, Err(Failure::Stalled(Phase::Body)));
}

/// Over HTTP/2 every piece of data stops the clock.
#[tokio::test]
async fn net_01_slow_data_is_not_silent() {
    let say = |mut body: SendStream<Bytes>| async move {
        for _ in 0..10 {
            body.send_data("x".into(), false).unwrap();
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        body.send_data(Bytes::new(), true).unwrap();
    };
    let authority = Authority::new();
    let port = http2(&authority, say).await;
    let mut options = options();
    options.limits.stall = Duration::from_millis(300);
    let client = authority.client_with(options);
    let got = fetch(&client, get(format!("https://localhost:{port}/"))).await.unwrap();
    assert_eq!(got.body.len(), 10);
}
