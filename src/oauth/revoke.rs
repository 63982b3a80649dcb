//! `POST /auth/revoke` (RFC 7009): a client gives a token back.

use http::StatusCode;

use super::Provider;
use super::client_auth;
use super::error::{OAuthError, uncached_json};
use super::recorded::{actor, ended_and_recorded, origin};
use super::request::{Refusal, answered, internal, parameters};
use crate::auth::Permit;
use crate::body::{RequestBody, ResponseBody};
use crate::clock::{self, UnixTime};
use crate::id::{SessionId, TokenId};
use crate::identity::{NO_CLIENT, SessionError, Sessions, User};
use crate::inbound::Inbound;
use crate::message::Response;
use crate::observe::audit::{Action, Event, Target};
use crate::reject::Reject;
use crate::secret::Secret;
use crate::token::{Accepted, TokenError, Verifier, is_api_key};

/// Ends what the token stands for: a refresh token its whole session, an access token itself. Whoever holds a token may do that.
/// An unknown token is one that does not pass any more, so the answer is the same (RFC 7009 §2.2).
///
/// # Errors
/// [`Reject`] with status 400, 408 or 413 when the body cannot be read.
pub async fn revoke(
    _: Permit<'_>,
    inbound: &Inbound,
    body: RequestBody,
    provider: &Provider,
    verifier: &Verifier,
) -> Result<Response<ResponseBody>, Reject> {
    answered(revoked(inbound, body, provider, verifier).await)
}

async fn revoked(
    inbound: &Inbound,
    body: RequestBody,
    provider: &Provider,
    verifier: &Verifier,
) -> Result<Response<String>, Refusal> {
    let parameters = parameters(inbound, body).await?;
    let client = client_auth::client(inbound, &parameters, provider).await?;
    // The hint says where to look first. We see by the token itself what it is.
    let (token, now) = (parameters.required("token")?.clone(), clock::now());
    if is_api_key(token.expose().as_bytes()) {
        // It would go on, which 200 must not hide.
        return Err(OAuthError::UnsupportedTokenType.into());
    }
    let access = match verifier.accept_to_end(token.expose(), now) {
        Ok(Accepted::Own(access)) => Some(access),
        // Only its issuer can do that. Without its keys nobody knows whether it passes; it would go on once they are there.
        Ok(Accepted::Foreign(_)) | Err(TokenError::NoKeys) => {
            return Err(OAuthError::UnsupportedTokenType.into());
        }
        Err(_) => None,
    };
    let actor = actor(client.as_ref());
    let end = move |sessions: &Sessions| match access {
        Some(access) if !may_end(&access.client_id, client.as_ref()) => Ok(Ended::NotTheirs),
        // Remembered until it has expired, also if it is valid later only.
        Some(access) => {
            sessions.revoke_token(access.token, now.max(access.issued)).map(|()| Ended::Token(access.token))
        }
        None => end_session(sessions, &token, client.as_ref(), now),
    };
    let from = origin(inbound);
    let event = move |ended: &Result<Ended, SessionError>| {
        let target = match ended {
            Ok(Ended::Token(id)) => Target::Token(id.to_string()),
            Ok(Ended::Session(id)) => Target::Session(*id),
            Ok(Ended::Nothing | Ended::NotTheirs) | Err(_) => return None,
        };
        Some(Event::success(Action::TokenRevoke, now).by(actor).on(target).from(from))
    };
    match ended_and_recorded(provider, end, event).await?.map_err(|error| internal(&error))? {
        Ended::NotTheirs => Err(OAuthError::UnauthorizedClient.into()),
        Ended::Nothing | Ended::Token(_) | Ended::Session(_) => {
            Ok(uncached_json(StatusCode::OK, "{}".to_owned()))
        }
    }
}

/// What has ended.
enum Ended {
    Token(TokenId),
    Session(SessionId),
    /// The token was none that passes.
    Nothing,
    /// It was given to another client.
    NotTheirs,
}

/// Ends the session of a refresh token, if it is one and the client may do that.
fn end_session(
    sessions: &Sessions,
    token: &Secret,
    client: Option<&User>,
    now: UnixTime,
) -> Result<Ended, SessionError> {
    let Some(session) = sessions.of_refresh_token(token, now)? else { return Ok(Ended::Nothing) };
    if !session.is_of(None) && !session.is_of(client) {
        return Ok(Ended::NotTheirs);
    }
    sessions.end(session.id, now)?;
    Ok(Ended::Session(session.id))
}

/// RFC 7009 §2.1: a token that was given to a client is ended by that client alone; any other by whoever has it.
fn may_end(owner: &str, client: Option<&User>) -> bool {
    owner == NO_CLIENT || client.is_some_and(|client| client.username.as_str() == owner)
}
