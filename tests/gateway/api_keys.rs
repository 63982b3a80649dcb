//! API keys: programs that cannot ask for tokens.

use serde_json::{Value, json};

use crate::harness::{Broken, Client, Gateway, Request, Response, Setup, token};

/// One public route, one for any caller, one for readers, and one that hands credentials on.
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
path = "/orders/*"
roles = ["reader"]
upstream = "backend"

[[route]]
path = "/trusted/*"
access = "authenticated"
forward_authorization = true
upstream = "backend"
"#;

fn setup() -> Setup {
    Setup::new(ROUTES).set("login.api_keys", "true")
}

/// Adds a client with an API key, and returns the key.
#[track_caller]
fn add(gateway: &Gateway, name: &str, more: &[&str]) -> String {
    let words = ["client", "add", name, "--api-key", "--json"];
    key_of(&gateway.cli(words.into_iter().chain(more.iter().copied())).ok().json())
}

#[track_caller]
fn key_of(answer: &Value) -> String {
    assert!(answer.get("client_secret").is_none(), "{answer}");
    answer["api_key"].as_str().unwrap().to_owned()
}

/// A gateway, and the key of a client that may read.
fn gateway_and_key() -> (Gateway, String) {
    let gateway = setup().start();
    let key = add(&gateway, "robot", &["--role", "reader"]);
    (gateway, key)
}

fn with_key(target: &str, key: &str) -> Request {
    Request::get(target).header("X-API-Key", key)
}

#[track_caller]
fn assert_invalid_token(response: &Response) {
    assert_eq!(response.status, 401, "{}", response.text());
    assert!(response.header("www-authenticate").unwrap().contains("error=\"invalid_token\""));
    assert_eq!(response.json()["code"], "invalid_token");
}

/// Two events, of which the second never comes.
#[track_caller]
fn listen(gateway: &Gateway, key: &str) -> Client {
    gateway.backend.on("/anyone/events", |exchange| {
        exchange
            .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        exchange.send("9\r\ndata: 1\n\n\r\n");
        let _ = exchange.until_end();
    });
    let mut client = gateway.connect();
    client.send(with_key("/anyone/events", key).encode("h"));
    assert_eq!((client.head("GET").status, client.body(9)), (200, b"data: 1\n\n".to_vec()));
    client
}

#[test]
fn a_key_lets_its_client_in_by_either_header() {
    let (gateway, key) = gateway_and_key();
    assert!(key.starts_with("pk_") && key.len() == 51, "{key}");
    for request in [with_key("/orders/7", &key), Request::get("/orders/7").bearer(&key)] {
        // Twice, so that the caches have their say.
        for _ in 0..2 {
            assert_eq!(gateway.send(&request).status, 200);
            let seen = gateway.backend.last();
            assert_eq!(seen.header_values("x-user"), ["robot"]);
            assert_eq!(seen.header_values("x-role"), ["reader"]);
            assert_eq!(
                (seen.header_values("x-api-key").len(), seen.header_values("authorization").len()),
                (0, 0)
            );
        }
    }
    let me = gateway.send(&with_key("/auth/me", &key)).json();
    assert_eq!((&me["username"], &me["roles"]), (&json!("robot"), &json!(["reader"])));
    assert_eq!(gateway.access_of("/auth/me")["user"], "robot");
}

#[test]
fn a_key_has_the_roles_of_its_client_and_no_more() {
    let gateway = setup().start();
    let key = add(&gateway, "robot", &[]);
    let refused = gateway.send(&with_key("/orders/7", &key));
    assert_eq!((refused.status, &refused.json()["code"]), (403, &json!("missing_role")));
    assert_eq!(gateway.send(&with_key("/nowhere", &key)).status, 404);
}

#[test]
fn what_is_no_key_is_an_invalid_token() {
    let (gateway, key) = gateway_and_key();
    let changed = format!("{}A", &key[..key.len() - 1]);
    let longer = format!("{key}A");
    let long = format!("pk_{}", "x".repeat(20_000));
    for wrong in [&*changed, &longer, &key.to_uppercase(), "pk_", "pk_ü", "", "x", &long] {
        assert_invalid_token(&gateway.send(&with_key("/anyone/x", wrong)));
    }
    for wrong in [&*changed, &longer, "pk_", &long] {
        assert_invalid_token(&gateway.send(&Request::get("/anyone/x").bearer(wrong)));
    }
    // A token has no business in this header, not even one that is in the cache.
    let token = gateway.token_for("alice", "reader");
    assert_eq!(gateway.get("/anyone/x", &token).status, 200);
    assert_invalid_token(&gateway.send(&with_key("/anyone/x", &token)));
}

