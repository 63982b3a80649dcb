//! `POST /auth/introspect` (RFC 7662): a client asks what a token is worth.

use http::StatusCode;
use serde::Serialize;

use super::Provider;
use super::client_auth;
use super::error::{ClientAuth, OAuthError, uncached_json};
use super::request::{Refusal, answered, internal, parameters};
use crate::auth::Permit;
use crate::body::{RequestBody, ResponseBody};
use crate::clock::{self, UnixTime};
use crate::id::{TokenId, UserId};
use crate::identity::{Session, Sessions, User};
use crate::inbound::Inbound;
use crate::message::Response;
use crate::name::{Roles, Username};
use crate::reject::Reject;
use crate::secret::Secret;
use crate::token::{Verified, Verifier};

/// What is said of a token that passes (RFC 7662 §2.2).
#[derive(Serialize)]
struct Active<'a> {
    active: bool,
    /// Roles are what there is to grant.
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
    client_id: &'a str,
    username: &'a Username,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'a str>,
    exp: u64,
    iat: u64,
    sub: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    iss: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<TokenId>,
}

/// Answers a registered client. Of a token that does not pass it says only that, whatever the reason is.
///
/// # Errors
/// [`Reject`] with status 400, 408 or 413 when the body cannot be read.
pub async fn introspect(
    _: Permit<'_>,
    inbound: &Inbound,
    body: RequestBody,
    provider: &Provider,
    verifier: &Verifier,
) -> Result<Response<ResponseBody>, Reject> {
    answered(introspected(inbound, body, provider, verifier).await)
}

async fn introspected(
    inbound: &Inbound,
    body: RequestBody,
    provider: &Provider,
    verifier: &Verifier,
) -> Result<Response<String>, Refusal> {
    let parameters = parameters(inbound, body).await?;
    let client = client_auth::client(inbound, &parameters, provider).await?;
    let client = client.ok_or(OAuthError::InvalidClient(ClientAuth::Header))?;
    let (token, now) = (parameters.required("token")?, clock::now());
    let text = match verifier.verify(token.expose(), now) {
        Ok(verified) if !provider.sessions.refuses(&verified) => access(&verified, provider),
        Ok(_) => None,
        Err(_) => refresh(token.clone(), client, provider, now).await?,
    };
    let text = text.unwrap_or_else(|| r#"{"active":false}"#.to_owned());
    Ok(uncached_json(StatusCode::OK, text))
}

fn access(verified: &Verified, provider: &Provider) -> Option<String> {
    let active = Active {
        active: true,
        scope: scope(&verified.roles),
        client_id: &verified.client_id,
        username: &verified.username,
        token_type: Some("Bearer"),
        exp: verified.expires.as_secs(),
        iat: verified.issued.as_secs(),
        sub: verified.user,
        aud: Some(provider.issuer.audience()),
        iss: provider.issuer.name(),
        jti: Some(verified.token),
    };
    serde_json::to_string(&active).ok()
}

/// A refresh token is the business of the client that has it, and of no other.
async fn refresh(
    token: Secret,
    client: User,
    provider: &Provider,
    now: UnixTime,
) -> Result<Option<String>, OAuthError> {
    let lifetimes = provider.lifetimes;
    let find = move |sessions: &Sessions| sessions.of_newest(&token, &client, &lifetimes, now);
    let found = provider.with_sessions(find).await?.map_err(|error| internal(&error))?;
    Ok(found.and_then(|(session, user)| {
        let Session { client_id, created, .. } = &session;
        let active = Active {
            active: true,
            scope: scope(&user.roles),
            client_id,
            username: &user.username,
            token_type: None,
            exp: lifetimes.end_of(&session).as_secs(),
            iat: created.as_secs(),
            sub: user.id,
            aud: None,
            iss: provider.issuer.name(),
            jti: None,
        };
        serde_json::to_string(&active).ok()
    }))
}

/// Roles as RFC 6749 §3.3 writes a scope.
fn scope(roles: &Roles) -> String {
    roles.to_string().replace(',', " ")
}
