//! An authority for tests and the certificates it signs, good and bad, all made by the `openssl` program. Keys are made
//! anew for every certificate and stand in a temporary directory; nothing here is a secret of anybody.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::RootCertStore;
pub use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use tempfile::TempDir;

/// A certificate authority that only a test trusts.
pub struct Authority {
    dir: TempDir,
    signed: AtomicUsize,
}

/// A certificate with its key, as PEM files and as a configuration for [`crate::Origin::start_tls`].
#[derive(Clone, Debug)]
pub struct Leaf {
    /// PEM file of the certificate.
    pub cert: PathBuf,
    /// PEM file of its key.
    pub key: PathBuf,
    chain: Vec<CertificateDer<'static>>,
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

/// Two files: a certificate, and its key.
struct Pair {
    cert: PathBuf,
    key: PathBuf,
}

impl Authority {
    /// Makes an authority.
    pub fn new() -> Authority {
        Authority::named("thence test authority")
    }

    /// Makes one of another name: one that is looked for by its name is not found, rather than found to have another key.
    pub fn named(name: &str) -> Authority {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        issue(dir.path(), name, AUTHORITY, USUAL, None);
        Authority { dir, signed: AtomicUsize::new(0) }
    }

    /// PEM file of the authority's certificate, for `--cacert`.
    pub fn cacert(&self) -> PathBuf {
        self.pair().cert
    }

    /// A certificate of that kind. Its files live as long as the authority.
    pub fn leaf(&self, kind: Kind) -> Leaf {
        let issuer = match kind {
            Kind::SelfSigned => None,
            Kind::ManyConstraints => Some(self.constrained()),
            _ => Some(self.pair()),
        };
        let made = issue(&self.place(), "127.0.0.1", &extensions(kind), validity(kind), issuer.as_ref());
        let mut chain = vec![certificate(&made.cert)];
        match (kind, issuer) {
            (Kind::ManyConstraints, Some(issuer)) => chain.push(certificate(&issuer.cert)),
            (Kind::LongChain, _) => chain.extend(vec![chain[0].clone(); 100]),
            _ => {}
        }
        made.leaf(chain)
    }

    /// A good certificate for this name or address alone.
    pub fn leaf_for(&self, name: &str) -> Leaf {
        let names = names(&[name.to_owned()]);
        let made = issue(&self.place(), name, &names, USUAL, Some(&self.pair()));
        let chain = vec![certificate(&made.cert)];
        made.leaf(chain)
    }

    fn pair(&self) -> Pair {
        Pair::at(self.dir.path())
    }

    /// A directory of its own for each certificate: two tests may ask for the same kind at once.
    fn place(&self) -> PathBuf {
        let number = self.signed.fetch_add(1, Ordering::Relaxed);
        let place = self.dir.path().join(number.to_string());
        fs::create_dir(&place).expect("a temporary directory can be made");
        place
    }

    /// An authority below this one. Every name that a leaf has is to be held against each constraint.
    fn constrained(&self) -> Pair {
        let permitted = (0..1000).map(|number| format!("permitted;DNS.{number} = {number}.example\n"));
        let constraints = format!(
            "{AUTHORITY}nameConstraints = critical, @list\n[list]\n{}",
            permitted.collect::<String>()
        );
        issue(&self.place(), "thence constrained authority", &constraints, USUAL, Some(&self.pair()))
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

    /// The same for an origin that asks its clients for a certificate of `authority`, and turns away who shows none if they
    /// `must`.
    pub fn asking(&self, authority: &Authority, must: bool) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&authority.cacert())).expect("an authority's certificate is one");
        let verifier =
            WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::new(default_provider()));
        let verifier = if must { verifier } else { verifier.allow_unauthenticated() };
        let verifier = verifier.build().expect("there is an authority");
        config(self.chain.clone(), key(&self.key), verifier)
    }
}

impl Pair {
    fn at(dir: &Path) -> Pair {
        Pair { cert: dir.join("cert.pem"), key: dir.join("key.pem") }
    }

    fn leaf(self, chain: Vec<CertificateDer<'static>>) -> Leaf {
        let config = config(chain.clone(), key(&self.key), WebPkiClientVerifier::no_client_auth());
        Leaf { cert: self.cert, key: self.key, chain, config }
    }
}

