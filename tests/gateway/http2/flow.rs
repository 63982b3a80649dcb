//! Flow control in both directions (RFC 9113 §5.2 and §6.9).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{assert_serves, get, post};
use crate::harness::setting::INITIAL_WINDOW_SIZE;
use crate::harness::{Fate, Frame, Gate, Gateway, ROUTES, RawHttp2, Setup, code, flag, kind};

/// Bytes of which none looks like its neighbours.
fn content(length: u32) -> Vec<u8> {
    (0..length).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1] ^ n.to_le_bytes()[2]).collect()
}

/// A gateway whose backend answers `/public/x` with this body.
fn gateway_with(body: &[u8]) -> Gateway {
    let gateway = Gateway::start(ROUTES);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    gateway.backend.reply_raw("/public/x", [head.as_bytes(), body].concat());
    gateway
}

/// A client with windows of this size for each stream, which has asked for `/public/x` and read the head of the response.
fn reader(gateway: &Gateway, window: u32) -> RawHttp2 {
    let mut client = RawHttp2::connect_with(gateway.addr(), &[(INITIAL_WINDOW_SIZE, window)]);
    client.request(1, &get("/public/x"), None);
    assert_eq!(
        client.frame_of(1).map(|frame| frame.kind),
        Some(kind::HEADERS),
        "no window counts for a head"
    );
    client
}

/// Reads exactly so many bytes of content; more is an error.
#[track_caller]
fn read(client: &mut RawHttp2, stream: u32, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        let frame = client.frame_of(stream).expect("more of the response");
        assert_eq!(frame.kind, kind::DATA, "{frame:?}");
        bytes.extend(frame.payload);
    }
    assert_eq!(bytes.len(), count, "more than the window");
    bytes
}

/// Nothing more comes on this stream before the answer to a ping.
#[track_caller]
fn assert_stopped(client: &mut RawHttp2, stream: u32) {
    assert!(client.round_trip());
    let waiting = client.waiting(stream);
    assert!(waiting.is_empty(), "more than the window: {waiting:?}");
}

/// RFC 9113 §6.9.
#[test]
fn a_response_takes_no_more_than_the_window_of_its_stream() {
    let body = content(1000);
    let gateway = gateway_with(&body);
    let mut client = reader(&gateway, 10);
    let mut seen = read(&mut client, 1, 10);
    for more in [1, 2, 500, 487] {
        assert_stopped(&mut client, 1);
        client.send(Frame::window(1, more));
        seen.extend(read(&mut client, 1, more.try_into().unwrap()));
    }
    assert!(seen == body);
}

/// RFC 9113 §6.9.1: the window of the connection is one for all streams, and it cannot be changed by settings.
#[test]
fn responses_take_no_more_than_the_window_of_the_connection() {
    let body = content(60_000);
    let gateway = gateway_with(&body);
    let mut client = reader(&gateway, 1 << 20);
    client.request(3, &get("/public/x"), None);
    assert_eq!(read(&mut client, 1, 60_000), body);
    assert_eq!(client.frame_of(3).map(|frame| frame.kind), Some(kind::HEADERS));
    let mut seen = read(&mut client, 3, 5535);
    assert_stopped(&mut client, 3);
    // A stream of its own has no window either, and its head comes all the same.
    client.request(5, &get("/public/x"), None);
    assert_eq!(client.frame_of(5).map(|frame| frame.kind), Some(kind::HEADERS));
    assert_stopped(&mut client, 5);
    client.send(Frame::reset(5, code::CANCEL)).send(Frame::window(0, 60_000 - 5535));
    seen.extend(read(&mut client, 3, 60_000 - 5535));
    assert!(seen == body);
}

/// RFC 9113 §6.9.2: new settings change the windows of open streams, also to less than nothing.
#[test]
fn windows_follow_the_settings_below_zero() {
    let body = content(1000);
    let gateway = gateway_with(&body);
    let mut client = reader(&gateway, 100);
    let mut seen = read(&mut client, 1, 100);
    let settings = |window| Frame::settings(&[(INITIAL_WINDOW_SIZE, window)]);
    client.send(settings(150));
    seen.extend(read(&mut client, 1, 50));
    // 40 - 150 = -110 bytes: what is given is first taken for that.
    client.send_all([settings(40), Frame::window(1, 109)]);
    assert_stopped(&mut client, 1);
    client.send(Frame::window(1, 1));
    assert_stopped(&mut client, 1);
    client.send(Frame::window(1, 7));
    seen.extend(read(&mut client, 1, 7));
    assert_stopped(&mut client, 1);
    client.send(settings(0));
    client.send(settings(2000));
    seen.extend(read(&mut client, 1, 1000 - 157));
    assert!(seen == body);
}

