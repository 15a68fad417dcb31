//! One GET, from the URL to the head of the final answer.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use http::{HeaderMap, HeaderValue, Version, header};
use thence_plan::{Failure, Head, HttpVersion, Limits, Phase, next_hop, same_origin};
use tokio::try_join;
use url::Url;

use super::body::{Body, Framing, Home};
use super::connection::{Connection, Interim, field_size};
use super::deadline::Deadline;
use super::dial::Dialer;
use super::fault;
use super::pipe::Pipe;
use super::pool::{Key, Pool};
use super::proxy::{Proxies, Route, wants_credentials};
use super::request::{Get, OriginValue, Way, bare, build, for_origins};
use super::shared::{Entrance, Trunks};
use super::target::Target;
use super::tls::{Offer, Shaken, Tls};
use crate::cookies::CookieJar;
use crate::error::Error;
use crate::options::Options;

/// URLs and hosts that a client remembers something of; far more than a run meets.
const REMEMBERED: usize = 4_096;

/// The final answer: the first that is no redirect, or a redirect that names no place.
pub(crate) struct Answer {
    /// URLs redirected to, in order, without userinfo and fragment; the last gave the head.
    pub(crate) hops: Vec<String>,
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
    cookies: Option<CookieJar>,
    proxies: Proxies,
    dialer: Dialer,
    tls: Tls,
    pool: Pool,
    trunks: Trunks,
    /// Servers that speak HTTP/2 only.
    http2_only: Memory<Key>,
    /// URLs on the user's own origin to which a foreign one led: they are not given what the user gave,
    /// neither in that chain nor when they are asked directly later (R58).
    strayed: Memory<String>,
}

