//! How often: the limits of a route, counted on the way of a request. What a route without limits pays is to see that it has none.
//!
//! Addresses are counted before anything is known of the caller, so that a flood of tokens is bounded before they are verified. Callers
//! and routes are counted once a request may pass, so that nobody can use up what belongs to others.

use std::sync::Arc;
use std::time::Instant;

use http::HeaderName;

use crate::auth::Permit;
use crate::config::{NamedLimits, Per, Route};
use crate::inbound::Inbound;
use crate::limit::{Exceeded, Limiter, Subject};
use crate::message::Fields;
use crate::reject::Reject;
use crate::route::Found;

use super::Snapshot;

static POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
static STANDING: HeaderName = HeaderName::from_static("ratelimit");

/// The limits of one request.
pub(super) struct RequestLimits<'s> {
    snapshot: &'s Snapshot,
    named: &'s NamedLimits,
    now: Instant,
}

impl<'s> RequestLimits<'s> {
    /// Those of the route, or the gateway's own where there is none; `None` without any.
    #[inline]
    pub(super) fn of(snapshot: &'s Snapshot, found: &Found<'s, Arc<Route>>, now: Instant) -> Option<Self> {
        let named = match found {
            Found::Route(route) => &route.limits,
            Found::Ambiguous | Found::NotFound | Found::MethodNotAllowed { .. } => {
                &snapshot.config.server.limits
            }
        };
        (!named.is_empty()).then_some(Self { snapshot, named, now })
    }

    /// Counts for the client's address, and notes what the response says of it.
    pub(super) fn count_address(&self, inbound: &Inbound, noted: &mut Fields) -> Result<(), Reject> {
        let subject = Subject::Address(inbound.client().network());
        self.of_kind(Per::Address).try_for_each(|limit| self.count(limit, subject, noted))
    }

    /// Counts for the caller and for the route, which the request may pass.
    pub(super) fn count_permit(&self, permit: &Permit<'_>, noted: &mut Fields) -> Result<(), Reject> {
        if let Some(caller) = permit.caller() {
            let subject = Subject::Caller(caller.name().as_str());
            self.of_kind(Per::Caller).try_for_each(|limit| self.count(limit, subject, noted))?;
        }
        let subject = Subject::Route(permit.route().name.as_str());
        self.of_kind(Per::Route).try_for_each(|limit| self.count(limit, subject, noted))
    }

    fn of_kind(&self, per: Per) -> impl Iterator<Item = &'s Limiter> {
        self.snapshot.buckets.at(self.named.per(per))
    }

    fn count(&self, limit: &Limiter, subject: Subject<'_>, noted: &mut Fields) -> Result<(), Reject> {
        let counted = limit.count(subject, self.now);
        noted.push(POLICY.clone(), limit.policy_field());
        noted.push(STANDING.clone(), limit.standing_field(counted));
        let name = || limit.definition().name.clone();
        counted.map(drop).map_err(|Exceeded { wait }| Reject::TooManyRequests { limit: name(), wait })
    }
}
