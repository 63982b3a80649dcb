//! Slows the guessing of credentials down, and locks nobody out.
//!
//! A try is counted before anybody learns what came of it, and a password before it is verified, so that a thousand tries at once are a
//! thousand tries. It counts for its address, and for the pair of its address and the name that it claims; never for the name alone, or
//! anybody could keep its owner out. Both have a number of quick tries; then each try doubles the wait for the next one, up to a bound.
//! One try is forgotten in as much time as the longest wait, so in the long run there is one for each such wait, whatever the pattern.
//!
//! A try that succeeds clears its pair. Of the address it only takes itself back: with one account of his own, somebody could clear
//! what he has guessed at others. A try that is refused is not counted, and makes no wait longer.
//!
//! The counters are in memory and bounded ([`Table`]); a restart forgets them. What is counted has a [`Credential`], so that programs
//! which present a wrong secret do not keep people from logging in.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::display;

use crate::config;
use crate::limit::{Fading, Table};
use crate::name::Username;
use crate::peer::ClientIp;

/// What is guessed at. Tries at one kind do not count for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// A user's password, wherever it is asked for.
    Password,
    /// An invitation.
    Invitation,
    /// No credential, but a name that a stranger asks for. Here a try counts whether or not it succeeds.
    Registration,
    /// A client's secret. RFC 6749 §2.3.1 wants that, though nobody guesses the 256 bits of ours.
    ClientSecret,
}

impl Credential {
    /// One word for the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Invitation => "invitation",
            Self::Registration => "registration",
            Self::ClientSecret => "client secret",
        }
    }
}

/// Who tries, and at what.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// What is guessed at.
    pub credential: Credential,
    /// The client behind trusted proxies (SECURITY L12).
    pub client: ClientIp,
    /// Whose it is said to be, as it was sent; `None` where nobody says, and only the address counts.
    pub name: Option<&'a str>,
}

/// There were too many tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// The next one may be made after this time.
    pub wait: Duration,
    /// Whether it is the first that is refused since this counter was clear: to be logged, unlike the thousand after it.
    pub is_first: bool,
}

/// The counters. Outlives a reload.
#[derive(Debug)]
pub struct Throttle {
    counters: Table<Counter>,
    settings: Mutex<config::Throttle>,
    epoch: Instant,
}

/// A try that has been counted. It stays counted when it is dropped: whoever goes away has made it nevertheless.
#[derive(Debug)]
#[must_use = "a try counts as failed unless it is said to have succeeded"]
pub struct Attempt<'t> {
    throttle: &'t Throttle,
    address: Counted,
    pair: Option<Counted>,
    now: u64,
}

/// A counter that a try was counted in.
#[derive(Debug)]
struct Counted {
    key: Key,
    /// Before when it lets no other try in, for this one.
    next_at: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    credential: Credential,
    network: IpAddr,
    name: Option<String>,
}

/// Times are nanoseconds since the throttle's epoch.
#[derive(Debug, Default)]
struct Counter {
    /// When all tries are forgotten: each adds as much as one takes.
    forgotten_at: u64,
    /// No try before.
    next_at: u64,
    /// Whether a try was refused since the counter was clear.
    has_refused: bool,
}

impl Fading for Counter {
    fn faded_at(&self) -> u64 {
        self.forgotten_at
    }
}

impl Throttle {
    /// Counters that are all clear. Times before `epoch` count as the epoch.
    #[must_use]
    pub fn new(settings: &config::Throttle, epoch: Instant) -> Self {
        Self { counters: Table::new(settings.memory), settings: Mutex::new(*settings), epoch }
    }

    /// Goes on under other settings. The memory stays as it is.
    pub fn adopt(&self, settings: &config::Throttle) {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = *settings;
    }

