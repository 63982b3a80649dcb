//! A new connection to a server.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::http1::Socket;
use super::server::Server;

/// Resolves and connects.
pub(super) async fn connect(server: &Server, limit: Duration) -> io::Result<Socket> {
    let stream = match timeout(limit, dial(&server.authority)).await {
        Ok(result) => result?,
        Err(_) => {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {limit:?}")));
        }
    };
    Socket::new(stream, server.note_open())
}

/// Tries the addresses of a name in the order in which the resolver gives them.
async fn dial(authority: &str) -> io::Result<TcpStream> {
    let stream = match authority.parse::<SocketAddr>() {
        Ok(address) => TcpStream::connect(address).await?,
        Err(_) => dial_name(authority).await?,
    };
    stream.set_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15));
    socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    Ok(stream)
}

async fn dial_name(authority: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{authority} has no address"));
    for address in lookup_host(authority).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
