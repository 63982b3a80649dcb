//! The public half of a key as the world sees it: a JSON Web Key (RFC 7517) and its thumbprint (RFC 7638).

use aws_lc_rs::digest::{self, SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::KeyId;

/// A public key with what a verifier must know about its use. It has no place for a private or a symmetric key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Jwk {
    #[serde(flatten)]
    key: PublicKey,
    #[serde(rename = "use")]
    purpose: &'static str,
    alg: &'static str,
    kid: KeyId,
}

impl Jwk {
    /// The key as one that verifies the signatures of `alg`.
    pub(super) fn new(key: PublicKey, alg: &'static str) -> Self {
        let kid = KeyId::from_digest(&key.thumbprint());
        Self { key, purpose: "sig", alg, kid }
    }

    /// `kid`: the thumbprint of the key.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.kid
    }
}

/// The members of a public key that differ by its kind (RFC 7518 §6, RFC 8037 §2), numbers in base64url.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kty")]
pub(super) enum PublicKey {
    #[serde(rename = "EC")]
    Ec { crv: &'static str, x: String, y: String },
    #[serde(rename = "OKP")]
    Okp { crv: &'static str, x: String },
    #[serde(rename = "RSA")]
    Rsa { n: String, e: String },
}

impl PublicKey {
    /// From the uncompressed point of P-256: the byte 4, then both coordinates.
    pub(super) fn p256(point: &[u8]) -> Option<Self> {
        let coordinates = point.strip_prefix(&[4]).filter(|rest| rest.len() == 64)?;
        let (x, y) = coordinates.split_at_checked(32)?;
        Some(Self::Ec { crv: "P-256", x: encode(x), y: encode(y) })
    }

    /// From the 32 bytes of an Ed25519 public key.
    pub(super) fn ed25519(key: &[u8]) -> Self {
        Self::Okp { crv: "Ed25519", x: encode(key) }
    }

    /// From modulus and exponent, big-endian without leading zeros.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Self {
        Self::Rsa { n: encode(modulus), e: encode(exponent) }
    }

    /// RFC 7638 §3: SHA-256 over the required members in the order of their names, without any space. All values are
    /// base64url or constants, so that nothing needs escaping.
    fn thumbprint(&self) -> digest::Digest {
        let canonical = match self {
            Self::Ec { crv, x, y } => format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#),
            Self::Okp { crv, x } => format!(r#"{{"crv":"{crv}","kty":"OKP","x":"{x}"}}"#),
            Self::Rsa { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
        };
        digest::digest(&SHA256, canonical.as_bytes())
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::{Jwk, PublicKey};

    #[test]
    fn thumbprints_are_those_of_the_standards() {
        // RFC 7638 §3.1
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXj\
                 BZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8K\
                 JZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBn\
                 iIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let rsa = Jwk::new(PublicKey::Rsa { n: n.to_owned(), e: "AQAB".to_owned() }, "RS256");
        assert_eq!(rsa.id().as_str(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        // RFC 8037 §A.3
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".to_owned();
        let ed = Jwk::new(PublicKey::Okp { crv: "Ed25519", x }, "EdDSA");
        assert_eq!(ed.id().as_str(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn serialises_with_use_alg_and_kid() {
        let point: Vec<u8> = std::iter::once(4).chain([0xfb; 64]).collect();
        let jwk = Jwk::new(PublicKey::p256(&point).unwrap(), "ES256");
        let coordinate = "-_v7".repeat(10) + "-_s";
        let expected = format!(
            r#"{{"kty":"EC","crv":"P-256","x":"{coordinate}","y":"{coordinate}","use":"sig","alg":"ES256","kid":"{}"}}"#,
            jwk.id()
        );
        assert_eq!(serde_json::to_string(&jwk).unwrap(), expected);
    }

    #[test]
    fn only_an_uncompressed_point_is_a_p256_key() {
        assert_eq!(PublicKey::p256(&[2; 33]), None);
        assert_eq!(PublicKey::p256(&[4; 64]), None);
        assert_eq!(PublicKey::p256(&[]), None);
    }
}
