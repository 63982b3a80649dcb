//! Bodies of requests: trailers, lengths, padding, and responses that do not wait for them.

use super::{assert_serves, get, post};
use crate::harness::{Fate, Frame, Gateway, ROUTES, RawHttp2, code, fields, flag, kind, setting};

fn trailers(stream: u32, list: &[(&str, &str)]) -> Frame {
    Frame::headers(stream, list).end()
}

/// RFC 9113 §8.1: trailers end a request. Those that may be forwarded are, and an identity is not among them (SECURITY H6).
#[test]
fn trailers_of_a_request_are_forwarded_without_an_identity() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::connect(gateway.addr());
    let list = [
        ("x-check", "7"),
        ("x-user", "admin"),
        ("x_role", "admin"),
        ("authorization", "Bearer x"),
        ("content-length", "9"),
    ];
    client.send_all([Frame::headers(1, &post("/public/x")), Frame::data(1, "hello"), trailers(1, &list)]);
    assert_eq!(client.answer(1).body, b"hello");
    let seen = gateway.backend.last();
    assert!(seen.is_complete());
    assert_eq!(seen.trailers.iter().collect::<Vec<_>>(), [("x-check", &b"7"[..])]);
}

/// Trailers in parts, and behind no body at all.
#[test]
fn trailers_may_be_all_there_is() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::connect(gateway.addr());
    let parts = trailers(1, &[("x-check", "7")]).split_at(&[0, 1, 3]);
    client.send(Frame::headers(1, &post("/public/x"))).send_all(parts);
    assert_eq!(client.fate(1), Fate::Answered(200));
    assert!(gateway.backend.last().is_complete());
    assert_serves(&mut client, 3);
}

/// RFC 9113 §8.1.1: a length that is not that of the content makes the request malformed, and no backend ever takes it for whole.
#[test]
fn s3_a_content_length_that_is_wrong_never_looks_complete() {
    let gateway = Gateway::start(ROUTES);
    let seen_whole = || gateway.backend.requests().iter().any(|request| request.is_complete());
    for (length, pieces) in [
        ("9", &["hello"][..]),
        ("9", &[]),
        ("3", &["hel", "lo"]),
        ("3", &["he", "llo"]),
        ("0", &["x"]),
        ("9", &["hello", ""]),
    ] {
        let mut client = RawHttp2::connect(gateway.addr());
        let mut frames =
            vec![Frame::headers(1, &[&post("/public/x")[..], &[("content-length", length)]].concat())];
        frames.extend(pieces.iter().map(|piece| Frame::data(1, *piece)));
        let last = frames.pop().unwrap().end();
        frames.push(last);
        let count = gateway.backend.count();
        let fate = client.send_all(frames).fate(1);
        assert!(
            matches!(fate, Fate::Answered(400) | Fate::Reset(_) | Fate::Closed(Some(_))),
            "{length} {pieces:?}: {fate:?}"
        );
        assert!(gateway.backend.count() <= count + 1, "tried again: {length} {pieces:?}");
        assert!(!seen_whole(), "{length} {pieces:?}");
    }
    gateway.backend.wait_until_all_closed();
    assert!(!seen_whole());
}

/// The same with trailers, which end the content as well.
#[test]
fn s3_trailers_do_not_make_up_for_missing_content() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::connect(gateway.addr());
    let head = Frame::headers(1, &[&post("/public/x")[..], &[("content-length", "9")]].concat());
    let fate = client.send_all([head, Frame::data(1, "hello"), trailers(1, &[("x-check", "7")])]).fate(1);
    assert!(matches!(fate, Fate::Answered(400) | Fate::Reset(_) | Fate::Closed(Some(_))), "{fate:?}");
    gateway.backend.wait_until_all_closed();
    assert!(gateway.backend.requests().iter().all(|request| !request.is_complete()));
}

/// RFC 9113 §6.1 and §6.2: padding and priority are no content.
#[test]
fn padding_is_not_content() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::connect(gateway.addr());
    let block = [&b"\x04\0\0\0\x03\x0f"[..], &fields::encode(&post("/public/x")), b"\0\0\0\0"].concat();
    let flags = flag::PADDED | flag::PRIORITY | flag::END_HEADERS;
    client.send_all([
        Frame::new(kind::HEADERS, flags, 1, block),
        Frame::new(kind::DATA, flag::PADDED, 1, *b"\x03hel\0\0\0"),
        Frame::new(kind::DATA, flag::PADDED, 1, *b"\x03\0\0\0"),
        Frame::data(1, ""),
        Frame::new(kind::DATA, flag::PADDED, 1, *b"\0lo"),
        Frame::new(kind::DATA, flag::PADDED | flag::END_STREAM, 1, *b"\0"),
    ]);
    assert_eq!(client.answer(1).body, b"hello");
    assert_eq!(gateway.backend.last().body, b"hello");
}

