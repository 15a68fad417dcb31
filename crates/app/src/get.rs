//! Fetches: from what is meant to requests, an engine, and an exit code.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thence::{Done, Engine, ExposeSecret, Limits, Request, Target};
use tokio::task::LocalSet;

use crate::described::{self, Row, Source};
use crate::drive::{Ended, Stream, drive};
use crate::exit::{Code, Trouble};
use crate::list::{self, Description, Origin, Wanted};
use crate::login::Passwords;
use crate::meant::{Get, Place, Talk};
use crate::printable::{printable, url};
use crate::proof::{Proof, Signing};
use crate::report::Report;
use crate::{signatures, sums, sys};

/// The limits that options change.
pub(crate) fn limits() -> Limits {
    Limits::default().hurried(sys::hurry())
}

/// Fetches everything wanted; `mode` is that of finished files.
pub(crate) fn run(mut get: Get, talk: Talk, mode: u32) -> Result<Code, Trouble> {
    let mut report = Report::new(talk, sys::hurry());
    let mut passwords = get.user.take().map(|user| Passwords::new(user, &mut get.notes));
    let (jar, saved) = std::mem::take(&mut get.cookies).open(&mut get.notes)?;
    get.options.cookies = jar;
    for note in &get.notes {
        report.note(note);
    }
    if let Place::Dir(Some(dir)) | Place::File { dir, .. } = &get.place {
        exists(dir)?;
    }
    let stream = matches!(get.place, Place::Stdout | Place::Device(_)).then(Stream::default);
    let mut rows = Vec::new();
    for wanted in &get.wanted {
        let request = request(&get, wanted, mode, passwords.as_mut(), stream.as_ref());
        rows.push((shown(&wanted.origin), request));
    }
    let engine = Engine::new(std::mem::take(&mut get.options)).map_err(|error| Trouble::from(&error))?;
    let proofs = (get.checksum.take(), get.signing.take());
    let plan = Plan { get, mode, stream };
    let ended = wait(&engine, rows, proofs, &plan, &mut report)?;
    let code = saved.save(ended.code)?;
    if ended.leave {
        // Everything is at rest, or had its time. The engine's threads hold nothing that a kill would not leave.
        std::process::exit(i32::from(code as u8));
    }
    Ok(code)
}

/// What was said of all downloads.
struct Plan {
    get: Get,
    mode: u32,
    stream: Option<Stream>,
}

impl Plan {
    /// Says it of a request that somebody else's description made.
    fn shape(&self, request: &mut Request) -> Result<(), Trouble> {
        if !matches!(self.get.place, Place::Dir(_)) {
            request.target = target(&self.get.place, self.stream.as_ref())?;
        }
        shape(&self.get, request, self.mode);
        Ok(())
    }

    /// What the Metalinks and control files of zsync among them describe stands in their places.
    async fn expanded(&self, engine: &Engine, rows: Vec<Row>, report: &mut Report) -> Vec<Row> {
        let mut all = Vec::new();
        for ((shown, request), wanted) in rows.into_iter().zip(&self.get.wanted) {
            let kind = kind_of(&wanted.origin).filter(|_| self.get.metalink);
            let (kind, source) = match (kind, &wanted.origin, request) {
                (Some(kind), Origin::Part(path), _) => (kind, Source::File(path)),
                (Some(kind), Origin::Url(_), Ok(request)) => (kind, Source::Url(Box::new(request))),
                (_, _, request) => {
                    all.push((shown, request));
                    continue;
                }
            };
            let shape = |request: &mut Request| self.shape(request);
            all.extend(described::rows(engine, (kind, source), &self.get, shape, report).await);
        }
        all
    }
}

fn wait(
    engine: &Engine,
    rows: Vec<Row>,
    (checksum, signing): (Option<Proof>, Option<Signing>),
    plan: &Plan,
    report: &mut Report,
) -> Result<Ended, Trouble> {
    let fault = |why: io::Error| Trouble::new(Code::Unknown, "", why.to_string(), "");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(fault)?;
    LocalSet::new().block_on(&runtime, async {
        let mut stops = sys::Stops::new().map_err(fault)?;
        sys::outlive_file_limits().map_err(fault)?;
        let prepared = async {
            let rows = plan.expanded(engine, rows, report).await;
            let (shown, mut requests): (Vec<String>, Vec<_>) = rows.into_iter().unzip();
            shown.into_iter().for_each(|shown| report.add(shown));
            if let Some(proof) = checksum {
                sums::settle(engine, proof, &mut requests, report).await;
            }
            if let Some(signing) = signing {
                signatures::settle(engine, &signing, &mut requests, report).await;
            }
            requests
        };
        let requests = tokio::select! {
            biased;
            () = stops.next() => return Ok(Ended { code: Code::Unfinished, leave: true }),
            requests = prepared => requests,
        };
        // What a server says is a Metalink is followed as if its name said so; what that describes is not.
        let follow = |done: &Done, report: &mut Report| match &done.path {
            Some(path) if plan.get.metalink && described::is_of_its_type(done) => {
                described::rows_of(path, &plan.get, |request| plan.shape(request), report)
            }
            _ => Vec::new(),
        };
        let together = plan.get.together;
        Ok(drive(engine, requests, &follow, together, report, plan.stream.clone(), stops).await)
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

/// What it is, if it describes others.
fn kind_of(origin: &Origin) -> Option<Description> {
    match origin {
        Origin::Url(text) => described::named_by(text.expose_secret()),
        Origin::Part(path) => list::description(path),
    }
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
        // It is read, and nothing of it is asked for.
        Origin::Part(_) if get.metalink && kind_of(&wanted.origin).is_some() => Request::new("", "."),
        Origin::Part(path) => Request::resume(path).map_err(|error| Trouble::from(&error))?,
    };
    if let Origin::Url(_) = wanted.origin {
        request.target = target(&get.place, stream)?;
    }
    if let (Some(passwords), Some(first)) = (passwords, request.urls.first().filter(|url| !url.is_empty())) {
        request.user = Some(passwords.of(&list::host(first))?);
    }
    request.renewed = get.renewed.as_ref().map(|url| url.expose_secret().to_owned());
    request.urls.extend(wanted.mirrors.iter().map(|mirror| mirror.expose_secret().to_owned()));
    // What is given now replaces what the journal kept.
    request
        .headers
        .retain(|(kept, _)| !get.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(kept)));
    request.headers.extend(get.headers.iter().cloned());
    request.keep_headers.extend(get.keep_headers.iter().cloned());
    shape(get, &mut request, mode);
    Ok(request)
}

/// What was said of all downloads, wherever they come from.
fn shape(get: &Get, request: &mut Request, mode: u32) {
    request.exists = get.exists.unwrap_or(request.exists);
    request.adopt.clone_from(&get.adopt);
    request.lanes = get.lanes;
    request.strict = get.strict;
    request.trust_overlap = get.trust_overlap;
    request.raw = get.raw;
    request.remote_time = get.remote_time;
    request.only_if_changed = get.only_if_changed;
    request.mode = mode;
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
