//! From a permit to the upstream's answer. Works on permitted, well-formed requests only, and decides nothing about who may pass.

mod answer;
mod balance;
mod connect;
mod forward;
mod frames;
mod headers;
mod http1;
mod pick;
mod server;
mod upgrade;

pub use balance::{Round, Upstream, UpstreamSet};
pub use forward::{Forwarded, Way, forward, preview};
pub use headers::{HeaderPolicy, is_for_this_hop};
pub use http1::head;
pub use upgrade::Tunnel;
