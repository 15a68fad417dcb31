//! Reads the values of options: sizes, times, header fields, checksums. Each says what it wanted when it fails.

use std::time::Duration;

use thence::{
    Auth, Checksum, DigestFault, Exists, ExposeSecret, Interface, OriginField, Pinned, Proxy, ProxyFor,
    Secret,
};

use crate::exit::Trouble;
use crate::login::User;

/// Fields that decide what an answer means; a second opinion on them would break P1.
const OURS: [&str; 16] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// `10`, `512K`, `20M`, `4G`, `1T`: powers of 1024, as aria2 and curl read them.
pub(crate) fn size(option: &str, text: &str) -> Result<u64, Trouble> {
    let split = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).len();
    let (digits, suffix) = text.split_at(split);
    let shift = match suffix.to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(no_size(option)),
    };
    let number = if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse::<u64>().ok() } else { None };
    number.and_then(|n| n.checked_mul(1 << shift)).ok_or_else(|| no_size(option))
}

fn no_size(option: &str) -> Trouble {
    Trouble::usage(option, "is no size in bytes", "write a whole number and K, M, G or T, for example 20M")
}

/// Seconds, whole or with a fraction, above 0 and at most a year.
pub(crate) fn seconds(option: &str, text: &str) -> Result<Duration, Trouble> {
    let fits = |s: &f64| (0.001..=31_536_000.0).contains(s);
    let wrong = || Trouble::usage(option, "is no time in seconds", "write a number above 0, for example 30");
    text.parse().ok().filter(fits).map(Duration::from_secs_f64).ok_or_else(wrong)
}

/// A count of at least `least`.
pub(crate) fn count(option: &str, text: &str, least: u32) -> Result<u32, Trouble> {
    let wrong = || Trouble::usage(option, format!("is no whole number of at least {least}"), "");
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // More than fits is as good as the most that does.
    let number = if digits { Some(text.parse().unwrap_or(u32::MAX)) } else { None };
    number.filter(|n| *n >= least).ok_or_else(wrong)
}

/// `Name: value`. The value is never part of a message.
pub(crate) fn header(line: &Secret) -> Result<(String, Secret), Trouble> {
    let wrong = |what: &str| Trouble::usage("-H", what, "write -H 'Name: value'");
    let (name, value) = line.expose_secret().split_once(':').ok_or_else(|| wrong("has no colon"))?;
    let (name, value) = (name.trim_end(), value.trim_matches([' ', '\t']));
    if !is_token(name) {
        return Err(wrong("has no field name before the colon"));
    }
    if has_control(value) {
        return Err(wrong(&format!("{name} has a line end or control character in its value")));
    }
    if OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name)) {
        return Err(Trouble::usage("-H", format!("{name} is set by thence itself"), "leave it away"));
    }
    Ok((name.to_owned(), Secret::from(value)))
}

/// A value for a field of its own option (`--referer`, `--user-agent`).
pub(crate) fn field(option: &str, text: &str) -> Result<String, Trouble> {
    if has_control(text) {
        return Err(Trouble::usage(option, "has a line end or control character in it", "take it out"));
    }
    Ok(text.to_owned())
}

/// The name of a header field.
pub(crate) fn field_name(option: &str, text: &str) -> Result<String, Trouble> {
    if is_token(text) { Ok(text.to_owned()) } else { Err(Trouble::usage(option, "is no field name", "")) }
}

fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn has_control(value: &str) -> bool {
    value.chars().any(|c| c.is_control() && c != '\t')
}

