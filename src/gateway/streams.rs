//! What goes on: WebSockets, server-sent events, long downloads and uploads. It ends with the token that let it in.
//!
//! Each worker has a registry of its own. A response is entered when it begins with a body that streams, or with a tunnel, and a
//! request when it is sent on with a body that is long or has no end; what is whole, as most of them are, costs nothing. The worker's
//! thread walks the entries when something was revoked, and twice a second for those that have expired. Locks are never contended, as
//! in [`super::Worker`].

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use slab::Slab;

use crate::auth::Caller;
use crate::body::{BodyError, Stream, TokenEnd};
use crate::clock::UnixTime;
use crate::token::{ForeignIssuers, Revocations};

/// What goes on at a worker.
#[derive(Debug, Default)]
pub(super) struct Streams(Mutex<Slab<Arc<Ongoing>>>);

/// Who was let in, and to what.
#[derive(Debug)]
pub(super) struct Entered {
    /// Who.
    pub(super) caller: Arc<Caller>,
    /// When it ends by itself. `None` for what outlives the token.
    pub(super) until: Option<UnixTime>,
    /// That of the keys by which the token was verified; the last one of all if they are not ours.
    pub(super) era: u64,
}

/// One request or response.
struct Ongoing {
    entered: Entered,
    state: Mutex<State>,
}

/// What has become of it.
#[derive(Default)]
struct State {
    ended: Option<TokenEnd>,
    /// What is still to come of the body. `None` for a tunnel, and when it has ended.
    body: Option<Stream>,
    /// The task that serves it.
    waker: Option<Waker>,
}

/// An entry, which is struck out when this is dropped.
pub(super) struct Entry {
    streams: Arc<Streams>,
    key: usize,
    ongoing: Arc<Ongoing>,
}

impl fmt::Debug for Ongoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ongoing").field("entered", &self.entered).finish_non_exhaustive()
    }
}

impl Streams {
    /// Enters what somebody was let in to.
    ///
    /// # Errors
    /// How the token has ended since. That is looked at after the entry was made: a revocation that comes later walks over it, and one
    /// from before has walked already.
    pub(super) fn enter(
        self: &Arc<Self>,
        entered: Entered,
        revocations: &Revocations,
        now: UnixTime,
    ) -> Result<Entry, TokenEnd> {
        let ongoing = Arc::new(Ongoing { entered, state: Mutex::default() });
        let key = self.lock().insert(ongoing.clone());
        let entry = Entry { streams: self.clone(), key, ongoing };
        if entry.ongoing.is_refused_by(revocations) {
            Err(TokenEnd::Revoked)
        } else if entry.ongoing.has_expired(now) {
            Err(TokenEnd::Expired)
        } else {
            Ok(entry)
        }
    }

    /// Ends those whose token was revoked, or is from an issuer or by a key that is not trusted any more.
    pub(super) fn end_revoked(&self, revocations: &Revocations, issuers: &ForeignIssuers) {
        let is_withdrawn = |ongoing: &Ongoing| {
            ongoing.entered.caller.voucher().is_some_and(|voucher| !issuers.trust(voucher))
        };
        self.end_where(TokenEnd::Revoked, |it| it.is_refused_by(revocations) || is_withdrawn(it));
    }

    /// Ends those whose token is not accepted any more.
    pub(super) fn end_expired(&self, now: UnixTime) {
        self.end_where(TokenEnd::Expired, |ongoing| ongoing.has_expired(now));
    }

    /// Ends those who were let in by an API key, where none is taken any more.
    pub(super) fn end_api_keys(&self) {
        self.end_where(TokenEnd::Revoked, |ongoing| ongoing.entered.caller.has_api_key());
    }

    fn end_where(&self, end: TokenEnd, is_over: impl Fn(&Ongoing) -> bool) {
        let over: Vec<_> = self.lock().iter().map(|(_, it)| it).filter(|it| is_over(it)).cloned().collect();
        // Without the lock: what is dropped here may have more behind it than we know.
        for ongoing in over {
            ongoing.end(end);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slab<Arc<Ongoing>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ongoing {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_expired(&self, now: UnixTime) -> bool {
        self.entered.until.is_some_and(|until| until <= now)
    }

    fn is_refused_by(&self, revocations: &Revocations) -> bool {
        self.entered.era < revocations.era() || self.entered.caller.is_refused_by(revocations)
    }

    /// Ends it. The body goes now, and with it the connection to the upstream, even if the client takes nothing and the task that
    /// serves it gets no further.
    fn end(&self, end: TokenEnd) {
        let mut state = self.lock();
        if state.ended.is_some() {
            return;
        }
        state.ended = Some(end);
        let (body, waker) = (state.body.take(), state.waker.take());
        drop(state);
        drop(body);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl State {
    fn wake_later(&mut self, waker: &Waker) {
        match &mut self.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }
}

impl Entry {
    /// How it was ended, if it was.
    pub(super) fn ended(&self) -> Option<TokenEnd> {
        self.ongoing.lock().ended
    }

    /// Ready when it is ended.
    pub(super) fn poll_ended(&self, cx: &Context<'_>) -> Poll<TokenEnd> {
        let mut state = self.ongoing.lock();
        match state.ended {
            Some(end) => Poll::Ready(end),
            None => {
                state.wake_later(cx.waker());
                Poll::Pending
            }
        }
    }

    /// The same body, for as long as the token is good.
    pub(super) fn guard(&self, body: Stream) -> Stream {
        self.ongoing.lock().body = Some(body);
        Box::new(Guarded(self.ongoing.clone()))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.streams.lock().try_remove(self.key);
    }
}

/// A body that breaks off when its entry is ended.
struct Guarded(Arc<Ongoing>);

impl Body for Guarded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut state = self.0.lock();
        if let Some(end) = state.ended {
            return Poll::Ready(Some(Err(BodyError::TokenEnded(end))));
        }
        state.wake_later(cx.waker());
        match &mut state.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        let state = self.0.lock();
        state.ended.is_none() && state.body.as_ref().is_none_or(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().body.as_ref().map(|body| body.size_hint()).unwrap_or_default()
    }
}

impl Drop for Guarded {
    /// The entry may live on for a moment; the upstream must not wait for that.
    fn drop(&mut self) {
        let body = self.0.lock().body.take();
        drop(body);
    }
}
