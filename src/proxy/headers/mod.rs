//! What the next hop may read in the header fields, and what it is told by us.
//!
//! Strip first, inject last (RFC 9700 §4.13). What names itself like a header of ours is dropped whatever spelling it has:
//! backends fold `X_User`, `X.User` and `x-user` into one variable.

mod hops;
mod trace;

use std::fmt::Write;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use hops::Via;
pub use hops::is_for_this_hop;

use crate::auth::Caller;
use crate::config::IdentityHeaders;
use crate::inbound::{Inbound, REQUEST_ID};

/// Header names of the field that tell a backend who or where a client is, or which request to take it for. Only we say that.
const SPOOFABLE: [&str; 16] = [
    "forwarded",
    // Not a client's name, but CGI would make HTTP_PROXY of it, by which a backend sends its own requests (CVE-2016-5385).
    "proxy",
    "x-request-id",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "x-original-url",
    "x-original-uri",
    "x-original-method",
    "x-rewrite-url",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
];

/// Names that begin like this are dropped too.
const SPOOFABLE_PREFIXES: [&str; 2] = ["x-forwarded-", "x-envoy-"];

/// What a backend says to a proxy in front of it, such as nginx: a client has no use for it.
const BETWEEN_PROXIES: &str = "x-accel-";

/// RFC 9110 §7.6.1, with the two of RFC 9110 §11.7 that are between a client and its proxy.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    // RFC 7540 §3.2.1: belongs to an upgrade that we never pass on.
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What a trailer must not carry (RFC 9110 §6.5.1): framing, routing, authentication, content format.
const NEVER_IN_TRAILERS: [&str; 14] = [
    "authorization",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "host",
    "max-forwards",
    "range",
    "set-cookie",
    "trailer",
    "www-authenticate",
];

/// The header rules of a snapshot.
#[derive(Debug)]
pub struct HeaderPolicy {
    user: HeaderName,
    role: HeaderName,
    /// The two names above, folded.
    identity: [Box<str>; 2],
    /// Folded names that only we may set, those two among them.
    reserved: Vec<Box<str>>,
    /// First bytes of all that is dropped: most names are let through by one look-up.
    suspicious: [bool; 256],
    via: Via,
    pseudonym: String,
}

impl HeaderPolicy {
    /// The rules for these identity headers. `instance` names this process in `Via` (RFC 9110 §7.6.3), so that a loop is seen.
    #[must_use]
    pub fn new(names: &IdentityHeaders, instance: &str) -> Self {
        let mut reserved: Vec<Box<str>> = SPOOFABLE.iter().map(|&name| name.into()).collect();
        let identity = [names.user.as_str(), names.role.as_str()].map(|name| folded(name).into_boxed_str());
        reserved.extend(identity.iter().cloned());
        let mut suspicious = [false; 256];
        for name in reserved.iter().map(AsRef::as_ref).chain(SPOOFABLE_PREFIXES) {
            let Some(&first) = name.as_bytes().first() else { continue };
            for byte in 0..=u8::MAX {
                // A configured name can begin with a symbol, and all symbols fold into one.
                suspicious[usize::from(byte)] |= fold(byte) == first;
            }
        }
        let pseudonym = format!("portcullis-{instance}");
        let via = Via::new(&pseudonym);
        Self {
            user: names.user.clone(),
            role: names.role.clone(),
            identity,
            reserved,
            suspicious,
            via,
            pseudonym,
        }
    }

    /// Whether the request has been here before.
    #[must_use]
    pub fn is_loop(&self, headers: &HeaderMap) -> bool {
        // By bytes: a line with a byte beyond ASCII in it, which another hop may have joined ours to, is no text.
        let ours = self.pseudonym.as_bytes();
        let by_us = |value: &HeaderValue| value.as_bytes().windows(ours.len()).any(|part| part == ours);
        headers.get_all(header::VIA).iter().any(by_us)
    }

    /// Turns the client's header fields into the backend's.
    pub fn outgoing<B>(
        &self,
        inbound: &mut Inbound<B>,
        caller: Option<&Caller>,
        authorization: Authorization,
        new_trace: u128,
    ) {
        let wants_trailers =
            inbound.headers().contains_key(header::TE) && accepts_trailers(inbound.headers());
        let mut headers = std::mem::take(&mut inbound.head.headers);
        remove_hop_by_hop(&mut headers);
        self.remove_reserved(&mut headers);
        self.clean_trailer_list(&mut headers);
        if authorization == Authorization::Withheld {
            headers.remove(header::AUTHORIZATION);
        }
        if wants_trailers {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
        }
        join_cookies(&mut headers);
        hops::count_down(&inbound.head.method, &mut headers);
        headers.insert(header::HOST, inbound.authority().clone());
        headers.append(header::VIA, self.via.received_by(inbound.head.version).clone());
        headers.insert(REQUEST_ID, inbound.request_id().as_header().clone());
        trace::continue_or_start(&mut headers, new_trace);
        hops::add_forwarded(&mut headers, inbound);
        if let Some(caller) = caller {
            headers.insert(self.user.clone(), caller.user_header().clone());
            if !caller.roles().is_empty() {
                headers.insert(self.role.clone(), caller.role_header().clone());
            }
        }
        inbound.head.headers = headers;
    }

