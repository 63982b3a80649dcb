//! Invitations: the right to choose a user's password, once and for a while.
//!
//! An administrator makes one for a new user, who exists from then on without a password and cannot log in, or for a user who has
//! forgotten it. A user has one at most: another one takes the place of the one before. The token is shown once, and the store keeps
//! the digest of its 256 random bits.
//!
//! It is gone when it has been used. And it is good for nothing any more when it has expired, or when its user was removed or disabled or
//! has got a password in another way: what ends all sessions of a user ends the invitation too, by the same comparison. Rows that are
//! left are deleted now and then.

mod admin;
mod record;
mod token;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;

use self::record::Stored;
use self::token::Token;
use super::password::PasswordHash;
use super::users::{User, UserError, Users};
use crate::clock::UnixTime;
use crate::id::UserId;
use crate::name::{Roles, Username};
use crate::secret::Secret;
use crate::store::{Batch, Store, StoreError, Table};

pub use admin::{InvitationAdmin, InvitationView, LocalInvitationAdmin, NewInvitation};

/// Rows that are read or deleted at a time.
const PAGE: usize = 1000;

/// An invitation, as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Whose password it sets.
    pub user: UserId,
    digest: token::Digest,
    /// The user's token version when it was made.
    version: u64,
    /// When it was made.
    pub created: UnixTime,
    /// From when on it is good for nothing.
    pub expires: UnixTime,
}

impl Invitation {
    fn new(token: &Token, version: u64, created: UnixTime, expires: UnixTime) -> Self {
        Self { user: token.user, digest: token.digest(), version, created, expires }
    }

    fn is_alive(&self, user: &User, now: UnixTime) -> bool {
        self.expires > now && user.id == self.user && user.enabled && self.version >= user.sessions_from
    }
}

/// The invitations. A handle: clones share the store. All methods block on the disk.
#[derive(Clone, Debug)]
pub struct Invitations {
    store: Arc<dyn Store>,
    users: Users,
}

