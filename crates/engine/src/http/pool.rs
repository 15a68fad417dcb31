//! Connections between two requests.
//!
//! The key holds scheme, host, port, proxy with its login, and whether our certificate was to be shown; which certificate, and
//! what is trusted, are the client's, so they need no place in it (R62). Other credentials are no part of it either: they go
//! with each request anew, and no scheme that binds them to the connection (NTLM, Negotiate) is spoken.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::connection::Connection;
use super::proxy::Mark;
use super::target::Target;

/// What two requests must have in common to use one connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Scheme, host and port.
    pub(super) target: Target,
    /// The proxy, and the login there.
    pub(super) proxy: Option<Mark>,
    /// The server may have our certificate: what it gives on this connection it gives to us.
    pub(super) shows: bool,
}

/// Idle connections, each kept for `Limits::keep_alive`.
#[derive(Clone)]
pub(super) struct Pool {
    keep: Duration,
    shelf: Arc<Mutex<Shelf>>,
}

#[derive(Default)]
struct Shelf {
    idle: HashMap<Key, Vec<(Instant, Connection)>>,
    /// A task is under way that clears it.
    swept: bool,
}

impl Pool {
    /// An empty pool.
    pub(super) fn new(keep: Duration) -> Pool {
        Pool { keep, shelf: Arc::default() }
    }

    /// The connection that was used last, if it is still open and silent, and leads where the caller may be. The pause
    /// lets the runtime look at the sockets first: else a close that came meanwhile would be seen only after the request
    /// is out.
    pub(super) async fn take(&self, key: &Key, may_be_at: impl Fn(SocketAddr) -> bool) -> Option<Connection> {
        if !lock(&self.shelf).idle.contains_key(key) {
            return None;
        }
        tokio::task::yield_now().await;
        let mut shelf = lock(&self.shelf);
        let shelved = shelf.idle.get_mut(key)?;
        let mut at = shelved.len();
        while at > 0 {
            at -= 1;
            let (since, connection) = &mut shelved[at];
            let is_good = since.elapsed() < self.keep && connection.is_idle();
            if is_good && !connection.peer().is_none_or(&may_be_at) {
                continue;
            }
            let (_, connection) = shelved.remove(at);
            if is_good {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection that is between messages; any other is closed.
    pub(super) fn put(&self, key: Key, mut connection: Connection) {
        if !connection.is_idle() {
            return;
        }
        let mut shelf = lock(&self.shelf);
        shelf.idle.entry(key).or_default().push((Instant::now(), connection));
        if !shelf.swept
            && let Ok(runtime) = Handle::try_current()
        {
            shelf.swept = true;
            runtime.spawn(sweep(Arc::downgrade(&self.shelf), self.keep));
        }
    }
}

/// Closes what was kept too long, and ends when nothing is kept.
async fn sweep(shelf: Weak<Mutex<Shelf>>, keep: Duration) {
    loop {
        tokio::time::sleep(keep).await;
        let Some(shelf) = shelf.upgrade() else { return };
        let mut shelf = lock(&shelf);
        shelf.idle.retain(|_, shelved| {
            shelved.retain(|(since, _)| since.elapsed() < keep);
            !shelved.is_empty()
        });
        if shelf.idle.is_empty() {
            shelf.swept = false;
            return;
        }
    }
}

/// A panic under this lock leaves a shelf that is whole: every change to it is one call.
fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}
