//! What an administrator may do with users, whichever way it comes: on the store itself, or over the admin socket of a running
//! gateway.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::hashing::{HashPool, PoolError};
use super::import::{ImportRules, ImportedUser, Outcome};
use super::password::{self, Argon2Params, HashError, PasswordHash, Work, check_new_password};
use super::users::{User, UserError, Users};
use crate::causes::with_causes;
use crate::clock::UnixTime;
use crate::id::UserId;
use crate::name::{Roles, Username};
use crate::secret::Secret;

/// User administration, by the store itself or by the admin socket of a running gateway. All methods block. When one that changes a
/// user has returned, the change is on the disk and older tokens are refused.
pub trait UserAdmin {
    /// Adds an enabled user.
    ///
    /// # Errors
    /// [`AdminError`], in particular `Exists`, and `Invalid` for a weak password.
    fn add(&self, username: &Username, roles: Roles, password: Secret) -> Result<UserView, AdminError>;

    /// Adds users that come from elsewhere, or changes them. The outcomes are in the order of the users; one that is refused keeps none
    /// of the others from being imported.
    ///
    /// # Errors
    /// [`AdminError`] when nothing was done.
    fn import(&self, users: &[ImportedUser], rules: &ImportRules) -> Result<Vec<Outcome>, AdminError>;

    /// All users, by name.
    ///
    /// # Errors
    /// [`AdminError`].
    fn list(&self) -> Result<Vec<UserView>, AdminError>;

    /// One user.
    ///
    /// # Errors
    /// [`AdminError`], in particular `NotFound`; so do those that follow.
    fn show(&self, username: &Username) -> Result<UserView, AdminError>;

    /// Gives the user exactly these roles.
    ///
    /// # Errors
    /// [`AdminError`].
    fn set_roles(&self, username: &Username, roles: Roles) -> Result<UserView, AdminError>;

    /// Replaces the password.
    ///
    /// # Errors
    /// [`AdminError`], in particular `Invalid` for a weak password.
    fn set_password(&self, username: &Username, password: Secret) -> Result<UserView, AdminError>;

    /// Lets the user log in, or not.
    ///
    /// # Errors
    /// [`AdminError`].
    fn set_enabled(&self, username: &Username, enabled: bool) -> Result<UserView, AdminError>;

    /// Gives the user another name.
    ///
    /// # Errors
    /// [`AdminError`], in particular `Exists`.
    fn rename(&self, from: &Username, to: &Username) -> Result<UserView, AdminError>;

    /// Removes the user.
    ///
    /// # Errors
    /// [`AdminError`].
    fn remove(&self, username: &Username) -> Result<(), AdminError>;
}

/// What an administrator sees of a user, and `user list --json` prints. There is no password in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserView {
    /// The `sub` of the user's tokens.
    pub id: UserId,
    /// As it was written.
    pub username: Username,
    /// Sorted.
    pub roles: Roles,
    /// Whether the user may log in.
    pub enabled: bool,
    /// Which function made the hash of the password, or `none`.
    #[serde(default)]
    pub password_form: String,
    /// The token version.
    pub version: u64,
    /// RFC 3339.
    pub created: String,
    /// RFC 3339.
    pub updated: String,
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        Self {
            id: user.id,
            username: user.username.clone(),
            roles: user.roles.clone(),
            enabled: user.enabled,
            password_form: user.password.form().to_owned(),
            version: user.version,
            created: user.created.to_string(),
            updated: user.updated.to_string(),
        }
    }
}

