//! The body of an answer, as it comes.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, StatusCode, Version, header};
use hyper::body::{Body as _, Incoming};
use thence_plan::{Ending, Failure, Limits, Phase};
use tokio::io::{AsyncRead, ReadBuf};

use super::connection::Connection;
use super::deadline::Stall;
use super::dial::Arrivals;
use super::fault;
use super::pipe::Pipe;
use super::pool::{Key, Pool};
use super::target::Target;
use super::wake::Wake;

/// A body; it owns its connection, and dropping it closes that.
pub(crate) struct Body {
    connection: Connection,
    content: Content,
    /// Read, and not given out yet.
    ahead: Bytes,
    /// What follows that.
    broken: Option<Failure>,
    /// How the body is framed.
    ending: Ending,
    /// Bytes that Content-Length still promises.
    due: Option<u64>,
    ended: bool,
    stall: Stall,
    /// What its connection had read when it was asked; over HTTP/2, body bytes so far.
    read: u64,
    home: Home,
}

/// Where a body comes from.
enum Content {
    /// From the library.
    Library(Incoming),
    /// From the connection itself: a body of known length that is not coded for transfer is nothing but its bytes.
    Pipe {
        stream: Pipe,
        /// The last read found nothing.
        drained: bool,
        wake: Wake,
    },
}

/// Bytes still to come for which the library is left out. For fewer it is not worth making its buffers anew.
const WORTH: u64 = 256 << 10;

/// Bytes of a chunk that is read without the library.
const CHUNK: usize = 64 << 10;

/// Where a body's connection goes when it is done with.
pub(super) struct Home {
    /// The pool.
    pub(super) pool: Pool,
    /// Its place there.
    pub(super) key: Key,
    /// The server keeps the connection, as far as its head tells.
    pub(super) keeps: bool,
    /// Bytes that are read to keep it (`Limits::discard`).
    pub(super) worth: u64,
    /// Longest wait for them: about what a new connection costs.
    pub(super) patience: Duration,
}

impl Body {
    /// The body of an answer with this head; its connection had read so much when it was asked.
    pub(super) fn new(
        connection: Connection,
        before: u64,
        incoming: Incoming,
        framing: Framing,
        home: Home,
        limits: &Limits,
    ) -> Body {
        let due = incoming.size_hint().exact();
        let Framing(ending) = framing;
        let read = if connection.is_http2() { 0 } else { before };
        Body {
            connection,
            content: Content::Library(incoming),
            ahead: Bytes::new(),
            broken: None,
            ending,
            due,
            ended: false,
            stall: Stall::new(limits.stall),
            read,
            home,
        }
    }

    /// Leaves the library out for what is still to come, if the body is a large one whose length is its whole framing.
    /// True when it may be read by `readable` and `fill` from now on.
    pub(crate) fn leave_library(&mut self) -> bool {
        let Content::Library(incoming) = &mut self.content else { return true };
        let large = self.due.is_some_and(|due| due >= WORTH);
        if !large || self.ended || self.ending != Ending::Message || self.broken.is_some() {
            return false;
        }
        // What it has read already comes first. It reads no further, for nobody moves it.
        let mut ahead = BytesMut::from(std::mem::take(&mut self.ahead));
        while let Poll::Ready(frame) =
            Pin::new(&mut *incoming).poll_frame(&mut Context::from_waker(Waker::noop()))
        {
            match frame.map(|frame| frame.map(|frame| frame.into_data())) {
                Some(Ok(Ok(data))) => ahead.extend_from_slice(&data),
                Some(Err(error)) => self.broken = Some(fault::body(&error)),
                Some(Ok(Err(_))) | None => self.broken = Some(Failure::Truncated),
            }
            if self.broken.is_some() {
                break;
            }
        }
        let apart = if self.broken.is_none() { self.connection.take_apart() } else { None };
        if let Some((stream, rest)) = apart {
            ahead.extend_from_slice(&rest);
            let wake = Wake::new(stream.wire());
            self.content = Content::Pipe { stream, drained: false, wake };
        }
        self.ahead = ahead.freeze();
        matches!(self.content, Content::Pipe { .. })
    }

