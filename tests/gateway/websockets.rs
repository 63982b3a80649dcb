//! Tunnels: opened by the backend's 101 to a WebSocket handshake, and by nothing else.

use crate::harness::{Client, Gateway, ROUTES, Response};

/// RFC 6455 §4: the client's handshake with this key.
const HANDSHAKE: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat\r\n";

fn websocket(gateway: &Gateway, path: &str, headers: &str) -> Client {
    let mut client = gateway.connect();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n{HANDSHAKE}{headers}\r\n"));
    client
}

/// Answers the handshake, sends one word first and then every word back.
fn echo_websocket(gateway: &Gateway, path: &str) {
    gateway.backend.on(path, |exchange| {
        exchange.send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\nhello",
        );
        while let Ok(word) = exchange.raw(4) {
            exchange.send(word);
        }
        exchange.close();
    });
}

#[test]
fn a_websocket_is_tunnelled() {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("alice", "reader");
    echo_websocket(&gateway, "/orders/ws");
    let mut client =
        websocket(&gateway, "/orders/ws", &format!("Authorization: Bearer {token}\r\nX-User: root\r\n"));
    let response = client.head("GET");
    assert_eq!(response.status, 101);
    assert_eq!(response.header("sec-websocket-accept").as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(response.header("sec-websocket-protocol").as_deref(), Some("chat"));
    assert_eq!(response.headers.list("upgrade"), ["websocket"]);
    assert!(response.headers.list("connection").contains(&"upgrade".into()));
    assert_eq!(client.raw(5), b"hello");
    for word in ["ping", "\0\u{1}\u{2}\n", "pong"] {
        client.send(word);
        assert_eq!(client.raw(4), word.as_bytes());
    }
    let seen = gateway.backend.last();
    assert_eq!(seen.header("sec-websocket-key").as_deref(), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    assert_eq!(seen.headers.list("upgrade"), ["websocket"]);
    assert_eq!(seen.headers.list("connection"), ["upgrade"]);
    assert_eq!(seen.header_values("x-user"), ["alice"]);
    drop(client);
    gateway.backend.wait_until_all_closed();
    let record = gateway.access_of("/orders/ws");
    assert_eq!((&record["status"], &record["user"]), (&101.into(), &"alice".into()));
}

#[test]
fn a_backend_that_ends_a_websocket_ends_the_client_s() {
    let gateway = Gateway::start(ROUTES);
    gateway.backend.reply_raw_and_close(
        "/public/ws",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\nbye",
    );
    let mut client = websocket(&gateway, "/public/ws", "");
    assert_eq!(client.head("GET").status, 101);
    assert_eq!(client.until_end(), b"bye");
}

#[test]
fn a_websocket_without_permission_is_refused_before_the_backend() {
    let gateway = Gateway::start(ROUTES);
    echo_websocket(&gateway, "/orders/ws");
    let mut client = websocket(&gateway, "/orders/ws", "");
    assert_eq!(client.head("GET").status, 401);
    assert_eq!(gateway.backend.count(), 0);
}

/// A backend that does not switch has answered an ordinary request, and nothing behind it is a tunnel.
#[test]
fn a_websocket_that_the_backend_refuses_is_an_ordinary_response() {
    let gateway = Gateway::start(ROUTES);
    let mut client = websocket(&gateway, "/public/plain", "");
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (200, "/public/plain"));
    assert_eq!(response.headers.values("upgrade"), [""; 0]);
    let _ = client.try_send("GET /public/two HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let rest: Vec<_> = client.responses_until_end().iter().map(Response::text).collect();
    assert!(rest.is_empty() || rest == ["/public/two"], "{rest:?}");
}

#[test]
fn only_websockets_are_tunnelled() {
    let gateway = Gateway::start(ROUTES);
    let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\ntunnel";
    for (index, headers) in [
        "Connection: Upgrade\r\nUpgrade: foo\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket, foo\r\n",
        "Upgrade: websocket\r\n",
        "",
    ]
    .iter()
    .enumerate()
    {
        let path = format!("/public/{index}");
        gateway.backend.reply_raw_and_close(&path, answer);
        let mut client = gateway.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n{headers}\r\n"));
        let response = client.try_response("GET");
        assert!(response.as_ref().is_ok_and(|r| r.status == 502), "{headers:?}: {response:?}");
        assert_eq!(gateway.backend.last().headers.values("upgrade"), [""; 0], "{headers:?}");
    }
}
