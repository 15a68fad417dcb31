//! Asks `gpgv` whether a signature of OpenPGP holds.
//!
//! It gets the bytes on its standard input, and the signature and the keys as files of their own. Its verdict is what its
//! status lines say, which are made for programs (GnuPG's doc/DETAILS), never its text or exit code. It runs without our
//! environment, so that no credential in that is its.

use std::io::{IoSlice, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::sys::{self, DiskError, Entry};

const PROGRAM: &str = "gpgv";

/// Status lines that are read, in bytes. A signature has some ten, of 100 bytes each.
const STATUS: u64 = 1 << 20;

/// Before each of them.
const TAG: &str = "[GNUPG:] ";

/// Hashes for which two files can be made that share one: MD5, SHA-1 (RFC 9580 section 9.5).
const WEAK: [&str; 2] = ["1", "2"];

pub(super) fn is_installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(PROGRAM).is_file())
}

/// Lets it check the bytes that `feed` writes, which says whether they were all. Whose signature it is, or why it does not
/// hold; an error is one of `feed`.
pub(super) fn check<E>(
    signatures: &[u8],
    keyring: &[u8],
    feed: impl FnOnce(&mut ChildStdin) -> Result<bool, E>,
) -> Result<Result<String, String>, E> {
    let files = Given::write("sig", signatures).and_then(|one| Ok((one, Given::write("key", keyring)?)));
    let (signatures, keyring) = match files {
        Ok(files) => files,
        Err(why) => return Ok(Err(format!("it could not be checked: {why}"))),
    };
    let mut child = match start(&signatures, &keyring) {
        Ok(child) => child,
        Err(why) => return Ok(Err(format!("it could not be checked, since gpgv did not start: {why}"))),
    };
    let fed = child.stdin.take().map_or(Ok(false), |mut input| feed(&mut input));
    let (mut status, out) = (Vec::new(), child.stdout.take().filter(|_| fed.is_ok()));
    let read = out.and_then(|out| out.take(STATUS).read_to_end(&mut status).ok());
    if read.is_none_or(|read| read as u64 == STATUS) {
        status.clear();
        // It may have ended by itself.
        let _killed = child.kill();
    }
    // Of one that was killed nobody knows what it had yet to say.
    if !child.wait().is_ok_and(|ended| ended.code().is_some()) {
        status.clear();
    }
    let verdict = verdict(&String::from_utf8_lossy(&status));
    fed.map(|all| verdict.and_then(|by| if all { Ok(by) } else { Err("gpgv did not read all of it".into()) }))
}

fn start(signatures: &Given, keyring: &Given) -> std::io::Result<Child> {
    let mut command = Command::new(PROGRAM);
    command.env_clear();
    command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    // A home that is none, so that nobody's settings or keys count.
    command.args(["--homedir", "/nonexistent", "--status-fd", "1", "--keyring"]);
    command.arg(keyring.path()).arg(signatures.path()).arg("-");
    // A Ctrl-C is for us: it would end with no verdict, and that would be told of the signature.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
}

/// What the status lines come to. Good is a signature by a key of the keyring that is neither expired nor revoked, of the
/// bytes as they are, over a hash that cannot be forged; one such is enough, for a file may be signed by several. One that is
/// not of these bytes spoils all.
pub(super) fn verdict(status: &str) -> Result<String, String> {
    let (mut good, mut why, mut open) = (None, None, false);
    for line in status.lines().filter_map(|line| line.strip_prefix(TAG)) {
        let words: Vec<&str> = line.split(' ').collect();
        let key = words.get(1).copied().filter(|key| is_hex(key)).unwrap_or("?");
        let said = match words[0] {
            "NEWSIG" | "GOODSIG" => {
                open = words[0] == "GOODSIG";
                continue;
            }
            "VALIDSIG" if std::mem::take(&mut open) => valid(&words).map_err(str::to_owned),
            "BADSIG" => return Err(format!("it is not of these bytes (key {key})")),
            "EXPKEYSIG" => Err(format!("the key that it is by has expired ({key})")),
            "EXPSIG" => Err(format!("it has expired (key {key})")),
            "REVKEYSIG" => Err(format!("the key that it is by was revoked ({key})")),
            "NO_PUBKEY" => Err(format!("it is by another key ({key}) than those given")),
            "ERRSIG" if words.get(6) == Some(&"9") => continue, // NO_PUBKEY follows.
            "ERRSIG" => Err(format!("gpgv cannot check it (key {key})")),
            "NODATA" => Err("gpgv finds no signature in it".to_owned()),
            _ => continue,
        };
        match said {
            Ok(by) => _ = good.get_or_insert(by),
            Err(fault) => _ = why.get_or_insert(fault),
        }
    }
    good.ok_or_else(|| why.unwrap_or_else(|| "gpgv gave no verdict".to_owned()))
}

/// Whose a valid signature is: `VALIDSIG FINGERPRINT DATE TIME EXPIRY VERSION 0 KEY-ALGORITHM HASH CLASS PRIMARY`.
fn valid(words: &[&str]) -> Result<String, &'static str> {
    let (Some(own), Some(hash), Some(class)) = (words.get(1), words.get(8), words.get(9)) else {
        return Err("gpgv gave no verdict");
    };
    let by = words.get(10).unwrap_or(own);
    match *class {
        _ if WEAK.contains(hash) => Err("it is over MD5 or SHA-1, which can be forged"),
        "00" if is_hex(by) => Ok(format!("openpgp:{by}")),
        "01" => Err("it is of a text, whose line ends may be any, and not of these bytes"),
        _ => Err("it is of another kind than those of files"),
    }
}

fn is_hex(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A file of ours among the system's temporary ones, as long as this lives. What is in it is public; it is readable by its
/// owner only, and was not there before.
struct Given(Entry);

impl Given {
    fn write(what: &str, bytes: &[u8]) -> Result<Given, DiskError> {
        let dir = sys::open_dir(&std::env::temp_dir())?;
        let random = sys::random().map_err(|e| DiskError::at(&dir, &e))?;
        let entry = dir.entry(format!("thence-{random:016x}.{what}"));
        let file = sys::create_new(&entry).map_err(|e| DiskError::at(&entry, &e))?;
        let given = Given(entry);
        sys::write_at(&file, 0, &mut [IoSlice::new(bytes)]).map_err(|e| DiskError::at(&given.0, &e))?;
        Ok(given)
    }

    /// With a slash in it: without one gpgv looks in its home.
    fn path(&self) -> PathBuf {
        let path = self.0.path();
        std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        // It is small and nobody's; the system clears it away.
        let _removed = sys::remove(&self.0);
    }
}
