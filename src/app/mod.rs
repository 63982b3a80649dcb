//! Assembles the gateway: configuration → store → snapshot → listeners → tasks. Owns what outlives a reload.

mod metrics;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use self::metrics::Metrics;
use crate::admin::{self, AdminServer, SocketError, TokenView};
use crate::causes::with_causes;
use crate::clock;
use crate::config::Config;
use crate::gateway::{Shared, Worker};
use crate::health::{Health, Phase};
use crate::id::{NoRandomness, fill_random};
use crate::identity::{
    Argon2Params, HashPool, Hashing, KeysError, LocalUserAdmin, Login, Throttle, UserError, Users,
};
use crate::observe::AccessLog;
use crate::reload::{self, Parts};
use crate::server::{self, BindError, Workers, WorkersError};
use crate::shutdown::{self, Signal, Trigger};
use crate::store::{SledStore, Store, StoreError, Timed};
use crate::token::{Revocations, Verifier};

/// A store that another process holds is waited for: a gateway that is being replaced needs a moment to let go.
const STORE_WAIT: Duration = Duration::from_secs(5);
/// By how much a clock may be wrong without harm to revocations.
const CLOCK_CORRECTION: Duration = Duration::from_secs(3600);
/// How often revocations that no token can outlive are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The users in it.
    #[error(transparent)]
    Users(#[from] UserError),
    /// The signing keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The public listener.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The admin socket.
    #[error(transparent)]
    Admin(#[from] SocketError),
    /// The threads.
    #[error(transparent)]
    Workers(#[from] WorkersError),
    /// The system's generator.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// The access log.
    #[error("cannot open the access log (log.access): {0}")]
    AccessLog(io::Error),
    /// The threads that hash passwords.
    #[error("cannot start the threads that hash passwords: {0}")]
    HashPool(io::Error),
}

/// A gateway that runs. Its control plane is the runtime on which [`Gateway::start`] was called.
pub struct Gateway {
    /// What it was started with, and what of it needs a restart to change is compared with.
    started_with: Arc<Config>,
    shared: Arc<Shared>,
    parts: Parts,
    addresses: Vec<SocketAddr>,
    access: Option<AccessLog>,
    workers: Workers,
    tasks: Vec<JoinHandle<()>>,
    trigger: Trigger,
    metrics: Option<Arc<Metrics>>,
}

impl Gateway {
    /// Starts everything. When this returns, the gateway takes traffic.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let config = Arc::new(config);
        // Before the store starts its threads: the map registers with the kernel for memory barriers, which takes a process of
        // several threads 12 ms.
        let revocations = Arc::new(Revocations::new());
        let timed = Arc::new(Timed::new(open_store(&config, STORE_WAIT)?));
        let store: Arc<dyn Store> = timed.clone();
        let users = Users::new(store.clone(), revocations.clone());
        users.restore_revocations(clock::now(), longest_token(&config))?;
        let login = &config.login;
        let params = Argon2Params {
            memory_kib: login.argon2_memory_kib,
            passes: login.argon2_passes,
            lanes: login.argon2_lanes,
        };
        let pool = Arc::new(HashPool::new(login.permits, login.queue, params).map_err(StartError::HashPool)?);
        let throttle = Arc::new(Throttle::new(&login.throttle, clock::monotonic()));
        let parts = Parts {
            store: store.clone(),
            users: users.clone(),
            login: Arc::new(Login::new(users.clone(), pool.clone(), throttle)),
            health: Arc::new(Health::new(store.clone())),
            instance: instance_name()?,
            control: Handle::current(),
        };
        let metrics = Metrics::new(&config, timed, parts.login.clone(), pool.clone()).map(Arc::new);
        let series = metrics.as_ref().map(|metrics| metrics.series(&config, None));
        let snapshot = reload::build(config.clone(), &parts, series, None)?;
        let shared = Arc::new(Shared { snapshot: ArcSwap::from_pointee(snapshot), revocations });

        let (trigger, signal) = shutdown::channel();
        let access = AccessLog::open(&config.log.access, config.log.format).map_err(StartError::AccessLog)?;
        let (workers, addresses) =
            start_workers(&config, &shared, access.as_ref(), metrics.as_deref(), &signal)?;
        let users_admin = Arc::new(LocalUserAdmin::new(users.clone(), Hashing::Pool(pool), clock::now));
        let socket = admin::socket_path(&config.store.path);
        let admin = AdminServer::bind(
            &socket,
            users_admin,
            verify_with(shared.clone()),
            metrics::page_of(metrics.as_ref(), &shared),
        )?;
        let tasks = vec![
            tokio::spawn(admin.run(signal.clone(), config.server.shutdown_grace)),
            tokio::spawn(forget_revocations(users, shared.clone(), signal)),
        ];
        parts.health.enter(Phase::Ready);
        announce(&config, &addresses);
        tokio::task::spawn_blocking(prepare_signing);
        Ok(Self { started_with: config, shared, parts, addresses, access, workers, tasks, trigger, metrics })
    }

    /// Where it listens; port 0 of the configuration has become a real one.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Takes a new configuration: routes, upstreams, limits, rules for tokens. What is in flight ends under the old one.
    ///
    /// # Errors
    /// [`StartError`]; the old configuration stays.
    pub fn reload(&self, config: Config) -> Result<(), StartError> {
        let result = self.replace(config);
        match (&result, &self.metrics) {
            (Err(_), _) => self.note_failed_reload(),
            (Ok(()), metrics) => metrics.iter().for_each(|it| it.reloads().succeeded(clock::now())),
        }
        result
    }

    /// A new configuration could not be read.
    pub fn note_failed_reload(&self) {
        self.metrics.iter().for_each(|metrics| metrics.reloads().failed());
    }

    fn replace(&self, config: Config) -> Result<(), StartError> {
        for key in reload::needs_restart(&self.started_with, &config) {
            tracing::warn!(key, "this change takes effect at the next start only");
        }
        // Before a token of a longer lifetime is issued, revocations must be remembered for as long.
        self.parts.users.revocation_retention(longest_token(&config))?;
        let before = self.shared.snapshot.load_full();
        let series = self.metrics.as_ref().map(|metrics| metrics.series(&config, before.series.as_deref()));
        let throttle = config.login.throttle;
        let snapshot = reload::build(Arc::new(config), &self.parts, series, Some(&before.buckets))?;
        self.parts.login.throttle().adopt(&throttle);
        reload::retire(self.shared.snapshot.swap(Arc::new(snapshot)), &self.parts.control);
        Ok(())
    }

    /// Opens the access log's file again, after a rotation.
    ///
    /// # Errors
    /// What the system says; records go on to the old file.
    pub fn reopen_log(&self) -> io::Result<()> {
        self.access.as_ref().map_or(Ok(()), AccessLog::reopen)
    }

    /// Stops: not ready any more, no new connections, and what is in flight has `shutdown_grace` to end.
    pub async fn stop(self) {
        self.parts.health.enter(Phase::Draining);
        self.trigger.fire();
        let workers = self.workers;
        // Off this thread: logins that are in flight end here.
        if let Err(error) = tokio::task::spawn_blocking(move || workers.join()).await {
            tracing::error!(error = %error, "the worker threads could not be waited for");
        }
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(error = %error, "a task of the control plane failed");
            }
        }
        drop(self.access);
    }
}

