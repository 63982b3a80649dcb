//! Signing keys as bytes for the store: a versioned JSON object.
//!
//! `{"v":1,"alg":"ES256","kid":"…","created":1700000000000,"key":"…"}`, where `key` is base64url of the PKCS#8 document, or
//! of the key itself for HS256. The record is as secret as the key.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::keys::{KeyError, SigningKey};
use crate::clock::UnixTime;
use crate::config::Algorithm;
use crate::secret::{Secret, SecretBytes};

/// The version that is written. Older ones stay readable; a newer one is refused.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record<'a> {
    v: u32,
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow)]
    kid: Cow<'a, str>,
    created: UnixTime,
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
    #[error("the signing key record has version {0}; this program reads version {VERSION}")]
    Newer(u32),
    /// It is not the JSON object that this program writes.
    #[error("the signing key record is damaged")]
    Damaged,
    /// Its algorithm is none that we know.
    #[error("the signing key record names an unknown algorithm")]
    Algorithm,
    /// Its key is not one.
    #[error("the signing key record holds no usable key")]
    Key(#[from] KeyError),
    /// The key in it has another identifier than the record says.
    #[error("the signing key record says that it is another key than it holds")]
    Id,
}

impl SigningKey {
    /// The key as the store keeps it.
    #[must_use]
    pub fn to_record(&self) -> SecretBytes {
        let key = Secret::new(URL_SAFE_NO_PAD.encode(self.material().expose()));
        let record = Record {
            v: VERSION,
            alg: self.algorithm().name().into(),
            kid: self.id().as_str().into(),
            created: self.created(),
            key: key.expose(),
        };
        // The buffer is made large enough at once: one that grows would leave copies of the key behind.
        let mut bytes = Vec::with_capacity(key.expose().len() + 256);
        // Plain members into memory: there is nothing here that could fail.
        let _: serde_json::Result<()> = serde_json::to_writer(&mut bytes, &record);
        SecretBytes::new(bytes)
    }

    /// The key in a record of [`Self::to_record`].
    ///
    /// # Errors
    /// [`RecordError`] says what is wrong with it, and nothing about the key.
    pub fn from_record(bytes: &[u8]) -> Result<Self, RecordError> {
        let Version { v } = serde_json::from_slice(bytes).map_err(|_| RecordError::Damaged)?;
        if v != VERSION {
            return Err(RecordError::Newer(v));
        }
        let record: Record<'_> = serde_json::from_slice(bytes).map_err(|_| RecordError::Damaged)?;
        let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == record.alg);
        let algorithm = algorithm.ok_or(RecordError::Algorithm)?;
        let material = URL_SAFE_NO_PAD.decode(record.key).map_err(|_| RecordError::Damaged)?;
        let key = Self::from_material(algorithm, record.created, SecretBytes::new(material))?;
        if key.id().as_str() == record.kid { Ok(key) } else { Err(RecordError::Id) }
    }
}

#[cfg(test)]
mod tests {
    use super::{RecordError, SigningKey};
    use crate::config::Algorithm;
    use crate::token::testing::key;

    #[test]
    fn every_key_comes_back_from_its_record() {
        for algorithm in Algorithm::ALL {
            let key = key(algorithm);
            let back = SigningKey::from_record(key.to_record().expose()).unwrap();
            assert_eq!((back.id(), back.algorithm(), back.created()), (key.id(), algorithm, key.created()));
            assert_eq!(back.material().expose(), key.material().expose());
            assert_eq!(back.jwk(), key.jwk());
        }
    }

    #[test]
    fn a_record_that_is_not_ours_is_refused_by_its_reason() {
        let record = String::from_utf8(key(Algorithm::Es256).to_record().expose().to_vec()).unwrap();
        let other = key(Algorithm::EdDsa).id().clone();
        let own = key(Algorithm::Es256).id().clone();
        let fault = |text: &str| SigningKey::from_record(text.as_bytes()).unwrap_err();
        assert!(matches!(fault(&record.replace("\"v\":1", "\"v\":2")), RecordError::Newer(2)));
        assert!(matches!(fault(&record.replace("ES256", "ES512")), RecordError::Algorithm));
        assert!(matches!(fault(&record.replace("ES256", "EdDSA")), RecordError::Key(_)));
        assert!(matches!(fault(&record.replace(own.as_str(), other.as_str())), RecordError::Id));
        assert!(matches!(fault(&record.replace("\"v\":1", "\"v\":1,\"w\":1")), RecordError::Damaged));
        for end in 0..record.len() {
            assert!(matches!(fault(&record[..end]), RecordError::Damaged));
        }
    }

    #[test]
    fn errors_show_nothing_of_the_key() {
        let record = String::from_utf8(key(Algorithm::Hs256).to_record().expose().to_vec()).unwrap();
        let start = record.find("\"key\":\"").unwrap() + 7;
        let secret = &record[start..start + 43];
        for broken in [record.replace("HS256", "RS256"), record.replace("\"key\":", "\"key\":1,\"k\":")] {
            let error = SigningKey::from_record(broken.as_bytes()).unwrap_err();
            let chain = format!("{error} {error:?}");
            assert!(!chain.contains(secret), "{chain}");
        }
    }
}
