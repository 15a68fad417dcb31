//! `thence curl ...`: a line of curl, said in thence's own words.
//!
//! It comes as the words that a shell made of it, as one word that holds the line, or from standard input, where other
//! users of the machine do not see it.

use std::ffi::OsString;
use std::io::{self, Read};

use thence::{ExposeSecret, Secret};

use crate::curl::{self, Refused};
use crate::exit::Trouble;
use crate::flags::Said;
use crate::shell;

/// Adds what the line says to what was said before it. The URL, and what a person should hear.
pub(crate) fn heed(said: &mut Said, words: Vec<OsString>) -> Result<(OsString, Vec<String>), Trouble> {
    let mut line = curl::read(split(words)?).map_err(|refused| trouble(&refused))?;
    said.header.append(&mut line.headers);
    said.keep_header.append(&mut line.kept);
    let plain = |secret: Option<Secret>| secret.map(|secret| secret.expose_secret().to_owned());
    once(&mut said.user, line.user, "--user")?;
    once(&mut said.proxy, line.proxy, "--proxy")?;
    once(&mut said.user_agent, plain(line.agent), "--user-agent")?;
    once(&mut said.referer, plain(line.referer), "--referer")?;
    once(&mut said.out, plain(line.out).map(Into::into), "-o")?;
    said.insecure |= line.insecure;
    said.remote_time |= line.remote_time;
    let mut notes = Vec::new();
    if !line.ignored.is_empty() {
        let ignored = line.ignored.join(", ");
        notes.push(format!("note: thence says for itself what the line says with {ignored}: docs/curl.md"));
    }
    let url = line.url.map(|url| OsString::from(url.expose_secret())).unwrap_or_default();
    Ok((url, notes))
}

fn trouble(refused: &Refused) -> Trouble {
    let place = if refused.name.is_empty() { "curl".to_owned() } else { format!("curl: {}", refused.name) };
    Trouble::usage(&place, refused.what, refused.advice)
}

fn once<T>(slot: &mut Option<T>, value: Option<T>, option: &str) -> Result<(), Trouble> {
    if value.is_none() {
        return Ok(());
    }
    if slot.is_some() {
        let what = "is said before the word curl, and by the line as well";
        return Err(Trouble::usage(option, what, "say it once"));
    }
    *slot = value;
    Ok(())
}

/// The words of the line. A blank in the only word makes a line of it: no URL of a browser has one.
fn split(words: Vec<OsString>) -> Result<Vec<Secret>, Trouble> {
    let utf8 = |word: OsString| {
        let wrong = |_| Trouble::usage("curl", "the line is not UTF-8", "copy it anew");
        word.into_string().map(Secret::from).map_err(wrong)
    };
    let words = words.into_iter().map(utf8).collect::<Result<Vec<_>, _>>()?;
    match &words[..] {
        [word] if word.expose_secret() == "-" => words_of(&from_stdin()?, "standard input"),
        [word] if word.expose_secret().contains(char::is_whitespace) => words_of(word, "the line"),
        _ => Ok(words),
    }
}

fn words_of(text: &Secret, place: &str) -> Result<Vec<Secret>, Trouble> {
    let wrong = |fault: shell::Fault| {
        let place = format!("{place}:{}:{}", fault.line, fault.column);
        Trouble::usage(&place, fault.what, "see docs/curl.md")
    };
    shell::words(text.expose_secret()).map_err(wrong)
}

fn from_stdin() -> Result<Secret, Trouble> {
    let wrong =
        |what: &str| Trouble::usage("standard input", what, "pipe the copied line into thence curl -");
    let mut text = String::new();
    let most = shell::MOST as u64 + 1;
    io::stdin().lock().take(most).read_to_string(&mut text).map_err(|why| wrong(&why.to_string()))?;
    if text.len() > shell::MOST {
        return Err(wrong("has more than 1 MiB, which no browser copies"));
    }
    Ok(Secret::from(text))
}
