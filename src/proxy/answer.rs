//! The upstream's answer on its way to the client.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use hyper::upgrade::OnUpgrade;

use super::balance::Server;
use super::forward::{Forwarded, Way};
use super::http1::{Connection, Download, Head, Length, Meaning, Settle, Upload};
use super::upgrade;
use crate::body::ResponseBody;
use crate::clock;
use crate::reject::Reject;

/// Makes the response for the client. The connection goes back to its server's pool when the last byte of the body is here, which
/// for most responses is now.
pub(super) fn answer(
    (head, meaning): (Head, Meaning),
    mut connection: Box<Connection>,
    server: Arc<Server>,
    upload: Upload,
    client_upgrade: Option<OnUpgrade>,
    way: Way<'_>,
) -> Result<Forwarded, Reject> {
    let (address, answered) = (connection.address(), clock::monotonic());
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        // Half a request has asked for nothing: what the client sends next would go on where it stopped.
        let client_upgrade = client_upgrade.filter(|_| upload.is_done());
        let (response, tunnel) = upgrade::accept(*connection, client_upgrade, way.policy)?;
        return Ok(Forwarded { response, server: address, answered, tunnel: Some(tunnel), early: false });
    }
    let mut headers = way.policy.incoming(connection.fields().drain(..));
    if head.status == StatusCode::NO_CONTENT {
        // RFC 9110 §8.6: a length has no place here, and a client of HTTP/2 would take the response for malformed.
        headers.remove(header::CONTENT_LENGTH);
    }
    let early = !upload.is_done();
    let complete = if !early { whole(&mut connection, meaning.length) } else { None };
    let body = match complete {
        Some(bytes) => {
            if meaning.keeps {
                server.pool.give_back(connection, answered);
            }
            ResponseBody::full(bytes)
        }
        None => {
            let settle = meaning.keeps.then(|| -> Settle {
                Box::new(move |connection| server.pool.give_back(connection, clock::monotonic()))
            });
            let trailers = way.trailers.clone();
            let body = Download::new(connection, meaning.length, upload, settle, trailers);
            ResponseBody::Stream(Box::new(body))
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = headers;
    Ok(Forwarded { response, server: address, answered, tunnel: None, early })
}

/// The body, if it came with the head. Then nothing has to be streamed.
fn whole(connection: &mut Connection, length: Length) -> Option<Bytes> {
    let Length::Exact(length) = length else { return None };
    let length = usize::try_from(length).ok()?;
    let received = connection.received();
    (received.len() >= length).then(|| received.split_to(length).freeze())
}
