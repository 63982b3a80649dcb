//! What a server may do to a connection between it and the gateway: nothing of it may reach the wrong client, look complete when it is
//! not, or hold up anybody for longer than the configured times.

use std::net::{TcpListener, TcpStream};

use bytes::Bytes;
use http_body_util::Full;

use crate::harness::{
    Backend, Client, Gate, Gateway, Http2, ROUTES, Request, Setup, SilentAddress, wait_until,
};

/// One worker, so that all requests share one pool; below /large bodies may be large.
fn setup() -> Setup {
    let large =
        "[[route]]\npath = '/large/*'\naccess = 'public'\nmax_body = '100MiB'\nupstream = 'backend'\n";
    Setup::new(&format!("{ROUTES}{large}")).set("server.workers", "1")
}

fn gateway() -> Gateway {
    setup().start()
}

/// Bytes without a period that a mixed-up piece could hide in.
fn content(length: usize) -> Vec<u8> {
    (0..length as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let chunk = |part: &[u8]| [format!("{:x};x=\"y\"\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
    body.chunks(size).flat_map(chunk).collect()
}

#[test]
fn a_response_that_comes_byte_by_byte_is_the_same_response() {
    let gateway = gateway();
    for (index, response) in [
        "HTTP/1.1 200 OK\r\nX-Empty:\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nX-Empty:  \r\nTransfer-Encoding: chunked\r\n\r\n\
         3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nX-Sum: 1\r\n\r\n",
        "HTTP/1.1 200\nX-Empty: \nContent-Length: 5\n\nhello",
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/public/{index}");
        gateway.backend.on(&path, move |exchange| {
            exchange.read_body();
            for byte in response.as_bytes() {
                exchange.send([*byte]);
            }
        });
        let got = gateway.send(&Request::get(&path));
        assert_eq!((got.status, got.text().as_str()), (200, "hello"), "{response:?}");
        assert_eq!(got.header("x-empty").as_deref(), Some(""), "{response:?}");
    }
    assert_eq!(gateway.backend.connections(), 1, "each of them leaves the connection fit for the next");
}

/// The end of a head at, before and behind the end of what is read at once, and heads that span many reads, up to the bound.
#[test]
fn a_head_may_end_anywhere_and_has_a_bound() {
    let gateway = gateway();
    let near = |at: usize| at - 5..at + 5;
    for size in near(4096).chain(near(8192)).chain(near(16_384)).chain([100_000, 250_000]) {
        let start = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: ";
        let pad = "x".repeat(size - start.len() - 4);
        gateway.backend.reply_raw("/public/x", format!("{start}{pad}\r\n\r\nhello"));
        let response = gateway.send(&Request::get("/public/x"));
        assert_eq!((response.status, response.text().as_str()), (200, "hello"), "{size}");
        assert_eq!(response.header("x").map(|value| value.len()), Some(pad.len()), "{size}");
    }
    gateway.backend.on("/public/long", |exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nX: ");
        while exchange.send([b'x'; 8192]) {}
        exchange.close();
    });
    assert_eq!(gateway.send(&Request::get("/public/long")).status, 502);
    assert_eq!(gateway.send(&Request::get("/public/y")).text(), "/public/y");
}

#[test]
fn heads_that_readers_disagree_on_are_a_bad_gateway() {
    let gateway = gateway();
    for head in [
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2",
        "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2",
        "HTTP/1.1 200 OK\r\nX\0: b\r\nContent-Length: 2",
        "HTTP/1.1 200 OK\r\n X: b\r\nContent-Length: 2",
        "HTTP/1.1 200 OK\r\nX\r\nContent-Length: 2",
        "HTTP/1.1 200 OK\r\nContent-Length : 2",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3",
        "HTTP/1.1 200 OK\r\nContent-Length: 0x2",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked",
        "HTTP/2.0 200 OK\r\nContent-Length: 2",
        "HTTP/1.1 99 OK\r\nContent-Length: 2",
        "HTTP/1.1  200 OK\r\nContent-Length: 2",
        "ICY 200 OK\r\nContent-Length: 2",
    ] {
        gateway.backend.reply_raw_and_close("/public/x", format!("{head}\r\n\r\nok"));
        assert_eq!(gateway.send(&Request::get("/public/x")).status, 502, "{head:?}");
    }
}

/// TERM.EXT: what one reader takes for a part of the extension is the end of the line to another.
#[test]
fn a_chunk_extension_with_a_control_character_breaks_the_response_off() {
    let gateway = gateway();
    for (index, line) in ["2;a\nb", "2;a\0", "2;\x0b"].into_iter().enumerate() {
        let path = format!("/public/{index}");
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        gateway.backend.reply_raw(&path, format!("{head}{line}\r\nok\r\n0\r\n\r\n"));
        let mut client = gateway.connect();
        client.send(Request::get(&path).encode("h"));
        assert!(client.try_response("GET").is_err(), "{line:?}");
    }
}

/// RFC 9110 §8.6, RFC 9112 §6.3: these have no body whatever they say, over either version.
#[test]
fn a_length_does_not_give_a_body_to_a_response_that_has_none() {
    let gateway = gateway();
    let mut http2 = Http2::connect(gateway.addr());
    for (method, head, length) in [
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5", None),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5", Some("5")),
        ("GET", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked", None),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5", Some("5")),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", None),
    ] {
        gateway.backend.reply_raw("/public/x", format!("{head}\r\n\r\n"));
        let mut client = gateway.connect();
        let response = client.exchange(&Request::new(method, "/public/x"));
        assert_eq!(response.body, b"", "{head:?}");
        // hyper's server leaves the length of a response without content away, which RFC 9110 §8.6 allows.
        let said = response.header("content-length");
        assert!(said.is_none() || said.as_deref() == length, "{method} {head:?}: {said:?}");
        assert_eq!(client.exchange(&Request::get("/public/next")).text(), "/public/next", "{head:?}");
        let request = http2.request(method, "/public/x").body(Full::<Bytes>::default()).unwrap();
        let response = http2.exchange(request);
        assert_eq!(response.body().len(), 0, "{head:?}");
        let said = response.headers().get("content-length").map(|value| value.to_str().unwrap());
        assert_eq!(said, length, "{method} {head:?}");
    }
    assert_eq!(gateway.backend.connections(), 1);
}

/// A server may answer before it has read the request; an answer without content has to reach a client of HTTP/2 all the same.
#[test]
fn an_early_answer_without_content_ends_over_http_2_too() {
    let gateway = gateway();
    for (method, reply) in [
        ("POST", "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"),
        ("POST", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("HEAD", "HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\n\r\n"),
        ("POST", "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno"),
    ] {
        gateway.backend.on("/public/early", move |exchange| {
            exchange.send(reply);
            // The server keeps the connection, waiting for a body that does not end.
            exchange.read_body();
        });
        let mut client = Http2::connect(gateway.addr());
        let request = client.request(method, "/public/early");
        let status = client.exchange_unfinished(request, Bytes::from_static(b"some"));
        assert_eq!(status.as_u16() / 100, if reply.contains("413") { 4 } else { 2 }, "{reply:?}");
    }
    assert_eq!(gateway.send(&Request::get("/public/y")).text(), "/public/y");
}

/// Also one that reads nothing before it has sent everything, which is more than all buffers on the way hold.
#[test]
fn an_early_answer_waits_for_a_client_that_sends_everything_first() {
    let gateway = gateway();
    let body = content(16 << 20);
    let echoed = body.clone();
    gateway.backend.on("/large/early", move |exchange| {
        exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", echoed.len() + 5));
        exchange.send("begin");
        exchange.read_body();
        exchange.send(exchange.request().body);
    });
    let mut client = gateway.connect();
    client.send(Request::post("/large/early", &body).encode("h"));
    let response = client.response_to("POST");
    assert_eq!(&response.body[..5], b"begin");
    assert!(response.body[5..] == body, "the content is another one");
    let connections = gateway.backend.connections();
    assert_eq!(gateway.send(&Request::get("/public/y")).text(), "/public/y");
    assert_eq!(
        gateway.backend.connections(),
        connections + 1,
        "a connection with an early answer is not used again"
    );
}

/// To close a socket that the client still writes to resets the connection, and the reset can take the answer along.
#[test]
fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let gateway = gateway();
    gateway.backend.reply_raw_and_close("/public/next", "");
    gateway.backend.on("/public/early", |exchange| {
        exchange.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
        exchange.close();
    });
    let mut client = gateway.connect();
    client.send("POST /public/early HTTP/1.1\r\nHost: h\r\nContent-Length: 9000000\r\n\r\nx");
    assert_eq!(client.response_to("POST").status, 413);
    assert_eq!(client.until_end(), b"");
    for _ in 0..100 {
        client.try_send([b'x'; 16 * 1024]).expect("the gateway reads on what it does not want");
    }
}

#[test]
fn interim_responses_come_at_any_time_and_not_without_end() {
    let gateway = gateway();
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    // Nobody asked; twice; after the body.
    gateway.backend.on("/public/x", move |exchange| {
        exchange.send(go_on.repeat(2));
        exchange.read_body();
        exchange.send(go_on);
        exchange.send(answer);
    });
    for expect in ["", "Expect: 100-continue\r\n"] {
        let mut client = gateway.connect();
        client.send(format!("POST /public/x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n{expect}\r\nbody"));
        assert_eq!(client.response_to("POST").text(), "ok", "{expect:?}");
        assert_eq!(gateway.backend.last().body, b"body");
        assert_eq!(client.exchange(&Request::get("/public/y")).text(), "/public/y");
    }
    // The server never says that the client may go on; the body goes after a while all the same.
    gateway.backend.on("/public/silent", move |exchange| {
        exchange.read_body();
        exchange.send(answer);
    });
    let mut client = gateway.connect();
    client
        .send("POST /public/silent HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.any_head("POST").unwrap().status, 100);
    client.send("body");
    assert_eq!(client.response_to("POST").text(), "ok");

    let hint = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    gateway.backend.reply_raw_and_close("/public/many", hint.repeat(64) + answer);
    assert_eq!(gateway.send(&Request::get("/public/many")).text(), "ok");
    gateway.backend.reply_raw_and_close("/public/flood", hint.repeat(65) + answer);
    assert_eq!(gateway.send(&Request::get("/public/flood")).status, 502);
}

/// As long as the client is silent in the middle of its body, the server owes us nothing.
#[test]
fn a_pause_of_the_client_is_not_the_server_s() {
    let gateway = setup().set("upstream.backend.response_timeout", "'200ms'").start();
    gateway.backend.on("/public/never", |exchange| {
        let _ = exchange.until_end();
    });
    for head in ["Content-Length: 6\r\n\r\none", "Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n"] {
        let mut client = gateway.connect();
        client.send(format!("POST /public/slow HTTP/1.1\r\nHost: h\r\n{head}"));
        gateway.backend.wait_for("the first part", |request| request.body == b"one" && request.end.is_none());
        // Two timeouts that begin later end before the client goes on.
        for _ in 0..2 {
            assert_eq!(gateway.send(&Request::get("/public/never")).status, 504);
        }
        client.send(if head.contains("chunked") { "3\r\ntwo\r\n0\r\n\r\n" } else { "two" });
        assert_eq!(client.response_to("POST").text(), "onetwo", "{head:?}");
    }
    // A server that has the whole request owes an answer, and one that does not take the rest of it is not the client's fault.
    assert_eq!(gateway.send(&Request::post("/public/never", "body")).status, 504);
    let stopped = Gate::new();
    let held = stopped.clone();
    gateway.backend.on("/large/stopped", move |exchange| {
        held.wait();
        exchange.close();
    });
    let mut client = gateway.connect();
    let _ = client.try_send(b"POST /large/stopped HTTP/1.1\r\nHost: h\r\nContent-Length: 90000000\r\n\r\n");
    while client.try_send([b'x'; 65_536]).is_ok() {}
    assert_eq!(client.response_to("POST").status, 504);
    stopped.open();
}

/// Connecting has a limit of its own, which may be longer.
#[test]
fn the_time_to_connect_is_not_the_server_s_time_to_answer() {
    let (silent, backend) = (SilentAddress::new(), Backend::start());
    let gateway = setup()
        .servers([silent.addr(), backend.addr()])
        .set("upstream.backend.connect_timeout", "'1200ms'")
        .set("upstream.backend.response_timeout", "'1s'")
        .start();
    assert_eq!(gateway.send(&Request::get("/public/x")).status, 200);
}

/// The timer of a connection stays armed from one request to the next.
#[test]
fn a_used_connection_gives_each_request_its_own_time() {
    let gateway = setup().set("upstream.backend.response_timeout", "'300ms'").start();
    gateway.backend.on("/public/never", |exchange| {
        let _ = exchange.until_end();
    });
    let gate = Gate::new();
    let held = gate.clone();
    gateway.backend.on("/public/held", move |exchange| {
        held.wait();
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    // Arms the timer, and answers.
    let mut client = gateway.connect();
    client.send(Request::get("/public/held").encode("h"));
    gateway.backend.wait_for_requests(1);
    gate.open();
    assert_eq!(client.response().text(), "ok");
    for _ in 0..3 {
        assert_eq!(gateway.send(&Request::get("/public/never")).status, 504);
        assert_eq!(gateway.send(&Request::get("/public/y")).status, 200);
    }
    // Shorter from now on, and longer.
    gateway.reload(|text| text.replace("'300ms'", "'100ms'"));
    assert_eq!(gateway.send(&Request::get("/public/never")).status, 504);
    gateway.reload(|text| text.replace("'100ms'", "'1h'"));
    assert_eq!(client.exchange(&Request::get("/public/held")).text(), "ok");
}

/// Many connections that died while they were idle: each request finds one that lives, and none is sent twice.
#[test]
fn dead_idle_connections_cost_no_request() {
    let gateway = gateway();
    let all = Gate::new();
    let held = all.clone();
    gateway.backend.on("/public/hold", move |exchange| {
        held.wait();
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        // Closed in silence, with the response already whole.
        exchange.close();
    });
    for round in 0..3 {
        let mut clients: Vec<Client> = (0..50).map(|_| gateway.connect()).collect();
        for client in &mut clients {
            client.send(Request::get("/public/hold").encode("h"));
        }
        if round == 0 {
            gateway.backend.wait_for_requests(50);
            all.open();
        }
        for client in &mut clients {
            assert_eq!(client.response().text(), "ok");
        }
        gateway.backend.wait_until_all_closed();
        let count = gateway.backend.count();
        for (method, body) in [("POST", "pay"), ("GET", ""), ("PUT", "x")] {
            let request = Request::new(method, "/public/y").header("content-length", body.len().to_string());
            let mut client = gateway.connect();
            client.send([request.encode("h"), body.into()].concat());
            assert_eq!(client.response_to(method).status, 200, "{method}");
        }
        assert_eq!(gateway.backend.count(), count + 3);
    }
}

/// A server that closes when a request comes over a used connection: RFC 9110 §9.2.2 says which may be sent again.
#[test]
fn only_what_may_be_repeated_is_repeated_and_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (heads, seen) = std::sync::mpsc::channel::<String>();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let heads = heads.clone();
            std::thread::spawn(move || serve_once_then_hang_up(stream.unwrap(), &heads));
        }
    });
    let gateway = setup().servers([addr]).start();
    for (method, body, times) in [
        ("GET", "", 2),
        ("HEAD", "", 2),
        ("DELETE", "", 2),
        ("PUT", "", 2),
        ("POST", "", 1),
        ("PATCH", "", 1),
        ("PURGE", "", 1),
        ("PUT", "body", 1),
        ("POST", "body", 1),
    ] {
        assert_eq!(gateway.send(&Request::get("/public/first")).status, 200);
        let target = format!("/public/{method}{body}");
        let request = Request::new(method, &target).header("content-length", body.len().to_string());
        let mut client = gateway.connect();
        client.send([request.encode("h"), body.into()].concat());
        let status = client.response_to(method).status;
        assert_eq!(status, if times == 2 { 200 } else { 502 }, "{method} {body:?}");
        let count = seen.try_iter().filter(|head| head.starts_with(&format!("{method} {target} "))).count();
        assert_eq!(count, times, "{method} {body:?}");
    }
}

