//! What goes on ends with the token that let it in: WebSockets, server-sent events, long downloads (SECURITY J10).

use crate::harness::{Broken, Client, Gate, Gateway, Http2, Request, Setup};

/// As [`crate::harness::ROUTES`] has them, and one whose streams outlive the token.
const ROUTES: &str = r#"
[[route]]
path = "/public/*"
access = "public"
upstream = "backend"

[[route]]
path = "/anyone/*"
access = "authenticated"
upstream = "backend"

[[route]]
path = "/long/*"
access = "authenticated"
outlive_token = true
upstream = "backend"
"#;

const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n\
    9\r\ndata: 1\n\n\r\n";
const NEXT_EVENT: &str = "9\r\ndata: 2\n\n\r\n";

const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// CANCEL (RFC 9113 §7).
const CANCEL: u32 = 8;

/// A gateway with two users, and their tokens.
fn gateway_and_tokens() -> (Gateway, String, String) {
    let gateway = Gateway::start(ROUTES);
    let alice = gateway.token_for("alice", "reader");
    let bob = gateway.token_for("bob", "reader");
    (gateway, alice, bob)
}

/// A gateway whose tokens live for some two seconds.
fn gateway_with_short_tokens() -> Gateway {
    let gateway = Setup::new(ROUTES).set("token.access_ttl", "'3s'").set("token.leeway", "'0s'").start();
    gateway.add_user("alice", "reader");
    gateway
}

/// What a backend does on one path: it begins its answer, and goes on when it is told to.
struct Source {
    /// Lets it send the rest.
    go_on: Gate,
    /// Opened when the gateway has closed the connection.
    closed: Gate,
}

/// Answers requests for `path` with `begin`, with `rest` when it may go on, and with nothing more.
fn source(gateway: &Gateway, path: &str, begin: impl Into<Vec<u8>>, rest: impl Into<Vec<u8>>) -> Source {
    let (begin, rest) = (begin.into(), rest.into());
    let source = Source { go_on: Gate::new(), closed: Gate::new() };
    let (go_on, closed) = (source.go_on.clone(), source.closed.clone());
    gateway.backend.on(path, move |exchange| {
        exchange.send(&begin);
        if !rest.is_empty() {
            go_on.wait();
            exchange.send(&rest);
        }
        let _ = exchange.until_end();
        closed.open();
    });
    source
}

/// Answers with a first event, and with a second one when it may go on.
fn two_events(gateway: &Gateway, path: &str) -> Source {
    source(gateway, path, EVENTS, NEXT_EVENT)
}

/// Answers with one event and no end.
fn one_event(gateway: &Gateway, path: &str) -> Source {
    source(gateway, path, EVENTS, "")
}

/// Asks over a connection of its own, and reads the first event.
fn listen(gateway: &Gateway, path: &str, token: &str) -> Client {
    let mut client = gateway.connect();
    client.send(Request::get(path).bearer(token).encode("h"));
    assert_eq!(client.head("GET").status, 200);
    assert_eq!(client.body(9), b"data: 1\n\n");
    client
}

fn open_websocket(gateway: &Gateway, path: &str, token: &str) -> Client {
    let mut client = gateway.connect();
    client
        .send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n{HANDSHAKE}Authorization: Bearer {token}\r\n\r\n"));
    assert_eq!(client.head("GET").status, 101);
    client
}

/// The next frame from a server: its opcode and payload (RFC 6455 §5.2).
#[track_caller]
fn frame(client: &mut Client) -> (u8, Vec<u8>) {
    let [first, length] = client.raw(2)[..] else { unreachable!() };
    assert!(first & 0xf0 == 0x80 && length < 126, "one short frame that is not masked: {first:x} {length:x}");
    (first & 0x0f, client.raw(length.into()))
}

/// The client is told that its token does not suffice any more, and then nothing.
#[track_caller]
fn assert_closed_for(client: &mut Client, reason: &str) {
    let (opcode, payload) = frame(client);
    assert_eq!((opcode, &payload[..2]), (8, &1008_u16.to_be_bytes()[..]));
    assert_eq!(String::from_utf8_lossy(&payload[2..]), reason);
    assert_eq!(client.until_end(), b"");
}

#[track_caller]
fn assert_record(gateway: &Gateway, path: &str, status: u16, reason: &str) {
    let record = gateway.access_of(path);
    assert_eq!((&record["status"], &record["complete"]), (&status.into(), &false.into()), "{record}");
    assert!(record["reason"].as_str().is_some_and(|text| text.starts_with(reason)), "{record}");
}

