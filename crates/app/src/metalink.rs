//! Metalinks: descriptions of files, on the disk or fetched, and the requests that come of them.

use std::path::Path;

use thence::{Described, Done, Engine, METALINK_BYTES, Request, Target};
use url::Url;

use crate::aside::Aside;
use crate::exit::{Code, Trouble};
use crate::list;
use crate::meant::{Get, Place};
use crate::printable::{self, printable};
use crate::report::Report;
use crate::sums;

const KIND: Aside = Aside {
    what: "Metalink",
    most: METALINK_BYTES,
    advice: "name a Metalink that can be read, or --no-metalink to fetch it as the file it is",
};

/// Media types of version 4 (RFC 5854 s7.1) and 3.
const TYPES: [&str; 2] = ["application/metalink4+xml", "application/metalink+xml"];

/// What is shown of a download, and how it is asked for.
pub(crate) type Row = (String, Result<Request, Trouble>);

/// Where a description is.
pub(crate) enum Source<'a> {
    File(&'a Path),
    /// To be asked for with this request.
    Url(Box<Request>),
}

/// By its name what is at the URL is a description.
pub(crate) fn is_named_by(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| list::names_metalink(Path::new(url.path())))
}

/// A finished file that is a description, by what its server said of it.
pub(crate) fn is_of_its_type(done: &Done) -> bool {
    done.media.as_deref().is_some_and(|media| TYPES.contains(&media))
}

/// What it describes: a row each, or one with what is wrong. `shape` gives a request what was said of all downloads.
pub(crate) async fn rows(
    engine: &Engine,
    source: Source<'_>,
    get: &Get,
    shape: impl Fn(&mut Request) -> Result<(), Trouble>,
    report: &mut Report,
) -> Vec<Row> {
    let (shown, text) = match source {
        Source::File(path) => (printable(&path.display().to_string()).into_owned(), KIND.read(path)),
        Source::Url(request) => {
            let url = request.urls.first().map(String::as_str).unwrap_or_default();
            (printable::url(url), KIND.fetch(engine, url, Some(&request)).await)
        }
    };
    match text.and_then(|text| described(&shown, &text, get, shape, report)) {
        Ok(rows) => rows,
        Err(trouble) => vec![(shown, Err(trouble))],
    }
}

/// The same of a finished file; what is wrong with it is none of its download's errors.
pub(crate) fn rows_of(
    path: &Path,
    get: &Get,
    shape: impl Fn(&mut Request) -> Result<(), Trouble>,
    report: &mut Report,
) -> Vec<Row> {
    let shown = printable(&path.display().to_string()).into_owned();
    let rows = KIND.read(path).and_then(|text| described(&shown, &text, get, shape, report));
    rows.unwrap_or_else(|trouble| vec![(shown, Err(trouble))])
}

fn described(
    shown: &str,
    text: &[u8],
    get: &Get,
    shape: impl Fn(&mut Request) -> Result<(), Trouble>,
    report: &mut Report,
) -> Result<Vec<Row>, Trouble> {
    let files = thence::metalink(text).map_err(|fault| {
        let advice = "nothing of it is fetched; get a right one, or a URL of the file itself";
        Trouble::new(Code::Metalink, shown, fault.to_string(), advice)
    })?;
    if files.len() > 1 && !matches!(get.place, Place::Dir(_)) {
        let what = format!("describes {} files, and -o names one", files.len());
        return Err(Trouble::usage(shown, what, "use -d, which names a directory"));
    }
    if files.len() > 1 && get.checksum.as_ref().is_some_and(|proof| proof.is_of_one()) {
        let what = format!("describes {} files, and --checksum is of one", files.len());
        return Err(Trouble::usage(shown, what, "leave it away: the description has its own"));
    }
    let row = |file: Described| {
        if let Some(digest) = file.digest.as_ref().filter(|digest| digest.is_weak()) {
            report.note(&format!("{}: only {}, {}", file.name.as_str(), digest.algorithm, sums::WEAK));
        }
        let shown = file.urls.first().map(|url| printable::url(url)).unwrap_or_default();
        (shown, request(file, get, &shape))
    };
    Ok(files.into_iter().map(row).collect())
}

/// Nothing that was given for the origins of the command line goes to those that somebody else wrote down (R58).
fn request(
    file: Described,
    get: &Get,
    shape: impl Fn(&mut Request) -> Result<(), Trouble>,
) -> Result<Request, Trouble> {
    let Described { name, size, digest, pieces, urls } = file;
    let mut request = Request::new(urls.first().cloned().unwrap_or_default(), ".");
    if let Place::Dir(dir) = &get.place {
        let dir = dir.clone().unwrap_or_else(|| ".".into());
        request.target = Target::File { dir, name: Some(name.as_str().to_owned()) };
    }
    (request.urls, request.checksum, request.size, request.pieces) = (urls, digest, size, pieces);
    shape(&mut request)?;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_known_by_its_ending() {
        let is_named = |path: &str| list::names_metalink(Path::new(path));
        assert!(is_named("a/b.iso.meta4") && is_named("b.METALINK"));
        assert!(!is_named("meta4") && !is_named("a.meta4.part"));
        assert!(is_named_by("https://h/a.meta4?x=1#y") && !is_named_by("https://h/?f=a.meta4"));
        let done = |media: &str| Done { media: Some(media.into()), ..Done::default() };
        assert!(is_of_its_type(&done("application/metalink4+xml")) && !is_of_its_type(&done("text/xml")));
    }
}
