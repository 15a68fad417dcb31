//! Events in plain words.

use std::path::Path;

use thence::{Done, Event, HttpVersion, Why};

use crate::exit::what_of;
use crate::meant::MANY_LANES;
use crate::printable::{printable, quoted, reason, url};
use crate::progress::{bytes, clock};

/// Who hears of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Everyone but those who said `-q`: it bears on what the file is worth, or on what a person may do.
    Always,
    /// Those who said `-v`.
    Verbose,
}

/// A decision on the number of lanes and what it rests on, in a line.
fn decided(host: &str, lanes: u32, why: Why, before: (u32, u64), after: (u32, u64)) -> String {
    let count = |lanes: u32| if lanes == 1 { "1 connection".into() } else { format!("{lanes} connections") };
    let brings = |(lanes, rate): (u32, u64)| {
        let bring = if lanes == 1 { "brings" } else { "bring" };
        format!("{} {bring} {}/s", count(lanes), bytes(rate))
    };
    let host = reason(host);
    match why {
        Why::Far => format!("{host}: a small file over a long way: {} begun at once", are(lanes)),
        Why::Steady => format!("{host}: {}, steady: {} tried", brings(before), are(lanes)),
        Why::Paid if lanes > after.0 => {
            format!("{host}: {}, {}: {} tried", brings(after), instead(before), are(lanes))
        }
        Why::Paid | Why::Shared => {
            format!("{host}: {}, {}: {} kept", brings(after), instead(before), are(lanes))
        }
        Why::Useless => {
            format!("{host}: {}, no more than {}: {} kept", brings(after), count(before.0), are(lanes))
        }
        Why::Missed => format!("{host}: {}, {}: {} wanted again", brings(after), instead(before), are(lanes)),
        Why::Fallen => format!("{host}: {}, less than before: {} tried", brings(after), are(lanes)),
        Why::Lost => format!("{host}: packets are lost over a long way: {} tried", are(lanes)),
    }
}

/// The number of a version of HTTP.
pub(crate) fn http(version: HttpVersion) -> &'static str {
    match version {
        HttpVersion::Http10 => "1.0",
        HttpVersion::Http11 => "1.1",
        HttpVersion::Http2 => "2",
    }
}

fn are(lanes: u32) -> String {
    if lanes == 1 { "1 is".into() } else { format!("{lanes} are") }
}

fn instead((lanes, rate): (u32, u64)) -> String {
    format!("{lanes} brought {}/s", bytes(rate))
}

/// What is found of a file that is there, and was asked about.
fn there(event: &Event) -> Option<(Weight, String)> {
    Some(match event {
        Event::Edited { path } => (
            Weight::Always,
            format!(
                "{} was written to since it was fetched: its server is asked without a condition, and --exists says \
                 what becomes of it",
                printable(path)
            ),
        ),
        Event::ByTime { path } => (
            Weight::Always,
            format!(
                "nothing tells what {} is of: the server is asked whether it has anything newer than that",
                printable(path)
            ),
        ),
        Event::Unchanged { url: from, status: 304 } => {
            (Weight::Verbose, format!("{}: not changed, says the server (304)", url(from)))
        }
        Event::Unchanged { url: from, .. } => {
            (Weight::Verbose, format!("{}: not changed, by its validators; it was not read", url(from)))
        }
        _ => return None,
    })
}

