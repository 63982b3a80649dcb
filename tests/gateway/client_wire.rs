//! What a client of HTTP/1.1 may do on its connection, and what it gets (RFC 9112).

use crate::harness::{Gate, Gateway, ROUTES, Request, Setup};

/// Also what is no HTTP has an answer that says why, and a line in the access log.
#[test]
fn what_cannot_be_read_is_answered_and_recorded() {
    let gateway = Setup::new(ROUTES)
        .set("server.max_header_size", "'8KiB'")
        .set("server.max_headers", "20")
        .set("server.max_uri_size", "'2KiB'")
        .start();
    let long = format!("GET /x HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(9000));
    let endless = format!("GET /x HTTP/1.1\r\nHost: h\r\nX: {}", "x".repeat(9000));
    let many = format!("GET /x HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(20));
    let target = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(4000));
    let cases: [(&str, u16, &str, &str); 11] = [
        ("hello\r\n\r\n", 400, "bad_request", "the request line is malformed"),
        ("GET /x HTTP/2.0\r\n\r\n", 400, "bad_request", "does not end with HTTP/1.1"),
        ("GET /x HTTP/1.1\r\nHost : h\r\n\r\n", 400, "bad_request", "the name of a header field"),
        ("GET /x HTTP/1.1\r\nX: \0\r\n\r\n", 400, "bad_request", "control character"),
        ("GET /x HTTP/1.1\r\nX: a\rb\r\n\r\n", 400, "bad_request", "of a header field"),
        ("GET http://a b/ HTTP/1.1\r\n\r\n", 400, "bad_request", "HTTP/1.1"),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}", 400, "bad_request", "TLS"),
        (&long, 431, "head_too_large", "8192 bytes"),
        (&endless, 431, "head_too_large", "8192 bytes"),
        (&many, 431, "too_many_headers", "20 header fields"),
        (&target, 414, "uri_too_long", "bytes"),
    ];
    for (index, (text, status, code, detail)) in cases.into_iter().enumerate() {
        let mut client = gateway.connect();
        client.send(text);
        let response = client.response();
        assert_eq!(response.status, status, "{text:.60}");
        assert_eq!(
            response.header("content-type").as_deref(),
            Some("application/problem+json"),
            "{text:.60}"
        );
        let problem = response.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
        assert_eq!(response.headers.list("connection"), ["close"], "{text:.60}");
        assert_eq!(client.until_end(), b"", "{text:.60}");
        let record = gateway.wait_for_access(|record| record["request.id"] == problem["request_id"]);
        assert_eq!((&record["status"], &record["complete"]), (&status.into(), &true.into()), "{record}");
        assert!(record["reason"].as_str().unwrap().starts_with(code), "{record}");
        assert_eq!((&record["method"], &record["path"]), (&"-".into(), &"".into()), "{record}");
        assert_eq!(gateway.process.stdout_lines().len(), index + 1, "one record each");
    }
    assert_eq!(gateway.backend.count(), 0);
}

/// A short body that nobody wants is skipped; the connection goes on behind it.
#[test]
fn a_refused_upload_does_not_cost_the_connection() {
    let gateway = Gateway::start(ROUTES);
    for framing in
        ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
    {
        let mut client = gateway.connect();
        for _ in 0..3 {
            client.send(format!("POST /orders/1 HTTP/1.1\r\nHost: h\r\n{framing}"));
            let refused = client.response_to("POST");
            assert_eq!((refused.status, refused.header("connection")), (401, None), "{framing}");
        }
        assert_eq!(client.exchange(&Request::get("/public/x")).text(), "/public/x");
    }
    // The rest of the body comes after the refusal, and is still no request.
    let mut client = gateway.connect();
    client.send("POST /orders/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 40\r\n\r\nGET /public/");
    assert_eq!(client.response_to("POST").status, 401);
    client.send("smuggled HTTP/1.1\r\nHost: h\r\n\r\n");
    client.send(Request::get("/public/after").encode("h"));
    assert_eq!(client.response().text(), "/public/after");
    assert!(gateway.backend.requests().iter().all(|request| !request.target.contains("smuggled")));
}

