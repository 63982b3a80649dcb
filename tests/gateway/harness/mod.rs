//! What a test needs: a running gateway, a backend that records, clients that send exact bytes.
//!
//! Everything waits for an event, never for a time. [`PATIENCE`] only turns a hang into a failure.

mod backend;
mod client;
mod exposition;
mod gate;
mod gateway;
mod http2;
mod issuer;
mod message;
mod process;
mod request;
mod site;
mod sockets;
#[cfg(test)]
mod tests;
pub(crate) mod token;
mod wire;

use std::time::Duration;

use portcullis::clock;

pub(crate) use backend::{Backend, Recorded};
pub(crate) use client::{Client, Response};
pub(crate) use exposition::Page as Exposition;
pub(crate) use gate::Gate;
pub(crate) use gateway::{Gateway, password_of};
pub(crate) use http2::{Fate, Frame, Http2, PREFACE, RawHttp2, code, fields, flag, kind, setting};
pub(crate) use issuer::{Issuer, IssuerKey, TlsServer};
pub(crate) use process::{Output, Process};
pub(crate) use request::Request;
pub(crate) use site::{Setup, Site, binary};
pub(crate) use sockets::{RefusingAddress, SilentAddress};
pub(crate) use wire::Broken;

/// How long anything may take before the test gives up. Far above what it needs on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for something that nobody tells us about, such as the contents of a file.
#[track_caller]
pub(crate) fn wait_until(what: &str, is: impl Fn() -> bool) {
    let begin = clock::monotonic();
    while !is() {
        assert!(clock::monotonic() < begin + PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::yield_now();
    }
}

/// The routes of most tests: one public, one for any login, one for readers, one for administrators.
pub(crate) const ROUTES: &str = r#"
[[route]]
path = "/public/*"
access = "public"
upstream = "backend"

[[route]]
path = "/anyone/*"
access = "authenticated"
upstream = "backend"

[[route]]
path = "/orders/*"
methods = ["GET", "HEAD", "POST"]
roles = ["reader", "admin"]
upstream = "backend"

[[route]]
path = "/admin/*"
roles = ["admin"]
upstream = "backend"
"#;
