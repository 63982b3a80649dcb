//! The head of a request as the backend gets it, written from the client's header fields in one pass.
//!
//! Most fields are passed on as they came: one look at the first byte of the name tells that. The others are looked up by name.

use http::{HeaderName, HeaderValue, Method, header};

use super::trace::{self, Trace};
use super::{ApiKeyHeader, HeaderPolicy, hops, is_hop_by_hop, list, named_by};
use crate::auth::{API_KEY, Caller};
use crate::digits;
use crate::http1::Framing;
use crate::inbound::{Inbound, REQUEST_ID};
use crate::message::{Fields, write_field};
use crate::reject::Reject;

/// What becomes of a credential of the client.
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
    /// And of the client's `X-API-Key`, where that is a credential.
    pub(in crate::proxy) api_key: Authorization,
    /// How the backend learns where the body ends.
    pub(in crate::proxy) framing: Framing,
    /// Whether `Expect: 100-continue` is passed on.
    pub(in crate::proxy) expects: bool,
    /// Whether the client's request has a `Connection` field.
    pub(in crate::proxy) connection: bool,
    /// Whether the backend is asked for another protocol.
    pub(in crate::proxy) switch: Switch,
    /// 128 random bits for a new trace.
    pub(in crate::proxy) new_trace: u128,
}

/// Names that [`HeaderPolicy::fate`] knows, beside those that only we may set.
pub(super) const NOTABLE: [&str; 17] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "traceparent",
    "tracestate",
    "via",
];

/// Fields that `Connection` may name. Each field of the request is compared with each of them, and a line of 32 KiB has room for
/// 16,000 names: 15 million instructions for one request.
const MAX_NAMED: usize = 100;

/// What becomes of a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Passed,
    Dropped,
    Authorization,
    Expect,
    Via,
    /// What changes is written as a whole, behind the others.
    Changed(Changed),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Changed {
    Cookie,
    Length,
    MaxForwards,
    Te,
    TraceParent,
    TraceState,
    Trailer,
}

/// Which of them a request has. Most have none, and seven look-ups would go over all fields seven times to find that.
#[derive(Clone, Copy, Default)]
struct Seen(u8);

impl Seen {
    fn add(&mut self, changed: Changed) {
        self.0 |= 1 << changed as u8;
    }

    fn has(self, changed: Changed) -> bool {
        self.0 & 1 << changed as u8 != 0
    }
}

