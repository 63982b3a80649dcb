//! HTTP/1.1 with a client (RFC 9112): one request after the other, each in the connection's own task.
//!
//! A connection that waits has no buffer: it gets one when it can be read, and what has come of a request is kept in as much memory as it
//! needs. What can be read as a request is answered by the gateway, and so is what cannot.

mod head;
mod incoming;
mod response;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io::{self, Cursor};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use http::{Method, Version};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, join};
use tokio::net::tcp::OwnedWriteHalf;

use self::head::{HeadReader, Received};
use self::incoming::{Incoming, RequestContent};
use self::response::Meaning;
use super::outlet::Outlet;
use super::watch::{Command, Watch};
use super::worker::Context;
use crate::body::{BodyError, Stream};
use crate::gateway::{self, Connection, Switched, Tracked};
use crate::http1::{Framing, Length, Receiver, SendError, Sender, Trailers};
use crate::message::Response;
use crate::reject::Reject;

/// When a client has sent so many bytes ahead of the answer to its request, or some more by one read, the rest is left in the socket.
const MAX_AHEAD: usize = 64 * 1024;

/// Serves requests until the connection ends.
pub(super) async fn serve(
    receiver: Receiver,
    writer: OwnedWriteHalf,
    connection: &Arc<Connection>,
    watch: &Watch,
    context: &Context,
) -> io::Result<()> {
    let client = Client {
        incoming: Incoming::shared(receiver),
        outlet: Outlet::new(writer, watch),
        heads: HeadReader::new(&context.worker().view().snapshot.config.server),
        interim: Vec::new(),
        connection,
        watch,
        context,
    };
    watch.over(pin!(client.serve())).await
}

/// A client connection.
struct Client<'a> {
    incoming: Arc<Incoming>,
    outlet: Outlet<'a>,
    heads: HeadReader,
    /// What is left to write of interim responses.
    interim: Vec<u8>,
    connection: &'a Arc<Connection>,
    watch: &'a Watch,
    context: &'a Context,
}

/// What follows a response.
enum Next {
    Request,
    End(Sending),
    WebSocket(Switched),
}

/// What a client waits for while we watch whether it is still there.
#[derive(Clone, Copy)]
enum Wait {
    /// That comes soon, so the connection keeps its buffer: if it leaves what a head has not filled, several heads share one, which is
    /// free again when the last of them has gone, and each eighth request or so needs a new one.
    Response,
    /// That can take hours.
    Stream,
}

/// Whether the client may be sending what nobody reads any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sending {
    Maybe,
    No,
}

