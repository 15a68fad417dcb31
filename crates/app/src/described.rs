//! Metalinks and control files of zsync: descriptions of files, on the disk or fetched, and the requests that come of them.

use std::path::Path;
use std::sync::Arc;

use thence::{Described, Done, Engine, METALINK_BYTES, Request, Target, ZSYNC_BYTES, Zsync};
use url::Url;

use crate::aside::Aside;
use crate::exit::{Code, Trouble};
use crate::list::{self, Description};
use crate::meant::{Get, Place};
use crate::printable::{self, printable};
use crate::report::Report;
use crate::sums;

const METALINK: Aside = Aside {
    what: "Metalink",
    most: METALINK_BYTES,
    advice: "name a Metalink that can be read, or --no-metalink to fetch it as the file it is",
};

const ZSYNC: Aside = Aside {
    what: "control file of zsync",
    most: ZSYNC_BYTES,
    advice: "name one that can be read, or --no-metalink to fetch it as the file it is",
};

/// What can be done about a description that is none.
const WRONG: &str = "nothing of it is fetched; get a right one, or a URL of the file itself";

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

/// What is at the URL, by its name.
pub(crate) fn named_by(url: &str) -> Option<Description> {
    list::description(Path::new(Url::parse(url).ok()?.path()))
}

/// A finished file that is a Metalink, by what its server said of it.
pub(crate) fn is_of_its_type(done: &Done) -> bool {
    done.media.as_deref().is_some_and(|media| TYPES.contains(&media))
}

/// What it describes: a row each, or one with what is wrong. `shape` gives a request what was said of all downloads.
pub(crate) async fn rows(
    engine: &Engine,
    (kind, source): (Description, Source<'_>),
    get: &Get,
    shape: impl Fn(&mut Request) -> Result<(), Trouble>,
    report: &mut Report,
) -> Vec<Row> {
    let aside = match kind {
        Description::Metalink => METALINK,
        Description::Zsync => ZSYNC,
    };
    let (shown, base, text) = match source {
        Source::File(path) => (printable(&path.display().to_string()).into_owned(), None, aside.read(path)),
        Source::Url(request) => {
            let url = request.urls.first().cloned().unwrap_or_default();
            let text = aside.fetch(engine, &url, Some(&request)).await;
            (printable::url(&url), Some(url), text)
        }
    };
    let rows = text.and_then(|text| match kind {
        Description::Metalink => described(&shown, &text, get, shape, report),
        Description::Zsync => synced(&shown, &text, base.as_deref(), get, shape).map(|row| vec![row]),
    });
    rows.unwrap_or_else(|trouble| vec![(shown, Err(trouble))])
}

/// The same of a finished file; what is wrong with it is none of its download's errors.
pub(crate) fn rows_of(
    path: &Path,
    get: &Get,
    shape: impl Fn(&mut Request) -> Result<(), Trouble>,
    report: &mut Report,
) -> Vec<Row> {
    let shown = printable(&path.display().to_string()).into_owned();
    let rows = METALINK.read(path).and_then(|text| described(&shown, &text, get, shape, report));
    rows.unwrap_or_else(|trouble| vec![(shown, Err(trouble))])
}

fn described(
    shown: &str,
    text: &[u8],
    get: &Get,
    shape: impl Fn(&mut Request) -> Result<(), Trouble>,
    report: &mut Report,
) -> Result<Vec<Row>, Trouble> {
    let files = thence::metalink(text)
        .map_err(|fault| Trouble::new(Code::Metalink, shown, fault.to_string(), WRONG))?;
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

/// A file of which `--adopt` may name an older version, and without it one with its length and digest. Its SHA-1 is old, and
/// all that there is.
fn synced(
    shown: &str,
    text: &[u8],
    base: Option<&str>,
    get: &Get,
    shape: impl Fn(&mut Request) -> Result<(), Trouble>,
) -> Result<Row, Trouble> {
    let zsync = Zsync::read(text, base)
        .map_err(|fault| Trouble::new(Code::Metalink, shown, fault.to_string(), WRONG))?;
    let mut request = named(zsync.urls.clone(), zsync.name.as_ref().map(|name| name.as_str()), get);
    (request.checksum, request.size) = (Some(zsync.digest.clone()), Some(zsync.size));
    request.zsync = Some(Arc::new(zsync));
    shape(&mut request)?;
    Ok((printable::url(&request.urls[0]), Ok(request)))
}

/// Nothing that was given for the origins of the command line goes to those that somebody else wrote down (R58).
fn request(
    file: Described,
    get: &Get,
    shape: impl Fn(&mut Request) -> Result<(), Trouble>,
) -> Result<Request, Trouble> {
    let Described { name, size, digest, pieces, urls } = file;
    let mut request = named(urls, Some(name.as_str()), get);
    (request.checksum, request.size, request.pieces) = (digest, size, pieces);
    shape(&mut request)?;
    Ok(request)
}

/// A request for the file at these places, under the name that it has there where no other one was said.
fn named(urls: Vec<String>, name: Option<&str>, get: &Get) -> Request {
    let mut request = Request::new("", ".");
    request.urls = urls;
    if let Place::Dir(dir) = &get.place {
        let dir = dir.clone().unwrap_or_else(|| ".".into());
        request.target = Target::File { dir, name: name.map(str::to_owned) };
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_known_by_its_ending() {
        use Description::{Metalink, Zsync};
        let named = |path: &str| list::description(Path::new(path));
        assert_eq!((named("a/b.iso.meta4"), named("b.METALINK")), (Some(Metalink), Some(Metalink)));
        assert_eq!((named("b.iso.zsync"), named("meta4"), named("a.meta4.part")), (Some(Zsync), None, None));
        assert_eq!(named_by("https://h/a.meta4?x=1#y"), Some(Metalink));
        assert_eq!(named_by("https://h/?f=a.meta4"), None);
        let done = |media: &str| Done { media: Some(media.into()), ..Done::default() };
        assert!(is_of_its_type(&done("application/metalink4+xml")) && !is_of_its_type(&done("text/xml")));
    }
}
