//! Counters by route, upstream and server: as many as the configuration has names, however many paths clients think of.
//!
//! The control plane makes a [`Series`] with each snapshot, so a request finds its counters by the position of its route, without
//! a hash. What has the same name in the next configuration keeps its counters; what has gone is dropped with the last
//! request that still holds the old snapshot. A counter takes memory once a worker uses it: that of a route with its first request, that
//! of a server as soon as the worker knows the server.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http::Method;

use super::cell::{Count, Distribution, Histogram, Tally, WAITS};
use super::server::{ServerCounters, ServerMeter, server_key};
use super::worker::WorkerCounters;
use crate::config::Config;

/// Methods that have a label of their own, and what stands for the others.
pub(super) const METHODS: [&str; 8] = ["GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "other"];
/// Classes of status codes.
pub(super) const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The counters of a thing with a name: one set for each worker.
#[derive(Debug)]
pub(super) struct PerWorker<T> {
    pub(super) name: Box<str>,
    /// Made when they are first used, so that 10,000 routes without requests take no 5 MB a worker. Apart and aligned, so that the sets
    /// of two workers share no cache line: when both write, a count on a shared one takes 14 to 21 ns and not 2.
    sets: Box<[OnceLock<Arc<T>>]>,
}

impl<T: Default> PerWorker<T> {
    pub(super) fn new(name: &str, workers: usize) -> Arc<Self> {
        Arc::new(Self { name: name.into(), sets: (0..workers).map(|_| OnceLock::new()).collect() })
    }

    #[inline]
    pub(super) fn of(&self, worker: usize) -> Option<&Arc<T>> {
        self.sets.get(worker).map(|set| set.get_or_init(Arc::default))
    }

    /// Those that a worker has used.
    pub(super) fn used(&self) -> impl Iterator<Item = &T> {
        self.sets.iter().filter_map(|set| set.get().map(Arc::as_ref))
    }

    pub(super) fn is_used(&self) -> bool {
        self.used().next().is_some()
    }
}

#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct RouteCounters {
    requests: [[Count; CLASSES.len()]; METHODS.len()],
    duration: Histogram<Count>,
}

#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct UpstreamCounters {
    duration: Histogram<Count>,
    failures: Count,
}

/// The counters that one snapshot uses.
#[derive(Debug)]
pub struct Series {
    epoch: Instant,
    /// By [`crate::config::Route::index`].
    routes: Vec<Arc<PerWorker<RouteCounters>>>,
    /// For requests that match no route.
    nowhere: Arc<PerWorker<RouteCounters>>,
    /// By their position in the configuration.
    upstreams: Vec<Arc<PerWorker<UpstreamCounters>>>,
    /// By [`server_key`].
    servers: HashMap<String, Arc<PerWorker<ServerCounters>>>,
}

/// Counters by name: those there were, and those that are made.
struct Names<'b, T> {
    workers: usize,
    before: HashMap<&'b str, &'b Arc<PerWorker<T>>>,
    now: HashMap<String, Arc<PerWorker<T>>>,
}

impl<'b, T: Default> Names<'b, T> {
    fn new(workers: usize, before: impl Iterator<Item = &'b Arc<PerWorker<T>>>) -> Self {
        Self { workers, before: before.map(|it| (&*it.name, it)).collect(), now: HashMap::new() }
    }

    fn take(&mut self, name: &str) -> Arc<PerWorker<T>> {
        if let Some(known) = self.now.get(name) {
            return known.clone();
        }
        let old = self.before.get(name).map(|old| Arc::clone(old));
        let made = old.unwrap_or_else(|| PerWorker::new(name, self.workers));
        self.now.insert(name.to_owned(), made.clone());
        made
    }
}

impl Series {
    /// The counters of `workers` for a configuration; those of `before` go on under the same names.
    #[must_use]
    pub fn new(epoch: Instant, workers: usize, config: &Config, before: Option<&Self>) -> Self {
        let mut routes = Names::new(workers, before.iter().flat_map(|before| &before.routes));
        let mut upstreams = Names::new(workers, before.iter().flat_map(|before| &before.upstreams));
        let mut servers = Names::new(workers, before.iter().flat_map(|before| before.servers.values()));
        for authority in config.upstreams.iter().flat_map(|upstream| &upstream.servers) {
            servers.take(&server_key(authority));
        }
        Self {
            epoch,
            // The order in which they match, which is that of their index.
            routes: config.routes.iter().map(|(_, route)| routes.take(route.name.as_str())).collect(),
            nowhere: before.map_or_else(|| PerWorker::new("", workers), |before| before.nowhere.clone()),
            upstreams: config
                .upstreams
                .iter()
                .map(|upstream| upstreams.take(upstream.name.as_str()))
                .collect(),
            servers: servers.now,
        }
    }

    /// What a worker needs of one of its servers, by [`server_key`].
    #[must_use]
    pub fn server(&self, key: &str, worker: usize) -> Option<ServerMeter> {
        Some(ServerMeter::new(self.epoch, self.servers.get(key)?.of(worker)?.clone()))
    }

