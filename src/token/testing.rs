//! Keys, subjects and hand-made tokens for the tests of this module.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::test_runner::Config as ProptestConfig;

use super::keys::jwt_algorithm;
use super::{Issuer, KeyRing, SigningKey, Subject, Verified, Verifier};
use crate::clock::UnixTime;
use crate::config::Algorithm;
use crate::id::{SessionId, TokenId, UserId};
use crate::name::{Role, Roles, Username};

pub(super) const ISSUER: &str = "https://gate.example";
pub(super) const AUDIENCE: &str = "backends";
pub(super) const LEEWAY: Duration = Duration::from_secs(5);
pub(super) const TTL: Duration = Duration::from_secs(900);
/// When the tests take place.
pub(super) const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

/// Property tests run 100,000 cases, or as many as `PROPTEST_CASES` says.
pub(super) fn many() -> ProptestConfig {
    let said = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: said.unwrap_or(100_000), failure_persistence: None, ..ProptestConfig::default() }
}

/// A tenth of that, for cases that read whole documents.
pub(super) fn some() -> ProptestConfig {
    ProptestConfig { cases: many().cases / 10, ..many() }
}

/// One key for each algorithm: an RSA key takes long to make.
pub(super) fn key(algorithm: Algorithm) -> Arc<SigningKey> {
    static KEYS: LazyLock<[Arc<SigningKey>; 4]> = LazyLock::new(|| {
        Algorithm::ALL.map(|algorithm| Arc::new(SigningKey::generate(algorithm, NOW).unwrap()))
    });
    Arc::clone(KEYS.iter().find(|key| key.algorithm() == algorithm).unwrap())
}

pub(super) fn verifier(algorithms: &[Algorithm]) -> Verifier {
    let ring = KeyRing::new(key(algorithms[0]), algorithms.iter().map(|&algorithm| key(algorithm)));
    Verifier::new(Arc::new(ring), ISSUER, AUDIENCE, LEEWAY)
}

pub(super) fn issuer() -> Issuer {
    Issuer::new(ISSUER, AUDIENCE, TTL)
}

/// What a good token of somebody says.
pub(crate) fn verified() -> Verified {
    Verified {
        user: UserId::from_bytes([1; 16]),
        username: Username::new("alice").unwrap(),
        roles: Roles::default(),
        version: 1,
        session: SessionId::from_bytes([2; 16]),
        token: TokenId::from_bytes([3; 16]),
        client_id: "password".into(),
        issued: NOW,
        expires: NOW.after(TTL),
    }
}

pub(super) struct Person {
    pub(super) id: UserId,
    pub(super) name: Username,
    pub(super) roles: Roles,
    pub(super) session: SessionId,
}

impl Person {
    pub(super) fn alice() -> Self {
        Self {
            id: UserId::from_bytes([1; 16]),
            name: Username::new("alice").unwrap(),
            roles: ["reader", "admin"].into_iter().map(|role| Role::new(role).unwrap()).collect(),
            session: SessionId::from_bytes([2; 16]),
        }
    }

    pub(super) fn subject(&self) -> Subject<'_> {
        Subject {
            user_id: self.id,
            username: &self.name,
            roles: &self.roles,
            version: 7,
            session: self.session,
            client_id: "portcullis",
        }
    }
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// The header that a token of `key` has, as JSON.
pub(super) fn header(key: &SigningKey) -> String {
    format!(r#"{{"typ":"at+jwt","alg":"{}","kid":"{}"}}"#, key.algorithm().name(), key.id())
}

/// The claims of a good token, as (name, JSON).
pub(super) fn claims() -> Vec<(&'static str, String)> {
    let alice = Person::alice();
    let quoted = |text: &dyn ToString| format!("\"{}\"", text.to_string());
    vec![
        ("iss", quoted(&ISSUER)),
        ("aud", quoted(&AUDIENCE)),
        ("sub", quoted(&alice.id)),
        ("client_id", quoted(&"portcullis")),
        ("iat", "1700000000".to_owned()),
        ("exp", "1700000900".to_owned()),
        ("jti", quoted(&crate::id::TokenId::from_bytes([3; 16]))),
        ("sid", quoted(&alice.session)),
        ("ver", "7".to_owned()),
        ("username", quoted(&"alice")),
        ("roles", r#"["admin","reader"]"#.to_owned()),
    ]
}

/// The object of these members.
pub(super) fn object(members: &[(&str, String)]) -> String {
    let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

/// A good token's claims with one member set to `value`, which is JSON.
pub(super) fn claims_with(name: &'static str, value: &str) -> String {
    let mut members = claims();
    members.retain(|(known, _)| *known != name);
    members.push((name, value.to_owned()));
    object(&members)
}

/// A good token's claims without one member.
pub(super) fn claims_without(name: &str) -> String {
    let mut members = claims();
    members.retain(|(known, _)| *known != name);
    object(&members)
}

/// Signs any header and claims, however wrong, with a good key.
pub(super) fn forge(key: &SigningKey, header: &str, claims: impl AsRef<[u8]>) -> String {
    sign(key, &format!("{}.{}", encode(header), encode(claims)))
}

/// Signs any text at all with a good key.
pub(super) fn sign(key: &SigningKey, message: &str) -> String {
    let algorithm = jwt_algorithm(key.algorithm());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key.signer(), algorithm).unwrap();
    format!("{message}.{signature}")
}
