//! Gathers what the page at `/metrics` is made of: from the workers, the snapshot, and the parts of the control plane.

use std::sync::Arc;
use std::time::Instant;

use crate::clock::{self, UnixTime};
use crate::config::Config;
use crate::gateway::Shared;
use crate::identity::{HashPool, Keys, Login};
use crate::observe::audit::Audit;
use crate::observe::metrics::{self, Format, ReloadCounters, Seat, Series, Sources, WorkerCounters};
use crate::reload::Parts;
use crate::store::{SledStore, Store, Timed};

/// The counters of the process, and who has the others. Outlives a reload.
#[derive(Debug)]
pub(super) struct Metrics {
    seats: Vec<Seat>,
    workers: Vec<Arc<WorkerCounters>>,
    epoch: Instant,
    started: UnixTime,
    reloads: ReloadCounters,
    store: Arc<Timed<SledStore>>,
    login: Arc<Login>,
    audit: Audit,
    pool: Arc<HashPool>,
    keys: Arc<Keys>,
}

impl Metrics {
    /// `None` if the configuration wants nothing to be counted.
    pub(super) fn new(
        config: &Config,
        store: Arc<Timed<SledStore>>,
        parts: &Parts,
        pool: Arc<HashPool>,
    ) -> Option<Self> {
        let seats = Seat::all(if config.metrics.enabled { config.server.workers } else { return None });
        let started = clock::now();
        Some(Self {
            workers: seats.iter().map(|seat| seat.counters().clone()).collect(),
            seats,
            epoch: clock::monotonic(),
            started,
            reloads: ReloadCounters::new(started),
            store,
            login: parts.login.clone(),
            audit: parts.audit.clone(),
            pool,
            keys: parts.keys.clone(),
        })
    }

    /// The seat of a worker.
    pub(super) fn seat(&self, worker: usize) -> Option<Seat> {
        self.seats.get(worker).cloned()
    }

    /// The counters for a configuration; those of `before` go on.
    pub(super) fn series(&self, config: &Config, before: Option<&Series>) -> Arc<Series> {
        Arc::new(Series::new(self.epoch, self.workers.len(), config, before))
    }

    /// Reloads so far.
    pub(super) fn reloads(&self) -> &ReloadCounters {
        &self.reloads
    }

    /// The page. It takes as long as there are routes in use; call it where that may block.
    pub(super) fn page(&self, shared: &Shared, format: Format) -> Option<String> {
        let snapshot = shared.snapshot.load_full();
        let sources = Sources {
            workers: &self.workers,
            series: snapshot.series.clone()?,
            config_hash: snapshot.config_hash(),
            reloads: &self.reloads,
            logins: self.login.outcomes(),
            hashing_waits: self.pool.waits(),
            hashing_jobs: self.pool.depth(),
            revocations: shared.revocations.len(),
            signing_keys: self.keys.figures(),
            issuers: snapshot.issuers.iter().map(|source| source.figures()).collect(),
            writes: self.store.writes(),
            writable: self.store.writable().is_ok(),
            audit: self.audit.counters(),
            auditable: self.audit.writable().is_ok(),
            started: self.started,
            now: clock::monotonic(),
        };
        match metrics::render(&sources, format) {
            Ok(page) => Some(page),
            Err(error) => {
                tracing::error!(error = %error, "the metrics could not be written");
                None
            }
        }
    }
}

/// What the admin listener shows at `/metrics`; nothing if nothing is counted.
pub(super) fn page_of(
    metrics: Option<&Arc<Metrics>>,
    shared: &Arc<Shared>,
) -> impl Fn(Format) -> Option<String> + Send + Sync + 'static {
    let (metrics, shared) = (metrics.cloned(), shared.clone());
    move |format| metrics.as_ref()?.page(&shared, format)
}
