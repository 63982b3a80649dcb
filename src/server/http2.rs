//! HTTP/2 with a client, with prior knowledge (RFC 9113 §3.3).

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::batch;
use super::connection::{Ended, MAX_BUFFER, drive};
use super::io::ClientIo;
use super::watch::Watch;
use super::worker::Context;
use crate::gateway::{self, Connection};

/// RFC 9113 §6.7: how a peer that is gone without a word is found out.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// CVE-2023-44487 and CVE-2025-8671: resets that a client may cause before the connection is ended.
const MAX_RESETS: usize = 64;

/// Lets hyper serve, and sends what it writes in batches.
pub(super) async fn serve(
    io: ClientIo,
    connection: Arc<Connection>,
    watch: &Watch,
    context: &Context,
) -> Ended {
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
        .max_send_buf_size(MAX_BUFFER);
    drop(view);
    let worker = context.worker().clone();
    let service = service_fn(move |request: Request<Incoming>| {
        Exchange(Box::pin(gateway::handle(worker.clone(), connection.clone(), request)))
    });
    let (io, outbox) = batch::split(io);
    let mut serving = pin!(builder.serve_connection(io, service));
    drive(
        watch,
        serving.as_mut(),
        |serving| serving.graceful_shutdown(),
        |_, result, cx| {
            if let Poll::Ready(Err(error)) = outbox.poll_send(cx) {
                return Poll::Ready(Err(error.into()));
            }
            result.map_err(Into::into)
        },
    )
    .await
}

/// One exchange of an HTTP/2 connection, in a box. hyper and tokio move it seven times until it is a task, and the path of a request
/// is a future of 3 KiB: those moves were 3 % of the instructions of a request. Keeping the boxes for later exchanges won nothing.
struct Exchange<F>(Pin<Box<F>>);

impl<F: Future> Future for Exchange<F> {
    type Output = Result<F::Output, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}
