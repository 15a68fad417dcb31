//! Fetches: from what is meant to requests, an engine, and an exit code.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thence::{Engine, ExposeSecret, Limits, Request, Target};
use tokio::task::LocalSet;

use crate::drive::{Ended, Stream, drive};
use crate::exit::{Code, Trouble};
use crate::list::{self, Origin, Wanted};
use crate::login::Passwords;
use crate::meant::{Get, Place, Talk};
use crate::printable::{printable, url};
use crate::proof::Proof;
use crate::report::Report;
use crate::{sums, sys};

/// What `$THENCE_HURRY` divides every default duration by: the test suites run at 1/30. Times given as options stay
/// as they were given.
pub(crate) fn hurry() -> u32 {
    std::env::var("THENCE_HURRY").ok().and_then(|n| n.parse().ok()).unwrap_or(1).max(1)
}

/// The limits that options change.
pub(crate) fn limits() -> Limits {
    Limits::default().hurried(hurry())
}

/// Fetches everything wanted; `mode` is that of finished files.
pub(crate) fn run(mut get: Get, talk: Talk, mode: u32) -> Result<Code, Trouble> {
    let mut report = Report::new(talk, hurry());
    let mut passwords = get.user.take().map(|user| Passwords::new(user, &mut get.notes));
    for note in &get.notes {
        report.note(note);
    }
    if let Place::Dir(Some(dir)) | Place::File { dir, .. } = &get.place {
        exists(dir)?;
    }
    let stream = matches!(get.place, Place::Stdout | Place::Device(_)).then(Stream::default);
    let mut requests = Vec::new();
    for wanted in &get.wanted {
        let request = request(&get, wanted, mode, passwords.as_mut(), stream.as_ref());
        report.add(shown(&wanted.origin));
        requests.push(request);
    }
    let engine = Engine::new(get.options).map_err(|error| Trouble::from(&error))?;
    let ended = wait(&engine, requests, (get.checksum, get.together), &mut report, stream)?;
    if ended.leave {
        // Everything is at rest, or had its time. The engine's threads hold nothing that a kill would not leave.
        std::process::exit(i32::from(ended.code as u8));
    }
    Ok(ended.code)
}

fn wait(
    engine: &Engine,
    mut requests: Vec<Result<Request, Trouble>>,
    (checksum, together): (Option<Proof>, Option<u32>),
    report: &mut Report,
    stream: Option<Stream>,
) -> Result<Ended, Trouble> {
    let fault = |why: io::Error| Trouble::new(Code::Unknown, "", why.to_string(), "");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(fault)?;
    LocalSet::new().block_on(&runtime, async {
        let mut stops = sys::Stops::new().map_err(fault)?;
        sys::outlive_file_limits().map_err(fault)?;
        if let Some(proof) = checksum {
            tokio::select! {
                biased;
                () = stops.next() => return Ok(Ended { code: Code::Unfinished, leave: true }),
                () = sums::settle(engine, proof, &mut requests, report) => {}
            }
        }
        Ok(drive(engine, requests, together, report, stream, stops).await)
    })
}

pub(crate) fn exists(dir: &Path) -> Result<(), Trouble> {
    if dir.is_dir() {
        return Ok(());
    }
    let what = if dir.exists() { "is no directory" } else { "does not exist" };
    Err(Trouble::new(
        Code::NoDirectory,
        &dir.display().to_string(),
        what,
        "make it, or choose another with -d",
    ))
}

fn shown(origin: &Origin) -> String {
    match origin {
        Origin::Url(text) => url(text.expose_secret()),
        Origin::Part(path) => printable(&path.display().to_string()).into_owned(),
    }
}