impl Client<'_> {
    async fn serve(mut self) -> io::Result<()> {
        while let Some(head) = poll_fn(|cx| self.poll_head(cx)).await? {
            // In a box, since a connection that waits has no room for it.
            let next = match head {
                Ok(head) => Box::pin(self.exchange(head)).await?,
                Err(reject) => Box::pin(self.refuse(reject)).await?,
            };
            match next {
                Next::Request => {}
                Next::End(sending) => return self.linger(sending).await,
                Next::WebSocket(switched) => return Box::pin(self.carry(switched)).await,
            }
        }
        if self.watch.command() == Command::Serve {
            return Ok(());
        }
        let sends = if self.incoming.lock().discard() { Sending::No } else { Sending::Maybe };
        self.linger(sends).await
    }

    /// Reads the head of the next request; `None` if there is no other one.
    fn poll_head(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<Option<Result<Received, Reject>>>> {
        let mut incoming = self.incoming.lock();
        loop {
            let is_free = incoming.discard();
            let received = incoming.receiver.bytes();
            if is_free && !received.is_empty() {
                if let Some(head) = self.heads.take(received).transpose() {
                    return Poll::Ready(Ok(Some(head)));
                }
                // A part of a head is one that has begun, also if it came along with the request before it.
                self.watch.has_read();
            } else if self.watch.command() == Command::Drain {
                return Poll::Ready(Ok(None));
            }
            let count = ready!(incoming.receiver.poll_receive_by(self.context.buffers(), cx))?;
            self.watch.has_read();
            if count == 0 {
                return Poll::Ready(Ok(None));
            }
        }
    }

    /// One request and its response.
    async fn exchange(&mut self, received: Received) -> io::Result<Next> {
        let Received { head, length, keeps, expects, trailers } = received;
        let (is_head, version) = (head.method == Method::HEAD, head.version);
        // It is refused, and what a client has sent behind it without waiting is for the tunnel, not for us.
        let connects = head.method == Method::CONNECT;
        let body = length.map(|length| self.content(length, expects));
        let response = {
            let mut handling = pin!(gateway::handle(self.context.worker(), self.connection, head, body));
            let mut has_waited = false;
            poll_fn(|cx| match handling.as_mut().poll(cx) {
                Poll::Ready(response) => Poll::Ready(Ok(response)),
                Poll::Pending => {
                    ready!(self.poll_interim(cx))?;
                    if !std::mem::replace(&mut has_waited, true) {
                        // A request that is forwarded lets the others go first, and comes back at once. Until then there is
                        // nothing new to see of the client: 300 instructions of 28,000.
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    self.poll_gone(cx, Wait::Response).map(Err)
                }
            })
            .await?
        };
        let keeps = self.incoming.lock().end() && keeps && !connects;
        self.respond(response, Meaning { is_head, version, trailers, keeps }).await
    }

    /// Answers what is no request.
    async fn refuse(&mut self, reject: Reject) -> io::Result<Next> {
        let response = gateway::refuse(self.context.worker(), self.connection, Version::HTTP_11, reject);
        let meaning = Meaning { is_head: false, version: Version::HTTP_11, trailers: false, keeps: false };
        self.respond(response, meaning).await?;
        Ok(Next::End(Sending::Maybe))
    }

    /// The content of a request.
    fn content(&self, length: Length, expects: bool) -> Stream {
        self.incoming.lock().begin(length, expects);
        Box::new(RequestContent::new(self.incoming.clone(), self.connection.clone()))
    }

    async fn respond(&mut self, mut response: Response<Tracked>, mut meaning: Meaning) -> io::Result<Next> {
        meaning.keeps &= self.watch.command() == Command::Serve;
        self.take_interim();
        let mut out = self.context.take_spare();
        out.append(&mut self.interim);
        let framing = response::write(&mut out, &response, &mut meaning, &self.context.date());
        let switched = response.body.take_switched();
        let trailers = if meaning.trailers { Trailers::Sent } else { Trailers::Dropped };
        let mut sender = Sender::new(out, framing, response.body, trailers);
        self.outlet.set_open_ended(framing == Framing::UntilClose);
        match poll_fn(|cx| self.poll_send(&mut sender, cx)).await {
            Ok(()) => {
                self.outlet.set_open_ended(false);
                self.context.give_spare(sender.into_buffer());
            }
            Err(SendError::Io(error)) => return Err(error),
            // What came before it is sent, unless a client that may have it no more would have to be waited for. That it is not
            // all shows by the end of the connection.
            Err(SendError::Body(error)) => {
                let is_over = matches!(error, BodyError::TokenEnded(_));
                poll_fn(|cx| match sender.poll_flush(cx, &mut self.outlet) {
                    Poll::Pending if is_over => Poll::Ready(Ok(())),
                    flushed => flushed,
                })
                .await?;
                return Err(io::Error::other(error));
            }
        }
        Ok(match switched {
            Some(switched) => Next::WebSocket(switched),
            None if meaning.keeps => Next::Request,
            None if self.incoming.lock().content.has_ended() => Next::End(Sending::No),
            None => Next::End(Sending::Maybe),
        })
    }

    fn poll_send(
        &mut self,
        sender: &mut Sender<Tracked>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Result<(), SendError>> {
        let result = sender.poll_send(cx, &mut self.outlet);
        // A client that takes nothing keeps the sender from asking the body.
        if result.is_pending() && sender.body().is_some_and(Tracked::has_lost_its_token) {
            return Poll::Ready(Err(SendError::Io(io::ErrorKind::ConnectionAborted.into())));
        }
        if result.is_pending() && sender.awaits_body() {
            self.incoming.lock().tell_when_left(cx.waker());
            return self.poll_gone(cx, Wait::Stream).map(|error| Err(SendError::Io(error)));
        }
        result
    }

    /// Writes the interim responses that there are.
    fn poll_interim(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        // A client that takes none of them gets no more: what waits at the other end is bounded.
        if self.interim.is_empty() {
            self.take_interim();
        }
        while !self.interim.is_empty() {
            let count = ready!(Pin::new(&mut self.outlet).poll_write(cx, &self.interim))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.interim.drain(..count);
        }
        Poll::Ready(Ok(()))
    }

    fn take_interim(&mut self) {
        if self.connection.interim().waits() {
            for (status, fields) in self.connection.interim().take() {
                response::write_interim(&mut self.interim, status, &fields);
            }
        }
    }

    /// Ready when the client has gone away. Until then what it sends ahead is kept for later.
    fn poll_gone(&mut self, cx: &mut TaskContext<'_>, wait: Wait) -> Poll<io::Error> {
        let mut incoming = self.incoming.lock();
        // As long as content comes, who reads it learns of the end.
        while incoming.is_left_alone() && incoming.receiver.bytes().len() < MAX_AHEAD {
            let received = match wait {
                Wait::Response => incoming.receiver.poll_receive(cx),
                Wait::Stream => incoming.receiver.poll_receive_by(self.context.buffers(), cx),
            };
            match ready!(received) {
                Ok(0) => return Poll::Ready(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) => return Poll::Ready(error),
            }
        }
        Poll::Pending
    }

    /// Carries the bytes of a WebSocket to its end.
    async fn carry(self, switched: Switched) -> io::Result<()> {
        // A handshake has no content, so nobody else holds it.
        if let (Some(writer), Some(incoming)) = (self.outlet.into_writer(), Arc::into_inner(self.incoming)) {
            let (reader, ahead) = incoming.into_receiver().into_parts();
            switched.run(join(Cursor::new(ahead).chain(reader), writer)).await;
        }
        Ok(())
    }

    /// Ends the connection. What the client still sends is read and forgotten: `close` on a socket with unread bytes resets the
    /// connection, and a reset can take away the response that the client has not read yet, such as the 413 for the very bytes. The
    /// watch bounds the time.
    async fn linger(mut self, sending: Sending) -> io::Result<()> {
        self.outlet.shutdown().await?;
        let mut sends = sending == Sending::Maybe;
        // The header timeout begins.
        self.watch.has_read();
        poll_fn(|cx| {
            let mut incoming = self.incoming.lock();
            loop {
                sends |= !incoming.receiver.bytes().is_empty();
                incoming.receiver.bytes().clear();
                match incoming.receiver.poll_receive_by(self.context.buffers(), cx) {
                    Poll::Ready(Ok(count)) if count > 0 => {}
                    Poll::Pending if sends => return Poll::Pending,
                    // A client that has not been sending has nothing to lose.
                    Poll::Ready(_) | Poll::Pending => return Poll::Ready(Ok(())),
                }
            }
        })
        .await
    }
}
