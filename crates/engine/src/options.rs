//! What a caller may choose. Every bound stands in [`Limits`]; everything else here.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thence_plan::{Exists, Limits, Pieces, WantedDigest, Zsync};

use crate::cookies::CookieJar;
use crate::error::Error;
use crate::renew::Renew;
use crate::secret::Secret;
use crate::signature::Signature;

/// A digest that the whole file must have.
pub type Checksum = WantedDigest;

/// Which proxy to use.
#[derive(Clone, Debug, Default)]
pub enum Proxy {
    /// `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` of the environment.
    #[default]
    System,
    /// None.
    Direct,
    /// This one: `http://`, `https://` (HTTP inside of TLS), `socks4://`, `socks4a://`, `socks5://` or `socks5h://`, with
    /// userinfo if it wants some. With `socks5h` and `socks4a`, and with those of HTTP, names are looked up by the proxy.
    Url(Secret),
}

/// The proxy for one host, whoever leads there: also a redirect, and also another's mirror.
#[derive(Clone, Debug)]
pub struct ProxyFor {
    /// Name or address, as URLs have it; IPv6 in brackets.
    pub host: String,
    /// Its port; `None`: any.
    pub port: Option<u16>,
    /// What is used for it; `Proxy::System` is what the environment says.
    pub proxy: Proxy,
}

/// How an origin is told a user and password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// Basic at once over TLS. In clear the origin is asked first: Digest where it offers that, else Basic.
    #[default]
    Any,
    /// Basic (RFC 7617) at once, also in clear.
    Basic,
    /// Digest (RFC 7616) where the origin offers it, else nothing.
    Digest,
}

/// A request field for one origin, whoever leads there: also a redirect, and also another origin's file.
#[derive(Clone, Debug)]
pub struct OriginField {
    /// Scheme, host and port: `https://example.org`, `http://127.0.0.1:8080`.
    pub origin: String,
    /// The field's name.
    pub name: String,
    /// Its value.
    pub value: Secret,
}

/// Addresses that a name has, whatever is found elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// The name, as URLs have it.
    pub host: String,
    /// The port at which it has them.
    pub port: u16,
    /// At least one; at most 16 are tried.
    pub addresses: Vec<IpAddr>,
}

/// Where connections leave this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interface {
    /// From this address of ours, to addresses of its family.
    Address(IpAddr),
    /// Through the interface of this name. Linux only: elsewhere connecting fails.
    Device(String),
}

/// Choices for all downloads of an [`Engine`](crate::Engine).
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Every bound and interval.
    pub limits: Limits,
    /// The proxy of whatever has no other.
    pub proxy: Proxy,
    /// Proxies for hosts; the last for a host counts, before a download's own ([`Request::proxy`]).
    pub proxy_for: Vec<ProxyFor>,
    /// Names that are not looked up, those of proxies included.
    pub resolve: Vec<Pinned>,
    /// Where connections leave this machine: in turn through each of these; where the system sends them, if there are none.
    /// Of several, one that is lost is done without until it is back.
    pub interfaces: Vec<Interface>,
    /// PEM file of certificate authorities, used instead of the system's.
    pub cacert: Option<PathBuf>,
    /// PEM file of the certificate that is shown to servers that ask who we are: the end entity's first, then its chain. Only
    /// the origins of a request's `urls` are shown it, never those that redirects lead to (R58). It is read when the engine
    /// is made; at most 1 MiB.
    pub certificate: Option<PathBuf>,
    /// PEM file of its key, not encrypted: PKCS #8, SEC 1 or PKCS #1. `None`: `certificate` holds it too.
    pub private_key: Option<PathBuf>,
    /// Accept any certificate. Taints the journal (R63).
    pub insecure: bool,
    /// File of hosts that are asked by https only because they said so (RFC 6797); made when the first one says so, at most
    /// 1 MiB and 10,000 hosts. `None`: none is known, and none is kept.
    pub hsts: Option<PathBuf>,
    /// Bytes a second, read for answers, over all lanes and downloads; `None` for no limit. What holds of each limit: within
    /// any second it is kept to 5 %, from the second one on; over HTTP/2 as far as pieces of 16 KiB allow.
    pub limit_rate: Option<u64>,
    /// The same for each host (scheme, name, port), over all downloads.
    pub limit_host: Option<u64>,
    /// Fields for origins that are not those of the URLs; there they take the place of the request's own.
    pub origin_fields: Vec<OriginField>,
    /// Cookies to send, and where those go that servers set; `None`: none is sent or kept.
    pub cookies: Option<CookieJar>,
    /// `User-Agent` of every request; `None`: `thence/VERSION`.
    pub user_agent: Option<String>,
    /// Who knows another URL when a link has expired; without it the download ends with [`Error::Expired`].
    pub renew: Option<Renew>,
    /// How users and passwords of requests are told.
    pub auth: Auth,
}

