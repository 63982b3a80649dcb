//! SECURITY group S: where one request ends and the next begins, by raw sockets, since HTTP libraries hide some of it.
//!
//! The property is always the same: a request that two readers could take differently is refused, or the backend gets
//! one well-formed request; what was hidden in it never becomes a request of its own. The backend reads strictly, and
//! a gateway that sent it something ambiguous fails its test at the end.

use crate::harness::{Client, Gateway, Http2, ROUTES, Request, Setup};

/// Times out quickly where the gateway waits for bytes that never come.
fn gateway() -> Gateway {
    Setup::new(ROUTES).set("server.body_timeout", "'1s'").set("server.header_timeout", "'1s'").start()
}

/// What a case did.
struct Outcome {
    statuses: Vec<u16>,
    first: usize,
    smuggled: usize,
}

/// Sends bytes in which `{P}` is a path of this case's own below /public, and waits for the end of the connection.
fn outcome(gateway: &Gateway, case: usize, bytes: &[u8]) -> Outcome {
    let own = format!("/public/{case}");
    let mut client = gateway.connect();
    let _ = client.try_send(replace(bytes, b"{P}", own.as_bytes()));
    let statuses = client.responses_until_end().iter().map(|response| response.status).collect();
    let requests = gateway.backend.requests();
    let count =
        |name: &str| requests.iter().filter(|r| r.target.starts_with(&format!("{own}/{name}"))).count();
    Outcome { statuses, first: count("first"), smuggled: count("smuggled") }
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        replaced.extend_from_slice(&rest[..at]);
        replaced.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    replaced.extend_from_slice(rest);
    replaced
}

/// Runs all cases at once, since some end by a timeout, and gives each outcome to `check`.
fn for_each(cases: &[Vec<u8>], check: impl Fn(&str, &Outcome) + Sync) {
    let gateway = gateway();
    let work = std::sync::Mutex::new(cases.iter().enumerate());
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                loop {
                    let Some((case, bytes)) = work.lock().unwrap().next() else { break };
                    check(&bytes.escape_ascii().to_string(), &outcome(&gateway, case, bytes));
                }
            });
        }
    });
    assert_eq!(gateway.send(&Request::get("/public/alive")).status, 200);
}

fn assert_refused(case: &str, outcome: &Outcome) {
    assert!(outcome.statuses.len() <= 1, "{case}: {:?}", outcome.statuses);
    assert!(
        outcome.statuses.iter().all(|s| matches!(s, 400 | 408 | 413 | 431 | 501)),
        "{case}: {:?}",
        outcome.statuses
    );
    assert_eq!(outcome.smuggled, 0, "{case}");
}

/// The hidden request.
const HIDDEN: &str = "GET {P}/smuggled HTTP/1.1\r\nHost: h\r\nX-User: admin\r\n\r\n";

/// A POST with these header lines and this body, then a hidden request.
fn post(headers: &str, body: &str) -> Vec<u8> {
    format!("POST {{P}}/first HTTP/1.1\r\nHost: h\r\n{headers}\r\n{body}").into_bytes()
}

#[test]
fn a_well_formed_request_passes_and_so_does_the_one_after_it() {
    let bodies = [
        post("Content-Length: 5\r\n", "hello"),
        post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
    ];
    let follow = "GET {P}/smuggled HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let cases: Vec<_> = bodies.iter().map(|first| [first.as_slice(), follow.as_bytes()].concat()).collect();
    for_each(&cases, |case, outcome| {
        assert_eq!(outcome.statuses, [200, 200], "{case}");
        assert_eq!((outcome.first, outcome.smuggled), (1, 1), "the harness sees both: {case}");
    });
}

/// RFC 9112 §6.3: refused, or read as chunked and the connection closed. Either way nothing hides behind it.
#[test]
fn a_length_beside_chunks_hides_nothing() {
    let body = format!("0\r\n\r\n{HIDDEN}");
    let length = body.len() + 1; // {P} is longer than its placeholder; the exact number does not matter to a TE reader.
    let mut cases = Vec::new();
    for te in
        ["Transfer-Encoding: chunked\r\n", "transfer-encoding: CHUNKED\r\n", "Transfer-Encoding:chunked\r\n"]
    {
        for cl in [
            format!("Content-Length: {length}\r\n"),
            "Content-Length: 0\r\n".into(),
            "Content-Length: 4\r\n".into(),
        ] {
            cases.push(post(&format!("{cl}{te}"), &body));
            cases.push(post(&format!("{te}{cl}"), &body));
        }
    }
    for_each(&cases, |case, outcome| {
        assert_eq!(outcome.smuggled, 0, "{case}");
        assert!(outcome.statuses.len() <= 1, "the connection ends: {case}: {:?}", outcome.statuses);
        assert!(
            outcome.statuses.iter().all(|s| matches!(s, 200 | 400 | 501)),
            "{case}: {:?}",
            outcome.statuses
        );
        assert!(outcome.first <= 1, "{case}");
    });
}

