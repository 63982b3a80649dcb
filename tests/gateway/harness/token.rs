//! Tokens taken apart and put together again, to see what the gateway makes of them.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// The three parts of a JWT, decoded.
pub(crate) struct Parts {
    pub(crate) header: Value,
    pub(crate) claims: Value,
    pub(crate) signature: String,
}

/// Takes a token apart without checking it.
#[track_caller]
pub(crate) fn parts(token: &str) -> Parts {
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("not three parts: {token}")
    };
    Parts { header: json(header), claims: json(claims), signature: signature.into() }
}

/// Base64url without padding.
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Base64url without padding, back.
#[track_caller]
pub(crate) fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

/// What is signed: header and claims.
pub(crate) fn signing_input(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encode(header.to_string()), encode(claims.to_string()))
}

/// A token signed by HMAC-SHA-256 with any bytes as the key.
pub(crate) fn hs256(header: &Value, claims: &Value, key: &[u8]) -> String {
    hs256_of(&signing_input(header, claims), key)
}

/// As [`hs256`], for a header and claims that are encoded already, such as some that no JSON library would write.
pub(crate) fn hs256_of(input: &str, key: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), input.as_bytes());
    format!("{input}.{}", encode(tag))
}

fn json(part: &str) -> Value {
    serde_json::from_slice(&decode(part)).expect("JSON")
}