/// `ALGO:HEX` or, as aria2 writes it, `ALGO=HEX`; `sha256` and `sha-256` alike.
pub(crate) fn checksum(text: &str) -> Result<Checksum, Trouble> {
    let wrong = |what: String| Trouble::usage("--checksum", what, "write for example --checksum sha-256:HEX");
    let (name, hex) = text.split_once([':', '=']).ok_or_else(|| wrong("has no colon".into()))?;
    Checksum::read(name, hex.trim()).map_err(|fault| match fault {
        DigestFault::Unknown => wrong(format!("{name} is not one of sha-256, sha-512, sha-1, md5, blake3")),
        DigestFault::NoHex => wrong("is not written in hex digits".into()),
        DigestFault::Length { algorithm, want, got } => {
            wrong(format!("{algorithm} has {want} hex digits, not {got}"))
        }
    })
}

/// `NAME` or `NAME:PASSWORD`.
pub(crate) fn user(given: &Secret) -> Result<User, Trouble> {
    let (name, password) = match given.expose_secret().split_once(':') {
        Some((name, password)) => (name, Some(Secret::from(password))),
        None => (given.expose_secret(), None),
    };
    if name.is_empty() || has_control(given.expose_secret()) {
        return Err(Trouble::usage(
            "--user",
            "has no name, or a control character in it",
            "write --user NAME",
        ));
    }
    Ok(User { name: name.to_owned(), password })
}

/// `any`, `basic` or `digest`.
pub(crate) fn auth(text: &str) -> Result<Auth, Trouble> {
    match text {
        "any" => Ok(Auth::Any),
        "basic" => Ok(Auth::Basic),
        "digest" => Ok(Auth::Digest),
        _ => Err(Trouble::usage("--auth", format!("does not know {text}"), "say any, basic or digest")),
    }
}

/// A proxy's URL, `HOST:PORT` for `http://HOST:PORT`, or `none`.
pub(crate) fn proxy(option: &str, given: &Secret) -> Result<Proxy, Trouble> {
    let text = given.expose_secret();
    if text.is_empty() || text == "none" {
        return Ok(Proxy::Direct);
    }
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let parsed = url::Url::parse(&full).ok().filter(|u| u.has_host() && !has_control(text));
    let scheme = parsed.as_ref().map_or("", url::Url::scheme);
    if !["http", "https", "socks4", "socks4a", "socks5", "socks5h"].contains(&scheme) {
        let advice =
            "write http://, https://, socks4://, socks4a://, socks5:// or socks5h:// and HOST:PORT, or none";
        return Err(Trouble::usage(option, "is no proxy's URL", advice));
    }
    // As the parser writes it: a password may have any character in it.
    Ok(Proxy::Url(parsed.map_or(full, String::from).into()))
}

/// `HOST` or `HOST:PORT`, and its proxy, in two words.
pub(crate) fn proxy_for(words: &[Secret]) -> Result<ProxyFor, Trouble> {
    let option = "--proxy-for";
    let wrong = |what: &str| Trouble::usage(option, what, "write --proxy-for HOST PROXY or HOST:PORT PROXY");
    let [host, url] = words else { return Err(wrong("wants a host and a proxy")) };
    let text = host.expose_secret();
    let authority = |url: &url::Url| url.path().is_empty() && url.username().is_empty();
    // A scheme of its own, so that no port is taken for the usual one, and left away.
    let parsed = url::Url::parse(&format!("any://{text}")).ok().filter(authority);
    // As URLs have it: lower case, and names of other scripts in their ASCII form.
    let name = parsed.as_ref().and_then(url::Url::host_str).and_then(|host| url::Host::parse(host).ok());
    let (Some(parsed), Some(name)) = (parsed, name) else { return Err(wrong("names no host")) };
    if text.contains(['?', '#']) {
        return Err(wrong("names no host"));
    }
    Ok(ProxyFor { host: name.to_string(), port: parsed.port(), proxy: proxy(option, url)? })
}

