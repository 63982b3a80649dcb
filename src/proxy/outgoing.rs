//! The request body on its way to the upstream.
//!
//! It can be held back until the upstream says `100 Continue` (RFC 9110 §10.1.1), so that a client that asks first is answered by the
//! one who knows. And it can be called off: when the exchange is over, nothing of it may keep the connection busy.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::body::{BodyError, RequestBody};
use crate::clock;

/// An upstream that does not answer the expectation within this time gets the body, as RFC 9110 §10.1.1 has it for clients.
const PATIENCE: Duration = Duration::from_secs(1);

/// The body of a request to an upstream.
#[derive(Default)]
pub(super) enum Outgoing {
    /// None.
    #[default]
    Empty,
    /// What the client sends.
    Client {
        /// Its body.
        body: RequestBody,
        /// Shared with those who wait for the response.
        progress: Arc<Progress>,
        /// When an unanswered expectation is taken as fulfilled.
        patience: Option<Pin<Box<Sleep>>>,
    },
}

/// How far the body is, and who wants it to stop.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    /// Since when it is `Done`.
    done_at: Option<Instant>,
    waker: Option<Waker>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Held back until the upstream asks for it.
    Held,
    #[default]
    Flowing,
    Done,
    CalledOff,
}

impl Progress {
    /// The upstream wants the body.
    pub(super) fn release(&self) {
        self.turn(Phase::Held, Phase::Flowing);
    }

    /// Nobody wants the rest. The upstream connection breaks off if there is any.
    pub(super) fn call_off(&self) {
        self.turn(Phase::Held, Phase::CalledOff);
        self.turn(Phase::Flowing, Phase::CalledOff);
    }

    /// Whether the upstream has all of it.
    pub(super) fn is_done(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).phase == Phase::Done
    }

    /// When the upstream got the last of it.
    pub(super) fn done_at(&self) -> Option<Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).done_at
    }

    /// The upstream has all of it.
    pub(super) fn finish(&self) {
        self.turn(Phase::Flowing, Phase::Done);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.phase == Phase::Done {
            state.done_at.get_or_insert_with(clock::monotonic);
        }
    }

    fn turn(&self, from: Phase, to: Phase) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.phase == from {
            state.phase = to;
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        }
    }

    /// The phase; the task is woken when somebody else changes it.
    fn watch(&self, cx: &Context<'_>) -> Phase {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.phase != Phase::Done {
            state.waker = Some(cx.waker().clone());
        }
        state.phase
    }
}

impl Outgoing {
    /// The body, and its progress if there is one. `expects` is whether the client waits for `100 Continue`.
    pub(super) fn new(body: RequestBody, expects: bool) -> (Self, Option<Arc<Progress>>) {
        if body.is_end_stream() {
            return (Self::Empty, None);
        }
        let phase = if expects { Phase::Held } else { Phase::Flowing };
        let progress = Arc::new(Progress(Mutex::new(State { phase, ..State::default() })));
        (Self::Client { body, progress: progress.clone(), patience: None }, Some(progress))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Self::Client { body, progress, patience } = self.get_mut() else { return Poll::Ready(None) };
        match progress.watch(cx) {
            Phase::CalledOff => return Poll::Ready(Some(Err(BodyError::CalledOff))),
            Phase::Done => return Poll::Ready(None),
            Phase::Flowing => {}
            Phase::Held => {
                let patience = patience.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
                std::task::ready!(patience.as_mut().poll(cx));
                progress.release();
            }
        }
        let next = std::task::ready!(Pin::new(&mut *body).poll_frame(cx));
        let ends = matches!(&next, Some(Ok(frame)) if frame.is_trailers());
        if ends || next.is_none() || body.is_end_stream() {
            progress.finish();
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Client { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Client { body, .. } => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Outgoing;
    use crate::body::RequestBody;

    #[test]
    fn a_request_without_a_body_has_no_progress() {
        let (body, progress) = Outgoing::new(RequestBody::empty(), true);
        assert!(matches!(body, Outgoing::Empty) && progress.is_none());
    }
}