/// RFC 9113 §4.3: a header block in as many parts as its sender likes, none too small.
#[test]
fn a_header_block_comes_in_parts() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::connect(gateway.addr());
    let long = "v".repeat(18_000);
    let list = [&post("/public/x")[..], &[("x-long", &long), ("x-last", "1")]].concat();
    client.send_all(Frame::headers(1, &list).split_at(&[0, 1, 9, 0, 16_384]));
    client.send(Frame::data(1, "hello").end());
    assert_eq!(client.answer(1).body, b"hello");
    let seen = gateway.backend.last();
    assert_eq!((seen.header("x-long"), seen.header("x-last").as_deref()), (Some(long), Some("1")));
}

/// RFC 9113 §8.1: who is refused before the end of his request may be told to stop, and can go on with something else.
#[test]
fn a_response_does_not_wait_for_the_request() {
    let gateway = Gateway::start(ROUTES);
    gateway.backend.on("/public/early", |exchange| {
        exchange.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        exchange.close();
    });
    let mut client = RawHttp2::connect(gateway.addr());
    for (stream, path, status) in
        [(1, "/public/early", 403), (5, "/orders/7", 401), (9, "/public/early", 403)]
    {
        client.send_all([Frame::headers(stream, &post(path)), Frame::data(stream, "some of it")]);
        assert_eq!(client.fate(stream), Fate::Answered(status), "{path}");
        // It may have been sent before the response was seen.
        client.send(Frame::data(stream, "more"));
        assert_serves(&mut client, stream + 2);
        // Only NO_ERROR leaves the response in force.
        client.send(Frame::data(stream, "the rest").end());
        assert!(client.round_trip());
    }
    assert!(gateway.backend.requests().iter().all(|request| request.target != "/orders/7"));
}

/// RFC 9113 §5.2.2: what nobody wants is given back, or a few refused uploads would leave no window to those behind them.
#[test]
fn refused_uploads_leave_the_window_of_the_connection_open() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::connect(gateway.addr());
    let large = [&post("/public/x")[..], &[("content-length", "999999999999")]].concat();
    for stream in [1, 5, 9, 13, 17, 21] {
        let (list, status) = if stream % 8 == 1 { (&post("/orders/7")[..], 401) } else { (&large[..], 413) };
        client.send(Frame::headers(stream, list));
        // Its own window is never opened again.
        client.upload(stream, &[b'x'; 500_000]);
        assert_eq!(client.fate(stream), Fate::Answered(status));
        assert_serves(&mut client, stream + 2);
    }
}

/// RFC 9110 §10.1.1 and §8.6: what the client has not been asked for, and what is nothing.
#[test]
fn content_that_never_comes_is_not_waited_for() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::connect(gateway.addr());
    let length =
        |list: &[(&'static str, &'static str)], length| [list, &[("content-length", length)]].concat();
    let expecting = [&length(&post("/orders/7"), "9")[..], &[("expect", "100-continue")]].concat();
    let answer = client.send(Frame::headers(1, &expecting)).answer(1);
    assert_eq!((answer.status, answer.interim.len()), (401, 0));
    let unknown = [&length(&post("/public/x"), "9")[..], &[("expect", "miracles")]].concat();
    let answer = client.send(Frame::headers(3, &unknown)).answer(3);
    assert_eq!((answer.status, answer.interim.len()), (417, 0));
    client.send(Frame::headers(5, &length(&post("/public/x"), "0")).end());
    assert_eq!(client.fate(5), Fate::Answered(200));
    client.send_all([Frame::headers(7, &length(&post("/public/x"), "0")), Frame::data(7, "").end()]);
    assert_eq!(client.fate(7), Fate::Answered(200));
    assert!(
        gateway.backend.requests().iter().all(|request| request.is_complete() && request.body.is_empty())
    );
}

/// RFC 9113 §5: streams of one connection take turns, and what is sent on one is never seen on another.
#[test]
fn a_hundred_streams_carry_bodies_both_ways() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::connect_with(gateway.addr(), &[(setting::INITIAL_WINDOW_SIZE, 1 << 20)]);
    client.send(Frame::window(0, 1 << 24));
    assert!(client.round_trip());
    let streams = || (0..100_u32).map(|index| index * 2 + 1);
    let piece = |stream: u32, round: u32| format!("{stream}/{round} ").repeat(40).into_bytes();
    let paths: Vec<_> = streams().map(|stream| format!("/public/{stream}")).collect();
    client.send_all(streams().zip(&paths).map(|(stream, path)| Frame::headers(stream, &post(path))));
    for round in 0..5 {
        for stream in streams() {
            client.upload(stream, &piece(stream, round));
        }
    }
    client.send_all(streams().map(|stream| Frame::data(stream, "").end()));
    for stream in streams() {
        let whole: Vec<u8> = (0..5).flat_map(|round| piece(stream, round)).collect();
        assert!(client.answer(stream).body == whole, "stream {stream}");
    }
    assert_eq!(gateway.backend.count(), 100);
}

/// The client may reset what is answered already; that is no cancellation, and no error.
#[test]
fn a_reset_behind_a_response_is_nothing() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::connect(gateway.addr());
    assert_eq!(client.request(1, &get("/public/x"), None).fate(1), Fate::Answered(200));
    client.send(Frame::reset(1, code::NO_ERROR));
    assert_serves(&mut client, 3);
    let record = gateway.access_of("/public/x");
    assert_eq!((&record["status"], &record["complete"]), (&200.into(), &true.into()), "{record}");
}
