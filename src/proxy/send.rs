//! Picks a connection to a server and sends a request over it, as far as the head of the response.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;

use super::balance::{Server, Upstream};
use super::connect::connect;
use super::outgoing::{Outgoing, Progress};
use super::pool::Connection;
use crate::body::{BodyFault, Meter};
use crate::clock;
use crate::reject::Reject;

/// A connection that has been idle for longer than this may be one that the server is closing at this moment. Only then a copy of
/// the request is kept for a second try: under load, when copying the headers would cost 2 % of the CPU time, a connection
/// waits for a millisecond or two, and a server that goes away by its own timeout does so after seconds.
const SUSPICIOUS_IDLE: Duration = Duration::from_millis(20);

/// A connection, and whether it has been used before.
pub(super) struct Picked {
    server: Arc<Server>,
    connection: Connection,
    pub(super) idle_since: Option<Instant>,
}

impl Picked {
    pub(super) fn may_be_stale(&self) -> bool {
        self.idle_since
            .is_some_and(|since| clock::monotonic().saturating_duration_since(since) > SUSPICIOUS_IDLE)
    }
}

/// A connection to the server whose turn it is, or to the next one that takes connections.
pub(super) async fn pick(upstream: &Upstream) -> Result<Picked, Reject> {
    let now = clock::monotonic();
    let mut last = None;
    for server in upstream.candidates(now) {
        if let Some((connection, since)) = server.pool.take() {
            return Ok(Picked { server: server.clone(), connection, idle_since: Some(since) });
        }
        match connect(server, upstream.settings().connect_timeout).await {
            Ok(connection) => return Ok(Picked { server: server.clone(), connection, idle_since: None }),
            Err(error) => {
                server.rest(clock::monotonic());
                tracing::warn!(upstream = %upstream.settings().name, server = %server.authority, error = %error, "cannot connect");
                last = Some((server.authority.clone(), error));
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

/// A request that got no response. `unsent` is the request itself if not a byte of it went out.
pub(super) struct Failed {
    pub(super) reject: Reject,
    pub(super) unsent: Option<Box<Request<Outgoing>>>,
}

pub(super) type Sent = (Response<Incoming>, Arc<Server>, Connection);

pub(super) async fn send(
    picked: Picked,
    request: Request<Outgoing>,
    progress: Option<&Arc<Progress>>,
    meter: Option<&Arc<Meter>>,
    upstream: &Upstream,
) -> Result<Sent, Failed> {
    let Picked { server, mut connection, .. } = picked;
    let address = connection.address;
    let limit = upstream.settings().response_timeout;
    let mut response = std::pin::pin!(connection.sender.try_send_request(request));
    let mut deadline = Deadline { at: tokio::time::Instant::now() + limit, received: 0 };
    let result = loop {
        if let Ok(result) = tokio::time::timeout_at(deadline.at, response.as_mut()).await {
            break result;
        }
        if !deadline.move_on(limit, progress, meter) {
            return Err(Failed { reject: Reject::UpstreamTimeout { server: address, limit }, unsent: None });
        }
    };
    match result {
        Ok(response) => Ok((response, server, connection)),
        Err(mut error) => {
            let unsent = error.take_message().map(Box::new);
            let reject = blame(meter, address, &error.into_error());
            Err(Failed { reject, unsent })
        }
    }
}

/// Until when the upstream has to answer. The time runs from the end of the request; as long as its body comes, the upstream owes
/// us nothing.
struct Deadline {
    at: tokio::time::Instant,
    received: u64,
}

impl Deadline {
    /// The deadline has passed: sets a later one if the upstream has not had `limit` since the request moved.
    fn move_on(
        &mut self,
        limit: Duration,
        progress: Option<&Arc<Progress>>,
        meter: Option<&Arc<Meter>>,
    ) -> bool {
        let received = meter.map_or(0, |meter| meter.bytes());
        let moved = received != std::mem::replace(&mut self.received, received);
        let next = match progress.and_then(|progress| progress.done_at()) {
            Some(done) => tokio::time::Instant::from_std(done) + limit,
            None if moved => self.at + limit,
            None => self.at,
        };
        next > std::mem::replace(&mut self.at, next)
    }
}

/// Whose fault it is that the exchange broke: a request body that failed takes the upstream connection with it.
fn blame(meter: Option<&Arc<Meter>>, server: SocketAddr, error: &hyper::Error) -> Reject {
    let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    match meter.and_then(|meter| meter.fault()) {
        Some(BodyFault::TooLarge { limit }) => Reject::BodyTooLarge { limit },
        Some(BodyFault::Stalled) => Reject::BodyStalled,
        Some(BodyFault::Broken) => Reject::BodyBroken,
        None => Reject::UpstreamBroke { server, reason: format!("{error}{source}") },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Deadline, Progress};

    #[test]
    fn an_upstream_has_its_time_from_the_end_of_the_request_and_once() {
        let limit = Duration::from_secs(10);
        let start = tokio::time::Instant::now();
        let mut deadline = Deadline { at: start, received: 0 };
        assert!(!deadline.move_on(limit, None, None), "no body, no more time");

        let progress = Progress::default();
        progress.finish();
        let progress = std::sync::Arc::new(progress);
        let done = progress.done_at().unwrap();
        assert!(deadline.move_on(limit, Some(&progress), None));
        assert_eq!(deadline.at, tokio::time::Instant::from_std(done) + limit);
        assert!(!deadline.move_on(limit, Some(&progress), None), "once");
    }
}
