//! The fields of a request: what is ours, what the user gave, and to whom the latter may go (R58).

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Uri};
use http_body_util::Empty;
use thence_plan::{Condition, Failure, make_bare};
use url::{Origin, Position, Url};

use super::nodes::Seat;
use super::proxy::{Hop, Proxies};
use super::target::Target;
use crate::cookies::CookieJar;
use crate::error::Error;
use crate::options::OriginField;
use crate::secret::{ExposeSecret, Fields, Secret};

/// One GET to be made.
pub(crate) struct Get {
    /// Where to ask: the original URL, or a target that its redirects led to. It is [`bare`].
    pub(crate) url: Url,
    /// The original URL where that is another: what the user gave belongs to its origin (R58).
    pub(crate) given_for: Option<Url>,
    /// Request fields the user gave; they have passed [`check_headers`].
    pub(crate) headers: Arc<Fields>,
    /// User and password, for the origin of the original URL.
    pub(crate) user: Option<Arc<(String, Secret)>>,
    /// First byte and exclusive end; no `Range` field when `None`.
    pub(crate) range: Option<(u64, Option<u64>)>,
    /// Condition sent along with the range.
    pub(crate) condition: Condition,
    /// Use a new connection for every hop.
    pub(crate) fresh: bool,
    /// What comes is small: share a connection with others where the server speaks HTTP/2.
    pub(crate) shares: bool,
    /// Read little beyond the head: what comes is limited, and 64 lanes read half a megabyte along with their heads.
    pub(crate) sparing: bool,
    /// The download's own proxies, if it has some.
    pub(crate) proxies: Option<Arc<Proxies>>,
    /// The lane's place among the others of its download, if it is one's.
    pub(crate) seat: Option<Arc<Seat>>,
}

impl Get {
    /// Whose origin what the user gave belongs to.
    pub(super) fn original(&self) -> &Url {
        self.given_for.as_ref().unwrap_or(&self.url)
    }
}

/// A URL as it is asked and shown: without userinfo, which is a credential and no address (P4), and fragment.
///
/// # Errors
///
/// [`Failure::Redirect`] for what is no URL: one that the user gave has been checked.
pub(crate) fn bare(url: &str) -> Result<Url, Failure> {
    let mut url =
        Url::parse(url).map_err(|error| Failure::Redirect(format!("a URL is not valid: {error}")))?;
    make_bare(&mut url);
    Ok(url)
}

/// Fields that decide which bytes come, how they are framed, or what the connection is for. They are ours.
const OURS: [&str; 17] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "proxy-connection",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "want-repr-digest",
];

/// Fields that most requests have room for without growing.
const FIELDS: usize = 12;

/// Refuses fields that are ours to set, and those that cannot be sent: a name that is no token, a value with
/// a line end, NUL or other control character (URL-06).
///
/// # Errors
///
/// [`Error::Option`], which names the field and never repeats its value.
pub(crate) fn check_headers(headers: &[(String, Secret)]) -> Result<(), Error> {
    for (name, value) in headers {
        let shown = name.escape_default();
        let Some(field) = HeaderName::from_bytes(name.as_bytes()).ok() else {
            return Err(Error::Option(format!("header {shown}: this is no name for a header")));
        };
        if OURS.contains(&field.as_str()) {
            return Err(Error::Option(format!("header {shown}: thence sets this one itself")));
        }
        if HeaderValue::from_bytes(value.expose_secret().as_bytes()).is_err() {
            return Err(Error::Option(format!("header {shown}: its value holds a control character")));
        }
    }
    Ok(())
}

/// A field for one origin, ready to be sent.
pub(super) struct OriginValue {
    origin: Origin,
    name: HeaderName,
    value: HeaderValue,
}

/// Fields for origins, checked.
///
/// # Errors
///
/// [`Error::Option`] for what cannot be sent, or names no origin; a value is not repeated.
pub(super) fn for_origins(fields: &[OriginField]) -> Result<Vec<OriginValue>, Error> {
    let ready = |OriginField { origin, name, value }: &OriginField| {
        check_headers(&[(name.clone(), value.clone())])?;
        let url =
            Url::parse(origin).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let unusable = || Error::Option(format!("header {}: its origin is none", name.escape_default()));
        let origin = url.map(|url| url.origin()).ok_or_else(unusable)?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?;
        let mut value = HeaderValue::from_bytes(value.expose_secret().as_bytes()).map_err(|_| unusable())?;
        value.set_sensitive(true);
        Ok(OriginValue { origin, name, value })
    };
    fields.iter().map(ready).collect()
}

