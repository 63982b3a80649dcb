//! The password grant (RFC 6749 §4.3).

use super::super::error::OAuthError;
use super::super::recorded::{begin_session, check_password};
use super::super::tokens::{Login, answer};
use super::Request;
use crate::message::Response;
use crate::observe::audit::Action;

pub(super) async fn grant(request: Request<'_>) -> Result<Response<String>, OAuthError> {
    let Request { parameters, scope, client, origin, from, provider } = request;
    let username = parameters.required("username")?.expose().to_owned();
    let password = parameters.required("password")?.clone();
    let user = check_password(provider, Action::Login, &from, username, password).await?;
    let (user, session, refresh) = begin_session(provider, user, client, origin, from).await?;
    answer(provider, &user, &Login::of(&session, &provider.lifetimes, Some(&refresh)), scope.is_some())
}
