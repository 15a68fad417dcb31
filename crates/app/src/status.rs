//! `thence status [PATH]`: what parts hold, of what, and from where.

use std::path::Path;

use thence::{PartReport, Progress};

use crate::exit::{Code, Trouble};
use crate::meant::Talk;
use crate::printable::{printable, url};
use crate::progress::{Glyphs, bytes, percent, shaded};
use crate::{json, say};

/// Prints the parts at `path`; that there is none is no error.
pub(crate) fn run(path: &Path, talk: Talk) -> Result<Code, Trouble> {
    found(path)?;
    if path.is_file() && list(path, talk)? {
        return Ok(Code::Done);
    }
    let parts = thence::status(path).map_err(|error| Trouble::from(&error))?;
    let glyphs = Glyphs::of_locale(|name| std::env::var(name).ok());
    if parts.is_empty() && !talk.json && !talk.quiet {
        say::err(&format!("{}: no part here", printable(&path.display().to_string())));
    }
    for part in &parts {
        let text = if talk.json { json::part(part) } else { words(part, glyphs) };
        if say::out(&text).is_err() {
            // Whoever read has enough.
            break;
        }
    }
    Ok(Code::Done)
}

/// What a list's ledger says, if `path` is a list that has one: false if not.
fn list(path: &Path, talk: Talk) -> Result<bool, Trouble> {
    let limits = crate::get::limits();
    let ledger = path.with_added_extension("thence");
    let Some((done, in_use)) = thence::ledger_status(&ledger, &limits).map_err(|e| Trouble::from(&e))? else {
        return Ok(false);
    };
    let shown = path.display().to_string();
    if talk.json {
        // Whoever read has enough; there is nothing more to tell him.
        drop(say::out(&json::ledger(&shown, done as u64, in_use)));
        return Ok(true);
    }
    let mut text = format!("{}\n  {done} entries done", printable(&shown));
    let failed = path.with_added_extension("failed");
    if failed.is_file() {
        text += &format!("\n  {} has what was not to be had", printable(&failed.display().to_string()));
    }
    if in_use {
        text += "\n  in use by a running thence";
    }
    drop(say::out(&text));
    Ok(true)
}

/// A path that is not there is the caller's mistake, not a download's.
pub(crate) fn found(path: &Path) -> Result<(), Trouble> {
    match path.symlink_metadata() {
        Ok(_) => Ok(()),
        Err(why) => {
            let path = path.display().to_string();
            Err(Trouble::new(Code::CannotOpen, &path, why.to_string(), "name a part, a file or a directory"))
        }
    }
}

fn words(part: &PartReport, glyphs: Glyphs) -> String {
    let path = part.dir.join(format!("{}.part", part.name));
    let path = path.strip_prefix(".").unwrap_or(&path);
    let held = match part.total {
        Some(total) => {
            format!("{} % held, {} of {}", percent(part.held, total), bytes(part.held), bytes(total))
        }
        None => format!("{} held, length unknown", bytes(part.held)),
    };
    let mut lines = vec![printable(&path.display().to_string()).into_owned(), format!("  {held}")];
    let progress = Progress { map: part.map.clone(), ..Progress::default() };
    lines.extend(shaded(&progress, glyphs).map(|bar| format!("  {bar}")));
    lines.push(format!("  from {}", url(&part.url)));
    match &part.validator {
        Some(validator) => lines.push(format!("  version {}", printable(validator))),
        None => lines.push("  version not told by the server".into()),
    }
    let flags = [
        (part.in_use, "in use by a running download"),
        (part.whole, "whole; only its final name is missing"),
        (part.unproven, "unproven join"),
        (part.insecure, "insecure: came without a verified certificate"),
    ];
    lines.extend(flags.iter().filter(|(set, _)| *set).map(|(_, text)| format!("  {text}")));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_described_without_its_secrets() {
        let part = PartReport {
            name: "a\u{202e}.iso".into(),
            dir: ".".into(),
            url: "https://h/a.iso?sig=SECRET".into(),
            total: Some(4096),
            held: 1024,
            validator: Some("\"v1\"".into()),
            insecure: true,
            ..PartReport::default()
        };
        let want = "a\\u{202e}.iso.part\n  25 % held, 1.00 KiB of 4.00 KiB\n  from https://h/a.iso?sig=***\n  \
                    version \"v1\"\n  insecure: came without a verified certificate";
        assert_eq!(words(&part, Glyphs::ASCII), want);
    }
}