/// How one request goes out.
pub(super) struct Way<'a> {
    /// What is asked.
    pub(super) url: &'a Url,
    /// Its server.
    pub(super) target: &'a Target,
    /// The proxy it is sent to whole.
    pub(super) forwards: Option<&'a Hop>,
    /// The chain has not left the origin that the user's fields and credentials are for.
    pub(super) trusted: bool,
    /// HTTP/2.
    pub(super) http2: bool,
    /// What the user gave for origins, as [`for_origins`] makes it.
    pub(super) origin_fields: &'a [OriginValue],
    /// Those of the run.
    pub(super) cookies: Option<&'a CookieJar>,
    /// `User-Agent` where the user's fields have none.
    pub(super) user_agent: &'a HeaderValue,
    /// `Authorization` by user and password; `None` where a field [`authorizes`] already.
    pub(super) login: Option<HeaderValue>,
}

/// Whether a field that the user gave says who asks: then nothing else does.
pub(super) fn authorizes(get: &Get, url: &Url, origin_fields: &[OriginValue]) -> bool {
    let says = |name: &str| header::AUTHORIZATION.as_str().eq_ignore_ascii_case(name);
    let field = |field: &OriginValue| field.name == header::AUTHORIZATION && field.origin == url.origin();
    get.headers.iter().any(|(name, _)| says(name)) || origin_fields.iter().any(field)
}

/// Path and query, as the request line has them.
pub(super) fn path(url: &Url) -> &str {
    &url[Position::BeforePath..Position::AfterQuery]
}

/// The request for `get` on this way.
pub(super) fn build(get: &Get, way: &Way<'_>) -> Result<Request<Empty<Bytes>>, Failure> {
    let mut fields = HeaderMap::with_capacity(FIELDS);
    if way.trusted {
        given(&mut fields, get)?;
    }
    for field in way.origin_fields.iter().filter(|field| field.origin == way.url.origin()) {
        fields.insert(field.name.clone(), field.value.clone());
    }
    if let Some(login) = &way.login {
        fields.insert(header::AUTHORIZATION, login.clone());
    }
    // A `Cookie` of the user's own is all that its origin gets.
    if !fields.contains_key(header::COOKIE)
        && let Some(cookies) = way.cookies.and_then(|cookies| cookies.field(way.url))
    {
        fields.insert(header::COOKIE, cookies);
    }
    proxy_fields(&mut fields, way.forwards);
    own_fields(&mut fields, get, way)?;
    let host = if way.http2 { fields.remove(header::HOST) } else { None };
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = request_target(way, host.as_ref())?;
    *request.headers_mut() = fields;
    Ok(request)
}

/// What the user gave. It is marked sensitive: `Debug` does not print it, HPACK does not index it.
fn given(fields: &mut HeaderMap, get: &Get) -> Result<(), Failure> {
    let unsendable =
        |name: &str| Failure::Defect(format!("header {} was not checked", name.escape_default()));
    for (name, value) in get.headers.iter() {
        let field = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unsendable(name))?;
        let mut value =
            HeaderValue::from_bytes(value.expose_secret().as_bytes()).map_err(|_| unsendable(name))?;
        value.set_sensitive(true);
        fields.append(field, value);
    }
    Ok(())
}

/// A proxy's credentials go to a proxy (NET-07): behind a tunnel, or without a proxy, the origin would get
/// even those that the user gave as a header.
fn proxy_fields(fields: &mut HeaderMap, forwards: Option<&Hop>) {
    match forwards {
        None => drop(fields.remove(header::PROXY_AUTHORIZATION)),
        Some(hop) => {
            if let Some(authorization) = hop.authorization() {
                fields.insert(header::PROXY_AUTHORIZATION, authorization.clone());
            }
        }
    }
}

