//! The life of one exchange at its edges: what must not be mixed up, lost, taken for complete, or waited for without end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::{Gate, Gateway, PATIENCE, ROUTES, Request, Setup};

fn raw(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn until_end(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map(|_| String::from_utf8_lossy(&bytes).into_owned())
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Preface, settings and the header block of a request on stream 1, without its end.
fn http2_request(settings: &[u8], method: &str, path: &str, flags: u8) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [(":method", method), (":scheme", "http"), (":path", path), (":authority", "h")] {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, settings), frame(1, 4 | flags, 1, &block)]
        .concat()
}

const HINT_AND_ANSWER: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-User: admin\r\nX-Accel-Redirect: /x\r\n\
    Connection: x-hop\r\nX-Hop: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// RFC 9110 §15.2: a proxy must forward interim responses, also one that comes together with the final one.
#[test]
fn an_interim_response_right_before_the_final_one_is_passed_on_and_clean() {
    let gateway = Gateway::start(ROUTES);
    gateway.backend.reply_raw("/public/x", HINT_AND_ANSWER);
    let mut client = gateway.connect();
    for _ in 0..20 {
        let response = client.exchange(&Request::get("/public/x"));
        assert_eq!((response.status, response.text().as_str(), response.interim.len()), (200, "ok", 1));
        let hint = &response.interim[0];
        assert_eq!((hint.status, hint.header("link").as_deref()), (103, Some("</a>")));
        for name in ["x-user", "x-accel-redirect", "x-hop", "connection"] {
            assert_eq!(hint.header(name), None, "{name}");
        }
    }
}

/// RFC 9110 §15.2: never to a client of HTTP/1.0.
#[test]
fn a_client_of_http_1_0_gets_no_interim_response() {
    let gateway = Gateway::start(ROUTES);
    gateway.backend.on("/public/x", |exchange| {
        exchange.read_body();
        let (hint, answer) = HINT_AND_ANSWER.split_at(HINT_AND_ANSWER.find("HTTP/1.1 200").unwrap());
        exchange.send(hint);
        exchange.send(answer);
    });
    let mut client = raw(gateway.addr());
    client.write_all(b"GET /public/x HTTP/1.0\r\n\r\n").unwrap();
    let seen = until_end(&mut client).unwrap();
    assert!(seen.starts_with("HTTP/1.0 200 OK\r\n") && seen.ends_with("\r\n\r\nok"), "{seen}");
}

/// RFC 9112 §8: to HTTP/1.0 the end of the connection is the end of the body, so a body that breaks off must not end in order.
#[test]
fn a_response_that_breaks_off_never_looks_complete_to_http_1_0() {
    let gateway = Gateway::start(ROUTES);
    let half = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    gateway.backend.reply_raw_and_close("/public/half", half);
    gateway.backend.reply_raw("/public/whole", format!("{half}0\r\n\r\n"));
    let mut client = raw(gateway.addr());
    client.write_all(b"GET /public/half HTTP/1.0\r\n\r\n").unwrap();
    let error = until_end(&mut client).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let mut client = raw(gateway.addr());
    client.write_all(b"GET /public/whole HTTP/1.0\r\n\r\n").unwrap();
    assert!(until_end(&mut client).unwrap().ends_with("\r\n\r\nhello"));
}

/// To close a socket with unread bytes resets the connection, and the reset takes the response along.
#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    let gateway = Gateway::start(ROUTES);
    for (path, status) in [("/public/x", 413), ("/secret", 401)] {
        let mut client = raw(gateway.addr());
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 90000000\r\n\r\n");
        client.write_all(head.as_bytes()).unwrap();
        for _ in 0..64 {
            client.write_all(&[b'x'; 65536]).unwrap();
        }
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let seen = until_end(&mut client).unwrap();
        assert!(seen.starts_with(&format!("HTTP/1.1 {status} ")), "{seen}");
        assert!(seen.contains("\"request_id\""), "{seen}");
    }
}

/// All workers listen on one port. A place that an idle listener holds is missing where the connection comes in.
#[test]
fn the_last_free_place_is_for_whichever_worker_the_connection_comes_to() {
    let gateway = Setup::new(ROUTES).set("server.max_connections", "1").start();
    for _ in 0..40 {
        assert_eq!(gateway.send(&Request::get("/public/x").header("connection", "close")).status, 200);
    }
}

/// RFC 9110 §7.6.2.
#[test]
fn options_with_max_forwards_0_is_answered_here() {
    let gateway = Gateway::start(ROUTES);
    let options =
        |left: &str| gateway.send(&Request::new("OPTIONS", "/public/x").header("max-forwards", left)).status;
    assert_eq!((options("0"), gateway.backend.count()), (204, 0));
    assert_eq!((options("3"), gateway.backend.count()), (200, 1));
    assert_eq!(gateway.backend.last().header("max-forwards").as_deref(), Some("2"));
}

