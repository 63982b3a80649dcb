//! `POST /token` (RFC 6749 §3.2).

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::Provider;
use super::error::{ClientAuth, OAuthError, uncached_json};
use super::form::TokenRequest;
use crate::auth::Permit;
use crate::body::{BodyError, RequestBody, ResponseBody};
use crate::causes::with_causes;
use crate::clock;
use crate::id::SessionId;
use crate::identity::{LoginError, User};
use crate::inbound::Inbound;
use crate::message::{Fields, Response};
use crate::peer::ClientIp;
use crate::reject::Reject;
use crate::token::Subject;

/// A client that finds the queue of logins full may come back then.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// RFC 6749 §5.1.
#[derive(Serialize)]
struct Success<'a> {
    access_token: &'a str,
    token_type: &'a str,
    expires_in: u64,
    /// RFC 6749 §3.3: what was granted, where the client has asked for something. Roles are what there is to grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

/// Answers a token request: a token, or an error in the form of RFC 6749 §5.2.
///
/// # Errors
/// [`Reject`] for what is no token request at all: its body broke off or is too long.
pub async fn token(
    _: Permit<'_>,
    inbound: &Inbound,
    body: RequestBody,
    provider: &Provider,
) -> Result<Response<ResponseBody>, Reject> {
    if inbound.path().path_and_query().query().is_some_and(|query| !query.is_empty()) {
        let error = OAuthError::InvalidRequest("parameters belong in the body, not in the URL".into());
        return Ok(error.response().map(ResponseBody::full));
    }
    let body = body.collect().await.map_err(|error| match error {
        BodyError::TooLarge { limit } => Reject::BodyTooLarge { limit },
        BodyError::Stalled(_) => Reject::BodyStalled,
        BodyError::Broken(_) | BodyError::Reset | BodyError::WrongLength | BodyError::Upstream(_) => {
            Reject::BodyBroken
        }
    })?;
    Ok(match grant(inbound.headers(), inbound.client(), &body, provider).await {
        Ok(response) => response,
        Err(error) => error.response().map(ResponseBody::full),
    })
}

async fn grant(
    headers: &Fields,
    client: ClientIp,
    body: &[u8],
    provider: &Provider,
) -> Result<Response<ResponseBody>, OAuthError> {
    let request = TokenRequest::read(headers, body)?;
    refuse_client_credentials(headers, &request)?;
    if request.grant_type != "password" {
        return Err(OAuthError::UnsupportedGrantType);
    }
    let username = request.username.ok_or_else(|| missing("username"))?;
    let password = request.password.ok_or_else(|| missing("password"))?;
    let login = provider.login.clone();
    // The login runs to its end on the control plane, whether or not this client still waits for it.
    let now = clock::monotonic();
    let task =
        provider.control.spawn(async move { login.with_password(&username, password, client, now).await });
    match task.await {
        Ok(Ok(user)) => success(&user, request.scope.is_some(), provider),
        Ok(Err(LoginError::BadCredentials)) => Err(OAuthError::InvalidGrant),
        Ok(Err(LoginError::Throttled(wait))) => Err(OAuthError::Throttled(wait)),
        Ok(Err(LoginError::Busy | LoginError::Stopped)) => Err(OAuthError::Busy(RETRY_AFTER)),
        Ok(Err(error)) => Err(internal(&error)),
        Err(error) => Err(internal(&error)),
    }
}

/// No program is registered here, so none can prove that it is one (RFC 6749 §3.2.1, §5.2). A public client's `client_id` alone
/// claims nothing.
fn refuse_client_credentials(headers: &Fields, request: &TokenRequest) -> Result<(), OAuthError> {
    let is_basic = |value: &HeaderValue| {
        value.as_bytes().get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic "))
    };
    if headers.get_all(&header::AUTHORIZATION).any(is_basic) {
        return Err(OAuthError::InvalidClient(ClientAuth::Header));
    }
    if request.client_secret.is_some() {
        return Err(OAuthError::InvalidClient(ClientAuth::Body));
    }
    Ok(())
}

fn missing(parameter: &str) -> OAuthError {
    OAuthError::InvalidRequest(format!("{parameter} is missing").into())
}

fn internal(error: &dyn std::error::Error) -> OAuthError {
    tracing::error!(error = %with_causes(error), "a login failed inside the gateway");
    OAuthError::Failed
}

fn success(
    user: &User,
    scope_asked: bool,
    provider: &Provider,
) -> Result<Response<ResponseBody>, OAuthError> {
    let now = clock::now();
    let session = SessionId::generate(now).map_err(|error| internal(&error))?;
    let subject = Subject {
        user_id: user.id,
        username: &user.username,
        roles: &user.roles,
        version: user.version,
        session,
        // RFC 9068 §2.2 requires the claim; a person who logs in with a password has no client of its own.
        client_id: "password",
    };
    let issued =
        provider.issuer.issue(provider.ring.active(), &subject, now).map_err(|error| internal(&error))?;
    let body = Success {
        access_token: &issued.token,
        token_type: "Bearer",
        expires_in: issued.expires_in.as_secs(),
        scope: scope_asked.then(|| user.roles.to_string().replace(',', " ")),
    };
    let body = serde_json::to_string(&body).map_err(|error| internal(&error))?;
    Ok(uncached_json(StatusCode::OK, body).map(ResponseBody::full))
}
