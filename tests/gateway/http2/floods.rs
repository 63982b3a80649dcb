//! SECURITY D1: frames that cost their sender little and the receiver much, and traffic that only looks like it.

use std::time::Duration;

use super::{assert_serves, get, post};
use crate::harness::{
    Fate, Frame, Gateway, ROUTES, RawHttp2, Recorded, Setup, code, fields, flag, kind, setting,
};

/// Far more than a gateway has reason to keep of one client, and far less than the floods.
const BOUND: u64 = 8 << 20;

/// Sends it all, as long as the gateway takes it.
fn flood(client: &RawHttp2, bytes: &[u8]) {
    // Whoever has stopped reading has found his own way out: we stop too, and look at what it has cost.
    client.wire().stream().set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let _ = client.wire().write(bytes);
}

/// The flood has not filled the gateway's memory, and others are served.
#[track_caller]
fn assert_unharmed(gateway: &Gateway, before: u64) {
    let grown = gateway.process.peak_memory() - before;
    assert!(grown < BOUND, "{grown} bytes more");
    assert_serves(&mut RawHttp2::connect(gateway.addr()), 1);
}

/// Sends these frames for each of many streams: the connection ends, and the backend has seen few of the requests.
#[track_caller]
fn assert_ended_by(frames: impl Fn(u32) -> Vec<Frame>) -> Fate {
    let gateway = Gateway::start(ROUTES);
    let before = gateway.process.peak_memory();
    let mut client = RawHttp2::connect(gateway.addr());
    let streams = (0..10_000_u32).map(|index| index * 2 + 1);
    let bytes: Vec<u8> = streams.flat_map(frames).flat_map(|frame| frame.encode()).collect();
    flood(&client, &bytes);
    let fate = if client.round_trip() { Fate::Answered(0) } else { client.end() };
    assert!(matches!(fate, Fate::Closed(_)), "it goes on");
    assert!(gateway.backend.count() < 1000, "{} requests", gateway.backend.count());
    assert_unharmed(&gateway, before);
    fate
}

#[test]
fn cve_2023_44487_rapid_reset() {
    let fate = assert_ended_by(|id| {
        vec![Frame::headers(id, &get("/public/x")).end(), Frame::reset(id, code::CANCEL)]
    });
    assert_eq!(fate, Fate::Closed(Some(code::ENHANCE_YOUR_CALM)));
}

/// Callers whose deadline is over before a slow backend has answered do not lose the connection to it.
#[test]
fn requests_that_are_given_up_after_a_while_are_no_flood() {
    let gateway = Setup::new(ROUTES).set("server.max_streams", "400").start();
    gateway.backend.on("/public/held", |exchange| {
        let _ = exchange.until_end();
    });
    let mut client = RawHttp2::connect(gateway.addr());
    let streams = || (0..300).map(|index| index * 2 + 1);
    client.send_all(streams().map(|id| Frame::headers(id, &get("/public/held")).end()));
    gateway.backend.wait_for_requests(300);
    // The worker looks at its connections from time to time, and only then reads the date anew.
    let mut more = (300..).map(|index| index * 2 + 1);
    let mut date = |client: &mut RawHttp2| {
        let id = more.next().unwrap();
        client.request(id, &get("/public/x"), None).answer(id).field("date").unwrap().to_owned()
    };
    let begin = date(&mut client);
    while date(&mut client) == begin {}
    client.send_all(streams().map(|id| Frame::reset(id, code::CANCEL)));
    date(&mut client);
}

/// The client makes the server reset, in each way that the advisory names.
#[test]
fn cve_2025_8671_made_you_reset() {
    let request = |id| Frame::headers(id, &get("/public/x")).end();
    let open = |id| Frame::headers(id, &post("/public/x"));
    let length = |id| Frame::headers(id, &[&post("/public/x")[..], &[("content-length", "3")]].concat());
    let malformed =
        |id| Frame::headers(id, &[&get("/public/x")[..], &[("connection", "close")]].concat()).end();
    assert_ended_by(|id| vec![open(id), Frame::window(id, 0)]);
    assert_ended_by(|id| vec![open(id), Frame::window(id, 0x7fff_ffff)]);
    assert_ended_by(|id| vec![open(id), Frame::new(kind::PRIORITY, 0, id, [0; 4])]);
    assert_ended_by(|id| vec![request(id), Frame::data(id, "x")]);
    assert_ended_by(|id| vec![request(id), Frame::headers(id, &[("x", "1")]).end()]);
    assert_ended_by(|id| vec![length(id), Frame::data(id, "hello").end()]);
    assert_ended_by(|id| vec![malformed(id)]);
}

