//! The bytes of a user in the store: JSON with a version, so that an older data directory opens in a newer gateway. A field that
//! is added keeps the version, and must be optional; one whose absence would be misread raises it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::User;
use crate::clock::UnixTime;
use crate::id::UserId;
use crate::identity::password::PasswordHash;
use crate::name::{Roles, Username};
use crate::store::StoreError;

const VERSION: u32 = 1;

/// A user and the exact bytes that it was read from, which a change expects to find again.
pub(super) struct Stored {
    pub(super) user: User,
    pub(super) bytes: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Record {
    v: u32,
    username: Username,
    password: PasswordHash,
    roles: Roles,
    enabled: bool,
    version: u64,
    created: UnixTime,
    updated: UnixTime,
}

pub(super) fn encode(user: &User) -> Result<Vec<u8>, StoreError> {
    let User { id: _, username, password, roles, enabled, version, created, updated } = user.clone();
    to_bytes(&Record { v: VERSION, username, password, roles, enabled, version, created, updated })
}

pub(super) fn decode(id: UserId, bytes: Vec<u8>) -> Result<Stored, StoreError> {
    let Record { v: _, username, password, roles, enabled, version, created, updated } =
        from_bytes(&bytes, VERSION, &format_args!("user {id}"))?;
    let user = User { id, username, password, roles, enabled, version, created, updated };
    Ok(Stored { user, bytes })
}

/// The identifier in a key of the users, or in a value of the usernames.
pub(super) fn id_from(bytes: &[u8]) -> Result<UserId, StoreError> {
    let damaged =
        || StoreError::Damaged { context: "the store holds a user identifier that is not one".into() };
    Ok(UserId::from_bytes(bytes.try_into().map_err(|_| damaged())?))
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
