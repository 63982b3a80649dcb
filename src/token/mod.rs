//! Signing keys, access tokens and their verification. Knows no store and no HTTP.
//!
//! An access token is a JWT by RFC 9068. [`Issuer`] makes them, [`Verifier`] checks them against a [`KeyRing`], each
//! worker keeps the verified ones in a [`Cache`], and [`Revocations`] says which of them no longer count. [`ApiKeys`] knows what programs may
//! send in a token's place. Of [`ForeignIssuers`] it knows the keys and the rules, not where they come from.

mod api_keys;
mod cache;
mod der;
mod foreign;
mod issue;
pub(crate) mod json;
mod jwk;
mod keys;
mod record;
mod revocations;
mod ring;
mod verify;

pub use api_keys::{ApiKeyDigest, ApiKeys, is_api_key, new_api_key};
pub use cache::Cache;
pub use foreign::{ForeignIssuers, ForeignToken, Ignored, KeySet, KeySetError, Missed, Trusted, Voucher};
pub use issue::{IssueError, Issued, Issuer, Subject};
pub use json::Fault;
pub use jwk::Jwk;
pub use keys::{KeyError, KeyId, SigningKey};
pub use record::{KeyRecord, KeyState, OpenedKey, RecordError};
pub use revocations::{RevocationId, Revocations};
pub use ring::{KeyRing, RingId};
pub use verify::{Accepted, Identity, Part, TokenError, Verified, Verifier};

/// The longest token that is issued or looked at, in bytes. A token has to fit into a header line, and whatever is longer
/// is refused before anything of it is decoded.
pub const MAX_TOKEN: usize = 8192;

/// `typ` of an access token (RFC 9068 §2.1).
const TYPE: &str = "at+jwt";

#[cfg(test)]
pub(crate) mod testing;
