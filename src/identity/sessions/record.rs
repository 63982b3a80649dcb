//! The bytes of a session in the store.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::token::Digest;
use super::{Origin, Session};
use crate::clock::UnixTime;
use crate::id::{SessionId, UserId};
use crate::identity::record::{from_bytes, id_from, to_bytes};
use crate::store::StoreError;

const VERSION: u32 = 1;

/// A session and the exact bytes that it was read from, which a change expects to find again.
pub(super) struct Stored {
    pub(super) session: Session,
    pub(super) bytes: Vec<u8>,
}

/// Where the chain of a session's refresh tokens stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chain {
    /// The place of the newest token.
    pub(super) place: u32,
    #[serde(with = "base64url")]
    pub(super) newest: Digest,
    /// When the newest one took the place of the one before.
    pub(super) rotated: UnixTime,
}

#[derive(Serialize, Deserialize)]
struct Record {
    v: u32,
    user: UserId,
    /// Left out where there is none. Older versions know the name alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client: Option<UserId>,
    client_id: String,
    version: u64,
    created: UnixTime,
    used: UnixTime,
    #[serde(flatten)]
    origin: Origin,
    chain: Chain,
}

pub(super) fn encode(session: &Session) -> Result<Vec<u8>, StoreError> {
    let Session { id: _, user, client, client_id, version, created, used, origin, chain } = session.clone();
    to_bytes(&Record { v: VERSION, user, client, client_id, version, created, used, origin, chain })
}

pub(super) fn decode(id: SessionId, bytes: Vec<u8>) -> Result<Stored, StoreError> {
    let Record { v: _, user, client, client_id, version, created, used, origin, chain } =
        from_bytes(&bytes, VERSION, &format_args!("session {id}"))?;
    let session = Session { id, user, client, client_id, version, created, used, origin, chain };
    Ok(Stored { session, bytes })
}

/// The session of a key.
pub(super) fn key_to_id(key: &[u8]) -> Result<SessionId, StoreError> {
    Ok(SessionId::from_bytes(id_from(key)?))
}

mod base64url {
    use super::{Deserialize, Deserializer, Digest, Engine, Serializer, URL_SAFE_NO_PAD};

    pub(super) fn serialize<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(digest))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| serde::de::Error::custom("not a digest"))
    }
}
