//! What a request is told about its way: `Via`, `Max-Forwards`, and the client behind us.

use std::fmt::Write;
use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, Method, Version, header};

use crate::inbound::Inbound;

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
pub(super) fn add_forwarded<B>(headers: &mut HeaderMap, inbound: &Inbound<B>) {
    let chain = inbound.chain();
    let host = chain.host().unwrap_or_else(|| inbound.authority());
    let host_text = host.to_str().unwrap_or_default();
    let proto = chain.scheme().as_str();
    let (mut list, mut forwarded) = (String::new(), String::new());
    for (index, hop) in chain.hops().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let _ = write!(list, "{comma}{hop}");
        let _ = match hop {
            IpAddr::V4(address) => write!(forwarded, "{comma}for={address}"),
            IpAddr::V6(address) => write!(forwarded, "{comma}for=\"[{address}]\""),
        };
        if index == 0 {
            let _ = write!(forwarded, ";host=\"{host_text}\";proto={proto}");
        }
    }
    headers.insert("x-forwarded-proto", HeaderValue::from_static(proto));
    headers.insert("x-forwarded-host", host.clone());
    for (name, text) in [("x-forwarded-for", list), ("forwarded", forwarded)] {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    }
}

/// Whether the request must go no further: `OPTIONS` with `Max-Forwards: 0` asks for the last one of the way (RFC 9110 §7.6.2).
#[must_use]
pub fn is_for_this_hop(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS && max_forwards(headers) == Some(0)
}

fn max_forwards(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::MAX_FORWARDS)?.to_str().ok()?.parse().ok()
}

/// RFC 9110 §7.6.2: one hop less. The field has a meaning for `TRACE` and `OPTIONS` only, and `TRACE` ends here.
pub(super) fn count_down(method: &Method, headers: &mut HeaderMap) {
    if method == Method::OPTIONS
        && let Some(left) = max_forwards(headers)
    {
        headers.insert(header::MAX_FORWARDS, HeaderValue::from(left.saturating_sub(1)));
    }
}
