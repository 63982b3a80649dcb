//! The path of a request, from its parsed head to the end of its response. **Read this file first.**
//!
//! [`handle`] answers every request with exactly one response and one access record. `serve` is the path itself, top to bottom.

mod connection;
mod exchange;
mod limits;
mod local;
mod snapshot;
mod streams;
mod worker;

use std::sync::Arc;

use http::{Method, Version};
use http_body::Body;

pub use connection::{Connection, Protocol};
pub use exchange::{Switched, Tracked};
pub use snapshot::{HandedOn, Shared, Snapshot};
pub use worker::{View, Worker};

use crate::auth;
use crate::body::{RequestBody, ResponseBody, Stream};
use crate::clock;
use crate::config::Target;
use crate::gateway::exchange::Exchange;
use crate::gateway::limits::RequestLimits;
use crate::inbound::{Arrival, Inbound, Malformed, RequestId};
use crate::message::{Head, Response};
use crate::proxy::{self, Forwarded, Tunnel, Way};
use crate::reject::Reject;

/// Answers one request. Never fails: a refusal is a response too.
pub async fn handle(
    worker: &Arc<Worker>,
    connection: &Arc<Connection>,
    head: Box<Head>,
    body: Option<Stream>,
) -> Response<Tracked> {
    let view = worker.view();
    let arrival = Arrival { peer: connection.peer(), local: connection.local(), time: clock::now() };
    let mut exchange = Exchange::begin(&view, connection, arrival, &head.method, head.version);
    match serve(worker, &view, connection, head, body, &mut exchange).await {
        Ok(Served { response, tunnel }) => exchange.respond(response, tunnel),
        Err(reject) => exchange.refuse(reject),
    }
}

/// Answers what its connection could not read as a request.
#[must_use]
pub fn refuse(
    worker: &Arc<Worker>,
    connection: &Arc<Connection>,
    version: Version,
    reject: Reject,
) -> Response<Tracked> {
    let view = worker.view();
    let arrival = Arrival { peer: connection.peer(), local: connection.local(), time: clock::now() };
    let head = Box::new(Head { version, ..Head::empty() });
    let request_id = RequestId::accept_or_make(&head.fields, arrival, &view.snapshot.limits, worker.ids());
    let mut exchange = Exchange::begin(&view, connection, arrival, &unread_method(), head.version);
    let reject = exchange.note_malformed(Malformed { reject, head, request_id });
    exchange.refuse(reject)
}

/// Stands in the log where a method could not be read.
fn unread_method() -> Method {
    Method::from_bytes(b"-").unwrap_or_default()
}

/// What the path of a request ends with.
struct Served {
    response: Response<ResponseBody>,
    tunnel: Option<Box<Tunnel>>,
}

/// The path of a request.
async fn serve(
    worker: &Worker,
    view: &View,
    connection: &Connection,
    head: Box<Head>,
    body: Option<Stream>,
    exchange: &mut Exchange,
) -> Result<Served, Reject> {
    let (snapshot, arrival) = (&*view.snapshot, exchange.arrival());
    let id = RequestId::accept_or_make(&head.fields, arrival, &snapshot.limits, worker.ids());
    let inbound = Inbound::parse(arrival, head, id, &snapshot.limits);
    let inbound = Arc::new(inbound.map_err(|malformed| exchange.note_malformed(*malformed))?);
    exchange.note_inbound(&inbound);

    let found = snapshot.routes().find(inbound.host(), inbound.path(), inbound.method());
    exchange.note_route(&found);
    let limits = RequestLimits::of(snapshot, &found, exchange.started());
    if let Some(limits) = &limits {
        limits.count_address(&inbound, exchange.limits())?;
    }
    let permit = auth::authorize(found, inbound.path(), || {
        exchange.note_authentication();
        let caller = worker.authenticator(view).authenticate(inbound.headers(), arrival.time)?;
        exchange.note_caller(&caller);
        Ok(caller)
    })?;
    if let Some(limits) = &limits {
        limits.count_permit(&permit, exchange.limits())?;
    }

    let body = admit_body(body, permit.route().max_body, snapshot)?;
    exchange.note_body(&body);

    match permit.target() {
        Target::Local(endpoint) => {
            // In a box: the path of a request that is forwarded has no room for it.
            let response = Box::pin(local::serve(endpoint, permit, &inbound, body, snapshot)).await?;
            Ok(Served { response, tunnel: None })
        }
        Target::Upstream(_) if proxy::is_for_this_hop(inbound.method(), inbound.headers()) => {
            Ok(Served { response: local::last_hop(permit), tunnel: None })
        }
        Target::Upstream(index) => {
            let upstream = view.upstream(index)?;
            let way = Way {
                upstream,
                policy: &snapshot.headers,
                trailers: &snapshot.trailers,
                // RFC 9110 §15.2: HTTP/1.0 has no interim responses.
                interim: (inbound.head.version != Version::HTTP_10).then(|| connection.interim()),
                ids: worker.ids(),
                now: exchange.note_forwarding(index),
            };
            let long = exchange.note_upload(worker, &body)?;
            let sent = proxy::forward(permit, &inbound, body, way);
            let answer = if long { exchange.unless_revoked(Box::pin(sent)).await } else { sent.await };
            let Forwarded { mut response, server, answered, tunnel } = answer?;
            exchange.note_server(server, answered);
            exchange.note_ongoing(worker, &mut response.body, tunnel.is_some())?;
            Ok(Served { response, tunnel })
        }
    }
}

/// Bounds the body. One that says itself that it is too long is refused before a byte of it is read.
fn admit_body(body: Option<Stream>, limit: u64, snapshot: &Snapshot) -> Result<RequestBody, Reject> {
    let Some(body) = body else { return Ok(RequestBody::empty()) };
    if body.size_hint().lower() > limit {
        return Err(Reject::BodyTooLarge { limit });
    }
    Ok(RequestBody::new(body, limit, snapshot.body_timeout, snapshot.trailers.clone()))
}
