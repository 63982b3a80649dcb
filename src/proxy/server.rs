//! One server and the connections that a worker keeps to it. Last in, first out: the warmest is used, and the rest can age.
//!
//! Of ten thousand servers that take turns nothing is in the CPU's caches when a turn comes, so a server has little that a request
//! looks at.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::http1::{Connection, Socket, Workspace};
use crate::observe::metrics::{OpenToServer, ServerMeter};
use crate::spare::Spares;

/// A server that refused a connection is left out for this long, as long as another one is there.
pub(super) const COOL_DOWN: Duration = Duration::from_secs(1);

/// A server, as one worker sees it. The locks are never contended: it belongs to one thread.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) authority: Box<str>,
    idle: Mutex<Vec<(Socket, Instant)>>,
    /// Until when it is left out.
    resting: Mutex<Option<Instant>>,
    /// `None` if nothing is counted.
    meter: Option<ServerMeter>,
    /// All servers of the worker give back to it.
    workspaces: Arc<Spares<Box<Workspace>>>,
}

impl Server {
    /// No connections.
    pub(super) fn new(
        authority: String,
        meter: Option<ServerMeter>,
        workspaces: Arc<Spares<Box<Workspace>>>,
    ) -> Self {
        Self {
            authority: authority.into(),
            idle: Mutex::default(),
            resting: Mutex::default(),
            meter,
            workspaces,
        }
    }

    /// An idle connection that is fit for a request, and has not been idle for longer than `limit`.
    pub(super) fn take(&self, now: Instant, limit: Duration) -> Option<Socket> {
        let mut idle = self.idle();
        while let Some((socket, since)) = idle.pop() {
            self.note(&idle);
            if is_fresh(since, now, limit) && socket.is_fit() {
                return Some(socket);
            }
        }
        None
    }

    /// It gets a request.
    pub(super) fn note_pick(&self) {
        if let Some(meter) = &self.meter {
            meter.picked();
        }
    }

    /// Gives a connection back after its exchange has ended well.
    pub(super) fn give_back(&self, connection: Connection, now: Instant) {
        if let Some((socket, workspace)) = connection.rest() {
            self.workspaces.give_back(workspace);
            let mut idle = self.idle();
            idle.push((socket, now));
            self.note(&idle);
        }
    }

    /// Closes what has been idle for longer than `limit`, or was closed by the server, and returns whether anything is left.
    pub(super) fn close_idle(&self, now: Instant, limit: Duration) -> bool {
        let mut idle = self.idle();
        let before = idle.len();
        idle.retain(|(socket, since)| is_fresh(*since, now, limit) && socket.is_fit());
        if idle.len() != before {
            self.note(&idle);
        }
        !idle.is_empty()
    }

    /// Whether it is left out.
    pub(super) fn rests(&self, now: Instant) -> bool {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| now < until)
    }

    /// It took no connection, and is left out for a while.
    pub(super) fn rest(&self, now: Instant) {
        let until = now.checked_add(COOL_DOWN);
        *self.resting.lock().unwrap_or_else(PoisonError::into_inner) = until;
        if let Some(meter) = &self.meter {
            meter.failed(until);
        }
    }

    /// Counts a connection as long as it is open.
    pub(super) fn note_open(&self) -> Option<OpenToServer> {
        self.meter.as_ref().map(ServerMeter::opened)
    }

    fn note(&self, idle: &[(Socket, Instant)]) {
        if let Some(meter) = &self.meter {
            meter.idle(idle.len());
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Socket, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_fresh(since: Instant, now: Instant, limit: Duration) -> bool {
    now.saturating_duration_since(since) < limit
}
