//! Tokens for a session, and the answer that carries them (RFC 6749 §5.1).

use http::StatusCode;
use serde::Serialize;

use super::Provider;
use super::error::{OAuthError, uncached_json};
use super::request::internal;
use crate::clock::{self, UnixTime};
use crate::id::SessionId;
use crate::identity::{Lifetimes, Session, User};
use crate::message::Response;
use crate::secret::Secret;
use crate::token::Subject;

#[derive(Serialize)]
struct Success<'a> {
    access_token: &'a str,
    token_type: &'a str,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    /// RFC 6749 §3.3: what was granted, where the client has asked for something. Roles are what there is to grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

/// What tokens come from.
pub(super) struct Login<'a> {
    pub(super) session: SessionId,
    pub(super) client_id: &'a str,
    /// When the session ends in any case; `None` where there is none.
    pub(super) ends: Option<UnixTime>,
    /// The next refresh token, if there is one.
    pub(super) refresh: Option<&'a Secret>,
}

impl<'a> Login<'a> {
    pub(super) fn of(session: &'a Session, lifetimes: &Lifetimes, refresh: Option<&'a Secret>) -> Self {
        let ends = Some(lifetimes.last_end_of(session));
        Self { session: session.id, client_id: &session.client_id, ends, refresh }
    }
}

/// An access token for a user or a client, and what goes with it.
pub(super) fn answer(
    provider: &Provider,
    user: &User,
    login: &Login<'_>,
    scope_asked: bool,
) -> Result<Response<String>, OAuthError> {
    let subject = Subject {
        user_id: user.id,
        username: &user.username,
        roles: &user.roles,
        version: user.version,
        session: login.session,
        client_id: login.client_id,
    };
    let issued = provider.issuer.issue_within(provider.ring.active(), &subject, clock::now(), login.ends);
    let issued = issued.map_err(|error| internal(&error))?;
    let body = Success {
        access_token: &issued.token,
        token_type: "Bearer",
        expires_in: issued.expires_in.as_secs(),
        refresh_token: login.refresh.map(Secret::expose),
        scope: scope_asked.then(|| user.roles.to_string().replace(',', " ")),
    };
    let body = serde_json::to_string(&body).map_err(|error| internal(&error))?;
    Ok(uncached_json(StatusCode::OK, body))
}
