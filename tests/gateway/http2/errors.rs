//! What a client must not send, and the code by which it is told so.

use super::{assert_serves, get, post};
use crate::harness::code::{
    COMPRESSION_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, PROTOCOL_ERROR, STREAM_CLOSED,
};
use crate::harness::{Fate, Frame, Gateway, ROUTES, RawHttp2, fields, flag, kind, setting, wait_until};

type Cases<'a> = &'a [(&'a str, Vec<Frame>, &'a [u32])];

/// Each case ends its connection with one of its codes, and others are not concerned.
#[track_caller]
fn assert_connection_errors(gateway: &Gateway, cases: Cases) {
    let mut failed = Vec::new();
    for (name, frames, codes) in cases {
        let mut client = RawHttp2::connect(gateway.addr());
        assert!(client.round_trip());
        client.send_all(frames.clone());
        // Whoever passes over the error answers the ping.
        let ended = if client.round_trip() { None } else { Some(client.end()) };
        if !matches!(ended, Some(Fate::Closed(Some(code))) if codes.contains(&code)) {
            failed.push(format!("{name}: {ended:?}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    assert_serves(&mut RawHttp2::connect(gateway.addr()), 1);
}

fn request(stream: u32) -> Frame {
    Frame::headers(stream, &get("/public/x")).end()
}

/// The beginning of a header block, and an open stream.
fn part(stream: u32) -> Frame {
    Frame::new(kind::HEADERS, flag::END_STREAM, stream, fields::encode(&get("/public/x")))
}

fn open(stream: u32) -> Frame {
    Frame::headers(stream, &post("/public/open"))
}

/// RFC 9113 §5.1, §5.1.1, §6.1 to §6.4, §6.6, §6.8 and §6.9.
#[test]
fn frames_on_streams_where_they_cannot_be() {
    let gateway = Gateway::start(ROUTES);
    let four = [0, 0, 0, 8];
    let p = &[PROTOCOL_ERROR][..];
    let closed = &[PROTOCOL_ERROR, STREAM_CLOSED][..];
    assert_connection_errors(
        &gateway,
        &[
            ("DATA on the connection", vec![Frame::data(0, "x")], p),
            ("HEADERS on the connection", vec![request(0)], p),
            ("PRIORITY on the connection", vec![Frame::new(kind::PRIORITY, 0, 0, [0; 5])], p),
            ("RST_STREAM on the connection", vec![Frame::reset(0, 8)], p),
            ("CONTINUATION on the connection", vec![Frame::new(kind::CONTINUATION, 4, 0, "")], p),
            ("SETTINGS on a stream", vec![open(1), Frame::new(kind::SETTINGS, 0, 1, "")], p),
            ("PING on a stream", vec![open(1), Frame::new(kind::PING, 0, 1, [0; 8])], p),
            ("GOAWAY on a stream", vec![open(1), Frame::new(kind::GOAWAY, 0, 1, [0; 8])], p),
            ("a stream of the server's", vec![request(2)], p),
            ("a stream that was left out", vec![request(5), request(3)], closed),
            ("DATA on an idle stream", vec![Frame::data(1, "x")], closed),
            ("RST_STREAM on an idle stream", vec![Frame::reset(1, 8)], p),
            ("RST_STREAM on an idle stream of the server's", vec![Frame::reset(2, 8)], p),
            ("WINDOW_UPDATE on an idle stream", vec![Frame::window(1, 1)], p),
            ("a client that pushes", vec![open(1), Frame::new(kind::PUSH_PROMISE, 4, 1, four)], p),
            ("a client that pushes on the connection", vec![Frame::new(kind::PUSH_PROMISE, 4, 0, four)], p),
        ],
    );
}

/// RFC 9113 §4.3, §6.2 and §6.10: from HEADERS to END_HEADERS there is nothing but CONTINUATION on that stream.
#[test]
fn header_blocks_that_are_interrupted() {
    let gateway = Gateway::start(ROUTES);
    let p = &[PROTOCOL_ERROR][..];
    let continuation = |stream| Frame::new(kind::CONTINUATION, flag::END_HEADERS, stream, "");
    assert_connection_errors(
        &gateway,
        &[
            ("CONTINUATION of nothing", vec![open(1), continuation(1)], p),
            ("CONTINUATION first", vec![continuation(1)], p),
            ("CONTINUATION after the end", vec![part(1), continuation(1), continuation(1)], p),
            ("CONTINUATION of another stream", vec![part(1), continuation(3)], p),
            ("HEADERS within", vec![part(1), request(3)], p),
            ("HEADERS of the same stream within", vec![part(1), request(1)], p),
            ("DATA within", vec![part(1), Frame::data(1, "x")], p),
            ("DATA of another stream within", vec![open(1), part(3), Frame::data(1, "x")], p),
            ("SETTINGS within", vec![part(1), Frame::settings(&[])], p),
            ("PRIORITY within", vec![part(1), Frame::new(kind::PRIORITY, 0, 1, [0; 5])], p),
            ("WINDOW_UPDATE within", vec![part(1), Frame::window(0, 1)], p),
            ("RST_STREAM within", vec![part(1), Frame::reset(1, 8)], p),
            ("an unknown frame within", vec![part(1), Frame::new(0x42, 0, 1, ""), continuation(1)], p),
        ],
    );
    let whole = gateway.backend.requests().iter().filter(|request| request.target == "/public/x").count();
    assert!(whole <= 1, "only one block was whole");
}

/// RFC 9113 §6: lengths that a frame cannot have, and padding that is longer than what is left.
#[test]
fn frames_of_impossible_lengths() {
    let gateway = Gateway::start(ROUTES);
    let (size, p) = (&[FRAME_SIZE_ERROR][..], &[PROTOCOL_ERROR][..]);
    let either = &[FRAME_SIZE_ERROR, PROTOCOL_ERROR][..];
    let padded = flag::PADDED | flag::END_HEADERS;
    assert_connection_errors(
        &gateway,
        &[
            (
                "DATA with too much padding",
                vec![open(1), Frame::new(kind::DATA, flag::PADDED, 1, *b"\x05hell")],
                p,
            ),
            (
                "DATA that is all padding and more",
                vec![open(1), Frame::new(kind::DATA, flag::PADDED, 1, *b"\x01")],
                p,
            ),
            (
                "DATA without a length of padding",
                vec![open(1), Frame::new(kind::DATA, flag::PADDED, 1, "")],
                either,
            ),
            (
                "HEADERS with too much padding",
                vec![Frame::new(kind::HEADERS, padded, 1, *b"\x05\x82\x86\x84\x01")],
                p,
            ),
            ("HEADERS without a length of padding", vec![Frame::new(kind::HEADERS, padded, 1, "")], either),
            ("HEADERS with half a priority", vec![Frame::new(kind::HEADERS, 0x24, 1, [0; 4])], either),
            (
                "padding where the priority is",
                vec![Frame::new(kind::HEADERS, 0x2c, 1, *b"\x03\0\0\0\0\0\x82\x86")],
                p,
            ),
            ("a short RST_STREAM", vec![open(1), Frame::new(kind::RST_STREAM, 0, 1, [0; 3])], size),
            ("a long RST_STREAM", vec![open(1), Frame::new(kind::RST_STREAM, 0, 1, [0; 5])], size),
            ("a short PING", vec![Frame::ping(&[0; 7])], size),
            ("a long PING", vec![Frame::ping(&[0; 9])], size),
            ("an empty PING", vec![Frame::ping(&[])], size),
            ("a short GOAWAY", vec![Frame::new(kind::GOAWAY, 0, 0, [0; 7])], size),
            ("a short WINDOW_UPDATE", vec![Frame::new(kind::WINDOW_UPDATE, 0, 0, [0; 3])], size),
            ("a long WINDOW_UPDATE", vec![Frame::new(kind::WINDOW_UPDATE, 0, 0, [1; 5])], size),
            (
                "a long WINDOW_UPDATE of a stream",
                vec![open(1), Frame::new(kind::WINDOW_UPDATE, 0, 1, [1; 5])],
                size,
            ),
            ("half a setting", vec![Frame::new(kind::SETTINGS, 0, 0, [0; 3])], size),
            ("a setting and a byte", vec![Frame::new(kind::SETTINGS, 0, 0, [9; 7])], size),
            (
                "an acknowledgement with a payload",
                vec![Frame::new(kind::SETTINGS, flag::ACK, 0, [9; 6])],
                size,
            ),
        ],
    );
}

/// RFC 9113 §6.5.2 and §6.9.1.
#[test]
fn values_that_are_out_of_range() {
    let gateway = Gateway::start(ROUTES);
    let set = |id, value| vec![Frame::settings(&[(id, value)])];
    let (p, flow) = (&[PROTOCOL_ERROR][..], &[FLOW_CONTROL_ERROR][..]);
    let most = 0x7fff_ffff;
    assert_connection_errors(
        &gateway,
        &[
            ("ENABLE_PUSH of 2", set(setting::ENABLE_PUSH, 2), p),
            ("windows of 2^31", set(setting::INITIAL_WINDOW_SIZE, 1 << 31), flow),
            ("windows of 2^32 - 1", set(setting::INITIAL_WINDOW_SIZE, u32::MAX), flow),
            ("frames of less than 2^14", set(setting::MAX_FRAME_SIZE, 16_383), p),
            ("frames of 2^24", set(setting::MAX_FRAME_SIZE, 1 << 24), p),
            ("no more window", vec![Frame::window(0, 0)], p),
            ("no more window, with the reserved bit", vec![Frame::window(0, 1 << 31)], p),
            ("more window than there can be", vec![Frame::window(0, most)], flow),
            (
                "more by settings",
                vec![
                    open(1),
                    Frame::window(1, most - 65_535),
                    Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 65_536)]),
                ],
                flow,
            ),
        ],
    );
}

/// RFC 9113 §4.3 and RFC 7541 §2.3.3, §4.2, §5.1, §5.2 and §6.3.
#[test]
fn header_blocks_that_cannot_be_read() {
    let gateway = Gateway::start(ROUTES);
    let good = fields::encode(&get("/public/x"));
    let block = |bytes: &[u8]| {
        let whole = [&good[..], bytes].concat();
        vec![Frame::new(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1, whole)]
    };
    let codes = &[COMPRESSION_ERROR][..];
    assert_connection_errors(
        &gateway,
        &[
            ("entry 0", block(b"\x80"), codes),
            ("an entry of an empty table", block(b"\xbe"), codes),
            ("an entry far away", block(b"\xff\x80\x80\x01"), codes),
            ("the name of an entry far away", block(b"\x7f\xff\x01\x01x"), codes),
            ("a number without end", block(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), codes),
            ("half a number", block(b"\xff\x80"), codes),
            ("half a name", block(b"\0\x05x"), codes),
            ("no value", block(b"\0\x01x"), codes),
            ("half a value", block(b"\0\x01x\x05y"), codes),
            ("Huffman's end of all strings", block(b"\0\x01x\x84\xff\xff\xff\xff"), codes),
            ("Huffman's code padded by zeros", block(b"\0\x01x\x81\x00"), codes),
            ("Huffman's code padded by a byte", block(b"\0\x01x\x82\x1f\xff"), codes),
            (
                "a table larger than we allow",
                vec![Frame::new(kind::HEADERS, 5, 1, [b"\x3f\xe2\x1f", &good[..]].concat())],
                codes,
            ),
            ("a table that changes behind a field", block(b"\x20"), codes),
            (
                "a block that ends in CONTINUATION",
                [
                    Frame::new(kind::HEADERS, 1, 1, good.clone()).split_at(&[9])[0].clone(),
                    Frame::new(kind::CONTINUATION, 4, 1, *b"\x05x"),
                ]
                .to_vec(),
                codes,
            ),
        ],
    );
    assert_eq!(gateway.backend.count(), 1, "that of the good connection");
}

/// What comes of this frame on a stream with half a request, and whether the backend takes that for whole.
#[track_caller]
fn behind_half_a_request(gateway: &Gateway, frame: Frame) -> (Fate, bool) {
    let mut client = RawHttp2::connect(gateway.addr());
    let seen = gateway.backend.count();
    client.send_all([open(1), Frame::data(1, "hello")]);
    gateway.backend.wait_for_requests(seen + 1);
    let fate = client.send(frame).fate(1);
    wait_until("the backend's request has ended", || gateway.backend.last().end.is_some());
    (fate, gateway.backend.last().is_complete())
}

/// RFC 9113 §5.4.2, §6.3 and §6.9.
#[test]
fn errors_of_a_stream() {
    let gateway = Gateway::start(ROUTES);
    let mut failed = Vec::new();
    for (name, frame, code) in [
        ("no more window", Frame::window(1, 0), PROTOCOL_ERROR),
        ("more window than there can be", Frame::window(1, 0x7fff_ffff), FLOW_CONTROL_ERROR),
        ("a short PRIORITY", Frame::new(kind::PRIORITY, 0, 1, [0; 4]), FRAME_SIZE_ERROR),
        ("a long PRIORITY", Frame::new(kind::PRIORITY, 0, 1, [0; 6]), FRAME_SIZE_ERROR),
    ] {
        let (fate, whole) = behind_half_a_request(&gateway, frame);
        if whole || !fate.is_refused_by(&[code]) {
            failed.push(format!("{name}: {fate:?}, whole: {whole}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// RFC 9113 §8.1 and §8.1.1: malformed trailers make the request malformed, which may be answered too.
#[test]
fn trailers_that_are_malformed() {
    let gateway = Gateway::start(ROUTES);
    let mut failed = Vec::new();
    for (name, flags, list) in [
        ("no end", 0, &[("x-sum", "1")][..]),
        ("a pseudo-header", flag::END_STREAM, &[("x-sum", "1"), (":path", "/")]),
        ("a status", flag::END_STREAM, &[(":status", "200")]),
        ("a field of HTTP/1.1", flag::END_STREAM, &[("transfer-encoding", "chunked")]),
        ("a capital", flag::END_STREAM, &[("X-Sum", "1")]),
        ("another line", flag::END_STREAM, &[("x-sum", "1\r\nx-user: admin")]),
    ] {
        let frame = Frame::new(kind::HEADERS, flag::END_HEADERS | flags, 1, fields::encode(list));
        let (fate, whole) = behind_half_a_request(&gateway, frame);
        if whole || fate != Fate::Answered(400) && !fate.is_refused_by(&[PROTOCOL_ERROR]) {
            failed.push(format!("{name}: {fate:?}, whole: {whole}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