/// Where the bytes go.
pub enum Target {
    /// A file: `dir` and, if chosen, its name; else the server's or the URL's name is used (R56).
    File {
        /// The directory; it must exist.
        dir: PathBuf,
        /// The final name.
        name: Option<String>,
    },
    /// In order to a writer; nothing is kept for a later run. What comes early waits in memory ([`Limits::window`]).
    Stream(Box<dyn std::io::Write + Send>),
}

/// One file that is wanted.
pub struct Request {
    /// URLs of the same bytes; the first is the identity, the others mirrors.
    pub urls: Vec<String>,
    /// Asked instead of the first of `urls`, whose link has expired: another URL of the same file. What an earlier run
    /// held of that is gone on with, once its validators or a comparison have told that it is the same; if it is not, the
    /// download ends with [`Error::OtherFile`] and nothing is touched.
    pub renewed: Option<String>,
    /// Where to.
    pub target: Target,
    /// Connections at most, 1 or more; `None`: as many as pay, which is found by measuring.
    pub lanes: Option<u32>,
    /// Request fields, sent to the origins of `urls` only (R58).
    pub headers: Vec<(String, Secret)>,
    /// Names of `headers` whose values may be kept in the journal.
    pub keep_headers: Vec<String>,
    /// User and password for the origin of the first URL; [`Options::auth`] says how they are told.
    pub user: Option<(String, Secret)>,
    /// The proxy of this download, redirects and mirrors included; `None`: that of [`Options`].
    pub proxy: Option<Proxy>,
    /// Digest of the whole file.
    pub checksum: Option<Checksum>,
    /// Length of the whole file in bytes, if somebody knows it; a source that has another is dropped (R54).
    pub size: Option<u64>,
    /// Digests of the pieces of a file of `size` bytes: where the whole is wrong, only what is wrong is fetched again, and from
    /// other sources, if there are any. Not looked at where the bytes go to a [`Target::Stream`].
    pub pieces: Option<Pieces>,
    /// Detached signature that the whole file must have. Not with [`Target::Stream`]: what is streamed is used before it is
    /// known to be signed.
    pub signature: Option<Signature>,
    /// Refuse unproven joins and unknown lengths.
    pub strict: bool,
    /// Join parts under different strong ETags when an overlap check finds them equal.
    pub trust_overlap: bool,
    /// Store a body with a content coding as sent.
    pub raw: bool,
    /// Bytes a second of this download, beside those of [`Options`]; `None` for no limit of its own.
    pub limit_rate: Option<u64>,
    /// What to do when the final name is taken.
    pub exists: Exists,
    /// Where a finished file of the first URL is there, fetch only if its source has another version, which then takes its
    /// place. Means nothing for a [`Target::Stream`].
    pub only_if_changed: bool,
    /// A partial file of another program to go on from: all of it, or what a control file of aria2 or axel beside it claims.
    /// Only what is proven is used, and the file is only read. If it stands at the final name, the finished file takes its
    /// place. If no name is chosen, the name is the partial file's own. What aria2 and axel leave at the final name,
    /// and Chromium at `NAME.crdownload`, is looked for unasked.
    pub adopt: Option<PathBuf>,
    /// Sums of the blocks of the file. `adopt` is then an older version of it, finished or not: its bytes are used where the
    /// sums say that they are the file's, wherever they stand. Wants a `checksum`; [`Zsync::digest`] is one.
    pub zsync: Option<Arc<Zsync>>,
    /// Give the finished file the time of `Last-Modified`, if the server tells one.
    pub remote_time: bool,
    /// Mode of the finished file; part and journal are always 0600.
    pub mode: u32,
}

impl Request {
    /// `url` into the directory `dir`, over as many connections as pay.
    pub fn new(url: impl Into<String>, dir: impl Into<PathBuf>) -> Request {
        Request {
            urls: vec![url.into()],
            renewed: None,
            target: Target::File { dir: dir.into(), name: None },
            lanes: None,
            headers: Vec::new(),
            keep_headers: Vec::new(),
            user: None,
            proxy: None,
            checksum: None,
            size: None,
            pieces: None,
            signature: None,
            strict: false,
            trust_overlap: false,
            raw: false,
            limit_rate: None,
            exists: Exists::default(),
            only_if_changed: false,
            adopt: None,
            zsync: None,
            remote_time: false,
            mode: 0o644,
        }
    }

    /// The download that `path` (`NAME.part`, `NAME.thence`, or `NAME`) holds, in the directory it is in now.
    /// `urls` and the target are the journal's; everything else is as in [`Request::new`].
    ///
    /// # Errors
    ///
    /// [`Error::Journal`] or [`Error::Disk`] when there is no such pair or its journal cannot be read.
    pub fn resume(path: &Path) -> Result<Request, Error> {
        let (dir, name, url) = crate::inspect::source_of(path)?;
        let mut request = Request::new(url, dir.clone());
        request.target = Target::File { dir, name: Some(name) };
        Ok(request)
    }
}
