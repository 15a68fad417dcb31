//! The way to a server: straight, or through a proxy.
//!
//! Proxy credentials go to the proxy alone: in `Proxy-Authorization` of a `CONNECT` or of an absolute-form
//! request to it, or in the SOCKS handshake. No type here prints them.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::Arc;
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
use url::Host;

use super::connection::http1_builder;
use super::deadline::Deadline;
use super::dial::Dialer;
use super::fault;
use super::nodes::Seat;
use super::pipe::Pipe;
use super::target::Target;
use super::tls::{Offer, Shaken, Tls};
use crate::error::Error;
use crate::options::{Proxy, ProxyFor};
use crate::secret::ExposeSecret;

/// What a proxy is called in errors.
const KINDS: &str = "http, https, socks4, socks4a, socks5 or socks5h URL";

/// Which proxy serves which URL.
pub(crate) struct Proxies(Option<Matcher>);

/// The proxy of one host, whoever leads there.
pub(super) struct Rule {
    host: Host,
    port: Option<u16>,
    proxies: Proxies,
}

/// What stands for a proxy and its login, and holds neither.
pub(super) type Mark = [u8; 32];

/// What a way is opened with.
pub(super) struct Means<'a> {
    pub(super) dialer: &'a Dialer,
    pub(super) tls: &'a Tls,
    pub(super) deadline: Deadline,
    /// The lane's that it is for.
    pub(super) seat: Option<&'a Seat>,
}

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
    /// Where it is; over TLS if it is an `https:` one.
    place: Target,
    intercept: Intercept,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    /// HTTP inside of TLS.
    Https,
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
            Proxy::System => return of_environment(),
            Proxy::Url(url) => url,
        };
        // The URL may hold a password: not a word of it is repeated.
        let unusable = || Error::Option(format!("the proxy is no {KINDS}"));
        usable(url.expose_secret()).map(|matcher| Proxies(Some(matcher))).ok_or_else(unusable)
    }

    /// Those of one download, if it has a choice of its own.
    pub(crate) fn own(choice: Option<&Proxy>) -> Result<Option<Arc<Proxies>>, Error> {
        choice.map(|choice| Proxies::new(choice).map(Arc::new)).transpose()
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

impl Rule {
    /// # Errors
    ///
    /// [`Error::Option`] for a host that is none, and as [`Proxies::new`].
    pub(super) fn of(ProxyFor { host, port, proxy }: &ProxyFor) -> Result<Rule, Error> {
        let named = Host::parse(host)
            .map_err(|error| Error::Option(format!("{}: {error}", host.escape_default())))?;
        Ok(Rule { host: named, port: *port, proxies: Proxies::new(proxy)? })
    }

    /// The last of them that is for that server.
    pub(super) fn last<'a>(rules: &'a [Rule], target: &Target) -> Option<&'a Proxies> {
        let fits =
            |rule: &&Rule| rule.host == target.host && rule.port.is_none_or(|port| port == target.port);
        rules.iter().rev().find(fits).map(|rule| &rule.proxies)
    }
}

/// What sends everything to that proxy; `None` if it is none that can be used.
fn usable(url: &str) -> Option<Matcher> {
    let matcher = Matcher::builder().all(url).build();
    let hop = matcher.intercept(&Uri::from_static("http://thence.invalid/")).map(Hop::of);
    matches!(hop, Some(Ok(_))).then_some(matcher)
}

/// What the environment says; on macOS and Windows the system's settings where it says nothing. The library passes over
/// what it cannot use, and would go straight.
fn of_environment() -> Result<Proxies, Error> {
    let set = |names: [&'static str; 2]| {
        names.into_iter().find_map(|name| std::env::var(name).ok().map(|url| (name, url)))
    };
    // The library takes it for all names, and for no address.
    if set(["NO_PROXY", "no_proxy"]).is_some_and(|(_, names)| names.split(',').any(|name| name.trim() == "*"))
    {
        return Ok(Proxies(None));
    }
    let pairs =
        [["HTTP_PROXY", "http_proxy"], ["HTTPS_PROXY", "https_proxy"], ["ALL_PROXY", "all_proxy"]].map(set);
    let named: Vec<_> = pairs.into_iter().flatten().filter(|(_, url)| !url.is_empty()).collect();
    if let Some((name, _)) = named.iter().find(|(_, url)| usable(url).is_none()) {
        return Err(Error::Option(format!("${name} is no {KINDS}")));
    }
    // Where nothing else is asked, nobody looks for a proxy at each request.
    let elsewhere = cfg!(any(target_os = "macos", windows));
    Ok(Proxies((elsewhere || !named.is_empty()).then(Matcher::from_system)))
}

