//! The lines of `--json`. docs/events.md describes every field, and a test holds the two together.

use std::path::Path;

use serde::Serialize;
use thence::{Done, Event, PartReport, Progress, VerifyReport, Why};

use crate::exit::{Trouble, code_of, what_of};
use crate::printable::{is_unsafe, reason, url};
use crate::progress::Count;
use crate::words::http;

/// Raised when a field changes its meaning or goes; new events and new fields do not raise it.
const VERSION: u32 = 1;

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<usize>,
    #[serde(flatten)]
    body: Body<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Start {
        url: String,
        name: &'a str,
        part: Option<String>,
        total: Option<u64>,
        held: u64,
    },
    Progress {
        total: Option<u64>,
        held: u64,
        wire_bytes: u64,
        speed: u64,
        seconds_left: Option<u64>,
        lanes: u32,
    },
    Kept {
        part: &'a str,
    },
    Adopted {
        file: &'a str,
        bytes: u64,
    },
    NotAdopted {
        file: &'a str,
        what: String,
    },
    Adoptable {
        file: &'a str,
    },
    OtherHeader {
        name: &'a str,
    },
    File {
        path: &'a str,
    },
    Unchanged {
        url: String,
        status: u16,
    },
    Retry {
        url: String,
        class: &'static str,
        what: String,
        after_seconds: f64,
    },
    Place {
        url: String,
    },
    Answered {
        host: String,
        http: &'static str,
    },
    Secured {
        host: String,
    },
    Narrowed {
        host: String,
        lanes: u32,
    },
    LeftOut {
        host: String,
        address: String,
        why: String,
    },
    Lanes {
        host: String,
        lanes: u32,
        why: &'static str,
        lanes_before: u32,
        speed_before: u64,
        lanes_now: u32,
        speed_now: u64,
    },
    Changed {
        url: String,
        what: String,
    },
    Unproven {
        compared: u64,
    },
    Coded {
        undone: bool,
    },
    Damaged {
        bytes: u64,
    },
    Expired {
        url: String,
        what: String,
    },
    SourceDropped {
        url: String,
        class: &'static str,
        what: String,
    },
    Done {
        url: &'a str,
        path: Option<String>,
        bytes: u64,
        wire_bytes: u64,
        seconds: f64,
        digest: Option<String>,
        signed: Option<&'a str>,
        already: bool,
        unchanged: bool,
        unproven: bool,
        length_unknown: bool,
    },
    Error {
        code: u8,
        class: &'static str,
        url: Option<&'a str>,
        what: String,
    },
    Stopped {
        part: Option<String>,
        command: Option<String>,
    },
    List {
        known: u64,
        whole: bool,
        done: u64,
        before: u64,
        failed: u64,
        bytes: u64,
        wire_bytes: u64,
        speed: u64,
        files_per_second: f64,
        active: u32,
    },
    Ledger {
        list: &'a str,
        done: u64,
        in_use: bool,
    },
    Note {
        text: &'a str,
    },
    Part {
        part: String,
        name: &'a str,
        url: String,
        total: Option<u64>,
        held: u64,
        block_size: u32,
        validator: Option<&'a str>,
        insecure: bool,
        unproven: bool,
        in_use: bool,
        whole: bool,
    },
    Checked {
        path: String,
        total: Option<u64>,
        held: u64,
        checked: u64,
        bad: &'a [(u64, u64)],
        digest: Option<String>,
        digest_ok: Option<bool>,
        signed: Option<&'a str>,
    },
    Bare {},
}

