//! S3: a request of HTTP/2 becomes one well-formed request of HTTP/1.1, or none.

use bytes::Bytes;
use http_body_util::Full;

use super::post;
use crate::harness::{Fate, Gateway, Http2, ROUTES, RawHttp2, Request, Setup};

fn pseudo<'a>(path: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&post(path)[..], more].concat()
}

#[test]
fn a_well_formed_header_block_by_hand_reaches_the_backend() {
    let gateway = Gateway::start(ROUTES);
    let end =
        RawHttp2::connect(gateway.addr()).exchange(&pseudo("/public/x", &[("x-a", "1")]), Some(b"hello"));
    assert_eq!(end, Fate::Answered(200));
    let seen = gateway.backend.last();
    assert_eq!((seen.body.as_slice(), seen.header("x-a").as_deref()), (&b"hello"[..], Some("1")));
}

/// RFC 9113 §8.2, §8.2.1, §8.2.2 and §8.3; CVE-2023-27491.
#[test]
fn cve_2023_27491_malformed_header_blocks_are_refused() {
    let gateway = Gateway::start(ROUTES);
    let good = || pseudo("/public/x", &[]);
    let with = |name, value| pseudo("/public/x", &[(name, value)]);
    let replaced = |index: usize, value| {
        let mut fields = good();
        fields[index].1 = value;
        fields
    };
    for fields in [
        with("transfer-encoding", "chunked"),
        with("connection", "close"),
        with("connection", "x-user"),
        with("keep-alive", "timeout=5"),
        with("proxy-connection", "close"),
        with("upgrade", "websocket"),
        with("te", "gzip"),
        with("X-Upper", "1"),
        with("x a", "1"),
        with("x:a", "1"),
        with("x\r\ny", "1"),
        with("x", "a\r\nx-user: admin"),
        with("x", "a\nb"),
        with("x", "a\rb"),
        with("x", "a\0b"),
        with("", "1"),
        with(":unknown", "1"),
        with(":path", "/public/y"),
        with(":method", "GET"),
        with("host", "other"),
        with("content-length", "3"),
        with("content-length", "x"),
        replaced(2, "/public/a b"),
        replaced(2, "/public/x HTTP/1.1\r\nx-user: admin"),
        replaced(2, ""),
        replaced(2, "public/x"),
        replaced(2, "*"),
        replaced(0, "CONNECT"),
        replaced(0, "GET /"),
        replaced(0, "PO\r\nST"),
        replaced(3, "a@b"),
        replaced(3, "a b"),
        replaced(3, ""),
        good()[1..].to_vec(),
        [&good()[..2], &good()[3..]].concat(),
        [&[("x", "1")], &good()[..]].concat(),
    ] {
        let before = gateway.backend.count();
        let end = RawHttp2::connect(gateway.addr()).exchange(&fields, Some(b"hello"));
        assert_eq!(gateway.backend.count(), before, "{fields:?} ({end:?}) reached the backend");
    }
    assert_eq!(gateway.backend.violations(), [""; 0]);
}

#[test]
fn many_streams_share_a_connection() {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("alice", "reader");
    let mut client = Http2::connect(gateway.addr());
    let request = |index: usize| {
        let request = client.request("POST", &format!("/orders/{index}"));
        let request = request.header("authorization", format!("Bearer {token}"));
        request.body(Full::new(Bytes::from(format!("body {index}")))).unwrap()
    };
    let requests = (0..64).map(request).collect();
    for (index, response) in client.exchange_all(requests).into_iter().enumerate() {
        assert_eq!(response.status(), 200);
        assert_eq!(response.body(), &format!("body {index}"));
    }
    assert_eq!(gateway.backend.count(), 64);
}

#[test]
fn responses_over_http_2_carry_no_fields_of_http_1() {
    let gateway = Gateway::start(ROUTES);
    gateway.backend.reply_raw(
        "/public/x",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    );
    let mut client = Http2::connect(gateway.addr());
    let response =
        client.exchange(client.request("GET", "/public/x").body(Full::<Bytes>::default()).unwrap());
    assert_eq!((response.status().as_u16(), response.body().as_ref()), (200, &b"ok"[..]));
    for name in ["transfer-encoding", "connection", "keep-alive", "x-hop"] {
        assert!(!response.headers().contains_key(name), "{name}");
    }
}

#[test]
fn a_login_works_over_http_2() {
    let gateway = Gateway::start(ROUTES);
    gateway.add_user("alice", "reader");
    let mut client = Http2::connect(gateway.addr());
    let body = "grant_type=password&username=alice&password=the+long+pass+phrase+of+alice";
    let request =
        client.request("POST", "/token").header("content-type", "application/x-www-form-urlencoded");
    let response = client.exchange(request.body(Full::from(body)).unwrap());
    assert_eq!(response.status(), 200);
    let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(client.get("/orders/7", body["access_token"].as_str().unwrap()).status(), 200);
}

#[test]
fn more_streams_than_allowed_wait_their_turn() {
    let gateway = Setup::new(ROUTES).set("server.max_streams", "4").start();
    let mut client = Http2::connect(gateway.addr());
    let request = || client.request("GET", "/public/x").body(Full::<Bytes>::default()).unwrap();
    let requests = (0..32).map(|_| request()).collect();
    assert!(client.exchange_all(requests).iter().all(|response| response.status() == 200));
}

/// A gRPC client reads the outcome of a call from `grpc-status`; it takes any HTTP status but 200 for a broken network.
#[test]
fn grpc_callers_are_refused_in_their_own_form() {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("alice", "reader");
    let mut client = Http2::connect(gateway.addr());
    for (path, token, status) in [
        ("/orders/7", None, "16"),
        ("/orders/7", Some("x.y.z"), "16"),
        ("/admin/x", Some(token.as_str()), "7"),
        ("/none", Some(token.as_str()), "12"),
    ] {
        let mut request = client.request("POST", path).header("content-type", "application/grpc+proto");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = client.exchange(request.body(Full::<Bytes>::default()).unwrap());
        assert_eq!((response.status().as_u16(), response.body().len()), (200, 0), "{path}");
        assert_eq!(response.headers()["content-type"], "application/grpc");
        assert_eq!(response.headers()["grpc-status"], status, "{path}");
        assert!(response.headers().contains_key("x-request-id"));
    }
    assert_eq!(gateway.backend.count(), 0);
    let http1 = Request::post("/orders/7", "").header("content-type", "application/grpc");
    assert_eq!(gateway.send(&http1).status, 401, "gRPC is spoken over HTTP/2 only");
}

#[test]
fn max_headers_bounds_http_2_too() {
    let gateway = Setup::new(ROUTES).set("server.max_headers", "20").start();
    let mut client = Http2::connect(gateway.addr());
    for (count, status) in [(10, 200), (21, 431)] {
        let many = |request: http::request::Builder, n| request.header(format!("x-{n}"), "v");
        let request = (0..count).fold(client.request("GET", "/public/x"), many);
        let response = client.exchange(request.body(Full::default()).unwrap());
        assert_eq!(response.status(), status, "{count} fields");
    }
}
