//! One GET, from the URL to the head of the final answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use http::{HeaderMap, HeaderValue, Version, header};
use thence_plan::{Failure, Head, HttpVersion, Limits, Phase, next_hop, origin_of, same_origin};
use tokio::try_join;
use url::Url;

use super::body::{Body, Framing, Home};
use super::connection::{Connection, Interim, field_size};
use super::deadline::Deadline;
use super::dial::Dialer;
use super::fault;
use super::login::{Logins, Turn, User};
use super::memory::Memory;
use super::nodes::Seat;
use super::pipe::Pipe;
use super::pool::{Key, Pool};
use super::proxy::{Means, Proxies, Route, Rule, wants_credentials};
use super::request::{Get, OriginValue, Way, authorizes, bare, build, for_origins, path};
use super::shared::{Entrance, Trunks};
use super::target::Target;
use super::tls::{Offer, Shaken, Tls};
use crate::cookies::CookieJar;
use crate::error::Error;
use crate::hsts::Secured;
use crate::options::Options;

/// The final answer: the first that is no redirect, or a redirect that names no place.
pub(crate) struct Answer {
    /// URLs redirected to, in order, without userinfo and fragment; the last gave the head.
    pub(crate) hops: Vec<String>,
    /// The origin that was asked by https where a URL said http, if that is the first time.
    pub(crate) secured: Option<String>,
    /// Its head.
    pub(crate) head: Head,
    /// Its body, unread.
    pub(crate) body: Body,
}

/// What asks, where the user says nothing else.
pub(crate) const USER_AGENT: &str = concat!("thence/", env!("CARGO_PKG_VERSION"));

/// Makes requests; clones share idle connections and the TLS configuration.
#[derive(Clone)]
pub(crate) struct Client(Arc<Shared>);

struct Shared {
    limits: Limits,
    user_agent: HeaderValue,
    origin_fields: Vec<OriginValue>,
    logins: Logins,
    cookies: Option<CookieJar>,
    proxies: Proxies,
    proxy_for: Vec<Rule>,
    dialer: Dialer,
    tls: Tls,
    hsts: Secured,
    /// Certificates are verified, so that what hosts say of themselves is theirs.
    verified: bool,
    /// Origins of which was told that they are asked by https.
    told: Memory<String>,
    pool: Pool,
    trunks: Trunks,
    /// Servers that speak HTTP/2 only.
    http2_only: Memory<Key>,
    /// URLs on the user's own origin to which a foreign one led: they are not given what the user gave,
    /// neither in that chain nor when they are asked directly later (R58).
    strayed: Memory<String>,
}

impl Client {
    /// A client for these options. It touches neither the network nor the certificate store; a client certificate and the file
    /// of hosts are read.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for a proxy, user agent, client certificate or file of hosts that cannot be used.
    pub(crate) fn new(options: &Options) -> Result<Client, Error> {
        let user_agent = options.user_agent.as_deref().unwrap_or(USER_AGENT);
        let unsendable = |_| Error::Option("the user agent holds a control character".into());
        Ok(Client(Arc::new(Shared {
            user_agent: HeaderValue::try_from(user_agent).map_err(unsendable)?,
            origin_fields: for_origins(&options.origin_fields)?,
            logins: Logins::new(options.auth),
            cookies: options.cookies.clone(),
            proxies: Proxies::new(&options.proxy)?,
            proxy_for: options.proxy_for.iter().map(Rule::of).collect::<Result<_, _>>()?,
            dialer: Dialer::new(options),
            tls: Tls::new(options)?,
            hsts: Secured::open(options.hsts.as_deref())?,
            verified: !options.insecure,
            told: Memory::default(),
            pool: Pool::new(options.limits.keep_alive),
            trunks: Trunks::default(),
            http2_only: Memory::default(),
            strayed: Memory::default(),
            limits: options.limits.clone(),
        })))
    }

    /// Connects, asks and follows redirects; judges nothing of the final answer.
    ///
    /// # Errors
    ///
    /// Those of connecting (`Resolve`, `Refused`, `Connect`, `Proxy`, `Tls`, `Stalled`), of the exchange up to
    /// the head (`Reset`, `Truncated`, `Breach`, `Stalled(Head)`), and of [`next_hop`].
    pub(crate) async fn get(&self, mut get: Get) -> Result<Answer, Failure> {
        let shared = &self.0;
        let upgraded = shared.hsts.upgrade(&mut get.url);
        // What was given for the http origin goes to the one in its place.
        get.given_for.iter_mut().for_each(|given| _ = shared.hsts.upgrade(given));
        let mut chain = Chain::begin(&get, &shared.strayed);
        chain.secured = if upgraded { origin_of(get.url.as_str()) } else { None };
        loop {
            let (head, body) = shared.ask(&get, &mut chain).await?;
            shared.hear(&chain.url, &head).await;
            if shared.is_asked_again(&get, &mut chain, &head)? {
                body.discard().await;
                continue;
            }
            let Some(location) = location(&head)? else {
                chain.remember(&get, &shared.strayed);
                let secured = chain.secured.filter(|origin| shared.told.is_new(origin));
                return Ok(Answer { hops: chain.hops, secured, head, body });
            };
            body.discard().await;
            let location = chain.secure(location, &shared.hsts);
            chain.follow(&get, &location, shared.limits.redirects)?;
        }
    }
}