impl Route {
    /// What tells this way from others in the pool: whoever has another login does not go through a tunnel that was
    /// opened with this one (R62).
    pub(super) fn mark(&self) -> Option<Mark> {
        match self {
            Route::Direct => None,
            Route::Through(hop) => Some(hop.mark()),
        }
    }

    /// No proxy is on it.
    pub(super) fn is_direct(&self) -> bool {
        matches!(self, Route::Direct)
    }

    /// The proxy that is sent `http:` requests whole, in absolute form (RFC 9112 s3.2.2).
    pub(super) fn forwards(&self, target: &Target) -> Option<&Hop> {
        match self {
            Route::Through(hop) if hop.speaks_http() && !target.https => Some(hop),
            _ => None,
        }
    }

    /// A byte stream to the server, or to the proxy that forwards.
    pub(super) async fn open(&self, target: &Target, means: &Means<'_>) -> Result<Pipe, Failure> {
        let hop = match self {
            Route::Direct => {
                return means.dialer.dial(target, means.seat, means.deadline).await.map(Pipe::Plain);
            }
            Route::Through(hop) => hop,
        };
        let pipe = hop.reach(means).await.map_err(|failure| hop.unreachable(failure))?;
        if !hop.speaks_http() {
            return means.deadline.within(Phase::Proxy, hop.socks(pipe, target, means.dialer)).await;
        }
        if !target.https {
            return Ok(pipe);
        }
        means.deadline.within(Phase::Proxy, hop.tunnel(pipe, target, means.dialer.limits())).await
    }
}

impl Hop {
    fn of(intercept: Intercept) -> Result<Hop, Failure> {
        let uri = intercept.uri();
        let kind = match uri.scheme_str() {
            Some("http") => Kind::Http,
            Some("https") => Kind::Https,
            Some("socks4") => Kind::Socks4,
            Some("socks4a") => Kind::Socks4a,
            Some("socks5") => Kind::Socks5,
            Some("socks5h") => Kind::Socks5h,
            _ => return Err(Failure::Proxy("only http, https and socks proxies can be used".into())),
        };
        let host = Host::parse(uri.host().unwrap_or_default());
        let host = host.map_err(|error| Failure::Proxy(format!("its address names no host: {error}")))?;
        let usual = match kind {
            Kind::Http => 80,
            Kind::Https => 443,
            _ => 1080,
        };
        let place = Target { https: kind == Kind::Https, host, port: uri.port_u16().unwrap_or(usual) };
        Ok(Hop { kind, place, intercept })
    }

    fn speaks_http(&self) -> bool {
        matches!(self.kind, Kind::Http | Kind::Https)
    }

    fn mark(&self) -> Mark {
        let login = self.intercept.raw_auth().unwrap_or_default();
        let basic = self.authorization().map(HeaderValue::as_bytes).unwrap_or_default();
        let mut hash = blake3::Hasher::new();
        for part in
            [self.intercept.uri().to_string().as_bytes(), basic, login.0.as_bytes(), login.1.as_bytes()]
        {
            hash.update(&part.len().to_le_bytes()).update(part);
        }
        hash.finalize().into()
    }

