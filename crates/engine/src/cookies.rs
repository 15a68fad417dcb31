//! Cookies: where they come from (files, browsers' stores, servers), and a jar that keeps them for all downloads of an engine.
//!
//! The rules are in `jar`, the text in `netscape`, browsers' databases in `browser`; all three are pure. Here is what reads
//! and writes files, and asks what time it is. A jar's cookies are credentials: none is printed, logged or journaled, and
//! only [`CookieJar::save`] writes them.

mod browser;
mod jar;
mod netscape;

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, header};
use url::Url;

use self::jar::{Jar, Refused};
use crate::error::Error;
use crate::secret::{ExposeSecret, Secret};
use crate::sys::named;

/// Bytes of a text at most: a hundred thousand lines.
const TEXT: u64 = 16 << 20;

/// Bytes of a browser's store, and of its log, at most: ten times what a full one has.
const STORE: u64 = 64 << 20;

/// So often a store is read again that a browser changed meanwhile, and so long is waited in between.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// Cookies of all downloads of an [`Engine`](crate::Engine), kept and sent by the rules of RFC 6265. Clones share them.
///
/// Without one ([`Options::cookies`](crate::Options::cookies)) no cookie is kept or sent. It holds 4,000 at most, and 180 of
/// one site (what can be registered: `example.co.uk`), of 4 KiB each; a `Cookie` field has 8 KiB at most. Cookies for
/// public suffixes and those that hold control characters are not kept (R65), those for https are never sent without it.
///
/// ```
/// let jar = thence::CookieJar::new();
/// assert!(jar.set("https://www.example.org/login", "id=hunter2; Domain=example.org; Secure"));
/// assert!(!jar.set("https://www.example.org/login", "id=hunter2; Domain=org"));
/// assert!(jar.sends("https://files.example.org/a.iso") && !jar.sends("http://files.example.org/a.iso"));
/// assert!(!format!("{jar:?}").contains("hunter2"));
/// ```
#[derive(Clone, Default)]
pub struct CookieJar(Arc<Mutex<Jar>>);

/// What came of a file of cookies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadedCookies {
    /// Cookies that are in the jar now.
    pub kept: usize,
    /// Those that had expired.
    pub expired: usize,
    /// Those that the rules refuse.
    pub refused: usize,
    /// The first of them: its line, or its row in a browser's store, and what is wrong with it.
    pub first_refused: Option<(usize, String)>,
    /// Those that are encrypted with a key of the system's keyring, which is not asked.
    pub encrypted: usize,
    /// Those of a browser's containers, or of a site within another one.
    pub apart: usize,
}

/// Why a file gave no cookies. It repeats nothing of what the file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookieFault {
    /// It could not be read; the system's reason.
    Unreadable(String),
    /// It is larger than so many bytes.
    TooLarge(u64),
    /// A line of a text is no cookie.
    Line {
        /// Its number, from 1 on.
        line: usize,
        /// Where in it, in characters from 1 on.
        column: usize,
        /// What stands there.
        what: &'static str,
    },
    /// It is a database, and none of a browser's cookies that can be read; why.
    Store(String),
}

impl fmt::Display for CookieFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CookieFault::Unreadable(why) => f.write_str(why),
            CookieFault::TooLarge(most) => write!(f, "it is larger than {} MiB", most >> 20),
            CookieFault::Line { line, column, what } => write!(f, "line {line}, column {column} {what}"),
            CookieFault::Store(why) => write!(f, "no store of cookies that can be read: {why}"),
        }
    }
}

impl std::error::Error for CookieFault {}

impl fmt::Debug for CookieJar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CookieJar({} cookies)", self.jar().count())
    }
}

impl CookieJar {
    /// An empty one.
    pub fn new() -> CookieJar {
        CookieJar::default()
    }

    /// Adds the cookies of a file: a text as curl, wget, yt-dlp and browsers' extensions write (16 MiB at most), Firefox's
    /// `cookies.sqlite` or Chromium's `Cookies` (64 MiB at most), told apart by what is in it. A browser may be running.
    ///
    /// # Errors
    ///
    /// [`CookieFault`]; then none of them was added.
    pub fn load(&self, path: &Path) -> Result<LoadedCookies, CookieFault> {
        let bytes = read(path, STORE)?;
        if bytes.starts_with(browser::MAGIC) {
            drop(bytes);
            let (main, log) = at_rest(path)?;
            return self.read_store(&main, log.as_deref());
        }
        self.read(&bytes)
    }

