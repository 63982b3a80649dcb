//! The content of a request on its way from the connection to whoever reads it. How much may wait here is bounded by the windows: what
//! is not read is not given back to them (RFC 9113 §5.2).

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::body::{BodyError, Stream};
use crate::gateway::Connection;

/// The end that the connection has.
pub(super) struct Content(Arc<Mutex<State>>);

/// The end that is read.
struct Reader {
    state: Arc<Mutex<State>>,
    connection: Arc<Connection>,
}

/// Both ends are in one task, so the lock is always free.
#[derive(Default)]
struct State {
    waiting: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
    /// Bytes that have still to come, if the head has said so.
    left: Option<u64>,
    /// Bytes in `waiting`.
    here: usize,
    /// Bytes that nobody has in hand any more, and that the windows have not got back.
    done: usize,
    end: Option<End>,
    is_dropped: bool,
    /// Whether the client waits to be asked for it (RFC 9110 §10.1.1).
    expects: bool,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    WrongLength,
}

impl Content {
    /// Content of which nothing has come yet, and who reads it.
    pub(super) fn new(length: Option<u64>, expects: bool, connection: &Arc<Connection>) -> (Self, Stream) {
        let state = Arc::new(Mutex::new(State { left: length, expects, ..State::default() }));
        (Self(state.clone()), Box::new(Reader { state, connection: connection.clone() }))
    }

    /// More of it has come. `false` if it is more than the head has said.
    pub(super) fn push(&self, data: Bytes) -> bool {
        let mut state = lock(&self.0);
        if let Some(left) = &mut state.left {
            match left.checked_sub(data.len() as u64) {
                Some(rest) => *left = rest,
                None => {
                    state.done += data.len();
                    return false;
                }
            }
        }
        if state.is_dropped {
            state.done += data.len();
        } else if !data.is_empty() {
            state.here += data.len();
            state.waiting.push_back(data);
            state.wake();
        }
        true
    }

    /// It is over. `false` if it is less than the head has said.
    pub(super) fn end(&self, trailers: Option<HeaderMap>) -> bool {
        let mut state = lock(&self.0);
        if state.left.is_some_and(|left| left > 0) {
            return false;
        }
        state.trailers = trailers;
        state.end = Some(End::Whole);
        state.wake();
        true
    }

    /// It has another length than its head has said: nothing more of it is good.
    pub(super) fn fail(&self) {
        let mut state = lock(&self.0);
        state.forget();
        state.end = Some(End::WrongLength);
        state.wake();
    }

    /// Bytes that the windows get back: those that were read since the last time, and those that nobody wants.
    pub(super) fn take_done(&self) -> usize {
        std::mem::take(&mut lock(&self.0).done)
    }

    /// All bytes that the windows have yet to get back, read or not.
    pub(super) fn into_owed(self) -> usize {
        let mut state = lock(&self.0);
        state.forget();
        std::mem::take(&mut state.done)
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn forget(&mut self) {
        self.waiting.clear();
        self.done += std::mem::take(&mut self.here);
    }

    fn poll_frame(
        &mut self,
        cx: &Context<'_>,
        connection: &Connection,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(data) = self.waiting.pop_front() {
            self.here -= data.len();
            self.done += data.len();
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        match self.end {
            Some(End::Whole) => Poll::Ready(None),
            Some(End::WrongLength) => Poll::Ready(Some(Err(BodyError::WrongLength))),
            None => {
                if std::mem::take(&mut self.expects) {
                    connection.interim().ask_for_body();
                }
                self.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Body for Reader {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        lock(&self.state).poll_frame(cx, &self.connection)
    }

    fn is_end_stream(&self) -> bool {
        let state = lock(&self.state);
        state.end == Some(End::Whole) && state.waiting.is_empty() && state.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let state = lock(&self.state);
        let here = state.here as u64;
        match (state.left, state.end) {
            (Some(left), _) => SizeHint::with_exact(here + left),
            // All of it is here already.
            (None, Some(End::Whole)) if state.trailers.is_none() => SizeHint::with_exact(here),
            (None, _) => SizeHint::default(),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.is_dropped = true;
        state.forget();
    }
}
