//! The path of a request, from its parsed head to the end of its response. **Read this file first.**
//!
//! [`handle`] answers every request with exactly one response and one access record. `serve` is the path itself, top to bottom.

mod connection;
mod exchange;
mod local;
mod snapshot;
mod worker;

use std::sync::Arc;

use http::{Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

pub use connection::{Connection, Protocol};
pub use exchange::Tracked;
pub use snapshot::{Shared, Snapshot};
pub use worker::{View, Worker};

use crate::auth::{self, Authenticator};
use crate::body::{RequestBody, ResponseBody};
use crate::clock;
use crate::config::Target;
use crate::gateway::exchange::Exchange;
use crate::inbound::{Arrival, Inbound, RequestId};
use crate::proxy::{self, Forwarded, Rest, Tunnel, Way};
use crate::reject::Reject;

/// Answers one request. Never fails: a refusal is a response too.
pub async fn handle(
    worker: Arc<Worker>,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Response<Tracked> {
    let view = worker.view();
    let arrival = Arrival { peer: connection.peer(), local: connection.local(), time: clock::now() };
    let mut exchange = Exchange::begin(&view, &connection, arrival, request.method(), request.version());
    if let Some(interim) = connection.interim() {
        interim.open();
    }
    let has_body = !request.body().is_end_stream();
    let outcome = serve(&worker, &view, &connection, request, arrival, &mut exchange).await;
    if let Some(interim) = connection.interim() {
        interim.close();
    }
    let unread = outcome.as_ref().map_or(true, |served| served.early);
    connection.set_early_answer(has_body && unread);
    match outcome {
        Ok(Served { response, tunnel: None, .. }) => exchange.respond(response),
        Ok(Served { response, tunnel: Some(tunnel), .. }) => exchange.respond_and_tunnel(response, tunnel),
        Err(reject) => exchange.refuse(&reject),
    }
}

/// What the path of a request ends with.
struct Served {
    response: Response<ResponseBody>,
    tunnel: Option<Tunnel>,
    /// Whether the response came before the end of the request.
    early: bool,
}

/// The path of a request.
async fn serve(
    worker: &Worker,
    view: &View,
    connection: &Connection,
    request: Request<Incoming>,
    arrival: Arrival,
    exchange: &mut Exchange,
) -> Result<Served, Reject> {
    let snapshot = &*view.snapshot;
    let (mut head, body) = request.into_parts();
    let upgrade = head.extensions.remove::<OnUpgrade>();
    let id = RequestId::accept_or_make(&head.headers, arrival, &snapshot.limits, worker.ids());
    let inbound = Inbound::parse(arrival, head, id, &snapshot.limits);
    let inbound = Arc::new(inbound.map_err(|malformed| exchange.note_malformed(*malformed))?);
    exchange.note_inbound(&inbound);

    let found = snapshot.routes().find(inbound.host(), inbound.path(), inbound.method());
    exchange.note_route(&found);
    let permit = auth::authorize(found, inbound.path(), || {
        let authenticator = Authenticator {
            verifier: &snapshot.verifier,
            revocations: worker.revocations(),
            cache: worker.tokens(),
            counters: view.recorder().map(|recorder| recorder.worker().tokens()),
        };
        exchange.note_authentication();
        let caller = authenticator.authenticate(inbound.headers(), arrival.time)?;
        exchange.note_caller(&caller);
        Ok(caller)
    })?;

    let body = admit_body(body, inbound.head.version, permit.route().max_body, snapshot)?;
    exchange.note_body(&body);

    match permit.target() {
        Target::Local(endpoint) => {
            let response = local::serve(endpoint, permit, &inbound, body, snapshot).await?;
            Ok(Served { response, tunnel: None, early: false })
        }
        Target::Upstream(_) if proxy::is_for_this_hop(inbound.method(), inbound.headers()) => {
            Ok(Served { response: local::last_hop(permit), tunnel: None, early: false })
        }
        Target::Upstream(index) => {
            let upstream = view.upstream(index)?;
            let way = Way {
                upstream,
                policy: &snapshot.headers,
                trailers: &snapshot.trailers,
                // RFC 9110 §15.2: HTTP/1.0 has no interim responses.
                interim: connection.interim().filter(|_| inbound.head.version == Version::HTTP_11),
                new_trace: worker.ids().random(),
                now: exchange.note_forwarding(index),
            };
            let rest = Rest { body, upgrade };
            let Forwarded { response, server, answered, tunnel, early } =
                proxy::forward(permit, &inbound, rest, way).await?;
            exchange.note_server(server, answered);
            Ok(Served { response, tunnel, early })
        }
    }
}

/// Bounds the body. One that says itself that it is too long is refused before a byte of it is read.
fn admit_body(
    body: Incoming,
    version: Version,
    limit: u64,
    snapshot: &Snapshot,
) -> Result<RequestBody, Reject> {
    if body.size_hint().lower() > limit {
        return Err(Reject::BodyTooLarge { limit });
    }
    Ok(RequestBody::new(body, version, limit, snapshot.body_timeout, snapshot.trailers.clone()))
}