#[test]
fn j10_server_sent_events_end_with_the_token_and_those_of_others_go_on() {
    let (gateway, alice, bob) = gateway_and_tokens();
    let (hers, his) = (one_event(&gateway, "/anyone/alice"), two_events(&gateway, "/anyone/bob"));
    // Some on each worker.
    let mut of_alice: Vec<_> = (0..6).map(|_| listen(&gateway, "/anyone/alice", &alice)).collect();
    let mut of_bob = listen(&gateway, "/anyone/bob", &bob);
    gateway.cli(["user", "disable", "alice"]).ok();
    for client in &mut of_alice {
        assert_eq!(client.rest(), Err(Broken::Closed), "it must not look complete");
    }
    hers.closed.wait();
    his.go_on.open();
    assert_eq!(of_bob.body(9), b"data: 2\n\n");
    assert_record(&gateway, "/anyone/alice", 200, "token_revoked: ");
}

#[test]
fn j10_streams_of_http2_end_with_the_token_and_others_of_the_connection_go_on() {
    let (gateway, alice, bob) = gateway_and_tokens();
    let (hers, his) = (one_event(&gateway, "/anyone/alice"), two_events(&gateway, "/anyone/bob"));
    let mut client = Http2::connect(gateway.addr());
    let mut of_alice = client.open("/anyone/alice", &alice);
    let mut of_bob = client.open("/anyone/bob", &bob);
    assert_eq!(of_alice.piece().as_deref(), Ok(&b"data: 1\n\n"[..]));
    assert_eq!(of_bob.piece().as_deref(), Ok(&b"data: 1\n\n"[..]));
    gateway.cli(["user", "roles", "alice", "--role", "admin"]).ok();
    assert_eq!(of_alice.piece(), Err(CANCEL));
    hers.closed.wait();
    his.go_on.open();
    assert_eq!(of_bob.piece().as_deref(), Ok(&b"data: 2\n\n"[..]));
    assert_eq!(client.get("/anyone/x", &bob).status(), 200, "the connection takes further requests");
    assert_record(&gateway, "/anyone/alice", 200, "token_revoked: ");
}

#[test]
fn j10_a_logout_ends_the_streams_of_its_session_and_a_revoked_token_its_own() {
    let gateway = Gateway::start(ROUTES);
    let tokens = [gateway.token_for("alice", "reader"), gateway.login("alice"), gateway.login("alice")];
    let _source = one_event(&gateway, "/anyone/x");
    let (logged_out, websocket) = (listen(&gateway, "/anyone/x", &tokens[0]), "/anyone/ws");
    let _switched = source(&gateway, websocket, SWITCH, "");
    let (mut logged_out, mut revoked) = (logged_out, open_websocket(&gateway, websocket, &tokens[1]));
    let his = two_events(&gateway, "/anyone/other");
    let mut other = listen(&gateway, "/anyone/other", &tokens[2]);
    assert_eq!(gateway.send(&Request::post("/auth/logout", "").bearer(&tokens[0])).status, 204);
    assert_eq!(logged_out.rest(), Err(Broken::Closed));
    assert_eq!(gateway.send(&Request::form("/auth/revoke", &[("token", &tokens[1])])).status, 200);
    assert_closed_for(&mut revoked, "token revoked");
    his.go_on.open();
    assert_eq!(other.body(9), b"data: 2\n\n");
}

#[test]
fn j10_a_websocket_is_closed_with_1008_and_those_of_others_go_on() {
    let (gateway, alice, bob) = gateway_and_tokens();
    let hers = source(&gateway, "/anyone/alice", [SWITCH.as_bytes(), b"\x81\x02hi"].concat(), "");
    let his =
        source(&gateway, "/anyone/bob", [SWITCH.as_bytes(), b"\x81\x02hi"].concat(), &b"\x81\x02ho"[..]);
    let mut of_alice = open_websocket(&gateway, "/anyone/alice", &alice);
    let mut of_bob = open_websocket(&gateway, "/anyone/bob", &bob);
    assert_eq!(frame(&mut of_alice), (1, b"hi".to_vec()));
    assert_eq!(frame(&mut of_bob), (1, b"hi".to_vec()));
    gateway.cli(["user", "remove", "alice"]).ok();
    assert_closed_for(&mut of_alice, "token revoked");
    hers.closed.wait();
    his.go_on.open();
    assert_eq!(frame(&mut of_bob), (1, b"ho".to_vec()));
    assert_record(&gateway, "/anyone/alice", 101, "token_revoked: ");
}

