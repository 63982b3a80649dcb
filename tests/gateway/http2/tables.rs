//! The table of fields that a connection's requests share (RFC 7541): every header block changes it, also one that is refused.

use super::{assert_serves, get};
use crate::harness::{Fate, Frame, Gate, Gateway, ROUTES, RawHttp2, Setup, code, fields, flag, kind};

/// The newest entry of the table, as a whole field (RFC 7541 §6.1 and §2.3.3).
const NEWEST: &[u8] = b"\xbe";
/// The one before.
const SECOND: &[u8] = b"\xbf";

/// A literal that goes into the table (RFC 7541 §6.2.1).
fn entry(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = fields::encode(&[(name, value)]);
    bytes[0] = 0x40;
    bytes
}

/// A GET whose block goes on with these bytes.
fn request(stream: u32, path: &str, bytes: &[u8]) -> Frame {
    let block = [&fields::encode(&get(path)), bytes].concat();
    Frame::new(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, stream, block)
}

#[track_caller]
fn assert_seen(gateway: &Gateway, client: &mut RawHttp2, stream: u32, bytes: &[u8], wanted: &[(&str, &str)]) {
    let fate = client.send(request(stream, "/public/x", bytes)).fate(stream);
    assert_eq!(fate, Fate::Answered(200), "{}", bytes.escape_ascii());
    let seen = gateway.backend.last();
    for (name, value) in wanted {
        assert_eq!(seen.header(name).as_deref(), Some(*value), "{name}");
    }
}

/// RFC 7541 §2.3.2, §4.3, §4.4 and §6.3.
#[test]
fn entries_last_until_there_is_no_room_for_them() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::connect(gateway.addr());
    let (one, two) = (entry("x-one", "1"), entry("x-two", "2"));
    assert_seen(&gateway, &mut client, 1, &one, &[("x-one", "1")]);
    assert_seen(&gateway, &mut client, 3, NEWEST, &[("x-one", "1")]);
    assert_seen(&gateway, &mut client, 5, &two, &[("x-two", "2")]);
    assert_seen(&gateway, &mut client, 7, &[SECOND, NEWEST].concat(), &[("x-one", "1"), ("x-two", "2")]);
    // The name of an entry with another value, which is kept nowhere: 62 is 15 and 47.
    assert_seen(&gateway, &mut client, 9, b"\x0f\x2f\x01z", &[("x-two", "z")]);
    // Never indexed, the same (§6.2.3).
    assert_seen(&gateway, &mut client, 11, b"\x1f\x30\x01y", &[("x-one", "y")]);
    // Larger than the table: it is empty then, and that is no error (§4.4).
    assert_seen(&gateway, &mut client, 13, &entry("x-large", &"v".repeat(5000)), &[]);
    client.send(request(15, "/public/y", NEWEST));
    assert_eq!(client.end(), Fate::Closed(Some(code::COMPRESSION_ERROR)));
}

/// RFC 7541 §4.2 and §6.3: the size may shrink and grow again at the beginning of a block.
#[test]
fn the_table_takes_another_size() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::connect(gateway.addr());
    let resized = |stream, sizes: &[u8], rest: &[u8]| {
        let mut frame = request(stream, "/public/x", rest);
        frame.payload = [sizes, &frame.payload].concat();
        frame
    };
    // Room for one entry of 38 bytes: 70 is 31 and 39.
    let both = [entry("x-one", "1"), entry("x-two", "2")].concat();
    assert_eq!(client.send(resized(1, b"\x3f\x27", &both)).fate(1), Fate::Answered(200));
    assert_seen(&gateway, &mut client, 3, NEWEST, &[("x-two", "2")]);
    // To nothing, and to all: 4096 is 31 and 4065.
    assert_eq!(
        client.send(resized(5, b"\x20\x3f\xe1\x1f", &entry("x-new", "3"))).fate(5),
        Fate::Answered(200)
    );
    assert_seen(&gateway, &mut client, 7, NEWEST, &[("x-new", "3")]);
    client.send(request(9, "/public/y", SECOND));
    assert_eq!(client.end(), Fate::Closed(Some(code::COMPRESSION_ERROR)));
}

/// RFC 7541 §5.2: names and values in Huffman's code.
#[test]
fn texts_may_be_coded() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::connect(gateway.addr());
    // RFC 7541 Appendix C.4.3: custom-key and custom-value; the value of cache-control in C.4.2.
    let coded = b"\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf\x0f\x09\x86\xa8\xeb\x10\x64\x9c\xbf";
    let wanted = [("custom-key", "custom-value"), ("cache-control", "no-cache")];
    assert_seen(&gateway, &mut client, 1, coded, &wanted);
    assert_seen(&gateway, &mut client, 3, NEWEST, &wanted[..1]);
}

/// RFC 9113 §4.3: who refuses a request has read its block all the same.
#[test]
fn a_refused_request_has_changed_the_table() {
    let gateway = Setup::new(ROUTES).set("server.max_streams", "1").set("server.max_headers", "20").start();
    let gate = Gate::new();
    let held = gate.clone();
    gateway.backend.on("/public/held", move |exchange| {
        held.wait();
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let mut client = RawHttp2::connect(gateway.addr());
    assert!(client.round_trip());
    client.send(request(1, "/public/held", b""));
    assert_eq!(
        client.send(request(3, "/public/x", &entry("x-three", "3"))).fate(3),
        Fate::Reset(code::REFUSED_STREAM)
    );
    gate.open();
    assert_eq!(client.fate(1), Fate::Answered(200));
    assert_seen(&gateway, &mut client, 5, NEWEST, &[("x-three", "3")]);
    let malformed = [entry("x-seven", "7"), fields::encode(&[("connection", "close")])].concat();
    let fate = client.send(request(7, "/public/x", &malformed)).fate(7);
    assert!(matches!(fate, Fate::Answered(400) | Fate::Reset(code::PROTOCOL_ERROR)), "{fate:?}");
    assert_seen(&gateway, &mut client, 9, NEWEST, &[("x-seven", "7")]);
    let many: Vec<u8> = (0..30).flat_map(|index| entry("x-many", &index.to_string())).collect();
    assert_eq!(client.send(request(11, "/public/x", &many)).fate(11), Fate::Answered(431));
    assert_seen(&gateway, &mut client, 13, NEWEST, &[("x-many", "29")]);
}

/// A list larger than we take is one request that is refused, and nothing to its connection as long as it fits into a frame.
#[test]
fn a_header_list_that_is_too_large_is_answered_431() {
    let gateway = Setup::new(ROUTES).set("server.max_header_size", "'8KiB'").start();
    for (length, may_end) in [(9000, false), (14_000, false), (40_000, true)] {
        let mut client = RawHttp2::connect(gateway.addr());
        let long = "v".repeat(length);
        let head = Frame::headers(1, &[&get("/public/large")[..], &[("x", &long)]].concat()).end();
        let sizes = vec![16_000; head.payload.len() / 16_001];
        let fate = client.send_all(head.split_at(&sizes)).fate(1);
        assert!(
            fate == Fate::Answered(431) || may_end && matches!(fate, Fate::Closed(Some(_))),
            "{length}: {fate:?}"
        );
        if fate == Fate::Answered(431) {
            assert_serves(&mut client, 3);
        }
    }
    assert!(gateway.backend.requests().iter().all(|request| request.target != "/public/large"));
}
