//! Timeouts without timers: each worker looks over its connections twice a second and closes those that have stood still for too
//! long. A request costs a few relaxed stores; a timer that is moved with each would take 420 of its 31,000 instructions, and one that
//! is made for each wait 810.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::gateway::{Connection, Protocol};

/// How often a worker looks. Timeouts are exact to this.
pub(super) const TICK: Duration = Duration::from_millis(500);

/// How long an HTTP/2 connection that has nothing in flight may take to go (RFC 9113 §6.8 asks for one round trip).
const LEAVE: Duration = Duration::from_secs(5);

/// How long a connection may stand still.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) header: Duration,
    pub(super) write: Duration,
    pub(super) keepalive: Duration,
}

/// What the task of a connection is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Serve,
    /// Finish what is in flight, then close.
    Drain,
    /// Close now.
    Close,
}

/// One connection, watched.
#[derive(Debug)]
pub(super) struct Watch {
    connection: Arc<Connection>,
    protocol: Protocol,
    /// One more than the number of requests served when bytes came while nothing was in flight: a head is being read.
    head_of: AtomicU32,
    write_blocked: AtomicBool,
    writes: AtomicU32,
    command: AtomicU8,
    waker: Mutex<Option<Waker>>,
    seen: Mutex<(Standstill, Instant)>,
}

/// What a connection can be waiting for. Equal values at two looks mean that nothing has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standstill {
    /// The client takes nothing of what we write. Counts the writes.
    Write(u32),
    /// HTTP/2: the client keeps its window closed. Counts the times that a response went on.
    Window(u32),
    /// A request head has begun, or was never begun on a new connection. Counts the requests.
    Head(u32),
    /// HTTP/2: told to go and owing nothing, but still there: it does not answer the ping that ends the connection in order. Counts the
    /// requests: our answers to its own pings do not help it.
    Leaving(u32),
    /// Nothing is asked of us. Counts the requests.
    Idle(u32),
    /// A request is in flight: its own timeouts apply.
    Busy,
}

impl Watch {
    pub(super) fn new(connection: Arc<Connection>, protocol: Protocol, now: Instant) -> Self {
        Self {
            connection,
            protocol,
            head_of: AtomicU32::new(1),
            write_blocked: AtomicBool::new(false),
            writes: AtomicU32::new(0),
            command: AtomicU8::new(Command::Serve as u8),
            waker: Mutex::new(None),
            seen: Mutex::new((Standstill::Busy, now)),
        }
    }

    pub(super) fn has_read(&self) {
        self.has_begun(true);
    }

    /// Whether what was read, while nothing is in flight, is the beginning of something. In HTTP/2 it may be whole, and no request.
    pub(super) fn has_begun(&self, something: bool) {
        if self.connection.in_flight() == 0 {
            let next = self.connection.served().wrapping_add(u32::from(something));
            self.head_of.store(next, Ordering::Relaxed);
        }
    }

    /// Something was written, or could not be: then the client has not taken what it was sent.
    pub(super) fn has_written(&self, blocked: bool) {
        self.write_blocked.store(blocked, Ordering::Relaxed);
        if !blocked {
            self.writes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether the client has not taken what was written.
    pub(super) fn is_write_blocked(&self) -> bool {
        self.write_blocked.load(Ordering::Relaxed)
    }

    /// Serves the connection until that is over, or has to be closed at once. The future comes by reference, since one that is moved in
    /// here has its place twice: 0.75 KiB for each connection.
    pub(super) async fn over(
        &self,
        mut serving: Pin<&mut impl Future<Output = io::Result<()>>>,
    ) -> io::Result<()> {
        let mut known = false;
        poll_fn(|cx| {
            if !std::mem::replace(&mut known, true) {
                self.set_waker(cx.waker());
            }
            match self.command() {
                Command::Close => Poll::Ready(Ok(())),
                Command::Serve | Command::Drain => serving.as_mut().poll(cx),
            }
        })
        .await
    }

    /// The task's waker, which does not change.
    fn set_waker(&self, waker: &Waker) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
    }

    pub(super) fn command(&self) -> Command {
        match self.command.load(Ordering::Relaxed) {
            0 => Command::Serve,
            1 => Command::Drain,
            _ => Command::Close,
        }
    }

    pub(super) fn tell(&self, command: Command) {
        self.command.fetch_max(command as u8, Ordering::Relaxed);
        if let Some(waker) = &*self.waker.lock().unwrap_or_else(PoisonError::into_inner) {
            waker.wake_by_ref();
        }
    }

    fn look(&self, now: Instant, patience: Patience) {
        let state = self.standstill();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.0 != state {
            *seen = (state, now);
            return;
        }
        let (limit, command) = match state {
            Standstill::Busy => return,
            Standstill::Write(_) | Standstill::Window(_) => (patience.write, Command::Close),
            Standstill::Head(_) => (patience.header, Command::Close),
            Standstill::Leaving(_) => (LEAVE, Command::Close),
            Standstill::Idle(_) if self.protocol == Protocol::Http2 => (patience.keepalive, Command::Drain),
            Standstill::Idle(_) => (patience.keepalive, Command::Close),
        };
        let still = now.saturating_duration_since(seen.1);
        drop(seen);
        if still >= limit {
            self.tell(command);
        }
    }

    fn standstill(&self) -> Standstill {
        let served = self.connection.served();
        if self.write_blocked.load(Ordering::Relaxed) {
            Standstill::Write(self.writes.load(Ordering::Relaxed))
        } else if self.connection.owed() > 0 {
            Standstill::Window(self.connection.moved())
        } else if self.connection.in_flight() > 0 {
            Standstill::Busy
        } else if self.protocol == Protocol::Http2 && self.command() == Command::Drain {
            Standstill::Leaving(served)
        } else if self.head_of.load(Ordering::Relaxed) == served.wrapping_add(1) {
            Standstill::Head(served)
        } else {
            Standstill::Idle(served)
        }
    }
}

/// A registry with room for more than this gives back what a burst has left.
const SPARE: usize = 1024;

/// The connections of a worker.
#[derive(Debug, Default)]
pub(super) struct Registry {
    next: AtomicU64,
    open: Mutex<HashMap<u64, Arc<Watch>>>,
    /// Told of every connection: a worker without any sleeps.
    entered: Notify,
}

impl Registry {
    /// Watches a connection until the entry is dropped.
    pub(super) fn enter(self: &Arc<Self>, watch: Arc<Watch>) -> Entry {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(key, watch);
        self.entered.notify_one();
        Entry { registry: self.clone(), key }
    }

