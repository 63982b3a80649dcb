//! Verifying access tokens: the form, the signature, then the claims, each strictly.
//!
//! jsonwebtoken checks the signature and nothing else. The header is read before, since it names the key, and the claims
//! after, so that nothing a stranger wrote into them is looked at. RFC 8725 §3 and RFC 9068 §4 say what to check; every refusal
//! is a 401 `invalid_token` to the caller and a [`TokenError`] to the operator.

mod claims;
mod error;
mod foreign;
mod header;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{self, SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub use self::error::{Part, TokenError};

use self::claims::Claims;
use self::header::ForeignHeader;
use self::header::Header;
use super::{ForeignIssuers, ForeignToken, KeyRing, MAX_TOKEN, Voucher};
use crate::clock::UnixTime;
use crate::id::{SessionId, TokenId, UserId};
use crate::name::{Roles, Username};

/// Checks access tokens: ours for one audience, and those of foreign issuers by their own rules.
#[derive(Clone, Debug)]
pub struct Verifier {
    ring: Arc<KeyRing>,
    foreign: ForeignIssuers,
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

/// A good token, whoever issued it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// We did.
    Own(Verified),
    /// Somebody else did.
    Foreign(ForeignToken),
}

impl Accepted {
    /// `exp`, without the leeway.
    #[must_use]
    pub fn expires(&self) -> UnixTime {
        match self {
            Self::Own(token) => token.expires,
            Self::Foreign(token) => token.expires,
        }
    }
}

impl Verifier {
    /// A verifier for tokens that `issuer` signed with a key of `ring` for `audience`. `leeway` forgives clocks that differ.
    #[must_use]
    pub fn new(ring: Arc<KeyRing>, issuer: &str, audience: &str, leeway: Duration) -> Self {
        Self::with_foreign(ring, issuer, audience, leeway, ForeignIssuers::default())
    }

    /// The same, which also knows the tokens of these issuers.
    #[must_use]
    pub fn with_foreign(
        ring: Arc<KeyRing>,
        issuer: &str,
        audience: &str,
        leeway: Duration,
        foreign: ForeignIssuers,
    ) -> Self {
        let identity = Identity::of(&ring, issuer, audience, leeway, &foreign);
        Self { ring, foreign, issuer: issuer.into(), audience: audience.into(), leeway, identity }
    }

    /// What a token says, ours or a foreign one, if it is a good one `now`.
    ///
    /// A `kid` of ours is the digest of a key of ours, so whoever has one is not looked for among the foreign issuers. Of all others the
    /// issuer is what `iss` says, and only its keys are looked at.
    ///
    /// # Errors
    /// [`TokenError`] says what is wrong with it; [`TokenError::NoKeys`] that nobody knows.
    pub fn accept(&self, token: &str, now: UnixTime) -> Result<Accepted, TokenError> {
        match self.verify(token, now) {
            Ok(verified) => Ok(Accepted::Own(verified)),
            Err(error) if self.foreign.is_empty() || !error.leaves_the_issuer_open() => Err(error),
            Err(error) => self.accept_foreign(token, now, error).map(Accepted::Foreign),
        }
    }

    /// `own` is why it is not one of ours.
    fn accept_foreign(
        &self,
        token: &str,
        now: UnixTime,
        own: TokenError,
    ) -> Result<ForeignToken, TokenError> {
        let parts = Parts::of(token)?;
        let claims = decode(Part::Claims, parts.claims)?;
        let iss = foreign::issuer_of(&claims)?;
        let Some(issuer) = self.foreign.find(&iss) else {
            return Err(if *iss == *self.issuer { own } else { TokenError::Issuer });
        };
        let header = decode(Part::Header, parts.header)?;
        let header = ForeignHeader::read(&header)?;
        let (key, algorithm) = issuer.key(header.kid.as_deref(), &header.alg)?;
        if !key.verifies(algorithm, parts.message.as_bytes(), parts.signature) {
            return Err(TokenError::Signature);
        }
        foreign::check(&claims, issuer.voucher(key), self.leeway, now)
    }

    /// What the token says, if it is one of ours and a good one `now`.
    ///
    /// # Errors
    /// [`TokenError`] says what is wrong with it.
    pub fn verify(&self, token: &str, now: UnixTime) -> Result<Verified, TokenError> {
        let Parts { message, header, claims, signature } = Parts::of(token)?;
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
    pub fn accept_to_end(&self, token: &str, now: UnixTime) -> Result<Accepted, TokenError> {
        match self.accept(token, now) {
            Err(TokenError::NotYet(starts)) => self.accept(token, starts),
            accepted => accepted,
        }
    }

    /// Until when a token passes that expires then: the leeway is forgiven. A cache keeps it no longer.
    #[must_use]
    pub fn accepted_until(&self, expires: UnixTime) -> UnixTime {
        expires.after(self.leeway)
    }

    /// The foreign issuers.
    #[must_use]
    pub fn foreign(&self) -> &ForeignIssuers {
        &self.foreign
    }

    /// The keys.
    #[must_use]
    pub fn ring(&self) -> &Arc<KeyRing> {
        &self.ring
    }

    /// Changes with everything that decides whether a token is a good one: keys, issuers, audience, leeway.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }
}

/// A token taken apart.
struct Parts<'a> {
    /// What is signed: header, dot, claims.
    message: &'a str,
    header: &'a str,
    claims: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    fn of(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::TooLong(token.len()));
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::NotThreeParts)?;
        let (header, claims) = message.split_once('.').ok_or(TokenError::NotThreeParts)?;
        if claims.contains('.') {
            return Err(TokenError::NotThreeParts);
        }
        Ok(Self { message, header, claims, signature })
    }
}

impl Identity {
    fn of(ring: &KeyRing, issuer: &str, audience: &str, leeway: Duration, foreign: &ForeignIssuers) -> Self {
        let mut digest = digest::Context::new(&SHA256);
        digest.update(ring.id().as_bytes());
        digest.update(&leeway.as_nanos().to_be_bytes());
        foreign.identify(&mut digest);
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
