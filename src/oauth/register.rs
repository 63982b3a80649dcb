//! `POST /auth/register`: users who come by themselves, with an invitation (`invitation`, `password`) or as strangers (`username`,
//! `password`). There is no such endpoint unless the configuration wants it.
//!
//! A stranger is told nothing about the name: see [`crate::identity::Registration`]. Errors have the form of RFC 6749 §5.2, as those of
//! the other endpoints that take a password.

use http::StatusCode;
use serde_json::json;

use super::Provider;
use super::error::{OAuthError, uncached_json};
use super::form::Parameters;
use super::recorded::{about, concerning, origin};
use super::request::{RETRY_AFTER, Refusal, answered, internal, parameters};
use crate::auth::Permit;
use crate::body::{RequestBody, ResponseBody};
use crate::clock;
use crate::config::{self, RegistrationMode};
use crate::identity::{Accepted, Newcomer, Registered, RegistrationError};
use crate::inbound::Inbound;
use crate::message::Response;
use crate::name::{Roles, Username};
use crate::observe::audit::{Action, Actor, Event, Origin};
use crate::peer::ClientIp;
use crate::reject::Reject;
use crate::secret::Secret;

/// What a stranger is told, whether or not the name was free.
const MAYBE: &str = "if the username was free, the account exists now: log in";

/// The rules for strangers.
#[derive(Debug)]
pub(super) struct Strangers {
    roles: Roles,
    /// Names that look like a claim to more.
    reserved: Roles,
    max_users: usize,
}

impl Strangers {
    /// Those of a configuration; `None` if it lets none in.
    pub(super) fn of(rules: &config::Registration) -> Option<Self> {
        (rules.mode == RegistrationMode::Open).then(|| Self {
            roles: rules.default_roles.clone(),
            reserved: rules.privileged_roles.clone(),
            max_users: rules.max_users,
        })
    }

    /// What depends on the name alone, and is no secret.
    fn admit(&self, name: &str) -> Result<Username, OAuthError> {
        let username = Username::new(name).map_err(|error| OAuthError::invalid_request(error.to_string()))?;
        let is_reserved = |role: &str| role.eq_ignore_ascii_case(name);
        if is_reserved(config::ADMIN_ROLE) || self.reserved.iter().any(|role| is_reserved(role.as_str())) {
            return Err(OAuthError::invalid_request("this username is reserved"));
        }
        Ok(username)
    }
}

/// Registers a stranger, or gives an invited user the first password, or a new one.
///
/// # Errors
/// [`Reject`] with status 400, 408 or 413 when the body cannot be read.
pub async fn register(
    _: Permit<'_>,
    inbound: &Inbound,
    body: RequestBody,
    provider: &Provider,
) -> Result<Response<ResponseBody>, Reject> {
    let registered = async {
        let parameters = parameters(inbound, body).await?;
        Ok::<_, Refusal>(by_parameters(&parameters, origin(inbound), provider).await?)
    };
    answered(registered.await)
}

async fn by_parameters(
    parameters: &Parameters,
    from: Origin,
    provider: &Provider,
) -> Result<Response<String>, OAuthError> {
    let password = || parameters.required("password").cloned();
    match (parameters.get("invitation"), parameters.get("username"), &provider.strangers) {
        (Some(_), Some(_), _) => {
            Err(OAuthError::invalid_request("an invitation names its user: leave username out"))
        }
        (Some(invitation), None, _) => accept(invitation.clone(), password()?, from, provider).await,
        (None, Some(username), Some(strangers)) => {
            let (username, roles) = (strangers.admit(username.expose())?, strangers.roles.clone());
            let new = Newcomer { username, password: password()?, roles };
            add(new, strangers.max_users, from, provider).await
        }
        (None, None, Some(_)) => Err(OAuthError::invalid_request("username is missing")),
        (None, _, None) => Err(OAuthError::invalid_request("invitation is missing")),
    }
}

/// To the end on the control plane, record included, whether or not this client still waits.
async fn add(
    new: Newcomer,
    max_users: usize,
    from: Origin,
    provider: &Provider,
) -> Result<Response<String>, OAuthError> {
    provider.audit.writable().map_err(|error| internal(&error))?;
    let (registration, audit) = (provider.registration.clone(), provider.audit.clone());
    let work = async move {
        let registered = registration.register(new, max_users, ClientIp(from.client), clock::moment()).await;
        let event = match &registered {
            Ok(Registered::Added(user)) => {
                Some(concerning(Event::success(Action::Register, clock::now()), user))
            }
            // In a flood of failures this one is not only counted, as a success is not: the time must not tell them apart.
            Ok(Registered::Taken(user)) => {
                let event = Event::refused(Action::Register, "name_taken", clock::now());
                Some(concerning(event.on_its_own(), user))
            }
            Err(error) => refused(error),
        };
        if let Some(event) = event {
            audit.record(event.by(Actor::Anonymous).from(from)).await.map_err(|error| internal(&error))?;
        }
        registered.map_err(|error| explained(&error))
    };
    provider.control.spawn(work).await.map_err(|error| internal(&error))??;
    Ok(uncached_json(StatusCode::ACCEPTED, json!({ "message": MAYBE }).to_string()))
}

/// Likewise.
async fn accept(
    invitation: Secret,
    password: Secret,
    from: Origin,
    provider: &Provider,
) -> Result<Response<String>, OAuthError> {
    provider.audit.writable().map_err(|error| internal(&error))?;
    let (registration, audit) = (provider.registration.clone(), provider.audit.clone());
    let work = async move {
        let client = ClientIp(from.client);
        let accepted = registration.accept(invitation, password, client, clock::moment).await;
        let event = match &accepted {
            Ok(Accepted { user, had_password }) => {
                let action = if *had_password { Action::PasswordChange } else { Action::Register };
                Some(about(Event::success(action, clock::now()), user).detail("with an invitation"))
            }
            Err(error) => refused(error).map(|event| event.by(Actor::Anonymous)),
        };
        if let Some(event) = event {
            audit.record(event.from(from)).await.map_err(|error| internal(&error))?;
        }
        accepted.map_err(|error| explained(&error))
    };
    let Accepted { user, .. } = provider.control.spawn(work).await.map_err(|error| internal(&error))??;
    Ok(uncached_json(StatusCode::OK, json!({ "username": user.username }).to_string()))
}

/// The record of a failure; `None` for a fault of the input that is nobody's attempt at anything.
fn refused(error: &RegistrationError) -> Option<Event> {
    let now = clock::now();
    let refused = |reason: &'static str| Some(Event::refused(Action::Register, reason, now));
    match error {
        RegistrationError::Weak(_) => None,
        RegistrationError::BadInvitation => refused("bad_invitation"),
        RegistrationError::Throttled(_) => refused("throttled"),
        RegistrationError::Full => refused("too_many_users"),
        RegistrationError::Busy => refused("busy"),
        RegistrationError::Stopped => Some(Event::failed(Action::Register, "shutting_down", now)),
        RegistrationError::Users(_) => Some(Event::failed(Action::Register, "store_failed", now)),
    }
}

fn explained(error: &RegistrationError) -> OAuthError {
    match error {
        RegistrationError::Weak(weak) => OAuthError::invalid_request(weak.to_string()),
        RegistrationError::BadInvitation => OAuthError::BadInvitation,
        RegistrationError::Throttled(wait) => OAuthError::Throttled(*wait),
        RegistrationError::Full => OAuthError::Full,
        RegistrationError::Busy | RegistrationError::Stopped => OAuthError::Busy(RETRY_AFTER),
        RegistrationError::Users(_) => internal(error),
    }
}
