//! The upstream's answer on its way to the client, and what has to be settled when it ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Response, StatusCode, Version, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::balance::Server;
use super::forward::{Forwarded, Way};
use super::outgoing::Progress;
use super::pool::Connection;
use super::upgrade;
use crate::body::{BodyError, ResponseBody, TrailerFilter};
use crate::clock;
use crate::reject::Reject;

/// Calls off the rest of a request body when nobody waits for its outcome any more.
pub(super) struct CallOff(pub(super) Option<Arc<Progress>>);

impl CallOff {
    fn is_clear(&self) -> bool {
        self.0.as_ref().is_none_or(|progress| progress.is_done())
    }
}

impl Drop for CallOff {
    fn drop(&mut self) {
        if let Some(progress) = &self.0 {
            progress.call_off();
        }
    }
}

/// What has to be settled when the response body ends.
pub(super) struct Exchange {
    pub(super) server: Arc<Server>,
    pub(super) connection: Option<Connection>,
    pub(super) guard: CallOff,
}

pub(super) fn answer(
    response: Response<Incoming>,
    mut exchange: Exchange,
    client_upgrade: Option<OnUpgrade>,
    way: Way<'_>,
) -> Result<Forwarded, Reject> {
    let Some(address) = exchange.connection.as_ref().map(|connection| connection.address) else {
        return Err(Reject::Internal("an exchange without a connection".to_owned()));
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let Some(client) = client_upgrade else {
            let reason = "it switched protocols without being asked to".to_owned();
            return Err(Reject::UpstreamBroke { server: address, reason });
        };
        let (response, tunnel) = upgrade::accept(response, client, way.policy, address)?;
        return Ok(Forwarded { response, server: address, tunnel: Some(tunnel) });
    }
    let (mut head, body) = response.into_parts();
    if binds_connection(&head) {
        exchange.connection = None;
    }
    way.policy.incoming(&mut head.headers);
    // The version is of this hop; the next one has its own. An extension such as a reason phrase is of no use to anybody.
    head.version = Version::HTTP_11;
    head.extensions = http::Extensions::new();
    let trailers = body.size_hint().exact().is_none().then(|| way.trailers.clone());
    let body = UpstreamBody { body, exchange, trailers, ended: false };
    Ok(Forwarded {
        response: Response::from_parts(head, ResponseBody::Stream(Box::new(body))),
        server: address,
        tunnel: None,
    })
}

/// NTLM and Negotiate log in the connection, not the request: another user must not get it.
fn binds_connection(head: &http::response::Parts) -> bool {
    let binds = |value: &http::HeaderValue| {
        let text = value.as_bytes().to_ascii_lowercase();
        text.starts_with(b"ntlm") || text.starts_with(b"negotiate")
    };
    head.headers.contains_key(header::WWW_AUTHENTICATE)
        && head.headers.get_all(header::WWW_AUTHENTICATE).iter().any(binds)
}

/// A response body. At its end the connection goes back to the pool; a body that is dropped before takes the connection with it,
/// which is how the upstream learns that the client has gone away.
struct UpstreamBody {
    body: Incoming,
    exchange: Exchange,
    /// For a body of unknown length, which alone can have trailers.
    trailers: Option<TrailerFilter>,
    ended: bool,
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match std::task::ready!(Pin::new(&mut this.body).poll_frame(cx)) {
            None => {
                this.ended = true;
                Poll::Ready(None)
            }
            Some(Err(error)) => Poll::Ready(Some(Err(BodyError::Broken(error)))),
            Some(Ok(frame)) => Poll::Ready(Some(Ok(this.pass(frame)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl UpstreamBody {
    /// Trailers end the body: nothing is polled after them.
    fn pass(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match frame.into_trailers() {
            Err(frame) => frame,
            Ok(mut trailers) => {
                self.ended = true;
                if let Some(filter) = &self.trailers {
                    filter(&mut trailers);
                }
                Frame::trailers(trailers)
            }
        }
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        if self.is_end_stream()
            && self.exchange.guard.is_clear()
            && let Some(connection) = self.exchange.connection.take()
        {
            self.exchange.server.pool.give_back(connection, clock::monotonic());
        }
    }
}
