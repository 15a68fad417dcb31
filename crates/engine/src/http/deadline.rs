//! Limits on waiting: one for all of connecting, one for a silent socket.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use thence_plan::{Failure, Phase};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

/// The moment by which a connection must stand (`Limits::connect`), whatever it is made of.
#[derive(Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    /// So long from now.
    pub(super) fn after(wait: Duration) -> Deadline {
        Deadline(Instant::now() + wait)
    }

    /// Does one step of connecting; too late is `Stalled` in that step's phase.
    pub(super) async fn within<T>(
        self,
        phase: Phase,
        step: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        timeout_at(self.0, step).await.unwrap_or(Err(Failure::Stalled(phase)))
    }
}

/// Notices a socket that is waited for in vain (R68).
///
/// The clock runs only between a poll that found nothing and the next sign of life. One timer serves the
/// whole body: a chunk that is ready costs nothing, and a wait costs one move of that timer.
pub(super) struct Stall {
    wait: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    /// Signs of life when the clock was started; `None` while it stands.
    since: Option<u64>,
}

impl Stall {
    /// A clock that stands.
    pub(super) fn new(wait: Duration) -> Stall {
        Stall { wait, timer: None, since: None }
    }

    /// What was waited for came.
    pub(super) fn stop(&mut self) {
        self.since = None;
    }

    /// Starts the clock or lets it run on; ready when nothing came for too long. `signs` counts signs of life:
    /// a count that moved since the start gives another wait.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, signs: u64) -> Poll<()> {
        if self.since.is_none() {
            self.start(signs);
        }
        loop {
            let Some(timer) = &mut self.timer else { return Poll::Pending };
            std::task::ready!(timer.as_mut().poll(cx));
            if self.since == Some(signs) {
                return Poll::Ready(());
            }
            self.start(signs);
        }
    }

    fn start(&mut self, signs: u64) {
        let until = Instant::now() + self.wait;
        self.since = Some(signs);
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(until),
            None => self.timer = Some(Box::pin(sleep_until(until))),
        }
    }
}
