//! Runs downloads to their ends: a few at a time, until all have ended or someone says stop.
//!
//! One task follows each download and tells the loop, which alone owns the report; so nothing is shared.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use thence::{Done, Download, Engine, Error, Event, Progress, Request};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::exit::{Code, Trouble};
use crate::report::Report;
use crate::sys::Stops;

/// Downloads at a time; aria2's `-j` has the same default. The others wait.
const TOGETHER: usize = 5;
/// Progress is looked at this often.
const LOOK: Duration = Duration::from_millis(100);
/// After the first signal, everything is at rest within this, or we leave as if killed, which is as safe.
const GRACE: Duration = Duration::from_millis(900);

/// How a run ended.
pub(crate) struct Ended {
    pub(crate) code: Code,
    /// A stop was asked for: leave without waiting for threads.
    pub(crate) leave: bool,
}

/// A file sent to standard output or a device, and whether its reader left before the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream(Arc<AtomicBool>);

impl Stream {
    /// The reader left.
    pub(crate) fn close(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

enum Outcome {
    Waiting,
    Running,
    Done,
    Failed(Code),
    Stopped,
}

enum News {
    Event(Event, Option<PathBuf>),
    Progress(Progress),
    Ended(Box<Result<Done, Error>>),
    AtRest(Option<PathBuf>),
}

struct Drive<'a> {
    engine: &'a Engine,
    together: usize,
    report: &'a mut Report,
    /// Where the only download goes, if not to a file.
    stream: Option<Stream>,
    waiting: VecDeque<(usize, Result<Request, Trouble>)>,
    outcomes: Vec<Outcome>,
    /// How many of them are `Running`.
    running: usize,
    news: mpsc::Sender<(usize, News)>,
    stop: watch::Sender<bool>,
}

/// Runs `requests`, which are the report's rows in order, and what `follow` makes of those of them that are done. Must run
/// inside a `LocalSet`.
pub(crate) async fn drive(
    engine: &Engine,
    requests: Vec<Result<Request, Trouble>>,
    follow: &Follow<'_>,
    together: Option<u32>,
    report: &mut Report,
    stream: Option<Stream>,
    mut stops: Stops,
) -> Ended {
    let (news, mut arriving) = mpsc::channel(64);
    let outcomes = requests.iter().map(|_| Outcome::Waiting).collect();
    let waiting = requests.into_iter().enumerate().collect();
    let together = together.map_or(TOGETHER, |together| together as usize);
    let (stop, running) = (watch::Sender::new(false), 0);
    let mut drive = Drive { engine, together, report, stream, waiting, outcomes, running, news, stop };
    let first = drive.outcomes.len();
    let mut leave_at = None;
    loop {
        if leave_at.is_none() {
            drive.start_some();
        }
        if drive.running == 0 {
            break;
        }
        let leave =
            async { tokio::time::sleep_until(leave_at.unwrap_or_else(tokio::time::Instant::now)).await };
        tokio::select! {
            Some((id, news)) = arriving.recv() => {
                if let News::Ended(result) = &news
                    && let (Ok(done), true, None) = (&**result, id < first, leave_at)
                {
                    let rows = follow(done, drive.report);
                    drive.add(rows);
                }
                drive.heard(id, news);
            }
            () = stops.next() => {
                if leave_at.is_some() {
                    break;
                }
                leave_at = Some(drive.pause_all());
            }
            () = leave, if leave_at.is_some() => break,
        }
        if drive.report.is_gone() && leave_at.is_none() {
            leave_at = Some(drive.pause_all());
        }
    }
    drive.end(leave_at.is_some())
}

/// The downloads that a finished one leads to.
pub(crate) type Follow<'a> = dyn Fn(&Done, &mut Report) -> Vec<(String, Result<Request, Trouble>)> + 'a;

impl Drive<'_> {
    fn add(&mut self, rows: Vec<(String, Result<Request, Trouble>)>) {
        for (shown, request) in rows {
            self.report.add(shown);
            self.waiting.push_back((self.outcomes.len(), request));
            self.outcomes.push(Outcome::Waiting);
        }
    }

