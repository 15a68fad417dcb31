//! What `--checksum` and `--signature` say: a digest, a file of checksums or a signature, its URL, or that one may lie beside
//! the file.

use std::path::{Component, Path, PathBuf};

use thence::{Checksum, Secret};

use crate::exit::Trouble;
use crate::{list, values};

/// What says which digest a file must have.
#[derive(Debug)]
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

/// What says that a file must be signed, and by whom.
pub(crate) struct Signing {
    pub(crate) signed: Signed,
    /// A file, or the string of a public key of minisign.
    pub(crate) key: String,
}

/// Where a signature is.
pub(crate) enum Signed {
    File(PathBuf),
    /// It must be fetched.
    Url(Secret),
    /// It lies beside the file.
    Beside,
}

/// `--signature` and `--key`, which want each other: a file, `@FILE`, a URL or `auto`; and a key.
pub(crate) fn signing(signature: Option<&str>, key: Option<&str>) -> Result<Option<Signing>, Trouble> {
    let (text, key) = match (signature, key) {
        (None, None) => return Ok(None),
        (Some(text), Some(key)) => (text, key.to_owned()),
        (Some(_), None) => {
            let what = "wants the key that it must be by";
            return Err(Trouble::usage(
                "--signature",
                what,
                "give --key FILE, or minisign's key as --key RW...",
            ));
        }
        (None, Some(_)) => {
            return Err(Trouble::usage("--key", "is for a signature", "give --signature FILE, URL or auto"));
        }
    };
    let signed = match text {
        "auto" => Signed::Beside,
        text if text.contains("://") => Signed::Url(list::checked(text)?),
        text => Signed::File(text.strip_prefix('@').unwrap_or(text).into()),
    };
    Ok(Some(Signing { signed, key }))
}

/// `ALGO:HEX`, a file, `@FILE`, a URL, or `auto`.
pub(crate) fn proof(text: &str) -> Result<Proof, Trouble> {
    if text == "auto" {
        return Ok(Proof::Beside);
    }
    if !text.starts_with('@') && !text.contains("://") && Path::new(text).is_file() {
        return Ok(Proof::File(text.into()));
    }
    named(text)
}

/// What an entry of a list says: as [`proof`], but a file is below the list's directory, and there is no `auto`. A list may
/// come from anybody.
pub(crate) fn listed(text: &str) -> Result<Proof, Trouble> {
    let wrong =
        |what| Err(Trouble::usage("", what, "write ALGO:HEX, a file below the list's directory, or a URL"));
    if text.is_empty() || text == "auto" {
        return wrong("names no file of checksums");
    }
    match named(text)? {
        Proof::File(path)
            if !path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) =>
        {
            wrong("leads out of the list's directory")
        }
        proof => Ok(proof),
    }
}

fn named(text: &str) -> Result<Proof, Trouble> {
    if let Some(path) = text.strip_prefix('@') {
        return Ok(Proof::File(path.into()));
    }
    if text.contains("://") {
        return list::checked(text).map(Proof::Url);
    }
    if !text.contains([':', '=']) {
        return Ok(Proof::File(text.into()));
    }
    values::checksum(text).map(Proof::Digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pth_01_a_list_names_no_file_of_checksums_outside_of_its_directory() {
        for inside in ["SUMS", "a/b", "./SUMS", "@odd=name"] {
            assert!(matches!(listed(inside), Ok(Proof::File(_))), "{inside}");
        }
        for outside in ["/etc/passwd", "../SUMS", "a/../../b", "@/dev/zero", "auto", "", "ftp://h/SUMS"] {
            assert!(listed(outside).is_err(), "{outside}");
        }
        assert!(matches!(listed("http://h/SUMS"), Ok(Proof::Url(_))));
    }

    #[test]
    fn a_signature_and_its_key_want_each_other() {
        let kind = |text| match signing(Some(text), Some("k")).map(|signing| signing.unwrap().signed) {
            Ok(Signed::File(_)) => "file",
            Ok(Signed::Url(_)) => "url",
            Ok(Signed::Beside) => "beside",
            Err(_) => "refused",
        };
        assert_eq!(
            ["a.sig", "@auto", "http://h/a.sig", "auto", "ftp://h/a"].map(kind),
            ["file", "file", "url", "beside", "refused"]
        );
        assert!(signing(None, None).unwrap().is_none());
        assert!(signing(Some("a"), None).is_err() && signing(None, Some("k")).is_err());
    }

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
