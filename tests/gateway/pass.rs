//! Who passes, who does not, and how it is said.

use crate::harness::{Gateway, Http2, ROUTES, Request, Response, Setup, token};

#[test]
fn a_reader_reaches_the_backend() {
    let gateway = Gateway::start(ROUTES);
    gateway.add_user("alice", "reader");
    let token = gateway.login("alice");
    let response = gateway.get("/orders/7", &token);
    assert_eq!((response.status, response.text().as_str()), (200, "/orders/7"));
    assert_eq!(gateway.backend.last().header_values("x-user"), ["alice"]);
    assert_eq!(gateway.backend.last().header_values("x-role"), ["reader"]);
}

/// RFC 9457, and the challenge of RFC 6750 §3.
#[track_caller]
fn assert_problem(response: &Response, status: u16) {
    assert_eq!(response.status, status, "{}", response.text());
    assert_eq!(response.header("content-type").as_deref(), Some("application/problem+json"));
    let body = response.json();
    assert_eq!(body["status"], status, "{body}");
    assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
    assert_eq!(body["request_id"], response.header("x-request-id").expect("a request id"), "{body}");
}

#[track_caller]
fn challenge(response: &Response) -> String {
    let challenge = response.header("www-authenticate").expect("a challenge");
    assert!(challenge.starts_with("Bearer realm=\""), "{challenge}");
    challenge
}

