//! The upstream's answer on its way to the client.

use std::sync::Arc;

use bytes::Bytes;
use http::{StatusCode, header};

use super::forward::{Forwarded, Way};
use super::headers::Switch;
use super::http1::{Connection, Download, Head, Meaning, Settle, Upload};
use super::server::Server;
use super::upgrade;
use crate::body::ResponseBody;
use crate::clock;
use crate::http1::Length;
use crate::message::Response;
use crate::reject::Reject;

/// Makes the response for the client. The connection goes back to its server when the last byte of the body is here, which
/// for most responses is now.
pub(super) fn answer(
    (head, meaning): (Head, Meaning),
    mut connection: Connection,
    server: Arc<Server>,
    upload: Upload,
    switch: Switch,
    way: Way<'_>,
) -> Result<Forwarded, Reject> {
    let (address, answered) = (connection.address(), clock::monotonic());
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        // Half a request has asked for nothing: what the client sends next would go on where it stopped.
        let asked = switch == Switch::WebSocket && upload.is_done();
        let (response, tunnel) = upgrade::accept(connection, asked, way.policy)?;
        return Ok(Forwarded { response, server: address, answered, tunnel: Some(Box::new(tunnel)) });
    }
    let mut fields = way.policy.incoming(connection.fields().drain());
    if head.status == StatusCode::NO_CONTENT {
        // RFC 9110 §8.6: a length has no place here, and a client of HTTP/2 would take the response for malformed.
        fields.remove(&header::CONTENT_LENGTH);
    }
    let complete = if upload.is_done() { whole(&mut connection, meaning.length) } else { None };
    let body = match complete {
        Some(bytes) => {
            if meaning.keeps {
                connection.keep_buffer(upload);
                server.give_back(connection, answered);
            }
            ResponseBody::full(bytes)
        }
        None => {
            let settle = meaning.keeps.then(|| -> Settle {
                Box::new(move |connection| server.give_back(connection, clock::monotonic()))
            });
            let trailers = way.trailers.clone();
            let body = Download::new(connection, meaning.length, upload, settle, trailers);
            ResponseBody::Stream(Box::new(body))
        }
    };
    let response = Response { status: head.status, fields, body };
    Ok(Forwarded { response, server: address, answered, tunnel: None })
}

/// The body, if it came with the head. Then nothing has to be streamed.
fn whole(connection: &mut Connection, length: Length) -> Option<Bytes> {
    let Length::Exact(length) = length else { return None };
    let length = usize::try_from(length).ok()?;
    let received = connection.bytes();
    (received.len() >= length).then(|| received.split_to(length).freeze())
}
