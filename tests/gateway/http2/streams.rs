//! Streams: their states, how many there may be, and what a reset does (RFC 9113 §5.1).

use super::{assert_serves, get, post};
use crate::harness::{Fate, Frame, Gate, Gateway, ROUTES, RawHttp2, Setup, code, fields, flag, kind};

/// Requests for `path` are answered when the gate is open.
fn held(gateway: &Gateway, path: &str) -> Gate {
    let gate = Gate::new();
    let wait = gate.clone();
    gateway.backend.on(path, move |exchange| {
        wait.wait();
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld");
    });
    gate
}

/// RFC 9113 §5.1: after END_STREAM, half-closed by the client, and later closed.
#[test]
fn nothing_comes_after_the_end_of_a_stream() {
    let gateway = Gateway::start(ROUTES);
    let gate = held(&gateway, "/public/held");
    let trailers =
        Frame::new(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1, fields::encode(&[("x", "1")]));
    for frame in [Frame::data(1, "more"), Frame::data(1, "").end(), trailers] {
        let mut client = RawHttp2::connect(gateway.addr());
        client.send_all([Frame::headers(1, &get("/public/held")).end(), frame.clone()]);
        let fate = client.fate(1);
        assert!(fate.is_refused_by(&[code::STREAM_CLOSED]), "half-closed: {frame:?}: {fate:?}");
    }
    gate.open();
    for frame in [Frame::data(1, "more").end(), Frame::headers(1, &get("/public/x")).end()] {
        let mut client = RawHttp2::connect(gateway.addr());
        assert_serves(&mut client, 1);
        client.send(frame.clone());
        // Whoever passes over it has not answered anything.
        let fate = if client.round_trip() { Fate::Reset(code::STREAM_CLOSED) } else { client.end() };
        assert!(
            fate.is_refused_by(&[code::STREAM_CLOSED, code::PROTOCOL_ERROR]),
            "closed: {frame:?}: {fate:?}"
        );
        assert!(gateway.backend.requests().iter().all(|request| request.target != "/public/x"));
    }
}

/// RFC 9113 §5.1: what crosses the end of a response on its way is no error.
#[test]
fn late_frames_of_a_closed_stream_are_ignored() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::connect(gateway.addr());
    assert_serves(&mut client, 1);
    client.send_all([
        Frame::window(1, 10),
        Frame::reset(1, code::CANCEL),
        Frame::window(1, 10),
        Frame::new(kind::PRIORITY, 0, 1, [0; 5]),
    ]);
    assert_serves(&mut client, 3);
}

/// RFC 9113 §5.1.1: ids grow, in whatever steps, up to the last one.
#[test]
fn ids_may_be_left_out_up_to_the_last_one() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::connect(gateway.addr());
    for stream in [1, 3, 9, 101, 65_537, 0x7fff_ffff] {
        assert_serves(&mut client, stream);
    }
}

/// RFC 9113 §5.1.2: one too many is refused, which a client may try again (§8.7); it takes nothing from the others.
#[test]
fn a_stream_too_many_is_refused_and_the_others_go_on() {
    let gateway = Setup::new(ROUTES).set("server.max_streams", "3").start();
    let gate = held(&gateway, "/public/held");
    let mut client = RawHttp2::connect(gateway.addr());
    assert!(client.round_trip());
    for stream in [1, 3, 5, 7] {
        client.request(stream, &get("/public/held"), None);
    }
    assert_eq!(client.fate(7), Fate::Reset(code::REFUSED_STREAM));
    // A refused header block has still changed the table of its sender, so it was read.
    gateway.backend.wait_for_requests(3);
    client.send(Frame::reset(3, code::CANCEL));
    client.request(9, &get("/public/free"), None);
    assert_eq!(client.fate(9), Fate::Answered(200), "there is room again");
    gate.open();
    for stream in [1, 5] {
        assert_eq!(client.answer(stream).body, b"held");
    }
    assert_eq!(
        gateway.backend.requests().iter().filter(|request| request.target == "/public/held").count(),
        3
    );
}

