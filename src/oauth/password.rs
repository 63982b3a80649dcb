//! `POST /auth/password`: callers give themselves another password.
//!
//! It asks for the current one, since a stolen access token must not be enough. All other sessions of the caller end, and so do all
//! access tokens; the answer has a new one for this session, in the form of RFC 6749 §5.1, and errors have that of §5.2.

use super::Provider;
use super::error::OAuthError;
use super::form::Parameters;
use super::recorded::{self, about, check_password, done_and_recorded, explained};
use super::request::{Refusal, answered, internal, parameters};
use super::tokens::{Login, answer};
use crate::auth::Permit;
use crate::body::{RequestBody, ResponseBody};
use crate::clock;
use crate::identity::{Session, Sessions, User, check_new_password};
use crate::inbound::Inbound;
use crate::message::Response;
use crate::observe::audit::{Action, Event, Origin};
use crate::reject::Reject;
use crate::token::Verified;

/// Changes the caller's password.
///
/// # Errors
/// [`Reject`] with status 400, 408 or 413 when the body cannot be read, [`Reject::NoSession`] for an API key, and
/// [`Reject::ForeignCaller`] for somebody whose password is not here.
pub async fn password(
    permit: Permit<'_>,
    inbound: &Inbound,
    body: RequestBody,
    provider: &Provider,
) -> Result<Response<ResponseBody>, Reject> {
    let caller = permit.caller().ok_or_else(|| Reject::Internal("a password of nobody".to_owned()))?;
    let token = caller.own_token()?;
    let changed = async {
        let parameters = parameters(inbound, body).await?;
        Ok::<_, Refusal>(change(token, &parameters, &recorded::origin(inbound), provider).await?)
    };
    answered(changed.await)
}

async fn change(
    token: &Verified,
    parameters: &Parameters,
    from: &Origin,
    provider: &Provider,
) -> Result<Response<String>, OAuthError> {
    let current = parameters.required("current_password")?.clone();
    let new = parameters.required("new_password")?.clone();
    check_new_password(&new, &token.username)
        .map_err(|weak| OAuthError::invalid_request(weak.to_string()))?;
    let (id, username) = (token.session, token.username.to_string());
    let checked = check_password(provider, Action::PasswordChange, from, username, current).await?;
    let login = provider.login.clone();
    let hash = provider.control.spawn(async move { login.hash(new).await }).await;
    let hash = hash.map_err(|error| internal(&error))?.map_err(|error| explained(&error))?;
    let lifetimes = provider.lifetimes;
    let change =
        move |sessions: &Sessions| sessions.change_password(id, &checked, &hash, &lifetimes, clock::now());
    let from = from.clone();
    let event = move |changed: &Result<Option<(Session, User)>, _>| {
        let (session, user) = changed.as_ref().ok()?.as_ref()?;
        let event = about(Event::success(Action::PasswordChange, clock::now()), user);
        Some(event.session(session.id).from(from))
    };
    let changed = done_and_recorded(provider, change, event).await?.map_err(|error| internal(&error))?;
    // The session may have ended while the password was hashed; then nothing was changed.
    let (session, user) = changed.ok_or(OAuthError::InvalidGrant)?;
    answer(provider, &user, &Login::of(&session, &provider.lifetimes, None), false)
}