/// What `event` means; `None` for what other lines say already.
pub(crate) fn event(event: &Event) -> Option<(Weight, String)> {
    use Weight::{Always, Verbose};
    let text = match event {
        Event::Started { held: 0, total: None, .. } => {
            return Some((Verbose, "begins, length unknown".into()));
        }
        Event::Started { held: 0, total: Some(total), .. } => {
            return Some((Verbose, format!("begins, {}", bytes(*total))));
        }
        Event::Started { held, .. } => format!("goes on, {} held from earlier", bytes(*held)),
        Event::Kept { part } => {
            let part = printable(part);
            format!(
                "{part} has no readable journal: it is left as it is; a --checksum could tell what it is worth, or --adopt, if another program left it"
            )
        }
        Event::OtherHeader { name } => {
            let name = printable(name);
            format!("the header {name} has another value than when this part was begun; the server decides")
        }
        Event::Edited { .. } | Event::ByTime { .. } | Event::Unchanged { .. } => return there(event),
        Event::Retry { url: from, failure, after } => {
            let wait = after.as_secs_f64();
            return Some((Verbose, format!("{}: {}; again in {wait:.1} s", url(from), what_of(failure))));
        }
        Event::Stalled { url: from } => {
            return Some((Verbose, format!("{}: a connection fell silent and is replaced", url(from))));
        }
        Event::Answered { host, version } => {
            return Some((Verbose, format!("{} answers in HTTP/{}", reason(host), http(*version))));
        }
        Event::Narrowed { host, lanes } => {
            return Some((Verbose, format!("{} allows {lanes} at a time", reason(host))));
        }
        Event::LeftOut { host, address, why } => {
            let (host, why) = (reason(host), reason(why));
            return Some((Verbose, format!("{} of {host} is left out: {why}", reason(address))));
        }
        Event::Lanes { host, lanes, why, before, after } => {
            let many = *lanes > MANY_LANES && before.0 <= MANY_LANES;
            return Some((if many { Always } else { Verbose }, decided(host, *lanes, *why, *before, *after)));
        }
        Event::Changed { url: from, what } => {
            format!("changed: {} is another file now ({}); begun anew", url(from), reason(what))
        }
        Event::Unproven { compared } => {
            format!("unproven join: {} were compared and equal", bytes(*compared))
        }
        Event::LengthUnknown => "length unknown: nothing proves where it ends".into(),
        Event::Coded { undone: true } => "came compressed though nobody asked; undone while storing".into(),
        Event::Coded { undone: false } => "came compressed; stored as it was sent".into(),
        Event::NoRanges => {
            "the server gives no ranges: one connection, and an interruption starts over".into()
        }
        Event::Damaged { bytes: bad } => {
            format!("{} on the disk were damaged and are fetched again", bytes(*bad))
        }
        Event::Expired { .. }
        | Event::Renewed { .. }
        | Event::NotRenewed { .. }
        | Event::Mirror { .. }
        | Event::Secured { .. }
        | Event::SourceDropped { .. } => return of_source(event),
        Event::Adopted { .. } | Event::NotAdopted { .. } | Event::Adoptable { .. } => {
            return Some((Always, of_others(event)?));
        }
        Event::Verified => return Some((Verbose, "all bytes are held and verified".into())),
        Event::Paused => return None,
    };
    Some((Always, text))
}

/// What became of what another program left.
fn of_others(event: &Event) -> Option<String> {
    Some(match event {
        Event::Adopted { file, bytes: adopted } => {
            format!("goes on from {}: {} of it were taken over", path(file), bytes(*adopted))
        }
        Event::NotAdopted { file, what } => {
            format!("{} is left as it is, and nothing of it is used: {}", path(file), reason(what))
        }
        Event::Adoptable { file } => {
            let (file, quoted) = (path(file), quoted(Path::new(file)));
            format!(
                "{file} is there, and shorter; if it is the beginning of this file, --adopt {quoted} goes on from it"
            )
        }
        _ => return None,
    })
}

/// What became of a place that the file is fetched from.
fn of_source(event: &Event) -> Option<(Weight, String)> {
    use Weight::{Always, Verbose};
    let text = match event {
        Event::Expired { url: from, failure } => {
            return Some((Verbose, format!("{}: the link has expired: {}", url(from), what_of(failure))));
        }
        Event::Renewed { url: new } => format!("goes on from {}", url(new)),
        Event::NotRenewed { url: from, why } => format!("{}: no new link: {}", url(from), reason(why)),
        Event::Mirror { url: from } => {
            return Some((Verbose, format!("{}: a mirror, by the server's word", url(from))));
        }
        Event::SourceDropped { url: from, failure } => {
            format!("{}: dropped: {}", url(from), what_of(failure))
        }
        Event::Secured { host } => {
            return Some((
                Verbose,
                format!("{}: asked by https, since it wants nothing else (HSTS)", reason(host)),
            ));
        }
        _ => return None,
    };
    Some((Always, text))
}

