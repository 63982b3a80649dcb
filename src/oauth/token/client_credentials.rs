//! The client credentials grant (RFC 6749 §4.4): a program logs in by itself.

use super::super::error::{ClientAuth, OAuthError};
use super::super::recorded::record;
use super::super::request::internal;
use super::super::tokens::{Login, answer};
use super::Request;
use crate::clock;
use crate::id::SessionId;
use crate::message::Response;
use crate::observe::audit::{Action, Actor, Event};

/// There is no refresh token (§4.4.3): a client has its secret. So there is no session to keep either; the token's `sid` is its own.
pub(super) async fn grant(request: Request<'_>) -> Result<Response<String>, OAuthError> {
    let Request { client, scope, from, provider, .. } = request;
    let client = client.ok_or(OAuthError::InvalidClient(ClientAuth::Header))?;
    let session = SessionId::generate(clock::now()).map_err(|error| internal(&error))?;
    let event =
        Event::success(Action::ClientLogin, clock::now()).by(Actor::Client(client.username.to_string()));
    record(provider, event.about(client.id).session(session).from(from)).await?;
    let login = Login { session, client_id: client.username.as_str(), ends: None, refresh: None };
    answer(provider, &client, &login, scope.is_some())
}
