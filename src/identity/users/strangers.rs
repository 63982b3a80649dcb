//! Users who come without an invitation. Whether their name was free must not show, also not by the time that the answer takes.

use super::{ATTEMPTS, PasswordHash, User, UserError, Users, fresh, record};
use crate::clock::UnixTime;
use crate::name::{Roles, Username};
use crate::store::{Batch, Table};

/// Where, in [`Table::Meta`], is written what is written for nobody.
const NOBODY: &[u8] = b"registered_nobody";
const NOBODY_NAME: &[u8] = b"registered_nobody_name";

/// What became of a name that a stranger has asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registered {
    /// It was free, and this user has it now.
    Added(User),
    /// It is the name of this user.
    Taken(User),
}

impl Users {
    /// Adds an enabled user if the name is free. If it is not, as much is written as if it were, and nobody is changed by that.
    ///
    /// # Errors
    /// [`UserError::Contended`], [`UserError::Store`], [`UserError::NoRandomness`].
    pub(in crate::identity) fn add_stranger(
        &self,
        username: &Username,
        roles: &Roles,
        password: &PasswordHash,
        now: UnixTime,
    ) -> Result<Registered, UserError> {
        for _ in 0..ATTEMPTS {
            if let Some(known) = self.find(username.as_str())? {
                self.add_nobody(&fresh(username, roles.clone(), password.clone(), now)?)?;
                return Ok(Registered::Taken(known));
            }
            match self.add(username, roles.clone(), password.clone(), now) {
                // Somebody else was faster by less than the time of one write.
                Err(UserError::Exists(_)) => {}
                added => return added.map(Registered::Added),
            }
        }
        Err(UserError::Contended(username.clone()))
    }

    /// As durable as adding the user, and of the same size. Of the user nothing is written: the password may well be that of the user
    /// who has the name. What is written differs each time, since sled writes no value that is there already; when it was the same,
    /// a name that was taken was answered a tenth of a millisecond sooner.
    fn add_nobody(&self, user: &User) -> Result<(), UserError> {
        let id = user.id.as_bytes();
        let filling = |size: usize| id.iter().copied().cycle().take(size).collect::<Vec<_>>();
        let batch = Batch::new().put(Table::Meta, NOBODY, filling(record::encode(user)?.len()));
        Ok(self.store.commit(batch.put(Table::Meta, NOBODY_NAME, filling(id.len())))?)
    }

    /// How many users there are, clients included. Counts to `most` and no further.
    ///
    /// # Errors
    /// [`UserError::Store`] when the store cannot be read.
    pub(in crate::identity) fn count(&self, most: usize) -> Result<usize, UserError> {
        const PAGE: usize = 1000;
        let (mut count, mut after) = (0, None);
        while count < most {
            let rows = self.store.scan(Table::Usernames, after.as_deref(), PAGE.min(most - count))?;
            let Some((last, _)) = rows.last() else { break };
            after = Some(last.clone());
            count += rows.len();
        }
        Ok(count)
    }
}