/// CVE-2026-2835, CVE-2021-40346 and many others: codings that only some readers know.
#[test]
fn cve_2026_2835_codings_that_readers_disagree_on_are_refused() {
    let lines = [
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunkedx",
        "Transfer-Encoding: chunked;x=1",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked\x0b",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: chun\tked",
        "Transfer-Encoding:",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        " Transfer-Encoding: chunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "Transfer-Encoding\0: chunked",
        "Transfer-Encoding: chunked\0",
        // The form of the answer changes nothing: gRPC is answered with status 200, but not over HTTP/1.1.
        "Content-Type: application/grpc\r\nTransfer-Encoding: gzip, chunked",
    ];
    let body = format!("0\r\n\r\n{HIDDEN}");
    let mut cases: Vec<_> = lines.iter().map(|line| post(&format!("{line}\r\n"), &body)).collect();
    cases.extend(lines.iter().map(|line| post(&format!("Content-Length: 9999\r\n{line}\r\n"), &body)));
    for_each(&cases, |case, outcome| {
        assert_refused(case, outcome);
        assert_eq!(outcome.first, 0, "{case}");
    });
}

#[test]
fn lengths_that_readers_disagree_on_are_refused() {
    let lines = [
        "Content-Length: 5, 5",
        "Content-Length: 5, 6",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 0\r\nContent-Length: 5",
        "Content-Length: +5",
        "Content-Length: -0",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: 5x",
        "Content-Length: 5.0",
        "Content-Length: 5e0",
        "Content-Length: \"5\"",
        "Content-Length: ",
        "Content-Length: ,5",
        "Content-Length: 18446744073709551616",
        "Content-Length: 99999999999999999999999999",
        "Content-Length : 5",
        " Content-Length: 5",
        "X: y\r\n Content-Length: 5",
        "Content-Length: 5\r\n\t0",
        "Content-Length: 5\0",
    ];
    let cases: Vec<_> =
        lines.iter().map(|line| post(&format!("{line}\r\n"), &format!("hello{HIDDEN}"))).collect();
    for_each(&cases, |case, outcome| {
        assert_refused(case, outcome);
        assert_eq!(outcome.first, 0, "{case}");
    });
}

/// RFC 9112 §6.3: equal lengths may be read as one. The backend then gets one.
#[test]
fn a_length_that_is_said_twice_is_refused_or_said_once() {
    let follow = "GET {P}/other HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let case = post("Content-Length: 5\r\nContent-Length: 5\r\n", &format!("hello{follow}"));
    for_each(&[case], |case, outcome| {
        assert!(matches!(outcome.statuses[..], [400] | [200, 200]), "{case}: {:?}", outcome.statuses);
    });
}

#[test]
fn chunks_that_readers_disagree_on_are_refused() {
    let bodies = [
        "x\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\n folded\r\n\r\n",
        "0\r\nno colon\r\n\r\n",
        "0\r\nX: y\0\r\n\r\n",
    ];
    let body = |body: &&str| post("Transfer-Encoding: chunked\r\n", &format!("{body}{HIDDEN}"));
    let cases: Vec<_> = bodies.iter().map(body).collect();
    for_each(&cases, |case, outcome| {
        assert!(
            outcome.statuses.len() <= 1 && !outcome.statuses.contains(&200),
            "{case}: {:?}",
            outcome.statuses
        );
        assert_eq!(outcome.smuggled, 0, "{case}");
    });
}

/// A NUL in an extension is no line end to anybody: refused, or ignored like the rest of the extension, and not passed on.
#[test]
fn a_nul_in_a_chunk_extension_hides_nothing() {
    let body = "5;a\0b\r\nhello\r\n0\r\n\r\n";
    for_each(&[post("Transfer-Encoding: chunked\r\nConnection: close\r\n", body)], |case, outcome| {
        assert!(matches!((&outcome.statuses[..], outcome.first), ([200], 1) | ([400], 0)), "{case}");
    });
}

/// RFC 9112 §7.1.1: extensions that we do not know are ignored, and not passed on.
#[test]
fn chunk_extensions_are_ignored() {
    let cases = [
        "5;a=b\r\nhello\r\n0\r\n\r\n",
        "5;a=\"b c\"\r\nhello\r\n0;last\r\n\r\n",
        "0005\r\nhello\r\n000\r\n\r\n",
    ]
    .map(|body| post("Transfer-Encoding: chunked\r\nConnection: close\r\n", body));
    for_each(&cases, |case, outcome| {
        assert_eq!((&outcome.statuses[..], outcome.first), (&[200][..], 1), "{case}");
    });
}

