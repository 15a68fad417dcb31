//! HTTP/2 is read by a task of the library, not by whoever waits for a body. The two take turns here: the socket is read
//! only while somebody waits, and only so far. What nobody takes stays in the kernel, as over HTTP/1, whatever the
//! windows allow and however small its frames are (FRM-16).

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of a turn: a TLS record. A frame in memory is many times its nine bytes, and so many of the smallest are still
/// fewer than the library takes for a flood.
const TURN: usize = 16 << 10;

/// Bytes of a turn where many wait: some twenty small files.
const SHARED_TURN: usize = 256 << 10;

/// One connection's turns; clones are the same.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<Mutex<Turn>>);

#[derive(Default)]
struct Turn {
    /// Bytes that may still be read.
    left: usize,
    /// Whoever reads, when nothing is left.
    reader: Option<Waker>,
    /// Those who wait for what is read.
    askers: Vec<Waker>,
    /// Bytes of a turn, if not the usual.
    most: Option<usize>,
}

impl Turns {
    /// For a connection that many share: each turn wakes all of them.
    pub(super) fn shared() -> Turns {
        Turns(Arc::new(Mutex::new(Turn { most: Some(SHARED_TURN), ..Turn::default() })))
    }

    /// Whoever waits has nothing, and lets the socket be read.
    pub(super) fn wait(&self, waker: &Waker) {
        let mut turn = self.lock();
        turn.left = turn.most.unwrap_or(TURN);
        if !turn.askers.iter().any(|asker| asker.will_wake(waker)) {
            turn.askers.push(waker.clone());
        }
        if let Some(reader) = turn.reader.take() {
            reader.wake();
        }
    }

    /// Reads of `io` by turns.
    pub(super) fn of<T>(&self, io: T) -> Read<T> {
        Read { io, turns: self.clone() }
    }

    /// A panic under this lock leaves a turn that is whole.
    fn lock(&self) -> MutexGuard<'_, Turn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket that is read by turns, and written as ever.
pub(super) struct Read<T> {
    io: T,
    turns: Turns,
}

impl<T: AsyncRead + Unpin> AsyncRead for Read<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut turn = self.turns.lock();
        if turn.left == 0 {
            turn.reader = Some(cx.waker().clone());
            // What was read may be nothing to whoever waits; then it is the reader's turn again.
            turn.askers.drain(..).for_each(Waker::wake);
            return Poll::Pending;
        }
        drop(turn);
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        let mut turn = self.turns.lock();
        turn.left = turn.left.saturating_sub(buffer.filled().len() - before);
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Read<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Polls once; what came.
    fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn nothing_is_read_that_nobody_waits_for() {
        let (mut peer, ours) = tokio::io::duplex(4 * TURN);
        peer.write_all(&[1; 4 * TURN]).await.unwrap();
        let turns = Turns::default();
        let (mut read, mut bytes) = (turns.of(ours), vec![0; TURN]);
        assert!(poll(pin!(read.read(&mut bytes))).is_none(), "read unasked");
        for _ in 0..3 {
            turns.wait(Waker::noop());
            assert_eq!(poll(pin!(read.read(&mut bytes))).unwrap().unwrap(), TURN);
            assert!(poll(pin!(read.read(&mut bytes))).is_none(), "read more than its turn");
        }
    }
}
