//! The body of an answer. When it has ended, its upstream connection goes back to the pool.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;

type Idle = Rc<RefCell<Vec<SendRequest<Incoming>>>>;

pub enum Answer {
    /// Our own.
    Full(Full<Bytes>),
    /// The upstream's.
    Pooled { body: Incoming, sender: Option<SendRequest<Incoming>>, idle: Idle },
}

impl Answer {
    pub fn full(text: &'static str) -> Self {
        Self::Full(Full::new(Bytes::from_static(text.as_bytes())))
    }

    pub fn pooled(body: Incoming, sender: SendRequest<Incoming>, idle: Idle) -> Self {
        Self::Pooled { body, sender: Some(sender), idle }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Self::Pooled { body, sender, idle } = self
            && body.is_end_stream()
        {
            idle.borrow_mut().extend(sender.take());
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Full(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Pooled { body, .. } => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(body) => body.is_end_stream(),
            Self::Pooled { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(body) => body.size_hint(),
            Self::Pooled { body, .. } => body.size_hint(),
        }
    }
}
