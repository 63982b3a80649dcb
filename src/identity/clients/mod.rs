//! Programs that log in by themselves (OAuth 2.0 confidential clients, RFC 6749 §2.1).
//!
//! A client is a user of another kind: it has roles, can be disabled, and its tokens end as those of people do. Its name is its
//! `client_id` and what backends get as user, so clients and people share one space of names. In place of a password it has one or two
//! secrets of 256 random bits, of which the store keeps the digests.
//!
//! One that cannot ask for tokens has API keys instead, or as well. A key is no secret of the token endpoint: with it alone a client
//! gets no token there.

mod admin;
mod api_keys;

#[cfg(test)]
mod tests;

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use admin::{ApiKeyView, ClientAdmin, ClientView, LocalClientAdmin, NewSecret, Shown};
pub use api_keys::ApiKey;

use self::api_keys::{MAX_LIFETIME, MIN_LIFETIME, NewApiKey};
use super::users::{User, UserError, Users};
use crate::clock::UnixTime;
use crate::id::{NoRandomness, fill_random};
use crate::name::{Roles, Username};
use crate::secret::Secret;

/// What every client secret begins with, so that a scanner for leaked secrets knows one when it sees it.
const PREFIX: &str = "pcs_";
/// Secrets, and API keys, that a client may have at the same time: the new one, and the one that is being replaced.
const MAX_SECRETS: usize = 2;

/// What a client has in place of a password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The newest first.
    secrets: Vec<StoredSecret>,
    /// The newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    api_keys: Vec<ApiKey>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredSecret {
    /// Base64url of SHA-256. The secret cannot be guessed, so nothing slower is needed.
    sha256: String,
    created: UnixTime,
}

impl Program {
    /// When the secrets were made that are good now, the newest first.
    pub fn secrets(&self) -> impl Iterator<Item = UnixTime> + '_ {
        self.secrets.iter().map(|secret| secret.created)
    }

    /// Its API keys, expired ones too, the newest first.
    #[must_use]
    pub fn api_keys(&self) -> &[ApiKey] {
        &self.api_keys
    }

    fn accepts(&self, secret: &Secret) -> bool {
        let given = digest_of(secret);
        let equal =
            |known: &StoredSecret| verify_slices_are_equal(known.sha256.as_bytes(), given.as_bytes()).is_ok();
        // All of them are compared, so that the time does not tell which one it was.
        self.secrets.iter().fold(false, |accepted, known| accepted | equal(known))
    }

    /// Adds what was made, and keeps the one before if it may stay.
    fn renew(&mut self, made: &Made, keeps_old: bool, now: UnixTime) {
        match made {
            Made::Secret(secret) => {
                self.secrets.truncate(if keeps_old { MAX_SECRETS - 1 } else { 0 });
                self.secrets.insert(0, StoredSecret { sha256: digest_of(secret), created: now });
            }
            Made::ApiKey(key) => key.add_to(&mut self.api_keys, keeps_old, now),
        }
    }
}

/// What a client shows to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientCredential {
    /// A secret, for tokens.
    Secret,
    /// An API key that is good for `lifetime`. Without one it is for as long as the key before, or for 90 days.
    ApiKey {
        /// From a second to 365 days.
        #[serde(default)]
        lifetime: Option<Duration>,
    },
}

/// A new one, with its text.
enum Made {
    Secret(Secret),
    ApiKey(NewApiKey),
}

impl Made {
    fn new(credential: ClientCredential, now: UnixTime) -> Result<Self, NoRandomness> {
        Ok(match credential {
            ClientCredential::Secret => Self::Secret(new_secret()?),
            ClientCredential::ApiKey { lifetime } => Self::ApiKey(NewApiKey::generate(lifetime, now)?),
        })
    }

    fn into_text(self) -> Secret {
        match self {
            Self::Secret(text) | Self::ApiKey(NewApiKey { text, .. }) => text,
        }
    }
}

fn digest_of(secret: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, secret.expose().as_bytes()))
}

fn new_secret() -> Result<Secret, NoRandomness> {
    let mut bytes = Zeroizing::new([0; 32]);
    fill_random(&mut *bytes)?;
    Ok(Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(*bytes))))
}

/// The clients. A handle: clones share the store. All methods block on the disk.
#[derive(Clone, Debug)]
pub struct Clients {
    users: Users,
}

impl Clients {
    /// The clients among these users.
    #[must_use]
    pub fn new(users: Users) -> Self {
        Self { users }
    }

    /// The client of this name.
    ///
    /// # Errors
    /// [`UserError::Store`] when the store cannot be read.
    pub fn find(&self, client_id: &str) -> Result<Option<User>, UserError> {
        Ok(self.users.find(client_id)?.filter(|user| user.program.is_some()))
    }

    /// The client whose name and secret these are; `None` if it is unknown or disabled, or has another secret.
    ///
    /// # Errors
    /// [`UserError::Store`] when the store cannot be read.
    pub fn authenticate(&self, client_id: &str, secret: &Secret) -> Result<Option<User>, UserError> {
        let client = self.find(client_id)?;
        let accepts = |user: &User| user.program.as_ref().is_some_and(|program| program.accepts(secret));
        Ok(client.filter(|client| client.enabled && accepts(client)))
    }

    /// Adds an enabled client. Returns the text of its secret or API key, which nobody can learn again.
    ///
    /// # Errors
    /// [`UserError::Exists`] when a user or a client has the name.
    pub fn add(
        &self,
        name: &Username,
        roles: Roles,
        credential: ClientCredential,
        now: UnixTime,
    ) -> Result<(User, Secret), UserError> {
        let made = Made::new(credential, now)?;
        let mut program = Program::default();
        program.renew(&made, false, now);
        Ok((self.users.add_program(name, roles, program, now)?, made.into_text()))
    }

    /// Gives the client a new secret or API key. The one before stays good until the next time, or until it expires, unless it must
    /// not. Tokens stay good as well.
    ///
    /// # Errors
    /// [`UserError::NotFound`], [`UserError::Contended`], [`UserError::Store`].
    pub fn rotate(
        &self,
        name: &Username,
        credential: ClientCredential,
        keeps_old: bool,
        now: UnixTime,
    ) -> Result<(User, Secret), UserError> {
        let made = Made::new(credential, now)?;
        let user = self.users.change_program(name, now, |program| program.renew(&made, keeps_old, now))?;
        Ok((user, made.into_text()))
    }
}
