//! The refresh grant (RFC 6749 §6), with rotation (RFC 9700 §4.14.2).
//!
//! Only the use of an old token is recorded in the audit log, so a refresh does not need one that can be written: a session that has
//! begun goes on.

use super::super::error::OAuthError;
use super::super::recorded::{actor, concerning, ended_and_recorded};
use super::super::request::internal;
use super::super::tokens::{Login, answer};
use super::Request;
use crate::clock;
use crate::identity::{RefreshError, Refreshed};
use crate::message::Response;
use crate::observe::audit::{Action, Event};

pub(super) async fn grant(request: Request<'_>) -> Result<Response<String>, OAuthError> {
    let Request { parameters, scope, client, origin, from, provider } = request;
    let token = parameters.required("refresh_token")?.clone();
    let (address, lifetimes) = (origin.address, provider.lifetimes);
    // An old token does not tell its user from the thief. Whose session it was is known, and so is the client.
    let actor = actor(client.as_ref());
    let refresh = move |sessions: &crate::identity::Sessions| {
        sessions.refresh(&token, client.as_ref(), &origin, &lifetimes, clock::now())
    };
    let event = move |refreshed: &Result<Refreshed, RefreshError>| match refreshed {
        Err(error @ RefreshError::Reused(session, user)) => {
            tracing::warn!(client.address = %address, error = %error, "security: a refresh token may have been stolen");
            let event = Event::refused(Action::RefreshReuse, "reused", clock::now());
            // It happens once to a session, and nobody shall hide it behind a flood of failed logins.
            Some(concerning(event.by(actor), user).session(*session).from(from).on_its_own())
        }
        _ => None,
    };
    match ended_and_recorded(provider, refresh, event).await? {
        Ok(Refreshed { session, user, token }) => {
            answer(provider, &user, &Login::of(&session, &provider.lifetimes, Some(&token)), scope.is_some())
        }
        Err(RefreshError::Failed(error)) => Err(internal(&error)),
        Err(error) => {
            tracing::debug!(client.address = %address, error = %error, "a refresh was refused");
            Err(OAuthError::InvalidRefreshToken)
        }
    }
}
