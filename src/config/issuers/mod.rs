//! `[[issuer]]`: who else signs tokens that are accepted here, and what their claims mean.

mod fetch_url;
mod read;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::name::{IssuerName, Roles};

pub use fetch_url::{FetchUrl, InvalidUrl};
pub(super) use read::read;

/// `[[issuer]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignIssuer {
    /// Its name in logs and metrics.
    pub name: IssuerName,
    /// `iss` of its tokens, exactly.
    pub issuer: String,
    /// Where its keys are.
    pub keys: KeySource,
    /// A token must name one of them in `aud`. At least one.
    pub audience: Vec<String>,
    /// What its tokens may be signed with. At least one.
    pub algorithms: Vec<ForeignAlgorithm>,
    /// The claim with the user's name.
    pub user_claim: ClaimPath,
    /// Stands before that name. It ends in its only colon, and no other issuer has it.
    pub user_prefix: String,
    /// The claim with the roles there; `None` if its users have none here.
    pub roles_claim: Option<ClaimPath>,
    /// From a role there to those that it grants here.
    pub roles: BTreeMap<String, Roles>,
    /// How often the keys are fetched anew.
    pub refresh: Duration,
    /// The least time between two fetches that tokens with unknown keys cause.
    pub unknown_kid_interval: Duration,
    /// How long a fetch may take, from the name's resolution to the last byte.
    pub timeout: Duration,
    /// Certificates that vouch for its server instead of those of the system.
    pub ca_file: Option<PathBuf>,
}

/// Where the keys of a foreign issuer are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// `jwks_url`
    Url(FetchUrl),
    /// `jwks_file`
    File(PathBuf),
    /// At the `jwks_uri` of the issuer's metadata (OpenID Connect Discovery 1.0 §4, RFC 8414 §3). This is the issuer.
    Discovery(FetchUrl),
}

/// A signature algorithm of foreign tokens. All have a public key: a secret that two parties know proves nothing of either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ForeignAlgorithm {
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// ECDSA over P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
    /// RSA PKCS#1 v1.5 with SHA-256.
    Rs256,
    /// The same with SHA-384.
    Rs384,
    /// The same with SHA-512.
    Rs512,
    /// RSA-PSS with SHA-256.
    Ps256,
    /// The same with SHA-384.
    Ps384,
    /// The same with SHA-512.
    Ps512,
}

impl ForeignAlgorithm {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
    ];

    /// What issuers sign with unless they were told otherwise.
    const USUAL: [Self; 4] = [Self::Es256, Self::EdDsa, Self::Rs256, Self::Ps256];

    /// The name in the configuration and in `alg` (RFC 7518 §3.1, RFC 8037 §3.1).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
        }
    }
}

/// The way to a claim: the names of objects within each other, the outermost first. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath(Vec<String>);

impl ClaimPath {
    /// The names, the outermost first.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}
