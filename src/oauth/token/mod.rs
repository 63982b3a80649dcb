//! `POST /token` (RFC 6749 §3.2): one file for each grant.

mod password;
mod refresh;

use http::{HeaderValue, header};

use super::Provider;
use super::error::{ClientAuth, OAuthError};
use super::form::Parameters;
use super::request::{Refusal, answered, origin, parameters};
use crate::auth::Permit;
use crate::body::{RequestBody, ResponseBody};
use crate::identity::Origin;
use crate::inbound::Inbound;
use crate::message::{Fields, Response};
use crate::reject::Reject;

/// The `client_id` of the tokens of people who log in by themselves: RFC 9068 §2.2 requires the claim, and they have no client.
pub(super) const NO_CLIENT: &str = "password";

/// A grant that is asked for.
struct Request<'a> {
    parameters: &'a Parameters,
    scope: Option<&'a str>,
    origin: Origin,
    provider: &'a Provider,
}

/// Answers a token request: tokens, or an error in the form of RFC 6749 §5.2.
///
/// # Errors
/// [`Reject`] with status 400, 408 or 413 when the body cannot be read.
pub async fn token(
    _: Permit<'_>,
    inbound: &Inbound,
    body: RequestBody,
    provider: &Provider,
) -> Result<Response<ResponseBody>, Reject> {
    answered(grant(inbound, body, provider).await)
}

async fn grant(
    inbound: &Inbound,
    body: RequestBody,
    provider: &Provider,
) -> Result<Response<String>, Refusal> {
    let parameters = &parameters(inbound, body).await?;
    let grant_type = parameters.required("grant_type")?.expose();
    let request = Request { parameters, scope: parameters.scope()?, origin: origin(inbound), provider };
    refuse_client_credentials(inbound.headers(), parameters)?;
    Ok(match grant_type {
        "password" => password::grant(request).await?,
        "refresh_token" => refresh::grant(request).await?,
        _ => return Err(OAuthError::UnsupportedGrantType.into()),
    })
}

/// No program is registered here, so none can prove that it is one (RFC 6749 §3.2.1, §5.2). A public client's `client_id` alone
/// proves nothing and does no harm.
fn refuse_client_credentials(headers: &Fields, parameters: &Parameters) -> Result<(), OAuthError> {
    let is_basic = |value: &HeaderValue| {
        value.as_bytes().get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic "))
    };
    if headers.get_all(&header::AUTHORIZATION).any(is_basic) {
        return Err(OAuthError::InvalidClient(ClientAuth::Header));
    }
    if parameters.get("client_secret").is_some() {
        return Err(OAuthError::InvalidClient(ClientAuth::Body));
    }
    Ok(())
}
