//! One accepted connection, with or without TLS, and what all connections of an origin share.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustls::{ServerConfig, ServerConnection};

use crate::request::Request;

/// What all threads of an origin share.
#[derive(Default)]
pub(crate) struct Stage {
    pub(crate) stopping: AtomicBool,
    pub(crate) sent: AtomicU64,
    pub(crate) accepted: AtomicUsize,
    pub(crate) requests: Mutex<Vec<Request>>,
    /// Requests are not recorded.
    pub(crate) unrecorded: AtomicBool,
    pub(crate) open: Mutex<HashMap<usize, Weak<TcpStream>>>,
}

/// One accepted connection, with or without TLS.
pub(crate) struct Wire {
    /// The stage holds it weakly: a reset needs the last owner to close it.
    pub(crate) socket: Arc<TcpStream>,
    tls: Option<ServerConnection>,
    /// Ends without a word of ours: a cut or a reset.
    pub(crate) silent: bool,
}

impl Wire {
    pub(crate) fn new(socket: TcpStream, tls: Option<&Arc<ServerConfig>>) -> io::Result<Wire> {
        socket.set_nodelay(true)?;
        let tls = tls.map(|config| ServerConnection::new(config.clone())).transpose();
        Ok(Wire { socket: Arc::new(socket), tls: tls.map_err(io::Error::other)?, silent: false })
    }

    /// Whether the client showed a certificate.
    pub(crate) fn certified(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.peer_certificates().is_some())
    }

    /// Says close_notify where there is TLS, then FIN.
    pub(crate) fn close(&mut self) {
        if self.silent {
            return;
        }
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _gone = tls.write_tls(&mut &*self.socket);
        }
        let _gone = self.socket.shutdown(Shutdown::Write);
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut socket = &*self.socket;
        match &mut self.tls {
            None => socket.read(buffer),
            Some(tls) => rustls::Stream::new(tls, &mut socket).read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut socket = &*self.socket;
        match &mut self.tls {
            None => socket.write(bytes),
            Some(tls) => rustls::Stream::new(tls, &mut socket).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut socket = &*self.socket;
        match &mut self.tls {
            None => socket.flush(),
            Some(tls) => rustls::Stream::new(tls, &mut socket).flush(),
        }
    }
}

/// The guarded value even if a thread panicked while it held the lock: a failed assertion in one closure
/// must not hide behind poisoned locks in all others.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
