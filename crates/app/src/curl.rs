//! A command line of curl, as browsers copy it: what of it is said to thence, what says nothing here, and what is refused.
//!
//! An option that would change which bytes come, and that thence cannot heed, is refused by its name; so is every one that
//! is not known here, since it might. No message repeats a value: any of them can be a secret.

use thence::{ExposeSecret, Secret};

/// What the line says in thence's words.
#[derive(Default)]
pub(crate) struct Line {
    pub(crate) url: Option<Secret>,
    /// `Name: value`, in their order.
    pub(crate) headers: Vec<Secret>,
    /// Names of those that tell nothing of a person: a journal may keep them.
    pub(crate) kept: Vec<String>,
    pub(crate) user: Option<Secret>,
    pub(crate) agent: Option<Secret>,
    pub(crate) referer: Option<Secret>,
    pub(crate) proxy: Option<Secret>,
    pub(crate) out: Option<Secret>,
    pub(crate) remote_time: bool,
    pub(crate) insecure: bool,
    /// Options and fields that were left away, as a person should hear.
    pub(crate) ignored: Vec<String>,
    cookies: Vec<Secret>,
    host: Option<Secret>,
    /// The URL means what is written, brackets and all.
    literal: bool,
}

/// Why a line is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The option or field; may be empty.
    pub(crate) name: String,
    pub(crate) what: &'static str,
    pub(crate) advice: &'static str,
}

fn refused(name: &str, what: &'static str, advice: &'static str) -> Refused {
    Refused { name: name.to_owned(), what, advice }
}

