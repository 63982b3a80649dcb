//! The response of an exchange on its way to the client.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Version};
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Exchange;
use crate::body::{BodyError, ResponseBody};
use crate::inbound::RequestId;
use crate::message::Response;
use crate::proxy::Tunnel;

/// A response body that keeps its exchange alive and counts what is sent.
pub struct Tracked {
    body: ResponseBody,
    exchange: Option<Exchange>,
    tunnel: Option<Box<Tunnel>>,
    /// Whether the client has yet to take what it was given last. Only an HTTP/2 client can be slow without our socket noticing.
    owes: bool,
}

/// What follows on a connection after `101 Switching Protocols`.
pub struct Switched {
    tunnel: Box<Tunnel>,
    exchange: Exchange,
}

impl Switched {
    /// Carries bytes between the client and the upstream until both have finished, or the client's token has ended.
    pub async fn run(mut self, client: impl AsyncRead + AsyncWrite + Unpin) {
        let state = &mut *self.exchange.0;
        let end = poll_fn(|cx| state.entry.as_ref().map_or(Poll::Pending, |entry| entry.poll_ended(cx)));
        let (traffic, result) = self.tunnel.run(client, end).await;
        (state.tunnelled, state.sent) = (traffic.received, traffic.sent);
        match result {
            Ok(()) => state.complete = state.entry.as_ref().is_none_or(|entry| entry.ended().is_none()),
            Err(error) => state.broken = Some(format!("tunnel: {error}")),
        }
    }
}

impl Tracked {
    pub(super) fn begin(
        exchange: Exchange,
        response: Response<ResponseBody>,
        tunnel: Option<Box<Tunnel>>,
    ) -> Response<Self> {
        let state = &exchange.0;
        let owes = state.version == Version::HTTP_2 && !response.body.is_end_stream();
        if owes {
            state.connection.owe();
        }
        response.map(|body| Self { body, exchange: Some(exchange), tunnel, owes })
    }

    /// The id of the request, which the connection says in the response's head.
    #[must_use]
    pub fn request_id(&self) -> Option<&RequestId> {
        self.exchange.as_ref()?.0.request.id()
    }

    /// Takes what follows after this response if it is a `101`.
    pub fn take_switched(&mut self) -> Option<Switched> {
        let tunnel = self.tunnel.take()?;
        Some(Switched { tunnel, exchange: self.exchange.take()? })
    }

    /// Whether its caller may not have the rest any more.
    #[must_use]
    pub fn has_lost_its_token(&self) -> bool {
        let entry = self.exchange.as_ref().and_then(|exchange| exchange.0.entry.as_ref());
        entry.is_some_and(|entry| entry.ended().is_some())
    }

    fn settle(&mut self) {
        if let Some(exchange) = &self.exchange
            && std::mem::take(&mut self.owes)
        {
            exchange.0.connection.settle();
        }
    }
}

impl Body for Tracked {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        this.settle();
        let next = std::task::ready!(Pin::new(&mut this.body).poll_frame(cx));
        if let Some(exchange) = &mut this.exchange {
            if next.is_some() && exchange.0.version == Version::HTTP_2 {
                exchange.0.connection.owe();
                this.owes = true;
            }
            match &next {
                Some(Ok(frame)) => exchange.0.sent += frame.data_ref().map_or(0, |data| data.len() as u64),
                Some(Err(error)) => {
                    exchange.0.broken = Some(format!("the upstream's response broke off: {error}"))
                }
                None => {}
            }
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.settle();
        if let Some(exchange) = &mut self.exchange {
            let state = &mut exchange.0;
            // The answer to HEAD is complete without its body.
            state.complete = self.body.is_end_stream() || state.method == Method::HEAD;
        }
    }
}
