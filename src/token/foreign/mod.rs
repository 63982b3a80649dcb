//! Foreign issuers as a verifier sees them: rules from the configuration, and the keys that were found last. Immutable; another
//! [`KeySet`] is another snapshot.

mod key_set;
mod missed;

use std::sync::Arc;

use aws_lc_rs::digest::Context;

pub use key_set::{Ignored, KeySet, KeySetError};
pub use missed::Missed;

use self::key_set::ForeignKey;
use super::TokenError;
use crate::clock::UnixTime;
use crate::config::{ForeignAlgorithm, ForeignIssuer};
use crate::name::{CallerName, Roles};

/// What a good token of a foreign issuer says, in our words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignToken {
    /// The user, with the prefix of its issuer.
    pub caller: CallerName,
    /// What the issuer's roles grant here.
    pub roles: Roles,
    /// `exp`, without the leeway.
    pub expires: UnixTime,
    /// Whose word that is.
    pub voucher: Voucher,
}

/// What vouches for a token: one key of an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voucher {
    rules: Arc<ForeignIssuer>,
    key: [u8; 32],
}

impl Voucher {
    /// The key with this identity of an issuer with these rules.
    pub(super) fn new(rules: Arc<ForeignIssuer>, key: [u8; 32]) -> Self {
        Self { rules, key }
    }

    /// The rules under which it vouches.
    pub(super) fn rules(&self) -> &ForeignIssuer {
        &self.rules
    }
}

/// An issuer whose tokens are accepted.
#[derive(Clone, Debug)]
pub struct Trusted {
    rules: Arc<ForeignIssuer>,
    /// `None` until they have been found for the first time.
    keys: Option<Arc<KeySet>>,
    missed: Arc<Missed>,
}

impl Trusted {
    /// An issuer with these keys. `missed` is told of tokens that name others.
    #[must_use]
    pub fn new(rules: Arc<ForeignIssuer>, keys: Option<Arc<KeySet>>, missed: Arc<Missed>) -> Self {
        Self { rules, keys, missed }
    }

    /// Its part of the configuration.
    #[must_use]
    pub fn rules(&self) -> &ForeignIssuer {
        &self.rules
    }

    /// Its keys.
    #[must_use]
    pub fn keys(&self) -> Option<&Arc<KeySet>> {
        self.keys.as_ref()
    }

    /// The only key that can have signed a token with this header.
    pub(super) fn key(
        &self,
        kid: Option<&str>,
        alg: &str,
    ) -> Result<(&ForeignKey, ForeignAlgorithm), TokenError> {
        let found = self.keys.as_ref().ok_or(TokenError::NoKeys)?.find(kid, alg);
        if matches!(found, Err(TokenError::UnknownKey)) {
            self.missed.note();
        }
        found
    }

    /// The issuer's word, given with this key.
    pub(super) fn voucher(&self, key: &ForeignKey) -> Voucher {
        Voucher::new(self.rules.clone(), key.id())
    }
}

/// All of them; few, and no two with the same `iss`.
#[derive(Clone, Debug, Default)]
pub struct ForeignIssuers(Arc<[Trusted]>);

impl ForeignIssuers {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in the order of the configuration.
    pub fn iter(&self) -> std::slice::Iter<'_, Trusted> {
        self.0.iter()
    }

    /// The one with this `iss`, compared byte for byte.
    pub(super) fn find(&self, iss: &str) -> Option<&Trusted> {
        self.iter().find(|trusted| trusted.rules.issuer == iss)
    }

    /// Whether what vouched for a token is trusted still: the issuer is one of these, and has not withdrawn the key, as far as we know.
    #[must_use]
    pub fn trust(&self, voucher: &Voucher) -> bool {
        let keeps = |trusted: &Trusted| trusted.keys.as_ref().is_none_or(|keys| keys.has(&voucher.key));
        self.find(&voucher.rules.issuer).is_some_and(keeps)
    }

    /// Adds what decides whether a token is accepted, and as whose.
    pub(super) fn identify(&self, digest: &mut Context) {
        for trusted in self.iter() {
            // Every key of the configuration is in it, those that will be there one day too.
            let rules = format!("{:?}", trusted.rules);
            digest.update(&rules.len().to_be_bytes());
            digest.update(rules.as_bytes());
            digest.update(trusted.keys.as_ref().map_or(&[0; 32], |keys| keys.id()));
        }
    }
}

impl FromIterator<Trusted> for ForeignIssuers {
    fn from_iter<I: IntoIterator<Item = Trusted>>(issuers: I) -> Self {
        Self(issuers.into_iter().collect())
    }
}
