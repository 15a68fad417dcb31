//! Records the README's picture: the real program in a real terminal, killed half-way and resumed.
//!
//! Nothing of the picture is written by hand: keys are typed into a shell inside tmux, and what its screen shows at
//! the end becomes an SVG, line by line.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use thence_origin::{Origin, Served, Shared, honest};

use crate::options::Options;
use crate::{packages, shell};

const COLUMNS: usize = 88;
const ROWS: usize = 24;
/// Body bytes, and bytes a second of each connection: about six seconds over 8 lanes.
const SIZE: u64 = 96 << 20;
const RATE: u64 = 2 << 20;
const LONGEST: Duration = Duration::from_secs(60);
/// A character's cell and the frame around the text, in pixels.
const CELL: (usize, usize) = (9, 19);
const FRAME: usize = 16;

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let binary = options.take("binary", String::new())?;
    options.no_others()?;
    packages::need(&[("tmux", "tmux")])?;
    let binary = shell::thence(binary)?;
    let mut served = Served::made(7, SIZE);
    served.rate = Some(RATE);
    let origin = Origin::start(honest::handler(&Shared::new(served)));
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let terminal = Terminal::start(dir.path(), &binary)?;
    terminal.types(&format!("thence -x 8 {}", origin.url("/disk.img")))?;
    terminal.until("half of it", |screen| percent(screen) >= Some(48))?;
    terminal.kill_what_runs()?;
    terminal.until("the shell's word", |screen| screen.contains("Killed"))?;
    for command in ["thence status disk.img.part", "thence disk.img.part"] {
        terminal.types(command)?;
        terminal.until("the prompt", |screen| screen.trim_end().ends_with("\n$"))?;
    }
    let path = shell::root().join("docs/picture.svg");
    fs::write(&path, svg(terminal.screen()?.trim_end().trim_end_matches('$')))
        .map_err(|error| error.to_string())?;
    println!("{}", path.display());
    Ok(())
}

/// A shell in a tmux server of its own, which ends with it.
struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    fn start(dir: &Path, binary: &Path) -> Result<Terminal, String> {
        let work = dir.join("work");
        fs::create_dir(&work).map_err(|error| error.to_string())?;
        let terminal = Terminal { socket: dir.join("socket") };
        let programs = binary.parent().unwrap_or(Path::new(".")).display();
        let shell = format!("PATH={programs}:$PATH PS1='$ ' LC_ALL=C.UTF-8 exec bash --norc --noprofile -i");
        let (columns, rows) = (COLUMNS.to_string(), ROWS.to_string());
        let mut command = terminal.tmux(&["-u", "new-session", "-d", "-x", &columns, "-y", &rows]);
        shell::run(command.arg(shell).current_dir(work))?;
        terminal.until("a prompt", |screen| screen.trim_end() == "$")?;
        Ok(terminal)
    }

    fn tmux(&self, words: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-f").arg("/dev/null").arg("-S").arg(&self.socket).args(words).env_remove("TMUX");
        command
    }

    fn says(&self, words: &[&str]) -> Result<String, String> {
        let out = self.tmux(words).output().map_err(|error| format!("tmux: {error}"))?;
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }

    fn types(&self, line: &str) -> Result<(), String> {
        shell::run(&mut self.tmux(&["send-keys", "-l", line]))?;
        shell::run(&mut self.tmux(&["send-keys", "Enter"]))?;
        // The screen before the line was read must not pass for the screen after it.
        thread::sleep(Duration::from_millis(500));
        Ok(())
    }

    fn screen(&self) -> Result<String, String> {
        self.says(&["capture-pane", "-p"])
    }

    fn until(&self, what: &str, seen: impl Fn(&str) -> bool) -> Result<(), String> {
        let end = Instant::now() + LONGEST;
        while Instant::now() < end {
            if seen(&self.screen()?) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Err(format!("waited in vain for {what}; the screen shows:\n{}", self.screen()?))
    }

    /// SIGKILL to the one child of our own shell.
    fn kill_what_runs(&self) -> Result<(), String> {
        let shell = self.says(&["display-message", "-p", "#{pane_pid}"])?;
        let shell = shell.trim();
        let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"));
        let children = children.map_err(|error| format!("the shell's children: {error}"))?;
        let child = children.split_whitespace().next().and_then(|pid| pid.parse().ok());
        let child = child.and_then(Pid::from_raw).ok_or("nothing runs in the shell")?;
        kill_process(child, Signal::KILL).map_err(|error| error.to_string())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It can only be gone already.
        let _ = self.tmux(&["kill-server"]).status();
    }
}

/// The last percentage on the screen.
fn percent(screen: &str) -> Option<u32> {
    let (before, _) = screen.rsplit_once(" %")?;
    before.rsplit(' ').next()?.parse().ok()
}

/// A terminal's text as a picture. Each line is stretched to its cells, so that any monospaced font fits.
fn svg(screen: &str) -> String {
    let lines: Vec<&str> = screen.lines().collect();
    let (width, height) = (COLUMNS * CELL.0 + 2 * FRAME, lines.len() * CELL.1 + 2 * FRAME);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" aria-label=\"thence killed half-way, and resumed\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#16181d\"/>\n\
         <g font-family=\"ui-monospace, 'DejaVu Sans Mono', monospace\" font-size=\"15\" fill=\"#d8dee9\">\n"
    );
    for (row, line) in lines.iter().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let y = FRAME + row * CELL.1 + CELL.1 * 3 / 4;
        let length = line.chars().count() * CELL.0;
        let colour = if line.starts_with("$ ") { " fill=\"#a3be8c\"" } else { "" };
        let text = line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = writeln!(
            out,
            "<text x=\"{FRAME}\" y=\"{y}\" textLength=\"{length}\" lengthAdjust=\"spacingAndGlyphs\"{colour} \
             xml:space=\"preserve\">{text}</text>"
        );
    }
    out + "</g>\n</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_found_on_a_screen() {
        assert_eq!(percent("$ thence\na.img ▕█ ▏  47 %  2 MiB/s"), Some(47));
        assert_eq!(percent("$ "), None);
    }

    #[test]
    fn text_becomes_cells_and_markup_is_escaped() {
        let svg = svg("$ a <b>\n\n & ");
        assert!(svg.contains("textLength=\"63\"") && svg.contains("a &lt;b&gt;") && svg.contains(" &amp; "));
        assert_eq!(svg.matches("<text").count(), 2);
    }
}
