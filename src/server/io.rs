//! The client's socket as hyper sees it, for HTTP/2: what was read to tell the protocol comes first, and the watch learns of progress.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::AsyncRead;
use tokio::net::TcpStream;

use super::watch::Watch;

/// The socket.
pub(super) struct ClientIo {
    stream: TokioIo<TcpStream>,
    /// Read before, and not yet by hyper.
    ahead: BytesMut,
    watch: Arc<Watch>,
    closing: Closing,
}

/// How far the end of the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    Open,
    /// Our direction is closed, and the client is still sending.
    Lingering,
    Done,
}

impl ClientIo {
    /// `ahead` comes before what is on the socket.
    pub(super) fn new(stream: TcpStream, ahead: BytesMut, watch: Arc<Watch>) -> Self {
        Self { stream: TokioIo::new(stream), ahead, watch, closing: Closing::Open }
    }

    /// Reads and forgets what the client still sends, so that it can read the last frames: `close` on a socket with unread bytes resets
    /// the connection. The watch bounds the time.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut bytes = [0; 8 * 1024];
        loop {
            let mut buffer = tokio::io::ReadBuf::new(&mut bytes);
            match Pin::new(self.stream.inner_mut()).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => self.closing = Closing::Lingering,
                Poll::Pending if self.closing == Closing::Lingering => {
                    self.watch.has_read();
                    return Poll::Pending;
                }
                // A client that has not been sending has nothing to lose.
                Poll::Ready(_) | Poll::Pending => break,
            }
            self.watch.has_read();
        }
        self.closing = Closing::Done;
        Poll::Ready(Ok(()))
    }
}

impl Read for ClientIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        } else {
            let count = this.ahead.len().min(buf.remaining());
            buf.put_slice(this.ahead.get(..count).unwrap_or_default());
            this.ahead.advance(count);
        }
        this.watch.has_read();
        Poll::Ready(Ok(()))
    }
}

impl Write for ClientIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.watch.has_written(result.is_pending());
        result
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.watch.has_written(result.is_pending());
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.closing == Closing::Open {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        if this.closing == Closing::Done { Poll::Ready(Ok(())) } else { this.poll_linger(cx) }
    }
}

impl Drop for ClientIo {
    /// RFC 9112 §8: what breaks off must not look complete.
    fn drop(&mut self) {
        if self.watch.is_write_blocked() {
            let _ = SockRef::from(self.stream.inner()).set_linger(Some(Duration::ZERO));
        }
    }
}
