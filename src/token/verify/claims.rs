//! The claims of a token whose signature is good (RFC 7519 §4.1, RFC 9068 §2.2).
//!
//! Ours hold what we wrote. They are read strictly all the same: a key may sign for other programs too, and those may
//! be wrong.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::super::json::{self, Fault, Members};
use super::{Part, TokenError, Verified, Verifier};
use crate::clock::UnixTime;
use crate::id::{SessionId, TokenId, UserId};
use crate::name::{Roles, Username};

/// The claims as they were found, each with its right type. Dates are whole seconds: a `NumericDate` could have a fraction
/// (RFC 7519 §2), but nobody needs one, and readers differ about it.
pub(super) struct Claims<'a> {
    audience: &'a str,
    iss: Option<String>,
    /// Whether `aud` names our audience.
    aud: Option<bool>,
    sub: Option<UserId>,
    client_id: Option<Box<str>>,
    iat: Option<u64>,
    nbf: Option<u64>,
    exp: Option<u64>,
    jti: Option<TokenId>,
    sid: Option<SessionId>,
    ver: Option<u64>,
    username: Option<Username>,
    roles: Option<Roles>,
}

impl<'de> Members<'de> for Claims<'_> {
    const NAMES: &'static [&'static str] =
        &["iss", "aud", "sub", "client_id", "iat", "nbf", "exp", "jti", "sid", "ver", "username", "roles"];

    fn take<A: MapAccess<'de>>(&mut self, name: &'static str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "iss" => self.iss = Some(map.next_value()?),
            "aud" => self.aud = Some(map.next_value_seed(Audience(self.audience))?),
            "sub" => self.sub = Some(map.next_value()?),
            "client_id" => self.client_id = Some(map.next_value()?),
            "iat" => self.iat = Some(map.next_value()?),
            "nbf" => self.nbf = Some(map.next_value()?),
            "exp" => self.exp = Some(map.next_value()?),
            "jti" => self.jti = Some(map.next_value()?),
            "sid" => self.sid = Some(map.next_value()?),
            "ver" => self.ver = Some(map.next_value()?),
            "username" => self.username = Some(map.next_value()?),
            _ => self.roles = Some(map.next_value()?),
        }
        Ok(())
    }
}

impl<'a> Claims<'a> {
    /// Reads the claims; `audience` is who we are.
    pub(super) fn read(json: &[u8], audience: &'a str) -> Result<Self, TokenError> {
        let mut claims = Self {
            audience,
            iss: None,
            aud: None,
            sub: None,
            client_id: None,
            iat: None,
            nbf: None,
            exp: None,
            jti: None,
            sid: None,
            ver: None,
            username: None,
            roles: None,
        };
        json::read(json, &mut claims).map_err(|fault| TokenError::Json(Part::Claims, fault))?;
        Ok(claims)
    }

    /// Checks that all are there, that the token is from whom and for whom it should be, and its dates.
    pub(super) fn check(self, verifier: &Verifier, now: UnixTime) -> Result<Verified, TokenError> {
        if required("iss", self.iss)? != *verifier.issuer {
            return Err(TokenError::Issuer);
        }
        if !required("aud", self.aud)? {
            return Err(TokenError::Audience);
        }
        let expires = UnixTime::from_secs(required("exp", self.exp)?);
        let issued = UnixTime::from_secs(required("iat", self.iat)?);
        if now >= expires.after(verifier.leeway) {
            return Err(TokenError::Expired(expires));
        }
        let starts = self.nbf.map_or(issued, |nbf| issued.max(UnixTime::from_secs(nbf)));
        if starts > now.after(verifier.leeway) {
            return Err(TokenError::NotYet(starts));
        }
        Ok(Verified {
            user: required("sub", self.sub)?,
            username: required("username", self.username)?,
            roles: required("roles", self.roles)?,
            version: required("ver", self.ver)?,
            session: required("sid", self.sid)?,
            token: required("jti", self.jti)?,
            client_id: required("client_id", self.client_id)?,
            issued,
            expires,
        })
    }
}

fn required<T>(name: &'static str, claim: Option<T>) -> Result<T, TokenError> {
    claim.ok_or(TokenError::Json(Part::Claims, Fault::Missing(name)))
}

/// `aud`: a string, or an array of strings (RFC 7519 §4.1.3). Gives whether ours is among them.
struct Audience<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Audience<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Audience<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an array of strings")
    }

    fn visit_str<E>(self, audience: &str) -> Result<bool, E> {
        Ok(audience == self.0)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut audiences: A) -> Result<bool, A::Error> {
        let mut ours = false;
        while let Some(audience) = audiences.next_element::<String>()? {
            ours |= audience == self.0;
        }
        Ok(ours)
    }
}
