//! Records of the store: JSON objects with a version, `v`. A field that is added later has a default, so that a new version reads what
//! an old one has written.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::store::StoreError;

/// The sixteen bytes of an identifier.
pub(super) fn id_from(bytes: &[u8]) -> Result<[u8; 16], StoreError> {
    let damaged = |_| StoreError::Damaged { context: "the store holds an identifier that is not one".into() };
    bytes.try_into().map_err(damaged)
}

pub(super) fn to_bytes<T: Serialize>(record: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(record).map_err(|error| StoreError::Failed {
        context: "cannot write a record as JSON".into(),
        source: error.into(),
    })
}

/// Reads a record whose version is at most `supported`; `what` names it in an error.
pub(super) fn from_bytes<T: DeserializeOwned>(
    bytes: &[u8],
    supported: u32,
    what: &dyn std::fmt::Display,
) -> Result<T, StoreError> {
    #[derive(Deserialize)]
    struct Versioned {
        v: u32,
    }
    // The text of a JSON error can quote the record, hash and all, so only its place is told.
    let damaged = |error: serde_json::Error| StoreError::Damaged {
        context: format!(
            "the record of {what} cannot be read (column {}). Put a backup in place: a copy of the \
                 directory, or `portcullis restore FILE` in a version that has it",
            error.column()
        ),
    };
    let Versioned { v } = serde_json::from_slice(bytes).map_err(damaged)?;
    if v > supported {
        return Err(StoreError::Damaged {
            context: format!(
                "the record of {what} was written by a later version of Portcullis (record version {v}; this version \
                 reads up to {supported}). Install that version again"
            ),
        });
    }
    serde_json::from_slice(bytes).map_err(damaged)
}
