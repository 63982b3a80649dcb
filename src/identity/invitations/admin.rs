//! What an administrator may do with invitations, whichever way it comes.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Invitation, Invitations};
use crate::clock::UnixTime;
use crate::id::UserId;
use crate::identity::admin::{AdminError, explain, find_person};
use crate::identity::users::{User, UserError, Users};
use crate::name::{Roles, Username};
use crate::secret::Secret;

/// How long an invitation may be good.
const GOOD_FOR: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(90 * 86_400);

/// Administration of invitations, by the store itself or by the admin socket of a running gateway. All methods block.
pub trait InvitationAdmin {
    /// Adds a user without a password, and an invitation to choose one.
    ///
    /// # Errors
    /// [`AdminError`], in particular `Exists`.
    fn invite(
        &self,
        username: &Username,
        roles: Roles,
        good_for: Duration,
    ) -> Result<NewInvitation, AdminError>;

    /// Invites a user who exists to choose another password. The invitation before, if there is one, is good for nothing any more.
    ///
    /// # Errors
    /// [`AdminError`], in particular `NotFound`, and `Invalid` for a disabled user.
    fn invite_again(&self, username: &Username, good_for: Duration) -> Result<NewInvitation, AdminError>;

    /// The invitations that are good, by name.
    ///
    /// # Errors
    /// [`AdminError`].
    fn invitations(&self) -> Result<Vec<InvitationView>, AdminError>;

    /// Takes the invitation of a user back. The user stays.
    ///
    /// # Errors
    /// [`AdminError`], in particular `NotFound`, and `Invalid` if there is none.
    fn uninvite(&self, username: &Username) -> Result<(), AdminError>;
}

/// What an administrator sees of an invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationView {
    /// Whose password it sets.
    pub username: Username,
    /// The `sub` of that user's tokens.
    pub id: UserId,
    /// What the user may do.
    pub roles: Roles,
    /// Whether the user has a password already, which the new one will replace.
    pub replaces: bool,
    /// When it was made. RFC 3339, as all times here.
    pub created: String,
    /// From when on it is good for nothing.
    pub expires: String,
}

impl InvitationView {
    fn new(invitation: &Invitation, user: &User) -> Self {
        Self {
            username: user.username.clone(),
            id: user.id,
            roles: user.roles.clone(),
            replaces: !user.password.is_none(),
            created: invitation.created.to_string(),
            expires: invitation.expires.to_string(),
        }
    }
}

/// An invitation and its token, which is shown this once.
#[derive(Clone, Serialize, Deserialize)]
pub struct NewInvitation {
    /// What it is.
    #[serde(flatten)]
    pub view: InvitationView,
    /// The token.
    pub invitation: String,
}

impl std::fmt::Debug for NewInvitation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewInvitation").field("view", &self.view).finish_non_exhaustive()
    }
}

impl NewInvitation {
    fn new(user: &User, invitation: &Invitation, token: &Secret) -> Self {
        Self { view: InvitationView::new(invitation, user), invitation: token.expose().to_owned() }
    }
}

/// The administration on the store itself.
#[derive(Clone, Debug)]
pub struct LocalInvitationAdmin {
    users: Users,
    invitations: Invitations,
    clock: fn() -> UnixTime,
}

impl LocalInvitationAdmin {
    /// Administers the invitations of `users`.
    #[must_use]
    pub fn new(invitations: Invitations, users: Users, clock: fn() -> UnixTime) -> Self {
        Self { users, invitations, clock }
    }

    fn explained<T>(&self, result: Result<T, UserError>) -> Result<T, AdminError> {
        result.map_err(|error| explain(&self.users, error))
    }
}

impl InvitationAdmin for LocalInvitationAdmin {
    fn invite(
        &self,
        username: &Username,
        roles: Roles,
        good_for: Duration,
    ) -> Result<NewInvitation, AdminError> {
        check(good_for)?;
        let made = self.invitations.add_user(username, roles, good_for, (self.clock)());
        let (user, invitation, token) = self.explained(made)?;
        Ok(NewInvitation::new(&user, &invitation, &token))
    }

    fn invite_again(&self, username: &Username, good_for: Duration) -> Result<NewInvitation, AdminError> {
        check(good_for)?;
        let user = find_person(&self.users, username)?;
        if !user.enabled {
            let reason = format!("{} is disabled, and an invitation would not change that", user.username);
            return Err(AdminError::Invalid { reason });
        }
        let made = self.invitations.add(&user, good_for, (self.clock)());
        let (invitation, token) = self.explained(made)?;
        Ok(NewInvitation::new(&user, &invitation, &token))
    }

    fn invitations(&self) -> Result<Vec<InvitationView>, AdminError> {
        let list = self.explained(self.invitations.list((self.clock)()))?;
        let mut views: Vec<_> =
            list.iter().map(|(invitation, user)| InvitationView::new(invitation, user)).collect();
        views.sort_by_cached_key(|view| view.username.folded());
        Ok(views)
    }

    fn uninvite(&self, username: &Username) -> Result<(), AdminError> {
        let user = find_person(&self.users, username)?;
        let was_good = self.explained(self.invitations.remove(&user, (self.clock)()))?;
        let reason = || format!("{} has no invitation that is good", user.username);
        if was_good { Ok(()) } else { Err(AdminError::Invalid { reason: reason() }) }
    }
}

fn check(good_for: Duration) -> Result<(), AdminError> {
    let reason = || "an invitation is good for at least a minute (1m), and at most 90 days (90d)".to_owned();
    if GOOD_FOR.contains(&good_for) { Ok(()) } else { Err(AdminError::Invalid { reason: reason() }) }
}
