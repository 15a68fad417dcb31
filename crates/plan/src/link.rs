//! `Link` (RFC 8288): other places of the same file, which a server names with `rel=duplicate`, and a description of it,
//! `rel=describedby` (RFC 6249).

use url::{Host, Url};

use crate::head::Head;
use crate::redirect::make_bare;

/// Most places of one answer that are looked at.
const PLACES: usize = 16;

/// Where the server that answered at `base` says that the same bytes are, those it would rather be asked first: at most 16.
///
/// None leads from https to http (R54), and none from another machine's name or address to an address that only this
/// machine or its network has (R61). What is malformed is passed over.
pub(crate) fn duplicates(head: &Head, base: &str) -> Vec<String> {
    let Ok(base) = Url::parse(base) else { return Vec::new() };
    let mut found: Vec<(u32, String)> = Vec::new();
    for (target, parameters) in head.values("link").flat_map(links) {
        if found.len() >= PLACES || !relates(parameters, "duplicate") {
            continue;
        }
        let target = std::str::from_utf8(target).ok().and_then(|target| base.join(target).ok());
        let Some(mut target) = target.filter(|target| may_lead(&base, target)) else { continue };
        make_bare(&mut target);
        let rank = value(parameters, "pri").and_then(|pri| pri.parse().ok()).unwrap_or(u32::MAX);
        if target != base && found.iter().all(|(_, known)| *known != target.as_str()) {
            found.push((rank, target.into()));
        }
    }
    found.sort_by_key(|(rank, _)| *rank);
    found.into_iter().map(|(_, url)| url).collect()
}

/// Where the server that answered at `base` says that a Metalink of the file is (RFC 6249 s4).
pub(crate) fn description(head: &Head, base: &str) -> Option<String> {
    let base = Url::parse(base).ok()?;
    let is_one = |parameters: &[u8]| {
        let media = value(parameters, "type").unwrap_or_default();
        relates(parameters, "describedby") && media.eq_ignore_ascii_case("application/metalink4+xml")
    };
    let (target, _) = head.values("link").flat_map(links).find(|(_, parameters)| is_one(parameters))?;
    let mut target = base.join(std::str::from_utf8(target).ok()?).ok()?;
    make_bare(&mut target);
    may_lead(&base, &target).then(|| target.into())
}

/// Whether what was learnt at `base` may name this URL as another place, by the rules of [`duplicates`].
pub(crate) fn may_name(base: &str, url: &str) -> bool {
    Url::parse(base).ok().zip(Url::parse(url).ok()).is_some_and(|(base, url)| may_lead(&base, &url))
}

fn may_lead(base: &Url, target: &Url) -> bool {
    let scheme = target.scheme() == "https" || (target.scheme() == "http" && base.scheme() == "http");
    scheme && (!is_near(target) || is_near(base))
}

/// An address, or a name of this machine, that nobody else can mean.
fn is_near(url: &Url) -> bool {
    url.host().is_some_and(|host| is_near_host(&host))
}

fn is_near_host(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(it) => it.is_loopback() || it.is_private() || it.is_link_local() || it.is_unspecified(),
        Host::Ipv6(it) => match it.to_ipv4_mapped() {
            Some(mapped) => is_near_host(&Host::Ipv4(mapped)),
            None => {
                let linked = it.is_unique_local() || it.is_unicast_link_local();
                linked || it.is_loopback() || it.is_unspecified()
            }
        },
    }
}

/// What stands between `<` and `>`, and the parameters after it, of each entry of one field line.
fn links(line: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let start = rest.iter().position(|&byte| byte == b'<')? + 1;
        let end = start + rest[start..].iter().position(|&byte| byte == b'>')?;
        let parameters = &rest[end + 1..];
        let mut quoted = false;
        let comma = parameters.iter().position(|&byte| {
            quoted ^= byte == b'"';
            byte == b',' && !quoted
        });
        let (target, until) = (&rest[start..end], comma.unwrap_or(parameters.len()));
        rest = &parameters[until..];
        Some((target, &parameters[..until]))
    })
}

fn relates(parameters: &[u8], how: &str) -> bool {
    let relations = value(parameters, "rel").unwrap_or_default();
    relations.split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case(how))
}

