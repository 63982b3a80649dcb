//! RFC 7009: `/auth/revoke`.

use super::{FORM, assert_error, assert_uncached_json, gateway, login, refresh};
use crate::clients::add;
use crate::harness::{Gateway, Request};

fn passes(gateway: &Gateway, access: &str) -> bool {
    gateway.get("/anyone/x", access).status == 200
}

/// "If the server is unable to locate the token using the given hint, it MUST extend its search across all of its supported token types",
/// and "an invalid `token_type_hint` value is ignored" (§2.2).
#[test]
fn rfc_7009_s2_1_the_hint_is_only_a_hint() {
    let gateway = gateway();
    for hint in
        [None, Some("access_token"), Some("refresh_token"), Some("id_token"), Some("made up"), Some("")]
    {
        for access_is_given in [false, true] {
            let (access, refresh_token) = login(&gateway, "alice", None);
            let token = if access_is_given { &access } else { &refresh_token };
            let fields: Vec<(&str, &str)> =
                [("token", &**token)].into_iter().chain(hint.map(|hint| ("token_type_hint", hint))).collect();
            let answer = gateway.send(&Request::form("/auth/revoke", &fields));
            assert_eq!((answer.status, answer.text().as_str()), (200, "{}"), "{hint:?}");
            assert!(!passes(&gateway, &access), "{hint:?}: the access token");
            let still = refresh(&gateway, &refresh_token).status;
            assert_eq!(still, if access_is_given { 200 } else { 400 }, "{hint:?}: the refresh token");
        }
    }
}

/// "The authorization server first validates the client credentials (in case of a confidential client)".
#[test]
fn rfc_7009_s2_1_a_client_proves_itself_before_anything_is_revoked() {
    let gateway = gateway();
    let client = add(&gateway, "shop", &[]);
    let (access, _) = login(&gateway, "alice", Some(&client));
    let revoke = |fields: &[(&str, &str)]| Request::form("/auth/revoke", fields);
    let token = ("token", &*access);
    let wrong = gateway.send(&revoke(&[token]).basic(&client.id, "wrong"));
    assert_error(&wrong, 401, "invalid_client");
    assert!(wrong.header("www-authenticate").unwrap().starts_with("Basic "));
    for (fields, status, code) in [
        ([token, ("client_id", "shop"), ("client_secret", "x")].as_slice(), 401, "invalid_client"),
        (&[token, ("client_id", "shop")], 401, "invalid_client"),
        (&[token], 400, "unauthorized_client"),
    ] {
        assert_error(&gateway.send(&revoke(fields)), status, code);
    }
    let two_ways = revoke(&[token, ("client_id", "shop"), ("client_secret", &client.secret)]);
    assert_error(&gateway.send(&two_ways.basic(&client.id, &client.secret)), 400, "invalid_request");
    assert!(passes(&gateway, &access), "none of them has revoked it");
    let by_post = revoke(&[token, ("client_id", "shop"), ("client_secret", &client.secret)]);
    assert_eq!(gateway.send(&by_post).status, 200);
    assert!(!passes(&gateway, &access));
}

/// "If the particular token is a refresh token …, then the authorization server SHOULD also invalidate all access tokens based on the same
/// authorization grant"; "MUST be invalidated immediately".
#[test]
fn rfc_7009_s2_1_a_refresh_token_ends_all_that_came_of_its_grant() {
    let gateway = gateway();
    let (first, refresh_token) = login(&gateway, "alice", None);
    let next = refresh(&gateway, &refresh_token).json();
    let text = |member: &str| next[member].as_str().unwrap().to_owned();
    let (second, newest) = (text("access_token"), text("refresh_token"));
    assert_eq!(gateway.send(&Request::form("/auth/revoke", &[("token", &newest)])).status, 200);
    assert!(!passes(&gateway, &first) && !passes(&gateway, &second));
    assert_eq!(refresh(&gateway, &newest).status, 400);
}

/// §2.2: "the server responds with HTTP status code 200 … if the client submitted an invalid token". Each token is of a kind that can be
/// revoked, so `unsupported_token_type` (§2.2.1) never comes.
#[test]
fn rfc_7009_s2_2_an_invalid_token_is_no_error() {
    let gateway = gateway();
    let access = gateway.login("alice");
    let foreign = Gateway::start(crate::harness::ROUTES).token_for("alice", "reader");
    let long = "x".repeat(4000);
    for token in ["x", "prt_", "pcs_x", "a.b.c", "\u{e4}\u{0}", &foreign, &access, &access, &long] {
        let answer = gateway.send(&Request::form("/auth/revoke", &[("token", token)]));
        assert_eq!(answer.status, 200, "{token}: {}", answer.text());
        assert_uncached_json(&answer);
    }
}

/// §2.3 would allow a script that calls back. There is none: a token is never answered by something that a page can run.
#[test]
fn rfc_7009_s2_3_there_is_no_jsonp() {
    let gateway = gateway();
    let (access, _) = login(&gateway, "alice", None);
    let script = gateway.send(&Request::get(&format!("/auth/revoke?token={access}&callback=f")));
    assert_eq!((script.status, script.header("allow").as_deref()), (405, Some("POST")));
    let query = Request::form(&format!("/auth/revoke?token={access}&callback=f"), &[("token", &access)]);
    assert_error(&gateway.send(&query), 400, "invalid_request");
    assert!(passes(&gateway, &access));
    let body = Request::form("/auth/revoke", &[("token", &access), ("callback", "f")]);
    let answer = gateway.send(&body);
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    assert_uncached_json(&answer);
}

/// §2.1 and §2.2.1: parameters and errors are those of RFC 6749.
#[test]
fn rfc_7009_s2_2_1_errors_are_those_of_the_token_endpoint() {
    let gateway = gateway();
    for body in ["", "token=", "token=a&token=b", "token=%zz", "token_type_hint=access_token"] {
        let request = Request::post("/auth/revoke", body).header("content-type", FORM);
        assert_error(&gateway.send(&request), 400, "invalid_request");
    }
    let request = Request::post("/auth/revoke", "token=a").header("content-type", "text/plain");
    assert_error(&gateway.send(&request), 400, "invalid_request");
}
