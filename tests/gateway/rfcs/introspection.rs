//! RFC 7662: `/auth/introspect`.

use serde_json::{Value, json};

use super::{assert_error, assert_uncached_json, gateway, login};
use crate::clients::{Client, add};
use crate::harness::{Gateway, ROUTES, Request, Response, Setup, token, wait_until};

const INACTIVE: &str = r#"{"active":false}"#;

fn introspect(gateway: &Gateway, client: &Client, fields: &[(&str, &str)]) -> Response {
    gateway.send(&Request::form("/auth/introspect", fields).basic(&client.id, &client.secret))
}

/// "The protected resource calls the introspection endpoint using an HTTP POST", and "the server MUST also require some form of
/// authorization": a client's, by one of its two ways.
#[test]
fn rfc_7662_s2_1_a_client_asks_by_post() {
    let gateway = gateway();
    let client = add(&gateway, "shop", &[]);
    let token = ("token", &*gateway.login("alice"));
    let by_post = [token, ("client_id", "shop"), ("client_secret", &*client.secret)];
    let answer = gateway.send(&Request::form("/auth/introspect", &by_post));
    assert_eq!((answer.status, &answer.json()["active"]), (200, &json!(true)), "{}", answer.text());
    let both = Request::form("/auth/introspect", &by_post).basic(&client.id, &client.secret);
    assert_error(&gateway.send(&both), 400, "invalid_request");
    let get = gateway.send(&Request::get(&format!("/auth/introspect?token={}", token.1)));
    assert_eq!((get.status, get.header("allow").as_deref()), (405, Some("POST")));
    let query = Request::form("/auth/introspect?token=x", &[token]).basic(&client.id, &client.secret);
    assert_error(&gateway.send(&query), 400, "invalid_request");
    for fields in [[].as_slice(), &[("token", "")], &[token, token]] {
        assert_error(&introspect(&gateway, &client, fields), 400, "invalid_request");
    }
}

/// §2.3: one that does not prove itself is told so, with a challenge if it used the header.
#[test]
fn rfc_7662_s2_3_without_a_client_there_is_no_answer() {
    let gateway = gateway();
    let client = add(&gateway, "shop", &[]);
    let token = gateway.login("alice");
    let request = Request::form("/auth/introspect", &[("token", &token)]);
    for request in [request.clone(), request.clone().basic("shop", "x"), request.clone().bearer(&token)] {
        let answer = gateway.send(&request);
        assert_error(&answer, 401, "invalid_client");
        assert!(answer.header("www-authenticate").unwrap().starts_with("Basic "));
    }
    gateway.cli(["client", "disable", "shop"]).ok();
    assert_error(&gateway.send(&request.basic(&client.id, &client.secret)), 401, "invalid_client");
}

/// Of an active token every member of §2.2 that we know; the answer is kept by nobody.
#[test]
fn rfc_7662_s2_2_an_active_token_is_described() {
    let gateway = gateway();
    let client = add(&gateway, "shop", &["reader"]);
    let of_user = login(&gateway, "alice", Some(&client)).0;
    let grant = Request::form("/token", &[("grant_type", "client_credentials")]);
    let of_client = gateway.send(&grant.basic(&client.id, &client.secret)).json();
    for access in [&*of_user, of_client["access_token"].as_str().unwrap()] {
        let answer = introspect(&gateway, &client, &[("token", access)]);
        assert_eq!(answer.status, 200);
        assert_uncached_json(&answer);
        let claims = token::parts(access).claims;
        let mut expected = json!({"active": true, "scope": "reader", "token_type": "Bearer"});
        for member in ["client_id", "username", "exp", "iat", "sub", "aud", "iss", "jti"] {
            assert!(!claims[member].is_null(), "{member}");
            expected[member] = claims[member].clone();
        }
        assert_eq!(answer.json(), expected);
    }
}

/// A hint does not decide what is looked for (§2.1), and does not turn one kind of token into the other.
#[test]
fn rfc_7662_s2_1_the_hint_is_only_a_hint() {
    let gateway = gateway();
    let client = add(&gateway, "shop", &[]);
    let (access, refresh) = login(&gateway, "alice", Some(&client));
    for hint in ["access_token", "refresh_token", "made up", ""] {
        for (token, kind) in [(&access, json!("Bearer")), (&refresh, Value::Null)] {
            let answer = introspect(&gateway, &client, &[("token", token), ("token_type_hint", hint)]).json();
            assert_eq!((&answer["active"], &answer["token_type"]), (&json!(true), &kind), "{hint}");
        }
    }
}

/// §2.2: "SHOULD NOT include any additional information about an inactive token, including why the token is inactive".
#[test]
fn rfc_7662_s2_2_an_inactive_token_is_that_and_nothing_more() {
    let gateway = gateway();
    let client = add(&gateway, "shop", &[]);
    let logged_out = login(&gateway, "alice", Some(&client));
    assert_eq!(gateway.send(&Request::post("/auth/logout", "").bearer(&logged_out.0)).status, 204);
    let revoked = gateway.login("alice");
    assert_eq!(gateway.send(&Request::form("/auth/revoke", &[("token", &revoked)])).status, 200);
    let parts = token::parts(&gateway.login("alice"));
    let unsigned =
        format!("{}.", token::signing_input(&json!({"alg": "none", "typ": "at+jwt"}), &parts.claims));
    gateway.add_user("bob", "reader");
    let disabled = login(&gateway, "bob", Some(&client));
    gateway.cli(["user", "disable", "bob"]).ok();
    for token in
        [&*logged_out.0, &logged_out.1, &revoked, &unsigned, &disabled.0, &disabled.1, "x", "prt_x", "\u{0}"]
    {
        let answer = introspect(&gateway, &client, &[("token", token)]);
        assert_eq!((answer.status, answer.text().as_str()), (200, INACTIVE), "{token}");
        assert_uncached_json(&answer);
    }
}

/// §4: "the authorization server MUST determine whether or not a token has expired".
#[test]
fn rfc_7662_s4_an_expired_token_is_inactive() {
    let gateway = Setup::new(ROUTES).set("token.access_ttl", "'1s'").set("token.leeway", "'0s'").start();
    let client = add(&gateway, "shop", &[]);
    let token = gateway.token_for("alice", "reader");
    wait_until("it expires", || introspect(&gateway, &client, &[("token", &token)]).text() == INACTIVE);
    assert_eq!(introspect(&gateway, &client, &[("token", &token)]).text(), INACTIVE, "and stays so");
}
