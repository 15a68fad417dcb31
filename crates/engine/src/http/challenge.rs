//! What a server asks for with a 401 (RFC 9110 s11.6.1), and the answer to Digest (RFC 7616).
//!
//! The library splits the fields into challenges; which of them can be answered, and how, stands here. Pure: the nonce of
//! the client and the count are arguments. Answers are for GET without a body (`qop=auth`), which is all that is sent.

use std::fmt::Write;

use digest::Digest;
use http_auth::ParamValue;
use http_auth::parser::ChallengeParser;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Bytes of a field that is looked at. Every request would repeat most of a longer one.
const LONGEST: usize = 8 << 10;

/// What the fields of an answer offer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offered {
    /// The strongest Digest challenge that can be answered; of equal ones the first.
    pub(crate) digest: Option<Challenge>,
    /// Digest was named, in whatever form.
    pub(crate) names_digest: bool,
    /// Basic was named.
    pub(crate) basic: bool,
}

/// A Digest challenge that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    realm: String,
    pub(crate) nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// As it was written; `None`: it was not, and is MD5.
    named: Option<String>,
    /// `-sess`: the first part of the sum holds the nonces too.
    pub(crate) session: bool,
    /// The name is sent as a sum.
    userhash: bool,
    /// The answer was right, but for its nonce.
    pub(crate) stale: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Algorithm {
    Md5,
    Sha256,
    Sha512256,
}

/// What is offered in the values of `WWW-Authenticate`. A field that is malformed offers what stands before the fault.
pub(crate) fn offered<'a>(fields: impl Iterator<Item = &'a [u8]>) -> Offered {
    let mut all = Offered::default();
    for text in fields.filter_map(text) {
        for challenge in ChallengeParser::new(text).map_while(Result::ok) {
            if challenge.scheme.eq_ignore_ascii_case("Basic") {
                all.basic = true;
            } else if challenge.scheme.eq_ignore_ascii_case("Digest") {
                all.names_digest = true;
                let other = Challenge::of(&challenge.params);
                let best = all.digest.as_ref().is_some_and(|best| best.is_as_strong_as(other.as_ref()));
                all.digest = if best { all.digest } else { other.or(all.digest) };
            }
        }
    }
    all
}

/// The nonce for the next request in the values of `Authentication-Info` (RFC 7616 s3.5).
pub(crate) fn next_nonce<'a>(mut fields: impl Iterator<Item = &'a [u8]>) -> Option<String> {
    // The parameters of a challenge without its scheme.
    let list = format!("Digest {}", text(fields.next()?)?);
    let challenge = ChallengeParser::new(&list).next()?.ok()?;
    single(&challenge.params, "nextnonce").ok()?.map(|nonce| nonce.to_unescaped())
}

/// The library takes ASCII alone.
fn text(field: &[u8]) -> Option<&str> {
    std::str::from_utf8(field).ok().filter(|text| text.len() <= LONGEST && text.is_ascii())
}

/// A parameter that is there at most once.
fn single<'a>(params: &[(&str, ParamValue<'a>)], name: &str) -> Result<Option<ParamValue<'a>>, ()> {
    let mut all =
        params.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| *value);
    let value = all.next();
    if all.next().is_some() { Err(()) } else { Ok(value) }
}

