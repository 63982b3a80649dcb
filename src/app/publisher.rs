//! The only place where a snapshot is replaced: by a reload, and when the signing keys or those of a foreign issuer change. One at a
//! time, so that none undoes what another did.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::metrics::Metrics;
use super::{StartError, configuration};
use crate::causes::with_causes;
use crate::clock;
use crate::config::Config;
use crate::gateway::{Shared, Snapshot};
use crate::identity::{AdminError, KeyAdmin, KeyPolicy, KeyView, Keys, KeysError, Rotation};
use crate::issuers::Sources;
use crate::observe::audit::{Action, Audit, Event};
use crate::reload::{self, Parts};
use crate::shutdown::Signal;
use crate::token::KeyRing;

/// The signing keys are looked at so often even if nothing is due: the wall clock may have been set, and a write that failed
/// may succeed.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Builds snapshots and puts them in force. What uses it blocks.
#[derive(Debug)]
pub(super) struct Publisher {
    shared: Arc<Shared>,
    parts: Parts,
    /// Held from reading the snapshot that is in force to the moment when the new one is.
    turn: Mutex<()>,
    /// Something may be due sooner than it was.
    sooner: Notify,
    /// The foreign issuers may be others.
    reloaded: Notify,
}

impl Publisher {
    pub(super) fn new(shared: Arc<Shared>, parts: Parts) -> Self {
        Self { shared, parts, turn: Mutex::new(()), sooner: Notify::new(), reloaded: Notify::new() }
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Puts another configuration in force.
    pub(super) fn reload(&self, config: Config, metrics: Option<&Metrics>) -> Result<(), StartError> {
        let _turn = self.turn();
        let before = self.shared.snapshot.load_full();
        let series = metrics.map(|metrics| metrics.series(&config, before.series.as_deref()));
        let (throttle, registration) = (config.login.throttle, config.registration.throttle);
        let snapshot = reload::build(Arc::new(config), &self.parts, series, Some(&before))?;
        drop(before);
        let event = Event::success(Action::ConfigReload, clock::now()).on(configuration(&snapshot));
        self.parts.audit.record_blocking(event)?;
        self.parts.login.throttle().adopt(&throttle);
        self.parts.registration.throttle().adopt(&registration);
        self.put_in_force(snapshot);
        self.sooner.notify_one();
        self.reloaded.notify_one();
        Ok(())
    }

    /// Where the keys of the foreign issuers come from.
    pub(super) fn sources(&self) -> Sources {
        self.shared.snapshot.load().issuers.clone()
    }

    /// Waits for another configuration. One that came while nobody waited counts.
    pub(super) async fn reloaded(&self) {
        self.reloaded.notified().await;
    }

    /// Puts in force what is known of the keys of the foreign issuers, if they are others. The same ones change nothing, so that no
    /// worker forgets the tokens that it has verified.
    pub(super) fn adopt_issuer_keys(&self) {
        let _turn = self.turn();
        let snapshot = self.shared.snapshot.load_full();
        if snapshot.issuers.differ_from(snapshot.verifier.foreign()) {
            let ring = snapshot.verifier.ring().clone();
            self.replace_keys(snapshot, ring);
        }
    }

    /// The same configuration with other keys, from a snapshot that nobody else can replace meanwhile.
    fn replace_keys(&self, snapshot: Arc<Snapshot>, ring: Arc<KeyRing>) {
        let (config, series) = (snapshot.config.clone(), snapshot.series.clone());
        let renewed = reload::build_with(config, &self.parts, ring, series, Some(&snapshot));
        drop(snapshot);
        self.put_in_force(renewed);
    }

    /// What goes on is looked over afterwards: it may have been let in by a foreign key that is not trusted any more.
    fn put_in_force(&self, snapshot: Snapshot) {
        reload::retire(self.shared.snapshot.swap(Arc::new(snapshot)), &self.parts.control);
        self.shared.revocations.announce();
    }

    /// Does what is due with the signing keys, puts them in force where that has changed them, and says when to look again.
    fn settle(&self) -> Result<Duration, KeysError> {
        let _turn = self.turn();
        let policy = policy(&self.shared.snapshot.load().config);
        follow_clock(&self.parts.keys, &policy, &self.parts.audit)?;
        self.settle_in_turn()?;
        let idle = self.parts.keys.idle(&policy, clock::moment());
        Ok(idle.map_or(LOOK_EVERY, |idle| idle.min(LOOK_EVERY)))
    }

    fn settle_in_turn(&self) -> Result<(), KeysError> {
        let snapshot = self.shared.snapshot.load_full();
        let settled = self.parts.keys.settle(&policy(&snapshot.config), clock::moment());
        // What was done before a failure is on the disk, so it counts.
        let ring = self.parts.keys.ring().ok_or(KeysError::None)?;
        if ring.id() != snapshot.verifier.ring().id() {
            let era = ring.era();
            self.replace_keys(snapshot, ring);
            // Afterwards: what is let in by the new keys is of the new era.
            self.shared.revocations.end_keys_before(era);
        }
        settled.map(drop)
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyAdmin for Publisher {
    fn keys(&self) -> Result<Vec<KeyView>, AdminError> {
        Ok(self.parts.keys.views(&policy(&self.shared.snapshot.load().config), clock::moment()))
    }

    fn rotate(&self, rotation: Rotation) -> Result<Vec<KeyView>, AdminError> {
        {
            let _turn = self.turn();
            let policy = policy(&self.shared.snapshot.load().config);
            self.parts.keys.rotate(rotation, &policy, clock::now())?;
            self.settle_in_turn()?;
        }
        self.sooner.notify_one();
        self.keys()
    }
}

/// Settles the keys whenever something is due, until the signal comes.
pub(super) async fn keep_keys(publisher: Arc<Publisher>, mut signal: Signal) {
    loop {
        let worker = publisher.clone();
        let pause = match tokio::task::spawn_blocking(move || worker.settle()).await {
            Ok(Ok(pause)) => pause,
            Ok(Err(error)) => {
                tracing::warn!(error = %with_causes(&error), "the signing keys could not be changed; this is tried again");
                LOOK_EVERY
            }
            Err(error) => {
                tracing::error!(error = %error, "changing the signing keys failed");
                LOOK_EVERY
            }
        };
        tokio::select! {
            () = signal.wait() => return,
            () = publisher.sooner.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Looks whether the clock was set back, which may end all tokens, and notes what it shows.
pub(super) fn follow_clock(keys: &Keys, policy: &KeyPolicy, audit: &Audit) -> Result<(), KeysError> {
    if keys.replace_if_set_back(policy, clock::now())? {
        let event = Event::success(Action::KeyRotate, clock::now());
        // It is done. A record that is lost is in the event log.
        let _ =
            audit.record_or_keep(event.detail("the clock was set back: all older keys are removed at once"));
    }
    keys.note_time(clock::now())
}

fn policy(config: &Config) -> KeyPolicy {
    KeyPolicy::from(&config.token)
}