impl Shared {
    /// Asks one server of the chain. A kept connection may have been closed by the server just as the request
    /// went out; a GET may then be sent again (RFC 9110 s9.2.2), once and on a new connection.
    async fn ask(&self, get: &Get, chain: &mut Chain) -> Result<(Head, Body), Failure> {
        let target = Target::of(&chain.url)?;
        let route = self.route(get, &target)?;
        // Where the user's fields and credentials go, and nowhere else (R58).
        let shows = target.https && chain.trusted && self.tls.has_certificate();
        let key = Key { target, proxy: route.mark(), shows };
        if get.shares && key.target.https {
            // As with a kept connection: the server may have left just now.
            if let Some(stream) = self.share(&key, &route).await? {
                match self.exchange(stream, get, chain, &key, &route).await {
                    Err(Failure::Reset(_) | Failure::Truncated) => {}
                    other => return other,
                }
            }
        }
        // Whom a proxy asks is the proxy's choice.
        let Some(seat) = get.seat.as_deref().filter(|_| route.is_direct()) else {
            return self.ask_at(get, chain, &key, &route, None).await;
        };
        seat.asks(&key.target, get.range, &get.condition);
        loop {
            let asked = self.ask_at(get, chain, &key, &route, Some(seat)).await;
            // That can be so once.
            if !seat.passes_over(&key.target, &get.condition, asked.as_ref().map(|(head, _)| head)) {
                return asked;
            }
        }
    }

    async fn ask_at(
        &self,
        get: &Get,
        chain: &mut Chain,
        key: &Key,
        route: &Route,
        seat: Option<&Seat>,
    ) -> Result<(Head, Body), Failure> {
        let may_be_at = |address| seat.is_none_or(|seat| seat.may_be_at(&key.target, address));
        if !get.fresh
            && let Some(connection) = self.pool.take(key, may_be_at).await
        {
            if let Some(seat) = seat {
                seat.sits(connection.peer());
            }
            match self.exchange(connection, get, chain, key, route).await {
                Err(Failure::Reset(_) | Failure::Truncated) => {}
                other => return other,
            }
        }
        let connection = self.connect(key, route, seat).await?;
        self.exchange(connection, get, chain, key, route).await
    }

    /// What was said of the host counts most, then what was of the download.
    fn route(&self, get: &Get, target: &Target) -> Result<Route, Failure> {
        let of_host = Rule::last(&self.proxy_for, target);
        of_host.or(get.proxies.as_deref()).unwrap_or(&self.proxies).route(target)
    }

    fn means<'a>(&'a self, seat: Option<&'a Seat>, deadline: Deadline) -> Means<'a> {
        Means { dialer: &self.dialer, tls: &self.tls, deadline, seat }
    }

    /// Hears whether a host wants to be asked by https only. Of several fields the first counts (RFC 6797 s8.1).
    async fn hear(&self, url: &Url, head: &Head) {
        let field = head.values("strict-transport-security").next();
        if let Some(field) = field.filter(|_| self.verified) {
            self.hsts.learn(url, field).await;
        }
    }

    /// A stream of a connection that others share; `None` where the server does not speak HTTP/2.
    async fn share(&self, key: &Key, route: &Route) -> Result<Option<Connection>, Failure> {
        let mut server = match self.trunks.enter(key).await {
            Entrance::Stream(stream) => return Ok(Some(stream)),
            Entrance::Plain => return Ok(None),
            Entrance::Make(server) => server,
        };
        let deadline = Deadline::after(self.limits.connect);
        let trust = deadline.within(Phase::Tls, self.tls.config(key.shows));
        let means = self.means(None, deadline);
        let (pipe, config) = try_join!(route.open(&key.target, &means), trust)?;
        let meter = pipe.wire().meter();
        let shaken = deadline.within(Phase::Tls, config.shake(pipe, &key.target, Offer::Either)).await?;
        match shaken {
            Shaken::Stream(stream, true) => {
                let trunk = Connection::trunk(stream, meter, &self.limits).await?;
                server.made(Some(trunk.clone()));
                Ok(Some(Connection::stream(&trunk)))
            }
            Shaken::Stream(stream, false) => {
                server.made(None);
                Connection::http1(Pipe::Tls(stream), meter, &self.limits).await.map(Some)
            }
            Shaken::OtherProtocol => {
                Err(Failure::Tls(format!("{} speaks neither HTTP/1.1 nor HTTP/2", key.target)))
            }
        }
    }

