//! What the next hop may read in the header fields, and what it is told by us.
//!
//! Strip first, inject last (RFC 9700 §4.13). What names itself like a header of ours is dropped whatever spelling it has:
//! backends fold `X_User`, `X.User` and `x-user` into one variable.

mod hops;
mod request;
mod trace;

use std::fmt::Write;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use hops::Via;
pub use hops::is_for_this_hop;
pub(super) use request::{Authorization, RequestHead, Switch};

use crate::auth::API_KEY;
use crate::config::{Config, IdentityHeaders};
use crate::message::Fields;

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
    /// The same, and those of all names of a request that are not simply passed on.
    notable: [bool; 256],
    via: Via,
    pseudonym: String,
    api_key: ApiKeyHeader,
}

/// What `X-API-Key` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ApiKeyHeader {
    /// The business of clients and backends.
    Theirs,
    /// A credential for us.
    Ours,
}

impl HeaderPolicy {
    /// The rules of a configuration. `instance` names this process in `Via`.
    #[must_use]
    pub fn of(config: &Config, instance: &str) -> Self {
        let api_key = if config.login.api_keys { ApiKeyHeader::Ours } else { ApiKeyHeader::Theirs };
        Self { api_key, ..Self::new(&config.identity_headers, instance) }
    }

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
        let mut notable = suspicious;
        for name in request::NOTABLE {
            let first = name.as_bytes().first().copied().unwrap_or_default();
            notable[usize::from(first)] = true;
        }
        let pseudonym = format!("portcullis-{instance}");
        let via = Via::new(&pseudonym);
        Self {
            user: names.user.clone(),
            role: names.role.clone(),
            identity,
            reserved,
            suspicious,
            notable,
            via,
            pseudonym,
            api_key: ApiKeyHeader::Theirs,
        }
    }

    /// Turns the backend's header fields into those that the client sees.
    pub fn incoming(&self, fields: impl IntoIterator<Item = (HeaderName, HeaderValue)>) -> Fields {
        let fields = fields.into_iter();
        let mut kept = Fields::with_capacity(fields.size_hint().0);
        let mut unwanted = Vec::new();
        let (mut length, mut trailer) = (false, false);
        for (name, value) in fields {
            if name == header::CONNECTION {
                unwanted.extend(named_by(&value));
            } else if name == header::CONTENT_LENGTH {
                // A server may say it twice, as long as it says the same (RFC 9110 §8.6). The client hears it once.
                if !std::mem::replace(&mut length, true) {
                    kept.push(name, single(value));
                }
            } else if name == header::TRANSFER_ENCODING {
                // RFC 9112 §6.3: the coding is what counts. The length beside it must not frame our own response.
                unwanted.push(header::CONTENT_LENGTH);
            } else if !self.is_dropped_from_responses(&name) {
                trailer |= name == header::TRAILER;
                kept.push(name, value);
            }
        }
        for name in unwanted {
            kept.remove(&name);
        }
        if trailer {
            let list = self.trailer_list(kept.get_all(&header::TRAILER));
            kept.remove(&header::TRAILER);
            list.into_iter().for_each(|list| kept.push(header::TRAILER, list));
        }
        kept
    }

    /// Drops what has no place in a trailer section, in either direction.
    pub fn clean_trailers(&self, trailers: &mut HeaderMap) {
        let barred = |name: &&HeaderName| self.is_barred_from_trailers(name.as_str());
        let names: Vec<HeaderName> = trailers.keys().filter(barred).cloned().collect();
        for name in names {
            trailers.remove(name);
        }
    }

    fn is_dropped_from_responses(&self, name: &HeaderName) -> bool {
        let text = name.as_str();
        is_hop_by_hop(text)
            || self.is_suspicious(text)
                && (self.identity.iter().any(|ours| is_alias(text, ours))
                    || begins_like(text, BETWEEN_PROXIES))
    }

    fn is_reserved(&self, name: &str) -> bool {
        self.is_suspicious(name)
            && (self.reserved.iter().any(|reserved| is_alias(name, reserved))
                || SPOOFABLE_PREFIXES.iter().any(|prefix| begins_like(name, prefix)))
    }

    /// Whether it is the credential of a program.
    fn is_api_key(&self, name: &str) -> bool {
        self.api_key == ApiKeyHeader::Ours && name == API_KEY.as_str()
    }

    fn is_suspicious(&self, name: &str) -> bool {
        name.as_bytes().first().is_some_and(|&first| self.suspicious[usize::from(first)])
    }

    fn is_barred_from_trailers(&self, name: &str) -> bool {
        is_hop_by_hop(name)
            || self.is_reserved(name)
            || NEVER_IN_TRAILERS.contains(&name)
            || self.is_api_key(name)
            || begins_like(name, BETWEEN_PROXIES)
    }

    /// `Trailer` announces names; those that would be dropped are not announced.
    fn trailer_list<'h>(&self, lines: impl Iterator<Item = &'h HeaderValue>) -> Option<HeaderValue> {
        let mut kept = String::new();
        for name in lines.flat_map(items) {
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            if !self.is_barred_from_trailers(&name) {
                let comma = if kept.is_empty() { "" } else { ", " };
                let _ = write!(kept, "{comma}{name}");
            }
        }
        HeaderValue::try_from(kept).ok().filter(|value| !value.is_empty())
    }
}

