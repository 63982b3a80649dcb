//! Bodies: what the client sends us, what we send to the client. Both stream; neither is ever held whole.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The request body is longer than its route allows.
    #[error("the request body is longer than {limit} bytes")]
    TooLarge {
        /// Bytes that are allowed.
        limit: u64,
    },
    /// The client stopped sending.
    #[error("no byte of the request body came for {0:?}")]
    Stalled(Duration),
    /// The request body is longer or shorter than its head says.
    #[error("the request body has another length than its head says")]
    WrongLength,
    /// The connection to the upstream broke, or what came over it was not HTTP.
    #[error("{0}")]
    Upstream(#[source] std::io::Error),
    /// The client gave the request up: in HTTP/2 it can end the stream without ending the body.
    #[error("the client reset the stream before the end of the request body")]
    Reset,
    /// The client's connection broke, or what came over it was not HTTP.
    #[error("the request body broke off: {0}")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The caller may not have the rest of a response.
    #[error("{0}")]
    TokenEnded(TokenEnd),
}

/// What became of a token while what it let in was going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenEnd {
    /// Its user was changed or removed, or its key was.
    #[error("the token was revoked while the exchange went on")]
    Revoked,
    /// Its time was over, and its route does not say `outlive_token`.
    #[error("the token expired while the exchange went on")]
    Expired,
}

impl TokenEnd {
    /// One word for logs and metrics.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Revoked => "token_revoked",
            Self::Expired => "token_expired",
        }
    }
}

/// What became of a request body, for those who answer while it is still being sent.
#[derive(Debug, Default)]
pub struct Meter {
    bytes: AtomicU64,
    limit: u64,
    fault: AtomicU8,
}

/// How a request body failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// See [`BodyError::TooLarge`].
    TooLarge {
        /// Bytes that are allowed.
        limit: u64,
    },
    /// See [`BodyError::Stalled`].
    Stalled,
    /// See [`BodyError::Broken`] and [`BodyError::Reset`].
    Broken,
}

impl Meter {
    /// Bytes of content received so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How the body failed, if it did.
    #[must_use]
    pub fn fault(&self) -> Option<BodyFault> {
        match self.fault.load(Ordering::Relaxed) {
            1 => Some(BodyFault::TooLarge { limit: self.limit }),
            2 => Some(BodyFault::Stalled),
            3 => Some(BodyFault::Broken),
            _ => None,
        }
    }
}

/// Which trailer fields may pass; the others are dropped.
pub type TrailerFilter = Arc<dyn Fn(&mut HeaderMap) + Send + Sync>;

/// A request body: bounded in size and in silence, metered, its trailers filtered.
pub struct RequestBody(Option<Box<Streaming>>);

struct Streaming {
    incoming: Stream,
    patience: Duration,
    /// Armed only while we wait, so that a body which is already here costs no timer.
    silence: Option<Pin<Box<Sleep>>>,
    trailers: TrailerFilter,
    meter: Arc<Meter>,
}

impl RequestBody {
    /// No body.
    #[must_use]
    pub const fn empty() -> Self {
        Self(None)
    }

    /// What comes from a client: at most `limit` bytes, with no silence longer than `patience`.
    #[must_use]
    pub fn new(incoming: Stream, limit: u64, patience: Duration, trailers: TrailerFilter) -> Self {
        let meter = Arc::new(Meter { limit, ..Meter::default() });
        Self(Some(Box::new(Streaming { incoming, patience, silence: None, trailers, meter })))
    }

    /// The meter, which outlives the body. `None` if there is no body.
    #[must_use]
    pub fn meter(&self) -> Option<Arc<Meter>> {
        self.0.as_ref().map(|streaming| streaming.meter.clone())
    }

    /// Reads the whole body, for the endpoints of the gateway itself. Their limit is small.
    ///
    /// # Errors
    /// [`BodyError`], as soon as it is known.
    pub async fn collect(mut self) -> Result<Vec<u8>, BodyError> {
        let mut whole = Vec::new();
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut self).poll_frame(cx)).await {
            if let Ok(data) = frame?.into_data() {
                whole.extend_from_slice(&data);
            }
        }
        Ok(whole)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.get_mut().0 {
            None => Poll::Ready(None),
            Some(streaming) => streaming.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|streaming| streaming.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |streaming| streaming.incoming.size_hint())
    }
}

impl Streaming {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(next) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            let silence = self.silence.get_or_insert_with(|| Box::pin(sleep(self.patience)));
            ready!(silence.as_mut().poll(cx));
            return Poll::Ready(Some(Err(self.fail(2, BodyError::Stalled(self.patience)))));
        };
        self.silence = None;
        Poll::Ready(match next {
            None => None,
            Some(Err(error)) => Some(Err(self.fail(3, error))),
            Some(Ok(frame)) => Some(self.admit(frame)),
        })
    }

    fn admit(&self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyError> {
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        let total = self.meter.bytes.fetch_add(length, Ordering::Relaxed).saturating_add(length);
        if total > self.meter.limit {
            return Err(self.fail(1, BodyError::TooLarge { limit: self.meter.limit }));
        }
        match frame.into_trailers() {
            Ok(mut trailers) => {
                (self.trailers)(&mut trailers);
                Ok(Frame::trailers(trailers))
            }
            Err(frame) => Ok(frame),
        }
    }

    fn fail(&self, fault: u8, error: BodyError) -> BodyError {
        self.meter.fault.store(fault, Ordering::Relaxed);
        error
    }
}

/// A body as it comes, from a client or an upstream.
pub type Stream = Box<dyn Body<Data = Bytes, Error = BodyError> + Send + Unpin>;

/// A response body.
pub enum ResponseBody {
    /// All of it, or nothing.
    Full(Option<Bytes>),
    /// What an upstream sends.
    Stream(Stream),
}

impl ResponseBody {
    /// A body of known bytes.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::Full((!bytes.is_empty()).then_some(bytes))
    }

    /// No body.
    #[must_use]
    pub const fn empty() -> Self {
        Self::Full(None)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(stream) => Pin::new(stream).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Stream(stream) => stream.size_hint(),
        }
    }
}
