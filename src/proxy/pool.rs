//! Idle connections to one server, for one worker. Last in, first out: the warmest is used, and the rest can age.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::http1::Connection;
use crate::observe::metrics::ServerMeter;

/// Idle connections. The lock is never contended: a pool belongs to one thread.
#[derive(Debug)]
pub(super) struct Pool {
    idle: Mutex<Vec<(Box<Connection>, Instant)>>,
    meter: Option<ServerMeter>,
}

impl Pool {
    /// No connections. `meter` counts those that are idle.
    pub(super) fn new(meter: Option<ServerMeter>) -> Self {
        Self { idle: Mutex::default(), meter }
    }

    /// A connection that is fit for a request.
    pub(super) fn take(&self) -> Option<Box<Connection>> {
        let mut idle = self.lock();
        while let Some((connection, _)) = idle.pop() {
            self.note(&idle);
            if connection.is_fit() {
                return Some(connection);
            }
        }
        None
    }

    /// Gives a connection back after its exchange has ended well.
    pub(super) fn give_back(&self, mut connection: Box<Connection>, now: Instant) {
        if !connection.rest() {
            return;
        }
        let mut idle = self.lock();
        idle.push((connection, now));
        self.note(&idle);
    }

    /// Closes what has been idle for longer than `limit`, or was closed by the server, and returns whether anything is left.
    pub(super) fn close_idle(&self, now: Instant, limit: Duration) -> bool {
        let fresh = |since: &Instant| now.saturating_duration_since(*since) < limit;
        let mut idle = self.lock();
        let before = idle.len();
        idle.retain(|(connection, since)| fresh(since) && connection.is_fit());
        if idle.len() != before {
            self.note(&idle);
        }
        !idle.is_empty()
    }

    fn note(&self, idle: &[(Box<Connection>, Instant)]) {
        if let Some(meter) = &self.meter {
            meter.idle(idle.len());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Box<Connection>, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