    /// Turns the backend's header fields into those that the client sees.
    pub fn incoming(&self, headers: &mut HeaderMap) {
        if headers.contains_key(header::TRANSFER_ENCODING) {
            // RFC 9112 §6.3: the coding is what counts. The length that stands beside it must not frame our own response.
            headers.remove(header::CONTENT_LENGTH);
        }
        remove_hop_by_hop(headers);
        self.clean_trailer_list(headers);
        remove_where(headers, |name| {
            let first = name.as_bytes().first().copied().unwrap_or_default();
            if !self.suspicious[usize::from(first)] {
                return false;
            }
            let name = folded(name);
            self.identity.iter().any(|ours| **ours == *name) || name.starts_with(BETWEEN_PROXIES)
        });
    }

    /// Drops what has no place in a trailer section, in either direction.
    pub fn clean_trailers(&self, trailers: &mut HeaderMap) {
        remove_hop_by_hop(trailers);
        remove_where(trailers, |name| self.is_barred_from_trailers(name));
    }

    fn remove_reserved(&self, headers: &mut HeaderMap) {
        remove_where(headers, |name| self.is_reserved(name));
    }

    fn is_reserved(&self, name: &str) -> bool {
        let first = name.as_bytes().first().copied().unwrap_or_default();
        if !self.suspicious[usize::from(first)] {
            return false;
        }
        let name = folded(name);
        self.reserved.iter().any(|reserved| **reserved == *name)
            || SPOOFABLE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    }

    fn is_barred_from_trailers(&self, name: &str) -> bool {
        self.is_reserved(name)
            || NEVER_IN_TRAILERS.contains(&name)
            || folded(name).starts_with(BETWEEN_PROXIES)
    }

    /// `Trailer` announces names; those that would be dropped are not announced.
    fn clean_trailer_list(&self, headers: &mut HeaderMap) {
        if !headers.contains_key(header::TRAILER) {
            return;
        }
        let mut kept = String::new();
        for name in list(headers, &header::TRAILER) {
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            if !self.is_barred_from_trailers(&name) {
                let comma = if kept.is_empty() { "" } else { ", " };
                let _ = write!(kept, "{comma}{name}");
            }
        }
        headers.remove(header::TRAILER);
        if let Some(value) = HeaderValue::try_from(kept).ok().filter(|value| !value.is_empty()) {
            headers.insert(header::TRAILER, value);
        }
    }
}

/// What becomes of the client's `Authorization`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// The backend sees it.
    Forwarded,
    /// It ends here.
    Withheld,
}

/// Whether the request asks for a WebSocket (RFC 6455 §4.1). Nothing else is ever tunnelled.
#[must_use]
pub(super) fn asks_for_websocket(headers: &HeaderMap) -> bool {
    // One line with one word: a list of protocols would leave the choice to the backend.
    let mut lines = headers.get_all(header::UPGRADE).iter();
    let only_websocket =
        lines.next().is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    only_websocket
        && lines.next().is_none()
        && list(headers, &header::CONNECTION).any(|token| token.eq_ignore_ascii_case(b"upgrade"))
}

/// The items of a list header, over all of its lines.
fn list<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h [u8]> {
    let lines = headers.get_all(name).iter();
    lines
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|item| !item.is_empty())
}

fn accepts_trailers(headers: &HeaderMap) -> bool {
    list(headers, &header::TE).any(|item| item.eq_ignore_ascii_case(b"trailers"))
}

/// RFC 9110 §7.6.1: what `Connection` names goes, then the fields that are always between neighbours. A client can name any field in
/// `Connection`, also one that we are going to inject: ours are injected afterwards.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = if headers.contains_key(header::CONNECTION) {
        list(headers, &header::CONNECTION).filter_map(|token| HeaderName::from_bytes(token).ok()).collect()
    } else {
        Vec::new()
    };
    for name in named {
        // `Connection: content-length` must not take the frame away from a body, nor `host` the target.
        if name != header::CONTENT_LENGTH && name != header::HOST {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

fn remove_where(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| unwanted(name.as_str())).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Lower case, and every byte that is not a letter or digit as `-`. `HeaderName` is lower case already.
fn folded(name: &str) -> String {
    name.bytes().map(|byte| char::from(fold(byte))).collect()
}

fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

/// RFC 9113 §8.2.3: HTTP/2 may split `Cookie` into crumbs; HTTP/1.1 has one line.
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(header::COOKIE, whole);
    }
}

#[cfg(test)]
mod tests;
