//! Cookies: files of them, and what servers set.

use thence::{CookieFault, CookieJar, ExposeSecret};

/// No bytes make a reader panic. What a text or a store gives is written so that it is read again as it was, and a fault
/// has a place that is there.
pub(crate) fn cookies(data: &[u8]) {
    let jar = CookieJar::new();
    match jar.read(data) {
        Ok(_) => {
            let text = well_formed(&jar);
            let again = CookieJar::new();
            again.read(text.as_bytes()).expect("what we wrote is read");
            assert_eq!(*again.text().expose_secret(), *text);
        }
        Err(CookieFault::Line { line, column, .. }) => {
            let lines: Vec<&[u8]> = data.split(|&byte| byte == b'\n').collect();
            assert!((1..=lines.len()).contains(&line), "line {line} of {}", lines.len());
            assert!((1..=lines[line - 1].len() + 1).contains(&column), "line {line}, column {column}");
        }
        Err(_) => {}
    }
}

/// What no host can do with a `Set-Cookie`, whatever it says: be for another site, an address or a suffix, or leave https.
pub(crate) fn set_cookie(data: &[u8]) {
    let (fields, jar) = (String::from_utf8_lossy(data), CookieJar::new());
    for field in fields.split('\n') {
        jar.set("https://www.example.co.uk/dir/file", field);
    }
    let text = well_formed(&jar);
    for other in
        ["https://co.uk/", "https://a.co.uk/", "https://uk/", "https://127.0.0.1/", "https://example.org/"]
    {
        assert!(!jar.sends(&format!("{other}dir/file")), "{other} gets a cookie: {text}");
    }
    let mut cookies = text.lines().filter(|line| line.contains('\t'));
    let all_secure = cookies.all(|line| line.split('\t').nth(3) == Some("TRUE"));
    assert!(!all_secure || !jar.sends("http://www.example.co.uk/dir/file"), "{text}");
}

/// The text of a jar: seven fields a line, and no control character but what separates them.
fn well_formed(jar: &CookieJar) -> String {
    let text = jar.text().expose_secret().to_owned();
    assert!(!text.contains(|c: char| c.is_control() && c != '\t' && c != '\n'), "R65");
    let cookies = text.lines().filter(|line| line.contains('\t'));
    cookies.for_each(|line| assert_eq!(line.split('\t').count(), 7, "{line:?}"));
    text
}
