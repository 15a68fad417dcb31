//! The certificate that we show to servers that ask who we are, read from PEM files.
//!
//! It does *not* say to whom it is shown: the client does, by the rule for all that the user gave (R58).

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::Error as TlsError;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::error::Error;
use crate::secret::Zeroizing;

/// Bytes of a file at most; a chain of ten certificates with its key has some 20,000.
const MOST: u64 = 1 << 20;

/// What a file holds.
#[derive(Default)]
struct Found {
    chain: Vec<CertificateDer<'static>>,
    key: Option<PrivateKeyDer<'static>>,
    /// The line that says that a key is encrypted.
    encrypted: Option<usize>,
}

/// The chain in `certificate`, ours first, and its key: in `key`, or in the same file.
///
/// # Errors
///
/// [`Error::Option`], which names the file and, where there is one, the line. What a key file holds is never repeated.
pub(super) fn read(certificate: &Path, key: Option<&Path>) -> Result<Arc<CertifiedKey>, Error> {
    let mut found = sections(certificate)?;
    if found.chain.is_empty() {
        return Err(unusable(certificate, "holds no certificate in PEM form"));
    }
    if let Some(key) = key {
        let Found { key, encrypted, .. } = sections(key)?;
        (found.key, found.encrypted) = (key, encrypted);
    }
    let key_file = key.unwrap_or(certificate);
    let Some(key) = found.key else {
        return Err(match found.encrypted {
            Some(line) => encrypted(key_file, line),
            None => unusable(key_file, "holds no private key in PEM form"),
        });
    };
    let certified = CertifiedKey::from_der(found.chain, key, &aws_lc_rs::default_provider());
    certified.map(Arc::new).map_err(|error| match error {
        TlsError::InconsistentKeys(_) => unusable(
            key_file,
            &format!("its key does not belong to the certificate in {}", certificate.display()),
        ),
        TlsError::InvalidCertificate(_) => unusable(certificate, "its certificate cannot be read"),
        _ => unusable(key_file, "its private key is none that can be used (RSA, ECDSA and Ed25519 are)"),
    })
}

fn sections(path: &Path) -> Result<Found, Error> {
    let text = text(path)?;
    let mut found = Found { encrypted: encrypted_at(&text), ..Found::default() };
    let mut rest = &text[..];
    loop {
        match pem::from_buf(&mut rest) {
            Ok(None) => return Ok(found),
            Ok(Some((SectionKind::Certificate, der))) => found.chain.push(CertificateDer::from(der)),
            Ok(Some((kind, der))) => found.key = found.key.or_else(|| PrivateKeyDer::from_pem(kind, der)),
            // Of an encrypted key in the old form the library reads the fields before it as base64.
            Err(_) if found.encrypted.is_some() => {}
            Err(error) => {
                let line = text[..text.len() - rest.len()].iter().filter(|&&byte| byte == b'\n').count();
                return Err(Error::Option(format!("{}:{line}: {}", path.display(), broken(&error))));
            }
        }
    }
}

/// All of a file. It may be a pipe, which is how a shell hands over what another program prints.
fn text(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut text = Zeroizing::new(Vec::new());
    let file = File::open(path).map_err(|error| unusable(path, &error.to_string()))?;
    let read = file.take(MOST + 1).read_to_end(&mut text);
    read.map_err(|error| unusable(path, &error.to_string()))?;
    if text.len() as u64 > MOST {
        return Err(unusable(path, "has more than 1 MiB, which no certificate with its key has"));
    }
    Ok(text)
}

/// The line that says so: PKCS #8's own label, or the field of RFC 1421 that OpenSSL wrote before it.
fn encrypted_at(text: &[u8]) -> Option<usize> {
    let says = |line: &[u8]| {
        line.starts_with(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
            || (line.starts_with(b"Proc-Type:") && line.trim_ascii_end().ends_with(b"ENCRYPTED"))
    };
    text.split(|&byte| byte == b'\n').position(says).map(|before| before + 1)
}

fn encrypted(path: &Path, line: usize) -> Error {
    let path = path.display();
    let how = format!("openssl pkey -in {path} -out plain.pem");
    Error::Option(format!(
        "{path}:{line}: the private key is encrypted; write it without its password: {how}"
    ))
}

/// In words of our own: the library's repeat what they found.
fn broken(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a PEM section is not ended",
        pem::Error::IllegalSectionStart { .. } => {
            "the line that begins a PEM section does not end in five dashes"
        }
        pem::Error::Base64Decode(_) => "the PEM section that ends here is not in base64",
        _ => "no PEM",
    }
}