/// RFC 6455 §5.2: a client that waits for the rest of a frame would take a Close frame for it.
#[test]
fn a_websocket_in_the_middle_of_a_frame_ends_without_a_close_frame() {
    let (gateway, alice, _) = gateway_and_tokens();
    let hers = source(&gateway, "/anyone/alice", [SWITCH.as_bytes(), b"\x82\x05ab"].concat(), "");
    let mut client = open_websocket(&gateway, "/anyone/alice", &alice);
    assert_eq!(client.raw(4), b"\x82\x05ab");
    gateway.cli(["user", "disable", "alice"]).ok();
    assert_eq!(client.until_end(), b"");
    hers.closed.wait();
}

#[test]
fn a_websocket_that_its_server_has_closed_gets_no_second_close_frame() {
    let (gateway, alice, _) = gateway_and_tokens();
    let bytes = [SWITCH.as_bytes(), b"\x88\x02\x03\xe8"].concat();
    source(&gateway, "/anyone/alice", bytes, "");
    let mut client = open_websocket(&gateway, "/anyone/alice", &alice);
    assert_eq!(frame(&mut client), (8, 1000_u16.to_be_bytes().to_vec()));
    gateway.cli(["user", "disable", "alice"]).ok();
    assert_eq!(client.until_end(), b"");
}

/// RFC 9112 §8: where only the end of the connection ends the body, an orderly end would look complete.
#[test]
fn a_stream_to_a_client_of_http_1_0_is_reset() {
    let (gateway, alice, _) = gateway_and_tokens();
    one_event(&gateway, "/anyone/alice");
    let mut client = gateway.connect();
    client.send(format!("GET /anyone/alice HTTP/1.0\r\nHost: h\r\nAuthorization: Bearer {alice}\r\n\r\n"));
    assert_eq!(client.head("GET").status, 200);
    assert_eq!(client.body(9), b"data: 1\n\n");
    gateway.cli(["user", "disable", "alice"]).ok();
    assert_eq!(client.rest(), Err(Broken::Reset));
}

/// The next bytes would come first: a client that does not read is not waited for, and gets no Close frame behind them.
#[test]
fn a_websocket_ends_at_once_even_if_its_client_does_not_read() {
    let (gateway, alice, _) = gateway_and_tokens();
    let closed = Gate::new();
    let opener = closed.clone();
    gateway.backend.on("/anyone/ws", move |exchange| {
        exchange.send(SWITCH);
        // Frames of 65,536 bytes.
        let frame = [&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0][..], &[b'x'; 65_536]].concat();
        while exchange.send(&frame) {}
        opener.open();
        exchange.close();
    });
    let client = open_websocket(&gateway, "/anyone/ws", &alice);
    gateway.cli(["user", "disable", "alice"]).ok();
    closed.wait();
    assert_record(&gateway, "/anyone/ws", 101, "token_revoked: ");
    drop(client);
}

/// A body of known length, of which the client takes a part and then nothing: neither may keep the upstream's connection.
#[test]
fn a_download_ends_at_once_even_if_its_client_does_not_read() {
    let (gateway, alice, _) = gateway_and_tokens();
    let closed = Gate::new();
    let opener = closed.clone();
    gateway.backend.on("/anyone/large", move |exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n");
        while exchange.send([b'x'; 100_000]) {}
        opener.open();
        exchange.close();
    });
    let mut client = gateway.connect();
    client.send(Request::get("/anyone/large").bearer(&alice).encode("h"));
    assert_eq!(client.head("GET").status, 200);
    gateway.cli(["user", "disable", "alice"]).ok();
    closed.wait();
    assert_record(&gateway, "/anyone/large", 200, "token_revoked: ");
    assert!(client.rest().is_err());
}

#[test]
fn a_download_over_http2_ends_at_once_even_if_its_client_does_not_read() {
    let (gateway, alice, _) = gateway_and_tokens();
    let closed = Gate::new();
    let opener = closed.clone();
    gateway.backend.on("/anyone/large", move |exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n");
        while exchange.send([b'x'; 100_000]) {}
        opener.open();
        exchange.close();
    });
    let mut client = Http2::connect(gateway.addr());
    let mut response = client.open("/anyone/large", &alice);
    gateway.cli(["user", "disable", "alice"]).ok();
    closed.wait();
    assert_eq!(response.until_reset(), CANCEL);
    assert_record(&gateway, "/anyone/large", 200, "token_revoked: ");
}

