//! `POST /auth/logout`: the end of the caller's session.

use http::StatusCode;

use super::Provider;
use super::error::OAuthError;
use super::request::internal;
use crate::auth::Permit;
use crate::body::ResponseBody;
use crate::clock;
use crate::message::Response;
use crate::reject::Reject;

/// Ends the session of the caller's token: its refresh token and all of its access tokens, on the next request.
///
/// # Errors
/// [`Reject::Unavailable`] when that could not be written down; the session then goes on.
pub async fn logout(permit: Permit<'_>, provider: &Provider) -> Result<Response<ResponseBody>, Reject> {
    let session = permit.caller().and_then(|caller| caller.session());
    let session = session.ok_or_else(|| Reject::Internal("a logout without a session".to_owned()))?;
    let ended = provider.with_sessions(move |sessions| sessions.end(session, clock::now())).await;
    match ended.map(|ended| ended.map_err(|error| internal(&error))) {
        Ok(Ok(_)) => Ok(Response::new(StatusCode::NO_CONTENT, ResponseBody::empty())),
        Ok(Err(_)) | Err(OAuthError::Failed) => {
            Err(Reject::Unavailable("the session could not be ended".to_owned()))
        }
        Err(error) => Err(Reject::Unavailable(error.to_string())),
    }
}
