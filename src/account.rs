//! What callers can learn about themselves.

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::auth::Permit;
use crate::body::ResponseBody;
use crate::message::Response;
use crate::name::{CallerName, Roles};
use crate::reject::Reject;

#[derive(Serialize)]
struct Me<'a> {
    username: &'a CallerName,
    roles: &'a Roles,
    /// Seconds since the epoch, as in the token.
    expires_at: u64,
}

/// `GET /auth/me`: the caller as the token has it.
///
/// # Errors
/// [`Reject::Internal`] if the route has been made public, which the configuration does not allow.
pub fn me(permit: &Permit<'_>) -> Result<Response<ResponseBody>, Reject> {
    let caller = permit.caller().ok_or_else(|| Reject::Internal("/auth/me without a caller".to_owned()))?;
    let me = Me { username: caller.name(), roles: caller.roles(), expires_at: caller.expires().as_secs() };
    let body = serde_json::to_vec(&me).map_err(|error| Reject::Internal(error.to_string()))?;
    Ok(Response::new(StatusCode::OK, ResponseBody::full(body))
        .with(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .with(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
}
