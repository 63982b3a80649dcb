//! The bytes of an invitation in the store.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::Invitation;
use crate::clock::UnixTime;
use crate::id::UserId;
use crate::identity::record::{from_bytes, id_from, to_bytes};
use crate::store::StoreError;

const VERSION: u32 = 1;

/// An invitation and the exact bytes that it was read from, which whoever uses it up expects to find again.
pub(super) struct Stored {
    pub(super) invitation: Invitation,
    pub(super) bytes: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Record {
    v: u32,
    /// Base64url.
    sha256: String,
    version: u64,
    created: UnixTime,
    expires: UnixTime,
}

pub(super) fn encode(invitation: &Invitation) -> Result<Vec<u8>, StoreError> {
    let Invitation { user: _, digest, version, created, expires } = *invitation;
    to_bytes(&Record { v: VERSION, sha256: URL_SAFE_NO_PAD.encode(digest), version, created, expires })
}

pub(super) fn decode(user: UserId, bytes: Vec<u8>) -> Result<Stored, StoreError> {
    let what = format_args!("the invitation of user {user}");
    let Record { v: _, sha256, version, created, expires } = from_bytes(&bytes, VERSION, &what)?;
    let digest = URL_SAFE_NO_PAD.decode(sha256).ok().and_then(|digest| digest.try_into().ok());
    let digest = digest
        .ok_or_else(|| StoreError::Damaged { context: format!("the record of {what} holds no digest") })?;
    Ok(Stored { invitation: Invitation { user, digest, version, created, expires }, bytes })
}

/// The user of a key.
pub(super) fn key_to_id(key: &[u8]) -> Result<UserId, StoreError> {
    Ok(UserId::from_bytes(id_from(key)?))
}