/// Answers the first request of a connection, and closes when the second one has come.
fn serve_once_then_hang_up(mut stream: TcpStream, heads: &std::sync::mpsc::Sender<String>) {
    use std::io::{Read, Write};
    for round in 0..2 {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if !stream.read(&mut byte).is_ok_and(|count| count > 0) {
                return;
            }
            head.push(byte[0]);
        }
        let _ = heads.send(String::from_utf8_lossy(&head).into_owned());
        if round == 0 {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    }
}

/// What comes over an idle connection belongs to no request, however late it is.
#[test]
fn what_a_server_says_unasked_is_thrown_away_with_its_connection() {
    let gateway = gateway();
    let gates: [(Gate, Gate); 5] = Default::default();
    for (index, (say, said)) in gates.iter().enumerate() {
        let path = format!("/public/{index}");
        let (say_it, said_it) = (say.clone(), said.clone());
        gateway.backend.on(&path, move |exchange| {
            exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            say_it.wait();
            exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
            said_it.open();
        });
        assert_eq!(gateway.send(&Request::get(&path)).text(), "ok");
        say.open();
        said.wait();
        for _ in 0..3 {
            assert_eq!(gateway.send(&Request::get("/public/innocent")).text(), "/public/innocent");
        }
    }
}

/// SECURITY D10: these schemes log in the connection, wherever in the line they stand.
#[test]
fn a_connection_that_is_logged_in_by_ntlm_is_nobody_else_s() {
    let gateway = gateway();
    for challenge in ["NTLM", "Negotiate abc", "Basic realm=\"a, b\", NTLM", "Bearer,negotiate"] {
        let before = gateway.backend.connections();
        let head = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0";
        gateway.backend.reply_raw("/public/x", format!("{head}\r\nWWW-Authenticate: {challenge}\r\n\r\n"));
        assert_eq!(gateway.send(&Request::get("/public/x")).status, 401);
        assert_eq!(gateway.send(&Request::get("/public/y")).status, 200);
        assert_eq!(gateway.backend.connections(), before + if before == 0 { 2 } else { 1 }, "{challenge}");
    }
}

