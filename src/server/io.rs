//! The client's socket as hyper sees it: what was read to tell the protocol comes first, interim responses are slipped in between
//! hyper's messages, and the watch learns of progress.

use std::io::{self, Error, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::AsyncRead;
use tokio::net::TcpStream;

use super::watch::Watch;

/// The first bytes of HTTP/2 with prior knowledge (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the client began with.
pub(super) struct Opening {
    bytes: [u8; PREFACE.len()],
    length: usize,
}

impl Opening {
    /// Reads until the protocol is certain. `None` if the client closes before.
    pub(super) async fn read(stream: &TcpStream) -> io::Result<Option<Self>> {
        let mut opening = Self { bytes: [0; PREFACE.len()], length: 0 };
        loop {
            stream.readable().await?;
            let Some(rest) = opening.bytes.get_mut(opening.length..) else { return Ok(Some(opening)) };
            match stream.try_read(rest) {
                Ok(0) => return Ok(None),
                Ok(count) => opening.length += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            }
            if opening.is_http2() || !PREFACE.starts_with(opening.rest()) {
                return Ok(Some(opening));
            }
        }
    }

    /// Whether this is the whole preface.
    pub(super) fn is_http2(&self) -> bool {
        self.rest() == PREFACE
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// What was read.
    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::copy_from_slice(self.rest())
    }
}

/// The socket.
pub(super) struct ClientIo {
    stream: TokioIo<TcpStream>,
    /// Read before, and not yet by hyper.
    ahead: Bytes,
    watch: Arc<Watch>,
    /// Of an interim response that is being written.
    interim: Vec<u8>,
    /// Whether all that hyper had to write has been written.
    flushed: bool,
    closing: Closing,
}

/// How far the end of the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    Open,
    /// Our direction is closed, and the client is still sending.
    Lingering,
    Done,
    /// Not the connection ends, but hyper's part in it.
    Resting,
}

impl ClientIo {
    /// `ahead` comes before what is on the socket.
    pub(super) fn new(stream: TcpStream, ahead: Bytes, watch: Arc<Watch>) -> Self {
        Self {
            stream: TokioIo::new(stream),
            ahead,
            watch,
            interim: Vec::new(),
            flushed: true,
            closing: Closing::Open,
        }
    }

    /// Whether hyper has left it in good order, for another one to go on.
    pub(super) fn is_resting(&self) -> bool {
        self.closing == Closing::Resting && self.interim.is_empty()
    }

    /// For another hyper connection, which has not seen `ahead`.
    pub(super) fn again(mut self, ahead: Bytes) -> Self {
        self.closing = Closing::Open;
        self.ahead = ahead;
        self
    }

    /// Returns when there is something to read, or the client has closed.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        // An error is found again by who reads.
        self.stream.inner().poll_read_ready(cx).map(drop)
    }

    /// hyper begins to write what it has gathered since the last flush. That cannot be the rest of a message whose request came before
    /// the one that the waiting responses belong to: hyper flushes before it waits for anything, and they came while it waited.
    fn begin_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.flushed)
            && let Some(bytes) = self.watch.take_interim()
        {
            self.interim = bytes;
        }
        self.poll_interim(cx)
    }

    /// Reads and forgets what the client still sends. `close` on a socket with unread bytes resets the connection, and a reset can
    /// take away the response that the client has not read yet, such as the 413 for the very bytes. The watch bounds the time.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut bytes = [0; 8 * 1024];
        if self.watch.may_be_sending() {
            self.closing = Closing::Lingering;
        }
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

    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.interim.is_empty() {
            let result = Pin::new(&mut self.stream).poll_write(cx, &self.interim);
            self.watch.has_written(result.is_pending());
            let count = ready!(result)?;
            if count == 0 {
                return Poll::Ready(Err(Error::from(ErrorKind::WriteZero)));
            }
            self.interim.drain(..count);
        }
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
        if !this.ahead.is_empty() {
            let count = this.ahead.len().min(buf.remaining());
            buf.put_slice(&this.ahead.split_to(count));
            this.watch.has_read();
            return Poll::Ready(Ok(()));
        }
        let result = ready!(Pin::new(&mut this.stream).poll_read(cx, buf));
        this.watch.has_read();
        Poll::Ready(result)
    }
}

impl Write for ClientIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.begin_write(cx))?;
        let result = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.watch.has_written(result.is_pending());
        result
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.begin_write(cx))?;
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.watch.has_written(result.is_pending());
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper calls this when it has written all that it had: an interim response cannot cut into another message here.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.interim.is_empty()
            && let Some(bytes) = this.watch.take_interim_if_open()
        {
            this.interim = bytes;
        }
        ready!(this.poll_interim(cx))?;
        this.flushed = true;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.closing == Closing::Open && this.watch.is_leaving() {
            this.closing = Closing::Resting;
            return Poll::Ready(Ok(()));
        }
        if this.closing == Closing::Open {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        if this.closing == Closing::Done { Poll::Ready(Ok(())) } else { this.poll_linger(cx) }
    }
}

impl Drop for ClientIo {
    /// RFC 9112 §8: what breaks off must not look complete. To a client of HTTP/1.0 an orderly end would be the end of the body.
    fn drop(&mut self) {
        if self.watch.must_reset() {
            let _ = SockRef::from(self.stream.inner()).set_linger(Some(Duration::ZERO));
        }
    }
}
