//! What HTTP/1 is spoken over: a TCP connection, in the clear or in TLS, which may be in the TLS of a proxy. One type, so
//! that a body can have it back from the library.

use std::io::{IoSlice, Result as IoResult};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::dial::Wire;

/// An open connection that carries bytes.
pub(super) enum Pipe {
    /// In the clear.
    Plain(Wire),
    /// In TLS: to the server, or to a proxy.
    Tls(Box<TlsStream<Pipe>>),
}

impl Pipe {
    /// What it comes over. TLS may hold back what came before: read until there is nothing before you wait for more.
    pub(super) fn wire(&self) -> &Wire {
        match self {
            Pipe::Plain(wire) => wire,
            Pipe::Tls(tls) => tls.get_ref().0.wire(),
        }
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<IoResult<()>> {
        match &mut *self {
            Pipe::Plain(wire) => Pin::new(wire).poll_read(cx, buf),
            Pipe::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<IoResult<usize>> {
        match &mut *self {
            Pipe::Plain(wire) => Pin::new(wire).poll_write(cx, bytes),
            Pipe::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<IoResult<usize>> {
        match &mut *self {
            Pipe::Plain(wire) => Pin::new(wire).poll_write_vectored(cx, slices),
            Pipe::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Pipe::Plain(wire) => wire.is_write_vectored(),
            Pipe::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<IoResult<()>> {
        match &mut *self {
            Pipe::Plain(wire) => Pin::new(wire).poll_flush(cx),
            Pipe::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<IoResult<()>> {
        match &mut *self {
            Pipe::Plain(wire) => Pin::new(wire).poll_shutdown(cx),
            Pipe::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
