//! Servers behind the gateway: several of them, dead ones, and the connections to them.

use std::collections::HashSet;

use crate::harness::{
    Backend, Gate, Gateway, ROUTES, RefusingAddress, Request, Response, Setup, SilentAddress,
};

/// Refused by us with an id that is also in the access log.
#[track_caller]
fn assert_gateway_error(gateway: &Gateway, path: &str, response: &Response, status: u16) {
    assert_eq!(response.status, status, "{}", response.text());
    assert_eq!(response.header("content-type").as_deref(), Some("application/problem+json"));
    let id = response.header("x-request-id").expect("a request id");
    assert_eq!(response.json()["request_id"], id, "{}", response.text());
    let record = gateway.wait_for_access(|record| record["request.id"] == *id);
    assert_eq!((&record["status"], &record["path"]), (&status.into(), &path.into()), "{record}");
    assert!(record["reason"].is_string(), "{record}");
}

#[test]
fn a_backend_that_closes_without_an_answer_is_a_bad_gateway() {
    let gateway = Gateway::start(ROUTES);
    for (path, reply) in [
        ("/public/nothing", ""),
        ("/public/head", "HTTP/1.1 200 OK\r\nContent-Le"),
        ("/public/junk", "junk\r\n\r\n"),
    ] {
        gateway.backend.reply_raw_and_close(path, reply);
        let response = gateway.send(&Request::post(path, "x"));
        assert_gateway_error(&gateway, path, &response, 502);
    }
}

/// A request that may have been acted on is not sent again.
#[test]
fn a_post_is_sent_once() {
    let gateway = Gateway::start(ROUTES);
    gateway.backend.reply_raw_and_close("/public/x", "");
    for _ in 0..3 {
        assert_eq!(gateway.send(&Request::post("/public/x", "pay")).status, 502);
    }
    assert_eq!(gateway.backend.count(), 3);
}

#[test]
fn a_backend_that_refuses_connections_is_a_bad_gateway() {
    let dead = RefusingAddress::new();
    let gateway = Setup::new(ROUTES).servers([dead.addr()]).start();
    let response = gateway.send(&Request::get("/public/x"));
    assert_gateway_error(&gateway, "/public/x", &response, 502);
    gateway.wait_for_log(|line| line.to_string().contains(&dead.addr().to_string()));
}

#[test]
fn a_backend_that_does_not_take_connections_is_a_bad_gateway() {
    let silent = SilentAddress::new();
    let gateway = Setup::new(ROUTES)
        .servers([silent.addr()])
        .set("upstream.backend.connect_timeout", "'100ms'")
        .start();
    let response = gateway.send(&Request::get("/public/x"));
    assert_gateway_error(&gateway, "/public/x", &response, 502);
}

#[test]
fn a_backend_that_does_not_answer_is_a_timeout() {
    let gateway = Setup::new(ROUTES).set("upstream.backend.response_timeout", "'100ms'").start();
    let done = Gate::new();
    let held = done.clone();
    gateway.backend.on("/public/slow", move |exchange| {
        held.wait();
        exchange.close();
    });
    let response = gateway.send(&Request::get("/public/slow"));
    assert_gateway_error(&gateway, "/public/slow", &response, 504);
    done.open();
}

#[test]
fn servers_take_turns() {
    let backends = [Backend::start(), Backend::start(), Backend::start()];
    let addrs = backends.each_ref().map(Backend::addr);
    let gateway = Setup::new(ROUTES).set("server.workers", "1").servers(addrs).start();
    for _ in 0..12 {
        assert_eq!(gateway.send(&Request::get("/public/x")).status, 200);
    }
    assert_eq!(backends.each_ref().map(Backend::count), [4, 4, 4]);
}

