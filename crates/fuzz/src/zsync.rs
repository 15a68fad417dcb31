//! Control files of zsync.

use thence::Zsync;

/// No bytes make the reader panic; what it gives is a name in one directory, places over HTTP, a SHA-1, and sums for as many
/// blocks as the length has.
pub(crate) fn zsync(data: &[u8]) {
    assert!(Zsync::read(data, None).is_err() || Zsync::read(data, Some("http://h/d/f.zsync")).is_ok());
    let Ok(zsync) = Zsync::read(data, Some("http://h/d/f.zsync")) else { return };
    if let Some(name) = &zsync.name {
        let name = name.as_str();
        assert!(!name.contains(['/', '\0']) && !matches!(name, "" | "." | ".."), "{name:?}");
    }
    assert!(!zsync.urls.is_empty() && zsync.urls.len() <= 32);
    assert!(zsync.urls.iter().all(|url| url.starts_with("http")), "{:?}", zsync.urls);
    assert_eq!(zsync.digest.bytes.len(), 20);
    let (block, blocks) = (u64::from(zsync.block()), u64::from(zsync.blocks()));
    assert!(block.is_power_of_two() && blocks == zsync.size.div_ceil(block));
    for block in 0..zsync.blocks() {
        assert!((3..=16).contains(&zsync.md4(block).len()) && zsync.rolling(block) & !zsync.kept() == 0);
    }
    assert!(zsync.md4(zsync.blocks()).is_empty());
}
