//! What operators live with: probes, start and end, reload, limits.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use crate::harness::{Backend, Gate, Gateway, Http2, ROUTES, Request, Setup};

// Probes, start and end

#[test]
fn probes_are_answered_without_a_login_and_not_logged() {
    let gateway = Gateway::start(ROUTES);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(gateway.send(&Request::get(path)).status, 200, "{path}");
    }
    assert_eq!(gateway.send(&Request::get("/public/last")).status, 200);
    gateway.access_of("/public/last");
    let logged = gateway.process.stdout_lines();
    assert!(logged.iter().all(|record| record["path"] == "/public/last"), "{logged:?}");
}

/// What is in flight at SIGTERM is finished; nothing new is taken; the status says that all went well.
#[test]
fn sigterm_finishes_what_is_in_flight() {
    let mut gateway = Gateway::start(ROUTES);
    let gate = Gate::new();
    let held = gate.clone();
    gateway.backend.on("/public/slow", move |exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none");
        held.wait();
        exchange.send("two");
    });
    let mut idle = gateway.connect();
    assert_eq!(idle.exchange(&Request::get("/public/x")).status, 200);
    let mut busy = gateway.connect();
    busy.send(Request::get("/public/slow").encode("h"));
    assert_eq!(busy.head("GET").status, 200);
    assert_eq!(busy.body(3), b"one");

    gateway.begin_shutdown();
    assert_eq!(idle.until_end(), b"", "an idle connection is closed");
    let refused = (0..1_000_000).any(|_| TcpStream::connect(gateway.addr()).is_err());
    assert!(refused, "new connections are still taken");
    gate.open();
    assert_eq!(busy.rest().unwrap(), b"two");
    assert_eq!(busy.until_end(), b"");
    assert_eq!(gateway.process.wait().code(), Some(0));
}

#[test]
fn what_does_not_finish_within_the_grace_is_broken_off() {
    let mut gateway = Setup::new(ROUTES).set("server.shutdown_grace", "'200ms'").start();
    let done = Gate::new();
    let held = done.clone();
    gateway.backend.on("/public/slow", move |exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none");
        held.wait();
        exchange.close();
    });
    let mut client = gateway.connect();
    client.send(Request::get("/public/slow").encode("h"));
    assert_eq!(client.head("GET").status, 200);
    assert_eq!(gateway.terminate(), Some(0));
    client.rest().expect_err("half a body is not a whole one");
    done.open();
}

/// A caller that stopped in the middle of its request kept the process alive for as long as it stayed.
#[test]
fn a_stalled_admin_request_does_not_outlive_the_grace() {
    let mut gateway = Setup::new(ROUTES).set("server.shutdown_grace", "'200ms'").start();
    let mut stalled = UnixStream::connect(gateway.site.admin_socket()).unwrap();
    let head =
        "POST /admin/v1/users HTTP/1.1\r\nHost: admin\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n";
    stalled.write_all(head.as_bytes()).unwrap();
    // The gateway waits for the body once it asks for it.
    let mut interim = [0; 12];
    stalled.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100");
    assert_eq!(gateway.terminate(), Some(0));
    assert!(!gateway.site.admin_socket().exists());
}

#[test]
fn http_2_connections_end_in_order_at_sigterm() {
    let mut gateway = Gateway::start(ROUTES);
    let mut client = Http2::connect(gateway.addr());
    assert_eq!(client.get("/public/x", "none").status(), 200);
    assert_eq!(gateway.terminate(), Some(0));
}

#[test]
fn a_second_gateway_does_not_open_the_same_store() {
    let gateway = Gateway::start(ROUTES);
    let second = gateway.site.cli(["serve"]);
    assert_ne!(second.status, 0);
    assert!(second.stderr.contains("data"), "names the directory: {second:?}");
    assert_eq!(gateway.send(&Request::get("/public/x")).status, 200);
}

#[test]
fn an_address_that_is_taken_is_said() {
    let gateway = Gateway::start(ROUTES);
    let addr = gateway.addr().to_string();
    let second = Setup::new(ROUTES).set("server.listen", &format!("['{addr}']")).site().cli(["serve"]);
    assert_ne!(second.status, 0);
    assert!(second.stderr.contains(&addr), "{second:?}");
}

