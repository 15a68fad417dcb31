//! One connection that speaks HTTP.
//!
//! Whoever holds it moves its bytes: there is no task behind an HTTP/1 connection, so nothing is read while a
//! lane waits for a buffer, a chunk costs no switch between tasks, and dropping it closes the socket at once.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::{Body as _, Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use thence_plan::{Failure, Limits, Phase};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use super::deadline::Stall;
use super::dial::Meter;
use super::fault;
use super::pipe::Pipe;
use super::turns::Turns;

/// Bytes of hyper's read buffer over HTTP/1: a slab's size, the most that one read can hand over.
const READ_BUFFER: usize = 256 << 10;
/// Bytes of one read for a head, where what comes with it must be paid for: most heads are no longer.
const LITTLE: u64 = 512;
/// Window of an HTTP/2 stream and of its connection: enough for a gigabit a second over 100 ms. It holds no memory, for
/// what nobody waits for is not read.
const WINDOW: u32 = 16 << 20;
/// Window of a stream that brings a small file: all of it.
const SMALL_WINDOW: u32 = 256 << 10;

type Nothing = Empty<Bytes>;
type Answered = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;
type Http1 = http1::Connection<TokioIo<Pipe>, Nothing>;

/// An open connection.
pub(super) struct Connection {
    sender: Sender,
    /// Moves the bytes; `None` once the connection is closed.
    moving: Option<Moving>,
    /// Of its socket.
    meter: Arc<Meter>,
}

enum Moving {
    Http1(Box<Http1>),
    Http2(Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>),
}

enum Sender {
    Http1(http1::SendRequest<Nothing>, http1::Builder),
    Http2(Http2),
    /// One of many on a connection.
    Stream(Stream),
}

struct Stream {
    sender: http2::SendRequest<Nothing>,
    trunk: Arc<Trunk>,
    _counted: Counted,
}

/// An HTTP/2 connection that many share. It moves by itself, and is closed with its last holder.
pub(super) struct Trunk {
    sender: http2::SendRequest<Nothing>,
    turns: Turns,
    meter: Arc<Meter>,
    open: Arc<AtomicUsize>,
    _tasks: Tasks,
}

impl Trunk {
    /// Whether requests can still be made.
    pub(super) fn lives(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Streams that are open.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

struct Http2 {
    sender: http2::SendRequest<Nothing>,
    turns: Turns,
    #[expect(dead_code, reason = "held for its drop")]
    tasks: Tasks,
}

impl Connection {
    /// HTTP/1.1 over `io`. HTTP/0.9, folded lines and spaces before colons stay refused (R42, R47), which are
    /// hyper's defaults.
    pub(super) async fn http1(
        stream: Pipe,
        meter: Arc<Meter>,
        limits: &Limits,
    ) -> Result<Connection, Failure> {
        let builder = http1_builder(limits);
        let shaken = builder.handshake(TokioIo::new(stream)).await;
        let (sender, moving) = shaken.map_err(|error| fault::head(&error))?;
        let (sender, moving) = (Sender::Http1(sender, builder), Moving::Http1(Box::new(moving)));
        Ok(Connection { sender, moving: Some(moving), meter })
    }

    /// Takes the stream from the library, with the bytes that it has read and given to nobody; for a body that is read by
    /// its length. `None` where that cannot be: over HTTP/2, when the connection is closed, or while a request is still
    /// being sent.
    pub(super) fn take_apart(&mut self) -> Option<(Pipe, Bytes)> {
        if self.meter.unsent() || self.is_http2() {
            return None;
        }
        match self.moving.take()? {
            Moving::Http1(moving) => {
                let parts = moving.into_parts();
                Some((parts.io.into_inner(), parts.read_buf))
            }
            Moving::Http2(_) => None,
        }
    }

    /// Gives a stream that was taken back to the library, between two messages.
    pub(super) fn put_together(&mut self, stream: Pipe) {
        let Sender::Http1(sender, builder) = &mut self.sender else { return };
        let shaking = pin!(builder.handshake(TokioIo::new(stream)));
        // HTTP/1 shakes no hands: the library only makes its buffers, and is done at once.
        if let Poll::Ready(Ok((anew, moving))) = shaking.poll(&mut Context::from_waker(Waker::noop())) {
            *sender = anew;
            self.moving = Some(Moving::Http1(Box::new(moving)));
        }
    }

    /// HTTP/2 over `io`, one lane to a connection. Windows are fixed: an adaptive one pings, and servers drop
    /// clients for it.
    pub(super) async fn http2<T>(io: T, meter: Arc<Meter>, limits: &Limits) -> Result<Connection, Failure>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let tasks = Tasks::default();
        let turns = Turns::default();
        let shaken = http2::Builder::new(tasks.spawner())
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .handshake(TokioIo::new(turns.of(io)))
            .await;
        let (sender, moving) = shaken.map_err(|error| fault::head(&error))?;
        let sender = Sender::Http2(Http2 { sender, turns, tasks });
        Ok(Connection { sender, moving: Some(Moving::Http2(Box::pin(moving))), meter })
    }

    /// HTTP/2 over `io`, for many at once.
    pub(super) async fn trunk<T>(io: T, meter: Arc<Meter>, limits: &Limits) -> Result<Arc<Trunk>, Failure>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let tasks = Tasks::default();
        let turns = Turns::shared();
        let shaken = http2::Builder::new(tasks.spawner())
            .initial_stream_window_size(SMALL_WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .handshake(TokioIo::new(turns.of(io)))
            .await;
        let (sender, moving) = shaken.map_err(|error| fault::head(&error))?;
        // Its error, if any, is told to the streams that it hit.
        hyper::rt::Executor::execute(&tasks.spawner(), async move { drop(moving.await) });
        Ok(Arc::new(Trunk { sender, turns, meter, open: Arc::default(), _tasks: tasks }))
    }

    /// One request's share of such a connection.
    pub(super) fn stream(trunk: &Arc<Trunk>) -> Connection {
        let stream = Stream {
            sender: trunk.sender.clone(),
            trunk: trunk.clone(),
            _counted: Counted::one_more(&trunk.open),
        };
        Connection { meter: trunk.meter.clone(), sender: Sender::Stream(stream), moving: None }
    }

    /// The server's address, or that of a proxy before it.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.meter.peer()
    }

