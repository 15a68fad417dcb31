//! Reads passwords from netrc. Written here because the crates for it are not kept.
//!
//! Two rules differ from curl's on purpose. A file that others may read or that another user owns is not used
//! (CRD-07). And an entry counts only for the login asked for with `--user`: `default` is used only where it names
//! that very login, so that a host nobody thought of gets nothing by default (CRD-05).

use std::io::Read;
use std::path::{Path, PathBuf};

use thence::Secret;

use crate::sys;

/// Larger than any netrc a person keeps; a token within it may be as long as it likes (CRD-08).
const MOST: u64 = 1 << 20;

/// One `machine` or `default`.
pub(crate) struct Entry {
    /// `None`: `default`.
    machine: Option<String>,
    login: Option<String>,
    password: Option<Secret>,
}

/// `$NETRC`, else `~/.netrc`.
pub(crate) fn path() -> Option<PathBuf> {
    let named = std::env::var_os("NETRC").map(PathBuf::from);
    named.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".netrc")))
}

/// The entries; `None` when there is no such file, an error when there is one that is not to be used.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<Entry>>, String> {
    let file = match sys::open_at_once(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.to_string()),
    };
    let meta = file.metadata().map_err(|e| e.to_string())?;
    if !meta.is_file() || meta.len() > MOST {
        return Err("it is no regular file of at most 1 MiB".into());
    }
    if !sys::is_private(&meta) {
        return Err("others can read or change it; say chmod 600 on it".into());
    }
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    Ok(Some(parse(&String::from_utf8_lossy(&bytes))))
}

/// The password of `login` at `host`: the first entry of the host that fits, else of a `default` that names `login`.
pub(crate) fn password<'a>(entries: &'a [Entry], host: &str, login: &str) -> Option<&'a Secret> {
    let fits = |e: &&Entry| match (&e.machine, &e.login) {
        (Some(machine), named) => {
            machine.eq_ignore_ascii_case(host) && named.as_deref().is_none_or(|named| named == login)
        }
        (None, named) => named.as_deref() == Some(login),
    };
    let hosts = entries.iter().filter(|e| e.machine.is_some()).find(fits);
    hosts.or_else(|| entries.iter().filter(|e| e.machine.is_none()).find(fits))?.password.as_ref()
}

/// Takes any text; what is not understood is skipped.
pub(crate) fn parse(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut rest = text;
    while let Some(word) = token(&mut rest) {
        match word.as_str() {
            "machine" => {
                // An entry without a name fits no host, rather than all.
                let machine = Some(token(&mut rest).unwrap_or_default());
                entries.push(Entry { machine, login: None, password: None });
            }
            "default" => entries.push(Entry { machine: None, login: None, password: None }),
            "macdef" => skip_macro(&mut rest),
            "login" | "password" | "account" => {
                let value = token(&mut rest).filter(|v| !v.contains(char::is_control));
                match (entries.last_mut(), word.as_str()) {
                    (Some(entry), "login") => entry.login = value.or_else(|| Some(String::new())),
                    (Some(entry), "password") => entry.password = value.map(Secret::from),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    entries
}

/// The next word, in quotes (with backslashes) or bare. A `#` that begins a word begins a comment.
fn token(rest: &mut &str) -> Option<String> {
    loop {
        *rest = rest.trim_start();
        if !rest.starts_with('#') {
            break;
        }
        *rest = rest.split_once('\n').map_or("", |(_, after)| after);
    }
    if let Some(quoted) = rest.strip_prefix('"') {
        return Some(unquote(quoted, rest));
    }
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    *rest = after;
    (!word.is_empty()).then(|| word.to_owned())
}

fn unquote<'a>(quoted: &'a str, rest: &mut &'a str) -> String {
    let mut word = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                *rest = &quoted[at + 1..];
                return word;
            }
            '\\' => word.extend(chars.next().map(|(_, c)| c)),
            c => word.push(c),
        }
    }
    *rest = "";
    word
}

/// A macro ends at the first empty line.
fn skip_macro(rest: &mut &str) {
    while let Some((line, after)) = rest.split_once('\n') {
        *rest = after;
        if line.trim_end_matches('\r').is_empty() {
            return;
        }
    }
    *rest = "";
}

#[cfg(test)]
mod tests {
    #[cfg(unix)]
    use std::os::unix::fs::PermissionsExt;

    use thence::ExposeSecret;

    use super::*;

    fn found<'a>(entries: &'a [Entry], host: &str, login: &str) -> Option<&'a str> {
        password(entries, host, login).map(ExposeSecret::expose_secret)
    }

    #[test]
    fn a_machine_is_found_whatever_its_case_and_its_login_must_be_the_one_asked_for() {
        let e = parse("machine A.example login me password one\nmachine a.example login you password two");
        assert_eq!(found(&e, "a.EXAMPLE", "you"), Some("two"));
        assert_eq!(found(&e, "a.example", "him"), None);
        assert_eq!(found(&parse("machine h password p"), "h", "anyone"), Some("p"));
    }

    #[test]
    fn what_is_not_there_is_no_error_and_what_cannot_be_opened_is_one() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(&dir.path().join(".netrc")).unwrap().is_none());
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert!(read(&dir.path().join("file/.netrc")).is_err());
    }

    #[test]
    fn crd_05_default_is_used_only_for_the_login_it_names() {
        let e = parse("machine a login me password one default login ftp password two");
        assert_eq!(found(&e, "b", "me"), None);
        assert_eq!(found(&e, "b", "ftp"), Some("two"));
        assert_eq!(found(&parse("default password p"), "b", "me"), None);
    }

    #[test]
    #[cfg(unix)]
    fn crd_07_a_file_that_others_can_read_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netrc");
        std::fs::write(&path, "machine h login me password p").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        assert!(read(&path).is_err_and(|why| why.contains("chmod 600")));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        assert_eq!(found(&read(&path).unwrap().unwrap(), "h", "me"), Some("p"));
        assert!(read(&dir.path().join("none")).unwrap().is_none());
    }

    #[test]
    fn crd_08_macros_comments_quotes_and_crlf_are_read_as_meant() {
        let text = "macdef init\r\nmachine evil password no\r\n\r\n# machine c password no\r\n\
                    machine h\r\n\tlogin \"m e\" password \"a\\\"b\\\\ c\" account x\r\n";
        let e = parse(text);
        assert_eq!(found(&e, "h", "m e"), Some("a\"b\\ c"));
        assert_eq!((found(&e, "evil", "m e"), found(&e, "c", "m e")), (None, None));
    }

    #[test]
    fn crd_08_a_control_character_cannot_be_smuggled_into_a_request() {
        let e = parse("machine h login me password \"x\r\nEvil: y\"\nmachine i login \"a\nb\" password p");
        assert_eq!(found(&e, "h", "me"), None);
        assert_eq!(found(&e, "i", "a\nb"), None);
    }

    #[test]
    fn crd_08_hostile_text_ends_without_a_panic() {
        let long = format!("machine h login me password {}", "x".repeat(1 << 20));
        assert_eq!(found(&parse(&long), "h", "me").map(str::len), Some(1 << 20));
        for text in
            ["machine", "password", "\"", "\"\\", "macdef", "macdef x", "#", "default machine", "login é\"\\"]
        {
            parse(text);
        }
        assert_eq!(found(&parse("machine"), "h", "me"), None);
    }

    #[test]
    fn crd_08_a_fifo_or_directory_is_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(dir.path()).is_err());
    }
}