    /// Sends the request and takes the head.
    async fn exchange(
        &self,
        mut connection: Connection,
        get: &Get,
        chain: &mut Chain,
        key: &Key,
        route: &Route,
    ) -> Result<(Head, Body), Failure> {
        let turn = &mut chain.turn;
        let login = user(get, chain.trusted, &chain.url, &self.origin_fields)
            .and_then(|user| self.logins.say(user, &key.target, path(&chain.url), turn));
        let way = Way {
            url: &chain.url,
            target: &key.target,
            forwards: route.forwards(&key.target),
            trusted: chain.trusted,
            http2: connection.is_http2(),
            origin_fields: &self.origin_fields,
            cookies: self.cookies.as_ref(),
            user_agent: &self.user_agent,
            login,
        };
        let request = build(get, &way)?;
        let (interim, before) = (Arc::default(), connection.read());
        let response = connection.ask(request, &interim, get.sparing, &self.limits).await?;
        if way.forwards.is_some() && response.status() == 407 {
            return Err(wants_credentials());
        }
        if response.status() == 400
            && let Some(failure) = self.tls.refused(&key.target, key.shows)
        {
            return Err(failure);
        }
        chain.count(response.headers(), &interim, &self.limits)?;
        if let Some(cookies) = &self.cookies {
            cookies.take(&chain.url, response.headers());
        }
        let (parts, incoming) = response.into_parts();
        let framing = Framing::of(parts.version, parts.status, &parts.headers);
        let keeps = keeps(parts.version, &parts.headers);
        let home = Home {
            pool: self.pool.clone(),
            key: key.clone(),
            keeps,
            worth: self.limits.discard,
            patience: self.limits.happy_eyeballs,
        };
        let body = Body::new(connection, before, incoming, framing, home, &self.limits);
        Ok((head(&parts), body))
    }

    /// Whether the server asked who asks, and gets an answer.
    fn is_asked_again(&self, get: &Get, chain: &mut Chain, head: &Head) -> Result<bool, Failure> {
        let user = user(get, chain.trusted, &chain.url, &self.origin_fields);
        Ok(user.is_some() && self.logins.hear(head, &Target::of(&chain.url)?, &mut chain.turn))
    }

    /// A new connection to a server, in the protocol it speaks.
    async fn connect(&self, key: &Key, route: &Route, seat: Option<&Seat>) -> Result<Connection, Failure> {
        let means = self.means(seat, Deadline::after(self.limits.connect));
        if !key.target.https {
            let pipe = route.open(&key.target, &means).await?;
            let meter = pipe.wire().meter();
            return Connection::http1(pipe, meter, &self.limits).await;
        }
        let http2 = self.http2_only.knows(key);
        let offers = if http2 { [Offer::Http2, Offer::Http1] } else { [Offer::Http1, Offer::Http2] };
        if let Some(connection) = self.connect_tls(key, route, &means, offers[0]).await? {
            return Ok(connection);
        }
        match self.connect_tls(key, route, &means, offers[1]).await? {
            Some(connection) => {
                if !http2 {
                    self.http2_only.learn(key.clone());
                }
                Ok(connection)
            }
            None => Err(Failure::Tls(format!("{} speaks neither HTTP/1.1 nor HTTP/2", key.target))),
        }
    }

    /// A TLS connection; `None` when the server does not speak the protocol offered.
    async fn connect_tls(
        &self,
        key: &Key,
        route: &Route,
        means: &Means<'_>,
        offer: Offer,
    ) -> Result<Option<Connection>, Failure> {
        let trust = means.deadline.within(Phase::Tls, self.tls.config(key.shows));
        let (pipe, config) = try_join!(route.open(&key.target, means), trust)?;
        let meter = pipe.wire().meter();
        let shaking = async {
            Ok(match config.shake(pipe, &key.target, offer).await? {
                Shaken::OtherProtocol => None,
                Shaken::Stream(stream, true) => Some(Connection::http2(stream, meter, &self.limits).await?),
                Shaken::Stream(stream, false) => {
                    Some(Connection::http1(Pipe::Tls(stream), meter, &self.limits).await?)
                }
            })
        };
        means.deadline.within(Phase::Tls, shaking).await
    }
}

/// How far a GET has been led.
struct Chain {
    /// URLs that it was redirected to so far.
    hops: Vec<String>,
    /// The present one.
    url: Url,
    /// Every hop so far was on the origin that the user's fields and credentials are for.
    trusted: bool,
    /// What the present one was told of the user.
    turn: Turn,
    /// The origin that took the place of an http one.
    secured: Option<String>,
    /// Header bytes and fields of all responses so far (R66).
    bytes: usize,
    fields: usize,
}

