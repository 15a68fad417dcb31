//! Hosts that are asked by https only (RFC 6797), kept in a file between runs (R64). Without a file nothing is known and
//! nothing is learnt.
//!
//! What a field says and how long is decided in [`thence_plan::Hsts`].

use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use thence_plan::{DiskFault, Hsts, HstsPolicy};
use url::Url;

use crate::error::Error;
use crate::sys::{self, Dir, DiskError};

/// Bytes of the file at most.
const MOST: u64 = 1 << 20;

/// The hosts of one client.
#[derive(Clone)]
pub(crate) struct Secured(Option<Arc<Store>>);

struct Store {
    path: PathBuf,
    known: Mutex<Hsts>,
    /// Held by whoever writes the file.
    writing: Mutex<()>,
}

impl Secured {
    /// Those in the file at `path`, which need not be there yet.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for what is no such file, or cannot be read: asking by http what was to be asked by https only
    /// would tell nobody.
    pub(crate) fn open(path: Option<&Path>) -> Result<Secured, Error> {
        let Some(path) = path else { return Ok(Secured(None)) };
        let known = read(path).map_err(|error| Error::Option(format!("{error}; it is left as it is")))?;
        let (path, known, writing) = (path.to_owned(), Mutex::new(known), Mutex::default());
        Ok(Secured(Some(Arc::new(Store { path, known, writing }))))
    }

    /// Makes of an http URL an https one where its host is to be asked so (RFC 6797 s8.3). True if it did.
    pub(crate) fn upgrade(&self, url: &mut Url) -> bool {
        let Some(store) = &self.0 else { return false };
        let Some(host) = url.domain().filter(|_| url.scheme() == "http") else { return false };
        // Port 80 is none of the URL's own and becomes 443; any other stays.
        lock(&store.known).covers(host, now()) && url.set_scheme("https").is_ok()
    }

    /// Takes the value of the `Strict-Transport-Security` field that `url`'s server sent over a connection whose certificate
    /// was verified. When this returns it is in the file, if it can be: else it is known for this run, and the file is as it
    /// was.
    pub(crate) async fn learn(&self, url: &Url, field: &[u8]) {
        let Some(store) = &self.0 else { return };
        let Some(host) = url.domain().filter(|_| url.scheme() == "https") else { return };
        let Some(policy) = HstsPolicy::read(field) else { return };
        if lock(&store.known).learn(host, policy, now()) {
            let (store, host) = (store.clone(), host.to_owned());
            let keeping = tokio::task::spawn_blocking(move || store.keep(&host, policy));
            // A file that cannot be written is no reason to refuse what came safely.
            let _unkept = keeping.await;
        }
    }
}

impl Store {
    /// Adds it to the file as it is now: another process may have written there since.
    fn keep(&self, host: &str, policy: HstsPolicy) -> Result<(), DiskError> {
        let _one = lock(&self.writing);
        let mut known = read(&self.path)?;
        known.learn(host, policy, now());
        let strange = || DiskError::new(&self.path, DiskFault::Strange, "it is no name of a file");
        let name = self.path.file_name().ok_or_else(strange)?;
        let dir = open_or_make(self.path.parent().unwrap_or(Path::new("")))?;
        let random = sys::random().map_err(|e| DiskError::at(&self.path, &e))?;
        let entry = dir.entry(name);
        let new = entry.with_added_extension(format!("{random:016x}.new"));
        let write = || {
            let mut file = sys::create_new(&new)?;
            file.write_all(known.text(now()).as_bytes())?;
            sys::sync_all(&file)?;
            sys::rename_over(&new, &entry)
        };
        if let Err(error) = write() {
            sys::remove(&new)?;
            return Err(DiskError::at(&entry, &error));
        }
        sys::sync_dir(&dir)
    }
}

/// The hosts in a file; none if it is not there.
fn read(path: &Path) -> Result<Hsts, DiskError> {
    let at = |error| DiskError::at(path, &error);
    let strange = |why: &str| DiskError::new(path, DiskFault::Strange, why);
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Hsts::default()),
        Err(error) => return Err(at(error)),
        Ok(meta) if !meta.is_file() || meta.len() > MOST => {
            return Err(strange("it is no regular file of at most 1 MiB"));
        }
        Ok(_) => {}
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MOST).read_to_end(&mut bytes)).map_err(at)?;
    Hsts::read(&String::from_utf8_lossy(&bytes)).ok_or_else(|| strange("it holds no hosts that thence keeps"))
}

