//! The connection itself: preface, SETTINGS, PING, GOAWAY, and what has to be passed over.

use super::{assert_serves, get, post};
use crate::harness::{
    Client, Fate, Frame, Gateway, PREFACE, ROUTES, RawHttp2, Setup, code, fields, flag, kind, setting,
};

/// Preface, settings and a request, as bytes.
fn beginning() -> Vec<u8> {
    let request = Frame::headers(1, &get("/public/x")).end();
    [PREFACE, &Frame::settings(&[(setting::HEADER_TABLE_SIZE, 0)]).encode(), &request.encode()].concat()
}

/// RFC 9113 §3.4: a client may send without waiting for the settings of the server.
#[test]
fn a_request_in_the_packet_of_the_preface_is_served() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::silent(gateway.addr());
    client.send_bytes(&beginning());
    assert_eq!(client.answer(1).body, b"/public/x");
}

/// RFC 9113 §6.5.3 and §6.9.2: until a client has read other settings, it may send what the initial windows allow.
#[test]
fn a_body_may_come_before_the_settings_are_read() {
    let gateway = Gateway::start(ROUTES);
    gateway.backend.reply_raw("/public/up", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let mut client = RawHttp2::connect(gateway.addr());
    client.send(Frame::headers(1, &post("/public/up")));
    client.send_all([16_384, 16_384, 16_384, 16_383].map(|size| Frame::data(1, vec![b'x'; size])));
    client.send(Frame::data(1, "").end());
    assert_eq!(client.fate(1), Fate::Answered(200));
    assert_eq!(gateway.backend.last().body.len(), 65_535);
}

/// TCP keeps no boundaries: frames come in whatever pieces.
#[test]
fn a_connection_in_pieces_of_one_byte_is_the_same() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::silent(gateway.addr());
    for byte in beginning() {
        client.send_bytes(&[byte]);
    }
    assert_eq!(client.answer(1).body, b"/public/x");
    let [head, body] = [Frame::headers(3, &post("/public/y")), Frame::data(3, "hello").end()];
    for byte in [head.encode(), body.encode()].concat() {
        client.send_bytes(&[byte]);
    }
    assert_eq!(client.answer(3).body, b"hello");
}

/// RFC 9113 §3.4: an invalid preface is a connection error; GOAWAY may be left out.
#[test]
fn what_is_no_preface_is_refused() {
    let gateway = Gateway::start(ROUTES);
    let request = Frame::headers(1, &get("/public/x")).end().encode();
    let settings = Frame::settings(&[]).encode();
    for bytes in [
        [b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", &settings[..], &request].concat(),
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r", &settings[..], &request].concat(),
        [b"PRI / HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings[..], &request].concat(),
        [&settings[..], &request].concat(),
    ] {
        let mut client = Client::connect(gateway.addr());
        let _ = client.try_send(&bytes);
        client.until_end();
        assert_eq!(gateway.backend.count(), 0, "{}", bytes.escape_ascii());
    }
}

/// RFC 9113 §3.4: the first frame is SETTINGS, and no acknowledgement.
#[test]
fn a_client_that_does_not_begin_with_settings_is_refused() {
    let gateway = Gateway::start(ROUTES);
    let request = Frame::headers(1, &get("/public/x")).end();
    for first in [request.clone(), Frame::ping(&[0; 8]), Frame::new(kind::SETTINGS, flag::ACK, 0, "")] {
        let mut client = RawHttp2::silent(gateway.addr());
        client.send_bytes(PREFACE).send_all([first.clone(), request.clone()]);
        let fate = client.fate(1);
        assert!(matches!(fate, Fate::Closed(None | Some(code::PROTOCOL_ERROR))), "{first:?}: {fate:?}");
    }
    assert_eq!(gateway.backend.count(), 0);
}

/// RFC 9113 §3.4 and §6.5: settings come first, and each is acknowledged.
#[test]
fn settings_are_sent_first_and_acknowledged() {
    let gateway = Setup::new(ROUTES).set("server.max_streams", "7").start();
    let mut client = RawHttp2::connect(gateway.addr());
    let first = client.frame().expect("a frame");
    assert_eq!((first.kind, first.flags & flag::ACK, first.stream), (kind::SETTINGS, 0, 0));
    assert_eq!(client.setting(setting::MAX_CONCURRENT_STREAMS), Some(7));
    assert!(client.setting(setting::ENABLE_PUSH).is_none_or(|value| value == 0));
    assert!(client.setting(setting::MAX_FRAME_SIZE).is_none_or(|size| (16_384..1 << 24).contains(&size)));
    client.send_all([
        Frame::settings(&[(setting::ENABLE_PUSH, 0)]),
        Frame::settings(&[]),
        Frame::ping(b"12345678"),
    ]);
    let mut acknowledged = 0;
    loop {
        let frame = client.frame().expect("an acknowledgement");
        assert!(!frame.is(kind::SETTINGS, flag::ACK) || frame.payload.is_empty());
        acknowledged += usize::from(frame.is(kind::SETTINGS, flag::ACK));
        if frame.kind == kind::PING {
            break;
        }
    }
    assert_eq!(acknowledged, 3);
}

/// RFC 9113 §6.5.2 and §6.5.3: values count in their order, an unknown setting does not count at all.
#[test]
fn settings_that_nobody_knows_are_ignored() {
    let gateway = Gateway::start(ROUTES);
    let settings =
        [(0x7777, 5), (0, u32::MAX), (setting::MAX_FRAME_SIZE, 1 << 14), (setting::MAX_FRAME_SIZE, 1 << 15)];
    let mut client = RawHttp2::connect_with(gateway.addr(), &settings);
    assert!(client.round_trip());
    assert_serves(&mut client, 1);
}

/// RFC 9113 §6.7.
#[test]
fn a_ping_is_answered_with_its_payload() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::connect(gateway.addr());
    // An acknowledgement for which nobody asked is answered by nothing.
    client.send(Frame::new(kind::PING, flag::ACK, 0, *b"nobody's"));
    for payload in [*b"\0\x01\x02\x03\xff\xfe\xfd\xfc", *b"pingpong"] {
        client.send(Frame::new(kind::PING, 0xfe, 0, payload));
        let answer = std::iter::from_fn(|| client.frame()).find(|frame| frame.kind == kind::PING).unwrap();
        assert_eq!((answer.flags, answer.stream, answer.payload.as_slice()), (flag::ACK, 0, &payload[..]));
    }
    assert_serves(&mut client, 1);
}

/// RFC 9113 §4.1 and §5.5: types and flags that nobody knows, and the reserved bit, mean nothing.
#[test]
fn what_has_no_meaning_is_ignored() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::connect(gateway.addr());
    let block = fields::encode(&post("/public/x"));
    client.send_all([
        Frame::new(0x16, 0xff, 0, [b'x'; 16_384]),
        Frame::new(0xff, 0, 1, ""),
        Frame::new(0xfa, 0, 8, "idle, and not of a client"),
        Frame::new(kind::HEADERS, flag::END_HEADERS | 0x80 | 0x40, 1 | 1 << 31, block),
        Frame::new(0x42, flag::END_STREAM, 1, "between"),
        Frame::new(kind::DATA, flag::END_STREAM | 0xe6, 1 | 1 << 31, "hello"),
    ]);
    assert_eq!(client.answer(1).body, b"hello");
    client.send(Frame::new(0x16, 0, 1, "of a stream that is closed"));
    assert_serves(&mut client, 3);
}

