//! HSTS: the field, and the file of hosts.

use thence_plan::{Hsts, HstsPolicy};

/// No value makes the reader panic, or find an age that it does not name.
pub(crate) fn field(data: &[u8]) {
    if HstsPolicy::read(data).is_some() {
        let text = String::from_utf8_lossy(data).to_ascii_lowercase();
        assert!(text.contains("max-age") && text.contains(|c: char| c.is_ascii_digit()));
    }
}

/// What was read of any text is read again as it was written, and no address is ever known.
pub(crate) fn file(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Some(hsts) = Hsts::read(&text) else { return };
    let written = hsts.text(0);
    assert_eq!(Hsts::read(&written).map(|again| again.text(0)), Some(written.clone()));
    for line in written.lines().filter(|line| !line.starts_with('#')) {
        let (name, _) = line.split_once(' ').unwrap();
        assert!(hsts.covers(name.trim_start_matches('.'), 0), "{line}");
    }
    assert!(!hsts.covers("127.0.0.1", 0) && !hsts.covers("[::1]", 0));
    text.lines().for_each(|host| _ = hsts.covers(host, 0));
}