/// `HOST 'NAME: VALUE'`, in two words.
pub(crate) fn origin_field(words: &[Secret]) -> Result<OriginField, Trouble> {
    let [host, field] = words else {
        return Err(Trouble::usage(
            "--header-for",
            "wants a host and a field",
            "write --header-for HOST 'Name: value'",
        ));
    };
    let text = host.expose_secret();
    let url = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let bare = |url: &url::Url| {
        matches!(url.scheme(), "http" | "https")
            && url.path() == "/"
            && url.query().is_none()
            && url.username().is_empty()
    };
    let Some(url) = url::Url::parse(&url).ok().filter(|url| url.has_host() && bare(url)) else {
        return Err(Trouble::usage("--header-for", "names no host", "write HOST, HOST:PORT or http://HOST"));
    };
    let (name, value) = header(field)?;
    Ok(OriginField { origin: url.into(), name, value })
}

/// The value of `Authorization` with the token that a file or an environment variable holds.
pub(crate) fn bearer(place: &str) -> Result<Secret, Trouble> {
    let wrong = |what: &str| Trouble::usage("--bearer", what, "write --bearer file:PATH or env:NAME");
    let token = match place.split_once(':') {
        Some(("file", path)) => {
            std::fs::read_to_string(path).map_err(|why| wrong(&format!("{path}: {why}")))?
        }
        Some(("env", name)) => std::env::var(name).map_err(|_| wrong(&format!("${name} is not set")))?,
        _ => return Err(wrong("is neither a file nor a variable")),
    };
    let token = token.trim();
    if token.is_empty() || token.contains(char::is_whitespace) || has_control(token) {
        return Err(wrong("has no token in it"));
    }
    Ok(Secret::from(format!("Bearer {token}")))
}

/// `HOST:PORT:ADDR[,ADDR]`, as curl has it.
pub(crate) fn pin(text: &str) -> Result<Pinned, Trouble> {
    let wrong = |what: &str| {
        let what = format!("{text}: {what}");
        Err(Trouble::usage("--resolve", what, "write for example --resolve example.org:443:192.0.2.1"))
    };
    let mut parts = text.splitn(3, ':');
    let (host, port, addresses) = (parts.next(), parts.next(), parts.next());
    let Some(addresses) = addresses else { return wrong("is not HOST:PORT:ADDR") };
    // As URLs have it: lower case, and names of other scripts in their ASCII form.
    let url = url::Url::parse(&format!("http://{}/", host.unwrap_or_default())).ok();
    let Some(host) = url.as_ref().and_then(url::Url::host_str) else { return wrong("has no name of a host") };
    let Some(port) = port.and_then(|port| port.parse().ok()).filter(|port| *port > 0) else {
        return wrong("has no port");
    };
    let address = |text: &str| text.trim_matches(['[', ']']).parse().ok();
    match addresses.split(',').map(address).collect() {
        Some(addresses) => Ok(Pinned { host: host.to_owned(), port, addresses }),
        None => wrong("has something that is no address"),
    }
}

/// Addresses of this machine, or names of interfaces, with commas between them.
pub(crate) fn interfaces(text: &str) -> Result<Vec<Interface>, Trouble> {
    text.split(',').map(interface).collect()
}

fn interface(text: &str) -> Result<Interface, Trouble> {
    if let Ok(address) = text.parse() {
        return Ok(Interface::Address(address));
    }
    // What Linux takes for one.
    let named =
        (1..16).contains(&text.len()) && !text.contains(['/', '\0']) && !text.contains(char::is_whitespace);
    if named {
        return Ok(Interface::Device(text.to_owned()));
    }
    Err(Trouble::usage("--interface", "is neither an address nor the name of an interface", "see ip address"))
}

