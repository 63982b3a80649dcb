//! Moving requests and responses: streaming, limits, and peers that break off.

use bytes::Bytes;
use http_body_util::Full;

use crate::harness::{Broken, Gate, Gateway, Http2, ROUTES, Request, Setup};

#[test]
fn a_response_streams_while_the_backend_still_writes() {
    let gateway = Gateway::start(ROUTES);
    for (path, head) in [
        ("/public/length", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"),
        ("/public/close", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"),
    ] {
        let gate = Gate::new();
        let held = gate.clone();
        gateway.backend.on(path, move |exchange| {
            exchange.send(head);
            exchange.send("one");
            held.wait();
            exchange.send("two");
            // One that closes without having said so can meet the next request, which then is answered with 502.
            if head.contains("close") {
                exchange.close();
            }
        });
        let mut client = gateway.connect();
        client.send(Request::get(path).encode("h"));
        assert_eq!(client.head("GET").status, 200);
        assert_eq!(client.body(3), b"one", "{path}");
        gate.open();
        assert_eq!(client.rest().unwrap(), b"two", "{path}");
    }
}

#[test]
fn chunks_arrive_one_by_one() {
    let gateway = Gateway::start(ROUTES);
    let gates = [Gate::new(), Gate::new(), Gate::new()];
    let held = gates.clone();
    gateway.backend.on("/public/events", move |exchange| {
        exchange
            .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        for gate in &held {
            exchange.send("8\r\ndata: x\n\r\n");
            gate.wait();
        }
        exchange.send("0\r\n\r\n");
    });
    let mut client = gateway.connect();
    client.send(Request::get("/public/events").encode("h"));
    assert_eq!(client.head("GET").header("content-type").as_deref(), Some("text/event-stream"));
    for gate in &gates {
        assert_eq!(client.body(8), b"data: x\n");
        gate.open();
    }
    assert_eq!(client.rest().unwrap(), b"");
}

#[test]
fn a_request_streams_while_the_client_still_writes() {
    let gateway = Gateway::start(ROUTES);
    let mut client = gateway.connect();
    client.send("POST /public/chunks HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    gateway.backend.wait_for("the first chunk", |request| request.body == b"one" && request.end.is_none());
    client.send("3\r\ntwo\r\n0\r\n\r\n");
    assert_eq!(client.response().text(), "onetwo");
    client.send("POST /public/length HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\none");
    gateway.backend.wait_for("the first bytes", |r| r.target == "/public/length" && r.body == b"one");
    client.send("two");
    assert_eq!(client.response().text(), "onetwo");
    assert_eq!(gateway.backend.last().header("content-length").as_deref(), Some("6"));
}

#[test]
fn a_response_may_begin_before_the_request_ends() {
    let gateway = Gateway::start(ROUTES);
    gateway.backend.on("/public/both", |exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while let Some(piece) = exchange.read_piece() {
            exchange.send([format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat());
        }
        exchange.send("0\r\n\r\n");
    });
    let mut client = gateway.connect();
    client.send("POST /public/both HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(client.head("POST").status, 200);
    for word in ["ping", "pong"] {
        client.send(format!("4\r\n{word}\r\n"));
        assert_eq!(client.body(4), word.as_bytes());
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.rest().unwrap(), b"");
}

#[test]
fn large_bodies_pass_whole_in_both_directions() {
    let gateway = Gateway::start(ROUTES);
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
    let response = gateway.send(&Request::post("/public/large", &body));
    assert_eq!(response.status, 200);
    assert!(gateway.backend.last().body == body && response.body == body);
    let mut client = Http2::connect(gateway.addr());
    let request = client.request("POST", "/public/large").body(Full::from(body.clone())).unwrap();
    assert!(client.exchange(request).body() == &body);
}

/// Back-pressure: a client that does not read stops the backend, and not the gateway's memory.
#[test]
fn a_client_that_does_not_read_stops_the_backend() {
    let gateway = Setup::new(ROUTES).set("server.write_timeout", "'1s'").start();
    let stopped = Gate::new();
    let reached = stopped.clone();
    gateway.backend.on("/public/endless", move |exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        // 256 MiB is far more than all socket buffers; the gateway must break off before.
        let sent = (0..4096).take_while(|_| exchange.send(&chunk)).count();
        if sent < 4096 {
            reached.open();
        }
        exchange.close();
    });
    let mut client = gateway.connect();
    client.send(Request::get("/public/endless").encode("h"));
    stopped.wait();
    drop(client);
}

#[test]
fn a_body_that_is_too_large_is_refused_before_and_while_it_comes() {
    let route = "[[route]]\npath = '/small/*'\naccess = 'public'\nmax_body = '1KiB'\nupstream = 'backend'\n";
    let gateway = Gateway::start(&format!("{ROUTES}{route}"));
    assert_eq!(gateway.send(&Request::post("/small/fits", "x".repeat(1024))).status, 200);
    let count = gateway.backend.count();

    let mut client = gateway.connect();
    client.send("POST /small/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1025\r\n\r\n");
    assert_eq!(client.response().status, 413, "before a byte of the body was sent");
    assert_eq!(gateway.backend.count(), count);

    let mut client = gateway.connect();
    client.send("POST /small/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n");
    client.send("x".repeat(0x400));
    let _ = client.try_send("\r\n1\r\ny\r\n0\r\n\r\n");
    assert_eq!(client.response().status, 413);
    assert!(gateway.backend.requests()[count..].iter().all(|request| !request.is_complete()));

    let mut client = Http2::connect(gateway.addr());
    let request = client.request("POST", "/small/x").body(Full::from("x".repeat(1025))).unwrap();
    assert_eq!(client.exchange(request).status(), 413);
}

/// RFC 9110 §10.1.1.
#[test]
fn the_client_is_told_to_continue_once_somebody_wants_the_body() {
    let gateway = Gateway::start(ROUTES);
    let mut client = gateway.connect();
    client.send("POST /public/x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.any_head("POST").unwrap().status, 100);
    client.send("body");
    assert_eq!(client.response().text(), "body");

    let refused = "POST /admin/x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    let mut client = gateway.connect();
    client.send(refused);
    assert_eq!(client.any_head("POST").unwrap().status, 401, "nobody wants the body of a refused request");

    gateway.backend.on("/public/no", |exchange| {
        exchange.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        exchange.close();
    });
    let mut client = gateway.connect();
    client.send("POST /public/no HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.response_to("POST").status, 417);
}

/// RFC 9110 §15.2: interim responses are passed on, but not to a client of HTTP/1.0.
#[test]
fn interim_responses_are_passed_on() {
    let gateway = Gateway::start(ROUTES);
    gateway.backend.reply_raw(
        "/public/x",
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let response = gateway.send(&Request::get("/public/x"));
    assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    let interim: Vec<_> = response.interim.iter().map(|interim| interim.status).collect();
    assert_eq!(interim, [103, 102]);
    assert_eq!(response.interim[0].header("link").as_deref(), Some("</a.css>; rel=preload"));
    let mut client = gateway.connect();
    client.send("GET /public/x HTTP/1.0\r\nHost: h\r\n\r\n");
    assert_eq!(client.any_head("GET").unwrap().status, 200);
}

#[test]
fn trailers_pass_in_both_directions() {
    let gateway = Gateway::start(ROUTES);
    gateway.backend.reply_raw(
        "/public/x",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n",
    );
    let mut client = gateway.connect();
    client.send(
        "POST /public/x HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: TE\r\nTransfer-Encoding: chunked\r\n\
         Trailer: X-Check\r\n\r\n2\r\nhi\r\n0\r\nX-Check: 7\r\n\r\n",
    );
    let response = client.response();
    assert_eq!(gateway.backend.last().trailers.one("x-check").as_deref(), Some("7"));
    assert_eq!((response.text().as_str(), response.trailers.one("x-sum").as_deref()), ("ok", Some("42")));
}

#[test]
fn a_response_to_head_has_no_body_and_keeps_its_length() {
    let gateway = Gateway::start(ROUTES);
    gateway.backend.reply_raw("/public/x", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nETag: \"a\"\r\n\r\n");
    let mut client = gateway.connect();
    for _ in 0..2 {
        let response = client.exchange(&Request::new("HEAD", "/public/x"));
        assert_eq!((response.status, response.header("content-length").as_deref()), (200, Some("1000")));
    }
    assert_eq!(client.exchange(&Request::get("/public/y")).text(), "/public/y");
}

#[test]
fn responses_without_a_body_have_none() {
    let gateway = Gateway::start(ROUTES);
    let mut client = gateway.connect();
    for (path, head) in [
        ("/public/204", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("/public/304", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n"),
        ("/public/0", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ] {
        gateway.backend.reply_raw(path, head);
        let response = client.exchange(&Request::get(path));
        assert_eq!(
            (response.body.len(), response.headers.values("transfer-encoding")),
            (0, vec![]),
            "{path}"
        );
    }
}

#[test]
fn content_is_not_touched() {
    let gateway = Gateway::start(ROUTES);
    let reply = b"HTTP/1.1 299 Odd But Fine\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\nLocation: http://h/a b\r\nX-Latin: caf\xe9\r\n\r\n\x1f\x8b\x00\xff";
    gateway.backend.reply_raw("/public/x", &reply[..]);
    let response = gateway
        .send(&Request::get("/public/x").header("Accept-Encoding", "gzip").header("X-Latin", b"caf\xe9"));
    assert_eq!((response.status, response.body.as_slice()), (299, &b"\x1f\x8b\x00\xff"[..]));
    assert_eq!(response.header("content-encoding").as_deref(), Some("gzip"));
    assert_eq!(response.header("location").as_deref(), Some("http://h/a b"));
    assert_eq!(gateway.backend.last().header("accept-encoding").as_deref(), Some("gzip"));
    assert!(gateway.backend.last().headers.iter().any(|(_, value)| value == b"caf\xe9"));
}

#[test]
fn a_client_that_goes_away_cancels_the_request() {
    let gateway = Gateway::start(ROUTES);
    let cancelled = Gate::new();
    let seen = cancelled.clone();
    gateway.backend.on("/public/slow", move |exchange| {
        if exchange.until_end().is_ok_and(|rest| rest.is_empty()) {
            seen.open();
        }
    });
    let mut client = gateway.connect();
    client.send(Request::get("/public/slow").encode("h"));
    gateway.backend.wait_for_requests(1);
    drop(client);
    cancelled.wait();
}

#[test]
fn a_client_that_breaks_off_never_looks_complete() {
    let gateway = Gateway::start(ROUTES);
    for (index, (framing, part)) in
        [("Content-Length: 10", "abc"), ("Transfer-Encoding: chunked", "3\r\nabc\r\n")]
            .into_iter()
            .enumerate()
    {
        let mut client = gateway.connect();
        client.send(format!("POST /public/{index} HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n{part}"));
        gateway.backend.wait_for("a part", |r| r.target == format!("/public/{index}") && r.body == b"abc");
        drop(client);
        let end = gateway
            .backend
            .wait_for("the end", |r| r.target == format!("/public/{index}") && r.end.is_some());
        assert!(!end.is_complete(), "{framing}");
    }
}

/// RFC 9112 §8: what breaks off must not look complete to the client.
#[test]
fn a_backend_that_breaks_off_never_looks_complete() {
    let gateway = Gateway::start(ROUTES);
    for (path, reply) in [
        ("/public/length", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"),
        ("/public/chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
        ("/public/last", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"),
    ] {
        gateway.backend.reply_raw_and_close(path, reply);
        let mut client = gateway.connect();
        client.send(Request::get(path).encode("h"));
        let broken = client.try_response("GET").unwrap_err();
        assert!(matches!(broken, Broken::Closed | Broken::Reset), "{path}: {broken:?}");
        let record = gateway.access_of(path);
        assert_eq!((&record["status"], &record["complete"]), (&200.into(), &false.into()), "{record}");

        let mut client = Http2::connect(gateway.addr());
        let request = client.request("GET", path).body(Full::<Bytes>::default()).unwrap();
        assert!(client.breaks_off(request), "{path} over HTTP/2");
    }
}

#[test]
fn a_prefix_is_stripped_where_the_route_says_so() {
    let route =
        "[[route]]\npath = '/api/v1/*'\naccess = 'public'\nstrip_prefix = true\nupstream = 'backend'\n";
    let gateway = Gateway::start(route);
    for (target, forwarded) in [("/api/v1/orders?x=1", "/orders?x=1"), ("/api/v1", "/"), ("/api/v1/", "/")] {
        assert_eq!(gateway.send(&Request::get(target)).status, 200);
        assert_eq!(gateway.backend.last().target, forwarded);
    }
}

#[test]
fn requests_in_a_pipeline_are_answered_in_order() {
    let gateway = Gateway::start(ROUTES);
    let requests: Vec<u8> = (0..20).flat_map(|i| Request::get(&format!("/public/{i}")).encode("h")).collect();
    let mut client = gateway.connect();
    client.send(requests);
    for index in 0..20 {
        assert_eq!(client.response().text(), format!("/public/{index}"));
    }
}
