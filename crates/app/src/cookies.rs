//! The jar of a run: what `--load-cookies` brings, and where `--save-cookies` takes it.

use std::path::{Path, PathBuf};

use thence::{CookieFault, CookieJar, LoadedCookies};

use crate::exit::{Code, Trouble};
use crate::printable::{printable, reason};
use crate::say;

/// What was said of cookies.
#[derive(Debug, Default)]
pub(crate) struct Cookies {
    /// Keep those that servers set, with no file.
    pub(crate) keep: bool,
    pub(crate) load: Vec<PathBuf>,
    pub(crate) save: Option<PathBuf>,
}

/// Where a run's cookies go at its end.
#[derive(Debug, Default)]
pub(crate) struct Saved(Option<(CookieJar, PathBuf)>);

impl Cookies {
    /// The jar, if one is wanted, with what the files have; `notes` takes what was left out of them.
    pub(crate) fn open(self, notes: &mut Vec<String>) -> Result<(Option<CookieJar>, Saved), Trouble> {
        if !self.keep && self.load.is_empty() && self.save.is_none() {
            return Ok((None, Saved::default()));
        }
        let jar = CookieJar::new();
        for path in &self.load {
            let loaded = jar.load(path).map_err(|fault| unusable(path, &fault))?;
            notes.extend(left_out(&printable(&path.display().to_string()), &loaded));
        }
        if let Some(path) = &self.save {
            has_place(path)?;
        }
        let saved = self.save.map(|path| (jar.clone(), path));
        Ok((Some(jar), Saved(saved)))
    }
}

impl Saved {
    /// Writes them, however the run ended: `code` says how. A failure is the run's own if there was no other.
    pub(crate) fn save(&self, code: Code) -> Result<Code, Trouble> {
        let Some((jar, path)) = &self.0 else { return Ok(code) };
        let Err(error) = jar.save(path) else { return Ok(code) };
        let trouble = Trouble::from(&error);
        let trouble =
            Trouble { advice: "the cookies of this run were not saved; name another file".into(), ..trouble };
        if code == Code::Done {
            return Err(trouble);
        }
        say::err(&trouble.to_string());
        Ok(code)
    }
}

fn unusable(path: &Path, fault: &CookieFault) -> Trouble {
    let shown = path.display().to_string();
    match fault {
        CookieFault::Unreadable(why) => {
            Trouble::new(Code::CannotOpen, &shown, reason(why), "name a file of cookies that can be read")
        }
        _ => Trouble::usage(
            &shown,
            reason(&fault.to_string()),
            "give a cookies.txt as curl writes it, Firefox's cookies.sqlite or Chromium's Cookies",
        ),
    }
}

/// What a person should hear of cookies that he thinks are sent.
fn left_out(file: &str, loaded: &LoadedCookies) -> Vec<String> {
    let mut notes = Vec::new();
    let are =
        |count: usize| if count == 1 { "1 cookie is".to_owned() } else { format!("{count} cookies are") };
    if let Some((place, why)) = &loaded.first_refused {
        let left = are(loaded.refused);
        notes.push(format!("note: {file}: {left} left out; the first (line or row {place}) {why}"));
    }
    if loaded.encrypted > 0 {
        let left = are(loaded.encrypted);
        notes.push(format!("note: {file}: {left} encrypted by the system's keyring, and not read"));
    }
    if loaded.apart > 0 {
        let left = are(loaded.apart);
        notes.push(format!("note: {file}: {left} of a container or of a site within another, and left out"));
    }
    notes
}

/// Hours of downloading are not to end in the news that there is no such directory.
fn has_place(path: &Path) -> Result<(), Trouble> {
    let shown = path.display().to_string();
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !dir.is_dir() {
        let advice = "make the directory, or name another file with --save-cookies";
        return Err(Trouble::new(Code::NoDirectory, &shown, "its directory does not exist", advice));
    }
    if path.file_name().is_none() || std::fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        return Err(Trouble::new(
            Code::CannotOpen,
            &shown,
            "is no regular file",
            "name another with --save-cookies",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_holds_and_is_not_sent_is_told() {
        let none = left_out("f", &LoadedCookies { kept: 2, expired: 3, ..LoadedCookies::default() });
        assert_eq!(none, [""; 0]);
        let first_refused = Some((7, "is one too many".to_owned()));
        let loaded =
            LoadedCookies { refused: 2, first_refused, encrypted: 1, apart: 2, ..LoadedCookies::default() };
        assert_eq!(
            left_out("f", &loaded),
            [
                "note: f: 2 cookies are left out; the first (line or row 7) is one too many",
                "note: f: 1 cookie is encrypted by the system's keyring, and not read",
                "note: f: 2 cookies are of a container or of a site within another, and left out",
            ]
        );
    }
}
