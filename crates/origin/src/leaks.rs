//! One secret that is planted in every run, and the search for it in whatever the run leaves: it may be nowhere but on
//! the wire to its origin.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine};
use rustix::fs::{lgetxattr, llistxattr};

/// The login that the planted password is for.
const LOGIN: &str = "canary";

/// Where the planted secret may be, below `HOME`.
const PLANTED: [&str; 2] = [".netrc", "cookies.txt"];

/// Of a larger file, so much of its start and of its end is read: the middle is what the origin sent.
const LOOK: u64 = 4 << 20;

/// A secret in the forms in which it could leak.
#[derive(Clone)]
pub struct Needle(Arc<Vec<Vec<u8>>>);

impl Needle {
    /// In clear, percent-encoded (letters are as they are; each byte can be encoded too), and in base64 wherever it
    /// stands in what was encoded.
    pub fn new(secret: &str) -> Needle {
        let encoded: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let mut forms = vec![secret.into(), encoded.to_lowercase().into(), encoded.into_bytes()];
        for before in 0..3 {
            let text = BASE64_STANDARD.encode([&vec![0; before], secret.as_bytes()].concat());
            // Letters that depend on a neighbour go: the first that hold bytes before it, the last that hold what is behind.
            let whole = (before + secret.len()) * 8 / 6;
            forms.push(text.as_bytes()[(before * 8).div_ceil(6)..whole].to_vec());
        }
        Needle(Arc::new(forms))
    }

    /// Whether any form is among the bytes.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|form| memchr::memmem::find(bytes, form).is_some())
    }

    /// Every name, file and attribute below a directory that holds it. Links are not followed.
    pub fn below(&self, dir: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let mut at = |what: &str, bytes: &[u8]| {
                if self.is_in(bytes) {
                    found.push(format!("{what} {}", path.display()));
                }
            };
            at("the name", entry.file_name().as_encoded_bytes());
            attributes(&path).iter().for_each(|attribute| at("an attribute of", attribute));
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => found.extend(self.below(&path)),
                Ok(kind) if kind.is_file() => at("the file", &looked_at(&path)),
                _ => {}
            }
        }
        found
    }

    /// Command lines of processes that hold it.
    pub fn in_process_list(&self) -> Vec<String> {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
        let lines = lines.filter(|line| self.is_in(line));
        lines.map(|line| format!("the process {}", String::from_utf8_lossy(&line))).collect()
    }
}

/// Attributes, each with its name before it.
fn attributes(path: &Path) -> Vec<Vec<u8>> {
    let (mut names, mut value) = (vec![0; 4096], vec![0; 4096]);
    let len = llistxattr(path, &mut names[..]).unwrap_or(0);
    let names = names[..len].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    names
        .map(|name| {
            let len = lgetxattr(path, name, &mut value[..]).unwrap_or(0);
            [name, b"=", &value[..len]].concat()
        })
        .collect()
}

fn looked_at(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What cannot be read any more has gone meanwhile, or a test took its rights away.
    let Ok(mut file) = File::open(path) else { return bytes };
    let _some = Read::by_ref(&mut file).take(LOOK).read_to_end(&mut bytes);
    let len = file.metadata().map_or(0, |metadata| metadata.len());
    if len > LOOK && file.seek(SeekFrom::Start(LOOK.max(len.saturating_sub(LOOK)))).is_ok() {
        let _some = file.take(LOOK).read_to_end(&mut bytes);
    }
    bytes
}

/// A secret of its own for each scene, in the places that take one without changing what a run does: the password of a
/// login in netrc, of a proxy in the environment that `no_proxy` keeps out of the way, and a cookie. The search is made at the
/// end of each run, and when this goes: after the scene's last run and before its directories.
pub struct Canary {
    secret: String,
    needle: Needle,
    home: PathBuf,
    places: Vec<PathBuf>,
}

impl Canary {
    /// Plants one in the directory that is `HOME` to the runs. `places` will be searched, and `home`, but for its netrc and its
    /// cookies. The cookie is for the file that most tests fetch, and for no other path of this machine.
    pub fn plant(home: &Path, places: &[&Path]) -> Canary {
        let secret = format!("canary{:016x}", RandomState::new().hash_one(home));
        let netrc = home.join(".netrc");
        fs::write(&netrc, format!("default login {LOGIN} password {secret}\n")).expect("HOME is ours");
        let cookie = format!("127.0.0.1\tFALSE\t/file.bin\tFALSE\t0\t{LOGIN}\t{secret}\n");
        fs::write(home.join("cookies.txt"), cookie).expect("HOME is ours");
        fs::set_permissions(&netrc, PermissionsExt::from_mode(0o600)).expect("the file is ours");
        let places = places.iter().map(|&place| place.into()).collect();
        Canary { needle: Needle::new(&secret), secret, home: home.into(), places }
    }

    /// The secret in its forms.
    pub fn needle(&self) -> &Needle {
        &self.needle
    }

    /// What a run's environment has to hold.
    pub fn env(&self) -> [(String, String); 2] {
        let proxy = format!("http://{LOGIN}:{}@127.0.0.1:9", self.secret);
        [("all_proxy".into(), proxy), ("no_proxy".into(), "127.0.0.1,localhost,::1".into())]
    }