    /// A byte stream to the proxy itself.
    async fn reach(&self, means: &Means<'_>) -> Result<Pipe, Failure> {
        let pipe = means.dialer.dial(&self.place, None, means.deadline).await.map(Pipe::Plain)?;
        if self.kind != Kind::Https {
            return Ok(pipe);
        }
        let shaking = async { means.tls.config(false).await?.shake(pipe, &self.place, Offer::Http1).await };
        match means.deadline.within(Phase::Tls, shaking).await? {
            Shaken::Stream(stream, _) => Ok(Pipe::Tls(stream)),
            Shaken::OtherProtocol => Err(Failure::Tls("it does not speak HTTP/1.1".into())),
        }
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
            Failure::Tls(text) => Failure::Tls(format!("proxy: {text}")),
            other => other,
        }
    }

    /// `CONNECT` (RFC 9110 s9.3.6). Bytes that the proxy sends behind its answer are refused: the server
    /// speaks only when it was spoken to.
    async fn tunnel(&self, pipe: Pipe, target: &Target, limits: &Limits) -> Result<Pipe, Failure> {
        let shaken = http1_builder(limits).handshake(TokioIo::new(pipe)).await;
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
    async fn socks(&self, pipe: Pipe, target: &Target, dialer: &Dialer) -> Result<Pipe, Failure> {
        let address = match self.kind {
            Kind::Socks4 | Kind::Socks5 => Some(self.address_of(target, dialer).await?),
            _ => None,
        };
        let name = address.map_or_else(|| target.host.clone(), |address| host_of(address.ip()));
        let destination: Result<Uri, _> = format!("http://{name}:{}/", target.port).parse();
        let destination =
            destination.map_err(|_| Failure::Connect(format!("{target} cannot be asked for")))?;
        let proxy = self.intercept.uri().clone();
        let connected = Connected(Some(TokioIo::new(pipe)));
        let done = if matches!(self.kind, Kind::Socks4 | Kind::Socks4a) {
            SocksV4::new(proxy, connected).call(destination).await.map_err(|error| error.to_string())
        } else {
            let mut socks = SocksV5::new(proxy, connected);
            if let Some((user, password)) = self.intercept.raw_auth() {
                socks = socks.with_auth(user.into(), password.into());
            }
            socks.call(destination).await.map_err(|error| error.to_string())
        };
        done.map(TokioIo::into_inner).map_err(|text| {
            let failure = self.refusal(&text);
            if let (Failure::Connect(_), Some(address)) = (&failure, address) {
                dialer.pass_over(address);
            }
            failure
        })
    }

    /// hyper-util's SOCKS errors have no public type; their fixed words tell what trying again cannot change.
    fn refusal(&self, text: &str) -> Failure {
        let lasting = ["not allowed", "not supported", "IPV6"];
        // "server does not support user/pass authentication" is what it says of any login, and of none.
        if ["authentication", "credentials"].iter().any(|words| text.contains(words)) {
            wants_credentials()
        } else if lasting.iter().any(|words| text.contains(words)) {
            Failure::Proxy(format!("the proxy refuses: {text}"))
        } else {
            Failure::Connect(format!("the proxy could not connect: {text}"))
        }
    }

    /// An address that this kind of proxy can be told; SOCKS 4 knows IPv4 only.
    async fn address_of(&self, target: &Target, dialer: &Dialer) -> Result<SocketAddr, Failure> {
        let found = dialer.resolve(&target.name(), target.port).await?;
        let usable = found.iter().find(|address| address.is_ipv4() || self.kind == Kind::Socks5);
        let none = || Failure::Resolve(format!("{target} has no address that the proxy can reach"));
        usable.copied().ok_or_else(none)
    }
}

/// 407, from whichever request (RFC 9110 s15.5.8), and what says the same in SOCKS.
pub(super) fn wants_credentials() -> Failure {
    Failure::Proxy("it wants a user and a password, or others than it was given".into())
}

fn host_of(address: std::net::IpAddr) -> url::Host {
    match address {
        std::net::IpAddr::V4(address) => url::Host::Ipv4(address),
        std::net::IpAddr::V6(address) => url::Host::Ipv6(address),
    }
}

/// The connection to the proxy in the form in which hyper-util wants it: a service that is called once.
struct Connected(Option<TokioIo<Pipe>>);

impl Service<Uri> for Connected {
    type Response = TokioIo<Pipe>;
    type Error = Infallible;
    type Future = Ready<Result<TokioIo<Pipe>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _proxy: Uri) -> Self::Future {
        ready(Ok(self.0.take().expect("a handshake service is built for one call")))
    }
}
