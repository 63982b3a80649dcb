//! What the token service does, with its audit records. Nobody learns what came of something before it is recorded.

use super::Provider;
use super::error::{ClientAuth, OAuthError};
use super::request::{RETRY_AFTER, internal};
use crate::clock;
use crate::id::SessionId;
use crate::identity::{self, Begun, LoginError, Session, Sessions, User};
use crate::inbound::Inbound;
use crate::observe::audit::{Action, Actor, AuditError, Event, Origin, Target};
use crate::peer::ClientIp;
use crate::secret::Secret;

/// Where a request comes from, for its audit record.
pub(super) fn origin(inbound: &Inbound) -> Origin {
    Origin { client: inbound.client().0, request_id: Some(inbound.request_id().as_str().to_owned()) }
}

/// Writes a record, and waits until it is safe.
pub(super) async fn record(provider: &Provider, event: Event) -> Result<(), OAuthError> {
    provider.audit.record(event).await.map_err(|error| internal(&error))
}

/// Checks a user's password. Refusals and failures are recorded here; what success means, the caller knows.
pub(super) async fn check_password(
    provider: &Provider,
    action: Action,
    origin: &Origin,
    username: String,
    password: Secret,
) -> Result<User, OAuthError> {
    provider.audit.writable().map_err(|error| internal(&error))?;
    let (login, audit, origin) = (provider.login.clone(), provider.audit.clone(), origin.clone());
    // It runs to its end on the control plane, record included, whether or not this client still waits for it.
    let (client, now) = (ClientIp(origin.client), clock::monotonic());
    let check = async move {
        match login.with_password(&username, password, client, now).await {
            Ok(user) => Ok(user),
            Err(error) => {
                let event = refused(action, &error).by(Actor::Anonymous).from(origin);
                audit.record(event).await.map_err(|error| internal(&error))?;
                Err(explained(&error))
            }
        }
    };
    provider.control.spawn(check).await.map_err(|error| internal(&error))?
}

/// Does it, and records what came of it, both to the end whether or not this client still waits: nobody escapes a record by hanging up.
/// What cannot be recorded is not begun.
pub(super) async fn done_and_recorded<T: Send + 'static>(
    provider: &Provider,
    work: impl FnOnce(&Sessions) -> T + Send + 'static,
    event: impl FnOnce(&T) -> Option<Event> + Send + 'static,
) -> Result<T, OAuthError> {
    let audit = provider.audit.clone();
    let both = move |sessions: &Sessions| {
        audit.writable()?;
        let done = work(sessions);
        event(&done).map_or(Ok(()), |event| audit.record_blocking(event)).map(|()| done)
    };
    provider.with_sessions(both).await?.map_err(|error: AuditError| internal(&error))
}

/// The same for what ends a session or a token: it is done and acknowledged even while nothing can be recorded. See
/// [`crate::observe::audit`].
pub(super) async fn ended_and_recorded<T: Send + 'static>(
    provider: &Provider,
    work: impl FnOnce(&Sessions) -> T + Send + 'static,
    event: impl FnOnce(&T) -> Option<Event> + Send + 'static,
) -> Result<T, OAuthError> {
    let audit = provider.audit.clone();
    let both = move |sessions: &Sessions| {
        let done = work(sessions);
        if let Some(event) = event(&done) {
            // A record that is lost is in the event log.
            let _ = audit.record_or_keep(event);
        }
        done
    };
    provider.with_sessions(both).await
}

/// Begins the session of a user who has just logged in.
pub(super) async fn begin_session(
    provider: &Provider,
    user: User,
    client: Option<User>,
    from: identity::Origin,
    origin: Origin,
) -> Result<(User, Session, Secret), OAuthError> {
    let lifetimes = provider.lifetimes;
    let known = user.clone();
    let begin = move |sessions: &Sessions| {
        let begun = sessions.begin(&user, client.as_ref(), from, &lifetimes, clock::now())?;
        Ok::<_, identity::SessionError>((user, begun))
    };
    let event = move |begun: &Result<(User, Begun), identity::SessionError>| {
        let event = match begun {
            Ok((user, begun)) => {
                let event = Event::success(Action::Login, clock::now()).session(begun.session.id);
                Event { detail: gave_way(user, &begun.gone), ..event }
            }
            // The password was right, and nobody was logged in.
            Err(identity::SessionError::ClientEnded) => {
                Event::refused(Action::Login, "client_ended", clock::now())
            }
            Err(_) => Event::failed(Action::Login, "store_failed", clock::now()),
        };
        Some(about(event, &known).from(origin))
    };
    let (user, begun) = done_and_recorded(provider, begin, event).await?.map_err(|error| match error {
        identity::SessionError::ClientEnded => OAuthError::InvalidClient(ClientAuth::Header),
        error => internal(&error),
    })?;
    Ok((user, begun.session, begun.token))
}

/// Which sessions gave way because the user had too many, for the record of the login that took their place.
fn gave_way(user: &User, gone: &[SessionId]) -> Option<String> {
    let (first, others) = gone.split_first()?;
    tracing::debug!(user = %user.username, session = %first, others = others.len(), "a session gave way: its user has token.max_sessions_per_user others");
    let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
    Some(format!("the session used least recently gave way: {first}{more}"))
}

/// Who asks with something that does not tell who holds it: the client, if it has authenticated itself.
pub(super) fn actor(client: Option<&User>) -> Actor {
    client.map_or(Actor::Anonymous, |client| Actor::Client(client.username.to_string()))
}

/// What a user does to itself.
pub(super) fn about(event: Event, user: &User) -> Event {
    concerning(event.by(Actor::User(user.username.clone())), user)
}

/// What is done to a user, or to a client.
pub(super) fn concerning(event: Event, user: &User) -> Event {
    let name = &user.username;
    let target = match user.program {
        Some(_) => Target::Client(name.to_string()),
        None => Target::User(name.clone()),
    };
    event.on(target).about(user.id)
}

pub(super) fn explained(error: &LoginError) -> OAuthError {
    match error {
        LoginError::BadCredentials(_) => OAuthError::InvalidGrant,
        LoginError::Throttled(wait) => OAuthError::Throttled(*wait),
        LoginError::Busy | LoginError::Stopped => OAuthError::Busy(RETRY_AFTER),
        LoginError::Users(_) => internal(error),
    }
}

fn refused(action: Action, error: &LoginError) -> Event {
    let now = clock::now();
    match error {
        LoginError::BadCredentials(refusal) => {
            let event = Event::refused(action, refusal.reason, now);
            match &refusal.user {
                Some(user) => concerning(event, user),
                None => event,
            }
        }
        LoginError::Throttled(_) => Event::refused(action, "throttled", now),
        LoginError::Busy => Event::refused(action, "busy", now),
        LoginError::Stopped => Event::failed(action, "shutting_down", now),
        LoginError::Users(_) => Event::failed(action, "store_failed", now),
    }
}
