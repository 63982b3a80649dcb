//! `POST /token`, and what a client library reads to find it.

use serde_json::{Value, json};

use crate::harness::{Gateway, ROUTES, Request, Response, Setup, password_of, token};

const FORM: &str = "application/x-www-form-urlencoded";

fn gateway() -> Gateway {
    let gateway = Gateway::start(ROUTES);
    gateway.add_user("alice", "reader");
    gateway
}

/// RFC 6749 §5.2: the status, the code and the headers of a refusal, and the alphabet of its description.
#[track_caller]
fn assert_refused(response: &Response, status: u16, code: &str) {
    assert_eq!(response.status, status, "{}", response.text());
    let body = response.json();
    assert_eq!(body["error"], code, "{body}");
    for member in body.as_object().unwrap().keys() {
        assert!(["error", "error_description", "error_uri"].contains(&member.as_str()), "{body}");
    }
    let description = body["error_description"].as_str().unwrap_or_default();
    let allowed = |b: u8| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    assert!(description.bytes().all(allowed), "{description:?}");
    assert_uncached_json(response);
}

/// RFC 6749 §5.1: what carries a token, or says why not, is never stored.
#[track_caller]
fn assert_uncached_json(response: &Response) {
    let media_type = response.header("content-type").unwrap();
    assert_eq!(media_type.split(';').next(), Some("application/json"));
    assert_eq!(response.headers.list("cache-control"), ["no-store"]);
    assert_eq!(response.headers.list("pragma"), ["no-cache"]);
}

#[test]
fn a_form_login_gives_a_bearer_token() {
    let gateway = gateway();
    let response = gateway.login_with("alice", &password_of("alice"));
    assert_eq!(response.status, 200, "{}", response.text());
    assert_uncached_json(&response);
    let body = response.json();
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 900);
    let response = gateway.get("/orders/7", body["access_token"].as_str().unwrap());
    assert_eq!(response.status, 200);
}

#[test]
fn a_json_login_gives_a_bearer_token() {
    let gateway = gateway();
    let body = json!({"grant_type": "password", "username": "alice", "password": password_of("alice")});
    for media_type in ["application/json", "application/json; charset=utf-8", "Application/JSON"] {
        let request = Request::post("/token", body.to_string()).header("content-type", media_type);
        let response = gateway.send(&request);
        assert_eq!(response.status, 200, "{media_type}: {}", response.text());
        assert_uncached_json(&response);
    }
}

#[test]
fn the_token_is_one_of_rfc_9068() {
    let gateway = gateway();
    let token::Parts { header, claims, .. } = token::parts(&gateway.login("alice"));
    assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("ES256")));
    assert!(header["kid"].is_string());
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!("http://localhost"), &json!("portcullis")));
    assert_eq!((&claims["username"], &claims["roles"]), (&json!("alice"), &json!(["reader"])));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 900);
    for text in ["sub", "client_id", "jti", "sid"] {
        assert!(claims[text].is_string(), "{text} in {claims}");
    }
    assert!(claims["ver"].is_u64(), "{claims}");
    let again = token::parts(&gateway.login("alice")).claims;
    assert_eq!(again["sub"], claims["sub"]);
    assert_ne!(again["jti"], claims["jti"]);
    assert_ne!(again["sid"], claims["sid"]);
}

#[test]
fn the_name_of_a_user_has_no_case() {
    let gateway = gateway();
    let response = gateway.login_with("ALICE", &password_of("alice"));
    assert_eq!(response.status, 200, "{}", response.text());
    let claims = token::parts(response.json()["access_token"].as_str().unwrap()).claims;
    assert_eq!(claims["username"], "alice", "the name is the one that was given to the user");
}

#[test]
fn a_wrong_password_and_an_unknown_user_look_alike() {
    let gateway = gateway();
    let disabled = "mallory";
    gateway.add_user(disabled, "reader");
    gateway.cli(["user", "disable", disabled]).ok();
    let wrong = gateway.login_with("alice", "not her password");
    assert_refused(&wrong, 400, "invalid_grant");
    let long = "x".repeat(2000);
    for (name, password) in [
        ("nobody", "not her password"),
        (disabled, &password_of(disabled)),
        ("not a user name", "x"),
        ("alice\0", &password_of("alice")),
        ("alice", "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaA"),
        ("alice", &long),
    ] {
        let other = gateway.login_with(name, password);
        assert_refused(&other, 400, "invalid_grant");
        assert_eq!(other.body, wrong.body, "{name:?}");
        let names = |r: &Response| r.headers.names().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(names(&other), names(&wrong), "{name:?}");
    }
}

