//! The way to a server: straight, or through a proxy.
//!
//! Proxy credentials go to the proxy alone: in `Proxy-Authorization` of a `CONNECT` or of an absolute-form
//! request to it, or in the SOCKS handshake. No type here prints them.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::proxy::{SocksV4, SocksV5};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use thence_plan::{Failure, Limits, Phase};
use tower_service::Service;

use super::connection::http1_builder;
use super::deadline::Deadline;
use super::dial::{Dialer, Wire};
use super::fault;
use super::target::Target;
use crate::error::Error;
use crate::options::Proxy;
use crate::secret::ExposeSecret;

/// Which proxy serves which URL.
pub(super) struct Proxies(Option<Matcher>);

/// The way to one server.
pub(super) enum Route {
    /// Straight.
    Direct,
    /// Through this proxy.
    Through(Hop),
}

/// A proxy on the way.
pub(super) struct Hop {
    kind: Kind,
    host: String,
    port: u16,
    intercept: Intercept,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Socks4,
    Socks4a,
    Socks5,
    Socks5h,
}

impl Proxies {
    /// Reads the user's choice, or the environment. A proxy that cannot be used is an error: to go straight
    /// instead would show the user's address to whom it was meant to be hidden from.
    pub(super) fn new(choice: &Proxy) -> Result<Proxies, Error> {
        let url = match choice {
            Proxy::Direct => return Ok(Proxies(None)),
            Proxy::System if none_in_environment() => return Ok(Proxies(None)),
            Proxy::System => return Ok(Proxies(Some(Matcher::from_system()))),
            Proxy::Url(url) => url,
        };
        let matcher = Matcher::builder().all(url.expose_secret()).build();
        let probe = Uri::from_static("http://thence.invalid/");
        match matcher.intercept(&probe).map(Hop::of) {
            Some(Ok(_)) => Ok(Proxies(Some(matcher))),
            // The URL may hold a password: not a word of it is repeated.
            _ => Err(Error::Option("the proxy is no http, socks4, socks4a, socks5 or socks5h URL".into())),
        }
    }

    /// The way to `target`.
    pub(super) fn route(&self, target: &Target) -> Result<Route, Failure> {
        let Some(matcher) = &self.0 else { return Ok(Route::Direct) };
        let scheme = if target.https { "https" } else { "http" };
        let uri: Result<Uri, _> = format!("{scheme}://{target}/").parse();
        let uri = uri.map_err(|_| Failure::Connect(format!("{target} cannot be asked for")))?;
        match matcher.intercept(&uri) {
            Some(intercept) => Ok(Route::Through(Hop::of(intercept)?)),
            None => Ok(Route::Direct),
        }
    }
}

/// Whether the environment, which is all that is asked here, names no proxy: then nobody looks for one at each request.
#[cfg(all(unix, not(target_os = "macos")))]
fn none_in_environment() -> bool {
    let named =
        |name: &&str| std::env::var_os(name).is_some() || std::env::var_os(name.to_uppercase()).is_some();
    !["http_proxy", "https_proxy", "all_proxy"].iter().any(named)
}

/// Other systems have other places for it.
#[cfg(not(all(unix, not(target_os = "macos"))))]
fn none_in_environment() -> bool {
    false
}

impl Route {
    /// What tells this way from others in the pool.
    pub(super) fn name(&self) -> Option<String> {
        match self {
            Route::Direct => None,
            Route::Through(hop) => Some(hop.intercept.uri().to_string()),
        }
    }

    /// The proxy that is sent `http:` requests whole, in absolute form (RFC 9112 s3.2.2).
    pub(super) fn forwards(&self, target: &Target) -> Option<&Hop> {
        match self {
            Route::Through(hop) if hop.kind == Kind::Http && !target.https => Some(hop),
            _ => None,
        }
    }

    /// A byte stream to the server, or to the proxy that forwards.
    pub(super) async fn open(
        &self,
        target: &Target,
        dialer: &Dialer,
        deadline: Deadline,
    ) -> Result<Wire, Failure> {
        let hop = match self {
            Route::Direct => return dialer.dial(&target.name(), target.port, deadline).await,
            Route::Through(hop) => hop,
        };
        let dialled = dialer.dial(&hop.host, hop.port, deadline).await;
        let wire = dialled.map_err(|failure| hop.unreachable(failure))?;
        match hop.kind {
            Kind::Http if !target.https => Ok(wire),
            Kind::Http => deadline.within(Phase::Proxy, hop.tunnel(wire, target, dialer.limits())).await,
            _ => deadline.within(Phase::Proxy, hop.socks(wire, target, dialer)).await,
        }
    }
}

impl Hop {
    fn of(intercept: Intercept) -> Result<Hop, Failure> {
        let uri = intercept.uri();
        let kind = match uri.scheme_str() {
            Some("http") => Kind::Http,
            Some("socks4") => Kind::Socks4,
            Some("socks4a") => Kind::Socks4a,
            Some("socks5") => Kind::Socks5,
            Some("socks5h") => Kind::Socks5h,
            _ => return Err(Failure::Proxy("only http and socks proxies can be used".into())),
        };
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let usual = if kind == Kind::Http { 80 } else { 1080 };
        let port = uri.port_u16().unwrap_or(usual);
        Ok(Hop { kind, host, port, intercept })
    }

