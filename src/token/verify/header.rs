//! The header of a token (RFC 7515 §4): which key, and that it is an access token.
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
        let mut found = Found::default();
        json::read(json, &mut found).map_err(fault)?;
        if found.crit.is_some() {
            return Err(TokenError::Critical);
        }
        let typ = found.typ.ok_or(TokenError::Type)?;
        if !is_access_token(&typ) {
            return Err(TokenError::Type);
        }
        let alg = found.alg.ok_or(fault(Fault::Missing("alg")))?;
        let kid = found.kid.ok_or(fault(Fault::Missing("kid")))?;
        Ok(Self { alg, kid })
    }
}

/// A media type compares without case, and `application/` may be left out (RFC 7515 §4.1.9).
fn is_access_token(typ: &str) -> bool {
    const PREFIX: &str = "application/";
    let prefixed = typ.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
    let name = if prefixed { typ.get(PREFIX.len()..).unwrap_or_default() } else { typ };
    name.eq_ignore_ascii_case(TYPE)
}

fn fault(fault: Fault) -> TokenError {
    TokenError::Json(Part::Header, fault)
}
