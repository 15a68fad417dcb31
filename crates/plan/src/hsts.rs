//! HTTP Strict Transport Security (RFC 6797, R64): what the field says, which hosts have said it, and the text that they
//! are kept in between runs.
//!
//! It does *not* read or write that text's file, and has no clock: moments are seconds since 1970.

use std::collections::BTreeMap;

use url::Host;

/// Hosts at most.
const HOSTS: usize = 10_000;

/// Bytes of the text at most: 10,000 hosts of 90 letters each.
const TEXT: usize = 1 << 20;

/// Seconds of a day.
const DAY: u64 = 86_400;

/// First line of the text, for whoever looks into it.
const HEADING: &str = "# Hosts that thence asks by https only (RFC 6797): the host, after a dot if those below it too, and \
                       the second since 1970 until which";

/// What a `Strict-Transport-Security` field says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HstsPolicy {
    /// Seconds for which it holds; 0: no longer.
    pub max_age: u64,
    /// It holds for every host below this one too.
    pub subdomains: bool,
}

impl HstsPolicy {
    /// Reads a field's value as RFC 6797 s6.1 has it: directives between semicolons, none of them twice, `max-age` among
    /// them. Directives that nobody knows are passed over; a value that breaks the grammar is `None`, and says nothing.
    pub fn read(value: &[u8]) -> Option<HstsPolicy> {
        let directives = directives(std::str::from_utf8(value).ok()?)?;
        let (mut max_age, mut subdomains) = (None, None);
        for (at, (name, value)) in directives.iter().enumerate() {
            let twice = directives[..at].iter().any(|(before, _)| before == name);
            match name.as_str() {
                _ if twice => return None,
                "max-age" => max_age = Some(seconds(value.as_deref()?)?),
                "includesubdomains" if value.is_some() => return None,
                "includesubdomains" => subdomains = Some(()),
                _ => {}
            }
        }
        Some(HstsPolicy { max_age: max_age?, subdomains: subdomains.is_some() })
    }
}

/// Names in lower case, and values without their quotes. More than anybody sends are refused: each is looked for among
/// those before it.
fn directives(value: &str) -> Option<Vec<(String, Option<String>)>> {
    const MOST: usize = 64;
    let mut found = Vec::new();
    let mut rest = value;
    loop {
        let (name, after) = token(blank(rest));
        rest = blank(after);
        if !name.is_empty() {
            let value = match rest.strip_prefix('=') {
                None => None,
                Some(after) => {
                    let (value, after) = word(blank(after))?;
                    rest = blank(after);
                    Some(value)
                }
            };
            found.push((name.to_ascii_lowercase(), value));
        }
        match rest.strip_prefix(';') {
            Some(after) if found.len() < MOST => rest = after,
            None if rest.is_empty() => return Some(found),
            _ => return None,
        }
    }
}

fn blank(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

fn token(text: &str) -> (&str, &str) {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    text.split_at(text.find(|c| !is_token(c)).unwrap_or(text.len()))
}

/// A token or a quoted string, and what follows it.
fn word(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (word, after) = token(text);
        return (!word.is_empty()).then(|| (word.to_owned(), after));
    };
    let mut word = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((word, &quoted[at + 1..])),
            '\\' => word.push(chars.next()?.1),
            c => word.push(c),
        }
    }
    None
}

/// Digits. A number that is too large to be held is as good as the largest.
fn seconds(digits: &str) -> Option<u64> {
    let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Hosts that are asked by https only, 10,000 at most. They are names, never addresses, in one spelling: lower case, ASCII,
/// no dot at the end (R64).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hsts {
    hosts: BTreeMap<String, Known>,
}

/// What holds of a host.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Known {
    until: u64,
    subdomains: bool,
}

impl Hsts {
    /// Reads the text. A line that is none of ours is passed over; `None` if all are, since then it is another file.
    pub fn read(text: &str) -> Option<Hsts> {
        let mut hosts = BTreeMap::new();
        let said = |line: &&str| !line.is_empty() && !line.starts_with('#');
        let mut lines = text.lines().map(str::trim).filter(said).peekable();
        let empty = lines.peek().is_none();
        for (name, known) in lines.filter_map(line) {
            if hosts.len() < HOSTS || hosts.contains_key(&name) {
                hosts.insert(name, known);
            }
        }
        (empty || !hosts.is_empty()).then_some(Hsts { hosts })
    }

    /// The text, a line for each host that it still holds for at `now`; 1 MiB at most.
    pub fn text(&self, now: u64) -> String {
        let mut text = format!("{HEADING}\n");
        for (name, known) in self.hosts.iter().filter(|(_, known)| known.until > now) {
            let line = format!("{}{name} {}\n", if known.subdomains { "." } else { "" }, known.until);
            if text.len() + line.len() > TEXT {
                break;
            }
            text += &line;
        }
        text
    }

