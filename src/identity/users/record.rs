//! The bytes of a user in the store: JSON with a version, so that an older data directory opens in a newer gateway. A field that
//! is added keeps the version, and must be optional; one whose absence would be misread raises it.

use serde::{Deserialize, Serialize};

use super::User;
use crate::clock::UnixTime;
use crate::id::UserId;
use crate::identity::clients::Program;
use crate::identity::password::PasswordHash;
use crate::identity::record::{self, from_bytes, to_bytes};
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
    #[serde(default)]
    sessions_from: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    program: Option<Program>,
    created: UnixTime,
    updated: UnixTime,
}

pub(super) fn encode(user: &User) -> Result<Vec<u8>, StoreError> {
    let User { id: _, username, password, roles, enabled, version, sessions_from, program, created, updated } =
        user.clone();
    to_bytes(&Record {
        v: VERSION,
        username,
        password,
        roles,
        enabled,
        version,
        sessions_from,
        program,
        created,
        updated,
    })
}

pub(super) fn decode(id: UserId, bytes: Vec<u8>) -> Result<Stored, StoreError> {
    let Record {
        v: _,
        username,
        password,
        roles,
        enabled,
        version,
        sessions_from,
        program,
        created,
        updated,
    } = from_bytes(&bytes, VERSION, &format_args!("user {id}"))?;
    let user =
        User { id, username, password, roles, enabled, version, sessions_from, program, created, updated };
    Ok(Stored { user, bytes })
}

/// The identifier in a key of the users, or in a value of the usernames.
pub(super) fn id_from(bytes: &[u8]) -> Result<UserId, StoreError> {
    Ok(UserId::from_bytes(record::id_from(bytes)?))
}
