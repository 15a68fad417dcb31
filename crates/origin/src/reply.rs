//! What a closure may do to the client that asked.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crate::wire::{Stage, Wire};

/// Longest single write of a body. Small, so that a throttled body comes evenly.
const PIECE: usize = 64 << 10;

/// How often a pausing reply looks whether its client or its origin has gone.
const LOOK: Duration = Duration::from_millis(5);

/// The answering half of a connection. Its methods never fail: once the client has gone they do nothing,
/// and [`Reply::alive`] says so.
pub struct Reply<'a> {
    wire: &'a mut Wire,
    stage: &'a Stage,
    rate: Option<u64>,
    alive: bool,
    keep: bool,
}

impl<'a> Reply<'a> {
    pub(crate) fn new(wire: &'a mut Wire, stage: &'a Stage) -> Reply<'a> {
        Reply { wire, stage, rate: None, alive: true, keep: true }
    }

    /// Sends exactly these bytes.
    pub fn raw(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        if self.alive {
            let written = self.wire.write_all(bytes.as_ref()).and_then(|()| self.wire.flush());
            self.alive = written.is_ok();
        }
        self
    }

    /// Sends a status line and `fields`, one `Name: value` a line, and the empty line.
    pub fn head(&mut self, status: u16, fields: &str) -> &mut Self {
        let mut head = format!("HTTP/1.1 {status} {}\r\n", reason(status));
        for line in fields.lines() {
            head.push_str(line.trim_start());
            head.push_str("\r\n");
        }
        self.raw(head + "\r\n")
    }

    /// A whole answer with a body of known length.
    pub fn answer(&mut self, status: u16, fields: &str, body: impl AsRef<[u8]>) -> &mut Self {
        let fields = format!("Content-Length: {}\n{fields}", body.as_ref().len());
        self.head(status, fields.trim_end()).body(body)
    }

    /// Body bytes sent from here on keep to this many a second (of this reply).
    pub fn rate(&mut self, bytes_per_second: u64) -> &mut Self {
        self.rate = Some(bytes_per_second.max(1));
        self
    }

    /// Sends body bytes, throttled if a rate is set.
    pub fn body(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let bytes = bytes.as_ref();
        // A fiftieth of a second at a time: even enough that no window of a second is far off the rate.
        let piece = self.rate.map_or(PIECE, |rate| (rate as usize / 50).clamp(1, PIECE));
        let (start, mut sent) = (Instant::now(), 0);
        for part in bytes.chunks(piece) {
            self.raw(part);
            if !self.alive {
                break;
            }
            sent += part.len() as u64;
            self.stage.sent.fetch_add(part.len() as u64, Ordering::SeqCst);
            if let Some(rate) = self.rate {
                let due = start
                    + Duration::from_nanos((u128::from(sent) * 1_000_000_000 / u128::from(rate)) as u64);
                self.pause(due.saturating_duration_since(Instant::now()));
            }
        }
        self
    }

    /// Sends one chunk of a chunked body.
    pub fn chunk(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let bytes = bytes.as_ref();
        self.raw(format!("{:x}\r\n", bytes.len())).body(bytes).raw("\r\n")
    }

    /// Sends the chunk that ends a chunked body.
    pub fn last_chunk(&mut self) -> &mut Self {
        self.raw("0\r\n\r\n")
    }

    /// Says nothing for that long, or until the client or the origin has gone.
    pub fn pause(&mut self, time: Duration) -> &mut Self {
        let end = Instant::now() + time;
        while self.alive {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::sleep(left.min(LOOK));
            self.alive = !self.stage.stopping.load(Ordering::SeqCst) && !self.client_gone();
        }
        self
    }

    /// Says nothing more until the client has enough.
    pub fn stall(&mut self) -> &mut Self {
        self.pause(Duration::from_secs(3600))
    }

    /// Closes the connection properly when the closure returns: close_notify under TLS, then FIN.
    pub fn close(&mut self) -> &mut Self {
        self.keep = false;
        self
    }

    /// Closes the connection at once with a bare FIN, also under TLS (a truncation attack looks so).
    pub fn cut(&mut self) {
        let _gone = self.wire.socket.shutdown(Shutdown::Write);
        self.wire.silent = true;
        self.alive = false;
    }

    /// Resets the connection when the closure returns; bytes still on their way may be lost with it.
    pub fn reset(&mut self) {
        // Zero linger turns the close into an RST.
        let _gone = socket2::SockRef::from(&*self.wire.socket).set_linger(Some(Duration::ZERO));
        self.wire.silent = true;
        self.alive = false;
    }

    /// Whether the client is still there, as far as we know.
    pub fn alive(&self) -> bool {
        self.alive
    }

    /// The bare socket, for what has no method here (a CONNECT tunnel, socket options).
    pub fn socket(&self) -> &TcpStream {
        &self.wire.socket
    }

    /// Whether another request may come on this connection.
    pub(crate) fn goes_on(&self) -> bool {
        self.alive && self.keep
    }

    fn client_gone(&self) -> bool {
        let socket = &self.wire.socket;
        if socket.set_nonblocking(true).is_err() {
            return true;
        }
        let peeked = socket.peek(&mut [0]);
        let back = socket.set_nonblocking(false);
        match peeked {
            Ok(len) => len == 0 || back.is_err(),
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

/// The usual phrase of a status; clients must not care.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        302 => "Found",
        304 => "Not Modified",
        403 => "Forbidden",
        404 => "Not Found",
        412 => "Precondition Failed",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        _ => "Some Reason",
    }
}