// Reload

const NEW_ROUTE: &str = "[[route]]\npath = '/new/*'\naccess = 'public'\nupstream = 'backend'\n";

#[test]
fn sighup_takes_new_routes_and_leaves_connections_open() {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("alice", "reader");
    let gate = Gate::new();
    let held = gate.clone();
    gateway.backend.on("/public/slow", move |exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none");
        held.wait();
        exchange.send("two");
    });
    let mut busy = gateway.connect();
    busy.send(Request::get("/public/slow").encode("h"));
    assert_eq!(busy.head("GET").status, 200);
    let mut idle: Vec<_> = (0..8).map(|_| gateway.connect()).collect();
    for client in &mut idle {
        assert_eq!(client.exchange(&Request::get("/new/x")).status, 401);
    }

    gateway.reload(|text| text.replace("path = '/public/*'", "path = '/open/*'") + NEW_ROUTE);
    for client in &mut idle {
        assert_eq!(client.exchange(&Request::get("/new/x")).status, 200);
        assert_eq!(client.exchange(&Request::get("/orders/7").bearer(&token)).status, 200, "the keys stay");
    }
    gate.open();
    assert_eq!(busy.rest().unwrap(), b"onetwo");
}

#[test]
fn sighup_takes_new_servers_and_limits() {
    let gateway = Gateway::start(ROUTES);
    let other = Backend::start();
    assert_eq!(gateway.send(&Request::post("/public/x", "x".repeat(2000))).status, 200);
    let (old, new) = (gateway.backend.addr().to_string(), other.addr().to_string());
    gateway.reload(|text| text.replace(&old, &new).replace("[server]\n", "[server]\nmax_body = '1KiB'\n"));
    assert_eq!(gateway.send(&Request::get("/public/x")).status, 200);
    assert_eq!((gateway.backend.count(), other.count()), (1, 1));
    assert_eq!(gateway.send(&Request::post("/public/x", "x".repeat(2000))).status, 413);
}

/// Workers keep what did not change over a reload: tokens that they have verified, and connections. What is verified by other
/// rules than before must not be among it.
#[test]
fn a_reload_keeps_upstream_connections_and_forgets_tokens_of_another_audience() {
    let gateway = Setup::new(ROUTES).set("server.workers", "1").start();
    let token = gateway.token_for("alice", "reader");
    let status = || gateway.get("/orders/7", &token).status;
    assert_eq!(status(), 200);
    gateway.reload(|text| format!("{text}{NEW_ROUTE}"));
    assert_eq!((status(), gateway.backend.connections()), (200, 1));
    gateway.reload(|text| text.replace("[token]\n", "[token]\naudience = 'somebody-else'\n"));
    assert_eq!((status(), gateway.backend.connections()), (401, 1));
    gateway.reload(|text| text.replace("audience = 'somebody-else'\n", ""));
    assert_eq!((status(), gateway.backend.connections()), (200, 1));
}

#[test]
fn a_broken_file_keeps_the_old_one_and_every_error_is_logged() {
    let gateway = Gateway::start(ROUTES);
    let broken = "[[route]]\npath = '/bad-one'\nacess = 'public'\nupstream = 'backend'\n\
                  [[route]]\npath = '/bad-two'\naccess = 'public'\nupstream = 'bakend'\n";
    gateway.reload(|text| format!("{text}{broken}"));
    for part in ["acess", "bakend"] {
        gateway.wait_for_log(|line| line.to_string().contains(part));
    }
    assert_eq!(gateway.send(&Request::get("/public/x")).status, 200);
    assert_eq!(gateway.send(&Request::get("/readyz")).status, 200);

    gateway.reload(|text| text.replace(broken, NEW_ROUTE));
    assert_eq!(gateway.send(&Request::get("/new/x")).status, 200, "and the next good one is taken");
}

// Limits

