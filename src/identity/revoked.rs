//! The durable side of revocation: whose tokens are refused, and until when that has to be remembered.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::record;
use crate::clock::UnixTime;
use crate::store::{Batch, Store, StoreError, Table};
use crate::token::{RevocationId, Revocations, Verified};

const VERSION: u32 = 1;

/// Rows that are read or deleted at a time.
const PAGE: usize = 1000;

/// How long revocations must be kept, in milliseconds.
const RETENTION_KEY: &[u8] = b"revocation_retention_ms";

/// A row of [`Table::Revocations`]: tokens below `min_version` are refused, since `at`.
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
        Self { removed: true, ..Self::all(at) }
    }

    /// No version passes.
    pub(super) fn all(at: UnixTime) -> Self {
        Self::new(u64::MAX, at)
    }

    pub(super) fn min_version(&self) -> u64 {
        self.min_version
    }
}

/// Revocations in the store and in memory. A handle: clones share both. All methods block on the disk.
#[derive(Clone, Debug)]
pub struct Revoked {
    store: Arc<dyn Store>,
    set: Arc<Revocations>,
}

impl Revoked {
    pub(super) fn new(store: Arc<dyn Store>, set: Arc<Revocations>) -> Self {
        Self { store, set }
    }

    /// Whether the token was revoked.
    #[must_use]
    pub fn refuses(&self, token: &Verified) -> bool {
        self.set.refuses(token)
    }

    /// Reads the revocations back into memory when the gateway starts, and deletes those that no token can outlive. Returns how long
    /// a revocation has to be remembered: see [`Self::retention`].
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read or written.
    pub fn restore(&self, now: UnixTime, longest_ttl: Duration) -> Result<Duration, StoreError> {
        let retention = self.retention(longest_ttl)?;
        self.each(|id, floor| self.set.revoke(id, floor.min_version, floor.at))?;
        self.forget(now, retention)?;
        Ok(retention)
    }

    /// How long a revocation has to be remembered: the longest lifetime (leeway included) that tokens were ever given from this store.
    /// It never shrinks, because a shorter lifetime in the configuration does not shorten the tokens that are already out. Call it
    /// before tokens of a longer lifetime are issued.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read or written.
    pub fn retention(&self, longest_ttl: Duration) -> Result<Duration, StoreError> {
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
    /// [`StoreError`] when the store cannot be read or written.
    pub fn forget(&self, now: UnixTime, retention: Duration) -> Result<(), StoreError> {
        let limit = now.before(retention);
        // All of the store's revocations are in memory. A walk over 100,000 of them in the store takes a tenth of a second.
        if self.set.all_since(limit) {
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
                Err(error) => return Err(error),
            }
        }
        if complete {
            self.set.forget_before(limit);
        }
        Ok(())
    }

    /// Commits the batch together with the revocations, and announces them before returning. After a failure of the store it is not known
    /// whether the change is on the disk; `happened` tells whether who reads the store sees it, for then requests shall too.
    pub(super) fn commit(
        &self,
        batch: Batch,
        floors: &[(RevocationId, Floor)],
        happened: impl Fn(&(RevocationId, Floor)) -> bool,
    ) -> Result<(), StoreError> {
        self.commit_then(batch, floors, happened, || {})
    }

    /// The same, and does `then` between the two, when what was changed may be on the disk: what is to take the place of what is
    /// revoked is there before.
    pub(super) fn commit_then(
        &self,
        mut batch: Batch,
        floors: &[(RevocationId, Floor)],
        happened: impl Fn(&(RevocationId, Floor)) -> bool,
        then: impl FnOnce(),
    ) -> Result<(), StoreError> {
        for (id, floor) in floors {
            batch = batch.put(Table::Revocations, id.as_bytes().as_slice(), record::to_bytes(floor)?);
        }
        let outcome = self.store.commit(batch);
        if matches!(&outcome, Ok(()) | Err(StoreError::Failed { .. })) {
            then();
        }
        for revoked in floors {
            let announce = match &outcome {
                Ok(()) => true,
                Err(StoreError::Failed { .. }) => happened(revoked),
                Err(_) => false,
            };
            if announce {
                self.set.revoke(revoked.0, revoked.1.min_version, revoked.1.at);
            }
        }
        outcome
    }

    fn each(&self, visit: impl Fn(RevocationId, Floor)) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let rows = self.store.scan(Table::Revocations, after.as_deref(), PAGE)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, bytes) in &rows {
                let (id, floor) = decode(key, bytes)?;
                visit(id, floor);
            }
        }
    }
}

fn decode(key: &[u8], bytes: &[u8]) -> Result<(RevocationId, Floor), StoreError> {
    let id = RevocationId::from_bytes(record::id_from(key)?);
    Ok((id, record::from_bytes(bytes, VERSION, &"a revocation")?))
}
