//! Signing keys in the store: made on first start, found again afterwards.

use std::sync::Arc;

use crate::clock::UnixTime;
use crate::config::Algorithm;
use crate::store::{Batch, Store, StoreError, Table};
use crate::token::{KeyError, KeyRing, SigningKey};

/// Keys that a store can hold. More is damage, not use.
const MAX_KEYS: usize = 1000;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key could not be made.
    #[error("cannot make a signing key: {0}")]
    Make(#[from] KeyError),
}

/// The ring of the store's keys: new tokens are signed by the newest key of `algorithm`, which is made if there is none; the
/// others still verify, so that another algorithm in the configuration does not end anybody's session.
///
/// # Errors
/// [`KeysError`].
pub fn load_or_make(store: &dyn Store, algorithm: Algorithm, now: UnixTime) -> Result<KeyRing, KeysError> {
    let mut keys = read(store)?;
    let active = match newest(&keys, |key| key.algorithm() == algorithm) {
        Some(index) => keys.remove(index),
        None => make(store, algorithm, now)?,
    };
    Ok(KeyRing::new(active, keys))
}

/// The ring of the store's keys, for verifying only: nothing is made. `None` when there is no key yet.
///
/// # Errors
/// [`KeysError::Store`].
pub fn load(store: &dyn Store) -> Result<Option<KeyRing>, KeysError> {
    let mut keys = read(store)?;
    let active = newest(&keys, |_| true).map(|index| keys.remove(index));
    Ok(active.map(|active| KeyRing::new(active, keys)))
}

fn newest(keys: &[Arc<SigningKey>], wanted: impl Fn(&SigningKey) -> bool) -> Option<usize> {
    let candidates = keys.iter().enumerate().filter(|(_, key)| wanted(key));
    candidates.max_by_key(|(_, key)| key.created()).map(|(index, _)| index)
}

fn read(store: &dyn Store) -> Result<Vec<Arc<SigningKey>>, KeysError> {
    let rows = store.scan(Table::Keys, None, MAX_KEYS)?;
    let keys = rows.into_iter().map(|(id, record)| {
        SigningKey::from_record(&record).map(Arc::new).map_err(|error| StoreError::Damaged {
            context: format!("the signing key {} cannot be read: {error}", String::from_utf8_lossy(&id)),
        })
    });
    Ok(keys.collect::<Result<_, _>>()?)
}

fn make(store: &dyn Store, algorithm: Algorithm, now: UnixTime) -> Result<Arc<SigningKey>, KeysError> {
    let key = SigningKey::generate(algorithm, now)?;
    let id = key.id().as_str().as_bytes();
    store.commit(Batch::new().expect(Table::Keys, id, None).put(
        Table::Keys,
        id,
        key.to_record().expose(),
    ))?;
    tracing::info!(kid = key.id().as_str(), algorithm = algorithm.name(), "a signing key was made");
    Ok(Arc::new(key))
}
