//! WebSockets: bytes in both directions after the upstream's `101` (RFC 6455 §4.2.2), and not before.

use std::io;

use http::{HeaderValue, StatusCode, header};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};

use super::headers::{HeaderPolicy, asks_for_websocket};
use super::http1::{Connection, Tunnelled};
use crate::body::ResponseBody;
use crate::message::Response;
use crate::reject::Reject;

/// A WebSocket between a client and an upstream, about to begin.
pub struct Tunnel {
    upstream: Tunnelled,
}

/// What went through a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes from the client.
    pub received: u64,
    /// Bytes to the client.
    pub sent: u64,
}

impl Tunnel {
    /// Carries bytes between the client and the upstream until both have finished, or one has broken off.
    ///
    /// # Errors
    /// What broke, for the log.
    pub async fn run(mut self, mut client: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<Traffic> {
        let (received, sent) = copy_bidirectional(&mut client, &mut self.upstream.stream).await?;
        Ok(Traffic { received, sent })
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
    let upstream = connection.into_tunnel().ok_or_else(|| broke("its connection is gone"))?;
    Ok((response, Tunnel { upstream }))
}
