//! Logging in with a password. Whether the user is unknown, disabled or has another password is nobody's business but the log's:
//! all of them take the same time and get the same answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::hashing::{HashPool, PoolError, Verdict};
use super::password::{self, MAX_PASSWORD_BYTES, PasswordHash};
use super::throttle::{Attempt, Claim, Credential, Throttle, Throttled};
use super::users::{User, UserError, Users};
use crate::observe::metrics::{LoginCounters, LoginOutcome};
use crate::peer::ClientIp;
use crate::secret::Secret;

/// The login of users. A handle: clones share the store and the pool.
#[derive(Clone, Debug)]
pub struct Login {
    users: Users,
    pool: Arc<HashPool>,
    throttle: Arc<Throttle>,
    outcomes: Arc<LoginCounters>,
}

/// Why nobody was logged in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Unknown, disabled, or the wrong password. Only the audit log is told which.
    #[error("the username or the password is wrong")]
    BadCredentials(Refusal),
    /// Too many tries from this address: try again after this time.
    #[error("too many failed logins from this address")]
    Throttled(Duration),
    /// Too many logins at once: try again in a moment.
    #[error("too many logins at the moment")]
    Busy,
    /// The gateway is shutting down.
    #[error("the gateway is shutting down")]
    Stopped,
    /// The users cannot be read.
    #[error("the users cannot be read")]
    Users(#[source] UserError),
}

/// What the audit log says of bad credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One word.
    pub reason: &'static str,
    /// Whose login was tried, if there is such a user, or a client. Any other name may be a password that was typed into the wrong field.
    pub user: Option<Box<User>>,
}

impl Refusal {
    fn new(reason: &'static str, user: Option<&User>) -> Self {
        Self { reason, user: user.map(|user| Box::new(user.clone())) }
    }

    fn of(found: Option<&User>) -> Self {
        let reason = match found {
            None => "unknown_user",
            Some(user) if !user.enabled => "disabled",
            Some(_) => "wrong_password",
        };
        Self::new(reason, found)
    }
}

impl From<PoolError> for LoginError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Busy => Self::Busy,
            // Only a new hash can fail to be computed, and a login goes on without one.
            PoolError::Stopped | PoolError::Failed(_) => Self::Stopped,
        }
    }
}

impl Login {
    /// Logs users of `users` in, as often as `throttle` allows, with the checks done by `pool`.
    #[must_use]
    pub fn new(users: Users, pool: Arc<HashPool>, throttle: Arc<Throttle>) -> Self {
        Self { users, pool, throttle, outcomes: Arc::default() }
    }

    /// What slows guessing down. Whoever asks for a credential in another way has to count there, too.
    #[must_use]
    pub fn throttle(&self) -> &Throttle {
        &self.throttle
    }

    /// Logins so far, by outcome. Clones count together.
    #[must_use]
    pub fn outcomes(&self) -> &LoginCounters {
        &self.outcomes
    }

    /// The user whose name and password these are, for a client that asks at `now`. Call it on a tokio runtime of the control plane: it reads the store on that
    /// runtime's blocking threads.
    ///
    /// # Errors
    /// [`LoginError::BadCredentials`] and the others, see there.
    pub async fn with_password(
        &self,
        username: &str,
        password: Secret,
        client: ClientIp,
        now: Instant,
    ) -> Result<User, LoginError> {
        let result = match self.begin(username, client, now) {
            Ok(attempt) => self.attempt(attempt, username, password).await,
            Err(throttled) => Err(LoginError::Throttled(throttled.wait)),
        };
        self.outcomes.count(match &result {
            Ok(_) => LoginOutcome::Success,
            Err(LoginError::BadCredentials(_)) => LoginOutcome::BadCredentials,
            Err(LoginError::Throttled(_)) => LoginOutcome::Throttled,
            Err(LoginError::Busy) => LoginOutcome::Busy,
            Err(LoginError::Stopped | LoginError::Users(_)) => LoginOutcome::Failed,
        });
        result
    }

    /// The hash of a new password, which has been judged already.
    ///
    /// # Errors
    /// [`LoginError::Busy`], [`LoginError::Stopped`].
    pub async fn hash(&self, password: Secret) -> Result<PasswordHash, LoginError> {
        Ok(self.pool.hash(password).await?)
    }

    /// Counts the login, before the store is read or a hash computed for it.
    fn begin(&self, username: &str, client: ClientIp, now: Instant) -> Result<Attempt<'_>, Throttled> {
        let claim = Claim { credential: Credential::Password, client, name: Some(username) };
        self.throttle.admit(&claim, now)
    }

    async fn attempt(
        &self,
        attempt: Attempt<'_>,
        username: &str,
        password: Secret,
    ) -> Result<User, LoginError> {
        let result = self.check(username, password).await;
        match &result {
            Ok(_) => attempt.succeed(),
            // It stays counted.
            Err(LoginError::BadCredentials(_)) => drop(attempt),
            Err(_) => attempt.withdraw(),
        }
        result
    }

    async fn check(&self, username: &str, password: Secret) -> Result<User, LoginError> {
        // The length is the sender's own choice and tells nothing about a user.
        if password.expose().len() > MAX_PASSWORD_BYTES {
            return Err(LoginError::BadCredentials(Refusal::new("password_too_long", None)));
        }
        let name = username.to_owned();
        let found = self.read(move |users| users.find(&name)).await?;
        let claimed = found.as_ref().filter(|user| user.enabled && user.program.is_none());
        let hash = claimed.map(|user| user.password.clone()).filter(|hash| !hash.is_none());
        let verdict = self.pool.verify(hash, password.clone()).await?;
        let (Verdict::Match, Some(claimed)) = (verdict, claimed) else {
            return Err(LoginError::BadCredentials(Refusal::of(found.as_ref())));
        };
        let user = self.still_the_same(claimed).await?;
        if password::needs_rehash(&user.password, self.pool.params()) {
            self.rehash(&user, password).await;
        }
        Ok(user)
    }

    /// Reads the user again: it may have been disabled, removed or given another password while this one was checked. With the
    /// hash or the token version unchanged the password is; a login at the same time may have replaced the hash alone.
    async fn still_the_same(&self, claimed: &User) -> Result<User, LoginError> {
        let id = claimed.id;
        let user = self.read(move |users| users.by_id(id)).await?;
        let same = |user: &User| user.password == claimed.password || user.version == claimed.version;
        user.filter(|user| user.enabled && same(user))
            .ok_or_else(|| LoginError::BadCredentials(Refusal::new("changed_meanwhile", Some(claimed))))
    }

    /// Replaces a hash of other parameters. A login does not fail because this does; the next one tries again.
    async fn rehash(&self, user: &User, password: Secret) {
        let new = match self.pool.hash(password).await {
            Ok(new) => new,
            Err(error) => return tracing::debug!(user.id = %user.id, %error, "password hash not renewed"),
        };
        let (id, old) = (user.id, user.password.clone());
        if let Err(error) = self.read(move |users| users.replace_hash(id, &old, &new)).await {
            tracing::debug!(user.id = %user.id, %error, "password hash not renewed");
        }
    }

    /// Runs what blocks on the disk where it may.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Users) -> Result<T, UserError> + Send + 'static,
    ) -> Result<T, LoginError> {
        let users = self.users.clone();
        let done = tokio::task::spawn_blocking(move || work(&users)).await;
        // It was not run because the runtime is going away, or it panicked; either way there is no answer.
        done.map_err(|_| LoginError::Stopped)?.map_err(LoginError::Users)
    }
}

#[cfg(test)]
mod tests;
