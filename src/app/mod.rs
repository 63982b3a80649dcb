//! Assembles the gateway: configuration → store → snapshot → listeners → tasks. Owns what outlives a reload.

mod check;
mod encryption;
mod issuers;
mod metrics;
mod publisher;
mod upkeep;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use self::check::verify_with;
use self::issuers::keep_issuers;
use self::metrics::Metrics;
use self::publisher::{Publisher, follow_clock, keep_keys};
use crate::admin::{self, AdminServer, SocketError};
use crate::causes::with_causes;
use crate::clock;
use crate::config::Config;
use crate::control::Control;
use crate::gateway::{Shared, Snapshot, Worker};
use crate::health::{Health, Phase};
use crate::id::{NoRandomness, fill_random};
use crate::identity::{
    self, Administered, Argon2Params, HashPool, Hashing, KeyPolicy, Keys, KeysError, Lifetimes,
    LocalClientAdmin, LocalInvitationAdmin, LocalSessionAdmin, LocalUserAdmin, Login, Registration,
    SessionError, Sessions, Throttle, UserError, Users, restore_works,
};
use crate::observe::AccessLog;
use crate::observe::audit::{Action, Audit, AuditError, Event, Target};
use crate::reload::{self, Parts};
use crate::server::{self, BindError, Workers, WorkersError};
use crate::shutdown::{self, Signal, Trigger};
use crate::store::{SledStore, Store, StoreError, Timed};
use crate::token::Revocations;

pub use self::check::check_token;
pub use self::encryption::{EncryptionKeyError, seal_of};

/// A store that another process holds is waited for: a gateway that is being replaced needs a moment to let go.
const STORE_WAIT: Duration = Duration::from_secs(5);

