//! Lines of curl: the readers of the command, built in here.

#![allow(dead_code, reason = "the command uses the rest")]

use thence::ExposeSecret;

#[path = "../../app/src/curl.rs"]
mod curl;
#[path = "../../app/src/shell.rs"]
mod shell;

/// Fields that only thence sends.
const OURS: [&str; 6] =
    ["range", "if-range", "accept-encoding", "host", "content-length", "transfer-encoding"];

/// No text makes the readers panic; its words, quoted anew, are the same words; and no line brings a field that is ours.
pub(crate) fn line(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let words = match shell::words(&text) {
        Ok(words) => words,
        Err(fault) => {
            assert!(fault.line <= text.matches('\n').count() + 1 && fault.column <= text.chars().count() + 1);
            return;
        }
    };
    let plain: Vec<String> = words.iter().map(|word| word.expose_secret().to_owned()).collect();
    let quoted: Vec<String> = plain.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect();
    let again = shell::words(&quoted.join(" \\\n")).expect("all of it is in quotes");
    assert!(again.iter().map(ExposeSecret::expose_secret).eq(plain.iter().map(String::as_str)));
    let Ok(line) = curl::read(words) else { return };
    assert!(line.url.is_some_and(|url| url.expose_secret().contains("://")));
    for header in &line.headers {
        let (name, _) = header.expose_secret().split_once(':').expect("a field has a colon");
        assert!(!OURS.contains(&name.to_ascii_lowercase().as_str()), "{name}");
    }
}