/// `rename`, `error`, `skip` or `overwrite`.
pub(crate) fn exists(text: &str) -> Result<Exists, Trouble> {
    match text {
        "rename" => Ok(Exists::Rename),
        "error" => Ok(Exists::Error),
        "skip" => Ok(Exists::Skip),
        "overwrite" => Ok(Exists::Overwrite),
        _ => Err(Trouble::usage(
            "--exists",
            format!("does not know {text}"),
            "say rename, error, skip or overwrite",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024_and_never_overflow() {
        let got = ["0", "7", "2k", "20M", "4G", "1T"].map(|t| size("-", t).unwrap());
        assert_eq!(got, [0, 7, 2048, 20 << 20, 4 << 30, 1 << 40]);
        for text in ["", "K", "-1", "+1", "1.5M", "1 M", "1KK", "99999999999999T", "18446744073709551616"] {
            assert!(size("-", text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_field_for_a_host_is_for_its_origin_over_tls_unless_it_says_otherwise() {
        let of = |host: &str| origin_field(&[host, "X-Key: a"].map(Secret::from)).map(|field| field.origin);
        assert_eq!(of("Example.org"), Ok("https://example.org/".into()));
        assert_eq!(of("example.org:8443"), Ok("https://example.org:8443/".into()));
        assert_eq!(of("http://example.org"), Ok("http://example.org/".into()));
        for host in ["", "a b", "ftp://h", "https://h/path", "h?q", "u@h"] {
            assert!(of(host).is_err(), "{host}");
        }
        assert!(origin_field(&["h", "no colon"].map(Secret::from)).is_err());
    }

    #[test]
    fn log_01_a_token_is_read_from_where_it_is_kept_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let told = |text: &str| {
            std::fs::write(&path, text).unwrap();
            bearer(&format!("file:{}", path.display())).map(|value| value.expose_secret().to_owned())
        };
        assert_eq!(told("SECRET\n"), Ok("Bearer SECRET".into()));
        for text in ["", "\n", "SECRET OTHER", "SECRET\u{7}"] {
            let trouble = told(text).unwrap_err().to_string();
            assert!(!trouble.contains("SECRET"), "{trouble}");
        }
        let text = ["token", "env:THENCE_NO_SUCH", "file:/no/such"]
            .map(|place| bearer(place).unwrap_err().code as u8);
        assert_eq!(text, [28; 3]);
    }

    #[test]
    fn a_name_is_pinned_at_its_port_to_addresses_of_both_kinds() {
        let pinned = pin("Example.ORG:443:192.0.2.1,[::1]").unwrap();
        assert_eq!((pinned.host.as_str(), pinned.port), ("example.org", 443));
        assert_eq!(
            pinned.addresses,
            ["192.0.2.1".parse::<std::net::IpAddr>().unwrap(), "::1".parse().unwrap()]
        );
        for text in
            ["", "a", "a:1", "a:1:", "a:0:1.1.1.1", "a:x:1.1.1.1", ":1:1.1.1.1", "a:1:b", "a:1:1.1.1.1,"]
        {
            assert!(pin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_interface_is_an_address_or_a_name() {
        let (address, device) =
            (Interface::Address("::1".parse().unwrap()), Interface::Device("eth0".into()));
        assert_eq!(interfaces("::1,eth0"), Ok(vec![address, device]));
        let wrong = ["", "a b", "a/b", "a-name-too-long-", "eth0,", ",", "eth0, wlan0"];
        assert!(wrong.iter().all(|text| interfaces(text).is_err()));
    }

    #[test]
    fn times_are_above_zero() {
        assert_eq!(seconds("-", "0.5").unwrap(), Duration::from_millis(500));
        for text in ["0", "-1", "nan", "inf", "1e300", "", "5s"] {
            assert!(seconds("-", text).is_err(), "{text}");
        }
    }

    #[test]
    fn any_number_of_lanes_from_one_is_taken() {
        assert_eq!(count("-x", "99999999999", 1).unwrap(), u32::MAX);
        assert!(["0", "", "-3", "x"].iter().all(|t| count("-x", t, 1).is_err()));
    }

    #[test]
    fn url_06_a_header_cannot_carry_a_second_one() {
        let parse = |text| header(&Secret::from(text)).map(|(n, v)| (n, v.expose_secret().to_owned()));
        assert_eq!(parse("X-Key:  a b "), Ok(("X-Key".into(), "a b".into())));
        for text in ["none", ": v", "A B: v", "A: x\r\nB: y", "A: \0", "Range: bytes=1-", "If-range: x"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn log_01_a_bad_header_is_not_echoed() {
        for text in ["SECRET", "A: SECRET\n", "Range: SECRET", "SE CRET: SECRET"] {
            let told = header(&Secret::from(text)).err().map(|t| t.to_string()).unwrap_or_default();
            assert!(!told.is_empty() && !told.contains("SECRET"), "{told}");
        }
    }

    #[test]
    fn checksums_are_taken_with_and_without_dash() {
        let hex = "ab".repeat(32);
        for name in ["sha-256", "SHA256", "sha_256"] {
            assert_eq!(checksum(&format!("{name}:{hex}")).unwrap().algorithm, "sha-256");
        }
        assert_eq!(checksum(&format!("md5={}", "0F".repeat(16))).unwrap().bytes, [15; 16]);
    }

    #[test]
    fn a_checksum_of_the_wrong_length_says_both_lengths() {
        let told = checksum("sha-256:abcd").unwrap_err();
        assert_eq!((told.code as u8, told.what.as_str()), (28, "sha-256 has 64 hex digits, not 4"));
        assert!(
            checksum(&format!("md5:{}", "a".repeat(31)))
                .is_err_and(|t| t.what.ends_with("32 hex digits, not 31"))
        );
        assert!(checksum("sha-256:xy").is_err_and(|t| t.what.contains("hex")));
        assert!(checksum("crc32:00").is_err_and(|t| t.what.contains("not one of")));
    }

    #[test]
    fn a_user_is_split_at_the_first_colon() {
        let both = user(&Secret::from("me:a:b")).ok().unwrap();
        assert_eq!((both.name.as_str(), both.password.unwrap().expose_secret()), ("me", "a:b"));
        assert!(user(&Secret::from("me")).is_ok_and(|u| u.password.is_none()));
        assert!(user(&Secret::from(":pw")).is_err() && user(&Secret::from("a\nb")).is_err());
    }

    #[test]
    fn a_proxy_without_scheme_is_http_as_in_curl() {
        let told = |text: &str| match proxy("--proxy", &Secret::from(text)) {
            Ok(Proxy::Url(url)) => url.expose_secret().to_owned(),
            Ok(_) => "none".into(),
            Err(trouble) => trouble.to_string(),
        };
        assert_eq!((told("h:3128").as_str(), told("none").as_str()), ("http://h:3128/", "none"));
        assert_eq!(told("socks5h://u:p@[::1]:1080"), "socks5h://u:p@[::1]:1080");
        assert_eq!(told("https://u:p@ss@h"), "https://u:p%40ss@h/");
        for text in ["ftp://u:SECRET@h", "http://u:SECRET@", "socks5://u:SECRET@h h", "SECRET\n"] {
            assert!(told(text).contains("is no proxy's URL") && !told(text).contains("SECRET"), "{text:?}");
        }
    }

    #[test]
    fn a_proxy_for_a_host_may_be_for_one_of_its_ports() {
        let of = |host: &str| proxy_for(&[host, "none"].map(Secret::from)).map(|rule| (rule.host, rule.port));
        assert_eq!(of("Example.ORG"), Ok(("example.org".into(), None)));
        assert_eq!(of("example.org:80"), Ok(("example.org".into(), Some(80))));
        assert_eq!(of("[::1]:443"), Ok(("[::1]".into(), Some(443))));
        assert_eq!(of("192.0.2.1"), Ok(("192.0.2.1".into(), None)));
        for host in ["", "a b", "http://h", "h/path", "u@h", "h?q", "h:x", ":80"] {
            assert!(of(host).is_err(), "{host}");
        }
        let told = proxy_for(&["h", "ftp://u:SECRET@h"].map(Secret::from)).unwrap_err().to_string();
        assert!(told.contains("--proxy-for") && !told.contains("SECRET"), "{told}");
    }
}
