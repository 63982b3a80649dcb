//! Users who come by themselves: with an invitation, or without where the configuration lets everybody in.
//!
//! Whether a name was free is not told. A stranger gets the same answer either way, after the same work: the password is hashed through
//! the same queue as any other, and as much is written to the disk. What is refused before that depends on the request, on how many
//! there were before, and on how many users there are, never on whose the name is. Somebody can still log in afterwards to see whether
//! the account is the own one; without a message to the owner nothing hides that. It costs an account each time, and their number is
//! bounded in three ways: per address and time, by the queue of hashes, and in all.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::hashing::{HashPool, PoolError};
use super::invitations::Invitations;
use super::password::{WeakPassword, check_new_password};
use super::throttle::{Attempt, Claim, Credential, Throttle};
use super::users::{Registered, User, UserError, Users};
use crate::clock::Moment;
use crate::config;
use crate::name::{Roles, Username};
use crate::peer::ClientIp;
use crate::secret::Secret;
use crate::store::Store;

/// How long the number of users is taken to be the last one that was counted, and those who have come since.
const RECOUNT_EVERY: Duration = Duration::from_secs(60);

/// Registration. Outlives a reload.
#[derive(Debug)]
pub struct Registration {
    users: Users,
    invitations: Invitations,
    pool: Arc<HashPool>,
    throttle: Throttle,
    known: Mutex<Option<Count>>,
}

/// The number of users.
#[derive(Clone, Copy, Debug)]
struct Count {
    users: usize,
    counted: Instant,
}

/// A stranger who wants to be a user.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// The name that is asked for.
    pub username: Username,
    /// The password that is to be.
    pub password: Secret,
    /// What the user will be allowed.
    pub roles: Roles,
}

/// An invitation that was used.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Whose it was, with the new password.
    pub user: User,
    /// Whether there was a password before.
    pub had_password: bool,
}

/// Why there is no new user, or no new password. None of them says whether a name is taken.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// The password is none to be taken.
    #[error(transparent)]
    Weak(#[from] WeakPassword),
    /// Unknown, used, expired, or of a user who may not log in.
    #[error("the invitation is unknown, used or expired")]
    BadInvitation,
    /// Too many tries from this address: try again after this time.
    #[error("too many registrations from this address")]
    Throttled(Duration),
    /// There are as many users as may be.
    #[error("there are as many users as registration.max_users allows")]
    Full,
    /// Too many passwords are hashed at the moment.
    #[error("too many passwords are being hashed at the moment")]
    Busy,
    /// The gateway is shutting down.
    #[error("the gateway is shutting down")]
    Stopped,
    /// The users cannot be read or changed.
    #[error("the users cannot be read or changed")]
    Users(#[source] UserError),
}

impl From<PoolError> for RegistrationError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Busy => Self::Busy,
            PoolError::Stopped | PoolError::Failed(_) => Self::Stopped,
        }
    }
}

