//! Somebody else on the link: a small question every 100 ms, and if wanted an endless download. What they suffer while a
//! program runs is part of what that program costs.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::scenes::Other;
use crate::side::Side;

/// Between two questions.
const EVERY: Duration = Duration::from_millis(100);

/// How long the neighbour is there before the program comes.
const SETTLED: Duration = Duration::from_secs(3);

/// What was seen, with instants.
#[derive(Default)]
struct Seen {
    delays: Vec<(Instant, Duration)>,
    bytes: Vec<(Instant, u64)>,
}

/// Somebody else. Dropping it ends its connections.
pub(crate) struct Neighbour {
    seen: Arc<Mutex<Seen>>,
    sockets: Vec<TcpStream>,
}

/// What the neighbour suffered in a span of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Suffered {
    /// Delays of its answers, in their order by size.
    pub(crate) delays: Vec<Duration>,
    /// Bytes a second of its download.
    pub(crate) rate: f64,
}

impl Neighbour {
    pub(crate) fn start(
        other: Other,
        client: &Side,
        server: &Side,
        at: Ipv4Addr,
    ) -> Result<Neighbour, String> {
        let fail = |error: io::Error| format!("the neighbour: {error}");
        let listener = server.run(move || TcpListener::bind((at, 0))).map_err(fail)?;
        let port = listener.local_addr().map_err(fail)?.port();
        server.run(move || drop(thread::spawn(move || serve(&listener))));
        let mut neighbour = Neighbour { seen: Arc::default(), sockets: Vec::new() };
        let mut wanted = vec![b'p'];
        wanted.extend((other == Other::Bulk).then_some(b'b'));
        for kind in wanted {
            let mut socket = client.run(move || TcpStream::connect((at, port))).map_err(fail)?;
            socket.set_nodelay(true).and_then(|()| socket.write_all(&[kind])).map_err(fail)?;
            neighbour.sockets.push(socket.try_clone().map_err(fail)?);
            let seen = neighbour.seen.clone();
            if kind == b'p' {
                probe(socket, seen).map_err(fail)?;
            } else {
                thread::spawn(move || load(socket, &seen));
            }
        }
        thread::sleep(if other == Other::Bulk { SETTLED } else { 5 * EVERY });
        Ok(neighbour)
    }

    /// How many it has open.
    pub(crate) fn connections(&self) -> u64 {
        self.sockets.len() as u64
    }

    /// What it suffered between two instants.
    pub(crate) fn suffered(&self, from: Instant, to: Instant) -> Suffered {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let within = |at: &Instant| (from..to).contains(at);
        let mut delays: Vec<Duration> =
            seen.delays.iter().filter(|(at, _)| within(at)).map(|&(_, delay)| delay).collect();
        delays.sort_unstable();
        let bytes: u64 = seen.bytes.iter().filter(|(at, _)| within(at)).map(|&(_, bytes)| bytes).sum();
        Suffered { delays, rate: bytes as f64 / (to - from).as_secs_f64() }
    }
}

impl Suffered {
    /// The delay below which this part of the answers came.
    pub(crate) fn below(&self, part: f64) -> Duration {
        let at = (self.delays.len() as f64 * part) as usize;
        self.delays.get(at.min(self.delays.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        for socket in &self.sockets {
            let _gone_already = socket.shutdown(Shutdown::Both);
        }
    }
}

/// Answers until the client goes; ends after the two connections there can be.
fn serve(listener: &TcpListener) {
    for socket in listener.incoming().take(2) {
        let Ok(mut socket) = socket else { return };
        thread::spawn(move || -> io::Result<()> {
            let mut kind = [0];
            socket.read_exact(&mut kind)?;
            socket.set_nodelay(true)?;
            let (mut word, load) = ([0; 8], vec![0x5a; 64 << 10]);
            loop {
                if kind == *b"p" {
                    socket.read_exact(&mut word)?;
                    socket.write_all(&word)?;
                } else {
                    socket.write_all(&load)?;
                }
            }
        });
    }
}

/// Asks every 100 ms whether or not the last answer has come.
fn probe(socket: TcpStream, seen: Arc<Mutex<Seen>>) -> io::Result<()> {
    let (mut asks, mut hears) = (socket.try_clone()?, socket);
    let start = Instant::now();
    thread::spawn(move || {
        while asks.write_all(&(start.elapsed().as_nanos() as u64).to_le_bytes()).is_ok() {
            thread::sleep(EVERY);
        }
    });
    thread::spawn(move || {
        let mut word = [0; 8];
        while hears.read_exact(&mut word).is_ok() {
            let asked = start + Duration::from_nanos(u64::from_le_bytes(word));
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            // It counts where it was asked: that is when the queue was met.
            seen.delays.push((asked, asked.elapsed()));
        }
    });
    Ok(())
}

fn load(mut socket: TcpStream, seen: &Mutex<Seen>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(len @ 1..) = socket.read(&mut buffer) {
        seen.lock().unwrap_or_else(PoisonError::into_inner).bytes.push((Instant::now(), len as u64));
    }
}