/// Why it was not done. Goes over the admin socket as JSON and comes out the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "error", rename_all = "snake_case")]
pub enum AdminError {
    /// There is no such user.
    #[error("there is no user \"{username}\"{}", hint(similar.as_deref()))]
    NotFound {
        /// Who was asked for.
        username: Username,
        /// Who may have been meant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        similar: Option<String>,
    },
    /// The name is taken.
    #[error("{}", taken(username, *is_client))]
    Exists {
        /// Whose it is, as it is written there.
        username: Username,
        /// Whether that is a client: clients and users share their names.
        #[serde(default)]
        is_client: bool,
    },
    /// The request cannot be granted as it is.
    #[error("{reason}")]
    Invalid {
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// Too much at once: the same may work in a moment.
    #[error("{reason}; try again in a moment")]
    Busy {
        /// What there was too much of.
        reason: String,
    },
    /// The store or the gateway cannot do it now.
    #[error("{reason}")]
    Unavailable {
        /// What failed, with its causes.
        reason: String,
    },
}

fn hint(similar: Option<&str>) -> String {
    similar.map_or_else(String::new, |name| format!("; did you mean \"{name}\"?"))
}

fn taken(username: &Username, is_client: bool) -> String {
    if is_client {
        return format!(
            "there is already a client \"{username}\", and users and clients share their names: see `portcullis client --help`"
        );
    }
    format!("there is already a user \"{username}\" (usernames compare without regard to case)")
}

/// Where new passwords are hashed.
#[derive(Clone, Debug)]
pub enum Hashing {
    /// On the calling thread: for a command line of its own.
    Here(Argon2Params),
    /// In the pool, which bounds the memory of a gateway that runs.
    Pool(Arc<HashPool>),
}

/// The administration on the store itself.
#[derive(Clone, Debug)]
pub struct LocalUserAdmin {
    users: Users,
    hashing: Hashing,
    clock: fn() -> UnixTime,
}

impl LocalUserAdmin {
    /// Administers `users`; `clock` is asked for the time of each change (`clock::now`, or a test's own).
    #[must_use]
    pub fn new(users: Users, hashing: Hashing, clock: fn() -> UnixTime) -> Self {
        Self { users, hashing, clock }
    }

    fn hash(&self, username: &Username, password: Secret) -> Result<PasswordHash, AdminError> {
        if let Err(weak) = check_new_password(&password, username) {
            return Err(AdminError::Invalid { reason: weak.to_string() });
        }
        match &self.hashing {
            Hashing::Here(params) => Ok(password::hash(*params, &password)?),
            Hashing::Pool(pool) => Ok(pool.hash_blocking(password)?),
        }
    }

    fn find(&self, username: &Username) -> Result<User, AdminError> {
        find_person(&self.users, username)
    }

    fn view(&self, result: Result<User, UserError>) -> Result<UserView, AdminError> {
        result.map(|user| UserView::from(&user)).map_err(|error| self.explain(error))
    }

    fn explain(&self, error: UserError) -> AdminError {
        explain(&self.users, error)
    }
}

/// The user of this name who is no client.
pub(super) fn find_person(users: &Users, username: &Username) -> Result<User, AdminError> {
    let user = users.find(username.as_str()).map_err(|error| explain(users, error))?;
    let user = user.ok_or_else(|| explain(users, UserError::NotFound(username.clone())))?;
    if user.program.is_some() {
        let reason = format!("\"{username}\" is a client and no user: see `portcullis client --help`");
        return Err(AdminError::Invalid { reason });
    }
    Ok(user)
}

/// A failure in the words of the administration.
pub(super) fn explain(users: &Users, error: UserError) -> AdminError {
    match error {
        UserError::NotFound(username) => {
            AdminError::NotFound { similar: users.similar_name(&username), username }
        }
        UserError::Exists(username) => {
            let owner = users.find(username.as_str()).ok().flatten();
            AdminError::Exists { username, is_client: owner.is_some_and(|owner| owner.program.is_some()) }
        }
        UserError::Contended(username) => AdminError::Busy {
            reason: format!("user \"{username}\" is being changed by others all the time"),
        },
        error @ UserError::TooManyRoles => AdminError::Invalid { reason: error.to_string() },
        error @ (UserError::Store(_) | UserError::NoRandomness(_)) => {
            AdminError::Unavailable { reason: with_causes(&error) }
        }
    }
}

impl UserAdmin for LocalUserAdmin {
    fn add(&self, username: &Username, roles: Roles, password: Secret) -> Result<UserView, AdminError> {
        // Asked first, so that nobody waits for a hash, or is told about the password, where the name is the trouble.
        if let Ok(Some(user)) = self.users.find(username.as_str()) {
            return Err(self.explain(UserError::Exists(user.username)));
        }
        let hash = self.hash(username, password)?;
        self.view(self.users.add(username, roles, hash, (self.clock)()))
    }