    /// `Proxy-Authorization`, if the proxy was given credentials.
    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.intercept.basic_auth()
    }

    /// A proxy that refuses connections says nothing of how many lanes the origin allows (R34).
    fn unreachable(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Refused(text) | Failure::Connect(text) => Failure::Connect(format!("proxy {text}")),
            Failure::Resolve(text) => Failure::Resolve(format!("proxy {text}")),
            other => other,
        }
    }

    /// `CONNECT` (RFC 9110 s9.3.6). Bytes that the proxy sends behind its answer are refused: the server
    /// speaks only when it was spoken to.
    async fn tunnel(&self, wire: Wire, target: &Target, limits: &Limits) -> Result<Wire, Failure> {
        let shaken = http1_builder(limits).handshake(TokioIo::new(wire)).await;
        let (mut sender, mut moving) = shaken.map_err(|error| fault::head(&error))?;
        let mut asking = Box::pin(sender.send_request(self.connect_request(target)?));
        let answer = std::future::poll_fn(|cx| {
            if asking.as_mut().poll(cx).is_pending() {
                let _ = moving.poll_without_shutdown(cx);
            }
            asking.as_mut().poll(cx)
        });
        self.judge(&answer.await.map_err(|error| fault::head(&error))?)?;
        let parts = moving.into_parts();
        if !parts.read_buf.is_empty() {
            return Err(Failure::Connect("the proxy sent bytes of its own into the tunnel".into()));
        }
        Ok(parts.io.into_inner())
    }

    fn connect_request(&self, target: &Target) -> Result<Request<Empty<Bytes>>, Failure> {
        let authority = target.to_string();
        let mut request =
            Request::builder().method(Method::CONNECT).uri(&authority).header("host", &authority);
        if let Some(authorization) = self.authorization() {
            request = request.header("proxy-authorization", authorization);
        }
        request.body(Empty::new()).map_err(|error| Failure::Connect(format!("{authority}: {error}")))
    }

    fn judge(&self, answer: &Response<Incoming>) -> Result<(), Failure> {
        let status = answer.status();
        match status {
            _ if status.is_success() => Ok(()),
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => Err(wants_credentials()),
            _ if status.is_server_error() => Err(Failure::Connect(format!("the proxy answered {status}"))),
            _ => Err(Failure::Proxy(format!("the proxy refuses to connect: {status}"))),
        }
    }

    /// The SOCKS handshake. Only the kinds named for it leave the name to the proxy; for the others it is
    /// looked up here, since hyper-util's own lookup would block the runtime.
    async fn socks(&self, wire: Wire, target: &Target, dialer: &Dialer) -> Result<Wire, Failure> {
        let name = match self.kind {
            Kind::Socks4 | Kind::Socks5 => self.address_of(target, dialer).await?,
            _ => target.host.to_string(),
        };
        let destination: Result<Uri, _> = format!("http://{name}:{}/", target.port).parse();
        let destination =
            destination.map_err(|_| Failure::Connect(format!("{target} cannot be asked for")))?;
        let proxy = self.intercept.uri().clone();
        let connected = Connected(Some(TokioIo::new(wire)));
        let done = if matches!(self.kind, Kind::Socks4 | Kind::Socks4a) {
            SocksV4::new(proxy, connected).call(destination).await.map_err(|error| error.to_string())
        } else {
            let mut socks = SocksV5::new(proxy, connected);
            if let Some((user, password)) = self.intercept.raw_auth() {
                socks = socks.with_auth(user.into(), password.into());
            }
            socks.call(destination).await.map_err(|error| error.to_string())
        };
        done.map(TokioIo::into_inner).map_err(|text| refusal(&text))
    }

    /// An address that this kind of proxy can be told; SOCKS 4 knows IPv4 only.
    async fn address_of(&self, target: &Target, dialer: &Dialer) -> Result<String, Failure> {
        let found = dialer.resolve(&target.name(), target.port).await?;
        let usable = found.iter().find(|address| address.is_ipv4() || self.kind == Kind::Socks5);
        match usable.map(|address| Target { host: host_of(address.ip()), ..target.clone() }) {
            Some(target) => Ok(target.host.to_string()),
            None => Err(Failure::Resolve(format!("{target} has no address that the proxy can reach"))),
        }
    }
}

/// 407, from whichever request (RFC 9110 s15.5.8).
pub(super) fn wants_credentials() -> Failure {
    Failure::Proxy("the proxy wants a user and password (407), or others than it was given".into())
}

/// hyper-util's SOCKS errors have no public type; their fixed words tell what trying again cannot change.
fn refusal(text: &str) -> Failure {
    let lasting = ["authentication", "credentials", "not allowed", "not supported", "IPV6"];
    if lasting.iter().any(|words| text.contains(words)) {
        Failure::Proxy(format!("the proxy refuses: {text}"))
    } else {
        Failure::Connect(format!("the proxy could not connect: {text}"))
    }
}

fn host_of(address: std::net::IpAddr) -> url::Host {
    match address {
        std::net::IpAddr::V4(address) => url::Host::Ipv4(address),
        std::net::IpAddr::V6(address) => url::Host::Ipv6(address),
    }
}

/// The connection to the proxy in the form in which hyper-util wants it: a service that is called once.
struct Connected(Option<TokioIo<Wire>>);

impl Service<Uri> for Connected {
    type Response = TokioIo<Wire>;
    type Error = Infallible;
    type Future = Ready<Result<TokioIo<Wire>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _proxy: Uri) -> Self::Future {
        ready(Ok(self.0.take().expect("a handshake service is built for one call")))
    }
}