/// Whether the request asks for a WebSocket (RFC 6455 §4.1). Nothing else is ever tunnelled.
#[must_use]
pub(super) fn asks_for_websocket(headers: &Fields) -> bool {
    // One line with one word: a list of protocols would leave the choice to the backend.
    let mut lines = headers.get_all(&header::UPGRADE);
    let only_websocket =
        lines.next().is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    only_websocket
        && lines.next().is_none()
        && list(headers, &header::CONNECTION).any(|token| token.eq_ignore_ascii_case(b"upgrade"))
}

/// The items of a list header, over all of its lines.
fn list<'h>(headers: &'h Fields, name: &'h HeaderName) -> impl Iterator<Item = &'h [u8]> {
    headers.get_all(name).flat_map(items)
}

fn items(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|item| !item.is_empty())
}

/// RFC 9110 §7.6.1: the fields that are always between neighbours, with the two of RFC 9110 §11.7 that are between a client and its
/// proxy, and that of an upgrade which we never pass on (RFC 7540 §3.2.1).
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// RFC 9110 §7.6.1: what a line of `Connection` names goes too. A client can name any field there, also one that we are going to
/// inject: ours are injected afterwards.
fn named_by(line: &HeaderValue) -> impl Iterator<Item = HeaderName> {
    let names = items(line).filter_map(|item| HeaderName::from_bytes(item).ok());
    // `Connection: content-length` must not take the frame away from a body, nor `host` the target.
    names.filter(|name| {
        *name != header::CONTENT_LENGTH && *name != header::HOST && !is_hop_by_hop(name.as_str())
    })
}

/// The first item of a list.
fn single(value: HeaderValue) -> HeaderValue {
    let first = items(&value).next().filter(|first| first.len() != value.len());
    first.and_then(|first| HeaderValue::from_bytes(first).ok()).unwrap_or(value)
}

/// Whether a backend could read one name as the other: it folds case, and every byte that is not a letter or digit into one.
/// `ours` is folded.
fn is_alias(name: &str, ours: &str) -> bool {
    name.len() == ours.len() && begins_like(name, ours)
}

fn begins_like(name: &str, ours: &str) -> bool {
    name.len() >= ours.len() && name.bytes().zip(ours.bytes()).all(|(byte, our)| fold(byte) == our)
}

/// Lower case, and every byte that is not a letter or digit as `-`. `HeaderName` is lower case already.
fn folded(name: &str) -> String {
    name.bytes().map(|byte| char::from(fold(byte))).collect()
}

fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

#[cfg(test)]
mod tests;