/// What is the same for every user: identity coding always (R5), the range, and a condition.
fn own_fields(fields: &mut HeaderMap, get: &Get, way: &Way<'_>) -> Result<(), Failure> {
    let unsendable = |_| Failure::Defect("a validator that cannot be sent".into());
    let host = HeaderValue::try_from(way.target.authority());
    let host = host.map_err(|_| Failure::Connect(format!("{} cannot be asked for", way.target)))?;
    fields.entry(header::HOST).or_insert(host);
    // The same one to every origin of a chain: servers choose the bytes by it (R12).
    let named = get.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("user-agent"));
    let agent = named.and_then(|(_, value)| HeaderValue::from_bytes(value.expose_secret().as_bytes()).ok());
    fields.entry(header::USER_AGENT).or_insert_with(|| agent.unwrap_or_else(|| way.user_agent.clone()));
    fields.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    fields.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    fields.insert("want-repr-digest", HeaderValue::from_static("sha-256=10"));
    if let Condition::IfChanged { tag, modified } = &get.condition {
        let conditions = [(header::IF_NONE_MATCH, tag), (header::IF_MODIFIED_SINCE, modified)];
        for (name, value) in conditions {
            if let Some(value) = value {
                fields.insert(name, HeaderValue::try_from(value).map_err(unsendable)?);
            }
        }
    }
    let Some((first, end)) = get.range else { return Ok(()) };
    fields.insert(header::RANGE, range(first, end)?);
    // A condition without a range would ask for something else (R6).
    if let Condition::IfRange(validator) = &get.condition {
        fields.insert(header::IF_RANGE, HeaderValue::try_from(validator).map_err(unsendable)?);
    }
    Ok(())
}

/// `bytes=first-last` (RFC 9110 s14.1.2), whose last is inclusive.
fn range(first: u64, end: Option<u64>) -> Result<HeaderValue, Failure> {
    let text = match end {
        None => format!("bytes={first}-"),
        Some(end) if end > first => format!("bytes={first}-{}", end - 1),
        Some(end) => return Err(Failure::Defect(format!("the range {first}..{end} is empty"))),
    };
    HeaderValue::try_from(text).map_err(|error| Failure::Defect(error.to_string()))
}

