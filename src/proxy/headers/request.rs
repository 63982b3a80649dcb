//! The head of a request as the backend gets it, written from the client's header fields in one pass.
//!
//! Most fields are passed on as they came: one look at the first byte of the name tells that. The others are looked up by name.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::super::http1::Framing;
use super::trace::{self, Trace};
use super::{HeaderPolicy, hops, is_hop_by_hop, list, named_by};
use crate::auth::Caller;
use crate::inbound::{Inbound, REQUEST_ID};

/// What becomes of the client's `Authorization`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Authorization {
    /// The backend sees it.
    Forwarded,
    /// It ends here.
    Withheld,
}

/// Whether the request asks to change the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Switch {
    /// No.
    Never,
    /// To a WebSocket (RFC 6455 §4.1).
    WebSocket,
}

/// What the head of a forwarded request is made from.
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) struct RequestHead<'a> {
    /// What the client sent.
    pub(in crate::proxy) inbound: &'a Inbound,
    /// The request target, in origin form.
    pub(in crate::proxy) target: &'a str,
    /// Who sent it, if anybody has logged in.
    pub(in crate::proxy) caller: Option<&'a Caller>,
    /// What becomes of the client's `Authorization`.
    pub(in crate::proxy) authorization: Authorization,
    /// How the backend learns where the body ends.
    pub(in crate::proxy) framing: Framing,
    /// Whether `Expect: 100-continue` is passed on.
    pub(in crate::proxy) expects: bool,
    /// Whether the backend is asked for another protocol.
    pub(in crate::proxy) switch: Switch,
    /// 128 random bits for a new trace.
    pub(in crate::proxy) new_trace: u128,
}

/// First bytes of the names that [`Fate::of`] knows, beside those that only we may set.
pub(super) const NOTABLE: [&str; 21] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "traceparent",
    "tracestate",
    "via",
    "x-request-id",
    "forwarded",
];

/// What becomes of a field that is not simply passed on.
enum Fate {
    Passed,
    Dropped,
    Authorization,
    Cookie,
    MaxForwards,
    Expect,
    Trailer,
    Parent,
    State,
}

