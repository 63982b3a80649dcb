//! Users and what may happen to them. Every rule that has to hold between a user, its name and its tokens is kept here.
//!
//! A change is one batch that expects the record as it was read; when somebody else was faster, it is read again. A change
//! that must end older tokens raises the user's token version in the same batch, and is in the set that requests are checked against
//! before the call returns.

mod import;
mod known_works;
mod lookup;
mod programs;
mod record;
mod save;
mod strangers;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::programs::{Published, indexing};
use self::save::{Effect, changed, replacing};
pub use self::strangers::Registered;
use super::clients::Program;
use super::password::PasswordHash;
use super::revoked::{Floor, Revoked};
use crate::clock::UnixTime;
use crate::id::{NoRandomness, UserId};
use crate::name::{Roles, Username};
use crate::store::{Batch, Store, StoreError, Table};
use crate::token::Revocations;

/// How often a change is tried when others change the same record at the same time. Each failed attempt means that one of the
/// others has got through.
const ATTEMPTS: usize = 64;

/// A user, as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Stays the same for the user's whole life.
    pub id: UserId,
    /// As it was written; compares case-insensitively.
    pub username: Username,
    /// The hash of the password, or none: a client has none.
    pub password: PasswordHash,
    /// What the user may do.
    pub roles: Roles,
    /// Whether the user may log in.
    pub enabled: bool,
    /// The token version: goes up with each change that ends older tokens. New tokens carry it as `ver`.
    pub version: u64,
    /// Sessions that began with a lower token version have ended.
    pub sessions_from: u64,
    /// What a client has in place of a password; `None` for a person.
    pub program: Option<Program>,
    /// When the user was added.
    pub created: UnixTime,
    /// When anything but the form of the password hash was last changed.
    pub updated: UnixTime,
}

/// Why something could not be done with a user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// There is no user of this name.
    #[error("there is no user \"{0}\"")]
    NotFound(Username),
    /// The name is taken, by this user.
    #[error("there is already a user \"{0}\" (usernames compare without regard to case)")]
    Exists(Username),
    /// No token would have room for them, so the user could not log in.
    #[error(
        "these are too many roles: with three bytes more for each, their names may have {} bytes together; use fewer or shorter ones",
        Roles::MAX_BYTES
    )]
    TooManyRoles,
    /// Others kept changing the same user.
    #[error("user \"{0}\" is being changed by others all the time; try again")]
    Contended(Username),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No identifier could be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// The users. A handle: clones share the store. All methods block on the disk.
#[derive(Clone, Debug)]
pub struct Users {
    store: Arc<dyn Store>,
    revoked: Revoked,
    published: Arc<Published>,
}

