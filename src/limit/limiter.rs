//! The limits of the configuration: buckets that are filled at a steady rate (GCRA, by the crate `governor`).
//!
//! governor decides; the buckets lie in our own table, whose memory is bounded, and the time is handed in. For that each decision
//! begins its own time: "now" is 0 there, and a bucket is described by how long it takes until it is full.

use std::cell::Cell;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};
use http::HeaderValue;

use super::table::{Fading, Table};
use crate::config::Limit;
use crate::digits;

/// Who is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject<'a> {
    /// A client, by [`crate::peer::ClientIp::network`].
    Address(IpAddr),
    /// A caller who has authenticated, by name.
    Caller(&'a str),
    /// All requests of a route, by its name.
    Route(&'a str),
}

/// One `[limit.NAME]` and its buckets, shared by all workers.
#[derive(Debug)]
pub struct Limiter {
    definition: Limit,
    quota: Quota,
    buckets: Table<Bucket>,
    epoch: Instant,
    policy: HeaderValue,
}

/// When it will be full, in nanoseconds since the limiter's epoch. One that is full says nothing.
#[derive(Debug, Default)]
struct Bucket(u64);

impl Fading for Bucket {
    fn faded_at(&self) -> u64 {
        self.0
    }
}

/// What a request may know of its limit when it has been counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Requests that may follow at once.
    pub remaining: u32,
    /// Until all that the limit allows at once is there again.
    pub full_in: Duration,
}

/// There were too many requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// The next one may pass after this time.
    pub wait: Duration,
}

impl Limiter {
    /// A limit that nobody has used yet. Times before `epoch` count as the epoch.
    #[must_use]
    pub fn new(definition: Limit, epoch: Instant) -> Self {
        let interval = definition.interval().max(Duration::from_nanos(1));
        let quota = Quota::with_period(interval).unwrap_or(Quota::per_second(NonZeroU32::MIN));
        let burst = NonZeroU32::new(definition.burst).unwrap_or(NonZeroU32::MIN);
        let mut policy = format!("\"{}\";q={burst};w=", definition.name).into_bytes();
        digits::decimal(&mut policy, whole_seconds(definition.window()));
        Self {
            quota: quota.allow_burst(burst),
            buckets: Table::new(definition.memory),
            epoch,
            policy: HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("")),
            definition,
        }
    }

    /// What it was made of.
    #[must_use]
    pub fn definition(&self) -> &Limit {
        &self.definition
    }

    /// Counts a request, unless that is one too many.
    ///
    /// # Errors
    /// [`Exceeded`]; the request is not counted then, so trying again does not make the wait longer.
    pub fn count(&self, subject: Subject<'_>, now: Instant) -> Result<Standing, Exceeded> {
        let since_epoch = now.saturating_duration_since(self.epoch).as_nanos();
        let now = u64::try_from(since_epoch).unwrap_or(u64::MAX);
        self.buckets.change(&subject, |bucket| {
            let store = AsSeenNow { full_in: Cell::new(bucket.0.saturating_sub(now)) };
            let decision = RateLimiter::<(), _, _>::new(self.quota, store, Handed)
                .with_middleware::<StateInformationMiddleware>();
            let counted = decision.check_key(&());
            let full_in = decision.into_state_store().full_in.get();
            match counted {
                Ok(state) => {
                    bucket.0 = now.saturating_add(full_in);
                    let remaining = state.remaining_burst_capacity();
                    Ok(Standing { remaining, full_in: Duration::from_nanos(full_in) })
                }
                Err(refused) => Err(Exceeded { wait: refused.earliest_possible().into() }),
            }
        })
    }

    /// `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11): so many requests at once, and the seconds after which as many may
    /// follow.
    #[must_use]
    pub fn policy_field(&self) -> HeaderValue {
        self.policy.clone()
    }

    /// `RateLimit` (the same draft): what is left, and the seconds until that changes for good. With `Retry-After` both say the same.
    #[must_use]
    pub fn standing_field(&self, counted: Result<Standing, Exceeded>) -> HeaderValue {
        let (remaining, reset) = match counted {
            Ok(standing) => (standing.remaining, standing.full_in),
            Err(exceeded) => (0, exceeded.wait),
        };
        let name = self.definition.name.as_str();
        let mut text = Vec::with_capacity(name.len() + 32);
        text.push(b'"');
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b"\";r=");
        digits::decimal(&mut text, remaining.into());
        text.extend_from_slice(b";t=");
        digits::decimal(&mut text, whole_seconds(reset));
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
    }
}

/// Rounded up.
fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

/// The bucket of one decision, in the time that begins with it.
struct AsSeenNow {
    /// Nanoseconds.
    full_in: Cell<u64>,
}

impl StateStore for AsSeenNow {
    type Key = ();

    fn measure_and_replace<T, F, E>(&self, (): &(), decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (result, full_in) = decide(Some(Nanos::from(self.full_in.get())))?;
        self.full_in.set(full_in.as_u64());
        Ok(result)
    }
}

/// It is always 0: see [`AsSeenNow`].
#[derive(Clone, Debug)]
struct Handed;

impl Clock for Handed {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::default()
    }
}

/// All limits of a configuration, by their position in it.
#[derive(Debug, Default)]
pub struct Limits(Vec<Arc<Limiter>>);

impl Limits {
    /// The limits of a configuration. One that is defined as it was `before` goes on with its buckets; the others begin at `now`.
    #[must_use]
    pub fn new(definitions: &[Limit], before: Option<&Self>, now: Instant) -> Self {
        let limiter = |definition: &Limit| {
            let same = |old: &&Arc<Limiter>| old.definition == *definition;
            let kept = before.and_then(|before| before.0.iter().find(same)).cloned();
            kept.unwrap_or_else(|| Arc::new(Limiter::new(definition.clone(), now)))
        };
        Self(definitions.iter().map(limiter).collect())
    }

    /// Those at these positions.
    pub fn at<'l>(&'l self, positions: &'l [usize]) -> impl Iterator<Item = &'l Limiter> {
        positions.iter().filter_map(|&position| self.0.get(position).map(Arc::as_ref))
    }
}

#[cfg(test)]
mod tests;