impl Registration {
    /// Registers among the `users` of `store` as often as `settings` allow, counted from `epoch`, with the hashes made by `pool`.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        users: Users,
        pool: Arc<HashPool>,
        settings: &config::Throttle,
        epoch: Instant,
    ) -> Self {
        let invitations = Invitations::new(store, users.clone());
        Self { users, invitations, pool, throttle: Throttle::new(settings, epoch), known: Mutex::default() }
    }

    /// What slows it down.
    #[must_use]
    pub fn throttle(&self) -> &Throttle {
        &self.throttle
    }

    /// The invitations.
    #[must_use]
    pub fn invitations(&self) -> &Invitations {
        &self.invitations
    }

    /// Adds a user if the name is free and there are fewer than `max_users`. Call it on a tokio runtime of the control plane, as the
    /// other one: the disk is read and written on that runtime's blocking threads.
    ///
    /// # Errors
    /// [`RegistrationError`].
    pub async fn register(
        self: &Arc<Self>,
        new: Newcomer,
        max_users: usize,
        client: ClientIp,
        now: Moment,
    ) -> Result<Registered, RegistrationError> {
        check_new_password(&new.password, &new.username)?;
        let attempt = self.begin(Credential::Registration, client, now.steady)?;
        let registered = self.add(new, max_users, now).await;
        if let Err(RegistrationError::Busy | RegistrationError::Stopped) = &registered {
            attempt.withdraw();
        }
        registered
    }

    /// Gives the user of an invitation this password, and uses the invitation up. The clock is read again when the password is hashed: a
    /// revocation that is dated before the wait for that would be forgotten too soon.
    ///
    /// # Errors
    /// [`RegistrationError`]; the invitation stays as good as it was.
    pub async fn accept(
        self: &Arc<Self>,
        invitation: Secret,
        password: Secret,
        client: ClientIp,
        clock: fn() -> Moment,
    ) -> Result<Accepted, RegistrationError> {
        let attempt = self.begin(Credential::Invitation, client, clock().steady)?;
        let accepted = self.replace_password(invitation, password, clock).await;
        match &accepted {
            // It stays counted.
            Err(RegistrationError::BadInvitation) => drop(attempt),
            _ => attempt.succeed(),
        }
        accepted
    }

    async fn add(
        self: &Arc<Self>,
        new: Newcomer,
        max_users: usize,
        now: Moment,
    ) -> Result<Registered, RegistrationError> {
        let Newcomer { username, password, roles } = new;
        self.blocking(move |it| it.take_place(max_users, now.steady)).await?;
        let hash = match self.pool.hash(password).await {
            Ok(hash) => hash,
            Err(error) => {
                self.give_place_back();
                return Err(error.into());
            }
        };
        let add = move |it: &Self| {
            let registered = it.users.add_stranger(&username, &roles, &hash, now.wall);
            if !matches!(registered, Ok(Registered::Added(_))) {
                it.give_place_back();
            }
            registered.map_err(RegistrationError::Users)
        };
        self.blocking(add).await
    }

    async fn replace_password(
        self: &Arc<Self>,
        invitation: Secret,
        password: Secret,
        clock: fn() -> Moment,
    ) -> Result<Accepted, RegistrationError> {
        let (token, now) = (invitation.clone(), clock().wall);
        let find = move |it: &Self| it.invitations.find(&token, now).map_err(RegistrationError::Users);
        let invited = self.blocking(find).await?.ok_or(RegistrationError::BadInvitation)?;
        check_new_password(&password, &invited.username)?;
        let hash = self.pool.hash(password).await?;
        let accept = move |it: &Self| {
            let accepted = it.invitations.accept(&invitation, &hash, clock().wall);
            accepted.map_err(RegistrationError::Users)
        };
        let user = self.blocking(accept).await?.ok_or(RegistrationError::BadInvitation)?;
        Ok(Accepted { user, had_password: !invited.password.is_none() })
    }

    fn begin(
        &self,
        credential: Credential,
        client: ClientIp,
        now: Instant,
    ) -> Result<Attempt<'_>, RegistrationError> {
        self.throttle.begin(&Claim { credential, client, name: None }, now).map_err(|throttled| {
            if throttled.is_first {
                let (wait, what) = (throttled.wait.as_secs_f64(), credential.name());
                tracing::warn!(client.addr = %client, what, wait, "registrations are throttled: there were too many");
            }
            RegistrationError::Throttled(throttled.wait)
        })
    }

    /// Counts a user who is about to come. All users are counted anew now and then, since they come and go in other ways too; those who
    /// are being hashed at that moment are not among them, so a few more than `max_users` may come.
    fn take_place(&self, max_users: usize, now: Instant) -> Result<(), RegistrationError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = known.filter(|it| now.saturating_duration_since(it.counted) < RECOUNT_EVERY);
        let mut count = match fresh {
            Some(count) => count,
            None => {
                let users = self.users.count(max_users).map_err(RegistrationError::Users)?;
                Count { users, counted: now }
            }
        };
        let has_room = count.users < max_users;
        count.users += usize::from(has_room);
        *known = Some(count);
        if has_room { Ok(()) } else { Err(RegistrationError::Full) }
    }

    fn give_place_back(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = known.as_mut() {
            count.users = count.users.saturating_sub(1);
        }
    }

    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, RegistrationError> + Send + 'static,
    ) -> Result<T, RegistrationError> {
        let it = self.clone();
        // It was not run because the runtime is going away, or it panicked; either way there is no answer.
        tokio::task::spawn_blocking(move || work(&it)).await.map_err(|_| RegistrationError::Stopped)?
    }
}

#[cfg(test)]
mod tests;