    pub(super) fn since_epoch(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.epoch)
    }

    /// Each route that was asked for, by name; the local endpoints have one entry for each host.
    pub(super) fn routes(&self) -> Vec<&PerWorker<RouteCounters>> {
        let all = self.routes.iter().chain([&self.nowhere]);
        sorted(all.map(Arc::as_ref).filter(|route| route.is_used()))
    }

    pub(super) fn upstreams(&self) -> Vec<&PerWorker<UpstreamCounters>> {
        sorted(self.upstreams.iter().map(Arc::as_ref).filter(|upstream| upstream.is_used()))
    }

    pub(super) fn servers(&self) -> Vec<&PerWorker<ServerCounters>> {
        sorted(self.servers.values().map(Arc::as_ref).filter(|server| server.was_tried()))
    }
}

fn sorted<'a, T>(all: impl Iterator<Item = &'a PerWorker<T>>) -> Vec<&'a PerWorker<T>> {
    let mut all: Vec<_> = all.collect();
    all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    all.dedup_by(|a, b| a.name == b.name);
    all
}

/// What a worker counts requests with, under one snapshot.
#[derive(Debug)]
pub struct Recorder {
    pub(super) series: Arc<Series>,
    pub(super) worker: Arc<WorkerCounters>,
    pub(super) index: usize,
}

/// A request that has ended.
#[derive(Debug)]
pub struct Ended<'a> {
    /// [`crate::config::Route::index`]; `None` if no route matched.
    pub route: Option<usize>,
    /// Of the request.
    pub method: &'a Method,
    /// Of the response; 499 when there was none to send it to.
    pub status: u16,
    /// To the last byte of the response. For a WebSocket: to the answer of its handshake.
    pub took: Duration,
    /// To the decision about the caller, if a token was asked for.
    pub authentication: Option<Duration>,
    /// Of a request that was forwarded: the position of the upstream, and the time to the head of its response.
    pub upstream: Option<(usize, Duration)>,
    /// Why it was refused, in one word of a closed set.
    pub refused: Option<&'static str>,
}

impl Recorder {
    /// A request has begun.
    #[inline]
    pub fn begin(&self) {
        self.worker.begin();
    }

    /// A request has ended. Some 150 instructions for one that was authenticated and forwarded.
    pub fn end(&self, ended: &Ended<'_>) {
        self.worker.end();
        if let Some(took) = ended.authentication {
            self.worker.authenticated(took);
        }
        let route = ended.route.and_then(|index| self.series.routes.get(index));
        if let Some(route) = route.unwrap_or(&self.series.nowhere).of(self.index) {
            if let Some(count) = route
                .requests
                .get(method_class(ended.method))
                .and_then(|of| of.get(status_class(ended.status)))
            {
                count.add(1);
            }
            route.duration.observe(&WAITS, ended.took);
        }
        if let Some((index, took)) = ended.upstream
            && let Some(upstream) = self.series.upstreams.get(index).and_then(|it| it.of(self.index))
        {
            upstream.duration.observe(&WAITS, took);
            if ended.refused.is_some() && ended.status >= 500 {
                upstream.failures.add(1);
            }
        }
        if let Some(word) = ended.refused {
            self.worker.refused(word);
        }
    }

    /// The counters of the worker.
    #[must_use]
    pub fn worker(&self) -> &Arc<WorkerCounters> {
        &self.worker
    }

    /// What the worker needs of one of its servers, by [`server_key`].
    #[must_use]
    pub fn server(&self, key: &str) -> Option<ServerMeter> {
        self.series.server(key, self.index)
    }
}

#[inline]
fn method_class(method: &Method) -> usize {
    match *method {
        Method::GET => 0,
        Method::POST => 1,
        Method::PUT => 2,
        Method::HEAD => 3,
        Method::DELETE => 4,
        Method::PATCH => 5,
        Method::OPTIONS => 6,
        _ => 7,
    }
}

/// A status that is none, which no upstream may send, counts as an error.
#[inline]
fn status_class(status: u16) -> usize {
    usize::from(status / 100).wrapping_sub(1).min(CLASSES.len() - 1)
}

impl PerWorker<RouteCounters> {
    /// Requests by method and class of status; what never came is left out.
    pub(super) fn requests(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let sum = move |method: usize, class: usize| -> u64 {
            let of = |set: &RouteCounters| set.requests.get(method)?.get(class).map(Tally::get);
            self.used().filter_map(of).sum()
        };
        let classes = || CLASSES.iter().enumerate();
        let all =
            METHODS.iter().enumerate().flat_map(move |method| classes().map(move |class| (method, class)));
        all.map(move |((m, method), (c, class))| (*method, *class, sum(m, c)))
            .filter(|(_, _, count)| *count > 0)
    }

    pub(super) fn duration(&self) -> Distribution {
        distribution(self.used().map(|set| &set.duration))
    }
}

impl PerWorker<UpstreamCounters> {
    pub(super) fn duration(&self) -> Distribution {
        distribution(self.used().map(|set| &set.duration))
    }

    pub(super) fn failures(&self) -> u64 {
        self.used().map(|set| set.failures.get()).sum()
    }
}

fn distribution<'a>(all: impl Iterator<Item = &'a Histogram<Count>>) -> Distribution {
    let mut sum = Distribution::default();
    all.for_each(|histogram| sum.include(histogram));
    sum
}
