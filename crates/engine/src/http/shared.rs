//! Connections that many requests share: HTTP/2, for the small files of a list.
//!
//! The first request to a server settles whether it speaks HTTP/2; others wait for that, so that fifty at once do not make
//! fifty connections. Then each request is a stream. Large files are not fetched here: a stream's window and its
//! neighbours' would hold them up, and HTTP/1.1 costs less for bulk.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Mutex as Turnstile;

use super::connection::{Connection, Trunk};
use super::pool::Key;

/// Streams of a connection at most; servers allow 100 or 128, and hyper waits where one allows fewer.
const STREAMS: usize = 100;

/// Servers that a client remembers; far more than are asked at once.
const REMEMBERED: usize = 1_024;

/// What is known of a server.
#[derive(Default)]
pub(super) struct Server {
    trunks: Vec<Arc<Trunk>>,
    /// It does not speak HTTP/2.
    plain: bool,
}

/// Those of one client.
#[derive(Default)]
pub(super) struct Trunks(Mutex<HashMap<Key, Arc<Turnstile<Server>>>>);

/// What a request to a server is to do.
pub(super) enum Entrance {
    /// Here is its stream.
    Stream(Connection),
    /// It has a connection to make, and to say what came of it.
    Make(tokio::sync::OwnedMutexGuard<Server>),
    /// The server is spoken to in HTTP/1.1.
    Plain,
}

impl Trunks {
    /// A stream to that server, if there is a connection that has room for one.
    pub(super) async fn enter(&self, key: &Key) -> Entrance {
        let server = {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= REMEMBERED && !known.contains_key(key) {
                known.clear();
            }
            known.entry(key.clone()).or_default().clone()
        };
        let mut server = server.lock_owned().await;
        if server.plain {
            return Entrance::Plain;
        }
        server.trunks.retain(|trunk| trunk.lives());
        match server.trunks.iter().find(|trunk| trunk.open() < STREAMS) {
            Some(trunk) => Entrance::Stream(Connection::stream(trunk)),
            None => Entrance::Make(server),
        }
    }
}

impl Server {
    /// A connection was made: HTTP/2, which others will share, or not.
    pub(super) fn made(&mut self, trunk: Option<Arc<Trunk>>) {
        match trunk {
            Some(trunk) => self.trunks.push(trunk),
            None => self.plain = true,
        }
    }
}
