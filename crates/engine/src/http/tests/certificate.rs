//! Who we are: shown where it was given for, and to nobody else (R58, R62, TLS-09).

use std::sync::{Arc, OnceLock};

use rustls::ServerConfig;
use thence_origin::ca::{Authority, Kind, Leaf};
use thence_plan::Failure;

use super::tls::tls;
use super::{Client, Get, Server, Then, bare, fetch, get, ok, options, redirect};
use crate::options::Options;

/// A client that trusts the authority, and has that certificate.
fn client(authority: &Authority, own: Option<&Leaf>) -> Client {
    let certificate = own.map(|own| own.cert.clone());
    let private_key = own.map(|own| own.key.clone());
    Client::new(&Options { cacert: Some(authority.cacert()), certificate, private_key, ..options() }).unwrap()
}

fn server(config: Arc<ServerConfig>, script: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Server {
    Server::start(tls(config), move |text, _| (script(text), Then::Keep))
}

/// `localhost` and `127.0.0.1` are two origins.
fn url(server: &Server, host: &str, path: &str) -> String {
    format!("https://{host}:{}{path}", server.address.port())
}

/// Which requests came with a certificate, and which on a resumed session.
fn shown(server: &Server) -> Vec<(bool, bool)> {
    server.seen().iter().map(|seen| (seen.certified, seen.resumed)).collect()
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_gets_it() {
    let authority = Authority::new();
    let asks = server(authority.leaf(Kind::Good).asking(&authority, true), |_| ok("x"));
    let client = client(&authority, Some(&authority.leaf(Kind::Good)));
    let asked = || Get { fresh: true, ..get(url(&asks, "localhost", "/")) };
    for _ in 0..2 {
        assert_eq!(fetch(&client, asked()).await.unwrap().body, "x");
    }
    // What TLS-09 forbids below is possible here: with the same certificate a session is resumed.
    assert_eq!(shown(&asks), [(true, false), (true, true)]);
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_and_gets_none_or_a_strangers_is_said_to_want_one() {
    let (ours, theirs) = (Authority::new(), Authority::named("theirs"));
    let asks = server(ours.leaf(Kind::Good).asking(&ours, true), |_| ok("x"));
    let stranger = theirs.leaf(Kind::Good);
    for (own, what) in [
        (None, "wants a client certificate, and was shown none"),
        (Some(&stranger), "does not accept the client certificate"),
    ] {
        let result = fetch(&client(&ours, own), get(url(&asks, "localhost", "/"))).await.map(drop);
        let Err(Failure::Tls(told)) = result else { panic!("{result:?}") };
        assert!(told.contains(what), "{told}");
    }
    assert!(asks.seen().is_empty());
}

/// nginx shakes hands with everybody and answers 400; a server that never asked means something else by it.
#[tokio::test]
async fn a_400_of_a_server_that_asked_is_about_the_certificate() {
    let authority = Authority::new();
    let bad = |_: &str| b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n".to_vec();
    let asks = server(authority.leaf(Kind::Good).asking(&authority, false), bad);
    let silent = server(authority.leaf(Kind::Good).config(), bad);
    let own = authority.leaf(Kind::Good);
    for (own, what) in [(None, "was shown none: status 400"), (Some(&own), "does not accept")] {
        let client = client(&authority, own);
        let result = fetch(&client, get(url(&asks, "localhost", "/"))).await.map(drop);
        assert!(matches!(&result, Err(Failure::Tls(told)) if told.contains(what)), "{result:?}");
        assert_eq!(fetch(&client, get(url(&silent, "localhost", "/"))).await.unwrap().head.status, 400);
    }
}

/// A chain that leaves its origin and comes back to it: on the way and at its end we are nobody, also when a lane asks the
/// last URL directly, and no session says otherwise.
#[tokio::test]
async fn tls_09_a_certificate_and_its_sessions_stay_at_their_origin() {
    let (authority, back) = (Authority::new(), Arc::new(OnceLock::<String>::new()));
    let asking = || authority.leaf(Kind::Good).asking(&authority, false);
    let returns = back.clone();
    let away = server(asking(), move |_| redirect(returns.get().unwrap()));
    let to = url(&away, "127.0.0.1", "/");
    let home = server(asking(), move |text| if text.starts_with("GET / ") { redirect(&to) } else { ok("x") });
    let (start, end) = (url(&home, "localhost", "/"), url(&home, "localhost", "/end"));
    back.set(end.clone()).unwrap();

    let client = client(&authority, Some(&authority.leaf(Kind::Good)));
    assert_eq!(fetch(&client, get(&start)).await.unwrap().body, "x");
    assert_eq!((shown(&home), shown(&away)), (vec![(true, false), (false, false)], vec![(false, false)]));
    let lane = Get { given_for: bare(&start).ok(), ..get(&end) };
    fetch(&client, lane).await.unwrap();
    assert!(!shown(&home)[2].0, "a lane at the end of the chain");
    fetch(&client, Get { fresh: true, ..get(&start) }).await.unwrap();
    assert_eq!(shown(&home)[3..], [(true, true), (false, true)], "each resumes its own sessions");
    // Who asks for that URL himself is shown for himself, though a connection without a certificate is idle.
    fetch(&client, get(&end)).await.unwrap();
    assert!(shown(&home)[5].0);
}

#[tokio::test]
async fn tls_09_no_session_is_resumed_under_another_choice_of_trust() {
    let authority = Authority::new();
    let origin = server(authority.leaf(Kind::Good).config(), |_| ok("x"));
    let insecure = Client::new(&Options { insecure: true, ..options() }).unwrap();
    for client in [insecure, client(&authority, None)] {
        for _ in 0..2 {
            let asked = Get { fresh: true, ..get(url(&origin, "localhost", "/")) };
            fetch(&client, asked).await.unwrap();
        }
    }
    let resumed: Vec<bool> = shown(&origin).into_iter().map(|(_, resumed)| resumed).collect();
    assert_eq!(resumed, [false, true, false, true]);
}

#[test]
fn a_key_without_its_certificate_is_an_error() {
    let private_key = Some("key.pem".into());
    assert!(Client::new(&Options { private_key, ..options() }).is_err());
}
