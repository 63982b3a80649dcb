//! The rows of the keys in the store.

use std::sync::Arc;

use super::KeysError;
use super::lifecycle::{Facts, KeyPolicy};
use super::state::Kept;
use crate::causes::with_causes;
use crate::clock::UnixTime;
use crate::config::Algorithm;
use crate::seal::Seal;
use crate::secret::SecretBytes;
use crate::store::{Store, StoreError, Table};
use crate::token::{KeyRecord, KeyState, RecordError};

/// Keys that a store can hold. More is damage, not use.
const MAX_KEYS: usize = 1000;

/// A row, and what it says without the key in it.
struct Row {
    bytes: SecretBytes,
    record: KeyRecord,
    facts: Facts,
}

/// What there is to know of the keys. Encrypted ones need not be opened for that.
pub(super) fn facts(store: &dyn Store, policy: &KeyPolicy, now: UnixTime) -> Result<Vec<Facts>, KeysError> {
    Ok(rows(store, policy, now)?.into_iter().map(|row| row.facts).collect())
}

/// The keys, opened.
pub(super) fn keys(
    store: &dyn Store,
    seal: &Seal,
    policy: &KeyPolicy,
    now: UnixTime,
) -> Result<Vec<Kept>, KeysError> {
    let open = |Row { bytes, record, facts }: Row| {
        let opened = record.open(seal).map_err(|error| unreadable(facts.id.as_str(), error))?;
        Ok(Kept { key: Arc::new(opened.key), state: facts.state, bytes, outdated: opened.outdated })
    };
    rows(store, policy, now)?.into_iter().map(open).collect()
}

fn rows(store: &dyn Store, policy: &KeyPolicy, now: UnixTime) -> Result<Vec<Row>, KeysError> {
    let rows = store.scan(Table::Keys, None, MAX_KEYS + 1)?;
    if rows.len() > MAX_KEYS {
        let context = format!("the store holds more than {MAX_KEYS} signing keys");
        return Err(StoreError::Damaged { context }.into());
    }
    let mut records = Vec::with_capacity(rows.len());
    for (id, bytes) in rows {
        let bytes = SecretBytes::new(bytes);
        let name = String::from_utf8_lossy(&id);
        let record = KeyRecord::read(bytes.expose()).map_err(|error| unreadable(&name, error))?;
        if record.id().as_str() != name {
            return Err(unreadable(&name, RecordError::Id));
        }
        records.push((bytes, record));
    }
    let newest = newest(records.iter().map(|(_, record)| record), policy.algorithm);
    let facts = |record: &KeyRecord| Facts {
        id: record.id().clone(),
        algorithm: record.algorithm(),
        created: record.created(),
        state: record.state().unwrap_or(match &newest {
            Some(id) if id == record.id() => {
                KeyState::Active { since: record.created(), lives: policy.lives }
            }
            _ => KeyState::Retired { since: now, lives: policy.lives },
        }),
    };
    Ok(records.into_iter().map(|(bytes, record)| Row { facts: facts(&record), bytes, record }).collect())
}

/// Records of version 1 had no state: the newest key of the configured algorithm signed, or the newest of all had it had to.
/// `None` where there are states.
fn newest<'r>(
    records: impl Iterator<Item = &'r KeyRecord>,
    algorithm: Algorithm,
) -> Option<crate::token::KeyId> {
    let records: Vec<_> = records.collect();
    if records.iter().any(|record| record.state().is_some()) {
        return None;
    }
    let newest = records.into_iter().max_by_key(|it| (it.algorithm() == algorithm, it.created()));
    newest.map(|record| record.id().clone())
}

fn unreadable(id: &str, error: RecordError) -> KeysError {
    match error {
        RecordError::Sealed(error) => KeysError::Sealed { id: id.to_owned(), error },
        error => {
            let context = format!("the signing key {id} cannot be read: {}", with_causes(&error));
            StoreError::Damaged { context }.into()
        }
    }
}
