//! Why a token is refused.

use std::fmt;

use super::super::MAX_TOKEN;
use super::super::json::Fault;
use crate::clock::UnixTime;
use crate::config::Algorithm;

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
    /// `typ` of a foreign token is one that no access token has.
    #[error("the token is not an access token: its `typ` is neither `at+jwt` nor `JWT`")]
    ForeignType,
    /// No key of the token's issuer is for its `alg`, or none that `kid` names.
    #[error("the token's `alg` is none that its issuer's key is for")]
    ForeignAlgorithm,
    /// `kid`, or its absence, fits several keys of the token's issuer.
    #[error("the token fits several keys of its issuer: it should name one")]
    AmbiguousKey,
    /// The keys of the token's issuer could not be fetched yet: whether it is a good one is not known.
    #[error("the keys of the token's issuer have not been fetched yet")]
    NoKeys,
    /// A foreign token that is meant for something else than access: an ID token, a logout token, a refresh token.
    #[error("the token is not an access token: its issuer made it for something else")]
    Purpose,
    /// A foreign token that only the holder of a key may use (RFC 7800), which nobody has proved here.
    #[error("the token is bound to a key of its client (`cnf`), and such tokens are not supported")]
    Bound,
    /// `user_claim` is not there, or is no name that a caller can have.
    #[error(
        "the token has no name in the user_claim of its issuer, or one with a length or characters that a name cannot have"
    )]
    User,
    /// `roles_claim` is neither strings nor a string.
    #[error("the token's roles_claim is neither an array of strings nor a string")]
    Roles,
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

impl TokenError {
    /// Whether it was refused as one of ours before anything of ours was found in it.
    pub(super) fn leaves_the_issuer_open(self) -> bool {
        matches!(self, Self::UnknownKey | Self::Type | Self::Json(Part::Header, Fault::Missing("kid")))
    }
}
