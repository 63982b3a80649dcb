//! From the places of keys in the configuration to what seals the secrets in the store.

use crate::config;
use crate::seal::{Seal, SealKey, SealKeyError};
use crate::secret::{SecretSource, SourceError};

/// The key that encrypts the store is not where the configuration says, or is none.
#[derive(Debug, thiserror::Error)]
pub enum EncryptionKeyError {
    /// It cannot be read.
    #[error("{key}")]
    Source {
        /// `store.encryption_key` or `store.encryption_key_old`.
        key: &'static str,
        /// What is wrong.
        #[source]
        error: SourceError,
    },
    /// What is there is not a key.
    #[error("{key}: {place} {error}")]
    Form {
        /// `store.encryption_key` or `store.encryption_key_old`.
        key: &'static str,
        /// Where it is.
        place: SecretSource,
        /// What is wrong.
        error: SealKeyError,
    },
}

/// What seals the secrets in the store of a configuration. Reads the keys from where the configuration says.
///
/// # Errors
/// [`EncryptionKeyError`] names the place, and shows nothing of a key.
pub fn seal_of(store: &config::Store) -> Result<Seal, EncryptionKeyError> {
    let read = |key: &'static str, source: &Option<SecretSource>| {
        let Some(place) = source else { return Ok(None) };
        let text = place.read().map_err(|error| EncryptionKeyError::Source { key, error })?;
        let parsed = SealKey::parse(&text);
        parsed.map(Some).map_err(|error| EncryptionKeyError::Form { key, place: place.clone(), error })
    };
    let key = read("store.encryption_key", &store.encryption_key)?;
    Ok(Seal::new(key, read("store.encryption_key_old", &store.encryption_key_old)?))
}
