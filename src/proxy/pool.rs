//! Idle connections to one server, for one worker. Last in, first out: the warmest is used, and the rest can age.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::http1::Connection;

/// Idle connections. The lock is never contended: a pool belongs to one thread.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Vec<(Box<Connection>, Instant)>>);

impl Pool {
    /// A connection that is fit for a request.
    pub(super) fn take(&self) -> Option<Box<Connection>> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((connection, _)) = idle.pop() {
            if connection.is_fit() {
                return Some(connection);
            }
        }
        None
    }

    /// Gives a connection back after its exchange has ended well.
    pub(super) fn give_back(&self, connection: Box<Connection>, now: Instant) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((connection, now));
    }

    /// Closes what has been idle for longer than `limit`, or was closed by the server.
    pub(super) fn close_idle(&self, now: Instant, limit: Duration) {
        let fresh = |since: &Instant| now.saturating_duration_since(*since) < limit;
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(connection, since)| fresh(since) && connection.is_fit());
    }
}