/// RFC 6750 §3.1: who shows no credentials is told no error code. Nor does it learn which paths there are.
#[test]
fn without_a_token_every_guarded_path_looks_alike() {
    let gateway = Gateway::start(ROUTES);
    for (method, path) in [
        ("GET", "/orders/7"),
        ("DELETE", "/orders/7"),
        ("GET", "/admin/x"),
        ("GET", "/anyone/x"),
        ("GET", "/no/such/path"),
        ("GET", "/"),
        ("GET", "/auth/me"),
        ("GET", "/auth/no-such-endpoint"),
        ("GET", "/admin/v1/users"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
    ] {
        let response = gateway.send(&Request::new(method, path));
        assert_problem(&response, 401);
        assert!(!challenge(&response).contains("error"), "{method} {path}");
    }
    assert_eq!(gateway.backend.count(), 0);
}

#[test]
fn a_bad_token_is_named_invalid() {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("alice", "reader");
    for bad in ["x", "a.b.c", &token[..token.len() - 4], &format!("{token}x")] {
        for path in ["/orders/7", "/no/such/path"] {
            let response = gateway.get(path, bad);
            assert_problem(&response, 401);
            assert!(challenge(&response).contains("error=\"invalid_token\""), "{bad}");
            assert!(!response.text().contains(&token), "the answer shows the token");
        }
    }
    assert_eq!(gateway.backend.count(), 0);
}

#[test]
fn other_schemes_are_no_credentials() {
    let gateway = Gateway::start(ROUTES);
    gateway.add_user("alice", "reader");
    let response = gateway.send(&Request::get("/orders/7").basic("alice", "the long pass phrase of alice"));
    assert_eq!(response.status, 401);
    assert!(!challenge(&response).contains("error"));
}

#[test]
fn a_role_that_is_missing_is_403() {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("alice", "reader");
    let response = gateway.get("/admin/x", &token);
    assert_problem(&response, 403);
    assert!(challenge(&response).contains("error=\"insufficient_scope\""));
    assert_eq!(gateway.backend.count(), 0);
}

#[test]
fn with_a_token_an_unknown_path_is_404_and_an_unknown_method_405() {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("alice", "reader");
    for path in ["/no/such/path", "/ordersx", "/", "/admin/v1", "/metrics", "/auth/no-such-endpoint"] {
        let response = gateway.get(path, &token);
        let status = if path == "/admin/v1" { 403 } else { 404 };
        assert_problem(&response, status);
    }
    let response = gateway.send(&Request::new("DELETE", "/orders/7").bearer(&token));
    assert_problem(&response, 405);
    let mut allow = response.headers.list("allow");
    allow.sort();
    assert_eq!(allow, ["get", "head", "post"]);
    assert_eq!(gateway.backend.count(), 0);
}

#[test]
fn a_public_route_needs_no_token() {
    let gateway = Gateway::start(ROUTES);
    assert_eq!(gateway.send(&Request::get("/public/x")).status, 200);
    let request = gateway.backend.last();
    assert_eq!(request.header_values("x-user"), [""; 0]);
    assert_eq!(request.header_values("x-role"), [""; 0]);
}

#[test]
fn any_login_passes_an_authenticated_route() {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("carol", "");
    assert_eq!(gateway.get("/anyone/x", &token).status, 200);
    assert_eq!(gateway.backend.last().header_values("x-user"), ["carol"]);
    assert_eq!(gateway.get("/orders/7", &token).status, 403);
}

#[test]
fn roles_arrive_sorted_and_joined() {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("alice", "writer admin reader");
    assert_eq!(gateway.get("/orders/7", &token).status, 200);
    assert_eq!(gateway.backend.last().header_values("x-role"), ["admin,reader,writer"]);
}

#[test]
fn the_identity_headers_can_be_renamed() {
    let gateway = Setup::new(ROUTES)
        .set("identity_headers.user", "'Remote-User'")
        .set("identity_headers.role", "'Remote-Groups'")
        .start();
    let token = gateway.token_for("alice", "reader");
    let forged =
        Request::get("/orders/7").bearer(&token).header("Remote_User", "root").header("remote-groups", "x");
    assert_eq!(gateway.send(&forged).status, 200);
    let request = gateway.backend.last();
    assert_eq!(request.header_values("remote-user"), ["alice"]);
    assert_eq!(request.header_values("remote-groups"), ["reader"]);
    assert_eq!(request.header_values("remote_user"), [""; 0]);
}

#[test]
fn every_algorithm_signs_tokens_that_pass() {
    for algorithm in ["ES256", "EdDSA", "RS256", "HS256"] {
        let mut gateway = Setup::new(ROUTES).set("token.algorithm", &format!("'{algorithm}'")).start();
        let token = gateway.token_for("alice", "reader");
        assert_eq!(token::parts(&token).header["alg"], algorithm);
        assert_eq!(gateway.get("/orders/7", &token).status, 200, "{algorithm}");
        gateway.restart();
        assert_eq!(gateway.get("/orders/7", &token).status, 200, "{algorithm}: the key is kept");
    }
}

#[test]
fn head_follows_the_rule_of_get() {
    let routes = "[[route]]\npath = '/r/*'\nmethods = ['GET']\nroles = ['reader']\nupstream = 'backend'\n";
    let gateway = Gateway::start(routes);
    assert_eq!(gateway.send(&Request::new("HEAD", "/r/x")).status, 401);
    let token = gateway.token_for("alice", "reader");
    assert_eq!(gateway.send(&Request::new("HEAD", "/r/x").bearer(&token)).status, 200);
    assert_eq!(gateway.backend.last().method, "HEAD");
}

#[test]
fn the_most_specific_route_decides_whatever_the_order_in_the_file() {
    let route = |path: &str, rule: &str, methods: &str, host: &str| {
        format!("[[route]]\npath = '{path}'\n{rule}\n{methods}\n{host}\nupstream = 'backend'\n")
    };
    let (public, guarded) = ("access = 'public'", "roles = ['nobody']");
    let routes = [
        route("/*", public, "", ""),
        route("/a/*", guarded, "", ""),
        route("/a/b", public, "", ""),
        route("/a/b", guarded, "methods = ['PUT']", ""),
        route("/a/*", public, "", "host = 'open.example'"),
        route("/a/secret/*", guarded, "", "host = 'open.example'"),
    ];
    let reversed: String = routes.iter().rev().cloned().collect();
    for file in [routes.concat(), reversed] {
        let gateway = Gateway::start(&file);
        for (method, host, path, status) in [
            ("GET", "any", "/x", 200),
            ("GET", "any", "/a", 401),
            ("GET", "any", "/a/", 401),
            ("GET", "any", "/a/x", 401),
            ("GET", "any", "/ab", 200),
            ("GET", "any", "/a/b", 200),
            ("GET", "any", "/a/b/", 401),
            ("PUT", "any", "/a/b", 401),
            ("GET", "open.example", "/a/x", 200),
            ("GET", "OPEN.example:8080", "/a/x", 200),
            ("GET", "open.example.", "/a/x", 200),
            ("GET", "open.example", "/a/secret/x", 401),
            ("GET", "notopen.example", "/a/x", 401),
        ] {
            let response = gateway.send(&Request::new(method, path).header("host", host));
            assert_eq!(response.status, status, "{method} {host} {path}");
        }
    }
}

#[test]
fn http_2_follows_the_same_rules() {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("alice", "reader");
    let mut client = Http2::connect(gateway.addr());
    for (path, status) in [("/orders/7", 200), ("/admin/x", 403), ("/none", 404)] {
        assert_eq!(client.get(path, &token).status(), status, "{path}");
    }
    assert_eq!(client.get("/orders/7", "x").status(), 401);
    assert_eq!(gateway.backend.last().header_values("x-user"), ["alice"]);
    assert_eq!(gateway.backend.count(), 1);
}

#[test]
fn a_token_is_as_good_on_every_worker_and_connection() {
    let gateway = Setup::new(ROUTES).set("server.workers", "4").start();
    let token = gateway.token_for("alice", "reader");
    for _ in 0..32 {
        assert_eq!(gateway.get("/orders/7", &token).status, 200);
    }
}
