//! `thence URL`: fetches a file, and goes on from where it stopped. Parse, match, exit code; everything else stands
//! in the modules.

mod aside;
mod cookies;
mod curl;
mod described;
mod drive;
mod entries;
mod exit;
mod flags;
mod get;
mod json;
mod list;
mod lists;
mod login;
mod meant;
mod netrc;
mod pasted;
mod printable;
mod progress;
mod proof;
mod renew;
mod report;
mod say;
mod shell;
mod signatures;
mod status;
mod sums;
mod sys;
mod tally;
mod values;
mod verify;
mod words;

use std::process::ExitCode;

use exit::{Code, Trouble};
use flags::Unsaid;
use meant::{Act, Meant, Talk};

fn main() -> ExitCode {
    let mode = sys::file_mode();
    let (talk, result) = match said_and_meant() {
        Ok(Meant { act, talk }) => (talk, run(act, talk, mode)),
        Err(Unsaid::Asked(text)) => {
            (Talk::default(), say::out(text.trim_end()).map(|()| Code::Done).or(Ok(Code::Done)))
        }
        Err(Unsaid::Wrong(trouble)) => (Talk::default(), Err(trouble)),
    };
    let code = result.unwrap_or_else(|trouble| {
        told(&trouble, talk);
        trouble.code
    });
    ExitCode::from(code as u8)
}

fn said_and_meant() -> Result<Meant, Unsaid> {
    let words = flags::parse(std::env::args_os())?;
    meant::meant(words, get::limits()).map_err(Unsaid::Wrong)
}

fn run(act: Act, talk: Talk, mode: u32) -> Result<Code, Trouble> {
    match act {
        Act::Get(get) => get::run(*get, talk, mode),
        Act::List(get, listed) => lists::run(*get, &listed, talk, mode),
        Act::Status(path) => status::run(&path, talk),
        Act::Verify(path, want, signing) => verify::run(&path, want, signing, talk),
    }
}

/// The error that ended the command, where a program or a person looks for it.
fn told(trouble: &Trouble, talk: Talk) {
    if !talk.json {
        return say::err(&trouble.to_string());
    }
    let line = json::error(None, None, trouble);
    // Nobody is left to tell if this fails.
    drop(if talk.stdout_taken { say::raw_err(&line) } else { say::out(&line) });
}
