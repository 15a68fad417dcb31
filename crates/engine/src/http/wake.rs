//! When a socket wakes its reader: at every segment, or only once a good piece has come (`SO_RCVLOWAT`).
//!
//! A wake costs more than the segment it is for. So bytes that come fast are waited for by pieces. A piece that stays away
//! is given up within two looks, whatever the peer does: from then on the first byte wakes, and so does what lies there.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::dial::Wire;

/// Bytes of a piece.
const PIECE: u32 = 128 << 10;

/// How often is looked whether pieces still come: bytes are fast that fill one in that time.
const LOOK: Duration = Duration::from_millis(20);

/// Waits for the bytes of one body.
pub(super) struct Wake {
    /// Bytes that wake, as the socket was told last.
    least: u32,
    /// A piece takes no longer than `LOOK`.
    fast: bool,
    /// When that was found, and what the connection had read by then.
    looked: Instant,
    read: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Wake {
    /// At the first byte, until bytes are seen to come fast.
    pub(super) fn new(wire: &Wire) -> Wake {
        Wake { least: 1, fast: false, looked: Instant::now(), read: wire.read(), timer: None }
    }

    /// Ready when there may be something to read, an end or an error included. At least `due` bytes are to come.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, wire: &Wire, due: u64) -> Poll<()> {
        if wire.poll_arrival(cx).is_ready() {
            return Poll::Ready(());
        }
        self.look(wire);
        // Only a piece that is waited for is looked after: who is slow is woken by what comes, and by nothing else.
        while self.fast && self.poll_next_look(cx).is_ready() {
            self.look(wire);
        }
        // TLS may have read a part of those.
        let least = if self.fast && due >= 2 * u64::from(PIECE) { PIECE } else { 1 };
        self.tell(wire, least);
        Poll::Pending
    }

    /// From now on the first byte wakes: what comes next is not waited for here.
    pub(super) fn at_once(&mut self, wire: &Wire) {
        self.tell(wire, 1);
    }

    fn poll_next_look(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let next = self.looked + LOOK;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(next)));
        if timer.deadline() != next {
            timer.as_mut().reset(next);
        }
        timer.as_mut().poll(cx)
    }

    /// Whether pieces came since the last look, if that is long enough ago.
    fn look(&mut self, wire: &Wire) {
        let now = Instant::now();
        if now < self.looked + LOOK {
            return;
        }
        let read = wire.read();
        self.fast = is_fast(read - self.read, now - self.looked);
        (self.looked, self.read) = (now, read);
    }

    fn tell(&mut self, wire: &Wire, least: u32) {
        if self.least != least {
            wire.wake_at(least);
            self.least = least;
        }
    }
}

fn is_fast(bytes: u64, time: Duration) -> bool {
    u128::from(bytes) * LOOK.as_nanos() >= u128::from(PIECE) * time.as_nanos()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::future::poll_fn;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use thence_plan::Limits;
    use tokio::io::AsyncReadExt;
    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::http::deadline::Deadline;
    use crate::http::dial::Dialer;
    use crate::http::target::Target;
    use crate::options::Options;

    const ENDLESS: u64 = u64::MAX;
    const SOME: usize = 64 << 10;

    /// A connection whose bytes come fast, its other end, and what waits for them. Time moves only where it is waited for.
    async fn fast() -> (Wire, TcpStream, Wake) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (limits, port) = (Limits::default(), listener.local_addr().unwrap().port());
        let dialer = Dialer::new(&Options::default());
        let mut wire =
            dialer.dial(&Target::loopback(port), None, Deadline::after(limits.connect)).await.ok().unwrap();
        let mut peer = listener.accept().unwrap().0;
        let mut wake = Wake::new(&wire);
        for _ in 0..3 {
            send(&mut wire, &mut peer).await;
        }
        sleep(LOOK).await;
        assert!(!arrived(&mut wire, &mut wake, ENDLESS).await);
        (wire, peer, wake)
    }

    /// Sends some bytes and reads them, with what may lie there already: then nothing is left.
    async fn send(wire: &mut Wire, peer: &mut TcpStream) {
        peer.write_all(&[0; SOME]).unwrap();
        let mut room = vec![0; SOME];
        wire.read_exact(&mut room).await.unwrap();
    }

    /// Whether there is an arrival now. A readiness that a read has used up without noticing is no arrival.
    async fn arrived(wire: &mut Wire, wake: &mut Wake, due: u64) -> bool {
        let mut room = [0; 16];
        let used_up = timeout(Duration::ZERO, wire.read(&mut room)).await.is_err();
        assert!(used_up, "all that was sent had been read");
        timeout(Duration::from_millis(1), poll_fn(|cx| wake.poll(cx, wire, due))).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn fast_bytes_are_waited_for_by_pieces() {
        let (wire, mut peer, mut wake) = fast().await;
        assert_eq!(wake.least, PIECE);
        peer.write_all(&[0; SOME]).unwrap();
        let soon = timeout(LOOK / 4, poll_fn(|cx| wake.poll(cx, &wire, ENDLESS))).await;
        assert!(soon.is_err(), "half a piece");
        peer.write_all(&[0; SOME]).unwrap();
        let soon = timeout(LOOK / 4, poll_fn(|cx| wake.poll(cx, &wire, ENDLESS))).await;
        assert!(soon.is_ok(), "a piece");
    }

    #[tokio::test(start_paused = true)]
    async fn a_piece_that_stays_away_is_given_up() {
        let (wire, mut peer, mut wake) = fast().await;
        peer.write_all(&[0; 1]).unwrap();
        let soon = timeout(2 * LOOK, poll_fn(|cx| wake.poll(cx, &wire, ENDLESS))).await;
        assert!(soon.is_ok() && wake.least == 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_wakes_nobody() {
        let (wire, _peer, mut wake) = fast().await;
        let mut polls = 0;
        let counted = poll_fn(|cx| {
            polls += 1;
            wake.poll(cx, &wire, ENDLESS)
        });
        assert!(timeout(LOOK * 100, counted).await.is_err());
        assert!(polls <= 5, "{polls} polls in a hundred looks");
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_is_an_arrival() {
        let (wire, peer, mut wake) = fast().await;
        drop(peer);
        let soon = timeout(LOOK / 4, poll_fn(|cx| wake.poll(cx, &wire, ENDLESS))).await;
        assert!(soon.is_ok() && wake.least == PIECE);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_bytes_are_not_waited_for_by_pieces() {
        let (mut wire, mut peer, mut wake) = fast().await;
        assert!(!arrived(&mut wire, &mut wake, u64::from(2 * PIECE) - 1).await);
        assert_eq!(wake.least, 1);
        peer.write_all(&[0; 1]).unwrap();
        let soon = timeout(LOOK / 4, poll_fn(|cx| wake.poll(cx, &wire, 1))).await;
        assert!(soon.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_next_is_not_waited_for_by_pieces() {
        let (mut wire, mut peer, mut wake) = fast().await;
        wake.at_once(&wire);
        peer.write_all(&[0; 1]).unwrap();
        let next = timeout(LOOK / 4, wire.read_u8()).await;
        assert!(next.is_ok_and(|read| read.is_ok()));
    }

    #[test]
    fn fast_is_a_piece_in_the_time_of_a_look() {
        assert!(is_fast(u64::from(PIECE), LOOK) && !is_fast(u64::from(PIECE) - 1, LOOK));
        assert!(is_fast(u64::from(PIECE) * 50, LOOK * 50) && !is_fast(u64::from(PIECE) * 49, LOOK * 50));
    }
}
