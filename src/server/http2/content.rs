//! The content of a request on its way from the connection to whoever reads it. How much may wait here is bounded by the windows: what
//! is not read is not given back to them (RFC 9113 §5.2).

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::body::{BodyError, Stream};
use crate::gateway::Connection;

/// Pieces below this are gathered in memory of their own. A slice of what was received holds all of that, 128 KiB at the most, and the
/// windows count only the piece.
pub(super) const SMALL: usize = 8 * 1024;

/// The end that the connection has.
pub(super) struct Content(Arc<Mutex<State>>);

/// The end that is read.
struct Reader {
    state: Arc<Mutex<State>>,
    connection: Arc<Connection>,
}

/// Both ends are on one thread, so the lock is always free.
#[derive(Default)]
struct State {
    waiting: VecDeque<Bytes>,
    /// Small pieces that came behind those.
    small: BytesMut,
    trailers: Option<HeaderMap>,
    /// Bytes that have still to come, if the head has said so.
    left: Option<u64>,
    /// Bytes in both.
    here: usize,
    /// Bytes that nobody has in hand any more, and that the windows have not got back.
    done: usize,
    end: Option<End>,
    is_dropped: bool,
    /// Whether the client waits to be asked for it (RFC 9110 §10.1.1).
    expects: bool,
    waker: Option<Waker>,
    /// Whom to tell of what was read, once it is another task that reads.
    giver: Option<Waker>,
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
            state.keep(data);
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

    /// The final response begins. The client is not asked for content any more (RFC 9110 §10.1.1), and who still reads does so in a task
    /// of its own: `giver`, which gives back to the windows, is woken each time.
    pub(super) fn outlives_request(&self, giver: &Waker) {
        let mut state = lock(&self.0);
        state.expects = false;
        state.giver = Some(giver.clone());
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

    fn keep(&mut self, data: Bytes) {
        let is_first = self.here == 0;
        self.here += data.len();
        if data.len() < SMALL && !is_first {
            return self.small.extend_from_slice(&data);
        }
        if !self.small.is_empty() {
            self.waiting.push_back(std::mem::take(&mut self.small).freeze());
        }
        self.waiting.push_back(data);
    }

    fn next(&mut self) -> Option<Bytes> {
        let small = |small: &mut BytesMut| (!small.is_empty()).then(|| std::mem::take(small).freeze());
        let data = self.waiting.pop_front().or_else(|| small(&mut self.small))?;
        self.here -= data.len();
        self.give(data.len());
        Some(data)
    }

    fn forget(&mut self) {
        self.waiting.clear();
        self.small = BytesMut::new();
        let here = std::mem::take(&mut self.here);
        self.give(here);
    }

    /// The windows may have so much back.
    fn give(&mut self, size: usize) {
        self.done += size;
        if let Some(giver) = self.giver.as_ref().filter(|_| size > 0) {
            giver.wake_by_ref();
        }
    }

    fn poll_frame(
        &mut self,
        cx: &Context<'_>,
        connection: &Connection,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(data) = self.next() {
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
        state.end == Some(End::Whole) && state.here == 0 && state.trailers.is_none()
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    use bytes::Bytes;
    use http_body::Body;

    use super::{Content, SMALL};
    use crate::body::Stream;
    use crate::gateway::Connection;
    use crate::peer::PeerAddr;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn content(length: Option<u64>, expects: bool) -> (Content, Stream, Arc<Connection>) {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let connection = Arc::new(Connection::new(PeerAddr(address), address, Box::new(())));
        let (content, reader) = Content::new(length, expects, &connection);
        (content, reader, connection)
    }

    /// The next piece; `None` if there is none yet.
    fn next(reader: &mut Stream) -> Option<Bytes> {
        match Pin::new(reader).poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(Ok(frame))) => frame.into_data().ok(),
            _ => None,
        }
    }

    #[test]
    fn small_pieces_do_not_keep_what_they_were_received_with() {
        let (content, mut reader, _) = content(None, false);
        let received = Bytes::from(vec![b'x'; 2 * SMALL]);
        for size in [1; 1000].into_iter().chain([SMALL]).chain([2; 1000]) {
            assert!(content.push(received.slice(..size)));
        }
        let sizes: Vec<usize> = std::iter::from_fn(|| next(&mut reader)).map(|piece| piece.len()).collect();
        assert_eq!(sizes, [1, 999, SMALL, 2000]);
        assert_eq!((content.take_done(), content.take_done()), (3000 + SMALL, 0));
    }

    #[test]
    fn what_is_dropped_or_too_much_goes_back_to_the_windows_once() {
        let (content, reader, _) = content(Some(10), false);
        for _ in 0..3 {
            assert!(content.push(Bytes::from_static(b"abc")));
        }
        drop(reader);
        assert_eq!((content.take_done(), content.take_done()), (9, 0));
        assert!(!content.push(Bytes::from_static(b"abc")), "more than its head has said");
        assert_eq!(content.into_owed(), 3);
    }

    #[test]
    fn who_reads_behind_the_head_of_the_response_wakes_the_connection_and_asks_for_nothing() {
        let (content, mut reader, connection) = content(None, true);
        let giver = Arc::new(Count::default());
        let woken = || giver.0.load(Ordering::Relaxed);
        assert!(content.push(Bytes::from_static(b"before")));
        assert_eq!((next(&mut reader).is_some(), woken()), (true, 0));
        content.outlives_request(&giver.clone().into());
        for _ in 0..2 {
            assert!(content.push(Bytes::from_static(b"behind")));
        }
        assert_eq!((next(&mut reader).is_some(), woken()), (true, 1));
        drop(reader);
        assert_eq!((woken(), content.take_done()), (2, 18));
        assert!(!connection.interim().waits());
    }
}
