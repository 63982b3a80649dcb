//! The keys that are in use: one signs, all of them verify.

use std::sync::Arc;

use aws_lc_rs::digest::{self, SHA256};
use serde::Serialize;

use super::jwk::Jwk;
use super::keys::{KeyId, SigningKey};

/// The active signing key, and those whose tokens still live.
#[derive(Debug)]
pub struct KeyRing {
    active: Arc<SigningKey>,
    all: Vec<Arc<SigningKey>>,
    id: RingId,
    era: u64,
}

/// Tells two rings apart: equal for the same keys in the same order, and for no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RingId([u8; 32]);

impl RingId {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A JWK set (RFC 7517 §5).
#[derive(Serialize)]
struct JwkSet<'a> {
    keys: Vec<&'a Jwk>,
}

impl KeyRing {
    /// A ring that signs with `active` and verifies with it and `others`. A key that comes twice counts once.
    #[must_use]
    pub fn new(active: Arc<SigningKey>, others: impl IntoIterator<Item = Arc<SigningKey>>) -> Self {
        let mut all = vec![Arc::clone(&active)];
        for key in others {
            if all.iter().all(|known| known.id() != key.id()) {
                all.push(key);
            }
        }
        let id = identify(&all);
        Self { active, all, id, era: 0 }
    }

    /// The same ring in this [`Self::era`].
    #[must_use]
    pub fn in_era(self, era: u64) -> Self {
        Self { era, ..self }
    }

    /// How often all keys have been replaced at once, in this process: no token of an earlier era is one of these keys'.
    #[must_use]
    pub fn era(&self) -> u64 {
        self.era
    }

    /// The key that signs new tokens.
    #[must_use]
    pub fn active(&self) -> &Arc<SigningKey> {
        &self.active
    }

    /// All keys that verify, the active one first.
    #[must_use]
    pub fn all(&self) -> &[Arc<SigningKey>] {
        &self.all
    }

    /// The key with this `kid`. A ring holds a handful of keys, so this is a walk.
    #[must_use]
    pub fn find(&self, kid: &str) -> Option<&Arc<SigningKey>> {
        self.all.iter().find(|key| key.id().as_str() == kid)
    }

    /// What a cache of verified tokens compares to learn that keys have come or gone.
    #[must_use]
    pub fn id(&self) -> RingId {
        self.id
    }

    /// The public keys as a JWK set, `application/jwk-set+json`. HMAC keys are not in it.
    #[must_use]
    pub fn jwks_json(&self) -> String {
        let set = JwkSet { keys: self.all.iter().filter_map(|key| key.jwk()).collect() };
        // Strings into memory cannot fail; were they to, a set without keys is the answer that does no harm.
        serde_json::to_string(&set).unwrap_or_else(|_| r#"{"keys":[]}"#.to_owned())
    }
}

/// The digest of the identifiers, which all have the same length.
fn identify(keys: &[Arc<SigningKey>]) -> RingId {
    let mut digest = digest::Context::new(&SHA256);
    for id in keys.iter().map(|key| key.id()).map(KeyId::as_str) {
        digest.update(id.as_bytes());
    }
    let mut id = [0; 32];
    for (to, from) in id.iter_mut().zip(digest.finish().as_ref()) {
        *to = *from;
    }
    RingId(id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::KeyRing;
    use crate::config::Algorithm;
    use crate::token::testing::key;

    fn ring(algorithms: &[Algorithm]) -> KeyRing {
        KeyRing::new(key(algorithms[0]), algorithms[1..].iter().map(|&algorithm| key(algorithm)))
    }

    #[test]
    fn the_jwk_set_has_the_public_members_of_asymmetric_keys_only() {
        let ring = ring(&[Algorithm::Hs256, Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256]);
        let set: Value = serde_json::from_str(&ring.jwks_json()).unwrap();
        let keys = set["keys"].as_array().unwrap();
        let members = |key: &Value| key.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        let expected: [&[&str]; 3] = [
            &["alg", "crv", "kid", "kty", "use", "x", "y"],
            &["alg", "crv", "kid", "kty", "use", "x"],
            &["alg", "e", "kid", "kty", "n", "use"],
        ];
        assert_eq!(keys.len(), expected.len());
        for (key, expected) in keys.iter().zip(expected) {
            assert_eq!(members(key), expected.iter().map(ToString::to_string).collect());
            assert_eq!(key["use"], "sig");
        }
        assert_eq!(keys[2]["e"], "AQAB");
    }

    #[test]
    fn a_ring_of_hmac_keys_publishes_nothing() {
        assert_eq!(ring(&[Algorithm::Hs256]).jwks_json(), r#"{"keys":[]}"#);
    }

    #[test]
    fn the_identity_changes_with_the_keys() {
        let one = ring(&[Algorithm::Es256]);
        assert_eq!(one.id(), ring(&[Algorithm::Es256]).id());
        assert_eq!(one.id(), ring(&[Algorithm::Es256, Algorithm::Es256]).id());
        let two = ring(&[Algorithm::Es256, Algorithm::EdDsa]);
        assert_ne!(one.id(), two.id());
        assert_ne!(two.id(), ring(&[Algorithm::EdDsa, Algorithm::Es256]).id());
    }

    #[test]
    fn keys_are_found_by_their_id_alone() {
        let ring = ring(&[Algorithm::Es256, Algorithm::EdDsa]);
        let wanted = key(Algorithm::EdDsa);
        assert_eq!(ring.find(wanted.id().as_str()).unwrap().id(), wanted.id());
        assert!(ring.find("").is_none() && ring.find(key(Algorithm::Hs256).id().as_str()).is_none());
    }
}