/// Why a download stands still.
pub(crate) fn waits(from: &str, failure: &thence::Failure) -> String {
    format!("{}: {}; asking again", url(from), what_of(failure))
}

/// The last line of a download that succeeded.
pub(crate) fn done(done: &Done, seconds: f64) -> String {
    if done.unchanged {
        return "not changed; nothing fetched".into();
    }
    if done.already {
        return "already complete; nothing fetched".into();
    }
    let mut text = match done.path {
        Some(_) => format!("saved, {}", bytes(done.bytes)),
        None => format!("done, {}", bytes(done.bytes)),
    };
    let rate = if seconds > 0.0 { done.wire_bytes as f64 / seconds } else { 0.0 };
    text += &format!(" in {} ({}/s)", clock(seconds as u64), bytes(rate as u64));
    if let Some((algorithm, _)) = &done.digest {
        text += &format!(", {algorithm} right");
    }
    if let Some(by) = &done.signed {
        text += &format!(", signed by {}", reason(by));
    }
    if done.unproven {
        text += ", unproven join";
    }
    if done.length_unknown {
        text += ", length unknown";
    }
    text
}

/// The command that goes on with `parts`.
pub(crate) fn command(parts: &[&Path]) -> String {
    let quoted = parts.iter().map(|part| quoted(part));
    std::iter::once("thence".to_owned()).chain(quoted).collect::<Vec<_>>().join(" ")
}

/// A path as it is shown: this directory goes without saying.
fn path(path: &str) -> String {
    let shown = Path::new(path).strip_prefix(".").map_or_else(|_| path.into(), Path::to_string_lossy);
    printable(&shown).into_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_lowers_a_files_worth_is_said_to_everyone() {
        for e in [Event::Unproven { compared: 65536 }, Event::LengthUnknown, Event::NoRanges] {
            assert_eq!(event(&e).map(|(weight, _)| weight), Some(Weight::Always));
        }
        assert!(event(&Event::Unproven { compared: 1 }).is_some_and(|(_, t)| t.starts_with("unproven join")));
        assert!(event(&Event::LengthUnknown).is_some_and(|(_, t)| t.starts_with("length unknown")));
    }

    #[test]
    fn log_01_events_mask_their_urls() {
        let (url, failure) = ("https://u:SECRET@h/?t=SECRET".to_owned(), thence::Failure::Truncated);
        let after = Duration::from_millis(1500);
        let (weight, text) = event(&Event::Retry { url, failure, after }).unwrap();
        assert_eq!(weight, Weight::Verbose);
        assert_eq!(text, "https://h/?t=***: the answer ended before it was whole; again in 1.5 s");
    }

    #[test]
    fn an_unproven_file_says_so_in_its_last_line() {
        let file =
            Done { path: Some("a".into()), bytes: 1024, wire_bytes: 1024, unproven: true, ..Done::default() };
        assert_eq!(done(&file, 2.0), "saved, 1.00 KiB in 0:02 (512 B/s), unproven join");
    }

    #[test]
    fn a_finished_file_is_not_said_to_be_fetched() {
        assert_eq!(
            done(&Done { already: true, ..Done::default() }, 0.0),
            "already complete; nothing fetched"
        );
    }

    #[test]
    fn pth_18_the_command_that_continues_survives_a_shell() {
        assert_eq!(
            command(&[Path::new("./a.iso.part"), Path::new("d/ü b.part")]),
            "thence a.iso.part 'd/ü b.part'"
        );
        assert_eq!(command(&[Path::new("-rf.part")]), "thence ./-rf.part");
        assert_eq!(command(&[Path::new("a'$(x);.part")]), "thence 'a'\\''$(x);.part'");
    }
}
