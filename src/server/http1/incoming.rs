//! What comes from the client: heads for the connection, content for whoever serves the request.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::body::BodyError;
use crate::gateway::Connection;
use crate::http1::{Content, Length, Piece, Receiver};

/// Content that nobody wants is read and forgotten up to this length; beyond it the connection is closed.
const MAX_DISCARDED: u64 = 64 * 1024;

/// The client's direction of a connection. The connection's task has it, and beside it, as long as there is one, who reads the content
/// of the request; they take turns, so the lock is always free.
pub(super) struct Incoming(Mutex<State>);

/// See [`Incoming`].
pub(super) struct State {
    pub(super) receiver: Receiver,
    /// Of the last request.
    pub(super) content: Content,
    /// Whether the client waits to be asked for it (RFC 9110 §10.1.1).
    expects: bool,
    /// Whether it is malformed, so that nobody knows where it ends.
    failed: bool,
    /// Whether somebody may still read it.
    is_read: bool,
    /// The connection's task, which has to know when nobody reads it any more.
    waiter: Option<Waker>,
}

impl Incoming {
    /// What a new connection receives.
    pub(super) fn shared(receiver: Receiver) -> Arc<Self> {
        let content = Content::new(Length::Exact(0));
        let (expects, failed, is_read, waiter) = Default::default();
        Arc::new(Self(Mutex::new(State { receiver, content, expects, failed, is_read, waiter })))
    }

    /// For another protocol.
    pub(super) fn into_receiver(self) -> Receiver {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).receiver
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The content of the next request.
    pub(super) fn begin(&mut self, length: Length, expects: bool) {
        self.content = Content::new(length);
        self.expects = expects;
        self.is_read = true;
    }

    /// The final response begins: the client is not asked for content any more. Returns whether a request can follow behind what is
    /// left of the content.
    pub(super) fn end(&mut self) -> bool {
        // A client that waited to be asked may now send its content or not.
        let waits = std::mem::take(&mut self.expects);
        if !self.is_read {
            self.discard();
        }
        let is_short = self.content.left().is_some_and(|left| left <= MAX_DISCARDED);
        // Who still holds what has ended, since a server takes it slowly, would be taken for the reader of the next one.
        !self.failed && !self.is_read && (self.content.has_ended() || !waits && is_short)
    }

    /// Whether it is the connection that has to read on: the content is over, or nobody wants it, and then it is forgotten.
    pub(super) fn is_left_alone(&mut self) -> bool {
        if !self.is_read {
            self.discard();
        }
        !self.is_read || self.content.has_ended()
    }

    /// Wakes the connection's task when whoever reads the content is done with it: from then on only that task can notice the end of
    /// the connection.
    pub(super) fn tell_when_left(&mut self, waiter: &Waker) {
        if self.is_read {
            self.waiter = Some(waiter.clone());
        }
    }

    /// Forgets what is here of the content. Returns whether that was the rest.
    pub(super) fn discard(&mut self) -> bool {
        while !self.content.has_ended() && !self.failed {
            match self.content.next(self.receiver.bytes()) {
                Ok(Some(_)) => {}
                Ok(None) => return false,
                Err(_) => self.failed = true,
            }
        }
        if self.failed {
            self.receiver.bytes().clear();
        }
        !self.failed
    }

    fn poll_content(
        &mut self,
        cx: &mut Context<'_>,
        connection: &Connection,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            if self.content.has_ended() {
                return Poll::Ready(None);
            }
            match self.content.next(self.receiver.bytes()) {
                Ok(Some(Piece::Data(data))) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(Some(Piece::End(trailers))) if trailers.is_empty() => return Poll::Ready(None),
                Ok(Some(Piece::End(trailers))) => {
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Ok(None) => {}
                Err(reason) => {
                    self.failed = true;
                    return Poll::Ready(Some(Err(BodyError::Broken(reason.into()))));
                }
            }
            if std::mem::take(&mut self.expects) {
                connection.interim().ask_for_body();
            }
            let broken = |error: io::Error| BodyError::Broken(error.into());
            if ready!(self.receiver.poll_receive(cx)).map_err(broken)? == 0 {
                self.failed = true;
                return Poll::Ready(Some(Err(broken(io::ErrorKind::UnexpectedEof.into()))));
            }
        }
    }
}

/// The content of one request.
pub(super) struct RequestContent {
    incoming: Arc<Incoming>,
    connection: Arc<Connection>,
}

impl RequestContent {
    pub(super) fn new(incoming: Arc<Incoming>, connection: Arc<Connection>) -> Self {
        Self { incoming, connection }
    }
}

impl Body for RequestContent {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.incoming.lock().poll_content(cx, &self.connection)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.lock().content.has_ended()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.lock().content.left().map(SizeHint::with_exact).unwrap_or_default()
    }
}

impl Drop for RequestContent {
    fn drop(&mut self) {
        let mut incoming = self.incoming.lock();
        incoming.is_read = false;
        if let Some(waiter) = incoming.waiter.take() {
            waiter.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use http_body::Body;
    use tokio::net::{TcpListener, TcpStream};

    use super::{Incoming, RequestContent};
    use crate::gateway::Connection;
    use crate::http1::{Length, Receiver};
    use crate::peer::PeerAddr;

    /// The server has answered, and the end of the content that it was sent is not with it yet. A second request that is here already
    /// would lose what the first one's reader says that nobody wants.
    #[tokio::test]
    async fn no_request_follows_while_somebody_holds_the_content_of_the_one_before() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let connection = Arc::new(Connection::new(PeerAddr(address), address, Box::new(())));
        let incoming = Incoming::shared(Receiver::new(stream.into_split().0));
        incoming.lock().receiver.bytes().extend_from_slice(b"whole");
        incoming.lock().begin(Length::Exact(5), false);
        let mut reader = RequestContent::new(incoming.clone(), connection);
        let piece = Pin::new(&mut reader).poll_frame(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(piece, Poll::Ready(Some(Ok(_)))) && reader.is_end_stream());
        assert!(!incoming.lock().end());
        drop(reader);
        assert!(incoming.lock().end());
    }
}
