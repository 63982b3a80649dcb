//! WebSockets: bytes in both directions after the upstream's `101` (RFC 6455 §4.2.2), and not before.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderValue, Response, header};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use super::headers::{HeaderPolicy, asks_for_websocket};
use crate::body::ResponseBody;
use crate::reject::Reject;

/// A WebSocket between a client and an upstream, about to begin.
pub struct Tunnel {
    client: OnUpgrade,
    upstream: OnUpgrade,
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
    /// Carries bytes until both sides have finished, or one has broken off.
    ///
    /// # Errors
    /// What broke, for the log.
    pub async fn run(self) -> Result<Traffic, Box<dyn std::error::Error + Send + Sync>> {
        let (client, upstream) = tokio::try_join!(self.client, self.upstream)?;
        let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
        let (received, sent) = copy_bidirectional(&mut client, &mut upstream).await?;
        Ok(Traffic { received, sent })
    }
}

/// Asks the upstream for what the client asked us for. The client's own fields are gone with the other hop-by-hop ones.
pub(super) fn ask(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

/// Takes the upstream's `101`: it must be for a WebSocket.
pub(super) fn accept(
    mut response: Response<Incoming>,
    client: OnUpgrade,
    policy: &HeaderPolicy,
    server: SocketAddr,
) -> Result<(Response<ResponseBody>, Tunnel), Reject> {
    if !asks_for_websocket(response.headers()) {
        let reason = "it switched to a protocol that nobody asked for".to_owned();
        return Err(Reject::UpstreamBroke { server, reason });
    }
    let upstream = hyper::upgrade::on(&mut response);
    policy.incoming(response.headers_mut());
    ask(response.headers_mut());
    Ok((response.map(|_| ResponseBody::empty()), Tunnel { client, upstream }))
}