fn unusable(path: &Path, why: &str) -> Error {
    Error::Option(format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::Command;

    use tempfile::TempDir;
    use thence_origin::ca::{Authority, Kind, Leaf};

    use super::*;

    /// A good certificate and its key, and room for others.
    struct Desk {
        dir: TempDir,
        _authority: Authority,
        leaf: Leaf,
    }

    impl Desk {
        fn new() -> Desk {
            let authority = Authority::new();
            Desk {
                dir: tempfile::tempdir().unwrap(),
                leaf: authority.leaf(Kind::Good),
                _authority: authority,
            }
        }

        fn file(&self, text: impl AsRef<[u8]>) -> PathBuf {
            let path = self.dir.path().join("file.pem");
            std::fs::write(&path, text).unwrap();
            path
        }

        /// The key in the form that `openssl` makes of it.
        fn key_as(&self, words: &str) -> PathBuf {
            let path = self.dir.path().join("key.pem");
            let mut openssl = Command::new("openssl");
            openssl.args(words.split(' ')).arg("-in").arg(&self.leaf.key).arg("-out").arg(&path);
            assert!(openssl.output().unwrap().status.success(), "{words}");
            path
        }

        fn text(&self) -> [String; 2] {
            [&self.leaf.cert, &self.leaf.key].map(|path| std::fs::read_to_string(path).unwrap())
        }
    }

    fn told(certificate: &Path, key: Option<&Path>) -> String {
        read(certificate, key).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_key_is_read_in_each_form_and_beside_its_certificate() {
        let desk = Desk::new();
        let [cert, key] = desk.text();
        assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"), "PKCS #8");
        for key in [desk.leaf.key.clone(), desk.key_as("ec")] {
            assert_eq!(read(&desk.leaf.cert, Some(&key)).unwrap().cert.len(), 1);
        }
        let both = desk.file(format!("What stands around it\nis skipped.\n{key}{cert}{cert}"));
        assert_eq!(read(&both, None).unwrap().cert.len(), 2);
    }

    #[test]
    fn a_key_of_pkcs_1_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let (key, cert) = (dir.path().join("key.pem"), dir.path().join("cert.pem"));
        let run = |words: &str| {
            let mut openssl = Command::new("openssl");
            let out = openssl.current_dir(dir.path()).args(words.split(' ')).output().unwrap();
            assert!(out.status.success(), "{words}: {}", String::from_utf8_lossy(&out.stderr));
        };
        run("genrsa -traditional -out key.pem 2048");
        run("req -x509 -key key.pem -subj /CN=me -out cert.pem");
        assert!(std::fs::read_to_string(&key).unwrap().starts_with("-----BEGIN RSA PRIVATE KEY-----"));
        assert_eq!(told(&cert, Some(&key)), "");
    }

    #[test]
    fn an_encrypted_key_is_named_with_the_line_and_what_to_do() {
        let desk = Desk::new();
        for (words, line) in [
            ("pkcs8 -topk8 -v2 aes-256-cbc -passout pass:SECRET", 1),
            ("ec -aes-256-cbc -passout pass:SECRET", 2),
        ] {
            let key = desk.key_as(words);
            let told = told(&desk.leaf.cert, Some(&key));
            let start = format!("{}:{line}: the private key is encrypted", key.display());
            assert!(told.starts_with(&start) && told.contains("openssl pkey -in"), "{told}");
        }
    }

    #[test]
    fn what_is_missing_or_broken_is_said_of_its_file() {
        let desk = Desk::new();
        let ([cert, key], other) = (desk.text(), Authority::new());
        assert!(told(&desk.leaf.key, None).ends_with("holds no certificate in PEM form"));
        assert!(told(&desk.leaf.cert, None).ends_with("holds no private key in PEM form"));
        let stranger = other.leaf(Kind::Good).key;
        assert!(told(&desk.leaf.cert, Some(&stranger)).contains("does not belong to the certificate in"));
        let last = cert.lines().count();
        for (text, why) in [
            (cert.replace("-----END", "-----"), &*format!("file.pem:{last}: a PEM section is not ended")),
            (cert.replacen("CERTIFICATE-----", "CERTIFICATE--", 1), "file.pem:1: the line that begins"),
            (cert.replacen("MII", "M*I", 1), &format!("file.pem:{last}: the PEM section that ends here")),
            ("x".repeat(MOST as usize + 1), "more than 1 MiB"),
            (
                format!("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n{key}"),
                "cannot be read",
            ),
            (
                format!("{cert}-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
                "none that can be used",
            ),
        ] {
            let told = told(&desk.file(&text), None);
            assert!(told.contains(why), "{told}");
        }
        assert!(told(&desk.dir.path().join("none"), None).contains("No such file"));
        assert!(told(desk.dir.path(), None).contains("directory"));
    }

    /// Like the fuzzers: every prefix, and each byte changed.
    #[test]
    fn no_file_makes_the_reader_panic_or_repeat_what_it_read() {
        let desk = Desk::new();
        let text = desk.text().concat().into_bytes();
        let secret = &desk.text()[1].lines().nth(1).unwrap()[..20].to_owned();
        for at in (0..text.len()).step_by(7) {
            let mut bent = text.clone();
            bent[at] ^= 1 << (at % 8);
            for text in [&bent[..], &text[..at]] {
                assert!(!told(&desk.file(text), None).contains(secret));
            }
        }
    }
}