    /// Adds the cookies that such a file's bytes are. Of a database, what is still in a log beside it is not seen.
    ///
    /// # Errors
    ///
    /// As [`CookieJar::load`].
    pub fn read(&self, bytes: &[u8]) -> Result<LoadedCookies, CookieFault> {
        if bytes.starts_with(browser::MAGIC) {
            return self.read_store(bytes, None);
        }
        if bytes.len() as u64 > TEXT {
            return Err(CookieFault::TooLarge(TEXT));
        }
        // All of it is looked at before any of it counts.
        let wrong = |netscape::Wrong { line, column, what }| CookieFault::Line { line, column, what };
        netscape::read(bytes, |_, _| {}).map_err(wrong)?;
        let (mut jar, now, mut loaded) = (self.jar(), now(), LoadedCookies::default());
        netscape::read(bytes, |line, cookie| loaded.count(line, jar.put(cookie, now))).map_err(wrong)?;
        Ok(loaded)
    }

    fn read_store(&self, main: &[u8], log: Option<&[u8]>) -> Result<LoadedCookies, CookieFault> {
        let store = browser::read(main, log).map_err(CookieFault::Store)?;
        let (mut jar, now) = (self.jar(), now());
        let mut loaded =
            LoadedCookies { encrypted: store.encrypted, apart: store.apart, ..LoadedCookies::default() };
        for (row, cookie) in (1..).zip(store.cookies) {
            loaded.count(row, jar.put(cookie, now));
        }
        Ok(loaded)
    }

    /// Writes all cookies to a file that [`CookieJar::load`], curl, wget and yt-dlp read, those of the session as well, with
    /// mode 0600. What stood there is replaced in one step, once the new file is durable. How many they are.
    ///
    /// # Errors
    ///
    /// [`Error::Disk`]; then what stood there still does.
    pub fn save(&self, path: &Path) -> Result<usize, Error> {
        let (text, count) = {
            let jar = self.jar();
            let all = jar.all(now());
            (netscape::write(all.iter().copied()), all.len())
        };
        named::replace(path, text.expose_secret().as_bytes())?;
        Ok(count)
    }

    /// The text that [`CookieJar::save`] writes.
    pub fn text(&self) -> Secret {
        netscape::write(self.jar().all(now()))
    }

    /// Takes a `Set-Cookie` field as if an answer to that URL had it; whether it is kept.
    pub fn set(&self, url: &str, field: &str) -> bool {
        Url::parse(url).is_ok_and(|url| self.jar().take(field.as_bytes(), &url, now()).is_ok())
    }

    /// Whether a request for that URL gets any cookie.
    pub fn sends(&self, url: &str) -> bool {
        Url::parse(url).is_ok_and(|url| self.field(&url).is_some())
    }

    /// The `Cookie` field of a request.
    pub(crate) fn field(&self, url: &Url) -> Option<HeaderValue> {
        self.jar().field(url, now())
    }

    /// Takes what an answer to `url` sets. What is refused is passed over, as browsers do.
    pub(crate) fn take(&self, url: &Url, fields: &HeaderMap) {
        for field in fields.get_all(header::SET_COOKIE) {
            let _refused = self.jar().take(field.as_bytes(), url, now());
        }
    }

    /// A panic under this lock leaves a jar that is whole but for the site that was touched.
    fn jar(&self) -> MutexGuard<'_, Jar> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LoadedCookies {
    fn count(&mut self, place: usize, put: Result<(), Refused>) {
        match put {
            Ok(()) => self.kept += 1,
            Err(Refused::Expired) => self.expired += 1,
            Err(why) => {
                self.refused += 1;
                self.first_refused.get_or_insert_with(|| (place, why.to_string()));
            }
        }
    }
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, CookieFault> {
    named::read_whole(path, most).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => CookieFault::TooLarge(most),
        _ => CookieFault::Unreadable(error.to_string()),
    })
}

/// A database and its log, as they were at one moment: neither was changed while they were read, and no change was begun
/// that the browser could still take back (its journal says so).
fn at_rest(path: &Path) -> Result<(Vec<u8>, Option<Vec<u8>>), CookieFault> {
    let beside = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        std::path::PathBuf::from(name)
    };
    let (log, journal) = (beside("-wal"), beside("-journal"));
    let stamps =
        || -> std::io::Result<_> { Ok((named::stamp(path)?, named::stamp(&log)?, named::stamp(&journal)?)) };
    let stamped = || stamps().map_err(|error| CookieFault::Unreadable(error.to_string()));
    for _ in 0..TRIES {
        let before = stamped()?;
        let has = |stamp: Option<(u64, SystemTime)>| stamp.is_some_and(|(len, _)| len > 0);
        let bytes = if has(before.1) { Some(read(&log, STORE)?) } else { None };
        let main = read(path, STORE)?;
        if !has(before.2) && stamped()? == before {
            return Ok((main, bytes));
        }
        std::thread::sleep(PAUSE);
    }
    Err(CookieFault::Unreadable("it is being changed, or a change was cut off; close the browser, or start and close it, and try again".into()))
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