    fn import(&self, users: &[ImportedUser], rules: &ImportRules) -> Result<Vec<Outcome>, AdminError> {
        // SECURITY (L7): judged here too, whoever sends it.
        for user in users {
            if let Some(Err(error)) = user.password.as_ref().map(PasswordHash::check) {
                return Err(AdminError::Invalid { reason: format!("{}: {error}", user.username) });
            }
        }
        let import = |rules: &ImportRules| {
            let outcomes = self.users.import(users, rules, (self.clock)());
            outcomes.map_err(|error| self.explain(error))
        };
        let pool = match &self.hashing {
            Hashing::Pool(pool) if !rules.dry_run => pool,
            Hashing::Pool(_) | Hashing::Here(_) => return import(rules),
        };
        // The kinds of hashes that users will have are known before the users are, so that nobody can be told from others by the time
        // of a failed login. Those of lines that change nothing are not among them: each kind makes every failed login slower.
        let planned = import(&ImportRules { dry_run: true, ..rules.clone() })?;
        let changing = pool.works().add(works_of(users, &planned));
        let outcomes = import(rules)?;
        drop(changing);
        // Somebody else may have removed a user in between who was to be skipped.
        drop(pool.works().add(works_of(users, &outcomes)));
        Ok(outcomes)
    }

    fn list(&self) -> Result<Vec<UserView>, AdminError> {
        let (mut users, mut after): (Vec<UserView>, _) = (Vec::new(), None);
        loop {
            let page = self.users.list(after, 1000);
            let page = page.map_err(|error| self.explain(error))?;
            if page.is_empty() {
                break;
            }
            after = page.last().map(|user| user.id);
            users.extend(page.iter().filter(|user| user.program.is_none()).map(UserView::from));
        }
        users.sort_by_cached_key(|user| user.username.folded());
        Ok(users)
    }

    fn show(&self, username: &Username) -> Result<UserView, AdminError> {
        self.find(username).map(|user| UserView::from(&user))
    }

    fn set_roles(&self, username: &Username, roles: Roles) -> Result<UserView, AdminError> {
        self.find(username)?;
        self.view(self.users.set_roles(username, &roles, (self.clock)()))
    }

    fn set_password(&self, username: &Username, password: Secret) -> Result<UserView, AdminError> {
        self.find(username)?;
        let hash = self.hash(username, password)?;
        self.view(self.users.set_password(username, &hash, (self.clock)()))
    }

    fn set_enabled(&self, username: &Username, enabled: bool) -> Result<UserView, AdminError> {
        self.find(username)?;
        self.view(self.users.set_enabled(username, enabled, (self.clock)()))
    }

    fn rename(&self, from: &Username, to: &Username) -> Result<UserView, AdminError> {
        self.find(from)?;
        self.view(self.users.rename(from, to, (self.clock)()))
    }

    fn remove(&self, username: &Username) -> Result<(), AdminError> {
        self.find(username)?;
        self.users.remove(username, (self.clock)()).map_err(|error| self.explain(error))
    }
}

/// The kinds of the hashes that are stored with these outcomes.
fn works_of(users: &[ImportedUser], outcomes: &[Outcome]) -> impl Iterator<Item = Work> {
    users.iter().zip(outcomes).filter(|(_, outcome)| outcome.is_done()).filter_map(|(user, _)| user.work())
}

impl From<HashError> for AdminError {
    fn from(error: HashError) -> Self {
        Self::Unavailable { reason: error.to_string() }
    }
}

impl From<PoolError> for AdminError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Busy => Self::Busy { reason: error.to_string() },
            PoolError::Stopped | PoolError::Failed(_) => Self::Unavailable { reason: error.to_string() },
        }
    }
}

#[cfg(test)]
mod tests;
