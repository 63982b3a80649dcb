//! Black-box tests: they start the real binary, speak to its sockets and look at what the backend received.
//!
//! One test binary, since each costs a link. `harness` is what makes a test short; the other modules are one area each.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and then prints the gateway's log"
)]

mod harness;

mod api_keys;
mod audit;
mod client_wire;
mod clients;
mod clients_of_others;
mod commands;
mod demo;
mod durability;
mod exchange;
mod framing;
mod headers;
mod http2;
mod idle;
mod issuer_keys;
mod issuers;
mod jwt;
mod keys;
mod limits;
mod login;
mod logs;
mod metrics;
mod operations;
mod pass;
mod path;
mod proxying;
mod registration;
mod revocation;
mod rfcs;
mod sessions;
mod streams;
mod throttling;
mod upstream_wire;
mod upstreams;
mod user_import;
mod users_cli;
mod websockets;
