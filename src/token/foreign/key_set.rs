//! The keys of a foreign issuer: a JWK set (RFC 7517 §5), read strictly.
//!
//! A key that we cannot use, or do not want to, is left out and told of; the others serve. It decides what may be signed with it: by
//! `alg`, or else by its type and curve, and never beyond the `algorithms` of the configuration.

use std::collections::BTreeSet;
use std::fmt;

use aws_lc_rs::digest::{self, SHA256};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use crate::config::ForeignAlgorithm::{self, EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
use crate::token::TokenError;
use crate::token::json::{self, Fault};

/// Keys of one set. Issuers have two to a dozen.
const MAX_KEYS: usize = 100;
/// Bytes of a `kid`.
const MAX_KID: usize = 512;
/// Bits of an RSA modulus. The upper bound is that of the library which verifies.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// Bytes of an RSA exponent. All that are in use have three.
const MAX_EXPONENT: usize = 4;
/// Members that only a private key has (RFC 7518 §6.2.2, §6.3.2).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Public keys that verify.
pub struct KeySet {
    keys: Vec<ForeignKey>,
    id: [u8; 32],
}

/// A public key, and what may be signed with it.
pub(in crate::token) struct ForeignKey {
    kid: Option<Box<str>>,
    algorithms: Vec<ForeignAlgorithm>,
    key: DecodingKey,
    id: [u8; 32],
}

/// Why there is no set. Nothing of its text is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Not the JSON that it has to be.
    #[error("the key set {0}")]
    Json(Fault),
    /// More keys than anybody needs.
    #[error("the key set has {0} keys, more than {MAX_KEYS}")]
    TooMany(usize),
    /// None that could verify anything. The first reason is the likeliest mistake.
    #[error("the key set has no key that can be used{}", .0.map(|ignored| format!("; {ignored}")).unwrap_or_default())]
    Empty(Option<Ignored>),
}

/// A key that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ignored {
    position: usize,
    reason: &'static str,
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keys[{}] {}", self.position, self.reason)
    }
}

impl KeySet {
    /// The keys of a set that verify one of the `allowed` algorithms, and those that are left out.
    ///
    /// # Errors
    /// [`KeySetError`]
    pub fn parse(json: &[u8], allowed: &[ForeignAlgorithm]) -> Result<(Self, Vec<Ignored>), KeySetError> {
        let set = json::document(json).map_err(KeySetError::Json)?;
        let members = match set.get("keys") {
            Some(Value::Array(members)) => members,
            Some(_) => return Err(KeySetError::Json(Fault::Member("keys"))),
            None => return Err(KeySetError::Json(Fault::Missing("keys"))),
        };
        if members.len() > MAX_KEYS {
            return Err(KeySetError::TooMany(members.len()));
        }
        let (mut keys, mut ignored) = (Vec::new(), Vec::new());
        for (position, member) in members.iter().enumerate() {
            match read(member, allowed) {
                Ok(key) => keys.push(key),
                Err(reason) => ignored.push(Ignored { position, reason }),
            }
        }
        if keys.is_empty() {
            return Err(KeySetError::Empty(ignored.first().copied()));
        }
        // Some issuers list theirs in another order each time, or one of them twice. It is the same set, and must not look like another:
        // that would make every worker forget the tokens that it has verified.
        keys.sort_unstable_by_key(|key| key.id);
        keys.dedup_by_key(|key| key.id);
        let id = digest_of(keys.iter().map(|key| key.id.as_slice()));
        Ok((Self { keys, id }, ignored))
    }

    /// Equal for sets with the same keys, in whatever order, and for no others.
    #[must_use]
    pub fn id(&self) -> &[u8; 32] {
        &self.id
    }

    /// Whether a key is one of these.
    pub(super) fn has(&self, id: &[u8; 32]) -> bool {
        self.keys.iter().any(|key| key.id == *id)
    }

