//! One server and the connections that a worker keeps to it. Last in, first out: the warmest is used, and the rest can age.
//!
//! Of ten thousand servers that take turns nothing is in the CPU's caches when a turn comes. So a server has little that a request
//! looks at, and has it in one place as long as no more than one connection is idle: to take that and to give it back takes 0.58 µs
//! then, and 0.71 if it is in a list elsewhere, and whether the server rests is behind a lock of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::http1::{Connection, Socket, Workspace};
use crate::observe::metrics::{OpenToServer, ServerMeter};
use crate::spare::Spares;

/// A server that refused a connection is left out for this long, as long as another one is there.
pub(super) const COOL_DOWN: Duration = Duration::from_secs(1);

/// A server, as one worker sees it. The lock is never contended: it belongs to one thread.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) authority: Box<str>,
    state: Mutex<State>,
    /// `None` if nothing is counted.
    meter: Option<ServerMeter>,
    /// All servers of the worker give back to it.
    workspaces: Arc<Spares<Box<Workspace>>>,
}

#[derive(Debug, Default)]
struct State {
    /// Since when each waits for a request.
    idle: SmallVec<[(Socket, Instant); 1]>,
    /// Until when the server is left out.
    resting: Option<Instant>,
}

impl Server {
    /// No connections.
    pub(super) fn new(
        authority: String,
        meter: Option<ServerMeter>,
        workspaces: Arc<Spares<Box<Workspace>>>,
    ) -> Self {
        Self { authority: authority.into(), state: Mutex::default(), meter, workspaces }
    }

    /// An idle connection that is fit for a request, and has not been idle for longer than `limit`.
    pub(super) fn take(&self, now: Instant, limit: Duration) -> Option<Socket> {
        let idle = &mut self.state().idle;
        while let Some((socket, since)) = idle.pop() {
            self.note(idle);
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
            let idle = &mut self.state().idle;
            idle.push((socket, now));
            self.note(idle);
        }
    }

    /// Closes what has been idle for longer than `limit`, or was closed by the server, and returns whether anything is left.
    pub(super) fn close_idle(&self, now: Instant, limit: Duration) -> bool {
        let idle = &mut self.state().idle;
        let before = idle.len();
        idle.retain(|(socket, since)| is_fresh(*since, now, limit) && socket.is_fit());
        if idle.len() != before {
            self.note(idle);
        }
        if idle.len() <= 1 {
            idle.shrink_to_fit();
        }
        !idle.is_empty()
    }

    /// Whether it is left out.
    pub(super) fn rests(&self, now: Instant) -> bool {
        self.state().resting.is_some_and(|until| now < until)
    }

    /// It took no connection, and is left out for a while.
    pub(super) fn rest(&self, now: Instant) {
        let until = now.checked_add(COOL_DOWN);
        self.state().resting = until;
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_fresh(since: Instant, now: Instant, limit: Duration) -> bool {
    now.saturating_duration_since(since) < limit
}