/// The directory, made if it is not there, and those above it.
fn open_or_make(path: &Path) -> Result<Dir, DiskError> {
    if path.as_os_str().is_empty() {
        return sys::open_dir(Path::new("."));
    }
    match (sys::open_dir(path), path.parent(), path.file_name().and_then(OsStr::to_str)) {
        (Err(error), Some(above), Some(name)) if error.fault == DiskFault::Missing => {
            sys::open_dir_in(&open_or_make(above)?, name)
        }
        (opened, ..) => opened,
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A panic under such a lock leaves nothing half-done: every change is one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn upgraded(secured: &Secured, text: &str) -> String {
        let mut url = url(text);
        let changed = secured.upgrade(&mut url);
        assert_eq!(changed, url != self::url(text), "{text}");
        url.into()
    }

    const YEAR: &[u8] = b"max-age=31536000; includeSubDomains";

    #[tokio::test]
    async fn r64_what_was_said_over_https_is_known_to_the_next_run() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("state/thence/hsts");
        let first = Secured::open(Some(&path)).unwrap();
        for (from, field) in [
            ("http://plain.example/", YEAR),
            ("https://127.0.0.1/", YEAR),
            ("https://[::1]/", YEAR),
            ("https://odd.example/", b"max-age=x"),
        ] {
            first.learn(&url(from), field).await;
        }
        assert!(!path.exists(), "nothing of that counts");
        first.learn(&url("https://example.org:8443/a"), YEAR).await;
        for secured in [first, Secured::open(Some(&path)).unwrap()] {
            assert_eq!(upgraded(&secured, "http://example.org/?q"), "https://example.org/?q");
            assert_eq!(upgraded(&secured, "http://A.Example.org.:8080/"), "https://a.example.org.:8080/");
            for other in ["http://plain.example/", "http://127.0.0.1/", "https://example.org/"] {
                assert_eq!(upgraded(&secured, other), other);
            }
        }
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1,
            "nothing is left beside it"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[tokio::test]
    async fn two_runs_at_once_keep_what_both_have_heard() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("hsts");
        let runs = [Secured::open(Some(&path)).unwrap(), Secured::open(Some(&path)).unwrap()];
        runs[0].learn(&url("https://a.example/"), YEAR).await;
        runs[1].learn(&url("https://b.example/"), YEAR).await;
        let third = Secured::open(Some(&path)).unwrap();
        assert!(["http://a.example/", "http://b.example/"].iter().all(|text| third.upgrade(&mut url(text))));
        third.learn(&url("https://a.example/"), b"max-age=0").await;
        assert!(!Secured::open(Some(&path)).unwrap().upgrade(&mut url("http://a.example/")));
    }

    #[tokio::test]
    async fn r64_another_file_is_left_alone_and_one_that_cannot_be_written_costs_only_what_is_new() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("letters");
        std::fs::write(&path, "Dear sir,\n").unwrap();
        let told = Secured::open(Some(&path)).err().unwrap().to_string();
        assert!(told.contains("letters: it holds no hosts") && told.contains("left as it is"), "{told}");
        std::fs::write(&path, "x".repeat(MOST as usize + 1)).unwrap();
        assert!(Secured::open(Some(&path)).is_err() && Secured::open(Some(place.path())).is_err());
        // Its directory would have to be made below a file.
        let below = Secured::open(Some(&place.path().join("none"))).unwrap();
        let Secured(Some(store)) = &below else { panic!("there is a file") };
        let policy = HstsPolicy::read(YEAR).unwrap();
        let astray = Store { path: path.join("hsts"), known: Mutex::default(), writing: Mutex::default() };
        assert!(astray.keep("example.org", policy).is_err() && store.keep("example.org", policy).is_ok());
        assert_eq!(std::fs::metadata(&path).unwrap().len(), MOST + 1);
    }

    #[test]
    fn without_a_file_nothing_is_known() {
        let nothing = Secured::open(None).unwrap();
        assert_eq!(upgraded(&nothing, "http://example.org/"), "http://example.org/");
    }
}