/// CVE-2025-23725 and others: names and lines that readers disagree on. Also bare CR and LF, RFC 9112 §2.2, §5.1, §5.2.
#[test]
fn heads_that_readers_disagree_on_are_refused() {
    let heads: [&[u8]; 19] = [
        b"GET {P}/first HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n",
        b"GET {P}/first HTTP/1.1\r\nHost: h\r\nX\t: y\r\n\r\n",
        b"GET {P}/first HTTP/1.1\r\nHost: h\r\nX\r\n\r\n",
        b"GET {P}/first HTTP/1.1\r\nHost: h\r\n: y\r\n\r\n",
        b"GET {P}/first HTTP/1.1\r\nHost: h\r\nX: y\r\n z\r\n\r\n",
        b"GET {P}/first HTTP/1.1\r\n Host: h\r\nHost: h\r\n\r\n",
        b"GET {P}/first HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
        b"GET {P}/first HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n",
        b"GET {P}/first HTTP/1.1\r\nHost: h\r\nX\0: y\r\n\r\n",
        b"GET {P}/first HTTP/1.1\r\nHost: h\r\nX(y): z\r\n\r\n",
        b"GET {P}/first HTTP/1.1\r\nHost: h\r\n\xc3\xa9: z\r\n\r\n",
        b"GET {P}/first HTTP/1.1\r\nHost: h\r\n\"X\": y\r\n\r\n",
        b"GET {P}/first HTTP/1.1 \r\nHost: h\r\n\r\n",
        b"GET {P}/first HTTP/1.1x\r\nHost: h\r\n\r\n",
        b"GET {P}/first HTTP/2.0\r\nHost: h\r\n\r\n",
        b"GET {P}/first HTTP/1.2\r\nHost: h\r\n\r\n",
        b"GET {P}/first http/1.1\r\nHost: h\r\n\r\n",
        b"GET {P}/first x HTTP/1.1\r\nHost: h\r\n\r\n",
        b"G(T {P}/first HTTP/1.1\r\nHost: h\r\n\r\n",
    ];
    for_each(&heads.map(<[u8]>::to_vec), |case, outcome| {
        assert!(
            outcome.statuses.iter().all(|s| matches!(s, 400 | 408 | 505)),
            "{case}: {:?}",
            outcome.statuses
        );
        assert_eq!(outcome.first, 0, "{case}");
    });
}