    /// Whether `host`, as a URL has it, is to be asked by https: it said so, or one above it for all below (s8.2).
    pub fn covers(&self, host: &str, now: u64) -> bool {
        let Some(name) = canonical(host) else { return false };
        let holds = |name: &str, below: bool| {
            self.hosts.get(name).is_some_and(|known| known.until > now && (known.subdomains || !below))
        };
        let above = std::iter::successors(name.split_once('.'), |(_, rest)| rest.split_once('.'));
        holds(&name, false) || above.into_iter().any(|(_, above)| holds(above, true))
    }

    /// Takes what `host` said at `now`. True if that should be kept for later runs: an end that moves by less than a day, or
    /// an eighth of the time it is for, is not worth writing at each answer.
    pub fn learn(&mut self, host: &str, policy: HstsPolicy, now: u64) -> bool {
        let Some(name) = canonical(host) else { return false };
        if policy.max_age == 0 {
            return self.hosts.remove(&name).is_some();
        }
        let known = Known { until: now.saturating_add(policy.max_age), subdomains: policy.subdomains };
        if !self.hosts.contains_key(&name) {
            self.make_room(now);
        }
        match self.hosts.insert(name, known) {
            Some(before) if before.subdomains == known.subdomains && before.until <= known.until => {
                known.until - before.until > DAY.min(policy.max_age / 8)
            }
            _ => true,
        }
    }

    /// Room for one more: what has ended goes, else what ends first.
    fn make_room(&mut self, now: u64) {
        if self.hosts.len() < HOSTS {
            return;
        }
        self.hosts.retain(|_, known| known.until > now);
        if self.hosts.len() >= HOSTS {
            let first = self.hosts.iter().min_by_key(|(_, known)| known.until).map(|(name, _)| name.clone());
            first.and_then(|name| self.hosts.remove(&name));
        }
    }
}

/// `[.]HOST SECOND`
fn line(text: &str) -> Option<(String, Known)> {
    let mut words = text.split_ascii_whitespace();
    let (name, until) = (words.next()?, words.next()?);
    let bare = name.strip_prefix('.');
    let known = Known { until: seconds(until)?, subdomains: bare.is_some() };
    let name = canonical(bare.unwrap_or(name))?;
    words.next().is_none().then_some((name, known))
}

