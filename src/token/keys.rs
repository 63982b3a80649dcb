//! Signing keys: making them, signing and verifying with them.
//!
//! The key decides the algorithm, never the token. Signatures are made and checked by jsonwebtoken on aws-lc-rs; an HMAC is
//! checked by aws-lc-rs itself with a key that was set up once, since jsonwebtoken would set it up for every token.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{self, SHA256};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair,
    RsaPublicKeyComponents,
};
use aws_lc_rs::{error::Unspecified, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde::Serialize;

use super::der::rsa_key_in_pkcs8;
use super::jwk::{Jwk, PublicKey};
use crate::clock::UnixTime;
use crate::config::Algorithm;
use crate::id::{NoRandomness, fill_random};
use crate::secret::SecretBytes;

/// Bytes of an HMAC key: as many as its hash has (RFC 7518 §3.2 forbids fewer).
pub(super) const HMAC_KEY: usize = 32;

/// Bytes of the digest in a [`KeyId`].
const KEY_ID: usize = 32;

/// What an HMAC key is hashed with for its [`KeyId`], so that the digest serves for nothing else.
const HMAC_ID_DOMAIN: &[u8] = b"portcullis key id for HS256\0";

/// `kid`: 43 characters of base64url. For an asymmetric key the thumbprint of RFC 7638; for an HMAC key the digest of a
/// domain, then the key. The key is 256 random bits, so that nothing can be learnt from it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(Arc<str>);

impl KeyId {
    pub(super) fn from_digest(digest: &digest::Digest) -> Self {
        Self(URL_SAFE_NO_PAD.encode(digest).into())
    }

    /// The identifier in a text that is one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut digest = [0; KEY_ID];
        (URL_SAFE_NO_PAD.decode_slice(text, &mut digest) == Ok(KEY_ID)).then(|| Self(text.into()))
    }

    /// The text, as it stands in a token's header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for KeyId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A key that signs and verifies, with its algorithm. `Debug` shows neither half.
pub struct SigningKey {
    id: KeyId,
    algorithm: Algorithm,
    created: UnixTime,
    material: SecretBytes,
    signer: EncodingKey,
    verifier: VerifyingKey,
    jwk: Option<Jwk>,
}

/// What checks a signature.
enum VerifyingKey {
    Public(DecodingKey),
    /// Boxed, since its prepared state is several times as large as a public key.
    Hmac(Box<hmac::Key>),
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The generator of keys or of random numbers failed.
    #[error("no key could be generated")]
    Generation,
    /// The bytes are not a private key for the algorithm.
    #[error("not a private key for {}", .0.name())]
    Material(Algorithm),
}

impl From<NoRandomness> for KeyError {
    fn from(_: NoRandomness) -> Self {
        Self::Generation
    }
}

impl From<Unspecified> for KeyError {
    fn from(_: Unspecified) -> Self {
        Self::Generation
    }
}

impl SigningKey {
    /// A new random key. An RSA key has 2048 bits: its search for primes is the only one that takes noticeable time.
    ///
    /// # Errors
    /// [`KeyError::Generation`] when the system gives no randomness.
    pub fn generate(algorithm: Algorithm, now: UnixTime) -> Result<Self, KeyError> {
        let material = match algorithm {
            Algorithm::Es256 => {
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?.to_pkcs8v1()?.as_ref().to_vec()
            }
            Algorithm::EdDsa => Ed25519KeyPair::generate()?.to_pkcs8v1()?.as_ref().to_vec(),
            Algorithm::Rs256 => {
                let der: Pkcs8V1Der<'_> = RsaKeyPair::generate(KeySize::Rsa2048)?.as_der()?;
                der.as_ref().to_vec()
            }
            Algorithm::Hs256 => {
                let mut key = vec![0; HMAC_KEY];
                fill_random(&mut key)?;
                key
            }
        };
        Self::from_material(algorithm, now, SecretBytes::new(material))
    }

    /// The key in these bytes: PKCS#8, or the HMAC key itself.
    ///
    /// # Errors
    /// [`KeyError::Material`] when they are no key for this algorithm.
    pub(super) fn from_material(
        algorithm: Algorithm,
        created: UnixTime,
        material: SecretBytes,
    ) -> Result<Self, KeyError> {
        let halves = match algorithm {
            Algorithm::Es256 => es256(material.expose()),
            Algorithm::EdDsa => ed25519(material.expose()),
            Algorithm::Rs256 => rs256(material.expose()),
            Algorithm::Hs256 => return Self::hmac(created, material),
        };
        let (signer, verifier, public) = halves.ok_or(KeyError::Material(algorithm))?;
        let jwk = Jwk::new(public, algorithm.name());
        let (id, verifier) = (jwk.id().clone(), VerifyingKey::Public(verifier));
        Ok(Self { id, algorithm, created, material, signer, verifier, jwk: Some(jwk) })
    }

    fn hmac(created: UnixTime, material: SecretBytes) -> Result<Self, KeyError> {
        let (algorithm, key) = (Algorithm::Hs256, material.expose());
        if key.len() < HMAC_KEY {
            return Err(KeyError::Material(algorithm));
        }
        let mut digest = digest::Context::new(&SHA256);
        digest.update(HMAC_ID_DOMAIN);
        digest.update(key);
        let id = KeyId::from_digest(&digest.finish());
        let signer = EncodingKey::from_secret(key);
        let verifier = VerifyingKey::Hmac(Box::new(hmac::Key::new(hmac::HMAC_SHA256, key)));
        Ok(Self { id, algorithm, created, material, signer, verifier, jwk: None })
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

    /// The public half. An HMAC key has none, so it is never published.
    #[must_use]
    pub fn jwk(&self) -> Option<&Jwk> {
        self.jwk.as_ref()
    }

    pub(super) fn material(&self) -> &SecretBytes {
        &self.material
    }

    /// The private half, for jsonwebtoken.
    pub(super) fn signer(&self) -> &EncodingKey {
        &self.signer
    }

    /// Whether `signature`, in base64url, is this key's over `message`. Everything else about it is `false` too: its
    /// length, an encoding that is not the canonical one.
    pub(super) fn verifies(&self, message: &[u8], signature: &str) -> bool {
        match &self.verifier {
            VerifyingKey::Public(key) => {
                jsonwebtoken::crypto::verify(signature, message, key, jwt_algorithm(self.algorithm))
                    .unwrap_or(false)
            }
            VerifyingKey::Hmac(key) => {
                let mut tag = [0; HMAC_KEY];
                let decoded = URL_SAFE_NO_PAD.decode_slice(signature, &mut tag);
                decoded == Ok(HMAC_KEY) && hmac::verify(key, message, &tag).is_ok()
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}

/// The same algorithm in jsonwebtoken's words.
pub(super) fn jwt_algorithm(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
    }
}

type Halves = (EncodingKey, DecodingKey, PublicKey);

fn es256(pkcs8: &[u8]) -> Option<Halves> {
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).ok()?;
    let point = pair.public_key().as_ref();
    // jsonwebtoken's "DER" of a public key is the bare point here.
    Some((EncodingKey::from_ec_der(pkcs8), DecodingKey::from_ec_der(point), PublicKey::p256(point)?))
}

fn ed25519(pkcs8: &[u8]) -> Option<Halves> {
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8).ok()?;
    let point = pair.public_key().as_ref();
    Some((EncodingKey::from_ed_der(pkcs8), DecodingKey::from_ed_der(point), PublicKey::ed25519(point)))
}

fn rs256(pkcs8: &[u8]) -> Option<Halves> {
    let pkcs1 = rsa_key_in_pkcs8(pkcs8)?;
    let pair = RsaKeyPair::from_pkcs8(pkcs8).ok()?;
    let public = pair.public_key();
    let components = RsaPublicKeyComponents::<Vec<u8>>::from(public);
    let signer = EncodingKey::from_rsa_der(pkcs1);
    Some((signer, DecodingKey::from_rsa_der(public.as_ref()), PublicKey::rsa(&components.n, &components.e)))
}

#[cfg(test)]
mod tests {
    use super::{KeyError, SigningKey};
    use crate::clock::UnixTime;
    use crate::config::Algorithm;
    use crate::secret::SecretBytes;
    use crate::token::testing::key;

    #[test]
    fn keys_are_random() {
        for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Hs256] {
            let [one, other] =
                [(), ()].map(|()| SigningKey::generate(algorithm, UnixTime::default()).unwrap());
            assert_ne!(one.id(), other.id());
        }
    }

    #[test]
    fn a_key_id_is_43_characters_and_shows_nothing_of_an_hmac_key() {
        for algorithm in Algorithm::ALL {
            assert_eq!(key(algorithm).id().as_str().len(), 43, "{algorithm:?}");
        }
        let zero = |length| SecretBytes::new(vec![0; length]);
        let hmac = SigningKey::from_material(Algorithm::Hs256, UnixTime::default(), zero(32)).unwrap();
        // SHA-256 of 32 zero bytes would be the answer of a key id without a domain.
        assert_ne!(hmac.id().as_str(), "Zmh6rfhivXdsj8GLjp-OIAiXFIVu4jOzkCpZHQ1fKSU");
        assert!(hmac.jwk().is_none());
        let short = SigningKey::from_material(Algorithm::Hs256, UnixTime::default(), zero(31));
        assert!(matches!(short, Err(KeyError::Material(Algorithm::Hs256))));
    }

    #[test]
    fn debug_shows_no_key_material() {
        for algorithm in Algorithm::ALL {
            let printed = format!("{:?}", key(algorithm));
            let shown =
                format!("SigningKey {{ id: {:?}, algorithm: {algorithm:?}, created: ", key(algorithm).id());
            assert!(printed.starts_with(&shown) && printed.len() < shown.len() + 40, "{printed}");
        }
    }
}
