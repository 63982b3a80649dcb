//! Builds a whole new snapshot, at the start and at every reload. What it refers to outlives it.

use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::clock;
use crate::config::{Config, Login as LoginSettings, Throttle, Token};
use crate::control::Control;
use crate::gateway::{HandedOn, Snapshot};
use crate::health::Health;
use crate::identity::{Clients, KeyPolicy, Keys, KeysError, Login, Registration, Sessions, Users};
use crate::issuers::Sources;
use crate::limit::Limits;
use crate::oauth::{Provider, Services};
use crate::observe::audit::Audit;
use crate::observe::metrics::Series;
use crate::token::{KeyRing, Verifier};

/// What a snapshot refers to and outlives it.
#[derive(Debug)]
pub struct Parts {
    /// The users.
    pub users: Users,
    /// The signing keys.
    pub keys: Arc<Keys>,
    /// Passwords, and the threads that hash them.
    pub login: Arc<Login>,
    /// Users who come by themselves.
    pub registration: Arc<Registration>,
    /// Their sessions.
    pub sessions: Sessions,
    /// Where logins are recorded.
    pub audit: Audit,
    /// What the probes are told.
    pub health: Arc<Health>,
    /// The name of this process in `Via`.
    pub instance: String,
    /// The control plane.
    pub control: Control,
}

/// The snapshot of a configuration, which counts with `series` and goes on with those limits and foreign issuers of the one `before` that
/// it has, too. First the signing keys follow what the configuration wants of them.
///
/// # Errors
/// [`KeysError`] when the keys cannot be made or written.
pub fn build(
    config: Arc<Config>,
    parts: &Parts,
    series: Option<Arc<Series>>,
    before: Option<&Snapshot>,
) -> Result<Snapshot, KeysError> {
    let ring = parts.keys.settle(&KeyPolicy::from(&config.token), clock::moment())?;
    Ok(build_with(config, parts, ring, series, before))
}

/// The snapshot of a configuration with these keys.
#[must_use]
pub fn build_with(
    config: Arc<Config>,
    parts: &Parts,
    ring: Arc<KeyRing>,
    series: Option<Arc<Series>>,
    before: Option<&Snapshot>,
) -> Snapshot {
    let issuers = Sources::new(&config.issuers, before.map(|before| &before.issuers));
    let verifier = verifier(&config.token, ring.clone(), &issuers);
    let services = Services {
        login: parts.login.clone(),
        registration: parts.registration.clone(),
        sessions: parts.sessions.clone(),
        clients: Clients::new(parts.users.clone()),
        audit: parts.audit.clone(),
    };
    let provider = Arc::new(Provider::new(&config, services, ring, parts.control.clone()));
    let buckets = before.map(|before| &*before.buckets);
    let buckets = Arc::new(Limits::new(&config.limits, buckets, clock::monotonic()));
    let handed_on = HandedOn { series, buckets, issuers };
    Snapshot::new(config, verifier, provider, parts.health.clone(), handed_on, &parts.instance)
}

/// What checks tokens: ours with the keys of `ring`, and those of foreign issuers with the keys that are known now.
#[must_use]
pub fn verifier(token: &Token, ring: Arc<KeyRing>, issuers: &Sources) -> Verifier {
    Verifier::with_foreign(ring, &token.issuer, &token.audience, token.leeway, issuers.trusted())
}

/// How far a reload gives way to the workers. With the greatest niceness, it would not come to an end while they are busy.
const NICENESS: i32 = 10;

/// Does work that takes the CPU for milliseconds on a thread that gives way to the workers, and waits for it. With ten thousand routes
/// and a reload every half second, the p99 of the traffic rose by 1.7 to 3.6 ms without that, on one core.
///
/// # Errors
/// When the system gives no thread; nothing has been done then.
pub fn giving_way<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let work = || {
            give_way();
            work()
        };
        let thread = thread::Builder::new().name("portcullis-reload".to_owned()).spawn_scoped(scope, work)?;
        Ok(thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

fn give_way() {
    #[cfg(target_os = "linux")]
    // On Linux this concerns the calling thread alone. Where it is forbidden, the reload merely competes as an equal.
    let _ = rustix::process::nice(NICENESS);
}

/// Lets go of the old snapshot, as soon as no worker needs it. Otherwise the last request that holds it would free it, which takes
/// milliseconds when it has ten thousand routes; so it is done on a thread that gives way, too.
pub fn retire(old: Arc<Snapshot>, control: &Control) {
    control.runtime().spawn(async move {
        // Nobody can take it any more, so the count only falls. A long response or a WebSocket may hold it for hours.
        let mut pause = Duration::from_millis(50);
        while Arc::strong_count(&old) > 1 {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(10));
        }
        let free = move || {
            give_way();
            drop(old);
        };
        if let Err(error) = thread::Builder::new().name("portcullis-reload".to_owned()).spawn(free) {
            tracing::debug!(error = %error, "an old configuration was freed on the control plane");
        }
    });
}

/// Keys that a running gateway cannot change and that differ from what it was started with. Not from the last reload: a change
/// that is still waiting is named each time, and one that was taken back is not.
#[must_use]
pub fn needs_restart(started: &Config, new: &Config) -> Vec<&'static str> {
    let changed = [
        ("server.listen", started.server.listen != new.server.listen),
        ("server.workers", started.server.workers != new.server.workers),
        ("server.max_connections", started.server.max_connections != new.server.max_connections),
        ("store", started.store != new.store),
        ("audit", started.audit != new.audit),
        ("login", !can_follow(&started.login, &new.login)),
        ("log.format", started.log.format != new.log.format),
        ("metrics.enabled", started.metrics != new.metrics),
        ("log.access", started.log.access != new.log.access),
    ];
    changed.into_iter().filter_map(|(key, changed)| changed.then_some(key)).collect()
}

/// How many tries there are, how long the waits, and whether API keys are taken: that changes at once.
fn can_follow(started: &LoginSettings, new: &LoginSettings) -> bool {
    let throttle = Throttle { memory: started.throttle.memory, ..new.throttle };
    LoginSettings { throttle, api_keys: new.api_keys, ..started.clone() } == *new
}