impl Users {
    /// The users in `store`, whose changes are announced to `revocations`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, revocations: Arc<Revocations>) -> Self {
        let revoked = Revoked::new(store.clone(), revocations);
        Self { store, revoked, published: Arc::default() }
    }

    /// What was revoked, of users and of everything else.
    #[must_use]
    pub fn revoked(&self) -> &Revoked {
        &self.revoked
    }

    /// Adds an enabled user.
    ///
    /// # Errors
    /// [`UserError::Exists`] when the name is taken, [`UserError::TooManyRoles`].
    pub fn add(
        &self,
        username: &Username,
        roles: Roles,
        password: PasswordHash,
        now: UnixTime,
    ) -> Result<User, UserError> {
        Ok(self.insert(fresh(username, roles, password, now)?, |_| Ok((Batch::new(), ())))?.0)
    }

    /// Adds an enabled user without a password, together with a batch that depends on the user, and what else came of making it.
    ///
    /// # Errors
    /// [`UserError::Exists`] when the name is taken, [`UserError::TooManyRoles`].
    pub(super) fn add_invited<T>(
        &self,
        username: &Username,
        roles: Roles,
        now: UnixTime,
        invite: impl FnOnce(&User) -> Result<(Batch, T), UserError>,
    ) -> Result<(User, T), UserError> {
        self.insert(fresh(username, roles, PasswordHash::default(), now)?, invite)
    }

    /// Writes a new user, and the batch that `with` gives, which expects nothing.
    fn insert<T>(
        &self,
        user: User,
        with: impl FnOnce(&User) -> Result<(Batch, T), UserError>,
    ) -> Result<(User, T), UserError> {
        let (batch, made) = with(&user)?;
        let key = user.id.as_bytes().as_slice();
        let batch = batch.expect(Table::Users, key, None).put(Table::Users, key, record::encode(&user)?);
        let batch = indexing(self.claim_name(batch, &user.username, user.id), None, Some(&user));
        match self.store.commit(batch) {
            Ok(()) => Ok((user, made)),
            // The identifier is new and random, so it is the name that was taken.
            Err(StoreError::Conflict) => Err(UserError::Exists(self.written_form(&user.username)?)),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the user exactly these roles. Ends older tokens, unless the user had the same roles before.
    ///
    /// # Errors
    /// [`UserError::TooManyRoles`], [`UserError::NotFound`], [`UserError::Contended`], [`UserError::Store`].
    pub fn set_roles(&self, username: &Username, roles: &Roles, now: UnixTime) -> Result<User, UserError> {
        if !roles.fit() {
            return Err(UserError::TooManyRoles);
        }
        self.change(username, now, |user| {
            let changed = user.roles != *roles;
            user.roles = roles.clone();
            if changed { Effect::EndsTokens } else { Effect::None }
        })
    }

    /// Replaces the password. Ends all sessions and older tokens.
    ///
    /// # Errors
    /// [`UserError::NotFound`], [`UserError::Contended`], [`UserError::Store`].
    pub fn set_password(
        &self,
        username: &Username,
        hash: &PasswordHash,
        now: UnixTime,
    ) -> Result<User, UserError> {
        self.set_password_within(username, hash, now, |_, _| Ok(Batch::new()))
    }

    /// The same, together with a batch that may depend on the user as it is and as it will be. Nothing is changed if that fails.
    pub(super) fn set_password_within(
        &self,
        username: &Username,
        hash: &PasswordHash,
        now: UnixTime,
        batch: impl Fn(&User, &User) -> Result<Batch, UserError>,
    ) -> Result<User, UserError> {
        self.retry(username, |stored| {
            let user = User { password: hash.clone(), ..stored.user.clone() };
            let batch = batch(&stored.user, &changed(&user, Effect::EndsSessions, now))?;
            self.save(stored, &user, Effect::EndsSessions, batch, now)
        })
    }

    /// Ends all sessions of the user, and older tokens.
    ///
    /// # Errors
    /// [`UserError::NotFound`], [`UserError::Contended`], [`UserError::Store`].
    pub fn end_sessions(&self, username: &Username, now: UnixTime) -> Result<User, UserError> {
        self.change(username, now, |_| Effect::EndsSessions)
    }

    /// Lets the user log in, or not. Disabling ends all sessions and older tokens, and enabling again does not bring them back.
    ///
    /// # Errors
    /// [`UserError::NotFound`], [`UserError::Contended`], [`UserError::Store`].
    pub fn set_enabled(&self, username: &Username, enabled: bool, now: UnixTime) -> Result<User, UserError> {
        self.change(username, now, |user| {
            let before = std::mem::replace(&mut user.enabled, enabled);
            match (before, enabled) {
                (true, false) => Effect::EndsSessions,
                (false, true) => Effect::KeepsTokens,
                _ => Effect::None,
            }
        })
    }

    /// Gives the user another name. Ends older tokens, since they carry the old one.
    ///
    /// # Errors
    /// [`UserError::Exists`] when another user has the new name, [`UserError::NotFound`], [`UserError::Contended`],
    /// [`UserError::Store`].
    pub fn rename(&self, from: &Username, to: &Username, now: UnixTime) -> Result<User, UserError> {
        self.retry(from, |stored| {
            let mut user = stored.user.clone();
            user.username = to.clone();
            let batch = if from.folded() == to.folded() {
                Batch::new()
            } else {
                if let Some(other) = self.read(to)? {
                    return Err(UserError::Exists(other.user.username));
                }
                self.claim_name(Batch::new(), to, user.id).delete(Table::Usernames, from.folded())
            };
            let effect = if stored.user.username == *to { Effect::None } else { Effect::EndsTokens };
            self.save(stored, &user, effect, batch, now)
        })
    }

    /// Removes the user and ends all its tokens. The name may be taken again, by a user with another identifier.
    ///
    /// # Errors
    /// [`UserError::NotFound`], [`UserError::Contended`], [`UserError::Store`].
    pub fn remove(&self, username: &Username, now: UnixTime) -> Result<(), UserError> {
        self.retry(username, |stored| {
            let id = stored.user.id;
            let batch = Batch::new()
                .expect(Table::Users, id.as_bytes().as_slice(), Some(stored.bytes.clone()))
                .delete(Table::Users, id.as_bytes().as_slice())
                .delete(Table::Usernames, username.folded());
            let batch = indexing(batch, Some(&stored.user), None);
            self.commit_revoking(batch, &stored.user, &[(id.into(), Floor::removed(now))])
        })
    }

    /// Replaces the form of the password hash, not the password: tokens stay good. Does nothing if the hash is no longer `old`.
    ///
    /// # Errors
    /// [`UserError::Store`]; a conflict means that the user was changed at the same time.
    pub(super) fn replace_hash(
        &self,
        id: UserId,
        old: &PasswordHash,
        new: &PasswordHash,
    ) -> Result<(), UserError> {
        let Some(stored) = self.read_id(id)?.filter(|stored| stored.user.password == *old) else {
            return Ok(());
        };
        let user = User { password: new.clone(), ..stored.user.clone() };
        Ok(self.store.commit(replacing(&stored, &user, Batch::new())?)?)
    }
}

/// A new user who is enabled.
fn fresh(
    username: &Username,
    roles: Roles,
    password: PasswordHash,
    now: UnixTime,
) -> Result<User, UserError> {
    if !roles.fit() {
        return Err(UserError::TooManyRoles);
    }
    Ok(User {
        id: UserId::generate(now)?,
        username: username.clone(),
        password,
        roles,
        enabled: true,
        version: 1,
        sessions_from: 0,
        program: None,
        created: now,
        updated: now,
    })
}
