//! `POST /auth/logout`: the end of the caller's session.

use http::StatusCode;

use super::Provider;
use super::recorded::{ended_and_recorded, origin};
use super::request::internal;
use crate::auth::Permit;
use crate::body::ResponseBody;
use crate::clock;
use crate::identity::{NO_CLIENT, Sessions};
use crate::inbound::Inbound;
use crate::message::Response;
use crate::observe::audit::{Action, Actor, Event, Target};
use crate::reject::Reject;

/// Ends the session of the caller's token: its refresh token and all of its access tokens, on the next request; also while the audit
/// log cannot be written.
///
/// # Errors
/// [`Reject::NoSession`] for an API key, [`Reject::ForeignCaller`] for somebody whose session is not here, and [`Reject::Unavailable`] when
/// that could not be written down; the session then goes on.
pub async fn logout(
    permit: Permit<'_>,
    inbound: &Inbound,
    provider: &Provider,
) -> Result<Response<ResponseBody>, Reject> {
    let caller = permit.caller().ok_or_else(|| Reject::Internal("a logout of nobody".to_owned()))?;
    let token = caller.own_token()?;
    let (session, name) = (token.session, token.username.clone());
    // Clients and users share their names, so a client is who has asked for a token of its own.
    let is_client = *token.client_id != *NO_CLIENT && *token.client_id == *name.as_str();
    let actor = if is_client { Actor::Client(name.to_string()) } else { Actor::User(name) };
    let event = Event::success(Action::Logout, clock::now()).by(actor).on(Target::Session(session));
    let event = event.session(session).from(origin(inbound));
    let end = move |sessions: &Sessions| sessions.end(session, clock::now());
    let ended = ended_and_recorded(provider, end, move |ended| ended.is_ok().then_some(event)).await;
    match ended.and_then(|ended| ended.map_err(|error| internal(&error))) {
        Ok(_) => Ok(Response::new(StatusCode::NO_CONTENT, ResponseBody::empty())),
        Err(_) => Err(Reject::Unavailable("the session could not be ended".to_owned())),
    }
}