/// RFC 9113 §5.3.2 and §6.3: priorities of old are read and mean nothing, on whatever stream.
#[test]
fn priorities_are_ignored() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::connect(gateway.addr());
    let priority =
        |stream, on: u32| Frame::new(kind::PRIORITY, 0, stream, [&on.to_be_bytes()[..], &[15]].concat());
    client.send_all([priority(1, 0), priority(3, 1 << 31 | 1), priority(100, 3)]);
    client.send_all([
        Frame::headers(1, &post("/public/x")),
        priority(1, 3),
        Frame::data(1, "hello").end(),
        priority(1, 3),
    ]);
    assert_eq!(client.answer(1).body, b"hello");
    client.send(priority(1, 0));
    assert_serves(&mut client, 3);
}

/// RFC 9113 §6.8: who says that it takes no new stream still gets what it has asked for.
#[test]
fn what_is_in_flight_at_the_client_s_goaway_is_answered() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::connect(gateway.addr());
    client.send_all([
        Frame::headers(1, &post("/public/1")),
        Frame::headers(3, &post("/public/3")),
        Frame::new(kind::GOAWAY, 0, 0, [&[0; 8][..], b"good bye"].concat()),
    ]);
    for stream in [3, 1] {
        client.send(Frame::data(stream, "hello").end());
        assert_eq!(client.answer(stream).body, b"hello");
    }
}

/// RFC 9113 §4.2: a frame as large as allowed is taken, one that is larger is an error.
#[test]
fn a_frame_has_a_largest_size() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::connect(gateway.addr());
    assert!(client.round_trip());
    let most = client.setting(setting::MAX_FRAME_SIZE).map_or(16_384, |size| usize::try_from(size).unwrap());
    client.request(1, &post("/public/x"), Some(&vec![b'x'; most]));
    assert_eq!(client.answer(1).body.len(), most);
    for kind in [
        kind::DATA,
        kind::HEADERS,
        kind::PRIORITY,
        kind::SETTINGS,
        kind::PING,
        kind::GOAWAY,
        kind::WINDOW_UPDATE,
    ] {
        let mut client = RawHttp2::connect(gateway.addr());
        let stream = u32::from(kind < kind::SETTINGS);
        client.send_all([
            Frame::headers(1, &post("/public/y")),
            Frame::new(kind, 0, stream, vec![0; most + 1]),
        ]);
        let fate = client.fate(1);
        assert!(fate.is_refused_by(&[code::FRAME_SIZE_ERROR]), "type {kind}: {fate:?}");
    }
}