/// The value of the first parameter of that name.
fn value<'a>(parameters: &'a [u8], name: &str) -> Option<&'a str> {
    let mut quoted = false;
    let pieces = parameters.split(move |&byte| {
        quoted ^= byte == b'"';
        byte == b';' && !quoted
    });
    let mut values = pieces.filter_map(|piece| {
        let (key, value) = std::str::from_utf8(piece).ok()?.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    });
    values.next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::HttpVersion;

    fn found(base: &str, lines: &[&str]) -> Vec<String> {
        let fields = lines.iter().map(|line| ("link".to_owned(), line.as_bytes().to_vec())).collect();
        duplicates(&Head { status: 200, version: HttpVersion::Http11, fields, received: 0 }, base)
    }

    #[test]
    fn other_places_come_in_the_order_of_their_rank() {
        let one = "<http://b/f>; rel=duplicate; pri=2; geo=de, </f.torrent>; rel=describedby; type=\"a/b, c\", \
                   <http://a/f?x=1;y>;rel=\"DUPLICATE other\";pri=1";
        let two = "<../f2>; title=\"x, y; rel=none\"; rel=duplicate";
        assert_eq!(found("http://h/d/f", &[one, two]), ["http://a/f?x=1;y", "http://b/f", "http://h/f2"]);
        assert_eq!(
            found("http://h/f", &["<http://a/f>; rel=duplicate, <http://a/f>; rel=duplicate"]).len(),
            1
        );
    }

    #[test]
    fn what_is_no_link_is_passed_over() {
        for line in [
            "",
            "<",
            "<http://a/f",
            "http://a/f; rel=duplicate",
            "<http://a/f>",
            "<>; rel=duplicate",
            ",,;",
            "<ftp://a/f>; rel=duplicate",
        ] {
            assert_eq!(found("http://h/f", &[line]), [""; 0], "{line}");
        }
        assert_eq!(found("http://h/f", &["<http://u:p@a/f#x>; rel=duplicate"]), ["http://a/f"]);
    }

    #[test]
    fn mta_03_many_places_near_places_and_the_same_place_lead_nowhere() {
        let many: String = (0..100_000).map(|n| format!("<http://m{n}/f>; rel=duplicate,")).collect();
        assert_eq!(found("http://h/f", &[&many]).len(), PLACES);
        let near = [
            "http://127.0.0.1/f",
            "http://10.0.0.1/f",
            "http://192.168.1.1/f",
            "http://169.254.1.1/f",
            "http://[::1]/f",
            "http://localhost/f",
            "http://0.0.0.0/f",
            "http://[fe80::1]/f",
            "http://[fd00::1]/f",
            "http://[::ffff:10.0.0.1]/f",
        ];
        for target in near {
            assert_eq!(
                found("http://h.test/f", &[&format!("<{target}>; rel=duplicate")]),
                [""; 0],
                "{target}"
            );
        }
        assert_eq!(found("http://127.0.0.1:81/f", &["<http://127.0.0.1:82/f>; rel=duplicate"]).len(), 1);
        assert_eq!(found("http://h/f", &["<http://h/f>; rel=duplicate"]), [""; 0], "a circle");
    }

    #[test]
    fn a_description_is_a_metalink_of_version_4() {
        let described = |line: &str| {
            let fields = [("link".to_owned(), line.as_bytes().to_vec())].into_iter().collect();
            description(
                &Head { status: 200, version: HttpVersion::Http11, fields, received: 0 },
                "https://h.test/d/f",
            )
        };
        let of = |url: &str, media: &str| format!("<{url}>; rel=describedby; type=\"{media}\"");
        let type_4 = "application/metalink4+xml";
        assert_eq!(described(&of("f.meta4", type_4)).as_deref(), Some("https://h.test/d/f.meta4"));
        assert_eq!(described(&of("f.torrent", "application/x-bittorrent")), None);
        assert_eq!(described(&of("http://h.test/f.meta4", type_4)), None, "R54");
        assert_eq!(described(&of("https://10.0.0.1/f.meta4", type_4)), None, "R61");
    }

    #[test]
    fn r54_a_place_never_leads_from_https_to_http() {
        let both = "<http://a/f>; rel=duplicate, <https://a/f>; rel=duplicate";
        assert_eq!(found("https://h/f", &[both]), ["https://a/f"]);
    }
}
