//! A new connection to a server.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::balance::Server;
use super::outgoing::Outgoing;
use super::pool::Connection;

/// Bytes that an upstream's response head may have. The read buffer of a large body is bounded by it too.
const MAX_RESPONSE_HEAD: usize = 256 * 1024;

/// Resolves, connects and starts the task that drives the connection.
pub(super) async fn connect(server: &Server, limit: Duration) -> io::Result<Connection> {
    let stream = match timeout(limit, dial(&server.authority)).await {
        Ok(result) => result?,
        Err(_) => {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {limit:?}")));
        }
    };
    let address = stream.peer_addr()?;
    let mut builder = http1::Builder::new();
    // One buffer and `write` are cheaper than `writev` for messages of a few hundred bytes.
    builder.writev(false).max_buf_size(MAX_RESPONSE_HEAD);
    let (sender, connection) =
        builder.handshake::<_, Outgoing>(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(async move {
        // Whoever waits for the response gets the error; nobody waits for an idle connection.
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(upstream.addr = %address, error = %error, "an upstream connection ended");
        }
    });
    Ok(Connection { sender, address })
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
