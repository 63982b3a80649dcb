//! User administration that leaves an audit record of every change, done or not. Both ways to the users go through it.

use std::sync::Arc;

use super::admin::{AdminError, UserAdmin, UserView};
use crate::clock::UnixTime;
use crate::id::UserId;
use crate::name::{Roles, Username};
use crate::observe::audit::{Action, Actor, Audit, Event, Target};
use crate::secret::Secret;

/// The administration of users, as one actor does it.
#[derive(Clone)]
pub struct Audited {
    users: Arc<dyn UserAdmin + Send + Sync>,
    audit: Audit,
    actor: Actor,
    clock: fn() -> UnixTime,
}

impl Audited {
    /// What `actor` does to `users` is recorded in `audit`; `clock` is asked for the time of each record.
    #[must_use]
    pub fn new(
        users: Arc<dyn UserAdmin + Send + Sync>,
        audit: Audit,
        actor: Actor,
        clock: fn() -> UnixTime,
    ) -> Self {
        Self { users, audit, actor, clock }
    }

    /// Does it and records it. A change that cannot be recorded is not begun; one that turns out so afterwards is not acknowledged.
    fn record<T>(
        &self,
        what: &Event,
        user_id: impl Fn(&T) -> Option<UserId>,
        work: impl FnOnce(&dyn UserAdmin) -> Result<T, AdminError>,
    ) -> Result<T, AdminError> {
        let unavailable =
            |before: &str, error| AdminError::Unavailable { reason: format!("{before}: {error}") };
        self.audit.open().map_err(|error| unavailable("nothing was changed", error))?;
        let result = work(&*self.users);
        let now = (self.clock)();
        let event = match &result {
            Ok(done) => Event { user_id: user_id(done), ..Event::success(what.action, now) },
            Err(error) => match reason(error) {
                (reason, true) => Event::refused(what.action, reason, now),
                (reason, false) => Event::failed(what.action, reason, now),
            },
        };
        let event = Event { target: what.target.clone(), detail: what.detail.clone(), ..event };
        let recorded = self.audit.record_blocking(event.by(self.actor.clone()));
        match (&result, recorded) {
            (Ok(_), Err(error)) => Err(unavailable("it was done, but not recorded", error)),
            _ => result,
        }
    }

    fn event(&self, action: Action, username: &Username) -> Event {
        Event::success(action, (self.clock)()).on(Target::User(username.clone()))
    }

    fn change(
        &self,
        what: &Event,
        work: impl FnOnce(&dyn UserAdmin) -> Result<UserView, AdminError>,
    ) -> Result<UserView, AdminError> {
        self.record(what, |user| Some(user.id), work)
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

impl UserAdmin for Audited {
    fn add(&self, username: &Username, roles: Roles, password: Secret) -> Result<UserView, AdminError> {
        let what = self.event(Action::UserAdd, username).detail(with_roles(&roles));
        self.change(&what, |users| users.add(username, roles, password))
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
        self.record(&what, |()| id, |users| users.remove(username))
    }
}
