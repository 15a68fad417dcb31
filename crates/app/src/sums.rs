//! Files of checksums, and the digest that each has for a file.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thence::{Checksum, Engine, ExposeSecret, Request, SumsFault};

use crate::aside::Aside;
use crate::exit::{Code, Trouble};
use crate::printable;
use crate::proof::Proof;
use crate::report::Report;

/// Some hundred thousand lines.
const KIND: Aside = Aside {
    what: "file of checksums",
    most: 16 << 20,
    advice: "--checksum takes ALGO:HEX, a file of checksums, its URL, or auto",
};

/// Those that a list's entries name are of anybody's choice: some ten thousand lines, and so many of them kept.
const LISTED: Aside = Aside { most: 4 << 20, ..KIND };
const KEPT: usize = 4;

/// What a digest proves that stands alone and is weak.
pub(crate) const WEAK: &str = "which proves no more than that nothing was damaged by chance";

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
        (Proof::File(path), _) => Some(read(&KIND, path)),
        (Proof::Url(url), first) => Some(fetch(&KIND, engine, url.expose_secret(), first).await),
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
                if let Some(digest) = found.as_ref().filter(|digest| digest.is_weak()) {
                    let url = wanted.urls.first().map(|url| printable::url(url)).unwrap_or_default();
                    report.note(&format!("{url}: only {}, {WEAK}", digest.algorithm));
                }
                wanted.checksum = found.or(wanted.checksum.take());
            }
            Err(trouble) => *request = Err(trouble),
        }
    }
}

/// A file of checksums for a list, which nothing is given for: it is of no origin of the list's.
pub(crate) async fn of_list(engine: &Engine, proof: Option<Proof>) -> Result<Option<Sums>, Trouble> {
    match proof {
        Some(Proof::File(path)) => read(&KIND, &path).map(Some),
        Some(Proof::Url(url)) => fetch(&KIND, engine, url.expose_secret(), None).await.map(Some),
        Some(Proof::Digest(_) | Proof::Beside) | None => Ok(None),
    }
}

/// Files of checksums that a list's entries name: read when the first one does, and the last few kept.
pub(crate) struct Shelf {
    engine: Arc<Engine>,
    /// The list's own directory, which file names are below.
    dir: PathBuf,
    kept: VecDeque<(String, Result<Sums, Trouble>)>,
}

impl Shelf {
    pub(crate) fn new(engine: Arc<Engine>, dir: PathBuf) -> Shelf {
        Shelf { engine, dir, kept: VecDeque::new() }
    }

    /// The digest that an entry's file of checksums has for it. May wait for the network; not to be called where a runtime
    /// runs.
    pub(crate) fn digest(&mut self, proof: &Proof, request: &Request) -> Result<Checksum, Trouble> {
        let name = match proof {
            Proof::File(path) => path.to_string_lossy().into_owned(),
            Proof::Url(url) => url.expose_secret().to_owned(),
            Proof::Digest(digest) => return Ok(digest.clone()),
            Proof::Beside => {
                return Err(Trouble::usage("", "auto is not for lists", "name the file of checksums"));
            }
        };
        let known = self.kept.iter().position(|(known, _)| *known == name);
        let at = known.unwrap_or_else(|| {
            let sums = self.read(proof, request);
            self.kept.truncate(KEPT - 1);
            self.kept.push_front((name, sums));
            0
        });
        match &self.kept[at].1 {
            Ok(sums) => sums.digest(request),
            Err(trouble) => Err(trouble.clone()),
        }
    }

    fn read(&self, proof: &Proof, request: &Request) -> Result<Sums, Trouble> {
        match proof {
            Proof::Url(url) => {
                let runtime = tokio::runtime::Builder::new_current_thread().build();
                let fault = |why: std::io::Error| Trouble::new(Code::Unknown, "", why.to_string(), "");
                runtime.map_err(fault)?.block_on(fetch(
                    &LISTED,
                    &self.engine,
                    url.expose_secret(),
                    Some(request),
                ))
            }
            Proof::File(path) => {
                let path = self.dir.join(path);
                // A pipe would be waited for.
                if std::fs::metadata(&path).is_ok_and(|meta| !meta.is_file()) {
                    let shown = path.display().to_string();
                    return Err(Trouble::new(Code::CannotOpen, &shown, "is no regular file", LISTED.advice));
                }
                read(&LISTED, &path)
            }
            Proof::Digest(_) | Proof::Beside => Err(Trouble::usage("", "names no file of checksums", "")),
        }
    }
}

/// The digest that a file of checksums has for the file at `path`.
pub(crate) fn of_file(sums: &Path, path: &Path) -> Result<Checksum, Trouble> {
    read(&KIND, sums)?.of(&path.display().to_string())
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

fn read(kind: &Aside, path: &Path) -> Result<Sums, Trouble> {
    let text = kind.read(path)?;
    let shown = printable::printable(&path.display().to_string()).into_owned();
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Sums { shown, sums: thence::Sums::read(&text, &name) })
}

/// Fetches a file of checksums, as `first` is fetched.
async fn fetch(kind: &Aside, engine: &Engine, url: &str, first: Option<&Request>) -> Result<Sums, Trouble> {
    let text = kind.fetch(engine, url, first).await?;
    let path = thence::path_of(url).unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    Ok(Sums { shown: printable::url(url), sums: thence::Sums::read(&text, name) })
}

/// The digest that a file of checksums beside the file has for it. None is no error: nobody promised one.
async fn beside(engine: &Engine, request: &Request, report: &mut Report) -> Option<Checksum> {
    let url = request.urls.first().cloned().unwrap_or_default();
    for place in thence::sums_beside(&url) {
        if let Ok(sums) = fetch(&KIND, engine, &place, Some(request)).await
            && let Ok(digest) = sums.digest(request)
        {
            report.note(&format!("{}: its {} is in {}", printable::url(&url), digest.algorithm, sums.shown));
            return Some(digest);
        }
    }
    report.note(&format!("{}: no file of checksums lies beside it", printable::url(&url)));
    None
}
