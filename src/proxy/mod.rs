//! From a permit to the upstream's answer. Works on permitted, well-formed requests only, and decides nothing about who may pass.

mod answer;
mod balance;
mod connect;
mod forward;
mod headers;
mod outgoing;
mod pool;
mod send;
mod upgrade;

pub use balance::{Upstream, UpstreamSet};
pub use forward::{Forwarded, Way, forward, rewrite};
pub use headers::{Authorization, HeaderPolicy, is_for_this_hop};
pub use upgrade::Tunnel;
