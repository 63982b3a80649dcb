//! The body of a response on its way to the client.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::AsyncRead;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::AbortHandle;

use super::connection::Connection;
use super::upload::Upload;
use crate::body::{BodyError, TrailerFilter};
use crate::http1::{Content, Length, Piece};

/// What has to be settled when a response has come to its end: the connection may carry another request.
pub(in crate::proxy) type Settle = Box<dyn FnOnce(Connection) + Send>;

/// A response body. At its end the connection is given back; a body that is dropped before takes the connection with it, which is how
/// the server learns that the client has gone away.
pub(in crate::proxy) struct Download {
    source: Source,
    content: Content,
    trailers: TrailerFilter,
}

/// Where the rest of a response comes from.
enum Source {
    /// A connection, and what is to be done with it at the end.
    Whole(Connection, Option<Settle>),
    /// One over which the rest of the request is still sent, since the server did not wait for it. It carries no further request.
    Half(Connection<OwnedReadHalf>, #[expect(dead_code, reason = "ends the task when it is dropped")] Abort),
    /// All of it is here.
    Gone,
}

/// Ends a task when it is dropped.
struct Abort(AbortHandle);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Download {
    /// The body behind a head. `settle` gets the connection at the end, unless it must not be used again.
    pub(in crate::proxy) fn new(
        connection: Connection,
        length: Length,
        upload: Upload,
        settle: Option<Settle>,
        trailers: TrailerFilter,
    ) -> Self {
        let source = match upload.is_done() {
            true => Source::Whole(connection, settle),
            false => {
                let (reader, writer) = connection.split();
                Source::Half(reader, go_on(writer, upload))
            }
        };
        // Content of no length has ended here: HTTP/2 has to be told before it asks, for it would wait for what does not come.
        Self { source, content: Content::new(length), trailers }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.source {
            Source::Whole(connection, _) => poll_next(connection, &mut self.content, &self.trailers, cx),
            Source::Half(connection, _) => poll_next(connection, &mut self.content, &self.trailers, cx),
            Source::Gone => Poll::Ready(None),
        }
    }

    /// The last byte is here: the connection is free for the next request, before the client has all of this response.
    fn settle(&mut self) {
        if self.content.has_ended()
            && let Source::Whole(..) = self.source
            && let Source::Whole(connection, Some(settle)) = std::mem::replace(&mut self.source, Source::Gone)
        {
            settle(connection);
        }
    }
}

fn poll_next<S: AsyncRead + Unpin>(
    connection: &mut Connection<S>,
    content: &mut Content,
    filter: &TrailerFilter,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
    if content.has_ended() {
        return Poll::Ready(None);
    }
    loop {
        match content.next(connection.bytes()).map_err(broken)? {
            Some(Piece::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
            Some(Piece::End(trailers)) if trailers.is_empty() => return Poll::Ready(None),
            Some(Piece::End(mut trailers)) => {
                filter(&mut trailers);
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
            None => {}
        }
        if ready!(connection.poll_receive(cx)).map_err(BodyError::Upstream)? == 0 {
            return Poll::Ready(match content.end_by_close() {
                true => None,
                false => Some(Err(BodyError::Upstream(io::ErrorKind::UnexpectedEof.into()))),
            });
        }
    }
}

/// Sends the rest of a request whose response has begun, in a task of its own: the client may not read the response before it has
/// sent everything.
fn go_on(mut writer: OwnedWriteHalf, mut upload: Upload) -> Abort {
    let task = tokio::spawn(async move {
        match std::future::poll_fn(|cx| upload.poll_send(cx, &mut writer)).await {
            // Dropping the writer would half-close the connection, for which some servers break off their response.
            Ok(()) => writer.forget(),
            // Here that is what the server has to learn: the rest will not come.
            Err(error) => tracing::debug!(error = ?error, "the rest of a request could not be sent"),
        }
    });
    Abort(task.abort_handle())
}

fn broken(reason: &'static str) -> BodyError {
    BodyError::Upstream(io::Error::new(io::ErrorKind::InvalidData, reason))
}

impl Body for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let next = ready!(this.poll_next(cx));
        this.settle();
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.content.has_ended()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.left().map(SizeHint::with_exact).unwrap_or_default()
    }
}