/// RFC 9113 §6.9.1: an empty frame needs no window, so neither does a response without content.
#[test]
fn an_empty_response_needs_no_window() {
    let gateway = gateway_with(b"");
    let mut client = RawHttp2::connect_with(gateway.addr(), &[(INITIAL_WINDOW_SIZE, 0)]);
    let answer = client.request(1, &get("/public/x"), None).answer(1);
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\n";
    gateway.backend.reply_raw("/public/trailers", chunked);
    let answer = client.request(3, &get("/public/trailers"), None).answer(3);
    assert_eq!((answer.status, answer.trailers.len()), (200, 1));
}

/// A stream whose window is closed waits alone.
#[test]
fn a_stream_without_a_window_stops_no_other() {
    let body = content(1000);
    let gateway = gateway_with(&body);
    let mut client = reader(&gateway, 10);
    read(&mut client, 1, 10);
    for stream in [3, 5] {
        client.request(stream, &get("/public/x"), None).send(Frame::window(stream, 990));
        assert!(client.answer(stream).body == body);
    }
    assert_stopped(&mut client, 1);
}

#[test]
fn a_large_response_arrives_whole_through_small_windows() {
    let body = content(1 << 20);
    let gateway = gateway_with(&body);
    let mut client = reader(&gateway, 5000);
    let (mut seen, mut ended) = (Vec::new(), false);
    while !ended {
        let frame = client.frame_of(1).expect("the rest of the response");
        assert_eq!(frame.kind, kind::DATA);
        ended = frame.flags & 1 != 0;
        let taken = u32::try_from(frame.payload.len()).unwrap();
        assert!(taken <= 5000);
        seen.extend(frame.payload);
        if taken > 0 && !ended {
            client.send_all([Frame::window(0, taken), Frame::window(1, taken)]);
        }
    }
    assert!(seen == body);
}

