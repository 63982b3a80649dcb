//! One client connection: HTTP/1.1, or HTTP/2 with prior knowledge.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use bytes::BytesMut;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

use super::watch::{Command, Watch};
use super::worker::Context;
use super::{PREFACE, http1, http2};
use crate::clock;
use crate::gateway::{Connection, Protocol};
use crate::http1::Receiver;
use crate::observe::metrics::{self, WorkerCounters};
use crate::peer::PeerAddr;
use crate::spare::Spares;

/// Serves a connection to its end.
pub(super) async fn serve(
    stream: TcpStream,
    peer: PeerAddr,
    place: OwnedSemaphorePermit,
    context: Arc<Context>,
) {
    let mut counted = context.worker().counters().map(WorkerCounters::connected);
    let Ok(local) = stream.local_addr() else { return };
    let (reader, writer) = stream.into_split();
    let mut receiver = Receiver::new(reader);
    let opening = poll_fn(|cx| poll_opening(&mut receiver, context.buffers(), cx));
    let Ok(Ok(protocol)) = tokio::time::timeout(context.patience().header, opening).await else { return };
    if let Some(counted) = &mut counted {
        counted.speaks(match protocol {
            Protocol::Http1 => metrics::Protocol::Http1,
            Protocol::Http2 => metrics::Protocol::Http2,
        });
    }
    let lease = Box::new((place, context.alive(), counted));
    let connection = Arc::new(Connection::new(peer, local, lease));
    let watch = Arc::new(Watch::new(connection.clone(), protocol, clock::monotonic()));
    let _entry = context.registry().enter(watch.clone());
    context.read_date();
    if context.is_draining() {
        watch.tell(Command::Drain);
    }
    let result = match protocol {
        Protocol::Http1 => http1::serve(receiver, writer, &connection, &watch, &context).await,
        // In a box: an idle connection of HTTP/1.1 has no room for it.
        Protocol::Http2 => Box::pin(http2::serve(receiver, writer, &connection, &watch, &context)).await,
    };
    if let Err(error) = result {
        // The client's fault or its network's: nothing that an operator could mend.
        tracing::debug!(client.addr = %peer, error = %error, "a client connection ended badly");
    }
}

/// Receives until it is certain what the client speaks.
fn poll_opening(
    receiver: &mut Receiver,
    buffers: &Spares<BytesMut>,
    cx: &mut TaskContext<'_>,
) -> Poll<io::Result<Protocol>> {
    loop {
        let count = ready!(receiver.poll_receive_by(buffers, cx))?;
        let bytes = receiver.bytes();
        if bytes.starts_with(PREFACE) {
            return Poll::Ready(Ok(Protocol::Http2));
        }
        if count == 0 || !PREFACE.starts_with(bytes) {
            return Poll::Ready(Ok(Protocol::Http1));
        }
    }
}
