//! What one worker thread owns. Its locks are never contended; they are there because tasks must be `Send`, and an
//! uncontended lock costs some 10 ns.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::{ArcSwap, Cache};

use super::snapshot::{Shared, Snapshot};
use super::streams::Streams;
use crate::auth::{ApiKeyRules, Authenticator, Caller, TokenCache};
use crate::clock::UnixTime;
use crate::id::{NoRandomness, fill_random};
use crate::inbound::IdSource;
use crate::observe::AccessSink;
use crate::observe::metrics::{Recorder, Seat, WorkerCounters};
use crate::proxy::{Round, Upstream, UpstreamSet};
use crate::reject::{Prepared, Reject};
use crate::token::{self, Revocations};

/// A worker's own state.
#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
    view: Mutex<Current>,
    servers: Mutex<UpstreamSet>,
    tokens: TokenCache,
    streams: Arc<Streams>,
    ids: IdSource,
    access: Option<Arc<AccessSink>>,
    seat: Option<Seat>,
}

/// The view, and what tells whether it is of the newest snapshot: a load and a comparison. To load the
/// snapshot itself takes 60 instructions more, two of them locked.
#[derive(Debug)]
struct Current {
    newest: Cache<Newest, Arc<Snapshot>>,
    view: Arc<View>,
}

#[derive(Debug)]
struct Newest(Arc<Shared>);

impl Deref for Newest {
    type Target = ArcSwap<Snapshot>;

    fn deref(&self) -> &Self::Target {
        &self.0.snapshot
    }
}

/// A snapshot as one worker sees it. A request holds one to its end; the count of holders is the worker's own, so that workers do
/// not pass a cache line to and fro with every request.
#[derive(Debug)]
pub struct View {
    /// What the control plane has built.
    pub snapshot: Arc<Snapshot>,
    /// Responses to those who may not pass.
    refusals: Prepared,
    upstreams: Vec<Arc<Upstream>>,
    /// Over the upstreams.
    round: Mutex<Round>,
    recorder: Option<Recorder>,
    access: Option<Arc<AccessSink>>,
}

impl View {
    fn new(
        snapshot: Arc<Snapshot>,
        servers: &mut UpstreamSet,
        kept: Option<Vec<Arc<Upstream>>>,
        seat: Option<&Seat>,
        access: Option<Arc<AccessSink>>,
    ) -> Self {
        let recorder = seat.zip(snapshot.series.clone()).map(|(seat, series)| seat.recorder(series));
        let meter = |server: &str| recorder.as_ref()?.server(server);
        let upstreams = kept.unwrap_or_else(|| servers.build(&snapshot.config.upstreams, meter));
        let refusals = Prepared::new(&snapshot.config.token.resource_metadata());
        Self { snapshot, refusals, upstreams, round: Mutex::default(), recorder, access }
    }

    /// Responses to those who may not pass. Copies of them share their header fields, and so a count that is the worker's own.
    pub(super) fn refusals(&self) -> &Prepared {
        &self.refusals
    }

    /// The upstream of a route.
    pub(super) fn upstream(&self, index: usize) -> Result<&Arc<Upstream>, Reject> {
        self.upstreams
            .get(index)
            .ok_or_else(|| Reject::Internal(format!("there is no upstream number {index}")))
    }

    /// What counts requests; `None` if nothing does.
    pub(super) fn recorder(&self) -> Option<&Recorder> {
        self.recorder.as_ref()
    }

    /// Where access records go; `None` if they are off.
    pub(super) fn access(&self) -> Option<&AccessSink> {
        self.access.as_deref()
    }
}

impl Worker {
    /// A worker for what is shared. `access` is where its access records go, `seat` where it counts.
    ///
    /// # Errors
    /// [`NoRandomness`] when the system's generator fails.
    pub fn new(
        shared: Arc<Shared>,
        access: Option<AccessSink>,
        seat: Option<Seat>,
    ) -> Result<Self, NoRandomness> {
        let mut seed = [0; 8];
        fill_random(&mut seed)?;
        let snapshot = shared.snapshot.load_full();
        let access = access.map(Arc::new);
        let mut servers = UpstreamSet::default();
        let tokens = Mutex::new(token::Cache::new(snapshot.token_cache_size()));
        let view = Arc::new(View::new(snapshot, &mut servers, None, seat.as_ref(), access.clone()));
        let view = Mutex::new(Current { newest: Cache::new(Newest(shared.clone())), view });
        let ids = IdSource::new(u64::from_le_bytes(seed));
        let (servers, streams) = (Mutex::new(servers), Arc::default());
        Ok(Self { shared, view, servers, tokens, streams, ids, access, seat })
    }