/// Extensions of whoever signs others.
const AUTHORITY: &str = "basicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign, cRLSign\n";

/// First and last moment of most certificates.
const USUAL: [&str; 2] = ["20200101000000Z", "20890101000000Z"];

fn validity(kind: Kind) -> [&'static str; 2] {
    match kind {
        Kind::Expired => ["20200101000000Z", "20210101000000Z"],
        Kind::NotYet => ["20900101000000Z", "20910101000000Z"],
        _ => USUAL,
    }
}

/// The extensions of a leaf, in the words of openssl's configuration files.
fn extensions(kind: Kind) -> String {
    let good = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    match kind {
        Kind::WrongHost => names(&["other.example".to_owned()]),
        Kind::NameOnly => names(&[]),
        Kind::AddressAsName => "basicConstraints = CA:FALSE\nsubjectAltName = DNS:127.0.0.1\n".to_owned(),
        Kind::ManyNames => {
            // Seventeen bytes each and a few around them.
            let more = (0..2000).map(|number| format!("name-{number:04}.example"));
            names(&good.into_iter().chain(more).collect::<Vec<_>>())
        }
        _ => names(&good),
    }
}

/// A leaf with these names and addresses. Each stands in a line of its own, since a line has its limits.
fn names(names: &[String]) -> String {
    let line = |(number, name): (usize, &String)| {
        let kind = if name.parse::<IpAddr>().is_ok() { "IP" } else { "DNS" };
        format!("{kind}.{number} = {name}\n")
    };
    let lines: String = names.iter().enumerate().map(line).collect();
    let list =
        if names.is_empty() { String::new() } else { format!("subjectAltName = @list\n[list]\n{lines}") };
    format!("basicConstraints = CA:FALSE\n{list}")
}

/// Makes a key and its certificate in `dir`, signed by `issuer` or, without one, by itself. `openssl ca` is for those who
/// keep an authority: it wants an index of what it signed, and is the one command of OpenSSL 3.0 that takes both dates.
fn issue(dir: &Path, name: &str, extensions: &str, validity: [&str; 2], issuer: Option<&Pair>) -> Pair {
    let write =
        |file: &str, text: &str| fs::write(dir.join(file), text).expect("a temporary file can be written");
    let config = format!(
        "[req]\ndistinguished_name = subject\nprompt = no\n[subject]\nCN = {name}\n\
         [ca]\ndefault_ca = desk\n[desk]\ndatabase = index\nnew_certs_dir = .\nrand_serial = yes\n\
         default_md = sha256\npolicy = any\n[any]\nCN = supplied\n[extensions]\n{extensions}"
    );
    write("openssl.cnf", &config);
    write("index", "");
    let ask = "req -config openssl.cnf -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
               -keyout key.pem -out request.pem";
    openssl(dir, &ask.split_whitespace().collect::<Vec<_>>());
    let sign = "ca -config openssl.cnf -batch -notext -in request.pem -out cert.pem -extensions extensions";
    let mut sign: Vec<&str> = sign.split_whitespace().collect();
    sign.extend(["-startdate", validity[0], "-enddate", validity[1]]);
    let path = |path: &Path| path.to_str().expect("a temporary directory has a plain name").to_owned();
    match issuer.map(|issuer| (path(&issuer.cert), path(&issuer.key))) {
        Some((cert, key)) => openssl(dir, &[&sign[..], &["-cert", &cert, "-keyfile", &key]].concat()),
        None => openssl(dir, &[&sign[..], &["-selfsign", "-keyfile", "key.pem"]].concat()),
    }
    Pair::at(dir)
}

fn openssl(dir: &Path, args: &[&str]) {
    let mut command = Command::new("openssl");
    command.args(args).current_dir(dir).stdin(Stdio::null());
    let out = command.output().expect("openssl is missing: `cargo xtask test` installs it, or apt-get does");
    assert!(out.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

fn certificate(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).expect("openssl made a certificate")
}

fn key(path: &Path) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_file(path).expect("openssl made a key")
}

fn config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    clients: Arc<dyn ClientCertVerifier>,
) -> Arc<ServerConfig> {
    // Named, not the process's default: a test binary may hold two providers.
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider serves TLS 1.2 and 1.3")
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)
        .expect("the key belongs to the certificate");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}
