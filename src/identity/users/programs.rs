//! Users that are programs: what their clients' part of the record needs.

use super::save::Effect;
use super::{User, UserError, Users};
use crate::clock::UnixTime;
use crate::identity::clients::Program;
use crate::identity::password::PasswordHash;
use crate::name::{Roles, Username};
use crate::store::Batch;

impl Users {
    /// Adds an enabled client.
    ///
    /// # Errors
    /// [`UserError::Exists`] when the name is taken.
    pub(in crate::identity) fn add_program(
        &self,
        name: &Username,
        roles: Roles,
        program: Program,
        now: UnixTime,
    ) -> Result<User, UserError> {
        self.insert(name, roles, PasswordHash::default(), Some(program), now)
    }

    /// Changes the secrets of a client. Its tokens stay good.
    ///
    /// # Errors
    /// [`UserError::NotFound`], also for a person; [`UserError::Contended`], [`UserError::Store`].
    pub(in crate::identity) fn change_program(
        &self,
        name: &Username,
        now: UnixTime,
        edit: impl Fn(&mut Program),
    ) -> Result<User, UserError> {
        self.retry(name, |stored| {
            let mut user = stored.user.clone();
            edit(user.program.as_mut().ok_or_else(|| UserError::NotFound(name.clone()))?);
            self.save(stored, &user, Effect::KeepsTokens, Batch::new(), now)
        })
    }
}
