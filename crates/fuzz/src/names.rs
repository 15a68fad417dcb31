//! Names that stay in their directory, and URLs that lead where they may.

use thence_plan::{choose_name, mask, next_hop, origin_of, same_origin};

use crate::input::Bytes;

/// R56, whatever the server and the URL say.
pub(crate) fn names(data: &[u8]) {
    let mut input = Bytes(data);
    let field = input.byte().is_multiple_of(2).then(|| input.short());
    let url = format!("http://h/{}", String::from_utf8_lossy(input.0));
    let name = choose_name(field, &url);
    let name = name.as_str();
    assert!(!name.is_empty() && name != "." && name != ".." && name.len() <= 240, "{name:?}");
    assert!(!name.contains(['/', '\\', ':', '\0']) && !name.contains(char::is_control), "{name:?}");
    assert!(!name.starts_with(['.', '-', ' ']) && !name.ends_with(['.', ' ']), "{name:?}");
    assert!(!name.ends_with(".part") && !name.ends_with(".thence"), "{name:?}");
    let bidi = ['\u{202a}', '\u{202b}', '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}'];
    assert!(!name.contains(bidi), "{name:?}");
    let stem = name.split('.').next().unwrap_or_default().to_ascii_uppercase();
    assert!(!["CON", "PRN", "AUX", "NUL", "COM1", "LPT9"].contains(&stem.as_str()), "{name:?}");
}

/// R58-R61: the next hop is http, holds no credential, and no printed address holds one either.
pub(crate) fn redirect(data: &[u8]) {
    const SECRET: &str = "hunter2hunter2";
    let text = String::from_utf8_lossy(data);
    for from in ["https://a.test/x?y", "http://a.test:8080/"] {
        let Ok(hop) = next_hop(from, &[], &text, 20) else { continue };
        assert!(hop.url.starts_with("http://") || hop.url.starts_with("https://"), "R61: {}", hop.url);
        assert!(!from.starts_with("https") || hop.url.starts_with("https://"), "TLS-06: {}", hop.url);
        let authority = hop.url.split('/').nth(2).unwrap_or_default();
        assert!(!authority.contains('@') && !hop.url.contains(['\r', '\n', '\0', ' ']), "R60: {}", hop.url);
        assert_eq!(same_origin(from, &hop.url), origin_of(from) == origin_of(&hop.url), "R58");
    }
    if text.contains(&SECRET[..4]) {
        return; // Then it may well be shown.
    }
    for url in
        [format!("http://u:{SECRET}@{text}"), format!("http://h/?{SECRET}"), format!("{text}?k={SECRET}")]
    {
        assert!(!mask(&url).contains(SECRET), "LOG-01, LOG-02: {url:?} is shown as {:?}", mask(&url));
    }
}
