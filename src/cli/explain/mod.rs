//! `portcullis explain`: the decision for one request, and why. It asks the code that decides live requests, step by step in the
//! order of `gateway::handle`, and only writes down what that says.

mod arguments;
mod caller;
mod report;

#[cfg(test)]
mod tests;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Request, Uri, header};

pub(super) use self::arguments::Question;
use self::report::{Explanation, NearRoute, Passed, RouteView};
use super::failure::{Failure, Status};
use super::print_json;
use crate::auth::{self, Caller, Permit};
use crate::clock::{self, UnixTime};
use crate::config::{Config, Target};
use crate::id::fill_random;
use crate::inbound::{Arrival, IdSource, Inbound, Limits, RequestId};
use crate::message::Head;
use crate::peer::PeerAddr;
use crate::proxy::{self, HeaderPolicy};
use crate::reject::Reject;
use crate::route::{Found, Host};

/// Explains. The status is [`Status::Done`] whatever the decision.
///
/// # Errors
/// [`Failure`] when the question has no answer: it is no URL, or the store cannot be opened.
pub(super) fn run(question: &Question, config: &Config, out: &mut dyn Write) -> Result<Status, Failure> {
    let head = request(question, config)?;
    let authenticated = caller::authenticate(question, &head.fields, config)?;
    let explanation = explain(question, config, head, authenticated)?;
    if question.json {
        print_json(out, &explanation)?;
    } else {
        explanation.write(out)?;
    }
    Ok(Status::Done)
}

/// The request as a client would send it: origin form, with a `Host` header.
fn request(question: &Question, config: &Config) -> Result<Head, Failure> {
    let wrong = |why: &dyn std::fmt::Display| {
        Failure::usage(format!("{:?} is neither a path nor an http URL: {why}", question.url)).with_help(
            "write the path as it is sent, such as /orders/7, or the whole URL, http://host/orders/7",
        )
    };
    let uri: Uri = question.url.parse().map_err(|error: http::uri::InvalidUri| wrong(&error))?;
    if !matches!(uri.scheme_str(), None | Some("http" | "https")) {
        return Err(wrong(&"unknown scheme"));
    }
    if uri.scheme().is_none() && uri.authority().is_some() {
        return Err(wrong(&"it has a host and no scheme"));
    }
    let target = uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    let mut request = Request::new(());
    *request.method_mut() = question.method.clone();
    *request.uri_mut() = Uri::from(target);
    let headers = request.headers_mut();
    for (name, value) in &question.headers {
        headers.append(name, value.clone());
    }
    if !headers.contains_key(header::HOST) {
        let host =
            uri.authority().map_or_else(|| own_host(config), |authority| authority.as_str().to_owned());
        headers.insert(header::HOST, HeaderValue::try_from(host).map_err(|error| wrong(&error))?);
    }
    if let Some(token) = &question.token {
        let bearer = HeaderValue::try_from(format!("Bearer {token}"));
        headers.insert(
            header::AUTHORIZATION,
            bearer.map_err(|_| Failure::usage("the token has a character that no header can have"))?,
        );
    }
    Ok(request.into_parts().0.into())
}

/// The host by which clients know the gateway: that of its issuer, which is a URL. One that is made from `listen` with port 0
/// names no port that a client could call.
fn own_host(config: &Config) -> String {
    let issuer = config.token.issuer.parse::<Uri>().ok();
    let authority = issuer.as_ref().and_then(Uri::authority).map(Authority::as_str);
    let usable = authority.filter(|authority| Host::parse_authority(authority).is_ok());
    usable.unwrap_or("localhost").to_owned()
}

fn explain(
    question: &Question,
    config: &Config,
    head: Head,
    authenticated: Result<Arc<Caller>, Reject>,
) -> Result<Explanation, Failure> {
    let limits = Limits::new(&config.server);
    let (arrival, ids) = (arrival(config, clock::now()), ids()?);
    let id = RequestId::accept_or_make(&head.fields, arrival, &limits, &ids);
    let mut explanation = Explanation::new(question);
    let inbound = match Inbound::parse(arrival, Box::new(head), id, &limits) {
        Ok(inbound) => inbound,
        Err(malformed) => return Ok(explanation.refused(&malformed.reject)),
    };
    explanation.note_inbound(&inbound);

    let (host, path, method) = (inbound.host(), inbound.path(), inbound.method());
    let found = config.routes.find(host, path, method);
    if let Found::Route(route) = &found {
        explanation.route = Some(RouteView::new(route, &config.limits));
    }
    let near = config.routes.near_misses(host, path, method);
    explanation.nearly =
        near.into_iter().map(|(_, route, miss)| NearRoute::new(route, &config.limits, miss)).collect();
    explanation.note_caller(authenticated.as_deref().ok());
    let permit = auth::authorize(found, path, || authenticated);

    let passed =
        permit.and_then(|permit| pass(&permit, &inbound, config, &ids).map(|passed| (permit, passed)));
    Ok(match passed {
        Ok((permit, passed)) => explanation.passed(&permit, passed),
        Err(reject) => explanation.refused(&reject),
    })
}

/// What happens to a request that may pass.
fn pass(permit: &Permit<'_>, inbound: &Inbound, config: &Config, ids: &IdSource) -> Result<Passed, Reject> {
    let index = match permit.target() {
        Target::Local(endpoint) => return Ok(Passed::Local { endpoint: endpoint.name() }),
        Target::Upstream(index) => index,
    };
    let upstream = config.upstreams.get(index);
    let upstream =
        upstream.ok_or_else(|| Reject::Internal(format!("there is no upstream number {index}")))?;
    let policy = HeaderPolicy::of(config, "INSTANCE");
    let head = proxy::preview(permit, inbound, &policy, ids.random())?;
    Ok(Passed::upstream(upstream, &head, &config.identity_headers))
}

/// From this machine, to the first address that is listened on.
fn arrival(config: &Config, time: UnixTime) -> Arrival {
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let local = config.server.listen.first().copied().unwrap_or(peer);
    Arrival { peer: PeerAddr(peer), local, time }
}

fn ids() -> Result<IdSource, Failure> {
    let mut seed = [0; 8];
    fill_random(&mut seed).map_err(|error| Failure::because(&error))?;
    Ok(IdSource::new(u64::from_le_bytes(seed)))
}
