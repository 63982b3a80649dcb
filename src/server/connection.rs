//! One client connection: HTTP/1.1, or HTTP/2 with prior knowledge.

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, server};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

use super::batch::{self, Outbox};
use super::io::{ClientIo, Opening};
use super::watch::{Command, Watch};
use super::worker::Context;
use crate::clock;
use crate::gateway::{self, Connection, Protocol};
use crate::observe::metrics::{self, WorkerCounters};
use crate::peer::PeerAddr;

/// RFC 9113 §6.7: how a peer that is gone without a word is found out.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// CVE-2023-44487 and CVE-2025-8671: resets that a client may cause before the connection is ended.
const MAX_RESETS: usize = 64;
/// Read and write buffer of one connection, at the most.
const MAX_BUFFER: usize = 64 * 1024;

/// Serves a connection to its end.
pub(super) async fn serve(
    stream: TcpStream,
    peer: PeerAddr,
    place: OwnedSemaphorePermit,
    context: Arc<Context>,
) {
    let mut counted = context.worker().counters().map(WorkerCounters::connected);
    let patience = context.patience().header;
    let Ok(Ok(Some(opening))) = tokio::time::timeout(patience, Opening::read(&stream)).await else { return };
    let Ok(local) = stream.local_addr() else { return };
    let protocol = if opening.is_http2() { Protocol::Http2 } else { Protocol::Http1 };
    if let Some(counted) = &mut counted {
        counted.speaks(match protocol {
            Protocol::Http1 => metrics::Protocol::Http1,
            Protocol::Http2 => metrics::Protocol::Http2,
        });
    }
    let lease = Box::new((place, context.alive(), counted));
    let connection = Arc::new(Connection::new(peer, local, protocol, lease));
    let watch = Arc::new(Watch::new(connection.clone(), protocol, clock::monotonic()));
    let _entry = context.registry().enter(watch.clone());
    if context.is_draining() {
        watch.tell(Command::Drain);
    }
    let io = ClientIo::new(stream, opening, watch.clone());
    let result = match protocol {
        Protocol::Http1 => serve_http1(io, connection, &watch, &context).await,
        Protocol::Http2 => serve_http2(io, connection, &watch, &context).await,
    };
    if let Err(error) = result {
        // The client's fault or its network's: nothing that an operator could mend.
        tracing::debug!(client.addr = %peer, error = %error, "a client connection ended badly");
    }
}

async fn serve_http1(io: ClientIo, connection: Arc<Connection>, watch: &Watch, context: &Context) -> Ended {
    let view = context.worker().view();
    let limits = &view.snapshot.config.server;
    let mut builder = server::conn::http1::Builder::new();
    builder
        // Our watch closes slow and idle connections; hyper would arm a timer for every request.
        .header_read_timeout(None)
        .max_header_size(limits.max_header_size)
        .max_buf_size(MAX_BUFFER.max(limits.max_header_size))
        .writev(false);
    if limits.max_headers != 100 {
        // 100 is hyper's default, for which it uses the stack.
        builder.max_headers(limits.max_headers);
    }
    drop(view);
    let worker = context.worker().clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (worker, connection) = (worker.clone(), connection.clone());
        async move { Ok::<_, Infallible>(gateway::handle(worker, connection, request).await) }
    });
    let mut serving = pin!(builder.serve_connection(io, service).with_upgrades());
    drive(watch, None, serving.as_mut(), |serving| serving.graceful_shutdown()).await
}

async fn serve_http2(io: ClientIo, connection: Arc<Connection>, watch: &Watch, context: &Context) -> Ended {
    let view = context.worker().view();
    let limits = &view.snapshot.config.server;
    let mut builder = server::conn::http2::Builder::new(TokioExecutor::new());
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
    drive(watch, Some(&outbox), serving.as_mut(), |serving| serving.graceful_shutdown()).await
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

/// How a connection has ended.
type Ended = Result<(), Box<dyn Error + Send + Sync>>;

/// Polls a connection, sends what it has put into its outbox, and obeys its watch.
async fn drive<C>(
    watch: &Watch,
    outbox: Option<&Outbox>,
    mut serving: Pin<&mut C>,
    drain: impl Fn(Pin<&mut C>),
) -> Ended
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut draining = false;
    let mut known = false;
    poll_fn(|cx: &mut TaskContext<'_>| {
        if !known {
            watch.set_waker(cx.waker());
            known = true;
        }
        match watch.command() {
            Command::Serve => {}
            Command::Drain if draining => {}
            Command::Drain => {
                draining = true;
                drain(serving.as_mut());
            }
            Command::Close => return Poll::Ready(Ok(())),
        }
        let result = serving.as_mut().poll(cx);
        if let Some(Poll::Ready(Err(error))) = outbox.map(|outbox| outbox.poll_send(cx)) {
            return Poll::Ready(Err(error.into()));
        }
        result.map_err(Into::into)
    })
    .await
}
