//! Local endpoints: answered by the gateway itself, under the same rules as everything else.

use http::StatusCode;

use super::Snapshot;
use crate::auth::Permit;
use crate::body::{RequestBody, ResponseBody};
use crate::config::Endpoint;
use crate::inbound::Inbound;
use crate::message::Response;
use crate::reject::Reject;
use crate::{account, health, oauth};

/// Answers. The permit is used up, as it is when a request is forwarded.
pub(super) async fn serve(
    endpoint: Endpoint,
    permit: Permit<'_>,
    inbound: &Inbound,
    body: RequestBody,
    snapshot: &Snapshot,
) -> Result<Response<ResponseBody>, Reject> {
    match endpoint {
        Endpoint::Token => oauth::token(permit, inbound, body, &snapshot.provider).await,
        Endpoint::Jwks => Ok(oauth::jwks(permit, inbound, &snapshot.provider)),
        Endpoint::Metadata => Ok(oauth::metadata(permit, inbound, &snapshot.provider)),
        Endpoint::Resource => Ok(oauth::resource(permit, inbound, &snapshot.provider)),
        Endpoint::Me => account::me(&permit),
        Endpoint::Revoke => {
            oauth::revoke(permit, inbound, body, &snapshot.provider, &snapshot.verifier).await
        }
        Endpoint::Introspect => {
            oauth::introspect(permit, inbound, body, &snapshot.provider, &snapshot.verifier).await
        }
        Endpoint::Logout => oauth::logout(permit, inbound, &snapshot.provider).await,
        Endpoint::Password => oauth::password(permit, inbound, body, &snapshot.provider).await,
        Endpoint::Register => oauth::register(permit, inbound, body, &snapshot.provider).await,
        Endpoint::Health => Ok(health::alive(permit)),
        Endpoint::Ready => Ok(health::ready(permit, &snapshot.health)),
    }
}

/// The answer to an `OPTIONS` that must not be forwarded (RFC 9110 §7.6.2).
pub(super) fn last_hop(_: Permit<'_>) -> Response<ResponseBody> {
    Response::new(StatusCode::NO_CONTENT, ResponseBody::empty())
}
