//! Whose address is it: the peer of the socket, or the client that a trusted proxy speaks for.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The other end of the TCP connection. It cannot be forged, and it may be a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddr(pub SocketAddr);

impl PeerAddr {
    /// The address without its port, an IPv4-mapped IPv6 address as the IPv4 address it is.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        self.0.ip().to_canonical()
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The client on whose behalf the request was made: the peer itself, or what trusted proxies said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientIp(pub IpAddr);

impl fmt::Display for ClientIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
