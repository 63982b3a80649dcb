//! Addresses of servers that are not well.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// Refuses connections, and keeps its port from everybody else.
pub(crate) struct RefusingAddress {
    _bound: Socket,
    addr: SocketAddr,
}

impl RefusingAddress {
    pub(crate) fn new() -> Self {
        let (socket, addr) = bound();
        Self { _bound: socket, addr }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

/// Never answers an attempt to connect: its queue of connections is full and nobody accepts.
pub(crate) struct SilentAddress {
    _listener: Socket,
    _queued: Vec<TcpStream>,
    addr: SocketAddr,
}

impl SilentAddress {
    pub(crate) fn new() -> Self {
        let (listener, addr) = bound();
        listener.listen(0).unwrap();
        // The kernel drops further attempts once the queue is full; the one that times out shows that it is.
        let attempt = || TcpStream::connect_timeout(&addr, Duration::from_millis(200)).ok();
        let queued = std::iter::from_fn(attempt).collect();
        Self { _listener: listener, _queued: queued, addr }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

fn bound() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, addr)
}
