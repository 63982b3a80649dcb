//! A request on its way to a server.
//!
//! The body can be held back until the server says `100 Continue` (RFC 9110 §10.1.1), so that a client that asks first is answered by
//! the one who knows.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::AsyncWrite;
use tokio::time::{Sleep, sleep};

use crate::body::RequestBody;
use crate::clock;
use crate::http1::{Framing, SendError, Sender, Trailers};

/// A server that does not answer the expectation within this time gets the body, as RFC 9110 §10.1.1 has it for clients.
const PATIENCE: Duration = Duration::from_secs(1);

/// A request that is being sent.
pub(in crate::proxy) struct Upload {
    sender: Sender<RequestBody>,
    hold: Hold,
    done_at: Option<Instant>,
}

enum Hold {
    Released,
    Held(Option<Pin<Box<Sleep>>>),
}

impl Upload {
    /// A request with this head. `expects` is whether the client waits for `100 Continue`.
    pub(in crate::proxy) fn new(head: Vec<u8>, framing: Framing, body: RequestBody, expects: bool) -> Self {
        let hold = if expects && framing != Framing::Empty { Hold::Held(None) } else { Hold::Released };
        Self { sender: Sender::new(head, framing, body, Trailers::Sent), hold, done_at: None }
    }

    /// The server wants the body.
    pub(super) fn release(&mut self) {
        self.hold = Hold::Released;
    }

    /// Whether all of it is sent.
    pub(in crate::proxy) fn is_done(&self) -> bool {
        self.sender.is_done()
    }

    /// Whether all that came of it is sent, and more has to come.
    pub(super) fn awaits_client(&self) -> bool {
        self.sender.awaits_body()
    }

    /// When the end of the body was sent; `None` before that, and for a request without one.
    pub(super) fn done_at(&self) -> Option<Instant> {
        self.done_at
    }

    /// Bytes sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.sender.sent()
    }

    /// Whether not a byte of it has been sent.
    pub(in crate::proxy) fn is_untouched(&self) -> bool {
        self.sender.sent() == 0
    }

    /// Makes it ready to be sent over another connection, if all of it is still here.
    pub(in crate::proxy) fn rewind(&mut self) -> bool {
        self.sender.rewind()
    }

    /// The memory that the head was in.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.sender.into_buffer()
    }

    /// Sends as much as there is. Ready when all is sent.
    pub(in crate::proxy) fn poll_send<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        writer: &mut W,
    ) -> Poll<Result<(), SendError>> {
        if let Hold::Held(patience) = &mut self.hold {
            ready!(self.sender.poll_flush(cx, writer)).map_err(SendError::Io)?;
            ready!(patience.get_or_insert_with(|| Box::pin(sleep(PATIENCE))).as_mut().poll(cx));
            self.release();
        }
        ready!(self.sender.poll_send(cx, writer))?;
        if self.sender.framing() != Framing::Empty {
            self.done_at.get_or_insert_with(clock::monotonic);
        }
        Poll::Ready(Ok(()))
    }
}