impl Invitations {
    /// The invitations of `users` in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, users: Users) -> Self {
        Self { store, users }
    }

    /// Adds a user without a password, who has this invitation. Returns its token, which nobody can learn again.
    ///
    /// # Errors
    /// [`UserError::Exists`] when the name is taken.
    pub fn add_user(
        &self,
        username: &Username,
        roles: Roles,
        good_for: Duration,
        now: UnixTime,
    ) -> Result<(User, Invitation, Secret), UserError> {
        let invite = |user: &User| {
            let (invitation, token) = make(user, good_for, now)?;
            Ok((row(&invitation)?, (invitation, token)))
        };
        let (user, (invitation, token)) = self.users.add_invited(username, roles, now, invite)?;
        Ok((user, invitation, token))
    }

    /// Invites a user who exists. The password of now stays good until the invitation is used.
    ///
    /// # Errors
    /// [`UserError::Store`], [`UserError::NoRandomness`].
    pub fn add(
        &self,
        user: &User,
        good_for: Duration,
        now: UnixTime,
    ) -> Result<(Invitation, Secret), UserError> {
        let (invitation, token) = make(user, good_for, now)?;
        self.store.commit(row(&invitation)?)?;
        Ok((invitation, token))
    }

    /// Whose invitation it is, if it is good.
    ///
    /// # Errors
    /// [`UserError::Store`] when the store cannot be read.
    pub fn find(&self, token: &Secret, now: UnixTime) -> Result<Option<User>, UserError> {
        let Some(token) = Token::read(token.expose()) else { return Ok(None) };
        let Some(user) = self.users.by_id(token.user)? else { return Ok(None) };
        Ok(self.good(&token, &user, now)?.map(|_| user))
    }

    /// Uses it up: the user has this password now, and all sessions from before have ended. `None` if it is not good (any more). Of two
    /// who use one at the same time, one succeeds.
    ///
    /// # Errors
    /// [`UserError::Contended`], [`UserError::Store`].
    pub fn accept(
        &self,
        token: &Secret,
        hash: &PasswordHash,
        now: UnixTime,
    ) -> Result<Option<User>, UserError> {
        let Some(token) = Token::read(token.expose()) else { return Ok(None) };
        let Some(User { username, .. }) = self.users.by_id(token.user)? else { return Ok(None) };
        let accepted = self.users.set_password_within(&username, hash, now, |user, _| {
            // Looked at with each attempt: somebody else may have used it, or given the name to another.
            let stored = self.good(&token, user, now)?;
            let Stored { bytes, .. } = stored.ok_or_else(|| UserError::NotFound(username.clone()))?;
            let key = token.user.as_bytes().as_slice();
            Ok(Batch::new().expect(Table::Invitations, key, Some(bytes)).delete(Table::Invitations, key))
        });
        match accepted {
            Ok(user) => Ok(Some(user)),
            Err(UserError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes the invitation of a user back. Returns whether there was one that was good.
    ///
    /// # Errors
    /// [`UserError::Store`].
    pub fn remove(&self, user: &User, now: UnixTime) -> Result<bool, UserError> {
        let was_good = self.read(user.id)?.is_some_and(|it| it.invitation.is_alive(user, now));
        self.store.commit(Batch::new().delete(Table::Invitations, user.id.as_bytes().as_slice()))?;
        Ok(was_good)
    }

    /// The invitations that are good, with their users.
    ///
    /// # Errors
    /// [`UserError::Store`].
    pub fn list(&self, now: UnixTime) -> Result<Vec<(Invitation, User)>, UserError> {
        let mut list = Vec::new();
        self.each_page(|page| {
            for Stored { invitation, .. } in page {
                let user = self.users.by_id(invitation.user)?;
                list.extend(
                    user.filter(|user| invitation.is_alive(user, now)).map(|user| (invitation, user)),
                );
            }
            Ok(())
        })?;
        Ok(list)
    }

    /// Deletes those that are good for nothing any more. Call it now and then.
    ///
    /// # Errors
    /// [`UserError::Store`].
    pub fn forget_dead(&self, now: UnixTime) -> Result<(), UserError> {
        self.each_page(|page| {
            let mut batch = Batch::new();
            for Stored { invitation, bytes } in page {
                let user = self.users.by_id(invitation.user)?;
                if !user.is_some_and(|user| invitation.is_alive(&user, now)) {
                    let key = invitation.user.as_bytes().as_slice();
                    batch =
                        batch.expect(Table::Invitations, key, Some(bytes)).delete(Table::Invitations, key);
                }
            }
            match self.store.commit(batch) {
                // A user of the page was invited anew in this moment. The page waits for the next call.
                Ok(()) | Err(StoreError::Conflict) => Ok(()),
                Err(error) => Err(error.into()),
            }
        })
    }

    /// The row of the token, if it is good for this user.
    fn good(&self, token: &Token, user: &User, now: UnixTime) -> Result<Option<Stored>, UserError> {
        let is_it = |it: &Stored| verify_slices_are_equal(&it.invitation.digest, &token.digest()).is_ok();
        let stored = self.read(token.user)?;
        Ok(stored.filter(|it| is_it(it) && it.invitation.is_alive(user, now)))
    }

    fn read(&self, user: UserId) -> Result<Option<Stored>, StoreError> {
        let bytes = self.store.get(Table::Invitations, user.as_bytes())?;
        bytes.map(|bytes| record::decode(user, bytes)).transpose()
    }

    fn each_page(
        &self,
        mut visit: impl FnMut(Vec<Stored>) -> Result<(), UserError>,
    ) -> Result<(), UserError> {
        let mut after = None;
        loop {
            let rows = self.store.scan(Table::Invitations, after.as_deref(), PAGE)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = Some(last.clone());
            let stored = rows.into_iter().map(|(key, bytes)| record::decode(record::key_to_id(&key)?, bytes));
            visit(stored.collect::<Result<_, StoreError>>()?)?;
        }
    }
}

fn make(user: &User, good_for: Duration, now: UnixTime) -> Result<(Invitation, Secret), UserError> {
    let token = Token::generate(user.id)?;
    Ok((Invitation::new(&token, user.version, now, now.after(good_for)), token.write()))
}

/// In the place of the one before, if there is one.
fn row(invitation: &Invitation) -> Result<Batch, StoreError> {
    let key = invitation.user.as_bytes().as_slice();
    Ok(Batch::new().put(Table::Invitations, key, record::encode(invitation)?))
}