/// RFC 9110 §10.1.1: a client that has its final answer may send the body or not, so nobody can tell what comes next.
#[test]
fn an_expectation_that_was_refused_ends_the_connection() {
    let gateway = Gateway::start(ROUTES);
    let mut client = gateway.connect();
    client.send("POST /orders/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    let refused = client.response_to("POST");
    assert_eq!((refused.status, refused.headers.list("connection")), (401, vec!["close".to_owned()]));
    client.finish();
    assert_eq!(client.until_end(), b"");
}

#[test]
fn http_1_0_keeps_its_connection_if_it_asks() {
    let gateway = Gateway::start(ROUTES);
    let mut client = gateway.connect();
    for path in ["/public/1", "/public/2"] {
        client.send(format!("GET {path} HTTP/1.0\r\nHost: h\r\nConnection: Keep-Alive\r\n\r\n"));
        let response = client.response();
        assert_eq!(
            (response.text().as_str(), response.headers.list("connection")),
            (path, vec!["keep-alive".to_owned()])
        );
    }
    client.send("GET /public/3 HTTP/1.0\r\nHost: h\r\n\r\n");
    assert_eq!(client.response().headers.list("connection"), ["close"]);
    assert_eq!(client.until_end(), b"");
}

/// RFC 9110 §6.6.1.
#[test]
fn a_response_has_one_date() {
    let gateway = Gateway::start(ROUTES);
    gateway.backend.reply_raw(
        "/public/dated",
        "HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
    );
    let dated = gateway.send(&Request::get("/public/dated"));
    assert_eq!(dated.headers.values("date"), ["Mon, 01 Jan 2024 00:00:00 GMT"]);
    for path in ["/public/x", "/orders/1", "/none"] {
        let date = gateway.send(&Request::get(path)).header("date").unwrap();
        assert!(date.len() == 29 && date.ends_with(" GMT") && date.contains(" 20"), "{date}");
    }
}

/// RFC 9110 §9.3.2.
#[test]
fn head_tells_the_length_of_what_get_would_send() {
    let gateway = Gateway::start(ROUTES);
    let mut client = gateway.connect();
    for path in ["/healthz", "/.well-known/jwks.json", "/none"] {
        let get = client.exchange(&Request::get(path));
        let head = client.exchange(&Request::new("HEAD", path));
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
        assert_eq!(head.header("content-length"), get.header("content-length"), "{path}");
    }
}

/// RFC 9110 §6.5.1: only to a client that says that it takes them.
#[test]
fn trailers_are_dropped_where_nobody_asked_for_them() {
    let gateway = Gateway::start(ROUTES);
    gateway.backend.reply_raw(
        "/public/x",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n",
    );
    let response = gateway.send(&Request::get("/public/x"));
    assert_eq!((response.text().as_str(), response.trailers.one("x-sum")), ("ok", None));
}

/// What comes ahead of its turn is kept, however much it is; the client is stopped, not refused.
#[test]
fn a_pipeline_longer_than_any_buffer_is_answered_in_order() {
    let gateway = Gateway::start(ROUTES);
    let (first, filler) = (Gate::new(), "x".repeat(1000));
    let opened = first.clone();
    gateway.backend.on("/public/first", move |exchange| {
        opened.wait();
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst");
    });
    let mut client = gateway.connect();
    client.send(Request::get("/public/first").encode("h"));
    gateway.backend.wait_for_requests(1);
    let requests: Vec<u8> = (0..300)
        .flat_map(|index| Request::get(&format!("/public/{index}")).header("x-filler", &filler).encode("h"))
        .collect();
    client.send(requests);
    first.open();
    assert_eq!(client.response().text(), "first");
    for index in 0..300 {
        assert_eq!(client.response().text(), format!("/public/{index}"));
    }
}

/// As `printf ... | nc` does.
#[test]
fn a_request_right_before_the_end_of_the_client_s_direction_is_answered() {
    let gateway = Gateway::start(ROUTES);
    let mut client = gateway.connect();
    client.send(Request::get("/healthz").encode("h"));
    client.finish();
    assert_eq!(client.response().status, 200);
}

/// While the rest of an upload is still on its way, the end of the connection is seen by whoever reads that rest; afterwards it must not
/// be seen by nobody.
#[test]
fn a_client_that_goes_away_after_an_early_answer_is_noticed() {
    let gateway = Gateway::start(ROUTES);
    let over = Gate::new();
    for (path, rest) in [("/public/whole", "fghij"), ("/public/half", "")] {
        let end = over.clone();
        gateway.backend.on(path, move |exchange| {
            exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
            exchange.read_body();
            // A stream with nothing to say.
            end.wait();
        });
        let mut client = gateway.connect();
        client.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabcde"));
        assert_eq!((client.head("POST").status, client.body(2)), (200, b"ok".to_vec()));
        client.send(rest);
        if !rest.is_empty() {
            gateway.backend.wait_for("all of it", |request| request.target == path && request.is_complete());
        }
        drop(client);
        let record = gateway.access_of(path);
        assert_eq!((&record["status"], &record["complete"]), (&200.into(), &false.into()), "{record}");
    }
    over.open();
}

/// As long as the client may be sending, to close would take away the answer that it has not read yet.
#[test]
fn a_client_may_go_on_sending_behind_a_request_of_unclear_length() {
    let gateway = Gateway::start(ROUTES);
    let mut client = gateway.connect();
    client.send("POST /public/x HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\n");
    assert_eq!((client.response().status, client.until_end()), (400, Vec::new()));
    for _ in 0..64 {
        client.send([b'x'; 64 * 1024]);
    }
}

/// The end of the gateway must not take away the answer from a client that is still sending what nobody wants.
#[test]
fn a_drain_does_not_break_off_an_upload_that_was_answered() {
    let gateway = Gateway::start(ROUTES);
    let mut client = gateway.connect();
    client.send("POST /orders/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n");
    let refused = client.response_to("POST");
    assert_eq!((refused.status, refused.header("connection")), (401, None));
    gateway.begin_shutdown();
    assert_eq!(client.until_end(), b"");
    for _ in 0..60 {
        client.send([b'x'; 1000]);
    }
}

/// What a client that was answered still sends is waited for, but not as long as for a request.
#[test]
fn a_client_that_does_not_close_keeps_its_place_for_the_header_timeout_only() {
    let gateway = Setup::new(ROUTES)
        .set("server.max_connections", "1")
        .set("server.header_timeout", "'100ms'")
        .set("server.keepalive_timeout", "'10m'")
        .start();
    let mut client = gateway.connect();
    client.send("hello\r\n\r\n");
    assert_eq!((client.response().status, client.until_end()), (400, Vec::new()));
    assert_eq!(gateway.send(&Request::get("/public/x")).status, 200);
}

/// A client that has not waited for the answer to CONNECT is sending to somebody else.
#[test]
fn nothing_behind_a_refused_connect_is_a_request() {
    let gateway = Gateway::start(ROUTES);
    let mut client = gateway.connect();
    client.send("CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\nGET /public/x HTTP/1.1\r\nHost: h\r\n\r\n");
    let refused = client.response();
    assert_eq!((refused.status, refused.headers.list("connection")), (501, vec!["close".to_owned()]));
    client.finish();
    assert_eq!((client.until_end(), gateway.backend.count()), (Vec::new(), 0));
}

/// RFC 9110 §8.6: a client could take the first bytes behind it for content.
#[test]
fn a_switch_of_protocols_has_no_length() {
    let gateway = Gateway::start(ROUTES);
    gateway.backend.reply_raw_and_close(
        "/public/ws",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Content-Length: 5\r\nSec-WebSocket-Accept: x\r\n\r\nhello",
    );
    let mut client = gateway.connect();
    let handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n";
    client.send(format!("GET /public/ws HTTP/1.1\r\nHost: h\r\n{handshake}\r\n"));
    let response = client.head("GET");
    assert_eq!((response.status, response.header("content-length")), (101, None));
    assert_eq!(client.until_end(), b"hello");
}

/// It has begun, whether its first bytes came alone or along with the request before it.
#[test]
fn a_part_of_a_head_behind_a_request_has_the_header_timeout() {
    let gateway = Setup::new(ROUTES)
        .set("server.header_timeout", "'100ms'")
        .set("server.keepalive_timeout", "'10m'")
        .start();
    let mut client = gateway.connect();
    client.send("GET /healthz HTTP/1.1\r\nHost: h\r\n\r\nGET /healthz HT");
    assert_eq!((client.response().status, client.until_end()), (200, Vec::new()));
}