#[derive(Clone, Copy, PartialEq)]
enum Means {
    Header,
    Cookie,
    User,
    Agent,
    Referer,
    Proxy,
    Out,
    Url,
    Method,
    ContinueAt,
    Insecure,
    RemoteTime,
    Literal,
    /// What thence does anyway, or what only changes what curl prints.
    Nothing,
    /// The same, but a person may have counted on it.
    Ignored,
    Refused(&'static str),
}

/// It has a value.
const VALUE: bool = true;
const BARE: bool = false;

const GET_ONLY: &str = "thence fetches with GET alone; use curl for what is sent";
const RANGES: &str = "thence asks for ranges itself, and for the whole file; use curl for a piece of one";
const OWN: &str = "say it with thence's own option before the word curl; see thence --help";
const PROXY_USER: &str = "write name and password into the proxy's URL: -x http://NAME:PASSWORD@HOST:PORT";
const UNKNOWN: &str =
    "leave it away if the file comes without it; docs/curl.md names the options that are known";

/// Short name (a blank: none), long name, whether a value follows, and what it means.
#[rustfmt::skip]
const OPTIONS: &[(char, &str, bool, Means)] = &[
    ('H', "header", VALUE, Means::Header),
    ('b', "cookie", VALUE, Means::Cookie),
    ('u', "user", VALUE, Means::User),
    ('A', "user-agent", VALUE, Means::Agent),
    ('e', "referer", VALUE, Means::Referer),
    ('x', "proxy", VALUE, Means::Proxy),
    ('o', "output", VALUE, Means::Out),
    (' ', "url", VALUE, Means::Url),
    ('X', "request", VALUE, Means::Method),
    ('C', "continue-at", VALUE, Means::ContinueAt),
    ('k', "insecure", BARE, Means::Insecure),
    ('R', "remote-time", BARE, Means::RemoteTime),
    ('g', "globoff", BARE, Means::Literal),
    ('L', "location", BARE, Means::Nothing),
    ('O', "remote-name", BARE, Means::Nothing),
    ('J', "remote-header-name", BARE, Means::Nothing),
    ('f', "fail", BARE, Means::Nothing),
    (' ', "fail-with-body", BARE, Means::Nothing),
    (' ', "no-progress-meter", BARE, Means::Nothing),
    ('s', "silent", BARE, Means::Nothing),
    ('S', "show-error", BARE, Means::Nothing),
    ('#', "progress-bar", BARE, Means::Nothing),
    ('v', "verbose", BARE, Means::Nothing),
    ('N', "no-buffer", BARE, Means::Nothing),
    (' ', "compressed", BARE, Means::Ignored),
    (' ', "http1.1", BARE, Means::Ignored),
    (' ', "http2", BARE, Means::Ignored),
    (' ', "http3", BARE, Means::Ignored),
    ('r', "range", VALUE, Means::Refused(RANGES)),
    ('d', "data", VALUE, Means::Refused(GET_ONLY)),
    (' ', "data-raw", VALUE, Means::Refused(GET_ONLY)),
    (' ', "data-binary", VALUE, Means::Refused(GET_ONLY)),
    (' ', "data-ascii", VALUE, Means::Refused(GET_ONLY)),
    (' ', "data-urlencode", VALUE, Means::Refused(GET_ONLY)),
    (' ', "json", VALUE, Means::Refused(GET_ONLY)),
    ('F', "form", VALUE, Means::Refused(GET_ONLY)),
    (' ', "form-string", VALUE, Means::Refused(GET_ONLY)),
    ('T', "upload-file", VALUE, Means::Refused(GET_ONLY)),
    ('I', "head", BARE, Means::Refused(GET_ONLY)),
    ('G', "get", BARE, Means::Refused("write the query into the URL")),
    ('U', "proxy-user", VALUE, Means::Refused(PROXY_USER)),
    (' ', "limit-rate", VALUE, Means::Refused(OWN)),
    (' ', "retry", VALUE, Means::Refused(OWN)),
    (' ', "connect-timeout", VALUE, Means::Refused(OWN)),
    (' ', "cacert", VALUE, Means::Refused(OWN)),
    (' ', "resolve", VALUE, Means::Refused(OWN)),
    (' ', "interface", VALUE, Means::Refused(OWN)),
    (' ', "output-dir", VALUE, Means::Refused(OWN)),
    (' ', "digest", BARE, Means::Refused(OWN)),
    (' ', "basic", BARE, Means::Refused(OWN)),
];

/// Reads the words of a line; the first may be `curl`.
pub(crate) fn read(words: Vec<Secret>) -> Result<Line, Refused> {
    let mut line = Line::default();
    let mut words = words.into_iter().peekable();
    words.next_if(|first| first.expose_secret() == "curl");
    let mut options = true;
    while let Some(word) = words.next() {
        let text = word.expose_secret();
        match text.strip_prefix("--") {
            Some("") if options => options = false,
            Some(long) if options => {
                let name = format!("--{long}");
                let found = OPTIONS.iter().find(|(_, other, ..)| *other == long);
                // What follows `=` would be a value, if curl knew that form.
                let shown = name.split(['=', ' ']).next().unwrap_or_default();
                let &(_, _, value, means) = found.ok_or_else(|| unknown(shown))?;
                let value = if value { Some(wanted(words.next(), shown)?) } else { None };
                line.heed(shown, means, value)?;
            }
            None if options && text.starts_with('-') && text.len() > 1 => {
                line.cluster(&text[1..], &mut words)?;
            }
            _ => line.url(word)?,
        }
    }
    line.settle()
}

fn unknown(name: &str) -> Refused {
    refused(name, "is an option of curl that thence does not know", UNKNOWN)
}

fn wanted(value: Option<Secret>, name: &str) -> Result<Secret, Refused> {
    value.ok_or_else(|| refused(name, "has no value behind it", "copy the whole line"))
}

impl Line {
    /// Short options in one word; the first with a value takes what follows it.
    fn cluster(&mut self, text: &str, words: &mut impl Iterator<Item = Secret>) -> Result<(), Refused> {
        for (at, c) in text.char_indices() {
            let name = format!("-{c}");
            let found = OPTIONS.iter().find(|(short, ..)| *short == c && c != ' ');
            let &(_, _, value, means) = found.ok_or_else(|| unknown(&name))?;
            if !value {
                self.heed(&name, means, None)?;
                continue;
            }
            let rest = &text[at + c.len_utf8()..];
            let value = if rest.is_empty() { wanted(words.next(), &name)? } else { Secret::from(rest) };
            return self.heed(&name, means, Some(value));
        }
        Ok(())
    }

