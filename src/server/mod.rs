//! From a listening socket to requests: threads, connections, their limits and their end. Knows nothing of what requests mean.

mod accept;
mod connection;
mod http1;
mod http2;
mod outlet;
mod watch;
mod worker;

pub use accept::{BindError, bind};
pub use worker::{Workers, WorkersError, serve};

/// The first bytes of HTTP/2 with prior knowledge (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
