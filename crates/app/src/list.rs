//! From the words of a command line to the files that are wanted: URLs, parts, and mirrors beside them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use thence::{ExposeSecret, Secret};
use url::Url;

use crate::exit::Trouble;
use crate::printable;

/// What a word names.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// A URL, as given: a password may be in it.
    Url(Secret),
    /// `NAME.part`, `NAME.thence` or `NAME` of work begun earlier.
    Part(PathBuf),
}

/// One file that is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) origin: Origin,
    /// Other URLs of the same bytes.
    pub(crate) mirrors: Vec<Secret>,
}

/// A word with its place on the command line, because a mirror belongs to the URL before it.
pub(crate) type Placed<T> = (usize, T);

/// Pairs URLs with the mirrors that follow them.
pub(crate) fn wanted(
    words: Vec<Placed<OsString>>,
    mirrors: Vec<Placed<Secret>>,
) -> Result<Vec<Wanted>, Trouble> {
    let mut list: Vec<Placed<Wanted>> = Vec::new();
    for (at, word) in words {
        list.push((at, Wanted { origin: origin(word)?, mirrors: Vec::new() }));
    }
    for (at, mirror) in mirrors {
        let before = list.iter_mut().rfind(|(place, _)| *place < at);
        let advice = "write the URL it is a mirror of before it";
        let (_, wanted) = before.ok_or_else(|| Trouble::usage("--mirror", "has no URL before it", advice))?;
        wanted.mirrors.push(checked(mirror.expose_secret())?);
    }
    Ok(list.into_iter().map(|(_, wanted)| wanted).collect())
}

/// What a file describes others as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Description {
    Metalink,
    /// A control file of zsync.
    Zsync,
}

/// What a file is by its name, if it describes others.
pub(crate) fn description(path: &Path) -> Option<Description> {
    let ending = path.extension()?;
    let is = |known: &str| ending.eq_ignore_ascii_case(known);
    if is("meta4") || is("metalink") {
        return Some(Description::Metalink);
    }
    is("zsync").then_some(Description::Zsync)
}

fn origin(word: OsString) -> Result<Origin, Trouble> {
    let lossy = word.to_string_lossy().into_owned();
    if lossy.contains("://") {
        return Ok(Origin::Url(checked(&lossy)?));
    }
    let path = Path::new(&word);
    let named = path.extension().is_some_and(|e| e == "part" || e == "thence");
    // A link is followed here only to tell a path from a URL; opening the pair does not follow one.
    if named || path.exists() {
        return Ok(Origin::Part(path.to_owned()));
    }
    let shown = printable::url(&lossy);
    if lossy.trim().is_empty() {
        return Err(Trouble::usage("", "an empty word is no URL", "write thence https://HOST/FILE"));
    }
    let what = "is neither a URL nor a part that exists";
    Err(Trouble::usage(&shown, what, &format!("for the web write https://{shown}")))
}

/// The URL as given, if it can be asked for. What a lenient parser would quietly drop is refused (URL-06).
pub(crate) fn checked(text: &str) -> Result<Secret, Trouble> {
    let wrong = |what: &str, advice: &str| Err(Trouble::usage(&printable::url(text), what, advice));
    if text.contains(char::is_control) || text.contains('\u{fffd}') || text.trim() != text {
        return wrong("has a control character, or a space at an end", "take it out");
    }
    match Url::parse(text) {
        Ok(parsed) if !["http", "https"].contains(&parsed.scheme()) => {
            wrong("is neither http nor https", "thence fetches over HTTP only")
        }
        Ok(parsed) if parsed.host_str().is_none_or(str::is_empty) => wrong("has no host", "correct the URL"),
        Ok(_) => Ok(text.into()),
        Err(why) => wrong(&format!("is no URL ({why})"), "correct the URL"),
    }
}

/// The host of a URL that is going to be asked; empty if there is none.
pub(crate) fn host(url: &str) -> String {
    Url::parse(url).ok().and_then(|u| u.host_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(words: &[(usize, &str)], mirrors: &[(usize, &str)]) -> Result<Vec<Wanted>, Trouble> {
        let words = words.iter().map(|(at, w)| (*at, OsString::from(w))).collect();
        wanted(words, mirrors.iter().map(|(at, m)| (*at, Secret::from(*m))).collect())
    }

    #[test]
    fn a_mirror_belongs_to_the_url_before_it() {
        let got = list(
            &[(1, "http://a/"), (4, "http://b/")],
            &[(3, "http://m/"), (6, "http://n/"), (8, "http://o/")],
        );
        let text = |w: Wanted| w.mirrors.iter().map(|m| m.expose_secret()).collect::<Vec<_>>().join(" ");
        let mirrors: Vec<_> = got.unwrap().into_iter().map(text).collect();
        assert_eq!(mirrors, ["http://m/", "http://n/ http://o/"]);
        assert_eq!(list(&[(3, "http://a/")], &[(2, "http://m/")]).unwrap_err().code as u8, 28);
    }

    #[test]
    fn a_part_need_not_exist_to_be_one_but_a_name_must() {
        for name in ["x/a.part", "Cargo.toml"] {
            let list = list(&[(1, name)], &[]).unwrap();
            assert!(matches!(&list[0].origin, Origin::Part(path) if path == Path::new(name)));
        }
        let told = list(&[(1, "example.org/a")], &[]).unwrap_err();
        assert!(told.advice.contains("https://example.org/a"), "{told}");
    }

    #[test]
    fn url_06_line_ends_and_strange_schemes_are_refused() {
        for text in ["http://h/a\r\nX: y", "http://h/\0", " http://h/", "ftp://h/a", "http://", "http://h:x/"]
        {
            assert_eq!(list(&[(1, text)], &[]).unwrap_err().code as u8, 28, "{text:?}");
        }
        assert!(list(&[(1, "http://h/ä b?c")], &[]).is_ok());
    }

    #[test]
    fn log_01_a_url_that_cannot_be_used_is_masked() {
        for text in ["ftp://u:SECRET@h/?t=SECRET", "http://u:SECRET@h:x/?SECRET", "u:SECRET@h/a?t=SECRET"] {
            let told = list(&[(1, text)], &[]).unwrap_err().to_string();
            assert!(!told.contains("SECRET"), "{told}");
        }
    }
}
