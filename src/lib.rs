//! Portcullis: an authenticating reverse proxy in one binary.
//!
//! The modules are listed from the top of the house to the bottom; each imports only from those below it, and
//! `tests/layers.rs` holds that. `ARCHITECTURE.md` is the map.

pub mod cli;

pub mod app;

pub mod reload;

pub mod server;

pub mod gateway;

pub mod account;
pub mod admin;
pub mod health;
pub mod oauth;

pub mod proxy;

pub mod auth;

pub mod inbound;

pub mod reject;

pub mod identity;

pub mod issuers;

pub mod token;

pub mod store;

pub mod observe;

pub mod config;

pub mod route;

pub mod body;
pub mod causes;
pub mod clock;
pub mod control;
pub mod digits;
pub mod hpack;
pub mod http1;
pub mod id;
pub mod interim;
pub mod limit;
pub mod message;
pub mod name;
pub mod peer;
pub mod seal;
pub mod secret;
pub mod shutdown;
pub mod spare;
