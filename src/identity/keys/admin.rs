//! What an administrator may do with signing keys, whichever way it comes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::lifecycle::{self, Facts, KeyPolicy};
use crate::clock::UnixTime;
use crate::identity::AdminError;
use crate::token::{KeyId, KeyState};

/// Administration of the signing keys, by the store itself or by the admin socket of a running gateway. All methods block.
pub trait KeyAdmin {
    /// All keys: the one that signs, the next one, and those whose tokens still live.
    ///
    /// # Errors
    /// [`AdminError`].
    fn keys(&self) -> Result<Vec<KeyView>, AdminError>;

    /// Replaces the key that signs. When this has returned, the change is on the disk and in force. Returns all keys.
    ///
    /// # Errors
    /// [`AdminError`].
    fn rotate(&self, rotation: Rotation) -> Result<Vec<KeyView>, AdminError>;
}

/// How a key is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rotation {
    /// The next key is published, signs after a while, and the old one verifies until its last token has expired.
    Graceful,
    /// After a theft: a new key signs at once, all others are gone, and so is every token that they signed. All others, since
    /// whoever has read the one could read the rest.
    Now,
}

/// What an administrator sees of a key, and `key list --json` prints. There is nothing secret in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    /// `kid`
    pub id: String,
    /// What it signs with.
    pub algorithm: String,
    /// `next`, `active` or `retired`.
    pub state: String,
    /// When it was made: RFC 3339, like all times here.
    pub created: String,
    /// An active key: since when it signs. A retired one: since when it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// A next key: from when on it signs. Unknown while no gateway runs that publishes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signs_at: Option<String>,
    /// An active key: when the next one takes its place, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_at: Option<String>,
    /// A retired key: when its last token has expired and it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// The keys as an administrator sees them, the next one first. `published` is for how long the next one has been published; `None`
/// if it is not.
pub(super) fn views(
    keys: &[Facts],
    policy: &KeyPolicy,
    now: UnixTime,
    published: Option<Duration>,
) -> Vec<KeyView> {
    let has_next = keys.iter().any(|key| key.state == KeyState::Next);
    let next_signs = published.map(|span| now.after(policy.publish_ahead.saturating_sub(span)));
    let mut sorted: Vec<&Facts> = keys.iter().collect();
    sorted.sort_by_key(|key| order(key.state, &key.id));
    let view = |key: &Facts| {
        let (since, signs_at, replaced_at) = match key.state {
            KeyState::Next => (None, next_signs, None),
            KeyState::Active { since, .. } if has_next => (Some(since), None, next_signs),
            KeyState::Active { since, .. } => (Some(since), None, lifecycle::replaced_at(since, policy)),
            KeyState::Retired { since, .. } => (Some(since), None, None),
        };
        let text = |time: Option<UnixTime>| time.map(|time| time.to_string());
        KeyView {
            id: key.id.to_string(),
            algorithm: key.algorithm.name().to_owned(),
            state: key.state.name().to_owned(),
            created: key.created.to_string(),
            since: text(since),
            signs_at: text(signs_at),
            replaced_at: text(replaced_at),
            expires: text(lifecycle::removed_at(key.state)),
        }
    };
    sorted.into_iter().map(view).collect()
}

/// The next key, the active one, then the retired ones, the youngest first.
pub(super) fn order<'k>(state: KeyState, id: &'k KeyId) -> impl Ord + use<'k> {
    let (rank, age) = match state {
        KeyState::Next => (0, 0),
        KeyState::Active { .. } => (1, 0),
        KeyState::Retired { since, .. } => (2, u64::MAX - since.as_millis()),
    };
    (rank, age, id)
}