    /// What its command line has to begin with: a login whose password is in netrc, and is sent unasked, and the file of the
    /// cookie. A run that brings a login or cookies of its own, or fetches nothing, is left as it is.
    pub fn args(&self, given: &[&str]) -> Vec<String> {
        let login = |arg: &&str| {
            arg.starts_with("--user") && !arg.starts_with("--user-agent") || arg.contains('@') || *arg == "-u"
        };
        let cookies = |arg: &&str| arg.starts_with("--") && arg.contains("cookies");
        let fetches =
            given.iter().any(|arg| arg.contains("://") || arg.contains(".part") || arg.contains(".thence"));
        let mut args = Vec::new();
        if !fetches || matches!(given.first(), Some(&"status" | &"verify")) {
            return args;
        }
        if !given.iter().any(login) {
            args.extend(["--user", LOGIN, "--auth", "basic"].map(str::to_owned));
        }
        if !given.iter().any(cookies) {
            args.extend(["--load-cookies".to_owned(), self.home.join("cookies.txt").display().to_string()]);
        }
        args
    }

    /// Asserts that no process has it on its command line.
    ///
    /// # Panics
    /// If one has.
    #[track_caller]
    pub fn is_not_listed(&self) {
        let found = self.needle.in_process_list();
        assert!(found.is_empty(), "a secret is in {found:?}");
    }

    /// Asserts that a run that has ended, in order or not, neither said it nor left it anywhere.
    ///
    /// # Panics
    /// If it did.
    #[track_caller]
    pub fn is_nowhere(&self, said: &[&[u8]]) {
        said.iter().for_each(|said| is_silent(&self.needle, said));
        let found = self.found();
        assert!(found.is_empty(), "a secret is in {found:?}");
    }

    /// Where the secret is and should not be.
    pub fn found(&self) -> Vec<String> {
        let mut found: Vec<String> = self.places.iter().flat_map(|place| self.needle.below(place)).collect();
        let planted = PLANTED.map(|name| format!("the file {}", self.home.join(name).display()));
        found.extend(self.needle.below(&self.home).into_iter().filter(|place| !planted.contains(place)));
        found.extend(self.needle.in_process_list());
        found
    }
}

/// Asserts that nothing that was said holds the secret.
///
/// # Panics
/// If it does.
#[track_caller]
pub fn is_silent(needle: &Needle, said: &[u8]) {
    assert!(!needle.is_in(said), "a secret was said: {}", String::from_utf8_lossy(said));
}

impl Drop for Canary {
    fn drop(&mut self) {
        let found = self.found();
        // A test that has failed already says why itself.
        assert!(found.is_empty() || std::thread::panicking(), "a secret is in {found:?}");
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[test]
    fn log_01_a_planted_leak_is_found_in_every_form_and_place() {
        let (home, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let canary = Canary::plant(home.path(), &[dir.path()]);
        let secret = canary.secret.clone();
        let percent: String = secret.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let coded = |before: &str| BASE64_STANDARD.encode(format!("{before}{secret} and more"));
        let forms = [secret.clone(), percent, coded("canary:"), coded("u:"), coded("me:")];
        assert_eq!(canary.found(), [""; 0], "its own netrc is no leak");
        fs::create_dir(dir.path().join("sub")).unwrap();
        for form in &forms {
            for place in [dir.path().join("sub/file"), home.path().join("log")] {
                fs::write(&place, format!("x{form}x")).unwrap();
                assert_eq!(canary.found(), [format!("the file {}", place.display())], "{form}");
                fs::remove_file(place).unwrap();
            }
        }
        let file = dir.path().join(format!("a{secret}"));
        fs::write(&file, vec![0; 10 << 20]).unwrap();
        assert_eq!(canary.found().len(), 1, "a name");
        fs::rename(&file, dir.path().join("a")).unwrap();
        let file = File::options().append(true).open(dir.path().join("a")).unwrap();
        std::io::Write::write_all(&mut &file, secret.as_bytes()).unwrap();
        assert_eq!(canary.found().len(), 1, "the end of a large file");
        file.set_len(0).unwrap();
        assert_eq!(canary.found().len(), 0);
        if rustix::fs::fsetxattr(&file, "user.x", secret.as_bytes(), rustix::fs::XattrFlags::empty()).is_ok()
        {
            assert_eq!(canary.found().len(), 1, "an attribute");
            rustix::fs::fremovexattr(&file, "user.x").unwrap();
        }
        let mut child = std::process::Command::new("sh");
        let mut child = child.args(["-c", "read line", &secret]).stdin(Stdio::piped()).spawn().unwrap();
        // Its words are there a moment after it has begun.
        let words = format!("/proc/{}/cmdline", child.id());
        while fs::read(&words).unwrap().is_empty() {
            std::thread::yield_now();
        }
        let listed = canary.found();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(listed.len(), 1, "the process list: {listed:?}");
    }

    #[test]
    #[should_panic(expected = "a secret is in")]
    fn log_01_a_leak_fails_the_test_when_its_scene_goes() {
        let home = tempfile::tempdir().unwrap();
        let canary = Canary::plant(home.path(), &[]);
        fs::write(home.path().join("log"), &canary.secret).unwrap();
    }
}
