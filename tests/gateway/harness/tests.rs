//! The harness against itself: what it records and reads has to be right before it can judge the gateway.

use std::net::TcpStream;
use std::process::Command;

use hyper_util::rt::{TokioExecutor, TokioIo};

use super::{
    Backend, Broken, Client, Fate, Frame, Gate, Http2, Process, RawHttp2, RefusingAddress, Request, Setup,
    SilentAddress, binary, fields,
};

fn backend() -> (Backend, Client) {
    let backend = Backend::start();
    let client = Client::connect(backend.addr());
    (backend, client)
}

#[test]
fn the_backend_records_and_echoes() {
    let (backend, mut client) = backend();
    let response = client.exchange(&Request::post("/a?b", "body").header("X-A", "1").header("x-a", "2"));
    assert_eq!((response.status, response.text().as_str()), (200, "body"));
    let request = backend.last();
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/a?b"));
    assert_eq!(request.header_values("X-A"), ["1", "2"]);
    assert_eq!(request.headers.names().collect::<Vec<_>>(), ["Host", "content-length", "X-A", "x-a"]);
    assert!(request.is_complete() && request.body == b"body");
    assert_eq!(client.exchange(&Request::get("/second")).text(), "/second");
    assert_eq!((backend.last().connection, backend.connections(), backend.count()), (0, 1, 2));
}

#[test]
fn chunks_and_trailers_are_read_on_both_sides() {
    let (backend, mut client) = backend();
    backend.reply_raw(
        "/t",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\nA: 1\r\n\r\n",
    );
    client.send(
        "POST /t HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\nT: 2\r\n\r\n",
    );
    let response = client.response();
    assert_eq!((response.text().as_str(), response.trailers.one("a")), ("abc", Some("1".into())));
    assert_eq!((backend.last().body, backend.last().trailers.one("t")), (b"xyz".to_vec(), Some("2".into())));
}

#[test]
fn a_gate_holds_the_rest_of_a_response_back() {
    let (backend, mut client) = backend();
    let gate = Gate::new();
    let held = gate.clone();
    backend.on("/slow", move |exchange| {
        exchange.send("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none");
        held.wait();
        exchange.send("two");
    });
    client.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.head("GET").interim.len(), 1);
    assert_eq!(client.body(3), b"one");
    gate.open();
    assert_eq!(client.rest().unwrap(), b"two");
}