/// The status of the answer to these bytes, or 0 if the gateway just closes.
fn status_of(gateway: &Gateway, bytes: &[u8]) -> u16 {
    let mut client = gateway.connect();
    let _ = client.try_send(bytes);
    client.try_response("GET").map_or(0, |response| response.status)
}

#[test]
fn heads_that_are_too_large_are_refused() {
    let gateway = Setup::new(ROUTES)
        .set("server.max_uri_size", "'1KiB'")
        .set("server.max_header_size", "'8KiB'")
        .set("server.max_headers", "20")
        .start();
    let get = |target: &str, headers: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: h\r\n{headers}\r\n").into_bytes()
    };
    let many = |count: usize| (0..count).map(|n| format!("X-{n}: v\r\n")).collect::<String>();
    let long = |length: usize| format!("/public/{}", "x".repeat(length - "/public/".len()));
    for (status, bytes) in [
        (200, get(&long(1024), "")),
        (414, get(&long(1025), "")),
        (414, get(&format!("/public/x?{}", "y".repeat(1024)), "")),
        (200, get("/public/x", &format!("X: {}\r\n", "y".repeat(7000)))),
        (431, get("/public/x", &format!("X: {}\r\n", "y".repeat(9000)))),
        (431, get("/public/x", &format!("X: {}\r\n", "y".repeat(200_000)))),
        (200, get("/public/x", &many(15))),
        (431, get("/public/x", &many(25))),
        (431, get("/public/x", &many(1000))),
    ] {
        let head = bytes[..60.min(bytes.len())].escape_ascii().to_string();
        assert_eq!(status_of(&gateway, &bytes), status, "{} bytes: {head}", bytes.len());
    }
    assert_eq!(gateway.backend.count(), 3);
}

#[test]
fn slow_heads_and_bodies_are_broken_off() {
    let gateway = Setup::new(ROUTES)
        .set("server.header_timeout", "'100ms'")
        .set("server.body_timeout", "'100ms'")
        .set("server.keepalive_timeout", "'100ms'")
        .set("server.write_timeout", "'100ms'")
        .start();
    for (what, bytes) in [
        ("nothing at all", &b""[..]),
        ("half a line", b"GET /pub"),
        ("half a head", b"GET /public/x HTTP/1.1\r\nHost: h\r\n"),
        ("half a body", b"POST /public/x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc"),
        ("half a chunk", b"POST /public/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\na\r\nabc"),
        ("half a preface", b"PRI * HTTP/2.0\r\n"),
        ("a preface only", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ] {
        let mut client = gateway.connect();
        client.send(bytes);
        let end = client.until_end();
        let text = String::from_utf8_lossy(&end);
        assert!(!text.contains("200 OK"), "{what}: {text}");
    }
    let mut client = gateway.connect();
    assert_eq!(client.exchange(&Request::get("/public/x")).status, 200);
    assert_eq!(client.until_end(), b"", "an idle connection is closed");
}

#[test]
fn there_are_no_more_connections_than_allowed() {
    let gateway = Setup::new(ROUTES).set("server.max_connections", "2").start();
    let mut two = [gateway.connect(), gateway.connect()];
    for client in &mut two {
        assert_eq!(client.exchange(&Request::get("/public/in")).status, 200);
    }
    let mut third = gateway.connect();
    let _ = third.try_send(Request::get("/public/third").encode("h"));
    for client in &mut two {
        assert_eq!(client.exchange(&Request::get("/public/in")).status, 200);
    }
    assert!(gateway.backend.requests().iter().all(|request| request.target == "/public/in"));
    drop(two);
    // The third waits until there is room, or was turned away; then there is room for a new one.
    let waited = third.try_response("GET").map_or(0, |response| response.status);
    assert!(matches!(waited, 0 | 200 | 503), "{waited}");
    drop(third);
    let mut later = (0..10_000).map(|_| {
        let mut client = gateway.connect();
        let _ = client.try_send(Request::get("/public/later").encode("h"));
        client.try_response("GET").map_or(0, |response| response.status)
    });
    assert!(later.any(|status| status == 200), "there is room again");
}

// Logs

// The configuration file and the commands about it