    /// True when requests go out as HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        !matches!(self.sender, Sender::Http1(..))
    }

    /// Asks, and waits for the head of the final response. The whole head is due within the stall time, which
    /// starts anew with each interim response; a head that trickles is no sign of life (DOS-01).
    pub(super) async fn ask(
        &mut self,
        mut request: Request<Nothing>,
        interim: &Arc<Interim>,
        sparing: bool,
        limits: &Limits,
    ) -> Result<Response<Incoming>, Failure> {
        interim.clone().watch(&mut request);
        self.want(if sparing { LITTLE } else { u64::MAX });
        self.meter.allow(u64::MAX);
        let mut answer = self.send(request);
        let mut stall = Stall::new(limits.stall);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(answer) = self.poll_with(cx, |cx| answer.as_mut().poll(cx)) {
                return Poll::Ready(answer.map_err(|error| fault::head(&error)));
            }
            if interim.count() > limits.interim {
                return Poll::Ready(Err(fault::breach("R32", "too many interim responses")));
            }
            let silent = stall.poll(cx, u64::from(interim.count()));
            silent.map(|()| Err(Failure::Stalled(Phase::Head)))
        })
        .await
    }

    fn send(&mut self, request: Request<Nothing>) -> Answered {
        match &mut self.sender {
            Sender::Http1(sender, _) => Box::pin(sender.send_request(request)),
            Sender::Http2(http2) => Box::pin(http2.sender.send_request(request)),
            Sender::Stream(stream) => Box::pin(stream.sender.send_request(request)),
        }
    }

    /// The next reads take no more than so many bytes. Over HTTP/2 they take a turn whatever is wanted.
    pub(super) fn want(&self, bytes: u64) {
        if !self.is_http2() {
            self.meter.want(bytes);
        }
    }

    /// So many bytes may be read until more are allowed. Over HTTP/2 a turn is read whatever is allowed.
    pub(super) fn allow(&self, bytes: u64) {
        if !self.is_http2() {
            self.meter.allow(bytes);
        }
    }

    /// All that was allowed is read.
    pub(super) fn is_spent(&self) -> bool {
        self.meter.is_spent()
    }

    /// Bytes read from its socket so far.
    pub(super) fn read(&self) -> u64 {
        self.meter.read()
    }

    /// The next frame of a response's body.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut Incoming,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        self.poll_with(cx, |cx| Pin::new(&mut *body).poll_frame(cx))
    }

    /// Polls `wanted`, moves bytes, and polls it again: what just came is not left to another wake-up.
    fn poll_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut wanted: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if let Poll::Ready(done) = wanted(cx) {
            return Poll::Ready(done);
        }
        self.poll_moving(cx);
        let done = wanted(cx);
        if done.is_pending() {
            self.lets_read(cx.waker());
        }
        done
    }

    fn lets_read(&self, waker: &Waker) {
        match &self.sender {
            Sender::Http1(..) => {}
            Sender::Http2(http2) => http2.turns.wait(waker),
            Sender::Stream(stream) => stream.trunk.turns.wait(waker),
        }
    }

    fn poll_moving(&mut self, cx: &mut Context<'_>) {
        let over = match &mut self.moving {
            Some(Moving::Http1(moving)) => Pin::new(&mut **moving).poll(cx).is_ready(),
            Some(Moving::Http2(moving)) => moving.as_mut().poll(cx).is_ready(),
            None => false,
        };
        if over {
            // Its error, if any, is told to the request or body that it hit.
            self.moving = None;
        }
    }

    /// True when the connection is open and between messages. Bytes nobody asked for close it (R45).
    pub(super) fn is_idle(&mut self) -> bool {
        // Out of budget, tokio's sockets feign emptiness; what lies in this one must be seen.
        let looking = tokio::task::coop::unconstrained(std::future::poll_fn(|cx| {
            self.poll_moving(cx);
            Poll::Ready(())
        }));
        let _ = pin!(looking).poll(&mut Context::from_waker(Waker::noop()));
        // For the next look.
        self.lets_read(Waker::noop());
        self.moving.is_some()
            && match &self.sender {
                Sender::Http1(sender, _) => sender.is_ready(),
                Sender::Http2(http2) => http2.sender.is_ready(),
                // It is nobody's to keep.
                Sender::Stream(_) => false,
            }
    }

    /// What counts as life while a body is waited for. Over HTTP/1 every byte read from the socket does. Over
    /// HTTP/2 only data does: a peer can send PING and SETTINGS for ever (FRM-16).
    pub(super) fn signs_of_life(&self) -> u64 {
        if self.is_http2() { 0 } else { self.meter.read() }
    }
}

