//! What a client can do to a connection, to its other streams, or to itself without breaking a rule of the protocol.

use super::{assert_serves, get, post};
use crate::harness::setting::INITIAL_WINDOW_SIZE;
use crate::harness::{Fate, Frame, Gate, Gateway, ROUTES, RawHttp2, Setup, code, kind};

/// A gateway whose backend answers `/public/up` at once, reads the request when the gate is open, and then ends its response.
fn gateway_that_answers_early(gate: &Gate) -> Gateway {
    let setup = Setup::new(ROUTES).set("server.max_body", "'1GiB'");
    // A timer that goes off wakes the stream as well.
    let gateway = setup.set("upstream.backend.response_timeout", "'5m'").start();
    let gate = gate.clone();
    gateway.backend.on("/public/up", move |exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        gate.wait();
        exchange.read_body();
        exchange.send("0\r\n\r\n");
    });
    gateway
}

/// A gateway whose backend answers `/public/large` with so many bytes, and a client that has opened the windows of its streams.
fn gateway_with_large(length: usize) -> (Gateway, RawHttp2) {
    let gateway = Gateway::start(ROUTES);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    gateway.backend.reply_raw("/public/large", [head.into_bytes(), vec![b'x'; length]].concat());
    let client = RawHttp2::connect_with(gateway.addr(), &[(INITIAL_WINDOW_SIZE, (1 << 31) - 1)]);
    (gateway, client)
}

/// The windows are given back although the stream itself only waits for its response.
#[test]
fn an_upload_goes_on_behind_the_head_of_its_response() {
    const PIECE: usize = 16_384;
    let gate = Gate::new();
    let gateway = gateway_that_answers_early(&gate);
    let mut client = RawHttp2::connect(gateway.addr());
    client.send(Frame::headers(1, &post("/public/up")));
    assert_eq!(client.frame_of(1).map(|frame| frame.kind), Some(kind::HEADERS));
    let (mut sent, mut dry) = (0, 0);
    while dry < 10 {
        if client.window(0).min(client.window(1)) < PIECE as i64 {
            assert!(client.round_trip());
            dry += 1;
            continue;
        }
        client.upload(1, &[b'x'; PIECE]);
        (sent, dry) = (sent + PIECE, 0);
    }
    gate.open();
    client.upload(1, &[b'x'; 1 << 20]);
    client.send(Frame::data(1, "").end());
    assert_eq!(client.frame_of(1).map(|frame| (frame.kind, frame.flags)), Some((kind::DATA, 1)));
    assert_eq!(gateway.backend.last().body.len(), sent + (1 << 20));
}

/// RFC 9110 §10.1.1: what is read behind the head of the response asks nobody to continue, the next stream least of all.
#[test]
fn a_stream_is_not_told_to_continue_in_place_of_another() {
    let (open, gate) = (Gate::new(), Gate::new());
    open.open();
    let gateway = gateway_that_answers_early(&open);
    let wait = gate.clone();
    gateway.backend.on("/public/other", move |exchange| {
        wait.wait();
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let mut client = RawHttp2::connect(gateway.addr());
    client.send(Frame::headers(1, &[&post("/public/up")[..], &[("expect", "100-continue")]].concat()));
    assert_eq!(client.frame_of(1).map(|frame| frame.kind), Some(kind::HEADERS));
    client.send_all([Frame::headers(3, &get("/public/other")).end(), Frame::data(1, "some")]);
    gateway.backend.wait_for("the beginning of the upload", |request| request.body == b"some");
    gate.open();
    assert_eq!(client.answer(3).interim, Vec::<Vec<(String, String)>>::new());
}

/// However little the window of a connection opens, each stream has its part.
#[test]
fn streams_take_turns_at_the_window_of_the_connection() {
    let (_gateway, mut client) = gateway_with_large(1 << 20);
    client.send_all([1, 3, 5].map(|id| Frame::headers(id, &get("/public/large")).end()));
    // The first window, and six more.
    let (mut taken, mut heads) = ([0; 3], 0);
    for opened in 0..7 {
        let mut left = if opened == 0 { 65_535 } else { 16_384 };
        // A stream waits for its turn when it has a response.
        while left > 0 || heads < 3 {
            let frame = client.frame().expect("more of the responses");
            heads += usize::from(frame.kind == kind::HEADERS);
            if frame.kind == kind::DATA {
                let index = usize::try_from(frame.stream / 2).unwrap();
                (taken[index], left) = (taken[index] + frame.payload.len(), left - frame.payload.len());
            }
        }
        assert!(client.round_trip());
        client.send(Frame::window(0, 16_384));
    }
    assert!(taken.iter().all(|bytes| *bytes >= 2 * 16_384), "{taken:?}");
}

/// Go's client gives both windows back for every 4 KiB that it reads.
#[test]
fn small_steps_of_the_windows_while_data_flow_are_no_flood() {
    const MUCH: usize = 16 << 20;
    let (_gateway, mut client) = gateway_with_large(MUCH);
    client.request(1, &get("/public/large"), None);
    let (mut taken, mut owed) = (0, 0);
    while taken < MUCH {
        let frame = client.frame_of(1).unwrap_or_else(|| panic!("after {taken}: {:?}", client.goaways()));
        if frame.kind == kind::DATA {
            (taken, owed) = (taken + frame.payload.len(), owed + frame.payload.len());
        }
        let step = || [Frame::window(0, 4096), Frame::window(1, 4096)];
        client.send_all((0..owed / 4096).flat_map(|_| step()));
        owed %= 4096;
    }
}

/// A client that sends many small messages has sent thousands of them before it hears of the end of its stream.
#[test]
fn small_pieces_behind_an_early_end_are_no_flood() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::connect(gateway.addr());
    client.send(Frame::headers(1, &post("/orders/7")));
    assert_eq!(client.fate(1), Fate::Answered(401));
    client.send_all((0..5000).map(|_| Frame::data(1, "message")));
    assert_serves(&mut client, 3);
}

/// RFC 9113 §6.8: it has to know that nobody serves it.
#[test]
fn a_request_behind_the_client_s_goaway_is_not_left_waiting() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::connect(gateway.addr());
    client.send_all([
        Frame::headers(1, &post("/public/1")),
        Frame::new(kind::GOAWAY, 0, 0, [0; 8]),
        Frame::headers(3, &get("/public/3")).end(),
    ]);
    client.send(Frame::data(1, "hello").end());
    assert_eq!(client.answer(1).body, b"hello");
    client.end();
    assert_eq!((client.goaways(), gateway.backend.count()), (&[(1, code::NO_ERROR)][..], 1));
}

/// RFC 9110 §9.3.2: not even when it is a refusal.
#[test]
fn the_response_to_a_malformed_head_request_has_no_content() {
    let gateway = Setup::new(ROUTES).set("server.max_uri_size", "'256B'").start();
    let mut client = RawHttp2::connect(gateway.addr());
    let long = format!("/public/{}", "x".repeat(300));
    for (id, path, status) in [(1, "*", 400), (3, &long, 414)] {
        let mut head = get(path);
        head[0].1 = "HEAD";
        client.request(id, &head, None);
        let answer = client.answer(id);
        assert_eq!((answer.status, answer.body.len()), (status, 0));
    }
    client.request(5, &get("*"), None);
    assert_eq!(client.fate(5), Fate::Answered(400));
}
