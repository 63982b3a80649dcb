//! What one worker thread owns. Its locks are never contended; they are there because hyper's tasks must be `Send`, and an
//! uncontended lock costs some 10 ns.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::snapshot::{Shared, Snapshot};
use crate::auth::TokenCache;
use crate::id::{NoRandomness, fill_random};
use crate::inbound::IdSource;
use crate::observe::AccessSink;
use crate::proxy::{Upstream, UpstreamSet};
use crate::reject::Reject;
use crate::token::{Cache, Revocations};

/// A worker's own state.
#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
    view: Mutex<Arc<View>>,
    servers: Mutex<UpstreamSet>,
    tokens: TokenCache,
    ids: IdSource,
    access: Option<AccessSink>,
}

/// A snapshot as one worker sees it. A request holds one to its end; the count of holders is the worker's own, so that workers do
/// not pass a cache line to and fro with every request.
#[derive(Debug)]
pub struct View {
    /// What the control plane has built.
    pub snapshot: Arc<Snapshot>,
    upstreams: Vec<Arc<Upstream>>,
}

impl View {
    /// The upstream of a route.
    pub(super) fn upstream(&self, index: usize) -> Result<&Arc<Upstream>, Reject> {
        self.upstreams
            .get(index)
            .ok_or_else(|| Reject::Internal(format!("there is no upstream number {index}")))
    }
}

impl Worker {
    /// A worker for what is shared. `access` is where its access records go.
    ///
    /// # Errors
    /// [`NoRandomness`] when the system's generator fails.
    pub fn new(shared: Arc<Shared>, access: Option<AccessSink>) -> Result<Self, NoRandomness> {
        let mut seed = [0; 8];
        fill_random(&mut seed)?;
        let snapshot = shared.snapshot.load_full();
        let mut servers = UpstreamSet::default();
        let upstreams = servers.build(&snapshot.config.upstreams, |_| None);
        let tokens = Mutex::new(Cache::new(snapshot.token_cache_size()));
        let view = Mutex::new(Arc::new(View { snapshot, upstreams }));
        let ids = IdSource::new(u64::from_le_bytes(seed));
        Ok(Self { shared, view, servers: Mutex::new(servers), tokens, ids, access })
    }

    /// The newest snapshot.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = self.shared.snapshot.load();
        if !Arc::ptr_eq(&view.snapshot, &newest) {
            let snapshot = Arc::clone(&newest);
            let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
            let upstreams = servers.build(&snapshot.config.upstreams, |_| None);
            // Tokens in the cache were verified by the keys and rules of the old snapshot.
            let fresh = Cache::new(snapshot.token_cache_size());
            *self.tokens.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
            *view = Arc::new(View { snapshot, upstreams });
        }
        Arc::clone(&view)
    }

    /// Closes upstream connections that have been idle for too long. The worker's thread calls it every now and then.
    pub fn close_idle(&self, now: Instant) {
        for upstream in &self.view().upstreams {
            upstream.close_idle(now);
        }
    }

    /// The cache of verified tokens.
    #[must_use]
    pub fn tokens(&self) -> &TokenCache {
        &self.tokens
    }

    /// What was revoked.
    #[must_use]
    pub fn revocations(&self) -> &Revocations {
        &self.shared.revocations
    }

    /// Where request ids come from.
    #[must_use]
    pub fn ids(&self) -> &IdSource {
        &self.ids
    }

    /// Where access records go; `None` if they are off.
    #[must_use]
    pub fn access(&self) -> Option<&AccessSink> {
        self.access.as_ref()
    }
}
