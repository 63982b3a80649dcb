//! The header of a token (RFC 7515 §4): which key, and that it is an access token. [`Header`] is that of ours, [`ForeignHeader`] that of
//! an issuer who need not know RFC 9068.
//!
//! Nobody has vouched for it yet. So a key that it brings along or points to (`jwk`, `jku`, `x5c`, `x5u`) is not looked at,
//! and nothing is looked up by `kid` but the ring.

use std::borrow::Cow;

use serde::de::{IgnoredAny, MapAccess};

use super::super::TYPE;
use super::super::json::{self, Fault, Members, Text};
use super::{Part, TokenError};

/// What of a header matters, its form checked.
#[derive(Debug)]
pub(super) struct Header<'a> {
    pub(super) alg: Cow<'a, str>,
    pub(super) kid: Cow<'a, str>,
}

/// The same of a token that is not ours.
#[derive(Debug)]
pub(super) struct ForeignHeader<'a> {
    pub(super) alg: Cow<'a, str>,
    /// May be left out where there is only one key.
    pub(super) kid: Option<Cow<'a, str>>,
}

#[derive(Default)]
struct Found<'a> {
    alg: Option<Cow<'a, str>>,
    kid: Option<Cow<'a, str>>,
    typ: Option<Cow<'a, str>>,
    crit: Option<IgnoredAny>,
}

impl<'de> Members<'de> for Found<'de> {
    const NAMES: &'static [&'static str] = &["alg", "kid", "typ", "crit"];

    fn take<A: MapAccess<'de>>(&mut self, name: &'static str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "alg" => self.alg = text(map)?,
            "kid" => self.kid = text(map)?,
            "typ" => self.typ = text(map)?,
            _ => self.crit = Some(map.next_value()?),
        }
        Ok(())
    }
}

/// The string that comes next. Left to serde, a `Cow` is a copy.
fn text<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Cow<'de, str>>, A::Error> {
    map.next_value().map(|Text(text)| Some(text))
}

impl<'a> Header<'a> {
    /// Reads and checks everything that does not depend on the key.
    pub(super) fn read(json: &'a [u8]) -> Result<Self, TokenError> {
        let found = Found::read(json)?;
        let typ = found.typ.ok_or(TokenError::Type)?;
        if !is_media_type(&typ, TYPE) {
            return Err(TokenError::Type);
        }
        let alg = found.alg.ok_or(fault(Fault::Missing("alg")))?;
        let kid = found.kid.ok_or(fault(Fault::Missing("kid")))?;
        Ok(Self { alg, kid })
    }
}

impl<'a> ForeignHeader<'a> {
    /// Reads and checks everything that does not depend on the issuer. Most issuers write `typ: JWT`, or none; whatever else one calls a
    /// token, it is no access token.
    pub(super) fn read(json: &'a [u8]) -> Result<Self, TokenError> {
        let found = Found::read(json)?;
        let is_known = |typ: &str| is_media_type(typ, TYPE) || is_media_type(typ, "JWT");
        if found.typ.is_some_and(|typ| !is_known(&typ)) {
            return Err(TokenError::ForeignType);
        }
        Ok(Self { alg: found.alg.ok_or(fault(Fault::Missing("alg")))?, kid: found.kid })
    }
}

impl<'a> Found<'a> {
    fn read(json: &'a [u8]) -> Result<Self, TokenError> {
        let mut found = Self::default();
        json::read(json, &mut found).map_err(fault)?;
        if found.crit.is_some() { Err(TokenError::Critical) } else { Ok(found) }
    }
}

/// A media type compares without case, and `application/` may be left out (RFC 7515 §4.1.9).
fn is_media_type(typ: &str, wanted: &str) -> bool {
    const PREFIX: &str = "application/";
    let prefixed = typ.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
    let name = if prefixed { typ.get(PREFIX.len()..).unwrap_or_default() } else { typ };
    name.eq_ignore_ascii_case(wanted)
}

fn fault(fault: Fault) -> TokenError {
    TokenError::Json(Part::Header, fault)
}
