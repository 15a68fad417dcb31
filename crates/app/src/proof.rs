//! What `--checksum` says: a digest, a file of checksums, its URL, or that one may lie beside the file.

use std::path::{Path, PathBuf};

use thence::{Checksum, Secret};

use crate::exit::Trouble;
use crate::{list, values};

/// What says which digest a file must have.
pub(crate) enum Proof {
    Digest(Checksum),
    /// A file of checksums.
    File(PathBuf),
    /// ... and one that must be fetched.
    Url(Secret),
    /// One that lies beside the file, if there is one.
    Beside,
}

impl Proof {
    /// It is a digest, and so of one file.
    pub(crate) fn is_of_one(&self) -> bool {
        matches!(self, Proof::Digest(_))
    }
}

/// `ALGO:HEX`, a file, `@FILE`, a URL, or `auto`.
pub(crate) fn proof(text: &str) -> Result<Proof, Trouble> {
    if text == "auto" {
        return Ok(Proof::Beside);
    }
    if let Some(path) = text.strip_prefix('@') {
        return Ok(Proof::File(path.into()));
    }
    if text.contains("://") {
        return list::checked(text).map(Proof::Url);
    }
    if !text.contains([':', '=']) || Path::new(text).is_file() {
        return Ok(Proof::File(text.into()));
    }
    values::checksum(text).map(Proof::Digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_a_file_a_url_or_auto() {
        let kind = |text: &str| match proof(text) {
            Ok(Proof::Digest(_)) => "digest",
            Ok(Proof::File(_)) => "file",
            Ok(Proof::Url(_)) => "url",
            Ok(Proof::Beside) => "beside",
            Err(_) => "refused",
        };
        assert_eq!(kind(&format!("md5:{}", "0".repeat(32))), "digest");
        assert_eq!(["SHA256SUMS", "a/b.sha256", "@odd:name"].map(kind), ["file"; 3]);
        assert_eq!(kind("https://h/SHA256SUMS"), "url");
        assert_eq!(kind("auto"), "beside");
        assert_eq!(["ftp://h/SHA256SUMS", "sha-256:12", "crc32:00"].map(kind), ["refused"; 3]);
    }
}
