//! HS256 tokens, verified once and then found by their whole text.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foldhash::fast::RandomState;
use hmac::{Hmac, Mac};
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};
use serde::Deserialize;
use sha2::Sha256;

/// Tokens that are remembered; one more, and all are forgotten.
const CAPACITY: usize = 10_000;

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    role: String,
    exp: u64,
}

#[derive(Clone)]
pub struct Caller {
    pub user: HeaderValue,
    pub role: HeaderValue,
    expires: u64,
}

pub struct Tokens {
    key: Hmac<Sha256>,
    known: HashMap<Box<[u8]>, Caller, RandomState>,
}

impl Tokens {
    pub fn new(key: &[u8]) -> Self {
        // HMAC takes keys of any length.
        let key = Hmac::new_from_slice(key).unwrap_or_else(|_| unreachable!());
        Self { key, known: HashMap::default() }
    }

    /// Who sends this, or the status that refuses it.
    pub fn caller(&mut self, headers: &HeaderMap) -> Result<Caller, StatusCode> {
        let field = headers.get(header::AUTHORIZATION).ok_or(StatusCode::UNAUTHORIZED)?.as_bytes();
        let token = field.strip_prefix(b"Bearer ").ok_or(StatusCode::UNAUTHORIZED)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let caller = match self.known.get(token) {
            Some(caller) => caller.clone(),
            None => self.verify(token).ok_or(StatusCode::UNAUTHORIZED)?,
        };
        match (now < caller.expires, caller.role == "user" || caller.role == "admin") {
            (true, true) => Ok(caller),
            (true, false) => Err(StatusCode::FORBIDDEN),
            (false, _) => Err(StatusCode::UNAUTHORIZED),
        }
    }

    fn verify(&mut self, token: &[u8]) -> Option<Caller> {
        let (message, signature) = std::str::from_utf8(token).ok()?.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let header: Header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        let tag = URL_SAFE_NO_PAD.decode(signature).ok()?;
        self.key.clone().chain_update(message).verify_slice(&tag).ok()?;
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
        if header.alg != "HS256" || claims.iss != "https://auth.example.com" || claims.aud != "api" {
            return None;
        }
        let (user, role) =
            (HeaderValue::from_str(&claims.sub).ok()?, HeaderValue::from_str(&claims.role).ok()?);
        let caller = Caller { user, role, expires: claims.exp };
        if self.known.len() >= CAPACITY {
            self.known.clear();
        }
        self.known.insert(token.into(), caller.clone());
        Some(caller)
    }
}
