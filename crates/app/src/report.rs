//! Shows a run: bars on a terminal, lines in a pipe, objects for a program, or nothing but errors.
//!
//! It owns what is known of each download for showing; what a line looks like stands in `progress.rs`, `words.rs`
//! and `json.rs`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use thence::{Done, Event, Progress};

use crate::exit::Trouble;
use crate::meant::Talk;
use crate::printable::printable;
use crate::progress::{self, Glyphs, Speed};
use crate::words::{self, Weight};
use crate::{json, say, sys};

/// A pipe gets a progress line this often, for each download.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Nothing moved: a JSON line this often shows that we live.
const BEAT: Duration = Duration::from_secs(1);
/// Bars are drawn at most this often a second.
const DRAWS: u8 = 10;

enum Form {
    Json,
    Quiet,
    Lines,
    Bars(MultiProgress, Glyphs),
}

/// One download as it is shown.
struct Row {
    /// First URL masked, or the part's path.
    of: String,
    /// Final name once it is settled, until then `of`.
    name: String,
    part: Option<PathBuf>,
    /// Its `start` has been told; a program hears of progress only after that.
    begun: bool,
    progress: Progress,
    speed: Speed,
    started: Instant,
    /// When the last progress line was written.
    told: Option<Instant>,
    /// Why it was last asked again, until bytes come; and whether that has been said.
    waits: Option<(String, bool)>,
    bar: Option<ProgressBar>,
}

/// Shows a run.
pub(crate) struct Report {
    form: Form,
    talk: Talk,
    line_every: Duration,
    rows: Vec<Row>,
    gone: bool,
}

