//! The end of a connection: in order, announced and decided (RFC 9113 §6.8), and then so that nothing of it is lost.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Poll, ready};

use tokio::io::AsyncWrite;

use super::Client;
use super::frame::{self, Code, MAX_31_BITS};
use crate::server::watch::Command;

/// What the ping says behind which the last stream of a connection is known.
pub(super) const LEAVE: [u8; 8] = *b"leaving!";

/// How far the end of the connection is (RFC 9113 §6.8).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    No,
    /// The client was told that there will be a last stream; its answer to the ping says that it knows.
    Announced,
    /// There are no more streams, by our word or by the client's.
    Decided,
}

impl Client<'_> {
    /// The first of two notices: streams that the client has begun meanwhile are still served.
    pub(super) fn announce_end(&mut self) {
        if self.leaving == Leaving::No {
            self.leaving = Leaving::Announced;
            frame::write_go_away(&mut self.output.bytes, MAX_31_BITS, Code::NoError);
            frame::write_ping(&mut self.output.bytes, LEAVE, false);
        }
    }

    /// The client has said the same.
    pub(super) fn announce_no_more(&mut self) {
        if self.leaving == Leaving::No {
            self.leaving = Leaving::Announced;
        }
        self.decide_end();
    }

    /// The second one.
    pub(super) fn decide_end(&mut self) {
        if self.leaving == Leaving::Announced {
            self.leaving = Leaving::Decided;
            frame::write_go_away(&mut self.output.bytes, self.last_stream, Code::NoError);
        }
    }

    /// Ends the connection. What the client still sends is read and forgotten: `close` on a socket with unread bytes resets the
    /// connection, and a reset can take away the last frames. The watch bounds the time.
    pub(super) async fn close(&mut self, mut sending: Sending) -> io::Result<()> {
        self.watch.tell(Command::Drain);
        poll_fn(|cx| {
            ready!(self.poll_send(cx))?;
            pin!(&mut self.outlet).poll_shutdown(cx)
        })
        .await?;
        poll_fn(|cx| {
            loop {
                self.receiver.bytes().clear();
                match self.receiver.poll_receive_by(self.context.buffers(), cx) {
                    Poll::Ready(Ok(count)) if count > 0 => sending = Sending::Yes,
                    Poll::Pending if sending == Sending::Yes => return Poll::Pending,
                    // A client that has not been sending has nothing to lose.
                    Poll::Ready(_) | Poll::Pending => return Poll::Ready(Ok(())),
                }
            }
        })
        .await
    }
}

/// Whether the client is sending what nobody reads any more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    Maybe,
    Yes,
}
