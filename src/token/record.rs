//! Signing keys as bytes for the store: a versioned JSON object.
//!
//! `{"v":2,"alg":"ES256","kid":"…","created":1700000000000,"state":"active","since":1700000000000,"lives_ms":4505000,"key":"…"}`,
//! where `key` is base64url of what [`Seal`] made of the PKCS#8 document, or of the key itself for HS256, sealed for the place
//! that `kid` names. Unless it is encrypted, the record is as secret as the key.
//!
//! Version 1 had no state, and the key always in clear.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::keys::{KeyError, KeyId, SigningKey};
use crate::clock::UnixTime;
use crate::config::Algorithm;
use crate::seal::{Seal, SealError};
use crate::secret::SecretBytes;

/// The version that is written. Older ones stay readable; a newer one is refused.
const VERSION: u32 = 2;

/// What a signing key is for at the moment. It goes through the states in this order and never back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Published, so that verifiers know it before it signs.
    Next,
    /// Signs new tokens.
    Active {
        /// From then on.
        since: UnixTime,
        /// The longest time for which a token of it can be accepted.
        lives: Duration,
    },
    /// Only verifies, until its last token has expired.
    Retired {
        /// When it signed for the last time.
        since: UnixTime,
        /// The longest time for which a token of it can be accepted.
        lives: Duration,
    },
}

impl KeyState {
    /// `next`, `active` or `retired`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active { .. } => "active",
            Self::Retired { .. } => "retired",
        }
    }
}

/// A record whose key has not been opened.
#[derive(Debug)]
pub struct KeyRecord {
    id: KeyId,
    algorithm: Algorithm,
    created: UnixTime,
    state: Option<KeyState>,
    key: StoredKey,
}

#[derive(Debug)]
enum StoredKey {
    /// Version 1.
    Clear(SecretBytes),
    /// What [`Seal`] made of it, which may be in clear too.
    Sealed(SecretBytes),
}

/// A key that was opened.
#[derive(Debug)]
pub struct OpenedKey {
    /// The key.
    pub key: SigningKey,
    /// Its record is of an older version, or its key not sealed as it would be now: write it anew.
    pub outdated: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record<'a> {
    v: u32,
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow)]
    kid: Cow<'a, str>,
    created: UnixTime,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    state: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<UnixTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lives_ms: Option<u64>,
    /// Base64url has nothing that JSON escapes, so it is borrowed from the record and never copied.
    key: &'a str,
}

/// Only the version, to tell a newer record from a damaged one.
#[derive(Deserialize)]
struct Version {
    v: u32,
}

