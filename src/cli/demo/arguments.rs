//! What can be typed behind `portcullis demo`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

/// `portcullis demo`
#[derive(Debug, Args)]
#[command(after_help = "It needs no configuration file. Ctrl-C ends it.")]
pub(in crate::cli) struct Demo {
    /// Where the gateway listens; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(super) listen: SocketAddr,
    /// Keep everything in this directory instead of a temporary one
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
}
