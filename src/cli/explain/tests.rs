//! Decisions without a store. What needs users or a gateway is tested from the outside.

use std::ffi::OsString;
use std::fs;

use serde_json::{Value, json};

const FILE: &str = r#"
[token]
issuer = "http://gate.test"
[upstream.orders]
servers = ["http://127.0.0.1:9"]
[[route]]
path = "/orders/*"
methods = ["GET"]
roles = ["reader", "admin"]
upstream = "orders"
strip_prefix = true
[[route]]
path = "/orders/today"
methods = ["GET"]
access = "authenticated"
forward_authorization = true
upstream = "orders"
[[route]]
host = "shop.test"
path = "/orders/*"
access = "public"
upstream = "orders"
"#;

/// Runs `explain` with [`FILE`].
fn explain(args: &[&str]) -> (u8, String, String) {
    explain_with(FILE, args)
}

/// Runs `explain` with a configuration whose data directory does not exist, and sees that it still does not afterwards.
fn explain_with(text: &str, args: &[&str]) -> (u8, String, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("c.toml");
    fs::write(&file, text).unwrap();
    let args = ["portcullis", "explain"].iter().chain(args).map(OsString::from);
    let args = args.chain(["--config".into(), file.clone().into()]);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let status = crate::cli::run(args, &mut out, &mut err);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "it stored something");
    (status, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn decision(args: &[&str]) -> Value {
    let (status, out, err) = explain(&[args, &["--json"]].concat());
    assert_eq!((status, err.as_str()), (0, ""), "{args:?}");
    serde_json::from_str(&out).unwrap()
}

/// The header fields of this name that the backend gets.
fn fields(decision: &Value, name: &str) -> Vec<String> {
    let fields = decision["passed"]["upstream"]["headers"].as_array().unwrap();
    let named = fields.iter().filter(|field| field["name"] == name);
    named.map(|field| field["value"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_decision_has_its_status_and_code() {
    let cases: [(&[&str], u16, Value); 12] = [
        (&["GET", "/orders/7"], 401, json!("no_token")),
        (&["GET", "/orders/7", "--role", "reader"], 200, Value::Null),
        (&["GET", "/orders/7", "--role", "writer"], 403, json!("missing_role")),
        (&["GET", "/orders/7", "--user", "bob"], 401, json!("invalid_token")),
        (&["GET", "/orders/7", "--token", "x.y.z"], 401, json!("invalid_token")),
        (
            &["GET", "/orders/7", "--header", "Authorization: Bearer a b"],
            400,
            json!("malformed_authorization"),
        ),
        (&["GET", "http://shop.test/orders/7"], 200, Value::Null),
        (&["GET", "/orders/7", "--header", "Host: shop.test"], 200, Value::Null),
        (&["DELETE", "/orders/7", "--role", "reader"], 405, json!("method_not_allowed")),
        (&["GET", "/other", "--role", "reader"], 404, json!("no_route")),
        (&["GET", "/orders/%00"], 400, json!("malformed_path")),
        (&["TRACE", "/orders/7"], 501, json!("method_refused")),
    ];
    for (args, status, code) in cases {
        let decision = decision(args);
        assert_eq!((&decision["status"], &decision["code"]), (&json!(status), &code), "{args:?}: {decision}");
        assert_eq!(decision["allowed"], status == 200);
    }
}

#[test]
fn the_backend_gets_what_requests_give_it() {
    let spoofed = ["--header", "X_User: root", "--header", "x-role: admin", "--header", "X-Other: 1"];
    let decision = decision(
        &[&["GET", "/x/..//orders/%37?q=1", "--role", "reader", "--role", "b"], &spoofed[..]].concat(),
    );
    assert_eq!((&decision["path"], &decision["host"]), (&json!("/orders/7"), &json!("gate.test")));
    assert_eq!(decision["passed"]["upstream"]["target"], "/7?q=1");
    assert_eq!(fields(&decision, "x-user"), ["somebody"]);
    assert_eq!(fields(&decision, "x-role"), ["b,reader"]);
    assert_eq!(fields(&decision, "x_user"), [""; 0]);
    assert_eq!(
        (fields(&decision, "x-other"), fields(&decision, "host")),
        (vec!["1".into()], vec!["gate.test".into()])
    );
    assert_eq!(decision["reason"], "somebody has the role reader");
}

#[test]
fn credentials_are_not_shown() {
    let args = ["GET", "/orders/today", "--role", "x", "--header", "Authorization: Bearer s3cr3t"];
    let (_, out, _) = explain(&args);
    assert!(out.contains("authorization: Bearer (not shown)") && !out.contains("s3cr3t"), "{out}");
}

#[test]
fn people_read_the_decision_and_what_nearly_matched() {
    let (status, out, err) = explain(&["GET", "/orders/today/x", "--role", "writer"]);
    assert_eq!((status, err.as_str()), (0, ""));
    let expected = "request  GET /orders/today/x\n\
                    host     gate.test\n\
                    path     /orders/today/x\n\
                    route    /orders/* GET\n\
                    rule     roles admin,reader\n\
                    limits   none\n\
                    caller   somebody (writer)\n\
                    verdict  refused: none of the caller's roles may pass this route; it wants one of: admin, reader\n\
                    status   403\n\
                    \n\
                    Routes that nearly matched:\n";
    assert!(out.starts_with(expected), "{out}");
    assert!(out.contains("shop.test/orders/*") && out.contains("is for another host"), "{out}");
    assert!(out.contains("/orders/today GET ") && out.contains("this very path only"), "{out}");
}

#[test]
fn what_is_no_url_is_wrong_usage() {
    for url in ["ftp://x/y", "example.com", "http://", "/a b"] {
        let (status, out, err) = explain(&["GET", url]);
        assert_eq!((status, out.as_str()), (2, ""), "{url}");
        assert!(err.contains("neither a path nor an http URL"), "{url}: {err}");
    }
}

#[test]
fn a_gateway_on_a_free_port_has_a_host_too() {
    let text = FILE.replace("[token]\nissuer = \"http://gate.test\"", "[server]\nlisten = [\"127.0.0.1:0\"]");
    let (status, out, _) = explain_with(&text, &["GET", "/orders/7", "--role", "reader"]);
    assert_eq!(status, 0);
    assert!(out.contains("host     localhost\n") && out.contains("status   200"), "{out}");
}