/// A client that opens more streams than it may is told so; not for ever.
#[test]
fn refused_streams_without_end() {
    let gateway = Setup::new(ROUTES).set("server.max_streams", "1").start();
    gateway.backend.on("/public/held", |exchange| {
        let _ = exchange.until_end();
    });
    let mut client = RawHttp2::connect(gateway.addr());
    client.request(1, &get("/public/held"), None);
    gateway.backend.wait_for_requests(1);
    let streams = (1..10_000_u32).map(|index| index * 2 + 1);
    let bytes: Vec<u8> =
        streams.flat_map(|id| Frame::headers(id, &get("/public/x")).end().encode()).collect();
    flood(&client, &bytes);
    assert!(matches!(client.end(), Fate::Closed(Some(_))));
    assert_eq!(gateway.backend.count(), 1);
}

/// A header block without end: of nothing, of one byte at a time, of large frames.
#[test]
fn cve_2024_27316_continuation_flood() {
    let gateway = Gateway::start(ROUTES);
    let before = gateway.process.peak_memory();
    let head = Frame::new(kind::HEADERS, flag::END_STREAM, 1, fields::encode(&get("/public/x")));
    for (size, count) in [(0, 100_000), (1, 100_000), (16_384, 2000)] {
        let mut client = RawHttp2::connect(gateway.addr());
        assert!(client.round_trip());
        client.send(head.clone());
        // One field whose value does not end, or fields that no list can hold.
        let more = Frame::new(kind::CONTINUATION, 0, 1, vec![0x82; size]);
        flood(&client, &more.encode().repeat(count));
        let fate = client.end();
        assert!(
            matches!(fate, Fate::Closed(Some(code)) if code != code::NO_ERROR),
            "parts of {size}: {fate:?}"
        );
    }
    assert_eq!(gateway.backend.count(), 0);
    assert_unharmed(&gateway, before);
}

/// What is answered, or costs a look, is sent by a client that reads nothing.
#[track_caller]
fn assert_bounded(frame: &Frame, open: bool) {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::connect(gateway.addr());
    assert!(client.round_trip());
    if open {
        client.send(Frame::headers(1, &post("/public/x")));
        gateway.backend.wait_for_requests(1);
    }
    let before = gateway.process.peak_memory();
    let bytes = frame.encode();
    let piece = bytes.repeat((1 << 20) / bytes.len());
    client.wire().stream().set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let _taken = (0..12).take_while(|_| client.wire().write(&piece).is_ok()).count();
    assert_unharmed(&gateway, before);
}

#[test]
fn cve_2019_9512_ping_flood() {
    assert_bounded(&Frame::ping(&[0; 8]), false);
}

#[test]
fn cve_2019_9515_settings_flood() {
    assert_bounded(&Frame::settings(&[]), false);
    assert_bounded(&Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 1)].repeat(1000)), false);
}

#[test]
fn cve_2019_9513_priority_flood() {
    assert_bounded(&Frame::new(kind::PRIORITY, 0, 0x7fff_fff1, [0, 0, 0, 1, 7]), false);
}

#[test]
fn cve_2019_9518_rustsec_2026_0258_floods_of_empty_frames() {
    assert_bounded(&Frame::data(1, ""), true);
    assert_bounded(&Frame::new(kind::DATA, flag::PADDED, 1, [0]), true);
    assert_bounded(&Frame::new(0x42, 0, 0, ""), false);
    assert_bounded(&Frame::window(1, 1), true);
}

