//! Proxies of each kind, played by the same threads.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use thence_plan::Failure;

use super::tls::Authority;
use super::{Client, Get, Server, Then, fetch, get, ok, options, with_headers};
use crate::cookies::CookieJar;
use crate::error::Error;
use crate::http::Proxies;
use crate::options::{Options, Proxy, ProxyFor};
use crate::secret::ExposeSecret;

fn through(proxy: String) -> Client {
    Client::new(&Options { proxy: Proxy::Url(proxy.into()), ..options() }).unwrap()
}

#[tokio::test]
async fn net_07_http_goes_to_the_proxy_whole() {
    let proxy = Server::saying(ok("x"), Then::Keep);
    let client = through(format!("http://us%65r:SECRET@{}", proxy.address));
    for _ in 0..2 {
        fetch(&client, get("http://thence.invalid:81/a?b#c")).await.unwrap();
    }
    let sent = proxy.last();
    assert!(sent.starts_with("GET http://thence.invalid:81/a?b HTTP/1.1\r\n"), "{sent}");
    assert!(sent.contains("host: thence.invalid:81\r\n"));
    assert!(sent.contains("proxy-authorization: Basic dXNlcjpTRUNSRVQ=\r\n"));
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn net_07_a_proxy_that_wants_credentials() {
    let proxy = Server::saying("HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n", Then::Keep);
    let client = through(format!("http://u:SECRET@{}", proxy.address));
    for url in ["http://thence.invalid/", "https://thence.invalid/"] {
        let failure = fetch(&client, get(url)).await.err().unwrap();
        assert!(matches!(&failure, Failure::Proxy(_)), "{failure:?}");
        assert!(!format!("{failure:?}").contains("SECRET"));
    }
    assert!(proxy.last().starts_with("CONNECT thence.invalid:443 HTTP/1.1\r\n"));
    assert!(proxy.last().contains("proxy-authorization: Basic "));
}

#[tokio::test]
async fn net_07_a_tunnel_that_is_refused() {
    let cases = [("403 No", true), ("502 Bad", false), ("302 Found\r\nLocation: http://evil/", true)];
    for (status, lasting) in cases {
        let proxy = Server::saying(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"), Then::Keep);
        let result = fetch(&through(proxy.url("")), get("https://thence.invalid/")).await.map(drop);
        assert_eq!(matches!(result, Err(Failure::Proxy(_))), lasting, "{status}");
        assert_eq!(matches!(result, Err(Failure::Connect(_))), !lasting, "{status}");
    }
    let chatty = Server::saying("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", Then::Keep);
    let result = fetch(&through(chatty.url("")), get("https://thence.invalid/")).await.map(drop);
    assert!(matches!(result, Err(Failure::Connect(_))), "{result:?}");
}

/// A proxy that leads one `CONNECT` to `origin`, and gives what it was asked.
fn tunnel(origin: &Server) -> (String, Arc<Mutex<Vec<u8>>>) {
    relay(origin, |tcp| {
        let asked = super::read_head(tcp).unwrap();
        tcp.write_all(b"HTTP/1.1 200 Go ahead\r\nVia: us\r\n\r\n").unwrap();
        asked.into_bytes()
    })
}

#[tokio::test]
async fn net_07_https_goes_through_a_tunnel() {
    let authority = Authority::new();
    let origin = authority.server("thence.invalid", |_, _| (ok("x"), Then::Keep));
    let (proxy, asked) = tunnel(&origin);
    let proxy = Proxy::Url(format!("http://us%65r:SECRET@{proxy}").into());
    let client = authority.client_with(Options { proxy, ..options() });
    for _ in 0..2 {
        let asked = with_headers(get("https://thence.invalid/a"), &[("Cookie", "PRIVATE")]);
        assert_eq!(fetch(&client, asked).await.unwrap().body, "x");
    }
    let asked = String::from_utf8(asked.lock().unwrap().clone()).unwrap();
    assert!(
        asked.starts_with("CONNECT thence.invalid:443 HTTP/1.1\r\nhost: thence.invalid:443\r\n"),
        "{asked}"
    );
    assert!(asked.contains("proxy-authorization: Basic dXNlcjpTRUNSRVQ=\r\n") && !asked.contains("PRIVATE"));
    assert!(origin.last().starts_with("GET /a HTTP/1.1\r\n") && origin.last().contains("cookie: PRIVATE"));
    assert!(!origin.last().contains("proxy-authorization"));
    assert_eq!(origin.connections(), 1);
}

/// A proxy that leads on neither gets cookies nor sets any.
#[tokio::test]
async fn r59_cookies_go_through_a_tunnel_and_not_to_the_proxy() {
    let authority = Authority::new();
    let origin = authority.server("thence.invalid", |_, _| (ok("x"), Then::Keep));
    let (proxy, asked) = relay_setting_a_cookie(&origin);
    let cookies = CookieJar::new();
    assert!(cookies.set("https://thence.invalid/", "id=PRIVATE; Secure"));
    let (proxy, jar) = (Proxy::Url(format!("http://{proxy}").into()), Some(cookies.clone()));
    let client = authority.client_with(Options { proxy, cookies: jar, ..options() });
    assert_eq!(fetch(&client, get("https://thence.invalid/a")).await.unwrap().body, "x");
    let asked = String::from_utf8(asked.lock().unwrap().clone()).unwrap();
    assert!(asked.starts_with("CONNECT ") && !asked.to_lowercase().contains("cookie"), "{asked}");
    assert!(origin.last().contains("cookie: id=PRIVATE\r\n"), "{}", origin.last());
    assert!(!cookies.text().expose_secret().contains("of-the-proxy"));
    let refusing = "HTTP/1.1 407 Who\r\nSet-Cookie: of-the-proxy=1\r\nContent-Length: 0\r\n\r\n";
    let proxy = Proxy::Url(Server::saying(refusing, Then::Keep).url("").into());
    let client = Client::new(&Options { proxy, cookies: Some(cookies.clone()), ..options() }).unwrap();
    assert!(fetch(&client, get("http://thence.invalid/")).await.is_err());
    assert!(!cookies.text().expose_secret().contains("of-the-proxy"));
}

fn relay_setting_a_cookie(origin: &Server) -> (String, Arc<Mutex<Vec<u8>>>) {
    relay(origin, |tcp| {
        let asked = super::read_head(tcp).unwrap();
        tcp.write_all(b"HTTP/1.1 200 Go ahead\r\nSet-Cookie: of-the-proxy=1\r\n\r\n").unwrap();
        asked.into_bytes()
    })
}

/// Behind a proxy the origin gets the user's headers, but not the proxy's.
#[tokio::test]
async fn net_07_the_origin_sees_no_proxy_credentials() {
    let origin = Server::saying(ok("x"), Then::Keep);
    let asked = with_headers(get(origin.url("/")), &[("Proxy-Authorization", "SECRET"), ("X-Mine", "1")]);
    fetch(&super::client(), asked).await.unwrap();
    assert!(origin.last().contains("x-mine") && !origin.last().contains("SECRET"));
}

#[test]
fn a_proxy_that_cannot_be_used_is_an_error() {
    for url in ["ftp://u:SECRET@h", "socks6://u:SECRET@h:1", "http://", "", "http://u:SECRET @h"] {
        let made = Client::new(&Options { proxy: Proxy::Url(url.into()), ..options() });
        let Err(Error::Option(text)) = made else { panic!("{url}") };
        assert!(!text.contains("SECRET"));
        let proxy_for = vec![ProxyFor { host: "h".into(), port: None, proxy: Proxy::Url(url.into()) }];
        assert!(matches!(Client::new(&Options { proxy_for, ..options() }), Err(Error::Option(_))), "{url}");
    }
    let proxy_for = vec![ProxyFor { host: "a b".into(), port: None, proxy: Proxy::Direct }];
    assert!(matches!(Client::new(&Options { proxy_for, ..options() }), Err(Error::Option(_))));
}

/// A tunnel belongs to whoever's login opened it (R62).
#[tokio::test]
async fn r62_a_connection_is_not_used_again_with_another_proxy_login() {
    let proxy = Server::saying(ok("x"), Then::Keep);
    let client = through(proxy.url(""));
    let with = |login: &str| {
        let url = proxy.url("").replace("://", &format!("://{login}"));
        Get { proxies: Proxies::own(Some(&Proxy::Url(url.into()))).unwrap(), ..get("http://thence.invalid/") }
    };
    let mut connections = Vec::new();
    for login in ["me:SECRET@", "me:SECRET@", "me:OTHER@", "you:SECRET@", "", "me:SECRET@"] {
        fetch(&client, with(login)).await.unwrap();
        connections.push(proxy.seen().last().unwrap().connection);
    }
    assert_eq!(connections, [0, 0, 1, 2, 3, 0]);
    fetch(&client, get("http://thence.invalid/")).await.unwrap();
    assert_eq!(proxy.connections(), 4, "the same proxy without a login is the same way");
}

/// What is said of a host counts before what a download says, and that before what is said of all.
#[tokio::test]
async fn net_07_a_host_and_a_download_may_have_their_own_proxies() {
    let (of_host, of_download, of_all) = (
        Server::saying(ok("h"), Then::Keep),
        Server::saying(ok("d"), Then::Keep),
        Server::saying(ok("a"), Then::Keep),
    );
    let url = |server: &Server| Proxy::Url(server.url("").into());
    let rule = |host: &str, port, proxy| ProxyFor { host: host.into(), port, proxy };
    let client = Client::new(&Options {
        proxy: url(&of_all),
        proxy_for: vec![rule("A.invalid", None, Proxy::Direct), rule("a.invalid", Some(80), url(&of_host))],
        ..options()
    });
    let client = client.unwrap();
    let own = || Proxies::own(Some(&url(&of_download))).unwrap();
    for (url, proxies, said) in [
        ("http://a.invalid/", own(), "h"),
        ("http://a.invalid/", None, "h"),
        ("http://b.invalid/", own(), "d"),
        ("http://b.invalid/", None, "a"),
        ("http://b.invalid/", Proxies::own(Some(&Proxy::Url(of_host.url("").into()))).unwrap(), "h"),
    ] {
        assert_eq!(fetch(&client, Get { proxies, ..get(url) }).await.unwrap().body, said, "{url}");
    }
    // Its other ports are gone to straight, where nobody is.
    let straight = fetch(&client, Get { proxies: own(), ..get("http://a.invalid:81/") }).await.map(drop);
    assert!(
        matches!(straight, Err(Failure::Resolve(_) | Failure::Stalled(_) | Failure::Offline(_))),
        "{straight:?}"
    );
}

/// A proxy over TLS: it is verified before it is told anything.
#[tokio::test]
async fn net_07_a_proxy_may_be_spoken_to_over_tls() {
    let authority = Authority::new();
    let proxy = authority.server("127.0.0.1", |_, _| (ok("x"), Then::Keep));
    let url = || Proxy::Url(proxy.url("").replace("http://", "https://me:SECRET@").into());
    let client = authority.client_with(Options { proxy: url(), ..options() });
    assert_eq!(fetch(&client, get("http://thence.invalid/a")).await.unwrap().body, "x");
    assert!(proxy.last().starts_with("GET http://thence.invalid/a HTTP/1.1\r\n"), "{}", proxy.last());
    assert!(proxy.last().contains("proxy-authorization: Basic "));
    let stranger = Authority::new().client_with(Options { proxy: url(), ..options() });
    let told = fetch(&stranger, get("http://thence.invalid/b")).await.err().unwrap();
    assert!(matches!(&told, Failure::Tls(text) if text.starts_with("proxy: ")), "{told:?}");
    let elsewhere = Proxy::Url(format!("https://localhost:{}", proxy.address.port()).into());
    let other = authority.client_with(Options { proxy: elsewhere, ..options() });
    assert!(matches!(fetch(&other, get("http://thence.invalid/c")).await.map(drop), Err(Failure::Tls(_))));
    assert_eq!(proxy.seen().len(), 1, "and those who are refused hear nothing");
}

#[tokio::test]
async fn a_dead_proxy_does_not_count_as_a_refusal_of_the_origin() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let result = fetch(&through(format!("http://{address}")), get("http://thence.invalid/")).await.map(drop);
    assert!(matches!(result, Err(Failure::Connect(text)) if text.contains("proxy")));
}

/// A SOCKS proxy that leads one connection to `origin`, and gives what it was asked for.
fn socks(origin: &Server, version: u8) -> (String, Arc<Mutex<Vec<u8>>>) {
    relay(origin, if version == 5 { socks5 } else { socks4 })
}

/// Leads one connection to `origin` once it has greeted.
fn relay(origin: &Server, greet: fn(&mut TcpStream) -> Vec<u8>) -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (asked, to) = (Arc::new(Mutex::new(Vec::new())), origin.address);
    let noted = asked.clone();
    thread::spawn(move || {
        let (mut tcp, _) = listener.accept().unwrap();
        *noted.lock().unwrap() = greet(&mut tcp);
        let mut onward = TcpStream::connect(to).unwrap();
        let (mut back, mut reply) = (tcp.try_clone().unwrap(), onward.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut reply, &mut back));
        let _ = std::io::copy(&mut tcp, &mut onward);
    });
    (address, asked)
}

