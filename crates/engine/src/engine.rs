//! The engine: one thread that plans and talks, one that syncs and checks, and from the first write to a disk on two that
//! write (four once they write past the page cache).

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, watch};

use crate::download::Download;
use crate::drive;
use crate::error::Error;
use crate::list::{Feed, List};
use crate::options::{Options, Request, Target};
use crate::orders::{Done, Listing, Order, Shown, Whose};

/// What a list's reader sends at once waits in so many pieces: it reads on while the last is looked at.
const CHUNKS: usize = 2;

/// Runs downloads. It owns its threads; any async runtime, or none, may hold it.
///
/// Dropping it stops every download where it is, which is as safe as a kill; [`Engine::close`] brings them to
/// rest first.
pub struct Engine {
    orders: mpsc::UnboundedSender<Order>,
    thread: JoinHandle<()>,
    options: Arc<Options>,
}

impl Engine {
    /// Starts the engine's threads.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] when an option cannot be used, or the system gives no thread.
    pub fn new(options: Options) -> Result<Engine, Error> {
        let (orders, inbox) = mpsc::unbounded_channel();
        let own = Arc::new(options.clone());
        let (started, start) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("thence".into())
            .spawn(move || drive::serve(options, inbox, &started))
            .map_err(|error| Error::Option(format!("no thread for the engine: {error}")))?;
        start.recv().map_err(|_| Error::Cancelled)??;
        Ok(Engine { orders, thread, options: own })
    }

    /// Starts a download; its events and its end come through the [`Download`].
    pub fn start(&self, request: Request) -> Download {
        let (download, order) = Download::new(request, self.orders.clone());
        // Without a driver the download ends at once with `Error::Cancelled`.
        let _ = self.orders.send(order);
        download
    }

    /// Begins a list: downloads that are given one after the other, `exactly` so many of them under way at once, or as
    /// many as pay. Small files among them are fetched over connections that are used again, and share their syncs.
    pub fn list(&self, exactly: Option<u32>) -> (Feed, List) {
        let (feed, fed) = mpsc::channel(CHUNKS);
        let (tell, news) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let shown = Arc::new(Shown::default());
        let listing = Listing { exactly, feed: fed, news: tell, shown: shown.clone(), stop: stopped };
        // Without a driver the list ends at once.
        let _ = self.orders.send(Order::List(Box::new(listing)));
        (Feed::new(feed, self.options.clone()), List { news, shown, stop })
    }

    /// Another [`Options::limit_rate`] from now on.
    pub fn limit_rate(&self, rate: Option<u64>) {
        let _ = self.orders.send(Order::Limit(Whose::All, rate));
    }

    /// Another [`Options::limit_host`] from now on.
    pub fn limit_host(&self, rate: Option<u64>) {
        let _ = self.orders.send(Order::Limit(Whose::Hosts, rate));
    }

    /// Brings every download to rest on the disk and ends the engine's threads.
    pub async fn close(self) {
        let (rested, rest) = tokio::sync::oneshot::channel();
        let _ = self.orders.send(Order::Close(rested));
        let _ = rest.await;
        // The driver has said its last word, so this does not wait.
        let _ = self.thread.join();
    }
}

/// Fetches `url` to the file `path` with default options, over as many connections as pay, going on from what an
/// earlier call left.
///
/// # Errors
///
/// See [`Error`]. What was held is kept, and the next call goes on from there.
pub async fn fetch(url: &str, path: impl AsRef<Path>) -> Result<Done, Error> {
    let path = path.as_ref();
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(name) = name else {
        return Err(Error::Option(format!("{} is no file name", path.display())));
    };
    let dir = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let engine = Engine::new(Options::default())?;
    let mut request = Request::new(url, dir);
    request.target = Target::File { dir: dir.to_owned(), name: Some(name.to_owned()) };
    let done = engine.start(request).wait().await;
    engine.close().await;
    done
}