    /// The newest snapshot.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        let mut current = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        let Current { newest, view } = &mut *current;
        let newest = newest.load();
        if !Arc::ptr_eq(&view.snapshot, newest) {
            *view = Arc::new(self.renewed(view, newest.clone()));
        }
        view.clone()
    }

    /// The view after a reload. It is made on the way of a request, so what did not change is kept: building ten thousand servers
    /// takes milliseconds, and verifying each ES256 token again takes 50 µs.
    fn renewed(&self, old: &View, snapshot: Arc<Snapshot>) -> View {
        let size = snapshot.token_cache_size();
        if snapshot.verifier.identity() != old.snapshot.verifier.identity()
            || size != old.snapshot.token_cache_size()
            || snapshot.config.login.api_keys != old.snapshot.config.login.api_keys
        {
            // What is in the cache was verified by other keys and rules.
            *self.tokens.lock().unwrap_or_else(PoisonError::into_inner) = token::Cache::new(size);
            if let Some(seat) = &self.seat {
                seat.counters().tokens().holds(0, 0);
            }
        }
        // A change of the signing keys leaves the configuration as it is.
        let is_same = Arc::ptr_eq(&snapshot.config, &old.snapshot.config)
            || snapshot.config.upstreams == old.snapshot.config.upstreams;
        let kept = is_same.then(|| old.upstreams.clone());
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        View::new(snapshot, &mut servers, kept, self.seat.as_ref(), self.access.clone())
    }

    /// Closes some of the upstream connections that have been idle for too long, frees memory that requests have left, and returns
    /// whether there is more of either. The worker's thread calls it every now and then, and says whether there are clients.
    pub fn close_idle(&self, now: Instant, clients: bool) -> bool {
        let view = self.view();
        let memory = self.servers.lock().unwrap_or_else(PoisonError::into_inner).trim();
        let mut round = view.round.lock().unwrap_or_else(PoisonError::into_inner);
        // Both are done.
        round.go_on(&view.upstreams, now, clients) | memory
    }

    /// Ends the responses that go on though the token that let them in was revoked. The worker's thread calls it when that was
    /// announced.
    pub fn end_revoked(&self) {
        self.streams.end_revoked(self.revocations(), self.view().snapshot.verifier.foreign());
    }

    /// Whether a foreign issuer vouched for somebody and is not trusted with that any more. A request sees that by its snapshot; this is
    /// for what begins to go on long after it was let in.
    pub(super) fn has_withdrawn(&self, caller: &Caller) -> bool {
        caller.voucher().is_some_and(|voucher| !self.view().snapshot.verifier.foreign().trust(voucher))
    }

    /// Ends the responses that go on though the token that let them in has expired, or the API key, or though none is taken since a
    /// reload. The worker's thread calls it every now and then.
    pub fn end_expired(&self, now: UnixTime) {
        self.streams.end_expired(now);
        if !self.view().snapshot.config.login.api_keys {
            self.streams.end_api_keys();
        }
    }

    /// The responses that go on.
    pub(super) fn streams(&self) -> &Arc<Streams> {
        &self.streams
    }

    /// What was revoked.
    #[must_use]
    pub fn revocations(&self) -> &Revocations {
        &self.shared.revocations
    }

    /// What checks the tokens of requests that see this view.
    #[inline]
    pub(super) fn authenticator<'a>(&'a self, view: &'a View) -> Authenticator<'a> {
        let snapshot = &view.snapshot;
        // Revocations are remembered for longer than a token lives.
        let rules =
            || ApiKeyRules { keys: &self.shared.api_keys, remembered: snapshot.config.token.access_ttl };
        Authenticator {
            verifier: &snapshot.verifier,
            revocations: self.revocations(),
            cache: &self.tokens,
            counters: view.recorder().map(|recorder| recorder.worker().tokens()),
            api_keys: snapshot.config.login.api_keys.then(rules),
        }
    }

    /// Where request ids come from.
    #[must_use]
    pub fn ids(&self) -> &IdSource {
        &self.ids
    }

    /// What it counts; `None` if nothing.
    #[must_use]
    pub fn counters(&self) -> Option<&Arc<WorkerCounters>> {
        self.seat.as_ref().map(Seat::counters)
    }
}
