//! Verifying access tokens: the form, the signature, then the claims, each strictly.
//!
//! jsonwebtoken checks the signature and nothing else. The header is read before, since it names the key, and the claims
//! after, so that nothing a stranger wrote into them is looked at. RFC 8725 §3 and RFC 9068 §4 say what to check; every refusal
//! is a 401 `invalid_token` to the caller and a [`TokenError`] to the operator.

mod claims;
mod header;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{self, SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use self::claims::Claims;
use self::header::Header;
use super::json::Fault;
use super::{KeyRing, MAX_TOKEN};
use crate::clock::UnixTime;
use crate::config::Algorithm;
use crate::id::{SessionId, TokenId, UserId};
use crate::name::{Roles, Username};

/// Checks access tokens of one issuer for one audience.
#[derive(Clone, Debug)]
pub struct Verifier {
    ring: Arc<KeyRing>,
    issuer: Arc<str>,
    audience: Arc<str>,
    leeway: Duration,
    identity: Identity,
}

/// Tells two verifiers apart: equal only if both accept the same tokens. A cache of verified tokens belongs to one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity([u8; 32]);

/// What a good token says. Whether its user has been revoked since is not looked at here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// `sub`
    pub user: UserId,
    /// `username`
    pub username: Username,
    /// `roles`
    pub roles: Roles,
    /// `ver`: the user's token version when the token was issued.
    pub version: u64,
    /// `sid`
    pub session: SessionId,
    /// `jti`
    pub token: TokenId,
    /// `client_id`
    pub client_id: Box<str>,
    /// `iat`
    pub issued: UnixTime,
    /// `exp`, without the leeway.
    pub expires: UnixTime,
}

/// Why a token is refused. No text shows anything of the token or of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// More than [`MAX_TOKEN`] bytes.
    #[error("the token has {0} bytes; no more than {MAX_TOKEN} are read")]
    TooLong(usize),
    /// Not three parts between two dots.
    #[error("the token does not consist of three parts")]
    NotThreeParts,
    /// A part is not base64url in its one canonical form, without padding.
    #[error("the token's {0} is not canonical base64url")]
    Encoding(Part),
    /// A part is not the JSON that it has to be.
    #[error("the token's {0} {1}")]
    Json(Part, Fault),
    /// `crit` asks for extensions, and we have none (RFC 7515 §4.1.11).
    #[error("the token's header demands an extension (`crit`)")]
    Critical,
    /// `typ` is another one than that of an access token (RFC 9068 §4).
    #[error("the token is not an access token: its `typ` is not `at+jwt`")]
    Type,
    /// `kid` names no key that is in use.
    #[error("the token names a signing key that is not, or no longer, in use")]
    UnknownKey,
    /// `alg` is not the algorithm of the key that `kid` names.
    #[error("the token's `alg` is not {}, which its key is for", .0.name())]
    Algorithm(Algorithm),
    /// The signature is not that of the key over this token.
    #[error("the token's signature is wrong")]
    Signature,
    /// `iss` is somebody else.
    #[error("the token is from another issuer")]
    Issuer,
    /// `aud` does not name us.
    #[error("the token is for another audience")]
    Audience,
    /// `exp` and the leeway are over.
    #[error("the token expired at {0}")]
    Expired(UnixTime),
    /// It says that it is an API key, and is none that is good.
    #[error("no client that may log in has this API key")]
    UnknownApiKey,
    /// `nbf` or `iat` lies in the future, beyond the leeway.
    #[error("the token is not valid before {0}: is a clock wrong?")]
    NotYet(UnixTime),
}

/// A part of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The first.
    Header,
    /// The second.
    Claims,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Claims => "set of claims",
        })
    }
}

impl Verifier {
    /// A verifier for tokens that `issuer` signed with a key of `ring` for `audience`. `leeway` forgives clocks that differ.
    #[must_use]
    pub fn new(ring: Arc<KeyRing>, issuer: &str, audience: &str, leeway: Duration) -> Self {
        let identity = Identity::of(&ring, issuer, audience, leeway);
        Self { ring, issuer: issuer.into(), audience: audience.into(), leeway, identity }
    }

    /// What the token says, if it is a good one `now`.
    ///
    /// # Errors
    /// [`TokenError`] says what is wrong with it.
    pub fn verify(&self, token: &str, now: UnixTime) -> Result<Verified, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::TooLong(token.len()));
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::NotThreeParts)?;
        let (header, claims) = message.split_once('.').ok_or(TokenError::NotThreeParts)?;
        if claims.contains('.') {
            return Err(TokenError::NotThreeParts);
        }
        let header = decode(Part::Header, header)?;
        let header = Header::read(&header)?;
        let key = self.ring.find(&header.kid).ok_or(TokenError::UnknownKey)?;
        if header.alg != key.algorithm().name() {
            return Err(TokenError::Algorithm(key.algorithm()));
        }
        if !key.verifies(message.as_bytes(), signature) {
            return Err(TokenError::Signature);
        }
        Claims::read(&decode(Part::Claims, claims)?, &self.audience)?.check(self, now)
    }

    /// The same for who wants to end the token: it may also be one that is not valid yet, since it will be.
    ///
    /// # Errors
    /// [`TokenError`] says what is wrong with it.
    pub fn verify_to_end(&self, token: &str, now: UnixTime) -> Result<Verified, TokenError> {
        match self.verify(token, now) {
            Err(TokenError::NotYet(starts)) => self.verify(token, starts),
            verified => verified,
        }
    }

    /// Until when a token that was verified passes again: its `exp` and the leeway. A cache keeps it no longer.
    #[must_use]
    pub fn accepted_until(&self, token: &Verified) -> UnixTime {
        token.expires.after(self.leeway)
    }

    /// The keys.
    #[must_use]
    pub fn ring(&self) -> &Arc<KeyRing> {
        &self.ring
    }

    /// Changes with everything that decides whether a token is a good one: keys, issuer, audience, leeway.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }
}

impl Identity {
    fn of(ring: &KeyRing, issuer: &str, audience: &str, leeway: Duration) -> Self {
        let mut digest = digest::Context::new(&SHA256);
        digest.update(ring.id().as_bytes());
        digest.update(&leeway.as_nanos().to_be_bytes());
        for text in [issuer, audience] {
            digest.update(&text.len().to_be_bytes());
            digest.update(text.as_bytes());
        }
        let mut identity = [0; 32];
        for (to, from) in identity.iter_mut().zip(digest.finish().as_ref()) {
            *to = *from;
        }
        Self(identity)
    }
}

/// RFC 7515 §2: no padding, no white space, no second alphabet. Bits that the last character has too many must be zero, or
/// the same token would have several texts.
fn decode(part: Part, text: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Encoding(part))
}

#[cfg(test)]
mod tests;
