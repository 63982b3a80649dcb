//! Sends a permitted request to a server of its upstream and brings the answer back.

use std::net::SocketAddr;
use std::time::Instant;

use http::{Method, StatusCode, Version, header};
use http_body::Body;

use super::answer::answer;
use super::balance::Upstream;
use super::headers::{Authorization, HeaderPolicy, RequestHead, Switch, asks_for_websocket};
use super::http1::{Cause, Connection, Deadline, Failure, HEAD, Upload};
use super::pick::{Picked, pick};
use super::upgrade::Tunnel;
use crate::auth::Permit;
use crate::body::{BodyFault, Meter, RequestBody, ResponseBody, TrailerFilter};
use crate::clock;
use crate::http1::Framing;
use crate::inbound::{IdSource, Inbound};
use crate::interim::Interim;
use crate::message::{Fields, Response};
use crate::reject::Reject;
use crate::route::Access;

/// Where a request goes and by which rules.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    /// The upstream of the route.
    pub upstream: &'a Upstream,
    /// The header rules of the snapshot.
    pub policy: &'a HeaderPolicy,
    /// The same rules for trailers.
    pub trailers: &'a TrailerFilter,
    /// Where interim responses go; `None` if the client's protocol version has no place for them.
    pub interim: Option<&'a Interim>,
    /// Where a new trace gets its id from.
    pub ids: &'a IdSource,
    /// When it was decided that the upstream gets the request: now.
    pub now: Instant,
}

/// An upstream's answer.
pub struct Forwarded {
    /// For the client.
    pub response: Response<ResponseBody>,
    /// Who answered.
    pub server: SocketAddr,
    /// When the head of the answer was here.
    pub answered: Instant,
    /// The WebSocket that begins after this response.
    pub tunnel: Option<Box<Tunnel>>,
}

/// Forwards. The permit is the proof that this request may pass, and it is used up.
///
/// # Errors
/// [`Reject`] with status 400, 408, 413, 502, 503, 504 or 508.
pub async fn forward(
    permit: Permit<'_>,
    inbound: &Inbound,
    body: RequestBody,
    way: Way<'_>,
) -> Result<Forwarded, Reject> {
    let meter = body.meter();
    let mut workspace = way.upstream.workspace();
    let head = workspace.take_head();
    let Sketch { head, framing, expects, switch } =
        sketch(head, &permit, inbound, &body, way.policy, way.ids.random())?;
    let mut upload = Upload::new(head, framing, body, expects);
    let mut interim = |status: StatusCode, fields: Fields| {
        if let Some(interim) = way.interim {
            interim.push(status, way.policy.incoming(fields));
        }
    };
    let mut replayed = false;
    loop {
        let Picked { server, socket, reused } = pick(way.upstream, way.now).await?;
        let mut connection = Connection::new(socket, workspace);
        // Connecting has a limit of its own. It must not take the server's time to answer.
        let start = if reused { way.now } else { clock::monotonic() };
        let mut deadline = Deadline::new(start, way.upstream.settings().response_timeout);
        let failure =
            match connection.exchange(inbound.method(), &mut upload, &mut deadline, &mut interim).await {
                Ok(head) => return answer(head, connection, server, upload, switch, way),
                Err(failure) => failure,
            };
        // A server may close an idle connection at the moment in which it is used again: the request is sent once more, if nothing
        // of it went out, or if it changes nothing more the second time and has no body (RFC 9110 §9.2.2). A server that closes
        // even new ones is given up.
        let is_stale = reused && !failure.answered && matches!(failure.cause, Cause::Closed | Cause::Io(_));
        let untouched = upload.is_untouched();
        let again = is_stale && (untouched || !replayed && inbound.method().is_idempotent());
        if !again || !upload.rewind() {
            return Err(blame(failure, connection.address(), meter.as_deref(), way.upstream));
        }
        replayed |= !untouched;
        workspace = way.upstream.workspace();
    }
}

/// The request as the upstream gets it, without its body.
struct Sketch {
    head: Vec<u8>,
    framing: Framing,
    expects: bool,
    switch: Switch,
}