impl Chain {
    fn begin(get: &Get, strayed: &Memory<String>) -> Chain {
        let (url, original) = (get.url.clone(), get.original());
        let trusted = url == *original
            || (same_origin(url.as_str(), original.as_str()) && !strayed.knows(url.as_str()));
        Chain { hops: Vec::new(), url, trusted, secured: None, turn: Turn::default(), bytes: 0, fields: 0 }
    }

    /// Where a redirect leads, by https if its host wants that: such a one from https to http leads out of nothing (R61).
    fn secure(&mut self, location: String, hsts: &Secured) -> String {
        let Ok(mut to) = self.url.join(&location) else { return location };
        // What may not be followed is left for the planner to refuse.
        if location.contains(char::is_control) || !hsts.upgrade(&mut to) {
            return location;
        }
        self.secured = origin_of(to.as_str());
        to.into()
    }

    /// One hop on. What the user gave is not given back when a chain returns to its origin (CRD-01).
    fn follow(&mut self, get: &Get, location: &str, most: u32) -> Result<(), Failure> {
        let hop = next_hop(get.url.as_str(), &self.hops, location, most)?;
        self.url = bare(&hop.url)?;
        self.hops.push(self.url.to_string());
        self.turn = Turn::default();
        self.trusted &= same_origin(self.url.as_str(), get.original().as_str());
        Ok(())
    }

    /// Lanes ask a chain's last URL directly. If a foreign origin had a say in it, that is remembered. The
    /// original URL is the user's own choice and is never tainted by leading back to itself.
    fn remember(&self, get: &Get, strayed: &Memory<String>) {
        if self.trusted {
            return;
        }
        let original = get.original();
        if self.url != *original && same_origin(self.url.as_str(), original.as_str()) {
            strayed.learn(self.url.to_string());
        }
    }

    /// Adds a head, and the interim ones before it, to what the chain has cost (R66).
    fn count(&mut self, fields: &HeaderMap, interim: &Interim, limits: &Limits) -> Result<(), Failure> {
        let size: usize = fields.iter().map(|(name, value)| field_size(name, value)).sum();
        self.bytes += size + interim.bytes.load(Ordering::Relaxed);
        self.fields += fields.len() + interim.fields.load(Ordering::Relaxed);
        if self.bytes > limits.header_bytes || self.fields > limits.header_fields {
            return Err(fault::breach(
                "R66",
                format!("{} header fields of {} bytes", self.fields, self.bytes),
            ));
        }
        Ok(())
    }
}

/// Whom the URL's server may be told of; nobody where the chain was led astray, or a field of the user's own says it.
fn user<'a>(get: &'a Get, trusted: bool, url: &Url, origin_fields: &[OriginValue]) -> Option<&'a User> {
    get.user.as_deref().filter(|_| trusted && !authorizes(get, url, origin_fields))
}

/// The server keeps the connection for another request. hyper decides that for itself; this is for bodies that it does
/// not read. Whatever is not said in the usual words costs a connection.
fn keeps(version: Version, fields: &HeaderMap) -> bool {
    let usual = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"keep-alive");
    version == Version::HTTP_11 && fields.get_all(header::CONNECTION).iter().all(usual)
}

/// Where a redirect leads (RFC 9110 s15.4): GET stays GET for all five. A 3xx without `Location` is left to
/// the judge (R32). Bytes beyond ASCII that are no UTF-8 are percent-encoded, as browsers do.
fn location(head: &Head) -> Result<Option<String>, Failure> {
    if !matches!(head.status, 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let mut values = head.fields.iter().filter(|(name, _)| *name == header::LOCATION.as_str().as_bytes());
    let Some((_, value)) = values.next() else { return Ok(None) };
    if values.any(|(_, other)| other != value) {
        return Err(Failure::Redirect("two different Location fields".into()));
    }
    let text = std::str::from_utf8(value).map_or_else(|_| encode_high(value), str::to_owned);
    Ok(Some(text))
}

fn encode_high(bytes: &[u8]) -> String {
    percent_encoding::percent_encode(bytes, &percent_encoding::AsciiSet::EMPTY).to_string()
}

/// A head in the planner's words.
fn head(parts: &http::response::Parts) -> Head {
    let version = match parts.version {
        Version::HTTP_10 => HttpVersion::Http10,
        Version::HTTP_2 => HttpVersion::Http2,
        _ => HttpVersion::Http11,
    };
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Head {
        status: parts.status.as_u16(),
        version,
        fields: parts.headers.iter().collect(),
        received: since.map_or(0, |since| since.as_secs()),
    }
}