impl Report {
    /// `hurry` divides the pace of lines as it divides every limit.
    pub(crate) fn new(talk: Talk, hurry: u32) -> Report {
        let form = if talk.json {
            Form::Json
        } else if talk.quiet {
            Form::Quiet
        } else if can_redraw() {
            let glyphs = Glyphs::of_locale(|name| std::env::var(name).ok());
            Form::Bars(MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(DRAWS)), glyphs)
        } else {
            Form::Lines
        };
        Report { form, talk, line_every: LINE_EVERY / hurry.max(1), rows: Vec::new(), gone: false }
    }

    /// True when the program that read our JSON has left.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }

    /// A download that will be shown as `of`; rows are numbered from 0, people and programs count from 1.
    pub(crate) fn add(&mut self, of: String) {
        self.rows.push(Row {
            name: of.clone(),
            of,
            part: None,
            begun: false,
            progress: Progress::default(),
            speed: Speed::default(),
            started: Instant::now(),
            told: None,
            waits: None,
            bar: None,
        });
    }

    /// Download `id` begins.
    pub(crate) fn begin(&mut self, id: usize) {
        self.rows[id].started = Instant::now();
    }

    /// A word about the command as a whole.
    pub(crate) fn note(&mut self, text: &str) {
        match self.form {
            Form::Json => self.object(&json::note(text)),
            Form::Quiet => {}
            _ => self.words(text),
        }
    }

    pub(crate) fn event(&mut self, id: usize, part: Option<PathBuf>, event: &Event) {
        let row = &mut self.rows[id];
        row.part = part.or(row.part.take());
        if let Event::Started { name, .. } = event {
            row.name = printable(name).into_owned();
            row.begun = true;
        }
        if let Event::Retry { url, failure, .. } = event {
            let why = words::waits(url, failure);
            let said = row.waits.as_ref().is_some_and(|(before, said)| *said && *before == why);
            row.waits = Some((why, said || self.talk.verbose));
        }
        match self.form {
            Form::Quiet => {}
            Form::Json => {
                if let Some(line) = json::event(id + 1, &row.of, row.part.as_deref(), event) {
                    self.object(&line);
                }
            }
            _ => match words::event(event) {
                Some((weight, text)) if weight == Weight::Always || self.talk.verbose => {
                    let text = format!("{}: {text}", row.name);
                    self.words(&text);
                }
                _ => {}
            },
        }
    }

    /// Called on a timer, at most ten times a second for each download.
    pub(crate) fn progress(&mut self, id: usize, now: Instant, progress: Progress) {
        let row = &mut self.rows[id];
        row.speed.sample(now, progress.wire);
        let moved = row.progress != progress;
        if row.progress.wire != progress.wire {
            row.waits = None;
        }
        if progress.lanes == 0 {
            self.say_why(id);
        }
        let row = &mut self.rows[id];
        row.progress = progress;
        let since = now.duration_since(row.told.unwrap_or(row.started));
        let rate = row.speed.rate();
        match &self.form {
            Form::Quiet => {}
            Form::Json if row.begun && (moved || since >= BEAT) => {
                row.told = Some(now);
                let line = json::progress(id + 1, &row.progress, rate, progress::left(&row.progress, rate));
                self.object(&line);
            }
            Form::Lines if since >= self.line_every => {
                row.told = Some(now);
                let text = progress::plain(&row.name, &row.progress, rate);
                self.words(&text);
            }
            Form::Json | Form::Lines => {}
            Form::Bars(multi, glyphs) => {
                let bar = row.bar.get_or_insert_with(|| multi.add(bare_bar()));
                // The last column stays free: some terminals wrap when it is filled.
                let width = sys::columns().saturating_sub(1);
                bar.set_message(progress::line(&row.name, &row.progress, rate, width, *glyphs));
            }
        }
    }

    /// A download that stands still says why, once for each reason.
    fn say_why(&mut self, id: usize) {
        let row = &mut self.rows[id];
        let Some((why, said)) = row.waits.as_mut().filter(|(_, said)| !*said) else { return };
        *said = true;
        let text = format!("{}: {why}", row.name);
        if matches!(self.form, Form::Lines | Form::Bars(..)) {
            self.words(&text);
        }
    }

    pub(crate) fn done(&mut self, id: usize, done: &Done) {
        let seconds = self.rows[id].started.elapsed().as_secs_f64();
        self.end(id);
        let row = &self.rows[id];
        match self.form {
            Form::Quiet => {}
            Form::Json => {
                let line = json::done(id + 1, &row.of, done, seconds);
                self.object(&line);
            }
            _ => {
                let path = done.path.as_deref().map(shown);
                let text =
                    format!("{}: {}", path.as_deref().unwrap_or(&row.name), words::done(done, seconds));
                self.words(&text);
            }
        }
    }

    /// Errors are shown in every form.
    pub(crate) fn failed(&mut self, id: usize, trouble: &Trouble) {
        self.end(id);
        let of = self.rows[id].of.clone();
        if let Form::Json = self.form {
            return self.object(&json::error(Some(id + 1), Some(&of), trouble));
        }
        // A reason that names no file or URL is no help among several downloads.
        let text = if trouble.subject.is_empty() { format!("{of}: {trouble}") } else { trouble.to_string() };
        self.words(&text);
    }

    /// The end of a run that was stopped: what each unfinished download left, and the command that goes on.
    pub(crate) fn stopped(&mut self, unfinished: &[usize], streams: bool) {
        for &id in unfinished {
            self.end(id);
        }
        if let Form::Json = self.form {
            for &id in unfinished {
                let part = self.rows[id].part.clone();
                let command = part.as_deref().map(|part| words::command(&[part]));
                self.object(&json::stopped(id + 1, part.as_deref(), command));
            }
            return;
        }
        let parts: Vec<&Path> = unfinished.iter().filter_map(|id| self.rows[*id].part.as_deref()).collect();
        let bare = unfinished.len() - parts.len();
        let mut lines = Vec::new();
        if !parts.is_empty() {
            lines.push(format!("stopped; everything held is kept; go on with: {}", words::command(&parts)));
        }
        if bare > 0 && streams {
            lines.push("stopped; nothing is kept of what went to a stream".to_owned());
        } else if bare > 0 {
            let which = if bare == 1 { "a download".into() } else { format!("{bare} downloads") };
            lines.push(format!("stopped before {which} had begun; run the same command again"));
        }
        for line in lines {
            self.words(&line);
        }
    }

    fn end(&mut self, id: usize) {
        if let (Some(bar), Form::Bars(multi, _)) = (self.rows[id].bar.take(), &self.form) {
            bar.finish_and_clear();
            multi.remove(&bar);
        }
    }

    fn words(&self, text: &str) {
        match &self.form {
            Form::Bars(multi, _) => multi.suspend(|| say::err(text)),
            _ => say::err(text),
        }
    }

    fn object(&mut self, line: &str) {
        let written = if self.talk.stdout_taken { say::raw_err(line) } else { say::out(line) };
        self.gone |= written.is_err();
    }
}

/// True for a terminal that can go back over a line.
pub(crate) fn can_redraw() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Our own line is the whole of it.
pub(crate) fn bare_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new_spinner().with_style(style)
}

/// A path as a person would write it.
pub(crate) fn shown(path: &Path) -> String {
    printable(&path.strip_prefix(".").unwrap_or(path).display().to_string()).into_owned()
}