/// RFC 6750 §2: no more than one method in a request.
#[test]
fn rfc_6750_2_two_credentials_at_once_are_refused() {
    let (gateway, key) = gateway_and_key();
    let token = gateway.token_for("alice", "reader");
    let requests = [
        with_key("/anyone/x", &key).bearer(&token),
        with_key("/anyone/x", &key).bearer(&key),
        with_key("/anyone/x", &key).basic("a", "b"),
        with_key("/anyone/x", &key).header("X-API-Key", &key),
    ];
    for request in requests {
        let refused = gateway.send(&request);
        assert_eq!(refused.status, 400, "{}", refused.text());
        assert!(refused.header("www-authenticate").unwrap().contains("error=\"invalid_request\""));
    }
}

/// DESIGN §9, rule 4: a credential goes to a backend only where the route says so.
#[test]
fn a_key_is_not_forwarded_unless_the_route_says_so() {
    let (gateway, key) = gateway_and_key();
    for target in ["/anyone/x", "/public/x"] {
        assert_eq!(gateway.send(&with_key(target, &key)).status, 200);
        assert_eq!(gateway.backend.last().header_values("x-api-key"), [""; 0], "{target}");
    }
    assert_eq!(gateway.send(&with_key("/trusted/x", &key)).status, 200);
    assert_eq!(gateway.backend.last().header_values("x-api-key"), [&*key]);
    let trailers = "POST /anyone/x HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\
        Trailer: X-API-Key, X-Sum\r\n";
    let trailers =
        format!("{trailers}X-API-Key: {key}\r\n\r\n1\r\na\r\n0\r\nX-API-Key: {key}\r\nX-Sum: 1\r\n\r\n");
    assert_eq!(gateway.connect().send(trailers).response_to("POST").status, 200);
    let seen = format!("{:?}", gateway.backend.last());
    assert!(seen.contains("x-sum") && !seen.contains(&key[3..]), "{seen}");
}

/// SECURITY H1: a configuration may name our header so.
#[test]
fn a_header_of_ours_is_not_taken_over_by_that_of_the_key() {
    let gateway = setup().set("identity_headers.user", "'X-API-Key'").start();
    let key = add(&gateway, "robot", &[]);
    assert_eq!(gateway.send(&Request::get("/trusted/x").bearer(&key)).status, 200);
    assert_eq!(gateway.send(&with_key("/trusted/x", &key)).status, 200);
    for seen in gateway.backend.requests() {
        assert_eq!(seen.header_values("x-api-key"), ["robot"]);
    }
}

#[test]
fn without_the_setting_the_header_is_the_backends_and_a_key_is_no_token() {
    let gateway = Gateway::start(ROUTES);
    let output = gateway.cli(["client", "add", "robot", "--api-key"]).ok();
    assert!(output.stderr.contains("login.api_keys = true"), "{}", output.stderr);
    let key = output.stdout.split_whitespace().find(|word| word.starts_with("pk_")).unwrap().to_owned();
    assert_eq!(gateway.send(&with_key("/anyone/x", &key)).status, 401);
    assert_invalid_token(&gateway.send(&Request::get("/anyone/x").bearer(&key)));
    let token = gateway.token_for("alice", "reader");
    assert_eq!(gateway.send(&with_key("/anyone/x", "their own").bearer(&token)).status, 200);
    assert_eq!(gateway.backend.last().header_values("x-api-key"), ["their own"]);
}

#[test]
fn the_setting_follows_a_reload() {
    let (gateway, key) = gateway_and_key();
    let mut connections: Vec<_> = (0..8).map(|_| gateway.connect()).collect();
    let request = Request::get("/anyone/x").bearer(&key);
    let mut statuses = || connections.iter_mut().map(|it| it.exchange(&request).status).collect::<Vec<_>>();
    assert_eq!(statuses(), [200; 8]);
    gateway.reload(|text| text.replace("api_keys = true", "api_keys = false"));
    assert_eq!(statuses(), [401; 8], "also where it was remembered");
    gateway.reload(|text| text.replace("api_keys = false", "api_keys = true"));
    assert_eq!(statuses(), [200; 8]);
}

/// A key lives for months, and so could what it had opened.
#[test]
fn open_streams_end_when_keys_are_not_taken_any_more() {
    let (gateway, key) = gateway_and_key();
    let mut stream = listen(&gateway, &key);
    gateway.reload(|text| text.replace("api_keys = true", "api_keys = false"));
    assert_eq!(stream.rest(), Err(Broken::Closed));
}