    /// Returns when a connection has come since the last time, at the latest with the next one.
    pub(super) async fn entered(&self) {
        self.entered.notified().await;
    }

    /// Looks over all connections, and returns whether there are any.
    pub(super) fn look(&self, now: Instant, patience: Patience) -> bool {
        let mut open = self.lock();
        for watch in open.values() {
            watch.look(now, patience);
        }
        if open.capacity() > SPARE && open.len() < open.capacity() / 8 {
            open.shrink_to(SPARE);
        }
        !open.is_empty()
    }

    /// Tells all connections.
    pub(super) fn tell(&self, command: Command) {
        for watch in self.lock().values() {
            watch.tell(command);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Watch>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the registry.
#[derive(Debug)]
pub(super) struct Entry {
    registry: Arc<Registry>,
    key: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{Command, Patience, Watch};
    use crate::clock;
    use crate::gateway::{Connection, Protocol};
    use crate::peer::PeerAddr;

    const PATIENCE: Patience = Patience {
        header: Duration::from_secs(10),
        write: Duration::from_secs(30),
        keepalive: Duration::from_secs(75),
    };

    fn watch(protocol: Protocol) -> Watch {
        let address = "127.0.0.1:1".parse().unwrap();
        let connection = Connection::new(PeerAddr(address), address, Box::new(()));
        Watch::new(Arc::new(connection), protocol, clock::monotonic())
    }

    /// The command after looks at these seconds.
    fn after(watch: &Watch, seconds: &[u64]) -> Command {
        let start = clock::monotonic();
        for second in seconds {
            watch.look(start + Duration::from_secs(*second), PATIENCE);
        }
        watch.command()
    }

    #[test]
    fn a_head_that_does_not_end_is_closed_however_many_bytes_trickle_in() {
        let slow = watch(Protocol::Http1);
        assert_eq!(after(&slow, &[0, 5]), Command::Serve);
        slow.has_read();
        assert_eq!(after(&slow, &[0, 9]), Command::Serve);
        slow.has_read();
        assert_eq!(after(&slow, &[11]), Command::Close);
    }

    #[test]
    fn an_idle_http2_connection_is_drained_and_a_ping_is_no_head() {
        let idle = watch(Protocol::Http2);
        idle.has_begun(false);
        assert_eq!(after(&idle, &[0, 74]), Command::Serve);
        assert_eq!(after(&idle, &[76]), Command::Drain);
    }

    #[test]
    fn an_http2_connection_that_does_not_go_when_told_is_closed() {
        let idle = watch(Protocol::Http2);
        idle.has_begun(false);
        assert_eq!(after(&idle, &[0, 76, 77, 81]), Command::Drain);
        // It has sent a ping, and got the answer.
        idle.has_written(false);
        assert_eq!(after(&idle, &[82]), Command::Close);
    }

    #[test]
    fn a_reader_that_has_stopped_is_closed_and_one_that_reads_is_not() {
        let reader = watch(Protocol::Http1);
        reader.has_written(true);
        assert_eq!(after(&reader, &[0, 29]), Command::Serve);
        reader.has_written(false);
        reader.has_written(true);
        assert_eq!(after(&reader, &[30]), Command::Serve);
        assert_eq!(after(&reader, &[61]), Command::Close);
    }
}
