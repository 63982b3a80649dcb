//! The head of a response, and what its framing is (RFC 9112 §6).

use http::{StatusCode, Version, header};
use http_body::Body;

use crate::digits;
use crate::gateway::Tracked;
use crate::http1::Framing;
use crate::inbound::REQUEST_ID;
use crate::message::{Fields, Response, write_field};

/// What a request means for its response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meaning {
    /// Whether it was HEAD, whose response has no content (RFC 9110 §9.3.2).
    pub(super) is_head: bool,
    pub(super) version: Version,
    /// Whether the client takes trailer fields.
    pub(super) trailers: bool,
    /// Whether another request can follow.
    pub(super) keeps: bool,
}

/// Writes the head behind what is in `out`. Says in `meaning` when no request can follow because of it.
pub(super) fn write(
    out: &mut Vec<u8>,
    response: &Response<Tracked>,
    meaning: &mut Meaning,
    date: &[u8],
) -> Framing {
    let status = response.status;
    let framing = framing(response, *meaning);
    let switches = status == StatusCode::SWITCHING_PROTOCOLS;
    meaning.keeps &= framing != Framing::UntilClose;
    out.extend_from_slice(if meaning.version == Version::HTTP_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    out.extend_from_slice(status.as_str().as_bytes());
    line(out, &[b" ", status.canonical_reason().unwrap_or_default().as_bytes()]);
    let id = response.body.request_id();
    // Where no content is sent, its length is that of another response.
    let says_length = framing == Framing::Empty && !has_no_length(status);
    let (mut dated, mut measured) = (false, false);
    let lines = response.fields.lines();
    out.extend_from_slice(lines.unwrap_or_default());
    for (name, value) in response.fields.iter().filter(|_| lines.is_none()) {
        if *name == header::CONNECTION && !switches {
            // Nobody but the gateway says it here, and `close` is all that it says.
            meaning.keeps = false;
        } else if *name == header::CONTENT_LENGTH && !says_length
            || *name == header::TRANSFER_ENCODING
            || *name == REQUEST_ID && id.is_some()
        {
            // What is sent, and how it is framed, is known better below, and so is the id.
        } else {
            dated |= *name == header::DATE;
            measured |= *name == header::CONTENT_LENGTH;
            line(out, &[name.as_str().as_bytes(), b": ", value.as_bytes()]);
        }
    }
    match framing {
        Framing::Length(length) => write_length(out, length),
        Framing::Chunked => line(out, &[b"transfer-encoding: chunked"]),
        Framing::Empty if meaning.is_head && !measured => {
            let length = response.body.size_hint().exact().filter(|&length| length > 0);
            length.into_iter().for_each(|length| write_length(out, length));
        }
        Framing::Empty | Framing::UntilClose => {}
    }
    if let Some(id) = id {
        line(out, &[REQUEST_ID.as_str().as_bytes(), b": ", id.as_bytes()]);
    }
    if !dated {
        line(out, &[b"date: ", date]);
    }
    match (meaning.keeps, meaning.version) {
        _ if switches => {}
        (false, _) => line(out, &[b"connection: close"]),
        (true, Version::HTTP_10) => line(out, &[b"connection: keep-alive"]),
        (true, _) => {}
    }
    line(out, &[]);
    framing
}

/// Writes an interim response behind what is in `out`.
pub(super) fn write_interim(out: &mut Vec<u8>, status: StatusCode, fields: &Fields) {
    let reason = status.canonical_reason().unwrap_or("Interim");
    line(out, &[b"HTTP/1.1 ", status.as_str().as_bytes(), b" ", reason.as_bytes()]);
    for (name, value) in fields.iter() {
        write_field(out, name.as_str(), value.as_bytes());
    }
    line(out, &[]);
}

fn framing<B: Body>(response: &Response<B>, meaning: Meaning) -> Framing {
    let status = response.status;
    let has_none = status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || meaning.is_head;
    match response.body.size_hint().exact() {
        _ if has_none => Framing::Empty,
        Some(length) => Framing::Length(length),
        None if meaning.version == Version::HTTP_10 => Framing::UntilClose,
        None => Framing::Chunked,
    }
}

/// RFC 9110 §8.6.
fn has_no_length(status: StatusCode) -> bool {
    status.is_informational() || status == StatusCode::NO_CONTENT
}

/// Also for fields: with `message::write_field` a response took 60 to 100 instructions more.
fn line(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(b"\r\n");
}

fn write_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"content-length: ");
    digits::decimal(out, length);
    out.extend_from_slice(b"\r\n");
}
