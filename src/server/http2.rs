//! HTTP/2 with a client, with prior knowledge (RFC 9113 §3.3).

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::MapErr;
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::net::tcp::OwnedWriteHalf;

use super::batch;
use super::connection::Ended;
use super::io::ClientIo;
use super::watch::{Command, Watch};
use super::worker::Context;
use crate::body::{BodyError, Stream};
use crate::gateway::{self, Connection, Tracked};
use crate::http1::Receiver;
use crate::inbound::{REQUEST_ID, RequestId};
use crate::message::Response;

/// Bytes of a response that may wait for the client's window.
const MAX_SEND_BUFFER: usize = 64 * 1024;
/// RFC 9113 §6.7: how a peer that is gone without a word is found out.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// CVE-2023-44487 and CVE-2025-8671: resets that a client may cause before the connection is ended.
const MAX_RESETS: usize = 64;

/// Lets hyper serve, and sends what it writes in batches.
pub(super) async fn serve(
    receiver: Receiver,
    writer: OwnedWriteHalf,
    connection: Arc<Connection>,
    watch: &Arc<Watch>,
    context: &Context,
) -> Ended {
    let (reader, ahead) = receiver.into_parts();
    let io = ClientIo::new(reader.reunite(writer)?, ahead, watch.clone());
    let worker = context.worker().clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (worker, connection) = (worker.clone(), connection.clone());
        let (head, body) = request.into_parts();
        let (head, body) = (Box::new(head.into()), content(body));
        async move { Ok::<_, Infallible>(named(gateway::handle(&worker, &connection, head, body).await)) }
    });
    let (io, outbox) = batch::split(io);
    let mut serving = pin!(builder(context).serve_connection(io, service));
    let (mut draining, mut known) = (false, false);
    poll_fn(|cx| {
        if !std::mem::replace(&mut known, true) {
            watch.set_waker(cx.waker());
        }
        match watch.command() {
            Command::Drain if !std::mem::replace(&mut draining, true) => {
                serving.as_mut().graceful_shutdown();
            }
            Command::Serve | Command::Drain => {}
            Command::Close => return Poll::Ready(Ok(())),
        }
        let result = serving.as_mut().poll(cx);
        if let Poll::Ready(Err(error)) = outbox.poll_send(cx) {
            return Poll::Ready(Err(error.into()));
        }
        result.map_err(Into::into)
    })
    .await
}

fn builder(context: &Context) -> Builder<TokioExecutor> {
    let view = context.worker().view();
    let limits = &view.snapshot.config.server;
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(u32::try_from(limits.max_header_size).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_RESETS)
        .max_send_buf_size(MAX_SEND_BUFFER);
    builder
}

/// Puts the request's id into the head, and makes the body fit for hyper.
fn named(mut response: Response<Tracked>) -> http::Response<MapErr<Tracked, ResetBy>> {
    if let Some(id) = response.body.request_id().map(RequestId::to_header) {
        response.fields.remove(&REQUEST_ID);
        response.fields.push(REQUEST_ID, id);
    }
    http::Response::from(response).map(|body| body.map_err(reset_by as ResetBy))
}

/// From what broke a body off to what hyper resets its stream by.
type ResetBy = fn(BodyError) -> Box<dyn Error + Send + Sync>;

/// RFC 9113 §7: CANCEL is for a stream that is not wanted any more, here because its token has ended. gRPC reads it as `CANCELLED`. For
/// everything else hyper takes INTERNAL_ERROR.
fn reset_by(error: BodyError) -> Box<dyn Error + Send + Sync> {
    match error {
        BodyError::TokenEnded(_) => h2::Error::from(h2::Reason::CANCEL).into(),
        error => error.into(),
    }
}

fn content(incoming: Incoming) -> Option<Stream> {
    (!incoming.is_end_stream()).then(|| -> Stream { Box::new(Content(incoming)) })
}

/// The content of a request, which is over only when the client has said so: hyper takes a reset with `NO_ERROR` for an end.
struct Content(Incoming);

impl Body for Content {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.0).poll_frame(cx).map(|next| match next {
            None if !self.0.is_end_stream() => Some(Err(BodyError::Reset)),
            next => next.map(|frame| frame.map_err(|error| BodyError::Broken(error.into()))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
