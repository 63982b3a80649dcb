//! Users that are programs: their part of the record, and their API keys.
//!
//! [`Table::ApiKeys`] finds a client by its key, so that a start reads the clients that have keys and no other user. The set that
//! requests are checked against follows the records: after each change, and before anybody is told of it, it is made to say of a
//! client's keys what the record says.

use std::sync::{Arc, Mutex, PoisonError};

use super::record;
use super::save::Effect;
use super::{User, UserError, Users, fresh};
use crate::clock::UnixTime;
use crate::id::UserId;
use crate::identity::clients::{ApiKey, Program};
use crate::identity::password::PasswordHash;
use crate::identity::revoked::Floor;
use crate::name::{Roles, Username};
use crate::store::{Batch, Table};
use crate::token::{ApiKeys, RevocationId};

/// Rows that are read at a time.
const PAGE: usize = 1000;

/// The API keys that requests are checked against.
#[derive(Debug, Default)]
pub(super) struct Published {
    keys: Arc<ApiKeys>,
    /// Held from reading a record to the moment when the set says the same, or an older record could be the last word.
    turn: Mutex<()>,
}

impl Users {
    /// The API keys that are good now.
    #[must_use]
    pub fn api_keys(&self) -> &Arc<ApiKeys> {
        &self.published.keys
    }

    /// Reads the API keys into memory when the gateway starts.
    ///
    /// # Errors
    /// [`UserError::Store`] when the store cannot be read.
    pub fn restore_api_keys(&self) -> Result<(), UserError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let rows = self.store.scan(Table::ApiKeys, after.as_deref(), PAGE)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = Some(last.clone());
            for (_, id) in &rows {
                if let Some(client) = self.by_id(record::id_from(id)?)? {
                    self.put_api_keys(&client);
                }
            }
        }
    }

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
        let client = User { program: Some(program), ..fresh(name, roles, PasswordHash::default(), now)? };
        let (added, ()) = self.insert(client, |_| Ok((Batch::new(), ())))?;
        self.publish_api_keys(added.id, &[]);
        Ok(added)
    }

    /// Changes the secrets and API keys of a client. Its tokens stay good; a key that it has no more does not.
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

    /// The batch, so that it applies only as long as the client's record is as it is now; `None` if that `is_good` no more.
    ///
    /// # Errors
    /// [`UserError::Store`] when the store cannot be read.
    pub(in crate::identity) fn expecting(
        &self,
        batch: Batch,
        client: UserId,
        is_good: impl Fn(&User) -> bool,
    ) -> Result<Option<Batch>, UserError> {
        let stored = self.read_id(client)?.filter(|stored| is_good(&stored.user));
        Ok(stored.map(|stored| batch.expect(Table::Users, client.as_bytes().as_slice(), Some(stored.bytes))))
    }

    /// Makes the set say of a client's keys what its record says. `before` are those that it had when it was changed.
    pub(super) fn publish_api_keys(&self, id: UserId, before: &[ApiKey]) {
        let _turn = self.published.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let client = match self.by_id(id) {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(error = %error, "the API keys of a client are refused: its record cannot be read");
                None
            }
        };
        let good = client.as_ref().map(good_keys).unwrap_or_default();
        for ended in before.iter().filter(|key| !good.contains(key)) {
            self.published.keys.remove(&ended.digest);
        }
        if let Some(client) = &client {
            self.put_api_keys(client);
        }
    }

    fn put_api_keys(&self, client: &User) {
        for key in good_keys(client) {
            self.published.keys.put(key.digest, key.caller(client));
        }
    }
}

/// The keys by which a client may come in, as far as that does not depend on the time.
fn good_keys(client: &User) -> &[ApiKey] {
    if client.enabled { keys_of(Some(client)) } else { &[] }
}

pub(super) fn keys_of(user: Option<&User>) -> &[ApiKey] {
    user.and_then(|user| user.program.as_ref()).map(Program::api_keys).unwrap_or_default()
}

/// The batch, with the rows by which the client is found after the change.
pub(super) fn indexing(mut batch: Batch, before: Option<&User>, after: Option<&User>) -> Batch {
    let (old, new) = (keys_of(before), keys_of(after));
    for ended in old.iter().filter(|key| !new.contains(key)) {
        batch = batch.delete(Table::ApiKeys, ended.digest.as_bytes().as_slice());
    }
    for added in new.iter().filter(|key| !old.contains(key)) {
        let id = after.map(|client| client.id.as_bytes().to_vec()).unwrap_or_default();
        batch = batch.put(Table::ApiKeys, added.digest.as_bytes().as_slice(), id);
    }
    batch
}

/// Refuses the keys that a change has taken away, for workers that remember them.
pub(super) fn ended_keys(before: &User, after: &User, now: UnixTime) -> Vec<(RevocationId, Floor)> {
    let kept = keys_of(Some(after));
    let ended = keys_of(Some(before)).iter().filter(|key| !kept.contains(key));
    ended.map(|key| (key.id.into(), Floor::all(now))).collect()
}
