//! One client connection: HTTP/1.1, or HTTP/2 with prior knowledge.

use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

use super::io::{ClientIo, Opening};
use super::watch::{Command, Watch};
use super::worker::Context;
use super::{http1, http2};
use crate::clock;
use crate::gateway::{Connection, Protocol};
use crate::observe::metrics::{self, WorkerCounters};
use crate::peer::PeerAddr;

/// Read and write buffer of one connection, at the most.
pub(super) const MAX_BUFFER: usize = 64 * 1024;

/// How a connection has ended.
pub(super) type Ended = Result<(), Box<dyn Error + Send + Sync>>;

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
    let io = ClientIo::new(stream, opening.into_bytes(), watch.clone());
    // hyper's part is boxed: a connection that waits, for its first request or the next one, has no room for it.
    let result = match protocol {
        Protocol::Http1 => http1::serve(io, &connection, &watch, &context).await,
        Protocol::Http2 => Box::pin(http2::serve(io, connection, &watch, &context)).await,
    };
    if let Err(error) = result {
        // The client's fault or its network's: nothing that an operator could mend.
        tracing::debug!(client.addr = %peer, error = %error, "a client connection ended badly");
    }
}

/// Polls hyper's part of a connection and obeys its watch. `end` lets hyper finish what is in flight; `then` is called with the outcome
/// of each poll.
pub(super) async fn drive<C>(
    watch: &Watch,
    mut serving: Pin<&mut C>,
    end: impl Fn(Pin<&mut C>),
    mut then: impl FnMut(Pin<&mut C>, Poll<hyper::Result<()>>, &mut TaskContext<'_>) -> Poll<Ended>,
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
            Command::Serve | Command::Rest => {}
            Command::Drain if draining => {}
            Command::Drain => {
                draining = true;
                end(serving.as_mut());
            }
            Command::Close => return Poll::Ready(Ok(())),
        }
        let result = serving.as_mut().poll(cx);
        then(serving.as_mut(), result, cx)
    })
    .await
}
