//! WebSockets: bytes in both directions after the upstream's `101` (RFC 6455 §4.2.2), and not before.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy, copy_bidirectional, sink};
use tokio::time::timeout;

use super::frames::Frames;
use super::headers::{HeaderPolicy, asks_for_websocket};
use super::http1::{Connection, Tunnelled};
use crate::body::{ResponseBody, TokenEnd};
use crate::message::Response;
use crate::reject::Reject;

/// How long a client has to take a Close frame and to close the connection.
const FAREWELL: Duration = Duration::from_secs(1);

/// RFC 6455 §7.4.1: a message that violates the endpoint's policy.
const POLICY_VIOLATION: u16 = 1008;

/// A WebSocket between a client and an upstream, about to begin.
pub struct Tunnel {
    upstream: Tunnelled,
}

/// What went through a tunnel.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes from the client.
    pub received: u64,
    /// Bytes to the client.
    pub sent: u64,
}

impl Tunnel {
    /// Carries bytes between the client and the upstream until both have finished, one has broken off, or `end` is ready. Then the
    /// upstream's connection is closed at once, and the client's with a Close frame, if one can be sent.
    ///
    /// Returns what went through, and what broke, for the log.
    pub async fn run(
        mut self,
        client: impl AsyncRead + AsyncWrite + Unpin,
        end: impl Future<Output = TokenEnd>,
    ) -> (Traffic, io::Result<()>) {
        let mut client = Client::new(client);
        let ended = tokio::select! {
            biased;
            end = end => Ok(end),
            result = copy_bidirectional(&mut client, &mut self.upstream.stream) => Err(result.map(|_| ())),
        };
        drop(self);
        let result = match ended {
            Err(result) => result,
            // Whether the client has heard of it or not, it is over.
            Ok(end) => {
                let _ = timeout(FAREWELL, client.close(end)).await;
                Ok(())
            }
        };
        (client.traffic, result)
    }
}

/// The client's end of a tunnel.
struct Client<C> {
    stream: C,
    /// Of what was sent to it.
    frames: Frames,
    /// Whether the upstream has finished, and the client was told.
    finished: bool,
    traffic: Traffic,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Client<C> {
    fn new(stream: C) -> Self {
        Self { stream, frames: Frames::default(), finished: false, traffic: Traffic::default() }
    }

    /// Ends the WebSocket (RFC 6455 §7.1.1). A client that waits for the rest of a frame would take a Close frame for it, and gets none.
    async fn close(&mut self, end: TokenEnd) -> io::Result<()> {
        if self.finished || !self.frames.may_close() {
            return Ok(());
        }
        self.stream.write_all(&close_frame(end)).await?;
        self.stream.shutdown().await?;
        // `close` on a socket with unread bytes resets the connection, and a reset can take the frame away.
        copy(&mut self.stream, &mut sink()).await.map(|_| ())
    }
}

/// A Close frame as a server sends it: not masked, with a status code and a reason (RFC 6455 §5.5.1).
fn close_frame(end: TokenEnd) -> Vec<u8> {
    let reason: &[u8] = match end {
        TokenEnd::Revoked => b"token revoked",
        TokenEnd::Expired => b"token expired",
    };
    // Both are far below the 125 bytes of a control frame's payload.
    let length = 2 + reason.len() as u8;
    [&[0x88, length], POLICY_VIOLATION.to_be_bytes().as_slice(), reason].concat()
}

impl<C: AsyncRead + Unpin> AsyncRead for Client<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        this.traffic.received += buffer.filled().len().saturating_sub(before) as u64;
        Poll::Ready(Ok(()))
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Client<C> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let count = ready!(Pin::new(&mut this.stream).poll_write(cx, bytes))?;
        this.frames.follow(bytes.get(..count).unwrap_or_default());
        this.traffic.sent += count as u64;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.finished = true;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

/// Takes the upstream's `101`: it must be for a WebSocket, and the client must have `asked` for one.
pub(super) fn accept(
    mut connection: Connection,
    asked: bool,
    policy: &HeaderPolicy,
) -> Result<(Response<ResponseBody>, Tunnel), Reject> {
    let server = connection.address();
    let broke = |reason: &str| Reject::UpstreamBroke { server, reason: reason.to_owned() };
    if !asked {
        return Err(broke("it switched protocols without being asked to"));
    }
    let fields = std::mem::take(connection.fields());
    if !asks_for_websocket(&fields) {
        return Err(broke("it switched to a protocol that nobody asked for"));
    }
    // Those two are between neighbours: the server's were dropped.
    let fields = policy.incoming(fields);
    let response = Response { status: StatusCode::SWITCHING_PROTOCOLS, fields, body: ResponseBody::empty() }
        .with(header::CONNECTION, HeaderValue::from_static("upgrade"))
        .with(header::UPGRADE, HeaderValue::from_static("websocket"));
    Ok((response, Tunnel { upstream: connection.into_tunnel() }))
}