#[test]
fn every_fault_of_a_form_has_its_code() {
    let gateway = gateway();
    let password = password_of("alice").replace(' ', "+");
    let good = format!("grant_type=password&username=alice&password={password}");
    for (body, status, code) in [
        (String::new(), 400, "invalid_request"),
        ("username=alice&password=x".into(), 400, "invalid_request"),
        ("grant_type=password&username=alice".into(), 400, "invalid_request"),
        ("grant_type=password&password=x".into(), 400, "invalid_request"),
        ("grant_type=password&username=&password=x".into(), 400, "invalid_request"),
        ("grant_type=password&username=alice&password=".into(), 400, "invalid_request"),
        ("grant_type=&username=alice&password=x".into(), 400, "invalid_request"),
        ("grant_type=urn:example:other".into(), 400, "unsupported_grant_type"),
        ("grant_type=authorization_code&code=x".into(), 400, "unsupported_grant_type"),
        (format!("{good}&username=alice"), 400, "invalid_request"),
        (format!("{good}&password=x"), 400, "invalid_request"),
        (format!("{good}&grant_type=password"), 400, "invalid_request"),
        ("grant_type=password&username=alice&password=%zz".into(), 400, "invalid_request"),
        ("grant_type=password&username=alice&password=%ff".into(), 400, "invalid_request"),
        ("grant_type=password&username=alice&password=wrong".into(), 400, "invalid_grant"),
    ] {
        let response = gateway.send(&Request::post("/token", &body).header("content-type", FORM));
        assert_refused(&response, status, code);
    }
    for body in [good.clone(), format!("{good}&unknown=1"), format!("&{good}&"), format!("{good}&scope=")] {
        let response = gateway.send(&Request::post("/token", &body).header("content-type", FORM));
        assert_eq!(response.status, 200, "{body}: {}", response.text());
    }
}

#[test]
fn a_program_that_claims_to_be_known_is_not() {
    let gateway = gateway();
    let password = password_of("alice").replace(' ', "+");
    let good = format!("grant_type=password&username=alice&password={password}");
    let by_header = Request::post("/token", &good).header("content-type", FORM);
    let response = gateway.send(&by_header.header("authorization", "Basic YTpi"));
    assert_refused(&response, 401, "invalid_client");
    assert!(response.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Basic ")));
    let by_body = format!("{good}&client_id=app&client_secret=x");
    let response = gateway.send(&Request::post("/token", &by_body).header("content-type", FORM));
    assert_refused(&response, 401, "invalid_client");
    let public = format!("{good}&client_id=app");
    assert_eq!(gateway.send(&Request::post("/token", &public).header("content-type", FORM)).status, 200);
}

/// RFC 6749 §3.3: a client that asks for a scope is told what it has got.
#[test]
fn a_scope_that_is_asked_for_is_answered_with_the_roles() {
    let gateway = gateway();
    let password = password_of("alice").replace(' ', "+");
    let body = format!("grant_type=password&username=alice&password={password}&scope=everything");
    let response = gateway.send(&Request::post("/token", &body).header("content-type", FORM));
    let answer: serde_json::Value = serde_json::from_str(&response.text()).unwrap();
    assert_eq!(answer["scope"], "reader");
}

#[test]
fn every_fault_of_a_json_body_has_its_code() {
    let gateway = gateway();
    let duplicate = r#"{"grant_type":"password","username":"alice","username":"bob","password":"x"}"#;
    for body in [
        "",
        "null",
        "[]",
        "{",
        r#"{"grant_type":"password"}"#,
        r#"{"grant_type":"password","username":7,"password":"x"}"#,
        r#"{"grant_type":"password","username":"alice","password":null}"#,
        r#"{"grant_type":["password"],"username":"alice","password":"x"}"#,
        duplicate,
        &"[".repeat(4000),
    ] {
        let request = Request::post("/token", body).header("content-type", "application/json");
        assert_refused(&gateway.send(&request), 400, "invalid_request");
    }
}

#[test]
fn a_body_of_another_type_is_refused() {
    let gateway = gateway();
    let body = format!("grant_type=password&username=alice&password={}", password_of("alice"));
    for media_type in ["text/plain", "multipart/form-data; boundary=x", "application/jsonx", ""] {
        let request = Request::post("/token", &body).header("content-type", media_type);
        assert_refused(&gateway.send(&request), 400, "invalid_request");
    }
    assert_refused(&gateway.send(&Request::post("/token", &body)), 400, "invalid_request");
}

/// RFC 6749 §2.3.1 and §3.2: parameters never come from the URI, where logs and histories keep them.
#[test]
fn parameters_in_the_query_are_refused() {
    let gateway = gateway();
    let fields = [("grant_type", "password"), ("username", "alice"), ("password", &password_of("alice"))];
    for query in ["password=x", "grant_type=password", "username=bob&password=x"] {
        let response = gateway.send(&Request::form(&format!("/token?{query}"), &fields));
        assert_refused(&response, 400, "invalid_request");
    }
}

#[test]
fn only_post_is_allowed_at_the_token_endpoint() {
    let gateway = gateway();
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let response = gateway.send(&Request::new(method, "/token"));
        assert_eq!((response.status, response.headers.list("allow")), (405, vec!["post".into()]), "{method}");
    }
}

