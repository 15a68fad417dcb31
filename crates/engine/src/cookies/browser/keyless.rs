//! What Chromium encrypts where it has no keyring (`--password-store=basic`, and where none runs): with a key that is in
//! its source. What a keyring has the key of stays closed.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{AES_128, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use sha2::{Digest, Sha256};

use crate::secret::Zeroizing;

/// Version of Chromium's tables from which on a hash of the host stands before the value.
const HASHED: i64 = 24;

/// Bytes of that hash.
const HASH: usize = 32;

/// Opens such values.
pub(super) struct Keyless {
    key: PaddedBlockDecryptingKey,
    hashed: bool,
}

impl Keyless {
    pub(super) fn new(version: i64) -> Option<Keyless> {
        let mut key = [0; 16];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA1, NonZeroU32::MIN, b"saltysalt", b"peanuts", &mut key);
        let key = UnboundCipherKey::new(&AES_128, &key).and_then(PaddedBlockDecryptingKey::cbc_pkcs7);
        Some(Keyless { key: key.ok()?, hashed: version >= HASHED })
    }

    /// The value; `None` where the key is another one.
    pub(super) fn decrypted(&self, hidden: &[u8], host: &str) -> Option<Zeroizing<String>> {
        let mut bytes = Zeroizing::new(hidden.strip_prefix(b"v10")?.to_vec());
        let context = DecryptionContext::Iv128(FixedLength::from([b' '; 16]));
        let plain = self.key.decrypt(&mut bytes, context).ok()?;
        let value = if self.hashed {
            let (hash, value) = plain.split_at_checked(HASH)?;
            (*hash == *Sha256::digest(host)).then_some(value)?
        } else {
            plain
        };
        let value = std::str::from_utf8(value).ok().filter(|value| !value.contains(char::is_control))?;
        Some(Zeroizing::new(value.to_owned()))
    }
}
