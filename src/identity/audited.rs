//! Administration that leaves an audit record of every change, done or not. Every way to users, sessions and clients goes through it.

mod clients;
mod invitations;
mod keys;
mod sessions;

use std::sync::Arc;

use clients::AuditedClients;
use invitations::AuditedInvitations;
use keys::AuditedKeys;
use sessions::AuditedSessions;

use super::admin::{AdminError, UserAdmin, UserView};
use super::clients::ClientAdmin;
use super::import::{ImportRules, ImportedUser, Outcome};
use super::invitations::InvitationAdmin;
use super::keys::KeyAdmin;
use super::sessions::SessionAdmin;
use crate::clock::UnixTime;
use crate::id::UserId;
use crate::name::{Roles, Username};
use crate::observe::audit::{Action, Actor, Audit, AuditError, Event, Target};
use crate::secret::Secret;

/// Records what one actor does.
#[derive(Clone)]
pub struct Recorder {
    audit: Audit,
    actor: Actor,
    clock: fn() -> UnixTime,
}

impl Recorder {
    /// What `actor` does is recorded in `audit`; `clock` is asked for the time of each record.
    #[must_use]
    pub fn new(audit: Audit, actor: Actor, clock: fn() -> UnixTime) -> Self {
        Self { audit, actor, clock }
    }

    /// Does it and records it. A change that cannot be recorded is not begun; one that turns out so afterwards is not acknowledged.
    fn record<T>(
        &self,
        what: &Event,
        user_id: impl Fn(&T) -> Option<UserId>,
        work: impl FnOnce() -> Result<T, AdminError>,
    ) -> Result<T, AdminError> {
        self.audit.open().map_err(|error| unavailable("nothing was changed", &error))?;
        self.finish(what, user_id, work(), |event| self.audit.record_blocking(event))
    }

    /// The same for what ends sessions: it is done in any case. See [`crate::observe::audit`].
    fn record_end<T>(
        &self,
        what: &Event,
        work: impl FnOnce() -> Result<T, AdminError>,
    ) -> Result<T, AdminError> {
        self.finish(what, |_| None, work(), |event| self.audit.record_or_keep(event))
    }

    fn finish<T>(
        &self,
        what: &Event,
        user_id: impl Fn(&T) -> Option<UserId>,
        result: Result<T, AdminError>,
        record: impl FnOnce(Event) -> Result<(), AuditError>,
    ) -> Result<T, AdminError> {
        let now = (self.clock)();
        let event = match &result {
            Ok(done) => Event { user_id: user_id(done), ..Event::success(what.action, now) },
            Err(error) => match reason(error) {
                (reason, true) => Event::refused(what.action, reason, now),
                (reason, false) => Event::failed(what.action, reason, now),
            },
        };
        let event = Event { target: what.target.clone(), detail: what.detail.clone(), ..event };
        match (&result, record(event.by(self.actor.clone()))) {
            (Ok(_), Err(error)) => Err(unavailable("it was done, but not recorded", &error)),
            _ => result,
        }
    }

    fn event(&self, action: Action, target: Target) -> Event {
        Event::success(action, (self.clock)()).on(target)
    }
}

fn unavailable(before: &str, error: &AuditError) -> AdminError {
    AdminError::Unavailable { reason: format!("{before}: {error}") }
}

/// Everything that can be administered.
#[derive(Clone)]
pub struct Administered {
    /// The people.
    pub users: Arc<dyn UserAdmin + Send + Sync>,
    /// Their sessions.
    pub sessions: Arc<dyn SessionAdmin + Send + Sync>,
    /// The programs.
    pub clients: Arc<dyn ClientAdmin + Send + Sync>,
    /// The invitations of users.
    pub invitations: Arc<dyn InvitationAdmin + Send + Sync>,
    /// The signing keys.
    pub keys: Arc<dyn KeyAdmin + Send + Sync>,
}

