//! `POST /token` (RFC 6749 §3.2): one file for each grant.

mod client_credentials;
mod password;
mod refresh;

use super::Provider;
use super::client_auth;
use super::error::OAuthError;
use super::form::Parameters;
use super::recorded;
use super::request::{Refusal, answered, origin, parameters};
use crate::auth::Permit;
use crate::body::{RequestBody, ResponseBody};
use crate::identity::{Origin, User};
use crate::inbound::Inbound;
use crate::message::Response;
use crate::observe::audit;
use crate::reject::Reject;

/// A grant that is asked for.
struct Request<'a> {
    parameters: &'a Parameters,
    scope: Option<&'a str>,
    /// Who asks, if it is a registered client.
    client: Option<User>,
    origin: Origin,
    /// The same for the audit.
    from: audit::Origin,
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
    let scope = parameters.scope()?;
    let client = client_auth::client(inbound, parameters, provider).await?;
    let from = recorded::origin(inbound);
    let request = Request { parameters, scope, client, origin: origin(inbound), from, provider };
    Ok(match grant_type {
        "password" => password::grant(request).await?,
        "client_credentials" => client_credentials::grant(request).await?,
        "refresh_token" => refresh::grant(request).await?,
        _ => return Err(OAuthError::UnsupportedGrantType.into()),
    })
}
