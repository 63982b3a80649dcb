//! The signing keys in the store, and their life: made, published, signing, retired, removed.
//!
//! [`Keys`] holds them in memory as the store has them. Every change is one batch of the store, so a crash between two changes
//! leaves a ring that is whole, and a change is in memory only after it is on the disk. When what happens is decided in
//! `lifecycle`. The owner of [`Keys`] calls [`Keys::settle`] when [`Keys::idle`] is over, and brings the new ring to the requests.

mod admin;
mod lifecycle;
mod set_back;
mod state;
mod stored;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::lifecycle::Change;
use self::state::{Edit, Kept, State};
use super::AdminError;
use crate::causes::with_causes;
use crate::clock::{Moment, UnixTime};
use crate::observe::metrics::SigningKeyFigures;
use crate::seal::{Seal, SealError};
use crate::store::{Batch, Store, StoreError, Table};
use crate::token::{KeyError, KeyRing, KeyState, SigningKey};

pub use self::admin::{KeyAdmin, KeyView, Rotation};
pub use self::lifecycle::{KeyPolicy, longest_token};

/// With so many keys nobody can ask for one more: each has to be looked through, and is published, until it expires.
const MANY: usize = 100;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key could not be made.
    #[error("cannot make a signing key: {0}")]
    Make(#[from] KeyError),
    /// A key in the store cannot be decrypted.
    #[error("the signing key {id} cannot be read: {error}")]
    Sealed {
        /// `kid`
        id: String,
        /// Why not.
        error: SealError,
    },
    /// A key could not be encrypted.
    #[error("cannot store a signing key: {0}")]
    Seal(#[from] SealError),
    /// There is no key that signs, so nothing can be verified or replaced.
    #[error("there is no signing key yet: the gateway makes one when it starts")]
    None,
    /// There are too many keys to make one more.
    #[error(
        "there are {0} signing keys already; wait until some have expired, or replace all with `portcullis key rotate \
         --now`"
    )]
    TooMany(usize),
}

/// Over the admin socket all that is left of it is a sentence.
impl From<KeysError> for AdminError {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::TooMany(_) | KeysError::None => Self::Invalid { reason: error.to_string() },
            _ => Self::Unavailable { reason: with_causes(&error) },
        }
    }
}

/// The signing keys of a store. Only one of these works on a store at a time.
#[derive(Debug)]
pub struct Keys {
    store: Arc<dyn Store>,
    seal: Seal,
    state: Mutex<State>,
}

impl Keys {
    /// Reads and opens the keys. Nothing is written and nothing made.
    ///
    /// # Errors
    /// [`KeysError`]; in particular `Sealed` for keys that `seal` does not open.
    pub fn read(
        store: Arc<dyn Store>,
        seal: Seal,
        policy: &KeyPolicy,
        now: UnixTime,
    ) -> Result<Self, KeysError> {
        let kept = stored::keys(&*store, &seal, policy, now)?;
        let state = Mutex::new(State { kept, published: None, rotations: 0, era: 0 });
        Ok(Self { store, seal, state })
    }

    /// The keys of a store as an administrator sees them, without opening them.
    ///
    /// # Errors
    /// [`KeysError::Store`].
    pub fn list(store: &dyn Store, policy: &KeyPolicy, now: UnixTime) -> Result<Vec<KeyView>, KeysError> {
        Ok(admin::views(&stored::facts(store, policy, now)?, policy, now, None))
    }

    /// Does all that is due: makes the first key and the next one, lets the next one sign, removes what has expired. Afterwards
    /// there is a key that signs, and tokens may be issued under this policy.
    ///
    /// # Errors
    /// [`KeysError`]; what was done before it stays done.
    pub fn settle(&self, policy: &KeyPolicy, now: Moment) -> Result<Arc<KeyRing>, KeysError> {
        let mut state = self.lock();
        self.write_anew(&mut state)?;
        loop {
            let published = state.note_published(now.steady);
            let Some(change) = lifecycle::due(&state.facts(), policy, now.wall, published) else { break };
            self.apply(&mut state, change, policy, now.wall)?;
        }
        state.ring().ok_or(KeysError::None)
    }

    /// How long nothing will be due; `None` if nothing ever will unless somebody wants it.
    #[must_use]
    pub fn idle(&self, policy: &KeyPolicy, now: Moment) -> Option<Duration> {
        let mut state = self.lock();
        let published = state.note_published(now.steady);
        lifecycle::idle(&state.facts(), policy, now.wall, published)
    }

    /// Begins to replace the key that signs, or replaces all keys at once. [`Self::settle`] goes on from there.
    ///
    /// # Errors
    /// [`KeysError`]; nothing was changed.
    pub fn rotate(&self, rotation: Rotation, policy: &KeyPolicy, now: UnixTime) -> Result<(), KeysError> {
        let mut state = self.lock();
        // Records without a state are taken for a ring only where no other has one.
        self.write_anew(&mut state)?;
        match rotation {
            Rotation::Graceful if state.kept.is_empty() => Err(KeysError::None),
            Rotation::Graceful if state.kept.len() >= MANY => Err(KeysError::TooMany(state.kept.len())),
            // One that was begun goes on; beginning anew would only delay it.
            Rotation::Graceful if state.next().is_some_and(|it| it.key.algorithm() == policy.algorithm) => {
                Ok(())
            }
            Rotation::Graceful => self.apply(&mut state, Change::Make(KeyState::Next), policy, now),
            Rotation::Now => self.replace_all(&mut state, policy, now),
        }
    }

