//! Shows a list: one line on a terminal, a line now and then in a pipe, objects for a program, or nothing but errors.
//!
//! Of a list nobody wants a line for each file; failures are told one by one, and with `-v` what was saved.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};
use thence::{Done, Event};

use crate::exit::Trouble;
use crate::meant::Talk;
use crate::progress::{self, Count, Speed};
use crate::report::{bare_bar, can_redraw, shown};
use crate::words::{self, Weight};
use crate::{json, say, sys};

/// A pipe gets a line this often.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Nothing moved: a JSON line this often shows that we live.
const BEAT: Duration = Duration::from_secs(1);
const DRAWS: u8 = 10;

enum Form {
    Json,
    Quiet,
    Lines,
    Bar(MultiProgress, Option<ProgressBar>),
}

/// Shows a list.
pub(crate) struct Tally {
    form: Form,
    talk: Talk,
    line_every: Duration,
    name: String,
    wire: Speed,
    files: Speed,
    started: Instant,
    told: Instant,
    last: Count,
    gone: bool,
}

impl Tally {
    /// Of the list that is shown as `name`; `hurry` divides the pace of lines as it divides every limit.
    pub(crate) fn new(name: String, talk: Talk, hurry: u32) -> Tally {
        let form = if talk.json {
            Form::Json
        } else if talk.quiet {
            Form::Quiet
        } else if can_redraw() {
            Form::Bar(MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(DRAWS)), None)
        } else {
            Form::Lines
        };
        let now = Instant::now();
        let (wire, files, last) = (Speed::default(), Speed::default(), Count::default());
        let line_every = LINE_EVERY / hurry.max(1);
        Tally { form, talk, line_every, name, wire, files, started: now, told: now, last, gone: false }
    }

    /// True when the program that read our JSON has left.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }

    /// True when nobody is told of what went well.
    pub(crate) fn is_terse(&self) -> bool {
        !self.talk.json && !self.talk.verbose
    }

    /// What ended the command.
    pub(crate) fn trouble(&mut self, trouble: &Trouble) {
        match self.form {
            Form::Json => self.object(&json::error(None, None, trouble)),
            _ => self.words(&trouble.to_string()),
        }
    }

    /// A word about the command as a whole.
    pub(crate) fn note(&mut self, text: &str) {
        match self.form {
            Form::Json => self.object(&json::note(text)),
            Form::Quiet => {}
            _ => self.words(text),
        }
    }

    /// Something happened to the entry of line `line`, which is shown as `of`.
    pub(crate) fn event(&mut self, line: u64, of: &str, event: &Event) {
        match self.form {
            Form::Quiet => {}
            Form::Json => {
                if let Some(text) = json::event(line as usize, of, None, event) {
                    self.object(&text);
                }
            }
            _ => match words::event(event) {
                Some((weight, text)) if weight == Weight::Always || self.talk.verbose => {
                    self.words(&format!("line {line}: {of}: {text}"));
                }
                _ => {}
            },
        }
    }

    pub(crate) fn done(&mut self, line: u64, of: &str, done: &Done) {
        match self.form {
            Form::Json => {
                self.object(&json::done(line as usize, of, done, self.started.elapsed().as_secs_f64()))
            }
            Form::Lines | Form::Bar(..) if self.talk.verbose => {
                let path = done.path.as_deref().map(shown).unwrap_or_default();
                let what = match done {
                    Done { unchanged: true, .. } => "not changed",
                    Done { already: true, .. } => "already complete",
                    _ => "saved",
                };
                self.words(&format!("line {line}: {path}: {what}, {}", progress::bytes(done.bytes)));
            }
            _ => {}
        }
    }

    /// Errors are shown in every form.
    pub(crate) fn failed(&mut self, line: u64, of: &str, trouble: &Trouble) {
        if let Form::Json = self.form {
            return self.object(&json::error(Some(line as usize), Some(of), trouble));
        }
        let text = if trouble.subject.is_empty() { format!("{of}: {trouble}") } else { trouble.to_string() };
        self.words(&format!("line {line}: {text}"));
    }

    /// Called on a timer, at most ten times a second.
    pub(crate) fn progress(&mut self, now: Instant, count: Count) {
        self.wire.sample(now, count.wire);
        self.files.sample(now, count.done);
        let since = now.duration_since(self.told);
        let moved = count != self.last;
        match &mut self.form {
            Form::Quiet => {}
            Form::Json if moved || since >= BEAT => self.tell(now, count),
            Form::Lines if since >= self.line_every => self.tell(now, count),
            Form::Json | Form::Lines => {}
            Form::Bar(multi, bar) => {
                let text = text(&self.name, count, self.wire.rate(), self.files.rate());
                let bar = bar.get_or_insert_with(|| multi.add(bare_bar()));
                let width = sys::columns().saturating_sub(1);
                bar.set_message(text.chars().take(width).collect::<String>());
            }
        }
        self.last = count;
    }

    fn tell(&mut self, now: Instant, count: Count) {
        self.told = now;
        let (wire, files) = (self.wire.rate(), self.files.rate());
        match self.form {
            Form::Json => self.object(&json::list(&count, wire, files)),
            _ => self.words(&text(&self.name, count, wire, files)),
        }
    }

    /// The last word on the list.
    pub(crate) fn over(&mut self, count: Count, stopped: bool, failed: Option<&str>) {
        let seconds = self.started.elapsed().as_secs_f64();
        if let Form::Bar(multi, bar) = &mut self.form
            && let Some(bar) = bar.take()
        {
            bar.finish_and_clear();
            multi.remove(&bar);
        }
        match self.form {
            Form::Json => {
                let rate = |of: u64| if seconds > 0.0 { of as f64 / seconds } else { 0.0 };
                self.object(&json::list(&count, rate(count.wire), rate(count.done)));
            }
            Form::Quiet => {}
            _ => {
                let text = last_words(&self.name, count, seconds, stopped, failed);
                self.words(&text);
            }
        }
    }

    fn words(&self, text: &str) {
        match &self.form {
            Form::Bar(multi, _) => multi.suspend(|| say::err(text)),
            _ => say::err(text),
        }
    }

    fn object(&mut self, line: &str) {
        self.gone |= say::out(line).is_err();
    }
}

