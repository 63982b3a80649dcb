//! What of an exchange goes on, and ends with the token that let it in: see [`crate::gateway::streams`].

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::Body;

use super::Exchange;
use crate::auth::Caller;
use crate::body::{RequestBody, ResponseBody, TokenEnd};
use crate::clock::{self, UnixTime};
use crate::gateway::streams::Entered;
use crate::gateway::worker::Worker;
use crate::reject::Reject;

/// A request body of no more bytes than this, known beforehand, is taken as a part of its request: that was let in, and goes on.
const SHORT_BODY: u64 = 64 * 1024;

impl Exchange {
    /// The request is about to be sent on. If its body can go on for as long as the client likes, it ends when the caller's token is
    /// revoked: see [`Self::unless_revoked`]. The token may expire meanwhile: it was good when the request came.
    ///
    /// Returns whether the body is such a one.
    ///
    /// # Errors
    /// The token was revoked since the request came.
    pub(in crate::gateway) fn note_upload(
        &mut self,
        worker: &Worker,
        body: &RequestBody,
    ) -> Result<bool, Reject> {
        let goes_on = body.size_hint().exact().is_none_or(|length| length > SHORT_BODY);
        if goes_on {
            self.enter(worker, |_| None)?;
        }
        Ok(goes_on)
    }

    /// What is being done for the request, unless its token is revoked before it is done and that ends it.
    pub(in crate::gateway) fn unless_revoked<T>(
        &self,
        mut serving: impl Future<Output = Result<T, Reject>> + Unpin,
    ) -> impl Future<Output = Result<T, Reject>> {
        poll_fn(move |cx| match self.poll_revoked(cx) {
            Poll::Ready(reject) => Poll::Ready(Err(reject)),
            Poll::Pending => Pin::new(&mut serving).poll(cx),
        })
    }

    fn poll_revoked(&self, cx: &Context<'_>) -> Poll<Reject> {
        match (&self.0.entry, &self.0.caller) {
            (Some(entry), Some(caller)) => entry.poll_ended(cx).map(|end| caller.refusal(end)),
            _ => Poll::Pending,
        }
    }

    /// What follows the head of the response. If that goes on, it ends with the caller's token from now on.
    ///
    /// # Errors
    /// The token has ended since the request came.
    pub(in crate::gateway) fn note_ongoing(
        &mut self,
        worker: &Worker,
        body: &mut ResponseBody,
        has_tunnel: bool,
    ) -> Result<(), Reject> {
        self.0.entry = None;
        if !has_tunnel && !matches!(body, ResponseBody::Stream(_)) {
            return Ok(());
        }
        let outlives = self.0.route.as_ref().is_some_and(|route| route.outlive_token);
        self.enter(worker, |caller| (!outlives).then(|| caller.accepted_until()))?;
        if let Some(entry) = &self.0.entry
            && let ResponseBody::Stream(stream) = std::mem::replace(body, ResponseBody::empty())
        {
            *body = ResponseBody::Stream(entry.guard(stream));
        }
        Ok(())
    }

    /// Among those that go on at the worker, unless nobody was asked for a token.
    fn enter(
        &mut self,
        worker: &Worker,
        until: impl FnOnce(&Caller) -> Option<UnixTime>,
    ) -> Result<(), Reject> {
        let Some(caller) = &self.0.caller else { return Ok(()) };
        // What no key of ours has signed does not end with our keys.
        let is_ours = caller.own_token().is_ok();
        let era = if is_ours { self.0.view.snapshot.verifier.ring().era() } else { u64::MAX };
        let entered = Entered { caller: caller.clone(), until: until(caller), era };
        let entry = worker.streams().enter(entered, worker.revocations(), clock::now());
        let entry = entry.map_err(|end| caller.refusal(end))?;
        // After the entry was made, as with revocations.
        if worker.has_withdrawn(caller) {
            return Err(caller.refusal(TokenEnd::Revoked));
        }
        self.0.entry = Some(entry);
        Ok(())
    }
}
