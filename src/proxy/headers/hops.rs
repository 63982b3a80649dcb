//! What a request is told about its way: `Via`, `Max-Forwards`, and the client behind us.

use http::{HeaderValue, Method, Version, header};

use crate::digits;
use crate::inbound::Inbound;
use crate::message::{Fields, write_field};

/// What `Via` says, for each version in which a request can come (RFC 9110 §7.6.3: the protocol by which it was received).
#[derive(Debug)]
pub(super) struct Via {
    http10: HeaderValue,
    http11: HeaderValue,
    http2: HeaderValue,
}

impl Via {
    pub(super) fn new(pseudonym: &str) -> Self {
        let value = |version: &str| {
            HeaderValue::try_from(format!("{version} {pseudonym}"))
                .unwrap_or(HeaderValue::from_static("1.1 portcullis"))
        };
        Self { http10: value("1.0"), http11: value("1.1"), http2: value("2.0") }
    }

    pub(super) fn received_by(&self, version: Version) -> &HeaderValue {
        match version {
            Version::HTTP_10 => &self.http10,
            Version::HTTP_2 => &self.http2,
            _ => &self.http11,
        }
    }
}

/// `X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded` (RFC 7239), all from the same chain, so that they cannot contradict each other.
pub(super) fn write_forwarded(out: &mut Vec<u8>, inbound: &Inbound) {
    let chain = inbound.chain();
    let host = chain.host().unwrap_or_else(|| inbound.authority()).as_bytes();
    let proto = chain.scheme().as_str().as_bytes();
    write_field(out, "x-forwarded-proto", proto);
    write_field(out, "x-forwarded-host", host);
    out.extend_from_slice(b"x-forwarded-for: ");
    for (index, hop) in chain.hops().enumerate() {
        out.extend_from_slice(if index == 0 { b"" } else { b", " });
        digits::ip(out, hop);
    }
    out.extend_from_slice(b"\r\nforwarded: ");
    for (index, hop) in chain.hops().enumerate() {
        out.extend_from_slice(if index == 0 { b"for=" } else { b", for=" });
        let (before, after): (&[u8], &[u8]) = if hop.is_ipv6() { (b"\"[", b"]\"") } else { (b"", b"") };
        out.extend_from_slice(before);
        digits::ip(out, hop);
        out.extend_from_slice(after);
        if index == 0 {
            for part in [b";host=\"", host, b"\";proto=", proto] {
                out.extend_from_slice(part);
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Whether the request must go no further: `OPTIONS` with `Max-Forwards: 0` asks for the last one of the way (RFC 9110 §7.6.2).
#[must_use]
pub fn is_for_this_hop(method: &Method, headers: &Fields) -> bool {
    method == Method::OPTIONS && max_forwards(headers) == Some(0)
}

fn max_forwards(headers: &Fields) -> Option<u64> {
    headers.get(&header::MAX_FORWARDS)?.to_str().ok()?.parse().ok()
}

/// RFC 9110 §7.6.2: one hop less. The field has a meaning for `TRACE` and `OPTIONS` only, and `TRACE` ends here.
pub(super) fn count_down(method: &Method, headers: &Fields) -> Option<HeaderValue> {
    let left = max_forwards(headers).filter(|_| method == Method::OPTIONS)?;
    Some(HeaderValue::from(left.saturating_sub(1)))
}