/// RFC 9112 §2.2: empty lines before a request and a bare LF may be taken; then the backend gets them in proper form.
#[test]
fn what_may_be_tolerated_is_refused_or_put_right() {
    let heads: [&[u8]; 4] = [
        b"\r\n\r\nGET {P}/first HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        b"GET {P}/first HTTP/1.1\nHost: h\nConnection: close\n\n",
        b"GET {P}/first HTTP/1.1\r\nHost: h\r\nX:    y   \r\nConnection: close\r\n\r\n",
        b"GET  {P}/first  HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    ];
    for_each(&heads.map(<[u8]>::to_vec), |case, outcome| {
        let (statuses, first) = (&outcome.statuses[..], outcome.first);
        assert!(matches!((statuses, first), ([200], 1) | ([] | [400 | 408], 0)), "{case}: {statuses:?}");
    });
}

/// RFC 9112 §6.1: HTTP/1.0 knows no transfer codings.
#[test]
fn chunks_in_http_1_0_are_refused() {
    let case = |cl: &str| {
        format!("POST {{P}}/first HTTP/1.0\r\nHost: h\r\n{cl}Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n{HIDDEN}")
            .into_bytes()
    };
    for_each(&[case(""), case("Content-Length: 0\r\n"), case("Content-Length: 999\r\n")], |case, outcome| {
        assert_refused(case, outcome);
        assert_eq!(outcome.first, 0, "{case}");
    });
}

#[test]
fn http_1_0_is_served_and_closed() {
    let gateway = gateway();
    let mut client = gateway.connect();
    client.send("GET /public/old HTTP/1.0\r\nHost: h\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (200, "/public/old"));
    assert_eq!(client.until_end(), b"");
}

/// S5: the body of a request that was refused before it was read does not become the next request.
#[test]
fn the_unread_body_of_a_refused_request_is_no_request() {
    let gateway = gateway();
    for body in [
        HIDDEN.replace("{P}", "/public").repeat(3),
        format!("{}{}", "x".repeat(300_000), HIDDEN.replace("{P}", "/public")),
    ] {
        for (head, status) in [("POST /admin/x", 401), ("DELETE /orders/x", 401), ("POST /public/..%2f", 400)]
        {
            let mut client = gateway.connect();
            let request =
                format!("{head} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let _ = client.try_send(request);
            assert_eq!(client.response().status, status, "{head}");
            // The connection goes on behind the body, or ends.
            let _ = client.try_send("GET /public/after HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
            let after = client.responses_until_end();
            assert!(
                after.len() <= 1 && after.iter().all(|r| r.text() == "/public/after"),
                "{head}: {after:?}"
            );
        }
    }
    assert!(gateway.backend.requests().iter().all(|request| request.target == "/public/after"));
}

/// S2, CVE-2026-2833, CVE-2025-64763: bytes after an upgrade that did not happen are not a request of a tunnel.
#[test]
fn cve_2026_2833_an_upgrade_that_is_not_granted_opens_no_tunnel() {
    let mut cases = Vec::new();
    for upgrade in ["foo", "h2c", "TLS/1.0", "websocket, h2c", "HTTP/2.0"] {
        let settings = "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n";
        let head = format!("Upgrade: {upgrade}\r\n{settings}Connection: upgrade, HTTP2-Settings, close\r\n");
        cases.push(format!("GET {{P}}/first HTTP/1.1\r\nHost: h\r\n{head}\r\n{HIDDEN}").into_bytes());
        cases.push(post(&format!("{head}Content-Length: 5\r\n"), &format!("hello{HIDDEN}")));
    }
    for_each(&cases, |case, outcome| {
        assert!(!outcome.statuses.contains(&101), "{case}: {:?}", outcome.statuses);
        assert!(outcome.statuses.len() <= 1, "Connection: close is obeyed: {case}: {:?}", outcome.statuses);
        assert_eq!(outcome.smuggled, 0, "{case}");
    });
}

/// S4: what a backend says ambiguously or too much of never becomes a second response for somebody.
#[test]
fn a_backend_s_ambiguous_response_is_not_passed_on_as_whole() {
    let gateway = gateway();
    for (index, reply) in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 2OO OK\r\nContent-Length: 5\r\n\r\nhello",
        "rubbish\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX : y\r\nContent-Length: 5\r\n\r\nhello",
    ]
    .iter()
    .enumerate()
    {
        let path = format!("/public/{index}");
        gateway.backend.reply_raw_and_close(&path, *reply);
        let mut client = gateway.connect();
        client.send(Request::get(&path).header("Connection", "close").encode("h"));
        match client.try_response("GET") {
            Ok(response) => assert_eq!(response.status, 502, "{reply:?}: {}", response.text()),
            Err(broken) => eprintln!("{reply:?} broke off: {broken:?}"),
        }
    }
}

#[test]
fn bytes_behind_a_response_are_nobody_s_response() {
    let gateway = Setup::new(ROUTES).set("server.workers", "1").start();
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    for (index, reply) in [
        format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{evil}"),
        format!("HTTP/1.1 204 No Content\r\n\r\n{evil}"),
        format!("HTTP/1.1 304 Not Modified\r\n\r\n{evil}"),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{evil}"),
        format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{evil}"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/public/{index}");
        gateway.backend.reply_raw(&path, reply);
        let mut client = gateway.connect();
        client.send(Request::get(&path).encode("h"));
        let _ = client.try_response("GET");
        for round in 0..5 {
            let response = gateway.send(&Request::get("/public/innocent"));
            assert_eq!(response.text(), "/public/innocent", "after case {index}, round {round}");
        }
    }
}

#[test]
fn a_request_after_another_on_one_connection_has_its_own_identity() {
    let gateway = gateway();
    let alice = gateway.token_for("alice", "reader");
    let bob = gateway.token_for("bob", "reader admin");
    let request = |token: &str| Request::get("/orders/7").bearer(token).encode("h");
    let mut client: Client = gateway.connect();
    client.send(
        [request(&alice), request(&bob), Request::get("/orders/7").encode("h"), request(&alice)].concat(),
    );
    let statuses: Vec<_> = (0..4).map(|_| client.response().status).collect();
    assert_eq!(statuses, [200, 200, 401, 200]);
    let users: Vec<_> = gateway.backend.requests().iter().map(|r| r.header("x-user").unwrap()).collect();
    assert_eq!(users, ["alice", "bob", "alice"]);
}

/// RFC 9113 §8.2.3: what HTTP/2 splits into several fields is one line for a backend of HTTP/1.1.
#[test]
fn cookie_crumbs_are_joined() {
    let gateway = gateway();
    let mut client = Http2::connect(gateway.addr());
    let request = client.request("GET", "/public/x").header("cookie", "a=1").header("cookie", "b=2");
    let response = client.exchange(request.body(http_body_util::Full::<bytes::Bytes>::default()).unwrap());
    assert_eq!(response.status(), 200);
    assert_eq!(gateway.backend.last().header_values("cookie"), ["a=1; b=2"]);
}
