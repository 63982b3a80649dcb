//! Which client asks (RFC 6749 §2.3): `client_secret_basic` or `client_secret_post`, one of them.

use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header;
use zeroize::Zeroizing;

use super::Provider;
use super::error::{ClientAuth, OAuthError};
use super::form::{self, Parameters};
use super::recorded::{concerning, origin};
use super::request::internal;
use crate::clock;
use crate::identity::{Claim, Credential, Throttle, Throttled, User};
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
/// [`OAuthError::InvalidClient`] if it is not the one that it says, [`OAuthError::InvalidRequest`] if it says it in two ways,
/// [`OAuthError::Throttled`] if there were too many tries.
pub(super) async fn client(
    inbound: &Inbound,
    parameters: &Parameters,
    provider: &Provider,
) -> Result<Option<User>, OAuthError> {
    let Some(Credentials { client_id, secret, by }) = credentials(inbound.headers(), parameters)? else {
        return unproven(parameters, provider).await;
    };
    let (clients, login, audit) = (provider.clients.clone(), provider.login.clone(), provider.audit.clone());
    let (address, from, now) = (inbound.client(), origin(inbound), clock::monotonic());
    // To its end on the control plane, record included, whether or not this client still waits.
    let check = move |_: &_| {
        let found = clients.authenticate(client_id.expose(), &secret).map_err(|error| internal(&error))?;
        let name = Some(client_id.expose());
        let claim = Claim { credential: Credential::ClientSecret, client: address, name };
        let (event, error) = match counted(login.throttle(), &claim, found, now) {
            Ok(Some(client)) => return Ok(client),
            Ok(None) => {
                let known = clients.find(client_id.expose()).map_err(|error| internal(&error))?;
                (refused("bad_credentials", known.as_ref()), OAuthError::InvalidClient(by))
            }
            Err(throttled) => (refused("throttled", None), OAuthError::Throttled(throttled.wait)),
        };
        audit.record_blocking(event.from(from)).map_err(|error| internal(&error))?;
        Err(error)
    };
    provider.with_sessions(check).await?.map(Some)
}

/// The record names a client that exists. Any other name may be a secret that was typed into the wrong field.
fn refused(reason: &'static str, client: Option<&User>) -> Event {
    let event = Event::refused(Action::ClientLogin, reason, clock::now()).by(Actor::Anonymous);
    match client {
        Some(client) => concerning(event, client),
        None => event,
    }
}

/// Counts a try whose outcome is `found`, which nobody learns if there were too many: a right secret has to wait then, too. A
/// password is counted before it is verified, since that takes long. Here both are done at once, so that a client that logs in many
/// times at the same moment does not have to wait for itself.
fn counted(
    throttle: &Throttle,
    claim: &Claim<'_>,
    found: Option<User>,
    now: Instant,
) -> Result<Option<User>, Throttled> {
    let attempt = throttle.admit(claim, now)?;
    match &found {
        Some(_) => attempt.succeed(),
        // It stays counted.
        None => drop(attempt),
    }
    Ok(found)
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

/// Both halves are encoded like a form's (RFC 6749 §2.3.1), but many libraries leave that out. No name has a space in it, so one can
/// only have been a `+` that was not encoded. What else names and secrets are made of is the same in both forms.
fn decode(basic: &[u8]) -> Option<Credentials> {
    let text = Zeroizing::new(STANDARD.decode(basic.trim_ascii()).ok()?);
    let colon = text.iter().position(|byte| *byte == b':')?;
    let (client_id, secret) = (text.get(..colon)?, text.get(colon + 1..)?);
    let client_id = form::decode(client_id).ok()?;
    Some(Credentials {
        client_id: Secret::new(client_id.expose().replace(' ', "+")),
        secret: form::decode(secret).ok()?,
        by: ClientAuth::Header,
    })
}
