//! What goes over the admin socket: JSON, the same types on both sides.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::identity::{AdminError, ClientCredential, ImportRules, ImportedUser, Rotation};
use crate::name::{CallerName, Roles, Username};

/// The users.
pub(super) const USERS: &str = "/admin/v1/users";
/// The clients.
pub(super) const CLIENTS: &str = "/admin/v1/clients";
/// The invitations.
pub(super) const INVITATIONS: &str = "/admin/v1/invitations";
/// The sessions; those of a user are under [`USERS`], too.
pub(super) const SESSIONS: &str = "/admin/v1/sessions";
/// `POST`: users that come from elsewhere.
pub(super) const IMPORT: &str = "/admin/v1/import";
/// `GET`: the signing keys.
pub(super) const KEYS: &str = "/admin/v1/keys";
/// `POST`: replaces the signing key.
pub(super) const ROTATE: &str = "/admin/v1/keys/rotate";
/// `POST`: what a token says, if it is valid.
pub(super) const VERIFY: &str = "/admin/v1/verify";

/// `POST /admin/v1/users`
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUser {
    pub(super) username: Username,
    pub(super) roles: Roles,
    pub(super) password: String,
}

/// `POST /admin/v1/clients`
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewClient {
    pub(super) client_id: Username,
    pub(super) roles: Roles,
    pub(super) credential: ClientCredential,
}

/// `POST /admin/v1/invitations`
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Invite {
    pub(super) username: Username,
    /// Of a new user; absent for one who exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) roles: Option<Roles>,
    /// How long it is good, in seconds.
    pub(super) good_for: u64,
}

/// `PATCH /admin/v1/clients/NAME`: exactly one change.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum ChangeClient {
    Roles(Roles),
    Enabled(bool),
}

/// `POST /admin/v1/clients/NAME/secrets`
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateSecret {
    /// What is rotated; without it, what the client has.
    pub(super) credential: Option<ClientCredential>,
    pub(super) keeps_old: bool,
}

/// `POST /admin/v1/import`
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Import {
    pub(super) rules: ImportRules,
    pub(super) users: Vec<ImportedUser>,
}

/// `PATCH /admin/v1/users/NAME`: exactly one change.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Change {
    Username(Username),
    Roles(Roles),
    Password(String),
    Enabled(bool),
}

/// `POST /admin/v1/keys/rotate`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotate {
    pub(super) rotation: Rotation,
}

/// `POST /admin/v1/verify`
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifyToken {
    pub(super) token: String,
}

/// Whom a token speaks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenView {
    /// The user.
    pub username: CallerName,
    /// The roles in the token.
    pub roles: Roles,
    /// When it expires, in seconds since the epoch.
    pub expires_at: u64,
}

/// Neither passwords nor tokens are ever printed.
impl fmt::Debug for NewUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewUser").field("username", &self.username).finish_non_exhaustive()
    }
}

/// The status that goes with an error. The body is the error itself.
pub(super) fn status_of(error: &AdminError) -> http::StatusCode {
    match error {
        AdminError::NotFound { .. } => http::StatusCode::NOT_FOUND,
        AdminError::Exists { .. } => http::StatusCode::CONFLICT,
        AdminError::Invalid { .. } => http::StatusCode::UNPROCESSABLE_ENTITY,
        AdminError::Busy { .. } | AdminError::Unavailable { .. } => http::StatusCode::SERVICE_UNAVAILABLE,
    }
}
