//! Detached signatures, and the key that they must be by.

use std::path::Path;

use thence::{Engine, ExposeSecret, Request, Signature, SignatureFault};

use crate::aside::Aside;
use crate::exit::{Code, Trouble};
use crate::printable;
use crate::proof::{Signed, Signing};
use crate::report::Report;

/// Some hundred signatures of OpenPGP.
const SIGNATURE: Aside = Aside {
    what: "signature",
    most: 64 << 10,
    advice: "--signature takes the file of a signature, its URL, or auto",
};

/// Keyrings of distributions stay far below.
const KEY: Aside = Aside {
    what: "key",
    most: 1 << 20,
    advice: "--key takes the file of a public key, or minisign's as RW...",
};

/// Gives each request the signature that it must have. One that it has none for is an error of that request.
pub(crate) async fn settle(
    engine: &Engine,
    signing: &Signing,
    requests: &mut [Result<Request, Trouble>],
    report: &mut Report,
) {
    let key = key(&signing.key);
    for request in requests {
        let Ok(wanted) = request else { continue };
        let signature = match &key {
            Ok(key) => find(engine, signing, key, wanted, report).await,
            Err(trouble) => Err(trouble.clone()),
        };
        match signature {
            Ok(signature) => wanted.signature = Some(signature),
            Err(trouble) => *request = Err(trouble),
        }
    }
}

/// A signature that is at hand, for a file that is.
pub(crate) fn of_file(signing: &Signing) -> Result<Signature, Trouble> {
    match &signing.signed {
        Signed::File(path) => read(&signing.key, &key(&signing.key)?, path),
        Signed::Url(_) | Signed::Beside => {
            let what = "of verify is a file that is here";
            Err(Trouble::usage("--signature", what, "fetch the signature first"))
        }
    }
}

async fn find(
    engine: &Engine,
    signing: &Signing,
    key: &[u8],
    wanted: &Request,
    report: &mut Report,
) -> Result<Signature, Trouble> {
    match &signing.signed {
        Signed::File(path) => read(&signing.key, key, path),
        Signed::Url(url) => {
            let url = url.expose_secret();
            let signature = SIGNATURE.fetch(engine, url, Some(wanted)).await?;
            by(&printable::url(url), &signature, &signing.key, key)
        }
        Signed::Beside => beside(engine, signing, key, wanted, report).await,
    }
}

fn read(named: &str, key: &[u8], path: &Path) -> Result<Signature, Trouble> {
    let signature = SIGNATURE.read(path)?;
    by(&path.display().to_string(), &signature, named, key)
}

/// A signature that lies beside the file. What is there and is none (a page, say) is passed over; that there is none at all is
/// as bad as a wrong one, or whoever stands in between would only have to take it away.
async fn beside(
    engine: &Engine,
    signing: &Signing,
    key: &[u8],
    wanted: &Request,
    report: &mut Report,
) -> Result<Signature, Trouble> {
    let url = wanted.urls.first().cloned().unwrap_or_default();
    for place in thence::signatures_beside(&url) {
        let shown = printable::url(&place);
        match SIGNATURE.fetch(engine, &place, Some(wanted)).await {
            Err(trouble) if matches!(trouble.code, Code::NotFound | Code::Unauthorized | Code::Usage) => {}
            Err(trouble) => return Err(trouble),
            Ok(text) => match Signature::read(&text, key) {
                Err(SignatureFault::Unknown { key: false }) => {}
                read => {
                    report.note(&format!("{}: its signature is {shown}", printable::url(&url)));
                    return read.map_err(|fault| trouble(&shown, &signing.key, &fault));
                }
            },
        }
    }
    let what = "no signature lies beside it (.minisig, .sig or .asc)";
    Err(Trouble::new(Code::Checksum, &printable::url(&url), what, "give it with --signature FILE or URL"))
}

fn by(shown: &str, signature: &[u8], named: &str, key: &[u8]) -> Result<Signature, Trouble> {
    Signature::read(signature, key).map_err(|fault| trouble(shown, named, &fault))
}

/// Another key is as bad as a wrong signature; what cannot be read is a wrong option.
fn trouble(shown: &str, named: &str, fault: &SignatureFault) -> Trouble {
    let of_key =
        matches!(fault, SignatureFault::Form { key: true, .. } | SignatureFault::Unknown { key: true });
    let (code, advice) = match fault {
        SignatureFault::OtherKey { .. } => (Code::Checksum, "check where the signature and the key are from"),
        SignatureFault::NoProgram => {
            (Code::Usage, "install it, or use a signature of minisign if there is one")
        }
        _ if of_key => (Code::Usage, "give the public key"),
        _ => (Code::Usage, "give the detached signature"),
    };
    Trouble::new(code, if of_key { named } else { shown }, fault.to_string(), advice)
}

/// The key: minisign's own string, or what is in a file.
fn key(named: &str) -> Result<Vec<u8>, Trouble> {
    let is_string = named.len() == 56
        && named.starts_with("RW")
        && named.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte));
    if is_string { Ok(named.as_bytes().to_vec()) } else { KEY.read(Path::new(named)) }
}
