//! What a request has to know of the client connection that it came over, and the other way round.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::interim::Interim;
use crate::peer::PeerAddr;

/// What the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0 or 1.1: one request at a time.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
}

/// A client connection. Lives until its last request, or the WebSocket that it became, has ended.
pub struct Connection {
    peer: PeerAddr,
    local: SocketAddr,
    interim: Interim,
    in_flight: AtomicU32,
    served: AtomicU32,
    /// Response bodies of which the client has not yet asked for more.
    owed: AtomicU32,
    /// Times that a response body went on, modulo 2³².
    moved: AtomicU32,
    _lease: Box<dyn Any + Send + Sync>,
}

impl Connection {
    /// A connection. `lease` is held as long as it lives: its place among `max_connections`, its part in an orderly shutdown.
    #[must_use]
    pub fn new(peer: PeerAddr, local: SocketAddr, lease: Box<dyn Any + Send + Sync>) -> Self {
        let (interim, in_flight, served, owed, moved) = Default::default();
        Self { peer, local, interim, in_flight, served, owed, moved, _lease: lease }
    }

    /// The client's end.
    #[must_use]
    pub fn peer(&self) -> PeerAddr {
        self.peer
    }

    /// Our end.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Where interim responses to this client go: those of the request whose path is being polled.
    #[must_use]
    pub fn interim(&self) -> &Interim {
        &self.interim
    }

    /// Requests whose response has not ended.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Requests that have begun, modulo 2³².
    #[must_use]
    pub fn served(&self) -> u32 {
        self.served.load(Ordering::Relaxed)
    }

    /// Response bodies of which the client has taken nothing since the last time: in HTTP/2 it can close its window. Together with
    /// [`Self::moved`], which does not change as long as none of them goes on.
    #[must_use]
    pub fn owed(&self) -> u32 {
        self.owed.load(Ordering::Relaxed)
    }

    /// Times that a response body went on, modulo 2³².
    #[must_use]
    pub fn moved(&self) -> u32 {
        self.moved.load(Ordering::Relaxed)
    }

    /// A response body has handed something over, and waits for the client to take it.
    pub(super) fn owe(&self) {
        self.owed.fetch_add(1, Ordering::Relaxed);
    }

    /// The client has taken it, or the response has ended.
    pub(super) fn settle(&self) {
        self.owed.fetch_sub(1, Ordering::Relaxed);
        self.moved.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.served.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("peer", &self.peer)
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}
