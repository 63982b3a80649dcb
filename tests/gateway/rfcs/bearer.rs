//! RFC 6750: bearer tokens at the resource; RFC 9728 §5: what its challenges lead to.

use super::gateway;
use crate::harness::{Http2, ROUTES, Request, Setup};

const METADATA: &str = "resource_metadata=\"http://localhost/.well-known/oauth-protected-resource\"";

/// The whole challenge of each refusal.
#[test]
fn rfc_6750_s3_every_challenge_says_what_is_wrong_and_where_to_look() {
    let gateway = gateway();
    let token = gateway.login("alice");
    let invalid = "error=\"invalid_token\", error_description=\"invalid, expired or revoked\", ";
    let ended = gateway.login("alice");
    assert_eq!(gateway.send(&Request::post("/auth/logout", "").bearer(&ended)).status, 204);
    for (path, authorization, status, middle) in [
        // "SHOULD NOT include an error code or other error information" where no credentials came.
        ("/orders/7", None, 401, ""),
        ("/none", None, 401, ""),
        ("/auth/me", None, 401, ""),
        ("/orders/7", Some("Basic YTpi".to_owned()), 401, ""),
        ("/orders/7", Some("Bearer a b".to_owned()), 400, "error=\"invalid_request\", "),
        ("/orders/7", Some("Bearer x".to_owned()), 401, invalid),
        ("/orders/7", Some(format!("Bearer {ended}")), 401, invalid),
        ("/admin/x", Some(format!("Bearer {token}")), 403, "error=\"insufficient_scope\", scope=\"admin\", "),
    ] {
        let request = authorization.iter().fold(Request::get(path), |it, v| it.header("Authorization", v));
        let response = gateway.send(&request);
        assert_eq!(response.status, status, "{path} {authorization:?}");
        let expected = format!("Bearer realm=\"portcullis\", {middle}{METADATA}");
        assert_eq!(response.header("www-authenticate"), Some(expected), "{path} {authorization:?}");
        assert_eq!(response.header("cache-control").as_deref(), Some("no-store"), "{path}");
    }
    assert!(gateway.send(&Request::get("/public/x")).header("www-authenticate").is_none());
    assert!(gateway.get("/none", &token).header("www-authenticate").is_none(), "a token would not help");
}

#[test]
fn rfc_9728_s5_1_the_challenge_of_http_2_is_the_same() {
    let gateway = gateway();
    let mut client = Http2::connect(gateway.addr());
    let response = client.get("/orders/7", "x");
    assert_eq!(response.status(), 401);
    assert!(response.headers()["www-authenticate"].to_str().unwrap().ends_with(METADATA));
}

/// Another issuer by a reload: the challenges name its place from then on.
#[test]
fn rfc_9728_s5_1_a_reload_changes_where_the_metadata_is() {
    let gateway = Setup::new(ROUTES).start();
    gateway.reload(|text| text.replace("'http://localhost'", "'https://login.example/gate'"));
    for path in ["/orders/7", "/none"] {
        let challenge = gateway.send(&Request::get(path)).header("www-authenticate").unwrap();
        let url = "https://login.example/.well-known/oauth-protected-resource/gate";
        assert!(challenge.ends_with(&format!("resource_metadata=\"{url}\"")), "{challenge}");
    }
}

/// §2: a token in the body or in the query is no token here, so it neither helps nor is it a second method.
#[test]
fn rfc_6750_s2_a_token_comes_in_the_header_only() {
    let gateway = gateway();
    let token = gateway.login("alice");
    assert_eq!(gateway.send(&Request::form("/orders/7", &[("access_token", &token)])).status, 401);
    assert_eq!(gateway.send(&Request::get(&format!("/orders/7?access_token={token}"))).status, 401);
    let both = Request::get("/orders/7?access_token=x").bearer(&token);
    assert_eq!(gateway.send(&both).status, 200, "a query is the backend's");
}