/// Each change counts for the next request on every worker, whatever it remembers.
#[test]
fn a_key_ends_with_its_client_and_comes_back_with_it() {
    let (mut gateway, key) = gateway_and_key();
    let other = add(&gateway, "other", &[]);
    for (command, status) in [("disable", 401), ("enable", 200), ("disable", 401), ("remove", 401)] {
        let mut connections: Vec<_> = (0..8).map(|_| gateway.connect()).collect();
        let mut statuses = |key: &str| {
            connections
                .iter_mut()
                .map(|it| it.exchange(&with_key("/anyone/x", key)).status)
                .collect::<Vec<_>>()
        };
        statuses(&key);
        gateway.cli(["client", command, "robot"]).ok();
        assert_eq!(statuses(&key), [status; 8], "{command}");
        assert_eq!(statuses(&other), [200; 8], "{command}");
        gateway.restart();
        assert_eq!(gateway.send(&with_key("/anyone/x", &key)).status, status, "{command} and a restart");
    }
    let again = add(&gateway, "robot", &[]);
    assert_eq!(gateway.send(&with_key("/anyone/x", &again)).status, 200);
    assert_eq!(gateway.send(&with_key("/anyone/x", &key)).status, 401);
}

/// The key goes on with the roles of now, on every worker.
#[test]
fn other_roles_of_its_client_are_those_of_the_key() {
    let (mut gateway, key) = gateway_and_key();
    for (roles, status) in [(&["--none"][..], 403), (&["--role", "reader"], 200), (&["--role", "admin"], 403)]
    {
        let mut connections: Vec<_> = (0..8).map(|_| gateway.connect()).collect();
        let mut stream = listen(&gateway, &key);
        let mut statuses = || {
            let ask = |it: &mut Client| it.exchange(&with_key("/orders/7", &key)).status;
            connections.iter_mut().map(ask).collect::<Vec<_>>()
        };
        statuses();
        gateway.cli(["client", "roles", "robot"].into_iter().chain(roles.iter().copied())).ok();
        assert_eq!(statuses(), [status; 8], "{roles:?}");
        assert_eq!(stream.rest(), Err(Broken::Closed), "it was let in with other roles");
    }
    gateway.restart();
    assert_eq!(gateway.send(&with_key("/orders/7", &key)).status, 403);
    assert_eq!(gateway.send(&with_key("/auth/me", &key)).json()["roles"], json!(["admin"]));
}

#[test]
fn open_streams_end_with_the_key() {
    let (gateway, key) = gateway_and_key();
    let mut stream = listen(&gateway, &key);
    gateway.cli(["client", "disable", "robot"]).ok();
    assert_eq!(stream.rest(), Err(Broken::Closed), "it must not look complete");
    gateway.cli(["client", "enable", "robot"]).ok();
    let mut stream = listen(&gateway, &key);
    gateway.cli(["client", "rotate", "robot", "--end-old"]).ok();
    assert_eq!(stream.rest(), Err(Broken::Closed));
    let short = add(&gateway, "short", &["--expires", "2s"]);
    let mut stream = listen(&gateway, &short);
    assert_eq!(stream.rest(), Err(Broken::Closed), "its time is over");
    assert_invalid_token(&gateway.send(&with_key("/anyone/x", &short)));
}

#[test]
fn a_key_is_rotated_without_an_outage() {
    let (mut gateway, first) = gateway_and_key();
    let rotate = |gateway: &Gateway, more: &[&str]| {
        let words = ["client", "rotate", "robot", "--json"].into_iter().chain(more.iter().copied());
        key_of(&gateway.cli(words).ok().json())
    };
    let statuses = |gateway: &Gateway, keys: &[&String]| -> Vec<u16> {
        keys.iter().map(|key| gateway.send(&with_key("/orders/7", key)).status).collect()
    };
    let second = rotate(&gateway, &[]);
    assert_eq!(statuses(&gateway, &[&first, &second]), [200, 200]);
    let third = rotate(&gateway, &["--expires", "1h"]);
    assert_eq!(statuses(&gateway, &[&first, &second, &third]), [401, 200, 200]);
    let only = rotate(&gateway, &["--end-old"]);
    assert_eq!(statuses(&gateway, &[&second, &third, &only]), [401, 401, 200]);
    gateway.kill9();
    gateway.start_again();
    assert_eq!(statuses(&gateway, &[&first, &second, &third, &only]), [401, 401, 401, 200]);
}