/// Opens the store of a configuration; another process has `wait` to let go of it. The command line does so too, when no gateway runs.
///
/// # Errors
/// [`StoreError`].
pub fn open_store(config: &Config, wait: Duration) -> Result<SledStore, StoreError> {
    SledStore::open(&config.store.path, config.store.cache_size, wait)
}

/// How long a revocation has to be remembered: as long as a token can be accepted, and the time by which a clock may be wrong and
/// set right. Without it, a revocation made while the clock was late would be forgotten before its tokens have expired.
#[must_use]
pub fn longest_token(config: &Config) -> Duration {
    config.token.access_ttl + config.token.leeway + CLOCK_CORRECTION
}

fn start_workers(
    config: &Config,
    shared: &Arc<Shared>,
    access: Option<&AccessLog>,
    metrics: Option<&Metrics>,
    signal: &Signal,
) -> Result<(Workers, Vec<SocketAddr>), StartError> {
    let count = config.server.workers;
    let mut listeners: Vec<Vec<std::net::TcpListener>> = (0..count).map(|_| Vec::new()).collect();
    let mut addresses = Vec::new();
    for &address in &config.server.listen {
        let sockets = server::bind(address, count)?;
        addresses.extend(sockets.first().and_then(|socket| socket.local_addr().ok()));
        for (list, socket) in listeners.iter_mut().zip(sockets) {
            list.push(socket);
        }
    }
    let mut workers = Vec::with_capacity(count);
    for index in 0..count {
        let seat = metrics.and_then(|metrics| metrics.seat(index));
        workers.push(Arc::new(Worker::new(shared.clone(), access.map(AccessLog::sink), seat)?));
    }
    Ok((Workers::start(workers, listeners, config.server.max_connections, signal)?, addresses))
}

