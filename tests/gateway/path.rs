//! SECURITY group P: one view of the path. What was authorized is what the backend gets.

use proptest::prelude::*;

use crate::harness::{Gateway, ROUTES, Request, Setup};

/// Sends the target as it is, without a token.
fn status_of(gateway: &Gateway, target: &str) -> u16 {
    status_of_bytes(gateway, target.as_bytes())
}

fn status_of_bytes(gateway: &Gateway, target: &[u8]) -> u16 {
    let mut client = gateway.connect();
    let request = [b"GET ", target, b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"].concat();
    client.send(request);
    client.try_response("GET").map_or(0, |response| response.status)
}

/// What reached the backend lies below /public for every reader, however lax.
#[track_caller]
fn assert_only_public_was_reached(gateway: &Gateway) {
    for request in gateway.backend.requests() {
        let path = request.target.split('?').next().unwrap().to_ascii_lowercase();
        assert!(path == "/public" || path.starts_with("/public/"), "{path}");
        for part in ["//", "\\", "%2e", "%5c", "%2f", "%00", "/../", "/./", "/..;", "/.;"] {
            assert!(!path.contains(part), "{part} in {path}");
        }
        assert!(!path.ends_with("/..") && !path.ends_with("/."), "{path}");
    }
}

/// CVE-2019-9901, CVE-2021-29492, CVE-2021-32779, CVE-2025-66490, CVE-2026-27587, CVE-2026-41059, GHSA-p224.
#[test]
fn cve_2021_29492_no_spelling_leads_from_a_public_route_to_a_guarded_one() {
    let gateway = Gateway::start(ROUTES);
    let (guarded, bad): (&[u16], &[u16]) = (&[401], &[400]);
    for (target, expected) in [
        ("/admin", guarded),
        ("/public/../admin", guarded),
        ("/public/%2e%2e/admin", guarded),
        ("/public/%2E./admin", guarded),
        ("/public/.%2e/admin", guarded),
        ("/public/x/../../admin", guarded),
        ("/public/..;/admin", bad),
        ("/public/..;x=1/admin", bad),
        ("/public/%2e%2e;/admin", bad),
        ("/public/..%2fadmin", bad),
        ("/public/..%2Fadmin", bad),
        ("/public%2f..%2fadmin", bad),
        ("/public/%2e%2e%2fadmin", bad),
        ("//admin", guarded),
        ("/./admin", guarded),
        ("/admin/.", guarded),
        ("/admin/..", guarded),
        ("/%61dmin", guarded),
        ("/%61%64%6D%69%6e", guarded),
        ("/admin%2F", bad),
        ("/admin%5c", bad),
        ("/public/..%5cadmin", bad),
        ("/public/..\\admin", bad),
        ("/\\admin", bad),
        ("/admin%00", bad),
        ("/public/%00/../admin", bad),
        ("/admin;x=1", &[400, 401]),
        ("/admin%3b", &[400, 401]),
        ("/admin%23", &[400, 401]),
        ("/admin%3f", &[400, 401]),
        ("/admin#x", &[400, 401]),
        ("/public/%252e%252e/admin", bad),
        ("/%252e%252e/admin", bad),
        ("/public/%25%32%65", bad),
        ("/public/%c0%ae%c0%ae/admin", bad),
        ("/public/..%c0%afadmin", bad),
        ("/public/%zz", bad),
        ("/public/%", bad),
        ("/public/%2", bad),
        ("/public/%0d%0aX-User:%20admin", bad),
        ("/public/%1b", bad),
        ("/public/%7f", bad),
        ("/public/%ff", bad),
        ("/..", bad),
        ("/../admin", bad),
        ("/public/../../admin", bad),
        ("/ADMIN", guarded),
        ("/Public/x", guarded),
        ("/secret?x=/public", guarded),
        ("/secret?/../public/x", guarded),
        ("/publicx", guarded),
        ("/public%20/x", guarded),
    ] {
        let status = status_of(&gateway, target);
        assert!(expected.contains(&status), "{target} gave {status}, not one of {expected:?}");
    }
    assert_eq!(gateway.backend.count(), 0);
}

#[test]
fn raw_bytes_that_no_target_may_hold_are_refused() {
    let gateway = Gateway::start(ROUTES);
    for target in [
        &b"/public/\xc3\xa9"[..],
        b"/public/\xff",
        b"/public/\x01",
        b"/public/\x7f",
        b"/public/\0",
        b"/public/a b",
        b"/public/\"<>",
    ] {
        let status = status_of_bytes(&gateway, target);
        assert!(matches!(status, 0 | 400), "{} gave {status}", target.escape_ascii());
    }
    assert_eq!(gateway.backend.count(), 0);
}

#[test]
fn the_backend_gets_the_normal_form_and_the_query_as_it_came() {
    let gateway = Gateway::start(ROUTES);
    for (target, forwarded) in [
        ("/public", "/public"),
        ("/public/", "/public/"),
        ("/public/%61", "/public/a"),
        ("/public/a%20b", "/public/a%20b"),
        ("/public/%e2%82%ac", "/public/%E2%82%AC"),
        ("/public//x", "/public/x"),
        ("/public/./x", "/public/x"),
        ("/public/y/../x", "/public/x"),
        ("/x/../public/x", "/public/x"),
        ("/public/~a-b_c.d", "/public/~a-b_c.d"),
        ("/public/x?", "/public/x?"),
        ("/public/x?a=%2e%2e/..//&b=%zz&c=%00", "/public/x?a=%2e%2e/..//&b=%zz&c=%00"),
        ("/public/x?redirect=http://a/?b=c", "/public/x?redirect=http://a/?b=c"),
    ] {
        assert_eq!(status_of(&gateway, target), 200, "{target}");
        assert_eq!(gateway.backend.last().target, forwarded, "{target}");
    }
}

#[test]
fn health_and_token_paths_open_nothing() {
    let gateway = Gateway::start(ROUTES);
    for target in [
        "/healthz/../admin",
        "/healthz/x",
        "/healthz%2f..%2fadmin",
        "/token/../admin",
        "/readyz/../admin/x",
        "/healthz;/admin",
        "/.well-known/../admin",
    ] {
        let status = status_of(&gateway, target);
        assert!(matches!(status, 400 | 401), "{target} gave {status}");
    }
    let request =
        Request::get("/admin/x").header("User-Agent", "kube-probe/1.0").header("X-Original-URL", "/healthz");
    assert_eq!(gateway.send(&request).status, 401, "CVE-2026-34457: a probe's name is no pass");
}

#[test]
fn an_escaped_slash_passes_only_where_the_route_allows_it() {
    let route =
        "[[route]]\npath = '/files/*'\naccess = 'public'\nallow_encoded_slash = true\nupstream = 'backend'\n";
    let gateway = Gateway::start(&format!("{ROUTES}{route}"));
    assert_eq!(status_of(&gateway, "/files/a%2fb"), 200);
    assert_eq!(gateway.backend.last().target, "/files/a%2Fb");
    assert_eq!(status_of(&gateway, "/public/a%2fb"), 400);
    for target in
        ["/files/..%2fadmin", "/files/%2e%2e%2fadmin", "/files%2f..%2fadmin", "/files/x%2f..%2f..%2fadmin"]
    {
        assert_eq!(status_of(&gateway, target), 400, "{target}");
    }
    assert_eq!(gateway.backend.count(), 1);
}

/// CVE-2026-40912, CVE-2026-48020, traefik#13215: what is left after the prefix is a clean path too.
#[test]
fn cve_2026_40912_stripping_a_prefix_opens_nothing() {
    let route = "[[route]]\npath = '/api/*'\naccess = 'public'\nstrip_prefix = true\nupstream = 'backend'\n";
    let gateway = Gateway::start(&format!("{ROUTES}{route}"));
    for (target, forwarded) in [
        ("/api/x/y?z", "/x/y?z"),
        ("/api/", "/"),
        ("/api", "/"),
        ("/api?q", "/?q"),
        ("/api//x", "/x"),
        ("/api/api/x", "/api/x"),
    ] {
        assert_eq!(status_of(&gateway, target), 200, "{target}");
        assert_eq!(gateway.backend.last().target, forwarded, "{target}");
    }
    let count = gateway.backend.count();
    for target in [
        "/api../x",
        "/api/..%2f",
        "/api%2e%2e/",
        "/api/../admin",
        "/api/%2e%2e/admin",
        "/api/..;/x",
        "/api%2fadmin",
    ] {
        let status = status_of(&gateway, target);
        assert!(matches!(status, 400 | 401), "{target} gave {status}");
    }
    assert_eq!(gateway.backend.count(), count);
}

#[test]
fn a_request_is_for_one_host() {
    let gateway = Gateway::start(ROUTES);
    for head in [
        "GET /public/x HTTP/1.1\r\n",
        "GET /public/x HTTP/1.1\r\nHost: a\r\nHost: a\r\n",
        "GET /public/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n",
        "GET /public/x HTTP/1.1\r\nHost: a, b\r\n",
        "GET /public/x HTTP/1.1\r\nHost: a@b\r\n",
        "GET /public/x HTTP/1.1\r\nHost: a:b\r\n",
        "GET /public/x HTTP/1.1\r\nHost: a:99999\r\n",
        "GET /public/x HTTP/1.1\r\nHost: a/b\r\n",
        "GET /public/x HTTP/1.1\r\nHost: a b\r\n",
        "GET /public/x HTTP/1.1\r\nHost: [::1\r\n",
        "GET /public/x HTTP/1.1\r\nHost: é\r\n",
        "GET http://other/public/x HTTP/1.1\r\nHost: a\r\n",
        "GET http://u:p@a/public/x HTTP/1.1\r\nHost: a\r\n",
        "GET ftp://a/public/x HTTP/1.1\r\nHost: a\r\n",
        "GET //a/public/x\\ HTTP/1.1\r\nHost: a\r\n",
        "GET public/x HTTP/1.1\r\nHost: a\r\n",
        "GET * HTTP/1.1\r\nHost: a\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n",
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n",
        "CONNECT /public/x HTTP/1.1\r\nHost: a\r\n",
    ] {
        let mut client = gateway.connect();
        client.send(format!("{head}Connection: close\r\n\r\n"));
        let status = client.try_response("GET").map_or(0, |response| response.status);
        assert!(matches!(status, 0 | 400 | 401 | 405 | 421 | 501), "{head:?} gave {status}");
    }
    assert_eq!(gateway.backend.count(), 0);
}

/// RFC 9112 §3.2.2: a proxy takes the absolute form, and its host counts.
#[test]
fn the_absolute_form_is_a_request_for_its_host_and_path() {
    let gateway = Gateway::start(ROUTES);
    let mut client = gateway.connect();
    client.send("GET http://a.example/public/../public/x?q HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(client.response().status, 200);
    assert_eq!(gateway.backend.last().target, "/public/x?q");
    client.send("GET http://a.example/admin HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(client.response().status, 401);
    assert_eq!(gateway.backend.count(), 1);
}

/// Caddy#7832 and others: a method that is not on the list is not "any other".
#[test]
fn a_method_is_what_it_is() {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("alice", "reader");
    for method in ["get", "Get", "GETX", "PATCH", "DELETE", "PROPFIND"] {
        let mut client = gateway.connect();
        client
            .send(format!("{method} /orders/7 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n\r\n"));
        assert!(matches!(client.response().status, 400 | 405 | 501), "{method}");
    }
    for method in ["TRACE", "CONNECT"] {
        let mut client = gateway.connect();
        client.send(format!("{method} /public/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
        let status = client.try_response("GET").map_or(0, |response| response.status);
        assert!(matches!(status, 0 | 400 | 401 | 405 | 501), "{method} gave {status}");
    }
    assert_eq!(gateway.backend.count(), 0);
    let request = Request::post("/orders/7", "x").bearer(&token).header("X-HTTP-Method-Override", "DELETE");
    assert_eq!(gateway.send(&request).status, 200);
    assert_eq!(gateway.backend.last().method, "POST");
}

/// P7, through the front door; `route` has the same with many more cases.
#[test]
fn no_random_path_reaches_anything_but_the_public_route() {
    let gateway = Gateway::start(ROUTES);
    const ATOMS: &[&str] = &[
        "/", "/", "/public", "admin", "public", "..", ".", "%2e", "%2E%2e", "%2f", "%5c", "\\", ";", ";x=1",
        "%3b", "%25", "%252e", "%00", "%c0%af", "//", "x", "%61", "?", "#", "%", "%zz", "..;", "%23", "%3f",
    ];
    let path = prop::collection::vec(prop::sample::select(ATOMS), 1..10);
    let config = ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let client = std::cell::RefCell::new(gateway.connect());
    runner
        .run(&path, |atoms| {
            let target = format!("/public{}", atoms.concat());
            let mut client = client.borrow_mut();
            client.send(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
            match client.try_response("GET") {
                Ok(response) => {
                    prop_assert!([200, 400, 401].contains(&response.status), "{target}: {}", response.status)
                }
                Err(broken) => return Err(TestCaseError::fail(format!("{target}: {broken:?}"))),
            }
            if client.is_closing() {
                *client = gateway.connect();
            }
            Ok(())
        })
        .unwrap();
    assert_only_public_was_reached(&gateway);
    assert!(gateway.backend.count() > 0, "some of them pass");
}

#[test]
fn routes_of_one_host_are_not_reached_by_another_name() {
    let route = "[[route]]\nhost = 'open.example'\npath = '/*'\naccess = 'public'\nupstream = 'backend'\n";
    let gateway = Setup::new(route).start();
    for host in [
        "open.example.evil",
        "evil-open.example",
        "open.example@evil",
        "evil",
        "open_example",
        "open.example..",
        "x.open.example",
    ] {
        let response =
            gateway.send(&Request::get("/x").header("Host", host).header("X-Forwarded-Host", "open.example"));
        assert!(matches!(response.status, 400 | 401), "{host} gave {}", response.status);
    }
    assert_eq!(gateway.backend.count(), 0);
}
