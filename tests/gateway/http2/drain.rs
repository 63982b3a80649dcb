//! How connections of HTTP/2 end: at SIGTERM, when nothing happens any more, when a client stalls.

use super::{assert_serves, get, post};
use crate::harness::{Fate, Frame, Gate, Gateway, ROUTES, RawHttp2, Setup, code, fields, flag, kind};

/// The highest id there is: of no stream is said yet that it is not taken (RFC 9113 §6.8).
const ALL: (u32, u32) = (0x7fff_ffff, code::NO_ERROR);

/// RFC 9113 §6.8: first a warning, then the last stream, so that nothing is lost that was on its way. What is in flight is finished.
#[test]
fn sigterm_finishes_what_is_in_flight_and_what_is_on_its_way() {
    let mut gateway = Gateway::start(ROUTES);
    let gate = Gate::new();
    let held = gate.clone();
    gateway.backend.on("/public/held", move |exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none");
        held.wait();
        exchange.send("two");
    });
    let mut client = RawHttp2::connect(gateway.addr());
    client.request(1, &get("/public/held"), None);
    client.send(Frame::headers(3, &post("/public/upload")));
    gateway.backend.wait_for_requests(2);
    gateway.begin_shutdown();
    while client.goaways().is_empty() {
        client.frame_of(0).expect("GOAWAY");
    }
    assert_eq!(client.goaways(), [ALL]);
    client.request(5, &get("/public/on-its-way"), None);
    assert_eq!(client.answer(5).body, b"/public/on-its-way");
    client.send(Frame::data(3, "hello").end());
    assert_eq!(client.answer(3).body, b"hello");
    while client.goaways().last() != Some(&(5, code::NO_ERROR)) {
        client.frame_of(0).expect("GOAWAY");
    }
    // This one is too late. Whoever sent it knows that it was not taken.
    client.request(7, &get("/public/late"), None);
    gate.open();
    assert_eq!(client.answer(1).body, b"onetwo");
    assert_eq!(client.end(), Fate::Closed(Some(code::NO_ERROR)));
    assert!(gateway.backend.requests().iter().all(|request| request.target != "/public/late"));
    assert_eq!(gateway.process.wait().code(), Some(0));
}

#[test]
fn idle_connections_end_at_sigterm() {
    let mut gateway = Gateway::start(ROUTES);
    let mut clients: Vec<_> = (0..4).map(|_| RawHttp2::connect(gateway.addr())).collect();
    for client in &mut clients[1..] {
        assert_serves(client, 1);
    }
    assert!(clients[0].round_trip());
    gateway.begin_shutdown();
    for client in &mut clients {
        assert_eq!(client.end(), Fate::Closed(Some(code::NO_ERROR)));
    }
    assert_eq!(gateway.process.wait().code(), Some(0));
}

/// A client that answers nothing any more holds nobody up.
#[test]
fn a_client_that_does_not_answer_does_not_outlive_the_grace() {
    let mut gateway = Setup::new(ROUTES).set("server.shutdown_grace", "'200ms'").start();
    gateway.backend.on("/public/held", |exchange| {
        let _ = exchange.until_end();
    });
    let mut client = RawHttp2::connect(gateway.addr());
    client.request(1, &get("/public/held"), None);
    gateway.backend.wait_for_requests(1);
    assert_eq!(gateway.terminate(), Some(0));
    assert!(matches!(client.fate(1), Fate::Closed(_) | Fate::Reset(_)));
}

/// RFC 9113 §9.1: with GOAWAY, so that the client knows that nothing of it was lost.
#[test]
fn a_connection_that_is_idle_for_too_long_is_closed() {
    let gateway = Setup::new(ROUTES).set("server.keepalive_timeout", "'300ms'").start();
    let mut client = RawHttp2::connect(gateway.addr());
    assert_serves(&mut client, 1);
    assert_eq!(client.end(), Fate::Closed(Some(code::NO_ERROR)));
    let mut client = RawHttp2::connect(gateway.addr());
    assert!(client.round_trip());
    assert!(matches!(client.end(), Fate::Closed(_)), "nothing was ever asked");
}

/// What lasts is not idle, however long nothing happens.
#[test]
fn a_connection_with_a_request_is_not_idle() {
    let gateway = Setup::new(ROUTES).set("server.keepalive_timeout", "'100ms'").start();
    let gate = Gate::new();
    let held = gate.clone();
    gateway.backend.on("/public/held", move |exchange| {
        held.wait();
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld");
    });
    let mut client = RawHttp2::connect(gateway.addr());
    client.request(1, &get("/public/held"), None);
    // Another one is closed meanwhile, twice in a row.
    for _ in 0..2 {
        let mut idle = RawHttp2::connect(gateway.addr());
        assert_serves(&mut idle, 1);
        assert!(matches!(idle.end(), Fate::Closed(_)));
    }
    gate.open();
    assert_eq!(client.answer(1).body, b"held");
}

/// SECURITY D2: half of anything is not waited for without end.
#[test]
fn d2_slow_heads_are_broken_off() {
    let gateway = Setup::new(ROUTES).set("server.header_timeout", "'300ms'").start();
    let head = Frame::headers(1, &get("/public/x")).end();
    let part = Frame::new(kind::HEADERS, flag::END_STREAM, 1, fields::encode(&get("/public/x")));
    for (what, bytes) in [
        ("half of a frame's head", head.encode()[..5].to_vec()),
        ("half of a frame", head.encode()[..20].to_vec()),
        ("half of a header block", part.encode()),
        (
            "more of a header block",
            [part.encode(), Frame::new(kind::CONTINUATION, 0, 1, "").encode()].concat(),
        ),
    ] {
        let mut client = RawHttp2::connect(gateway.addr());
        assert!(client.round_trip());
        client.send_bytes(&bytes).stall();
        // A ping would say that it is told to go since it is idle.
        let pinged = std::iter::from_fn(|| client.frame()).any(|frame| frame.is(kind::PING, 0));
        assert!(!pinged, "{what}");
    }
    assert_eq!(gateway.backend.count(), 0);
}

/// Also of a head that came while another request was served: its time begins when that has ended.
#[test]
fn d2_a_slow_head_beside_a_request_is_broken_off_behind_it() {
    let setup = Setup::new(ROUTES).set("server.header_timeout", "'300ms'");
    let gateway = setup.set("server.keepalive_timeout", "'10m'").start();
    let gate = Gate::new();
    let opener = gate.clone();
    gateway.backend.on("/public/held", move |exchange| {
        opener.wait();
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld");
    });
    let mut client = RawHttp2::connect(gateway.addr());
    assert!(client.round_trip());
    let part = Frame::new(kind::HEADERS, flag::END_STREAM, 3, fields::encode(&get("/public/x")));
    client.request(1, &get("/public/held"), None).send(part);
    gateway.backend.wait_for_requests(1);
    gate.open();
    assert_eq!(client.answer(1).body, b"held");
    assert!(matches!(client.end(), Fate::Closed(_)));
}

/// The pause inside a body counts for each stream by itself: others of the connection go on.
#[test]
fn d2_slow_bodies_are_broken_off() {
    let gateway = Setup::new(ROUTES).set("server.body_timeout", "'300ms'").start();
    let mut client = RawHttp2::connect(gateway.addr());
    client.send_all([Frame::headers(1, &post("/public/x")), Frame::data(1, "half")]);
    let fate = client.fate(1);
    assert!(matches!(fate, Fate::Answered(408) | Fate::Reset(_)), "{fate:?}");
    gateway.backend.wait_until_all_closed();
    assert!(!gateway.backend.last().is_complete());
    assert_serves(&mut client, 3);
}