/// Why a record is not a signing key. None of the texts shows anything of the record but its version and algorithm.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It was written by a newer version of this program.
    #[error("the signing key record has version {0}; this program reads versions up to {VERSION}")]
    Newer(u32),
    /// It is not the JSON object that this program writes.
    #[error("the signing key record is damaged")]
    Damaged,
    /// Its algorithm is none that we know.
    #[error("the signing key record names an unknown algorithm")]
    Algorithm,
    /// Its key cannot be decrypted.
    #[error(transparent)]
    Sealed(#[from] SealError),
    /// Its key is not one.
    #[error("the signing key record holds no usable key")]
    Key(#[from] KeyError),
    /// The key in it has another identifier than the record says.
    #[error("the signing key record says that it is another key than it holds")]
    Id,
}

impl SigningKey {
    /// The key in this state as the store keeps it.
    ///
    /// # Errors
    /// [`SealError`] when it cannot be encrypted.
    pub fn to_record(&self, state: KeyState, seal: &Seal) -> Result<SecretBytes, SealError> {
        let sealed = Zeroizing::new(seal.seal(&place(self.id()), self.material())?);
        let key = Zeroizing::new(URL_SAFE_NO_PAD.encode(&*sealed));
        let times = match state {
            KeyState::Next => None,
            KeyState::Active { since, lives } | KeyState::Retired { since, lives } => {
                Some((since, u64::try_from(lives.as_millis()).unwrap_or(u64::MAX)))
            }
        };
        let record = Record {
            v: VERSION,
            alg: self.algorithm().name().into(),
            kid: self.id().as_str().into(),
            created: self.created(),
            state: Some(state.name().into()),
            since: times.map(|(since, _)| since),
            lives_ms: times.map(|(_, lives)| lives),
            key: &key,
        };
        // The buffer is made large enough at once: one that grows would leave copies of the key behind.
        let mut bytes = Vec::with_capacity(key.len() + 256);
        // Plain members into memory: there is nothing here that could fail.
        let _: serde_json::Result<()> = serde_json::to_writer(&mut bytes, &record);
        Ok(SecretBytes::new(bytes))
    }
}

impl KeyRecord {
    /// Reads a record of [`SigningKey::to_record`] and leaves its key closed.
    ///
    /// # Errors
    /// [`RecordError`] says what is wrong with it, and nothing about the key.
    pub fn read(bytes: &[u8]) -> Result<Self, RecordError> {
        let Version { v } = serde_json::from_slice(bytes).map_err(|_| RecordError::Damaged)?;
        if !(1..=VERSION).contains(&v) {
            return Err(RecordError::Newer(v));
        }
        let record: Record<'_> = serde_json::from_slice(bytes).map_err(|_| RecordError::Damaged)?;
        let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == record.alg);
        let key = SecretBytes::new(URL_SAFE_NO_PAD.decode(record.key).map_err(|_| RecordError::Damaged)?);
        Ok(Self {
            id: KeyId::parse(&record.kid).ok_or(RecordError::Damaged)?,
            algorithm: algorithm.ok_or(RecordError::Algorithm)?,
            created: record.created,
            state: (v > 1).then(|| record.state()).transpose()?,
            key: if v == 1 { StoredKey::Clear(key) } else { StoredKey::Sealed(key) },
        })
    }

    /// `kid`.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// What it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// When it was made.
    #[must_use]
    pub fn created(&self) -> UnixTime {
        self.created
    }

    /// Its state; a record of version 1 has none.
    #[must_use]
    pub fn state(&self) -> Option<KeyState> {
        self.state
    }

    /// Opens the key.
    ///
    /// # Errors
    /// [`RecordError`] says what is wrong with it, and nothing about the key.
    pub fn open(&self, seal: &Seal) -> Result<OpenedKey, RecordError> {
        let (material, outdated) = match &self.key {
            StoredKey::Clear(material) => (material.clone(), true),
            StoredKey::Sealed(sealed) => {
                let opened = seal.open(&place(&self.id), sealed.expose())?;
                (opened.secret, opened.outdated)
            }
        };
        let key = SigningKey::from_material(self.algorithm, self.created, material)?;
        if *key.id() == self.id { Ok(OpenedKey { key, outdated }) } else { Err(RecordError::Id) }
    }
}

impl Record<'_> {
    fn state(&self) -> Result<KeyState, RecordError> {
        let lives = self.lives_ms.map(Duration::from_millis);
        match (self.state.as_deref(), self.since.zip(lives)) {
            (Some("next"), None) => Ok(KeyState::Next),
            (Some("active"), Some((since, lives))) => Ok(KeyState::Active { since, lives }),
            (Some("retired"), Some((since, lives))) => Ok(KeyState::Retired { since, lives }),
            _ => Err(RecordError::Damaged),
        }
    }
}

