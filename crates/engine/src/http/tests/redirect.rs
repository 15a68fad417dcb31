//! Chains: how far they go, and what goes along.

use std::sync::Arc;
use std::time::Instant;

use thence_plan::Failure;

use super::{Client, Get, Server, Then, bare, client, fetch, get, ok, options, redirect, with_headers};
use crate::options::{Auth, Options};

const SECRETS: [(&str, &str); 4] = [
    ("Cookie", "SECRET"),
    ("X-Api-Key", "SECRET"),
    ("Proxy-Authorization", "SECRET"),
    ("authorization", "SECRET"),
];

/// A server that sends everybody to `to`.
fn sending_to(to: String) -> Server {
    Server::plain(move |_, _| (redirect(&to), Then::Keep))
}

#[tokio::test]
async fn every_kind_of_redirect_is_followed() {
    for status in [301, 302, 303, 307, 308] {
        let server = Server::plain(move |request, _| {
            if request.starts_with("GET /end ") {
                return (ok("end"), Then::Keep);
            }
            let head =
                format!("HTTP/1.1 {status} Moved\r\nLocation: end#frag\r\nContent-Length: 4\r\n\r\nmove");
            (head.into_bytes(), Then::Keep)
        });
        let got = fetch(&client(), get(server.url("/"))).await.unwrap();
        assert_eq!((got.body.as_str(), got.hops), ("end", vec![server.url("/end")]));
        assert_eq!(server.connections(), 1, "a short body keeps its connection");
    }
}

#[tokio::test]
async fn other_answers_are_final() {
    for head in
        ["HTTP/1.1 302 Found", "HTTP/1.1 300 Choices\r\nLocation: /a", "HTTP/1.1 304 Not\r\nLocation: /a"]
    {
        let server = Server::saying(format!("{head}\r\nContent-Length: 0\r\n\r\n"), Then::Keep);
        let got = fetch(&client(), get(server.url("/"))).await.unwrap();
        assert!(got.hops.is_empty() && got.head.status >= 300);
    }
}

#[tokio::test]
async fn crd_01_credentials_stay_at_their_origin() {
    let stranger = Server::saying(ok("x"), Then::Keep);
    let origin = sending_to(stranger.url("/"));
    let user = Arc::new(("user".to_owned(), "SECRET".into()));
    let client = Client::new(&Options { auth: Auth::Basic, ..options() }).unwrap();
    fetch(&client, Get { user: Some(user), ..get(origin.url("/")) }).await.unwrap();
    assert!(origin.last().contains("authorization: Basic dXNlcjpTRUNSRVQ="));
    assert!(!stranger.last().to_lowercase().contains("authorization"));
}

/// Userinfo of a Location is for nobody.
#[tokio::test]
async fn crd_01_userinfo() {
    let stranger = Server::saying(ok("x"), Then::Keep);
    let origin = sending_to(format!("http://eve:evil@{}/", stranger.address));
    let got = fetch(&client(), get(origin.url("/"))).await.unwrap();
    assert!(!stranger.last().contains("authorization") && !stranger.last().contains("eve"));
    assert_eq!(got.hops, [stranger.url("/")]);
}

#[tokio::test]
async fn crd_03_headers_of_the_user_stay_at_their_origin() {
    let stranger = Server::saying(ok("x"), Then::Keep);
    let origin = sending_to(stranger.url("/"));
    fetch(&client(), with_headers(get(origin.url("/")), &SECRETS)).await.unwrap();
    assert_eq!(origin.last().matches("SECRET").count(), 3, "all but the proxy's");
    assert!(!stranger.last().contains("SECRET") && !stranger.last().contains("x-api-key"));
}

#[tokio::test]
async fn crd_03_another_name_or_scheme_is_another_origin() {
    let server = Server::plain(|request, _| match request.starts_with("GET /1 ") {
        true => (ok("x"), Then::Keep),
        false => (Vec::new(), Then::Close),
    });
    let port = server.address.port();
    let origin = sending_to(format!("http://localhost:{port}/1"));
    let asked = Get { given_for: bare(&format!("http://127.0.0.1:{port}/")).ok(), ..get(origin.url("/")) };
    fetch(&client(), with_headers(asked, &SECRETS)).await.unwrap();
    assert!(!server.last().contains("SECRET") && !origin.last().contains("SECRET"));
}

/// origin -> stranger -> origin: what the stranger leads to is not given what the user gave, neither then nor
/// when a lane asks that URL directly (curl CVE-2018-1000007 and its kin).
#[tokio::test]
async fn crd_09_nothing_is_given_back_on_return() {
    let client = client();
    let origin = Arc::new(std::sync::OnceLock::<String>::new());
    let back = origin.clone();
    let stranger = Server::plain(move |_, _| (redirect(back.get().unwrap()), Then::Keep));
    let to = stranger.url("/");
    let server = Server::plain(move |request, _| match request.split(' ').nth(1) {
        Some("/start") => (redirect(&to), Then::Keep),
        Some("/back") => (redirect("/further"), Then::Keep),
        _ => (ok("x"), Then::Keep),
    });
    origin.set(server.url("/back")).unwrap();
    let got = fetch(&client, with_headers(get(server.url("/start")), &SECRETS)).await.unwrap();
    assert_eq!(got.hops, [stranger.url("/"), server.url("/back"), server.url("/further")]);
    let direct = Get { given_for: bare(&server.url("/start")).ok(), ..get(server.url("/further")) };
    fetch(&client, with_headers(direct, &SECRETS)).await.unwrap();
    let told: Vec<_> = server.seen().iter().map(|seen| seen.text.contains("SECRET")).collect();
    assert_eq!(told, [true, false, false, false]);
    assert!(!stranger.last().contains("SECRET"));
}