    /// How many keys there are; at least one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// The key that a token names, or the only one that fits if it names none, and the algorithm that it says.
    pub(super) fn find(
        &self,
        kid: Option<&str>,
        alg: &str,
    ) -> Result<(&ForeignKey, ForeignAlgorithm), TokenError> {
        let is_named = |key: &&ForeignKey| kid.is_none_or(|kid| key.kid.as_deref() == Some(kid));
        if !self.keys.iter().any(|key| is_named(&key)) {
            return Err(TokenError::UnknownKey);
        }
        let fits = |key| ForeignKey::algorithm(key, alg).map(|algorithm| (key, algorithm));
        let mut fitting = self.keys.iter().filter(is_named).filter_map(fits);
        match (fitting.next(), fitting.next()) {
            (Some(found), None) => Ok(found),
            (Some(_), Some(_)) => Err(TokenError::AmbiguousKey),
            (None, _) => Err(TokenError::ForeignAlgorithm),
        }
    }
}

/// How many, and nothing of them.
impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("count", &self.keys.len()).finish_non_exhaustive()
    }
}

impl ForeignKey {
    /// Whether `signature`, in base64url, is this key's over `message`.
    pub(in crate::token) fn verifies(
        &self,
        algorithm: ForeignAlgorithm,
        message: &[u8],
        signature: &str,
    ) -> bool {
        jsonwebtoken::crypto::verify(signature, message, &self.key, jwt_algorithm(algorithm)).unwrap_or(false)
    }

    /// The algorithm with this name, if it is one of this key's.
    fn algorithm(&self, alg: &str) -> Option<ForeignAlgorithm> {
        self.algorithms.iter().copied().find(|algorithm| algorithm.name() == alg)
    }

    /// Equal for the same key with the same name and the same algorithms, and for no others.
    pub(in crate::token) fn id(&self) -> [u8; 32] {
        self.id
    }
}

/// The digest of these parts: another one for any others.
fn digest_of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut digest = digest::Context::new(&SHA256);
    for part in parts {
        digest.update(&part.len().to_be_bytes());
        digest.update(part);
    }
    let mut id = [0; 32];
    for (to, from) in id.iter_mut().zip(digest.finish().as_ref()) {
        *to = *from;
    }
    id
}

/// One key, or why it is left out.
fn read(member: &Value, allowed: &[ForeignAlgorithm]) -> Result<ForeignKey, &'static str> {
    let jwk = member.as_object().ok_or("is not an object")?;
    let kty = text(jwk, "kty")?.ok_or("has no `kty`")?;
    if kty == "oct" {
        return Err("is a symmetric key: whoever can verify with it can sign");
    }
    if PRIVATE.iter().any(|name| jwk.contains_key(*name)) {
        return Err("is a private key, and everybody can read it: it must be replaced");
    }
    if text(jwk, "use")?.is_some_and(|purpose| purpose != "sig") || !may_verify(jwk)? {
        return Err("is not for signatures");
    }
    let kid = text(jwk, "kid")?;
    if kid.is_some_and(|kid| kid.len() > MAX_KID) {
        return Err("has a `kid` that is too long");
    }
    let (key, material, possible): (_, _, &[_]) = match kty {
        "EC" => curve(jwk)?,
        "OKP" => edwards(jwk)?,
        "RSA" => rsa(jwk)?,
        _ => return Err("has an unknown `kty`"),
    };
    let alg = text(jwk, "alg")?;
    let wanted: BTreeSet<_> = allowed.iter().collect();
    let algorithms: Vec<_> = possible
        .iter()
        .copied()
        .filter(|it| wanted.contains(it) && alg.is_none_or(|alg| alg == it.name()))
        .collect();
    if algorithms.is_empty() {
        return Err("is for none of the `algorithms` that are allowed");
    }
    let names: Vec<&str> = algorithms.iter().map(|algorithm| algorithm.name()).collect();
    let name = [&[u8::from(kid.is_some())], kid.unwrap_or_default().as_bytes()].concat();
    let id = digest_of([name.as_slice(), names.join(" ").as_bytes(), &material]);
    Ok(ForeignKey { kid: kid.map(Into::into), algorithms, key, id })
}

