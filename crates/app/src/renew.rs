//! `--refresh-cmd`: a command that knows another URL for a link that has expired.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use thence::Renew;

use crate::exit::Trouble;
use crate::sys;

/// A command that takes longer hangs, or waits for a person who is not there.
const PATIENCE: Duration = Duration::from_secs(120);
/// It is looked at this often.
const LOOK: Duration = Duration::from_millis(20);
/// Most bytes of an answer: a URL and what else a careless command prints.
const ANSWER: u64 = 64 << 10;

/// Runs `command` by the shell for each link that has expired.
pub(crate) fn by(command: &str) -> Result<Renew, Trouble> {
    if command.trim().is_empty() {
        return Err(Trouble::usage("--refresh-cmd", "is empty", "name a command that prints a new URL"));
    }
    let (command, patience) = (command.to_owned(), PATIENCE / sys::hurry());
    Ok(Renew::new(move |url| run(&command, url, patience)))
}

/// What the command prints first. It reads the URL from its input, where no other user sees it.
fn run(command: &str, url: &str, patience: Duration) -> Result<String, String> {
    let mut child = shell(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|why| format!("--refresh-cmd could not be run: {why}"))?;
    let (input, output) = (child.stdin.take(), child.stdout.take());
    let (told, answer) = mpsc::channel();
    let (url, deadline) = (format!("{url}\n"), Instant::now() + patience);
    // A command may leave its input unread, or its output open in a child of its own: neither holds us up.
    std::thread::spawn(move || {
        let _ = input.map(|mut input| input.write_all(url.as_bytes()));
        let mut text = Vec::new();
        let read = output.map(|output| output.take(ANSWER).read_to_end(&mut text));
        let _ = told.send(read.unwrap_or(Ok(0)).map(|_| text));
    });
    let ended = wait(&mut child, deadline)?;
    if !ended {
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("--refresh-cmd did not end within {} s", patience.as_secs()));
    }
    let rest = deadline.saturating_duration_since(Instant::now()).max(LOOK);
    let text = answer.recv_timeout(rest).map_err(|_| "--refresh-cmd left its output open".to_owned())?;
    let text = text.map_err(|why| format!("what --refresh-cmd printed could not be read: {why}"))?;
    let text =
        String::from_utf8(text).map_err(|_| "--refresh-cmd printed something that is no text".to_owned())?;
    match text.lines().map(str::trim).find(|line| !line.is_empty()) {
        Some(line) => Ok(line.to_owned()),
        None => Err("--refresh-cmd printed no URL".to_owned()),
    }
}

/// Waits until it ends well; false if it does not end in time.
fn wait(child: &mut Child, deadline: Instant) -> Result<bool, String> {
    while Instant::now() < deadline {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(true),
            Ok(Some(status)) => return Err(format!("--refresh-cmd failed: {status}")),
            Ok(None) => std::thread::sleep(LOOK),
            Err(why) => return Err(format!("--refresh-cmd could not be waited for: {why}")),
        }
    }
    Ok(false)
}

#[cfg(unix)]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command);
    shell
}

#[cfg(not(unix))]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("cmd");
    shell.arg("/C").arg(command);
    shell
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn ask(command: &str) -> Result<String, String> {
        run(command, "http://h/a?t=1", LONG)
    }

    #[test]
    fn the_command_reads_the_url_and_its_first_line_is_the_answer() {
        assert_eq!(ask("sed s/t=1/t=2/; echo more"), Ok("http://h/a?t=2".into()));
        assert_eq!(ask("echo; echo ' http://h/b '"), Ok("http://h/b".into()), "it need not read");
    }

    #[test]
    fn a_command_that_fails_or_says_nothing_is_told_of() {
        assert!(ask("exit 3").unwrap_err().contains("3"));
        assert!(ask("echo http://h/; false").is_err(), "what a failed command printed is not believed");
        assert!(ask("cat >/dev/null").unwrap_err().contains("printed no URL"));
        assert!(ask("printf '\\377'").unwrap_err().contains("no text"));
    }

    #[test]
    fn a_command_that_hangs_is_ended() {
        let told = run("exec sleep 1000", "http://h/", Duration::from_millis(60));
        assert!(told.unwrap_err().contains("did not end"));
    }
}
