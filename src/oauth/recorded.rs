//! Logins with their audit records.

use std::net::IpAddr;
use std::sync::Arc;

use crate::clock;
use crate::id::{NoRandomness, SessionId};
use crate::identity::{Login, LoginError, User};
use crate::inbound::Inbound;
use crate::observe::audit::{Action, Actor, Audit, AuditError, Event, Origin, Target};
use crate::secret::Secret;

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoSession {
    /// The login.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// It cannot be recorded, so it does not happen.
    #[error("the login was not recorded")]
    Audit(#[from] AuditError),
    /// There is no id for it.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

/// Where a request comes from, for its audit record.
pub(super) fn origin(inbound: &Inbound) -> Origin {
    let client: IpAddr = inbound.client().0;
    Origin { client, request_id: Some(inbound.request_id().as_str().to_owned()) }
}

/// Logs a user in. When this returns, what came of it is recorded; nobody learns it before.
pub(super) async fn log_in(
    login: Arc<Login>,
    audit: Audit,
    from: Origin,
    username: String,
    password: Secret,
) -> Result<(User, SessionId), NoSession> {
    audit.writable()?;
    let result = login.with_password(&username, password).await;
    let now = clock::now();
    match result {
        Ok(user) => {
            let session = SessionId::generate(now)?;
            let event = Event::success(Action::Login, now).by(Actor::User(user.username.clone()));
            let event = event.on(Target::User(user.username.clone())).about(user.id).session(session);
            audit.record(event.from(from)).await?;
            Ok((user, session))
        }
        Err(error) => {
            audit.record(failure(&error).by(Actor::Anonymous).from(from)).await?;
            Err(error.into())
        }
    }
}

fn failure(error: &LoginError) -> Event {
    let now = clock::now();
    match error {
        LoginError::BadCredentials(refusal) => {
            let event = Event::refused(Action::Login, refusal.reason, now);
            match &refusal.user {
                Some((name, id)) => event.on(Target::User(name.clone())).about(*id),
                None => event,
            }
        }
        LoginError::Busy => Event::refused(Action::Login, "busy", now),
        LoginError::Stopped => Event::failed(Action::Login, "shutting_down", now),
        LoginError::Users(_) => Event::failed(Action::Login, "store_failed", now),
    }
}