pub(crate) fn request(
    get: &Get,
    wanted: &Wanted,
    mode: u32,
    passwords: Option<&mut Passwords>,
    stream: Option<&Stream>,
) -> Result<Request, Trouble> {
    let mut request = match &wanted.origin {
        Origin::Url(text) => Request::new(text.expose_secret(), "."),
        Origin::Part(path) => Request::resume(path).map_err(|error| Trouble::from(&error))?,
    };
    if let Origin::Url(_) = wanted.origin {
        request.target = target(&get.place, stream)?;
    }
    if let (Some(passwords), Some(first)) = (passwords, request.urls.first()) {
        request.user = Some(passwords.of(&list::host(first))?);
    }
    request.urls.extend(wanted.mirrors.iter().map(|mirror| mirror.expose_secret().to_owned()));
    // What is given now replaces what the journal kept.
    request
        .headers
        .retain(|(kept, _)| !get.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(kept)));
    request.headers.extend(get.headers.iter().cloned());
    request.keep_headers.extend(get.keep_headers.iter().cloned());
    request.exists = get.exists.unwrap_or(request.exists);
    request.adopt.clone_from(&get.adopt);
    request.lanes = get.lanes;
    request.strict = get.strict;
    request.trust_overlap = get.trust_overlap;
    request.raw = get.raw;
    request.remote_time = get.remote_time;
    request.mode = mode;
    Ok(request)
}

fn target(place: &Place, stream: Option<&Stream>) -> Result<Target, Trouble> {
    let closing = |out: Box<dyn Write + Send>| {
        Target::Stream(Box::new(Closing { out, stream: stream.cloned().unwrap_or_default() }))
    };
    let opened = |path: &Path, why: io::Error| {
        Trouble::new(Code::CannotOpen, &path.display().to_string(), why.to_string(), "choose another with -o")
    };
    match place {
        Place::Dir(dir) => {
            let dir = dir.clone().unwrap_or_else(|| PathBuf::from("."));
            Ok(Target::File { dir, name: None })
        }
        Place::File { dir, name } => Ok(Target::File { dir: dir.clone(), name: Some(name.clone()) }),
        Place::Stdout => match sys::raw_stdout() {
            Ok(out) => Ok(closing(Box::new(out))),
            Err(why) => Err(opened(Path::new("standard output"), why)),
        },
        Place::Device(path) => match std::fs::OpenOptions::new().write(true).open(path) {
            Ok(out) => Ok(closing(Box::new(out))),
            Err(why) => Err(opened(path, why)),
        },
    }
}

/// A writer that remembers that its reader left, so that a broken pipe can be told from a broken disk.
struct Closing {
    out: Box<dyn Write + Send>,
    stream: Stream,
}

impl Closing {
    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if result.as_ref().is_err_and(|why| why.kind() == io::ErrorKind::BrokenPipe) {
            self.stream.close();
        }
        result
    }
}

impl Write for Closing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes);
        self.note(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.out.flush();
        self.note(flushed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags;
    use crate::meant::{Act, meant};

    fn built(words: &[&str]) -> Request {
        let words = std::iter::once("thence").chain(words.iter().copied()).map(Into::into);
        let words = flags::parse(words).ok().unwrap();
        let Ok(Act::Get(mut get)) = meant(words, Limits::default()).map(|meant| meant.act) else {
            panic!("refused")
        };
        let mut passwords = get.user.take().map(|user| Passwords::new(user, &mut Vec::new()));
        request(&get, &get.wanted[0], 0o640, passwords.as_mut(), None)
            .unwrap_or_else(|trouble| panic!("{trouble}"))
    }

    #[test]
    fn everything_said_of_a_download_reaches_its_request() {
        let request = built(&[
            "--strict",
            "--raw",
            "-x3",
            "-HA: b",
            "--keep-header=a",
            "http://h/",
            "--mirror=http://m/",
        ]);
        assert_eq!(request.urls, ["http://h/", "http://m/"]);
        let [(name, value)] = &request.headers[..] else { panic!("one header") };
        assert_eq!((name.as_str(), value.expose_secret()), ("A", "b"));
        assert_eq!((request.lanes, request.mode, request.keep_headers.len()), (Some(3), 0o640, 1));
        assert!(request.strict && request.raw && !request.trust_overlap);
    }

    #[test]
    fn a_password_given_is_used_as_it_is() {
        let (name, password) = built(&["--user", "me:p:q", "http://h/"]).user.unwrap();
        assert_eq!((name.as_str(), password.expose_secret()), ("me", "p:q"));
    }

    #[test]
    fn a_reader_that_leaves_is_told_from_a_broken_disk() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let stream = Stream::default();
        let mut out = Closing { out: Box::new(writer), stream: stream.clone() };
        assert!(out.write(b"x").is_err() && stream.is_closed());
    }
}
