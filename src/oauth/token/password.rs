//! The password grant (RFC 6749 §4.3).

use super::super::error::OAuthError;
use super::super::request::{RETRY_AFTER, internal};
use super::super::tokens::{Login, answer};
use super::Request;
use crate::clock;
use crate::identity::LoginError;
use crate::message::Response;

pub(super) async fn grant(request: Request<'_>) -> Result<Response<String>, OAuthError> {
    let client_id = request.client_id();
    let Request { parameters, scope, origin, provider, .. } = request;
    let username = parameters.required("username")?.expose().to_owned();
    let password = parameters.required("password")?.clone();
    let login = provider.login.clone();
    // The login runs to its end on the control plane, whether or not this client still waits for it.
    let task = provider.control.spawn(async move { login.with_password(&username, password).await });
    let user = match task.await.map_err(|error| internal(&error))? {
        Ok(user) => user,
        Err(LoginError::BadCredentials) => return Err(OAuthError::InvalidGrant),
        Err(LoginError::Busy | LoginError::Stopped) => return Err(OAuthError::Busy(RETRY_AFTER)),
        Err(error) => return Err(internal(&error)),
    };
    let begin = move |sessions: &crate::identity::Sessions| {
        sessions.begin(&user, &client_id, origin, clock::now()).map(|begun| (user, begun))
    };
    let (user, (session, refresh)) =
        provider.with_sessions(begin).await?.map_err(|error| internal(&error))?;
    answer(provider, &user, &Login::of(&session, Some(&refresh)), scope.is_some())
}