    /// The keys as an administrator sees them.
    #[must_use]
    pub fn views(&self, policy: &KeyPolicy, now: Moment) -> Vec<KeyView> {
        let mut state = self.lock();
        let published = state.note_published(now.steady);
        admin::views(&state.facts(), policy, now.wall, Some(published))
    }

    /// The ring of the keys; `None` when there is none that signs.
    #[must_use]
    pub fn ring(&self) -> Option<Arc<KeyRing>> {
        self.lock().ring()
    }

    /// What is told about them in the metrics; rotations since this process started.
    #[must_use]
    pub fn figures(&self) -> SigningKeyFigures {
        let state = self.lock();
        let active_since = state.kept.iter().find_map(|kept| match kept.state {
            KeyState::Active { since, .. } => Some(since),
            KeyState::Next | KeyState::Retired { .. } => None,
        });
        SigningKeyFigures {
            count: state.kept.len() as u64,
            active_since: active_since.unwrap_or_default(),
            rotations: state.rotations,
        }
    }

    /// Writes records anew that are older, or sealed otherwise than they would be now.
    fn write_anew(&self, state: &mut State) -> Result<(), KeysError> {
        let outdated = state.kept.iter().filter(|kept| kept.outdated);
        let edits: Vec<_> = outdated.map(|kept| Edit::to(kept, kept.state)).collect();
        if edits.is_empty() {
            return Ok(());
        }
        let count = edits.len();
        self.write(&mut state.kept, edits)?;
        tracing::info!(keys = count, encrypted = self.seal.encrypts(), "signing keys were written anew");
        Ok(())
    }

    fn apply(
        &self,
        state: &mut State,
        change: Change,
        policy: &KeyPolicy,
        now: UnixTime,
    ) -> Result<(), KeysError> {
        let at = |place: usize| state.kept.get(place).cloned().ok_or(KeysError::None);
        match change {
            Change::Make(initial) => {
                let key = Arc::new(SigningKey::generate(policy.algorithm, now)?);
                self.write(&mut state.kept, vec![Edit { key: key.clone(), state: Some(initial) }])?;
                tracing::info!(kid = %key.id(), algorithm = key.algorithm().name(), state = initial.name(), "a signing key was made");
            }
            Change::Activate(place) => {
                let next = at(place)?;
                let active = KeyState::Active { since: now, lives: policy.lives };
                let retired = state.kept.iter().filter_map(|kept| Some(Edit::to(kept, kept.retired(now)?)));
                let edits: Vec<_> = retired.chain([Edit::to(&next, active)]).collect();
                self.write(&mut state.kept, edits)?;
                state.rotations += 1;
                tracing::info!(kid = %next.key.id(), algorithm = next.key.algorithm().name(), "another signing key signs from now on");
            }
            Change::Restate(place, other) => {
                let edits = vec![Edit::to(&at(place)?, other)];
                self.write(&mut state.kept, edits)?;
            }
            Change::Remove(place) => {
                let gone = at(place)?;
                self.write(&mut state.kept, vec![Edit { key: gone.key.clone(), state: None }])?;
                tracing::info!(kid = %gone.key.id(), algorithm = gone.key.algorithm().name(), was = gone.state.name(), "a signing key was removed");
            }
        }
        Ok(())
    }

    fn replace_all(&self, state: &mut State, policy: &KeyPolicy, now: UnixTime) -> Result<(), KeysError> {
        let key = Arc::new(SigningKey::generate(policy.algorithm, now)?);
        let removed = state.kept.len();
        let mut edits: Vec<_> =
            state.kept.iter().map(|kept| Edit { key: kept.key.clone(), state: None }).collect();
        let active = KeyState::Active { since: now, lives: policy.lives };
        edits.push(Edit { key: key.clone(), state: Some(active) });
        self.write(&mut state.kept, edits)?;
        state.rotations += 1;
        state.era += 1;
        tracing::warn!(kid = %key.id(), algorithm = key.algorithm().name(), removed, "all signing keys were replaced, and their tokens are refused from now on");
        Ok(())
    }

    /// Writes all edits or none, on the disk first.
    fn write(&self, kept: &mut Vec<Kept>, edits: Vec<Edit>) -> Result<(), KeysError> {
        let (mut batch, mut after) = (Batch::new(), kept.clone());
        for Edit { key, state } in edits {
            let id = key.id().as_str().as_bytes();
            let before = kept.iter().find(|kept| kept.key.id() == key.id());
            batch = batch.expect(Table::Keys, id, before.map(|kept| kept.bytes.expose().to_vec()));
            after.retain(|kept| kept.key.id() != key.id());
            let Some(state) = state else {
                batch = batch.delete(Table::Keys, id);
                continue;
            };
            let bytes = key.to_record(state, &self.seal)?;
            batch = batch.put(Table::Keys, id, bytes.expose());
            after.push(Kept { key, state, bytes, outdated: false });
        }
        self.store.commit(batch)?;
        *kept = after;
        Ok(())
    }

    /// Held while the disk is waited for: this is the control plane.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