/// The one spelling of a name; `None` for an address and for what is no name.
fn canonical(host: &str) -> Option<String> {
    match Host::parse(host).ok()? {
        Host::Domain(mut name) => {
            if name.ends_with('.') {
                name.pop();
            }
            name.split('.').all(|label| !label.is_empty()).then_some(name)
        }
        Host::Ipv4(_) | Host::Ipv6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(value: &str) -> Option<(u64, bool)> {
        HstsPolicy::read(value.as_bytes()).map(|policy| (policy.max_age, policy.subdomains))
    }

    /// With `example.org` for 100 seconds from 1,000 on.
    fn one(subdomains: bool) -> Hsts {
        let mut hsts = Hsts::default();
        assert!(hsts.learn("example.org", HstsPolicy { max_age: 100, subdomains }, 1_000));
        hsts
    }

    #[test]
    fn r64_a_field_is_read_as_its_grammar_has_it() {
        for (value, meant) in [
            ("max-age=31536000", (31_536_000, false)),
            ("max-age=\"31536000\"; includeSubDomains", (31_536_000, true)),
            ("MAX-AGE=0;INCLUDESUBDOMAINS", (0, true)),
            (" ; max-age = 1 ;; preload ; x=\"a;\\\"b\" ;", (1, false)),
            ("includeSubDomains; max-age=99999999999999999999999", (u64::MAX, true)),
        ] {
            assert_eq!(said(value), Some(meant), "{value}");
        }
        for value in [
            "",
            "includeSubDomains",
            "max-age",
            "max-age=",
            "max-age=-1",
            "max-age=1.5",
            "max-age=+1",
            "max-age=1; max-age=1",
            "max-age=1; MAX-AGE=2",
            "max-age=1; includeSubDomains; includeSubDomains",
            "max-age=1; includeSubDomains=yes",
            "max-age=1, max-age=2",
            "max-age=1 includeSubDomains",
            "max-age=\"1",
            "max-age=1; x=\"\\",
            "max-age=1; =x",
            "max-age=1; ä",
        ] {
            assert_eq!(said(value), None, "{value}");
        }
        assert_eq!(said(&format!("max-age=1{}", "; a".repeat(100_000))), None);
        assert_eq!(HstsPolicy::read(b"max-age=1; \xff"), None);
    }

    #[test]
    fn tls_07_a_host_is_known_in_every_spelling_and_as_long_as_it_said() {
        let hsts = one(false);
        for host in ["example.org", "EXAMPLE.org", "example.org.", "example\u{3002}org", "ex\u{ff41}mple.org"]
        {
            assert!(hsts.covers(host, 1_099), "{host}");
        }
        assert!(!hsts.covers("example.org", 1_100), "ended");
        for host in [
            "a.example.org",
            "org",
            "ample.org",
            "example.org.evil",
            "xexample.org",
            "",
            ".",
            ".example.org",
            "example.org..",
        ] {
            assert!(!hsts.covers(host, 1_000), "{host}");
        }
    }

    #[test]
    fn tls_07_those_below_a_host_are_meant_only_if_it_said_so() {
        let hsts = one(true);
        for host in ["example.org", "a.example.org", "A.b.Example.ORG.", "a\u{3002}example.org"] {
            assert!(hsts.covers(host, 1_000), "{host}");
        }
        assert!(!hsts.covers("a.example.org", 1_100) && !hsts.covers("aexample.org", 1_000));
    }

    #[test]
    fn r64_addresses_are_never_known() {
        let mut hsts = Hsts::default();
        for host in ["127.0.0.1", "[::1]", "0x7f.1", "2130706433"] {
            assert!(!hsts.learn(host, HstsPolicy { max_age: 9, subdomains: true }, 0), "{host}");
            assert!(!hsts.covers(host, 1), "{host}");
        }
        assert_eq!(Hsts::read("127.0.0.1 99999999999\n"), None);
    }

    #[test]
    fn a_host_may_change_its_mind() {
        let mut hsts = one(true);
        assert!(hsts.learn("Example.org.", HstsPolicy { max_age: 100, subdomains: false }, 1_000));
        assert!(!hsts.covers("a.example.org", 1_000));
        assert!(hsts.learn("example.org", HstsPolicy { max_age: 0, subdomains: false }, 1_001));
        assert_eq!(hsts, Hsts::default());
    }

    #[test]
    fn an_end_that_hardly_moves_is_not_written() {
        let mut hsts = one(true);
        let policy = HstsPolicy { max_age: 100, subdomains: true };
        assert!(!hsts.learn("example.org", policy, 1_012));
        assert!(hsts.covers("example.org", 1_111), "but it counts");
        assert!(hsts.learn("example.org", policy, 1_025));
    }

    #[test]
    fn the_text_is_read_as_it_was_written_and_what_ended_is_left_out() {
        let mut hsts = one(true);
        hsts.learn("other.example", HstsPolicy { max_age: u64::MAX, subdomains: false }, 1_000);
        let text = hsts.text(1_001);
        assert!(text.ends_with(&format!(".example.org 1100\nother.example {}\n", u64::MAX)), "{text}");
        assert_eq!(Hsts::read(&text), Some(hsts.clone()));
        assert!(!hsts.text(1_100).contains("example.org"));
    }

    #[test]
    fn lines_that_are_none_of_ours_are_passed_over_and_another_file_is_seen() {
        let text = "# x\n\n  .Example.org\t1100  \r\nno end\nb.example 12x\n[::1] 5\na b c\nc.example 7 8\n";
        assert_eq!(Hsts::read(text), Some(one(true)));
        assert_eq!(Hsts::read(""), Some(Hsts::default()));
        assert_eq!(Hsts::read("# only a heading\n"), Some(Hsts::default()));
        assert_eq!(Hsts::read("My letters.\nDear sir,\n"), None);
    }

    #[test]
    fn the_text_is_never_longer_than_is_read() {
        let mut hsts = Hsts::default();
        for number in 0..HOSTS {
            let host = format!("{number}.{}.example", ["x".repeat(60), "y".repeat(60)].join("."));
            hsts.learn(&host, HstsPolicy { max_age: 1_000, subdomains: true }, 0);
        }
        let text = hsts.text(0);
        assert!((TEXT - 200..=TEXT).contains(&text.len()) && text.ends_with(" 1000\n"));
    }

    #[test]
    fn ten_thousand_hosts_are_known_and_the_first_to_end_goes() {
        let mut hsts = Hsts::default();
        for number in 0..HOSTS as u64 + 5 {
            hsts.learn(
                &format!("h{number}.example"),
                HstsPolicy { max_age: 1_000 + number, subdomains: false },
                0,
            );
        }
        assert_eq!(hsts.hosts.len(), HOSTS);
        assert!(!hsts.covers("h4.example", 1) && hsts.covers("h5.example", 1));
        let text: String = (0..20_000).map(|number| format!("h{number}.example 9\n")).collect();
        assert_eq!(Hsts::read(&text).unwrap().hosts.len(), HOSTS);
    }
}