/// One entry of the table, named again by each byte of a block: 16 KiB that would become 40 MiB.
#[test]
fn hpack_bomb() {
    let gateway = Gateway::start(ROUTES);
    let before = gateway.process.peak_memory();
    let mut client = RawHttp2::connect(gateway.addr());
    for (stream, name, length) in [(1, "x", 3900), (3, "cookie", 3900), (5, "cookie", 1)] {
        // RFC 7541 §6.2.1: a literal that goes into the table.
        let mut entry = fields::encode(&[(name, &"v".repeat(length))]);
        entry[0] = 0x40;
        let block = [fields::encode(&get("/public/x")), entry, vec![0xbe; 11_000]].concat();
        client.send(Frame::new(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, stream, block));
        let fate = client.fate(stream);
        assert!(
            matches!(fate, Fate::Answered(431) | Fate::Reset(_) | Fate::Closed(Some(_))),
            "{name}: {fate:?}"
        );
        if matches!(fate, Fate::Closed(_)) {
            client = RawHttp2::connect(gateway.addr());
        }
    }
    assert_eq!(gateway.backend.count(), 0);
    assert_serves(&mut client, 7);
    assert_unharmed(&gateway, before);
}

/// Nearly as many fields as a request may have, a byte for each, in as many streams as there may be, and windows that keep all of them
/// open. A field that says nothing costs what its place in a list takes.
#[test]
fn cve_2026_49975_small_fields_that_a_closed_window_keeps() {
    for name in ["cookie", "x"] {
        let gateway = Gateway::start(ROUTES);
        gateway.backend.reply_raw("/public/x", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody");
        let before = gateway.process.peak_memory();
        let mut client = RawHttp2::connect_with(gateway.addr(), &[(setting::INITIAL_WINDOW_SIZE, 0)]);
        // RFC 7541 §6.2.1: a literal that goes into the table, for the first stream.
        let mut entry = fields::encode(&[(name, "")]);
        entry[0] = 0x40;
        for stream in (0..100).map(|index| index * 2 + 1) {
            let block =
                [fields::encode(&get("/public/x")), std::mem::take(&mut entry), vec![0xbe; 90]].concat();
            client.send(Frame::new(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, stream, block));
        }
        for stream in (0..100).map(|index| index * 2 + 1) {
            let head = client.frame_of(stream);
            assert_eq!(head.map(|frame| frame.kind), Some(kind::HEADERS), "{name}, stream {stream}");
        }
        let has_them = |request: &&Recorded| !request.header_values(name).is_empty();
        assert_eq!(gateway.backend.requests().iter().filter(has_them).count(), 100, "{name}");
        assert_unharmed(&gateway, before);
    }
}

/// A browser cancels what it has asked for when its user goes on, and that for hours.
#[test]
fn cancelling_now_and_then_is_no_flood() {
    let gateway = Gateway::start(ROUTES);
    gateway.backend.on("/public/held", |exchange| {
        let _ = exchange.until_end();
    });
    let mut client = RawHttp2::connect(gateway.addr());
    assert!(client.round_trip());
    let mut next = 1;
    for _ in 0..10 {
        let streams: Vec<u32> = (0..100).map(|index| next + index * 2).collect();
        next += 200;
        let (cancelled, completed) = streams.split_at(50);
        let seen = gateway.backend.count();
        client.send_all(cancelled.iter().map(|id| Frame::headers(*id, &get("/public/held")).end()));
        gateway.backend.wait_for_requests(seen + 50);
        client.send_all(cancelled.iter().map(|id| Frame::reset(*id, code::CANCEL)));
        client.send_all(completed.iter().map(|id| Frame::headers(*id, &get("/public/x")).end()));
        for id in completed {
            assert_eq!(client.fate(*id), Fate::Answered(200));
        }
        client.send_all([Frame::window(0, 1000)]);
    }
}

/// Clients measure with pings, and gRPC does so with each piece of data that it reads.
#[test]
fn pings_while_data_flows_are_no_flood() {
    let gateway = Gateway::start(ROUTES);
    gateway.backend.on("/public/events", |exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..2000 {
            exchange.send("4\r\nmore\r\n");
        }
        exchange.send("0\r\n\r\n");
    });
    let mut client = RawHttp2::connect(gateway.addr());
    client.request(1, &get("/public/events"), None);
    for _ in 0..2000 {
        assert!(client.round_trip());
    }
    assert_eq!(client.answer(1).body.len(), 8000);
    assert_serves(&mut client, 3);
}
