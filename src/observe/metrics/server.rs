//! What workers count of the servers behind the gateway.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::uri::Authority;

use super::cell::{Count, Tally};
use super::series::PerWorker;
use super::worker::difference;

/// On a cache line of its own, and not on two: of ten thousand servers each line costs.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct ServerCounters {
    picks: Count,
    failures: Count,
    opened: Count,
    closed: Count,
    idle: Count,
    /// Nanoseconds after the start of the process.
    resting_until: Count,
}

/// By which a server is known: host and port.
#[must_use]
pub fn server_key(authority: &Authority) -> String {
    match authority.port_u16() {
        Some(_) => authority.as_str().to_owned(),
        None => format!("{authority}:80"),
    }
}

/// A worker's view of a server.
#[derive(Clone, Debug)]
pub struct ServerMeter {
    epoch: Instant,
    counters: Arc<ServerCounters>,
}

impl ServerMeter {
    pub(super) fn new(epoch: Instant, counters: Arc<ServerCounters>) -> Self {
        Self { epoch, counters }
    }

    /// A request goes to the server.
    #[inline]
    pub fn picked(&self) {
        self.counters.picks.add(1);
    }

    /// It took no connection, and is left out until then.
    pub fn failed(&self, resting_until: Option<Instant>) {
        self.counters.failures.add(1);
        let until = resting_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(self.epoch));
        self.counters.resting_until.set(u64::try_from(until.as_nanos()).unwrap_or(u64::MAX));
    }

    /// So many connections wait for a request.
    #[inline]
    pub fn idle(&self, connections: usize) {
        self.counters.idle.set(connections as u64);
    }

    /// A connection was opened. It counts as open until the result is dropped, by the worker's thread.
    #[must_use]
    pub fn opened(&self) -> OpenToServer {
        self.counters.opened.add(1);
        OpenToServer(self.counters.clone())
    }
}

/// A connection to a server that is open.
#[derive(Debug)]
pub struct OpenToServer(Arc<ServerCounters>);

impl Drop for OpenToServer {
    fn drop(&mut self) {
        self.0.closed.add(1);
    }
}

/// The figures of a server over all workers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ServerFigures {
    pub(super) picks: u64,
    pub(super) failures: u64,
    pub(super) opened: u64,
    pub(super) open: u64,
    pub(super) idle: u64,
    /// Workers that leave it out.
    pub(super) resting: u64,
}

impl PerWorker<ServerCounters> {
    /// Whether a request was for it: until then there is nothing to tell.
    pub(super) fn was_tried(&self) -> bool {
        self.used().any(|set| set.picks.get() > 0 || set.failures.get() > 0)
    }

    pub(super) fn figures(&self, since_epoch: Duration) -> ServerFigures {
        let now = u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX);
        self.used().fold(ServerFigures::default(), |sum, set| ServerFigures {
            picks: sum.picks + set.picks.get(),
            failures: sum.failures + set.failures.get(),
            opened: sum.opened + set.opened.get(),
            open: sum.open + difference(&set.opened, &set.closed),
            idle: sum.idle + set.idle.get(),
            resting: sum.resting + u64::from(now < set.resting_until.get()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{PerWorker, ServerCounters, ServerMeter};
    use crate::clock;

    #[test]
    fn figures_are_the_sum_of_the_workers_and_rest_ends() {
        let epoch = clock::monotonic();
        let counters = PerWorker::<ServerCounters>::new("a:1", 2);
        let [one, two] = [0, 1].map(|worker| ServerMeter::new(epoch, counters.of(worker).unwrap().clone()));
        assert!(!counters.was_tried(), "a server without traffic has no figures");
        let second = Duration::from_secs(1);
        one.failed(Some(epoch + 2 * second));
        two.failed(Some(epoch + 3 * second));
        two.picked();
        let open = [one.opened(), two.opened()];
        two.idle(1);
        let at = |seconds: u32| counters.figures(seconds * second);
        assert_eq!([at(0), at(2), at(3)].map(|figures| figures.resting), [2, 1, 0]);
        assert_eq!((at(0).failures, at(0).picks, at(0).opened, at(0).open, at(0).idle), (2, 1, 2, 2, 1));
        drop(open);
        assert_eq!((at(0).opened, at(0).open), (2, 0));
    }
}