    fn heed(&mut self, name: &str, means: Means, value: Option<Secret>) -> Result<(), Refused> {
        let value = value.unwrap_or_else(|| Secret::from(""));
        let text = value.expose_secret();
        match means {
            Means::Header => return self.header(&value),
            Means::Cookie if !text.contains('=') => {
                let advice = "give the cookies themselves, as -b 'name=value; name=value'";
                return Err(refused(name, "names a file of cookies", advice));
            }
            Means::Cookie => self.cookies.push(value),
            Means::User => once(&mut self.user, name, value)?,
            Means::Agent => once(&mut self.agent, name, value)?,
            Means::Referer if text.ends_with(";auto") => {
                return Err(refused(name, "wants a Referer of each redirect", "leave ;auto away"));
            }
            Means::Referer => once(&mut self.referer, name, value)?,
            Means::Proxy => once(&mut self.proxy, name, value)?,
            Means::Out => once(&mut self.out, name, value)?,
            Means::Url => return self.url(value),
            Means::Method if text == "GET" => {}
            Means::Method => return Err(refused(name, "asks for another method than GET", GET_ONLY)),
            Means::ContinueAt if text == "-" => {}
            Means::ContinueAt => return Err(refused(name, "begins inside of the file", RANGES)),
            Means::Insecure => self.insecure = true,
            Means::RemoteTime => self.remote_time = true,
            Means::Literal => self.literal = true,
            Means::Nothing => {}
            Means::Ignored => self.ignore(name),
            Means::Refused(advice) => {
                return Err(refused(name, "is an option of curl that means nothing here", advice));
            }
        }
        Ok(())
    }

    fn ignore(&mut self, name: &str) {
        if !self.ignored.iter().any(|other| other == name) {
            self.ignored.push(name.to_owned());
        }
    }

    fn url(&mut self, word: Secret) -> Result<(), Refused> {
        if !word.expose_secret().contains("://") {
            return Err(refused(
                "",
                "a word of the line is neither an option nor a URL",
                "copy the whole line anew",
            ));
        }
        once(&mut self.url, "a URL", word)
    }

    /// `Name: value`, `Name;` for an empty value, `Name:` for none, which curl would else send by itself.
    fn header(&mut self, line: &Secret) -> Result<(), Refused> {
        let text = line.expose_secret();
        let empty = text.strip_suffix(';').filter(|name| !name.contains(':'));
        let Some((name, value)) = text.split_once(':').or(empty.map(|name| (name, ""))) else {
            let what = if text.starts_with('@') { "names a file of fields" } else { "has no colon" };
            return Err(refused("-H", what, "write -H 'Name: value'"));
        };
        let (name, value) = (name.trim(), value.trim());
        let (lower, left_out) = (name.to_ascii_lowercase(), value.is_empty() && empty.is_none());
        match field(&lower, value) {
            Field::Sent if left_out => {
                let advice = "leave it away if the file comes with what thence sends itself";
                return Err(refused(name, "is a field that is to be left out", advice));
            }
            Field::Sent => {
                if tells_nothing(&lower) {
                    self.kept.push(name.to_owned());
                }
                self.headers.push(Secret::from(format!("{name}: {value}")));
            }
            Field::Host if !left_out => once(&mut self.host, name, Secret::from(value))?,
            Field::Refused(advice) if !left_out => {
                return Err(refused(name, "is a field that thence sets itself", advice));
            }
            _ => self.ignore(&lower),
        }
        Ok(())
    }

    fn names(&self, field: &str) -> bool {
        let name = |header: &Secret| header.expose_secret().split(':').next().unwrap_or_default().to_owned();
        self.headers.iter().any(|header| name(header).eq_ignore_ascii_case(field))
    }