    fn start_some(&mut self) {
        while self.running < self.together {
            let Some((id, request)) = self.waiting.pop_front() else { break };
            self.report.begin(id);
            match request {
                Ok(request) => {
                    let download = self.engine.start(request);
                    self.outcomes[id] = Outcome::Running;
                    self.running += 1;
                    tokio::task::spawn_local(follow(id, download, self.stop.subscribe(), self.news.clone()));
                }
                Err(trouble) => self.failed(id, &trouble),
            }
        }
    }

    fn pause_all(&mut self) -> tokio::time::Instant {
        self.stop.send_replace(true);
        tokio::time::Instant::now() + GRACE
    }

    fn heard(&mut self, id: usize, news: News) {
        match news {
            News::Event(event, part) => self.report.event(id, part, &event),
            News::Progress(progress) => self.report.progress(id, Instant::now(), progress),
            News::AtRest(part) => {
                self.report.event(id, part, &Event::Paused);
                self.outcomes[id] = Outcome::Stopped;
            }
            News::Ended(result) => match *result {
                Ok(done) => {
                    self.report.done(id, &done);
                    self.outcomes[id] = Outcome::Done;
                }
                // Whoever read the stream had enough; that is no error to speak of.
                Err(_) if self.stream.as_ref().is_some_and(Stream::is_closed) => {
                    self.outcomes[id] = Outcome::Stopped
                }
                Err(Error::Cancelled) if *self.stop.borrow() => self.outcomes[id] = Outcome::Stopped,
                Err(error) => self.failed(id, &Trouble::from(&error)),
            },
        }
        // Nothing more is heard of one that is over.
        if !matches!(self.outcomes[id], Outcome::Running) {
            self.running -= 1;
        }
    }

    fn failed(&mut self, id: usize, trouble: &Trouble) {
        self.report.failed(id, trouble);
        self.outcomes[id] = Outcome::Failed(trouble.code);
    }

    fn end(&mut self, stopped: bool) -> Ended {
        let unfinished: Vec<usize> = (0..self.outcomes.len())
            .filter(|id| !matches!(self.outcomes[*id], Outcome::Done | Outcome::Failed(_)))
            .collect();
        if stopped && !unfinished.is_empty() && !self.report.is_gone() {
            self.report.stopped(&unfinished, self.stream.is_some());
        }
        Ended { code: code(&self.outcomes), leave: stopped }
    }
}

/// The code of the first download on the command line that failed; else whether all are there.
fn code(outcomes: &[Outcome]) -> Code {
    let failed = outcomes.iter().find_map(|outcome| match outcome {
        Outcome::Failed(code) => Some(*code),
        _ => None,
    });
    let all = outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done));
    failed.unwrap_or(if all { Code::Done } else { Code::Unfinished })
}

/// Tells the loop of one download until it ends, or rests after a stop.
async fn follow(
    id: usize,
    mut download: Download,
    mut stop: watch::Receiver<bool>,
    news: mpsc::Sender<(usize, News)>,
) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stopping = false;
    loop {
        let told = tokio::select! {
            event = download.event() => match event {
                None => break,
                Some(Event::Paused) if stopping => News::AtRest(download.part()),
                Some(event) => News::Event(event, download.part()),
            },
            _ = look.tick() => News::Progress(download.progress()),
            _ = stop.changed(), if !stopping => {
                stopping = true;
                download.pause();
                continue;
            }
        };
        let at_rest = matches!(told, News::AtRest(_));
        // The loop has gone only when the command is over.
        if news.send((id, told)).await.is_err() || at_rest {
            return;
        }
    }
    let result = download.wait().await;
    drop(news.send((id, News::Ended(Box::new(result)))).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_on_the_command_line_decides_the_code() {
        use Outcome::{Done, Failed, Stopped, Waiting};
        assert_eq!(code(&[Done, Done]), Code::Done);
        assert_eq!(code(&[Done, Stopped, Waiting]), Code::Unfinished);
        assert_eq!(code(&[Stopped, Failed(Code::NotFound), Failed(Code::Tls)]), Code::NotFound);
    }
}