#[test]
fn a_connection_that_fails_goes_to_the_next_server() {
    let (dead, silent, backend) = (RefusingAddress::new(), SilentAddress::new(), Backend::start());
    let gateway = Setup::new(ROUTES)
        .servers([dead.addr(), silent.addr(), backend.addr()])
        .set("upstream.backend.connect_timeout", "'100ms'")
        .start();
    for _ in 0..4 {
        let response = gateway.send(&Request::post("/public/x", "body"));
        assert_eq!((response.status, response.text().as_str()), (200, "body"));
    }
    assert_eq!(backend.count(), 4);
    let record = gateway.access_of("/public/x");
    assert_eq!(record["upstream.addr"], backend.addr().to_string());
}

#[test]
fn no_server_left_is_said() {
    let (one, two) = (RefusingAddress::new(), RefusingAddress::new());
    let gateway = Setup::new(ROUTES).servers([one.addr(), two.addr()]).start();
    let response = gateway.send(&Request::get("/public/x"));
    assert_gateway_error(&gateway, "/public/x", &response, 503);
}

#[test]
fn connections_to_the_backend_are_kept_and_used_again() {
    let gateway = Setup::new(ROUTES).set("server.workers", "1").start();
    for index in 0..20 {
        assert_eq!(gateway.send(&Request::post("/public/x", format!("{index}"))).status, 200);
    }
    assert_eq!(gateway.backend.connections(), 1);
}

#[test]
fn a_connection_that_the_backend_closed_is_not_used_again() {
    let gateway = Setup::new(ROUTES).set("server.workers", "1").start();
    for index in 0..10 {
        let path = format!("/public/{index}");
        gateway.backend.reply_raw_and_close(&path, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        let response = gateway.send(&Request::get(&path));
        assert_eq!((response.status, response.text().as_str()), (200, "ok"), "request {index}");
        gateway.backend.wait_until_all_closed();
    }
    let said = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    gateway.backend.reply_raw("/public/said", said);
    let connections = gateway.backend.connections();
    for _ in 0..2 {
        assert_eq!(gateway.send(&Request::get("/public/said")).status, 200);
    }
    assert_eq!(gateway.backend.connections(), connections + 2, "RFC 9112 §9.6: close is obeyed");
}

#[test]
fn an_idle_connection_to_the_backend_is_closed_in_time() {
    let gateway = Setup::new(ROUTES).set("upstream.backend.idle_timeout", "'100ms'").start();
    assert_eq!(gateway.send(&Request::get("/public/x")).status, 200);
    gateway.backend.wait_until_all_closed();
}

/// CVE-like: what one request left unread at the backend is not read by the next.
#[test]
fn an_answer_before_the_body_was_read_ends_the_backend_s_connection() {
    let gateway = Setup::new(ROUTES).set("server.workers", "1").start();
    gateway.backend.on("/public/early", |exchange| {
        exchange.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
        exchange.read_body();
    });
    let mut client = gateway.connect();
    client.send("POST /public/early HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nabc");
    assert_eq!(client.response().status, 403);
    drop(client);
    for _ in 0..5 {
        assert_eq!(gateway.send(&Request::get("/public/next")).text(), "/public/next");
    }
}

#[test]
fn slow_requests_do_not_hold_up_others() {
    let gateway = Setup::new(ROUTES).set("server.workers", "1").start();
    let gate = Gate::new();
    let held = gate.clone();
    gateway.backend.on("/public/slow", move |exchange| {
        held.wait();
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow");
    });
    let mut slow: Vec<_> = (0..10).map(|_| gateway.connect()).collect();
    for client in &mut slow {
        client.send(Request::get("/public/slow").encode("h"));
    }
    gateway.backend.wait_for_requests(10);
    for _ in 0..10 {
        assert_eq!(gateway.send(&Request::get("/public/fast")).status, 200);
    }
    gate.open();
    let connections: HashSet<_> =
        gateway.backend.requests().iter().map(|request| request.connection).collect();
    assert!(connections.len() > 10, "each slow request has a connection of its own");
    for client in &mut slow {
        assert_eq!(client.response().text(), "slow");
    }
}
