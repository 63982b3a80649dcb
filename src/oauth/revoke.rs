//! `POST /auth/revoke` (RFC 7009): a client gives a token back.

use http::StatusCode;

use super::Provider;
use super::error::{OAuthError, uncached_json};
use super::request::{Refusal, answered, internal, parameters};
use crate::auth::Permit;
use crate::body::{RequestBody, ResponseBody};
use crate::clock;
use crate::identity::Sessions;
use crate::inbound::Inbound;
use crate::message::Response;
use crate::reject::Reject;
use crate::secret::Secret;
use crate::token::Verifier;

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
    // The hint says where to look first. We see by the token itself what it is.
    end(parameters.required("token")?.clone(), provider, verifier).await?;
    Ok(uncached_json(StatusCode::OK, "{}".to_owned()))
}

async fn end(token: Secret, provider: &Provider, verifier: &Verifier) -> Result<(), OAuthError> {
    let now = clock::now();
    let access = verifier.verify(token.expose(), now).ok().map(|verified| verified.token);
    let end = move |sessions: &Sessions| match (access, sessions.of_refresh_token(&token)) {
        (Some(access), _) => sessions.revoke_token(access, now),
        (None, Some(session)) => sessions.end(session, now).map(|_| ()),
        (None, None) => Ok(()),
    };
    provider.with_sessions(end).await?.map_err(|error| internal(&error))
}
