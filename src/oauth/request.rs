//! What the endpoints that take parameters have in common: how they are read, and how a refusal is answered.

use std::time::Duration;

use http::header;

use super::error::OAuthError;
use super::form::Parameters;
use crate::body::{BodyError, RequestBody, ResponseBody};
use crate::causes::with_causes;
use crate::identity::Origin;
use crate::inbound::Inbound;
use crate::message::Response;
use crate::reject::Reject;

/// A client that finds the gateway too busy may come back then.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a request to an endpoint is refused.
pub(super) enum Refusal {
    /// In the form of RFC 6749 §5.2.
    OAuth(OAuthError),
    /// Its body could not be read.
    Gateway(Reject),
}

impl From<OAuthError> for Refusal {
    fn from(error: OAuthError) -> Self {
        Self::OAuth(error)
    }
}

impl From<Reject> for Refusal {
    fn from(reject: Reject) -> Self {
        Self::Gateway(reject)
    }
}

/// The response of an endpoint. Errors of the protocol are responses too.
pub(super) fn answered(outcome: Result<Response<String>, Refusal>) -> Result<Response<ResponseBody>, Reject> {
    match outcome {
        Ok(response) => Ok(response.map(ResponseBody::full)),
        Err(Refusal::OAuth(error)) => Ok(error.response().map(ResponseBody::full)),
        Err(Refusal::Gateway(reject)) => Err(reject),
    }
}

/// The parameters in the body. A query is refused: URLs end up in logs and histories (RFC 6749 §2.3.1).
pub(super) async fn parameters(inbound: &Inbound, body: RequestBody) -> Result<Parameters, Refusal> {
    if inbound.path().path_and_query().query().is_some_and(|query| !query.is_empty()) {
        let error = OAuthError::InvalidRequest("parameters belong in the body, not in the URL".into());
        return Err(error.into());
    }
    let body = body.collect().await.map_err(|error| match error {
        BodyError::TooLarge { limit } => Reject::BodyTooLarge { limit },
        BodyError::Stalled(_) => Reject::BodyStalled,
        BodyError::Broken(_)
        | BodyError::Reset
        | BodyError::WrongLength
        | BodyError::Upstream(_)
        | BodyError::TokenEnded(_) => Reject::BodyBroken,
    })?;
    Ok(Parameters::read(inbound.headers(), &body)?)
}

/// From where the request comes.
pub(super) fn origin(inbound: &Inbound) -> Origin {
    let agent = inbound.headers().get(&header::USER_AGENT).map(http::HeaderValue::as_bytes);
    Origin::new(inbound.client().0, agent)
}

/// The gateway failed; why is for its log.
pub(super) fn internal(error: &dyn std::error::Error) -> OAuthError {
    tracing::error!(error = %with_causes(error), "an endpoint of the token service failed");
    OAuthError::Failed
}
