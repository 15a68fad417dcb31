//! Where redirects may lead (R14, R58, R60, R61), and what of an address is printed (LOG-01, LOG-02, LOG-05).

use thence_plan::{Failure, mask, next_hop, origin_of, same_origin};

// ---- Vocabulary ----

/// The first redirect of a chain.
fn hop(from: &str, location: &str) -> Result<String, Failure> {
    next_hop(from, &[], location, 20).map(|hop| hop.url)
}

fn is_refused(from: &str, location: &str) -> bool {
    matches!(hop(from, location), Err(Failure::Redirect(_)))
}

// ---- Following ----

#[test]
fn a_location_may_be_relative() {
    for (location, target) in [
        ("b", "http://h/d/b"),
        ("/b?q=1", "http://h/b?q=1"),
        ("../b", "http://h/b"),
        ("//other/b", "http://other/b"),
        ("?q", "http://h/d/a?q"),
        ("https://s:8443/x", "https://s:8443/x"),
    ] {
        assert_eq!(hop("http://h/d/a", location).as_deref(), Ok(target));
    }
}

#[test]
fn r60_fragment_and_userinfo_do_not_travel() {
    assert_eq!(hop("http://h/a", "/b#part").as_deref(), Ok("http://h/b"));
    assert_eq!(hop("http://u:SECRET@h/a", "/b").as_deref(), Ok("http://h/b"));
    assert_eq!(hop("http://h/a", "http://u:p@other/b").as_deref(), Ok("http://other/b"));
}

#[test]
fn r61_url_01_only_http_and_https() {
    for location in
        ["file:///etc/passwd", "ftp://h/a", "data:,x", "unix:/run/s", "gopher://h/", "javascript:x()"]
    {
        assert!(is_refused("http://h/a", location), "{location}");
    }
}

#[test]
fn r61_never_from_https_to_http() {
    assert!(is_refused("https://h/a", "http://h/a2"));
    assert_eq!(hop("http://h/a", "https://h/a").as_deref(), Ok("https://h/a"));
    assert_eq!(hop("https://h/a", "//h/b").as_deref(), Ok("https://h/b"));
}

#[test]
fn url_05_twenty_redirects_and_no_more() {
    let (first, mut hops) = ("http://h/0", Vec::new());
    for n in 1..=20 {
        hops.push(next_hop(first, &hops, &format!("/{n}"), 20).unwrap().url);
    }
    assert_eq!(next_hop(first, &hops, "/21", 20), Err(Failure::Redirects));
}

#[test]
fn url_05_a_circle_is_seen_at_once() {
    for location in ["/a", "HTTP://H:80/x/../a#f", ""] {
        assert_eq!(next_hop("http://h/a", &["http://h/b".to_owned()], location, 20), Err(Failure::Redirects));
    }
}

#[test]
fn url_05_a_query_that_grows_is_stopped_by_the_count() {
    let (first, mut hops) = ("http://h/a?q", Vec::new());
    let refused = loop {
        let from = hops.last().map_or(first, String::as_str);
        match next_hop(first, &hops, &format!("{from}q"), 20) {
            Ok(hop) => hops.push(hop.url),
            Err(failure) => break failure,
        }
    };
    assert_eq!((refused, hops.len()), (Failure::Redirects, 20));
}

#[test]
fn url_06_controls_in_a_location_are_refused() {
    for location in ["/a\r\nX: y", "/a\tb", "/a\0", "/a\u{7f}", "/a\u{9b}", "\n/b"] {
        assert!(is_refused("http://h/a", location), "{location:?}");
    }
}

#[test]
fn url_06_blanks_and_other_letters_are_encoded() {
    assert_eq!(hop("http://h/a", "/a b/ü?x y").as_deref(), Ok("http://h/a%20b/%C3%BC?x%20y"));
}

#[test]
fn what_is_no_address_is_refused_without_panic() {
    for (from, location) in
        [("http://h/a", "http://"), ("nonsense", "/b"), ("", ""), ("http://h/a", "http://[::1")]
    {
        assert!(is_refused(from, location), "{from} {location}");
    }
}

#[test]
fn log_01_a_refused_redirect_shows_no_address() {
    let failure = hop("https://h/a", "http://u:SECRET@h/?token=SECRET").unwrap_err();
    assert!(!failure.to_string().contains("SECRET"));
}

// ---- Origins ----

#[test]
fn r58_scheme_host_and_port_make_an_origin() {
    assert!(same_origin("https://h/a?x", "https://u:p@H.:443/b#c"));
    assert!(!same_origin("https://h/", "http://h/"));
    assert!(!same_origin("https://h/", "https://h:8443/"));
    assert!(!same_origin("https://h/", "https://h.example/"));
}

#[test]
fn r58_url_04_hosts_are_normalised_once() {
    assert!(same_origin("http://B\u{fc}cher.example/", "http://xn--bcher-kva.example./"));
    assert!(same_origin("http://a\u{3002}b/", "http://a.b/"));
    assert!(same_origin("http://0x7f.1/", "http://127.0.0.1/"));
}

#[test]
fn r58_what_is_no_http_url_has_no_origin() {
    assert!(!same_origin("nonsense", "nonsense"));
    assert!(!same_origin("ftp://h/", "ftp://h/"));
    assert_eq!(origin_of("file:///etc/passwd"), None);
}

#[test]
fn an_origin_is_one_canonical_text() {
    assert_eq!(origin_of("HTTPS://u:p@Example.COM.:443/a?b").as_deref(), Some("https://example.com"));
    assert_eq!(origin_of("http://[::1]:8080/").as_deref(), Some("http://[::1]:8080"));
}

// ---- Printing ----

#[test]
fn log_01_userinfo_is_not_printed() {
    assert_eq!(mask("https://user:SECRET@h:1/a"), "https://h:1/a");
    assert_eq!(mask("ftp://SECRET@h/a"), "ftp://h/a");
}

#[test]
fn log_02_values_of_a_query_are_masked() {
    assert_eq!(mask("https://h/a?X-Amz-Signature=SECRET&n=SECRET"), "https://h/a?X-Amz-Signature=***&n=***");
    assert_eq!(mask("https://h/a?SECRET"), "https://h/a?***");
    assert_eq!(mask("https://h/a@b?SECRET"), "https://h/a@b?***", "that is no password");
    assert_eq!(mask("https://h/a?t=SECRET=&#SECRET"), "https://h/a?t=***&***");
}

#[test]
fn log_01_what_is_no_url_is_masked_as_well() {
    for text in [
        "user:SECRET@h/a",
        "http://user:SE/CRET@h/a",
        "http://u:p?SECRET@h:x/a",
        "//u:SECRET@h/a?t=SECRET#SECRET",
        "http://h:port/a?SECRET",
        "h/a?t=SECRET",
    ] {
        assert!(!mask(text).contains("CRET"), "{}", mask(text));
    }
}

#[test]
fn log_05_nothing_printed_moves_the_cursor() {
    for text in
        ["http://h/\u{1b}]52;\u{7}\u{9b}\u{202e}", "no\u{1b}url\r\n\u{9b}\u{202e}", "http://\u{1b}:x/"]
    {
        assert!(mask(text).bytes().all(|b| (0x20..0x7f).contains(&b)), "{}", mask(text));
    }
}

#[test]
fn log_02_what_is_no_address_is_masked_by_its_letters() {
    assert_eq!(mask("http://u:SEC/RET@h:port/a?key=SECRET#part"), "http://h:port/a?key=***");
    assert_eq!(mask("u:SECRET@h/a?SECRET"), "h/a?***");
    assert_eq!(mask("no address"), "no address");
}
