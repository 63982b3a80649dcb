//! What an import of users consists of, and the files that it is read from. Knows no store: see `Users::import` for that.

mod htpasswd;
mod lines;
mod object;

use serde::{Deserialize, Serialize};

pub use self::lines::{FileFormat, Line, LineError, Lines};
use super::password::{PasswordHash, Work};
use crate::name::{Roles, Username};

/// One user of a file. What it does not say is left as it is, or gets a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportedUser {
    /// The name.
    pub username: Username,
    /// The roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Roles>,
    /// The hash of the password. A new user without one cannot log in until a password is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordHash>,
    /// Whether the user may log in; new ones may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

impl ImportedUser {
    /// How the hash of the password is checked, if there is one.
    pub(super) fn work(&self) -> Option<Work> {
        self.password.as_ref().and_then(PasswordHash::work)
    }
}

/// What holds for all users of an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportRules {
    /// When a name is taken.
    pub if_exists: IfExists,
    /// For new users whose roles are not said.
    pub default_roles: Roles,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// What to do with a user whose name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IfExists {
    /// Nothing, and say so.
    Refuse,
    /// Nothing.
    Skip,
    /// Change what the file says.
    Update,
}

/// What became of one user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is new.
    Added,
    /// It was there and is as the file says now.
    Updated,
    /// It was there.
    Skipped,
    /// Nothing was changed.
    Refused {
        /// Why.
        reason: String,
    },
}

impl Outcome {
    /// Whether the store has what was said of the user.
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Added | Self::Updated)
    }
}
