//! HTTP/2 with clients (RFC 9113), frame by frame.
//!
//! Where the RFC leaves the choice between the end of a stream and that of its connection, tests take both (§5.4.1).

mod attacks;
mod bodies;
mod connection;
mod drain;
mod errors;
mod floods;
mod flow;
mod requests;
mod responses;
mod streams;
mod tables;

use crate::harness::{Fate, RawHttp2};

/// The fields of a GET.
fn get(path: &str) -> [(&str, &str); 4] {
    [(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "h")]
}

/// The fields of a POST.
fn post(path: &str) -> [(&str, &str); 4] {
    [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "h")]
}

/// The connection serves another request.
#[track_caller]
fn assert_serves(client: &mut RawHttp2, stream: u32) {
    assert_eq!(client.request(stream, &get("/public/on"), None).fate(stream), Fate::Answered(200));
}
