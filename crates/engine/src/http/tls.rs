//! TLS by rustls with aws-lc-rs: what is trusted, and a sentence for what is not.
//!
//! The provider is passed by hand, so nothing process-wide is set. A configuration belongs to one client with
//! one choice of trust, and either shows our certificate or does not; its session tickets never meet another's
//! (TLS-09, R62).

use std::cell::Cell;
use std::io::{Error as IoError, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError,
    RootCertStore, SignatureScheme,
};
use rustls_platform_verifier::BuilderVerifierExt;
use thence_plan::Failure;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Host;

use super::certificate;
use super::fault::tls_inside;
use super::memory::Memory;
use super::pipe::Pipe;
use super::target::Target;
use crate::error::Error;
use crate::options::Options;

/// What a client trusts, loaded when the first `https:` hop is met, and the certificate that it has itself.
pub(super) struct Tls {
    cacert: Option<PathBuf>,
    insecure: bool,
    own: Option<Arc<CertifiedKey>>,
    loaded: OnceCell<Loaded>,
    /// Servers that asked for our certificate.
    askers: Arc<Memory<Target>>,
}

/// The configuration that shows nothing, and the one that shows our certificate.
struct Loaded {
    bare: Config,
    showing: Option<Config>,
}

/// A configuration, once for each protocol that is offered.
#[derive(Clone)]
pub(super) struct Config {
    shows: bool,
    askers: Arc<Memory<Target>>,
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    either: Arc<ClientConfig>,
}

/// What is offered to a server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    Http1,
    Http2,
    /// HTTP/2, or else HTTP/1.1.
    Either,
}

/// How a handshake ended.
pub(super) enum Shaken {
    /// A stream, and whether ALPN settled on HTTP/2.
    Stream(Box<TlsStream<Pipe>>, bool),
    /// The peer speaks none of the offered protocols (RFC 7301 s3.2).
    OtherProtocol,
}

impl Tls {
    /// Our certificate is read, and nothing else yet.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for a certificate or key that cannot be used.
    pub(super) fn new(options: &Options) -> Result<Tls, Error> {
        let Options { certificate, private_key, .. } = options;
        let own = match (certificate, private_key) {
            (Some(certificate), key) => Some(certificate::read(certificate, key.as_deref())?),
            (None, Some(_)) => return Err(Error::Option("a private key without its certificate".into())),
            (None, None) => None,
        };
        let (cacert, insecure) = (options.cacert.clone(), options.insecure);
        Ok(Tls { cacert, insecure, own, loaded: OnceCell::new(), askers: Arc::default() })
    }

    /// Whether there is a certificate to show.
    pub(super) fn has_certificate(&self) -> bool {
        self.own.is_some()
    }

    /// The configuration. Reading the system's store takes some 16 ms, so it is done on a blocking thread
    /// while name and connection are waited for.
    pub(super) async fn config(&self, shows: bool) -> Result<Config, Failure> {
        let load = || async {
            let (cacert, insecure, own) = (self.cacert.clone(), self.insecure, self.own.clone());
            let askers = self.askers.clone();
            let loading =
                tokio::task::spawn_blocking(move || load(cacert.as_deref(), insecure, own, &askers));
            loading.await.unwrap_or_else(|panic| Err(Failure::Tls(panic.to_string())))
        };
        let loaded = self.loaded.get_or_try_init(load).await?;
        let showing = loaded.showing.as_ref().filter(|_| shows);
        Ok(showing.unwrap_or(&loaded.bare).clone())
    }

    /// Why a server answered 400, if it asked for our certificate: nginx shakes hands with everybody, and says so then.
    pub(super) fn refused(&self, target: &Target, shown: bool) -> Option<Failure> {
        self.askers.holds(target).then(|| Failure::Tls(unwelcome(target, shown, "status 400")))
    }
}

impl Config {
    /// Shakes hands with `target`. Lanes offer HTTP/2 or HTTP/1.1 and never both: a server that speaks HTTP/1.1
    /// is to be asked in it, which costs less for bulk and gives a lane its own connection.
    pub(super) async fn shake(&self, pipe: Pipe, target: &Target, offer: Offer) -> Result<Shaken, Failure> {
        let config = match offer {
            Offer::Http1 => &self.http1,
            Offer::Http2 => &self.http2,
            Offer::Either => &self.either,
        };
        let connector = TlsConnector::from(config.clone());
        let name = server_name(&target.host)?;
        let shaking = async { (connector.connect(name, pipe).await, ASKED.with(Cell::get)) };
        let (shaken, asked) = ASKED.scope(Cell::new(false), shaking).await;
        if asked {
            self.askers.learn(target.clone());
        }
        match shaken {
            Ok(stream) => {
                let settled = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                Ok(Shaken::Stream(Box::new(stream), settled))
            }
            Err(error) => match tls_inside(&error) {
                Some(TlsError::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
                    Ok(Shaken::OtherProtocol)
                }
                // Under TLS 1.2 a server says so with whichever alert it likes.
                Some(TlsError::AlertReceived(alert)) if asked => {
                    Err(Failure::Tls(unwelcome(target, self.shows, &format!("{alert:?}"))))
                }
                Some(tls) => Err(Failure::Tls(sentence(target, tls))),
                None => Err(interrupted(target, &error)),
            },
        }
    }
}

/// The name the certificate must have; an address must stand in it as an address (R63).
fn server_name(host: &Host) -> Result<ServerName<'static>, Failure> {
    match host {
        Host::Ipv4(address) => Ok(ServerName::from(std::net::IpAddr::from(*address))),
        Host::Ipv6(address) => Ok(ServerName::from(std::net::IpAddr::from(*address))),
        Host::Domain(name) => ServerName::try_from(name.trim_end_matches('.').to_owned())
            .map_err(|_| Failure::Tls(format!("{name} is no name that a certificate can have"))),
    }
}