/// A target on the user's own origin, reached without a stranger, is asked directly with everything.
#[tokio::test]
async fn crd_09_a_target_at_home_keeps_what_was_given() {
    let server = Server::plain(|request, _| match request.starts_with("GET /start ") {
        true => (redirect("/end"), Then::Keep),
        false => (ok("x"), Then::Keep),
    });
    let client = client();
    let got = fetch(&client, with_headers(get(server.url("/start")), &SECRETS)).await.unwrap();
    let direct = Get { given_for: bare(&server.url("/start")).ok(), ..get(got.hops[0].as_str()) };
    fetch(&client, with_headers(direct, &SECRETS)).await.unwrap();
    assert!(server.seen().iter().all(|seen| seen.text.contains("x-api-key: SECRET")));
}

#[tokio::test]
async fn url_01_other_schemes_are_refused() {
    for to in
        ["file:///etc/passwd", "ftp://h/", "data:,x", "unix:/s", "gopher://h/", "javascript:1", "http://"]
    {
        let server = sending_to(to.into());
        let result = fetch(&client(), get(server.url("/"))).await.map(drop);
        assert!(matches!(result, Err(Failure::Redirect(_))), "{to}: {result:?}");
    }
    let two = "HTTP/1.1 302 Found\r\nLocation: /a\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n";
    let result = fetch(&client(), get(Server::saying(two, Then::Keep).url("/"))).await.map(drop);
    assert!(matches!(result, Err(Failure::Redirect(_))));
}

#[tokio::test]
async fn url_05_chains_end() {
    let growing = Server::plain(|_, number| (redirect(&format!("/?{number}")), Then::Keep));
    let result = fetch(&client(), get(growing.url("/"))).await.map(drop);
    assert_eq!((result, growing.seen().len()), (Err(Failure::Redirects), 21));
    let own = sending_to("/".into());
    assert_eq!(fetch(&client(), get(own.url("/"))).await.map(drop), Err(Failure::Redirects));
    let pair = Server::plain(|request, _| match request.starts_with("GET /a ") {
        true => (redirect("/b"), Then::Keep),
        false => (redirect("/a"), Then::Keep),
    });
    assert_eq!(fetch(&client(), get(pair.url("/a"))).await.map(drop), Err(Failure::Redirects));
}

#[tokio::test]
async fn url_06_a_location_cannot_write_fields() {
    for to in ["/a%0d%0aX-Evil:%201", "/a b", "/\u{e4}\u{2028}", "/a\tb", "//[bad", "http://h%0d%0a/"] {
        let server = Server::plain(move |_, number| match number {
            0 => (redirect(to), Then::Keep),
            _ => (ok("x"), Then::Keep),
        });
        let result = fetch(&client(), get(server.url("/"))).await.map(drop);
        assert!(matches!(result, Ok(()) | Err(Failure::Redirect(_))), "{to:?}: {result:?}");
        assert!(server.seen().iter().all(|seen| seen.text.lines().all(|line| !line.starts_with("X-Evil"))));
    }
    let raw = Server::plain(|_, number| match number {
        0 => (b"HTTP/1.1 302 F\r\nLocation: /\xe9\r\nContent-Length: 0\r\n\r\n".to_vec(), Then::Keep),
        _ => (ok("x"), Then::Keep),
    });
    fetch(&client(), get(raw.url("/"))).await.unwrap();
    assert!(raw.last().starts_with("GET /%E9 "));
}

#[tokio::test]
async fn url_09_an_endless_body_costs_its_connection_only() {
    for length in ["Content-Length: 99999999999", "Transfer-Encoding: chunked", "X: y"] {
        let body = match length.starts_with('T') {
            true => format!("20000\r\n{}", "x".repeat(0x20000)),
            false => "x".repeat(1 << 17),
        };
        let server = Server::plain(move |request, _| match request.starts_with("GET /end ") {
            true => (ok("end"), Then::Keep),
            false => {
                let head = format!("HTTP/1.1 302 Found\r\nLocation: /end\r\n{length}\r\n\r\n{body}");
                (head.into_bytes(), Then::Hang)
            }
        });
        let began = Instant::now();
        assert_eq!(fetch(&client(), get(server.url("/"))).await.unwrap().body, "end");
        assert_eq!(server.connections(), 2);
        assert!(began.elapsed().as_millis() < 900);
    }
}
