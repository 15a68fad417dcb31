//! Detached signatures: minisign's by a library, OpenPGP's by the program `gpgv`.
//!
//! Signature and key are read, and what is wrong with them told, before anything is fetched. Checking reads the bytes once,
//! from the first to the last, in pieces. There are two answers and no third: whose signature it is, or why it is none.

mod form;
mod gpgv;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use form::Form;
pub use form::SignatureFault;

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;

/// Longest file that a signature of minisign's first kind can be of, in bytes: it is of the bytes themselves and not of
/// their hash, so all of them must be in memory.
const UNHASHED: u64 = 256 << 20;

/// A detached signature, and the key that it must be by. Clones share them.
#[derive(Clone)]
pub struct Signature(Arc<Inner>);

struct Inner {
    kind: Kind,
    signature: Vec<u8>,
    key: Vec<u8>,
}

enum Kind {
    Minisign {
        key: minisign_verify::PublicKey,
        signature: Box<minisign_verify::Signature>,
        id: String,
        hashed: bool,
    },
    OpenPgp {
        keyring: Vec<u8>,
        signatures: Vec<u8>,
    },
}

impl Signature {
    /// Reads a signature and a key, in linear time. What each is, is told from its content: a signature of minisign or OpenPGP
    /// (armored or not, one or several), a key of minisign (its file, or its string alone), or keys of OpenPGP (armored or
    /// not).
    ///
    /// # Errors
    ///
    /// [`SignatureFault`].
    pub fn read(signature: &[u8], key: &[u8]) -> Result<Signature, SignatureFault> {
        let kind = match (form::signature(signature)?, form::key(key)?) {
            (Form::Minisign(one), Form::Minisign(by)) if one.id == by.id => {
                let unread = |key| move |_| SignatureFault::Unknown { key };
                Kind::Minisign {
                    key: minisign_verify::PublicKey::from_base64(&by.text).map_err(unread(true))?,
                    signature: Box::new(
                        minisign_verify::Signature::decode(&one.text).map_err(unread(false))?,
                    ),
                    id: by.id,
                    hashed: one.hashed,
                }
            }
            (Form::Minisign(one), Form::Minisign(by)) => {
                return Err(SignatureFault::OtherKey { given: by.id, signed: one.id });
            }
            (Form::OpenPgp(signatures), Form::OpenPgp(keyring)) => {
                if !gpgv::is_installed() {
                    return Err(SignatureFault::NoProgram);
                }
                Kind::OpenPgp { keyring, signatures }
            }
            _ => return Err(SignatureFault::Kinds),
        };
        Ok(Signature(Arc::new(Inner { kind, signature: signature.to_vec(), key: key.to_vec() })))
    }

    /// The signature and the key, as they were read.
    pub(crate) fn texts(&self) -> (&[u8], &[u8]) {
        (&self.0.signature, &self.0.key)
    }

    /// Checks the bytes below `total`, of which `read` fills a buffer at an offset. Whose signature it is
    /// (`minisign:NUMBER`, `openpgp:FINGERPRINT`), or why it does not hold; an error is one of reading.
    ///
    /// May wait for the disk, and for a program.
    pub(crate) fn check<E>(
        &self,
        total: u64,
        read: impl FnMut(u64, &mut [u8]) -> Result<usize, E>,
    ) -> Result<Result<String, String>, E> {
        let held = match &self.0.kind {
            Kind::Minisign { key, signature, hashed: true, .. } => {
                let Ok(mut stream) = key.verify_stream(signature) else { return Ok(Err(UNFIT.into())) };
                let all = each(total, read, |piece| {
                    stream.update(piece);
                    true
                })?;
                stream.finalize().map(|()| all)
            }
            Kind::Minisign { .. } if total > UNHASHED => {
                let why = "it is of minisign's first kind, for which the whole file must be in memory: 256 MiB at most; \
                           ask for one of the present kind (minisign -S without -l)";
                return Ok(Err(why.into()));
            }
            Kind::Minisign { key, signature, .. } => {
                let mut bytes = Vec::with_capacity(total as usize);
                let all = each(total, read, |piece| {
                    bytes.extend_from_slice(piece);
                    true
                })?;
                key.verify(&bytes, signature, true).map(|()| all)
            }
            Kind::OpenPgp { keyring, signatures } => {
                // One that takes no more has said why in its status.
                return gpgv::check(signatures, keyring, |input| {
                    each(total, read, |piece| input.write_all(piece).is_ok())
                });
            }
        };
        Ok(match (&self.0.kind, held) {
            (Kind::Minisign { id, .. }, Ok(true)) => Ok(format!("minisign:{id}")),
            _ => Err("it is not of these bytes".into()),
        })
    }
}

/// What the library cannot say of a signature whose form and key were looked at.
const UNFIT: &str = "it cannot be checked";

/// Gives `take` the bytes below `total`, a piece after the other, until it wants no more. Whether it took all of them: no
/// signature holds of a file that ends before.
fn each<E>(
    total: u64,
    mut read: impl FnMut(u64, &mut [u8]) -> Result<usize, E>,
    mut take: impl FnMut(&[u8]) -> bool,
) -> Result<bool, E> {
    let (mut at, mut buffer) = (0, vec![0; PIECE]);
    while at < total {
        let wanted = usize::try_from(total - at).map_or(PIECE, |left| left.min(PIECE));
        let filled = read(at, &mut buffer[..wanted])?;
        if filled == 0 || !take(&buffer[..filled]) {
            return Ok(false);
        }
        at += filled as u64;
    }
    Ok(true)
}

impl PartialEq for Signature {
    fn eq(&self, other: &Signature) -> bool {
        self.texts() == other.texts()
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0.kind {
            Kind::Minisign { .. } => "minisign",
            Kind::OpenPgp { .. } => "OpenPGP",
        };
        f.debug_tuple("Signature").field(&kind).finish()
    }
}
