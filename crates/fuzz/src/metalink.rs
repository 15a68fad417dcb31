//! Metalinks.

use thence::metalink as read;

/// No bytes make the reader panic; what it gives is a name in one directory, places over HTTP, and digests of their
/// algorithms' lengths, as many as the file has pieces.
pub(crate) fn metalink(data: &[u8]) {
    let Ok(files) = read(data) else { return };
    let len = |algorithm: &str| match algorithm {
        "sha-256" => 32,
        "sha-512" => 64,
        "sha-1" => 20,
        _ => 16,
    };
    assert!(!files.is_empty());
    for file in files {
        let name = file.name.as_str();
        assert!(!name.contains(['/', '\0']) && !matches!(name, "" | "." | ".."), "{name:?}");
        assert!(!file.urls.is_empty() && file.urls.len() <= 32);
        assert!(
            file.urls.iter().all(|url| url.trim().to_ascii_lowercase().starts_with("http")),
            "{:?}",
            file.urls
        );
        assert!(file.digest.is_none_or(|digest| digest.bytes.len() == len(&digest.algorithm)));
        if let Some(pieces) = file.pieces {
            assert_eq!(file.size.map(|size| size.div_ceil(pieces.len)), Some(pieces.digests.len() as u64));
            assert!(pieces.digests.iter().all(|digest| digest.len() == len(&pieces.algorithm)));
        }
    }
}
