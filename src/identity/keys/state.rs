//! The keys in memory, as the store has them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::admin;
use super::lifecycle::Facts;
use crate::clock::UnixTime;
use crate::secret::SecretBytes;
use crate::token::{KeyId, KeyRing, KeyState, SigningKey};

#[derive(Debug)]
pub(super) struct State {
    pub(super) kept: Vec<Kept>,
    /// Which next key this process publishes, and since when.
    pub(super) published: Option<(KeyId, Instant)>,
    /// How often another key began to sign.
    pub(super) rotations: u64,
    /// How often all keys were replaced at once.
    pub(super) era: u64,
}

/// A key as the store has it.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) key: Arc<SigningKey>,
    pub(super) state: KeyState,
    pub(super) bytes: SecretBytes,
    /// To be written anew: older, or sealed otherwise.
    pub(super) outdated: bool,
}

/// A key, and the state that it is to have; `None` for one that is to be removed.
pub(super) struct Edit {
    pub(super) key: Arc<SigningKey>,
    pub(super) state: Option<KeyState>,
}

impl State {
    pub(super) fn facts(&self) -> Vec<Facts> {
        self.kept.iter().map(Kept::facts).collect()
    }

    pub(super) fn next(&self) -> Option<&Kept> {
        self.kept.iter().find(|kept| kept.state == KeyState::Next)
    }

    /// For how long this process has published the next key.
    pub(super) fn note_published(&mut self, now: Instant) -> Duration {
        let Some(next) = self.next().map(|kept| kept.key.id().clone()) else {
            self.published = None;
            return Duration::ZERO;
        };
        match &self.published {
            Some((known, since)) if *known == next => now.saturating_duration_since(*since),
            _ => {
                self.published = Some((next, now));
                Duration::ZERO
            }
        }
    }

    pub(super) fn ring(&self) -> Option<Arc<KeyRing>> {
        let active = self.kept.iter().find(|kept| matches!(kept.state, KeyState::Active { .. }))?;
        // In an order that does not depend on how they came here, since it is part of the ring's identity.
        let mut all: Vec<&Kept> = self.kept.iter().collect();
        all.sort_by_key(|kept| admin::order(kept.state, kept.key.id()));
        let others = all.into_iter().map(|kept| kept.key.clone());
        Some(Arc::new(KeyRing::new(active.key.clone(), others).in_era(self.era)))
    }
}

impl Kept {
    pub(super) fn facts(&self) -> Facts {
        Facts {
            id: self.key.id().clone(),
            algorithm: self.key.algorithm(),
            created: self.key.created(),
            state: self.state,
        }
    }

    /// What becomes of it when it has signed for the last time; `None` if it does not sign.
    pub(super) fn retired(&self, now: UnixTime) -> Option<KeyState> {
        match self.state {
            KeyState::Active { lives, .. } => Some(KeyState::Retired { since: now, lives }),
            KeyState::Next | KeyState::Retired { .. } => None,
        }
    }
}

impl Edit {
    pub(super) fn to(kept: &Kept, state: KeyState) -> Self {
        Self { key: kept.key.clone(), state: Some(state) }
    }
}