/// What was revoked between the request and the beginning of its response has been announced before anybody listened.
#[test]
fn a_token_that_is_revoked_while_the_head_is_awaited_gets_no_stream() {
    let (gateway, alice, _) = gateway_and_tokens();
    for (path, answer, handshake) in
        [("/anyone/events", EVENTS, ""), ("/anyone/websocket", SWITCH, HANDSHAKE)]
    {
        let token = gateway.login("alice");
        let asked = gateway.backend.count() + 1;
        let source = source(&gateway, path, "", answer);
        let mut client = gateway.connect();
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: h\r\n{handshake}Authorization: Bearer {token}\r\n\r\n"
        ));
        gateway.backend.wait_for_requests(asked);
        gateway.cli(["user", "disable", "alice"]).ok();
        gateway.cli(["user", "enable", "alice"]).ok();
        source.go_on.open();
        let response = client.response();
        assert_eq!(response.status, 401, "{path}");
        assert!(response.header("www-authenticate").unwrap().contains("invalid_token"), "{path}");
        source.closed.wait();
    }
    assert_eq!(gateway.get("/anyone/x", &alice).status, 401);
}

/// A request that goes on for as long as its client likes must not outlive its token, whether or not its response has begun.
#[test]
fn j10_an_upload_ends_when_its_token_is_revoked_and_those_of_others_go_on() {
    let (gateway, alice, bob) = gateway_and_tokens();
    let upload = |path: &str, token: &str, framing: &str| {
        let asked = gateway.backend.count() + 1;
        let mut client = gateway.connect();
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n{framing}\r\n\r\n3\r\nabc\r\n"
        ));
        gateway.backend.wait_for_requests(asked);
        client
    };
    let (chunked, long) = ("Transfer-Encoding: chunked", "Content-Length: 10000000");
    let silent = source(&gateway, "/anyone/silent", "", "");
    let answering = one_event(&gateway, "/anyone/answering");
    let hers = [("/anyone/silent", chunked), ("/anyone/silent", long), ("/anyone/answering", chunked)]
        .map(|(path, framing)| upload(path, &alice, framing));
    let his = upload("/anyone/his", &bob, chunked);
    let short = upload("/anyone/short", &alice, "Content-Length: 9");
    gateway.cli(["user", "disable", "alice"]).ok();
    let [mut of_unknown_length, mut of_known_length, mut answered] = hers;
    for client in [&mut of_unknown_length, &mut of_known_length] {
        let response = client.response_to("POST");
        assert_eq!(response.status, 401);
        assert!(response.header("www-authenticate").unwrap().contains("invalid_token"));
    }
    assert_eq!(answered.head("POST").status, 200);
    assert!(answered.rest().is_err());
    silent.closed.wait();
    answering.closed.wait();
    let record = gateway.access_of("/anyone/silent");
    assert!(record["reason"].as_str().unwrap().starts_with("token_revoked: "), "{record}");
    for (mut client, rest) in [(his, "0\r\n\r\n"), (short, "x")] {
        assert_eq!(client.send(rest).response_to("POST").status, 200, "{rest:?}");
    }
}

#[test]
fn j10_an_upload_over_http2_ends_when_its_token_is_revoked() {
    let (gateway, alice, _) = gateway_and_tokens();
    let source = source(&gateway, "/anyone/upload", "", "");
    let mut client = Http2::connect(gateway.addr());
    let request = client.request("POST", "/anyone/upload").header("authorization", format!("Bearer {alice}"));
    let asked = gateway.backend.count() + 1;
    let answer = std::thread::spawn(move || client.exchange_unfinished(request, "abc".into()));
    gateway.backend.wait_for_requests(asked);
    gateway.cli(["user", "disable", "alice"]).ok();
    assert_eq!(answer.join().unwrap(), 401);
    source.closed.wait();
}

