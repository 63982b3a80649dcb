//! The admin API: what the command line asks of a running gateway, over a unix socket that only its owner can open.

mod api;
mod client;
mod metrics;
mod server;
mod wire;

use std::path::{Path, PathBuf};

pub use client::{Client, ConnectError};
pub use server::{AdminServer, SocketError};
pub use wire::TokenView;

/// The socket of the gateway that has this data directory open.
#[must_use]
pub fn socket_path(data_directory: &Path) -> PathBuf {
    data_directory.join("admin.sock")
}
