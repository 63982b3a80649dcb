//! From a listening socket to requests: threads, connections, their limits and their end. Knows nothing of what requests mean.

mod accept;
mod batch;
mod connection;
mod http1;
mod http2;
mod io;
mod watch;
mod worker;

pub use accept::{BindError, bind};
pub use worker::{Workers, WorkersError, serve};