/// What the gateway has passed on it gives back, or nobody could send more than one window.
#[test]
fn an_upload_gets_its_windows_back() {
    let gateway = Gateway::start(ROUTES);
    gateway.backend.reply_raw("/public/up", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let mut client = RawHttp2::connect(gateway.addr());
    assert!(client.round_trip());
    let body = content(5 << 20);
    client.send(Frame::headers(1, &post("/public/up")));
    client.upload(1, &body);
    client.send(Frame::data(1, "").end());
    assert_eq!(client.fate(1), Fate::Answered(200));
    assert!(gateway.backend.last().body == body);
}

/// RFC 9113 §6.9.1: padding and what comes for a stream that is over take from the window of the connection, and go back to it.
#[test]
fn what_nobody_reads_goes_back_to_the_connection_s_window() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::connect(gateway.addr());
    assert!(client.round_trip());
    let (piece, mut stream) = (content(50_000), 1);
    let mut left = 3 * client.window(0);
    while left > 0 {
        // Nobody may: the answer does not wait for the body, which is on its way already.
        client.send(Frame::headers(stream, &post("/orders/7")));
        client.upload(stream, &piece);
        client.send(Frame::data(stream, "").end());
        assert_eq!(client.fate(stream), Fate::Answered(401));
        (left, stream) = (left - 50_000, stream + 2);
    }
    let padded = [&[255][..], &[b'x'; 100], &[0; 255]].concat();
    let padded = Frame::new(kind::DATA, flag::PADDED, stream, padded);
    let count = 2 * client.window(0) / 356;
    gateway.backend.reply_raw("/public/up", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    client.send(Frame::headers(stream, &post("/public/up")));
    for _ in 0..count {
        client.pay(stream, 356).send(padded.clone());
    }
    client.send(Frame::data(stream, "").end());
    assert_eq!(client.fate(stream), Fate::Answered(200));
    assert_eq!(gateway.backend.last().body.len(), 100 * usize::try_from(count).unwrap());
    assert_serves(&mut client, stream + 2);
}

/// Back-pressure: windows run dry while the backend does not read, memory stays, and all of it arrives once it does.
#[test]
fn an_upload_waits_for_a_backend_that_does_not_read() {
    const MUCH: usize = 48 << 20;
    let gateway = Setup::new(ROUTES).set("server.max_body", "'1GiB'").start();
    let (gate, received) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
    let (wait, count) = (gate.clone(), received.clone());
    gateway.backend.on("/public/up", move |exchange| {
        wait.wait();
        while let Some(piece) = exchange.read_piece() {
            count.fetch_add(piece.len(), Ordering::Relaxed);
        }
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let mut client = RawHttp2::connect(gateway.addr());
    assert!(client.round_trip());
    let before = gateway.process.peak_memory();
    client.send(Frame::headers(1, &post("/public/up")));
    gateway.backend.wait_for_requests(1);
    let (piece, mut sent, mut dry) = ([b'x'; 16_384], 0, 0);
    // Whoever takes all of it has no bound. What the sockets hold is far less.
    while dry < 10 && sent < MUCH {
        if client.window(0).min(client.window(1)) < 16_384 {
            assert!(client.round_trip());
            dry += 1;
            continue;
        }
        client.upload(1, &piece);
        (sent, dry) = (sent + piece.len(), 0);
    }
    assert!(sent < MUCH, "all is taken while nobody reads");
    let grown = gateway.process.peak_memory() - before;
    assert!(grown < 8 << 20, "{grown} bytes");
    assert_serves(&mut client, 3);
    gate.open();
    client.upload(1, &[b'x'; 1 << 20]);
    client.send(Frame::data(1, "").end());
    assert_eq!(client.fate(1), Fate::Answered(200));
    assert_eq!(received.load(Ordering::Relaxed), sent + (1 << 20));
}

/// Back-pressure: what the client does not take waits at the backends, not in the gateway.
#[test]
fn responses_that_nobody_takes_are_not_stored() {
    let gateway = Gateway::start(ROUTES);
    gateway.backend.on("/public/large", |exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 4194304\r\n\r\n");
        let _ = (0..64).all(|_| exchange.send([b'x'; 65_536]));
        exchange.close();
    });
    let mut client = RawHttp2::connect_with(gateway.addr(), &[(INITIAL_WINDOW_SIZE, 0)]);
    client.send(Frame::window(0, 1 << 30));
    let before = gateway.process.peak_memory();
    let streams = || (0..20).map(|index| index * 2 + 1);
    client.send_all(streams().map(|id| Frame::headers(id, &get("/public/large")).end()));
    for id in streams() {
        assert_eq!(client.frame_of(id).map(|frame| frame.kind), Some(kind::HEADERS));
    }
    client.send(Frame::window(21, 4 << 20));
    read(&mut client, 21, 4 << 20);
    let grown = gateway.process.peak_memory() - before;
    assert!(grown < 8 << 20, "{grown} bytes");
}

/// RFC 9113 §6.9: a client that does not keep to the windows is stopped, not stored.
#[test]
fn more_than_the_window_is_an_error() {
    let gateway = Setup::new(ROUTES).set("server.max_body", "'1GiB'").start();
    let gate = Gate::new();
    let wait = gate.clone();
    gateway.backend.on("/public/up", move |exchange| {
        wait.wait();
        exchange.close();
    });
    let mut client = RawHttp2::connect(gateway.addr());
    client.send(Frame::headers(1, &post("/public/up")));
    gateway.backend.wait_for_requests(1);
    let before = gateway.process.peak_memory();
    let pieces = Frame::data(1, vec![b'x'; 16_384]).encode().repeat(64);
    let sent = (0..64).take_while(|_| client.wire().write(&pieces).is_ok()).count();
    let fate = client.fate(1);
    assert!(fate.is_refused_by(&[code::FLOW_CONTROL_ERROR]), "{fate:?} after {sent} MiB");
    let grown = gateway.process.peak_memory() - before;
    assert!(grown < 8 << 20, "{grown} bytes");
    gate.open();
}

/// SECURITY J10: a client that has opened its windows and takes nothing keeps neither the backend nor, when it reads again, the rest.
#[test]
fn j10_a_response_that_waits_for_the_socket_ends_with_its_token() {
    let gateway = Gateway::start(ROUTES);
    let alice = gateway.token_for("alice", "reader");
    let closed = Gate::new();
    let opener = closed.clone();
    gateway.backend.on("/anyone/large", move |exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n");
        while exchange.send([b'x'; 100_000]) {}
        opener.open();
        exchange.close();
    });
    let wide = (1 << 31) - 1;
    let mut client = RawHttp2::connect_with(gateway.addr(), &[(INITIAL_WINDOW_SIZE, wide)]);
    client.send(Frame::window(0, wide - 65_535));
    let bearer = format!("Bearer {alice}");
    client.request(1, &[&get("/anyone/large")[..], &[("authorization", &bearer)]].concat(), None);
    assert_eq!(client.frame_of(1).map(|frame| frame.kind), Some(kind::HEADERS));
    gateway.cli(["user", "disable", "alice"]).ok();
    closed.wait();
    let last = std::iter::from_fn(|| client.frame_of(1)).find(|frame| frame.kind != kind::DATA);
    assert_eq!(last.map(|frame| (frame.kind, frame.number(0))), Some((kind::RST_STREAM, code::CANCEL)));
    assert_serves(&mut client, 3);
}
