//! The body of a token request: a form (RFC 6749 §4.3.2), or the same parameters as a JSON object.
//!
//! Parameters are read from the body and never from the request's URI. What is ambiguous is refused: a parameter that
//! comes twice, a malformed escape, bytes that are not UTF-8.

use std::borrow::Cow;

use http::header::CONTENT_TYPE;
use serde::de::MapAccess;
use zeroize::Zeroizing;

use super::error::OAuthError;
use crate::message::Fields;
use crate::secret::Secret;
use crate::token::json::{self, Fault, Members};

/// Parameters of one request. The longest standard one has about ten.
const MAX_PARAMETERS: usize = 64;

/// The parameters that mean something to one of the endpoints; all others are ignored (RFC 6749 §3.2).
const NAMES: &[&str] = &[
    "grant_type",
    "username",
    "password",
    "refresh_token",
    "scope",
    "client_id",
    "client_secret",
    "token",
    "token_type_hint",
    "current_password",
    "new_password",
    "invitation",
];

enum Format {
    Form,
    Json,
}

impl Format {
    fn of(headers: &Fields) -> Result<Self, OAuthError> {
        let mut lines = headers.get_all(&CONTENT_TYPE);
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return Err(OAuthError::invalid_request("there must be one Content-Type"));
        };
        let unsupported = || {
            OAuthError::invalid_request(
                "the body must be application/x-www-form-urlencoded or application/json, in UTF-8",
            )
        };
        let mut parts = line.to_str().map_err(|_| unsupported())?.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default();
        if !parts.all(is_harmless) {
            return Err(unsupported());
        }
        if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Ok(Self::Form)
        } else if essence.eq_ignore_ascii_case("application/json") {
            Ok(Self::Json)
        } else {
            Err(unsupported())
        }
    }
}

/// Whether a parameter of `Content-Type` changes nothing for us: any but a `charset` that is not UTF-8.
fn is_harmless(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return true };
    !name.trim().eq_ignore_ascii_case("charset")
        || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
}

/// What a request has in its body: the parameters with a meaning and a value. One with an empty value is as good as none (RFC 6749
/// §3.2). Any may be a secret, so all are kept as one.
#[derive(Debug, Default)]
pub struct Parameters(Vec<(&'static str, Secret)>);

impl Parameters {
    /// Reads a request's body by its `Content-Type`.
    ///
    /// # Errors
    /// [`OAuthError::InvalidRequest`] says what is wrong with it, without showing anything of it.
    pub fn read(headers: &Fields, body: &[u8]) -> Result<Self, OAuthError> {
        match Format::of(headers)? {
            Format::Form => Self::from_form(body),
            Format::Json => Self::from_json(body),
        }
    }

    /// The value of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The value of a parameter that has to be there.
    ///
    /// # Errors
    /// [`OAuthError::InvalidRequest`] names the one that is missing.
    pub fn required(&self, name: &str) -> Result<&Secret, OAuthError> {
        self.get(name).ok_or_else(|| OAuthError::invalid_request(format!("{name} is missing")))
    }

    /// `scope`: names of the form that RFC 6749 §3.3 prescribes, separated by single spaces.
    ///
    /// # Errors
    /// [`OAuthError::InvalidScope`] for another form.
    pub fn scope(&self) -> Result<Option<&str>, OAuthError> {
        let scope = self.get("scope").map(Secret::expose);
        if scope.is_some_and(|scope| !scope.split(' ').all(is_scope)) {
            return Err(OAuthError::InvalidScope);
        }
        Ok(scope)
    }

    /// `application/x-www-form-urlencoded`, as RFC 6749 §B restricts it.
    fn from_form(body: &[u8]) -> Result<Self, OAuthError> {
        let mut parameters = Self::default();
        let mut seen: Vec<Secret> = Vec::new();
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let (name, value) =
                match pair.iter().position(|byte| *byte == b'=').and_then(|at| pair.split_at_checked(at)) {
                    Some((name, value)) => (name, value.get(1..).unwrap_or_default()),
                    None => (pair, &[][..]),
                };
            let (name, value) = (decode(name)?, decode(value)?);
            if seen.len() == MAX_PARAMETERS {
                return Err(OAuthError::invalid_request("there are too many parameters"));
            }
            if seen.iter().any(|known| known.expose() == name.expose()) {
                return Err(OAuthError::invalid_request("a parameter comes twice"));
            }
            if let Some(known) = NAMES.iter().find(|known| **known == name.expose()) {
                parameters.put(known, value);
            }
            seen.push(name);
        }
        Ok(parameters)
    }

    fn from_json(body: &[u8]) -> Result<Self, OAuthError> {
        let mut parameters = Self::default();
        json::read(body, &mut parameters).map_err(|fault| {
            OAuthError::invalid_request(match fault {
                Fault::Member(name) => Cow::Owned(format!("{name} must be a string")),
                Fault::Duplicate => Cow::Borrowed("a parameter comes twice"),
                Fault::TooMany => Cow::Borrowed("there are too many parameters"),
                Fault::Syntax | Fault::TooDeep | Fault::Missing(_) => {
                    Cow::Borrowed("the body must be a JSON object in UTF-8 whose members are strings")
                }
            })
        })?;
        Ok(parameters)
    }

    fn put(&mut self, name: &'static str, value: Secret) {
        if !value.expose().is_empty() {
            self.0.push((name, value));
        }
    }
}

impl<'de> Members<'de> for Parameters {
    const NAMES: &'static [&'static str] = NAMES;

    fn take<A: MapAccess<'de>>(&mut self, name: &'static str, map: &mut A) -> Result<(), A::Error> {
        let value = Secret::new(map.next_value()?);
        self.put(name, value);
        Ok(())
    }
}

/// RFC 6749 §3.3: `1*( %x21 / %x23-5B / %x5D-7E )`.
fn is_scope(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

/// Undoes the encoding of a name or a value: `+` is a space, `%` and two hexadecimal digits are a byte.
pub(super) fn decode(text: &[u8]) -> Result<Secret, OAuthError> {
    // Large enough from the start: a buffer that grows would leave copies of a password behind.
    let mut decoded = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => match (bytes.next().and_then(digit), bytes.next().and_then(digit)) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(OAuthError::invalid_request("the form has a malformed percent-encoding")),
            },
            byte => *byte,
        });
    }
    let text = std::str::from_utf8(&decoded);
    text.map(|text| Secret::new(text.to_owned()))
        .map_err(|_| OAuthError::invalid_request("the form is not UTF-8"))
}

fn digit(byte: &u8) -> Option<u8> {
    char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests;