/// A stolen key signs tokens of any lifetime. To replace all keys has to end what such tokens have opened, too.
#[test]
fn j10_what_goes_on_ends_when_all_keys_are_replaced_at_once_and_not_when_they_rotate() {
    let gateway = Setup::new(ROUTES).set("token.publish_ahead", "'0s'").start();
    let alice = gateway.token_for("alice", "reader");
    let events = two_events(&gateway, "/anyone/events");
    source(&gateway, "/long/ws", SWITCH, "");
    let mut websocket = open_websocket(&gateway, "/long/ws", &alice);
    let mut client = listen(&gateway, "/anyone/events", &alice);
    gateway.cli(["key", "rotate"]).ok();
    events.go_on.open();
    assert_eq!(client.body(9), b"data: 2\n\n");
    gateway.cli(["key", "rotate", "--now"]).ok();
    assert_eq!(client.rest(), Err(Broken::Closed));
    assert_closed_for(&mut websocket, "token revoked");
    events.closed.wait();
    one_event(&gateway, "/anyone/new");
    let mut new = listen(&gateway, "/anyone/new", &gateway.login("alice"));
    gateway.cli(["key", "rotate", "--now"]).ok();
    assert_eq!(new.rest(), Err(Broken::Closed), "another time");
}

/// A token of keys that were replaced while the head was awaited.
#[test]
fn a_stream_does_not_begin_when_all_keys_were_replaced_meanwhile() {
    let (gateway, alice, _) = gateway_and_tokens();
    let asked = gateway.backend.count() + 1;
    let source = source(&gateway, "/anyone/events", "", EVENTS);
    let mut client = gateway.connect();
    client.send(Request::get("/anyone/events").bearer(&alice).encode("h"));
    gateway.backend.wait_for_requests(asked);
    gateway.cli(["key", "rotate", "--now"]).ok();
    source.go_on.open();
    assert_eq!(client.response().status, 401);
}

#[test]
fn streams_end_when_the_token_expires_unless_the_route_lets_them_outlive_it() {
    let gateway = gateway_with_short_tokens();
    let short = one_event(&gateway, "/anyone/events");
    let long = two_events(&gateway, "/long/events");
    source(&gateway, "/anyone/ws", [SWITCH.as_bytes(), b"\x81\x02hi"].concat(), "");
    let last = one_event(&gateway, "/anyone/h2");
    let token = gateway.login("alice");
    let mut http2 = Http2::connect(gateway.addr());
    let mut over_http2 = http2.open("/anyone/h2", &token);
    let mut websocket = open_websocket(&gateway, "/anyone/ws", &token);
    let mut events = listen(&gateway, "/anyone/events", &token);
    let mut outliving = listen(&gateway, "/long/events", &token);
    assert_eq!(frame(&mut websocket), (1, b"hi".to_vec()));
    assert_closed_for(&mut websocket, "token expired");
    assert_eq!(events.rest(), Err(Broken::Closed));
    assert_eq!(over_http2.until_reset(), CANCEL);
    short.closed.wait();
    last.closed.wait();
    assert_eq!(gateway.get("/long/x", &token).status, 401, "nobody is let in anew");
    assert_record(&gateway, "/anyone/events", 200, "token_expired: ");
    assert_record(&gateway, "/anyone/ws", 101, "token_expired: ");
    assert_record(&gateway, "/anyone/h2", 200, "token_expired: ");

    long.go_on.open();
    assert_eq!(outliving.body(9), b"data: 2\n\n");
    gateway.cli(["user", "disable", "alice"]).ok();
    assert_eq!(outliving.rest(), Err(Broken::Closed), "a revocation ends it all the same");
    long.closed.wait();
    assert_record(&gateway, "/long/events", 200, "token_revoked: ");
}

#[test]
fn public_routes_ask_for_no_token_and_end_with_none() {
    let (gateway, alice, _) = gateway_and_tokens();
    let source = two_events(&gateway, "/public/events");
    let mut client = listen(&gateway, "/public/events", &alice);
    gateway.cli(["user", "disable", "alice"]).ok();
    source.go_on.open();
    assert_eq!(client.body(9), b"data: 2\n\n");
}

/// While the gateway drains it goes on for `shutdown_grace`, and so does what it watches over.
#[test]
fn streams_end_with_the_token_while_the_gateway_drains() {
    let mut gateway = gateway_with_short_tokens();
    one_event(&gateway, "/anyone/events");
    let token = gateway.login("alice");
    let mut client = listen(&gateway, "/anyone/events", &token);
    gateway.begin_shutdown();
    assert_eq!(client.rest(), Err(Broken::Closed));
    assert_record(&gateway, "/anyone/events", 200, "token_expired: ");
    assert_eq!(gateway.process.wait().code(), Some(0));
}
