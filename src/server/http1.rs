//! HTTP/1.1 with a client: hyper serves requests, and an idle connection waits outside of it.

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::{Builder, UpgradeableConnection};
use hyper::service::service_fn;

use super::connection::{Ended, MAX_BUFFER, drive};
use super::io::ClientIo;
use super::watch::{Command, Stay, Watch};
use super::worker::Context;
use crate::gateway::{self, Connection};

/// While a worker has more connections in hyper than this, those that fall idle leave it at once, and their buffers serve the next
/// ones. An idle connection holds 22 KiB there, and less than 3 KiB outside. To leave and come back costs 6,300 instructions, 8 % of
/// a forwarded request, which connections below this number are spared.
const MAX_IN_HYPER: usize = 256;

/// Lets hyper serve requests, and waits without it while there are none.
pub(super) async fn serve(
    mut io: ClientIo,
    connection: &Arc<Connection>,
    watch: &Watch,
    context: &Context,
) -> Ended {
    while let Some(Left { io: socket, ahead }) =
        Box::pin(visit_hyper(io, connection.clone(), watch, context)).await?
    {
        let client = connection.peer();
        io = if ahead.is_empty() {
            // Even empty it would keep hyper's buffer.
            drop(ahead);
            tracing::trace!(client.addr = %client, "an idle connection rests");
            rest(&socket, watch).await;
            socket.again(Bytes::new())
        } else {
            tracing::trace!(client.addr = %client, "a connection does not rest: a part of its next request is here");
            socket.again(ahead)
        };
    }
    Ok(())
}

/// Waits until the client goes on, or the watch wants something.
async fn rest(io: &ClientIo, watch: &Watch) {
    watch.set_stay(Stay::Resting);
    poll_fn(|cx| match watch.command() {
        Command::Serve | Command::Rest => io.poll_readable(cx),
        // The next hyper connection does it.
        Command::Drain | Command::Close => Poll::Ready(()),
    })
    .await;
    watch.set_stay(Stay::InHyper);
}

/// What hyper leaves of a connection that has not ended.
struct Left {
    io: ClientIo,
    /// What it has read of the next request.
    ahead: Bytes,
}

/// Lets hyper serve until the connection ends, or is idle and does better without it.
async fn visit_hyper(
    io: ClientIo,
    connection: Arc<Connection>,
    watch: &Watch,
    context: &Context,
) -> Result<Option<Left>, Box<dyn Error + Send + Sync>> {
    let visitors = Visitor::count(context.in_hyper());
    let worker = context.worker().clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (worker, connection) = (worker.clone(), connection.clone());
        async move { Ok::<_, Infallible>(gateway::handle(worker, connection, request).await) }
    });
    let mut serving = builder(context).serve_connection(io, service).with_upgrades();
    let end = |serving: Pin<&mut _>| UpgradeableConnection::graceful_shutdown(serving);
    drive(watch, Pin::new(&mut serving), end, |serving, result, cx| {
        let leaves = result.is_pending() && (watch.command() == Command::Rest || visitors.are_many());
        let result = if leaves {
            watch.serve_on();
            leave(watch, serving, end, cx)
        } else {
            result
        };
        result.map_err(Into::into)
    })
    .await?;
    let parts = serving.into_parts().filter(|parts| parts.io.is_resting());
    Ok(parts.map(|parts| Left { io: parts.io, ahead: parts.read_buf }))
}

/// Counts the connections of a worker that hyper holds.
struct Visitor<'a>(&'a AtomicUsize);

impl<'a> Visitor<'a> {
    fn count(all: &'a AtomicUsize) -> Self {
        all.fetch_add(1, Ordering::Relaxed);
        Self(all)
    }

    fn are_many(&self) -> bool {
        self.0.load(Ordering::Relaxed) > MAX_IN_HYPER
    }
}

impl Drop for Visitor<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn builder(context: &Context) -> Builder {
    let view = context.worker().view();
    let limits = &view.snapshot.config.server;
    let mut builder = Builder::new();
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
    builder
}

/// Ends hyper's part in a connection that is idle. hyper lets go of an idle connection at once and writes nothing, not even
/// `connection: close`; of one that is not it would close the socket later, which [`Watch::can_rest`] rules out. The socket's end is
/// [`ClientIo`]'s business, which keeps it open.
fn leave<C>(
    watch: &Watch,
    mut serving: Pin<&mut C>,
    end: impl Fn(Pin<&mut C>),
    cx: &mut TaskContext<'_>,
) -> Poll<hyper::Result<()>>
where
    C: Future<Output = hyper::Result<()>>,
{
    if !watch.can_rest() {
        return Poll::Pending;
    }
    watch.set_stay(Stay::Leaving);
    end(serving.as_mut());
    let result = serving.poll(cx);
    watch.set_stay(Stay::InHyper);
    result
}