/// RFC 9113 §8.1: a stream that is reset has not ended, whatever the reason that the frame gives.
#[test]
fn an_http_2_upload_that_is_reset_never_looks_complete() {
    let gateway = Gateway::start(ROUTES);
    for reason in [0, 8] {
        let path = format!("/public/{reason}");
        let mut client = raw(gateway.addr());
        client.write_all(&http2_request(b"", "POST", &path, 0)).unwrap();
        client.write_all(&frame(0, 0, 1, b"hello")).unwrap();
        gateway
            .backend
            .wait_for("the first bytes", |request| request.target == path && request.body == b"hello");
        client.write_all(&frame(3, 0, 1, &[0, 0, 0, reason])).unwrap();
        let seen =
            gateway.backend.wait_for("the end", |request| request.target == path && request.end.is_some());
        assert!(!seen.is_complete(), "reset with reason {reason}");
    }
}

/// A window that stays closed: the socket is never blocked, and only the response knows that nobody takes it.
#[test]
fn cve_2019_9517_an_http_2_client_that_takes_nothing_is_closed() {
    let gateway = Setup::new(ROUTES).set("server.write_timeout", "'100ms'").start();
    let body = "x".repeat(1 << 20);
    gateway
        .backend
        .reply_raw("/public/x", format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    let mut client = raw(gateway.addr());
    let no_window = [0, 4, 0, 0, 0, 0];
    client.write_all(&http2_request(&no_window, "GET", "/public/x", 1)).unwrap();
    let mut bytes = Vec::new();
    let _ = client
        .read_to_end(&mut bytes)
        .map_err(|error| assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset));
    // The ping comes after half a minute and would end the connection too, for a client that does not even answer that.
    let mut rest = bytes.as_slice();
    while let [high, middle, low, kind, ..] = *rest {
        assert_ne!(kind, 6, "closed only by the ping");
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        rest = rest.get(9 + length..).unwrap_or_default();
    }
    let record = gateway.access_of("/public/x");
    assert_eq!(record["complete"], false, "{record}");
}

/// The window is open, and the client does not read its socket: what waits for it has a bound, and so has the time.
#[test]
fn an_http_2_client_that_does_not_read_stops_the_backend() {
    let gateway = Setup::new(ROUTES).set("server.write_timeout", "'1s'").start();
    let stopped = Gate::new();
    let reached = stopped.clone();
    gateway.backend.on("/public/endless", move |exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        // Small frames wait in one buffer, large ones do not; 256 MiB is far more than all buffers of the sockets.
        let chunks = format!("400\r\n{}\r\n", "x".repeat(0x400)).repeat(32)
            + &format!("8000\r\n{}\r\n", "x".repeat(0x8000));
        let sent = (0..4096).take_while(|_| exchange.send(&chunks)).count();
        if sent < 4096 {
            reached.open();
        }
        exchange.close();
    });
    let mut client = raw(gateway.addr());
    let open_window = [0, 4, 0x7f, 0xff, 0xff, 0xff];
    client.write_all(&http2_request(&open_window, "GET", "/public/endless", 1)).unwrap();
    client.write_all(&frame(8, 0, 0, &[0x7f, 0xfe, 0, 0])).unwrap();
    stopped.wait();
    let record = gateway.access_of("/public/endless");
    assert_eq!(record["complete"], false, "{record}");
    drop(client);
}

/// A server that closes every connection at once is tried once, not for ever.
#[test]
fn a_server_that_takes_connections_only_to_close_them_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (addr, taken) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = taken.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            count.fetch_add(1, Ordering::SeqCst);
            drop(stream);
        }
    });
    let gateway = Setup::new(ROUTES).servers([addr]).start();
    for requests in 1..=20 {
        assert_eq!(gateway.send(&Request::get("/public/x")).status, 502);
        assert!(taken.load(Ordering::SeqCst) <= requests);
    }
}

/// RFC 9110 §9.3.2: an answer to HEAD has no body, and lacks nothing.
#[test]
fn a_refused_head_is_complete_in_the_access_log() {
    let gateway = Gateway::start(ROUTES);
    assert_eq!(gateway.send(&Request::new("HEAD", "/secret")).status, 401);
    let record = gateway.access_of("/secret");
    assert_ne!(record["complete"], false, "{record}");
}

/// RFC 9112 §3.2.2; HTTP/1.0 has no `Host`.
#[test]
fn http_1_0_in_absolute_form_names_its_host() {
    let gateway = Gateway::start(ROUTES);
    let mut client = raw(gateway.addr());
    client.write_all(b"GET http://a.example:81/public/x HTTP/1.0\r\n\r\n").unwrap();
    assert!(until_end(&mut client).unwrap().starts_with("HTTP/1.0 200 OK\r\n"));
    assert_eq!(gateway.backend.last().header("host").as_deref(), Some("a.example:81"));
}

/// RFC 6455 §4.1: a handshake has no content, so what asks for both is an ordinary request.
#[test]
fn a_handshake_with_a_body_opens_no_tunnel() {
    let gateway = Gateway::start(ROUTES);
    let mut client = gateway.connect();
    client.send("GET /public/x HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.response().text(), "hello");
    assert_eq!(gateway.backend.last().header("upgrade"), None);
}