    /// Waits until `fill` may find something. As `chunk`, it may be dropped and called again.
    ///
    /// # Errors
    ///
    /// `Stalled` after `Limits::stall` without a byte.
    pub(crate) async fn readable(&mut self) -> Result<(), Failure> {
        std::future::poll_fn(|cx| {
            if let Content::Pipe { stream, drained: drained @ true, wake } = &mut self.content
                && self.ahead.is_empty()
            {
                if wake.poll(cx, stream.wire(), self.due.unwrap_or(0)).is_pending() {
                    let silent = self.stall.poll(cx, self.connection.signs_of_life());
                    return silent.map(|()| Err(Failure::Stalled(Phase::Body)));
                }
                *drained = false;
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Reads into `room`, which must not be empty; how much, 0 at the end of the message, and `None` if there is nothing
    /// now. The socket is read for `want` bytes at most, as in `chunk`.
    ///
    /// # Errors
    ///
    /// Those of `chunk`.
    pub(crate) async fn fill(&mut self, room: &mut [u8], want: u64) -> Option<Result<usize, Failure>> {
        self.connection.want(want);
        let read = std::future::poll_fn(|cx| match self.poll_fill(cx, room) {
            Poll::Ready(read) => Poll::Ready(Some(read)),
            Poll::Pending => Poll::Ready(None),
        })
        .await;
        match &read {
            Some(_) => self.stall.stop(),
            None => {
                if let Content::Pipe { drained, .. } = &mut self.content {
                    *drained = true;
                }
            }
        }
        read
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<Result<usize, Failure>> {
        let len = if self.ahead.is_empty() {
            if let Some(failure) = self.broken.take() {
                return Poll::Ready(Err(failure));
            }
            let most = usize::try_from(self.due.unwrap_or(0)).unwrap_or(usize::MAX).min(room.len());
            let Content::Pipe { stream, .. } = &mut self.content else {
                return Poll::Ready(Err(Failure::Defect("a body was read past the library".into())));
            };
            if self.due == Some(0) {
                self.ended = true;
                return Poll::Ready(Ok(0));
            }
            assert!(most > 0, "a read without room would look like the end of the message");
            let mut buffer = ReadBuf::new(&mut room[..most]);
            match ready!(Pin::new(stream).poll_read(cx, &mut buffer)) {
                Ok(()) if buffer.filled().is_empty() => return Poll::Ready(Err(Failure::Truncated)),
                Ok(()) => buffer.filled().len(),
                Err(error) => return Poll::Ready(Err(fault::broken(&error))),
            }
        } else {
            let len = self.ahead.len().min(room.len());
            self.ahead.split_to(len).copy_to_slice(&mut room[..len]);
            len
        };
        self.due = self.due.map(|due| due.saturating_sub(len as u64));
        Poll::Ready(Ok(len))
    }

    /// Bytes that were read for this answer: from the socket, its head and the framing of TLS included. Streams of
    /// HTTP/2 share their socket, so that only what each got is known.
    pub(crate) fn wire(&self) -> u64 {
        if self.connection.is_http2() { self.read } else { self.connection.read() - self.read }
    }

    /// How packets come, of a body that is read without the library.
    pub(super) fn arrivals(&self) -> Option<Arrivals> {
        let Content::Pipe { stream, .. } = &self.content else { return None };
        stream.wire().arrivals()
    }

    /// Who gives it: the server and its address, if there is no proxy before it.
    pub(crate) fn origin(&self) -> Option<(Target, SocketAddr)> {
        let Key { target, proxy: None, .. } = &self.home.key else { return None };
        self.connection.peer().map(|address| (target.clone(), address))
    }

    /// So many bytes may be read until more are allowed; `u64::MAX` for any number.
    pub(crate) fn allow(&self, bytes: u64) {
        self.connection.allow(bytes);
    }

    /// The next bytes; none when all that was allowed is read, and made no piece; `None` when the message, or a clean close, ended the body. Trailers are
    /// read and dropped (R44). The socket is read for `want` bytes at most, so that what is beyond them costs nothing
    /// if the body is given up there; the head's first read may have brought more, and a TLS record or an HTTP/2 frame.
    ///
    /// May be dropped and called again; the stall clock then runs on, for the socket was as silent meanwhile.
    ///
    /// # Errors
    ///
    /// `Truncated` when the framing promised more (R35, R36, R48) or TLS ended without close_notify (R37),
    /// `Reset` when the connection broke, `Breach` for bad chunks (R42, R43), `Stalled` after `Limits::stall`
    /// without a byte. What came before is good as far as it goes. After an error the body is of no more use.
    pub(crate) async fn chunk(&mut self, want: u64) -> Result<Option<Bytes>, Failure> {
        self.connection.want(want);
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Failure>> {
        if let Poll::Ready(data) = self.poll_data(cx) {
            self.stall.stop();
            return Poll::Ready(data);
        }
        if self.stall.poll(cx, self.connection.signs_of_life()).is_ready() {
            return Poll::Ready(Err(Failure::Stalled(Phase::Body)));
        }
        if self.connection.is_spent() { Poll::Ready(Ok(Some(Bytes::new()))) } else { Poll::Pending }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Failure>> {
        if !self.ahead.is_empty() {
            return Poll::Ready(Ok(Some(self.given())));
        }
        if let Some(failure) = self.broken.take() {
            return Poll::Ready(Err(failure));
        }
        if let Content::Pipe { stream, wake, .. } = &mut self.content {
            wake.at_once(stream.wire());
            return self.poll_piece(cx);
        }
        while !self.ended {
            let Content::Library(incoming) = &mut self.content else { break };
            let frame = match ready!(self.connection.poll_frame(cx, incoming)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Err(fault::body(&error))),
                None => return Poll::Ready(self.end()),
            };
            if let Ok(data) = frame.into_data()
                && !data.is_empty()
            {
                self.due = self.due.map(|due| due.saturating_sub(data.len() as u64));
                if self.connection.is_http2() {
                    self.read += data.len() as u64;
                }
                return Poll::Ready(Ok(Some(data)));
            }
        }
        Poll::Ready(Ok(None))
    }

    /// What was read ahead.
    fn given(&mut self) -> Bytes {
        let bytes = std::mem::take(&mut self.ahead);
        self.due = self.due.map(|due| due.saturating_sub(bytes.len() as u64));
        bytes
    }

    /// A chunk without the library.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Failure>> {
        let mut piece = BytesMut::zeroed(CHUNK);
        let len = ready!(self.poll_fill(cx, &mut piece))?;
        piece.truncate(len);
        Poll::Ready(Ok((len > 0).then(|| piece.freeze())))
    }

    /// hyper says that there is no more. Over HTTP/2 it says so too when the server gave the stream up with
    /// RST_STREAM(NO_ERROR), whatever was promised; only END_STREAM is an end (R48).
    fn end(&mut self) -> Result<Option<Bytes>, Failure> {
        let whole = match &self.content {
            Content::Library(incoming) => incoming.is_end_stream(),
            Content::Pipe { .. } => true,
        };
        let cut = self.connection.is_http2() && !whole;
        if cut || self.due.is_some_and(|due| due > 0) {
            return Err(Failure::Truncated);
        }
        self.ended = true;
        Ok(None)
    }

    /// More of the message is to come, or may be.
    pub(crate) fn goes_on(&self) -> bool {
        !self.ended && self.due != Some(0)
    }

    /// Nobody waits for the next chunk any more: the peer is not to blame for what follows.
    pub(crate) fn rest(&mut self) {
        self.stall.stop();
    }

    /// What ended the body, once `chunk` has given `None`: `Message`, or `Close` where nothing but the clean
    /// close of the connection did (R37).
    pub(crate) fn ending(&self) -> Ending {
        self.ending
    }

    /// Gives the connection back for the next request, if the message has ended and the server keeps it open;
    /// else closes it. The last bytes need not have been followed by a `None`.
    pub(crate) fn release(mut self) {
        self.allow(u64::MAX);
        if !self.ended {
            let _ = self.poll_data(&mut Context::from_waker(Waker::noop()));
        }
        if !self.ended || self.ending != Ending::Message {
            return;
        }
        if let Content::Pipe { stream, mut wake, .. } = self.content {
            if !self.home.keeps {
                return;
            }
            wake.at_once(stream.wire());
            self.connection.put_together(stream);
        }
        self.home.pool.put(self.home.key, self.connection);
    }

    /// Reads what is left of a small body whose bytes nobody wants, then releases. A large, slow or endless
    /// one (URL-09) costs its connection.
    pub(crate) async fn discard(mut self) {
        self.allow(u64::MAX);
        let mut left = self.home.worth;
        if self.due.is_some_and(|due| due > left) || self.ending != Ending::Message {
            return;
        }
        let patience = tokio::time::sleep(self.home.patience);
        let mut patience = pin!(patience);
        loop {
            tokio::select! {
                chunk = self.chunk(left.max(1)) => match chunk {
                    Ok(Some(bytes)) if bytes.len() as u64 <= left => left -= bytes.len() as u64,
                    Ok(None) => return self.release(),
                    _ => return,
                },
                () = &mut patience => return,
            }
        }
    }
}

/// What will end a response's body.
#[derive(Clone, Copy)]
pub(super) struct Framing(Ending);

impl Framing {
    /// Reads the framing as hyper does (RFC 9112 s6.3). It hides no field, so the judge sees a
    /// Transfer-Encoding beside a Content-Length (R38) and codings it does not know (R41). Neither such an
    /// end nor the connection behind it is trusted: they count as ended by nothing but the close.
    pub(super) fn of(version: Version, status: StatusCode, fields: &HeaderMap) -> Framing {
        let message = match fields.get(header::TRANSFER_ENCODING) {
            _ if version == Version::HTTP_2 => true,
            _ if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) => true,
            Some(coding) => {
                let alone = fields.get_all(header::TRANSFER_ENCODING).iter().count() == 1;
                let chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
                alone && chunked && !fields.contains_key(header::CONTENT_LENGTH)
            }
            None => fields.contains_key(header::CONTENT_LENGTH),
        };
        Framing(if message { Ending::Message } else { Ending::Close })
    }
}