fn text(name: &str, count: Count, wire: f64, files: f64) -> String {
    let Count { known, over, before, done, failed, active, .. } = count;
    let of = if over { format!("{known}") } else { format!("{known} or more") };
    let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
    let speed = format!("{}/s, {:.0} files/s, {active} at once", progress::bytes(wire as u64), files);
    format!("{name}: {} of {of} done{failed}, {speed}", before + done)
}

fn last_words(name: &str, count: Count, seconds: f64, stopped: bool, failed: Option<&str>) -> String {
    let Count { known, before, done, unchanged, failed: lost, bytes, .. } = count;
    if !stopped && known == before && done == 0 && lost == 0 {
        return format!("{name}: already complete: all {known} entries are done; nothing fetched");
    }
    let rate = |of: u64| if seconds > 0.0 { of as f64 / seconds } else { 0.0 };
    let mut text = format!(
        "{name}: {} saved, {} in {} ({}/s, {:.0} files/s)",
        done.saturating_sub(unchanged),
        progress::bytes(bytes),
        progress::clock(seconds as u64),
        progress::bytes(rate(count.wire) as u64),
        rate(done)
    );
    if unchanged > 0 {
        text += &format!(", {unchanged} not changed");
    }
    if before > 0 {
        text += &format!(", {before} were done before");
    }
    if lost > 0 {
        text += &format!(", {lost} failed");
    }
    if let Some(path) = failed {
        text += &format!(": {path} has them, and is a list itself; the same command tries them again");
    } else if stopped {
        text += "; stopped; run the same command again to go on";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_was_done_before_says_so() {
        let count = Count { known: 3, before: 3, over: true, ..Count::default() };
        assert!(last_words("l", count, 1.0, false, None).contains("already complete: all 3 entries"));
        assert!(!last_words("l", count, 1.0, true, None).contains("already"));
    }

    #[test]
    fn the_line_says_how_many_of_how_many() {
        let count = Count { known: 9, before: 1, done: 2, failed: 3, active: 4, ..Count::default() };
        assert_eq!(
            text("l", count, 1024.0, 7.0),
            "l: 3 of 9 or more done, 3 failed, 1.00 KiB/s, 7 files/s, 4 at once"
        );
    }
}
