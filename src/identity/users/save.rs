//! How a change is written: one batch that expects the record as it was read, and is tried again while others are faster.

use super::programs::{ended_keys, indexing, keys_of};
use super::record::{self, Stored};
use super::{ATTEMPTS, User, UserError, Users};
use crate::clock::UnixTime;
use crate::id::UserId;
use crate::identity::revoked::Floor;
use crate::name::Username;
use crate::store::{Batch, StoreError, Table};
use crate::token::RevocationId;

impl Users {
    pub(super) fn change(
        &self,
        username: &Username,
        now: UnixTime,
        edit: impl Fn(&mut User) -> Effect,
    ) -> Result<User, UserError> {
        self.retry(username, |stored| {
            let mut user = stored.user.clone();
            let effect = edit(&mut user);
            self.save(stored, &user, effect, Batch::new(), now)
        })
    }

    /// Writes the changed user, together with `batch`, if the record is still the one that was read.
    pub(super) fn save(
        &self,
        stored: &Stored,
        user: &User,
        effect: Effect,
        batch: Batch,
        now: UnixTime,
    ) -> Result<User, UserError> {
        let user = changed(user, effect, now);
        let batch = replacing(stored, &user, batch)?;
        let mut floors = ended_keys(&stored.user, &user, now);
        match effect {
            Effect::KeepsTokens => {}
            // Where nothing had to be changed, another may have made the change a moment ago, and neither made it durable
            // nor announced it yet. Our answer promises both.
            Effect::EndsSessions | Effect::EndsTokens | Effect::None => {
                floors.push((user.id.into(), Floor::new(user.version, now)));
            }
        }
        self.commit_revoking(batch, &stored.user, &floors)?;
        Ok(user)
    }

    /// Runs `attempt` on the user as it is, again while others are faster.
    pub(super) fn retry<T>(
        &self,
        username: &Username,
        attempt: impl Fn(&Stored) -> Result<T, UserError>,
    ) -> Result<T, UserError> {
        for _ in 0..ATTEMPTS {
            let stored = self.read(username)?.ok_or_else(|| UserError::NotFound(username.clone()))?;
            match attempt(&stored) {
                Err(UserError::Store(StoreError::Conflict)) => {}
                done => return done,
            }
        }
        Err(UserError::Contended(username.clone()))
    }

    /// Commits the change of one user together with the end of older tokens, and of API keys.
    pub(super) fn commit_revoking(
        &self,
        batch: Batch,
        before: &User,
        floors: &[(RevocationId, Floor)],
    ) -> Result<(), UserError> {
        self.commit_then(batch, floors, || {
            if before.program.is_some() {
                self.publish_api_keys(before.id, keys_of(Some(before)));
            }
        })
    }

    /// The same for several users, none of which is a client.
    pub(super) fn commit_all_revoking(
        &self,
        batch: Batch,
        floors: &[(RevocationId, Floor)],
    ) -> Result<(), UserError> {
        self.commit_then(batch, floors, || {})
    }

    fn commit_then(
        &self,
        batch: Batch,
        floors: &[(RevocationId, Floor)],
        then: impl FnOnce(),
    ) -> Result<(), UserError> {
        let happened = |(id, floor): &(RevocationId, Floor)| {
            let user = self.by_id(UserId::from_bytes(*id.as_bytes()));
            user.is_ok_and(|user| user.is_none_or(|user| user.version >= floor.min_version()))
        };
        Ok(self.revoked.commit_then(batch, floors, happened, then)?)
    }

    pub(super) fn claim_name(&self, batch: Batch, username: &Username, id: UserId) -> Batch {
        let folded = username.folded();
        batch.expect(Table::Usernames, folded.clone(), None).put(
            Table::Usernames,
            folded,
            id.as_bytes().as_slice(),
        )
    }
}

/// What a change means for what the user has.
#[derive(Clone, Copy)]
pub(super) enum Effect {
    /// And with them all older tokens.
    EndsSessions,
    EndsTokens,
    KeepsTokens,
    /// Nothing was changed.
    None,
}

/// The user after a change with this effect.
pub(super) fn changed(user: &User, effect: Effect, now: UnixTime) -> User {
    let mut user = user.clone();
    match effect {
        Effect::EndsSessions => {
            user.version = user.version.saturating_add(1);
            user.sessions_from = user.version;
        }
        Effect::EndsTokens => user.version = user.version.saturating_add(1),
        Effect::KeepsTokens | Effect::None => {}
    }
    if !matches!(effect, Effect::None) {
        user.updated = now;
    }
    user
}

pub(super) fn replacing(stored: &Stored, user: &User, batch: Batch) -> Result<Batch, StoreError> {
    let key = user.id.as_bytes().as_slice();
    let bytes = record::encode(user)?;
    let batch = batch.expect(Table::Users, key, Some(stored.bytes.clone()));
    if bytes == stored.bytes {
        return Ok(batch);
    }
    Ok(indexing(batch.put(Table::Users, key, bytes), Some(&stored.user), Some(user)))
}