impl HeaderPolicy {
    /// Appends the head: request line, header fields, empty line (RFC 9112 §3, §5).
    ///
    /// # Errors
    /// [`Reject::Loop`] when the request has been here before, [`Reject::BadRequest`] when `Connection` names too many fields.
    pub(in crate::proxy) fn write_request(
        &self,
        out: &mut Vec<u8>,
        head: &RequestHead<'_>,
    ) -> Result<(), Reject> {
        let (inbound, headers) = (head.inbound, head.inbound.headers());
        for part in [inbound.method().as_str(), " ", head.target, " HTTP/1.1\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        write_value(out, &header::HOST, inbound.authority());
        let mut named: Vec<HeaderName> = match head.connection {
            true => headers.get_all(&header::CONNECTION).flat_map(named_by).take(MAX_NAMED + 1).collect(),
            false => Vec::new(),
        };
        if named.len() > MAX_NAMED {
            return Err(Reject::BadRequest("Connection names too many header fields"));
        }
        if self.api_key == ApiKeyHeader::Ours && head.api_key == Authorization::Withheld {
            // As if `Connection` had named it: to ask for each field what it is costs 12 instructions, also where no key is taken.
            named.push(API_KEY.clone());
        }
        let mut seen = Seen::default();
        for (name, value) in headers.iter() {
            let fate = self.fate(name);
            if fate == Fate::Via && self.is_ours(value) {
                return Err(Reject::Loop);
            }
            if !named.is_empty() && named.contains(name) {
                continue;
            }
            match fate {
                Fate::Passed | Fate::Via => write_value(out, name, value),
                Fate::Authorization if head.authorization == Authorization::Forwarded => {
                    write_value(out, name, value);
                }
                Fate::Expect if head.expects => write_value(out, name, value),
                Fate::Changed(changed) => seen.add(changed),
                Fate::Dropped | Fate::Authorization | Fate::Expect => {}
            }
        }
        self.write_changed(out, head, seen);
        write_framing(out, head, seen);
        self.write_ours(out, head);
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn fate(&self, name: &HeaderName) -> Fate {
        let text = name.as_str();
        if !text.as_bytes().first().is_some_and(|&first| self.notable[usize::from(first)]) {
            return Fate::Passed;
        }
        match text {
            "host" => Fate::Dropped,
            "authorization" => Fate::Authorization,
            "expect" => Fate::Expect,
            "via" => Fate::Via,
            "content-length" => Fate::Changed(Changed::Length),
            "cookie" => Fate::Changed(Changed::Cookie),
            "max-forwards" => Fate::Changed(Changed::MaxForwards),
            "te" => Fate::Changed(Changed::Te),
            "trailer" => Fate::Changed(Changed::Trailer),
            "traceparent" => Fate::Changed(Changed::TraceParent),
            "tracestate" => Fate::Changed(Changed::TraceState),
            _ if is_hop_by_hop(text) || self.is_reserved(text) => Fate::Dropped,
            _ => Fate::Passed,
        }
    }

    /// Whether a line of `Via` names this process.
    pub(super) fn is_ours(&self, line: &HeaderValue) -> bool {
        // By bytes: a line with a byte beyond ASCII in it, which another hop may have joined ours to, is no text.
        let ours = self.pseudonym.as_bytes();
        line.as_bytes().windows(ours.len()).any(|part| part == ours)
    }

    fn write_changed(&self, out: &mut Vec<u8>, head: &RequestHead<'_>, seen: Seen) {
        let headers = head.inbound.headers();
        if seen.has(Changed::Cookie) {
            // RFC 9113 §8.2.3: HTTP/2 may split `Cookie` into crumbs; HTTP/1.1 has one line.
            out.extend_from_slice(b"cookie: ");
            for (index, crumb) in headers.get_all(&header::COOKIE).enumerate() {
                out.extend_from_slice(if index == 0 { b"" } else { b"; " });
                out.extend_from_slice(crumb.as_bytes());
            }
            out.extend_from_slice(b"\r\n");
        }
        if seen.has(Changed::MaxForwards) {
            match hops::count_down(head.inbound.method(), headers) {
                Some(left) => write_value(out, &header::MAX_FORWARDS, &left),
                None => write_all(out, headers, &header::MAX_FORWARDS),
            }
        }
        if seen.has(Changed::Trailer)
            && let Some(announced) = self.trailer_list(headers.get_all(&header::TRAILER))
        {
            write_value(out, &header::TRAILER, &announced);
        }
        let trace = match (seen.has(Changed::TraceParent), seen.has(Changed::TraceState)) {
            (true, has_state) => Trace::of(headers, has_state),
            (false, _) => Trace::Started,
        };
        trace::write(out, headers, trace, head.new_trace);
        if head.switch == Switch::WebSocket {
            out.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n");
        } else if seen.has(Changed::Te)
            && list(headers, &header::TE).any(|item| item.eq_ignore_ascii_case(b"trailers"))
        {
            out.extend_from_slice(b"te: trailers\r\nconnection: te\r\n");
        }
    }

    /// What only we may say. Strip first, inject last.
    fn write_ours(&self, out: &mut Vec<u8>, head: &RequestHead<'_>) {
        let inbound = head.inbound;
        write_value(out, &header::VIA, self.via.received_by(inbound.head.version));
        write_field(out, REQUEST_ID.as_str(), inbound.request_id().as_bytes());
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
fn write_framing(out: &mut Vec<u8>, head: &RequestHead<'_>, seen: Seen) {
    let gives_meaning = || [Method::POST, Method::PUT, Method::PATCH].contains(head.inbound.method());
    match head.framing {
        Framing::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            digits::decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::Empty if seen.has(Changed::Length) || gives_meaning() => {
            out.extend_from_slice(b"content-length: 0\r\n");
        }
        Framing::Empty | Framing::UntilClose => {}
    }
}

pub(super) fn write_all(out: &mut Vec<u8>, headers: &Fields, name: &HeaderName) {
    for value in headers.get_all(name) {
        write_value(out, name, value);
    }
}

fn write_value(out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    write_field(out, name.as_str(), value.as_bytes());
}
