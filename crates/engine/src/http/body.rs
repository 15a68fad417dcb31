//! The body of an answer, as it comes.

use std::pin::pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version, header};
use hyper::body::{Body as _, Incoming};
use thence_plan::{Ending, Failure, Limits, Phase};

use super::connection::Connection;
use super::deadline::Stall;
use super::fault;
use super::pool::{Key, Pool};

/// A body; it owns its connection, and dropping it closes that.
pub(crate) struct Body {
    connection: Connection,
    incoming: Incoming,
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

/// Where a body's connection goes when it is done with.
pub(super) struct Home {
    /// The pool.
    pub(super) pool: Pool,
    /// Its place there.
    pub(super) key: Key,
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
        Body { connection, incoming, ending, due, ended: false, stall: Stall::new(limits.stall), read, home }
    }

    /// Bytes that were read for this answer: from the socket, its head and the framing of TLS included. Streams of
    /// HTTP/2 share their socket, so that only what each got is known.
    pub(crate) fn wire(&self) -> u64 {
        if self.connection.is_http2() { self.read } else { self.connection.read() - self.read }
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
        while !self.ended {
            let frame = match ready!(self.connection.poll_frame(cx, &mut self.incoming)) {
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

    /// hyper says that there is no more. Over HTTP/2 it says so too when the server gave the stream up with
    /// RST_STREAM(NO_ERROR), whatever was promised; only END_STREAM is an end (R48).
    fn end(&mut self) -> Result<Option<Bytes>, Failure> {
        let cut = self.connection.is_http2() && !self.incoming.is_end_stream();
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
        if self.ended && self.ending == Ending::Message {
            self.home.pool.put(self.home.key, self.connection);
        }
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
