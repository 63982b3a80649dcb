//! The servers of an upstream, and whose turn it is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::pool::Pool;
use crate::config;
use crate::observe::metrics::{ServerMeter, server_key};

/// A server that refused a connection is left out for this long, as long as another one is there.
const COOL_DOWN: Duration = Duration::from_secs(1);

/// An upstream as one worker sees it: shared by nobody, so its counters cost no cache line of another core.
#[derive(Debug)]
pub struct Upstream {
    settings: config::Upstream,
    servers: Vec<Arc<Server>>,
    turn: AtomicUsize,
}

/// One server and the connections that a worker keeps to it.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) authority: String,
    pub(super) pool: Pool,
    /// Until when it is left out.
    resting: Mutex<Option<Instant>>,
    /// `None` if nothing is counted.
    pub(super) meter: Option<ServerMeter>,
}

impl Upstream {
    /// The configured times.
    #[must_use]
    pub fn settings(&self) -> &config::Upstream {
        &self.settings
    }

    /// All servers, beginning with the one whose turn it is; those that rest are left out. A single server never rests: there is
    /// nothing better to try.
    pub(super) fn candidates(&self, now: Instant) -> impl Iterator<Item = &Arc<Server>> {
        let start = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = self.servers.len();
        let in_turn = (0..count).filter_map(move |step| self.servers.get(start.wrapping_add(step) % count));
        in_turn.filter(move |server| count == 1 || !server.rests(now))
    }

    /// Whether there is more than one server.
    pub(super) fn is_set(&self) -> bool {
        self.servers.len() > 1
    }

    /// Closes the connections that have been idle for longer than `idle_timeout`, and returns whether others are.
    pub fn close_idle(&self, now: Instant) -> bool {
        let limit = self.settings.idle_timeout;
        // Each of them is asked.
        self.servers.iter().filter(|server| server.pool.close_idle(now, limit)).count() > 0
    }
}

impl Server {
    fn new(authority: String, meter: Option<ServerMeter>) -> Self {
        Self { authority, pool: Pool::new(meter.clone()), resting: Mutex::default(), meter }
    }

    fn rests(&self, now: Instant) -> bool {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| now < until)
    }

    pub(super) fn note_pick(&self) {
        if let Some(meter) = &self.meter {
            meter.picked();
        }
    }

    pub(super) fn rest(&self, now: Instant) {
        let until = now.checked_add(COOL_DOWN);
        *self.resting.lock().unwrap_or_else(PoisonError::into_inner) = until;
        if let Some(meter) = &self.meter {
            meter.failed(until);
        }
    }
}

/// All servers that a worker knows. Outlives a reload, and with it the idle connections.
#[derive(Debug, Default)]
pub struct UpstreamSet(HashMap<String, Arc<Server>>);

impl UpstreamSet {
    /// The upstreams of a configuration, in its order, over the servers that are known already. Servers that no upstream names any
    /// more are forgotten; requests that are on their way to one keep it alive. `meter` gives what a new one counts with.
    pub fn build(
        &mut self,
        upstreams: &[config::Upstream],
        meter: impl Fn(&str) -> Option<ServerMeter>,
    ) -> Vec<Arc<Upstream>> {
        let mut known = HashMap::new();
        let built = upstreams.iter().map(|settings| {
            let servers = settings.servers.iter().map(|authority| {
                let key = server_key(authority);
                let old = self.0.remove(&key);
                let server = known.entry(key.clone()).or_insert_with(|| {
                    old.unwrap_or_else(|| {
                        let meter = meter(&key);
                        Arc::new(Server::new(key, meter))
                    })
                });
                Arc::clone(server)
            });
            Arc::new(Upstream {
                settings: settings.clone(),
                servers: servers.collect(),
                turn: AtomicUsize::default(),
            })
        });
        let built = built.collect();
        self.0 = known;
        built
    }
}

#[cfg(test)]
mod tests {
    use super::{COOL_DOWN, UpstreamSet};
    use crate::clock;
    use crate::config;

    fn settings(servers: &[&str]) -> config::Upstream {
        let second = std::time::Duration::from_secs(1);
        config::Upstream {
            name: "u".parse().unwrap(),
            servers: servers.iter().map(|server| server.parse().unwrap()).collect(),
            connect_timeout: second,
            response_timeout: second,
            idle_timeout: second,
        }
    }

    #[test]
    fn servers_take_turns_and_a_resting_one_is_left_out() {
        let now = clock::monotonic();
        let upstream = UpstreamSet::default().build(&[settings(&["a:1", "b:2", "c:3"])], |_| None).remove(0);
        let order = |now| {
            upstream.candidates(now).map(|server| server.authority.clone()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!([order(now), order(now)], ["a:1 b:2 c:3", "b:2 c:3 a:1"]);
        upstream.servers[1].rest(now);
        assert_eq!(order(now), "c:3 a:1");
        assert_eq!(order(now + COOL_DOWN), "a:1 b:2 c:3");
    }

    #[test]
    fn a_single_server_never_rests() {
        let now = clock::monotonic();
        let upstream = UpstreamSet::default().build(&[settings(&["a"])], |_| None).remove(0);
        upstream.servers[0].rest(now);
        assert_eq!(upstream.candidates(now).next().unwrap().authority, "a:80");
    }

    #[test]
    fn a_reload_keeps_the_servers_that_stay() {
        let mut set = UpstreamSet::default();
        let before = set.build(&[settings(&["a:1", "b:2"])], |_| None).remove(0);
        let after = set.build(&[settings(&["b:2", "c:3"])], |_| None).remove(0);
        assert!(std::sync::Arc::ptr_eq(&before.servers[1], &after.servers[0]));
    }
}
