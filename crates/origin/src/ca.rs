//! An authority for tests and the certificates it signs, good and bad. Keys are made anew for every
//! [`Authority`] and stand in a temporary directory; nothing here is a secret of anybody.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;

/// A certificate authority that only a test trusts.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    dir: TempDir,
}

/// A certificate with its key, as PEM files and as a configuration for [`crate::Origin::start_tls`].
#[derive(Clone, Debug)]
pub struct Leaf {
    /// PEM file of the certificate.
    pub cert: PathBuf,
    /// PEM file of its key.
    pub key: PathBuf,
    config: Arc<ServerConfig>,
}

/// What is right or wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// For `127.0.0.1` and `localhost`, signed by the authority.
    Good,
    /// The same, but it ended in 2021.
    Expired,
    /// The same, but it begins in 2090.
    NotYet,
    /// For `other.example` only.
    WrongHost,
    /// The good names, signed by itself.
    SelfSigned,
    /// `127.0.0.1` as common name, no subject alternative name.
    NameOnly,
    /// `127.0.0.1` as the text of a DNS name instead of an address.
    AddressAsName,
    /// The good names and 50 KiB of others: a server of rustls takes no certificate of over 64 KiB, and no client of it either.
    ManyNames,
    /// The good names, by an authority of the authority that constrains a thousand names.
    ManyConstraints,
    /// Good, and after it a hundred others that lead nowhere.
    LongChain,
}

impl Authority {
    /// Makes an authority.
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are valid names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "thence test authority");
        let key = KeyPair::generate().expect("a key can be made");
        let cert = params.self_signed(&key).expect("an authority signs itself");
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        fs::write(dir.path().join("ca.pem"), cert.pem()).expect("a temporary file can be written");
        Authority { issuer: Issuer::new(params, key), dir }
    }

    /// PEM file of the authority's certificate, for `--cacert`.
    pub fn cacert(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A certificate of that kind. Its files live as long as the authority.
    pub fn leaf(&self, kind: Kind) -> Leaf {
        let key = KeyPair::generate().expect("a key can be made");
        let params = params(kind);
        let constrained = (kind == Kind::ManyConstraints).then(|| self.constrained());
        let cert = match (&constrained, kind) {
            (Some((_, issuer)), _) => params.signed_by(&key, issuer),
            (None, Kind::SelfSigned) => params.self_signed(&key),
            (None, _) => params.signed_by(&key, &self.issuer),
        };
        let cert = cert.expect("the parameters are complete");
        let mut chain = vec![cert.der().clone()];
        chain.extend(constrained.map(|(cert, _)| cert));
        if kind == Kind::LongChain {
            chain.extend((0..100).map(|_| cert.der().clone()));
        }
        let file = |what: &str| self.dir.path().join(format!("{kind:?}.{what}.pem"));
        write_whole(&file("cert"), &cert.pem());
        write_whole(&file("key"), &key.serialize_pem());
        let config = config(chain, PrivatePkcs8KeyDer::from(key.serialize_der()).into());
        Leaf { cert: file("cert"), key: file("key"), config }
    }

    /// An authority below this one, with its certificate. Every name that a leaf has is to be held against each constraint.
    fn constrained(&self) -> (CertificateDer<'static>, Issuer<'static, KeyPair>) {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are valid names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "thence constrained authority");
        let names = (0..1000).map(|number| GeneralSubtree::DnsName(format!("{number}.example")));
        params.name_constraints =
            Some(NameConstraints { permitted_subtrees: names.collect(), excluded_subtrees: Vec::new() });
        let key = KeyPair::generate().expect("a key can be made");
        let cert = params.signed_by(&key, &self.issuer).expect("the parameters are complete");
        (cert.der().clone(), Issuer::new(params, key))
    }
}

impl Default for Authority {
    fn default() -> Self {
        Authority::new()
    }
}

impl Leaf {
    /// For a scripted origin: TLS 1.2 and 1.3, HTTP/1.1 only.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }
}

fn params(kind: Kind) -> CertificateParams {
    let names: &[&str] = match kind {
        Kind::WrongHost => &["other.example"],
        Kind::NameOnly => &[],
        Kind::AddressAsName => &["localhost.example"],
        _ => &["127.0.0.1", "localhost"],
    };
    let mut names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    if kind == Kind::ManyNames {
        // Seventeen bytes each and a few around them.
        names.extend((0..2000).map(|number| format!("name-{number:04}.example")));
    }
    let mut params = CertificateParams::new(names).expect("the names are valid");
    match kind {
        Kind::Expired => {
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1))
        }
        Kind::NotYet => {
            (params.not_before, params.not_after) = (date_time_ymd(2090, 1, 1), date_time_ymd(2091, 1, 1))
        }
        _ => (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2089, 1, 1)),
    }
    if kind == Kind::AddressAsName {
        let text = "127.0.0.1".try_into().expect("digits and dots are ASCII");
        params.subject_alt_names = vec![rcgen::SanType::DnsName(text)];
    }
    params.distinguished_name.push(DnType::CommonName, "127.0.0.1");
    params
}

fn config(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Arc<ServerConfig> {
    // Named, not the process's default: a test binary may hold two providers.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider serves TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("the key belongs to the certificate");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Two tests may ask one authority for the same kind at once; a server must never read half a file.
fn write_whole(path: &Path, text: &str) {
    let new = path.with_extension(format!("{:?}.new", std::thread::current().id()));
    fs::write(&new, text).and_then(|()| fs::rename(&new, path)).expect("a temporary file can be written");
}