impl Challenge {
    /// `None` where something is missing, said twice, or not known here.
    fn of(params: &[(&str, ParamValue<'_>)]) -> Option<Challenge> {
        let said = |name: &str| Some(single(params, name).ok()?.map(|value| value.to_unescaped()));
        let named = said("algorithm")?;
        let whole = named.as_deref().unwrap_or("MD5");
        let base = whole.len().checked_sub("-sess".len()).and_then(|at| whole.split_at_checked(at));
        let (algorithm, session) = match base {
            Some((base, end)) if end.eq_ignore_ascii_case("-sess") => (base, true),
            _ => (whole, false),
        };
        let algorithm = match algorithm.to_ascii_uppercase().as_str() {
            "MD5" => Algorithm::Md5,
            "SHA-256" => Algorithm::Sha256,
            "SHA-512-256" => Algorithm::Sha512256,
            _ => return None,
        };
        let auth = |qop: &str| qop.trim().eq_ignore_ascii_case("auth");
        said("qop")?.filter(|qop| qop.split(',').any(auth))?;
        let is_true = |name: &str| Some(said(name)?.is_some_and(|value| value.eq_ignore_ascii_case("true")));
        Some(Challenge {
            realm: said("realm")??,
            nonce: said("nonce")??,
            opaque: said("opaque")?,
            algorithm,
            named,
            session,
            userhash: is_true("userhash")?,
            stale: is_true("stale")?,
        })
    }

    /// Nobody knows which of the two SHA-2 is the stronger; the server's order tells which it likes better.
    fn is_as_strong_as(&self, other: Option<&Challenge>) -> bool {
        self.algorithm > Algorithm::Md5 || other.is_none_or(|other| other.algorithm == Algorithm::Md5)
    }

    /// The same with another nonce.
    pub(crate) fn with_nonce(&self, nonce: String) -> Challenge {
        Challenge { nonce, stale: false, ..self.clone() }
    }

    /// The value of `Authorization` for a GET of `target`, as it stands in the request line. `count` counts the requests
    /// with this nonce from 1; `cnonce` is ours, of letters and digits, and stays as long as the server's does.
    pub(crate) fn answer(&self, user: (&str, &str), target: &str, count: u32, cnonce: &str) -> String {
        let (name, password) = user;
        let mut first = self.sum(&[name, &self.realm, password]);
        if self.session {
            first = self.sum(&[&first, &self.nonce, cnonce]);
        }
        let second = self.sum(&["GET", target]);
        let count = format!("{count:08x}");
        let response = self.sum(&[&first, &self.nonce, &count, cnonce, "auth", &second]);
        let mut value = "Digest ".to_owned();
        let shown = |c: char| c.is_ascii_graphic() || c == ' ';
        if self.userhash {
            add(&mut value, "username", &quoted(&self.sum(&[name, &self.realm])));
            add(&mut value, "userhash", "true");
        } else if name.chars().all(shown) {
            add(&mut value, "username", &quoted(name));
        } else {
            // RFC 8187: what no quoted string can hold.
            let encoded = utf8_percent_encode(name, NON_ALPHANUMERIC);
            add(&mut value, "username*", &format!("UTF-8''{encoded}"));
        }
        add(&mut value, "realm", &quoted(&self.realm));
        add(&mut value, "uri", &quoted(target));
        add(&mut value, "nonce", &quoted(&self.nonce));
        if let Some(named) = &self.named {
            add(&mut value, "algorithm", named);
        }
        add(&mut value, "nc", &count);
        add(&mut value, "cnonce", &quoted(cnonce));
        add(&mut value, "qop", "auth");
        add(&mut value, "response", &quoted(&response));
        if let Some(opaque) = &self.opaque {
            add(&mut value, "opaque", &quoted(opaque));
        }
        value
    }

    /// The sum, in hex, of the parts with colons between them.
    fn sum(&self, parts: &[&str]) -> String {
        match self.algorithm {
            Algorithm::Md5 => sum::<md5::Md5>(parts),
            Algorithm::Sha256 => sum::<sha2::Sha256>(parts),
            Algorithm::Sha512256 => sum::<sha2::Sha512_256>(parts),
        }
    }
}

fn sum<D: Digest>(parts: &[&str]) -> String {
    let mut hasher = D::new();
    for (number, part) in parts.iter().enumerate() {
        if number > 0 {
            hasher.update(b":");
        }
        hasher.update(part.as_bytes());
    }
    let mut hex = String::new();
    for byte in hasher.finalize() {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

fn add(value: &mut String, name: &str, text: &str) {
    if !value.ends_with(' ') {
        value.push_str(", ");
    }
    value.push_str(name);
    value.push('=');
    value.push_str(text);
}

/// A quoted string (RFC 9110 s5.6.4).
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &[&str]) -> Offered {
        offered(fields.iter().map(|field| field.as_bytes()))
    }

    fn one(field: &str) -> Challenge {
        of(&[field]).digest.unwrap_or_else(|| panic!("{field}"))
    }

    /// The value of a parameter of an answer.
    fn said<'a>(answer: &'a str, name: &str) -> &'a str {
        let (_, rest) = answer.split_once(&format!(" {name}=")).unwrap_or_else(|| panic!("{name}: {answer}"));
        rest.split(',').next().unwrap_or_default().trim_matches('"')
    }

    const MUFASA: (&str, &str) = ("Mufasa", "Circle of Life");
    const CNONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";

    /// RFC 7616 s3.9.1, with one of its two algorithms.
    fn example(algorithm: &str) -> String {
        format!(
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
             opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        )
    }

    #[test]
    fn the_examples_of_rfc_7616_are_answered_as_it_says() {
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let answer = one(&example(algorithm)).answer(MUFASA, "/dir/index.html", 1, CNONCE);
            let whole = format!(
                "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", algorithm={algorithm}, nc=00000001, \
                 cnonce=\"{CNONCE}\", qop=auth, response=\"{response}\", \
                 opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            );
            assert_eq!(answer, whole);
        }
    }

    /// RFC 7616 s3.9.2 with the sums of its erratum 4897.
    #[test]
    fn the_example_with_a_hashed_name_is_answered_as_its_erratum_says() {
        let challenge = |more: &str| {
            one(&format!(
                "Digest realm=\"api@example.org\", qop=\"auth\", algorithm=SHA-512-256, \
                 nonce=\"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK\", \
                 opaque=\"HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS\", charset=UTF-8{more}"
            ))
        };
        let user = ("J\u{e4}s\u{f8}n Doe", "Secret, or not?");
        let cnonce = "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v";
        let response = "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5";
        let answer = challenge(", userhash=true").answer(user, "/doe.json", 1, cnonce);
        let hashed = "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b";
        assert_eq!((said(&answer, "username"), said(&answer, "response")), (hashed, response));
        let answer = challenge("").answer(user, "/doe.json", 1, cnonce);
        assert_eq!(said(&answer, "username*"), "UTF-8''J%C3%A4s%C3%B8n%20Doe");
        assert_eq!(said(&answer, "response"), response);
    }

