//! What stands between the control plane, which builds it whole, and the data plane, which only reads it.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};

use crate::body::TrailerFilter;
use crate::config::{Config, Route};
use crate::health::Health;
use crate::inbound::Limits;
use crate::issuers::Sources;
use crate::limit::Limits as Buckets;
use crate::oauth::Provider;
use crate::observe::metrics::Series;
use crate::proxy::HeaderPolicy;
use crate::route::Table;
use crate::token::{ApiKeys, Revocations, Verifier};

/// Everything that a request is decided by. Immutable.
pub struct Snapshot {
    /// The file it was built from.
    pub config: Arc<Config>,
    /// What a request may be.
    pub limits: Limits,
    /// Silence that is allowed in a request body.
    pub body_timeout: Duration,
    /// The header rules.
    pub headers: Arc<HeaderPolicy>,
    /// The header rules, for trailers.
    pub trailers: TrailerFilter,
    /// The limits of the configuration, with their buckets.
    pub buckets: Arc<Buckets>,
    /// Keys and rules for tokens.
    pub verifier: Verifier,
    /// Where the keys of foreign issuers come from. What the verifier has of them is what was known when this was built.
    pub issuers: Sources,
    /// The token endpoint and what belongs to it.
    pub provider: Arc<Provider>,
    /// What the probes are told.
    pub health: Arc<Health>,
    /// Counters by the names of the configuration; `None` if nothing is counted.
    pub series: Option<Arc<Series>>,
    hash: OnceLock<String>,
}

/// What a snapshot has from the one before, as far as it names the same.
#[derive(Debug)]
pub struct HandedOn {
    /// Counters; `None` if nothing is counted.
    pub series: Option<Arc<Series>>,
    /// The buckets of the limits.
    pub buckets: Arc<Buckets>,
    /// What is known of the keys of foreign issuers.
    pub issuers: Sources,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Snapshot {
    /// Builds a snapshot from a checked configuration and what outlives it. `instance` names this process in `Via`.
    #[must_use]
    pub fn new(
        config: Arc<Config>,
        verifier: Verifier,
        provider: Arc<Provider>,
        health: Arc<Health>,
        handed_on: HandedOn,
        instance: &str,
    ) -> Self {
        let HandedOn { series, buckets, issuers } = handed_on;
        let headers = Arc::new(HeaderPolicy::of(&config, instance));
        let policy = headers.clone();
        Self {
            limits: Limits::new(&config.server),
            body_timeout: config.server.body_timeout,
            headers,
            trailers: Arc::new(move |trailers| policy.clean_trailers(trailers)),
            buckets,
            verifier,
            issuers,
            provider,
            health,
            series,
            hash: OnceLock::new(),
            config,
        }
    }

    /// All routes.
    #[must_use]
    pub fn routes(&self) -> &Table<Arc<Route>> {
        &self.config.routes
    }

    /// Differs when the configuration does, defaults included. Written out and hashed when it is first asked for, since that takes
    /// milliseconds with thousands of routes.
    #[must_use]
    pub fn config_hash(&self) -> &str {
        self.hash.get_or_init(|| {
            let digest = digest(&SHA256, self.config.to_string().as_bytes());
            digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
        })
    }

    /// Bytes of each worker's cache of verified tokens.
    #[must_use]
    pub fn token_cache_size(&self) -> usize {
        usize::try_from(self.config.token.cache_size).unwrap_or(usize::MAX)
    }
}

/// What all workers share: the snapshot, and what changes too often to be part of it.
#[derive(Debug)]
pub struct Shared {
    /// The newest snapshot.
    pub snapshot: ArcSwap<Snapshot>,
    /// What was revoked. A request that begins after a revocation was acknowledged sees it.
    pub revocations: Arc<Revocations>,
    /// The API keys, which change apart from it, too.
    pub api_keys: Arc<ApiKeys>,
}
