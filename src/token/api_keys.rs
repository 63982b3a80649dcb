//! API keys: what programs send that cannot ask for a token. Their form, and whom they stand for.
//!
//! The set is read by the workers and written by the control plane, as [`super::Revocations`] is: what it says of a key changes before
//! whoever changes it is told so. Where the keys come from, and what makes them survive a restart, is the store's business.
//!
//! A key is found by its SHA-256, so the time of a look-up tells nothing of a key that is known. It has 256 random bits: there is
//! nothing to slow down for those who guess, and no slow hash is needed.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foldhash::fast::RandomState;
use papaya::{HashMap, ResizeMode};
use zeroize::Zeroizing;

use super::{TokenError, Verified};
use crate::clock::UnixTime;
use crate::id::{NoRandomness, fill_random};
use crate::secret::Secret;

/// What every API key begins with.
const PREFIX: &str = "pk_";
/// Random bytes of a key.
const RANDOM: usize = 32;
/// Bytes behind them that tell a key from other text, for scanners that look for leaked ones: the first of the SHA-256 of the random
/// bytes. With them there are 36 bytes, which base64url writes in one way only.
const CHECK: usize = 4;
/// Characters of a key.
const LENGTH: usize = PREFIX.len() + (RANDOM + CHECK) / 3 * 4;

/// A new API key: `pk_` and 48 characters of base64url.
///
/// # Errors
/// [`NoRandomness`] when the system's generator fails.
pub fn new_api_key() -> Result<Secret, NoRandomness> {
    let mut bytes = Zeroizing::new([0; RANDOM + CHECK]);
    let (random, check) = bytes.split_at_mut(RANDOM);
    fill_random(random)?;
    for (to, from) in check.iter_mut().zip(digest(&SHA256, random).as_ref()) {
        *to = *from;
    }
    Ok(Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(*bytes))))
}

/// Whether a text says of itself that it is an API key. No JWT does: its parts stand between dots, and its first begins with `ey`.
#[must_use]
pub fn is_api_key(text: &[u8]) -> bool {
    text.starts_with(PREFIX.as_bytes())
}

/// The SHA-256 of an API key's text: what the store has of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ApiKeyDigest([u8; 32]);

impl ApiKeyDigest {
    /// That of a key.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(digest(&SHA256, key).as_ref()) {
            *to = *from;
        }
        Self(bytes)
    }

    /// The digest with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The API keys that are good, but for those that have expired. Readers take no lock and never wait for a writer.
#[derive(Debug)]
pub struct ApiKeys {
    callers: HashMap<ApiKeyDigest, Arc<Verified>, RandomState>,
}

impl Default for ApiKeys {
    fn default() -> Self {
        // Resized at once, for the reason that `Revocations` gives.
        let callers =
            HashMap::builder().hasher(RandomState::default()).resize_mode(ResizeMode::Blocking).build();
        Self { callers }
    }
}

impl ApiKeys {
    /// From now on the key stands for this caller: the next look-up on any thread says so.
    pub fn put(&self, key: ApiKeyDigest, caller: Verified) {
        self.callers.pin().insert(key, Arc::new(caller));
    }

    /// From now on the key is nobody's. Who has looked it up before, and remembers it, has to be told by a revocation.
    pub fn remove(&self, key: &ApiKeyDigest) {
        self.callers.pin().remove(key);
    }

    /// Whom a key stands for, as if a token said so. Whether that was revoked is not looked at here.
    ///
    /// # Errors
    /// [`TokenError::UnknownApiKey`], [`TokenError::Expired`].
    pub fn find(&self, key: &[u8], now: UnixTime) -> Result<Arc<Verified>, TokenError> {
        if key.len() != LENGTH {
            return Err(TokenError::UnknownApiKey);
        }
        let callers = self.callers.pin();
        let caller = callers.get(&ApiKeyDigest::of(key)).ok_or(TokenError::UnknownApiKey)?;
        if caller.expires <= now { Err(TokenError::Expired(caller.expires)) } else { Ok(caller.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::{SHA256, digest};
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::{ApiKeyDigest, ApiKeys, CHECK, LENGTH, PREFIX, RANDOM, is_api_key, new_api_key};
    use crate::clock::UnixTime;
    use crate::token::testing::verified;
    use crate::token::{TokenError, Verified};

    const NOW: UnixTime = UnixTime::from_secs(100);
    const END: UnixTime = UnixTime::from_secs(200);

    #[test]
    fn a_key_is_random_and_can_be_told_from_other_text() {
        let (one, other) = (new_api_key().unwrap(), new_api_key().unwrap());
        assert_ne!(one.expose(), other.expose());
        assert!(is_api_key(one.expose().as_bytes()) && one.expose().len() == LENGTH);
        let bytes = URL_SAFE_NO_PAD.decode(one.expose().strip_prefix(PREFIX).unwrap()).unwrap();
        let (random, check) = bytes.split_at(RANDOM);
        assert_eq!(check, &digest(&SHA256, random).as_ref()[..CHECK]);
        for text in ["", "pk", "PK_x", "eyJhbGciOiJFUzI1NiJ9.e30.x", "pcs_x"] {
            assert!(!is_api_key(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_key_is_good_from_its_making_to_its_end() {
        let keys = ApiKeys::default();
        let text = new_api_key().unwrap();
        let (key, digest) = (text.expose().as_bytes(), ApiKeyDigest::of(text.expose().as_bytes()));
        assert_eq!(keys.find(key, NOW), Err(TokenError::UnknownApiKey));
        keys.put(digest, Verified { expires: END, ..verified() });
        assert_eq!(keys.find(key, NOW).unwrap().username, verified().username);
        assert_eq!(keys.find(key, END), Err(TokenError::Expired(END)));
        assert_eq!(keys.find(&[key, b"x"].concat(), NOW), Err(TokenError::UnknownApiKey));
        // SECURITY L8: what is stored is no key.
        assert_eq!(keys.find(digest.as_bytes(), NOW), Err(TokenError::UnknownApiKey));
        keys.remove(&digest);
        assert_eq!(keys.find(key, NOW), Err(TokenError::UnknownApiKey));
    }
}
