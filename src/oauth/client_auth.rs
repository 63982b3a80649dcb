//! Which client asks (RFC 6749 §2.3): `client_secret_basic` or `client_secret_post`, one of them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header;
use zeroize::Zeroizing;

use super::Provider;
use super::error::{ClientAuth, OAuthError};
use super::form::{self, Parameters};
use super::recorded::{origin, record};
use super::request::internal;
use crate::clock;
use crate::identity::User;
use crate::inbound::Inbound;
use crate::message::Fields;
use crate::observe::audit::{Action, Actor, Event};
use crate::secret::Secret;

/// What a client says of itself.
struct Credentials {
    client_id: Secret,
    secret: Secret,
    by: ClientAuth,
}

/// The client that asks; `None` for one that is not registered, which does not have to say who it is.
///
/// # Errors
/// [`OAuthError::InvalidClient`] if it is not the one that it says, [`OAuthError::InvalidRequest`] if it says it in two ways.
pub(super) async fn client(
    inbound: &Inbound,
    parameters: &Parameters,
    provider: &Provider,
) -> Result<Option<User>, OAuthError> {
    let Some(Credentials { client_id, secret, by }) = credentials(inbound.headers(), parameters)? else {
        return unproven(parameters, provider).await;
    };
    let clients = provider.clients.clone();
    let check = move |_: &_| clients.authenticate(client_id.expose(), &secret);
    let client = provider.with_sessions(check).await?.map_err(|error| internal(&error))?;
    if client.is_none() {
        let event = Event::refused(Action::ClientLogin, "bad_credentials", clock::now());
        record(provider, event.by(Actor::Anonymous).from(origin(inbound))).await?;
    }
    client.map(Some).ok_or(OAuthError::InvalidClient(by))
}

/// RFC 6749 §3.2.1: a client that has a secret has to show it. The `client_id` of any other proves nothing and does no harm.
async fn unproven(parameters: &Parameters, provider: &Provider) -> Result<Option<User>, OAuthError> {
    let Some(client_id) = parameters.get("client_id").cloned() else { return Ok(None) };
    let clients = provider.clients.clone();
    let find = move |_: &_| clients.find(client_id.expose());
    match provider.with_sessions(find).await?.map_err(|error| internal(&error))? {
        Some(_) => Err(OAuthError::InvalidClient(ClientAuth::Body)),
        None => Ok(None),
    }
}

fn credentials(headers: &Fields, parameters: &Parameters) -> Result<Option<Credentials>, OAuthError> {
    let mut lines = headers.get_all(&header::AUTHORIZATION);
    let line = lines.next().map(http::HeaderValue::as_bytes);
    if lines.next().is_some() {
        return Err(OAuthError::invalid_request("there is more than one Authorization header"));
    }
    let is_basic = |line: &&[u8]| line.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic "));
    let basic = line.filter(is_basic).and_then(|line| line.get(6..));
    let (client_id, secret) = (parameters.get("client_id"), parameters.get("client_secret"));
    match (basic, client_id, secret) {
        (Some(_), _, Some(_)) => {
            Err(OAuthError::invalid_request("the client authenticates in two ways; use one"))
        }
        (Some(basic), client_id, None) => {
            let credentials = decode(basic).ok_or(OAuthError::InvalidClient(ClientAuth::Header))?;
            if client_id.is_some_and(|named| named.expose() != credentials.client_id.expose()) {
                return Err(OAuthError::invalid_request("client_id is not that of the Authorization header"));
            }
            Ok(Some(credentials))
        }
        (None, Some(client_id), Some(secret)) => {
            let (client_id, secret) = (client_id.clone(), secret.clone());
            Ok(Some(Credentials { client_id, secret, by: ClientAuth::Body }))
        }
        (None, None, Some(_)) => Err(OAuthError::invalid_request("client_id is missing")),
        (None, _, None) => Ok(None),
    }
}

/// Both halves are encoded like a form's (RFC 6749 §2.3.1).
fn decode(basic: &[u8]) -> Option<Credentials> {
    let text = Zeroizing::new(STANDARD.decode(basic.trim_ascii()).ok()?);
    let colon = text.iter().position(|byte| *byte == b':')?;
    let (client_id, secret) = (text.get(..colon)?, text.get(colon + 1..)?);
    Some(Credentials {
        client_id: form::decode(client_id).ok()?,
        secret: form::decode(secret).ok()?,
        by: ClientAuth::Header,
    })
}