#[test]
fn large_bodies_in_every_framing_keep_their_content_and_trailers() {
    let gateway = gateway();
    let body = content(5_000_001);
    let (by_length, in_chunks) = (body.clone(), body.clone());
    gateway.backend.on("/public/length", move |exchange| {
        exchange.read_body();
        exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", by_length.len()));
        exchange.send(&by_length);
    });
    gateway.backend.on("/public/chunks", move |exchange| {
        exchange.read_body();
        exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n");
        exchange.send(chunked(&in_chunks, 70_001));
        exchange.send(chunked(b"", 1));
        exchange.send("0\r\nX-Sum: 42\r\n\r\n");
    });
    for path in ["/public/length", "/public/chunks"] {
        let trailer = path.ends_with("chunks").then(|| "42".to_owned());
        let mut client = gateway.connect();
        // Chunks below, at and above what is copied, and whatever the sockets make of it.
        for size in [1 << 20, 8192, 8193, 4000] {
            client.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nConnection: te\r\n\r\n"));
            client.send(chunked(&body, size)).send("0\r\nX-Check: 7\r\n\r\n");
            let response = client.response_to("POST");
            assert!(response.body == body, "{path} in chunks of {size}");
            assert_eq!(response.trailers.one("x-sum"), trailer);
            let seen = gateway.backend.last();
            assert!(seen.body == body && seen.is_complete(), "{path} in chunks of {size}");
            assert_eq!(seen.trailers.one("x-check").as_deref(), Some("7"));
        }
        let response = client.exchange(&Request::post(path, &body));
        assert!(response.body == body && gateway.backend.last().body == body, "{path}");
        let mut http2 = Http2::connect(gateway.addr());
        let request = http2.request("POST", path).body(Full::from(body.clone())).unwrap();
        let response = http2.exchange(request);
        assert!(*response.body() == body && gateway.backend.last().body == body, "{path} over HTTP/2");
    }
}