fn read(tcp: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    tcp.read_exact(&mut bytes).unwrap();
    bytes
}

/// RFC 1928 with RFC 1929; gives user, password and address as they came.
fn socks5(tcp: &mut TcpStream) -> Vec<u8> {
    let methods = usize::from(read(tcp, 2)[1]);
    let wanted = read(tcp, methods).contains(&2);
    tcp.write_all(&[5, if wanted { 2 } else { 0 }]).unwrap();
    let mut noted = Vec::new();
    if wanted {
        for _ in 0..2 {
            let len = if noted.is_empty() { read(tcp, 2)[1] } else { read(tcp, 1)[0] };
            noted.extend(read(tcp, usize::from(len)));
            noted.push(b' ');
        }
        tcp.write_all(&[1, 0]).unwrap();
    }
    let kind = read(tcp, 4)[3];
    let len = if kind == 3 { usize::from(read(tcp, 1)[0]) } else { 4 };
    noted.extend(read(tcp, len));
    read(tcp, 2);
    tcp.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
    noted
}

fn socks4(tcp: &mut TcpStream) -> Vec<u8> {
    let noted = read(tcp, 8)[4..].to_vec();
    while read(tcp, 1) != [0] {}
    tcp.write_all(&[0, 90, 0, 0, 0, 0, 0, 0]).unwrap();
    noted
}

/// No resolver knows `.invalid`, so an answer proves that the proxy was given the name.
#[tokio::test]
async fn net_07_socks5h_leaves_the_name_to_the_proxy() {
    let origin = Server::saying(ok("x"), Then::Keep);
    let (proxy, asked) = socks(&origin, 5);
    let client = through(format!("socks5h://user:SECRET@{proxy}"));
    assert_eq!(fetch(&client, get("http://thence.invalid/")).await.unwrap().body, "x");
    assert_eq!(*asked.lock().unwrap(), b"user SECRET thence.invalid");
    assert!(origin.last().starts_with("GET / ") && !origin.last().contains("SECRET"));
}

#[tokio::test]
async fn net_07_socks5_and_socks4_are_given_addresses() {
    for version in [5, 4] {
        let origin = Server::saying(ok("x"), Then::Keep);
        let (proxy, asked) = socks(&origin, version);
        let client = through(format!("socks{version}://{proxy}"));
        assert_eq!(fetch(&client, get("http://localhost/")).await.unwrap().body, "x");
        assert_eq!(*asked.lock().unwrap(), [127, 0, 0, 1]);
    }
}