impl Administered {
    /// The same, with a record of each change.
    #[must_use]
    pub fn recorded(&self, recorder: &Recorder) -> Self {
        let recorder = || recorder.clone();
        Self {
            users: Arc::new(AuditedUsers { users: self.users.clone(), recorder: recorder() }),
            sessions: Arc::new(AuditedSessions::new(self.sessions.clone(), recorder())),
            clients: Arc::new(AuditedClients::new(self.clients.clone(), recorder())),
            invitations: Arc::new(AuditedInvitations::new(self.invitations.clone(), recorder())),
            keys: Arc::new(AuditedKeys::new(self.keys.clone(), recorder())),
        }
    }
}

/// The administration of users, as one actor does it.
struct AuditedUsers {
    users: Arc<dyn UserAdmin + Send + Sync>,
    recorder: Recorder,
}

impl AuditedUsers {
    fn event(&self, action: Action, username: &Username) -> Event {
        self.recorder.event(action, Target::User(username.clone()))
    }

    fn change(
        &self,
        what: &Event,
        work: impl FnOnce(&dyn UserAdmin) -> Result<UserView, AdminError>,
    ) -> Result<UserView, AdminError> {
        self.recorder.record(what, |user: &UserView| Some(user.id), || work(&*self.users))
    }
}

fn with_roles(roles: &Roles) -> String {
    if roles.is_empty() { "no role".to_owned() } else { format!("roles: {roles}") }
}

/// One word for the record, and whether the rules have refused it.
fn reason(error: &AdminError) -> (&'static str, bool) {
    match error {
        AdminError::NotFound { .. } => ("no_such_user", true),
        AdminError::Exists { .. } => ("name_taken", true),
        AdminError::Invalid { .. } => ("not_valid", true),
        AdminError::Busy { .. } => ("busy", false),
        AdminError::Unavailable { .. } => ("unavailable", false),
    }
}

impl UserAdmin for AuditedUsers {
    fn add(&self, username: &Username, roles: Roles, password: Secret) -> Result<UserView, AdminError> {
        let what = self.event(Action::UserAdd, username).detail(with_roles(&roles));
        self.change(&what, |users| users.add(username, roles, password))
    }

    fn import(&self, users: &[ImportedUser], rules: &ImportRules) -> Result<Vec<Outcome>, AdminError> {
        if rules.dry_run {
            return self.users.import(users, rules);
        }
        let detail = format!("{} users in this part of the file", users.len());
        let what = Event::success(Action::UserImport, (self.recorder.clock)()).detail(detail);
        self.recorder.record(&what, |_| None, || self.users.import(users, rules))
    }

    fn list(&self) -> Result<Vec<UserView>, AdminError> {
        self.users.list()
    }

    fn show(&self, username: &Username) -> Result<UserView, AdminError> {
        self.users.show(username)
    }

    fn set_roles(&self, username: &Username, roles: Roles) -> Result<UserView, AdminError> {
        let what = self.event(Action::UserRoles, username).detail(with_roles(&roles));
        self.change(&what, |users| users.set_roles(username, roles))
    }

    fn set_password(&self, username: &Username, password: Secret) -> Result<UserView, AdminError> {
        let what = self.event(Action::UserPassword, username);
        self.change(&what, |users| users.set_password(username, password))
    }

    fn set_enabled(&self, username: &Username, enabled: bool) -> Result<UserView, AdminError> {
        let action = if enabled { Action::UserEnable } else { Action::UserDisable };
        self.change(&self.event(action, username), |users| users.set_enabled(username, enabled))
    }

    fn rename(&self, from: &Username, to: &Username) -> Result<UserView, AdminError> {
        let what = self.event(Action::UserRename, from).detail(format!("to: {to}"));
        self.change(&what, |users| users.rename(from, to))
    }

    fn remove(&self, username: &Username) -> Result<(), AdminError> {
        let id = self.users.show(username).ok().map(|user| user.id);
        let what = self.event(Action::UserRemove, username);
        self.recorder.record(&what, |()| id, || self.users.remove(username))
    }
}