/// A connection ends with the exchange that is given up, and is not counted any more, at whatever stage that happens.
#[test]
fn a_client_that_goes_away_takes_the_connection_with_it_at_every_stage() {
    let gateway = gateway();
    gateway.backend.on("/public/wait", |exchange| {
        let _ = exchange.until_end();
    });
    gateway.backend.on("/public/body", |exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
        let _ = exchange.until_end();
    });
    gateway.backend.on("/public/both", |exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
        exchange.read_body();
        exchange.close();
    });
    let upload = |path: &str, expect: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n{expect}\r\nabc")
    };
    for request in [
        "GET /public/wait HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        upload("/public/wait", ""),
        upload("/public/wait", "Expect: 100-continue\r\n"),
        "GET /public/body HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        upload("/public/both", ""),
    ] {
        let count = gateway.backend.count();
        let mut client = gateway.connect();
        client.send(&request);
        gateway.backend.wait_for_requests(count + 1);
        if request.contains("/body") || request.contains("/both") {
            assert_eq!(client.head("GET").status, 200);
        }
        drop(client);
        gateway.backend.wait_until_all_closed();
    }
    let open = || crate::metrics::sample(&gateway, "portcullis_server_connections_open");
    wait_until("no connection is counted as open", || open() == 0.0);
    assert_eq!(gateway.send(&Request::get("/public/y")).status, 200);
    assert_eq!(open(), 1.0);
}