/// Origin form; absolute form for a forwarding proxy and for HTTP/2, where it becomes `:authority` and a
/// user's own `Host` takes the authority's place.
fn request_target(way: &Way<'_>, host: Option<&HeaderValue>) -> Result<Uri, Failure> {
    let path = path(way.url);
    let text = match (way.forwards.is_some(), way.http2) {
        (false, false) => path.to_owned(),
        (_, http2) => {
            let named = host.filter(|_| http2).and_then(|host| host.to_str().ok());
            let authority = named.map_or_else(|| way.target.authority(), str::to_owned);
            format!("{}://{authority}{path}", way.url.scheme())
        }
    };
    let unusable =
        |error| Failure::Redirect(format!("{} has a URL that cannot be asked: {error}", way.target));
    Uri::try_from(text).map_err(unusable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests;

    fn get() -> Get {
        let headers = &[("Host", "other:81"), ("Cookie", "SECRET")];
        let get = Get { range: Some((0, None)), ..tests::get("https://h/a?b") };
        tests::with_headers(get, headers)
    }

    fn login() -> HeaderValue {
        let mut login = HeaderValue::from_static("Basic dXNlcjpTRUNSRVQ=");
        login.set_sensitive(true);
        login
    }

    fn of(get: &Get, http2: bool) -> Result<Request<Empty<Bytes>>, Failure> {
        let target = Target::of(&get.url).unwrap();
        let user_agent = &HeaderValue::from_static("a");
        let origin_fields = &[];
        let way = Way {
            url: &get.url,
            target: &target,
            forwards: None,
            trusted: true,
            http2,
            origin_fields,
            cookies: None,
            user_agent,
            login: Some(login()),
        };
        build(get, &way)
    }

    fn built(http2: bool) -> Request<Empty<Bytes>> {
        of(&get(), http2).unwrap()
    }

    /// Its range as it is sent.
    fn asked(range: (u64, Option<u64>)) -> Result<String, Failure> {
        let request = of(&Get { range: Some(range), ..get() }, false)?;
        Ok(request.headers()["range"].to_str().unwrap().to_owned())
    }

    #[test]
    fn r01_the_last_position_is_inclusive() {
        assert_eq!(asked((0, None)).unwrap(), "bytes=0-");
        assert_eq!(asked((5, Some(6))).unwrap(), "bytes=5-5");
        assert_eq!(asked((5, Some(9))).unwrap(), "bytes=5-8");
        assert!(
            matches!(asked((5, Some(5))), Err(Failure::Defect(_))),
            "a range of nothing cannot be asked for"
        );
    }

    #[test]
    fn r11_a_version_is_asked_about_with_all_that_is_known_of_it() {
        let ask = |tag: Option<&str>, modified: Option<&str>, range| {
            let [tag, modified] = [tag, modified].map(|text| text.map(str::to_owned));
            let condition = Condition::IfChanged { tag, modified };
            let sent = of(&Get { condition, range, ..get() }, false).unwrap();
            ["if-none-match", "if-modified-since", "if-range"]
                .map(|name| sent.headers().get(name).map(|value| value.to_str().unwrap().to_owned()))
        };
        let (tag, date) = ("W/\"a\"", "Sun, 06 Nov 1994 08:49:37 GMT");
        for range in [None, Some((0, None))] {
            assert_eq!(ask(Some(tag), Some(date), range), [Some(tag.into()), Some(date.into()), None]);
            assert_eq!(ask(None, Some(date), range), [None, Some(date.into()), None]);
        }
    }

    #[test]
    fn what_cannot_be_sent_is_an_error_and_no_panic() {
        let unchecked = |name: &str, value: &str| {
            let headers = Arc::new(vec![(name.to_owned(), value.into())]);
            of(&Get { headers, ..get() }, false).map(drop)
        };
        for (name, value) in [("a b", "c"), ("a", "b\nc"), ("", "c")] {
            assert!(matches!(unchecked(name, value), Err(Failure::Defect(_))), "{name:?}: {value:?}");
        }
        // Longer than a URL may be in an http::Uri.
        let url = bare(&format!("https://h/{}", "x".repeat(70_000))).unwrap();
        assert!(matches!(of(&Get { url, ..get() }, false), Err(Failure::Redirect(_))));
    }

    #[test]
    fn a_host_of_the_users_own_takes_the_authoritys_place() {
        assert_eq!(built(true).uri(), "https://other:81/a?b");
        assert!(!built(true).headers().contains_key("host"));
        assert_eq!(built(false).uri(), "/a?b");
        assert_eq!(built(false).headers()["host"], "other:81");
    }

    #[test]
    fn crd_03_a_field_for_an_origin_goes_to_that_one_alone() {
        let field = |origin: &str, name: &str, value: &str| OriginField {
            origin: origin.into(),
            name: name.into(),
            value: value.into(),
        };
        let given = [
            field("https://h/", "Cookie", "mine"),
            field("http://h", "X-Plain", "SECRET"),
            field("https://h:444", "X-Port", "SECRET"),
            field("https://other", "X-Other", "SECRET"),
        ];
        let origin_fields = &*for_origins(&given).unwrap();
        let (get, user_agent) = (get(), &HeaderValue::from_static("a"));
        let target = Target::of(&get.url).unwrap();
        let (url, http2, trusted) = (&get.url, false, true);
        let (target, cookies, forwards, login) = (&target, None, None, None);
        let way = Way { url, target, forwards, trusted, http2, origin_fields, cookies, user_agent, login };
        let sent = build(&get, &way).unwrap();
        assert_eq!(sent.headers()["cookie"], "mine", "in the place of what was given for all");
        assert!(["x-plain", "x-port", "x-other"].iter().all(|name| !sent.headers().contains_key(*name)));
        for (origin, name) in [("h", "X"), ("ftp://h", "X"), ("https://h", "Range"), ("https://h", "a b")] {
            let told = for_origins(&[field(origin, name, "SECRET")]).err().unwrap().to_string();
            assert!(!told.contains("SECRET"), "{told}");
        }
    }

    #[test]
    fn log_01_debug_prints_no_secret() {
        let text = format!("{:?}", built(false));
        assert!(text.contains("cookie") && text.contains("authorization"));
        assert!(!text.contains("SECRET") && !text.contains("dXNlcjpTRUNSRVQ="));
        let proxy = crate::Proxy::Url("http://user:SECRET@proxy".into());
        let given = ("me".to_owned(), Secret::from("SECRET"));
        let text = format!("{:?} {given:?}", crate::Options { proxy, ..crate::Options::default() });
        assert!(text.contains("REDACTED") && !text.contains("SECRET"), "{text}");
    }
}
