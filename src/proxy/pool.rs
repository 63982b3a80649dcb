//! Idle connections to one server, for one worker. Last in, first out: the warmest is used, and the rest can age.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::http1::SendRequest;

use super::outgoing::Outgoing;

/// A connection that carries one request at a time.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) sender: SendRequest<Outgoing>,
    pub(super) address: SocketAddr,
}

/// Idle connections. The lock is never contended: a pool belongs to one thread.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Vec<(Connection, Instant)>>);

impl Pool {
    /// A connection that is fit for a request, and since when it has been idle.
    pub(super) fn take(&self) -> Option<(Connection, Instant)> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One that is not ready yet was given back a moment ago, and its task has not run since. It is passed over, not dropped.
        let mut at = idle.len();
        while let Some(index) = at.checked_sub(1) {
            at = index;
            match idle.get(index) {
                Some((connection, _)) if connection.sender.is_closed() => drop(idle.swap_remove(index)),
                Some((connection, _)) if connection.sender.is_ready() => {
                    return Some(idle.swap_remove(index));
                }
                _ => {}
            }
        }
        None
    }

    /// Gives a connection back after its exchange has ended well.
    pub(super) fn give_back(&self, connection: Connection, now: Instant) {
        if !connection.sender.is_closed() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push((connection, now));
        }
    }

    /// Closes what has been idle for longer than `limit`.
    pub(super) fn close_idle(&self, now: Instant, limit: Duration) {
        let fresh = |since: &Instant| now.saturating_duration_since(*since) < limit;
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(connection, since)| fresh(since) && !connection.sender.is_closed());
    }
}