/// Builds the configurations. TLS 1.2 and 1.3 are all that rustls has.
fn load(
    cacert: Option<&Path>,
    insecure: bool,
    own: Option<Arc<CertifiedKey>>,
    askers: &Arc<Memory<Target>>,
) -> Result<Loaded, Failure> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    // The first random bytes of a process can cost 22 ms of CPU; here they cost nobody a wait.
    let warm = provider.secure_random.fill(&mut [0; 1]);
    warm.map_err(|_| Failure::Tls("no random numbers".into()))?;
    let unset = |error: TlsError| Failure::Tls(error.to_string());
    let builder =
        || ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let http1 = if insecure {
        let any = Arc::new(Anything(provider.signature_verification_algorithms));
        builder().map_err(unset)?.dangerous().with_custom_certificate_verifier(any)
    } else if let Some(path) = cacert {
        builder().map_err(unset)?.with_root_certificates(read_roots(path)?)
    } else {
        match builder().map_err(unset)?.with_platform_verifier() {
            Ok(verified) => verified,
            // Containers and static builds have no store; those of the build are better than none.
            Err(_) => builder().map_err(unset)?.with_root_certificates(built_in_roots()),
        }
    };
    let trusting = http1.with_no_client_auth();
    let showing = own.map(|own| offer(with_sessions(&trusting, Some(own)), true, askers));
    Ok(Loaded { bare: offer(with_sessions(&trusting, None), false, askers), showing })
}

/// The configuration for one answer to whoever asks who we are, with sessions that no other has.
fn with_sessions(trusting: &ClientConfig, own: Option<Arc<CertifiedKey>>) -> ClientConfig {
    let mut config = trusting.clone();
    config.client_auth_cert_resolver = Arc::new(Shown(own));
    config.resumption = Resumption::default();
    config
}

/// The configuration with each protocol to offer.
fn offer(config: ClientConfig, shows: bool, askers: &Arc<Memory<Target>>) -> Config {
    let (mut http1, mut http2, mut either) = (config.clone(), config.clone(), config);
    either.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    http1.alpn_protocols = vec![b"http/1.1".to_vec()];
    http2.alpn_protocols = vec![b"h2".to_vec()];
    let (http1, http2, either) = (Arc::new(http1), Arc::new(http2), Arc::new(either));
    Config { shows, askers: askers.clone(), http1, http2, either }
}

tokio::task_local! {
    /// Whether our certificate was asked for in the handshake that this task makes.
    static ASKED: Cell<bool>;
}

/// What is shown to a server that asks who we are.
#[derive(Debug)]
struct Shown(Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _authorities: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        // Every handshake is made in a scope; outside of one nobody would look.
        let _ = ASKED.try_with(|asked| asked.set(true));
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

/// Mozilla's authorities as of this build.
fn built_in_roots() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

/// The authorities in a PEM file; one that cannot be used is an error, since the user chose them.
fn read_roots(path: &Path) -> Result<RootCertStore, Failure> {
    let unusable = |why: String| Failure::Tls(format!("CA file {}: {why}", path.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))? {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() { Err(unusable("holds no certificate".into())) } else { Ok(roots) }
}

/// A handshake that broke off. A lost connection may do better the next time; bytes that are no TLS will not.
fn interrupted(target: &Target, error: &IoError) -> Failure {
    match error.kind() {
        ErrorKind::InvalidData => Failure::Tls(format!("{target}: {error}")),
        _ => Failure::Connect(format!("{target}: the connection broke in the TLS handshake: {error}")),
    }
}

/// What a server that asked for our certificate means by turning us away.
fn unwelcome(target: &Target, shown: bool, how: &str) -> String {
    if shown {
        format!("{target} does not accept the client certificate: {how}")
    } else {
        format!("{target} wants a client certificate, and was shown none: {how}")
    }
}

/// What is wrong, in words for a person who must decide what to do about it.
fn sentence(target: &Target, error: &TlsError) -> String {
    let host = &target.host;
    match error {
        TlsError::InvalidCertificate(certificate) => untrusted(host, certificate),
        TlsError::AlertReceived(alert) => format!("{target} broke off the TLS handshake: {alert:?}"),
        TlsError::PeerIncompatible(_) => format!("{target} offers no version of TLS that is safe"),
        TlsError::InvalidMessage(_) => format!("{target} does not answer in TLS"),
        other => format!("{target}: TLS failed: {}", other.to_string().escape_debug()),
    }
}

/// Why a certificate is not accepted. Names in it are the peer's words, so they are escaped.
fn untrusted(host: &Host, error: &CertificateError) -> String {
    match error {
        CertificateError::ExpiredContext { time, not_after } => {
            let days = time.as_secs().saturating_sub(not_after.as_secs()) / 86_400;
            format!("the certificate of {host} has expired {days} days ago")
        }
        CertificateError::Expired => format!("the certificate of {host} has expired"),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("the certificate of {host} is not valid yet; is this machine's clock right?")
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<_> =
                presented.iter().take(3).map(|name| name.escape_default().to_string()).collect();
            format!("the certificate is for another host than {host}: {}", names.join(", "))
        }
        CertificateError::NotValidForName => format!("the certificate is for another host than {host}"),
        CertificateError::UnknownIssuer => {
            format!("the certificate of {host} is self-signed or from an authority that is not trusted here")
        }
        other => format!("the certificate of {host} is not accepted: {}", other.to_string().escape_debug()),
    }
}

/// Accepts every certificate (`insecure`). The handshake must still be signed by that certificate's key, so
/// the peer is at least the one it shows.
#[derive(Debug)]
struct Anything(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _end: &CertificateDer<'_>,
        _between: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
