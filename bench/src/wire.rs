//! A link in use: a TUN device at each end, and a thread for each direction that carries packets as `link` says. The
//! kernel's own TCP speaks over it and takes it for a network card.

use std::collections::VecDeque;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tun_rs::{DeviceBuilder, SyncDevice};

use crate::flows::{Record, Way};
use crate::link::{Fate, Link, Shape};

/// While packets come, they are looked for so often and no oftener: a wake a packet would cost more than the packet. The
/// kernel adds up to 50 us, so no packet is more than a sixth of a millisecond late.
const TICK: Duration = Duration::from_micros(100);

/// Packets taken before what is due is handed over.
const BATCH: usize = 128;

/// How often an idle direction looks whether it should end.
const LOOK: Duration = Duration::from_millis(50);

/// Packets that the kernel holds for us while we sleep; what it drops by itself would be a loss nobody asked for.
const RING: u32 = 20_000;

/// One end: a device in the namespace of the thread that made it.
pub(crate) struct End(SyncDevice);

/// A link that carries packets until it is dropped.
pub(crate) struct Wire {
    ending: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    records: Vec<(Way, Arc<Mutex<Record>>)>,
    start: Instant,
}

impl End {
    /// A device called `name` with an address of a network of 256, its offloads off.
    pub(crate) fn new(name: &str, address: Ipv4Addr, mtu: u16) -> Result<End, String> {
        let device = DeviceBuilder::new().name(name).ipv4(address, 24, None).mtu(mtu).tx_queue_len(RING);
        let device = device.build_sync().and_then(|device| device.set_nonblocking(true).map(|()| device));
        device.map(End).map_err(|error| format!("{name}: no TUN device can be made: {error}"))
    }
}

impl Wire {
    /// Joins two ends. `down` is the direction to the client.
    pub(crate) fn join(client: End, server: End, down: Shape, up: Shape, seed: u64) -> Wire {
        let (client, server) = (Arc::new(client.0), Arc::new(server.0));
        let mut wire =
            Wire { ending: Arc::default(), threads: Vec::new(), records: Vec::new(), start: Instant::now() };
        wire.carry(Way::ToClient, server.clone(), client.clone(), Link::new(down, seed));
        wire.carry(Way::ToServer, client, server, Link::new(up, seed + 1));
        wire
    }

    /// What one direction carried so far.
    pub(crate) fn record(&self, way: Way) -> Record {
        let found = self.records.iter().find(|(of, _)| *of == way).expect("both directions are carried");
        found.1.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The instant from which a record counts.
    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    fn carry(&mut self, way: Way, from: Arc<SyncDevice>, to: Arc<SyncDevice>, link: Link) {
        let record = Arc::new(Mutex::new(Record::default()));
        let (noted, ending, start) = (record.clone(), self.ending.clone(), self.start);
        let (held, buffer) = (VecDeque::new(), vec![0; 65_536]);
        let mut carrier = Carrier { way, from, to, link, record: noted, held, buffer, start };
        let thread = thread::spawn(move || {
            while !ending.load(Ordering::Relaxed) {
                carrier.turn();
            }
        });
        self.threads.push(thread);
        self.records.push((way, record));
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _panicked = thread.join();
        }
    }
}

struct Carrier {
    way: Way,
    from: Arc<SyncDevice>,
    to: Arc<SyncDevice>,
    link: Link,
    record: Arc<Mutex<Record>>,
    /// Packets under way, in the order of their arrival.
    held: VecDeque<(Duration, Vec<u8>)>,
    buffer: Vec<u8>,
    start: Instant,
}

impl Carrier {
    /// Takes what has come, hands over what is due, and waits for either.
    fn turn(&mut self) {
        let came = self.take();
        self.hand_over();
        if came {
            thread::sleep(TICK);
            return;
        }
        let now = self.start.elapsed();
        let wait = self.held.front().map_or(LOOK, |(due, _)| due.saturating_sub(now).min(LOOK));
        let timeout = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
        let mut fds = [PollFd::from_borrowed_fd(self.from.as_fd(), PollFlags::IN)];
        let _a_signal_or_nothing = poll(&mut fds, Some(&timeout));
    }

    fn take(&mut self) -> bool {
        let mut came = false;
        for _ in 0..BATCH {
            // A device that fails is one whose namespace is gone; the wire will end as well.
            let Ok(len) = self.from.recv(&mut self.buffer) else { break };
            came = true;
            let fate = self.link.offer(self.start.elapsed(), len as u64);
            let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
            match fate {
                Fate::Arrives(at) => self.held.push_back((at, self.buffer[..len].to_vec())),
                Fate::Dropped => record.dropped += 1,
                Fate::Lost => record.lost += 1,
            }
        }
        came
    }

    fn hand_over(&mut self) {
        let now = self.start.elapsed();
        while self.held.front().is_some_and(|(due, _)| *due <= now) {
            let Some((_, packet)) = self.held.pop_front() else { return };
            let sent: io::Result<usize> = self.to.send(&packet);
            if sent.is_ok() {
                let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
                record.note(&packet, self.way, now);
            }
        }
    }
}