/// RFC 9113 §5.4.2 and §8.1: what the client cancels ends at the backend too, and nowhere else.
#[test]
fn a_reset_cancels_its_request_and_no_other() {
    let gateway = Gateway::start(ROUTES);
    let (cancelled, gate) = (Gate::new(), held(&gateway, "/public/held"));
    let seen = cancelled.clone();
    gateway.backend.on("/public/slow", move |exchange| {
        if exchange.until_end().is_ok_and(|rest| rest.is_empty()) {
            seen.open();
        }
    });
    let mut client = RawHttp2::connect(gateway.addr());
    client.request(1, &get("/public/held"), None).request(3, &get("/public/slow"), None);
    gateway.backend.wait_for_requests(2);
    client.send(Frame::reset(3, code::CANCEL));
    cancelled.wait();
    let record = gateway.access_of("/public/slow");
    assert_eq!((&record["status"], &record["complete"]), (&499.into(), &false.into()), "{record}");
    gate.open();
    assert_eq!(client.answer(1).body, b"held");
    assert_serves(&mut client, 5);
}

/// A reset while the response comes: the backend is not read any more.
#[test]
fn a_reset_in_the_middle_of_a_response_stops_the_backend() {
    let gateway = Gateway::start(ROUTES);
    let stopped = Gate::new();
    let seen = stopped.clone();
    gateway.backend.on("/public/endless", move |exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while exchange.send("4\r\nmore\r\n") {}
        seen.open();
        exchange.close();
    });
    let mut client = RawHttp2::connect(gateway.addr());
    client.request(1, &get("/public/endless"), None);
    assert_eq!(client.frame_of(1).map(|frame| frame.kind), Some(kind::HEADERS));
    assert_eq!(client.frame_of(1).map(|frame| frame.kind), Some(kind::DATA));
    client.send(Frame::reset(1, code::CANCEL));
    stopped.wait();
    let record = gateway.access_of("/public/endless");
    assert_eq!((&record["status"], &record["complete"]), (&200.into(), &false.into()), "{record}");
    assert_serves(&mut client, 3);
}

#[test]
fn a_connection_that_is_lost_cancels_all_its_requests() {
    let gateway = Gateway::start(ROUTES);
    gateway.backend.on("/public/slow", |exchange| {
        let _ = exchange.until_end();
    });
    let mut client = RawHttp2::connect(gateway.addr());
    client.request(1, &get("/public/slow"), None).request(3, &get("/public/slow"), None);
    client.send_all([Frame::headers(5, &post("/public/slow")), Frame::data(5, "half")]);
    gateway.backend.wait_for_requests(3);
    drop(client);
    gateway.backend.wait_until_all_closed();
    for _ in 0..3 {
        let record = gateway.access_of("/public/slow");
        assert_eq!((&record["status"], &record["complete"]), (&499.into(), &false.into()), "{record}");
    }
}

/// RFC 9113 §8.1.1: a malformed request is an error of its stream. Those who share the connection have done nothing wrong.
#[test]
fn a_malformed_request_takes_nothing_from_the_others() {
    let gateway = Gateway::start(ROUTES);
    let gate = held(&gateway, "/public/held");
    let mut client = RawHttp2::connect(gateway.addr());
    client.request(1, &get("/public/held"), None);
    client.request(3, &[&get("/public/bad")[..], &[("connection", "close")]].concat(), None);
    let fate = client.fate(3);
    assert!(matches!(fate, Fate::Answered(400) | Fate::Reset(code::PROTOCOL_ERROR)), "{fate:?}");
    gate.open();
    assert_eq!(client.answer(1).body, b"held");
    assert!(gateway.backend.requests().iter().all(|request| request.target != "/public/bad"));
}