#[test]
fn a_response_that_breaks_off_is_not_whole() {
    let (backend, mut client) = backend();
    for (path, bytes) in [
        ("/length", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"),
        ("/chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
        ("/head", "HTTP/1.1 200 OK\r\nContent-Le"),
        ("/nothing", ""),
    ] {
        backend.reply_raw_and_close(path, bytes);
        client.send(Request::get(path).encode("h"));
        assert_eq!(client.try_response("GET").unwrap_err(), Broken::Closed, "{path}");
        client = Client::connect(backend.addr());
    }
}

#[test]
fn a_request_that_breaks_off_is_recorded_as_such() {
    let (backend, mut client) = backend();
    client.send("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
    backend.wait_for("three bytes", |request| request.body == b"abc" && request.end.is_none());
    drop(client);
    let request = backend.wait_for("the end", |request| request.end.is_some());
    assert_eq!(request.end, Some(Err(Broken::Closed)));
    backend.wait_until_all_closed();
    assert_eq!(backend.violations(), [""; 0]);
}

#[test]
fn what_two_readers_could_take_differently_is_a_violation() {
    for head in [
        "GET /\tHTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: h\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n folded: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\nA: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\nx",
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ] {
        let (backend, mut client) = backend();
        client.send(head);
        client.until_end();
        backend.wait_until_all_closed();
        assert_eq!(backend.violations().len(), 1, "{head:?}");
        assert_eq!(backend.count(), 0, "{head:?}");
    }
}

#[test]
fn a_tunnel_carries_bytes_both_ways() {
    let (backend, mut client) = backend();
    backend.on("/ws", |exchange| {
        exchange
            .send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
        let ping = exchange.raw(4).unwrap();
        exchange.send(ping);
        assert_eq!(exchange.until_end().unwrap(), b"bye");
    });
    client.send("GET /ws HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(client.head("GET").status, 101);
    client.send("ping");
    assert_eq!(client.raw(4), b"ping");
    client.send("bye").finish();
    assert_eq!(client.until_end(), b"");
}

#[test]
fn addresses_that_refuse_or_keep_silent_do_so() {
    let refusing = RefusingAddress::new();
    let error = TcpStream::connect(refusing.addr()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    let silent = SilentAddress::new();
    let error = TcpStream::connect_timeout(&silent.addr(), std::time::Duration::from_millis(50)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
}

#[test]
fn a_process_gives_its_lines_its_status_and_takes_signals() {
    let process =
        Process::spawn(Command::new("sh").args(["-c", "read a; echo $a; echo e >&2; exit 3"]), "in\n");
    let output = process.output();
    assert_eq!((output.status, output.stdout.as_str(), output.stderr.as_str()), (3, "in\n", "e\n"));

    let mut sleeper = Process::spawn(
        Command::new("sh").args(["-c", "echo '{\"message\":\"ready\"}' >&2; exec tail -f /dev/null"]),
        "",
    );
    sleeper.wait_for_stderr("ready", |line| line["message"] == "ready");
    sleeper.signal(rustix::process::Signal::TERM);
    assert_eq!(sleeper.wait().code(), None, "a signal ended it");
}

#[test]
fn settings_of_a_test_replace_the_template() {
    let site = Setup::new("# routes\n").set("server.workers", "1").site();
    let text = site.config_text();
    assert!(text.contains("\nworkers = 1\n") && !text.contains("workers = 2"), "{text}");
    assert!(text.contains("[upstream.backend]\nservers = ['http://127.0.0.1:9']\n"), "{text}");
    assert!(text.ends_with("# routes\n"), "{text}");
    assert!(std::path::Path::new(binary().get_program()).is_file());
}

#[test]
fn raw_http2_frames_reach_a_peer() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let peer = std::thread::spawn(move || {
        let mut wire = super::wire::Wire::new(listener.accept().unwrap().0);
        let seen = wire.exact(24 + 9 + 6 + 9 + 5).unwrap();
        wire.write(&Frame::reset(3, 9).encode()).unwrap();
        wire.write(&Frame::reset(1, 8).encode()).unwrap();
        seen
    });
    let mut client = RawHttp2::connect(addr);
    assert_eq!(client.exchange(&[("a", "b")], None), Fate::Reset(8));
    assert_eq!(client.fate(3), Fate::Reset(9), "what came for others was kept");
    assert_eq!(client.end(), Fate::Closed(None));
    let seen = peer.join().unwrap();
    assert!(seen.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    assert!(seen.ends_with(&[0, 0, 5, 1, 5, 0, 0, 0, 1, 0, 1, b'a', 1, b'b']));
}

#[test]
fn raw_http2_reads_whole_responses() {
    let mut client = RawHttp2::connect(http2_server());
    assert!(client.round_trip());
    let list = [(":method", "GET"), (":scheme", "http"), (":path", "/a"), (":authority", "h")];
    client.request(1, &list, None).request(3, &list, None);
    for stream in [3, 1] {
        let answer = client.answer(stream);
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"/a"[..]));
        assert_eq!(answer.field("content-length"), Some("2"));
    }
}

/// RFC 7541 Appendix C.6.1, and the same field lists there and back.
#[test]
fn field_lists_are_read() {
    let block = b"\x48\x82\x64\x02\x58\x85\xae\xc3\x77\x1a\x4b\x61\x96\xd0\x7a\xbe\x94\x10\x54\xd4\x44\xa8\x20\x05\
        \x95\x04\x0b\x81\x66\xe0\x82\xa6\x2d\x1b\xff\x6e\x91\x9d\x29\xad\x17\x18\x63\xc7\x8f\x0b\x97\xc8\xe9\xae\
        \x82\xae\x43\xd3";
    let list = [
        (":status", "302"),
        ("cache-control", "private"),
        ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ("location", "https://www.example.com"),
    ];
    let owned = |list: &[(&str, &str)]| -> fields::Fields {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    assert_eq!(fields::decode(block), owned(&list));
    let long = "v".repeat(70_000);
    for list in [&list[..], &[("x", &long)], &[("x", &long[..127])], &[]] {
        assert_eq!(fields::decode(&fields::encode(list)), owned(list));
    }
}

/// A server of hyper's that answers one connection: the path as the body, and half a body for /broken.
fn http2_server() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let stream = TokioIo::new(listener.accept().await.unwrap().0);
            let service =
                hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| async move {
                    let path = request.uri().path().to_owned();
                    let length = if path == "/broken" { 100 } else { path.len() };
                    let response = http::Response::builder().header("content-length", length);
                    response.body(http_body_util::Full::new(bytes::Bytes::from(path)))
                });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(stream, service).await;
        });
    });
    addr
}

#[test]
fn the_http2_client_reads_responses_and_sees_broken_ones() {
    let mut client = Http2::connect(http2_server());
    let requests = ["/a", "/b"].map(|path| client.request("GET", path).body(Default::default()).unwrap());
    let bodies = client.exchange_all(requests.to_vec()).into_iter().map(http::Response::into_body);
    assert_eq!(bodies.collect::<Vec<_>>(), ["/a", "/b"]);
    assert_eq!(client.get("/c", "t").body(), "/c");
    let request = client.request("GET", "/whole").body(Default::default()).unwrap();
    assert!(!client.breaks_off(request));
    let request = client.request("GET", "/broken").body(Default::default()).unwrap();
    assert!(client.breaks_off(request));
}