/// RFC 6455 §1.4: either side may end its direction first, and the other one can still speak.
#[test]
fn a_half_of_a_tunnel_ends_alone() {
    let gateway = gateway();
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    let body = content(1 << 20);
    let (sent, frames) = (body.clone(), body.clone());
    gateway.backend.on("/public/ws", move |exchange| {
        exchange.send([switch.as_bytes(), b"first"].concat());
        assert!(exchange.until_end().is_ok_and(|seen| seen == frames), "the client's frames");
        exchange.send(&sent);
        exchange.close();
    });
    let mut client = gateway.connect();
    client.send("GET /public/ws HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(client.head("GET").status, 101);
    assert_eq!(client.raw(5), b"first");
    client.send(&body);
    client.finish();
    assert!(client.until_end() == body, "the server's frames");
}

/// A line of `Connection` costs no more than its bytes, and still takes away what it names.
#[test]
fn connection_names_a_bounded_number_of_fields() {
    let gateway = gateway();
    let names = |count: usize| (0..count).map(|n| format!("x-{n}")).collect::<Vec<_>>().join(",");
    let request = Request::get("/public/x").header("x-99", "hop").header("x-100", "kept");
    let response = gateway.send(&request.clone().header("connection", names(100)));
    assert_eq!(response.status, 200);
    let seen = gateway.backend.last();
    assert_eq!((seen.header("x-99"), seen.header("x-100").as_deref()), (None, Some("kept")));
    let response = gateway.send(&request.header("connection", names(3000)));
    assert_eq!((response.status, gateway.backend.count()), (400, 1));
}
