//! What the control plane counts. It happens so seldom that ordinary shared counters cost nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::cell::{Distribution, Histogram, SharedCount, Tally, WAITS};
use crate::clock::UnixTime;

/// How a login ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginOutcome {
    /// With a user.
    Success,
    /// The username or the password was wrong.
    BadCredentials,
    /// Too many had failed before; nothing was verified.
    Throttled,
    /// The queue of hashes was full.
    Busy,
    /// The gateway failed, or was shutting down.
    Failed,
}

impl LoginOutcome {
    const ALL: [Self; 5] = [Self::Success, Self::BadCredentials, Self::Throttled, Self::Busy, Self::Failed];

    const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::BadCredentials => "bad_credentials",
            Self::Throttled => "throttled",
            Self::Busy => "busy",
            Self::Failed => "failed",
        }
    }
}

/// Logins by outcome.
#[derive(Debug, Default)]
pub struct LoginCounters([SharedCount; LoginOutcome::ALL.len()]);

impl LoginCounters {
    /// A login has ended.
    pub fn count(&self, outcome: LoginOutcome) {
        if let Some(count) = self.0.get(outcome as usize) {
            count.add(1);
        }
    }

    pub(super) fn read(&self) -> Vec<(&'static str, u64)> {
        LoginOutcome::ALL
            .into_iter()
            .zip(&self.0)
            .map(|(outcome, count)| (outcome.name(), count.get()))
            .collect()
    }
}

/// How long something rare took, of any thread: 0.5 ms to 10 s.
#[derive(Debug, Default)]
pub struct Latency(Histogram<SharedCount>);

impl Latency {
    /// It took so long.
    pub fn observe(&self, took: Duration) {
        self.0.observe(&WAITS, took);
    }

    pub(super) fn read(&self) -> Distribution {
        let mut read = Distribution::default();
        read.include(&self.0);
        read
    }
}

/// Writes to the store.
#[derive(Debug, Default)]
pub struct WriteCounters {
    latency: Latency,
    failures: SharedCount,
}

impl WriteCounters {
    /// A write is durable after this time.
    pub fn succeeded(&self, took: Duration) {
        self.latency.observe(took);
    }

    /// A write could not be made durable, or was refused because an earlier one could not.
    pub fn failed(&self) {
        self.failures.add(1);
    }

    pub(super) fn read(&self) -> (Distribution, u64) {
        (self.latency.read(), self.failures.get())
    }
}

/// The signing keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct SigningKeyFigures {
    /// Keys that verify.
    pub count: u64,
    /// Since when the active one signs.
    pub active_since: UnixTime,
    /// How often another key began to sign.
    pub rotations: u64,
}

/// What is known of the keys of a foreign issuer.
#[derive(Clone, Debug)]
pub struct IssuerFigures {
    /// Its name in the configuration.
    pub name: String,
    /// How often its keys were looked for and found.
    pub found: u64,
    /// How often they were not.
    pub failed: u64,
    /// How many there are; 0 until they were found for the first time.
    pub keys: u64,
    /// When they were last found.
    pub seen: Option<UnixTime>,
}

/// Reloads of the configuration.
#[derive(Debug)]
pub struct ReloadCounters {
    succeeded: SharedCount,
    failed: SharedCount,
    last_failed: AtomicBool,
    /// Milliseconds since 1970.
    last_success: AtomicU64,
}

/// The reloads, as they were read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reloads {
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) last_succeeded: bool,
    pub(super) last_success: UnixTime,
}

impl ReloadCounters {
    /// The configuration of the start counts as loaded then, not as a reload.
    #[must_use]
    pub fn new(started: UnixTime) -> Self {
        let (succeeded, failed, last_failed) = Default::default();
        Self { succeeded, failed, last_failed, last_success: AtomicU64::new(started.as_millis()) }
    }

    /// A new configuration is in force.
    pub fn succeeded(&self, now: UnixTime) {
        self.succeeded.add(1);
        self.last_success.store(now.as_millis(), Ordering::Relaxed);
        self.last_failed.store(false, Ordering::Relaxed);
    }

    /// The old configuration stays.
    pub fn failed(&self) {
        self.failed.add(1);
        self.last_failed.store(true, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Reloads {
        Reloads {
            succeeded: self.succeeded.get(),
            failed: self.failed.get(),
            last_succeeded: !self.last_failed.load(Ordering::Relaxed),
            last_success: UnixTime::from_millis(self.last_success.load(Ordering::Relaxed)),
        }
    }
}
