//! Heads of messages: what the upstream gets, what it answers, and what the client sees of that.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use bytes::BytesMut;
use gungraun::{library_benchmark, library_benchmark_group};
use portcullis::auth::{Caller, authorize};
use portcullis::config::Config;
use portcullis::inbound::Inbound;
use portcullis::message::Fields;
use portcullis::name::{CallerName, Role, Roles};
use portcullis::proxy::head::Reader;
use portcullis::proxy::{HeaderPolicy, preview};

use crate::config::{NOW, fields, inbound, with_routes};

/// A response of a service behind the gateway.
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: orders/3.1\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\n\
    Content-Type: application/json; charset=utf-8\r\nContent-Length: 1024\r\nCache-Control: private, max-age=60\r\n\
    ETag: \"0123456789abcdef\"\r\nVary: Accept-Encoding\r\nConnection: keep-alive\r\n\r\n";

struct Request {
    config: Config,
    policy: HeaderPolicy,
    inbound: Inbound,
    caller: Arc<Caller>,
}

fn request(count: usize) -> Request {
    let config = with_routes(1, "127.0.0.1:9", Path::new("/"));
    let roles: Roles = ["reader", "writer"].into_iter().map(|role| Role::new(role).unwrap()).collect();
    let caller = Caller::supposed(CallerName::new("alice").unwrap(), roles, NOW).unwrap();
    let policy = HeaderPolicy::new(&config.identity_headers, "0123abcd");
    let inbound = inbound(&config, fields(count));
    let request = Request { config, policy, inbound, caller: Arc::new(caller) };
    request.forward();
    request
}

impl Request {
    /// The rule of the route is applied too, since only that gives a permit.
    fn forward(&self) -> Vec<u8> {
        let Self { config, policy, inbound, caller } = self;
        let found = config.routes.find(inbound.host(), inbound.path(), inbound.method());
        let permit = authorize(found, inbound.path(), || Ok(caller.clone())).unwrap();
        preview(&permit, inbound, policy, black_box(1)).unwrap()
    }
}

#[library_benchmark]
#[bench::of_6_fields(args = (6), setup = request)]
#[bench::of_100_fields(args = (100), setup = request)]
fn forward(request: Request) -> (Vec<u8>, Request) {
    (request.forward(), request)
}

/// What a connection keeps: its buffers have been used before.
struct Received {
    bytes: BytesMut,
    reader: Reader,
    fields: Fields,
    policy: HeaderPolicy,
}

impl Received {
    fn new() -> Self {
        let config = with_routes(1, "127.0.0.1:9", Path::new("/"));
        Self {
            bytes: BytesMut::new(),
            reader: Reader::default(),
            fields: Fields::default(),
            policy: HeaderPolicy::new(&config.identity_headers, "0123abcd"),
        }
    }

    fn receive(&mut self) {
        self.bytes = BytesMut::with_capacity(8192);
        self.bytes.extend_from_slice(RESPONSE);
        self.bytes.extend_from_slice(&[b'x'; 1024]);
    }

    fn read(&mut self) {
        assert!(matches!(self.reader.take(&mut self.bytes, &mut self.fields), Ok(Some(_))));
    }

    fn filter(&mut self) -> Fields {
        self.policy.incoming(self.fields.drain())
    }
}

fn received() -> Received {
    let mut it = parsed();
    it.filter();
    it.receive();
    it
}

fn parsed() -> Received {
    let mut it = Received::new();
    it.receive();
    it.read();
    it.filter();
    it.receive();
    it.read();
    it
}

#[library_benchmark]
#[bench::of_8_fields(setup = received)]
fn read_response(mut it: Received) -> Received {
    black_box(&mut it).read();
    it
}

#[library_benchmark]
#[bench::of_8_fields(setup = parsed)]
fn filter_response(mut it: Received) -> (Fields, Received) {
    (black_box(&mut it).filter(), it)
}

library_benchmark_group!(name = head, benchmarks = [forward, read_response, filter_response]);
