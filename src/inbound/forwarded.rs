//! The client behind trusted proxies, and what we tell the next hop about the way of the request.
//!
//! `X-Forwarded-For` is read from the right: every proxy appends the peer that it saw, so an entry can be believed as long as all
//! entries to the right of it were written by proxies that we trust. What lies to the left of the first stranger is his invention.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderName, HeaderValue};

use super::Limits;
use crate::message::Fields;
use crate::peer::{ClientIp, PeerAddr};

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// A chain longer than this is nobody's deployment.
const MAX_HOPS: usize = 32;

/// The scheme by which the client reached the first proxy that we trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// As in `X-Forwarded-Proto`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Who sent the request to whom, as far as it can be believed.
#[derive(Clone, Debug)]
pub struct ForwardedChain {
    client: ClientIp,
    /// From the client to the hop before the peer; empty without trusted proxies.
    hops: Vec<IpAddr>,
    peer: IpAddr,
    scheme: Scheme,
    host: Option<HeaderValue>,
}

impl ForwardedChain {
    /// Reads the forwarding headers if the peer may set them.
    #[must_use]
    pub(super) fn read(headers: &Fields, peer: PeerAddr, limits: &Limits) -> Self {
        let trusted = limits.trusts(peer);
        let peer = peer.ip();
        if !trusted {
            return Self { client: ClientIp(peer), hops: Vec::new(), peer, scheme: Scheme::Http, host: None };
        }
        let mut hops = believable(headers, limits);
        hops.reverse();
        let client = ClientIp(hops.first().copied().unwrap_or(peer));
        let scheme = match last_item(headers, &FORWARDED_PROTO) {
            Some(b"https" | b"wss") => Scheme::Https,
            _ => Scheme::Http,
        };
        let host = last_item(headers, &FORWARDED_HOST)
            .and_then(|text| std::str::from_utf8(text).ok())
            .filter(|text| crate::route::Host::parse_authority(text).is_ok())
            .and_then(|text| HeaderValue::from_str(text).ok());
        Self { client, hops, peer, scheme, host }
    }

    /// The client.
    #[must_use]
    pub fn client(&self) -> ClientIp {
        self.client
    }

    /// The scheme that the client used.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host that the client asked for, where a trusted proxy has said another than `Host` does.
    #[must_use]
    pub fn host(&self) -> Option<&HeaderValue> {
        self.host.as_ref()
    }

    /// The client, the trusted proxies after it, and last the peer.
    pub fn hops(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.hops.iter().copied().chain([self.peer])
    }
}

/// The hops that can be believed, the nearest first; the last of them is the client.
fn believable(headers: &Fields, limits: &Limits) -> Vec<IpAddr> {
    let mut hops = Vec::new();
    let lines: Vec<&[u8]> = headers.get_all(&FORWARDED_FOR).map(HeaderValue::as_bytes).collect();
    for item in lines.iter().rev().flat_map(|line| line.rsplit(|&byte| byte == b',')).take(MAX_HOPS) {
        let Some(address) = std::str::from_utf8(item).ok().and_then(parse_address) else { break };
        hops.push(address);
        if !limits.trusted_proxies.iter().any(|net| net.contains(&address)) {
            break;
        }
    }
    hops
}

/// An address with or without a port: both are seen in the field.
fn parse_address(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches([' ', '\t']);
    let address = text
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()))
        .or_else(|_| text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>());
    address.ok().map(|address| address.to_canonical())
}

/// The last item of a list header: the one that the nearest proxy wrote.
fn last_item<'h>(headers: &'h Fields, name: &'h HeaderName) -> Option<&'h [u8]> {
    let line = headers.get_all(name).next_back()?;
    line.as_bytes().rsplit(|&byte| byte == b',').next().map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{ForwardedChain, Limits, Scheme};
    use crate::peer::PeerAddr;

    fn chain(trusted: &[&str], fields: &[(&'static str, &str)]) -> ForwardedChain {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let trusted_proxies: Vec<ipnet::IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        let limits = Limits { max_uri_size: 1, max_headers: 1, trusted_proxies };
        let peer = PeerAddr("10.0.0.1:4000".parse().unwrap());
        ForwardedChain::read(&headers.into(), peer, &limits)
    }

    fn hops(chain: &ForwardedChain) -> String {
        chain.hops().map(|hop| hop.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_stranger_is_believed_nothing() {
        let fields =
            [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "evil")];
        let chain = chain(&[], &fields);
        assert_eq!((hops(&chain).as_str(), chain.scheme(), chain.host()), ("10.0.0.1", Scheme::Http, None));
    }

    #[test]
    fn the_client_is_the_first_stranger_from_the_right() {
        let cases: [(&[&str], &str, &str); 6] = [
            (&["6.6.6.6, 1.1.1.1"], "1.1.1.1", "1.1.1.1 10.0.0.1"),
            (&["6.6.6.6, 1.1.1.1, 10.0.0.9"], "1.1.1.1", "1.1.1.1 10.0.0.9 10.0.0.1"),
            (&["6.6.6.6", "1.1.1.1, 10.0.0.9"], "1.1.1.1", "1.1.1.1 10.0.0.9 10.0.0.1"),
            (&["1.1.1.1, unknown, 10.0.0.9"], "10.0.0.9", "10.0.0.9 10.0.0.1"),
            (&["[2001:db8::1]:443"], "2001:db8::1", "2001:db8::1 10.0.0.1"),
            (&["::ffff:1.1.1.1"], "1.1.1.1", "1.1.1.1 10.0.0.1"),
        ];
        for (lines, client, all) in cases {
            let fields: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
            let chain = chain(&["10.0.0.0/8"], &fields);
            assert_eq!(
                (chain.client().to_string().as_str(), hops(&chain).as_str()),
                (client, all),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn a_scheme_is_http_or_https_and_nothing_else() {
        for (text, scheme) in
            [("https", Scheme::Https), ("http", Scheme::Http), ("evil_protocol", Scheme::Http)]
        {
            assert_eq!(chain(&["10.0.0.1/32"], &[("x-forwarded-proto", text)]).scheme(), scheme);
        }
    }
}