/// A member that must be a string if it is there.
fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, &'static str> {
    jwk.get(name).map(|value| value.as_str().ok_or("has a member of the wrong type")).transpose()
}

/// RFC 7517 §4.3.
fn may_verify(jwk: &Map<String, Value>) -> Result<bool, &'static str> {
    let Some(operations) = jwk.get("key_ops") else { return Ok(true) };
    let operations = operations.as_array().ok_or("has a member of the wrong type")?;
    Ok(operations.iter().any(|operation| operation == "verify"))
}

/// A number in base64url, canonical and without padding.
fn bytes(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, &'static str> {
    let text = text(jwk, name)?.ok_or("lacks a member of its type")?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| "has a number that is not base64url")
}

type Material = (DecodingKey, Vec<u8>, &'static [ForeignAlgorithm]);

/// RFC 7518 §6.2.1. The point has to be on the curve.
fn curve(jwk: &Map<String, Value>) -> Result<Material, &'static str> {
    let (length, algorithm, possible): (_, _, &[_]) = match text(jwk, "crv")? {
        Some("P-256") => (32, &ECDSA_P256_SHA256_FIXED, &[Es256]),
        Some("P-384") => (48, &ECDSA_P384_SHA384_FIXED, &[Es384]),
        _ => return Err("has a `crv` that is not supported"),
    };
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != length || y.len() != length {
        return Err("has a coordinate of the wrong length");
    }
    let point = [&[4], x.as_slice(), y.as_slice()].concat();
    ParsedPublicKey::new(algorithm, &point).map_err(|_| "is not a point of its curve")?;
    // jsonwebtoken's "DER" of a public key is the bare point here.
    Ok((DecodingKey::from_ec_der(&point), point, possible))
}

/// RFC 8037 §2.
fn edwards(jwk: &Map<String, Value>) -> Result<Material, &'static str> {
    if text(jwk, "crv")? != Some("Ed25519") {
        return Err("has a `crv` that is not supported");
    }
    let point = bytes(jwk, "x")?;
    ParsedPublicKey::new(&ED25519, &point).map_err(|_| "is not a point of its curve")?;
    Ok((DecodingKey::from_ed_der(&point), point, &[EdDsa]))
}

/// RFC 7518 §6.3.1. A zero byte before a number is forbidden there, and some write it all the same.
fn rsa(jwk: &Map<String, Value>) -> Result<Material, &'static str> {
    let trimmed = |bytes: Vec<u8>| bytes.into_iter().skip_while(|byte| *byte == 0).collect::<Vec<_>>();
    let (n, e) = (trimmed(bytes(jwk, "n")?), trimmed(bytes(jwk, "e")?));
    let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err("is an RSA key of less than 2048 or more than 8192 bits");
    }
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    if !is_odd(&n) || !is_odd(&e) || e.len() > MAX_EXPONENT || e == [1] {
        return Err("is an RSA key with a bad modulus or exponent");
    }
    let key = DecodingKey::from_rsa_raw_components(&n, &e);
    let material = [&n.len().to_be_bytes(), n.as_slice(), e.as_slice()].concat();
    Ok((key, material, &[Rs256, Rs384, Rs512, Ps256, Ps384, Ps512]))
}

/// The same algorithm in jsonwebtoken's words.
fn jwt_algorithm(algorithm: ForeignAlgorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Es256 => jsonwebtoken::Algorithm::ES256,
        Es384 => jsonwebtoken::Algorithm::ES384,
        EdDsa => jsonwebtoken::Algorithm::EdDSA,
        Rs256 => jsonwebtoken::Algorithm::RS256,
        Rs384 => jsonwebtoken::Algorithm::RS384,
        Rs512 => jsonwebtoken::Algorithm::RS512,
        Ps256 => jsonwebtoken::Algorithm::PS256,
        Ps384 => jsonwebtoken::Algorithm::PS384,
        Ps512 => jsonwebtoken::Algorithm::PS512,
    }
}

#[cfg(test)]
mod tests;