    /// What only the whole line can tell.
    fn settle(mut self) -> Result<Line, Refused> {
        let Some(url) = &self.url else {
            return Err(refused("", "there is no URL in the line", "copy the whole line"));
        };
        let (_, after) = url.expose_secret().split_once("://").unwrap_or_default();
        let path = after.find(['/', '?', '#']).map_or("", |at| &after[at..]);
        if !self.literal && path.contains(['{', '[']) {
            let advice = "add -g to the line if they are meant as they are";
            return Err(refused("the URL", "has brackets, which curl takes for a pattern", advice));
        }
        if let Some(host) = self.host.take() {
            if !is_host_of(url.expose_secret(), host.expose_secret()) {
                let advice =
                    "give the URL with that host, and its address with --resolve before the word curl";
                return Err(refused("Host", "is another than the URL's", advice));
            }
            self.ignore("host");
        }
        let both = "stands beside a field of its kind";
        if !self.cookies.is_empty() {
            if self.names("cookie") {
                return Err(refused("-b", both, "write all cookies into one"));
            }
            let all: Vec<&str> = self.cookies.iter().map(ExposeSecret::expose_secret).collect();
            self.headers.push(Secret::from(format!("Cookie: {}", all.join("; "))));
        }
        if self.referer.is_some() && self.names("referer") {
            return Err(refused("-e", both, "leave one of them away"));
        }
        Ok(self)
    }
}

/// A word that stands once.
fn once(slot: &mut Option<Secret>, name: &str, value: Secret) -> Result<(), Refused> {
    if slot.replace(value).is_some() {
        return Err(refused(name, "stands twice in the line", "give each file a line of its own"));
    }
    Ok(())
}

/// What becomes of a field.
enum Field {
    Sent,
    Host,
    /// It says how a browser wants its answer; thence says for itself how it does, and fetches the same bytes.
    Ignored,
    /// With it, other bytes would come.
    Refused(&'static str),
}

/// `name` in lower case.
fn field(name: &str, value: &str) -> Field {
    match name {
        "host" => Field::Host,
        // All of it, as players ask.
        "range" if value == "bytes=0-" => Field::Ignored,
        "range" => Field::Refused(RANGES),
        "content-length" if value == "0" => Field::Ignored,
        "content-length" | "transfer-encoding" | "expect" | "upgrade" => Field::Refused(GET_ONLY),
        "accept-encoding"
        | "connection"
        | "keep-alive"
        | "proxy-connection"
        | "te"
        | "trailer"
        | "if-match"
        | "if-none-match"
        | "if-modified-since"
        | "if-unmodified-since"
        | "if-range"
        | "want-repr-digest" => Field::Ignored,
        _ => Field::Sent,
    }
}

/// Fields that every visitor with that browser sends: a run that goes on by the URL alone can repeat them.
fn tells_nothing(name: &str) -> bool {
    let all = [
        "accept",
        "accept-language",
        "cache-control",
        "dnt",
        "pragma",
        "priority",
        "sec-gpc",
        "upgrade-insecure-requests",
        "user-agent",
    ];
    all.contains(&name) || name.starts_with("sec-ch-") || name.starts_with("sec-fetch-")
}

fn is_host_of(url: &str, host: &str) -> bool {
    let Ok(url) = url::Url::parse(url) else { return false };
    let other = url::Url::parse(&format!("{}://{host}/", url.scheme()));
    other.is_ok_and(|other| {
        other.username().is_empty()
            && other.path() == "/"
            && other.host() == url.host()
            && other.port_or_known_default() == url.port_or_known_default()
    })
}

#[cfg(test)]
mod tests {
    // Beside this module wherever it is built in.
    use super::super::shell;
    use super::*;

    fn line(text: &str) -> Result<Line, Refused> {
        read(shell::words(text).unwrap_or_else(|fault| panic!("{text:?}: {fault:?}")))
    }

    fn fields(line: &Line) -> Vec<&str> {
        line.headers.iter().map(ExposeSecret::expose_secret).collect()
    }

    fn text(secret: &Option<Secret>) -> Option<&str> {
        secret.as_ref().map(ExposeSecret::expose_secret)
    }

    #[track_caller]
    fn is_refused(text: &str, name: &str) {
        let refused = line(text).err().unwrap_or_else(|| panic!("{text} is taken"));
        assert_eq!(refused.name, name, "{refused:?}");
        assert!(!format!("{refused:?}").contains("SECRET"), "{refused:?}");
    }

    /// As Chromium writes it on Linux.
    const CHROMIUM: &str = r#"curl 'https://dl.example.org/files/a%20b.iso?token=T&x=1' \
  -H 'accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' \
  -H 'accept-language: en-US,en;q=0.9' \
  -b 'session=SECRET; theme=dark' \
  -H 'priority: u=0, i' \
  -H 'referer: https://example.org/downloads' \
  -H 'sec-ch-ua: "Chromium";v="130", "Not?A_Brand";v="99"' \
  -H 'sec-fetch-mode: navigate' \
  -H $'x-note: it\'s \u0021' \
  -H 'user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0.0.0 Safari/537.36' \
  --compressed"#;

    /// As Firefox does.
    const FIREFOX: &str = "curl 'https://dl.example.org/a.iso' --compressed -H 'User-Agent: Mozilla/5.0 \
        (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0' -H 'Accept: */*' -H 'Accept-Encoding: gzip, \
        deflate, br, zstd' -H 'Range: bytes=0-' -H 'Connection: keep-alive' -H 'Cookie: id=SECRET' \
        -H 'If-None-Match: \"abc\"' -H 'Host: dl.example.org' -H 'TE: trailers'";

