//! Row CRD-13, and the rules of RFC 6265 that the rest of it rests on.

use super::*;

const NOW: u64 = 1_700_000_000;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

/// What a request for `to` is sent.
fn sent(jar: &Jar, to: &str) -> String {
    let field = jar.field(&url(to), NOW);
    field.map(|field| field.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[track_caller]
fn refused(from: &str, field: &str, why: Refused) {
    let mut jar = Jar::default();
    assert_eq!(jar.take(field.as_bytes(), &url(from), NOW), Err(why), "{field} of {from}");
    assert_eq!((jar.count(), jar.sites.len()), (0, 0));
}

/// A jar with these, each from its URL.
fn jar(set: &[(&str, &str)]) -> Jar {
    let mut jar = Jar::default();
    for (from, field) in set {
        jar.take(field.as_bytes(), &url(from), NOW).unwrap_or_else(|why| panic!("{field} of {from}: {why}"));
    }
    jar
}

#[test]
fn r65_a_cookie_without_a_domain_is_for_its_host_alone() {
    let jar = jar(&[("http://a.example.com/", "a=1")]);
    assert_eq!(sent(&jar, "http://a.example.com:8080/x"), "a=1");
    for other in
        ["http://example.com/", "http://b.a.example.com/", "http://xa.example.com/", "http://a.example.org/"]
    {
        assert_eq!(sent(&jar, other), "", "{other}");
    }
}

#[test]
fn r65_a_domain_is_for_the_hosts_below_and_no_neighbour() {
    let jar = jar(&[("http://a.example.com/", "a=1; domain=.Example.COM.")]);
    for own in ["http://example.com/", "http://a.example.com/", "http://c.b.EXAMPLE.com./"] {
        assert_eq!(sent(&jar, own), "a=1", "{own}");
    }
    for other in
        ["http://badexample.com/", "http://example.com.evil.org/", "http://com/", "http://example.co/"]
    {
        assert_eq!(sent(&jar, other), "", "{other}");
    }
}

#[test]
fn crd_13_no_cookie_is_for_a_public_suffix_however_it_is_written() {
    for (from, domain) in [
        ("http://example.com/", "com"),
        ("http://example.com/", ".CoM"),
        ("http://example.com/", "com."),
        ("http://example.co.uk/", "Co.UK"),
        ("http://example.co.uk./", "co.uk."),
        ("http://me.github.io/", "GitHub.io"),
        ("http://www.食狮.公司.cn/", "公司.cn"),
        ("http://www.xn--85x722f.xn--55qx5d.cn/", "公司.CN"),
        ("http://www.xn--85x722f.xn--55qx5d.cn/", "XN--55QX5D.cn"),
        ("http://host.intranet/", "intranet"),
    ] {
        refused(from, &format!("a=1; Domain={domain}"), Refused::Suffix);
    }
    // A host that is a suffix itself keeps its own (RFC 6265 s5.3, 5).
    let jar = jar(&[
        ("http://github.io/", "a=1; domain=github.io"),
        ("http://localhost/", "a=2; domain=localhost"),
    ]);
    assert_eq!(
        (sent(&jar, "http://github.io/"), sent(&jar, "http://me.github.io/")),
        ("a=1".into(), "".into())
    );
    assert_eq!(
        (sent(&jar, "http://localhost/"), sent(&jar, "http://a.localhost/")),
        ("a=2".into(), "".into())
    );
}

#[test]
fn crd_13_an_address_has_no_hosts_below_it() {
    for (from, domain) in [
        ("http://127.0.0.1/", "0.0.1"),
        ("http://127.0.0.1/", "1"),
        ("http://1.2.3.4/", "2.3.4"),
        ("http://[::1]/", "[::2]"),
        ("http://a.example.com/", "127.0.0.1"),
    ] {
        refused(from, &format!("a=1; Domain={domain}"), Refused::OtherHost);
    }
    let jar = jar(&[("http://127.0.0.1/", "a=1; Domain=127.0.0.1"), ("http://[::1]/", "b=2; Domain=::1")]);
    assert_eq!(
        (sent(&jar, "http://127.0.0.1:1/"), sent(&jar, "http://[0:0::1]/")),
        ("a=1".into(), "b=2".into())
    );
    assert_eq!(sent(&jar, "http://1.127.0.0.1.example.com/"), "");
}

#[test]
fn crd_13_nobody_sets_a_cookie_for_somebody_else() {
    for domain in
        ["b.example.com", "c.a.example.com", "example.org", "ample.com", "a.example.com.evil.org", "..", " "]
    {
        let (from, field) = ("http://a.example.com/", format!("a=1; Domain={domain}"));
        let why = Jar::default().take(field.as_bytes(), &url(from), NOW);
        let empty = domain.trim_matches([' ', '.']).is_empty();
        assert!(why == Err(Refused::OtherHost) || empty, "{domain}: {why:?}");
    }
}

#[test]
fn crd_13_a_prefix_means_what_it_says() {
    for (from, field) in [
        ("https://example.com/", "__Host-a=1; Path=/"),
        ("https://example.com/", "__Host-a=1; Secure; Path=/b"),
        ("https://a.example.com/", "__Host-a=1; Secure; Path=/; Domain=example.com"),
        ("https://example.com/", "__hOsT-a=1; Secure; Path=/; Domain=example.com"),
        ("https://example.com/", "__Secure-a=1"),
        ("https://example.com/", "__sEcUrE-a=1; Path=/"),
    ] {
        refused(from, field, Refused::Prefix);
    }
    let jar = jar(&[
        ("https://example.com/b", "__Host-a=1; Secure; Path=/"),
        ("https://example.com/", "__Secure-b=2; Secure; Domain=example.com"),
    ]);
    assert_eq!(sent(&jar, "https://example.com/"), "__Host-a=1; __Secure-b=2");
    assert_eq!(sent(&jar, "https://www.example.com/"), "__Secure-b=2");
}

#[test]
fn crd_13_control_characters_and_what_is_too_large_are_refused() {
    for bad in ["a=b\tc", "a=\u{7f}", "a\u{1}=b", "a=b; Path=/\u{2}", "a=\u{85}"] {
        refused("http://h.example/", bad, Refused::Control);
    }
    let pair = |len: usize| format!("a={}", "x".repeat(len));
    refused("http://h.example/", &pair(4_096), Refused::Large);
    refused("http://h.example/", &format!("a=b; Path=/{}", "x".repeat(1_024)), Refused::Large);
    refused("http://h.example/", &format!("a=b; {}", "x".repeat(8_192)), Refused::Large);
    assert_eq!(sent(&jar(&[("http://h.example/", &pair(4_095))]), "http://h.example/").len(), 4_097);
    for nothing in ["", ";", "=b", "a", "; Path=/"] {
        refused("http://h.example/", nothing, Refused::Unreadable);
    }
    let mut jar = Jar::default();
    assert_eq!(jar.take(b"a=\xff", &url("http://h.example/"), NOW), Err(Refused::Unreadable));
}

#[test]
fn crd_13_ten_thousand_cookies_of_a_site_push_out_their_own_kind_alone() {
    let mut jar = jar(&[("http://mine.example/", "mine=1")]);
    for number in 0..10_000 {
        // Names below one that can be registered are one site: they cannot be had by the thousand.
        let from = url(&format!("http://h{}.evil.example/", number % 100));
        jar.take(format!("a{number}=b; Domain=evil.example").as_bytes(), &from, NOW).unwrap();
    }
    assert_eq!(jar.count(), MOST_OF_SITE + 1);
    assert_eq!(sent(&jar, "http://mine.example/"), "mine=1");
    let left = sent(&jar, "http://evil.example/");
    assert!(left.starts_with("a9820=b; a9821=b; ") && left.ends_with("; a9999=b"), "{left}");
}

#[test]
fn crd_13_ten_thousand_sites_are_bounded_and_push_out_nobody() {
    let mut jar = Jar::default();
    let kept = (0..10_000)
        .filter(|number| {
            jar.take(b"a=1; Max-Age=9", &url(&format!("http://h{number}.example/")), NOW).is_ok()
        })
        .count();
    assert_eq!((kept, jar.count()), (MOST, MOST));
    assert_eq!(
        (sent(&jar, "http://h3999.example/"), sent(&jar, "http://h4000.example/")),
        ("a=1".into(), "".into())
    );
    // Whoever is there has room for one more, and everybody once the others are over.
    let two = url("http://h7.example/");
    jar.take(b"b=2", &two, NOW).unwrap();
    assert_eq!((sent(&jar, "http://h7.example/"), jar.count()), ("b=2".into(), MOST));
    jar.take(b"a=1", &url("http://h9999.example/"), NOW + 10).unwrap();
    assert_eq!((jar.count(), jar.sites.len()), (2, 2));
}

#[test]
fn crd_13_a_field_has_a_bound_and_the_nearest_come_first() {
    let long = "x".repeat(3_000);
    let mut jar = jar(&[
        ("http://h.example/", "old=1; Path=/"),
        ("http://h.example/", "new=2; Path=/"),
        ("http://h.example/", "near=3; Path=/a/b"),
        ("http://h.example/", "far=4; Path=/a/c"),
    ]);
    assert_eq!(sent(&jar, "http://h.example/a/b/c"), "near=3; old=1; new=2");
    for name in ["x", "y", "z"] {
        jar.take(format!("{name}={long}; Path=/a").as_bytes(), &url("http://h.example/"), NOW).unwrap();
    }
    let field = sent(&jar, "http://h.example/a/b/c");
    assert!(field.len() <= COOKIE && field.starts_with("near=3; x=x") && field.ends_with("; old=1; new=2"));
    assert_eq!(field.matches(&long).count(), 2);
}

#[test]
fn r65_a_path_is_matched_by_its_parts() {
    let jar = jar(&[("http://h.example/dir/page?q=/x/", "a=1"), ("http://h.example/", "b=2; Path=none")]);
    for (path, want) in [
        ("/dir", "a=1; b=2"),
        ("/dir/x/y", "a=1; b=2"),
        ("/dir/", "a=1; b=2"),
        ("/directory", "b=2"),
        ("/", "b=2"),
    ] {
        assert_eq!(sent(&jar, &format!("http://h.example{path}")), want, "{path}");
    }
}

#[test]
fn r65_what_is_for_https_neither_goes_nor_comes_without_it() {
    let mut jar = jar(&[("https://a.example.com/", "id=1; Secure; Domain=example.com; Path=/x")]);
    assert_eq!(sent(&jar, "https://example.com/x"), "id=1");
    assert_eq!(sent(&jar, "http://example.com/x"), "");
    refused("http://example.com/", "a=1; Secure", Refused::Insecure);
    for over in
        ["id=2; Path=/x", "id=2; Path=/x/y; Domain=example.com", "id=2; Path=/x; Domain=b.example.com"]
    {
        let taken = jar.take(over.as_bytes(), &url("http://b.example.com/"), NOW);
        assert_eq!(taken, Err(Refused::Insecure), "{over}");
    }
    // Beside it, and with https over it.
    jar.take(b"id=3; Path=/", &url("http://b.example.com/"), NOW).unwrap();
    jar.take(b"id=4; Domain=example.com; Path=/x", &url("https://b.example.com/"), NOW).unwrap();
    assert_eq!(sent(&jar, "http://b.example.com/x"), "id=4; id=3");
    // Loopback is no exception.
    let secure = jar_of_loopback();
    assert_eq!(
        (sent(&secure, "https://127.0.0.1/"), sent(&secure, "http://127.0.0.1/")),
        ("a=1".into(), "".into())
    );
}

fn jar_of_loopback() -> Jar {
    jar(&[("https://127.0.0.1/", "a=1; Secure")])
}

#[test]
fn r65_a_cookie_ends_when_it_says_and_takes_its_place_along() {
    let from = url("http://h.example/");
    for (field, end) in [
        ("a=1", None),
        ("a=1; Max-Age=60", Some(NOW + 60)),
        ("a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", Some(NOW + 60)),
        ("a=1; Expires=Wed, 15 Nov 2023 00:00:00 GMT", Some(1_700_006_400)),
        ("a=1; Expires=Wed, 15-Nov-2023 00:00:00 GMT", Some(1_700_006_400)),
        ("a=1; Expires=Wed, 15-Nov-23 00:00:00 GMT", Some(1_700_006_400)),
        ("a=1; Max-Age=99999999999999999999", Some(NOW + LONGEST)),
        ("a=1; Expires=Fri, 31 Dec 9999 23:59:59 GMT", Some(NOW + LONGEST)),
        ("a=1; Expires=never", None),
    ] {
        let mut jar = Jar::default();
        jar.take(field.as_bytes(), &from, NOW).unwrap();
        assert_eq!(jar.all(NOW)[0].expires, end, "{field}");
    }
    for gone in ["a=; Max-Age=0", "a=; Max-Age=-1", "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"] {
        let mut jar = jar(&[("http://h.example/", "a=1"), ("http://h.example/", "b=2; Max-Age=5")]);
        assert_eq!(jar.take(gone.as_bytes(), &from, NOW), Err(Refused::Expired));
        assert_eq!(sent(&jar, "http://h.example/"), "b=2", "{gone}");
        assert_eq!((jar.field(&from, NOW + 5), jar.all(NOW + 5).len()), (None, 0));
    }
}

#[test]
fn log_01_a_jar_prints_no_value() {
    let jar = jar(&[("http://h.example/", "a=SECRET")]);
    let field = jar.field(&url("http://h.example/"), NOW).unwrap();
    assert!(!format!("{:?} {field:?}", jar.all(NOW)).contains("SECRET"));
}