/// Counts a stream as long as it is there.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn one_more(count: &Arc<AtomicUsize>) -> Counted {
        count.fetch_add(1, Ordering::Relaxed);
        Counted(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How HTTP/1 is spoken, to origins and proxies alike.
pub(super) fn http1_builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .max_buf_size(READ_BUFFER.max(limits.header_bytes))
        .max_header_size(limits.header_bytes)
        .max_headers(limits.header_fields);
    builder
}

/// Interim (1xx) responses to one request (R32, R66).
#[derive(Default)]
pub(super) struct Interim {
    count: AtomicU32,
    /// Header bytes in them.
    pub(super) bytes: AtomicUsize,
    /// Header fields in them.
    pub(super) fields: AtomicUsize,
}

impl Interim {
    fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// hyper tells HTTP/1's interim responses only; over HTTP/2 the stall time of the head bounds them.
    fn watch(self: Arc<Self>, request: &mut Request<Nothing>) {
        hyper::ext::on_informational(request, move |response| {
            self.count.fetch_add(1, Ordering::Relaxed);
            let size: usize = response.headers().iter().map(|(name, value)| field_size(name, value)).sum();
            self.bytes.fetch_add(size, Ordering::Relaxed);
            self.fields.fetch_add(response.headers().len(), Ordering::Relaxed);
        });
    }
}

/// Bytes of a field on the wire, colon, space and line end included.
pub(super) fn field_size(name: &http::HeaderName, value: &http::HeaderValue) -> usize {
    name.as_str().len() + value.len() + 4
}

/// The tasks of an HTTP/2 connection; they end with it.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

/// Starts those tasks. It does not keep them: a task may hold its spawner, and the two would hold each other.
#[derive(Clone)]
struct Spawner(Weak<Mutex<JoinSet<()>>>);

impl Tasks {
    fn spawner(&self) -> Spawner {
        Spawner(Arc::downgrade(&self.0))
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Spawner {
    fn execute(&self, task: F) {
        if let Some(tasks) = self.0.upgrade() {
            tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
        }
    }
}
