//! Texts and stores: what is read of them, and what is written.

mod stores;

use super::*;

/// Far enough away.
const LATER: u64 = 4_000_000_000;

fn read(text: &str) -> Result<LoadedCookies, CookieFault> {
    CookieJar::new().read(text.as_bytes())
}

/// What a request gets of such a text.
fn sent(text: &str, to: &str) -> String {
    let jar = CookieJar::new();
    jar.read(text.as_bytes()).unwrap();
    let field = jar.field(&Url::parse(to).unwrap());
    field.map(|field| field.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[test]
fn what_curl_and_the_others_write_is_read() {
    let text = format!(
        "\u{feff}# Netscape HTTP Cookie File\r\n# a comment\r\n\r\n\
         .example.com\tTRUE\t/\tFALSE\t{LATER}\tall\t1\r\n\
         www.example.com\tFALSE\t/a\tTRUE\t0\tsession\t2 and more\n\
         #HttpOnly_www.example.com\tfalse\t/\tfalse\t{LATER}.5\thidden\t3=4\n\
         www.example.com\tFALSE\t/\tFALSE\t\tempty\n\
         ::1\tFALSE\t/\tFALSE\t-1\tsix\t5"
    );
    assert_eq!(read(&text).unwrap().kept, 5);
    assert_eq!(sent(&text, "https://www.example.com/a"), "session=2 and more; all=1; hidden=3=4; empty=");
    assert_eq!(sent(&text, "http://b.example.com/a"), "all=1");
    assert_eq!(sent(&text, "http://[::1]/"), "six=5");
}

#[test]
fn a_line_that_is_no_cookie_is_told_with_its_place_and_nothing_is_taken() {
    let good = format!("a.example\tFALSE\t/\tFALSE\t{LATER}\ta\tSECRET\n");
    for (bad, column) in [
        ("a.example FALSE / FALSE 0 a SECRET", 1),
        ("a.example\tFALSE\t/\tFALSE\t0", 26),
        ("a.example\tFALSE\t/\tFALSE\t0\ta\tSECRET\tmore", 36),
        ("a b\tFALSE\t/\tFALSE\t0\ta\tSECRET", 1),
        ("#HttpOnly_\tFALSE\t/\tFALSE\t0\ta\tSECRET", 11),
        ("a.example\tyes\t/\tFALSE\t0\ta\tSECRET", 11),
        ("a.example\tFALSE\tpath\tFALSE\t0\ta\tSECRET", 17),
        ("a.example\tFALSE\t/\t1\t0\ta\tSECRET", 19),
        ("a.example\tFALSE\t/\tFALSE\ttomorrow\ta\tSECRET", 25),
        ("a.example\tFALSE\t/\tFALSE\t1.2.3\ta\tSECRET", 25),
        ("é.example\tFALSE\t/\tFALSE\t0\ta\tSEC\u{1}RET", 32),
    ] {
        let jar = CookieJar::new();
        let fault = jar.read(format!("{good}# comment\n{bad}\n{good}").as_bytes()).unwrap_err();
        let CookieFault::Line { line, column: at, .. } = fault else { panic!("{fault:?}") };
        assert_eq!((line, at), (3, column), "{bad:?}: {fault}");
        assert!(!fault.to_string().contains("SECRET") && !jar.sends("http://a.example/"), "{fault}");
    }
    let latin = [good.as_bytes(), b"a.example\tFALSE\t/\tFALSE\t0\ta\t\xe9"].concat();
    let wrong = CookieFault::Line { line: 2, column: 29, what: "is not UTF-8" };
    assert_eq!(CookieJar::new().read(&latin), Err(wrong));
}

#[test]
fn crd_13_what_the_rules_refuse_of_a_file_is_counted_and_the_rest_is_taken() {
    let line =
        |host: &str, below: &str, name: &str| format!("{host}\t{below}\t/\tFALSE\t{LATER}\t{name}\tv\n");
    let text = [
        line("h.example", "FALSE", "good"),
        line(".Co.UK", "TRUE", "suffix"),
        line(".h.example", "TRUE", "__Host-a"),
        "h.example\tFALSE\t/\tFALSE\t1\tover\tv\n".to_owned(),
        line("127.0.0.1", "TRUE", "address"),
    ];
    let loaded = read(&text.concat()).unwrap();
    assert_eq!((loaded.kept, loaded.expired, loaded.refused), (2, 1, 2));
    assert_eq!(loaded.first_refused, Some((2, "is for a whole public suffix".into())));
    // An address is matched as a whole, whatever the file says.
    assert_eq!(sent(&text.concat(), "http://127.0.0.1/"), "address=v");
    assert_eq!(sent(&text.concat(), "http://1.127.0.0.1.example/"), "");
    let many: String = (0..10_000).map(|number| line(&format!("h{number}.example"), "FALSE", "a")).collect();
    let loaded = read(&many).unwrap();
    assert_eq!((loaded.kept, loaded.refused), (jar::MOST, 10_000 - jar::MOST));
}

#[test]
fn what_is_written_is_read_again_as_it_was() {
    let jar = CookieJar::new();
    for (url, field) in [
        ("https://a.example.com/x/y", "one=1; Secure; HttpOnly; Domain=example.com; Max-Age=999"),
        ("http://b.example.com/x/y", "two=2 3; Path=/z"),
        ("http://127.0.0.1/", "four=\u{e9}"),
        ("http://[::1]/", "five="),
    ] {
        assert!(jar.set(url, field), "{field}");
    }
    let text = jar.text().expose_secret().to_owned();
    assert!(text.starts_with("# Netscape HTTP Cookie File\n"), "{text}");
    assert!(text.contains("\n#HttpOnly_.example.com\tTRUE\t/x\tTRUE\t"), "{text}");
    assert!(text.contains("\nb.example.com\tFALSE\t/z\tFALSE\t0\ttwo\t2 3\n"), "{text}");
    let again = CookieJar::new();
    assert_eq!(again.read(text.as_bytes()).unwrap().kept, 4);
    assert_eq!(again.text().expose_secret(), text);
}

#[test]
fn dos_08_a_long_file_is_read_in_one_pass_and_a_longer_one_refused() {
    let most = TEXT as usize;
    for piece in ["\t", "a\tb\n", "#HttpOnly_\n", "x", "\u{e9}", "\r\n", "0"] {
        let text = piece.repeat((1 << 20) / piece.len());
        assert!(matches!(read(&text), Ok(_) | Err(CookieFault::Line { .. })), "{piece:?}");
    }
    assert_eq!(read(&" ".repeat(most + 1)), Err(CookieFault::TooLarge(TEXT)));
}

#[test]
fn pth_14_a_saved_file_is_private_and_replaced_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (path, link) = (dir.path().join("cookies.txt"), dir.path().join("link"));
    std::fs::write(&path, "before").unwrap();
    let jar = CookieJar::new();
    jar.set("http://h.example/", "a=1");
    #[cfg(unix)]
    std::os::unix::fs::symlink("cookies.txt", &link).unwrap();
    #[cfg(not(unix))]
    std::fs::hard_link(&path, &link).unwrap();
    assert_eq!(jar.save(&link), Ok(1));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), jar.text().expose_secret());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink(), "what a link leads to is replaced");
    }
    let jar = CookieJar::new();
    assert!(matches!(jar.save(dir.path()), Err(Error::Disk { .. })), "a directory is not replaced");
    assert!(matches!(jar.save(&dir.path().join("none/file")), Err(Error::Disk { .. })));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left beside them");
}

#[test]
fn a_file_that_is_not_there_or_too_large_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let jar = CookieJar::new();
    assert!(matches!(jar.load(&dir.path().join("none")), Err(CookieFault::Unreadable(_))));
    assert!(matches!(jar.load(dir.path()), Err(CookieFault::Unreadable(_))));
    let path = dir.path().join("large");
    std::fs::File::create(&path).unwrap().set_len(STORE + 1).unwrap();
    assert_eq!(jar.load(&path), Err(CookieFault::TooLarge(STORE)));
}
