//! Listening sockets, and the loop that takes connections from one.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::connection;
use super::worker::Context;
use crate::peer::PeerAddr;

/// Connections that the kernel keeps for us while we are busy.
const BACKLOG: i32 = 4096;
/// After an error of `accept` that is not the connection's own, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// The public address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (server.listen): {source}")]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

/// One socket for each worker on the same address (`SO_REUSEPORT`): the kernel spreads connections over them, and workers share
/// nothing. Port 0 is chosen once and then used by all.
///
/// # Errors
/// [`BindError`] names the address.
pub fn bind(address: SocketAddr, workers: usize) -> Result<Vec<StdListener>, BindError> {
    // With `SO_REUSEPORT` a second gateway would get half of the connections, and nobody would be told.
    listen(address, Port::Alone).map_err(|source| BindError { address, source })?;
    let mut sockets: Vec<StdListener> = Vec::with_capacity(workers);
    for _ in 0..workers {
        let chosen = sockets.first().map_or(Ok(address), StdListener::local_addr);
        let socket = chosen
            .and_then(|address| listen(address, Port::Shared))
            .map_err(|source| BindError { address, source })?;
        sockets.push(socket);
    }
    Ok(sockets)
}

/// Whether other sockets may listen on the same port.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Port {
    Alone,
    Shared,
}

fn listen(address: SocketAddr, port: Port) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(port == Port::Shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Takes connections until it is aborted. A connection beyond `max_connections` waits until another one ends; those behind it stay in
/// the kernel's queue. The place is taken after the connection has come: a listener that holds one while it waits would keep it
/// from the others, with whom it shares the port.
pub(super) async fn accept(listener: TcpListener, context: Arc<Context>, places: Arc<Semaphore>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if let Err(error) = prepare(&stream) {
                    tracing::debug!(client.addr = %peer, error = %error, "a connection ended before it was set up");
                    continue;
                }
                let Ok(place) = places.clone().acquire_owned().await else { return };
                tokio::spawn(connection::serve(stream, PeerAddr(peer), place, context.clone()));
            }
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                tracing::warn!(error = %error, "cannot accept connections; is LimitNOFILE high enough?");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15));
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Errors that concern the one connection that was about to be accepted.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests {
    use super::bind;

    #[test]
    fn workers_share_a_port_and_a_second_gateway_does_not() {
        let sockets = bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let address = sockets[0].local_addr().unwrap();
        assert_eq!(sockets[1].local_addr().unwrap(), address);
        let error = bind(address, 2).unwrap_err().to_string();
        assert!(error.contains(&address.to_string()), "{error}");
    }
}