#[test]
fn a_login_body_over_8_kib_is_refused() {
    let gateway = gateway();
    let body = format!("grant_type=password&username=alice&password={}", "x".repeat(8192));
    let response = gateway.send(&Request::post("/token", &body).header("content-type", FORM));
    assert_eq!(response.status, 413);

    let mut client = gateway.connect();
    let head = format!(
        "POST /token HTTP/1.1\r\nHost: h\r\nContent-Type: {FORM}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    client.send(head);
    // The gateway may answer and close before it has taken all of it.
    let _ = client.try_send(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()));
    let response = client.response();
    assert_eq!((response.status, &response.json()["error"]), (413, &json!("invalid_request")));
}

#[test]
fn passwords_are_taken_byte_for_byte() {
    let gateway = gateway();
    let base = "0123456789".repeat(8);
    let (long, unicode) = (format!("{base}-right"), "pässwörd 密码 🔑 &=+%");
    gateway.site.cli_add_user("longpass", &[], &long).ok();
    gateway.site.cli_add_user("unicode", &[], unicode).ok();
    assert_eq!(gateway.login_with("longpass", &long).status, 200);
    assert_eq!(gateway.login_with("longpass", &format!("{base}-wrong")).status, 400, "cut at 72 bytes");
    assert_eq!(gateway.login_with("unicode", unicode).status, 200);
    assert_eq!(gateway.login_with("unicode", "passwörd 密码 🔑 &=+%").status, 400);
    assert_eq!(gateway.login_with("alice", &format!("{}\0", password_of("alice"))).status, 400);
    assert_eq!(gateway.login_with("alice", &format!("{} ", password_of("alice"))).status, 400);
}

