//! The socket as it is written to: the watch learns of progress, and what breaks off does not look complete.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::AsyncWrite;
use tokio::net::tcp::OwnedWriteHalf;

use super::watch::Watch;

/// Our direction of a client connection. Dropping it closes it.
pub(super) struct Outlet<'a> {
    /// A WebSocket takes it away.
    writer: Option<OwnedWriteHalf>,
    watch: &'a Watch,
    open_ended: bool,
}

impl<'a> Outlet<'a> {
    pub(super) fn new(writer: OwnedWriteHalf, watch: &'a Watch) -> Self {
        Self { writer: Some(writer), watch, open_ended: false }
    }

    /// Whether a response is under way that only the end of the connection ends.
    pub(super) fn set_open_ended(&mut self, value: bool) {
        self.open_ended = value;
    }

    /// For another protocol.
    pub(super) fn into_writer(mut self) -> Option<OwnedWriteHalf> {
        self.writer.take()
    }

    fn poll_with<T>(
        &mut self,
        poll: impl FnOnce(Pin<&mut OwnedWriteHalf>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match &mut self.writer {
            Some(writer) => poll(Pin::new(writer)),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncWrite for Outlet<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = this.poll_with(|writer| writer.poll_write(cx, bytes));
        this.watch.has_written(result.is_pending());
        result
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = this.poll_with(|writer| writer.poll_write_vectored(cx, pieces));
        this.watch.has_written(result.is_pending());
        result
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_with(|writer| writer.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_with(|writer| writer.poll_shutdown(cx))
    }
}

impl Drop for Outlet<'_> {
    /// RFC 9112 §8: to a client of HTTP/1.0 an orderly end would be the end of the body, and to one that has not taken what was
    /// written it would come behind half of it.
    fn drop(&mut self) {
        if (self.open_ended || self.watch.is_write_blocked())
            && let Some(writer) = self.writer.take()
        {
            let _ = SockRef::from(writer.as_ref()).set_linger(Some(Duration::ZERO));
            // Dropped, it would end our direction in order first.
            writer.forget();
        }
    }
}
