//! A request that is well-formed and means one thing: what everything behind works on.
//!
//! Here ends what the client wrote; nothing below reads the raw target, the raw `Host` or a raw `X-Forwarded-For` again.

mod forwarded;
mod framing;
mod request_id;

use std::borrow::Cow;
use std::net::SocketAddr;

use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Version, header};
use ipnet::IpNet;

pub use forwarded::{ForwardedChain, Scheme};
pub use framing::is_connection_specific;
pub use request_id::{IdSource, REQUEST_ID, RequestId};

use crate::clock::UnixTime;
use crate::config;
use crate::digits;
use crate::message::{Fields, Head};
use crate::peer::{ClientIp, PeerAddr};
use crate::reject::Reject;
use crate::route::{CleanPath, Host};

/// What a request may be, and whom we believe. Part of the snapshot.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of a request target.
    pub max_uri_size: usize,
    /// Header fields. HTTP/1.1's parser stops at this bound by itself; that of HTTP/2 counts bytes only.
    pub max_headers: usize,
    /// Peers whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
}

impl Limits {
    /// The limits of a configuration.
    #[must_use]
    pub fn new(server: &config::Server) -> Self {
        Self {
            max_uri_size: server.max_uri_size,
            max_headers: server.max_headers,
            trusted_proxies: server.trusted_proxies.clone(),
        }
    }

    /// Whether the peer is one of `trusted_proxies`.
    #[must_use]
    pub fn trusts(&self, peer: PeerAddr) -> bool {
        self.trusted_proxies.iter().any(|net| net.contains(&peer.ip()))
    }
}

/// Over what and when a request came.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The other end of the connection.
    pub peer: PeerAddr,
    /// Our end of it.
    pub local: SocketAddr,
    /// When the head was complete.
    pub time: UnixTime,
}

/// A well-formed request.
#[derive(Debug)]
pub struct Inbound {
    /// Method, version and header fields as they came. The URI in it is no longer looked at: see `path` and `host`.
    pub head: Box<Head>,
    path: CleanPath,
    authority: Authority,
    chain: ForwardedChain,
    request_id: RequestId,
}

/// A request that is refused before it means anything, for the access log.
#[derive(Debug)]
pub struct Malformed {
    /// Why.
    pub reject: Reject,
    /// As it came.
    pub head: Box<Head>,
    /// Its id.
    pub request_id: RequestId,
}

impl Inbound {
    /// Checks and normalises the head of a request that the HTTP parser has let through.
    ///
    /// # Errors
    /// [`Malformed`] with status 400, 414, 417, 421 or 501; nothing of the request has been acted on.
    pub fn parse(
        arrival: Arrival,
        head: Box<Head>,
        request_id: RequestId,
        limits: &Limits,
    ) -> Result<Self, Box<Malformed>> {
        match read(&head, arrival, limits) {
            Ok((path, authority)) => {
                let chain = ForwardedChain::read(&head.fields, arrival.peer, limits);
                Ok(Self { head, path, authority, chain, request_id })
            }
            Err(reject) => Err(Box::new(Malformed { reject, head, request_id })),
        }
    }

    /// The path that is authorized and forwarded.
    #[must_use]
    pub fn path(&self) -> &CleanPath {
        &self.path
    }

    /// The host that the request is for: lower case, without port.
    #[must_use]
    pub fn host(&self) -> &str {
        self.authority.host()
    }

    /// `host[:port]` as it is forwarded in `Host`.
    #[must_use]
    pub fn authority(&self) -> &HeaderValue {
        &self.authority.value
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.head.method
    }

    /// The header fields as they came.
    #[must_use]
    pub fn headers(&self) -> &Fields {
        &self.head.fields
    }

    /// The client behind trusted proxies.
    #[must_use]
    pub fn client(&self) -> ClientIp {
        self.chain.client()
    }

    /// What `X-Forwarded-*` and `Forwarded` are rebuilt from.
    #[must_use]
    pub fn chain(&self) -> &ForwardedChain {
        &self.chain
    }

    /// The id of this request, in our log, in the backend's and in the client's response.
    #[must_use]
    pub fn request_id(&self) -> &RequestId {
        &self.request_id
    }
}