fn announce(config: &Config, addresses: &[SocketAddr]) {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    for address in addresses {
        tracing::info!(listen.addr = %address, "listening");
        if !address.ip().is_loopback() {
            tracing::warn!(listen.addr = %address, "passwords and tokens cross this address in clear: put TLS in front of it");
        }
    }
    tracing::info!(routes = config.routes.iter().count(), workers = config.server.workers, "ready");
}

/// The generator of aws-lc takes 50 ms for its first number. Nobody should wait for that, neither readiness nor the first login.
fn prepare_signing() {
    // A generator that fails will do so again when a token is signed, where it is reported.
    let _ = aws_lc_rs::rand::fill(&mut [0]);
}

/// Names this process in `Via`.
fn instance_name() -> Result<String, NoRandomness> {
    let mut bytes = [0; 4];
    fill_random(&mut bytes)?;
    Ok(format!("{:08x}", u32::from_le_bytes(bytes)))
}

/// Checks a token exactly as requests are checked, without the cache.
fn verify_with(shared: Arc<Shared>) -> impl Fn(&str) -> Result<TokenView, String> + Send + Sync + 'static {
    move |token| {
        let snapshot = shared.snapshot.load_full();
        check_token(&snapshot.verifier, &shared.revocations, token)
    }
}

/// What a token says, if it is valid now.
///
/// # Errors
/// The reason why it is not.
pub fn check_token(verifier: &Verifier, revocations: &Revocations, token: &str) -> Result<TokenView, String> {
    let verified = verifier.verify(token, clock::now()).map_err(|error| error.to_string())?;
    if revocations.refuses(verified.user, verified.version) {
        return Err(format!("the tokens of user {} were revoked", verified.username));
    }
    let (username, roles) = (verified.username, verified.roles);
    Ok(TokenView { username, roles, expires_at: verified.expires.as_secs() })
}

async fn forget_revocations(users: Users, shared: Arc<Shared>, mut signal: Signal) {
    let mut tick = interval(FORGET_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = signal.wait() => return,
            _ = tick.tick() => {}
        }
        let (users, longest) = (users.clone(), longest_token(&shared.snapshot.load().config));
        let work = move || {
            let retention = users.revocation_retention(longest)?;
            users.forget_revocations(clock::now(), retention)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = %with_causes(&error), "old revocations could not be forgotten")
            }
            Err(error) => tracing::error!(error = %error, "forgetting old revocations failed"),
        }
    }
}