#[test]
fn a_key_is_shown_once_and_its_end_ever_after() {
    let (gateway, key) = gateway_and_key();
    let shown = gateway.cli(["client", "show", "robot", "--json"]).ok().json();
    let end = shown["api_keys"][0]["expires"].as_str().unwrap().to_owned();
    let list = gateway.cli(["client", "list"]).ok().stdout;
    let text = gateway.cli(["client", "show", "robot"]).ok().stdout;
    assert!(list.contains(&end[..10]) && text.contains(&end), "{list}{text}");
    for output in [&list, &text, &shown.to_string(), &gateway.process.stderr_text()] {
        assert!(!output.contains(&key[3..]), "{output}");
    }
    gateway.send(&with_key("/anyone/x", &key));
    gateway.send(&Request::get("/anyone/y").bearer(&key));
    for path in ["/anyone/x", "/anyone/y"] {
        assert!(!gateway.access_of(path).to_string().contains(&key[3..]));
    }
    let audit = std::fs::read_to_string(gateway.site.data().join("audit.log")).unwrap();
    assert!(audit.contains("an API key") && !audit.contains(&key[3..]));
    for expires in ["366d", "0s", "90", "soon"] {
        let words = ["client", "add", "other", "--api-key", "--expires", expires];
        assert_ne!(gateway.cli(words).status, 0, "{expires}");
    }
    assert_eq!(gateway.cli(["client", "add", "other", "--expires", "1d"]).status, 2);
}

/// A key is no secret of the token endpoint; with a secret as well, its client gets tokens.
#[test]
fn a_client_with_a_key_gets_tokens_only_with_a_secret() {
    let (gateway, key) = gateway_and_key();
    let form = Request::form("/token", &[("grant_type", "client_credentials")]);
    for request in
        [form.clone().basic("robot", &key), form.clone().header("X-API-Key", &key), form.clone().bearer(&key)]
    {
        let refused = gateway.send(&request);
        assert_eq!((refused.status, &refused.json()["error"]), (401, &json!("invalid_client")));
    }
    let new = gateway.cli(["client", "rotate", "robot", "--secret", "--json"]).ok().json();
    let secret = new["client_secret"].as_str().unwrap();
    let token =
        gateway.send(&form.basic("robot", secret)).json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(token::parts(&token).claims["client_id"], "robot");
    assert_eq!(gateway.get("/orders/7", &token).status, 200);
    assert_eq!(gateway.send(&with_key("/orders/7", &key)).status, 200);
    let both = gateway.cli(["client", "rotate", "robot"]);
    assert!(both.status == 1 && both.stderr.contains("--secret or --api-key"), "{}", both.stderr);
}

#[test]
fn a_key_has_no_session_and_no_password() {
    let (gateway, key) = gateway_and_key();
    let password = [("current_password", "x"), ("new_password", "a long pass phrase")];
    for request in [Request::post("/auth/logout", ""), Request::form("/auth/password", &password)] {
        let refused = gateway.send(&request.header("X-API-Key", &key));
        assert_eq!((refused.status, &refused.json()["code"]), (403, &json!("no_session")));
    }
    assert_eq!(gateway.send(&with_key("/anyone/x", &key)).status, 200);
}

/// RFC 7009 §2.2.1, and RFC 7662 §2.2: a key is no token of OAuth.
#[test]
fn rfc_7009_2_2_1_a_key_is_not_revoked_as_a_token_is() {
    let (gateway, key) = gateway_and_key();
    let refused = gateway.send(&Request::form("/auth/revoke", &[("token", &key)]));
    assert_eq!((refused.status, &refused.json()["error"]), (400, &json!("unsupported_token_type")));
    let new = gateway.cli(["client", "rotate", "robot", "--secret", "--json"]).ok().json();
    let asked = Request::form("/auth/introspect", &[("token", &key)]);
    let answer = gateway.send(&asked.basic("robot", new["client_secret"].as_str().unwrap()));
    assert_eq!(answer.text(), r#"{"active":false}"#);
    assert_eq!(gateway.send(&with_key("/anyone/x", &key)).status, 200);
}

#[test]
fn explain_knows_keys_whether_or_not_the_gateway_runs() {
    let (mut gateway, key) = gateway_and_key();
    let header = format!("X-API-Key: {key}");
    let questions = [["--token", &key], ["--header", &header]];
    let explain = |gateway: &Gateway, question: &[&str; 2]| {
        let words = ["explain", "GET", "/orders/7"].into_iter().chain(question.iter().copied());
        gateway.cli(words).ok().stdout
    };
    for question in &questions {
        let text = explain(&gateway, question);
        assert!(text.contains("robot") && text.contains("reader"), "{text}");
        assert!(!text.to_lowercase().contains("x-api-key: pk_"), "{text}");
    }
    gateway.terminate();
    for question in &questions {
        assert!(explain(&gateway, question).contains("robot"));
    }
    gateway.cli(["client", "disable", "robot"]).ok();
    let refused = explain(&gateway, &questions[0]);
    assert!(refused.contains("no client that may log in has this API key"), "{refused}");
}
