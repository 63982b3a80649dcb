//! The API keys of a client, as its record has them.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::MAX_SECRETS;
use crate::clock::UnixTime;
use crate::id::{NoRandomness, SessionId, TokenId};
use crate::identity::users::User;
use crate::secret::Secret;
use crate::token::{ApiKeyDigest, Verified, new_api_key};

/// How long an API key is good if nobody says otherwise.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(90 * 86_400);
/// The longest that one may be good. Each has an end: one that was forgotten somewhere must not open the door for ever.
pub(super) const MAX_LIFETIME: Duration = Duration::from_secs(365 * 86_400);
/// The shortest.
pub(super) const MIN_LIFETIME: Duration = Duration::from_secs(1);

/// An API key, without its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// The `jti` that it would have as a token: by it the key is revoked.
    pub id: TokenId,
    /// What is found by it.
    #[serde(rename = "sha256", with = "base64url")]
    pub digest: ApiKeyDigest,
    /// When it was made.
    pub created: UnixTime,
    /// When it ends.
    pub expires: UnixTime,
}

impl ApiKey {
    /// Whom it stands for: its client as it is now. There is no session that could be ended; in its place is the key's own identifier.
    #[must_use]
    pub fn caller(&self, client: &User) -> Verified {
        Verified {
            user: client.id,
            username: client.username.clone(),
            roles: client.roles.clone(),
            version: client.version,
            session: SessionId::from_bytes(*self.id.as_bytes()),
            token: self.id,
            client_id: client.username.as_str().into(),
            issued: self.created,
            expires: self.expires,
        }
    }
}

/// A key that was made and is not yet a client's.
pub(super) struct NewApiKey {
    id: TokenId,
    pub(super) text: Secret,
    lifetime: Option<Duration>,
}

impl NewApiKey {
    /// A key for `lifetime`, or as long as the one before was good.
    pub(super) fn generate(lifetime: Option<Duration>, now: UnixTime) -> Result<Self, NoRandomness> {
        Ok(Self { id: TokenId::generate(now)?, text: new_api_key()?, lifetime })
    }

    /// Adds it to a client's keys, the newest first. The one before stays, if it may.
    pub(super) fn add_to(&self, keys: &mut Vec<ApiKey>, keeps_old: bool, now: UnixTime) {
        let before = keys.first().map(|newest| newest.expires.since(newest.created));
        let lifetime = self.lifetime.or(before).unwrap_or(DEFAULT_LIFETIME);
        let digest = ApiKeyDigest::of(self.text.expose().as_bytes());
        keys.truncate(if keeps_old { MAX_SECRETS - 1 } else { 0 });
        keys.insert(0, ApiKey { id: self.id, digest, created: now, expires: now.after(lifetime) });
    }
}

mod base64url {
    use super::{ApiKeyDigest, Deserialize, Deserializer, Engine, Serializer, URL_SAFE_NO_PAD};

    pub(super) fn serialize<S: Serializer>(digest: &ApiKeyDigest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(digest.as_bytes()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ApiKeyDigest, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(ApiKeyDigest::from_bytes).ok_or_else(|| serde::de::Error::custom("not a digest"))
    }
}
