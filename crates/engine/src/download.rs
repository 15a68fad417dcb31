//! One download as its caller sees it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use thence_plan::{Command, Event, Progress};
use tokio::sync::{mpsc, oneshot};

use crate::error::Error;
use crate::options::Request;
use crate::orders::{Done, Order, Start, Ticket, Whose, Window};

/// A download under way. Dropping it cancels; what is held stays for the next run.
pub struct Download {
    ticket: Ticket,
    orders: mpsc::UnboundedSender<Order>,
    events: mpsc::UnboundedReceiver<Event>,
    end: oneshot::Receiver<Result<Done, Error>>,
    result: Option<Result<Done, Error>>,
    window: Arc<Mutex<Window>>,
}

impl Download {
    pub(crate) fn new(request: Request, orders: mpsc::UnboundedSender<Order>) -> (Download, Order) {
        let (tell, events) = mpsc::unbounded_channel();
        let (done, end) = oneshot::channel();
        let window = Arc::new(Mutex::new(Window::default()));
        let ticket = Ticket::new();
        let start = Start { ticket: ticket.clone(), request, tell, done, window: window.clone() };
        let download = Download { ticket, orders, events, end, result: None, window };
        (download, Order::Start(Box::new(start)))
    }

    /// The next event; `None` when the download is over. Cancel safe.
    pub async fn event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// How far it is now.
    pub fn progress(&self) -> Progress {
        self.look(|window| window.progress.clone())
    }

    /// Where the part stands (`DIR/NAME.part`), once the name is settled.
    pub fn part(&self) -> Option<PathBuf> {
        self.look(|window| window.part.clone())
    }

    /// Ends all lanes and keeps everything; [`Event::Paused`] comes when it is at rest on the disk.
    pub fn pause(&self) {
        self.command(Command::Pause);
    }

    /// Goes on after a pause.
    pub fn resume(&self) {
        self.command(Command::Resume);
    }

    /// Adds another URL for the same bytes.
    pub fn add_source(&self, url: &str) {
        self.command(Command::Source(url.to_owned()));
    }

    /// Bytes a second from now on, beside the limits of its engine; `None` for no limit of its own.
    pub fn limit_rate(&self, rate: Option<u64>) {
        let _ = self.orders.send(Order::Limit(Whose::One(self.ticket.clone()), rate));
    }

    /// Stops the download and keeps part and journal; [`Download::wait`] then gives [`Error::Cancelled`].
    pub fn cancel(&self) {
        let _ = self.orders.send(Order::Cancel(self.ticket.clone()));
    }

    /// Waits for the end. May be called again, and gives the same. Cancel safe.
    ///
    /// # Errors
    ///
    /// See [`Error`]: it is named by what can be done.
    pub async fn wait(&mut self) -> Result<Done, Error> {
        if self.result.is_none() {
            self.result = Some((&mut self.end).await.unwrap_or(Err(Error::Cancelled)));
        }
        self.result.clone().unwrap_or(Err(Error::Cancelled))
    }

    fn command(&self, command: Command) {
        let _ = self.orders.send(Order::Command(self.ticket.clone(), command));
    }

    fn look<T>(&self, view: impl FnOnce(&Window) -> T) -> T {
        // A driver that panicked while it wrote left a whole value: both fields are set by assignment.
        view(&self.window.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        self.cancel();
    }
}