    #[test]
    fn a_line_of_chromium_is_taken() {
        let line = line(CHROMIUM).unwrap();
        assert_eq!(text(&line.url), Some("https://dl.example.org/files/a%20b.iso?token=T&x=1"));
        let fields = fields(&line);
        assert_eq!(fields.len(), 9);
        assert!(fields.contains(&"x-note: it's !") && fields.contains(&"Cookie: session=SECRET; theme=dark"));
        assert_eq!(line.ignored, ["--compressed"]);
        let kept = ["accept", "accept-language", "priority", "sec-ch-ua", "sec-fetch-mode", "user-agent"];
        assert_eq!(line.kept, kept);
    }

    #[test]
    fn a_line_of_firefox_is_taken_and_what_is_thences_own_is_said() {
        let line = line(FIREFOX).unwrap();
        let names: Vec<&str> = fields(&line).iter().filter_map(|field| field.split(':').next()).collect();
        assert_eq!(names, ["User-Agent", "Accept", "Cookie"]);
        let ours = ["--compressed", "accept-encoding", "range", "connection", "if-none-match", "te", "host"];
        assert_eq!(line.ignored, ours);
    }

    #[test]
    fn options_are_taken_in_both_forms_and_in_one_word() {
        let line = line(
            "curl -sSfLkRO -ume:SECRET --user-agent me -e http://r/ -xp:1 -o 'a b' -X GET -C - --url http://h/",
        );
        let line = line.unwrap();
        let said = [&line.user, &line.agent, &line.referer, &line.proxy, &line.out, &line.url].map(text);
        let wanted = ["me:SECRET", "me", "http://r/", "p:1", "a b", "http://h/"];
        assert_eq!(said, wanted.map(Some));
        assert!(line.insecure && line.remote_time);
    }

    #[test]
    fn what_would_bring_other_bytes_is_refused_by_name() {
        for (words, name) in [
            ("-X POST", "-X"),
            ("--request SECRET", "--request"),
            ("-d SECRET", "-d"),
            ("--data-raw SECRET", "--data-raw"),
            ("-sSdSECRET", "-d"),
            ("-r 0-1", "-r"),
            ("-C 5", "-C"),
            ("-I", "-I"),
            ("-b SECRET.txt", "-b"),
            ("-H 'Range: bytes=5-'", "Range"),
            ("-H 'range: bytes=0-9'", "range"),
            ("-H 'Host: other'", "Host"),
            ("-H 'Upgrade: websocket'", "Upgrade"),
            ("-H 'Content-Length: 5'", "Content-Length"),
            ("-H 'Accept:'", "Accept"),
            ("-H SECRET", "-H"),
            ("-H @SECRET", "-H"),
            ("--retry 3", "--retry"),
            ("-U me:SECRET", "-U"),
            ("--no-such SECRET", "--no-such"),
            ("--no-such=SECRET", "--no-such"),
            ("-ZSECRET", "-Z"),
            ("-e 'http://r/;auto'", "-e"),
            ("SECRET", ""),
            ("http://h/b", "a URL"),
            ("-H", "-H"),
            ("-b a=SECRET -H 'cookie: b=SECRET'", "-b"),
            ("-A me -A SECRET", "-A"),
        ] {
            is_refused(&format!("curl http://h/a {words}"), name);
        }
        is_refused("curl -k", "");
        is_refused("curl 'http://h/[1-9].iso'", "the URL");
        assert!(line("curl -g 'http://h/[1-9].iso'").is_ok() && line("curl 'http://[::1]/a'").is_ok());
    }

    #[test]
    fn an_empty_field_and_one_left_out_are_told_apart() {
        assert_eq!(fields(&line("http://h/ -H 'X-Empty;'").unwrap()), ["X-Empty: "]);
        assert_eq!(
            line("http://h/ -H 'Accept-Encoding:' -H 'Range:'").unwrap().ignored,
            ["accept-encoding", "range"]
        );
    }

    #[test]
    fn the_host_may_be_said_again() {
        for (url, host) in
            [("https://H.example/a", "h.example"), ("https://h:443/", "H"), ("http://[::1]:8/", "[::1]:8")]
        {
            assert!(line(&format!("'{url}' -H 'Host: {host}'")).is_ok(), "{url} {host}");
        }
        for (url, host) in [("https://h/a", "h:80"), ("https://h/a", "h/x"), ("https://h/a", "u@h")] {
            is_refused(&format!("'{url}' -H 'Host: {host}'"), "Host");
        }
    }
}
