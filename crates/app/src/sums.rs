//! Files of checksums: read from the disk, or fetched as any other file before what they are of begins. They are never
//! stored.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use thence::{Checksum, Engine, Error, ExposeSecret, Request, SumsFault, Target};
use url::Url;

use crate::exit::{Code, Trouble};
use crate::printable;
use crate::proof::Proof;
use crate::report::Report;

/// Bytes of a file of checksums: some hundred thousand lines.
const MOST: u64 = 16 << 20;

/// Whoever wants to can make two files that have one of these.
const WEAK: [&str; 2] = ["sha-1", "md5"];

/// A file of checksums, read.
pub(crate) struct Sums {
    /// Its path or URL, as it may be shown.
    shown: String,
    sums: thence::Sums,
}

/// Gives each request the digest that `proof` has for it. One that it has none for is an error of that request.
pub(crate) async fn settle(
    engine: &Engine,
    proof: Proof,
    requests: &mut [Result<Request, Trouble>],
    report: &mut Report,
) {
    let first = requests.iter().find_map(|request| request.as_ref().ok());
    let sums = match (&proof, first) {
        (_, None) => return,
        (Proof::File(path), _) => Some(read(path)),
        (Proof::Url(url), first) => Some(fetch(engine, url.expose_secret(), first).await),
        (Proof::Digest(_) | Proof::Beside, _) => None,
    };
    for request in requests {
        let Ok(wanted) = request else { continue };
        let found = match (&proof, &sums) {
            (Proof::Digest(digest), _) => Ok(Some(digest.clone())),
            (_, Some(Ok(sums))) => sums.digest(wanted).map(Some),
            (_, Some(Err(trouble))) => Err(trouble.clone()),
            (_, None) => Ok(beside(engine, wanted, report).await),
        };
        match found {
            Ok(found) => {
                if let (Some(digest), Some(_)) = (&found, &sums) {
                    let url = wanted.urls.first().map(|url| printable::url(url)).unwrap_or_default();
                    warn_if_weak(&url, digest, report);
                }
                wanted.checksum = found.or(wanted.checksum.take());
            }
            Err(trouble) => *request = Err(trouble),
        }
    }
}

/// Says of a digest that stands alone what it does not prove; `shown` is its file.
pub(crate) fn warn_if_weak(shown: &str, digest: &Checksum, report: &mut Report) {
    if WEAK.contains(&digest.algorithm.as_str()) {
        let algorithm = &digest.algorithm;
        let what = "which proves no more than that nothing was damaged by chance";
        report.note(&format!("{shown}: only {algorithm}, {what}"));
    }
}

/// A file of checksums for a list, which nothing is given for: it is of no origin of the list's.
pub(crate) async fn of_list(engine: &Engine, proof: Option<Proof>) -> Result<Option<Sums>, Trouble> {
    match proof {
        Some(Proof::File(path)) => read(&path).map(Some),
        Some(Proof::Url(url)) => fetch(engine, url.expose_secret(), None).await.map(Some),
        Some(Proof::Digest(_) | Proof::Beside) | None => Ok(None),
    }
}

/// The digest that a file of checksums has for the file at `path`.
pub(crate) fn of_file(sums: &Path, path: &Path) -> Result<Checksum, Trouble> {
    read(sums)?.of(&path.display().to_string())
}

impl Sums {
    /// The digest that it has for what is wanted.
    pub(crate) fn digest(&self, request: &Request) -> Result<Checksum, Trouble> {
        let url = request.urls.first().map(String::as_str).unwrap_or_default();
        self.of(&thence::path_of(url).unwrap_or_default())
    }

    fn of(&self, path: &str) -> Result<Checksum, Trouble> {
        let fault = match self.sums.digest(path) {
            Ok(digest) => return Ok(digest),
            Err(fault) => fault,
        };
        let name = path.rsplit('/').next().unwrap_or_default();
        let what = match fault {
            SumsFault::Line { line, column, what } => {
                format!("line {line}, column {column} {what}, and no other line is for {name}")
            }
            SumsFault::Unnamed(0) => "has no checksum in it".to_owned(),
            SumsFault::Unnamed(count) => format!("has {count} checksums, and none for {name}"),
            SumsFault::Twice { first, second } => {
                format!("lines {first} and {second} give {name} different checksums")
            }
        };
        Err(Trouble::usage(&self.shown, what, "give the right file of checksums, or --checksum ALGO:HEX"))
    }
}

fn read(path: &Path) -> Result<Sums, Trouble> {
    let shown = printable::printable(&path.display().to_string()).into_owned();
    let mut text = Vec::new();
    let opened = std::fs::File::open(path).and_then(|file| file.take(MOST + 1).read_to_end(&mut text));
    if let Err(why) = opened {
        let advice = "--checksum takes ALGO:HEX, a file of checksums, its URL, or auto";
        return Err(Trouble::new(Code::CannotOpen, &shown, why.to_string(), advice));
    }
    if text.len() as u64 > MOST {
        return Err(too_large(&shown));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Sums { shown, sums: thence::Sums::read(&text, &name) })
}

fn too_large(shown: &str) -> Trouble {
    Trouble::usage(shown, "is larger than 16 MiB: no file of checksums", "give the right one")
}

/// Fetches a file of checksums, as `first` is fetched; what was given for its origin goes nowhere else (R58).
async fn fetch(engine: &Engine, url: &str, first: Option<&Request>) -> Result<Sums, Trouble> {
    let shown = printable::url(url);
    let mut request = Request::new(url, ".");
    let origin = |url: &str| Url::parse(url).ok().map(|url| url.origin());
    if let Some(first) =
        first.filter(|first| first.urls.first().is_some_and(|first| origin(first) == origin(url)))
    {
        (request.headers, request.user) = (first.headers.clone(), first.user.clone());
    }
    match bring(engine, request).await {
        Ok(text) => {
            let path = thence::path_of(url).unwrap_or_default();
            let name = path.rsplit('/').next().unwrap_or_default();
            Ok(Sums { shown, sums: thence::Sums::read(&text, name) })
        }
        Err(Error::Disk { .. }) => Err(too_large(&shown)),
        Err(error) => Err(Trouble::from(&error)),
    }
}

/// Fetches something small to memory; [`Error::Disk`] if it is larger than 16 MiB.
pub(crate) async fn bring(engine: &Engine, mut request: Request) -> Result<Vec<u8>, Error> {
    let kept = Kept::default();
    request.target = Target::Stream(Box::new(kept.clone()));
    request.lanes = Some(1);
    engine.start(request).wait().await.map(|_| kept.taken())
}

/// The digest that a file of checksums beside the file has for it. None is no error: nobody promised one.
async fn beside(engine: &Engine, request: &Request, report: &mut Report) -> Option<Checksum> {
    let url = request.urls.first().cloned().unwrap_or_default();
    for place in thence::sums_beside(&url) {
        if let Ok(sums) = fetch(engine, &place, Some(request)).await
            && let Ok(digest) = sums.digest(request)
        {
            report.note(&format!("{}: its {} is in {}", printable::url(&url), digest.algorithm, sums.shown));
            return Some(digest);
        }
    }
    report.note(&format!("{}: no file of checksums lies beside it", printable::url(&url)));
    None
}

/// Memory that something small is written to.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn taken(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if (kept.len() + bytes.len()) as u64 > MOST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