impl Client {
    /// A client for these options. It touches neither the network nor the certificate store.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for a proxy or user agent that cannot be used.
    pub(crate) fn new(options: &Options) -> Result<Client, Error> {
        let user_agent = options.user_agent.as_deref().unwrap_or(USER_AGENT);
        let unsendable = |_| Error::Option("the user agent holds a control character".into());
        Ok(Client(Arc::new(Shared {
            user_agent: HeaderValue::try_from(user_agent).map_err(unsendable)?,
            origin_fields: for_origins(&options.origin_fields)?,
            cookies: options.cookies.clone(),
            proxies: Proxies::new(&options.proxy)?,
            dialer: Dialer::new(options),
            tls: Tls::new(options.cacert.clone(), options.insecure),
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
    pub(crate) async fn get(&self, get: Get) -> Result<Answer, Failure> {
        let shared = &self.0;
        let mut chain = Chain::begin(&get, &shared.strayed);
        loop {
            let (head, body) = shared.ask(&get, &mut chain).await?;
            let Some(location) = location(&head)? else {
                chain.remember(&get, &shared.strayed);
                return Ok(Answer { hops: chain.hops, head, body });
            };
            body.discard().await;
            chain.follow(&get, &location, shared.limits.redirects)?;
        }
    }
}

impl Shared {
    /// Asks one server of the chain. A kept connection may have been closed by the server just as the request
    /// went out; a GET may then be sent again (RFC 9110 s9.2.2), once and on a new connection.
    async fn ask(&self, get: &Get, chain: &mut Chain) -> Result<(Head, Body), Failure> {
        let target = Target::of(&chain.url)?;
        let route = self.proxies.route(&target)?;
        let key = Key { target, proxy: route.name() };
        if get.shares && key.target.https {
            // As with a kept connection: the server may have left just now.
            if let Some(stream) = self.share(&key, &route).await? {
                match self.exchange(stream, get, chain, &key, &route).await {
                    Err(Failure::Reset(_) | Failure::Truncated) => {}
                    other => return other,
                }
            }
        }
        if !get.fresh
            && let Some(connection) = self.pool.take(&key).await
        {
            match self.exchange(connection, get, chain, &key, &route).await {
                Err(Failure::Reset(_) | Failure::Truncated) => {}
                other => return other,
            }
        }
        let connection = self.connect(&key, &route).await?;
        self.exchange(connection, get, chain, &key, &route).await
    }

    /// A stream of a connection that others share; `None` where the server does not speak HTTP/2.
    async fn share(&self, key: &Key, route: &Route) -> Result<Option<Connection>, Failure> {
        let mut server = match self.trunks.enter(key).await {
            Entrance::Stream(stream) => return Ok(Some(stream)),
            Entrance::Plain => return Ok(None),
            Entrance::Make(server) => server,
        };
        let deadline = Deadline::after(self.limits.connect);
        let trust = deadline.within(Phase::Tls, self.tls.config());
        let (wire, config) = try_join!(route.open(&key.target, &self.dialer, deadline), trust)?;
        let meter = wire.meter();
        let shaken = deadline.within(Phase::Tls, config.shake(wire, &key.target, Offer::Either)).await?;
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
        let way = Way {
            url: &chain.url,
            target: &key.target,
            forwards: route.forwards(&key.target),
            trusted: chain.trusted,
            http2: connection.is_http2(),
            origin_fields: &self.origin_fields,
            cookies: self.cookies.as_ref(),
            user_agent: &self.user_agent,
        };
        let request = build(get, &way)?;
        let (interim, before) = (Arc::default(), connection.read());
        let response = connection.ask(request, &interim, get.sparing, &self.limits).await?;
        if way.forwards.is_some() && response.status() == 407 {
            return Err(wants_credentials());
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

    /// A new connection to a server, in the protocol it speaks.
    async fn connect(&self, key: &Key, route: &Route) -> Result<Connection, Failure> {
        let deadline = Deadline::after(self.limits.connect);
        if !key.target.https {
            let wire = route.open(&key.target, &self.dialer, deadline).await?;
            let meter = wire.meter();
            return Connection::http1(Pipe::Plain(wire), meter, &self.limits).await;
        }
        let http2 = self.http2_only.knows(key);
        let offers = if http2 { [Offer::Http2, Offer::Http1] } else { [Offer::Http1, Offer::Http2] };
        if let Some(connection) = self.connect_tls(key, route, deadline, offers[0]).await? {
            return Ok(connection);
        }
        match self.connect_tls(key, route, deadline, offers[1]).await? {
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
        deadline: Deadline,
        offer: Offer,
    ) -> Result<Option<Connection>, Failure> {
        let trust = deadline.within(Phase::Tls, self.tls.config());
        let (wire, config) = try_join!(route.open(&key.target, &self.dialer, deadline), trust)?;
        let meter = wire.meter();
        let shaking = async {
            Ok(match config.shake(wire, &key.target, offer).await? {
                Shaken::OtherProtocol => None,
                Shaken::Stream(stream, true) => Some(Connection::http2(stream, meter, &self.limits).await?),
                Shaken::Stream(stream, false) => {
                    Some(Connection::http1(Pipe::Tls(stream), meter, &self.limits).await?)
                }
            })
        };
        deadline.within(Phase::Tls, shaking).await
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
    /// Header bytes and fields of all responses so far (R66).
    bytes: usize,
    fields: usize,
}

impl Chain {
    fn begin(get: &Get, strayed: &Memory<String>) -> Chain {
        let (url, original) = (get.url.clone(), get.original());
        let trusted = url == *original
            || (same_origin(url.as_str(), original.as_str()) && !strayed.knows(url.as_str()));
        Chain { hops: Vec::new(), url, trusted, bytes: 0, fields: 0 }
    }

    /// One hop on. What the user gave is not given back when a chain returns to its origin (CRD-01).
    fn follow(&mut self, get: &Get, location: &str, most: u32) -> Result<(), Failure> {
        let hop = next_hop(get.url.as_str(), &self.hops, location, most)?;
        self.url = bare(&hop.url)?;
        self.hops.push(self.url.to_string());
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

/// A bounded set. One that is full answers yes to everything: both uses are safe when in doubt.
struct Memory<T>(Mutex<HashSet<T>>);

impl<T> Default for Memory<T> {
    fn default() -> Memory<T> {
        Memory(Mutex::default())
    }
}

impl<T: Eq + Hash> Memory<T> {
    fn knows<Q: Hash + Eq + ?Sized>(&self, item: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(item) || known.len() >= REMEMBERED
    }

    fn learn(&self, item: T) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < REMEMBERED {
            known.insert(item);
        }
    }
}