fn sketch(
    mut head: Vec<u8>,
    permit: &Permit<'_>,
    inbound: &Inbound,
    body: &impl Body,
    policy: &HeaderPolicy,
    new_trace: u128,
) -> Result<Sketch, Reject> {
    let framing = match (body.is_end_stream(), body.size_hint().exact()) {
        (true, _) => Framing::Empty,
        (false, Some(length)) => Framing::Length(length),
        (false, None) => Framing::Chunked,
    };
    let is_http11 = inbound.head.version == Version::HTTP_11;
    // RFC 9110 §10.1.1: HTTP/1.0 has no such question.
    let is_http10 = inbound.head.version == Version::HTTP_10;
    let expects = !is_http10 && framing != Framing::Empty && inbound.headers().contains(&header::EXPECT);
    let connection = inbound.headers().contains(&header::CONNECTION);
    let websocket = is_http11
        && connection
        && inbound.method() == Method::GET
        // RFC 6455 §4.1: a handshake has no content. What follows one could be read as content or as frames.
        && framing == Framing::Empty
        && asks_for_websocket(inbound.headers());
    let switch = if websocket { Switch::WebSocket } else { Switch::Never };
    let route = permit.route();
    let stripped;
    let path = if route.strip_prefix {
        let literal = route.pattern.path().literal();
        stripped = inbound.path().without_prefix(literal).map_err(Reject::MalformedPath)?;
        &stripped
    } else {
        inbound.path()
    };
    policy.write_request(
        &mut head,
        &RequestHead {
            inbound,
            target: path.path_and_query().as_str(),
            caller: permit.caller().map(AsRef::as_ref),
            authorization: authorization(permit, inbound.headers()),
            api_key: api_key(permit),
            framing,
            expects,
            connection,
            switch,
            new_trace,
        },
    )?;
    Ok(Sketch { head, framing, expects, switch })
}

/// The head of a permitted request without a body as its upstream gets it, in the form of RFC 9112. `explain` shows it.
///
/// # Errors
/// [`Reject::MalformedPath`] when nothing unambiguous is left behind the prefix that the route strips, [`Reject::Loop`].
pub fn preview(
    permit: &Permit<'_>,
    inbound: &Inbound,
    policy: &HeaderPolicy,
    new_trace: u128,
) -> Result<Vec<u8>, Reject> {
    sketch(Vec::with_capacity(HEAD), permit, inbound, &RequestBody::empty(), policy, new_trace)
        .map(|sketch| sketch.head)
}

/// DESIGN §9.4. On a public route nobody has looked at the header; a bearer token in it may be ours, a Basic password cannot.
fn authorization(permit: &Permit<'_>, headers: &Fields) -> Authorization {
    let route = permit.route();
    let is_bearer = |value: &http::HeaderValue| {
        value.as_bytes().get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer"))
    };
    let may_be_ours =
        route.access != Access::Public || headers.get_all(&header::AUTHORIZATION).any(is_bearer);
    if may_be_ours && !route.forward_authorization {
        Authorization::Withheld
    } else {
        Authorization::Forwarded
    }
}

/// DESIGN §9.4, where API keys are taken: nobody else has a use for the header, on public routes neither.
fn api_key(permit: &Permit<'_>) -> Authorization {
    if permit.route().forward_authorization { Authorization::Forwarded } else { Authorization::Withheld }
}

/// Whose fault it is that the exchange broke: a request body that failed takes the upstream connection with it.
fn blame(failure: Failure, server: SocketAddr, meter: Option<&Meter>, upstream: &Upstream) -> Reject {
    match (meter.and_then(Meter::fault), failure.cause) {
        (Some(BodyFault::TooLarge { limit }), _) => Reject::BodyTooLarge { limit },
        (Some(BodyFault::Stalled), _) => Reject::BodyStalled,
        (Some(BodyFault::Broken), _) | (_, Cause::Body(_)) => Reject::BodyBroken,
        (None, Cause::Timeout) => {
            Reject::UpstreamTimeout { server, limit: upstream.settings().response_timeout }
        }
        (None, cause) => Reject::UpstreamBroke { server, reason: cause.to_string() },
    }
}
