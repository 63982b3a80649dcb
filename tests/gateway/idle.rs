//! Connections that wait for their next request, with nothing or with a part of it.

use crate::harness::{Client, Gateway, ROUTES, Request, Setup};

#[track_caller]
fn pass(client: &mut Client, path: &str) {
    let response = client.exchange(&Request::get(path));
    assert_eq!((response.status, response.text().as_str()), (200, path));
    assert!(!client.is_closing(), "{response:?}");
}

/// Not lost, and not taken for a request before it is one.
#[test]
fn half_a_head_behind_a_request_is_kept() {
    let gateway = Gateway::start(ROUTES);
    let mut client = gateway.connect();
    let next = Request::get("/public/next").encode("h");
    for half in [1, 9, next.len() - 1] {
        let (half, rest) = next.split_at(half);
        client.send([Request::get("/public/first").encode("h").as_slice(), half].concat());
        assert_eq!(client.response().text(), "/public/first");
        client.send(rest);
        assert_eq!(client.response().text(), "/public/next");
    }
}

#[test]
fn a_slow_head_behind_a_request_has_its_timeout() {
    let gateway = Setup::new(ROUTES).set("server.header_timeout", "'500ms'").start();
    let mut client = gateway.connect();
    pass(&mut client, "/public/x");
    client.send("GET /public/slow HTTP/1.1\r\nHost:");
    assert_eq!(client.until_end(), b"");
}

#[test]
fn a_connection_that_is_idle_for_too_long_is_closed() {
    let gateway = Setup::new(ROUTES).set("server.keepalive_timeout", "'500ms'").start();
    let mut client = gateway.connect();
    pass(&mut client, "/public/x");
    assert_eq!(client.until_end(), b"");
}

#[test]
fn idle_connections_end_at_sigterm() {
    let mut gateway = Gateway::start(ROUTES);
    let mut clients = [gateway.connect(), gateway.connect()];
    for client in &mut clients {
        pass(client, "/public/x");
    }
    gateway.begin_shutdown();
    for client in &mut clients {
        assert_eq!(client.until_end(), b"");
    }
    assert_eq!(gateway.process.wait().code(), Some(0));
}

/// An idle connection counts, and no longer than it is open.
#[test]
fn an_idle_connection_keeps_its_place_until_its_client_goes() {
    let gateway = Setup::new(ROUTES).set("server.max_connections", "1").start();
    let mut idle = gateway.connect();
    pass(&mut idle, "/public/x");
    let mut waiting = gateway.connect();
    waiting.send(Request::get("/public/waiting").encode("h"));
    pass(&mut idle, "/public/first");
    assert_eq!(gateway.backend.last().target, "/public/first");
    drop(idle);
    assert_eq!(waiting.response().text(), "/public/waiting");
}

/// Connections share their worker's buffer, and nothing of what is in it.
#[test]
fn many_connections_take_turns() {
    let gateway = Setup::new(ROUTES).set("server.workers", "1").start();
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
    for (part, end) in [
        ("GET /public/", " HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("GET /public/x HTTP/1.1\r\nHost: h\r\nX:", "y\r\n\r\n"),
    ] {
        for client in &mut clients {
            client.send(part);
        }
        for client in &mut clients {
            client.send(end);
            assert_eq!(client.response().status, 200);
        }
    }
}