#[test]
fn a_full_queue_of_logins_is_answered_at_once() {
    let gateway = Setup::new(ROUTES)
        .set("login.memory", "'64MiB'")
        .set("login.passes", "8")
        .set("login.permits", "1")
        .set("login.queue", "1")
        .start();
    gateway.add_user("alice", "reader");
    let fields = [("grant_type", "password"), ("username", "alice"), ("password", "wrong pass phrase")];
    let request = Request::form("/token", &fields).encode("localhost");
    let mut clients: Vec<_> = (0..8).map(|_| gateway.connect()).collect();
    for client in &mut clients {
        client.send(&request);
    }
    let responses: Vec<_> = clients.iter_mut().map(|client| client.response_to("POST")).collect();
    let busy: Vec<_> = responses.iter().filter(|response| response.status == 503).collect();
    assert!(!busy.is_empty(), "8 logins found room for 2");
    assert!(responses.iter().any(|response| response.status == 400), "nobody was served");
    for response in busy {
        assert_refused(response, 503, "temporarily_unavailable");
        assert!(response.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    }
    assert_eq!(gateway.login_with("alice", &password_of("alice")).status, 200, "and recovers");
}

#[test]
fn the_published_keys_are_public() {
    for (algorithm, kty) in [("ES256", "EC"), ("EdDSA", "OKP"), ("RS256", "RSA")] {
        let gateway = Setup::new(ROUTES).set("token.algorithm", &format!("'{algorithm}'")).start();
        let kid = token::parts(&gateway.token_for("alice", "reader")).header["kid"].clone();
        let response = gateway.send(&Request::get("/.well-known/jwks.json"));
        assert_eq!(response.status, 200);
        assert_eq!(response.header("content-type").as_deref(), Some("application/jwk-set+json"));
        let keys = response.json()["keys"].as_array().unwrap().clone();
        assert_eq!(keys.len(), 1);
        assert_eq!((&keys[0]["kid"], &keys[0]["kty"]), (&kid, &json!(kty)));
        assert_eq!((&keys[0]["alg"], &keys[0]["use"]), (&json!(algorithm), &json!("sig")));
        for private in ["d", "p", "q", "dp", "dq", "qi", "k", "oth"] {
            assert_eq!(keys[0][private], Value::Null, "{private} of {algorithm}");
        }
    }
}

#[test]
fn a_symmetric_key_is_not_published() {
    let gateway = Setup::new(ROUTES).set("token.algorithm", "'HS256'").start();
    assert_eq!(token::parts(&gateway.token_for("alice", "reader")).header["alg"], "HS256");
    let response = gateway.send(&Request::get("/.well-known/jwks.json"));
    assert_eq!(response.json(), json!({"keys": []}));
}

#[test]
fn documents_have_validators() {
    let gateway = Gateway::start(ROUTES);
    for path in ["/.well-known/jwks.json", "/.well-known/oauth-authorization-server"] {
        let tag = gateway.send(&Request::get(path)).header("etag").expect("an ETag");
        let again = gateway.send(&Request::get(path).header("If-None-Match", &tag));
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        assert_eq!(gateway.send(&Request::get(path).header("If-None-Match", "\"x\"")).status, 200, "{path}");
        assert_eq!(gateway.send(&Request::new("HEAD", path)).body, b"", "{path}");
    }
}

#[test]
fn the_metadata_names_the_endpoints() {
    let gateway = Setup::new(ROUTES).set("token.issuer", "'https://login.example'").start();
    let response = gateway.send(&Request::get("/.well-known/oauth-authorization-server"));
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type").as_deref(), Some("application/json"));
    let body = response.json();
    assert_eq!(body["issuer"], "https://login.example");
    assert_eq!(body["token_endpoint"], "https://login.example/token");
    assert_eq!(body["jwks_uri"], "https://login.example/.well-known/jwks.json");
    let has = |member: &str, value: &str| body[member].as_array().unwrap().contains(&json!(value));
    assert!(has("grant_types_supported", "password"), "{body}");
    assert!(body["response_types_supported"].is_array(), "RFC 8414 §2 requires it: {body}");
    gateway.add_user("alice", "reader");
    assert_eq!(token::parts(&gateway.login("alice")).claims["iss"], "https://login.example");
}

#[test]
fn renamed_endpoints_answer_at_their_new_place_only() {
    let gateway = Setup::new(ROUTES)
        .set("server.token_path", "'/oauth/token'")
        .set("server.local_prefix", "'/login'")
        .set("server.health_path", "'/alive'")
        .set("server.ready_path", "'/able'")
        .start();
    gateway.add_user("alice", "reader");
    let fields = [("grant_type", "password"), ("username", "alice"), ("password", &password_of("alice"))];
    let response = gateway.send(&Request::form("/oauth/token", &fields));
    assert_eq!(response.status, 200);
    let token = response.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(gateway.get("/login/me", &token).json()["username"], "alice");
    for (path, status) in
        [("/alive", 200), ("/able", 200), ("/healthz", 401), ("/token", 401), ("/auth/me", 401)]
    {
        assert_eq!(gateway.send(&Request::get(path)).status, status, "{path}");
    }
    let metadata = gateway.send(&Request::get("/.well-known/oauth-authorization-server")).json();
    assert_eq!(metadata["token_endpoint"], "http://localhost/oauth/token");
}

#[test]
fn a_caller_can_ask_who_it_is() {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("alice", "reader admin");
    let response = gateway.get("/auth/me", &token);
    assert_eq!(response.status, 200, "{}", response.text());
    let body = response.json();
    assert_eq!((&body["username"], &body["roles"]), (&json!("alice"), &json!(["admin", "reader"])));
    assert_eq!(body["expires_at"], token::parts(&token).claims["exp"]);
    assert!(response.headers.list("cache-control").contains(&"no-store".into()));
    assert_eq!(gateway.send(&Request::get("/auth/me")).status, 401);
    assert_eq!(gateway.backend.count(), 0);
}