fn read(head: &Head, arrival: Arrival, limits: &Limits) -> Result<(CleanPath, Authority), Reject> {
    check_method(&head.method)?;
    if head.fields.len() > limits.max_headers {
        return Err(Reject::TooManyHeaders { limit: limits.max_headers });
    }
    framing::check(head)?;
    Ok((clean_path(head, limits)?, Authority::of(head, arrival.local)?))
}

/// TRACE would echo credentials, CONNECT would make us an open relay; neither has a meaning here (RFC 9110 §9.3.6, §9.3.8).
/// A method is case-sensitive, so a known one in lower case is an unknown one and finds no route.
fn check_method(method: &Method) -> Result<(), Reject> {
    if method == Method::TRACE || method == Method::CONNECT {
        return Err(Reject::MethodRefused);
    }
    Ok(())
}

fn clean_path(head: &Head, limits: &Limits) -> Result<CleanPath, Reject> {
    // The longest targets are asked for by the parser's own bound; this is the configured one.
    // RFC 9110 §7.4: another scheme is another resource, for which we do not speak.
    if head.uri.scheme_str().is_some_and(|scheme| scheme != "http" && scheme != "https") {
        return Err(Reject::BadRequest("the request target has a scheme other than http and https"));
    }
    let target = match head.uri.path_and_query() {
        Some(target) => target.clone(),
        // Absolute form without a path, `GET http://host`: RFC 9112 §3.2.2 reads it as `/`.
        None if head.uri.authority().is_some() => PathAndQuery::from_static("/"),
        None => return Err(Reject::BadRequest("the request has no target")),
    };
    if target.as_str().len() > limits.max_uri_size {
        return Err(Reject::UriTooLong { limit: limits.max_uri_size });
    }
    CleanPath::parse(&target).map_err(Reject::MalformedPath)
}

/// The authority in its normal form, `host[:port]`.
#[derive(Debug)]
struct Authority {
    value: HeaderValue,
    /// Bytes of the host in it.
    host: usize,
}

impl Authority {
    /// The one authority of the request (RFC 9112 §3.2, RFC 9113 §8.3.1): of `Host`, `:authority` and an absolute target all that are
    /// there must agree, since a backend may read another of them than we do.
    fn of(head: &Head, local: SocketAddr) -> Result<Self, Reject> {
        let mut lines = head.fields.get_all(&header::HOST);
        let (field, second) = (lines.next(), lines.next());
        if second.is_some() {
            return Err(Reject::BadRequest("the request has more than one Host header"));
        }
        // The usual case: what came is what we would write.
        if let (None, Some(field)) = (head.uri.authority(), field)
            && let Some(host) = Host::length_in_normal(field.as_bytes())
        {
            return Ok(Self { value: field.clone(), host });
        }
        let target = head.uri.authority().map(|target| split(target.as_str())).transpose()?;
        let Some(field) = field else {
            return match (target, head.version) {
                // HTTP/1.0 has no Host; an absolute target says the same.
                (Some(target), Version::HTTP_2 | Version::HTTP_10) => Self::new(&target),
                // A load balancer that probes with HTTP/1.0 names no host; it means the address that it called.
                (None, Version::HTTP_10) => Self::new(&split(&local.to_string())?),
                _ => Err(Reject::BadRequest("the request has no Host header")),
            };
        };
        let text = field.to_str().map_err(|_| MALFORMED_HOST)?;
        let named = split(text)?;
        if target.is_some_and(|target| target != named) {
            return Err(Reject::Misdirected);
        }
        Self::new(&named)
    }

    fn new(named: &(Cow<'_, str>, Option<u16>)) -> Result<Self, Reject> {
        let value = HeaderValue::try_from(canonical(named)).map_err(|_| MALFORMED_HOST)?;
        Ok(Self { value, host: named.0.len() })
    }

    fn host(&self) -> &str {
        // Both ways to make one leave only ASCII in it.
        self.value.to_str().ok().and_then(|text| text.get(..self.host)).unwrap_or_default()
    }
}

fn canonical((host, port): &(Cow<'_, str>, Option<u16>)) -> Vec<u8> {
    let mut text = host.as_bytes().to_vec();
    if let Some(port) = port {
        text.push(b':');
        digits::decimal(&mut text, (*port).into());
    }
    text
}

const MALFORMED_HOST: Reject = Reject::BadRequest("the Host header is malformed");

fn split(text: &str) -> Result<(Cow<'_, str>, Option<u16>), Reject> {
    Host::split_authority(text).map_err(|_| MALFORMED_HOST)
}
