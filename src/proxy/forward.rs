//! Sends a permitted request to a server of its upstream and brings the answer back.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version, header};
use http_body::Body;
use hyper::upgrade::OnUpgrade;

use super::answer::{CallOff, Exchange, answer};
use super::balance::Upstream;
use super::headers::{Authorization, HeaderPolicy, asks_for_websocket};
use super::outgoing::{Outgoing, Progress};
use super::send::{Failed, pick, send};
use super::upgrade::{self, Tunnel};
use crate::auth::Permit;
use crate::body::{RequestBody, ResponseBody, TrailerFilter};
use crate::inbound::Inbound;
use crate::interim::Interim;
use crate::reject::Reject;
use crate::route::Access;

/// Where a request goes and by which rules.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    /// The upstream of the route.
    pub upstream: &'a Upstream,
    /// The header rules of the snapshot.
    pub policy: &'a Arc<HeaderPolicy>,
    /// The same rules for trailers.
    pub trailers: &'a TrailerFilter,
    /// Where interim responses go; `None` if the client's protocol version has no place for them.
    pub interim: Option<&'a Arc<Interim>>,
    /// 128 random bits for a new trace.
    pub new_trace: u128,
}

/// An upstream's answer.
pub struct Forwarded {
    /// For the client.
    pub response: Response<ResponseBody>,
    /// Who answered.
    pub server: SocketAddr,
    /// The WebSocket that begins after this response.
    pub tunnel: Option<Tunnel>,
}

/// Forwards. The permit is the proof that this request may pass, and it is used up.
///
/// # Errors
/// [`Reject`] with status 400, 408, 413, 502, 503, 504 or 508.
pub async fn forward(
    permit: Permit<'_>,
    inbound: Inbound<RequestBody>,
    way: Way<'_>,
) -> Result<Forwarded, Reject> {
    if way.policy.is_loop(inbound.headers()) {
        return Err(Reject::Loop);
    }
    let meter = inbound.body.meter();
    let Prepared { mut request, progress, client_upgrade } = prepare(&permit, inbound, way)?;
    let guard = CallOff(progress.clone());
    let mut replayed = false;
    loop {
        let picked = pick(way.upstream).await?;
        let is_new = picked.idle_since.is_none();
        let copy = picked.may_be_stale().then(|| copy_of(&request)).flatten().filter(|_| !replayed);
        match send(picked, request, progress.as_ref(), meter.as_ref(), way.upstream).await {
            Ok((response, server, connection)) => {
                let exchange = Exchange { server, connection: Some(connection), guard };
                return answer(response, exchange, client_upgrade, way);
            }
            // Nothing went out, so the next connection may have it. A server that closes even new ones is given up.
            Err(Failed { unsent: Some(unsent), .. }) if !is_new => request = *unsent,
            Err(Failed { reject, .. }) => match (copy, &reject) {
                (Some(copy), Reject::UpstreamBroke { .. }) => {
                    replayed = true;
                    request = copy;
                }
                _ => return Err(reject),
            },
        }
    }
}

/// The request as the upstream gets it.
struct Prepared {
    request: Request<Outgoing>,
    /// Of its body, if it has one.
    progress: Option<Arc<Progress>>,
    /// The client's side of a WebSocket, if it asks for one.
    client_upgrade: Option<OnUpgrade>,
}

fn prepare(permit: &Permit<'_>, mut inbound: Inbound<RequestBody>, way: Way<'_>) -> Result<Prepared, Reject> {
    let version = inbound.head.version;
    let websocket = rewrite(permit, &mut inbound, way.policy, way.new_trace)?;
    let (mut head, body) = (inbound.head, inbound.body);
    let client_upgrade = head.extensions.remove::<OnUpgrade>().filter(|_| websocket);
    // Only HTTP/1.1 lets us pass on the question; an HTTP/2 client sends its body when it likes.
    let expects = version == Version::HTTP_11 && head.headers.contains_key(header::EXPECT);
    if !expects || body.is_end_stream() {
        head.headers.remove(header::EXPECT);
    }
    let (body, progress) = Outgoing::new(body, expects);
    let mut request = Request::from_parts(head, body);
    listen_for_interim(&mut request, way, progress.as_ref().filter(|_| expects));
    Ok(Prepared { request, progress, client_upgrade })
}

/// Turns the head of a permitted request into the one that the upstream gets: target, version and header fields. `explain` shows
/// what this makes. Returns whether the request asks for a WebSocket.
///
/// # Errors
/// [`Reject::MalformedPath`] when nothing unambiguous is left behind the prefix that the route strips.
pub fn rewrite<B: Body>(
    permit: &Permit<'_>,
    inbound: &mut Inbound<B>,
    policy: &HeaderPolicy,
    new_trace: u128,
) -> Result<bool, Reject> {
    let route = permit.route();
    let path = if route.strip_prefix {
        &inbound.path().without_prefix(route.pattern.path().literal()).map_err(Reject::MalformedPath)?
    } else {
        inbound.path()
    };
    let target = Uri::from(path.path_and_query().clone());
    let websocket = inbound.head.version == Version::HTTP_11
        && inbound.method() == Method::GET
        && asks_for_websocket(inbound.headers())
        // RFC 6455 §4.1: a handshake has no content. What follows one could be read as content or as frames.
        && inbound.body.is_end_stream();
    let authorization = authorization(permit, inbound.headers());
    policy.outgoing(inbound, permit.caller().map(AsRef::as_ref), authorization, new_trace);
    if websocket {
        upgrade::ask(&mut inbound.head.headers);
    }
    (inbound.head.uri, inbound.head.version) = (target, Version::HTTP_11);
    Ok(websocket)
}

/// DESIGN §9.4. On a public route nobody has looked at the header; a bearer token in it may be ours, a Basic password cannot.
fn authorization(permit: &Permit<'_>, headers: &HeaderMap) -> Authorization {
    let route = permit.route();
    let is_bearer = |value: &http::HeaderValue| {
        value.as_bytes().get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer"))
    };
    let may_be_ours =
        route.access != Access::Public || headers.get_all(header::AUTHORIZATION).iter().any(is_bearer);
    if may_be_ours && !route.forward_authorization {
        Authorization::Withheld
    } else {
        Authorization::Forwarded
    }
}

fn listen_for_interim(request: &mut Request<Outgoing>, way: Way<'_>, held: Option<&Arc<Progress>>) {
    if way.interim.is_none() && held.is_none() {
        return;
    }
    let (interim, held, policy) = (way.interim.cloned(), held.cloned(), way.policy.clone());
    hyper::ext::on_informational(request, move |response| {
        if response.status() == StatusCode::CONTINUE
            && let Some(held) = &held
        {
            held.release();
        }
        if let Some(interim) = &interim {
            let mut headers = response.headers().clone();
            policy.incoming(&mut headers);
            interim.push(response.status(), &headers);
        }
    });
}

/// RFC 9110 §9.2.2: a request that may be sent twice, because it changes nothing more the second time and has no body.
fn copy_of(request: &Request<Outgoing>) -> Option<Request<Outgoing>> {
    if !request.method().is_idempotent() || !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(Outgoing::Empty);
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    copy.extensions_mut().clone_from(request.extensions());
    Some(copy)
}
