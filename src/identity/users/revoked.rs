//! The durable side of revocation: which users' older tokens are refused, and until when that has to be remembered.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{UserError, Users, record};
use crate::clock::UnixTime;
use crate::id::UserId;
use crate::store::{Batch, StoreError, Table};

const VERSION: u32 = 1;

/// Rows that are read or deleted at a time.
const PAGE: usize = 1000;

/// How long revocations must be kept, in milliseconds.
const RETENTION_KEY: &[u8] = b"revocation_retention_ms";

/// A row of [`Table::Revocations`]: tokens of the user below `min_version` are refused, since `at`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Floor {
    v: u32,
    min_version: u64,
    at: UnixTime,
    /// Told apart for whoever reads the store; `min_version` says the same.
    #[serde(default)]
    removed: bool,
}

impl Floor {
    pub(super) fn new(min_version: u64, at: UnixTime) -> Self {
        Self { v: VERSION, min_version, at, removed: false }
    }

    /// No version of a removed user's tokens passes.
    pub(super) fn removed(at: UnixTime) -> Self {
        Self { min_version: u64::MAX, removed: true, ..Self::new(0, at) }
    }
}

impl Users {
    /// Reads the revocations back into memory when the gateway starts, and deletes those that no token can outlive. Returns how long
    /// a revocation has to be remembered: see [`Self::revocation_retention`].
    ///
    /// # Errors
    /// [`UserError::Store`] when the store cannot be read or written.
    pub fn restore_revocations(&self, now: UnixTime, longest_ttl: Duration) -> Result<Duration, UserError> {
        let retention = self.revocation_retention(longest_ttl)?;
        self.each_revocation(|user, floor| {
            self.revocations.revoke_user(user, floor.min_version, floor.at);
        })?;
        self.forget_revocations(now, retention)?;
        Ok(retention)
    }

    /// How long a revocation has to be remembered: the longest lifetime (leeway included) that tokens were ever given from this store.
    /// It never shrinks, because a shorter lifetime in the configuration does not shorten the tokens that are already out. Call it
    /// before tokens of a longer lifetime are issued.
    ///
    /// # Errors
    /// [`UserError::Store`] when the store cannot be read or written.
    pub fn revocation_retention(&self, longest_ttl: Duration) -> Result<Duration, UserError> {
        let stored = self.store.get(Table::Meta, RETENTION_KEY)?;
        let text = stored.and_then(|bytes| String::from_utf8(bytes).ok());
        let known = Duration::from_millis(text.and_then(|text| text.parse().ok()).unwrap_or(0));
        if longest_ttl > known {
            let text = longest_ttl.as_millis().to_string();
            self.store.commit(Batch::new().put(Table::Meta, RETENTION_KEY, text))?;
        }
        Ok(known.max(longest_ttl))
    }

    /// Forgets, on the disk and in memory, what was revoked longer than `retention` ago. Call it now and then.
    ///
    /// # Errors
    /// [`UserError::Store`] when the store cannot be read or written.
    pub fn forget_revocations(&self, now: UnixTime, retention: Duration) -> Result<(), UserError> {
        let limit = now.before(retention);
        // All of the store's revocations are in memory. A walk over 100,000 of them in the store takes a tenth of a second.
        if self.revocations.all_since(limit) {
            return Ok(());
        }
        let (mut after, mut complete) = (None, true);
        loop {
            let rows = self.store.scan(Table::Revocations, after.as_deref(), PAGE)?;
            let Some((last, _)) = rows.last() else { break };
            after = Some(last.clone());
            let mut batch = Batch::new();
            for (key, bytes) in rows {
                if decode(&key, &bytes)?.1.at < limit {
                    batch = batch.expect(Table::Revocations, key.clone(), Some(bytes));
                    batch = batch.delete(Table::Revocations, key);
                }
            }
            match self.store.commit(batch) {
                Ok(()) => {}
                // One of the page was revoked anew in this moment. The whole page waits for the next call.
                Err(StoreError::Conflict) => complete = false,
                Err(error) => return Err(error.into()),
            }
        }
        if complete {
            self.revocations.forget_before(limit);
        }
        Ok(())
    }

    /// Commits the batch together with the revocation, and announces it before returning.
    pub(super) fn commit_revoking(&self, batch: Batch, user: UserId, floor: Floor) -> Result<(), UserError> {
        self.commit_all_revoking(batch, &[(user, floor)])
    }

    /// The same for several users.
    pub(super) fn commit_all_revoking(
        &self,
        mut batch: Batch,
        floors: &[(UserId, Floor)],
    ) -> Result<(), UserError> {
        for (user, floor) in floors {
            batch = batch.put(Table::Revocations, user.as_bytes().as_slice(), record::to_bytes(floor)?);
        }
        let outcome = self.store.commit(batch);
        for &(user, floor) in floors {
            let announce = match &outcome {
                Ok(()) => true,
                // Whether the change is on the disk is not known, but whoever reads the store sees it; then requests shall too.
                Err(StoreError::Failed { .. }) => self
                    .by_id(user)
                    .is_ok_and(|user| user.is_none_or(|user| user.version >= floor.min_version)),
                Err(_) => false,
            };
            if announce {
                self.revocations.revoke_user(user, floor.min_version, floor.at);
            }
        }
        Ok(outcome?)
    }

    fn each_revocation(&self, visit: impl Fn(UserId, Floor)) -> Result<(), UserError> {
        let mut after = None;
        loop {
            let rows = self.store.scan(Table::Revocations, after.as_deref(), PAGE)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, bytes) in &rows {
                let (user, floor) = decode(key, bytes)?;
                visit(user, floor);
            }
        }
    }
}

fn decode(key: &[u8], bytes: &[u8]) -> Result<(UserId, Floor), StoreError> {
    let user = record::id_from(key)?;
    Ok((user, record::from_bytes(bytes, VERSION, &format_args!("the revocation of user {user}"))?))
}
