//! When a signing key changes its state: next → active → retired → removed. Pure; one step at a time.
//!
//! A key is published before it signs, since whoever verifies our tokens may keep the key set for a while. How long it has
//! been published is measured in this process by the clock that only goes on: neither a gateway that was down nor a
//! wall clock that was set can shorten it. The other times are those of the wall clock, as the expiry of tokens is.

use std::time::Duration;

use crate::clock::UnixTime;
use crate::config::{Algorithm, Token};
use crate::token::{KeyId, KeyState};

/// By how much a clock may be wrong, and set right, without harm to keys and revocations.
pub(super) const CLOCK_CORRECTION: Duration = Duration::from_secs(3600);

/// How long a token can be accepted that is issued now, and the time by which a clock may be wrong and set right. What is
/// remembered for tokens has to be remembered for as long: made while the clock was late, it would else be forgotten before
/// its tokens have expired.
#[must_use]
pub fn longest_token(token: &Token) -> Duration {
    token.access_ttl + token.leeway + CLOCK_CORRECTION
}

/// What the configuration wants of the signing keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPolicy {
    /// What tokens are signed with.
    pub algorithm: Algorithm,
    /// How long a token can be accepted: [`longest_token`].
    pub lives: Duration,
    /// The age at which a key is replaced; `None` for never.
    pub rotate_every: Option<Duration>,
    /// How long a key is published before it signs.
    pub publish_ahead: Duration,
}

impl From<&Token> for KeyPolicy {
    fn from(token: &Token) -> Self {
        Self {
            algorithm: token.algorithm,
            lives: longest_token(token),
            rotate_every: token.rotate_every,
            publish_ahead: token.publish_ahead,
        }
    }
}

/// What there is to know of a key, but for the key itself.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) id: KeyId,
    pub(super) algorithm: Algorithm,
    pub(super) created: UnixTime,
    pub(super) state: KeyState,
}

/// One step. The numbers are places in the list of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A new key in this state.
    Make(KeyState),
    /// The next key signs, and the active one retires.
    Activate(usize),
    /// The same state with other times.
    Restate(usize, KeyState),
    /// Nothing needs the key any more.
    Remove(usize),
}

/// The step that is due, if any. `published` is for how long this process has published the next key.
pub(super) fn due(keys: &[Facts], policy: &KeyPolicy, now: UnixTime, published: Duration) -> Option<Change> {
    let all = || keys.iter().enumerate();
    let Some((place, since, lives)) = all().find_map(|(place, key)| match key.state {
        KeyState::Active { since, lives } => Some((place, since, lives)),
        KeyState::Next | KeyState::Retired { .. } => None,
    }) else {
        return Some(Change::Make(KeyState::Active { since: now, lives: policy.lives }));
    };
    // The clock was far ahead when this was written. Nothing would ever happen to a key of the year 2099.
    if let Some((place, state)) = all().find_map(|(place, key)| Some((place, set_right(key.state, now)?))) {
        return Some(Change::Restate(place, state));
    }
    if lives < policy.lives {
        return Some(Change::Restate(place, KeyState::Active { since, lives: policy.lives }));
    }
    if let Some((place, next)) = all().find(|(_, key)| key.state == KeyState::Next) {
        if next.algorithm != policy.algorithm {
            return Some(Change::Remove(place));
        }
        if published >= policy.publish_ahead {
            return Some(Change::Activate(place));
        }
    } else {
        let is_other = keys.get(place).is_none_or(|active| active.algorithm != policy.algorithm);
        if is_other || replaced_at(since, policy).is_some_and(|at| at.before(policy.publish_ahead) <= now) {
            return Some(Change::Make(KeyState::Next));
        }
    }
    all()
        .find(|(_, key)| removed_at(key.state).is_some_and(|at| at <= now))
        .map(|(place, _)| Change::Remove(place))
}

/// How long nothing will be due, unless somebody wants it; `None` for ever.
pub(super) fn idle(
    keys: &[Facts],
    policy: &KeyPolicy,
    now: UnixTime,
    published: Duration,
) -> Option<Duration> {
    let has_next = keys.iter().any(|key| key.state == KeyState::Next);
    let each = keys.iter().filter_map(|key| match key.state {
        KeyState::Next => Some(policy.publish_ahead.saturating_sub(published)),
        KeyState::Active { .. } if has_next => None,
        KeyState::Active { since, .. } => {
            replaced_at(since, policy).map(|at| at.before(policy.publish_ahead).since(now))
        }
        KeyState::Retired { .. } => removed_at(key.state).map(|at| at.since(now)),
    });
    each.min()
}

/// When an active key is to be replaced.
pub(super) fn replaced_at(since: UnixTime, policy: &KeyPolicy) -> Option<UnixTime> {
    policy.rotate_every.map(|age| since.after(age))
}

/// When the last token of a retired key has expired.
pub(super) fn removed_at(state: KeyState) -> Option<UnixTime> {
    match state {
        KeyState::Retired { since, lives } => Some(since.after(lives)),
        KeyState::Next | KeyState::Active { .. } => None,
    }
}

fn set_right(state: KeyState, now: UnixTime) -> Option<KeyState> {
    let is_wrong = |since: UnixTime| since > now.after(CLOCK_CORRECTION);
    match state {
        KeyState::Active { since, lives } if is_wrong(since) => Some(KeyState::Active { since: now, lives }),
        KeyState::Retired { since, lives } if is_wrong(since) => {
            Some(KeyState::Retired { since: now, lives })
        }
        KeyState::Next | KeyState::Active { .. } | KeyState::Retired { .. } => None,
    }
}

#[cfg(test)]
mod tests;
