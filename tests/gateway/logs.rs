//! One access record for each request, with all that is needed and nothing that is secret.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::harness::{Gateway, ROUTES, Request, Setup, wait_until};

#[test]
fn an_access_record_tells_the_whole_request() {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("alice", "reader admin");
    let request = Request::post("/orders/7?page=2", "12345").bearer(&token).header("Host", "Shop.Example:81");
    let response = gateway.send(&request.header("User-Agent", "test/1"));
    assert_eq!((response.status, response.body.len()), (200, 5));
    let record = gateway.access_of("/orders/7?page=2");
    for (name, value) in [
        ("request.id", json!(response.header("x-request-id").unwrap())),
        ("client.addr", json!("127.0.0.1")),
        ("user", json!("alice")),
        ("roles", json!("admin,reader")),
        ("method", json!("POST")),
        ("host", json!("shop.example:81")),
        ("protocol", json!("HTTP/1.1")),
        ("status", json!(200)),
        ("bytes_in", json!(5)),
        ("bytes_out", json!(5)),
        ("upstream.addr", json!(gateway.backend.addr().to_string())),
        ("user_agent", json!("test/1")),
        ("complete", json!(true)),
    ] {
        assert_eq!(record[name], value, "{name} of {record}");
    }
    assert!(record["time"].as_str().unwrap().ends_with('Z'), "{record}");
    assert!(record["route"].as_str().unwrap().contains("/orders/*"), "{record}");
    assert!(record["total_us"].as_u64().unwrap() >= record["ttfb_us"].as_u64().unwrap(), "{record}");
    assert_eq!(record["reason"], Value::Null);
}

#[test]
fn each_request_has_exactly_one_access_record() {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("alice", "reader");
    for (path, status) in [("/orders/7", 200), ("/admin/x", 403), ("/none", 404), ("/public/%00", 400)] {
        assert_eq!(gateway.get(path, &token).status, status);
    }
    assert_eq!(gateway.send(&Request::get("/orders/8")).status, 401);
    for (path, status) in
        [("/orders/7", 200), ("/admin/x", 403), ("/none", 404), ("/public/%00", 400), ("/orders/8", 401)]
    {
        let record = gateway.access_of(path);
        assert_eq!(record["status"], status, "{record}");
        assert_eq!(record["reason"].is_string(), status != 200, "{record}");
    }
    let user = gateway.access_of("/admin/x");
    assert_eq!(user["user"], "alice", "who was refused is known: {user}");
    let records = gateway.process.stdout_lines();
    let paths: Vec<_> =
        records.iter().filter_map(|r| r["path"].as_str()).filter(|path| *path != "/token").collect();
    assert_eq!(paths.len(), 5, "{paths:?}");
}

#[test]
fn secrets_in_a_query_are_not_logged() {
    let gateway = Gateway::start(ROUTES);
    let query = "token=hush1&a=1&access_token=hush2&client_secret=hush3&PASSWORD=hush4&code=hush5&api_key=hush6&passwd=hush7&%74oken=hush8&b=2";
    assert_eq!(gateway.send(&Request::get(&format!("/public/x?{query}"))).status, 200);
    assert_eq!(gateway.backend.last().target, format!("/public/x?{query}"), "the backend gets it as it is");
    let record =
        gateway.wait_for_access(|r| r["path"].as_str().is_some_and(|path| path.starts_with("/public/x?")));
    let path = record["path"].as_str().unwrap();
    assert!(!path.contains("hush"), "{path}");
    assert!(path.contains("a=1") && path.contains("b=2") && path.contains("token=redacted"), "{path}");
    for line in gateway.process.stderr_lines() {
        assert!(!line.to_string().contains("hush"), "{line}");
    }
}

#[test]
fn access_records_can_go_to_a_file_or_nowhere() {
    let gateway = Setup::new(ROUTES).set("log.access", "'./access.log'").start();
    let file = gateway.site.dir().join("access.log");
    assert_eq!(gateway.send(&Request::get("/public/x")).status, 200);
    let read = |path| std::fs::read_to_string(path).unwrap();
    wait_until("the record is in the file", || read(&file).contains("/public/x"));
    // logrotate: the file is moved away, SIGHUP opens a new one.
    let moved = gateway.site.dir().join("access.log.1");
    std::fs::rename(&file, &moved).unwrap();
    gateway.reload(str::to_owned);
    assert_eq!(gateway.send(&Request::get("/public/y")).status, 200);
    let mut gateway = gateway;
    assert_eq!(gateway.terminate(), Some(0));
    assert!(read(&moved).contains("/public/x") && !read(&moved).contains("/public/y"), "{}", read(&moved));
    assert!(read(&file).contains("/public/y"), "{}", read(&file));
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o007, 0, "not for everybody");
    assert_eq!(gateway.process.stdout_lines(), [Value::Null; 0]);

    let mut silent = Setup::new(ROUTES).set("log.access", "'off'").start();
    assert_eq!(silent.send(&Request::get("/public/x")).status, 200);
    assert_eq!(silent.terminate(), Some(0));
    assert_eq!(silent.process.stdout_lines(), [Value::Null; 0]);
}
