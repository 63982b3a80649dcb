//! The client credentials grant (RFC 6749 §4.4): a program logs in by itself.

use super::super::error::{ClientAuth, OAuthError};
use super::super::request::internal;
use super::super::tokens::{Login, answer};
use super::Request;
use crate::clock;
use crate::id::SessionId;
use crate::message::Response;

/// There is no refresh token (§4.4.3): a client has its secret. So there is no session to keep either; the token's `sid` is its own.
pub(super) fn grant(request: &Request<'_>) -> Result<Response<String>, OAuthError> {
    let client = request.client.as_ref().ok_or(OAuthError::InvalidClient(ClientAuth::Header))?;
    let session = SessionId::generate(clock::now()).map_err(|error| internal(&error))?;
    let login = Login { session, client_id: client.username.as_str(), refresh: None };
    answer(request.provider, client, &login, request.scope.is_some())
}