/// What clients have begun and then left behind has so long to end, even if those who stayed have used up the time for stopping.
const LAST_WORK: Duration = Duration::from_secs(5);

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The users in it.
    #[error(transparent)]
    Users(#[from] UserError),
    /// The sessions in it.
    #[error(transparent)]
    Sessions(#[from] SessionError),
    /// The signing keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The key that encrypts the store.
    #[error(transparent)]
    Seal(#[from] EncryptionKeyError),
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
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
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
    publisher: Arc<Publisher>,
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
        let audit = Audit::new(&config.audit);
        audit.open()?;
        let users = Users::new(store.clone(), revocations.clone());
        users.revoked().restore(clock::now(), longest_token(&config))?;
        users.restore_api_keys()?;
        let login = &config.login;
        let params = Argon2Params::from(login);
        let pool = Arc::new(HashPool::new(login.permits, login.queue, params).map_err(StartError::HashPool)?);
        restore_works(&users, &pool)?;
        let parts = parts(&config, &store, &users, &pool, &audit)?;
        let metrics = Metrics::new(&config, timed, &parts, pool.clone()).map(Arc::new);
        let series = metrics.as_ref().map(|metrics| metrics.series(&config, None));
        let snapshot = reload::build(config.clone(), &parts, series, None)?;
        let api_keys = users.api_keys().clone();
        let shared = Arc::new(Shared { snapshot: ArcSwap::from_pointee(snapshot), revocations, api_keys });

        let (trigger, signal) = shutdown::channel();
        let access = AccessLog::open(&config.log.access, config.log.format).map_err(StartError::AccessLog)?;
        let (workers, addresses) =
            start_workers(&config, &shared, access.as_ref(), metrics.as_deref(), &signal)?;
        let socket = admin::socket_path(&config.store.path);
        let publisher = Arc::new(Publisher::new(shared.clone(), parts));
        let admin = AdminServer::bind(
            &socket,
            administered(&users, &pool, &publisher, &shared),
            audit.clone(),
            verify_with(shared.clone()),
            metrics::page_of(metrics.as_ref(), &shared),
            publisher.parts().control.clone(),
        )?;
        let tasks = vec![
            tokio::spawn(admin.run(signal.clone(), config.server.shutdown_grace)),
            tokio::spawn(upkeep::forget(publisher.parts(), shared.clone(), signal.clone())),
            tokio::spawn(keep_issuers(publisher.clone(), signal.clone())),
            tokio::spawn(keep_keys(publisher.clone(), signal)),
        ];
        let event = Event::success(Action::Start, clock::now()).on(configuration(&shared.snapshot.load()));
        audit.record_blocking(event.detail(concat!("version ", env!("CARGO_PKG_VERSION"))))?;
        publisher.parts().health.enter(Phase::Ready);
        announce(&config, &addresses);
        upkeep::after_start(users, pool);
        Ok(Self { started_with: config, publisher, addresses, access, workers, tasks, trigger, metrics })
    }

    /// Where it listens; port 0 of the configuration has become a real one.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Takes a new configuration: routes, upstreams, limits, rules for tokens. What is in flight ends under the old one, but for what goes on
    /// with a token of a foreign issuer that the new one does not have: that ends now.
    ///
    /// # Errors
    /// [`StartError`]; the old configuration stays.
    pub fn reload(&self, config: Config) -> Result<(), StartError> {
        let result = self.replace(config);
        match (&result, &self.metrics) {
            (Err(error), _) => self.note_failed_reload(with_causes(error)),
            (Ok(()), metrics) => metrics.iter().for_each(|it| it.reloads().succeeded(clock::now())),
        }
        result
    }

    /// A new configuration could not be read, for a reason that quotes nothing of it: it may be somebody's password.
    pub fn note_failed_reload(&self, reason: String) {
        let event = Event::failed(Action::ConfigReload, reason, clock::now());
        if let Err(error) = self.publisher.parts().audit.record_blocking(event) {
            tracing::error!(error = %error, "a reload that failed was not recorded");
        }
        self.metrics.iter().for_each(|metrics| metrics.reloads().failed());
    }

    fn replace(&self, config: Config) -> Result<(), StartError> {
        for key in reload::needs_restart(&self.started_with, &config) {
            tracing::warn!(key, "this change takes effect at the next start only");
        }
        // Before a token of a longer lifetime is issued, revocations must be remembered for as long.
        self.publisher.parts().users.revoked().retention(longest_token(&config))?;
        self.publisher.reload(config, self.metrics.as_deref())
    }

    /// Opens the access log's file again, after a rotation.
    ///
    /// # Errors
    /// What the system says; records go on to the old file.
    pub fn reopen_log(&self) -> io::Result<()> {
        self.access.as_ref().map_or(Ok(()), AccessLog::reopen)
    }

    /// Stops: not ready any more, no new connections, and what is in flight has `shutdown_grace` to end. The audit log is closed
    /// last, when nothing is left that it could tell of.
    pub async fn stop(self) {
        let began = clock::monotonic();
        self.publisher.parts().health.enter(Phase::Draining);
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
        let grace = self.started_with.server.shutdown_grace;
        let left = grace.saturating_sub(clock::monotonic().saturating_duration_since(began));
        if let Err(count) = self.publisher.parts().control.finished(left.max(LAST_WORK)).await {
            tracing::warn!(
                count,
                "logins and changes whose clients have gone did not end in time; they have no audit record"
            );
        }
        drop(self.access);
        if let Err(error) =
            self.publisher.parts().audit.record_blocking(Event::success(Action::Stop, clock::now()))
        {
            tracing::error!(error = %error, "the stop was not recorded");
        }
        self.publisher.parts().audit.close();
    }
}

/// A configuration as the target of an audit record.
fn configuration(snapshot: &Snapshot) -> Target {
    Target::Config(snapshot.config_hash().to_owned())
}

/// Opens the store of a configuration; another process has `wait` to let go of it. The command line does so too, when no gateway runs.
///
/// # Errors
/// [`StoreError`].
pub fn open_store(config: &Config, wait: Duration) -> Result<SledStore, StoreError> {
    SledStore::open(&config.store.path, config.store.cache_size, wait)
}

/// How long a revocation has to be remembered.
#[must_use]
pub fn longest_token(config: &Config) -> Duration {
    identity::longest_token(&config.token)
}

/// The signing keys in the store of a configuration.
///
/// # Errors
/// [`StartError::Seal`] or [`StartError::Keys`].
pub fn open_keys(config: &Config, store: Arc<dyn Store>) -> Result<Keys, StartError> {
    let seal = seal_of(&config.store)?;
    Ok(Keys::read(store, seal, &KeyPolicy::from(&config.token), clock::now())?)
}

/// What snapshots are built from, and outlives them.
fn parts(
    config: &Config,
    store: &Arc<dyn Store>,
    users: &Users,
    pool: &Arc<HashPool>,
    audit: &Audit,
) -> Result<Parts, StartError> {
    let throttle = Arc::new(Throttle::new(&config.login.throttle, clock::monotonic()));
    let keys = open_keys(config, store.clone())?;
    follow_clock(&keys, &KeyPolicy::from(&config.token), audit)?;
    Ok(Parts {
        users: users.clone(),
        keys: Arc::new(keys),
        login: Arc::new(Login::new(users.clone(), pool.clone(), throttle)),
        registration: registration(config, store, users, pool),
        sessions: Sessions::open(store.clone(), users.clone(), &seal_of(&config.store)?)?,
        audit: audit.clone(),
        health: Arc::new(Health::new(store.clone(), audit.clone())),
        instance: instance_name()?,
        control: Control::new(Handle::current()),
    })
}

fn registration(
    config: &Config,
    store: &Arc<dyn Store>,
    users: &Users,
    pool: &Arc<HashPool>,
) -> Arc<Registration> {
    let (settings, epoch) = (&config.registration.throttle, clock::monotonic());
    Arc::new(Registration::new(store.clone(), users.clone(), pool.clone(), settings, epoch))
}

/// What the admin socket gives access to.
fn administered(
    users: &Users,
    pool: &Arc<HashPool>,
    publisher: &Arc<Publisher>,
    shared: &Arc<Shared>,
) -> Administered {
    let shared = shared.clone();
    let lifetimes = move || Lifetimes::of(&shared.snapshot.load().config.token);
    let sessions = publisher.parts().sessions.clone();
    let invitations = publisher.parts().registration.invitations().clone();
    Administered {
        users: Arc::new(LocalUserAdmin::new(users.clone(), Hashing::Pool(pool.clone()), clock::now)),
        clients: Arc::new(LocalClientAdmin::new(users.clone(), sessions.clone(), clock::now)),
        sessions: Arc::new(LocalSessionAdmin::new(sessions, lifetimes, clock::now)),
        invitations: Arc::new(LocalInvitationAdmin::new(invitations, users.clone(), clock::now)),
        keys: publisher.clone(),
    }
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

/// Names this process in `Via`.
fn instance_name() -> Result<String, NoRandomness> {
    let mut bytes = [0; 4];
    fill_random(&mut bytes)?;
    Ok(format!("{:08x}", u32::from_le_bytes(bytes)))
}
