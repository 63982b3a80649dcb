//! Header blocks of HTTP/2: a request as a program sends it, and a response as it goes to it.
//!
//! The requests are of the form in which nghttp2 writes them: path and token in Huffman code each time, the rest in the table.

use std::hint::black_box;

use bytes::Bytes;
use gungraun::{library_benchmark, library_benchmark_group};
use http::{HeaderName, HeaderValue, StatusCode, header};
use portcullis::hpack::{Decoder, Encoder, Extent, Name, TABLE_SIZE};

use crate::tokens::HS256;

/// The first block of a connection, and one of those that follow.
const FIRST: &[u8] = include_bytes!("blocks/first.hpack");
const AGAIN: &[u8] = include_bytes!("blocks/again.hpack");

const LINES: usize = 9;

struct Requests {
    decoder: Decoder,
    lines: Vec<(Name, Bytes)>,
}

impl Requests {
    fn new() -> Self {
        Self { decoder: Decoder::new(TABLE_SIZE), lines: Vec::with_capacity(LINES) }
    }

    fn decode(&mut self, block: &[u8]) {
        let take = |name, value| self.lines.push((name, value));
        assert_eq!(self.decoder.decode(block, 65_536, take), Ok(Extent::Whole));
    }

    fn check(&mut self) {
        assert_eq!(self.lines.len(), LINES);
        let (name, value) = self.lines.pop().unwrap();
        assert_eq!(name, Name::Field(header::AUTHORIZATION));
        assert_eq!(value, format!("Bearer {}", HS256.1.trim()));
        self.lines.clear();
    }
}

/// A connection that has had these blocks, after another one that has had more.
fn after(blocks: &[&[u8]]) -> Requests {
    let one = |blocks: &[&[u8]]| {
        let mut requests = Requests::new();
        for block in blocks {
            requests.decode(block);
            requests.check();
        }
        requests
    };
    one(&[FIRST, AGAIN, AGAIN]);
    one(blocks)
}

#[library_benchmark]
#[bench::first_block(args = (&[], FIRST), setup = before, teardown = check)]
#[bench::warm(args = (&[FIRST, AGAIN], AGAIN), setup = before, teardown = check)]
fn decode((mut requests, block): (Requests, &[u8])) -> Requests {
    requests.decode(black_box(block));
    requests
}

fn before(blocks: &[&[u8]], block: &'static [u8]) -> (Requests, &'static [u8]) {
    (after(blocks), block)
}

fn check(mut requests: Requests) {
    requests.check();
}

/// A response of a service behind the gateway, and what is another value in each.
struct Responses {
    encoder: Encoder,
    fields: Vec<(HeaderName, HeaderValue)>,
    block: Vec<u8>,
}

impl Responses {
    fn new() -> Self {
        let fields = [
            (header::SERVER, "orders/3.1"),
            (header::DATE, "Tue, 14 Nov 2023 22:13:20 GMT"),
            (header::CONTENT_TYPE, "application/json; charset=utf-8"),
            (header::CACHE_CONTROL, "private, max-age=60"),
            (header::VARY, "Accept-Encoding"),
            (header::VIA, "1.1 0123abcd"),
        ];
        let fields = fields.map(|(name, value)| (name, HeaderValue::from_static(value)));
        Self { encoder: Encoder::new(), fields: fields.into(), block: Vec::with_capacity(1024) }
    }

    fn encode(&mut self) {
        let Self { encoder, fields, block } = self;
        block.clear();
        encoder.begin(block);
        encoder.status(StatusCode::OK, block);
        for (name, value) in fields {
            encoder.field(name, value, block);
        }
        encoder.unindexed(&header::CONTENT_LENGTH, b"1024", block);
        encoder.unindexed(&REQUEST_ID, b"0123456789abcdef0123456789abcdef", block);
    }
}

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

fn responses() -> Responses {
    let mut responses = Responses::new();
    for _ in 0..3 {
        responses.encode();
    }
    responses
}

fn check_block(Responses { fields, block, .. }: Responses) {
    let literals = (2 + 1 + 4) + (1 + 1 + 12 + 1 + 32);
    assert_eq!(block.len(), 1 + fields.len() + literals);
    drop((fields, block));
}

#[library_benchmark]
#[bench::warm(setup = responses, teardown = check_block)]
fn encode(mut responses: Responses) -> Responses {
    black_box(&mut responses).encode();
    responses
}

library_benchmark_group!(name = hpack, benchmarks = [decode, encode]);