impl HeaderPolicy {
    /// Appends the head: request line, header fields, empty line (RFC 9112 §3, §5).
    pub(in crate::proxy) fn write_request(&self, out: &mut Vec<u8>, head: &RequestHead<'_>) {
        let (inbound, headers) = (head.inbound, head.inbound.headers());
        for part in [inbound.method().as_str(), " ", head.target, " HTTP/1.1\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        write_value(out, &header::HOST, inbound.authority());
        let named: Vec<HeaderName> = match headers.contains_key(header::CONNECTION) {
            true => headers.get_all(header::CONNECTION).iter().flat_map(named_by).collect(),
            false => Vec::new(),
        };
        let trace = Trace::of(headers);
        for (name, value) in headers {
            let passes = match self.fate(name) {
                _ if !named.is_empty() && named.contains(name) => false,
                Fate::Passed => true,
                Fate::Dropped => false,
                Fate::Authorization => head.authorization == Authorization::Forwarded,
                Fate::Expect => head.expects,
                Fate::Parent => trace != Trace::Started,
                Fate::State => trace == Trace::Continued,
                // Lists and numbers that change are written as a whole.
                Fate::Cookie | Fate::MaxForwards | Fate::Trailer => {
                    if headers.get(name).is_some_and(|first| std::ptr::eq(first, value)) {
                        self.write_changed(out, inbound.method(), headers, name);
                    }
                    false
                }
            };
            if passes {
                write_value(out, name, value);
            }
        }
        write_framing(out, head);
        write_switch(out, head);
        self.write_ours(out, head, trace);
        out.extend_from_slice(b"\r\n");
    }

    fn fate(&self, name: &HeaderName) -> Fate {
        let text = name.as_str();
        if !text.as_bytes().first().is_some_and(|&first| self.notable[usize::from(first)]) {
            return Fate::Passed;
        }
        match text {
            "content-length" | "host" => Fate::Dropped,
            "authorization" => Fate::Authorization,
            "cookie" => Fate::Cookie,
            "max-forwards" => Fate::MaxForwards,
            "expect" => Fate::Expect,
            "trailer" => Fate::Trailer,
            trace::TRACEPARENT => Fate::Parent,
            trace::TRACESTATE => Fate::State,
            _ if is_hop_by_hop(text) || self.is_reserved(text) => Fate::Dropped,
            _ => Fate::Passed,
        }
    }

    fn write_changed(&self, out: &mut Vec<u8>, method: &Method, headers: &HeaderMap, name: &HeaderName) {
        if *name == header::COOKIE {
            // RFC 9113 §8.2.3: HTTP/2 may split `Cookie` into crumbs; HTTP/1.1 has one line.
            out.extend_from_slice(b"cookie: ");
            for (index, crumb) in headers.get_all(name).iter().enumerate() {
                out.extend_from_slice(if index == 0 { b"" } else { b"; " });
                out.extend_from_slice(crumb.as_bytes());
            }
            out.extend_from_slice(b"\r\n");
        } else if *name == header::TRAILER {
            if let Some(announced) = self.trailer_list(headers) {
                write_value(out, name, &announced);
            }
        } else if let Some(left) = hops::count_down(method, headers) {
            write_value(out, name, &left);
        } else {
            for value in headers.get_all(name) {
                write_value(out, name, value);
            }
        }
    }

    /// What only we may say. Strip first, inject last.
    fn write_ours(&self, out: &mut Vec<u8>, head: &RequestHead<'_>, trace: Trace) {
        let inbound = head.inbound;
        write_value(out, &header::VIA, self.via.received_by(inbound.head.version));
        write_value(out, &REQUEST_ID, inbound.request_id().as_header());
        if trace == Trace::Started {
            out.extend_from_slice(b"traceparent: ");
            trace::write_parent(out, head.new_trace);
            out.extend_from_slice(b"\r\n");
        }
        hops::write_forwarded(out, inbound);
        if let Some(caller) = head.caller {
            write_value(out, &self.user, caller.user_header());
            if !caller.roles().is_empty() {
                write_value(out, &self.role, caller.role_header());
            }
        }
    }
}

/// RFC 9112 §6: our own framing, whatever the client's was. RFC 9110 §8.6: a request whose method gives content a meaning says that it
/// has none.
fn write_framing(out: &mut Vec<u8>, head: &RequestHead<'_>) {
    let inbound = head.inbound;
    let says_none = || {
        inbound.headers().contains_key(header::CONTENT_LENGTH)
            || [Method::POST, Method::PUT, Method::PATCH].contains(inbound.method())
    };
    match head.framing {
        Framing::Length(length) => {
            write_field(out, "content-length", itoa::Buffer::new().format(length).as_bytes());
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::Empty if says_none() => out.extend_from_slice(b"content-length: 0\r\n"),
        Framing::Empty => {}
    }
}

/// The fields between us and the backend.
fn write_switch(out: &mut Vec<u8>, head: &RequestHead<'_>) {
    let headers = head.inbound.headers();
    if head.switch == Switch::WebSocket {
        out.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n");
    } else if headers.contains_key(header::TE)
        && list(headers, &header::TE).any(|item| item.eq_ignore_ascii_case(b"trailers"))
    {
        out.extend_from_slice(b"te: trailers\r\nconnection: te\r\n");
    }
}

fn write_value(out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    write_field(out, name.as_str(), value.as_bytes());
}

pub(super) fn write_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Lower-case digits. The formatting of the standard library takes 1,000 instructions for 128 bits.
pub(super) fn hex<const N: usize, const M: usize>(bytes: [u8; N]) -> [u8; M] {
    let mut text = [b'0'; M];
    for (byte, pair) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        for (digit, value) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
            *digit = if value < 10 { b'0' + value } else { b'a' - 10 + value };
        }
    }
    text
}