/// What the key is sealed for, so that no record can take the place of another.
fn place(id: &KeyId) -> String {
    format!("signing key {id}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{KeyRecord, KeyState, RecordError};
    use crate::config::Algorithm;
    use crate::seal::{Seal, SealKey};
    use crate::secret::Secret;
    use crate::token::testing::{NOW, encode, key};

    const ACTIVE: KeyState = KeyState::Active { since: NOW, lives: Duration::from_secs(7) };

    fn encrypting() -> Seal {
        let text = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
        Seal::new(Some(SealKey::parse(&Secret::new(text.to_owned())).unwrap()), None)
    }

    fn record(algorithm: Algorithm, state: KeyState, seal: &Seal) -> String {
        String::from_utf8(key(algorithm).to_record(state, seal).unwrap().expose().to_vec()).unwrap()
    }

    fn fault(text: &str) -> RecordError {
        let read = KeyRecord::read(text.as_bytes());
        read.and_then(|record| record.open(&Seal::default())).unwrap_err()
    }

    #[test]
    fn every_key_comes_back_from_its_record() {
        let states = [KeyState::Next, ACTIVE, KeyState::Retired { since: NOW, lives: Duration::ZERO }];
        for (algorithm, state) in Algorithm::ALL.into_iter().zip(states.into_iter().cycle()) {
            for seal in [Seal::default(), encrypting()] {
                let key = key(algorithm);
                let back = KeyRecord::read(record(algorithm, state, &seal).as_bytes()).unwrap();
                assert_eq!((back.id(), back.algorithm(), back.created()), (key.id(), algorithm, NOW));
                assert_eq!(back.state(), Some(state));
                let opened = back.open(&seal).unwrap();
                assert!(!opened.outdated);
                assert_eq!(opened.key.material().expose(), key.material().expose());
                assert_eq!(opened.key.jwk(), key.jwk());
            }
        }
    }

    #[test]
    fn a_record_of_version_1_is_read() {
        let key = key(Algorithm::Hs256);
        let text = format!(
            r#"{{"v":1,"alg":"HS256","kid":"{}","created":1700000000000,"key":"{}"}}"#,
            key.id(),
            encode(key.material().expose())
        );
        let record = KeyRecord::read(text.as_bytes()).unwrap();
        assert_eq!(record.state(), None);
        let opened = record.open(&Seal::default()).unwrap();
        assert!(opened.outdated && opened.key.id() == key.id());
    }

    #[test]
    fn an_encrypted_record_holds_nothing_of_the_key() {
        for algorithm in Algorithm::ALL {
            let key = key(algorithm);
            let record = record(algorithm, ACTIVE, &encrypting());
            let sealed = KeyRecord::read(record.as_bytes()).unwrap();
            let super::StoredKey::Sealed(bytes) = &sealed.key else { panic!("not sealed") };
            for window in key.material().expose().windows(8) {
                assert!(!bytes.expose().windows(8).any(|there| there == window), "{algorithm:?}");
            }
            assert!(matches!(sealed.open(&Seal::default()), Err(RecordError::Sealed(_))));
        }
    }

    #[test]
    fn a_sealed_key_cannot_take_the_place_of_another() {
        let (seal, own, other) = (encrypting(), key(Algorithm::Es256), key(Algorithm::EdDsa));
        let moved = record(Algorithm::Es256, ACTIVE, &seal).replace(own.id().as_str(), other.id().as_str());
        let error = KeyRecord::read(moved.as_bytes()).unwrap().open(&seal).unwrap_err();
        assert!(matches!(error, RecordError::Sealed(_)), "{error}");
    }

    #[test]
    fn a_record_that_is_not_ours_is_refused_by_its_reason() {
        let record = record(Algorithm::Es256, ACTIVE, &Seal::default());
        let other = key(Algorithm::EdDsa).id().clone();
        let own = key(Algorithm::Es256).id().clone();
        assert!(matches!(fault(&record.replace("\"v\":2", "\"v\":3")), RecordError::Newer(3)));
        assert!(matches!(fault(&record.replace("ES256", "ES512")), RecordError::Algorithm));
        assert!(matches!(fault(&record.replace("ES256", "EdDSA")), RecordError::Key(_)));
        assert!(matches!(fault(&record.replace(own.as_str(), other.as_str())), RecordError::Id));
        assert!(matches!(fault(&record.replace(own.as_str(), "../../dev/null")), RecordError::Damaged));
        assert!(matches!(fault(&record.replace("active", "asleep")), RecordError::Damaged));
        assert!(matches!(fault(&record.replace(",\"lives_ms\":7000", "")), RecordError::Damaged));
        assert!(matches!(fault(&record.replace("\"v\":2", "\"v\":2,\"w\":1")), RecordError::Damaged));
        for end in 0..record.len() {
            assert!(matches!(fault(&record[..end]), RecordError::Damaged));
        }
    }

    #[test]
    fn errors_show_nothing_of_the_key() {
        let record = record(Algorithm::Hs256, ACTIVE, &Seal::default());
        let start = record.find("\"key\":\"").unwrap() + 7;
        let secret = &record[start..start + 44];
        for broken in [record.replace("HS256", "RS256"), record.replace("\"key\":", "\"key\":1,\"k\":")] {
            let error = fault(&broken);
            let chain = format!("{error} {error:?}");
            assert!(!chain.contains(secret), "{chain}");
        }
    }
}