    /// The RFC has no example of it; the sum is worked out apart by its s3.4.2.
    #[test]
    fn a_session_sums_up_the_nonces_as_well() {
        let answer = one(&example("MD5-sess")).answer(MUFASA, "/dir/index.html", 1, CNONCE);
        assert_eq!(said(&answer, "response"), "e783283f46242139c486a698fec7211d");
        assert_eq!(said(&answer, "algorithm"), "MD5-sess");
    }

    #[test]
    fn the_count_is_part_of_the_sum() {
        let challenge = one(&example("MD5"));
        let two = challenge.answer(MUFASA, "/dir/index.html", 2, CNONCE);
        assert_eq!(said(&two, "nc"), "00000002");
        let one = challenge.answer(MUFASA, "/dir/index.html", 1, CNONCE);
        assert_ne!(said(&one, "response"), said(&two, "response"));
    }

    #[test]
    fn the_strongest_that_is_known_is_chosen_and_of_equals_the_first() {
        let (weak, strong, strange) = (example("MD5"), example("SHA-256"), example("SHA3-512"));
        for fields in [&[&*weak, &strong][..], &[&strong, &weak], &[&strange, &strong, &weak]] {
            assert_eq!(of(fields).digest, Some(one(&strong)), "{fields:?}");
        }
        let joined = format!("Basic realm=\"x\", {weak}, {strong}");
        let offer = of(&[&joined]);
        assert!(offer.basic && offer.digest == Some(one(&strong)));
        let first = example("SHA-512-256");
        assert_eq!(of(&[&first, &strong]).digest, Some(one(&first)));
    }

    #[test]
    fn what_cannot_be_answered_is_named_and_no_challenge() {
        for field in [
            "Digest",
            "Digest realm=\"r\", qop=\"auth\"",
            "Digest nonce=\"n\", qop=\"auth\"",
            "Digest realm=\"r\", nonce=\"n\"",
            "Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"",
            "Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=\"\"",
            "Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=-sess",
            "Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=SHA-1",
            "Digest realm=\"r\", nonce=\"n\", nonce=\"m\", qop=\"auth\"",
        ] {
            let offer = of(&[field]);
            assert!(offer.names_digest && offer.digest.is_none() && !offer.basic, "{field}");
        }
    }

    #[test]
    fn hostile_fields_offer_nothing_and_cost_little() {
        let long = format!("Digest realm=\"r\", qop=\"auth\", nonce=\"{}\"", "n".repeat(LONGEST));
        let deep = "Digest ".repeat(LONGEST / 7);
        for field in ["", ",", "\"", "=", "Digest realm=\"r", "Digest realm=\"\u{e4}\"", &long] {
            assert_eq!(of(&[field]), Offered::default(), "{field}");
        }
        of(&[&deep]);
        offered([&b"Digest realm=\"\xff\""[..]].into_iter());
        // A fault costs what stands behind it.
        let offer = of(&["Basic realm=\"r\", Digest realm=,"]);
        assert!(offer.basic && offer.digest.is_none());
    }

    #[test]
    fn quotes_of_the_server_come_back_quoted() {
        let challenge = one(r#"Digest realm="a \"b\" \\c", nonce="n", qop=auth"#);
        let answer = challenge.answer(("m\"e", "p"), "/?q=\\", 1, "c");
        assert!(
            answer.starts_with(r#"Digest username="m\"e", realm="a \"b\" \\c", uri="/?q=\\","#),
            "{answer}"
        );
        // Not said, so not said again.
        assert!(!answer.contains("algorithm") && !answer.contains("opaque"), "{answer}");
    }

    #[test]
    fn a_name_cannot_end_the_field() {
        let answer = one(&example("MD5")).answer(("a\r\nEvil: b", "p"), "/", 1, "c");
        assert!(answer.contains("username*=UTF-8''a%0D%0AEvil") && !answer.contains('\n'), "{answer}");
    }

    #[test]
    fn the_next_nonce_is_read_where_it_is_told() {
        let next = |field: &str| next_nonce([field.as_bytes()].into_iter());
        assert_eq!(next("qop=auth, rspauth=\"6629\", nextnonce=\"x\\\"y\""), Some("x\"y".into()));
        assert_eq!(next("nextnonce=\"a\", nextnonce=\"b\""), None);
        assert_eq!(next("rspauth=\"6629\""), None);
        assert_eq!(next("garbage"), None);
    }
}