    /// Counts a try, before anything is verified for it. Users who exist and others are counted alike.
    ///
    /// # Errors
    /// [`Throttled`]: it must not be made.
    pub fn begin(&self, claim: &Claim<'_>, now: Instant) -> Result<Attempt<'_>, Throttled> {
        let since_epoch = now.saturating_duration_since(self.epoch).as_nanos();
        let now = u64::try_from(since_epoch).unwrap_or(u64::MAX);
        let settings = self.settings();
        let key = |name| Key { credential: claim.credential, network: claim.client.network(), name };
        let address = key(None);
        let pair = claim.name.map(|name| key(Some(folded(name))));
        let pair = pair.map(|pair| self.count(pair, settings.quick_tries, &settings, now)).transpose()?;
        match self.count(address, settings.address_quick_tries, &settings, now) {
            Ok(address) => Ok(Attempt { throttle: self, address, pair, now }),
            Err(throttled) => {
                if let Some(pair) = pair {
                    self.take_back(&pair, settings.quick_tries, &settings, now);
                }
                Err(throttled)
            }
        }
    }

    /// The same, and logs the first try that is refused.
    ///
    /// # Errors
    /// [`Throttled`]: it must not be made.
    pub fn admit(&self, claim: &Claim<'_>, now: Instant) -> Result<Attempt<'_>, Throttled> {
        let begun = self.begin(claim, now);
        if let Err(throttled) = &begun
            && throttled.is_first
        {
            let (credential, wait) = (claim.credential.name(), throttled.wait.as_secs_f64());
            // What cannot be a name may be a password in the wrong field.
            let user = claim.name.and_then(|name| Username::new(name).ok()).map(display);
            tracing::warn!(client.addr = %claim.client, user, credential, wait, "logins are throttled: too many have failed");
        }
        begun
    }

    fn count(
        &self,
        key: Key,
        quick_tries: u32,
        settings: &config::Throttle,
        now: u64,
    ) -> Result<Counted, Throttled> {
        let next_at = self.counters.change(&key, |it| it.count(quick_tries, settings, now))?;
        Ok(Counted { key, next_at })
    }

    fn take_back(&self, counted: &Counted, quick_tries: u32, settings: &config::Throttle, now: u64) {
        let take_back = |it: &mut Counter| it.take_back(counted.next_at, quick_tries, settings, now);
        self.counters.change_known(&counted.key, take_back);
    }

    fn settings(&self) -> config::Throttle {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What names have in common that stand for the same user: SECURITY L4. What cannot be a username stands for nobody, and all of it is
/// counted as one name.
fn folded(name: &str) -> String {
    Username::new(name).map(|name| name.folded()).unwrap_or_default()
}

impl Attempt<'_> {
    /// It was right.
    pub fn succeed(self) {
        let Self { throttle, address, pair, now } = self;
        if let Some(pair) = pair {
            throttle.counters.change_known(&pair.key, |it| *it = Counter::default());
        }
        let settings = throttle.settings();
        throttle.take_back(&address, settings.address_quick_tries, &settings, now);
    }

    /// Nothing was verified: there was no capacity for it.
    pub fn withdraw(self) {
        let Self { throttle, address, pair, now } = self;
        let settings = throttle.settings();
        if let Some(pair) = pair {
            throttle.take_back(&pair, settings.quick_tries, &settings, now);
        }
        throttle.take_back(&address, settings.address_quick_tries, &settings, now);
    }
}

impl Counter {
    /// Returns before when there is no other try.
    fn count(&mut self, quick_tries: u32, settings: &config::Throttle, now: u64) -> Result<u64, Throttled> {
        if now < self.next_at {
            let is_first = !std::mem::replace(&mut self.has_refused, true);
            return Err(Throttled { wait: Duration::from_nanos(self.next_at - now), is_first });
        }
        if self.forgotten_at <= now {
            *self = Self { forgotten_at: now, ..Self::default() };
        }
        let longest = settings.max_delay;
        self.forgotten_at = self.forgotten_at.saturating_add(nanos(longest));
        let tries = self.tries(longest, now);
        if let Some(beyond) = tries.checked_sub(quick_tries.into()) {
            let doublings = u32::try_from(beyond).unwrap_or(u32::MAX);
            let delay = settings.first_delay.saturating_mul(2_u32.saturating_pow(doublings)).min(longest);
            self.next_at = now.saturating_add(nanos(delay));
        }
        Ok(self.next_at)
    }

    /// As if the try had not been counted: it was let in, so there was no wait before the one that it has `set`. A wait that another try
    /// has set since stays, if that still is one too many.
    fn take_back(&mut self, set: u64, quick_tries: u32, settings: &config::Throttle, now: u64) {
        let longest = settings.max_delay;
        self.forgotten_at = self.forgotten_at.saturating_sub(nanos(longest));
        if self.next_at == set || self.tries(longest, now) < quick_tries.into() {
            self.next_at = 0;
        }
    }

    /// Tries that are not forgotten; one that is half forgotten is one.
    fn tries(&self, longest: Duration, now: u64) -> u64 {
        self.forgotten_at.saturating_sub(now).div_ceil(nanos(longest).max(1))
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