/// The line without its end. What a terminal would obey and JSON would let through is written as an escape, so the
/// text is still exact for a program.
fn line(event: &'static str, id: Option<usize>, body: Body) -> String {
    // Strings, numbers and lists cannot fail to serialize; an empty object would still be a line.
    let json = serde_json::to_string(&Line { v: VERSION, event, id, body }).unwrap_or_else(|_| "{}".into());
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unsafe(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn pair((algorithm, hex): &(String, String)) -> String {
    format!("{algorithm}:{hex}")
}

/// An event of download `id`, whose first URL is `of`; `None` for what is told by other lines.
pub(crate) fn event(id: usize, of: &str, part: Option<&Path>, event: &Event) -> Option<String> {
    let (name, body) = match event {
        Event::Started { name, total, held } => {
            ("start", Body::Start { url: url(of), name, part: part.map(text), total: *total, held: *held })
        }
        Event::Kept { part } => ("kept", Body::Kept { part }),
        Event::Adopted { file, bytes } => ("adopted", Body::Adopted { file, bytes: *bytes }),
        Event::NotAdopted { file, what } => ("not_adopted", Body::NotAdopted { file, what: reason(what) }),
        Event::Adoptable { file } => ("adoptable", Body::Adoptable { file }),
        Event::OtherHeader { name } => ("other_header", Body::OtherHeader { name }),
        Event::Edited { path } => ("edited", Body::File { path }),
        Event::ByTime { path } => ("by_time", Body::File { path }),
        Event::Unchanged { url: from, status } => {
            ("unchanged", Body::Unchanged { url: url(from), status: *status })
        }
        Event::Retry { url: from, failure, after } => {
            let (class, what) = (code_of(from, failure).class(), what_of(failure));
            ("retry", Body::Retry { url: url(from), class, what, after_seconds: after.as_secs_f64() })
        }
        Event::Stalled { url: from } => ("stalled", Body::Place { url: url(from) }),
        Event::Answered { host, version } => {
            ("answered", Body::Answered { host: reason(host), http: http(*version) })
        }
        Event::Secured { host } => ("secured", Body::Secured { host: reason(host) }),
        Event::Narrowed { host, lanes } => ("narrowed", Body::Narrowed { host: reason(host), lanes: *lanes }),
        Event::LeftOut { host, address, why } => {
            let [host, address, why] = [host, address, why].map(|text| reason(text));
            ("left_out", Body::LeftOut { host, address, why })
        }
        Event::Lanes { host, lanes, why, before, after } => {
            ("lanes", decided(host, *lanes, *why, *before, *after))
        }
        Event::Changed { url: from, what } => {
            ("changed", Body::Changed { url: url(from), what: reason(what) })
        }
        Event::Unproven { compared } => ("unproven", Body::Unproven { compared: *compared }),
        Event::LengthUnknown => ("length_unknown", Body::Bare {}),
        Event::Coded { undone } => ("coded", Body::Coded { undone: *undone }),
        Event::NoRanges => ("no_ranges", Body::Bare {}),
        Event::Damaged { bytes } => ("damaged", Body::Damaged { bytes: *bytes }),
        Event::Expired { url: from, failure } => {
            ("expired", Body::Expired { url: url(from), what: what_of(failure) })
        }
        Event::Renewed { url: new } => ("renewed", Body::Place { url: url(new) }),
        Event::NotRenewed { url: from, why } => {
            ("not_renewed", Body::Expired { url: url(from), what: reason(why) })
        }
        Event::Mirror { url: from } => ("mirror", Body::Place { url: url(from) }),
        Event::SourceDropped { url: from, failure } => {
            let (class, what) = (code_of(from, failure).class(), what_of(failure));
            ("source_dropped", Body::SourceDropped { url: url(from), class, what })
        }
        Event::Verified => ("verified", Body::Bare {}),
        Event::Paused => return None,
    };
    Some(line(name, Some(id), body))
}

fn decided(host: &str, lanes: u32, why: Why, before: (u32, u64), after: (u32, u64)) -> Body<'static> {
    let why = match why {
        Why::Far => "far",
        Why::Steady => "steady",
        Why::Paid => "paid",
        Why::Shared => "shared",
        Why::Useless => "useless",
        Why::Missed => "missed",
        Why::Fallen => "fallen",
        Why::Lost => "lost",
    };
    let ((lanes_before, speed_before), (lanes_now, speed_now)) = (before, after);
    Body::Lanes { host: reason(host), lanes, why, lanes_before, speed_before, lanes_now, speed_now }
}

/// How far download `id` is.
pub(crate) fn progress(id: usize, progress: &Progress, speed: f64, seconds_left: Option<u64>) -> String {
    let Progress { total, held, wire, lanes, .. } = progress;
    let (total, held, wire_bytes, lanes) = (*total, *held, *wire, *lanes);
    line(
        "progress",
        Some(id),
        Body::Progress { total, held, wire_bytes, speed: speed as u64, seconds_left, lanes },
    )
}

/// The end of a download that succeeded.
pub(crate) fn done(id: usize, masked: &str, done: &Done, seconds: f64) -> String {
    let body = Body::Done {
        url: masked,
        path: done.path.as_deref().map(text),
        bytes: done.bytes,
        wire_bytes: done.wire_bytes,
        seconds,
        digest: done.digest.as_ref().map(pair),
        signed: done.signed.as_deref(),
        already: done.already,
        unchanged: done.unchanged,
        unproven: done.unproven,
        length_unknown: done.length_unknown,
    };
    line("done", Some(id), body)
}

/// The end of a download that failed, or of the command when `id` is `None`.
pub(crate) fn error(id: Option<usize>, masked: Option<&str>, trouble: &Trouble) -> String {
    let body = Body::Error {
        code: trouble.code as u8,
        class: trouble.code.class(),
        url: masked,
        what: trouble.to_string(),
    };
    line("error", id, body)
}

/// A download that was stopped by a signal.
pub(crate) fn stopped(id: usize, part: Option<&Path>, command: Option<String>) -> String {
    line("stopped", Some(id), Body::Stopped { part: part.map(text), command })
}

/// How far a list is.
pub(crate) fn list(count: &Count, speed: f64, files_per_second: f64) -> String {
    let Count { known, over, before, done, failed, bytes, wire, active, .. } = *count;
    let (whole, wire_bytes, speed) = (over, wire, speed as u64);
    let files_per_second = (files_per_second * 10.0).round() / 10.0;
    line(
        "list",
        None,
        Body::List { known, whole, done, before, failed, bytes, wire_bytes, speed, files_per_second, active },
    )
}

/// What a list's ledger says, for `thence status`.
pub(crate) fn ledger(list: &str, done: u64, in_use: bool) -> String {
    line("ledger", None, Body::Ledger { list, done, in_use })
}

/// A warning about the command as a whole.
pub(crate) fn note(text: &str) -> String {
    line("note", None, Body::Note { text })
}

/// A part, for `thence status`.
pub(crate) fn part(report: &PartReport) -> String {
    let body = Body::Part {
        part: text(&report.dir.join(format!("{}.part", report.name))),
        name: &report.name,
        url: url(&report.url),
        total: report.total,
        held: report.held,
        block_size: report.block_size,
        validator: report.validator.as_deref(),
        insecure: report.insecure,
        unproven: report.unproven,
        in_use: report.in_use,
        whole: report.whole,
    };
    line("part", None, body)
}

/// What `thence verify` found.
pub(crate) fn checked(report: &VerifyReport) -> String {
    let body = Body::Checked {
        path: text(&report.path),
        total: report.total,
        held: report.held,
        checked: report.checked,
        bad: &report.bad,
        digest: report.digest.as_ref().map(pair),
        digest_ok: report.digest_ok,
        signed: report.signed.as_deref(),
    };
    line("checked", None, body)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;
    use thence::Failure;

    use super::*;
    use crate::exit::Code;

    const URL: &str = "https://u:SECRET@h/a?t=SECRET";

    fn every_line() -> Vec<String> {
        let (url, failure) = (URL.to_owned(), Failure::Truncated);
        let events = [
            Event::Started { name: "a".into(), total: Some(2), held: 1 },
            Event::Kept { part: "a.part".into() },
            Event::Adopted { file: "a".into(), bytes: 1 },
            Event::NotAdopted { file: "a".into(), what: "other bytes".into() },
            Event::Adoptable { file: "a".into() },
            Event::OtherHeader { name: "cookie".into() },
            Event::Edited { path: "a".into() },
            Event::ByTime { path: "a".into() },
            Event::Unchanged { url: url.clone(), status: 304 },
            Event::Retry { url: url.clone(), failure: failure.clone(), after: Duration::from_secs(1) },
            Event::Stalled { url: url.clone() },
            Event::Answered { host: "https://h".into(), version: thence::HttpVersion::Http2 },
            Event::Secured { host: "https://h".into() },
            Event::Narrowed { host: "https://h".into(), lanes: 1 },
            Event::LeftOut { host: "h:1".into(), address: "192.0.2.1".into(), why: "stale".into() },
            Event::Lanes {
                host: "https://h".into(),
                lanes: 6,
                why: thence::Why::Paid,
                before: (1, 5),
                after: (2, 10),
            },
            Event::Changed { url: url.clone(), what: "ETag".into() },
            Event::Unproven { compared: 1 },
            Event::LengthUnknown,
            Event::Coded { undone: true },
            Event::NoRanges,
            Event::Damaged { bytes: 1 },
            Event::Expired { url: url.clone(), failure: failure.clone() },
            Event::Renewed { url: url.clone() },
            Event::NotRenewed { url: url.clone(), why: "why".into() },
            Event::Mirror { url: url.clone() },
            Event::SourceDropped { url, failure },
            Event::Verified,
        ];
        let trouble = Trouble::new(Code::NotFound, "https://h/a", "not found", "");
        let mut lines: Vec<_> = events.iter().filter_map(|e| event(1, URL, None, e)).collect();
        lines.push(progress(1, &Progress::default(), 1.5, None));
        lines.push(done(1, "https://h/a", &Done::default(), 0.5));
        lines.push(error(Some(1), Some("https://h/a"), &trouble));
        lines.push(stopped(1, Some(Path::new("a.part")), Some("thence a.part".into())));
        lines.push(list(&Count::default(), 1.5, 2.0));
        lines.push(ledger("l", 1, false));
        lines.push(note("x"));
        lines.push(part(&PartReport { url: URL.into(), ..PartReport::default() }));
        lines.push(checked(&VerifyReport::default()));
        lines
    }

    /// The fields that docs/events.md lists under the heading of `event`.
    fn documented<'a>(doc: &'a str, event: &str) -> Vec<&'a str> {
        let (_, section) = doc.split_once(&format!("\n### `{event}`\n")).unwrap_or_default();
        let section = section.split("\n### ").next().unwrap_or_default();
        section.lines().filter_map(|l| l.strip_prefix("| `")?.split('`').next()).collect()
    }

    #[test]
    fn every_field_of_every_event_is_documented_in_its_order() {
        let doc = include_str!("../../../docs/events.md");
        for line in every_line() {
            let value: Value = serde_json::from_str(&line).unwrap();
            let event = value["event"].as_str().unwrap();
            let fields =
                value.as_object().unwrap().keys().filter(|k| !["v", "event", "id"].contains(&k.as_str()));
            let mut documented = documented(doc, event);
            documented.sort_unstable();
            assert_eq!(fields.collect::<Vec<_>>(), documented, "{event}");
        }
    }

    #[test]
    fn every_event_documented_is_one_that_is_sent() {
        let lines = every_line().join("\n");
        for heading in include_str!("../../../docs/events.md").lines().filter_map(|l| l.strip_prefix("### `"))
        {
            assert!(lines.contains(&format!("\"event\":\"{}\"", heading.trim_end_matches('`'))), "{heading}");
        }
    }

    #[test]
    fn a_line_begins_with_its_version_and_event() {
        let line =
            progress(3, &Progress { total: Some(9), held: 4, wire: 5, lanes: 2, map: vec![] }, 7.9, Some(1));
        let rest = r#""total":9,"held":4,"wire_bytes":5,"speed":7,"seconds_left":1,"lanes":2}"#;
        assert_eq!(line, format!(r#"{{"v":1,"event":"progress","id":3,{rest}"#));
    }

    #[test]
    fn log_01_no_line_holds_a_secret() {
        for line in every_line() {
            assert!(!line.contains("SECRET"), "{line}");
        }
    }

    #[test]
    fn log_05_a_name_reaches_a_program_exactly_and_a_terminal_not_at_all() {
        let name = "a\x1b]0;\u{9b}\u{202e}\n\u{e0041}\"\\ü";
        let started = Event::Started { name: name.into(), total: None, held: 0 };
        let line = event(1, "http://h/", None, &started).unwrap();
        assert!(!line.contains(is_unsafe), "{line:?}");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["name"], name);
    }
}
