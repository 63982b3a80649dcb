//! Picks a connection to the server whose turn it is.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::balance::Upstream;
use super::connect::connect;
use super::http1::Socket;
use super::server::Server;
use crate::clock;
use crate::reject::Reject;

/// A connection, and whether it has been used before.
pub(super) struct Picked {
    pub(super) server: Arc<Server>,
    pub(super) socket: Socket,
    pub(super) reused: bool,
}

/// A connection to the server whose turn it is, or to the next one that takes connections.
pub(super) async fn pick(upstream: &Upstream, now: Instant) -> Result<Picked, Reject> {
    let settings = upstream.settings();
    let mut last = None;
    for server in upstream.candidates(now) {
        if let Some(socket) = server.take(now, settings.idle_timeout) {
            server.note_pick();
            return Ok(Picked { server: server.clone(), socket, reused: true });
        }
        // In a box: most requests find a connection, and have no room for this.
        match Box::pin(connect(server, settings.connect_timeout)).await {
            Ok(socket) => {
                server.note_pick();
                return Ok(Picked { server: server.clone(), socket, reused: false });
            }
            Err(error) => {
                server.rest(clock::monotonic());
                tracing::warn!(upstream = %settings.name, server = %server.authority, error = %error, "cannot connect");
                last = Some((server.authority.to_string(), error));
            }
        }
    }
    Err(no_connection(upstream, last))
}

fn no_connection(upstream: &Upstream, last: Option<(String, io::Error)>) -> Reject {
    let reason = last
        .as_ref()
        .map_or_else(|| "all of them rest after a failure".to_owned(), |(_, error)| error.to_string());
    match last {
        Some((server, _)) if !upstream.is_set() => Reject::ConnectFailed { server, reason },
        _ => Reject::NoServer { upstream: upstream.settings().name.to_string(), reason },
    }
}
