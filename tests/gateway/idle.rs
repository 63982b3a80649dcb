//! Idle connections leave hyper and its buffers behind. Nobody may notice.

use crate::harness::{Client, Gateway, ROUTES, Request, Setup};

fn setup() -> Setup {
    Setup::new(ROUTES).set("log.level", "'trace'")
}

/// Sends a request for this path, and waits until its connection rests.
#[track_caller]
fn rest(gateway: &Gateway, client: &mut Client, path: &str) {
    let mark = gateway.process.stderr_lines().len();
    let response = client.exchange(&Request::get(path));
    assert_eq!((response.status, response.text().as_str()), (200, path));
    assert!(!client.is_closing(), "{response:?}");
    wait_for(gateway, mark, "an idle connection rests");
}

#[track_caller]
fn wait_for(gateway: &Gateway, mark: usize, message: &str) {
    gateway.process.wait_for_stderr_after(mark, message, |line| line["message"] == message);
}

#[test]
fn a_connection_that_rests_serves_again_and_rests_again() {
    let gateway = setup().start();
    let mut client = gateway.connect();
    for path in ["/public/1", "/public/2", "/public/3"] {
        rest(&gateway, &mut client, path);
    }
    let (one, two) = (Request::get("/public/4"), Request::get("/public/5"));
    client.send([one.encode("h"), two.encode("h")].concat());
    assert_eq!(
        (client.response().text(), client.response().text()),
        ("/public/4".into(), "/public/5".into())
    );
}

#[test]
fn bodies_and_interim_responses_pass_after_a_rest() {
    let gateway = setup().start();
    gateway.backend.reply_raw(
        "/public/hint",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let mut client = gateway.connect();
    rest(&gateway, &mut client, "/public/x");
    let body = "0123456789".repeat(10_000);
    let response = client.exchange(&Request::post("/public/upload", &body));
    assert_eq!(response.status, 200);
    assert_eq!(gateway.backend.last().body, body.as_bytes());
    let response = client.exchange(&Request::get("/public/hint"));
    assert_eq!((response.text().as_str(), response.interim.len()), ("ok", 1));
}

/// What hyper has read of the next request is not lost when the connection would rest.
#[test]
fn half_a_head_behind_a_request_is_kept() {
    let gateway = setup().start();
    let mut client = gateway.connect();
    let mark = gateway.process.stderr_lines().len();
    let next = Request::get("/public/next").encode("h");
    let (half, rest) = next.split_at(9);
    client.send([Request::get("/public/first").encode("h").as_slice(), half].concat());
    assert_eq!(client.response().text(), "/public/first");
    wait_for(&gateway, mark, "a connection does not rest: a part of its next request is here");
    client.send(rest);
    assert_eq!(client.response().text(), "/public/next");
}

#[test]
fn a_slow_head_after_a_rest_has_its_timeout() {
    let gateway = setup().set("server.header_timeout", "'500ms'").start();
    let mut client = gateway.connect();
    rest(&gateway, &mut client, "/public/x");
    client.send("GET /public/slow HTTP/1.1\r\nHost:");
    assert_eq!(client.until_end(), b"");
}

#[test]
fn a_resting_connection_is_closed_when_it_has_been_idle_for_too_long() {
    let gateway = setup().set("server.keepalive_timeout", "'2s'").start();
    let mut client = gateway.connect();
    rest(&gateway, &mut client, "/public/x");
    assert_eq!(client.until_end(), b"");
}

#[test]
fn resting_connections_end_at_sigterm() {
    let mut gateway = setup().start();
    let mut clients = [gateway.connect(), gateway.connect()];
    for client in &mut clients {
        rest(&gateway, client, "/public/x");
    }
    gateway.begin_shutdown();
    for client in &mut clients {
        assert_eq!(client.until_end(), b"");
    }
    assert_eq!(gateway.process.wait().code(), Some(0));
}

/// A resting connection counts, and no longer than it is open.
#[test]
fn a_resting_connection_keeps_its_place_until_its_client_goes() {
    let gateway = setup().set("server.max_connections", "1").start();
    let mut resting = gateway.connect();
    rest(&gateway, &mut resting, "/public/x");
    let mut waiting = gateway.connect();
    waiting.send(Request::get("/public/waiting").encode("h"));
    assert_eq!(resting.exchange(&Request::get("/public/first")).text(), "/public/first");
    assert_eq!(gateway.backend.last().target, "/public/first");
    rest(&gateway, &mut resting, "/public/y");
    drop(resting);
    assert_eq!(waiting.response().text(), "/public/waiting");
}

#[test]
fn a_connection_becomes_a_websocket_after_a_rest() {
    let gateway = setup().start();
    gateway.backend.on("/public/ws", |exchange| {
        exchange.send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        );
        while let Ok(word) = exchange.raw(4) {
            exchange.send(word);
        }
        exchange.close();
    });
    let mut client = gateway.connect();
    rest(&gateway, &mut client, "/public/x");
    client.send(
        "GET /public/ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nping",
    );
    assert_eq!(client.head("GET").status, 101);
    assert_eq!(client.raw(4), b"ping");
    // Idle for as long as it takes another one to rest: a tunnel is not.
    let mut other = gateway.connect();
    rest(&gateway, &mut other, "/public/x");
    client.send("pong");
    assert_eq!(client.raw(4), b"pong");
}

/// Where connections are many, they leave hyper after each request.
#[test]
fn many_connections_take_turns() {
    let gateway = setup().set("server.workers", "1").start();
    let mut clients: Vec<Client> = (0..300).map(|_| gateway.connect()).collect();
    for round in 0..3 {
        for (number, client) in clients.iter_mut().enumerate() {
            let text = format!("{round} {number}");
            let path = format!("/public/{round}/{number}");
            assert_eq!(client.exchange(&Request::post(&path, &text)).status, 200);
            assert_eq!(gateway.backend.last().body, text.as_bytes());
            assert!(!client.is_closing());
        }
    }
    gateway.backend.on("/public/late", |exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nla");
        exchange.send("te");
    });
    for client in &mut clients {
        assert_eq!(client.exchange(&Request::get("/public/late")).text(), "late");
    }
}
